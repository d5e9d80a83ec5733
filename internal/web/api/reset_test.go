package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
)

// forgot asks for a link and returns its token.
func (w *world) forgot(address string) string {
	w.Helper()
	w.stranger().send("POST", "/password-reset", map[string]any{"email": address}).want(202)
	return w.mail.Last(mailtest.Reset).Token
}

const otherWords = "amber viaduct whistles softly"

// A forgotten password over HTTP: one answer for all, then the new password with a code,
// then a login like any other.
func TestPasswordReset(t *testing.T) {
	w := newWorld(t, worldOptions{})
	alice := w.member("alice@users")
	old := alice.visit()
	token := w.forgot("alice@example.com")
	body := map[string]any{"token": token, "new_password": otherWords}
	w.stranger().send("POST", "/password-reset/confirm", body).want(403, "code_needed")
	body["code"], body["new_password"] = alice.wrong(), "alice"
	w.stranger().send("POST", "/password-reset/confirm", body).want(422, "weak_password")
	body["new_password"] = otherWords
	w.stranger().send("POST", "/password-reset/confirm", body).want(401, "denied")
	body["recovery_code"] = alice.codes[0]
	w.stranger().send("POST", "/password-reset/confirm", body).want(422, "invalid")
	delete(body, "code")
	a := w.stranger().send("POST", "/password-reset/confirm", body).want(204)
	if len(a.cookies()) != 0 || a.body != "" {
		t.Errorf("a reset opened something: %v %v", a.cookies(), a)
	}
	old.send("GET", "/me", nil).want(401)
	w.stranger().send("POST", "/password-reset/confirm", body).want(401, "denied")
	w.stranger().send("POST", "/login", map[string]any{"name": "alice", "password": goodWords}).want(401, "denied")
	alice.password = otherWords
	alice.visit().send("GET", "/me", nil).want(200)
	if w.mail.Count("reset_used") != 1 {
		t.Error("nobody was told")
	}
}

// Attack (E2): a stranger asks for resets and registrations in many names. One status,
// one body, one set of headers; as many records.
func TestE2MailedLinksTellNobodyWhoIsHere(t *testing.T) {
	w := newWorld(t, worldOptions{realms: map[string]account.Settings{"users": {Registration: &account.Registration{}}}})
	alice, off := w.member("alice@users"), w.member("off@users")
	w.admin().send("PATCH", w.path(off), map[string]any{"disabled": true}).want(200)
	w.admin().send("POST", "/users", map[string]any{"realm": "users", "name": "silent"}).want(201)
	for _, path := range []string{"/password-reset", "/register"} {
		var want string
		for n, address := range []string{"alice@example.com", "off@example.com", "nobody@example.com", "ALICE@example.com", "else@example.org"} {
			v := w.stranger()
			v.from = fmt.Sprintf("198.51.100.%d:1234", n)
			puts := w.written()
			a := v.send("POST", path, map[string]any{"email": address})
			got := fmt.Sprint(a.status, a.body, a.header, w.written()-puts)
			if want == "" {
				want = got
			}
			if a.status != 202 || a.body != "" || got != want {
				t.Errorf("%s for %s: %s, and for the first one %s", path, address, got, want)
			}
		}
	}
	for _, name := range []string{alice.name, "nobody", "silent", "off"} {
		w.stranger().send("POST", "/password-reset", map[string]any{"name": name}).want(202)
	}
}

// Attack (X6, CVE-2025-64101): a stranger asks for the link of somebody else with a Host
// and forwarding headers of his own, to have the link lead there. What goes to the mail
// has no host at all: only tokens, for a portal that the configuration names.
func TestX6MailedLinksKnowNoHost(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.member("alice@users")
	v := w.stranger().saying("X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example", "X-Forwarded-Proto", "http")
	v.host = "evil.example"
	v.send("POST", "/password-reset", map[string]any{"email": "alice@example.com"}).want(202)
	if text := fmt.Sprintf("%+v", w.mail.Last(mailtest.Reset)); strings.Contains(text, "evil") {
		t.Errorf("the mail knows what the client wrote: %s", text)
	}
}

// Attack (S4): a page of another site posts to these calls with the visitor's browser.
func TestS4ForeignPagesCannotUseLinks(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for _, path := range []string{"/password-reset", "/password-reset/confirm", "/register", "/register/confirm", "/not-me"} {
		w.stranger().saying("Origin", "https://evil.example").send("POST", path, map[string]any{}).want(403, "foreign_origin")
		w.stranger().saying("Sec-Fetch-Site", "cross-site").send("POST", path, map[string]any{}).want(403, "foreign_origin")
		w.stranger().send("GET", path+"?token=spi_x", nil).want(405, "method_not_allowed")
		w.admin().send("POST", path, map[string]any{}).want(404, "not_found")
	}
}

// Whose network asks too often hears so, with the time to wait, whomever it names.
func TestMailedLinksPerNetwork(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.member("alice@users")
	for n := range 20 {
		w.stranger().send("POST", "/password-reset", map[string]any{"name": fmt.Sprint("n", n)}).want(202)
	}
	for _, name := range []string{"alice", "nobody"} {
		a := w.stranger().send("POST", "/password-reset", map[string]any{"name": name}).want(429, "throttled")
		if a.header.Get("Retry-After") != "900" || !strings.Contains(a.text("detail"), "messages") {
			t.Errorf("%s: %v %v", name, a, a.header)
		}
	}
}

