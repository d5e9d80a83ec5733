package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// The tests of this directory drive the real binary, built once with the race
// detector, over real sockets. Codes come from oathtool, QR codes are read by
// zbarimg: two judges that share no code with us.

var binary, plain string // with and without the race detector

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if len(os.Args) == 0 {
		main() // never; but with it everything that the binary is made of is part of this test too, and go test remembers no result of an older binary
	}
	dir, err := os.MkdirTemp("", "sallyport-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sallyport")
	if out, err := exec.Command("go", "build", "-race", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	// Scripts start many short processes: for them the detector only costs time.
	plain = filepath.Join(dir, "plain", "sallyport")
	if out, err := exec.Command("go", "build", "-o", plain, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

const goodPassword = "velvet otter paints 37 clocks"

// server is one running `sallyport serve`.
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	dir   string // state
	addr  string
	base  string // http://localhost:PORT
	args  []string
	setup string   // the printed setup link, if there was one
	state []string // flags that name the state

	config  string // with a database
	opening sync.Once
	second  http.RoundTripper // see beside

	mu   sync.Mutex
	log  bytes.Buffer
	done chan struct{} // closed when the process has ended
}

// freePort asks the kernel for a port.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// serveBinary starts the binary on a state directory and waits until it is ready.
func serveBinary(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	port := freePort(t)
	s := &server{t: t, dir: dir, addr: "127.0.0.1:" + port, base: "http://localhost:" + port, args: args}
	s.place()
	s.start()
	t.Cleanup(s.kill)
	return s
}

var setupLink = regexp.MustCompile(`http://\S+/sallyport/setup\?token=spi_[A-Za-z0-9_-]+`)

func (s *server) start() {
	s.t.Helper()
	args := slices.Concat(s.state, []string{"serve", "--listen", s.addr}, s.args)
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1", "SALLYPORT_STATE=", "SALLYPORT_CONFIG=")
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan struct{})
	go s.collect(stderr, s.done)
	s.waitReady()
}

func (s *server) collect(stderr io.Reader, done chan struct{}) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.mu.Lock()
		s.log.Write(append(lines.Bytes(), '\n'))
		if link := setupLink.FindString(lines.Text()); link != "" {
			s.setup = link
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

func (s *server) setupURL() string {
	s.t.Helper()
	var link string
	eventually(s.t, "a setup link in the terminal", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		link = s.setup
		return link != ""
	})
	return link
}

func (s *server) waitReady() {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		select {
		case <-s.done:
			s.t.Fatalf("the server ended:\n%s", s.logs())
		default:
		}
		if resp, err := http.Get("http://" + s.addr + "/sallyport/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		pause()
	}
	s.t.Fatalf("the server was not ready in %v:\n%s", patience, s.logs())
}

// kill is kill -9.
func (s *server) kill() { s.end(syscall.SIGKILL) }

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
	<-s.done
	if strings.Contains(s.logs(), "DATA RACE") {
		s.t.Errorf("data race in the server:\n%s", s.logs())
	}
}

// patience is for what has to happen sooner or later: a machine of two cores that
// does much else beside the race detector is slow. Promises of a time are measured.
const patience = time.Minute

// pause is the one wait of the tests: between two looks at a condition that
// another process will make true.
func pause() { <-time.After(20 * time.Millisecond) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		pause()
	}
}

// admin sends a call to the admin socket, as the command line does.
func (s *server) admin(method, path string, body any) (int, map[string]any) {
	s.t.Helper()
	return call(s.t, adminClient(s), method, adminURL+path, body, nil)
}

// call sends JSON and reads JSON.
func call(t testing.TB, client *http.Client, method, url string, body any, header http.Header) (int, map[string]any) {
	t.Helper()
	status, _, answer, err := tryCall(client, method, url, body, header)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
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
	for name, values := range header {
		req.Header[name] = values
	}
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
	name, password, uri, secret string
	recovery                    []string
}

// addUser provisions a person with an authenticator over the admin socket.
func (s *server) addUser(name string) person {
	s.t.Helper()
	p, err := s.tryAddUser(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *server) tryAddUser(name string) (person, error) {
	p := person{name: name, password: goodPassword + " " + name}
	if status, answer := s.admin("POST", "/users", map[string]any{"realm": "users", "name": name, "password": p.password}); status != 201 {
		return p, fmt.Errorf("create %s: %d %v", name, status, answer)
	}
	status, answer := s.admin("POST", "/users/users/"+name+"/totp", map[string]any{})
	if status != 201 {
		return p, fmt.Errorf("totp of %s: %d %v", name, status, answer)
	}
	p.uri, _ = answer["otpauth_uri"].(string)
	p.secret, _ = answer["secret"].(string)
	for _, code := range answer["recovery_codes"].([]any) {
		p.recovery = append(p.recovery, code.(string))
	}
	return p, nil
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

// browserLike is a client with a cookie jar that follows no redirects.
func browserLike(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var sameOrigin = http.Header{"Sec-Fetch-Site": {"same-origin"}}

// login passes both doors of the API and returns the last answer. Retry-After
// is honoured, as a good client does.
func (s *server) login(client *http.Client, p person, code string) (int, map[string]any, error) {
	status, answer, err := patient(client, s.base+"/sallyport/api/v1/login", map[string]any{"name": p.name, "password": p.password})
	if err != nil || status != 200 || answer["status"] != "second_factor" {
		return status, answer, err
	}
	return patient(client, s.base+"/sallyport/api/v1/login/code", map[string]any{"ephemeral_token": answer["ephemeral_token"], "code": code})
}

// patient posts until the answer is neither 429 nor 503, waiting as it was told.
func patient(client *http.Client, url string, body any) (int, map[string]any, error) {
	for range 200 {
		status, header, answer, err := tryCall(client, "POST", url, body, sameOrigin)
		if err != nil || (status != 429 && status != 503) {
			return status, answer, err
		}
		wait, err := time.ParseDuration(header.Get("Retry-After") + "s")
		if err != nil || wait <= 0 {
			return status, answer, fmt.Errorf("%d without a Retry-After in seconds: %q", status, header.Get("Retry-After"))
		}
		<-time.After(wait)
	}
	return 0, nil, fmt.Errorf("still told to wait after 200 tries: %s", url)
}

// loginOnce posts a password once, without patience.
func (s *server) loginOnce(p person) (int, map[string]any, error) {
	status, _, answer, err := tryCall(&http.Client{}, "POST", s.base+"/sallyport/api/v1/login", map[string]any{"name": p.name, "password": p.password}, sameOrigin)
	return status, answer, err
}

// tryStart starts the server where it is expected to refuse, and returns what
// it printed.
func (s *server) tryStart() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := slices.Concat(s.state, []string{"serve", "--listen", s.addr}, s.args)
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	return string(out), err
}

// adminClient speaks to the admin socket, or to the database beside the server.
func adminClient(s *server) *http.Client {
	if pgtest.Second() {
		return &http.Client{Transport: s.beside()}
	}
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.dir, "admin.sock"))
		},
	}}
}
