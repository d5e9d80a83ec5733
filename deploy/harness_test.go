package deploy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/deploy"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// The tests of this directory run real proxies with the very files that users
// copy, fitted by the function that `sallyport check --proxy` uses: a real
// nginx, HAProxy and Caddy, the real gateway behind them, and an application of
// the tests' own that says, byte for byte, what reached it.

const (
	portalHost   = "auth.example.com"
	appHost      = "app.example.com"
	goodPassword = "velvet otter paints 37 clocks"
)

// proxyNames are the proxies that are run.
var proxyNames = []string{"nginx", "haproxy", "caddy"}

var (
	scratch     string // of this run
	binary      string // sallyport, with the race detector
	certificate string // PEM, with its key
	authorities = x509.NewCertPool()
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "sallyport-deploy-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	if err := os.Chmod(scratch, 0o755); err != nil { // workers of a proxy read their files as somebody else
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(scratch, "sallyport")
	if out, err := exec.Command("go", "build", "-race", "-o", binary, "../standalone").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	if err := makeCertificate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	stopShared()
	return code
}

// makeCertificate makes one for example.com and everything below it.
func makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.com"}, DNSNames: []string{"example.com", "*.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	authorities.AppendCertsFromPEM(text)
	certificate = filepath.Join(scratch, "tls.pem")
	return os.WriteFile(certificate, append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), 0o644)
}

// caddyBinary builds stock Caddy at the version that go.mod pins.
var caddyBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "caddy")
	out, err := exec.Command("go", "build", "-o", path, "github.com/caddyserver/caddy/v2/cmd/caddy").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build caddy: %w\n%s", err, out)
	}
	return path, nil
})

// program finds a Debian package's program. A missing one is a failure.
func program(name, debian string) (string, error) {
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing: install the Debian package %s (make deps-test does)", name, debian)
}

// process is a program in the foreground that ends with the test.
type process struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	log  bytes.Buffer
	done chan struct{}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) logs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func start(dir string, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a group of its own: workers end with it
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	return p, nil
}

func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// pause is the one wait of the tests: between two looks at a condition that
// another process will make true.
func pause() { <-time.After(20 * time.Millisecond) }

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// setup is what a test changes of a world. The zero setup changes nothing.
type setup struct {
	gateway string                         // stands in for ours
	rules   string                         // before the world's own
	hosts   []string                       // guarded besides
	alone   bool                           // no portal, and the gateway on a unix socket
	nginx   []string                       // lines of the http context, as an administrator may have them
	edit    func(path, text string) string // what users do to a file
}

