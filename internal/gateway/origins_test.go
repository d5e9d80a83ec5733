package gateway_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// call is one thing that the gateway answers.
type call struct{ method, path string }

// apiCalls are all calls of the JSON API, from its own description.
func (w *world) apiCalls(t *testing.T) []call {
	t.Helper()
	b := w.browser("https://" + portalHost)
	if w.cfg.Portal == "" {
		b = w.browser(w.here())
	}
	var d struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(b.ask("GET", "/sallyport/openapi.json", "", nil).body), &d); err != nil {
		t.Fatal(err)
	}
	var list []call
	fill := strings.NewReplacer("{realm}", "users", "{name}", "alice", "{method}", "totp", "{id}", "x")
	for path, methods := range d.Paths {
		for method := range methods {
			list = append(list, call{strings.ToUpper(method), apiPrefix + fill.Replace(strings.TrimPrefix(path, apiPrefix))})
		}
	}
	if len(list) < 30 {
		t.Fatalf("the description names %d calls only", len(list))
	}
	return list
}

// pages are the paths of all pages, from the table in the source.
func pages(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../web/portal/routes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	ast.Inspect(file, func(n ast.Node) bool {
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			if name, ok := kv.Key.(*ast.Ident); ok && name.Name == "path" {
				if lit, ok := kv.Value.(*ast.BasicLit); ok {
					path, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, path)
				}
			}
		}
		return true
	})
	if len(list) < 15 {
		t.Fatalf("the table has %d pages only", len(list))
	}
	return list
}

