package gateway_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// Bodies, headers, fields and addresses without end, sent by strangers: each has
// a limit, and the answer says which.
func TestD6LimitsHoldAtTheWholeGateway(t *testing.T) {
	w, e := guarding(t)
	w.user("alice", "users")
	b := w.browser(w.here())
	own := http.Header{"Origin": {w.here()}}
	with := func(name, value string) http.Header { h := own.Clone(); h.Set(name, value); return h }
	long := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct {
		method, target, body string
		header               http.Header
		status               []int
	}{
		{"GET", "/", "", http.Header{"X-Long": {long(40 << 10)}}, []int{431}},
		{"GET", "/" + long(40<<10), "", nil, []int{431, 414}},
		{"GET", "/sallyport/login?rd=" + long(9<<10), "", nil, []int{400}},
		{"POST", apiPrefix + "/login", `{"name":"` + long(65<<10) + `"}`, with("Content-Type", "application/json"), []int{413}},
		{"POST", apiPrefix + "/login", `{"name":"` + long(400) + `","password":"x"}`, with("Content-Type", "application/json"), []int{422}},
		{"POST", apiPrefix + "/login", `{"name":"a","password":"` + long(1100) + `"}`, with("Content-Type", "application/json"), []int{422, 401}},
		{"POST", apiPrefix + "/login", `{"name":"a","password":"x"}`, with("Content-Type", "text/plain"), []int{415}},
		{"POST", apiPrefix + "/login", `{"name":"a","password":"x"}{}`, with("Content-Type", "application/json"), []int{400}},
		{"POST", apiPrefix + "/login", `{"name":"a","name":"b","password":"x"}`, with("Content-Type", "application/json"), []int{422, 400}},
		{"POST", apiPrefix + "/login", strings.Repeat("[", 30000), with("Content-Type", "application/json"), []int{400, 422}},
		{"POST", apiPrefix + "/login", `{"name":"a","password":"x","extra":1}`, with("Content-Type", "application/json"), []int{422}},
		{"POST", apiPrefix + "/login", "", with("Content-Type", "application/json"), []int{400, 415, 422}},
		{"POST", "/sallyport/login", "username=" + long(17<<10), with("Content-Type", "application/x-www-form-urlencoded"), []int{413}},
		{"POST", "/sallyport/login", "username=" + long(400) + "&password=x", with("Content-Type", "application/x-www-form-urlencoded"), []int{400}},
		{"POST", "/sallyport/login", "username=a&password=" + long(1100), with("Content-Type", "application/x-www-form-urlencoded"), []int{400}},
		{"POST", "/sallyport/login", "username=a&username=b&password=x", with("Content-Type", "application/x-www-form-urlencoded"), []int{400}},
		{"POST", "/sallyport/login", "username=%zz&password=x", with("Content-Type", "application/x-www-form-urlencoded"), []int{400}},
		{"POST", "/sallyport/login", "username=a&password=x", with("Content-Type", "multipart/form-data; boundary=x"), []int{415}},
		{"POST", "/sallyport/login/code", "", with("Content-Type", "application/x-www-form-urlencoded"), []int{401, 400}},
		{"PATCH", "/sallyport/login", "", own, []int{405}},
		{"PROPFIND", "/sallyport/", "", own, []int{405}},
		{"PUT", apiPrefix + "/login", "{}", with("Content-Type", "application/json"), []int{405}},
		{"POST", apiPrefix + "/nothing", "{}", with("Content-Type", "application/json"), []int{404}},
	} {
		a := b.ask(c.method, c.target, c.body, c.header)
		a.what = fmt.Sprintf("%s %.60s with %.40q", c.method, c.target, c.body)
		wantStatus(t, a, c.status...)
		if strings.Contains(a.body, long(100)) {
			t.Errorf("%s: the answer repeats what was sent", a.what)
		}
		if kind := a.header.Get("Content-Type"); strings.HasPrefix(c.target, apiPrefix) && kind != "application/problem+json" {
			t.Errorf("%s: an error of the form %q", a.what, kind)
		}
	}
	if e.hits.Load() != 0 {
		t.Errorf("%d of them reached the upstream", e.hits.Load())
	}
}

