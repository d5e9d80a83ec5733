package caddymodule_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is refused arrives with its own status and headers: through handle_errors
// where the site has routes for it, as our page or problem document where it has
// none, although another site of the same server has some.
func TestRefusalsArriveAsSuch(t *testing.T) {
	e := newEcho(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", `
http://with.localhost:HTTP_PORT {
	handle_errors {
		header X-Handled yes
		respond "handled {err.status_code} {err.message} {uri}"
	}
	uri strip_prefix /app
	sallyport {
		rule {
			path /denied/*
			deny
		}
		rule {
			path /Admin/*
			realm nobody
		}
		rule {
			realm users
		}
	}
	reverse_proxy `+e.address()+`
}
http://some.localhost:HTTP_PORT {
	handle_errors 404 5xx {
		respond "handled {err.status_code}"
	}
	sallyport {
		realm users
		group ops
	}
	reverse_proxy 127.0.0.1:1
}
http://without.localhost:HTTP_PORT {
	sallyport {
		realm users
		group ops
	}
	reverse_proxy `+e.address()+`
}`)
	alice := s.user("alice")
	ops := s.user("olga", "ops")
	at := func(host string, p person) *browser {
		return s.browser("http://" + host + ".localhost:" + s.http).signIn(p)
	}
	with, some, without := at("with", alice), at("some", ops), at("without", s.user("bob"))
	wantNoStore := func(a *answer) {
		t.Helper()
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", a.what, a.header.Get("Cache-Control"))
		}
	}

	stranger := s.browser(with.origin)
	for _, c := range []struct {
		a      *answer
		status int
	}{
		{with.get("/denied/x"), 403},
		{with.fetch("/denied/x"), 403},
		{stranger.fetch("/x"), 401},
		{with.get("/%61dmin/x"), 400},
		{with.get("/x%00"), 400},
		{with.ask("TRACE", "/x", "", nil), 405},
		{with.get("/app/sallyport%2flogin"), 404},
	} {
		wantStatus(t, c.a, c.status)
		if c.a.header.Get("X-Handled") != "yes" || !strings.HasPrefix(c.a.body, fmt.Sprintf("handled %d", c.status)) {
			t.Errorf("%s did not go through handle_errors: %v %s", c.a.what, c.a.header, c.a.body)
		}
		wantNoStore(c.a)
	}
	if a := stranger.fetch("/x"); a.header.Get("Www-Authenticate") == "" || !strings.Contains(a.header.Get("Location"), "/sallyport/login?rd=%2Fx") {
		t.Errorf("a 401 through handle_errors: %v", a.header)
	}
	stranger.goesTo(stranger.get("/x"), http.StatusFound) // a person goes to the login all the same
	with.get("/app/x").seen(t)

	// This site handles some errors, not those that we refuse with.
	wantStatus(t, some.get("/x"), 502)
	if a := some.get("/x"); a.body != "handled 502" {
		t.Errorf("an application that is down: %d %s", a.status, a.body)
	}
	lacks := s.browser(some.origin)
	lacks.jar = without.jar
	for _, b := range []*browser{lacks, without} {
		page, program := b.get("/x"), b.fetch("/x")
		wantStatus(t, page, 403)
		wantStatus(t, program, 403)
		wantNoStore(page)
		wantNoStore(program)
		if !strings.Contains(page.body, "<html") || !strings.Contains(page.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: a person is shown %v %.200s", page.what, page.header, page.body)
		}
		var problem struct{ Code, Detail string }
		if err := json.Unmarshal([]byte(program.body), &problem); err != nil || problem.Code != "forbidden" || program.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: a program reads %v %s", program.what, program.header, program.body)
		}
	}
}

// The access log and everything that reads placeholders know who was let in.
func TestPlaceholdersAndAccessLogKnowTheUser(t *testing.T) {
	e := newEcho(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", `
http://localhost:HTTP_PORT {
	log {
		output file HOME/access.log
	}
	sallyport {
		rule {
			path /public/*
			factors 0
		}
		rule {
			realm users
		}
		rule {
			realm staff
		}
	}
	respond /who "{http.auth.user.id}|{http.auth.user.name}|{http.auth.user.email}|{http.auth.user.groups}|{http.auth.user.realm}|{http.auth.user.uuid}"
	respond /public/who "[{http.auth.user.id}]"
	reverse_proxy `+e.address()+` {
		header_up X-User {http.auth.user.id}
		header_up X-Groups {http.auth.user.groups}
	}
}`)
	alice := s.member("alice", "users", map[string]any{"full_name": "Alice Åberg", "email": "alice@corp.example", "groups": []string{"ops", "dev"}})
	b := s.browser("").signIn(alice)
	who := strings.Split(b.fetch("/who").body, "|")
	if len(who) != 6 || who[0] != "alice" || who[2] != "alice@corp.example" || who[4] != "users" || len(who[5]) != 36 {
		t.Errorf("placeholders %q", who)
	}
	if groups := strings.Split(who[3], ","); len(groups) != 2 || !slices.Contains(groups, "ops") {
		t.Errorf("groups %q", who[3])
	}
	if got := b.fetch("/x").seen(t); got.Header.Get("X-User") != "alice" || got.Header.Get("X-Groups") != who[3] || got.Header.Get("Remote-Groups") != who[3] {
		t.Errorf("the application saw %v", got.Header)
	}
	if a := s.browser("").fetch("/public/who"); a.status != 200 || a.body != "[]" {
		t.Errorf("nobody is %d %q", a.status, a.body)
	}
	wantStatus(t, s.browser("").fetch("/stranger"), 401)
	eventually(t, "three lines in the access log", func() bool {
		log, _ := os.ReadFile(filepath.Join(s.home, "access.log"))
		return strings.Contains(string(log), "/stranger")
	})
	log, err := os.ReadFile(filepath.Join(s.home, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	users := map[string]string{}
	for line := range strings.Lines(string(log)) {
		var entry struct {
			UserID  string `json:"user_id"`
			Request struct{ URI string }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		users[entry.Request.URI] = entry.UserID
	}
	if users["/x"] != "alice" || users["/who"] != "alice" || users["/public/who"] != "" || users["/stranger"] != "" {
		t.Errorf("the access log names %v", users)
	}
	if strings.Contains(string(log), "sps_") {
		t.Error("the access log has session cookies")
	}
}

// R14: somebody names himself {env.HOME} or {file./etc/passwd}, and waits for a
// server that looks through user text for placeholders. Gained before: the
// environment and every file that Caddy may read, in a header or a page.
func TestR14UserTextIsNeverExpanded(t *testing.T) {
	e := newEcho(t)
	s := newCaddy(t)
	secret := filepath.Join(s.home, "secret.txt")
	if err := os.WriteFile(secret, []byte("the content of a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(s.file("sallyport {\n"+cheap+"}", `
http://localhost:HTTP_PORT {
	log {
		output file HOME/access.log
	}
	handle_errors {
		respond "{err.status_code} {http.auth.user.name} {http.request.header.Remote-Name}"
	}
	sallyport {
		rule {
			path /denied/*
			realm users
			group nobody
		}
		rule {
			realm users
		}
	}
	header X-Name "{http.auth.user.name}"
	respond /who "{http.auth.user.name} {http.request.header.Remote-Name}"
	vars name "{http.auth.user.name}"
	respond /vars "{vars.name}"
	rewrite /rewritten /x?name={http.auth.user.name}
	reverse_proxy `+e.address()+` {
		header_up X-Name "{http.auth.user.name}"
		header_up X-Copy "{http.request.header.Remote-Name}"
	}
}`))
	for i, name := range []string{"{env.HOME}", "{$HOME}", "{file." + secret + "}", "{http.request.cookie.sallyport_session}", "{env.{env.HOME}}", "${HOME}", "{{env \"HOME\"}}"} {
		status, answer := s.manage("POST", "/users", map[string]any{"realm": "users", "name": fmt.Sprint("user", i), "password": goodPassword, "full_name": name})
		if status != 201 {
			t.Fatalf("%s: %d %v", name, status, answer)
		}
		p := person{name: fmt.Sprint("user", i), realm: "users", password: goodPassword}
		p.secret, _ = s.must("POST", "/users/users/"+p.name+"/totp", map[string]any{})["secret"].(string)
		b := s.browser("").signIn(p)
		for _, target := range []string{"/who", "/vars", "/x", "/rewritten", "/denied/x"} {
			a := b.fetch(target)
			all := a.body + fmt.Sprint(a.header)
			for _, leak := range []string{s.home, "the content of a file", "sps_"} {
				if strings.Contains(strings.ReplaceAll(all, secret, ""), leak) {
					t.Errorf("%s as %s shows %s: %s", target, name, leak, all)
				}
			}
			if target == "/x" {
				if got := a.seen(t); got.Header.Get("Remote-Name") == "" || got.Header.Get("X-Name") != got.Header.Get("Remote-Name") || got.Header.Get("X-Copy") != got.Header.Get("Remote-Name") {
					t.Errorf("%s: the application saw %v", name, got.Header)
				}
			}
		}
	}
	for _, a := range []*answer{s.browser("").get("/sallyport/login?rd={env.HOME}"), s.browser("").get("/{env.HOME}/x?{file." + secret + "}")} {
		if all := a.body + fmt.Sprint(a.header); strings.Contains(strings.ReplaceAll(all, secret, ""), s.home) || strings.Contains(all, "the content") {
			t.Errorf("%s: %s", a.what, all)
		}
	}
}

// H7, R13. Attack: a site whose error pages come from the application. Somebody
// without a login asks with "Upgrade: h2c", or with a header from which the
// application takes another path or method, and is refused: to the application.
// Gained before: a tunnel to it, and the guarded page in place of the error's.
func TestErrorRoutesOpenNoOtherWay(t *testing.T) {
	e := newEcho(t)
	s := newCaddy(t)
	s.start(s.file("sallyport {\n"+cheap+"}", fmt.Sprintf(`
http://localhost:HTTP_PORT {
	sallyport
	reverse_proxy %[1]s
	handle_errors {
		rewrite * /errors/{err.status_code}.html
		reverse_proxy %[1]s
	}
}`, e.address())))
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.http)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(conn, "GET /secret HTTP/1.1\r\nHost: localhost:%s\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings\r\n"+
		"X-Original-Url: /admin\r\nX-Rewrite-Url: /admin\r\nX-Http-Method-Override: DELETE\r\nRemote-User: root\r\nCookie: sallyport_session=x\r\n\r\n", s.http)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if !strings.Contains(string(text), "/errors/401.html") {
		t.Fatalf("the error route did not answer: %d %s", resp.StatusCode, text)
	}
	for _, never := range []string{"h2c", "Http2-Settings", "/admin", "DELETE", "root", "sallyport_session"} {
		if strings.Contains(string(text), never) {
			t.Errorf("the application saw %q: %s", never, text)
		}
	}
}
