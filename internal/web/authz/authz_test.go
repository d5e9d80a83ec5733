package authz_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/authz"
)

// people is a Sessions with fixed cookies; "broken" is a store that fails.
type people map[string]session.Live

func (p people) Live(_ context.Context, cookie string, _ time.Time) (session.Live, error) {
	if cookie == "broken" {
		return session.Live{}, errors.New("store failed")
	}
	if l, ok := p[cookie]; ok {
		return l, nil
	}
	return session.Live{}, session.ErrNone
}

func (p people) VerifyAccess(_ context.Context, jwt string) (session.Live, error) {
	if l, ok := p[strings.TrimPrefix(jwt, "ours.")]; ok {
		return l, nil
	}
	return session.Live{}, session.ErrNone
}

func (people) Again(context.Context, session.Live) (session.Live, error) {
	return session.Live{}, session.ErrNone
}

type robots struct{}

func (robots) Program(_ context.Context, ref principal.Ref, token string, _ netip.Addr) (*account.Identity, error) {
	switch {
	case token == "slow":
		return nil, &throttle.Throttled{RetryAfter: 9 * time.Second}
	case ref.Name != "deploy" || token != "123456":
		return nil, guard.ErrDenied
	}
	return &account.Identity{ID: principal.NewID(), Kind: principal.Service, Name: "deploy", Realm: "robots", Enabled: true}, nil
}

func num(n int) *int { return &n }

type house struct {
	handler   *authz.Handler
	log       *bytes.Buffer
	mu        sync.Mutex
	decisions []guard.Decision
}

