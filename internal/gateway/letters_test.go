package gateway_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
)

// mailed is a gateway with a portal that mails by a real server with TLS and a login.
func mailed(t *testing.T, options ...notifytest.Option) (*world, *notifytest.Server) {
	t.Helper()
	server := notifytest.SMTP(t, append([]notifytest.Option{notifytest.WithLogin("sally", "p@ss word", "PLAIN")}, options...)...)
	cfg := centralConfig()
	cfg.Mail = server.URL("sally", "p@ss word") + sender
	cfg.Realms = map[string]gateway.Realm{"users": {Methods: []string{"totp", "email"}}}
	return open(t, cfg), server
}

var (
	sixDigits = regexp.MustCompile(`(?m)^\d{6}$`)
)

func codeIn(t *testing.T, m notifytest.Mail) string {
	t.Helper()
	code := sixDigits.FindString(m.Text)
	if code == "" || !strings.Contains(m.HTML, code) {
		t.Fatalf("no code in %q:\n%s", m.Subject, m.Text)
	}
	return code
}

// about reads mail until one is about something; others are notices on the way.
func about(t *testing.T, server *notifytest.Server, subject string) notifytest.Mail {
	t.Helper()
	for range 10 {
		if m := server.Next(t); strings.Contains(m.Subject, subject) {
			return m
		}
	}
	t.Fatalf("no mail about %q", subject)
	return notifytest.Mail{}
}

// A code by mail from the set-up to the second door, by a real server.
func TestCodesByMailArrive(t *testing.T) {
	w, server := mailed(t)
	alice := w.bare("alice", "users", map[string]any{"email": "alice@corp.example"})
	b := w.browser("https://" + portalHost)
	first := b.api("POST", "/login", map[string]any{"name": "alice", "password": goodPassword}).fields(t)
	token := first["ephemeral_token"]
	a := b.api("POST", "/me/methods/email/activate", map[string]any{"ephemeral_token": token})
	wantStatus(t, a, 200)
	m := about(t, server, "Confirm")
	if m.To != "alice@corp.example" || m.From != "no-reply@example.com" {
		t.Errorf("from %s to %s", m.From, m.To)
	}
	wantStatus(t, b.api("POST", "/me/methods/email/confirm", map[string]any{"ephemeral_token": token, "code": codeIn(t, m)}), 200)
	if n := about(t, server, "factor"); !strings.Contains(n.Text, "e-mail") {
		t.Errorf("the notice of a new factor:\n%s", n.Text)
	}

	second := b.api("POST", "/login", map[string]any{"name": "alice", "password": goodPassword}).fields(t)
	if second["sent_to"] != "a•••@corp.example" {
		t.Fatalf("%v", second)
	}
	code := codeIn(t, about(t, server, "Your code"))
	wantStatus(t, b.api("POST", "/login/code", map[string]any{"ephemeral_token": second["ephemeral_token"], "code": code}), 200)
	_ = alice
}

// The mail server is down for ten minutes, and the gateway ends in between. Logins never
// wait, what can still be used arrives once, and what cannot never does.
func TestAnOutageOfTheMailServerDelaysNobody(t *testing.T) {
	w, server := mailed(t)
	w.bare("alice", "users", map[string]any{"email": "alice@corp.example"})
	b := w.browser("https://" + portalHost)
	first := b.api("POST", "/login", map[string]any{"name": "alice", "password": goodPassword}).fields(t)
	wantStatus(t, b.api("POST", "/me/methods/email/activate", map[string]any{"ephemeral_token": first["ephemeral_token"]}), 200)
	wantStatus(t, b.api("POST", "/me/methods/email/confirm", map[string]any{"ephemeral_token": first["ephemeral_token"], "code": codeIn(t, about(t, server, "Confirm"))}), 200)
	about(t, server, "factor")
	accepted := server.Accepted()
	server.Down()

	began := time.Now()
	early := b.api("POST", "/login", map[string]any{"name": "alice", "password": goodPassword})
	wantStatus(t, early, 200)
	wantStatus(t, b.api("POST", "/password-reset", map[string]any{"email": "alice@corp.example"}), http.StatusAccepted)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("two calls took %v while mail is down", took)
	}
	w.pass(11 * time.Minute) // the code of the login is of no use any more, the link for a new password is
	w.restart()
	server.Up()
	var subjects []string
	for range 2 {
		w.pass(30 * time.Second)
		m := server.Next(t)
		subjects = append(subjects, m.Subject)
		if strings.Contains(m.Text, "/sallyport/reset/confirm?token=") {
			break
		}
		if sixDigits.MatchString(m.Text) {
			t.Errorf("a code came that nobody can use: %q", m.Subject)
		}
	}
	server.None(t)
	if n := server.Accepted() - accepted; n < 1 || n > 2 {
		t.Errorf("%d messages arrived: %q", n, subjects)
	}
}
