package authz_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web/authz"
)

// raw sends bytes to a real server and reads the status.
func raw(t testing.TB, addr, request string) int {
	t.Helper()
	c, err := net.Dial("tcp", addr)
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
		return 0 // the server hung up: not a 2xx
	}
	return res.StatusCode
}

// X9 (Authelia, CVE-2021-32637): what cannot be read was answered 200. Raw
// bytes, a real server, every endpoint.
func TestX9MalformedIsNever2xx(t *testing.T) {
	h := build(t, nil)
	server := httptest.NewUnstartedServer(h.handler)
	server.Config.DisableGeneralOptionsHandler = true // as our shells do: OPTIONS * is a request like any other
	server.Start()
	defer server.Close()
	addr := server.Listener.Addr().String()
	cookie := "Cookie: " + cookieName + "=alice\r\n"
	if got := raw(t, addr, "GET /sallyport/authz/ext-authz/x HTTP/1.1\r\nHost: app.example.com\r\nX-Forwarded-Proto: https\r\n"+cookie+"\r\n"); got != 200 {
		t.Fatalf("the well-formed question: %d", got)
	}
	for _, uri := range []string{"/%", "/%zz", "/\x7f", "/%00", "/public/%2e%2e/x", "", "x", "/public//../x\\", "/public/..;/x", "/\xff%", "*", "http://[::1", "/public/%c0%af../x"} {
		for _, e := range endpoints {
			var request string
			switch {
			case strings.HasSuffix(e, "forward-auth"):
				request = fmt.Sprintf("GET %s HTTP/1.1\r\nHost: s\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example.com\r\nX-Forwarded-Uri: %s\r\nX-Forwarded-For: 203.0.113.7\r\n%s\r\n", e, uri, cookie)
			case strings.HasSuffix(e, "auth-request"):
				request = fmt.Sprintf("GET %s HTTP/1.1\r\nHost: s\r\nX-Original-Method: GET\r\nX-Original-URL: https://app.example.com%s\r\nX-Forwarded-For: 203.0.113.7\r\n%s\r\n", e, uri, cookie)
			default:
				request = fmt.Sprintf("GET %s%s HTTP/1.1\r\nHost: app.example.com\r\nX-Forwarded-Proto: https\r\n%s\r\n", e, uri, cookie)
			}
			if got := raw(t, addr, request); got/100 == 2 {
				t.Errorf("%s %q: %d", e, uri, got)
			}
		}
	}
	for _, request := range []string{
		"GET /sallyport/authz/forward-auth HTTP/1.1\r\nHost: s\r\n" + cookie + "\r\n",
		"GET http://app.example.com/sallyport/authz/forward-auth HTTP/1.1\r\nHost: s\r\n" + cookie + "\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: app.example.com\r\nX-Forwarded-Proto: https\r\n" + cookie + "Content-Length: 0\r\n\r\n",
		"CONNECT app.example.com:443 HTTP/1.1\r\nHost: app.example.com:443\r\n" + cookie + "\r\n",
	} {
		if got := raw(t, addr, request); got/100 == 2 {
			t.Errorf("%.60q: %d", request, got)
		}
	}
}

// X3 (authentik, CVE-2024-47070). Attack: X-Forwarded-For that nobody can read,
// so that the proxy itself seems to ask: a rule for its network would let the
// client in with fewer factors. What is read must be addresses; what the client
// wrote, left of its own address, is not read.
func TestX3MalformedForwardedFor(t *testing.T) {
	h := build(t, nil)
	for _, e := range endpoints {
		for xff, want := range map[string]int{
			"garbage": 400, "10.0.0.1, garbage": 400, ",": 400, "1.2.3.4:80": 400, "10.0.0.1,": 400, "[::1": 400,
			"x, 127.0.0.1": 400, "fe80::1%lo": 400, strings.Repeat("a", 10<<10): 400, "\xef\xbc\x91.2.3.4": 400,
			"203.0.113.7": 200, "x, 203.0.113.7": 200, ",203.0.113.7, 127.0.0.1": 200, "127.0.0.1": 200,
		} {
			w := h.ask(question{endpoint: e, cookie: "alice", header: http.Header{"X-Forwarded-For": {xff}}})
			if strings.HasSuffix(e, "ext-authz") {
				want = 200 // none of its own headers: what cannot be read changes nothing
			}
			if w.StatusCode != want {
				t.Errorf("%s X-Forwarded-For %.20q: %d, want %d", e, xff, w.StatusCode, want)
			}
		}
	}
}

// FuzzX9 sends anything as the original request: no panic, and a 2xx only
// where the guard allowed just before (invariant 1).
func FuzzX9(f *testing.F) {
	h := build(f, nil)
	f.Add(uint8(0), "GET", "https", "app.example.com", "/x", "203.0.113.7", "alice", "", "")
	f.Add(uint8(1), "get", "ftp", "app.example.com@evil", "/%", "a", "", "Bearer ours.alice", "factors=9")
	f.Add(uint8(2), "CONNECT", "", "[::1", "//..", "[::1", "broken", "Basic !", "%zz")
	f.Add(uint8(4), "POST", "wss", "STATUS.example.com.:443", "/public/../x", ",", "weak", "", "realm=a&realm=b")
	f.Fuzz(func(t *testing.T, e uint8, method, proto, host, uri, client, cookie, authorization, query string) {
		q := question{endpoint: endpoints[int(e)%len(endpoints)], method: method, proto: proto, host: host, uri: uri, cookie: cookie, query: query}
		r := q.request()
		if _, there := r.Header["X-Forwarded-For"]; there {
			r.Header["X-Forwarded-For"] = []string{client}
		}
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		h.decisions = h.decisions[:0]
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		allowed := len(h.decisions) == 1 && h.decisions[0].Outcome == guard.Allow && h.decisions[0].Rule > 0
		if w.Code/100 == 2 && !allowed {
			t.Fatalf("%d without a decision: %+v", w.Code, q)
		}
		if w.Code < 200 || w.Code > 599 || w.Code/100 == 2 && w.Header().Values("Remote-User") == nil {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		size := w.Body.Len()
		for name, values := range w.Header() {
			for _, v := range values {
				size += len(name) + len(v)
				if strings.ContainsAny(v, "\r\n") {
					t.Fatalf("%s: %q", name, v)
				}
			}
		}
		if size > 20<<10+len(uri)*3 {
			t.Fatalf("an answer of %d bytes", size)
		}
	})
}

func BenchmarkForwardAuth(b *testing.B) {
	h := build(b, func(o *authz.Options) { o.OnDecision = nil })
	r := question{endpoint: endpoints[0], cookie: "alice"}.request()
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		if h.handler.ServeHTTP(w, r); w.status != 200 {
			b.Fatal(w.status)
		}
	}
}

type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }
