package caddymodule_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// The tests of this directory drive the real Caddy with this module, built once
// with the race detector, over real sockets: configurations go in by its admin
// API, as `caddy reload` sends them. Codes come from oathtool, a judge that shares
// no code with us.

// binary is that Caddy; plain is the same without the race detector, whose start
// takes seconds, for commands that run by the dozen.
var binary, plain string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sallyport-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, plain = filepath.Join(dir, "race", "caddy"), filepath.Join(dir, "caddy")
	for _, args := range [][]string{{"-race", "-o", binary}, {"-o", plain}} {
		if out, err := exec.Command("go", slices.Concat([]string{"build"}, args, []string{"../scripts/caddy"})...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build Caddy: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

const goodPassword = "velvet otter paints 37 clocks"

// cheap makes hashing a password cheap, for tests that are about something else.
const cheap = "passwords {\nmemory 8192\ntime 1\n}\n"

// server is one Caddy with directories and ports of its own.
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	home  string // Caddy's data and configuration are below
	state string // the default state directory
	admin string // host:port of Caddy's admin API
	http  string // ports
	https string
	base  string // http://localhost:PORT

	mu    sync.Mutex
	log   bytes.Buffer
	setup []string          // the printed setup links
	kept  []*http.Transport // of its clients
	done  chan struct{}     // closed when the process has ended; nil before it began

	database string // URL; empty: the state is in a directory
	opening  sync.Once
	second   http.RoundTripper // see beside
}

// ports hands each port out once in this process: what the kernel calls free it
// may call free twice.
var ports struct {
	sync.Mutex
	given map[string]bool
}

// freePort asks the kernel for a port that is free for TCP and UDP.
func freePort(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 100 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", ln.Addr().String())
		_ = ln.Close()
		if err != nil {
			continue
		}
		_ = udp.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		if ports.given == nil {
			ports.given = map[string]bool{}
		}
		if !ports.given[port] {
			ports.given[port] = true
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// newCaddy prepares a Caddy and starts nothing.
func newCaddy(t *testing.T) *server {
	t.Helper()
	home, err := os.MkdirTemp("", "sallyport-caddy-") // short: a unix socket lies below
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		t: t, home: home, state: filepath.Join(home, "data", "caddy", "sallyport"),
		admin: "127.0.0.1:" + freePort(t), http: freePort(t), https: freePort(t),
	}
	s.base = "http://localhost:" + s.http
	s.place()
	t.Cleanup(func() {
		if s.done != nil {
			s.end(syscall.SIGKILL)
		}
		_ = os.RemoveAll(home)
	})
	return s
}

// serveCaddy starts a Caddy with a configuration and waits until it serves it.
func serveCaddy(t *testing.T, global, sites string) *server {
	t.Helper()
	s := newCaddy(t)
	s.start(s.file(global, sites))
	return s
}

// file is a whole Caddyfile: global options that keep a test to itself, those of
// the test, and its sites. The words HTTP_PORT, HTTPS_PORT and HOME are replaced.
func (s *server) file(global, sites string) string {
	text := fmt.Sprintf("{\nadmin %s\nhttp_port HTTP_PORT\nhttps_port HTTPS_PORT\nskip_install_trust\nlocal_certs\nauto_https disable_redirects\n%s\n}\n%s\n", s.admin, s.placed(global), sites)
	return s.words(text)
}

func (s *server) words(text string) string {
	return strings.NewReplacer("HTTP_PORT", s.http, "HTTPS_PORT", s.https, "HOME", s.home).Replace(text)
}

// environ keeps Caddy to directories of its own. The race detector ends the
// process at the first race, with exit code 66.
func (s *server) environ() []string {
	return append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(s.home, "data"), "XDG_CONFIG_HOME="+filepath.Join(s.home, "config"), "HOME="+s.home,
		"GORACE=halt_on_error=1", "SALLYPORT_STATE=", "SALLYPORT_CONFIG=",
		"SALLYPORT_TEST_DATABASE="+s.database, "SALLYPORT_TEST_MASTER_KEY="+pgtest.MasterKey)
}

// write keeps a Caddyfile in the server's directory and returns its path.
func (s *server) write(caddyfile string) string {
	s.t.Helper()
	path := filepath.Join(s.home, "Caddyfile")
	if err := os.WriteFile(path, []byte(caddyfile), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// start runs `caddy run` and waits until the configuration is served.
func (s *server) start(caddyfile string) {
	s.t.Helper()
	s.begin(caddyfile)
	deadline := time.Now().Add(patience)
	for !strings.Contains(s.logs(), "serving initial configuration") {
		select {
		case <-s.done:
			s.t.Fatalf("Caddy ended:\n%s", s.logs())
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("Caddy was not ready in %v:\n%s", patience, s.logs())
		}
		pause()
	}
	for _, site := range httpsSite.FindAllStringSubmatch(caddyfile, -1) { // certificates come a moment later
		eventually(s.t, "a certificate for "+site[1], func() bool {
			conn, err := tls.Dial("tcp", "127.0.0.1:"+s.https, &tls.Config{ServerName: site[1], InsecureSkipVerify: true})
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		})
	}
}

var httpsSite = regexp.MustCompile(`https://([a-z0-9.-]+):\d+ \{`) // a portal's address has no brace behind it

func (s *server) begin(caddyfile string) {
	s.t.Helper()
	s.cmd = exec.Command(binary, "run", "--config", s.write(caddyfile), "--adapter", "caddyfile")
	s.cmd.Dir, s.cmd.Env = s.home, s.environ()
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Stdout = s.cmd.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.log.Reset()
	s.setup = nil
	s.mu.Unlock()
	s.done = make(chan struct{})
	go s.collect(stderr, s.done)
}

var setupLink = regexp.MustCompile(`https?://\S+/sallyport/setup\?token=spi_[A-Za-z0-9_-]+`)

func (s *server) collect(stderr io.Reader, done chan struct{}) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		s.mu.Lock()
		s.log.Write(append(lines.Bytes(), '\n'))
		if link := setupLink.FindString(lines.Text()); link != "" {
			s.setup = append(s.setup, link)
		}
		s.mu.Unlock()
	}
	_ = s.cmd.Wait()
	close(done)
}

func (s *server) logs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *server) setupLinks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.setup)
}

