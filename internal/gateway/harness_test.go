package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/otp"
)

const (
	apiPrefix    = "/sallyport/api/v1"
	goodPassword = "a heron stands in cold water"
	portalHost   = "auth.example.com"
	appHost      = "app.example.com"
)

// world is a whole gateway behind a real listener, with a clock of its own.
type world struct {
	t       *testing.T
	gw      *gateway.Gateway
	cfg     gateway.Config
	options gateway.Options
	dir     string // of the state; empty: in a database
	server  *httptest.Server
	now     atomic.Int64 // nanoseconds since the epoch
	log     buffer
	mu      sync.Mutex
	seen    []*answer // everything that was answered, for tests that look for secrets
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// cheap makes hashing cost nothing: these tests are about everything else.
func cheap(cfg gateway.Config) gateway.Config {
	cfg.Passwords = gateway.Passwords{Memory: 64, Time: 1, HashSlots: 4}
	return cfg
}

// open starts a gateway with this configuration.
func open(t *testing.T, cfg gateway.Config, change ...func(*gateway.Options)) *world {
	t.Helper()
	w := &world{t: t, cfg: cheap(cfg)}
	// From the real time on, forward alone: the engine sweeps by its own clock.
	w.now.Store(time.Now().UnixNano())
	w.options = gateway.Options{Clock: w.clock, Version: "test",
		Logger: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	place(t, &w.cfg, &w.options)
	w.dir = w.options.StateDir
	for _, c := range change {
		c(&w.options)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	gw, err := gateway.Open(w.t.Context(), w.cfg, w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.gw = gw
	w.server = httptest.NewUnstartedServer(gw.Handler())
	w.server.Config.MaxHeaderBytes = 32 << 10
	w.server.Config.DisableGeneralOptionsHandler = true
	w.server.Config.ErrorLog = slog.NewLogLogger(w.options.Logger.Handler(), slog.LevelDebug)
	w.server.Config.Protocols = new(http.Protocols)
	w.server.Config.Protocols.SetHTTP1(true)
	w.server.Config.Protocols.SetUnencryptedHTTP2(true)
	w.server.Start()
}

func (w *world) stop() {
	w.server.CloseClientConnections()
	w.server.Close()
	if err := w.gw.Close(); err != nil {
		w.t.Errorf("close: %v", err)
	}
}

func (w *world) restart() { w.t.Helper(); w.stop(); w.start() }

func (w *world) clock() time.Time     { return time.Unix(0, w.now.Load()).UTC() }
func (w *world) pass(d time.Duration) { w.now.Add(int64(d)) }
func (w *world) address() string      { return w.server.Listener.Addr().String() }

// answer is one HTTP answer, read to its end.
type answer struct {
	what   string
	status int
	header http.Header
	body   string
}

func (a *answer) fields(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("%s: %d is no JSON object: %s", a.what, a.status, a.body)
	}
	return m
}

func (w *world) note(a *answer) *answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, a)
	return a
}

// local calls the API as the local administrator.
func (w *world) local(method, path string, body any) *answer {
	w.t.Helper()
	var r io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req := httptest.NewRequest(method, apiPrefix+path, r)
	req.RemoteAddr = "@"
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	w.gw.AdminHandler().ServeHTTP(rec, req)
	return w.note(&answer{what: "local " + method + " " + path, status: rec.Code, header: rec.Header(), body: rec.Body.String()})
}

// must is local, and the status has to be good.
func (w *world) must(method, path string, body any) map[string]any {
	w.t.Helper()
	a := w.local(method, path, body)
	if a.status >= 300 {
		w.t.Fatalf("%s: %d %s", a.what, a.status, a.body)
	}
	if a.body == "" {
		return nil
	}
	return a.fields(w.t)
}

// person is a user with both factors.
type person struct {
	w                     *world
	name, realm, password string
	secret                string
	seed                  []byte
	recovery              []string
}

func (p *person) path() string { return "/users/" + p.realm + "/" + p.name }

// bare makes a user with a password alone.
func (w *world) bare(name, realm string, more map[string]any) *person {
	w.t.Helper()
	body := map[string]any{"realm": realm, "name": name, "password": goodPassword}
	maps.Copy(body, more)
	w.must("POST", "/users", body)
	return &person{w: w, name: name, realm: realm, password: body["password"].(string)}
}

// user makes a user with both factors.
func (w *world) user(name, realm string, groups ...string) *person {
	w.t.Helper()
	p := w.bare(name, realm, map[string]any{"groups": groups})
	p.provision()
	return p
}

func (p *person) provision() {
	p.w.t.Helper()
	made := p.w.must("POST", p.path()+"/totp", map[string]any{})
	p.secret = made["secret"].(string)
	p.recovery = nil
	for _, c := range made["recovery_codes"].([]any) {
		p.recovery = append(p.recovery, c.(string))
	}
	var err error
	if p.seed, err = otp.ParseSeed(p.secret); err != nil {
		p.w.t.Fatal(err)
	}
}

// code waits for the next step and returns its code, which was never used.
func (p *person) code() string {
	p.w.t.Helper()
	p.w.pass(30 * time.Second)
	return p.codeAt(0)
}

// codeAt is the code of a step near now.
func (p *person) codeAt(offset int64) string {
	p.w.t.Helper()
	code, err := otp.Default().Code(p.seed, otp.Default().Step(p.w.clock())+offset)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return code
}

// browser is a client that keeps cookies by name, as one that talks to a single
// host does, and sends what a browser sends.
type browser struct {
	w      *world
	host   string // in the header Host
	origin string
	jar    map[string]string
	header http.Header // added to every request
	client *http.Client
}

// browser returns a fresh one. origin is what its address bar says.
func (w *world) browser(origin string) *browser {
	u, err := url.Parse(origin)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w: w, host: u.Host, origin: origin, jar: map[string]string{}, header: http.Header{}, client: w.client("")}
}

