package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
)

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// Where people may choose, and codes come by mail, from a real mail server with TLS and a
// login: the choice between the doors, the first code, the second door, and a form that
// was lost on the way to it.
func TestEveryPageOfSentCodesInChromium(t *testing.T) {
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
  users: {methods: [totp, email, yubikey]}
rules:
  - {hosts: ["*.example.com"], realms: [users, admin]}
`)
	code := func() string {
		t.Helper()
		for {
			m := mail.Next(t)
			if digits := sixDigits.FindString(m.Text); m.To == "erin@example.com" && digits != "" {
				return digits
			}
		}
	}
	password := goodPassword + " erin"
	status, answer := w.s.admin("POST", "/users", map[string]any{"realm": "users", "name": "erin", "password": password, "email": "erin@example.com"})
	if status != 201 {
		t.Fatalf("create erin: %d %v", status, answer)
	}

	w.open("data:text/html,<form method=post action='" + wiki + "/projects/garden'><button>x</button></form>")
	w.press("button")
	w.see("login-unsent", "Sign in")
	w.fill("username", "erin", "password", password)
	w.see("choose", "Set up a second proof")
	w.press("button[value=yubikey]")
	w.see("enroll-yubikey", "Set up your YubiKey")
	w.fill("code", "123456")
	w.see("enroll-yubikey-error", "Set up your YubiKey")
	w.follow("/sallyport/enroll/")
	w.press("button[value=totp]")
	w.see("enroll-chosen", "Set up your authenticator")
	w.follow("/sallyport/enroll/")
	w.press("button[value=email]")
	w.see("enroll-mail", "Set up codes by message")
	code()
	w.press(`form[action="/sallyport/enroll/"] button`)
	w.fill("code", "000000")
	w.see("enroll-mail-error", "Set up codes by message")
	w.fill("code", code())
	w.see("enroll-mail-codes", "Your recovery codes")
	w.open(portal + "/sallyport/logout")
	w.press(signOutField)

	w.open(wiki + "/projects/garden")
	w.fill("username", "erin", "password", password)
	w.see("code-mail", "Second step")
	code()
	w.fill("code", "000000")
	w.see("code-mail-error", "Second step")
	for range 4 {
		w.press(`form[action="/sallyport/login/challenge"] button`)
	}
	w.see("code-mail-wait", "Second step")
	w.open(wiki + "/projects/garden") // enough was sent: the first door sends nothing
	w.fill("username", "erin", "password", password)
	w.see("code-mail-none", "Second step")
	w.end(12)
}
