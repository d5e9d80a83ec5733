package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/portal"
)

// callers are browsers in every state in which somebody can stand at the
// pages.
func callers(h *house) map[string]*browser {
	t := h.t
	_, e := h.person("walker", "users", true)
	h.person("newcomer", "users", false)
	id, _ := h.person("guest", "users", false)
	all := map[string]*browser{"anyone": h.browser(), "halfway": h.browser(), "enrolling": h.browser(),
		"setting up": h.browser(), "invited": h.browser(), "signed in": h.browser(),
		"resetting": h.browser(), "registering": h.browser(), "objecting": h.browser()}
	all["halfway"].signIn("walker", nil, "").want(t, 200, "Second step")
	all["enrolling"].signIn("newcomer", nil, "").want(t, 200, "Set up your authenticator")
	all["signed in"].signIn("walker", e, "").leads(t, "/sallyport/")
	setup, err := h.doors.SetupLink(t.Context())
	must(t, err)
	all["setting up"].follow(all["setting up"].get("/sallyport/setup?token="+setup.Reveal())).want(t, 200, "Create the first administrator")
	var link secret.Token
	must(t, h.store.Update(t.Context(), func(tx store.Tx) (err error) {
		link, err = h.doors.Invite(tx, account.Local(), id)
		return err
	}))
	all["invited"].follow(all["invited"].get("/sallyport/invite?token="+link.Reveal())).want(t, 200, "Welcome")
	h.openLinks(all)
	return all
}

// refused reports whether an answer is one of those that let nobody pass.
func refused(p *page) bool {
	switch p.Status {
	case 401, 403, 404, 409:
		return true
	case 303:
		return strings.HasPrefix(p.Location, "/sallyport/login?rd=")
	}
	return false
}

// Attack: a page that nobody remembered to guard (diagnostics, a step of a
// wizard) answers whoever asks. Every route declares who may call it; here
// each of the others tries. M1: that includes everybody who passed only the
// first door, at every route.
func TestS9M1EveryRouteRefusesWhoeverItDoesNotName(t *testing.T) {
	h := build(t, plan{})
	browsers := callers(h)
	seen := map[string]bool{}
	for _, line := range portal.RoutesForTest(h.portal) {
		seen[line.By] = true
		if line.By == "anyone" {
			continue
		}
		for who, b := range browsers {
			if who == line.By {
				continue
			}
			var form url.Values
			if line.Method == http.MethodPost {
				form = url.Values{"code": {"123456"}, "new_password": {password + " x"}, "again": {password + " x"},
					"username": {"mallory"}, "password": {password}, "recovery_code": {"aaaa-bbbb"}, "id": {"x"}}
			}
			if got := b.do(b.request(line.Method, line.Path, form)); !refused(got) {
				t.Errorf("%s %s declares %q; %q got %d %q", line.Method, line.Path, line.By, who, got.Status, got.Title)
			}
		}
	}
	for _, by := range []string{"anyone", "halfway", "enrolling", "setting up", "invited", "signed in"} {
		if !seen[by] {
			t.Errorf("no route names %q: the walk proves nothing about it", by)
		}
	}
	// Nobody got anywhere: the half logins are where they were.
	browsers["halfway"].get("/sallyport/login/code").want(t, 200, "Second step")
	browsers["enrolling"].get("/sallyport/enroll/totp").want(t, 200, "Set up your authenticator")
}