// Each shape reads one cookie name and no other, and sets it as it says.
// A cookie that a sibling host, plain http or an older configuration planted
// under another name, or beside the good one, opens nothing (X11, S3).
func TestOneCookieNamePerShape(t *testing.T) {
	rules := []guard.Rule{{Realms: []string{"users"}}}
	loopback := []string{"127.0.0.1/32"}
	for _, c := range []struct {
		what    string
		cfg     gateway.Config
		origin  string
		header  http.Header
		names   []string // first: what opens the account
		secure  bool
		shared  bool // an upstream's scripts share the origin
		sibling string
	}{
		{"http without portal", gateway.Config{Rules: rules, TrustedProxies: loopback}, "http://app.example.com", nil, []string{"sallyport_session"}, false, true, ""},
		{"https without portal", gateway.Config{Rules: rules, TrustedProxies: loopback}, "https://app.example.com", http.Header{"X-Forwarded-Proto": {"https"}}, []string{"__Host-sallyport_session"}, true, true, ""},
		{"https portal", gateway.Config{Rules: rules, TrustedProxies: loopback, Portal: "https://auth.example.com"}, "https://auth.example.com", nil, []string{"__Host-sallyport_session"}, true, false, ""},
		{"http portal", gateway.Config{Rules: rules, TrustedProxies: loopback, Portal: "http://auth.example.com"}, "http://auth.example.com", nil, []string{"sallyport_session"}, false, false, ""},
		{"https portal and domain", centralConfig(), "https://auth.example.com", nil, []string{"__Host-sallyport_portal", "__Secure-sallyport_session"}, true, false, "app.example.com"},
		{"http portal and domain", gateway.Config{Rules: rules, TrustedProxies: loopback, Portal: "http://auth.example.com", CookieDomain: gateway.CookieDomains{{Domain: "example.com"}}},
			"http://auth.example.com", nil, []string{"sallyport_portal", "sallyport_session"}, false, false, "app.example.com"},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := open(t, c.cfg)
			alice := w.user("alice", "users")
			b := w.browser(c.origin)
			maps.Copy(b.header, c.header)
			all := []string{"sallyport_session", "__Host-sallyport_session", "__Secure-sallyport_session", "sallyport_portal", "__Host-sallyport_portal"}
			for _, name := range all {
				b.jar[name] = "planted"
			}
			done := b.login(alice)
			for _, name := range all {
				if b.jar[name] == "planted" && (c.secure || !strings.HasPrefix(name, "__")) {
					t.Errorf("%s stays as it was planted", name)
				}
			}
			set := map[string]*http.Cookie{}
			for _, cookie := range (&http.Response{Header: done.header}).Cookies() {
				if cookie.MaxAge >= 0 && strings.Contains(cookie.Name, "sallyport_session") || cookie.MaxAge >= 0 && strings.Contains(cookie.Name, "sallyport_portal") {
					set[cookie.Name] = cookie
				}
			}
			if got := slices.Sorted(maps.Keys(set)); !slices.Equal(got, slices.Sorted(slices.Values(c.names))) {
				t.Fatalf("the login set %v, want %v (%v)", got, c.names, done.header["Set-Cookie"])
			}
			for name, cookie := range set {
				domain := ""
				if len(c.names) == 2 && name == c.names[1] {
					domain = "example.com"
				}
				if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Secure != c.secure || cookie.Domain != domain {
					t.Errorf("%s", cookie.Raw)
				}
			}
			opens := func(b *browser) bool { t.Helper(); return b.api("GET", "/me", nil).status == 200 }
			guards := func(b *browser) bool {
				t.Helper()
				h := http.Header{"X-Forwarded-Proto": {strings.SplitN(c.origin, ":", 2)[0]}}
				return b.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", h).status == 200
			}
			good := map[string]string{}
			for _, name := range c.names {
				good[name] = set[name].Value
			}
			guardName := c.names[len(c.names)-1]
			try := func(what string, jar map[string]string, extra string, wantAccount, wantGuard bool) {
				t.Helper()
				other := w.browser(c.origin)
				maps.Copy(other.header, c.header)
				other.jar = maps.Clone(jar)
				cookie := other.cookies() + extra
				other.header["Cookie"] = []string{cookie}
				if got := opens(other); got != wantAccount {
					t.Errorf("%s: the account opens: %v", what, got)
				}
				if got := guards(other); got != wantGuard {
					t.Errorf("%s: the guard admits: %v", what, got)
				}
			}
			try("as set", good, "", true, true)
			for _, name := range all {
				if _, ours := good[name]; ours {
					continue
				}
				for _, value := range good {
					try("under "+name, map[string]string{name: value}, "", false, false)
				}
				try("beside "+name, good, "; "+name+"=x", true, true)
			}
			for _, name := range c.names { // the same name twice is nobody
				account, admitted := name != c.names[0], name != guardName
				try("doubled "+name, good, "; "+name+"=x", account, admitted)
				try("doubled with itself "+name, good, "; "+name+"="+good[name], account, admitted)
				try("other case of "+name, good, "; "+strings.ToUpper(name)+"=x", true, true)
			}
			if len(c.names) == 2 {
				domain := good[guardName]
				try("the domain's cookie alone", map[string]string{guardName: domain}, "", false, true)
				try("the domain's cookie under the portal's name", map[string]string{c.names[0]: domain}, "", false, false)
				// And all that the portal has, with the domain's cookie alone.
				thief := w.browser(c.origin)
				thief.jar = map[string]string{guardName: domain, c.names[0]: domain}
				for _, page := range pages(t) {
					if a := thief.get(page); strings.Contains(a.body, "alice") {
						t.Errorf("%s shows the owner's page to the domain's cookie", page)
					}
				}
				for _, api := range w.apiCalls(t) {
					a := thief.api(api.method, strings.TrimPrefix(api.path, apiPrefix), map[string]any{})
					if a.status < 400 && api.path != apiPrefix+"/login" && api.path != forAnybody {
						t.Errorf("%s %s: %d to the domain's cookie", api.method, api.path, a.status)
					}
				}
			}
		})
	}
}

