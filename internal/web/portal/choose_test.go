package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// choosing is somebody with a password alone who must set up a factor, at the choice.
func (h *house) choosing(name string) (b *browser, id string) {
	h.t.Helper()
	h.mailed(name)
	b = h.browser()
	b.get("/sallyport/login?rd=/app").want(h.t, 200, "Sign in")
	p := b.submit("/sallyport/login", "username", name, "password", password).want(h.t, 200, "Set up a second proof")
	for _, problem := range problems(h.t, p) {
		h.t.Error(problem)
	}
	return b, b.at.Query().Get("l")
}

// choose presses the button of a method.
func (b *browser) choose(id, method string) *page {
	b.h.t.Helper()
	return b.follow(b.post("/sallyport/enroll/", url.Values{"l": {id}, "way": {method}}))
}

// Attack: whoever knows the password alone sends the first code to an address of his own,
// or takes a method that the realm does not offer. The target is the account's alone.
func TestFirstCodesGoWhereTheAccountSays(t *testing.T) {
	h, mail := sending(t)
	b, id := h.choosing("alice")
	for _, button := range []string{"Authenticator app", "Codes by e-mail", "Codes by SMS", "Codes by the pager", "YubiKey"} {
		b.page.says(t, button)
	}
	if p := b.get("/sallyport/enroll/code?l=" + id); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Location, "/sallyport/enroll/?") {
		t.Errorf("a first code before a choice: %d to %q", p.Status, p.Location)
	}
	b.post("/sallyport/enroll/code", url.Values{"l": {id}, "code": {"123456"}}).want(t, 409, "Nothing to confirm")
	for _, none := range []string{"", "passkey", "recovery_code", "any", "fax"} {
		b.post("/sallyport/enroll/", url.Values{"l": {id}, "way": {none}}).want(t, 400, "Not understood")
	}
	if mail.count() != 0 {
		t.Fatal("something was sent before anybody asked")
	}
	b.follow(b.post("/sallyport/enroll/", url.Values{"l": {id}, "way": {"email"}, "target": {"mallory@example.net"}, "email": {"mallory@example.net"}})).
		want(t, 200, "Set up codes by message").says(t, "A code went to a•••@example.com.")
	if m := mail.last(t); mail.count() != 1 || m.To != "alice@example.com" {
		t.Fatalf("%d messages, to %q", mail.count(), m.To)
	}
	first := mail.last(t).Code
	for range 2 { // a look sends nothing
		b.get("/sallyport/enroll/code?l="+id).want(t, 200, "Set up codes by message")
	}
	b.submit("/sallyport/enroll/").want(t, 200, "Set up codes by message")
	if mail.count() != 2 {
		t.Fatalf("%d messages after “send it again”", mail.count())
	}
	wrong := b.send("/sallyport/enroll/code", "code", "").want(t, 401, "Set up codes by message")
	for _, problem := range problems(t, wrong) {
		t.Error(problem)
	}
	if first != mail.last(t).Code {
		b.send("/sallyport/enroll/code", "code", first).want(t, 401, "Set up codes by message").says(t, "Type the newest one")
	}
	shown := b.send("/sallyport/enroll/code", "code", mail.last(t).Code).want(t, 200, "Your recovery codes")
	if len(shown.Codes) != 10 || shown.Links[len(shown.Links)-1] != "/app" {
		t.Errorf("%d codes, on to %q", len(shown.Codes), shown.Links)
	}
	h.browser().halfway("alice", "/sallyport/login").says(t, "A code was sent to a•••@example.com.")
}

// One may think again: what was begun last is what the code is for.
func TestTheChoiceMayChange(t *testing.T) {
	h, mail := sending(t)
	b, id := h.choosing("bob")
	e := b.choose(id, "totp").want(t, 200, "Set up your authenticator").scanned(t)
	b.get(b.page.link(t, "/sallyport/enroll/?")).want(t, 200, "Set up a second proof")
	if again := b.choose(id, "totp").scanned(t); !again.Seed.Equal(e.Seed) {
		t.Error("choosing the same again made another seed: the scanned one is worthless")
	}
	b.choose(id, "sms").says(t, "A code went to •••• 89.")
	if p := b.get("/sallyport/enroll/totp?l=" + id); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Location, "/sallyport/enroll/?") {
		t.Errorf("a link gave up what was begun: %d to %q", p.Status, p.Location)
	}
	img := b.request(http.MethodGet, "/sallyport/enroll/qr.png?l="+id+"&k=x", nil)
	img.Header.Set("Sec-Fetch-Dest", "image")
	img.Header.Set("Sec-Fetch-Mode", "no-cors")
	if p := b.do(img); p.Status != http.StatusConflict {
		t.Errorf("a picture of what has none: %d", p.Status)
	}
	b.post("/sallyport/enroll/totp", url.Values{"l": {id}, "code": {h.code(e)}}).want(t, 409, "Nothing to confirm")
	b.choose(id, "pager").says(t, "A code went to you by the pager.")
	if m := mail.last(t); m.Method != "pager" || m.User.Name != "bob" {
		t.Fatalf("%s to %s", m.Method, m.User.Name)
	}
	b.send("/sallyport/enroll/code", "code", mail.last(t).Code).want(t, 200, "Your recovery codes")
}