// term is a graceful stop; it fails the test when the exit code is not 0.
func (s *server) term() {
	s.t.Helper()
	s.end(syscall.SIGTERM)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Fatalf("exit code %d after SIGTERM:\n%s", code, s.logs())
	}
}

func (s *server) end(sig syscall.Signal) {
	_ = s.cmd.Process.Signal(sig)
	select {
	case <-s.done:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.done
		s.t.Errorf("Caddy did not stop in %v:\n%s", patience, s.logs())
	}
	if log := s.logs(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		s.t.Errorf("a data race or a panic in Caddy:\n%s", log)
	}
}

// patience is for what has to happen sooner or later: a machine of two cores that
// does much else beside the race detector is slow. Promises of a time are measured.
const patience = time.Minute

// pause is the one wait of the tests: between two looks at a condition that
// another process will make true.
func pause() { <-time.After(20 * time.Millisecond) }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		pause()
	}
}

// ran is what a command printed and how it ended.
type ran struct {
	out, err string
	code     int
}

func (r ran) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
}

// caddy runs a command line of the same Caddy beside the server, in its directory.
func (s *server) caddy(args ...string) ran {
	s.t.Helper()
	return s.caddyIn("", args...)
}

// caddyIn is caddy with something on standard input.
func (s *server) caddyIn(stdin string, args ...string) ran {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, plain, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.home, s.environ(), strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%v: %v", args, err)
	}
	return ran{out: stdout.String(), err: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// manage sends a call to the admin socket, as the command line does.
func (s *server) manage(method, path string, body any) (int, map[string]any) {
	s.t.Helper()
	return s.manageAt(s.state, method, path, body)
}

func (s *server) manageAt(state, method, path string, body any) (int, map[string]any) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(state, "admin.sock"))
		},
	}}
	if s.database != "" {
		client.Transport = s.beside()
	}
	status, _, answer, err := tryCall(client, method, "http://localhost/sallyport/api/v1"+path, body, nil)
	if err != nil {
		s.t.Fatalf("%s %s on the admin socket: %v\n%s", method, path, err, s.logs())
	}
	return status, answer
}

