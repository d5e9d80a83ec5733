package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// document reads the one JSON document of a command's output.
func (r ran) document(t *testing.T, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader([]byte(r.out)))
	if err := dec.Decode(into); err != nil {
		t.Fatalf("no JSON on stdout: %v\n%v", err, r)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one document on stdout: %v", r)
	}
}

// The commands of the standalone server, as `caddy sallyport …`: without a server,
// beside a running one, and without one again. Scripts depend on exit codes, on
// one JSON document on stdout, and on nothing else being there.
func TestCommandsWithAndWithoutTheServer(t *testing.T) {
	s := newCaddy(t)
	config := s.file("sallyport {\nstorage badger HOME/state\n"+cheap+"}", "http://localhost:HTTP_PORT {\nsallyport\nrespond \"hello {http.auth.user.id}\"\n}")
	s.state = filepath.Join(s.home, "state")
	file := s.write(config)
	good := func(stdin string, args ...string) ran {
		t.Helper()
		r := s.caddyIn(stdin, append([]string{"sallyport"}, args...)...)
		if r.code != 0 {
			t.Fatalf("%v: %v", args, r)
		}
		return r
	}
	var made struct{ Realm, Name, Secret string }
	add := func(name string) person {
		t.Helper()
		good(goodPassword+" "+name+"\n", "user", "add", name, "--groups", "ops,dev", "--password-stdin", "--totp", "--json").document(t, &made)
		if made.Name != strings.TrimSuffix(name, "@staff") || made.Secret == "" {
			t.Fatalf("user add printed %+v", made)
		}
		return person{name: made.Name, realm: made.Realm, password: goodPassword + " " + name, secret: made.Secret}
	}
	// No server yet. The Caddyfile of the working directory counts.
	alice := add("alice")
	if _, err := os.Stat(filepath.Join(s.state, "db")); err != nil {
		t.Errorf("the state is not where the configuration says: %v", err)
	}
	if r := s.caddy("sallyport", "setup-link"); r.code != 1 || !strings.Contains(r.err, "server") {
		t.Errorf("setup-link without a server: %v", r)
	}

	s.start(config)
	bob := add("bob")
	carol := add("carol@staff")
	var users []struct{ Realm, Name string }
	good("", "user", "list", "--json").document(t, &users)
	if len(users) != 3 || carol.realm != "staff" {
		t.Errorf("users %v, carol is of realm %q", users, carol.realm)
	}
	good("", "realm", "set", "staff", "--factors", "1")
	var realms []struct {
		Realm   string
		Factors int
	}
	good("", "realm", "list", "--json").document(t, &realms)
	if !strings.Contains(fmt.Sprint(realms), "{staff 1}") {
		t.Errorf("realms %v", realms)
	}
	if link := good("", "setup-link").out; !strings.HasPrefix(link, s.base+"/sallyport/setup?token=spi_") {
		t.Errorf("setup-link printed %s", link)
	}

	a, b := s.browser("").signIn(alice), s.browser("").signIn(bob)
	if got := a.fetch("/"); got.body != "hello alice" {
		t.Errorf("%d %s", got.status, got.body)
	}
	var sessions []struct{ ID, Name string }
	good("", "session", "list", "alice", "--json").document(t, &sessions)
	if len(sessions) != 1 || sessions[0].Name != "alice" {
		t.Fatalf("sessions %v", sessions)
	}
	good("", "session", "revoke", sessions[0].ID)
	wantStatus(t, a.fetch("/"), 401)
	wantStatus(t, b.fetch("/"), 200)
	good("", "session", "revoke", "--user", "bob")
	wantStatus(t, b.fetch("/"), 401)
	good("", "user", "disable", "bob")
	if r := s.caddy("sallyport", "user", "show", "bob", "--json"); r.code != 0 || !strings.Contains(r.out, `"disabled": true`) && !strings.Contains(r.out, `"disabled":true`) {
		t.Errorf("user show: %v", r)
	}

	if token := strings.TrimSpace(good(alice.secret+"\n", "token", "--seed-stdin").out); !regexp.MustCompile(`^\d{6}$`).MatchString(token) || token != alice.code(t, 0) && token != alice.code(t, -1) {
		t.Errorf("token printed %q", token)
	}
	if v := good("", "version").out; !strings.HasPrefix(v, "sallyport ") {
		t.Errorf("version printed %q", v)
	}
	var report struct {
		File  string
		Rules []struct{ Text string }
	}
	good("", "check", "--json").document(t, &report)
	if report.File == "" || len(report.Rules) != 1 || !strings.Contains(report.Rules[0].Text, "two factors") {
		t.Errorf("check printed %+v", report)
	}
	var explained struct{ Decision, Reason string }
	good("", "explain", "GET", s.base+"/x", "--as", "alice@users", "--factors", "2", "--json").document(t, &explained)
	if explained.Decision != "allow" {
		t.Errorf("explain printed %+v", explained)
	}
	good("", "explain", "GET", s.base+"/x", "--as", "bob@users", "--factors", "2", "--json").document(t, &explained)
	if explained.Decision != "challenge" || !strings.Contains(explained.Reason, "disabled") {
		t.Errorf("explain printed %+v", explained)
	}

	// Exit codes: 1 refused or failed, 2 a wrong command line.
	for _, c := range []struct {
		code int
		args []string
	}{
		{1, []string{"user", "show", "nobody"}},
		{1, []string{"user", "add", "alice", "--password-stdin"}},
		{2, []string{"user", "add", "mallory@admin", "--password-stdin"}},
		{1, []string{"--config", "missing.json", "check"}},
		{2, []string{}},
		{2, []string{"usr"}},
		{2, []string{"user", "list", "--jsn"}},
		{2, []string{"user", "show"}},
		{2, []string{"serve"}},
		{2, []string{"session", "revoke"}},
		{0, []string{"--help"}},
		{0, []string{"user", "add", "--help"}},
		{0, []string{"completion", "bash"}},
	} {
		r := s.caddyIn(goodPassword+"\n", append([]string{"sallyport"}, c.args...)...)
		if r.code != c.code {
			t.Errorf("%v: %v, want exit code %d", c.args, r, c.code)
		}
		if c.code != 0 && (r.out != "" || strings.Count(strings.TrimSpace(r.err), "\n") > 0 && len(c.args) > 0) {
			t.Errorf("%v: more than one line of error, or something on stdout: %v", c.args, r)
		}
	}

	s.term()
	good("", "user", "enable", "bob")
	good("", "user", "list", "--json").document(t, &users)
	if len(users) != 3 {
		t.Errorf("users after the server stopped: %v", users)
	}
	// Who only reads makes no state, and finds nothing where none was made.
	other := filepath.Join(s.home, "other")
	if r := s.caddy("sallyport", "--config", file, "--state", other, "user", "list", "--json"); r.code != 1 || r.out != "" || !strings.Contains(r.err, "there is no state in "+other+": start Caddy") {
		t.Errorf("another state: %v", r)
	}
	if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a list made %s: %v", other, err)
	}
	// Where nothing says which state: Caddy's data directory, which nobody has made.
	bare := newCaddy(t)
	if r := bare.caddy("sallyport", "user", "list"); r.code == 2 {
		t.Errorf("without a Caddyfile: %v", r)
	}
}

