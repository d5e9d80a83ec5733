package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// measured starts the binary with a listener for metrics and returns its URL.
func measured(t *testing.T) (s *server, url string) {
	t.Helper()
	file, port := filepath.Join(t.TempDir(), "gateway.yaml"), freePort(t)
	if err := os.WriteFile(file, []byte("name: Test\nmetrics: 127.0.0.1:"+port+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return serveBinary(t, t.TempDir(), "--demo", "--config", file), "http://127.0.0.1:" + port
}

func fetch(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browserLike(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// series reads the text format; a histogram counts as its _count.
func series(t *testing.T, url string) map[string]float64 {
	t.Helper()
	status, text := fetch(t, "GET", url+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		i := strings.LastIndexByte(line, ' ')
		if value, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64); err == nil && line[0] != '#' {
			all[line[:i]] = value
		}
	}
	return all
}

// What an operator sees of a login, and what nobody must see: the page has no
// login in front of it, so whoever reaches the address reads it.
func TestMetricsMoveAndHoldNoSecret(t *testing.T) {
	s, url := measured(t)
	alice := s.addUser("alice")
	before := series(t, url)
	b := browserLike(t)
	code := alice.code(t, 0)
	canaries := []string{"alice", alice.password, alice.secret, "canary-of-a-name", "canary-of-a-password", "canary-of-a-path", "canary-of-a-host"}
	for _, body := range []map[string]any{{"name": alice.name, "password": "canary-of-a-password"}, {"name": "canary-of-a-name", "password": alice.password}} {
		if status, answer := call(t, b, "POST", s.base+"/sallyport/api/v1/login", body, sameOrigin); status != http.StatusUnauthorized {
			t.Fatalf("%d %v", status, answer)
		}
	}
	status, answer, err := s.login(b, alice, code)
	if err != nil || status != http.StatusOK || answer["status"] != "ok" {
		t.Fatalf("login: %d %v %v", status, answer, err)
	}
	for _, name := range []string{"access_token", "refresh_token"} {
		canaries = append(canaries, answer[name].(string))
	}
	if status, _ := call(t, b, "GET", s.base+"/canary-of-a-path?canary-of-a-path=1", nil, http.Header{"Authorization": {"Bearer " + answer["access_token"].(string)}}); status != http.StatusOK {
		t.Errorf("the demo page: %d", status)
	}
	fetch(t, "GET", s.base+"/canary-of-a-path")
	after := series(t, url)
	for name, want := range map[string]float64{
		`sallyport_logins_total{door="api",outcome="wrong_password"}`:    2,
		`sallyport_logins_total{door="api",outcome="ok"}`:                1,
		`sallyport_decisions_total{outcome="allow",rule="implied"}`:      1,
		`sallyport_decisions_total{outcome="challenge",rule="implied"}`:  1,
		`sallyport_store_errors_total{op="update"}`:                      0,
		`sallyport_hash_refused_total`:                                   0,
		`sallyport_events_total{kind="login.password",outcome="denied"}`: 2,
		`sallyport_throttled_total{cause="principal",tried="password"}`:  0,
	} {
		if _, there := after[name]; !there || after[name]-before[name] != want {
			t.Errorf("%s moved by %v, want %v (there: %v)", name, after[name]-before[name], want, there)
		}
	}
	if after[`sallyport_store_seconds_count{op="update"}`] <= before[`sallyport_store_seconds_count{op="update"}`] || after["go_goroutines"] == 0 || after["process_resident_memory_bytes"] == 0 {
		t.Errorf("store, Go or process: %v", after)
	}
	_, text := fetch(t, "GET", url+"/metrics")
	for _, canary := range append(append(canaries, code, strings.TrimSpace(s.masterKey(t))), alice.recovery...) {
		if len(canary) > 5 && strings.Contains(text, canary) || strings.Contains(text, `"`+canary+`"`) {
			t.Errorf("the metrics hold %q", canary)
		}
	}
	if !strings.Contains(text, "sallyport_build_info{version=") {
		t.Error("no version")
	}
	s.term()
	if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
		conn.Close()
		t.Error("the listener outlives the server")
	}
}

// S9 (CVE-2022-24797, Pomerium: metrics and debug pages on the public listener).
// The counters are on their own listener, and nothing else is there.
func TestS9MetricsAreOnTheirOwnListenerAlone(t *testing.T) {
	s, url := measured(t)
	for _, path := range []string{"/metrics", "/sallyport/metrics", "/metrics/", "//metrics", "/sallyport/../metrics"} {
		for _, host := range []string{s.base, "http://" + s.addr} {
			if status, text := fetch(t, "GET", host+path); status == http.StatusOK || strings.Contains(text, "sallyport_") || strings.Contains(text, "go_goroutines") {
				t.Errorf("GET %s on the public listener: %d %.200s", path, status, text)
			}
		}
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"POST", "/metrics", 404}, {"OPTIONS", "/metrics", 404}, {"GET", "/", 404}, {"GET", "/metrics/", 404}, {"GET", "/metrics/x", 404},
		{"GET", "/sallyport/", 404}, {"GET", "/sallyport/login", 404}, {"GET", "/sallyport/api/v1/users", 404}, {"GET", "/sallyport/authz/forward-auth", 404},
		{"GET", "/sallyport/healthz", 404}, {"GET", "/debug/pprof/", 404}, {"GET", "//metrics", 404},
	} {
		status, text := fetch(t, c.method, url+c.path)
		if status != c.want || c.want == 404 && strings.Contains(text, "sallyport") {
			t.Errorf("%s %s on the listener for metrics: %d, want %d: %.200s", c.method, c.path, status, c.want, text)
		}
	}
}

// An address that is taken: the error says which word, where, and the way out, and
// the state is free again.
func TestMetricsSayHowToGoOnWhenTheAddressIsTaken(t *testing.T) {
	s, url := measured(t)
	s.term()
	taken, err := net.Listen("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.tryStart()
	for _, want := range []string{"gateway.yaml:2: metrics: listen on 127.0.0.1:", "address already in use", "choose another address for metrics, or leave the word out"} {
		if err == nil || !strings.Contains(text, want) {
			t.Errorf("started: %v; it printed\n%s\nwant %s", err == nil, text, want)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	s.start()
	if status, _ := fetch(t, "GET", url+"/metrics"); status != http.StatusOK {
		t.Error(fmt.Sprint("after the address was free: ", status))
	}
}