func build(t testing.TB, change func(*authz.Options)) *house {
	t.Helper()
	rules, err := guard.Compile([]guard.Rule{
		{Name: "status", Hosts: []string{"status.example.com"}, Factors: num(0)},
		{Hosts: []string{"app.example.com"}, Paths: []string{"/public/*"}, Factors: num(0)},
		{Hosts: []string{"app.example.com"}, Paths: []string{"/closed/*"}, Deny: true},
		{Hosts: []string{"api.example.com"}, Methods: []string{"DELETE"}, Realms: []string{"staff"}},
		{Hosts: []string{"signed.example.com"}, Realms: []string{"users"}, Assertion: guard.AssertionES256},
		{Hosts: []string{"net.example.com"}, Networks: []string{"10.0.0.0/8"}, Factors: num(0)},
		{Hosts: []string{"*.example.com"}, Realms: []string{"users"}, Services: []string{"deploy@robots"}, Preflight: "pass"},
		{Hosts: []string{"other.test"}, Realms: []string{"users"}},
	}, guard.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	live := func(name string, amr session.AMR) session.Live {
		l := session.Live{ID: "s-" + name, Proof: session.Proof{AMR: amr}, Identity: &account.Identity{ID: principal.NewID(), Kind: principal.User, Name: name, Realm: "users", Email: name + "@example.com", Enabled: true}}
		if amr&session.OTP != 0 {
			l.Proof.FactorAt = time.Now().Add(-time.Hour)
		}
		return l
	}
	p := people{"alice": live("alice", session.PWD|session.OTP), "weak": live("weak", session.PWD)}
	p["alice"].Identity.Groups = []string{"dev", "ops"}
	g, err := guard.New(guard.Options{Rules: rules, Sessions: p, Programs: robots{}, OurToken: func(jwt string) bool { return strings.HasPrefix(jwt, "ours.") }})
	if err != nil {
		t.Fatal(err)
	}
	targets, err := guard.NewTargets(guard.TargetOptions{Portal: "https://auth.example.com", Domains: []string{"example.com"}, Rules: rules, Key: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	site := &web.LoginSite{Portal: "https://auth.example.com", Cookies: web.Cookies{Scheme: "https", Domain: "example.com"}, Targets: targets}
	h := &house{log: &bytes.Buffer{}}
	o := authz.Options{
		Guard: g, Site: func(string) *web.LoginSite { return site }, Trusted: web.Loopback(),
		Assertion: func(l session.Live, aud, alg string) (string, error) {
			return "jwt:" + l.Identity.Name + ":" + aud + ":" + alg, nil
		},
		Logger: slog.New(slog.NewTextHandler(h.log, nil)),
		OnDecision: func(_ string, d *guard.Decision) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.decisions = append(h.decisions, *d)
		},
	}
	if change != nil {
		change(&o)
	}
	if h.handler, err = authz.New(o); err != nil {
		t.Fatal(err)
	}
	return h
}

const cookieName = "__Secure-sallyport_session"

// question is what a proxy asks, in one of the protocols.
type question struct {
	endpoint, method, proto, host, uri, cookie string
	query                                      string
	header                                     http.Header
	peer                                       string
}

func (q question) request() *http.Request {
	if q.method == "" {
		q.method = "GET"
	}
	if q.proto == "" {
		q.proto = "https"
	}
	if q.host == "" {
		q.host = "app.example.com"
	}
	if q.uri == "" {
		q.uri = "/x?y=z"
	}
	target, method, host := q.endpoint, "GET", "sallyport:9091"
	if strings.HasSuffix(q.endpoint, "ext-authz") {
		target, method, host = target+q.uri, q.method, q.host
	} else if q.query != "" {
		target += "?" + q.query
	}
	r := &http.Request{Method: method, RequestURI: target, Host: host, Header: http.Header{}, RemoteAddr: "127.0.0.1:4711", URL: &url.URL{Path: "/"}, Body: http.NoBody}
	switch {
	case strings.HasSuffix(q.endpoint, "forward-auth"):
		r.Header.Set("X-Forwarded-Method", q.method)
		r.Header.Set("X-Forwarded-Proto", q.proto)
		r.Header.Set("X-Forwarded-Host", q.host)
		r.Header.Set("X-Forwarded-Uri", q.uri)
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
	case strings.HasSuffix(q.endpoint, "auth-request"):
		r.Header.Set("X-Original-Method", q.method)
		r.Header.Set("X-Original-Url", q.proto+"://"+q.host+q.uri)
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
	default:
		r.Header.Set("X-Forwarded-Proto", q.proto)
	}
	if q.cookie != "" {
		r.Header.Set("Cookie", cookieName+"="+q.cookie+"; theme=dark")
	}
	if q.peer != "" {
		r.RemoteAddr = q.peer
	}
	for name, v := range q.header {
		r.Header[name] = v
	}
	return r
}

func (h *house) ask(q question) *http.Response {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, q.request())
	return w.Result()
}

var endpoints = []string{"/sallyport/authz/forward-auth", "/sallyport/authz/auth-request", "/sallyport/authz/ext-authz", "/api/authz/forward-auth", "/api/authz/auth-request", "/api/authz/ext-authz"}

var page = http.Header{"Accept": {"text/html"}}

// The answers of interfaces.md section 2, at all six endpoints.
func TestAnswers(t *testing.T) {
	h := build(t, nil)
	for _, e := range endpoints {
		found, other := 302, 303
		if strings.HasSuffix(e, "auth-request") {
			found, other = 401, 401
		}
		for name, c := range map[string]struct {
			q      question
			status int
		}{
			"signed in":            {question{cookie: "alice"}, 200},
			"page":                 {question{header: page}, found},
			"form":                 {question{method: "POST", header: page}, other},
			"fetch":                {question{}, 401},
			"fetch, Sec-Fetch":     {question{header: http.Header{"Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html"}}}, 401},
			"websocket":            {question{proto: "wss", header: http.Header{"Upgrade": {"websocket"}}}, 401},
			"forged cookie":        {question{cookie: "forged"}, 401},
			"too few factors":      {question{cookie: "weak", header: page}, found},
			"denied":               {question{cookie: "alice", uri: "/closed/x"}, 403},
			"no rule":              {question{cookie: "alice", host: "unknown.test"}, 403},
			"open":                 {question{uri: "/public/x"}, 200},
			"two readings":         {question{cookie: "alice", uri: "/public/../x"}, 400},
			"bad method":           {question{cookie: "alice", method: "get"}, 400},
			"trace":                {question{cookie: "alice", method: "TRACE"}, 405},
			"connect":              {question{cookie: "alice", method: "CONNECT"}, 405},
			"store":                {question{cookie: "broken"}, 503},
			"preflight":            {question{method: "OPTIONS", header: http.Header{"Origin": {"https://x"}, "Access-Control-Request-Method": {"GET"}}}, 200},
			"8 KiB of cookies":     {question{header: http.Header{"Cookie": {cookieName + "=alice; x=" + strings.Repeat("a", 8191)}}}, 431},
			"untrusted":            {question{cookie: "alice", peer: "203.0.113.9:1"}, 403},
			"a socket of ours":     {question{cookie: "alice", peer: "@"}, 200},
			"scheme":               {question{cookie: "alice", proto: "javascript"}, 400},
			"two Authorizations":   {question{header: http.Header{"Authorization": {"Basic x", "Bearer y"}}}, 400},
			"space in the URI":     {question{cookie: "alice", uri: "/a b"}, 400},
			"relative URI":         {question{cookie: "alice", uri: "x"}, 400},
			"host list":            {question{cookie: "alice", host: "app.example.com, evil.test"}, 400},
			"user in the host":     {question{cookie: "alice", host: "u@app.example.com"}, 400},
			"our own prefix":       {question{uri: "/sallyport/login"}, 401},
			"health of some other": {question{uri: "/ping", header: http.Header{"User-Agent": {"GoogleHC/1.0"}}}, 401},
		} {
			c.q.endpoint = e
			if name == "relative URI" && strings.HasSuffix(e, "ext-authz") {
				continue // then it is not this endpoint
			}
			res := h.ask(c.q)
			if res.StatusCode != c.status {
				body, _ := io.ReadAll(res.Body)
				t.Errorf("%s %s: %d, want %d (%s)", e, name, res.StatusCode, c.status, body)
				continue
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: may be cached", e, name)
			}
			if (res.StatusCode == 401 || res.StatusCode/100 == 3) == (res.Header.Get("Location") == "") {
				t.Errorf("%s %s: %d with Location %q", e, name, res.StatusCode, res.Header.Get("Location"))
			}
			if (res.StatusCode == 401) == (res.Header.Get("Www-Authenticate") == "") {
				t.Errorf("%s %s: %d with WWW-Authenticate %q", e, name, res.StatusCode, res.Header.Get("Www-Authenticate"))
			}
		}
	}
}