// explain finds the rules that a request would meet, however the site is nested,
// as Caddy itself would route it.
func TestExplainFollowsCaddysRoutes(t *testing.T) {
	s := newCaddy(t)
	var many strings.Builder
	for i := range 150 { // from 100 on Caddy searches hosts in another way
		fmt.Fprintf(&many, ", http://h%d.example.com:HTTP_PORT", i)
	}
	s.write(s.file("sallyport {\nrule {\nhost forwarded.example.com\nfactors 0\n}\n}", `
http://many.example.com:HTTP_PORT`+many.String()+` {
	sallyport {
		realm many
	}
}
http://*.wild.example.com:HTTP_PORT {
	sallyport {
		realm wild
	}
}
http://nested.example.com:HTTP_PORT {
	@reports path /reports/* /charts/*
	@write {
		method POST PUT
		not path /free/*
	}
	handle /plain/* {
		respond plain
	}
	handle_path /app/* {
		sallyport {
			rule {
				path /public/*
				factors 0
			}
			rule {
				realm inner
			}
		}
	}
	handle /route/* {
		route {
			uri strip_prefix /route
			sallyport {
				rule {
					path /x/y
					realm routed
				}
			}
			respond hello
		}
	}
	handle @reports {
		sallyport {
			realm reports
		}
	}
	handle @write {
		sallyport {
			realm writers
		}
	}
	handle {
		sallyport {
			rule {
				path /public/*
				factors 0
			}
			rule {
				realm rest
				group ops
			}
		}
	}
}
http://php.example.com:HTTP_PORT {
	root * HOME
	sallyport {
		realm php
	}
	php_fastcgi 127.0.0.1:1
	file_server
}
http://portal.example.com:HTTP_PORT {
	sallyport portal
}
https://tls.example.com:HTTPS_PORT {
	sallyport {
		realm tls
	}
}
http://open.example.com:HTTP_PORT {
	respond hello
}
`))
	for _, c := range []struct{ method, url, as, decision, says string }{
		{"GET", "http://many.example.com:HTTP_PORT/x", "a@many", "allow", ""},
		{"GET", "http://H149.example.com:HTTP_PORT/x", "a@many", "allow", ""},
		{"GET", "http://h150.example.com:HTTP_PORT/x", "a@many", "allow", "no sallyport stands before"},
		{"GET", "http://any.wild.example.com:HTTP_PORT/", "a@wild", "allow", ""},
		{"GET", "http://any.wild.example.com:HTTP_PORT/", "a@many", "deny", "realm"},
		{"GET", "http://nested.example.com:HTTP_PORT/plain/x", "", "allow", "no sallyport stands before"},
		{"GET", "http://nested.example.com:HTTP_PORT/app/x", "a@inner", "allow", ""},
		{"GET", "http://nested.example.com:HTTP_PORT/route/x/y?z", "a@routed", "allow", ""},
		{"GET", "http://nested.example.com:HTTP_PORT/x/y", "a@routed", "deny", ""},
		{"GET", "http://nested.example.com:HTTP_PORT/app/public/x", "", "allow", ""},
		{"GET", "http://nested.example.com:HTTP_PORT/app/sallyport/login", "", "allow", "by itself"},
		{"GET", "http://nested.example.com:HTTP_PORT/charts/x", "a@reports", "allow", ""},
		{"POST", "http://nested.example.com:HTTP_PORT/x", "a@writers", "allow", ""},
		{"POST", "http://nested.example.com:HTTP_PORT/free/x", "a@writers", "deny", "realm"},
		{"GET", "http://nested.example.com:HTTP_PORT/public/x", "", "allow", ""},
		{"GET", "http://nested.example.com:HTTP_PORT/x", "", "challenge", ""},
		{"GET", "http://nested.example.com:HTTP_PORT/x", "a@rest", "deny", "group ops"},
		{"GET", "http://nested.example.com:HTTP_PORT/sallyport/login", "", "allow", "by itself"},
		{"GET", "http://php.example.com:HTTP_PORT/index.php", "a@php", "allow", ""},
		{"GET", "http://portal.example.com:HTTP_PORT/x", "", "allow", "by itself"},
		{"GET", "https://tls.example.com:HTTPS_PORT/x", "a@tls", "allow", ""},
		{"GET", "http://tls.example.com:HTTP_PORT/x", "", "allow", "no sallyport stands before"},
		{"GET", "http://open.example.com:HTTP_PORT/x", "", "allow", "no sallyport stands before"},
	} {
		args := []string{"sallyport", "explain", c.method, s.words(c.url), "--json"}
		if c.as != "" {
			args = append(args, "--as", c.as, "--factors", "2")
		}
		r := s.caddy(args...)
		if r.code != 0 {
			t.Errorf("%s %s: %v", c.method, c.url, r)
			continue
		}
		var e struct{ Decision, Reason string }
		r.document(t, &e)
		if e.Decision != c.decision || !strings.Contains(e.Reason, c.says) || c.says == "" && strings.Contains(e.Reason, "no sallyport") {
			t.Errorf("%s %s as %q: %+v, want %s %q", c.method, c.url, c.as, e, c.decision, c.says)
		}
	}
	var report struct {
		Rules    []struct{ Name, Text string }
		Warnings []string
	}
	r := s.caddy("sallyport", "check", "--json")
	if r.code != 0 {
		t.Fatal(r)
	}
	r.document(t, &report)
	if len(report.Rules) < 9 {
		t.Errorf("check: %v", r)
	}
	// Caddy's own JSON says the same.
	adapted := s.caddy("adapt", "--config", filepath.Join(s.home, "Caddyfile"), "--adapter", "caddyfile")
	file := filepath.Join(s.home, "caddy.json")
	if err := os.WriteFile(file, []byte(adapted.out), 0o600); err != nil || adapted.code != 0 {
		t.Fatal(err, adapted)
	}
	again := s.caddy("sallyport", "--config", file, "check", "--json")
	if rules := report.Rules; again.code != 0 {
		t.Error(again)
	} else if again.document(t, &report); fmt.Sprint(report.Rules) != fmt.Sprint(rules) {
		t.Errorf("the Caddyfile has the rules %v, its JSON %v", rules, report.Rules)
	}
}

