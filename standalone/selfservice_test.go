package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
)

var mailedLink = regexp.MustCompile(`http://\S+\?token=\S+`)

// What people do without an administrator, in a browser and by mail that arrives at a
// real server with TLS and a login: a forgotten password, an invitation, an account of
// one's own, a lost phone, and a notice that was of somebody else.
func TestEveryPageOfSelfServiceInChromium(t *testing.T) {
	ca := notifytest.NewCA(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots)
	mail := notifytest.SMTP(t, notifytest.WithCertificate(ca.Issue(t, "localhost", "127.0.0.1")), notifytest.WithLogin("gate", "otter-paints-37", "PLAIN"))
	w := newWalk(t, `
portal: `+portal+`
cookie_domain: example.com
upstream: http://127.0.0.1:`+freePort(t)+`
mail: `+mail.URL("gate", "otter-paints-37")+` Sallyport <no-reply@example.com>
realms:
  users: {registration: [example.com]}
rules:
  - {hosts: ["*.example.com"], realms: [users, admin]}
`)
	link := func(to, page string) string {
		t.Helper()
		for {
			m := mail.Next(t)
			if l := mailedLink.FindString(m.Text); m.To == to && strings.HasPrefix(l, portal+page+"?") {
				return l
			}
		}
	}
	signOut := func() {
		w.open(portal + "/sallyport/logout")
		w.press(signOutField)
	}

	// A forgotten password: mail, the second factor, a new one.
	alice := w.alice()
	w.open(portal + "/sallyport/login")
	w.see("login-offers", "Sign in")
	w.follow("/sallyport/reset")
	w.see("reset-ask", "Set a new password")
	w.fill("username", "alice@example.com")
	w.see("reset-sent", "Look into your mailbox")
	w.open(link("alice@example.com", "/sallyport/reset/confirm"))
	w.see("reset", "Your new password")
	w.follow("/sallyport/reset/confirm")
	w.see("reset-recovery", "Your new password")
	w.follow("/sallyport/reset/confirm")
	const other = "amber viaduct whistles softly"
	w.fill("new_password", other, "again", other, "code", "000000")
	w.see("reset-error", "Your new password")
	w.fill("new_password", other, "again", other, "code", alice.code(t, 0))
	w.see("reset-done", "Second step")
	w.fill("code", alice.code(t, 1))
	w.shows("You are signed in")

	// This was not me: everything ends.
	w.open(link("alice@example.com", "/sallyport/not-me"))
	w.see("not-me", "This was not me")
	w.press(`form[action="/sallyport/not-me"] button`)
	w.see("not-me-done", "Everything was ended")
	w.open(portal + "/sallyport/account/")
	w.shows("Sign in")

	// A lost phone: a recovery code, a new authenticator, and the old one is dead.
	w.fill("username", "alice", "password", other)
	w.follow("/sallyport/login/recovery")
	w.fill("recovery_code", alice.recovery[0])
	w.shows("Your account")
	w.open(portal + "/sallyport/account/totp")
	w.fill("code", alice.recovery[1])
	old := alice
	alice.secret = w.secret()
	w.fill("code", alice.code(t, 0))
	w.shows("Your account")
	signOut()
	w.open(portal + "/sallyport/login")
	w.fill("username", "alice", "password", other)
	w.fill("code", old.code(t, 1))
	w.shows("Second step")
	w.fill("code", alice.code(t, 1))
	w.shows("You are signed in")
	signOut()

	// An invited colleague: the mailed link, a password, an authenticator, in.
	status, answer := w.s.admin("POST", "/users", map[string]any{"realm": "users", "name": "bob", "email": "bob@example.com"})
	if status != 201 {
		t.Fatalf("create bob: %d %v", status, answer)
	}
	if status, answer = w.s.admin("POST", "/users/users/bob/invite", map[string]any{"send": true}); status != 200 || answer["invite_url"] != nil {
		t.Fatalf("invite bob: %d %v", status, answer)
	}
	w.open(link("bob@example.com", "/sallyport/invite"))
	w.fill("new_password", goodPassword, "again", goodPassword)
	bob := person{name: "bob", secret: w.secret()}
	w.fill("code", bob.code(t, 0))
	w.shows("Your recovery codes")
	signOut()

	// An account of one's own.
	w.open(portal + "/sallyport/login")
	w.follow("/sallyport/register")
	w.see("register-ask", "Create an account")
	w.fill("username", "carol@elsewhere.example")
	w.see("register-ask-error", "Create an account")
	w.fill("username", "carol@example.com")
	w.shows("Look into your mailbox")
	w.open(link("carol@example.com", "/sallyport/register/confirm"))
	w.see("register", "Create an account")
	w.fill("username", "alice", "full_name", "Carol Example", "new_password", goodPassword, "again", goodPassword)
	w.see("register-error", "Create an account")
	w.fill("username", "carol", "full_name", "Carol Example", "new_password", goodPassword, "again", goodPassword)
	w.shows("Set up your authenticator")
	w.end(13)
}