// H1: a 200 says every identity header, so that a proxy that copies them
// overwrites the client's, and hands back cookies and credentials.
func TestH1AllowedAnswer(t *testing.T) {
	h := build(t, nil)
	for _, e := range endpoints {
		res := h.ask(question{endpoint: e, cookie: "alice"})
		for name, want := range map[string]string{"Remote-User": "alice", "Remote-Email": "alice@example.com", "Remote-Groups": "dev,ops", "Remote-Realm": "users", "Remote-Name": "", "Cookie": "theme=dark"} {
			if v := res.Header[name]; len(v) != 1 || v[0] != want {
				t.Errorf("%s: %s is %q, want %q", e, name, v, want)
			}
		}
		res = h.ask(question{endpoint: e, uri: "/public/x", header: http.Header{"Remote-User": {"admin"}, "Remote-Groups": {"admins"}}})
		for _, name := range []string{"Remote-User", "Remote-Email", "Remote-Groups", "Remote-Realm", "Remote-Name", "Cookie"} {
			if v := res.Header[name]; res.StatusCode != 200 || len(v) != 1 || v[0] != "" {
				t.Errorf("%s, open route: %d %s is %q", e, res.StatusCode, name, v)
			}
		}
		if _, there := res.Header["Sallyport-Authorization"]; there {
			t.Errorf("%s: Sallyport-Authorization without an Authorization of ours", e)
		}
		if _, there := res.Header["Authorization"]; there {
			t.Errorf("%s: Authorization was not judged", e)
		}
	}
	res := h.ask(question{endpoint: endpoints[0], host: "signed.example.com:8443", cookie: "alice"})
	if got := res.Header.Get("Sallyport-Assertion"); got != "jwt:alice:https://signed.example.com:8443:ES256" {
		t.Errorf("assertion: %q", got)
	}
	broken := build(t, func(o *authz.Options) {
		o.Assertion = func(session.Live, string, string) (string, error) { return "", errors.New("no key") }
	})
	if res := broken.ask(question{endpoint: endpoints[0], host: "signed.example.com", cookie: "alice"}); res.StatusCode != 503 {
		t.Errorf("without an assertion: %d", res.StatusCode)
	}
}

