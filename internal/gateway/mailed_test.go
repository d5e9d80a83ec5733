package gateway_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
)

// linkIn finds the link of a mail, which must lead to a page of the portal, and returns
// its token.
func linkIn(t *testing.T, m notifytest.Mail, page string) string {
	t.Helper()
	if strings.Contains(m.Raw, "evil") || strings.Contains(m.Raw, "javascript:") {
		t.Errorf("the mail repeats what the client wrote:\n%s", m.Raw)
	}
	links := regexp.MustCompile(`https?://\S+token=\S*`).FindAllString(m.Text, -1)
	if len(links) != 1 {
		t.Fatalf("links %v in a mail to %s:\n%s", links, m.To, m.Text)
	}
	token, found := strings.CutPrefix(links[0], "https://"+portalHost+page+"?token=")
	if !found || !strings.HasPrefix(token, "spi_") {
		t.Errorf("the link leads to %s", links[0])
	}
	if !strings.Contains(m.HTML, links[0]) {
		t.Errorf("the HTML part leads elsewhere:\n%s", m.HTML)
	}
	return token
}

// Attack (X6, CVE-2025-64101, CVE-2025-64102): a stranger asks for somebody's new
// password, invitation or account while Host's siblings name his own server, and the
// link in the mailbox leads there with its token. Here the whole way is gone, from the
// request to the mail server and back: a reset, the notice of it, "this was not me", an
// invitation and a registration.
func TestX6LinksInTheMailboxLeadToThePortal(t *testing.T) {
	server := notifytest.SMTP(t)
	cfg := centralConfig()
	cfg.Mail = server.URL("", "") + sender
	cfg.Realms = map[string]gateway.Realm{"users": {Registration: []string{"example.com"}}}
	w := open(t, cfg)
	alice := w.bare("alice", "users", map[string]any{"email": "alice@corp.example"})
	alice.provision()
	if m := server.Next(t); m.To != "alice@corp.example" { // an administrator gave her a factor
		t.Errorf("the notice went to %s", m.To)
	}
	b := w.browser("https://" + portalHost)
	old := http.Header{"Authorization": {"Bearer " + b.tokens(alice)["access_token"].(string)}}
	linkIn(t, server.Next(t), "/sallyport/not-me")

	wantStatus(t, b.api("POST", "/password-reset", map[string]any{"email": "nobody@corp.example"}, hostileForwarding), 202)
	wantStatus(t, b.api("POST", "/password-reset", map[string]any{"email": "alice@corp.example"}, hostileForwarding), 202)
	token := linkIn(t, server.Next(t), "/sallyport/reset/confirm")
	const other = "amber viaduct whistles softly"
	body := map[string]any{"token": token, "new_password": other}
	wantStatus(t, b.api("POST", "/password-reset/confirm", body, hostileForwarding), 403)
	body["code"] = alice.code()
	wantStatus(t, b.api("POST", "/password-reset/confirm", body, hostileForwarding), 204)
	linkIn(t, server.Next(t), "/sallyport/not-me")
	wantStatus(t, w.browser("https://"+portalHost).api("GET", "/me", nil, old), 401)
	alice.password = other

	thief := w.browser("https://" + portalHost)
	thief.login(alice)
	token = linkIn(t, server.Next(t), "/sallyport/not-me")
	wantStatus(t, thief.get("/sallyport/account/"), 200)
	wantStatus(t, b.api("POST", "/not-me", map[string]any{"token": token}, hostileForwarding), 204)
	if a := thief.get("/sallyport/account/"); a.status == 200 {
		t.Error("the thief is still in")
	}

	w.bare("bob", "users", map[string]any{"email": "bob@corp.example"})
	w.must("POST", "/users/users/bob/invite", map[string]any{"send": true})
	token = linkIn(t, server.Next(t), "/sallyport/invite")
	if a := b.get("/sallyport/invite?" + url.Values{"token": {token}}.Encode()); a.status != http.StatusSeeOther || strings.Contains(a.header.Get("Location"), "spi_") {
		t.Errorf("the invitation: %d to %s", a.status, a.header.Get("Location"))
	}

	wantStatus(t, b.api("POST", "/register", map[string]any{"email": "new@example.com"}, hostileForwarding), 202)
	token = linkIn(t, server.Next(t), "/sallyport/register/confirm")
	a := b.api("POST", "/register/confirm", map[string]any{"token": token, "name": "newton", "password": goodPassword}, hostileForwarding)
	wantStatus(t, a, 201)
	wantStatus(t, b.api("POST", "/register", map[string]any{"email": "new@example.com"}, hostileForwarding), 202)
	if m := server.Next(t); m.To != "new@example.com" || strings.Contains(m.Text, "token=") || strings.Contains(m.Raw, "evil") {
		t.Errorf("to whom has an account: %+v", m)
	}
	server.None(t)
}

// Attack (E2): one mailbox has an account and another has not. What the outbox writes
// for the one, other records weigh for the other.
func TestE2MailedLinksWeighTheSame(t *testing.T) {
	server := notifytest.SMTP(t)
	cfg := centralConfig()
	cfg.Mail = server.URL("", "") + sender
	w := open(t, cfg)
	w.bare("alice", "users", map[string]any{"email": "alice@corp.example"})
	b := w.browser("https://" + portalHost)
	var want string
	for _, address := range []string{"nobody@corp.example", "alice@corp.example", "else@corp.example"} {
		a := b.api("POST", "/password-reset", map[string]any{"email": address})
		header := a.header.Clone()
		header.Del("Date")
		if got := fmt.Sprint(a.status, a.body, header); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%s: %s, and for nobody %s", address, got, want)
		}
	}
	if m := server.Next(t); m.To != "alice@corp.example" {
		t.Errorf("a link went to %s", m.To)
	}
	server.None(t)
}
