package proxy_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// echo speaks enough of a WebSocket for a proxy: 101, then bytes.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		_, _ = io.WriteString(w, "no upgrade")
		return
	}
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	_ = rw.Flush()
	_, _ = io.Copy(c, rw)
})

func (h *house) dial(t *testing.T, cookie string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	c, err := net.Dial("tcp", h.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: app.example\r\nCookie: sallyport_session=%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", cookie)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, r, res
}

// S1 for streams: whoever was signed out, or lost the group, keeps talking
// over a WebSocket that was opened before.
func TestWebSocketEndsWithTheSession(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(*sessions)
		closed bool
	}{
		"signed out":      {func(s *sessions) { s.change("alice", session.Live{}, true) }, true},
		"left the group":  {func(s *sessions) { s.change("alice", person("alice", "other"), false) }, true},
		"another address": {func(s *sessions) { s.change("alice", person("alice", "dev", "more"), false) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, echo, nil)
			conn, r, res := h.dial(t, "alice")
			if res.StatusCode != 101 {
				t.Fatalf("handshake: %d", res.StatusCode)
			}
			say := func(s string) error {
				if _, err := io.WriteString(conn, s+"\n"); err != nil {
					return err
				}
				got, err := r.ReadString('\n')
				if err == nil && got != s+"\n" {
					return fmt.Errorf("echo %q", got)
				}
				return err
			}
			if err := say("hello"); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			c.end(h.sessions)
			if !c.closed {
				if err := say("still here"); err != nil {
					t.Fatalf("closed: %v", err)
				}
				return
			}
			if _, err := r.ReadByte(); err == nil || time.Since(start) > 5*time.Second {
				t.Fatalf("open after %v: %v", time.Since(start), err)
			}
		})
	}
	h := build(t, echo, nil)
	if _, _, res := h.dial(t, "forged"); res.StatusCode != 401 {
		t.Errorf("an anonymous handshake: %d", res.StatusCode)
	}
}

// A stream of events ends with its session too; nothing stays subscribed.
func TestStreamEndsWithTheSession(t *testing.T) {
	h := build(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: 1\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}), nil)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", h.front.URL, nil)
	req.Host = "app.example"
	req.Header.Set("Cookie", "sallyport_session=alice")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	if line, err := r.ReadString('\n'); err != nil || line != "data: 1\n" {
		t.Fatalf("the first event does not come while the stream is open: %q %v", line, err)
	}
	wait(t, func() bool { return h.sessions.watched("s-alice") == 1 })
	h.sessions.change("alice", session.Live{}, true)
	if _, err := r.ReadByte(); err == nil {
		t.Fatal("the stream goes on")
	}
	wait(t, func() bool { return h.sessions.watched("s-alice") == 0 })
}

// A session that ends between the decision and the subscription is not missed.
func TestStreamOfASessionThatJustEnded(t *testing.T) {
	h := build(t, nil, nil)
	cut := make(chan struct{})
	h.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.sessions.mu.Lock()
		delete(h.sessions.live, "alice") // nobody is told
		h.sessions.mu.Unlock()
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(cut)
	})
	// Whether the head of the answer still gets out is a race that does not
	// matter; that the stream ends at all is what is promised.
	h.ask(t, "GET", "/", "app.example", "alice")
	select {
	case <-cut:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on")
	}
}

// wait polls for a condition; it fails after ten seconds.
func wait(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatal("waited in vain")
		case <-tick.C:
		}
	}
}

// Upgrade: h2c would open a tunnel for requests that nobody judged.
func TestH2CUpgradeIsNoTunnel(t *testing.T) {
	h := build(t, echo, nil)
	for _, upgrade := range []string{"h2c", "H2C", "websocket, h2c", "TLS/1.0", "foo"} {
		res, body := h.raw(t, "GET / HTTP/1.1\r\nHost: app.example\r\nCookie: sallyport_session=alice\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nUpgrade: "+upgrade+"\r\n\r\n")
		if res.StatusCode != 200 || body != "no upgrade" {
			t.Errorf("%s: %d %q", upgrade, res.StatusCode, body)
		}
	}
}