// Somebody knows a password, stops between the doors and brings what he holds
// to every other door: as any cookie, as a token, as Basic. Gained before:
// everything, at the one endpoint that asked whether there was a session and
// not what it was worth.
func TestM1HalfALoginOpensNothingOfTheWholeGateway(t *testing.T) {
	e := newEcho(t)
	cfg := centralConfig(guard.Rule{Hosts: []string{"one.example.com"}, Realms: []string{"users"}, Factors: number(1)})
	cfg.Upstream, cfg.Credentials = e.URL, "all"
	w := open(t, cfg)
	alice := w.user("alice", "users")
	fresh := w.bare("frida", "users", nil) // must enrol first
	for _, p := range []*person{alice, fresh} {
		b := w.browser("https://" + portalHost)
		half := b.firstDoor(p, nil).header.Get("Location")
		page := b.jar[b.pendingName(t)]
		apiToken := b.api("POST", "/login", map[string]any{"name": p.name, "password": p.password}).fields(t)["ephemeral_token"].(string)
		for what, token := range map[string]string{"the pages' token": page, "the API's token": apiToken} {
			proofs := []http.Header{{"Authorization": {"Bearer " + token}}, {"Authorization": {"Basic " + basic(p.name+"@users", token)}}}
			for _, name := range []string{"sallyport_session", "__Host-sallyport_session", "__Secure-sallyport_session", "sallyport_portal", "__Host-sallyport_portal", "__Host-sallyport_ephemeral", "sallyport_browser", "__Host-sallyport_device"} {
				proofs = append(proofs, http.Header{"Cookie": {name + "=" + token + "; " + b.cookies()}})
			}
			for _, proof := range proofs {
				thief := w.browser("https://" + portalHost)
				for _, api := range w.apiCalls(t) {
					if strings.Contains(api.path, "/login") {
						continue // the doors themselves: they are tested in their rooms
					}
					if a := thief.api(api.method, strings.TrimPrefix(api.path, apiPrefix), nil, proof); a.status < 400 {
						t.Errorf("%s at %s %s: %d", what, api.method, api.path, a.status)
					}
				}
				for _, path := range pages(t) {
					if !strings.Contains(path, "/account/") && path != "/sallyport/recovery-codes.txt" && path != "/sallyport/setup/code" {
						continue
					}
					h := http.Header{"Accept": {"text/html"}}
					maps.Copy(h, proof)
					if a := thief.ask("GET", path, "", h); a.status == 200 {
						t.Errorf("%s at the page %s: 200", what, path)
					}
				}
				for _, host := range []string{appHost, "one.example.com"} {
					thief.host = host
					for _, path := range []string{"/sallyport/authz/forward-auth", "/sallyport/authz/auth-request", "/sallyport/authz/ext-authz/x"} {
						h := http.Header{"X-Original-Url": {"https://" + host + "/x"}, "X-Original-Method": {"GET"}}
						maps.Copy(h, proof)
						if a := thief.forwardAuth(path, "GET", "/x", h); a.status < 400 && a.status != http.StatusFound || a.status == 200 {
							t.Errorf("%s at %s for %s: %d", what, path, host, a.status)
						}
					}
					if a := thief.ask("GET", "/x", "", proof); a.status < 300 {
						t.Errorf("%s through the proxy to %s: %d", what, host, a.status)
					}
					if a := thief.ask("GET", "/x", "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Cookie": proof["Cookie"]}); a.status < 300 {
						t.Errorf("%s with an upgrade to %s: %d", what, host, a.status)
					}
				}
			}
		}
		if e.hits.Load() != 0 {
			t.Errorf("%d requests of half a login reached the upstream", e.hits.Load())
		}
		if half == "" {
			t.Fatal("no half login")
		}
	}
}

