package gateway_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// hostileForwarding is what a stranger may write about where a request came
// from.
var hostileForwarding = http.Header{
	"Forwarded":        {"for=1.2.3.4;host=evil.example;proto=javascript"},
	"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Server": {"evil.example"}, "X-Forwarded-Prefix": {"/evil"}, "X-Forwarded-Port": {"666"},
	"X-Forwarded-Proto": {"javascript"}, "X-Original-Url": {"https://evil.example/x"}, "X-Original-Host": {"evil.example"}, "X-Host": {"evil.example"},
	"X-Rewrite-Url": {"/evil"}, "Origin-Host": {"evil.example"}, "X-Forwarded-Scheme": {"javascript"}, "X-Url-Scheme": {"javascript"},
}

// A stranger asks for somebody's invitation or reset while X-Forwarded-Host
// names his own server, and the link in the mail leads there with its token.
// Gained before: the account.
func TestX6LinksComeFromTheConfigurationAlone(t *testing.T) {
	w := central(t)
	root := w.user("root", "admin")
	w.bare("alice", "users", map[string]any{"email": "alice@corp.example"})
	b := w.browser("https://" + portalHost)
	token := b.tokens(root)["access_token"].(string)

	for _, from := range []string{"127.0.0.1", "127.0.0.2"} { // a trusted peer and another
		asking := w.browser("https://" + portalHost)
		asking.client = w.client(from)
		h := hostileForwarding.Clone()
		h.Set("Authorization", "Bearer "+token)
		a := asking.api("POST", "/users/users/alice/invite", map[string]any{}, h)
		wantStatus(t, a, 200)
		if link := a.fields(t)["invite_url"].(string); !strings.HasPrefix(link, "https://"+portalHost+"/sallyport/invite?token=") {
			t.Errorf("from %s: the invitation leads to %s", from, link)
		}
		a = asking.api("POST", "/users/users/alice/totp", map[string]any{}, h)
		wantStatus(t, a, 201)
		if text := a.body; strings.Contains(text, "evil") {
			t.Errorf("from %s: an authenticator's address has what the client wrote: %s", from, text)
		}
		for _, target := range []string{"/sallyport/", "/sallyport/login", "/sallyport/logout", "/sallyport/account/", "/sallyport/setup", "/sallyport/openapi.json"} {
			a := asking.ask("GET", target, "", hostileForwarding)
			if all := a.body + strings.Join(a.header["Location"], " ") + strings.Join(a.header["Set-Cookie"], " "); strings.Contains(all, "evil") || strings.Contains(all, "javascript:") {
				t.Errorf("from %s: %s repeats what the client wrote: %v", from, target, a.header)
			}
		}
	}
	if link := w.must("POST", "/users/users/alice/invite", map[string]any{})["invite_url"].(string); !strings.HasPrefix(link, "https://"+portalHost+"/") {
		t.Errorf("the command line's invitation leads to %s", link)
	}

	// Without a portal there is nothing to build a link from, so there is none.
	lone, _ := guarding(t)
	lone.bare("alice", "users", nil)
	wantStatus(t, lone.local("POST", "/users/users/alice/invite", map[string]any{}), http.StatusConflict)
	if link := lone.must("POST", "/setup-link", nil)["url"].(string); !strings.HasPrefix(link, "http://localhost:9091/sallyport/setup?token=") {
		t.Errorf("without a portal the setup link is %s", link)
	}
}

