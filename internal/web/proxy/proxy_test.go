package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// sessions is a Sessions whose people can be changed, and that tells those who
// subscribed.
type sessions struct {
	mu   sync.Mutex
	live map[string]session.Live
	subs map[string]map[int]func(bool)
	n    int
}

func (s *sessions) Live(_ context.Context, cookie string, _ time.Time) (session.Live, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cookie == "broken" {
		return session.Live{}, errors.New("store failed")
	}
	if l, ok := s.live[cookie]; ok {
		return l, nil
	}
	return session.Live{}, session.ErrNone
}

func (s *sessions) VerifyAccess(ctx context.Context, jwt string) (session.Live, error) {
	return s.Live(ctx, strings.TrimPrefix(jwt, "ours."), time.Time{})
}

// Again finds a service as its record is: under the cookie "service".
func (s *sessions) Again(ctx context.Context, l session.Live) (session.Live, error) {
	return s.Live(ctx, "service", time.Time{})
}

func (s *sessions) Subscribe(l session.Live, fn func(bool)) func() {
	id := l.ID
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	n := s.n
	if s.subs[id] == nil {
		s.subs[id] = map[int]func(bool){}
	}
	s.subs[id][n] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subs[id], n)
	}
}

// change sets (or with a zero Live ends) a session, and tells.
func (s *sessions) change(cookie string, l session.Live, ended bool) {
	s.mu.Lock()
	id := s.live[cookie].ID
	if ended {
		delete(s.live, cookie)
	} else {
		s.live[cookie] = l
	}
	subs := slices.Collect(maps.Values(s.subs[id]))
	s.mu.Unlock()
	for _, fn := range subs {
		fn(ended)
	}
}

// tell says that a principal changed.
func (s *sessions) tell(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fn := range s.subs[id] {
		fn(false)
	}
}

func (s *sessions) watched(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.subs[id])
}

func person(name string, groups ...string) session.Live {
	return session.Live{ID: "s-" + name, Proof: session.Proof{AMR: session.PWD | session.OTP, FactorAt: time.Now()},
		Identity: &account.Identity{ID: principal.NewID(), Kind: principal.User, Name: name, Realm: "users", Groups: groups, Enabled: true}}
}

func num(n int) *int { return &n }

// seen is what the upstream got.
type seen struct {
	Method, Target, Host, Body string
	Header, Trailer            http.Header
	Proto                      string
}

type house struct {
	front    *httptest.Server
	upstream *httptest.Server
	sessions *sessions
	last     chan seen
}

