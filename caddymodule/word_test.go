package caddymodule_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// `sallyport` alone in a site block, and nothing else configured: a stranger is
// sent to the login on the same host, both doors lead back to where he wanted to
// go, and the application is told who came.
func TestOneWordGuardsASite(t *testing.T) {
	e := newEcho(t)
	s := serveCaddy(t, "", "http://localhost:HTTP_PORT {\nsallyport\nreverse_proxy "+e.address()+"\n}")

	links := s.setupLinks()
	if len(links) != 1 || !strings.HasPrefix(links[0], s.base+"/sallyport/setup?token=spi_") {
		t.Fatalf("printed setup links %v, want one that starts with %s\n%s", links, s.base, s.logs())
	}
	for _, dir := range []string{s.state, filepath.Join(s.state, "db")} {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("state directory %s: %v %v, want mode 0700", dir, info, err)
		}
	}

	alice := s.user("alice")
	b := s.browser("")
	login := b.goesTo(b.get("/reports/2026?year=1&x=%2F"), http.StatusFound)
	if want := "/sallyport/login?rd=" + url.QueryEscape("/reports/2026?year=1&x=%2F"); !strings.HasPrefix(login, want) {
		t.Fatalf("a stranger is sent to %s, want %s", login, want)
	}
	if e.hits.Load() != 0 {
		t.Fatal("a stranger's request reached the application")
	}
	wantStatus(t, b.get(login), 200)
	back := b.login(alice, login)
	if back != "/reports/2026?year=1&x=%2F" {
		t.Fatalf("after both doors the browser is sent to %s", back)
	}
	got := b.ask("GET", back, "", http.Header{"Remote-User": {"root"}, "Remote_User": {"root"}, "X-App": {"1"}}).seen(t)
	if got.Target != back || got.Header.Get("Remote-User") != "alice" || got.Header.Get("Remote-Realm") != "users" || got.Header.Get("X-App") != "1" {
		t.Errorf("the application saw %+v", got)
	}
	for name, values := range got.Header {
		if strings.Contains(strings.Join(values, " "), "root") || strings.Contains(strings.Join(values, " "), "sps_") {
			t.Errorf("the application saw %s: %v", name, values)
		}
	}

	wantStatus(t, b.get("/sallyport/"), 200)
	stolen := b.cookies()
	if to := b.goesTo(b.post("/sallyport/logout", url.Values{}), http.StatusSeeOther); !strings.HasPrefix(to, "/sallyport/") {
		t.Errorf("signing out leads to %s", to)
	}
	b.goesTo(b.get("/"), http.StatusFound)
	wantStatus(t, b.ask("GET", "/", "", http.Header{"Cookie": {stolen}}), http.StatusUnauthorized)
}
