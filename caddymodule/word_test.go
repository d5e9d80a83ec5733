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

// The setup link is for whoever has the terminal: it names the site as a browser
// finds it, stands there when a server begins and not at each reload, and no longer
// once an administrator exists.
func TestSetupLinkNamesTheSite(t *testing.T) {
	s := newCaddy(t)
	config := s.file("sallyport {\n"+cheap+"}", "https://app.localhost:HTTPS_PORT {\nsallyport\nrespond hello\n}")
	s.start(config)
	origin := "https://app.localhost:" + s.https
	links := s.setupLinks()
	if len(links) != 1 || !strings.HasPrefix(links[0], origin+"/sallyport/setup?token=spi_") {
		t.Fatalf("printed setup links %v, want one that starts with %s\n%s", links, origin, s.logs())
	}
	s.reload(config)
	b := s.browser(origin)
	clean := b.goesTo(b.get(strings.TrimPrefix(links[0], origin)), http.StatusSeeOther)
	if strings.Contains(clean, "spi_") {
		t.Errorf("the token stays in the address: %s", clean)
	}
	wantStatus(t, b.get(clean), 200)
	if again := s.setupLinks(); len(again) != 1 {
		t.Errorf("a reload printed another link: %v", again)
	}
	for line := range strings.Lines(s.logs()) {
		if strings.HasPrefix(line, "{") && strings.Contains(line, "spi_") {
			t.Errorf("the log has the token: %s", line)
		}
	}
	root := s.member("root", "admin", nil)
	s.term()
	s.start(config)
	b.signIn(root)
	if again := s.setupLinks(); len(again) != 0 {
		t.Errorf("an administrator exists, and these are printed: %v", again)
	}
}

// The decision is on what goes on to the application, the way back is what the
// browser asked for, whatever stands in front: `rewrite`, `uri`, `handle_path`,
// `try_files`. And the login pages are where they always are, although a
// single-page application takes every unknown path for its own.
func TestRewritesBeforeTheGuard(t *testing.T) {
	e := newEcho(t)
	s := newCaddy(t)
	root := filepath.Join(s.home, "www")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"index.html": "the application", "public.txt": "for everybody"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rules := "sallyport {\nrule {\npath /public/*\nfactors 0\n}\nrule {\nrealm users\n}\n}\n"
	s.start(s.file("sallyport {\n"+cheap+"}", `
http://rewrite.localhost:HTTP_PORT {
	rewrite /old/* /public{uri}
	rewrite /open/secret /secret
	`+rules+`
	reverse_proxy `+e.address()+`
}
http://strip.localhost:HTTP_PORT {
	uri strip_prefix /app
	`+rules+`
	reverse_proxy `+e.address()+`
}
http://nested.localhost:HTTP_PORT {
	handle_path /app/* {
		`+rules+`
		reverse_proxy `+e.address()+`
	}
	handle {
		sallyport
		reverse_proxy `+e.address()+`
	}
}
http://spa.localhost:HTTP_PORT {
	root * `+root+`
	try_files {path} /index.html
	sallyport
	file_server
}
`))
	alice := s.user("alice")
	origin := func(host string) string { return "http://" + host + ".localhost:" + s.http }

	for _, c := range []struct{ host, ask, goesOn string }{
		{"rewrite", "/old/x?y=1", "/public/old/x?y=1"},
		{"strip", "/app/public/x?y=1", "/public/x?y=1"},
		{"nested", "/app/public/x", "/public/x"},
	} {
		if got := s.browser(origin(c.host)).get(c.ask).seen(t); got.Target != c.goesOn || got.Header.Get("Remote-User") != "" {
			t.Errorf("%s%s reached the application as %+v, want %s and nobody", c.host, c.ask, got, c.goesOn)
		}
	}
	for _, c := range []struct{ host, ask, goesOn string }{
		{"rewrite", "/open/secret?y=1", "/secret?y=1"},
		{"strip", "/app/secret?y=1", "/secret?y=1"},
		{"nested", "/app/secret", "/secret"},
	} {
		b := s.browser(origin(c.host))
		login := b.goesTo(b.get(c.ask), http.StatusFound)
		if want := "/sallyport/login?rd=" + url.QueryEscape(c.ask); !strings.HasPrefix(login, want) {
			t.Errorf("%s%s sends a stranger to %s, want %s", c.host, c.ask, login, want)
		}
		wantStatus(t, b.get(login), 200)
	}

	b := s.browser(origin("spa"))
	login := b.goesTo(b.get("/some/view?tab=2"), http.StatusFound)
	wantStatus(t, b.get(login), 200)
	back := b.login(alice, login)
	if back != "/some/view?tab=2" {
		t.Fatalf("after both doors the browser is sent to %s", back)
	}
	if a := b.get(back); a.status != 200 || a.body != "the application" {
		t.Errorf("the application's view: %d %s", a.status, a.body)
	}
	if a := b.get("/public.txt"); a.status != 200 || a.body != "for everybody" {
		t.Errorf("a file: %d %s", a.status, a.body)
	}
	wantStatus(t, b.get("/sallyport/nothing"), http.StatusNotFound)
	for _, hidden := range []string{"/%73allyport/login", "/sallyport%2flogin", "//sallyport/login", "/x/../sallyport/login", "/SALLYPORT/login"} {
		if a := b.get(hidden); a.status == 200 && a.body != "the application" {
			t.Errorf("%s: %d %s", hidden, a.status, a.body)
		}
	}
}