// A body that never ends, at a door that anybody may knock at: it is cut where
// the limit is, not when memory ends.
func TestD6EndlessBodiesAreCut(t *testing.T) {
	w, _ := guarding(t)
	for path, kind := range map[string]string{apiPrefix + "/login": "application/json", "/sallyport/login": "application/x-www-form-urlencoded", apiPrefix + "/token/refresh": "application/json"} {
		sent := &endless{}
		req, err := http.NewRequestWithContext(t.Context(), "POST", w.here()+path, sent)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Origin", w.here())
		res, err := w.client("").Do(req)
		if err == nil {
			if res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
			res.Body.Close()
		}
		if n := sent.n.Load(); n > 16<<20 { // what fits into buffers on the way
			t.Errorf("%s: took %d bytes", path, n)
		}
	}
}

type endless struct{ n atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.n.Load() > 64<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'a'
	}
	e.n.Add(int64(len(p)))
	return len(p), nil
}

// S11: an authz answer is small, whatever was asked: proxies read it into small
// buffers, or without a limit.
func TestS11AuthzAnswersAreSmallThroughTheWholeGateway(t *testing.T) {
	w := central(t)
	alice := w.user("alice", "users")
	portal := w.browser("https://" + portalHost)
	portal.login(alice)
	app := portal.at(appHost)
	for _, uri := range []string{"/x", "/" + strings.Repeat("a", 7000), "/x?" + strings.Repeat("%20", 2300)} {
		for _, b := range []*browser{app, w.browser("https://" + appHost)} {
			for _, accept := range []string{"text/html", "application/json"} {
				a := b.forwardAuth("/sallyport/authz/forward-auth", "GET", uri, http.Header{"Accept": {accept}})
				var head strings.Builder
				_ = a.header.Write(&head)
				if n := head.Len() + len(a.body); n > 4<<10 {
					t.Errorf("%d bytes for %.20s (%d)", n, uri, a.status)
				}
			}
		}
	}
}