// client follows no redirects. from is a local address to connect from.
func (w *world) client(from string) *http.Client {
	dialer := &net.Dialer{}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableCompression: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// here is the origin of the listener itself.
func (w *world) here() string { return w.server.URL }

// ask sends one request and keeps the cookies that it is given.
func (b *browser) ask(method, target string, body string, header http.Header) *answer {
	b.w.t.Helper()
	a, err := b.try(method, target, body, header)
	if err != nil {
		b.w.t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (b *browser) try(method, target string, body string, header http.Header) (*answer, error) {
	req, err := http.NewRequest(method, b.w.server.URL, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	path, query, asked := strings.Cut(target, "?")
	req.URL.Opaque, req.URL.RawQuery, req.URL.ForceQuery = path, query, asked && query == ""
	if strings.HasPrefix(path, "//") { // an opaque part with two slashes would be an authority
		req.URL.Opaque = "http://" + b.w.address() + path
	}
	req.Host = b.host
	maps.Copy(req.Header, b.header)
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
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.jar, c.Name)
			continue
		}
		b.jar[c.Name] = c.Value
	}
	return b.w.note(&answer{what: method + " " + b.host + " " + target, status: res.StatusCode, header: res.Header, body: string(text)}), nil
}

func (b *browser) cookies() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(b.jar)) {
		pairs = append(pairs, name+"="+b.jar[name])
	}
	return strings.Join(pairs, "; ")
}

// get asks for a page, as a person does.
func (b *browser) get(target string) *answer {
	b.w.t.Helper()
	return b.ask("GET", target, "", http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"}})
}

// post sends a form of a page of the same host.
func (b *browser) post(target string, form url.Values) *answer {
	b.w.t.Helper()
	return b.ask("POST", target, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {b.origin},
		"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"}})
}

// api calls the JSON API as a script of this host does.
func (b *browser) api(method, path string, body any, header ...http.Header) *answer {
	b.w.t.Helper()
	h := http.Header{"Origin": {b.origin}}
	text := ""
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			b.w.t.Fatal(err)
		}
		text = string(raw)
		h.Set("Content-Type", "application/json")
	}
	for _, more := range header {
		maps.Copy(h, more)
	}
	return b.ask(method, apiPrefix+path, text, h)
}

// firstDoor passes the password and returns where the second door is.
func (b *browser) firstDoor(p *person, more url.Values) *answer {
	b.w.t.Helper()
	form := url.Values{"username": {p.name + "@" + p.realm}, "password": {p.password}}
	maps.Copy(form, more)
	a := b.post("/sallyport/login", form)
	if a.status != http.StatusSeeOther {
		b.w.t.Fatalf("first door: %d %s", a.status, a.body)
	}
	return a
}

// login passes both doors by the pages.
func (b *browser) login(p *person) *answer {
	b.w.t.Helper()
	next := b.firstDoor(p, nil).header.Get("Location")
	if !strings.HasPrefix(next, "/sallyport/login/code") {
		b.w.t.Fatalf("the first door leads to %s", next)
	}
	a := b.post(next, url.Values{"code": {p.code()}})
	if a.status != http.StatusSeeOther || strings.HasPrefix(a.header.Get("Location"), "/sallyport/login") {
		b.w.t.Fatalf("second door: %d to %s: %s", a.status, a.header.Get("Location"), a.body)
	}
	return a
}

// tokens passes both doors by the JSON API.
func (b *browser) tokens(p *person) map[string]any {
	b.w.t.Helper()
	first := b.api("POST", "/login", map[string]any{"name": p.name, "realm": p.realm, "password": p.password}).fields(b.w.t)
	if first["status"] != "second_factor" {
		b.w.t.Fatalf("first door: %v", first)
	}
	second := b.api("POST", "/login/code", map[string]any{"ephemeral_token": first["ephemeral_token"], "code": p.code()}).fields(b.w.t)
	if second["status"] != "ok" {
		b.w.t.Fatalf("second door: %v", second)
	}
	return second
}

// echoed is what the echo upstream saw.
type echoed struct {
	Method, Target, Host, Proto string
	Header, Trailer             http.Header
	Body                        string
}