// H2, H4: spellings that a proxy does not overwrite.
func TestH2H4Aliases(t *testing.T) {
	h := build(t, nil)
	for _, e := range endpoints {
		for name, status := range map[string]int{"Remote_user": 403, "Remote.Groups": 403, "Remoteuser": 403, "X-Forwarded_User": 403, "Sallyport_assertion": 403, "Remote-User": 200} {
			if res := h.ask(question{endpoint: e, cookie: "alice", header: http.Header{name: {"admin"}}}); res.StatusCode != status {
				t.Errorf("%s with %s: %d, want %d", e, name, res.StatusCode, status)
			}
		}
	}
	for e, names := range map[string][]string{
		endpoints[0]: {"X_forwarded_uri", "X-Forwarded_Host", "X.Forwarded.Proto", "X_forwarded_method", "X_forwarded_for"},
		endpoints[1]: {"X_original_url", "X-Original_Method", "Xoriginalurl"},
		endpoints[2]: {"X_forwarded_proto"},
	} {
		for _, name := range names {
			if res := h.ask(question{endpoint: e, cookie: "alice", header: http.Header{name: {"/public/x"}}}); res.StatusCode != 400 {
				t.Errorf("%s with %s: %d", e, name, res.StatusCode)
			}
		}
	}
}

// X1 (authentik, GHSA-5wcc-hf24-rf5h), X8: an endpoint reads its own headers;
// others change nothing, and its own are there once.
func TestX1X8OwnHeadersOnly(t *testing.T) {
	h := build(t, nil)
	own := map[string][]string{
		endpoints[0]: {"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-For"},
		endpoints[1]: {"X-Original-Url", "X-Original-Method", "X-Forwarded-For"},
		endpoints[2]: {"X-Forwarded-Proto"},
	}
	foreign := map[string]string{"X-Original-Uri": "/public/x", "X-Rewrite-Url": "/public/x", "X-Forwarded-Prefix": "/public", "X-Forwarded-Port": "1", "X-Forwarded-Path": "/public/x", "X-Auth-Request-Redirect": "/public/x", "Forwarded": "host=status.example.com", "X-Envoy-Original-Path": "/public/x"}
	for e, names := range own {
		for _, name := range names {
			for what, change := range map[string]func(http.Header){
				"missing": func(h http.Header) { delete(h, name) },
				"doubled": func(h http.Header) { h[name] = []string{h[name][0], h[name][0]} },
				"empty":   func(h http.Header) { h[name] = []string{""} },
			} {
				r := question{endpoint: e, cookie: "alice"}.request()
				change(r.Header)
				w := httptest.NewRecorder()
				h.handler.ServeHTTP(w, r)
				if w.Code != 400 {
					t.Errorf("%s, %s %s: %d", e, name, what, w.Code)
				}
			}
		}
		for name, value := range foreign {
			if res := h.ask(question{endpoint: e, header: http.Header{name: {value}}}); res.StatusCode != 401 {
				t.Errorf("%s with %s: %d", e, name, res.StatusCode)
			}
		}
		for other, names := range own {
			if other == e {
				continue
			}
			q := question{endpoint: e, header: http.Header{}}
			for _, name := range names {
				if own := q.request().Header; own[name] == nil {
					q.header[name] = []string{map[string]string{"X-Forwarded-Uri": "/public/x", "X-Original-Url": "https://status.example.com/"}[name] + ""}
				}
			}
			if res := h.ask(q); res.StatusCode != 401 {
				t.Errorf("%s with the headers of %s: %d", e, other, res.StatusCode)
			}
		}
	}
}

// X2, X4: a stranger talks to the endpoint directly. The log says what a
// forgetful administrator has to do.
func TestX2UntrustedPeers(t *testing.T) {
	h := build(t, nil)
	for _, e := range endpoints {
		for _, uri := range []string{"/public/x", "/x"} {
			if res := h.ask(question{endpoint: e, uri: uri, cookie: "alice", peer: "203.0.113.9:80"}); res.StatusCode != 403 || res.Header.Get("Remote-User") != "" || res.Header.Get("Location") != "" {
				t.Errorf("%s: %d %v", e, res.StatusCode, res.Header)
			}
		}
	}
	if log := h.log.String(); strings.Count(log, "trusted_proxies") == 0 || strings.Count(log, "\n") != 1 {
		t.Errorf("log: %q", log)
	}
	if len(h.decisions) != 0 {
		t.Error("the guard was asked")
	}
	nobody := build(t, func(o *authz.Options) { o.Trusted = web.Trusted{} })
	if res := nobody.ask(question{endpoint: endpoints[0], cookie: "alice"}); res.StatusCode != 403 {
		t.Errorf("nobody is trusted, and loopback got %d", res.StatusCode)
	}
}