// Whatever bytes arrive: no panic, and nobody who is not signed in reaches the
// upstream or gets a 2xx of an authz endpoint for anything but what the one
// public rule names. The oracle is not the guard: it looks at what the upstream
// would see, decoded and cleaned by the standard library.
func FuzzX9WholeGateway(f *testing.F) {
	var saw []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		saw = append(saw, r.Host+r.RequestURI)
		w.Header().Set("X-Echo", "here")
	}))
	f.Cleanup(upstream.Close)
	rules := []guard.Rule{{Hosts: []string{"public.example.com"}, Paths: []string{"/public/*"}, Factors: number(0)}, {Hosts: []string{"*"}, Realms: []string{"users"}}}
	cfg := cheap(gateway.Config{Upstream: upstream.URL, Rules: rules, Portal: "https://auth.example.com", TrustedProxies: []string{"127.0.0.1"}})
	var o gateway.Options
	place(f, &cfg, &o)
	gw, err := gateway.Open(f.Context(), cfg, o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = gw.Close() })
	asked := "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: %s\r\nX-Forwarded-Uri: %s\r\nX-Forwarded-For: 203.0.113.7\r\n"
	for _, raw := range []string{
		"GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
		"GET /public/x HTTP/1.1\r\nHost: public.example.com\r\n\r\n",
		"GET /public/../x HTTP/1.1\r\nHost: public.example.com\r\n\r\n",
		"GET /public/%2e%2e/x HTTP/1.1\r\nHost: PUBLIC.example.com.:80\r\n\r\n",
		"GET http://public.example.com/public/x HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET //public/x HTTP/1.1\r\nHost: public.example.com\r\n\r\n",
		"POST /sallyport/login HTTP/1.1\r\nHost: auth.example.com\r\nOrigin: https://auth.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 21\r\n\r\nusername=a&password=b",
		"POST /sallyport/api/v1/login HTTP/1.1\r\nHost: auth.example.com\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"name\":\"a\",\"password\":\"b\"}",
		"GET /sallyport/api/v1/me HTTP/1.1\r\nHost: auth.example.com\r\nAuthorization: Bearer a.b.c\r\nCookie: __Host-sallyport_session=x; y\r\n\r\n",
		"GET /sallyport/authz/forward-auth HTTP/1.1\r\nHost: x\r\n" + fmt.Sprintf(asked, "public.example.com", "/public/x") + "\r\n",
		"GET /sallyport/authz/forward-auth?factors=0 HTTP/1.1\r\nHost: x\r\n" + fmt.Sprintf(asked, "app.example.com", "/x") + "\r\n",
		"GET /sallyport/authz/auth-request HTTP/1.1\r\nHost: x\r\nX-Original-URL: https://public.example.com/public/x\r\nX-Original-Method: GET\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
		"GET /sallyport/authz/ext-authz/public/x HTTP/1.1\r\nHost: public.example.com\r\nX-Forwarded-Proto: https\r\n\r\n",
		"GET /api/authz/forward-auth HTTP/1.1\r\nHost: auth.example.com\r\n" + fmt.Sprintf(asked, "public.example.com", "/public/%2e%2e/x") + "\r\n",
		"GET /sallyport/invite?token=spi_x HTTP/1.1\r\nHost: auth.example.com\r\n\r\n",
		"OPTIONS /sallyport/api/v1/me HTTP/1.1\r\nHost: auth.example.com\r\nOrigin: null\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: app.example.com\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
		"CONNECT public.example.com:443 HTTP/1.1\r\nHost: public.example.com:443\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\n",
	} {
		f.Add([]byte(raw))
	}
	public := func(host, target string) bool {
		if name, err := guard.CanonicalHost(host); err != nil || name != "public.example.com" {
			return false
		}
		raw, _, _ := strings.Cut(target, "?")
		for range 3 {
			if !strings.HasPrefix(raw+"/", "/public/") || !strings.HasPrefix(path.Clean("/"+raw)+"/", "/public/") {
				return false
			}
			decoded, err := url.PathUnescape(raw)
			if err != nil {
				return false
			}
			raw = decoded
		}
		return true
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(raw))))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:4711"
		saw = saw[:0]
		rec := httptest.NewRecorder()
		func() {
			defer func() {
				if p := recover(); p != nil && !errors.Is(asError(p), http.ErrAbortHandler) {
					panic(p)
				}
			}()
			gw.Handler().ServeHTTP(rec, r)
		}()
		for _, s := range saw {
			i := strings.IndexByte(s, '/')
			if i < 0 || !public(s[:i], s[i:]) {
				t.Fatalf("%q reached the upstream as %q", raw, s)
			}
		}
		if rec.Code < 200 || rec.Code > 299 || len(saw) > 0 {
			return
		}
		target := r.RequestURI
		if strings.Contains(target, "/authz/") {
			host, uri := r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Uri")
			if strings.Contains(target, "auth-request") {
				_, rest, _ := strings.Cut(r.Header.Get("X-Original-Url"), "://")
				i := max(strings.IndexByte(rest, '/'), 0)
				host, uri = rest[:i], rest[i:]
			} else if _, rest, ok := strings.Cut(target, "ext-authz"); ok {
				host, uri = r.Host, rest
			}
			if !public(host, uri) {
				t.Fatalf("%q: %d", raw, rec.Code)
			}
			return
		}
		// Anything else good is a page or a call that is open to anybody.
		if !strings.HasPrefix(target, "/sallyport/") {
			t.Fatalf("%q: %d", raw, rec.Code)
		}
		if strings.HasPrefix(target, apiPrefix) {
			t.Fatalf("%q: the API answered %d to a stranger: %s", raw, rec.Code, rec.Body)
		}
		var identity map[string]any
		if json.Unmarshal(rec.Body.Bytes(), &identity) == nil && identity["id"] != nil {
			t.Fatalf("%q: %s", raw, rec.Body)
		}
	})
}

func asError(p any) error { err, _ := p.(error); return err }