// An application at its own host, with the portal elsewhere: below /sallyport/
// there is the way to the portal, the sign-out and health, and nothing that a
// script of the application could use.
func TestAGuardedHostAnswersTheWayToThePortalLogoutAndHealthAlone(t *testing.T) {
	e := newEcho(t)
	cfg := centralConfig()
	cfg.Upstream = e.URL
	w := open(t, cfg)
	alice := w.user("alice", "users")
	portal := w.browser("https://" + portalHost)
	portal.login(alice)
	for _, host := range []string{appHost, "auth.example.com.evil.example", "public.example.com", "evil.example", portalHost + ".", "AUTH.example.com.x"} {
		app := w.browser("https://" + host)
		maps.Copy(app.jar, portal.jar)
		if canonical := strings.TrimSuffix(host, "."); canonical == portalHost {
			wantStatus(t, app.get("/sallyport/account/"), 200) // the same host, in another spelling
			continue
		}
		a := app.get("/sallyport/")
		if a.status != http.StatusFound || a.header.Get("Location") != "https://"+portalHost+"/sallyport/" {
			t.Errorf("%s/sallyport/: %d to %q", host, a.status, a.header.Get("Location"))
		}
		for _, path := range pages(t) {
			want := []int{http.StatusNotFound}
			switch path {
			case "/sallyport/":
				want = []int{http.StatusFound}
			case "/sallyport/logout", "/sallyport/healthz", "/sallyport/readyz":
				want = []int{200}
			}
			wantStatus(t, app.get(path), want...)
		}
		for _, api := range w.apiCalls(t) {
			wantStatus(t, app.api(api.method, strings.TrimPrefix(api.path, apiPrefix), nil), http.StatusNotFound)
		}
		for _, path := range []string{"/sallyport/api/v1", "/sallyport/api/v1/", "/sallyport/api/v2/me", "/sallyport/openapi.json", "/sallyport/docs", "/sallyport/docs/try.js", "/sallyport/x", "/sallyport/admin/", "/sallyport/authz/", "/sallyport/authz/x"} {
			wantStatus(t, app.get(path), http.StatusNotFound)
		}
	}
	if e.hits.Load() != 0 {
		t.Errorf("%d requests below /sallyport/ reached the upstream", e.hits.Load())
	}
	// What belongs to the application at its own host is not taken from it.
	app := portal.at(appHost)
	for _, path := range []string{"/api/v1/me", "/api/authz/forward-auth", "/sallyportal/", "/sallyport-x", "/x/sallyport/"} {
		if got := app.ask("GET", path, "", nil).echo(t); got.Target != path {
			t.Errorf("%s arrived as %s", path, got.Target)
		}
	}
}

// A path that the gateway does not take for its own, and the application reads
// as /sallyport/…: its answer would look like ours. Gained before: a login page
// of the application's making, on our address.
func TestNoSpellingOfOurPrefixReachesTheUpstream(t *testing.T) {
	w, e := guarding(t)
	signed := w.browser(w.here())
	signed.login(w.user("alice", "users"))
	public := w.browser(w.here())
	public.host = "public.example.com"
	for _, path := range []string{
		"/sallyport", "/sallyport/", "/sallyport/x", "/Sallyport/", "/SALLYPORT/login", "//sallyport/", "///sallyport//login", "/./sallyport/", "/x/../sallyport/",
		"/%73allyport/", "/%73%61llyport/login", "/sallyport%2flogin", "/sallyport%2Flogin", "/%2fsallyport/", "/x/%2e%2e/sallyport/", "/x/..%2fsallyport/", "/%2573allyport/",
		"/sallyport%252flogin", `/\sallyport/`, `/sallyport\login`, "/%5csallyport/", "/sallyport;x=1/login", "/;x/sallyport/", "/sallyport%3bx/login", "/SALLYPORT%2f..%2fsallyport/",
		"/sallyport/../sallyport/x", "/sallyport/%2e/x", "/sallyport/.", "/sallyport/%00", "/x/..;/sallyport/", "/sallyport?x", "/sallyport/?x=/y", "/sallyport#x", "/%25%37%33allyport/",
	} {
		for _, b := range []*browser{signed, public} {
			a, err := b.try("GET", path, "", nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if a.header.Get("X-Echo") != "" {
				t.Errorf("%s reached the upstream of %s", path, b.host)
			}
		}
	}
	// A way out of our prefix is not ours, whatever stands before it: refused
	// rather than guessed.
	for _, path := range []string{"/sallyport/../x", "/sallyport/%2e%2e/x"} {
		if a := signed.ask("GET", path, "", nil); a.header.Get("X-Echo") != "" || a.status < 400 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if e.hits.Load() != 0 {
		t.Errorf("%d requests reached the upstream", e.hits.Load())
	}
}

// Without a portal the scripts of an application share our origin, and the
// browser sends them our cookie. It opens nothing to them that they do not have
// anyway: who is there, and the way out.
func TestOnASharedOriginTheCookieOpensTwoCallsAlone(t *testing.T) {
	w, _ := guarding(t)
	b := w.browser(w.here())
	b.login(w.user("alice", "users"))
	opened := map[call]bool{}
	for _, api := range w.apiCalls(t) {
		if strings.HasPrefix(api.path, apiPrefix+"/login") || api.path == apiPrefix+"/token/refresh" || api.path == apiPrefix+"/logout" {
			continue // prove nothing by the cookie, or are tried last
		}
		a := b.api(api.method, strings.TrimPrefix(api.path, apiPrefix), map[string]any{}, http.Header{"Sec-Fetch-Site": {"same-origin"}})
		if a.status < 400 {
			opened[api] = true
		}
	}
	want := call{"GET", apiPrefix + "/me"}
	if len(opened) != 1 || !opened[want] {
		t.Errorf("the cookie opens %v", opened)
	}
	// Nor can a script load pages: neither by fetch nor in a frame.
	for _, path := range pages(t) {
		if strings.HasSuffix(path, "z") || strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".png") {
			continue
		}
		for _, h := range []http.Header{
			{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}},
			{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Site": {"same-origin"}},
			{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"object"}, "Sec-Fetch-Site": {"same-origin"}},
			{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"script"}, "Sec-Fetch-Site": {"same-origin"}},
		} {
			if a := b.ask("GET", path, "", h); a.status < 400 {
				t.Errorf("%s with %v: %d", path, h, a.status)
			}
		}
		a := b.get(path)
		if a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("Cross-Origin-Opener-Policy") != "same-origin" || !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	// Every change of the account asks for a code in the same request.
	for path, form := range map[string]url.Values{
		"/sallyport/account/password":       {"password": {goodPassword}, "new_password": {"a bittern booms at night"}, "again": {"a bittern booms at night"}},
		"/sallyport/account/totp":           {},
		"/sallyport/account/recovery-codes": {},
	} {
		if a := b.post(path, form); a.status < 400 {
			t.Errorf("%s without a code: %d to %s", path, a.status, a.header.Get("Location"))
		}
	}
	wantStatus(t, b.api("POST", "/logout", nil), http.StatusNoContent)
	wantStatus(t, b.api("GET", "/me", nil), http.StatusUnauthorized)
}