// check names what is allowed and cannot work, site by site: what a reader of a
// Caddyfile does not see.
func TestCheckSaysWhatCannotWork(t *testing.T) {
	s := newCaddy(t)
	file := s.write(s.file("sallyport {\nportal http://auth.example.com:HTTP_PORT\ncookie_domain example.com\n}", `
http://auth.example.com:HTTP_PORT {
	sallyport portal
}
http://part.example.com:HTTP_PORT {
	@inside path /admin/* /ops/*
	sallyport @inside
	respond ok
}
http://whole.example.com:HTTP_PORT {
	handle /api/* {
		sallyport
		respond api
	}
	handle {
		sallyport
		respond rest
	}
}
http://twice.example.com:HTTP_PORT {
	sallyport {
		rule {
			realm users
		}
		rule {
			path /admin/*
			realm stuff
		}
	}
	respond ok
}
http://other.example.org:HTTP_PORT {
	sallyport
	respond ok
}`))
	r := s.caddy("sallyport", "check", "--config", file)
	if r.code != 0 {
		t.Fatal(r)
	}
	for _, want := range []string{
		"part.example.com: sallyport stands behind a matcher here, and / comes to none",
		"twice.example.com: rule 2: never decides",
		"twice.example.com: rule 2: the realm stuff is not configured here",
		"other.example.org: this host is not below a cookie_domain",
	} {
		if !strings.Contains(r.err, want) {
			t.Errorf("check does not say %q:\n%s", want, r.err)
		}
	}
	for _, never := range []string{"whole.example.com: sallyport stands", "auth.example.com: ", "json: error"} {
		if strings.Contains(r.err, never) {
			t.Errorf("check says %q:\n%s", never, r.err)
		}
	}
}