// Without a portal there is no link, and that is said to everybody.
func TestNoMailNoLinks(t *testing.T) {
	w := newWorld(t, worldOptions{noPortal: true})
	w.member("alice@users")
	w.stranger().send("POST", "/password-reset", map[string]any{"email": "alice@example.com"}).want(409, "no_mail")
	w.stranger().send("POST", "/register", map[string]any{"email": "alice@example.com"}).want(409, "no_mail")
	w.admin().send("POST", "/users/users/alice/invite", map[string]any{"send": true}).want(409, "no_mail")
}

// An invitation by mail answers where it went, and not the link, for the same request
// again too.
func TestInviteByMail(t *testing.T) {
	w := newWorld(t, worldOptions{})
	bob := w.someone("bob@users")
	v := w.admin().saying("Idempotency-Key", "one")
	a := v.send("POST", w.path(bob)+"/invite", map[string]any{"send": true}).want(200)
	if keys(a) != "expires_in sent_to" || a.text("sent_to") != "bob@example.com" {
		t.Errorf("answer %v", a)
	}
	v.send("POST", w.path(bob)+"/invite", map[string]any{"send": true}).want(200)
	if w.mail.Count(mailtest.Invitation) != 1 {
		t.Errorf("%d letters for one request", w.mail.Count(mailtest.Invitation))
	}
	token := w.mail.Last(mailtest.Invitation).Token
	if strings.Contains(w.said.String()+w.log.String(), token) {
		t.Error("the link is in an answer or in the log")
	}
	a = w.admin().send("POST", w.path(bob)+"/invite", map[string]any{"send": false}).want(200)
	if keys(a) != "expires_in invite_url" {
		t.Errorf("answer %v", a)
	}
	w.admin().send("POST", "/users", map[string]any{"realm": "users", "name": "silent"}).want(201)
	w.admin().send("POST", "/users/users/silent/invite", map[string]any{"send": true}).want(409, "no_address")
	bob.visitRefused(t)
}

// visitRefused: a person without capabilities invites nobody.
func (p *person) visitRefused(t *testing.T) {
	t.Helper()
	alone := p.w.someone("olga@single")
	alone.visit().send("POST", p.w.path(p)+"/invite", map[string]any{"send": true}).want(403, "forbidden")
}

// Somebody registers, and is a user like any other; the realm says who may.
func TestRegister(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("alice@users")
	w.stranger().send("POST", "/register", map[string]any{"email": "new@example.com"}).want(403, "registration_closed")
	w.admin().send("PUT", "/realms/users", map[string]any{"registration": map[string]any{"domains": []string{"example.com"}}}).want(200)
	a := w.admin().send("GET", "/realms/users", nil).want(200)
	if text := fmt.Sprint(a.fields["registration"]); text != "map[domains:[example.com]]" {
		t.Errorf("the realm: %s", text)
	}
	w.stranger().send("POST", "/register", map[string]any{"email": "new@example.org"}).want(422, "domain_not_allowed")
	w.stranger().send("POST", "/register", map[string]any{"email": "nonsense"}).want(422, "invalid")
	w.stranger().send("POST", "/register", map[string]any{"email": "new@example.com", "realm": "single"}).want(403, "registration_closed")
	w.stranger().send("POST", "/register", map[string]any{"email": "New@example.com", "realm": "users"}).want(202)
	body := map[string]any{"token": w.mail.Last(mailtest.Registration).Token, "name": "alice", "password": otherWords, "full_name": "New Ton"}
	w.stranger().send("POST", "/register/confirm", body).want(409, "exists")
	body["name"], body["password"] = "newton", "newton"
	w.stranger().send("POST", "/register/confirm", body).want(422, "weak_password")
	body["password"] = otherWords
	a = w.stranger().send("POST", "/register/confirm", body).want(http.StatusCreated)
	if keys(a) != "email name realm" || a.text("name") != "newton" || a.text("email") != "new@example.com" {
		t.Errorf("answer %v", a)
	}
	w.stranger().send("POST", "/register/confirm", body).want(401, "denied")
	if a := w.stranger().send("POST", "/login", map[string]any{"email": "new@example.com", "password": otherWords}).want(200); a.text("status") != "enroll" {
		t.Errorf("the first login: %v", a)
	}
	w.admin().send("PUT", "/realms/users", map[string]any{}).want(200)
	w.stranger().send("POST", "/register", map[string]any{"email": "next@example.com"}).want(403, "registration_closed")
	grants := []any{map[string]any{"capability": "list"}}
	w.admin().send("PUT", "/realms/both", map[string]any{"capabilities": grants, "registration": map[string]any{"domains": []string{}}}).want(422, "invalid")
	w.admin().send("PUT", "/realms/any", map[string]any{"registration": map[string]any{"domains": []string{}}}).want(200)
	w.stranger().send("POST", "/register", map[string]any{"email": "x@anything.example", "realm": "any"}).want(202)
}

// "This was not me", by a program: the thief's session ends, once.
func TestNotMe(t *testing.T) {
	w := newWorld(t, worldOptions{})
	alice := w.member("alice@users")
	thief := alice.visit()
	token := w.mail.Last("signed_in").Token
	thief.send("GET", "/me", nil).want(200)
	w.stranger().send("POST", "/not-me", map[string]any{"token": token + "x"}).want(401, "denied")
	w.stranger().send("POST", "/not-me", map[string]any{"token": token}).want(204)
	thief.send("GET", "/me", nil).want(401)
	w.stranger().send("POST", "/not-me", map[string]any{"token": token}).want(401, "denied")
	alice.visit().send("GET", "/me", nil).want(200)
}