// HTTP/2 on both sides: a browser's and, with h2c, the upstream's.
func TestHTTP2(t *testing.T) {
	got := make(chan seen, 1)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{Proto: r.Proto, Body: string(body), Header: r.Header, Trailer: r.Trailer, Host: r.Host}
	}))
	up.Config.Protocols = new(http.Protocols)
	up.Config.Protocols.SetUnencryptedHTTP2(true)
	up.Start()
	defer up.Close()
	base, _ := url.Parse("h2c://" + up.Listener.Addr().String())
	h := build(t, nil, func(o *proxy.Options) { o.Upstream = base })
	tlsFront := httptest.NewUnstartedServer(h.front.Config.Handler)
	tlsFront.EnableHTTP2 = true
	tlsFront.StartTLS()
	defer tlsFront.Close()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", tlsFront.URL+"/x", io.NopCloser(strings.NewReader("abc")))
	req.Host = "app.example"
	req.Header.Set("Cookie", "__Host-sallyport_session=alice")
	req.Header.Set("Remote_user", "admin")
	req.Trailer = http.Header{"X-Sum": {"1"}, "Remote-User": {"admin"}}
	res, err := tlsFront.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Proto != "HTTP/2.0" {
		t.Fatalf("%d %s", res.StatusCode, res.Proto)
	}
	s := <-got
	if s.Proto != "HTTP/2.0" || s.Body != "abc" || s.Host != "app.example" || s.Header.Get("Remote-User") != "alice" || s.Header["Remote_user"] != nil || s.Header.Get("X-Forwarded-Proto") != "https" || len(s.Trailer) != 1 || s.Trailer.Get("X-Sum") != "1" {
		t.Errorf("%+v", s)
	}
}

func TestAssertion(t *testing.T) {
	rules, err := guard.Compile([]guard.Rule{{Realms: []string{"users"}, Assertion: guard.AssertionEdDSA}}, guard.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, fails := range []bool{false, true} {
		h := build(t, nil, func(o *proxy.Options) {
			g, err := guard.New(guard.Options{Rules: rules, Sessions: &sessions{live: map[string]session.Live{"alice": person("alice")}, subs: map[string]map[int]func(bool){}}})
			if err != nil {
				t.Fatal(err)
			}
			o.Guard = g
			o.Assertion = func(l session.Live, aud, alg string) (string, error) {
				if fails {
					return "", errors.New("no key")
				}
				return l.ID + " " + aud + " " + alg, nil
			}
		})
		res, _ := h.ask(t, "GET", "/", "App.example:81", "alice", "Sallyport-Assertion: forged")
		s, passed := h.passed()
		if fails && (res.StatusCode != 503 || passed) || !fails && s.Header.Get("Sallyport-Assertion") != "s-alice http://app.example:81 EdDSA" {
			t.Errorf("fails %v: %d %q", fails, res.StatusCode, s.Header.Get("Sallyport-Assertion"))
		}
	}
}

// R14 and D7: what people typed is shown, never run.
func TestR14TypedTextIsShownNeverRun(t *testing.T) {
	r := httptest.NewRequest("GET", "/%22%3E%3Csvg%20onload=x%3E", nil)
	r.Header["Remote-User"] = []string{`"><script>alert(1)</script>{env.HOME}`}
	r.Header["Remote-Groups"] = []string{"dev"}
	w := httptest.NewRecorder()
	proxy.Demo().ServeHTTP(w, r)
	body := w.Body.String()
	if strings.Contains(body, "<script") || strings.Contains(body, "<svg") || !strings.Contains(body, "&lt;script&gt;") || !strings.Contains(body, "{env.HOME}") || !strings.Contains(body, "Remote-Groups") || strings.Contains(body, "Remote-Email") {
		t.Errorf("%s", body)
	}
	r.Header.Set("Accept", "application/json")
	w = httptest.NewRecorder()
	proxy.Demo().ServeHTTP(w, r)
	var fields map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil || fields["Remote-Groups"] != "dev" {
		t.Errorf("%v %s", err, w.Body)
	}
	h := build(t, nil, func(o *proxy.Options) { o.Upstream, o.Next = nil, proxy.Demo() })
	if res, body := h.ask(t, "GET", "/x", "app.example", "alice", "Accept: text/html", "Remote-User: admin"); res.StatusCode != 200 || !strings.Contains(body, "alice") || strings.Contains(body, "admin") {
		t.Errorf("guarded demo: %d %s", res.StatusCode, body)
	}
	if _, err := proxy.New(proxy.Options{}); err == nil {
		t.Error("a proxy without a guard")
	}
}