// X3: garbage in X-Forwarded-For is refused, and opens no network rule. What
// stands left of an untrusted address is that client's own text.
func TestX3GarbageClient(t *testing.T) {
	h := build(t, nil)
	for xff, status := range map[string]int{"10.1.2.3": 200, "10.1.2.3, 203.0.113.7": 401, "a": 400, "10.1.2.3:80": 400, "[::1": 400, strings.Repeat("9", 10<<10): 400, "10.1.2.3, 127.0.0.1": 200, "10.1.2.3 10.1.2.4": 400, "x, 203.0.113.7": 401, "x, 127.0.0.1": 400} {
		if res := h.ask(question{endpoint: endpoints[0], host: "net.example.com", header: http.Header{"X-Forwarded-For": {xff}}}); res.StatusCode != status {
			t.Errorf("%.40q: %d, want %d", xff, res.StatusCode, status)
		}
	}
}

// X5: hostile hosts and schemes never come back in Location; the way back is
// signed, and stays on hosts of ours.
func TestX5Location(t *testing.T) {
	h := build(t, nil)
	for _, q := range []question{
		{host: "app.example.com", uri: "/x?a=b&c=%20d"}, {host: "APP.example.com:443", uri: "/"}, {host: "new.example.com", uri: "//x//y"}, {host: "other.test"}, {proto: "http"}, {host: "app.example.com:22"},
		{uri: `/\evil.test`}, {uri: "/%0d%0aX:y"}, {uri: "/?rd=https://evil.test"}, {uri: "/#@evil.test"},
	} {
		q.endpoint, q.header = endpoints[0], page
		res := h.ask(q)
		if res.StatusCode == 400 {
			continue
		}
		location, err := url.Parse(res.Header.Get("Location"))
		if err != nil || location.Scheme != "https" || location.Host != "auth.example.com" || location.Path != "/sallyport/login" {
			t.Errorf("%+v: %q", q, res.Header.Get("Location"))
			continue
		}
		if rd := location.Query().Get("rd"); rd != "" {
			u, err := url.Parse(rd)
			if err != nil || u.Scheme != "https" || !strings.HasSuffix(u.Hostname(), ".example.com") {
				t.Errorf("%+v: rd %q", q, rd)
			}
		} else if q.host == "" && q.proto == "" && q.uri != `/\evil.test` {
			t.Errorf("%+v: no way back", q)
		}
	}
	for _, host := range []string{"app.example.com\r\nX: y", "javascript:alert(1)", "user@app.example.com", "evil.test#app.example.com", "app.example.com/x", "app.example.com?x"} {
		for _, e := range endpoints[:2] {
			if res := h.ask(question{endpoint: e, host: host, header: page}); res.StatusCode/100 != 4 || res.Header.Get("Location") != "" && strings.Contains(res.Header.Get("Location"), "javascript") {
				t.Errorf("%q: %d %q", host, res.StatusCode, res.Header.Get("Location"))
			}
		}
	}
	alone := build(t, func(o *authz.Options) {
		targets := o.Site("").Targets
		o.Site = func(string) *web.LoginSite { return &web.LoginSite{Targets: targets} }
	})
	if got := alone.ask(question{endpoint: endpoints[0], header: page}).Header.Get("Location"); got != "https://app.example.com/sallyport/login?rd=%2Fx%3Fy%3Dz" {
		t.Errorf("without a portal: %q", got)
	}
}

// Somebody with one factor is challenged by a check that asks for two. A login
// page that was not told asks for nothing more, and sends back: a loop.
func TestTighteningGoesAlongToTheLoginPage(t *testing.T) {
	h := build(t, nil)
	res := h.ask(question{endpoint: endpoints[0], query: "factors=2&fresh=10m&realm=staff", header: page})
	got := res.Header.Get("Location")
	if u, err := url.Parse(got); err != nil || u.Query().Get("factors") != "2" || u.Query().Get("fresh") != "10m0s" || u.Query().Get("realm") != "staff" {
		t.Errorf("%d, Location %q", res.StatusCode, got)
	}
}