func build(t testing.TB, upstream http.Handler, change func(*proxy.Options)) *house {
	t.Helper()
	h := &house{sessions: &sessions{live: map[string]session.Live{"alice": person("alice", "dev"), "nobody": person("nobody")}, subs: map[string]map[int]func(bool){}}, last: make(chan seen, 100)}
	if upstream == nil {
		upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			h.last <- seen{r.Method, r.RequestURI, r.Host, string(body), r.Header, r.Trailer, r.Proto}
		})
	}
	h.upstream = httptest.NewServer(upstream)
	t.Cleanup(h.upstream.Close)
	rules, err := guard.Compile([]guard.Rule{
		{Hosts: []string{"open.example"}, Factors: num(0)},
		{Hosts: []string{"methods.example"}, Methods: []string{"DELETE"}, Deny: true},
		{Hosts: []string{"paths.example"}, Paths: []string{"/admin/*"}, Deny: true},
		{Hosts: []string{"closed.example"}, Deny: true},
		{Hosts: []string{"*"}, Realms: []string{"users"}, Groups: []string{"dev"}, Services: []string{"deploy@robots"}},
	}, guard.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(guard.Options{Rules: rules, Sessions: h.sessions, OurToken: func(jwt string) bool { return strings.HasPrefix(jwt, "ours.") }})
	if err != nil {
		t.Fatal(err)
	}
	targets, err := guard.NewTargets(guard.TargetOptions{Key: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	base, _ := url.Parse(h.upstream.URL)
	o := proxy.Options{Guard: g, Site: func(string) *web.LoginSite { return &web.LoginSite{Targets: targets} }, Upstream: base, Subscribe: h.sessions.Subscribe, WatchAfter: time.Millisecond}
	if change != nil {
		change(&o)
	}
	handler, err := proxy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.front = httptest.NewUnstartedServer(handler)
	h.front.Config.DisableGeneralOptionsHandler = true
	h.front.Start()
	t.Cleanup(h.front.Close)
	return h
}

// raw sends bytes and returns the answer; nil where the server hung up.
func (h *house) raw(t testing.TB, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", h.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return &http.Response{}, ""
	}
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

// ask sends one request with a cookie and more header lines.
func (h *house) ask(t testing.TB, method, target, host, cookie string, lines ...string) (*http.Response, string) {
	t.Helper()
	if cookie != "" {
		lines = append(lines, "Cookie: a=b; sallyport_session="+cookie+"; c=d")
	}
	return h.raw(t, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", method, target, host, strings.Join(append(lines, "Connection: close"), "\r\n")))
}

// passed returns what the upstream saw, or false.
func (h *house) passed() (seen, bool) {
	select {
	case s := <-h.last:
		return s, true
	default:
		return seen{}, false
	}
}

// H1, H2, H7: whatever the client sends, on whatever branch, the upstream sees
// our headers alone.
func TestH7IdentityIsOurs(t *testing.T) {
	h := build(t, nil, nil)
	forged := []string{"Remote-User: admin", "REMOTE_USER: admin", "remote.groups: admins", "Remote_Groups: admins", "X-Forwarded-User: admin", "X_Forwarded_Email: a@b", "X-Auth-Request-User: admin", "X-authentik-username: admin", "Sallyport-Assertion: x", "Remoteuser: admin"}
	for _, c := range []struct{ host, cookie, user string }{{"open.example", "", ""}, {"open.example", "forged", ""}, {"open.example", "alice", "alice"}, {"app.example", "alice", "alice"}} {
		for _, upgrade := range []string{"X-A: b", "Upgrade: websocket"} {
			res, _ := h.ask(t, "GET", "/x", c.host, c.cookie, append(forged, upgrade)...)
			s, ok := h.passed()
			if res.StatusCode != 200 || !ok {
				t.Fatalf("%+v: %d", c, res.StatusCode)
			}
			for name, v := range s.Header {
				letters := strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(name))
				identity := strings.HasPrefix(letters, "remote") || strings.Contains(letters, "authentik") || strings.Contains(letters, "xauthrequest") || strings.HasPrefix(letters, "sallyport") || letters == "xforwardeduser" || letters == "xforwardedemail"
				if identity && (!strings.HasPrefix(name, "Remote-") || len(v) != 1 || strings.Contains(v[0], "admin")) {
					t.Errorf("%+v: %s: %q", c, name, v)
				}
			}
			for _, name := range []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Realm"} {
				if v, there := s.Header[name]; !there || len(v) != 1 {
					t.Errorf("%+v: %s is %q", c, name, v)
				}
			}
			if s.Header.Get("Remote-User") != c.user {
				t.Errorf("%+v: Remote-User %q", c, s.Header.Get("Remote-User"))
			}
		}
	}
}

// H6: Connection names our header, so that the next hop would drop it.
func TestH6Connection(t *testing.T) {
	h := build(t, nil, nil)
	for _, line := range []string{"Connection: close, Remote-User, X-Forwarded-For", "connection: remote-user", "Connection: Remote-Groups\r\nConnection: keep-alive, Remote-User"} {
		res, _ := h.raw(t, "GET / HTTP/1.1\r\nHost: app.example\r\nCookie: sallyport_session=alice\r\n"+line+"\r\n\r\n")
		s, ok := h.passed()
		if !ok || res.StatusCode != 200 || s.Header.Get("Remote-User") != "alice" || s.Header.Get("Remote-Groups") != "dev" || s.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("%q: %d %v", line, res.StatusCode, s.Header)
		}
		res, _ = h.raw(t, "GET / HTTP/1.1\r\nHost: app.example\r\n"+line+"\r\n\r\n")
		if _, ok := h.passed(); ok || res.StatusCode != 401 {
			t.Errorf("anonymous %q: %d", line, res.StatusCode)
		}
	}
}

