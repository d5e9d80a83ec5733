package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// Two cookie domains with a portal each: a challenge leads to the portal of the
// host's own domain, with the way back, and a login there opens that domain.
func TestEachCookieDomainHasItsOwnPortal(t *testing.T) {
	w := open(t, gateway.Config{
		CookieDomain:   gateway.CookieDomains{{Domain: "example.com", Portal: "https://auth.example.com"}, {Domain: "example.org", Portal: "https://login.example.org"}},
		TrustedProxies: []string{"127.0.0.1"}, Rules: []guard.Rule{{Hosts: []string{"*.example.com", "*.example.org"}, Realms: []string{"users"}}},
	})
	alice := w.user("alice", "users")
	for portal, host := range map[string]string{"https://auth.example.com": "app.example.com", "https://login.example.org": "app.example.org"} {
		app := w.browser("https://" + host)
		a := app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", http.Header{"Accept": {"text/html"}})
		wantStatus(t, a, http.StatusFound)
		location, err := url.Parse(a.header.Get("Location"))
		if err != nil || location.Scheme+"://"+location.Host != portal {
			t.Errorf("%s is sent to %s", host, a.header.Get("Location"))
			continue
		}
		b := w.browser(portal)
		half := b.firstDoor(alice, url.Values{"rd": {location.Query().Get("rd")}, "rs": {location.Query().Get("rs")}}).header.Get("Location")
		done := b.post(half, url.Values{"code": {alice.code()}})
		if got := done.header.Get("Location"); got != "https://"+host+"/x" {
			t.Errorf("the login for %s ends at %s", host, got)
		}
		domain := strings.TrimPrefix(host, "app.")
		for _, line := range done.header["Set-Cookie"] {
			if strings.HasPrefix(line, "__Secure-") && !strings.Contains(line, "Max-Age=0") && !strings.Contains(line, "Domain="+domain) {
				t.Errorf("%s", line)
			}
		}
		wantStatus(t, b.at(host).authz("/x"), 200)
	}
}

// A portal written with capitals, a port or a last slash is the same one as the
// browser's: else every call of its own pages is foreign.
func TestThePortalMayBeWrittenInOtherWays(t *testing.T) {
	for _, written := range []string{"https://auth.example.com", "https://auth.example.com/", "https://AUTH.Example.com", "https://auth.example.com:443", "HTTPS://auth.example.com"} {
		w := open(t, gateway.Config{Portal: written, TrustedProxies: []string{"127.0.0.1"}, Rules: []guard.Rule{{Realms: []string{"users"}}}})
		alice := w.user("alice", "users")
		b := w.browser("https://auth.example.com")
		b.login(alice)
		if a := b.api("GET", "/me", nil); a.status != 200 {
			t.Errorf("%s: %d %s", written, a.status, a.body)
		}
		if a := b.get("/sallyport/account/"); a.status != 200 {
			t.Errorf("%s: the account: %d", written, a.status)
		}
	}
}

// A setup link lives until the gateway restarts, and no longer than an hour;
// a new one kills the older.
func TestASetupLinkEndsWithTheProcessAndTheHour(t *testing.T) {
	w := central(t)
	link := func() string {
		t.Helper()
		u := w.must("POST", "/setup-link", nil)["url"].(string)
		return strings.TrimPrefix(u, "https://"+portalHost)
	}
	good := func(target string) bool {
		t.Helper()
		b := w.browser("https://" + portalHost)
		return b.get(target).status == http.StatusSeeOther && len(b.jar) == 1
	}
	first := link()
	for range 2 {
		if !good(first) {
			t.Error("looking at a link used it up")
		}
	}
	second := link()
	if !good(second) {
		t.Error("the newer link is dead")
	}
	w.pass(time.Hour + time.Second)
	if good(second) {
		t.Error("a link of more than an hour ago is good")
	}
	third := link()
	w.restart()
	w.gw.Announce(t.Context(), io.Discard, w.server.Listener.Addr()) // as every start does
	if good(third) {
		t.Error("a link outlived the process that made it")
	}
}