// /api/authz/* takes the cookie alone: the snippets of Authelia's users do not
// take a token away before the upstream.
func TestCredentials(t *testing.T) {
	basic := func(s string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(s))}}
	}
	bearer := http.Header{"Authorization": {"Bearer ours.alice"}}
	h, all := build(t, nil), build(t, func(o *authz.Options) { o.Credentials = authz.CredentialsAll })
	for i, e := range endpoints {
		for _, c := range []struct {
			header http.Header
			status int
		}{{bearer, 200}, {basic("deploy@robots:123456"), 200}, {basic("deploy@robots:000000"), 401}, {basic("deploy@robots:slow"), 429}, {http.Header{"Authorization": {"Bearer ours.nobody"}}, 401}, {basic("alice:password"), 401}} {
			want := c.status
			if i >= 3 {
				want = 401
			}
			res := h.ask(question{endpoint: e, header: c.header})
			if res.StatusCode != want {
				t.Errorf("%s %v: %d, want %d", e, c.header, res.StatusCode, want)
			}
			if judged := res.Header["Authorization"]; (res.StatusCode == 200) != (len(judged) == 1 && judged[0] == "") {
				t.Errorf("%s %v: %d with Authorization %q", e, c.header, res.StatusCode, judged)
			}
			if said := res.Header["Sallyport-Authorization"]; (res.StatusCode == 200) != (len(said) == 1 && said[0] == "removed") {
				t.Errorf("%s %v: %d with Sallyport-Authorization %q", e, c.header, res.StatusCode, said)
			}
			if res.StatusCode == 429 && res.Header.Get("Retry-After") != "9" {
				t.Errorf("%s: Retry-After %q", e, res.Header.Get("Retry-After"))
			}
			if res := all.ask(question{endpoint: e, header: c.header}); res.StatusCode != c.status {
				t.Errorf("%s credentials all %v: %d, want %d", e, c.header, res.StatusCode, c.status)
			}
		}
	}
	// Beside a good cookie a credential of ours is not read, and still does not
	// go on: whoever sends both would hand it to the application. What is not
	// ours goes on, and Authelia's paths say nothing about Authorization.
	for i, e := range endpoints {
		for _, c := range []struct {
			header http.Header
			uri    string
			ours   bool
		}{{bearer, "/x", true}, {http.Header{"Authorization": {"Bearer ours.nobody"}}, "/x", true}, {basic("deploy@robots:000000"), "/x", true}, {bearer, "/public/x", true}, {basic("app:secret"), "/x", false}, {http.Header{"Authorization": {"Bearer theirs"}}, "/x", false}} {
			res := h.ask(question{endpoint: e, cookie: "alice", uri: c.uri, header: c.header})
			_, removed := res.Header["Authorization"]
			if said := res.Header.Get("Sallyport-Authorization") == "removed"; res.StatusCode != 200 || removed != (c.ours && i < 3) || said != removed {
				t.Errorf("%s with a cookie and %v: %d, removed %v, said %v", e, c.header, res.StatusCode, removed, said)
			}
		}
	}
	// A bad proof of ours is a 401, also for who waits for a page.
	bad := http.Header{"Authorization": {"Bearer ours.nobody"}, "Accept": {"text/html"}}
	if res := h.ask(question{endpoint: endpoints[0], header: bad}); res.StatusCode != 401 {
		t.Errorf("bad proof: %d", res.StatusCode)
	}
	// Basic is offered where services may pass, and never to a browser.
	for _, c := range []struct {
		q     question
		offer bool
	}{{question{}, true}, {question{host: "other.test"}, false}, {question{header: http.Header{"Sec-Fetch-Mode": {"cors"}}}, false}} {
		c.q.endpoint = endpoints[0]
		if got := strings.Contains(strings.Join(h.ask(c.q).Header["Www-Authenticate"], ";"), "Basic"); got != c.offer {
			t.Errorf("%+v: Basic offered %v", c.q, got)
		}
	}
}