// startProxy runs a proxy with its files fitted to s.
func startProxy(name, dir string, s deploy.Site, o setup) (*process, error) {
	s.Dir, s.Certificate, s.Key = dir, certificate, certificate
	files, err := deploy.Files(name, s)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return nil, err
		}
		if o.edit != nil {
			f.Text = o.edit(f.Path, f.Text)
		}
		if err := os.WriteFile(f.Path, []byte(f.Text), 0o644); err != nil {
			return nil, err
		}
	}
	switch name {
	case "nginx":
		return startNginx(dir, o.nginx)
	case "haproxy":
		path, err := program("haproxy", "haproxy")
		if err != nil {
			return nil, err
		}
		return start(dir, nil, path, "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	}
	path, err := caddyBinary()
	if err != nil {
		return nil, err
	}
	// Only what a test needs beside the users' file: no admin port, nothing on port 80.
	main := "{\n\tadmin off\n\tauto_https disable_redirects\n\tpersist_config off\n}\nimport Caddyfile\n"
	if err := os.WriteFile(filepath.Join(dir, "main"), []byte(main), 0o644); err != nil {
		return nil, err
	}
	return start(dir, []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, path, "run", "--adapter", "caddyfile", "--config", filepath.Join(dir, "main"))
}

// startNginx writes the nginx.conf around the users' files, as Debian's includes
// conf.d.
func startNginx(dir string, extra []string) (*process, error) {
	path, err := program("nginx", "nginx-light")
	if err != nil {
		return nil, err
	}
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "\t%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	main := fmt.Sprintf("%sdaemon off;\npid %s/pid;\nerror_log stderr info;\nworker_processes 1;\nevents { worker_connections 512; }\nhttp {\n\taccess_log off;\n%s%s\n\tinclude conf.d/*.conf;\n}\n",
		user, dir, temp.String(), strings.Join(extra, "\n"))
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(main), 0o644); err != nil {
		return nil, err
	}
	return start(dir, nil, path, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
}

// world is one proxy before one gateway and one application.
type world struct {
	proxy   string
	port    string // of the proxy
	dir     string
	running []*process
	app     net.Listener
	gateway string // address
	state   string // directory; "": the configuration names a database
	api     http.RoundTripper
	gate    *process // nil where a stub stands in
	cookies sync.Map // cookie of a user, to sign in once each
	stop    []func()
}

const rules = `  - {name: public, hosts: [public.example.com], factors: 0}
  - {name: public path, hosts: [app.example.com], paths: [/public/*], factors: 0}
  - {name: methods, hosts: [app.example.com], paths: [/methods/*], methods: [GET], realms: [users]}
  - {name: methods closed, hosts: [app.example.com], paths: [/methods/*], deny: true}
  - {name: admin, hosts: [app.example.com], paths: [/admin/*], realms: [users], groups: [ops]}
  - {name: network, hosts: [app.example.com], paths: [/network/*], networks: [192.0.2.0/24], factors: 0}
  - {name: network closed, hosts: [app.example.com], paths: [/network/*], deny: true}
  - {name: preset, hosts: [xf.example.com], realms: [users], headers: x-forwarded}
  - {name: single, hosts: [single.example.com], realms: [single], factors: 1}
  - {name: old, hosts: [old.example.com], deny: true}
  - {name: app, hosts: [app.example.com], realms: [users]}
`

var guardedHosts = []string{appHost, "public.example.com", "xf.example.com", "single.example.com", "old.example.com", "other.example.com"}

// open starts everything.
func open(proxy string, o setup) (w *world, err error) {
	w = &world{proxy: proxy, gateway: o.gateway}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp(scratch, proxy+"-"); err != nil {
		return w, err
	}
	if err = os.Chmod(w.dir, 0o755); err != nil {
		return w, err
	}
	if w.app, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return w, err
	}
	go serveApplication(w.app)
	if w.port, err = freePort(); err != nil {
		return w, err
	}
	if w.gateway == "" {
		if err = w.startGateway(o); err != nil {
			return w, err
		}
	}
	portal := portalHost
	if o.alone {
		portal = ""
	}
	p, err := startProxy(proxy, w.dir, deploy.Site{
		Port: w.port, Portal: portal, Hosts: slices.Concat(o.hosts, guardedHosts), Gateway: w.gateway, Application: w.app.Addr().String(),
	}, o)
	if err != nil {
		return w, err
	}
	w.running = append(w.running, p)
	// Any answer at all: whether it is the right one the tests say.
	return w, w.until(p, func() bool {
		res, err := w.client().Get("https://" + appHost + ":" + w.port + "/sallyport/authz/")
		if err != nil {
			return false
		}
		res.Body.Close()
		return true
	})
}

func (w *world) startGateway(o setup) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	w.gateway, w.state = "127.0.0.1:"+port, filepath.Join(w.dir, "state")
	portal := "portal: https://" + portalHost + ":" + w.port + "\ncookie_domain: example.com\n"
	if o.alone {
		w.gateway, portal = "unix:"+filepath.Join(w.dir, "gw.sock"), ""
	}
	text := "listen: " + w.gateway + "\n" + portal + "passwords: {memory: 8192, time: 1}\nrealms: {single: {factors: 1}}\nrules:\n" + o.rules + rules
	if pgtest.Second() {
		w.state = ""
		database, err := pgtest.Lasting() // shared worlds outlive the test that opened them
		if err != nil {
			return err
		}
		text += "storage: '" + database + "'\nmaster_key: " + pgtest.MasterKey + "\n"
	}
	if err := os.WriteFile(w.config(), []byte(text), 0o600); err != nil {
		return err
	}
	if err := w.runGateway(); err != nil {
		return err
	}
	return w.manage()
}

// runGateway starts the gateway, also a second time on the same state.
func (w *world) runGateway() error {
	p, err := start(w.dir, []string{"GORACE=halt_on_error=1", "SALLYPORT_STATE=", "SALLYPORT_CONFIG="}, binary, w.flags("serve")...)
	if err != nil {
		return err
	}
	w.gate = p
	return w.until(p, func() bool {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if socket, ok := strings.CutPrefix(w.gateway, "unix:"); ok {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.gateway)
		}}}
		res, err := c.Get("http://localhost/sallyport/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

func (w *world) until(p *process, ok func() bool) error {
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended:\n%s", filepath.Base(p.cmd.Path), p.logs())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s was not ready in 60 s:\n%s", filepath.Base(p.cmd.Path), p.logs())
		}
		pause()
	}
	return nil
}

func (w *world) close() {
	if w.gate != nil {
		w.gate.stop()
		if strings.Contains(w.gate.logs(), "DATA RACE") {
			fmt.Fprintf(os.Stderr, "data race in the gateway:\n%s", w.gate.logs())
			os.Exit(1)
		}
	}
	for _, p := range w.running {
		p.stop()
	}
	for _, f := range w.stop {
		f()
	}
	if w.app != nil {
		w.app.Close()
	}
}

// Worlds with the real gateway are shared and ended with the run. Tests change
// nothing in them that others see.
var (
	sharedMu sync.Mutex
	shared   = map[string]*world{}
)

func through(t *testing.T, proxy string) *world { return kept(t, proxy, proxy, setup{}) }

// kept is the shared world of this name, made at its first use.
func kept(t *testing.T, name, proxy string, o setup) *world {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	w, there := shared[name]
	if !there {
		var err error
		if w, err = open(proxy, o); err != nil {
			t.Fatal(err)
		}
		shared[name] = w
		w.addUser(t, "alice", "ops", "staff")
		w.addUser(t, "bob")
		w.addUser(t, "carol")
		w.addUser(t, "frank")
		w.addUser(t, "dave", "ops")
		w.addUser(t, "eve@single")
	}
	return w
}

func stopShared() {
	for _, w := range shared {
		w.close()
	}
}

// each runs a test through every proxy.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	for _, proxy := range proxyNames {
		t.Run(proxy, func(t *testing.T) { test(t, through(t, proxy)) })
	}
}

// own is a world of the test's own, with the real gateway.
func own(t *testing.T, proxy string, o setup) *world {
	t.Helper()
	w, err := open(proxy, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	w.addUser(t, "alice", "ops", "staff")
	w.addUser(t, "bob")
	return w
}

// stubbed returns a proxy whose gateway answers as it is told.
func stubbed(t *testing.T, proxy string, answer http.HandlerFunc) *world {
	t.Helper()
	stub := httptest.NewServer(answer)
	w, err := open(proxy, setup{gateway: strings.TrimPrefix(stub.URL, "http://")})
	if err != nil {
		stub.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close(); stub.Close() })
	return w
}

// users of the worlds: what they need to sign in.
type person struct{ name, password, secret string }

// addUser makes name or name@realm over the API. In realm single the
// password is enough.
func (w *world) addUser(t *testing.T, name string, groups ...string) {
	t.Helper()
	bare, realm, ok := strings.Cut(name, "@")
	if !ok {
		realm = "users"
	}
	p := person{name: name, password: goodPassword + " " + bare}
	w.admin(t, "POST", "/users", map[string]any{"realm": realm, "name": bare, "password": p.password, "email": bare + "@example.com", "groups": groups})
	if realm != "single" {
		p.secret, _ = w.admin(t, "POST", "/users/"+realm+"/"+bare+"/totp", map[string]any{})["secret"].(string)
	}
	w.cookies.Store("person "+name, p)
}

// admin sends a call of the API, as the command line does.
func (w *world) admin(t *testing.T, method, path string, body map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(method, "http://admin/sallyport/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: w.api}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	a := read(t, res)
	if a.status/100 != 2 {
		t.Fatalf("%s %s: %d %.300s", method, path, a.status, a.body)
	}
	out := map[string]any{}
	if a.body != "" {
		if err := json.Unmarshal([]byte(a.body), &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func (w *world) person(name string) person {
	p, _ := w.cookies.Load("person " + name)
	return p.(person)
}

// code asks oathtool.
func (p person) code(t *testing.T, steps int) string {
	t.Helper()
	path, err := program("oathtool", "oathtool")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Duration(steps) * 30 * time.Second).UTC().Format("2006-01-02 15:04:05 UTC")
	out, err := exec.Command(path, "--totp", "--base32", "--now", at, p.secret).Output()
	if err != nil {
		t.Fatalf("oathtool: %v", err)
	}
	return strings.TrimSpace(string(out))
}
