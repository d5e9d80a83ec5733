package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// address gives somebody an address that an administrator vouches for.
func (h *house) address(id principal.ID, email string) {
	h.t.Helper()
	must(h.t, h.store.Update(h.t.Context(), func(tx store.Tx) error {
		_, err := h.directory.Update(tx, account.Local(), id, account.Change{Email: &email})
		return err
	}))
}

// mailed opens the links of three mails.
func (h *house) openLinks(all map[string]*browser) {
	t := h.t
	id, _ := h.person("forgetful", "users", false)
	h.address(id, "forgetful@example.com") // which is told, with a link
	must(t, h.doors.RequestReset(t.Context(), "forgetful@example.com", "", login.Client{}))
	must(t, h.doors.Register(t.Context(), "open", "fresh@example.com", login.Client{}))
	for who, link := range map[string]struct{ path, kind, heading string }{
		"resetting":   {login.ResetPath, "reset", "Your new password"},
		"registering": {login.RegisterPath, "registration", "Create an account"},
		"objecting":   {login.NotMePath, "address_changed", "This was not me"},
	} {
		b := all[who]
		b.follow(b.get(link.path+"?token="+h.mail.Last(link.kind).Token)).want(t, 200, link.heading)
	}
}

func TestForgottenPassword(t *testing.T) {
	h := build(t, plan{domain: true})
	id, totp := h.person("alice", "users", true)
	h.address(id, "alice@example.com")
	b := h.browser()
	if p := b.get("/sallyport/login"); !strings.Contains(p.Body, "/sallyport/reset") {
		t.Error("the first door does not say what to do about a forgotten password")
	}
	// Known and unknown: the same page, to the byte.
	var answers []string
	for _, name := range []string{"alice@example.com", "nobody@example.com"} {
		b.get("/sallyport/reset")
		p := b.send("/sallyport/reset", "username", name)
		answers = append(answers, p.Body)
		if p.Status != http.StatusOK || p.Title != "Look into your mailbox" {
			t.Errorf("%s: %d %q", name, p.Status, p.Title)
		}
	}
	if answers[0] != answers[1] {
		t.Error("the page tells who has an account")
	}
	token := h.mail.Last("reset").Token

	// A mail scanner opens the link, and burns nothing.
	scanner := h.browser()
	for range 3 {
		scanner.do(scanner.request(http.MethodHead, "/sallyport/reset/confirm?token="+token, nil))
		p := scanner.get("/sallyport/reset/confirm?token=" + token)
		if p.Status != http.StatusSeeOther || strings.Contains(p.Location, token) || strings.Contains(p.Body, token) {
			t.Fatalf("%d to %s", p.Status, p.Location)
		}
	}
	p := b.follow(b.get("/sallyport/reset/confirm?token=" + token))
	p.want(t, 200, "Your new password")
	if strings.Contains(p.Body, token) || p.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("the page holds the token, or Referrer-Policy is %q", p.Header.Get("Referrer-Policy"))
	}
	const fresh = "amber viaduct whistles softly"
	if p := b.send("/sallyport/reset/confirm", "new_password", fresh, "again", fresh); p.Status != http.StatusUnauthorized {
		t.Errorf("without the second factor: %d %q", p.Status, p.Title)
	}
	if p := b.send("/sallyport/reset/confirm", "new_password", fresh, "again", fresh, "code", "000000"); p.Status != http.StatusUnauthorized || p.Alert == "" {
		t.Errorf("a wrong code: %d %q", p.Status, p.Title)
	}
	if p := b.send("/sallyport/reset/confirm", "new_password", "short", "again", "short", "code", h.code(totp)); p.Status != http.StatusUnprocessableEntity {
		t.Errorf("a weak password: %d", p.Status)
	}
	b.submit("/sallyport/reset/confirm", "new_password", fresh, "again", fresh, "code", h.code(totp)).want(t, 200, "Second step")
	if p := scanner.follow(scanner.get("/sallyport/reset/confirm?token=" + token)); p.Title != "This link has ended" {
		t.Errorf("the link lives on: %d %q", p.Status, p.Title)
	}
	other := h.browser()
	other.get("/sallyport/login")
	if p := other.send("/sallyport/login", "username", "alice", "password", password); p.Status != http.StatusUnauthorized {
		t.Errorf("the old password: %d", p.Status)
	}
	other.submit("/sallyport/login", "username", "alice", "password", fresh).want(t, 200, "Second step")
}