// A client that no proxy stands before says X-Forwarded-Proto, -Prefix, -Port,
// -For or -Uri, and the gateway believes it. Gained before: a rule for another
// address or network, cookies without Secure, a path that is public.
func TestX7X8WithoutTrustNoForwardingHeaderCounts(t *testing.T) {
	w, _ := guarding(t,
		guard.Rule{Paths: []string{"/public/*"}, Factors: number(0)},
		guard.Rule{Networks: []string{"10.0.0.0/8"}, Factors: number(0)},
		guard.Rule{Hosts: []string{"evil.example"}, Factors: number(0)})
	b := w.browser(w.here())
	plain := b.get("/secret")
	wantStatus(t, plain, http.StatusFound)
	for name, values := range map[string][]string{
		"X-Forwarded-Uri": {"/public/x"}, "X-Original-Url": {"/public/x", "http://evil.example/public/x"}, "X-Rewrite-Url": {"/public/x"}, "X-Original-Uri": {"/public/x"},
		"X-Forwarded-Prefix": {"/public", "/public/"}, "X-Forwarded-Path": {"/public/x"}, "X-Forwarded-For": {"10.1.2.3", "10.1.2.3, 127.0.0.1"}, "X-Real-Ip": {"10.1.2.3"},
		"Forwarded": {"for=10.1.2.3;host=evil.example"}, "X-Client-Ip": {"10.1.2.3"}, "True-Client-Ip": {"10.1.2.3"}, "X-Forwarded-Host": {"evil.example"},
		"X-Forwarded-Proto": {"https", "wss", "javascript"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Method": {"OPTIONS"}, "X-Forwarded-Ssl": {"on"},
		"X_Forwarded_Uri": {"/public/x"}, "X_forwarded_for": {"10.1.2.3"}, "X.Forwarded.For": {"10.1.2.3"},
	} {
		for _, v := range values {
			a := b.ask("GET", "/secret", "", http.Header{"Accept": {"text/html"}, name: {v}})
			if a.status != http.StatusFound || a.header.Get("Location") != plain.header.Get("Location") {
				t.Errorf("%s: %s: %d to %s, without it to %s", name, v, a.status, a.header.Get("Location"), plain.header.Get("Location"))
			}
			for _, c := range b.get("/sallyport/login").header["Set-Cookie"] {
				t.Errorf("a page set %s", c)
			}
		}
	}
	// And the upstream learns our own view of it alone.
	public := w.browser(w.here())
	e := public.ask("GET", "/public/x", "", hostileForwarding).echo(t)
	for name, v := range e.Header {
		if strings.Contains(strings.Join(v, " "), "evil") && name != "X-Host" && name != "X-Rewrite-Url" && name != "Origin-Host" {
			t.Errorf("the upstream got %s: %v", name, v)
		}
	}
	if e.Header.Get("X-Forwarded-For") != "127.0.0.1" || e.Header.Get("X-Forwarded-Proto") != "http" || e.Header.Get("X-Forwarded-Host") != w.address() {
		t.Errorf("the upstream got %v", e.Header)
	}
}

var (
	attribute = regexp.MustCompile(`(?i)\s(href|src|action|formaction|content|srcset|data|poster)="([^"]*)"`)
	handler   = regexp.MustCompile(`(?i)<[^>]*\son[a-z]+\s*=`)
)

// A page carries the wanted target to the browser, where a script or a refresh
// follows it before the server has looked at it. Gained before: a page of the
// gateway that sends people wherever a link says.
func TestD4PagesSendNobodyAnywhereByThemselves(t *testing.T) {
	w := central(t)
	alice := w.user("alice", "users")
	signed, stranger, halfway := w.browser("https://"+portalHost), w.browser("https://"+portalHost), w.browser("https://"+portalHost)
	signed.login(alice)
	half := halfway.firstDoor(alice, nil).header.Get("Location")
	link := w.must("POST", "/users/users/alice/invite", map[string]any{})["invite_url"].(string)
	target := url.QueryEscape("https://evil.example/x")
	pages := []*answer{
		stranger.get("/sallyport/login?rd=" + target), stranger.get("/sallyport/login?url=" + target), stranger.get("/sallyport/?rd=" + target + "&m=" + target),
		stranger.get("/sallyport/logout?rd=" + target), stranger.get("/sallyport/unknown?rd=" + target), stranger.get(strings.TrimPrefix(link, "https://"+portalHost) + "&rd=" + target),
		halfway.get(half + "&rd=" + target), halfway.get(strings.Replace(half, "/code", "/recovery", 1) + "&rd=" + target),
		stranger.post("/sallyport/login?rd="+target, url.Values{"username": {"alice"}, "password": {"wrong"}, "rd": {"https://evil.example/x"}}),
		signed.get("/sallyport/account/?rd=" + target), signed.get("/sallyport/account/password?rd=" + target), signed.get("/sallyport/account/totp?rd=" + target),
		signed.get("/sallyport/account/sessions?rd=" + target), signed.get("/sallyport/account/recovery-codes?rd=" + target), signed.get("/sallyport/?rd=" + target),
		signed.get("/sallyport/login?rd=" + target), signed.post("/sallyport/logout", url.Values{"rd": {"https://evil.example/x"}}),
	}
	for _, a := range pages {
		if strings.Contains(a.body, "evil.example") || strings.Contains(a.header.Get("Location"), "evil") || a.header.Get("Refresh") != "" {
			t.Errorf("%s (%d, Location %q) carries a target that was refused", a.what, a.status, a.header.Get("Location"))
		}
		if lower := strings.ToLower(a.body); strings.Contains(lower, "<script") || strings.Contains(lower, "http-equiv") || strings.Contains(lower, "javascript:") || handler.MatchString(a.body) {
			t.Errorf("%s has something that runs", a.what)
		}
		for _, m := range attribute.FindAllStringSubmatch(a.body, -1) {
			if v := m[2]; strings.HasPrefix(v, "//") || strings.Contains(v, ":") && !strings.HasPrefix(v, "https://"+portalHost+"/") && !strings.HasPrefix(v, "otpauth:") {
				t.Errorf("%s leads to %s", a.what, v)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script-src") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", a.what, csp)
		}
	}
}

// A login hands its result to the browser in the address (a JWT, a code, a
// handle), where histories, logs and Referer keep it, and whoever opens the
// address is signed in. Gained before: a session, by reading a log.
func TestD5NoAddressCarriesAProofOrWorksElsewhere(t *testing.T) {
	w := central(t)
	alice := w.user("alice", "users")
	app := w.browser("https://" + appHost)
	b := w.browser("https://" + portalHost)
	challenge := app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x?y=1", http.Header{"Sec-Fetch-Mode": {"navigate"}})
	wantStatus(t, challenge, http.StatusFound)
	page := strings.TrimPrefix(challenge.header.Get("Location"), "https://"+portalHost)
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	first := b.firstDoor(alice, url.Values{"rd": {u.Query().Get("rd")}, "rs": {u.Query().Get("rs")}})
	half := first.header.Get("Location")

	// The address of the second door, in another browser, with a good code.
	thief := w.browser("https://" + portalHost)
	code := alice.code()
	for _, method := range []string{"GET", "POST"} {
		a := thief.ask(method, half, url.Values{"code": {code}, "l": {strings.TrimPrefix(half, "/sallyport/login/code?l=")}}.Encode(),
			http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {"https://" + portalHost}})
		if a.status < 400 || len(thief.jar) > 0 {
			t.Errorf("%s: %d, cookies %v", a.what, a.status, thief.jar)
		}
	}
	last := b.post(half, url.Values{"code": {code}}) // the thief did not burn it
	wantStatus(t, last, http.StatusSeeOther)
	if got := last.header.Get("Location"); got != "https://"+appHost+"/x?y=1" {
		t.Errorf("the login ends at %s", got)
	}
	for _, a := range []*answer{challenge, first, last} {
		for name, value := range b.jar {
			if strings.Contains(a.header.Get("Location"), value) {
				t.Errorf("%s: the address holds the cookie %s", a.what, name)
			}
		}
		if regexp.MustCompile(`sp[a-z]_|eyJ`).MatchString(a.header.Get("Location")) {
			t.Errorf("%s: the address holds a token: %s", a.what, a.header.Get("Location"))
		}
	}
	// A signature is good for the target that was signed, and for no other.
	for _, target := range []string{"https://evil.example/", "https://" + appHost + ".evil.example/", "https://" + appHost + "/other"} {
		again := w.browser("https://" + portalHost)
		next := again.firstDoor(alice, url.Values{"rd": {target}, "rs": {u.Query().Get("rs")}}).header.Get("Location")
		a := again.post(next, url.Values{"code": {alice.code()}})
		wantStatus(t, a, http.StatusSeeOther)
		if got := a.header.Get("Location"); strings.Contains(got, "evil") {
			t.Errorf("a login for %s ends at %s", target, got)
		}
	}
}