// Guesses at one door, and then at the others with what is left: the page, the
// API, the account's own confirmation. Gained before: five tries per door.
func TestO6O8AllDoorsCountTogether(t *testing.T) {
	w := central(t)
	alice := w.bare("alice", "users", map[string]any{"email": "alice@corp.example"})
	alice.provision()
	owner := w.browser("https://" + portalHost)
	owner.login(alice)
	w.pass(time.Minute)
	b := w.browser("https://" + portalHost)
	spellings := []string{"alice", "ALICE", "alice@users", "Alice@Users", "alice@corp.example", "ALICE@corp.example", "\uff41lice"}
	throttled, tries := false, 0
	for i := range 40 {
		name := spellings[i%len(spellings)]
		var a *answer
		if i%2 == 0 {
			a = b.post("/sallyport/login", url.Values{"username": {name}, "password": {fmt.Sprint("wrong ", i)}})
		} else {
			a = b.api("POST", "/login", map[string]any{"name": name, "password": fmt.Sprint("wrong ", i)})
		}
		if a.status == http.StatusTooManyRequests {
			throttled = true
			break
		}
		wantStatus(t, a, http.StatusUnauthorized)
		tries++
	}
	if !throttled || tries > 6 {
		t.Errorf("%d wrong passwords at two doors, throttled: %v", tries, throttled)
	}
	for _, name := range spellings {
		if a := b.api("POST", "/login", map[string]any{"name": name, "password": alice.password}); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("%q gets in past the others' tries: %d", name, a.status)
		}
	}
	w.restart()
	if a := b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {alice.password}}); a.status != http.StatusTooManyRequests {
		t.Errorf("a restart forgets: %d", a.status)
	}

	// Codes: at the pages, the API and in the account.
	bob := w.user("bob", "users")
	session := w.browser("https://" + portalHost)
	session.login(bob)
	delete(session.jar, "sallyport_browser") // elsewhere, as the others
	w.pass(time.Hour)
	throttled, tries = false, 0
	for i := range 40 {
		attempt := w.browser("https://" + portalHost)
		var a *answer
		switch code := fmt.Sprintf("%06d", i); i % 3 {
		case 0:
			a = attempt.firstDoor(bob, nil)
			a = attempt.post(a.header.Get("Location"), url.Values{"code": {code}})
		case 1:
			token := attempt.api("POST", "/login", map[string]any{"name": "bob", "password": bob.password}).fields(t)["ephemeral_token"]
			a = attempt.api("POST", "/login/code", map[string]any{"ephemeral_token": token, "code": code})
		case 2:
			a = session.post("/sallyport/account/recovery-codes", url.Values{"code": {code}})
		}
		if a.status == http.StatusTooManyRequests {
			throttled = true
			break
		}
		wantStatus(t, a, http.StatusUnauthorized)
		tries++
	}
	if !throttled || tries > 11 {
		t.Errorf("%d wrong codes at three doors, throttled: %v", tries, throttled)
	}
}

// A rule for a network looks past trusted proxies, from the right, and no
// further: what the client put in front itself is his own word (X3, X4).
func TestX4NetworksAreReadFromTheRight(t *testing.T) {
	w := central(t, guard.Rule{Hosts: []string{"inside.example.com"}, Networks: []string{"10.0.0.0/8"}, Factors: number(0)})
	b := w.browser("https://inside.example.com")
	for chain, want := range map[string]int{
		"10.1.2.3": 200, "203.0.113.7, 10.1.2.3": 200, "10.1.2.3, 127.0.0.1": 200, "::ffff:10.1.2.3": 200,
		"203.0.113.7": 401, "10.1.2.3, 203.0.113.7": 401, "10.1.2.3, 203.0.113.7, 127.0.0.1": 401, "10.1.2.3, x": 401, "x, 10.1.2.3, [::1": 401, "10.1.2.3:80": 401, "a": 401, "10.1.2.3, ": 401, "10.1.2.3%eth0": 401,
		"010.1.2.3": 401, "0x0a.1.2.3": 401, "10.1": 401, "１０.1.2.3": 401,
	} {
		a := b.forwardAuth("/sallyport/authz/forward-auth", "GET", "/", http.Header{"X-Forwarded-For": {chain}})
		if want == 401 { // garbage may be refused as such: it never counts as inside
			wantStatus(t, a, 401, 400)
			continue
		}
		wantStatus(t, a, want)
	}
}
