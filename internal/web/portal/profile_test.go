package portal_test

import (
	"html"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const profileAt, emailAt = "/sallyport/account/profile", "/sallyport/account/email"

// Attack: whoever holds a session has codes, and links for a new password, sent to an
// address of his own. A fresh code is asked for, and the code that went to the new
// address; before both came nothing is changed. A wrong one of either counts.
func TestAnAddressChangesForTwoCodes(t *testing.T) {
	h, mail := several(t)
	id, e := h.person("alice", "users", true)
	h.reach(id, "alice@example.com", "")
	b := h.browser()
	b.signIn("alice", e, "")
	b.get(emailAt).want(t, 200, "Change your e-mail address")
	b.submit(emailAt, "target", "new@example.com").want(t, 401, "Change your e-mail address")
	b.submit(emailAt, "target", "new@example.com", "code", "aaaa-bbbb").want(t, 401, "Change your e-mail address")
	if mail.count() != 0 {
		t.Fatal("a code was sent without a proof")
	}
	b.submit(emailAt, "target", "new@example.com", "code", h.code(e)).want(t, 200, "Confirm the change")
	first := mail.last(t)
	if first.To != "new@example.com" || first.For != factor.ForTarget || h.user(id).Email != "alice@example.com" {
		t.Fatalf("sent %+v", first)
	}
	for range 5 {
		b.submit(emailAt+"/confirm", "code", wrongOf(first.Code)).want(t, 401, "Confirm the change")
	}
	b.submit(emailAt+"/confirm", "code", first.Code)
	if h.user(id).Email != "alice@example.com" {
		t.Fatal("the code is good after five wrong ones")
	}
	b.get(emailAt)
	b.submit(emailAt, "target", "new@example.com", "code", h.code(e)).want(t, 200, "Confirm the change")
	b.submit(emailAt+"/confirm", "code", mail.last(t).Code).want(t, 200, "Your profile")
	if h.user(id).Email != "new@example.com" || !strings.Contains(b.page.Notice, "e-mail address is changed") {
		t.Errorf("%q, %q", h.user(id).Email, b.page.Notice)
	}
	b.get(emailAt + "/confirm")
	b.submit(emailAt+"/confirm", "code", mail.last(t).Code).want(t, 409, "Nothing to confirm")
}

// Attack: the form is aimed at an address that somebody else has. It says so no sooner
// than its code came back, and gives nothing.
func TestAnAddressOfSomebodyElseStaysTheirs(t *testing.T) {
	h, mail := several(t)
	id, e := h.person("alice", "users", true)
	other, _ := h.person("bob", "users", false)
	h.reach(other, "bob@example.com", "")
	b := h.browser()
	b.signIn("alice", e, "")
	b.get(emailAt)
	b.submit(emailAt, "target", "bob@example.com", "code", h.code(e)).want(t, 200, "Confirm the change")
	b.submit(emailAt+"/confirm", "code", mail.last(t).Code).want(t, 409, "Confirm the change")
	if !strings.Contains(b.page.Alert, "Somebody else") || h.user(id).Email != "" || h.user(other).Email != "bob@example.com" {
		t.Errorf("alert %q", b.page.Alert)
	}
}

// Attack: somebody without a factor left a session open. The password has to be fresh.
func TestWithoutAFactorThePasswordIsFresh(t *testing.T) {
	one := 1
	mail := &postman{}
	h := build(t, plan{sender: mail, realms: map[string]account.Settings{"users": {Factors: &one}}})
	id, _ := h.person("bob", "users", false)
	b := h.browser()
	b.signIn("bob", nil, "")
	b.get(emailAt)
	b.submit(emailAt, "target", "bob@example.com").want(t, 200, "Confirm the change")
	b.submit(emailAt+"/confirm", "code", mail.last(t).Code).want(t, 200, "Your profile")
	h.clock.Advance(16 * time.Minute)
	b.get(emailAt)
	b.submit(emailAt, "target", "other@example.com").want(t, 403, "Change your e-mail address")
	b.submit(emailAt, "remove", "yes").want(t, 403, "Change your e-mail address")
	if !strings.Contains(b.page.Alert, "Sign in again") || h.user(id).Email != "bob@example.com" || mail.count() != 1 {
		t.Errorf("alert %q", b.page.Alert)
	}
}

// The full name is saved as it is written and shown as text; what cannot be printed is not.
func TestTheFullName(t *testing.T) {
	h, _ := several(t)
	id, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	b.get(profileAt).want(t, 200, "Your profile")
	const name = `Alice <b>"O'Hara"</b>`
	b.submit(profileAt, "full_name", name).want(t, 200, "Your profile")
	if h.user(id).FullName != name || strings.Contains(b.page.Body, "<b>") || !strings.Contains(html.UnescapeString(b.page.Body), name) {
		t.Errorf("%q", h.user(id).FullName)
	}
	for _, bad := range []string{"a\x00b", "a\nb", strings.Repeat("x", 300)} {
		b.submit(profileAt, "full_name", bad).want(t, 422, "Your profile")
	}
	b.submit(profileAt, "full_name", "")
	if h.user(id).FullName != "" {
		t.Error("it is not removed")
	}
}

// A number is changed and removed; where codes are the last factor and go there, it stays.
func TestAPhoneNumberIsRemoved(t *testing.T) {
	h, mail := several(t)
	id, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	const at = "/sallyport/account/phone"
	b.get(at).want(t, 200, "Change your phone number")
	b.submit(at, "target", "0170 1", "code", h.code(e)).want(t, 422, "Change your phone number")
	b.submit(at, "code", h.code(e)).want(t, 422, "Change your phone number")
	b.submit(at, "target", "+49 170 1234567", "code", h.code(e)).want(t, 200, "Confirm the change")
	b.submit(at+"/confirm", "code", mail.last(t).Code).want(t, 200, "Your profile")
	b.get(factorsAt + "/add?way=sms")
	b.submit(factorsAt+"/add", "code", h.code(e)).want(t, 200, "Set up codes by message")
	b.submit(factorsAt+"/confirm", "code", mail.last(t).Code).want(t, 200, "Your second factors")
	b.get(factorsAt + "/remove?way=totp")
	b.submit(factorsAt+"/remove", "code", h.code(e)).want(t, 200, "Your second factors")
	b.get(at)
	b.submit("/sallyport/account/code").want(t, 200, "Change your phone number")
	b.submit(at, "remove", "yes", "code", mail.last(t).Code).want(t, 409, "Change your phone number")
	if h.user(id).Phone != "+491701234567" || !strings.Contains(b.page.Alert, "last second factor") {
		t.Errorf("%q, %q", h.user(id).Phone, b.page.Alert)
	}
	// An address, to which nothing goes, can be removed.
	h.reach(id, "alice@example.com", "+491701234567")
	b.get(emailAt)
	b.submit(emailAt, "remove", "yes", "code", mail.last(t).Code).want(t, 200, "Your profile")
	if h.user(id).Email != "" {
		t.Error("the address is still there")
	}
}

// Attack: the way back from a code that was sent leads elsewhere.
func TestTheWayBackStaysInTheAccount(t *testing.T) {
	h, mail := several(t)
	id, e := h.person("alice", "users", true)
	h.reach(id, "alice@example.com", "")
	b := h.browser()
	b.signIn("alice", e, "")
	b.mailed(e, mail)
	b.get("/sallyport/account/password")
	key := ""
	for _, f := range b.page.Forms {
		if f.Action == "/sallyport/account/code" {
			key = f.Fields.Get("k")
		}
	}
	if key == "" {
		t.Fatal("the page of the password has no button that sends a code")
	}
	for _, to := range []string{"", "/", "https://evil.example.net/sallyport/account/", "//evil.example.net/sallyport/account/", "/sallyport/account/../logout", "/sallyport/logout", "/sallyport/account/nothing"} {
		if got := b.post("/sallyport/account/code", url.Values{"k": {key}, "way": {"email"}, "rd": {to}}); got.Status != 400 {
			t.Errorf("back to %q: %d to %q", to, got.Status, got.Location)
		}
	}
	if mail.count() != 1 {
		t.Errorf("%d letters", mail.count())
	}
	for _, way := range []string{"totp", "sms", "x"} { // what sends nothing, or is not hers
		if got := b.post("/sallyport/account/code", url.Values{"k": {key}, "way": {way}, "rd": {profileAt}}); got.Status < 400 || got.Status >= 500 {
			t.Errorf("%s: %d to %q", way, got.Status, got.Location)
		}
	}
}

// Attack: the page of recent activity shows what happened to others, or to whoever had
// the name before, or what is in the events beside the words that it says.
func TestActivityIsTheOwnAlone(t *testing.T) {
	h, _ := several(t)
	before, _ := h.person("alice", "users", true)
	must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
		return h.directory.Delete(tx, account.Local().From(netip.MustParseAddr("192.0.2.66"), ""), before)
	}))
	_, e := h.person("alice", "users", true)
	_, f := h.person("eve", "users", true)
	eve := h.browser()
	eve.signIn("eve", f, "")
	b := h.browser()
	h.browser().post("/sallyport/login", url.Values{"username": {"alice"}, "password": {"nothing of the kind"}})
	b.signIn("alice", e, "")
	b.get("/sallyport/account/activity").want(t, 200, "Recent activity")
	for _, want := range []string{"You signed in.", "A wrong password was typed.", "127.0.0.1"} {
		if !strings.Contains(b.page.Body, want) {
			t.Errorf("it does not say %q:\n%s", want, b.page.Body)
		}
	}
	if strings.Contains(b.page.Body, "192.0.2.66") || strings.Contains(b.page.Body, "eve") || strings.Count(b.page.Body, "You signed in.") != 1 {
		t.Errorf("it says what is not hers:\n%s", b.page.Body)
	}
	h.clock.Advance(31 * 24 * time.Hour)
	late := h.browser()
	late.signIn("alice", e, "")
	late.get("/sallyport/account/activity").want(t, 200, "Recent activity")
	if strings.Contains(late.page.Body, "A wrong password") {
		t.Error("it shows what is older than 30 days")
	}
}

// It ends after fifty lines.
func TestActivityEndsAfterFifty(t *testing.T) {
	h, _ := several(t)
	id, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	for range 60 {
		must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
			return h.factors.SetPrimary(tx, account.Self(id), id, factor.TOTP)
		}))
	}
	b.get("/sallyport/account/activity")
	if n := strings.Count(b.page.Body, "asked for first"); n != 50 || !strings.Contains(b.page.Body, "Older entries") {
		t.Errorf("%d lines", n)
	}
}