// A one-time handle is good for whoever holds it, wherever he brings it. Gained
// before: another purpose's step, another door, somebody else's browser.
func TestS7HandlesAreBoundToPurposeDoorAndBrowser(t *testing.T) {
	w := central(t)
	alice := w.user("alice", "users")
	w.bare("bob", "users", nil)
	invite := strings.TrimPrefix(w.must("POST", "/users/users/bob/invite", map[string]any{})["invite_url"].(string), "https://"+portalHost)
	setup := w.must("POST", "/setup-link", nil)["url"].(string)
	setupToken := setup[strings.Index(setup, "token=")+6:]
	inviteToken := invite[strings.Index(invite, "token=")+6:]

	// Each link at the other's page, and both where an ephemeral token is wanted.
	stranger := w.browser("https://" + portalHost)
	for _, target := range []string{"/sallyport/setup?token=" + inviteToken, "/sallyport/invite?token=" + setupToken} {
		if a := stranger.get(target); a.status < 400 || len(stranger.jar) > 0 {
			t.Errorf("%s: %d, cookies %v", a.what, a.status, stranger.jar)
		}
	}
	apiFirst := stranger.api("POST", "/login", map[string]any{"name": "alice", "password": alice.password}).fields(t)
	apiToken := apiFirst["ephemeral_token"].(string)
	clear(stranger.jar)

	// What the browser was given for one purpose, at the doors of the others.
	pages := w.browser("https://" + portalHost)
	half := pages.firstDoor(alice, nil).header.Get("Location")
	handle := half[strings.Index(half, "l=")+2:]
	var pageToken string
	for _, v := range pages.jar {
		pageToken = v
	}
	invited := w.browser("https://" + portalHost)
	traded := invited.get(invite)
	wantStatus(t, traded, http.StatusSeeOther)
	var linkToken string
	for _, v := range invited.jar {
		linkToken = v
	}
	code := alice.code()
	for what, token := range map[string]string{"the pages' token": pageToken, "the invitation": inviteToken, "the invitation's cookie": linkToken, "the setup link": setupToken, "a recovery code": alice.recovery[0]} {
		for _, call := range []struct {
			path string
			body map[string]any
		}{
			{"/login/code", map[string]any{"ephemeral_token": token, "code": code}},
			{"/login/recovery-code", map[string]any{"ephemeral_token": token, "recovery_code": alice.recovery[1]}},
			{"/me/methods/totp/activate", map[string]any{"ephemeral_token": token}},
			{"/me/methods/totp/confirm", map[string]any{"ephemeral_token": token, "code": code}},
			{"/token/refresh", map[string]any{"refresh_token": token}},
		} {
			if a := stranger.api("POST", call.path, call.body); a.status != http.StatusUnauthorized || len(stranger.jar) > 0 {
				t.Errorf("%s at %s: %d %s", what, call.path, a.status, a.body)
			}
		}
	}
	name := strings.TrimSuffix(pages.pendingName(t), handle)
	for what, token := range map[string]string{"the API's token": apiToken, "the invitation": inviteToken, "the setup link": setupToken, "the invitation's cookie": linkToken} {
		for _, page := range []string{"/sallyport/login/code", "/sallyport/login/recovery", "/sallyport/enroll/totp", "/sallyport/setup/code", "/sallyport/setup"} {
			thief := w.browser("https://" + portalHost)
			thief.jar[name+handle] = token
			a := thief.post(page+"?l="+handle, url.Values{"code": {code}, "recovery_code": {alice.recovery[0]}, "username": {"mallory"}, "new_password": {goodPassword}, "again": {goodPassword}})
			if a.status < 400 || thief.jar["__Host-sallyport_portal"] != "" {
				t.Errorf("%s at %s: %d", what, page, a.status)
			}
		}
	}
	// The other way round, at the door that each was made for, they are good.
	wantStatus(t, pages.post(half, url.Values{"code": {code}}), http.StatusSeeOther)
	wantStatus(t, stranger.api("POST", "/login/code", map[string]any{"ephemeral_token": apiToken, "code": alice.code()}), 200)
	wantStatus(t, invited.post(traded.header.Get("Location"), url.Values{"new_password": {"a bittern booms at night"}, "again": {"a bittern booms at night"}}), http.StatusSeeOther)
}