// Attack: the table forgets a method or names none. Each path answers what it
// declares and 405 with Allow to the rest; unknown paths, and other spellings
// of known ones, are 404 and never reach anything else.
func TestS9MethodsAndSpellings(t *testing.T) {
	h := build(t, plan{})
	b := h.browser()
	methods := map[string]string{}
	for _, line := range portal.RoutesForTest(h.portal) {
		methods[line.Path] += line.Method + " "
	}
	for path, declared := range methods {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "FOO"} {
			ask := method
			if method == "HEAD" {
				ask = "GET"
			}
			got := b.do(b.request(method, path, nil))
			if strings.Contains(declared, ask+" ") {
				if got.Status == 405 || got.Status == 404 && path != "/sallyport/enroll/qr.png" {
					t.Errorf("%s %s: %d, but the table has it", method, path, got.Status)
				}
				continue
			}
			if got.Status != 405 || got.Header.Get("Allow") == "" {
				t.Errorf("%s %s: %d with Allow %q, want 405", method, path, got.Status, got.Header.Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/sallyport/admin/", "/sallyport/admin", "/sallyport/Reset", "/sallyport/x", "/sallyport/login/",
		"/sallyport/%6cogin", "/sallyport/Login", "/sallyport/account", "/sallyport/login;x", "/sallyport//login", "/sallyport/./login",
		"/sallyport/x/../login", "/sallyport/healthz/", "/sallyport/login%2Fcode", "/sallyport/static/x/style.css", "/sallyport/debug/pprof/"} {
		r := b.request("GET", "/", nil)
		r.URL.Opaque = path
		if got := b.do(r); got.Status != 404 || got.Title != "Not found" {
			t.Errorf("%s: %d %q, want 404", path, got.Status, got.Title)
		}
	}
	b.get("/sallyport").leads(t, "/sallyport/")
}

// Attack: a page in a frame takes a click; a script of an upstream that
// shares our origin fetches a page and reads it.
func TestPagesAnswerWindowsOfTheirOwnAlone(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("walker", "users", true)
	b := h.browser()
	b.signIn("walker", e, "")
	for _, sent := range []map[string]string{
		{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
		{"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty"},
		{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
		{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"},
		{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
	} {
		for _, line := range portal.RoutesForTest(h.portal) {
			if !line.Window {
				continue
			}
			var form url.Values
			if line.Method == http.MethodPost {
				form = url.Values{}
			}
			r := b.request(line.Method, line.Path, form)
			for name, value := range sent {
				r.Header.Set(name, value)
			}
			if got := b.do(r); got.Status != 403 || strings.Contains(got.Body, "walker") {
				t.Errorf("%s %s with %v: %d, want 403", line.Method, line.Path, sent, got.Status)
			}
		}
	}
	b.get("/sallyport/account/").want(t, 200, "Your account")
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Referrer-Policy": "same-origin",
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if got := b.page.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	csp := b.page.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self';"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %q", csp, want)
		}
	}
	if strings.Contains(csp, "script") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q lets something run", csp)
	}
}

// With a portal a guarded host knows the way there, logout and health. Its
// cookie opens no account, and signing out there ends the portal's session too.
func TestGuardedHostsKnowLogoutAndHealthAlone(t *testing.T) {
	h := build(t, plan{domain: true})
	_, e := h.person("walker", "users", true)
	b := h.browser()
	b.signIn("walker", e, "https://auth.example.com/x").leads(t, "https://auth.example.com/x")
	const app = "https://app.example.com"
	for _, line := range portal.RoutesForTest(h.portal) {
		if line.Guarded {
			continue
		}
		var form url.Values
		if line.Method == http.MethodPost {
			form = url.Values{}
		}
		got := b.do(b.request(line.Method, app+line.Path, form))
		if line.Path == "/sallyport/" {
			if got.Status != 302 || got.Location != "https://auth.example.com/sallyport/" {
				t.Errorf("%s: %d to %q, want the portal", line.Path, got.Status, got.Location)
			}
			continue
		}
		if got.Status != 404 {
			t.Errorf("%s %s on a guarded host: %d, want 404", line.Method, line.Path, got.Status)
		}
	}
	b.get(app+"/sallyport/healthz").want(t, 200, "")
	b.get(app+"/sallyport/logout").want(t, 200, "Sign out")
	if got := b.send("/sallyport/logout"); got.Location != "https://auth.example.com/sallyport/?m=signedout" {
		t.Errorf("signing out of a guarded host leads to %q", got.Location)
	}
	if got := b.get("/sallyport/account/"); got.Status != 303 {
		t.Errorf("the portal's session goes on: %d", got.Status)
	}
}

func TestHealthReadinessAndKeys(t *testing.T) {
	h := build(t, plan{})
	b := h.browser()
	if got := b.get("/sallyport/healthz"); got.Status != 200 || got.Body != "ok\n" {
		t.Errorf("healthz: %d %q", got.Status, got.Body)
	}
	if got := b.get("/sallyport/readyz"); got.Status != 200 {
		t.Errorf("readyz: %d", got.Status)
	}
	if got := b.get("/sallyport/jwks.json"); got.Status != 200 || !strings.Contains(got.Body, `"keys"`) || strings.Contains(got.Body, `"d"`) {
		t.Errorf("jwks.json: %d %s", got.Status, got.Body)
	}
	down := build(t, plan{broken: true}).browser()
	if got := down.get("/sallyport/readyz"); got.Status != 503 {
		t.Errorf("readyz without a store: %d, want 503", got.Status)
	}
	if got := down.get("/sallyport/healthz"); got.Status != 200 {
		t.Errorf("healthz without a store: %d, want 200", got.Status)
	}
}

func TestStaticFilesAreKeptForEver(t *testing.T) {
	h := build(t, plan{})
	b := h.browser()
	b.get("/sallyport/login")
	i := strings.Index(b.page.Body, "/sallyport/static/")
	path := b.page.Body[i : i+strings.IndexByte(b.page.Body[i:], '"')]
	got := b.get(path)
	if got.Status != 200 || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/css") || !strings.Contains(got.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %d %v", path, got.Status, got.Header)
	}
}