// must is manage, and the status has to be good.
func (s *server) must(method, path string, body any) map[string]any {
	s.t.Helper()
	status, answer := s.manage(method, path, body)
	if status >= 300 {
		s.t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

func tryCall(client *http.Client, method, url string, body any, header http.Header) (int, http.Header, map[string]any, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, url, reader)
	if err != nil {
		return 0, nil, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, header)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, nil, err
	}
	answer := map[string]any{}
	if len(text) > 0 && strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &answer); err != nil {
			return 0, nil, nil, fmt.Errorf("%s %s: %w: %.200s", method, url, err, text)
		}
	}
	return resp.StatusCode, resp.Header, answer, nil
}

// person is somebody with a password and an authenticator.
type person struct {
	name, realm, password, secret string
}

// user provisions a person of the realm users with both factors.
func (s *server) user(name string, groups ...string) person {
	s.t.Helper()
	return s.member(name, "users", map[string]any{"groups": groups})
}

// member is user in any realm, with more fields of the record.
func (s *server) member(name, realm string, more map[string]any) person {
	s.t.Helper()
	p := person{name: name, realm: realm, password: goodPassword + " " + name}
	body := map[string]any{"realm": realm, "name": name, "password": p.password}
	maps.Copy(body, more)
	s.must("POST", "/users", body)
	p.secret, _ = s.must("POST", "/users/"+realm+"/"+name+"/totp", map[string]any{})["secret"].(string)
	return p
}

// code asks oathtool for the code of a moment: now plus some steps of 30 s.
func (p person) code(t testing.TB, steps int) string {
	t.Helper()
	at := time.Now().Add(time.Duration(steps) * 30 * time.Second).UTC().Format("2006-01-02 15:04:05 UTC")
	out, err := exec.Command("oathtool", "--totp", "--base32", "--now", at, p.secret).Output()
	if err != nil {
		t.Fatalf("oathtool: %v (make test installs it)", err)
	}
	return strings.TrimSpace(string(out))
}

// browser keeps cookies and sends what a browser sends. It follows no redirects,
// and whatever host it asks for is on 127.0.0.1.
type browser struct {
	s      *server
	origin string // what its address bar says
	jar    map[string]string
	client *http.Client
}

// browser returns a fresh one for an origin: "" is the server's on plain HTTP.
func (s *server) browser(origin string) *browser {
	if origin == "" {
		origin = s.base
	}
	return &browser{s: s, origin: origin, jar: map[string]string{}, client: s.client()}
}

func toLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
}

// client speaks HTTP/1.1 and HTTP/2.
func (s *server) client() *http.Client {
	transport := &http.Transport{
		DialContext: toLoopback, DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // Caddy's own authority
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	s.mu.Lock()
	s.kept = append(s.kept, transport)
	s.mu.Unlock()
	return &http.Client{Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is an answer with its body.
type answer struct {
	what   string
	status int
	proto  string
	header http.Header
	body   string
}

func (b *browser) try(method, target string, body io.Reader, header http.Header) (*answer, error) {
	req, err := http.NewRequest(method, b.origin, body)
	if err != nil {
		return nil, err
	}
	path, query, asked := strings.Cut(target, "?")
	req.URL.Opaque, req.URL.RawQuery, req.URL.ForceQuery = path, query, asked && query == ""
	if strings.HasPrefix(path, "//") { // an opaque part with two slashes would be an authority
		req.URL.Opaque = "//" + req.URL.Host + path
	}
	maps.Copy(req.Header, header)
	if _, set := req.Header["Cookie"]; !set && len(b.jar) > 0 {
		req.Header.Set("Cookie", b.cookies())
	}
	res, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.jar, c.Name)
			continue
		}
		b.jar[c.Name] = c.Value
	}
	return &answer{what: method + " " + b.origin + target, status: res.StatusCode, proto: res.Proto, header: res.Header, body: string(text)}, nil
}