// A page of another site, of a sibling host or of nowhere posts to us with the
// browser's cookies.
func TestS4NoForeignPageChangesAnything(t *testing.T) {
	w := central(t)
	alice := w.user("alice", "users")
	b := w.browser("https://" + portalHost)
	b.login(alice)
	for _, h := range []http.Header{
		{"Origin": {"https://evil.example"}}, {"Origin": {"null"}}, {"Origin": {"https://" + appHost}}, {"Origin": {"http://" + portalHost}}, {"Origin": {"https://" + portalHost + ":444"}},
		{"Origin": {"https://" + portalHost, "https://evil.example"}}, {"Origin": {"https://" + portalHost}, "Sec-Fetch-Site": {"same-site"}},
		{"Origin": {"https://" + portalHost}, "Sec-Fetch-Site": {"cross-site"}}, {},
	} {
		form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		maps.Copy(form, h)
		for _, page := range pages(t) {
			if a := b.ask("POST", page, "username=alice&password=x&code=123456&id=x", form); a.status < 400 {
				t.Errorf("POST %s with %v: %d", page, h, a.status)
			}
		}
		for _, api := range w.apiCalls(t) {
			door := slices.ContainsFunc([]string{"/login", "/token", "/password-reset", "/register", "/not-me"}, func(name string) bool {
				return strings.HasPrefix(api.path, apiPrefix+name)
			})
			if api.method == "GET" || len(h) == 0 && door {
				continue // without either header these prove by their body
			}
			body := http.Header{"Content-Type": {"application/json"}}
			maps.Copy(body, h)
			text := "{}"
			if strings.HasSuffix(api.path, "/confirm") { // whose body may be a proof
				text = `{"code":"123456"}`
			}
			if a := b.ask(api.method, api.path, text, body); a.status != http.StatusForbidden {
				t.Errorf("%s %s with %v: %d", api.method, api.path, h, a.status)
			}
		}
		wantStatus(t, b.api("GET", "/me", nil), 200) // still signed in
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json, text/plain", "application/jsonp", ""} {
		a := b.ask("POST", apiPrefix+"/login", `{"name":"alice","password":"x"}`, http.Header{"Content-Type": {kind}, "Origin": {"https://" + portalHost}})
		wantStatus(t, a, http.StatusUnsupportedMediaType)
	}
}
