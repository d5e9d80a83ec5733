package gateway_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// What proves who is calling, what does not, and what of it goes on: at each
// authz endpoint and through the proxy.
func TestProofsOfOursAndOfOthers(t *testing.T) {
	e := newEcho(t)
	rules := []guard.Rule{
		{Hosts: []string{"public.example.com"}, Factors: number(0)},
		{Hosts: []string{"services.example.com"}, Realms: []string{"users"}, Services: []string{"deploy@robots"}},
		{Hosts: []string{"*.example.com"}, Realms: []string{"users"}},
	}
	cfg := centralConfig()
	cfg.Upstream, cfg.Rules = e.URL, rules
	w := open(t, cfg)
	all := cfg
	all.Credentials = "all"
	alice := w.user("alice", "users")
	portal := w.browser("https://" + portalHost)
	portal.login(alice)
	session := portal.at(appHost).cookies()
	token := portal.tokens(alice)["access_token"].(string)
	broken := token[:len(token)-8] + "AAAAAAAA"
	wantToken := "Bearer " + token
	foreign := "Bearer eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.AAAA"

	for _, c := range []struct {
		what, host, cookie, authorization string
		status                            int    // of our endpoints and the proxy
		other                             int    // of /api/authz/*, which takes the cookie alone
		user                              string // Remote-User of a 200
		judged                            bool   // Authorization is taken out
	}{
		{"nothing", appHost, "", "", 401, 401, "", false},
		{"the session", appHost, session, "", 200, 200, "alice", false},
		{"the session and somebody's Authorization", appHost, session, "Basic " + basic("app", "pass"), 200, 200, "alice", false},
		{"the session and a bad token of ours", appHost, session, "Bearer " + broken, 200, 200, "alice", true},
		{"an access token", appHost, "", wantToken, 200, 401, "alice", true},
		{"a broken access token", appHost, "", "Bearer " + broken, 401, 401, "", true},
		{"a bad cookie and an access token", appHost, "__Secure-sallyport_session=x", wantToken, 200, 401, "alice", true},
		{"somebody's token", appHost, "", foreign, 401, 401, "", false},
		{"somebody's token on a public path", "public.example.com", "", foreign, 200, 200, "", false},
		{"a broken token of ours on a public path", "public.example.com", "", "Bearer " + broken, 200, 200, "", true},
		{"a person by Basic", appHost, "", "Basic " + basic("alice@users", alice.password), 401, 401, "", false},
		{"a person by Basic where services may pass", "services.example.com", "", "Basic " + basic("alice@users", alice.password), 401, 401, "", true},
		{"an unknown name by Basic", "services.example.com", "", "Basic " + basic("nobody@users", "123456"), 401, 401, "", true},
		{"somebody's Basic", "services.example.com", "", "Basic " + basic("app", "pass"), 401, 401, "", false},
		{"somebody's Basic in a realm that is not ours", "services.example.com", "", "Basic " + basic("a@nowhere", "pass"), 401, 401, "", false},
	} {
		header := http.Header{"Cookie": {"theme=dark; " + c.cookie + "; lang=de"}}
		if c.authorization != "" {
			header.Set("Authorization", c.authorization)
		}
		b := w.browser("https://" + c.host)
		for _, path := range []string{"/sallyport/authz/forward-auth", "/sallyport/authz/auth-request", "/sallyport/authz/ext-authz/x", "/api/authz/forward-auth", "/api/authz/auth-request"} {
			asking := w.browser("https://" + c.host)
			if strings.HasPrefix(path, "/api/") { // at a guarded host these belong to the application
				asking.host = portalHost
			}
			h := http.Header{"X-Forwarded-Host": {c.host}, "X-Original-Url": {"https://" + c.host + "/x"}, "X-Original-Method": {"GET"}}
			maps.Copy(h, header)
			a := asking.forwardAuth(path, "GET", "/x", h)
			want, judged, user := c.status, c.judged, c.user
			if strings.HasPrefix(path, "/api/") {
				want, judged = c.other, false
			}
			what := c.what + " at " + path
			if a.status != want {
				t.Errorf("%s: %d, want %d", what, a.status, want)
				continue
			}
			if a.status == 200 {
				if got, there := a.header["Remote-User"]; !there || got[0] != user {
					t.Errorf("%s: Remote-User %q, want %q", what, got, user)
				}
				for _, name := range []string{"Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Realm"} {
					if _, there := a.header[name]; !there {
						t.Errorf("%s: the 200 has no %s: an older proxy would keep the client's", what, name)
					}
				}
				if got := a.header.Get("Cookie"); strings.Contains(got, "sallyport") || !strings.Contains(got, "theme=dark") || !strings.Contains(got, "lang=de") {
					t.Errorf("%s: Cookie %q", what, got)
				}
				if got, there := a.header["Authorization"]; there != judged || there && got[0] != "" {
					t.Errorf("%s: Authorization %q, judged %v", what, got, judged)
				}
			} else {
				challenge := strings.Join(a.header["Www-Authenticate"], ", ")
				if !strings.HasPrefix(challenge, "Bearer") || strings.Contains(challenge, "Basic") != (c.host == "services.example.com" && !strings.HasPrefix(path, "/api/")) {
					t.Errorf("%s: WWW-Authenticate %q", what, challenge)
				}
			}
		}
		a := b.ask("GET", "/x", "", header)
		if a.status != c.status {
			t.Errorf("%s through the proxy: %d, want %d", c.what, a.status, c.status)
			continue
		}
		if a.status == 200 {
			got := a.echo(t)
			if got.Header.Get("Remote-User") != c.user {
				t.Errorf("%s through the proxy: Remote-User %q", c.what, got.Header.Get("Remote-User"))
			}
			if cookie := got.Header.Get("Cookie"); strings.Contains(cookie, "sallyport") || !strings.Contains(cookie, "theme=dark") {
				t.Errorf("%s through the proxy: Cookie %q", c.what, cookie)
			}
			auth := got.Header.Get("Authorization")
			if strings.Contains(auth, token[:20]) || auth == "" && c.authorization != "" && !strings.HasPrefix(c.authorization, "Bearer "+token[:20]) {
				t.Errorf("%s through the proxy: Authorization %q", c.what, auth)
			}
		}
	}
	// A browser is offered no Basic, whose window would stand before the login.
	b := w.browser("https://services.example.com")
	a := b.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", http.Header{"Sec-Fetch-Mode": {"cors"}})
	if challenge := strings.Join(a.header["Www-Authenticate"], ", "); a.status != 401 || strings.Contains(challenge, "Basic") {
		t.Errorf("%d %s", a.status, challenge)
	}
	// Too many cookies to hand back: refused, not cut.
	a = portal.at(appHost).forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", http.Header{"Cookie": {session + "; x=" + strings.Repeat("y", 9<<10)}})
	wantStatus(t, a, http.StatusRequestHeaderFieldsTooLarge)
}

