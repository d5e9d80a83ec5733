package deploy_test

import (
	"net/http"
	"strings"
	"testing"
)

// A stranger opens a page: the portal, both doors, and back to that page.
func TestFromThePageToThePortalAndBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.jar(t)
		target := w.url(appHost, "/report/2026?from=a&to=b%20c")
		first := w.follow(t, c, target)
		login := first.header.Get("Location")
		if first.status != 302 || first.app != nil || !strings.HasPrefix(login, w.url(portalHost, "/sallyport/login?")) {
			t.Fatalf("%d to %q %.300s", first.status, login, first.body)
		}
		p := w.person("carol")
		if back := w.signIn(t, c, login, p, p.code(t, 0)); back != target {
			t.Fatalf("back to %q, want %q", back, target)
		}
		shown := w.follow(t, c, target)
		if shown.status != 200 || shown.app == nil || shown.app.one("Remote-User") != "carol" || shown.app.Target != "/report/2026?from=a&to=b%20c" {
			t.Fatalf("%d %+v", shown.status, shown.app)
		}
	})
}

// A program gets 401 with the login's address, a page that was posted 303.
func TestWhoIsSentToTheLoginAndHow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, c := range map[string]struct {
			method string
			header http.Header
			status int
		}{
			"browser":            {"GET", page, 302},
			"HEAD":               {"HEAD", page, 302},
			"old browser":        {"GET", http.Header{"Accept": {"text/html"}}, 302},
			"form":               {"POST", page, 303},
			"program":            {"GET", http.Header{"Accept": {"application/json"}}, 401},
			"script of a page":   {"GET", http.Header{"Accept": {"text/html"}, "X-Requested-With": {"XMLHttpRequest"}}, 401},
			"fetch":              {"GET", http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}}, 401},
			"broken cookie":      {"GET", http.Header{"Cookie": {"__Secure-sallyport_session=broken"}}, 401},
			"program that posts": {"POST", nil, 401},
		} {
			a := w.ask(t, w.client(), c.method, appHost, "/x", c.header, "")
			if a.status != c.status || a.app != nil {
				t.Errorf("%s: %d, want %d", name, a.status, c.status)
			}
			if locations := a.header["Location"]; len(locations) != 1 || !strings.HasPrefix(locations[0], w.url(portalHost, "/sallyport/login")) {
				t.Errorf("%s: Location %q", name, locations)
			}
			if challenge := strings.Join(a.header["Www-Authenticate"], "|"); c.status == 401 && challenge != `Bearer realm="sallyport"` {
				t.Errorf("%s: WWW-Authenticate %q", name, challenge)
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control %q", name, a.header.Get("Cache-Control"))
			}
		}
	})
}

// Without a portal each guarded host has the pages itself, and a gateway on a unix
// socket is asked there.
func TestWithoutAPortalOverAUnixSocket(t *testing.T) {
	for _, proxy := range proxyNames {
		t.Run(proxy, func(t *testing.T) {
			w, err := open(proxy, setup{alone: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.close)
			w.addUser(t, "alice", "ops", "staff")
			c, p := w.jar(t), w.person("alice")
			target := w.url(appHost, "/report?x=1")
			first := w.follow(t, c, target)
			login := w.absolute(target, first.header.Get("Location"))
			if first.status != 302 || !strings.HasPrefix(login, w.url(appHost, "/sallyport/login?")) {
				t.Fatalf("%d to %q", first.status, login)
			}
			if back := w.signIn(t, c, login, p, p.code(t, 0)); back != target {
				t.Fatalf("back to %q", back)
			}
			if shown := w.follow(t, c, target); shown.app == nil || shown.app.one("Remote-User") != "alice" || shown.app.one("Cookie") != "" {
				t.Errorf("%+v", shown)
			}
			// The cookie is this host's alone.
			if a := w.follow(t, c, w.url("xf.example.com", "/")); a.app != nil || a.status != 302 {
				t.Errorf("another host: %d", a.status)
			}
			for _, target := range []string{"/sallyport/authz/auth-request", "/sallyport/authz/ext-authz/../../login", "/api/authz/forward-auth"} {
				if a := w.rawGet(t, appHost, target); a == nil || a.status != 404 {
					t.Errorf("%s: %+v", target, a)
				}
			}
			// Whose address it is still counts.
			if a := w.rawGet(t, appHost, "/network/x", "X-Forwarded-For: 192.0.2.7"); a == nil || a.app != nil {
				t.Errorf("another's address: %+v", a)
			}
		})
	}
}
