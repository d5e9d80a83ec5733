package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever validates a configuration beside the running server, or starts a second
// Caddy on the same state, is told what is in the way and what to do; the server
// goes on.
func TestSecondCaddyOnTheSameStateIsToldWhatToDo(t *testing.T) {
	e := newEcho(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", "http://localhost:HTTP_PORT {\nsallyport\nreverse_proxy "+e.address()+"\n}")
	b := s.browser("").signIn(s.user("alice"))

	second := newCaddy(t)
	config := second.file("sallyport {\nstorage badger "+s.state+"\n}", "http://localhost:HTTP_PORT {\nsallyport\nrespond hello\n}")
	file := second.write(config)
	for _, args := range [][]string{{"validate", "--config", file, "--adapter", "caddyfile"}, {"run", "--config", file, "--adapter", "caddyfile"}} {
		r := second.caddy(args...)
		if r.code != 1 {
			t.Errorf("caddy %s: %v, want exit code 1", args[0], r)
		}
		for _, says := range []string{s.state, "caddy reload", "caddy sallyport check", "storage badger"} {
			if !strings.Contains(r.err, says) {
				t.Errorf("caddy %s does not say %q: %s", args[0], says, r.err)
			}
		}
	}
	for _, args := range [][]string{{"adapt", "--config", file, "--adapter", "caddyfile"}, {"sallyport", "--config", file, "check"}} {
		if r := second.caddy(args...); r.code != 0 {
			t.Errorf("caddy %s beside the server: %v", args[0], r)
		}
	}
	wantStatus(t, b.fetch("/"), 200)

	// Alone it is valid, and leaves the state as it found it: closed.
	if r := second.caddy("validate", "--config", second.write(second.file("", "http://localhost:HTTP_PORT {\nsallyport\nrespond hello\n}")), "--adapter", "caddyfile"); r.code != 0 || strings.Contains(r.err, "setup?token") {
		t.Errorf("caddy validate alone: %v", r)
	}
	if _, err := os.Stat(filepath.Join(second.state, "admin.sock")); err == nil {
		t.Error("caddy validate left an admin socket")
	}
	second.start(second.file("", "http://localhost:HTTP_PORT {\nsallyport\nrespond hello\n}"))
	second.term()

	// A key in the configuration that is not the one of the state.
	wrong := second.caddy("validate", "--config", second.write(second.file("sallyport {\nmaster_key "+strings.Repeat("cd", 32)+"\n}", "http://localhost:HTTP_PORT {\nsallyport\n}")), "--adapter", "caddyfile")
	if wrong.code != 1 || !strings.Contains(wrong.err, "another master key") || strings.Contains(wrong.err, strings.Repeat("cd", 32)) {
		t.Errorf("another master key: %v", wrong)
	}
}

// Two sites of one Caddy share people and realms, and each has its own rules and
// its own logins: without a cookie domain a session of one host is nobody on the
// other, even if somebody carries the cookie there.
func TestTwoSitesOfOneCaddy(t *testing.T) {
	e := newEcho(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", `
http://a.localhost:HTTP_PORT {
	sallyport
	reverse_proxy `+e.address()+`
}
http://b.localhost:HTTP_PORT {
	sallyport {
		rule {
			path /admin/*
			realm users
			group ops
		}
		rule {
			realm users
			factors 1
		}
	}
	reverse_proxy `+e.address()+`
}`)
	alice := s.user("alice")
	a, b := s.browser("http://a.localhost:"+s.http), s.browser("http://b.localhost:"+s.http)
	a.signIn(alice)
	if got := a.fetch("/admin/x").seen(t); got.Header.Get("Remote-User") != "alice" {
		t.Errorf("the application saw %+v", got)
	}
	// A browser keeps the cookie to the host that set it.
	b.goesTo(b.get("/"), http.StatusFound)
	if len(b.jar) > 0 {
		t.Errorf("b has the cookies %v", b.jar)
	}
	// Both hosts have the same people.
	query := b.goesTo(b.get("/x"), http.StatusFound)
	bob := s.user("bob", "ops")
	if to := b.login(bob, query); to != "/x" {
		t.Errorf("the login at b leads to %s", to)
	}
	if got := b.fetch("/admin/x").seen(t); got.Header.Get("Remote-User") != "bob" || got.Header.Get("Remote-Groups") != "ops" {
		t.Errorf("the application saw %+v", got)
	}
	b.jar = a.jar
	wantStatus(t, b.fetch("/admin/x"), http.StatusForbidden) // alice is not in ops
}

// A client says in headers where it comes from and by which scheme. Gained before:
// a rule for another network, a cookie without Secure. What counts is what Caddy
// says, which listens to its trusted_proxies alone.
func TestAddressAndSchemeAreCaddysOwn(t *testing.T) {
	e := newEcho(t)
	for _, trusted := range []bool{false, true} {
		global := "sallyport {\n" + cheap + "}"
		if trusted {
			global = "servers {\ntrusted_proxies static 127.0.0.0/8\ntrusted_proxies_strict\n}\n" + global
		}
		s := serveCaddy(t, global, `
http://localhost:HTTP_PORT {
	sallyport {
		rule {
			network 10.0.0.0/8
			factors 0
		}
		rule {
			realm users
		}
	}
	reverse_proxy `+e.address()+`
}`)
		b := s.browser("")
		want := map[bool]int{true: 200, false: 401}
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip", "X_forwarded_for"} {
			value := "10.1.2.3"
			if name == "Forwarded" {
				value = "for=10.1.2.3"
			}
			wantStatus(t, b.ask("GET", "/x", "", http.Header{name: {value}}), want[trusted && name == "X-Forwarded-For"])
		}
		wantStatus(t, b.ask("GET", "/x", "", http.Header{"X-Forwarded-For": {"10.1.2.3, 192.0.2.1"}}), 401)
		alice := s.user("alice")
		first := b.ask("POST", "/sallyport/api/v1/login", `{"name":"alice","password":"`+alice.password+`"}`, http.Header{"Content-Type": {"application/json"}, "X-Forwarded-Proto": {"https"}})
		var next struct {
			Token string `json:"ephemeral_token"`
		}
		if err := json.Unmarshal([]byte(first.body), &next); err != nil || first.status != 200 {
			t.Fatalf("%d %s", first.status, first.body)
		}
		scheme := map[bool]string{true: "https", false: "http"}[trusted]
		second := b.ask("POST", "/sallyport/api/v1/login/code", `{"ephemeral_token":"`+next.Token+`","code":"`+alice.code(t, 0)+`"}`,
			http.Header{"Content-Type": {"application/json"}, "X-Forwarded-Proto": {"https"}, "Origin": {scheme + "://localhost:" + s.http}})
		wantStatus(t, second, 200)
		if got := strings.Join(second.header["Set-Cookie"], "\n"); strings.Contains(got, "__Host-sallyport_session=sps_") != trusted || !strings.Contains(got, "sallyport_session=sps_") {
			t.Errorf("trusted %v: cookies %s", trusted, got)
		}
	}
}

// Two Caddys with a state each know nothing of each other.
func TestTwoCaddysWithStatesOfTheirOwn(t *testing.T) {
	e := newEcho(t)
	sites := "http://localhost:HTTP_PORT {\nsallyport\nreverse_proxy " + e.address() + "\n}"
	one := serveCaddy(t, "sallyport {\n"+cheap+"}", sites)
	two := serveCaddy(t, "sallyport {\n"+cheap+"}", sites)
	b := one.browser("").signIn(one.user("alice"))
	wantStatus(t, b.fetch("/"), 200)
	stray := two.browser("")
	stray.jar = b.jar
	wantStatus(t, stray.fetch("/"), http.StatusUnauthorized)
	if status, _ := two.manage("GET", "/users/users/alice", nil); status != http.StatusNotFound {
		t.Errorf("the other Caddy answers %d about alice", status)
	}
}