func (b *browser) cookies() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(b.jar)) {
		pairs = append(pairs, name+"="+b.jar[name])
	}
	return strings.Join(pairs, "; ")
}

// ask sends one request and keeps the cookies that it is given.
func (b *browser) ask(method, target, body string, header http.Header) *answer {
	b.s.t.Helper()
	a, err := b.try(method, target, strings.NewReader(body), header)
	if err != nil {
		b.s.t.Fatalf("%s %s%s: %v", method, b.origin, target, err)
	}
	return a
}

var navigation = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"}}

// get asks for a page, as a person does; fetch as a script does.
func (b *browser) get(target string) *answer {
	b.s.t.Helper()
	return b.ask("GET", target, "", navigation)
}

func (b *browser) fetch(target string) *answer {
	b.s.t.Helper()
	return b.ask("GET", target, "", http.Header{"Accept": {"application/json"}})
}

// post sends a form of a page of the same host.
func (b *browser) post(target string, form url.Values) *answer {
	b.s.t.Helper()
	return b.ask("POST", target, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {b.origin},
		"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"}})
}

// goesTo is where a redirect leads, relative to this origin.
func (b *browser) goesTo(a *answer, status int) string {
	b.s.t.Helper()
	if a.status != status {
		b.s.t.Fatalf("%s: %d, want %d: %.400s", a.what, a.status, status, a.body)
	}
	return strings.TrimPrefix(a.header.Get("Location"), b.origin)
}

// login passes both doors by the pages, from the address of the first one, and
// returns where that led.
func (b *browser) login(p person, address string) string {
	b.s.t.Helper()
	query := url.Values{}
	if u, err := url.Parse(address); err == nil {
		query = u.Query()
	}
	query.Set("username", p.name+"@"+p.realm)
	query.Set("password", p.password)
	next := b.goesTo(b.post("/sallyport/login", query), http.StatusSeeOther)
	if !strings.HasPrefix(next, "/sallyport/login/code") {
		b.s.t.Fatalf("the first door leads to %s", next)
	}
	return b.goesTo(b.post(next, url.Values{"code": {p.code(b.s.t, 0)}}), http.StatusSeeOther)
}

// signIn is login for those who want to go nowhere.
func (b *browser) signIn(p person) *browser {
	b.s.t.Helper()
	if to := b.login(p, "/sallyport/login"); strings.HasPrefix(to, "/sallyport/login") {
		b.s.t.Fatalf("the second door leads to %s", to)
	}
	return b
}

// seen is what reached the application.
type seen struct {
	Method, Target, Host, Proto string
	Header, Trailer             http.Header
	Body                        string
}

// echo is an application that answers with what reached it.
type echo struct {
	*httptest.Server
	hits atomic.Int64
}

func newEcho(t testing.TB) *echo {
	t.Helper()
	e := &echo{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.hits.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Echo", "here")
		_ = json.NewEncoder(w).Encode(seen{Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto, Header: r.Header, Trailer: r.Trailer, Body: string(body)})
	}))
	t.Cleanup(e.Close)
	return e
}

// address is host:port, for reverse_proxy.
func (e *echo) address() string { return e.Listener.Addr().String() }

// seen is what the echo saw; the answer has to be its.
func (a *answer) seen(t testing.TB) seen {
	t.Helper()
	var e seen
	if a.status != 200 || a.header.Get("X-Echo") == "" {
		t.Fatalf("%s did not reach the application: %d %v %.500s", a.what, a.status, a.header, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func wantStatus(t testing.TB, a *answer, want ...int) {
	t.Helper()
	if !slices.Contains(want, a.status) {
		t.Errorf("%s: %d, want %v: %.300s", a.what, a.status, want, a.body)
	}
}