func (b *browser) pendingName(t *testing.T) string {
	t.Helper()
	for name := range b.jar {
		if strings.Contains(name, "sallyport_login_") {
			return name
		}
	}
	t.Fatalf("the browser holds no half login: %v", b.jar)
	return ""
}

// Somebody opens a session by a link, or by a password alone, and comes to a
// rule that wants a fresh second factor: the session is young, so it passes.
// Gained before: every step-up, by signing in the weakest way there is.
func TestM8FreshAsksHowAndNotOnlyWhen(t *testing.T) {
	w := open(t, gateway.Config{
		Portal: "https://" + portalHost, CookieDomain: gateway.CookieDomains{{Domain: "example.com"}}, TrustedProxies: []string{"127.0.0.1/32"},
		Realms: map[string]gateway.Realm{"guests": {Factors: number(1)}},
		Rules: []guard.Rule{
			{Hosts: []string{"fresh.example.com"}, Realms: []string{"guests"}, Fresh: guard.Duration(15 * time.Minute)},
			{Hosts: []string{"two.example.com"}, Realms: []string{"guests"}},
			{Hosts: []string{"one.example.com"}, Realms: []string{"guests"}, Factors: number(1)},
		},
	})
	decide := func(b *browser, host string) int { t.Helper(); return b.at(host).authz("/x").status }

	// By an invitation, seconds ago.
	w.bare("bob", "guests", nil)
	link := w.must("POST", "/users/guests/bob/invite", map[string]any{})["invite_url"].(string)
	b := w.browser("https://" + portalHost)
	a := b.get(strings.TrimPrefix(link, "https://"+portalHost))
	wantStatus(t, b.post(a.header.Get("Location"), url.Values{"new_password": {goodPassword}, "again": {goodPassword}}), http.StatusSeeOther)
	for host, want := range map[string]int{"one.example.com": 200, "two.example.com": 401, "fresh.example.com": 401} {
		if got := decide(b, host); got != want {
			t.Errorf("a session by invitation at %s: %d, want %d", host, got, want)
		}
	}

	// With both factors, it ages; a new password login does not make it fresh.
	carol := w.user("carol", "guests")
	b = w.browser("https://" + portalHost)
	b.login(carol)
	for _, host := range []string{"one.example.com", "two.example.com", "fresh.example.com"} {
		if got := decide(b, host); got != 200 {
			t.Errorf("both factors at %s: %d", host, got)
		}
	}
	w.pass(16 * time.Minute)
	if got := decide(b, "fresh.example.com"); got != 401 {
		t.Errorf("a factor of 16 minutes ago: %d", got)
	}
	half := b.firstDoor(carol, nil).header.Get("Location")
	if got := decide(b, "fresh.example.com"); got == 200 {
		t.Error("a fresh password made an old factor fresh")
	}
	if a := b.post(half, url.Values{"code": {carol.code()}}); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := decide(b, "fresh.example.com"); got != 200 {
		t.Errorf("after a good code: %d", got)
	}
}
