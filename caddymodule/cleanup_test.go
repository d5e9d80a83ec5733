package caddymodule_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/sallyport-auth/sallyport/caddymodule"
)

// inProcess is this process as a Caddy, without its admin API, and a state
// directory for it.
func inProcess(t *testing.T) *server {
	t.Helper()
	s := &server{t: t}
	dir, err := os.MkdirTemp("", "sallyport-state-")
	if err != nil {
		t.Fatal(err)
	}
	s.state = filepath.Join(dir, "state")
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		if s.isOpen() {
			t.Error("the state is open after Caddy stopped")
		}
		_ = os.RemoveAll(dir)
	})
	return s
}

// config is Caddy's JSON: an app of ours with these words, sites with these
// handlers, and more on the top level.
func (s *server) config(app, handler, more string) []byte {
	apps := `"sallyport":{"storage":"badger:` + s.state + `","passwords":{"memory":8192,"time":1}` + app + `}`
	if handler != "" {
		apps += `,"http":{"servers":{"srv0":{"listen":["127.0.0.1:0"],"automatic_https":{"disable":true},"routes":[{"handle":[` + handler + `,{"handler":"static_response","body":"in"}]}]}}}`
	}
	return []byte(`{"admin":{"disabled":true,"config":{"persist":false}` + more + `},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},"apps":{` + apps + `}}`)
}