func TestAYubiKeyBetweenTheDoors(t *testing.T) {
	h, _ := sending(t)
	k := yubicotest.NewKey()
	must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.factors.RegisterYubiKey(tx, account.Local(), k.Public, k.Private, k.Secret)
		return err
	}))
	b, id := h.choosing("carol")
	p := b.choose(id, "yubikey").want(t, 200, "Set up your YubiKey")
	if strings.Contains(p.Body, "inputmode") || slices.ContainsFunc(p.Forms, func(f formOf) bool { return f.Action == "/sallyport/enroll/" }) {
		t.Error("the field is one for digits, or something could be sent")
	}
	b.send("/sallyport/enroll/code", "code", "123456").want(t, 401, "Set up your YubiKey").says(t, "Touch the key again.")
	b.send("/sallyport/enroll/code", "code", k.Press()).want(t, 200, "Your recovery codes")
	h.browser().halfway("carol", "/sallyport/login").says(t, "One-time password of your YubiKey")
}

// What cannot be sent is said where something else can be chosen.
func TestAFirstCodeThatCannotBeSent(t *testing.T) {
	h, mail := sending(t)
	b, id := h.choosing("dora")
	mail.cut(true)
	b.choose(id, "email").want(t, 400, "Not understood") // not offered any more
	b.get("/sallyport/enroll/?l="+id).want(t, 200, "Set up a second proof")
	if strings.Contains(b.page.Body, "Codes by") {
		t.Error("what cannot be sent is offered")
	}
	mail.cut(false)
	var p *page
	for range 6 {
		if p = b.choose(id, "sms"); p.Status != 200 {
			break
		}
	}
	if p.want(t, 429, "Set up codes by message"); !strings.HasPrefix(p.Notice, "Enough codes were sent") || p.Header.Get("Retry-After") == "" {
		t.Errorf("%q", p.Notice)
	}
	if p := b.choose(id, "email").want(t, 429, "Set up a second proof"); !strings.HasPrefix(p.Notice, "Enough codes were sent") {
		t.Errorf("%q", p.Notice)
	}
	b.get("/sallyport/enroll/code?l="+id).want(t, 200, "Set up codes by message")
	b.send("/sallyport/enroll/code", "code", mail.last(t).Code).want(t, 200, "Your recovery codes")
}

// Whose account says no address is told so, and chooses something else.
func TestAFirstCodeThatHasNowhereToGo(t *testing.T) {
	h, mail := sending(t)
	h.person("erin", "users", false)
	b := h.browser()
	b.get("/sallyport/login")
	b.submit("/sallyport/login", "username", "erin", "password", password).want(t, 200, "Set up a second proof")
	id := b.at.Query().Get("l")
	if p := b.choose(id, "email").want(t, 409, "Set up a second proof"); !strings.HasPrefix(p.Notice, "Your account has no address") || mail.count() != 0 {
		t.Errorf("%q, %d messages", p.Notice, mail.count())
	}
	e := b.choose(id, "totp").scanned(t)
	b.send("/sallyport/enroll/totp", "code", h.code(e)).want(t, 200, "Your recovery codes")
}

// One method that is offered needs no choice, but one that sends needs a press.
func TestOneMethodNeedsNoChoice(t *testing.T) {
	mail := &box{}
	h := build(t, plan{sender: mail, realms: map[string]account.Settings{"users": {Methods: []string{"email"}}}})
	b, id := h.choosing("finn")
	if mail.count() != 0 {
		t.Fatal("a redirect sent a code")
	}
	if p := b.get("/sallyport/enroll/totp?l=" + id); p.Status != http.StatusSeeOther {
		t.Errorf("what is not offered: %d %q", p.Status, p.Title)
	}
	p := b.choose(id, "email").want(t, 200, "Set up codes by message")
	if slices.ContainsFunc(p.Links, func(l string) bool { return strings.Contains(l, "/enroll/") }) {
		t.Error("there is nothing else to choose")
	}
	b.send("/sallyport/enroll/code", "code", mail.last(t).Code).want(t, 200, "Your recovery codes")
}