// Two lines of one header, of which we read one and the next hop the other
// (H10), and headers that spell the original request otherwise (H4, X1).
func TestH10DoubledAndOtherwiseSpelledQuestionsAreRefused(t *testing.T) {
	w := central(t)
	alice := w.user("alice", "users")
	portal := w.browser("https://" + portalHost)
	portal.login(alice)
	app := portal.at(appHost)
	five := map[string]string{"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https", "X-Forwarded-Host": appHost, "X-Forwarded-Uri": "/x", "X-Forwarded-For": "203.0.113.7"}
	for name, value := range five {
		for what, values := range map[string][]string{"doubled": {value, value}, "missing": nil, "empty": {""}, "a list": {value + ", " + value}, "with a blank": {" " + value + " x"}} {
			if name == "X-Forwarded-For" && (what == "a list" || what == "with a blank") {
				continue // it is a list, and garbage in it means the peer
			}
			a := app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", http.Header{name: values})
			if a.status < 400 || a.status == 401 {
				t.Errorf("%s %s: %d", name, what, a.status)
			}
		}
		alias := strings.ReplaceAll(name, "-", "_")
		if a := app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", http.Header{alias: {value}}); a.status < 400 {
			t.Errorf("%s: %d", alias, a.status)
		}
	}
	for _, name := range []string{"remote_user", "Remote.User", "REMOTE_USER", "remoteuser", "X_Forwarded_User", "x-auth-request_user", "Sallyport_Assertion"} {
		wantStatus(t, app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", http.Header{name: {"mallory"}}), http.StatusForbidden)
	}
	for _, h := range []http.Header{{"Authorization": {"Bearer a", "Bearer b"}}} {
		if a := app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", h); a.status < 400 {
			t.Errorf("%v: %d", h, a.status)
		}
	}
	// Others' headers change nothing.
	for _, h := range []http.Header{{"X-Original-Url": {"https://public.example.com/"}}, {"X-Original-Uri": {"/public"}}, {"X-Rewrite-Url": {"/"}}, {"X-Forwarded-Prefix": {"/public"}}, {"User-Agent": {"GoogleHC/1.0"}}, {"User-Agent": {"kube-probe/1.29"}}} {
		stranger := w.browser("https://" + appHost)
		wantStatus(t, stranger.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", h), 401)
		wantStatus(t, app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", h), 200)
	}
	// And a peer that nobody trusts gets no answer, whatever it says.
	app.client = w.client("127.0.0.2")
	for _, path := range []string{"/sallyport/authz/forward-auth", "/sallyport/authz/auth-request", "/sallyport/authz/ext-authz/x", "/api/authz/forward-auth", "/api/authz/auth-request", "/api/authz/ext-authz/x"} {
		a := app.forwardAuth(path, "GET", "/x", http.Header{"X-Real-Ip": {"127.0.0.1"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Original-Url": {"https://" + appHost + "/"}, "X-Original-Method": {"GET"}})
		wantStatus(t, a, http.StatusForbidden)
	}
	if !strings.Contains(w.log.String(), "trusted_proxies") {
		t.Error("the log does not say what to do about it")
	}
}

// Parameters of the check URL make a rule stricter, and none makes it milder.
func TestTheCheckURLTightensAndNeverLoosens(t *testing.T) {
	w := central(t, guard.Rule{Hosts: []string{"one.example.com"}, Realms: []string{"users"}, Factors: number(1)})
	alice := w.user("alice", "users", "staff")
	portal := w.browser("https://" + portalHost)
	portal.login(alice)
	for _, c := range []struct {
		query  string
		status int
	}{
		{"", 200}, {"?factors=0", 200}, {"?factors=2", 200}, {"?realm=users", 200}, {"?realm=admin", 403}, {"?groups=staff", 200}, {"?groups=ops", 403}, {"?groups=ops,staff", 200}, {"?fresh=15m", 200},
		{"?factors=3", 400}, {"?factors=", 400}, {"?factors=0&factors=2", 400}, {"?realm=a@b", 400}, {"?fresh=-1s", 400}, {"?fresh=0s", 400}, {"?fresh=x", 400}, {"?groups=a%2Fb", 400}, {"?groups=%zz", 400}, {"?%zz", 400}, {"?rd=/x", 200},
	} {
		for _, path := range []string{"/sallyport/authz/forward-auth", "/api/authz/forward-auth"} {
			want := c.status
			if c.query == "?%zz" && path == "/api/authz/forward-auth" {
				want = 200 // a query of the client's there, and none of our names
			}
			wantStatus(t, portal.at("one.example.com").forwardAuth(path+c.query, "GET", "/x", nil), want)
		}
		// Nobody gets more by it.
		if a := w.browser("https://one.example.com").forwardAuth("/sallyport/authz/forward-auth"+c.query, "GET", "/x", nil); a.status < 400 {
			t.Errorf("%s: %d to a stranger", c.query, a.status)
		}
	}
	if a := w.browser("https://public.example.com").forwardAuth("/sallyport/authz/forward-auth?factors=1", "GET", "/x", nil); a.status != 401 {
		t.Errorf("a public rule tightened to one factor: %d to a stranger", a.status)
	}
	// Envoy's query is the client's.
	a := portal.at(appHost).forwardAuth("/sallyport/authz/ext-authz/x?realm=admin&factors=9", "GET", "", nil)
	wantStatus(t, a, 200)
	w.pass(20 * time.Minute)
	wantStatus(t, portal.at("one.example.com").forwardAuth("/sallyport/authz/forward-auth?fresh=15m", "GET", "/x", nil), 401)
	wantStatus(t, portal.at("one.example.com").forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", nil), 200)
}

// The rule sees one path and the application another (R5), with many hosts (R3):
// decisions are compared at the proxy and at the authz endpoint, over the same
// rules and targets.
func TestR3R5BothShellsDecideTheSameOrRefuse(t *testing.T) {
	e := newEcho(t)
	rules := []guard.Rule{
		{Hosts: []string{"many.example.com"}, Paths: []string{"/admin/*"}, Deny: true},
		{Hosts: []string{"many.example.com"}, Paths: []string{"/public/*", "/Mixed"}, Factors: number(0)},
	}
	for i := range 150 {
		rules = append(rules, guard.Rule{Hosts: []string{fmt.Sprintf("host%d.example.com", i)}, Factors: number(0)})
	}
	rules = append(rules, guard.Rule{Hosts: []string{"*.example.com"}, Realms: []string{"users"}})
	cfg := centralConfig()
	cfg.Upstream, cfg.Rules = e.URL, rules
	w := open(t, cfg)
	var targets []string
	for _, segment := range []string{"admin", "%61dmin", "ADMIN", "Admin", "admin%20", "%2561dmin", "adm%69n"} {
		for _, before := range []string{"/", "//", "/public/../", "/public/%2e%2e/", "/public/..%2f", "/public/%252e%252e/", "/./", "/public/..;/", `/public/..\`, "/public/..%5c", "/x/../", "/public/x/../../", "/;a/"} {
			for _, after := range []string{"", "/", "/x", "/.", "/..", "/../admin", "%2f..", ";x=1", `\x`, "%00", "%2fx", "?/public/", "/%2e", "//x"} {
				targets = append(targets, before+segment+after)
			}
		}
	}
	b := w.browser("https://many.example.com")
	for _, target := range targets {
		a, err := b.try("GET", target, "", nil)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if a.status < 300 {
			t.Errorf("%s went through: %s", target, a.body)
		}
		q := b.forwardAuth("/sallyport/authz/forward-auth", "GET", target, nil)
		same := a.status == q.status || a.status >= 400 && q.status >= 400
		if q.status < 300 || !same {
			t.Errorf("%s: %d through the proxy, %d at the endpoint", target, a.status, q.status)
		}
	}
	for _, host := range []string{"HOST149.example.com", "host149.example.com.", "host149.Example.Com:443", "host0.EXAMPLE.com"} {
		x := w.browser("https://" + host)
		wantStatus(t, x.authz("/"), 200)
		wantStatus(t, x.ask("GET", "/", "", nil), 200)
	}
	for _, host := range []string{"host150.example.com", "xhost149.example.com", "host149.example.com.evil.example", "host149.example.comx", "a.host149.example.com"} {
		x := w.browser("https://" + host)
		if a := x.authz("/"); a.status < 400 {
			t.Errorf("%s: %d", host, a.status)
		}
		if a := x.ask("GET", "/", "", nil); a.status < 300 {
			t.Errorf("%s through the proxy: %d", host, a.status)
		}
	}
	for _, path := range []string{"/public/x", "/public/x?/admin", "/public/"} {
		wantStatus(t, b.authz(path), 200)
		wantStatus(t, b.ask("GET", path, "", nil), 200)
	}
}

// Text that a client writes is expanded like a template or a placeholder ({env.X},
// {file./etc/passwd}) on its way. Gained before: the environment and files.
func TestR14PlaceholdersOfClientsStayText(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_CANARY", "canary-of-the-environment")
	w, _ := guarding(t)
	alice := w.user("alice", "users")
	b := w.browser(w.here())
	b.login(alice)
	for _, text := range []string{"{env.SALLYPORT_TEST_CANARY}", "{{env.SALLYPORT_TEST_CANARY}}", "${SALLYPORT_TEST_CANARY}", "{file./etc/hostname}", "{{.}}", "{{printf `%s` `x`}}", "{http.request.header.Cookie}", "%s%d%v", "<%= 7*7 %>"} {
		h := http.Header{"User-Agent": {text}, "Referer": {text}, "X-Text": {text}, "Accept-Language": {text}, "Accept": {"text/html"}}
		q := url.QueryEscape(text)
		for _, a := range []*answer{
			b.ask("GET", "/x?y="+q, "", h), b.ask("GET", "/sallyport/?m="+q, "", h), b.ask("GET", "/sallyport/login?rd=/"+q, "", h), b.ask("GET", "/sallyport/account/sessions", "", h),
			b.post("/sallyport/login", url.Values{"username": {text}, "password": {text}}), b.api("POST", "/login", map[string]any{"name": text, "password": text}, h),
		} {
			if strings.Contains(a.body, "canary-of-the-environment") || strings.Contains(fmt.Sprint(a.header), "canary-of-the-environment") || strings.Contains(a.body, "%!") {
				t.Errorf("%s expanded %s: %s", a.what, text, a.body)
			}
		}
		if got := b.ask("GET", "/x?y="+q, "", h).echo(t); got.Header.Get("X-Text") != text || got.Header.Get("User-Agent") != text {
			t.Errorf("%s arrived as %q", text, got.Header.Get("X-Text"))
		}
	}
	if strings.Contains(w.log.String(), "canary-of-the-environment") {
		t.Error("the log holds the environment")
	}
	w.must("PATCH", alice.path(), map[string]any{"full_name": "{env.SALLYPORT_TEST_CANARY} {{.}}"})
	if got := b.get("/x").echo(t).Header.Get("Remote-Name"); got != "{env.SALLYPORT_TEST_CANARY} {{.}}" {
		t.Errorf("Remote-Name %q", got)
	}
}

// A one-time code longer than any (the verifier allocates, or compares a part),
// and older codes after a newer one was taken by another door. Nothing imports
// or replicates steps in this version; every door moves the same one forward.
func TestO10OverlongAndOlderCodesAreRefusedAtEveryDoor(t *testing.T) {
	w := open(t, gateway.Config{Rules: []guard.Rule{{Realms: []string{"users"}}}, Portal: "http://" + portalHost})
	alice := w.user("alice", "users")
	b := w.browser("http://" + portalHost)
	half := b.firstDoor(alice, nil).header.Get("Location")
	first := b.api("POST", "/login", map[string]any{"name": "alice", "password": alice.password}).fields(t)["ephemeral_token"]
	w.pass(time.Minute)
	now := alice.codeAt(0)
	for _, code := range []string{now + now, now + strings.Repeat(" ", 1<<10), strings.Repeat("0", 1<<12) + now, strings.Repeat("1", 1<<15), now + "\x00", "0" + now, now[:5]} {
		if a := b.post(half, url.Values{"code": {code}}); a.status < 400 {
			t.Errorf("the page took %.80q: %d", code, a.status)
		}
		if a := b.api("POST", "/login/code", map[string]any{"ephemeral_token": first, "code": code}); a.status < 400 {
			t.Errorf("the API took %.80q: %d", code, a.status)
		}
		if a := w.local("POST", alice.path()+"/verify", map[string]any{"code": code}); a.status < 400 && a.fields(t)["status"] != "FAIL" {
			t.Errorf("verify took %.80q: %s", code, a.body)
		}
	}
	w.pass(20 * time.Minute) // past what the wrong tries cost
	half = b.firstDoor(alice, nil).header.Get("Location")
	first = b.api("POST", "/login", map[string]any{"name": "alice", "password": alice.password}).fields(t)["ephemeral_token"]
	older, now := alice.codeAt(-1), alice.codeAt(0)
	if got := w.must("POST", alice.path()+"/verify", map[string]any{"code": now})["status"]; got != "OK" {
		t.Fatalf("verify: %v", got)
	}
	for _, code := range []string{older, now} {
		wantStatus(t, b.post(half, url.Values{"code": {code}}), http.StatusUnauthorized)
		wantStatus(t, b.api("POST", "/login/code", map[string]any{"ephemeral_token": first, "code": code}), http.StatusUnauthorized)
		if got := w.must("POST", alice.path()+"/verify", map[string]any{"code": code})["status"]; got != "FAIL" {
			t.Errorf("verify again: %v", got)
		}
	}
	wantStatus(t, b.post(half, url.Values{"code": {alice.code()}}), http.StatusSeeOther)
}