// isOpen reports whether the admin socket answers.
func (s *server) isOpen() bool {
	conn, err := net.Dial("unix", filepath.Join(s.state, "admin.sock"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// factors is what the configuration that is in force says of realm users.
func (s *server) factors() string {
	s.t.Helper()
	status, realm := s.manage("GET", "/realms/users", nil)
	return fmt.Sprint(status, " ", realm["factors"])
}

const (
	guarding = `{"handler":"sallyport"}`
	oneUsers = `,"realms":{"users":{"factors":1}}`
	twoUsers = `,"realms":{"users":{"factors":2}}`
)

// Caddy calls Cleanup after every Provision, also one that failed, and does not
// always call Stop before. What a configuration holds it releases, once, and
// nothing else: the state stays open as long as a good configuration has it, and is
// closed when none has.
func TestFailedConfigurationsReleaseWhatTheyHold(t *testing.T) {
	s := inProcess(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := map[string][]byte{
		"a handler of ours":           s.config(twoUsers, `{"handler":"sallyport","factors":17}`, ""),
		"a second handler of ours":    s.config(twoUsers, guarding+`,{"handler":"sallyport","portal":true,"realms":["x"]}`, ""),
		"a handler of somebody else":  s.config(twoUsers, guarding+`,{"handler":"reverse_proxy","transport":{"protocol":"nope"}}`, ""),
		"our app":                     s.config(`,"portal":"not an origin"`, guarding, ""),
		"an unknown word":             s.config(`,"portl":"https://auth.example.com"`, guarding, ""),
		"a listener":                  []byte(strings.Replace(string(s.config(twoUsers, guarding, "")), "127.0.0.1:0", taken.Addr().String(), 1)),
		"what follows all the starts": s.config(twoUsers, "", `,"identity":{"identifiers":["x"],"issuers":[{"module":"nope"}]}`),
	}
	for round := range 2 {
		for what, config := range bad {
			if err := caddy.Load(config, true); err == nil {
				t.Fatalf("%s: loaded", what)
			} else if strings.Contains(err.Error(), "lock") {
				t.Errorf("%s: %v", what, err)
			}
			if s.isOpen() {
				t.Fatalf("%s (round %d): the state stays open, and nobody has it", what, round)
			}
		}
	}
	if err := caddy.Load(s.config(oneUsers, guarding, ""), true); err != nil {
		t.Fatal(err)
	}
	if got := s.factors(); got != "200 1" {
		t.Fatalf("realm users: %s", got)
	}
	bad["another master key"] = s.config(twoUsers+`,"master_key":"`+strings.Repeat("ab", 32)+`"`, guarding, "")
	for round := range 2 {
		for what, config := range bad {
			if err := caddy.Load(config, true); err == nil {
				t.Fatalf("%s: loaded", what)
			}
			if got := s.factors(); got != "200 1" {
				t.Fatalf("%s (round %d): the admin socket answers %s, want that of the configuration in force", what, round, got)
			}
		}
		var valid caddy.Config
		if err := json.Unmarshal(s.config(twoUsers, guarding, ""), &valid); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&valid); err != nil {
			t.Errorf("a good configuration beside the running one, in one process: %v", err)
		}
		if got := s.factors(); got != "200 1" {
			t.Fatalf("after a validation the admin socket answers %s", got)
		}
	}
	if err := caddy.Load(s.config(twoUsers, guarding, ""), true); err != nil {
		t.Fatal(err)
	}
	if got := s.factors(); got != "200 2" {
		t.Errorf("a good configuration after the bad ones: %s", got)
	}
	// A configuration without us has nothing of ours.
	if err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}},"apps":{}}`), true); err != nil {
		t.Fatal(err)
	}
	if s.isOpen() {
		t.Error("the state is open, and no configuration has it")
	}
	if err := caddy.Load(s.config("", guarding, ""), true); err != nil {
		t.Fatal(err)
	}
	if !s.isOpen() {
		t.Error("the state is not open")
	}
}

// Somebody recorded the first flight of a connection, where HTTP/3 and TLS 1.3 let
// a client ask before the handshake is over, and sends it again. Gained before:
// what a POST does, twice; a login's answer; and what a rule lets an address do
// that nobody has proved yet.
func TestEarlyDataIsAskedToComeAgain(t *testing.T) {
	s := inProcess(t)
	site := func(rules string) *caddyhttp.Server {
		t.Helper()
		if err := caddy.Load(s.config("", `{"handler":"sallyport","rules":[`+rules+`]}`, ""), true); err != nil {
			t.Fatal(err)
		}
		app, err := caddy.ActiveContext().App("http")
		if err != nil {
			t.Fatal(err)
		}
		return app.(*caddyhttp.App).Servers["srv0"]
	}
	ask := func(site *caddyhttp.Server, method, target string, early bool) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://app.example.com"+target, nil)
		r.RequestURI, r.ProtoMajor, r.Proto = target, 3, "HTTP/3.0"
		r.TLS = &tls.ConnectionState{HandshakeComplete: !early}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		return w
	}
	here := site(`{"paths":["/public/*"],"factors":0},{"realms":["users"]}`)
	for _, c := range []struct {
		method, target string
		early, late    int
	}{
		{"GET", "/public/x", 200, 200},
		{"HEAD", "/public/x", 200, 200},
		{"POST", "/public/x", 425, 200},
		{"DELETE", "/public/x", 425, 200},
		{"GET", "/x", 401, 401},
		{"POST", "/x", 425, 401},
		{"GET", "/sallyport/login", 425, 200},
		{"GET", "/sallyport/healthz", 425, 200},
		{"POST", "/sallyport/api/v1/login", 425, 400},
	} {
		for early, want := range map[bool]int{true: c.early, false: c.late} {
			w := ask(here, c.method, c.target, early)
			if w.Code != want {
				t.Errorf("%s %s, early %v: %d, want %d: %.200s", c.method, c.target, early, w.Code, want, w.Body)
			}
			if w.Code == http.StatusTooEarly && w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: Cache-Control %q", c.method, c.target, w.Header().Get("Cache-Control"))
			}
		}
	}
	networks := site(`{"networks":["192.0.2.0/24"],"factors":0},{"realms":["users"]}`)
	if early, late := ask(networks, "GET", "/x", true).Code, ask(networks, "GET", "/x", false).Code; early != 425 || late != 200 {
		t.Errorf("rules that look at the network: %d early, %d late", early, late)
	}
}