func TestTightening(t *testing.T) {
	h := build(t, nil)
	for query, want := range map[string][2]int{ // forward-auth, ext-authz
		"": {200, 200}, "factors=2": {200, 200}, "fresh=15m": {401, 200}, "fresh=2h": {200, 200}, "realm=staff": {403, 200}, "realm=users": {200, 200}, "groups=ops,x": {200, 200}, "groups=x": {403, 200}, "factors=0": {200, 200}, "authelia_url=https://a.example": {200, 200}, "group=ops": {400, 200}, "other=1": {400, 200},
		"factors=3": {400, 200}, "factors=": {400, 200}, "factors=1&factors=2": {400, 200}, "fresh=x": {400, 200}, "fresh=-1m": {400, 200}, "realm=a.b": {400, 200}, "groups=a,,b": {400, 200}, "%zz=1": {400, 200}, "realm=users;factors=2": {400, 200},
	} {
		if res := h.ask(question{endpoint: endpoints[0], cookie: "alice", query: query}); res.StatusCode != want[0] {
			t.Errorf("forward-auth ?%s: %d, want %d", query, res.StatusCode, want[0])
		}
		// The query of ext-authz is the client's.
		if res := h.ask(question{endpoint: endpoints[2], cookie: "alice", uri: "/x?" + query}); res.StatusCode != want[1] {
			t.Errorf("ext-authz ?%s: %d, want %d", query, res.StatusCode, want[1])
		}
	}
	// At Authelia's path the client's own query may come along (Caddy hands it
	// on): it may tighten, and means nothing else.
	for query, want := range map[string]int{"other=1": 200, "q=a%20b&page=2": 200, "%zz=1": 200, "q=%zz": 200, "a;b": 200, "group=ops": 200, "groups=x": 403, "q=1&groups=x": 403, "fresh=15m": 401, "factors=3": 400, "groups=ops;x": 400, "groups=%zz": 400, "groups=x&groups=ops": 400} {
		if res := h.ask(question{endpoint: "/api/authz/forward-auth", cookie: "alice", query: query}); res.StatusCode != want {
			t.Errorf("/api/authz/forward-auth?%s: %d, want %d", query, res.StatusCode, want)
		}
	}
	if res := h.ask(question{endpoint: endpoints[0], uri: "/public/x", query: "factors=1"}); res.StatusCode != 401 {
		t.Errorf("a tightened open route: %d", res.StatusCode)
	}
}