// A guard in a named route is one like any other, and one inside another module's
// handler is said to be there: "allow" about a guarded address would be believed.
func TestCheckAndExplainSeeGuardsInOtherPlaces(t *testing.T) {
	s := newCaddy(t)
	named := s.write(s.file("", `
&(guarded) {
	sallyport {
		realm named
	}
}
http://app.example.com:HTTP_PORT {
	invoke guarded
	respond ok
}`))
	port := ":" + s.http
	if r := s.caddy("sallyport", "check", "--config", named); r.code != 0 || !strings.Contains(r.out, "app.example.com") || !strings.Contains(r.out, "realm named") {
		t.Errorf("check: %v", r)
	}
	if r := s.caddy("sallyport", "explain", "GET", "http://app.example.com"+port+"/x", "--config", named); r.code != 0 || !strings.HasPrefix(r.out, "challenge: rule 1") {
		t.Errorf("explain: %v", r)
	}
	inside := s.write(s.file("", `
http://app.example.com:HTTP_PORT {
	intercept {
		@gone status 410
		handle_response @gone {
			sallyport
			respond ok
		}
	}
	respond gone 410
}`))
	if r := s.caddy("sallyport", "check", "--config", inside); r.code != 0 || !strings.Contains(r.err, "a sallyport stands inside intercept") {
		t.Errorf("check: %v", r)
	}
	if r := s.caddy("sallyport", "explain", "GET", "http://app.example.com"+port+"/x", "--config", inside); r.code != 1 || !strings.Contains(r.err, "cannot be told from here") {
		t.Errorf("explain: %v", r)
	}
}