// A link of one kind, at the page of another, is nothing; so is the cookie of one at the
// form of another.
func TestLinksAreOfOneKind(t *testing.T) {
	h := build(t, plan{})
	all := callers(h)
	tokens := map[string]string{
		login.ResetPath: h.mail.Last("reset").Token, login.RegisterPath: h.mail.Last("registration").Token,
		login.NotMePath: h.mail.Last("address_changed").Token,
	}
	for page := range tokens {
		for kind, token := range tokens {
			b := h.browser()
			p := b.get(page + "?token=" + token)
			if good := p.Status == http.StatusSeeOther; good != (page == kind) {
				t.Errorf("the token of %s at %s: %d", kind, page, p.Status)
			}
		}
	}
	for page, by := range map[string]string{login.ResetPath: "registering", login.RegisterPath: "objecting", login.NotMePath: "resetting"} {
		l := all[by].at.Query().Get("l")
		p := all[by].post(page, url.Values{"l": {l}, "username": {"x"}, "new_password": {"amber viaduct whistles"}, "again": {"amber viaduct whistles"}})
		if p.Status != http.StatusUnauthorized {
			t.Errorf("%s at %s: %d %q", by, page, p.Status, p.Title)
		}
	}
}

func TestRegistration(t *testing.T) {
	h := build(t, plan{domain: true, realms: map[string]account.Settings{"open": {Registration: &account.Registration{}}}})
	h.person("taken", "open", false)
	b := h.browser()
	if p := b.get("/sallyport/register"); p.Status != http.StatusNotFound {
		t.Errorf("a realm that is closed: %d", p.Status)
	}
	if p := b.get("/sallyport/register?realm=admin"); p.Status != http.StatusNotFound {
		t.Errorf("realm admin: %d", p.Status)
	}
	b.get("/sallyport/register?realm=open").want(t, 200, "Create an account")
	if p := b.send("/sallyport/register", "username", "nonsense"); p.Status != http.StatusUnprocessableEntity {
		t.Errorf("no address: %d", p.Status)
	}
	b.send("/sallyport/register", "username", "new@example.com").want(t, 200, "Look into your mailbox")
	b.follow(b.get(login.RegisterPath+"?token="+h.mail.Last("registration").Token)).want(t, 200, "Create an account")
	if !strings.Contains(b.page.Body, "new@example.com") {
		t.Error("the page does not say for which address")
	}
	if p := b.send("/sallyport/register/confirm", "username", "taken", "new_password", password, "again", password); p.Status != http.StatusUnprocessableEntity || p.Alert == "" {
		t.Errorf("a name that is taken: %d %q", p.Status, p.Alert)
	}
	b.submit("/sallyport/register/confirm", "username", "newton", "full_name", "N. Ewton", "new_password", password, "again", password).want(t, 200, "Set up your authenticator")
}

func TestNotMe(t *testing.T) {
	h := build(t, plan{domain: true})
	id, totp := h.person("alice", "users", true)
	h.address(id, "alice@example.com")
	thief := h.browser()
	thief.signIn("alice", totp, "").leads(t, "/sallyport/")
	token := h.mail.Last("signed_in").Token
	b := h.browser()
	b.follow(b.get(login.NotMePath+"?token="+token)).want(t, 200, "This was not me")
	thief.get("/sallyport/account/").want(t, 200, "Your account") // opening the page ended nothing
	b.send("/sallyport/not-me").want(t, 200, "Everything was ended")
	if !strings.Contains(b.page.Body, `href="/sallyport/reset?realm=users"`) {
		t.Error("the way on leads to the same name in another realm")
	}
	if p := thief.get("/sallyport/account/"); p.Status == http.StatusOK {
		t.Error("the thief is still in")
	}
	if p := b.follow(b.get(login.NotMePath + "?token=" + token)); p.Title != "This link has ended" {
		t.Errorf("the link lives on: %d %q", p.Status, p.Title)
	}
}