// R9: a rule for DELETE is no use where the upstream takes a POST for one.
func TestR9MethodOverride(t *testing.T) {
	h := build(t, nil)
	override := http.Header{"X-Http-Method-Override": {"DELETE"}}
	for host, status := range map[string]int{"api.example.com": 400, "app.example.com": 200} {
		if res := h.ask(question{endpoint: endpoints[0], method: "POST", host: host, cookie: "alice", header: override}); res.StatusCode != status {
			t.Errorf("%s: %d", host, res.StatusCode)
		}
	}
	for method, status := range map[string]int{"DELETE": 403, "delete": 400, "FOO": 200, "PROPFIND": 200} {
		if res := h.ask(question{endpoint: endpoints[0], method: method, host: "api.example.com", cookie: "alice"}); res.StatusCode != status {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}
}

// X10 (oauth2-proxy, CVE-2026-34457): a health checker's User-Agent was
// answered 200 on any path.
func TestX10ProbesMeanNothing(t *testing.T) {
	h := build(t, nil)
	for _, e := range endpoints {
		for _, header := range []http.Header{
			{"User-Agent": {"GoogleHC/1.0"}}, {"User-Agent": {"kube-probe/1.30"}}, {"User-Agent": {"ELB-HealthChecker/2.0"}}, {"X-Health-Check": {"1"}}, {"Probe": {"1"}}, {"X-Forwarded-Health": {"1"}},
		} {
			for _, uri := range []string{"/ping", "/healthz", "/sallyport/healthz", "/sallyport/readyz", "/"} {
				if res := h.ask(question{endpoint: e, uri: uri, header: header}); res.StatusCode != 401 {
					t.Errorf("%s %s %v: %d", e, uri, header, res.StatusCode)
				}
			}
		}
	}
}

// H10: two lines of one header, or a comma list, where decision and upstream
// might each read another one.
func TestH10DoubledHeaders(t *testing.T) {
	h := build(t, nil)
	for _, e := range endpoints {
		for _, c := range []struct {
			header http.Header
			status int
		}{
			{http.Header{"Cookie": {cookieName + "=alice", cookieName + "=alice"}}, 401},
			{http.Header{"Cookie": {cookieName + "=alice; " + cookieName + "=forged"}}, 401},
			{http.Header{"Cookie": {"a=b", cookieName + "=alice", "c=d"}}, 200},
			{http.Header{"Authorization": {"Bearer ours.alice", "Bearer ours.weak"}}, 400},
		} {
			res := h.ask(question{endpoint: e, header: c.header})
			if res.StatusCode != c.status {
				t.Errorf("%s %v: %d, want %d", e, c.header, res.StatusCode, c.status)
			}
			if c.status == 200 && res.Header.Get("Cookie") != "a=b; c=d" {
				t.Errorf("%s: Cookie %q", e, res.Header.Get("Cookie"))
			}
		}
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Proto", "X-Forwarded-Method"} {
		good := question{endpoint: endpoints[0]}.request().Header.Get(name)
		for _, values := range [][]string{{good, good}, {good, "/public/x"}, {good + ", " + good}} {
			if res := h.ask(question{endpoint: endpoints[0], cookie: "alice", header: http.Header{name: values}}); res.StatusCode != 400 && !(name == "X-Forwarded-Uri" && len(values) == 1) {
				t.Errorf("%s %q: %d", name, values, res.StatusCode)
			}
		}
	}
}

// S11 (Traefik, CVE-2026-26998): an answer without bound fills the proxy that
// reads it. Ours stay below a proxy's 4 KiB buffer, but for the client's own
// cookies.
func TestS11AnswersAreSmall(t *testing.T) {
	h := build(t, nil)
	long := strings.Repeat("%41ä", 20_000)
	for _, e := range endpoints {
		for _, q := range []question{{uri: "/" + long, header: page}, {uri: "/?" + long}, {uri: "/" + strings.Repeat("a", 3000), header: page}, {host: strings.Repeat("a.", 5000) + "example.com", header: page}, {cookie: "alice", header: http.Header{"User-Agent": {long}}}} {
			q.endpoint = e
			res := h.ask(q)
			body, _ := io.ReadAll(res.Body)
			size := len(body)
			for name, values := range res.Header {
				for _, v := range values {
					size += len(name) + len(v) + 4
				}
			}
			if size > 4000 {
				t.Errorf("%s: %d bytes with status %d", e, size, res.StatusCode)
			}
		}
	}
}

func TestOwns(t *testing.T) {
	for target, owns := range map[string]bool{
		"/sallyport/authz/forward-auth": true, "/sallyport/authz/forward-auth?x": true, "/sallyport/authz/other": true, "/sallyport/authz/ext-authz/../x": true, "/sallyport/authz/ext-authz//x": true, "/api/authz/forward-auth": true, "/api/authz/ext-authz/x": true,
		"/api/authz/other": false, "/api/authz/forward-auth/": false, "/sallyport/authz": false, "/sallyport//authz/forward-auth": false, "/x/../sallyport/authz/forward-auth": false, "http://a/sallyport/authz/forward-auth": false, "*": false, "": false,
	} {
		if authz.Owns(target) != owns {
			t.Errorf("%q: %v", target, !owns)
		}
	}
	h := build(t, nil)
	for _, e := range []string{"/sallyport/authz/other", "/sallyport/authz/ext-authzz", "/sallyport/authz/", "/api/authz/forward-auth/"} {
		r := question{endpoint: endpoints[0], cookie: "alice"}.request()
		r.RequestURI = e
		w := httptest.NewRecorder()
		if h.handler.ServeHTTP(w, r); w.Code != 404 {
			t.Errorf("%s: %d", e, w.Code)
		}
	}
}

// A form that is challenged is lost unless somebody says so: the login page is told, by a
// redirect, and by the Location that a proxy makes one of.
func TestAChallengedFormIsTold(t *testing.T) {
	h := build(t, nil)
	for _, e := range endpoints {
		for method, want := range map[string]bool{"GET": false, "HEAD": false, "POST": true, "DELETE": true} {
			res := h.ask(question{endpoint: e, method: method, header: page})
			if got := strings.HasSuffix(res.Header.Get("Location"), "&unsent=yes"); got != want {
				t.Errorf("%s %s: %d to %q", method, e, res.StatusCode, res.Header.Get("Location"))
			}
		}
	}
}