// Identity hides in trailers, announced or not.
func TestTrailers(t *testing.T) {
	h := build(t, nil, nil)
	res, _ := h.raw(t, "POST / HTTP/1.1\r\nHost: app.example\r\nCookie: sallyport_session=alice\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Remote-User\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\nRemote-User: admin\r\nRemote_groups: admins\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
	s, ok := h.passed()
	if !ok || res.StatusCode != 200 || s.Body != "abc" || s.Trailer.Get("X-Sum") != "42" {
		t.Fatalf("%d %+v", res.StatusCode, s)
	}
	if len(s.Trailer) != 1 || s.Header.Get("Remote-User") != "alice" {
		t.Errorf("trailers %v", s.Trailer)
	}
	back := build(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "abc")
		w.Header().Set("X-Sum", "43")
	}), nil)
	if res, body := back.ask(t, "GET", "/", "app.example", "alice"); body != "abc" || res.Trailer.Get("X-Sum") != "43" {
		t.Errorf("answer %q %v", body, res.Trailer)
	}
}

// What goes on is what came, but for credentials of ours and what nobody
// trusted wrote.
func TestWhatPasses(t *testing.T) {
	h := build(t, nil, nil)
	for _, target := range []string{"/", "/a?b=c;d&e=%zz", "/a?", "/%7Euser/%41?x", `/a"b|c`, "/a%2Fb", "/é", "/a;b=c/d", "//double//x", "/a/../b", "/?x=%0a"} {
		res, _ := h.ask(t, "GET", target, "app.example:8080", "alice", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test", "X_Forwarded_Host: evil.test", "X-Original-URL: /y", "Forwarded: for=1.1.1.1", "X-Real-IP: 1.1.1.1", "Authorization: Basic dXBzdHJlYW06b3du")
		s, ok := h.passed()
		if !ok || res.StatusCode != 200 {
			t.Fatalf("%s: %d", target, res.StatusCode)
		}
		if s.Target != target || s.Host != "app.example:8080" {
			t.Errorf("%q went on as %q to %q", target, s.Target, s.Host)
		}
		for name, want := range map[string]string{"Cookie": "a=b; c=d", "Authorization": "Basic dXBzdHJlYW06b3du", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "app.example:8080", "X_forwarded_host": "", "X-Original-Url": "", "Forwarded": "", "X-Real-Ip": "", "Accept-Encoding": ""} {
			if got := strings.Join(s.Header[name], "|"); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	ours := "Basic " + base64.StdEncoding.EncodeToString([]byte("deploy@robots:123456"))
	for _, host := range []string{"app.example", "open.example"} {
		for _, line := range []string{"Bearer ours.alice", ours, "Basic" + strings.Repeat(" ", 9000) + ours[len("Basic "):], "Basic\t" + ours[len("Basic "):]} {
			if _, ok := h.passed(); ok {
				t.Fatal("a request too many")
			}
			res, _ := h.ask(t, "GET", "/", host, "alice", "Authorization: "+line)
			if s, ok := h.passed(); !ok || res.StatusCode != 200 || s.Header.Get("Authorization") != "" {
				t.Errorf("%s %.40s: %d, upstream got %.40q", host, line, res.StatusCode, s.Header.Get("Authorization"))
			}
		}
	}
	res, _ := h.ask(t, "POST", "/", "methods.example", "alice", "X-HTTP-Method-Override: DELETE", "X_http_method: DELETE", "Content-Length: 0")
	if s, ok := h.passed(); !ok || res.StatusCode != 200 || s.Header["X-Http-Method-Override"] != nil || s.Header["X_http_method"] != nil {
		t.Errorf("an override passed: %v", s.Header)
	}
}

// X7 (Oathkeeper, CVE-2026-33495): X-Forwarded-Proto chose the rule although
// nobody was trusted. Here it would choose the cookie that is read.
func TestX7UntrustedProtoHasNoEffect(t *testing.T) {
	h := build(t, nil, nil)
	for _, line := range []string{"X-Forwarded-Proto: https", "X_Forwarded_Proto: https", "Forwarded: proto=https", "X-Forwarded-Ssl: on", "X-Forwarded-Scheme: https"} {
		res, _ := h.raw(t, "GET / HTTP/1.1\r\nHost: app.example\r\n"+line+"\r\nCookie: __Host-sallyport_session=alice\r\nConnection: close\r\n\r\n")
		if _, passed := h.passed(); passed || res.StatusCode != 401 {
			t.Errorf("%s: %d", line, res.StatusCode)
		}
		res, _ = h.ask(t, "GET", "/", "app.example", "alice", line)
		if s, passed := h.passed(); !passed || s.Header.Get("X-Forwarded-Proto") != "http" || s.Header.Get("Forwarded")+s.Header.Get("X-Forwarded-Ssl") != "" {
			t.Errorf("%s: %d, upstream was told %v", line, res.StatusCode, s.Header)
		}
	}
}

// A trusted proxy in front says who the client is and which scheme it used.
func TestBehindTrustedProxy(t *testing.T) {
	h := build(t, nil, func(o *proxy.Options) { o.Trusted = web.Loopback() })
	res, _ := h.raw(t, "GET / HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 9.9.9.9, 203.0.113.7\r\nX-Forwarded-Port: 1\r\nCookie: __Host-sallyport_session=alice\r\nConnection: close\r\n\r\n")
	s, ok := h.passed()
	if !ok || res.StatusCode != 200 || s.Header.Get("X-Forwarded-For") != "203.0.113.7, 127.0.0.1" || s.Header.Get("X-Forwarded-Proto") != "https" || s.Header.Get("X-Forwarded-Port") != "" {
		t.Errorf("%d %v", res.StatusCode, s.Header)
	}
}

// R13, S9 and the prefix: what never reaches the upstream, signed in or not.
func TestR13NeverPasses(t *testing.T) {
	h := build(t, nil, nil)
	for _, c := range []struct {
		method, target, host, cookie string
		status                       int
	}{
		{"GET", "/", "app.example", "", 401}, {"GET", "/", "app.example", "forged", 401}, {"GET", "/", "app.example", "nobody", 403}, {"GET", "/", "closed.example", "alice", 403}, {"GET", "/", "app.example", "broken", 503},
		{"GET", "http://app.example/x", "app.example", "", 401}, {"GET", "http://closed.example/x", "app.example", "alice", 403}, {"GET", "/admin/x", "paths.example", "alice", 403}, {"GET", "/x/../admin", "paths.example", "alice", 400}, {"GET", "/x%00", "paths.example", "alice", 400},
		{"TRACE", "/", "app.example", "alice", 405}, {"CONNECT", "app.example:443", "app.example:443", "alice", 405}, {"OPTIONS", "*", "app.example", "alice", 405}, {"get", "/", "app.example", "alice", 400}, {"GET", "/", "app..example", "alice", 400}, {"DELETE", "/", "methods.example", "alice", 403},
		{"GET", "/sallyport/x", "app.example", "alice", 404}, {"GET", "/sallyport", "app.example", "alice", 404}, {"GET", "/sallyport?x", "open.example", "", 404}, {"GET", "//sallyport/x", "open.example", "", 404}, {"GET", "/Sallyport/x", "open.example", "", 404}, {"GET", "/%73allyport/x", "open.example", "", 404}, {"GET", "/%2573allyport/x", "open.example", "", 404},
		{"GET", "/x/../sallyport/x", "open.example", "", 404}, {"GET", "/./sallyport/", "open.example", "", 404}, {"GET", "/sallyport;x/y", "open.example", "", 404}, {"GET", `/\sallyport/x`, "open.example", "", 404}, {"GET", "/x/..;/sallyport/", "open.example", "", 404}, {"GET", "/x%2f..%2fsallyport%2f", "open.example", "", 404}, {"GET", "/sallyport%00", "open.example", "", 400}, {"GET", "http://open.example/SALLYPORT/", "open.example", "", 404},
		{"GET", "/sallyporter", "open.example", "", 200}, {"GET", "/x/sallyport/", "open.example", "", 200}, {"GET", "http://open.example/x", "app.example", "", 200},
	} {
		res, body := h.ask(t, c.method, c.target, c.host, c.cookie)
		_, passed := h.passed()
		if res.StatusCode != c.status || passed != (c.status == 200) {
			t.Errorf("%+v: %d, passed %v", c, res.StatusCode, passed)
		}
		if c.status != 200 && (res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" || strings.Contains(body, "app.example")) {
			t.Errorf("%+v: %v %s", c, res.Header, body)
		}
	}
	for _, lines := range [][]string{{"Authorization: Basic eA==", "Authorization: Bearer x"}} {
		if res, _ := h.ask(t, "GET", "/", "app.example", "alice", lines...); res.StatusCode != 400 {
			t.Errorf("%q: %d", lines, res.StatusCode)
		}
	}
	if res, _ := h.raw(t, "GET / HTTP/1.1\r\nHost: app.example\r\nHost: open.example\r\nConnection: close\r\n\r\n"); res.StatusCode == 200 {
		t.Error("two hosts")
	}
}

func TestChallenge(t *testing.T) {
	h := build(t, nil, nil)
	for _, c := range []struct {
		method, target string
		status         int
		location       string
	}{
		{"GET", "/x?y=z&a=b", 302, "/sallyport/login?rd=%2Fx%3Fy%3Dz%26a%3Db"}, {"POST", "/x", 303, "/sallyport/login?rd=%2Fx&unsent=yes"}, {"GET", "//evil.test", 302, "/sallyport/login"}, {"GET", `/\evil.test`, 302, "/sallyport/login"},
	} {
		res, _ := h.ask(t, c.method, c.target, "app.example", "", "Accept: text/html", "Content-Length: 0")
		if res.StatusCode != c.status || res.Header.Get("Location") != c.location || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%+v: %d %q", c, res.StatusCode, res.Header.Get("Location"))
		}
	}
	res, _ := h.ask(t, "GET", "/x", "app.example", "", "Sec-Fetch-Mode: cors")
	if got := res.Header["Www-Authenticate"]; res.StatusCode != 401 || len(got) != 1 || !strings.HasPrefix(got[0], "Bearer") || res.Header.Get("Location") != "/sallyport/login?rd=%2Fx" {
		t.Errorf("fetch: %d %v", res.StatusCode, res.Header)
	}
	res, _ = h.ask(t, "GET", "/x", "app.example", "")
	if got := res.Header["Www-Authenticate"]; len(got) != 1 || !strings.Contains(got[0], `, Basic realm=`) {
		t.Errorf("program: %v", got)
	}
	for _, line := range []string{"Authorization: Bearer ours.forged", "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("deploy@robots:1"))} {
		if res, _ := h.ask(t, "GET", "/x", "app.example", "", "Accept: text/html", line); res.StatusCode != 401 {
			t.Errorf("%s: %d", line, res.StatusCode)
		}
	}
	page := build(t, nil, func(o *proxy.Options) {
		o.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, text string) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<p>"+text)
		}
	})
	if res, body := page.ask(t, "GET", "/x", "closed.example", "", "Accept: text/html"); res.StatusCode != 403 || !strings.HasPrefix(body, "<p>") || res.Header.Get("X-Frame-Options") == "" {
		t.Errorf("page: %d %q", res.StatusCode, body)
	}
}

// The upstream is down: a calm page, and not a word about where it is.
func TestUpstreamDown(t *testing.T) {
	h := build(t, nil, nil)
	h.upstream.Close()
	res, body := h.ask(t, "GET", "/", "app.example", "alice")
	if res.StatusCode != 502 || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "refused") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// An upstream does not plant a session cookie of ours.
func TestUpstreamSetsNoCookieOfOurs(t *testing.T) {
	h := build(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"sallyport_session=planted", "own=1; Path=/", "__Host-sallyport_session=planted; Secure"}
	}), nil)
	if res, _ := h.ask(t, "GET", "/", "app.example", "alice"); len(res.Header["Set-Cookie"]) != 1 || !strings.HasPrefix(res.Header["Set-Cookie"][0], "own=") {
		t.Errorf("%q", res.Header["Set-Cookie"])
	}
}