// echo is an application that answers with what reached it.
type echo struct {
	*httptest.Server
	hits atomic.Int64
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	e := &echo{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.hits.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Echo", "here")
		_ = json.NewEncoder(w).Encode(echoed{Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto, Header: r.Header, Trailer: r.Trailer, Body: string(body)})
	}))
	t.Cleanup(e.Close)
	return e
}

func (a *answer) echo(t *testing.T) echoed {
	t.Helper()
	var e echoed
	if a.status != 200 || a.header.Get("X-Echo") == "" {
		t.Fatalf("%s did not reach the upstream: %d %s", a.what, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func number(n int) *int { return &n }

// guarding is a gateway in front of an echo upstream: one public host, one that
// wants a password, all others both factors.
func guarding(t *testing.T, more ...guard.Rule) (*world, *echo) {
	t.Helper()
	e := newEcho(t)
	rules := append(slices.Clone(more),
		guard.Rule{Name: "public", Hosts: []string{"public.example.com"}, Factors: number(0)},
		guard.Rule{Name: "ops", Hosts: []string{"ops.example.com"}, Realms: []string{"users"}, Groups: []string{"ops"}},
		guard.Rule{Name: "rest", Realms: []string{"users", "admin"}},
	)
	return open(t, gateway.Config{Upstream: e.URL, Rules: rules}), e
}

// central is a gateway that only answers, with a portal for all hosts below
// example.com; proxies on 127.0.0.1 are trusted, others are not.
func central(t *testing.T, more ...guard.Rule) *world {
	t.Helper()
	return open(t, centralConfig(more...))
}

func centralConfig(more ...guard.Rule) gateway.Config {
	rules := append(slices.Clone(more),
		guard.Rule{Name: "public", Hosts: []string{"public.example.com"}, Factors: number(0)},
		guard.Rule{Name: "ops", Hosts: []string{"ops.example.com"}, Realms: []string{"users"}, Groups: []string{"ops"}},
		guard.Rule{Name: "rest", Hosts: []string{"*.example.com"}, Realms: []string{"users", "admin"}},
	)
	return gateway.Config{Portal: "https://" + portalHost, CookieDomain: gateway.CookieDomains{{Domain: "example.com"}},
		TrustedProxies: []string{"127.0.0.1/32"}, Rules: rules}
}

// forwardAuth asks as a proxy on 127.0.0.1 does about a request of this browser.
func (b *browser) forwardAuth(path, method, uri string, header http.Header) *answer {
	b.w.t.Helper()
	h := http.Header{"X-Forwarded-Method": {method}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {b.host}, "X-Forwarded-Uri": {uri}, "X-Forwarded-For": {"203.0.113.7"}}
	maps.Copy(h, header)
	return b.ask("GET", path, "", h)
}

// authz is forwardAuth at our own endpoint for a GET.
func (b *browser) authz(uri string) *answer {
	b.w.t.Helper()
	return b.forwardAuth("/sallyport/authz/forward-auth", "GET", uri, nil)
}

// domainOnly is a browser at another host below the cookie domain: it has what
// this one was given for the domain, and nothing of the portal's.
func (b *browser) at(host string) *browser {
	other := b.w.browser("https://" + host)
	for name, value := range b.jar {
		if strings.HasPrefix(name, "__Secure-") {
			other.jar[name] = value
		}
	}
	return other
}

func wantStatus(t *testing.T, a *answer, want ...int) {
	t.Helper()
	if !slices.Contains(want, a.status) {
		t.Errorf("%s: %d, want %v: %.300s", a.what, a.status, want, a.body)
	}
}

// The harness itself: both doors lead in, by the pages and by the API, at a
// gateway of each shape.
func TestBothDoorsLeadInAtEveryShape(t *testing.T) {
	t.Run("upstream", func(t *testing.T) {
		w, e := guarding(t)
		alice := w.user("alice", "users")
		b := w.browser(w.here())
		wantStatus(t, b.get("/"), http.StatusFound)
		b.login(alice)
		if got := b.get("/x?y=1").echo(t); got.Header.Get("Remote-User") != "alice" || got.Target != "/x?y=1" {
			t.Errorf("the upstream saw %+v", got)
		}
		if e.hits.Load() != 1 {
			t.Errorf("%d requests reached the upstream, want 1", e.hits.Load())
		}
		if token := w.browser(w.here()).tokens(alice)["access_token"]; token == "" {
			t.Error("no token")
		}
	})
	t.Run("portal", func(t *testing.T) {
		w := central(t)
		alice := w.user("alice", "users")
		b := w.browser("https://" + portalHost)
		b.login(alice)
		app := b.at(appHost)
		a := app.authz("/x")
		wantStatus(t, a, 200)
		if a.header.Get("Remote-User") != "alice" {
			t.Errorf("headers %v", a.header)
		}
	})
	t.Run("demo", func(t *testing.T) {
		w := open(t, gateway.Config{}, func(o *gateway.Options) { o.Demo = true })
		alice := w.user("alice", "users")
		b := w.browser(w.here())
		b.login(alice)
		a := b.get("/")
		wantStatus(t, a, 200)
		if !strings.Contains(a.body, "alice") {
			t.Error(fmt.Sprint("the demo page does not show who is there: ", a.body))
		}
	})
}

func basic(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
}
