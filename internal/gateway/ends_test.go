package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// ways in which a session has to end, or to lose a right, at once.
var ways = []struct {
	what string
	do   func(t *testing.T, w *world, b *browser, p *person, token string)
}{
	{"sign-out on the page", func(t *testing.T, w *world, b *browser, _ *person, _ string) {
		w.t.Helper()
		thief := *b // the thief keeps the cookies that the sign-out clears
		thief.jar = map[string]string{}
		for name, v := range b.jar {
			thief.jar[name] = v
		}
		wantStatus(t, thief.post("/sallyport/logout", nil), http.StatusSeeOther)
	}},
	{"change of the own password", func(t *testing.T, w *world, b *browser, p *person, _ string) {
		// By another session of the same person; all others end.
		other := w.browser(b.origin)
		other.login(p)
		a := other.post("/sallyport/account/password", url.Values{"password": {p.password}, "new_password": {"a bittern booms at night"}, "again": {"a bittern booms at night"}, "code": {p.code()}})
		wantStatus(t, a, http.StatusSeeOther)
	}},
	{"end all others", func(t *testing.T, w *world, b *browser, p *person, _ string) {
		other := w.browser(b.origin)
		other.login(p)
		wantStatus(t, other.post("/sallyport/account/sessions/end-others", nil), http.StatusSeeOther)
	}},
	{"administrator's new password", func(t *testing.T, w *world, _ *browser, p *person, _ string) {
		w.must("PATCH", p.path(), map[string]any{"password": "a bittern booms at night"})
	}},
	{"disabling", func(t *testing.T, w *world, _ *browser, p *person, _ string) {
		w.must("PATCH", p.path(), map[string]any{"disabled": true})
	}},
	{"disabling and enabling again", func(t *testing.T, w *world, _ *browser, p *person, _ string) {
		w.must("PATCH", p.path(), map[string]any{"disabled": true})
		w.must("PATCH", p.path(), map[string]any{"disabled": false})
	}},
	{"deletion", func(t *testing.T, w *world, _ *browser, p *person, _ string) { w.must("DELETE", p.path(), nil) }},
	{"deletion and the same name again", func(t *testing.T, w *world, _ *browser, p *person, _ string) {
		w.must("DELETE", p.path(), nil)
		w.user(p.name, p.realm)
	}},
	{"reset of all factors", func(t *testing.T, w *world, _ *browser, p *person, _ string) {
		w.must("DELETE", p.path()+"/methods", nil)
	}},
	{"removal of the factor", func(t *testing.T, w *world, _ *browser, p *person, _ string) {
		w.must("DELETE", p.path()+"/methods/totp", nil)
	}},
	{"a new authenticator", func(t *testing.T, w *world, _ *browser, p *person, _ string) { p.provision() }},
	{"end of all sessions", func(t *testing.T, w *world, _ *browser, p *person, _ string) {
		w.must("DELETE", p.path()+"/sessions", nil)
	}},
	{"end of each session", func(t *testing.T, w *world, _ *browser, _ *person, _ string) {
		for _, s := range w.must("GET", "/sessions", nil)["sessions"].([]any) {
			w.must("DELETE", "/sessions/"+s.(map[string]any)["id"].(string), nil)
		}
	}},
	{"the clock: idle", func(t *testing.T, w *world, _ *browser, _ *person, _ string) { w.pass(8*time.Hour + time.Second) }},
}

// Somebody copied the cookies and tokens of a session; its owner signs out,
// changes the password, is disabled or deleted, loses the factor. Gained
// before: the session, until a cache or a store noticed, or for ever.
func TestS1S2TheSessionIsDeadAtEveryDoorWithTheNextRequest(t *testing.T) {
	for _, way := range ways {
		t.Run(way.what, func(t *testing.T) {
			w, e := guarding(t)
			p := w.user("alice", "users")
			b := w.browser(w.here())
			b.login(p)
			program := w.browser(w.here())
			tokens := program.tokens(p)
			bearer := http.Header{"Authorization": {"Bearer " + tokens["access_token"].(string)}}
			stranger := w.browser(w.here())
			doors := map[string]func() int{
				"cookie through the proxy":     func() int { return b.ask("GET", "/x", "", nil).status },
				"API's cookie through it":      func() int { return program.ask("GET", "/x", "", nil).status },
				"access token through it":      func() int { return stranger.ask("GET", "/x", "", bearer).status },
				"cookie at /me":                func() int { return b.api("GET", "/me", nil).status },
				"access token at /me":          func() int { return stranger.api("GET", "/me", nil, bearer).status },
				"access token at /me/sessions": func() int { return stranger.api("GET", "/me/sessions", nil, bearer).status },
			}
			for what, ask := range doors {
				if got := ask(); got != 200 {
					t.Fatalf("before, %s: %d", what, got)
				}
			}
			wantStatus(t, b.get("/sallyport/account/"), 200)
			reached := e.hits.Load()
			if way.what == "sign-out on the page" { // ends one session, the API's is another
				way.do(t, w, program, p, "")
				way.do(t, w, b, p, "")
			} else {
				way.do(t, w, b, p, "")
			}
			for _, restarted := range []bool{false, true} {
				if restarted {
					w.restart() // S2: what the store says, not what memory says
				}
				for what, ask := range doors {
					if got := ask(); got != http.StatusUnauthorized {
						t.Errorf("restarted %v, %s: %d, want 401", restarted, what, got)
					}
				}
				if a := b.get("/sallyport/account/"); a.status == 200 {
					t.Errorf("restarted %v: the account opens", restarted)
				}
				a := stranger.api("POST", "/token/refresh", map[string]any{"refresh_token": tokens["refresh_token"]})
				wantStatus(t, a, http.StatusUnauthorized)
			}
			if got := e.hits.Load(); got != reached {
				t.Errorf("%d requests reached the upstream afterwards", got-reached)
			}
		})
	}
}

// The same where a proxy asks us, and the cookie is the domain's.
func TestS1S2ForwardAuthNoticesWithTheNextRequest(t *testing.T) {
	for _, way := range ways {
		t.Run(way.what, func(t *testing.T) {
			w := central(t)
			p := w.user("alice", "users")
			b := w.browser("https://" + portalHost)
			b.login(p)
			app := b.at(appHost)
			for _, path := range []string{"/sallyport/authz/forward-auth", "/api/authz/forward-auth"} {
				wantStatus(t, app.forwardAuth(path, "GET", "/x", nil), 200)
			}
			wantStatus(t, b.api("GET", "/me", nil), 200)
			way.do(t, w, b, p, "")
			for _, restarted := range []bool{false, true} {
				if restarted {
					w.restart()
				}
				for _, path := range []string{"/sallyport/authz/forward-auth", "/api/authz/forward-auth"} {
					wantStatus(t, app.forwardAuth(path, "GET", "/x", nil), http.StatusUnauthorized)
				}
				wantStatus(t, b.api("GET", "/me", nil), http.StatusUnauthorized)
			}
		})
	}
}

// A sign-out at an application's host ends the portal's session too, and the
// other way round: the two cookies are one session.
func TestS1BothCookiesOfASessionDieTogether(t *testing.T) {
	e := newEcho(t)
	cfg := centralConfig()
	cfg.Upstream = e.URL
	w := open(t, cfg)
	alice := w.user("alice", "users")
	for _, from := range []string{"app", "portal"} {
		b := w.browser("https://" + portalHost)
		b.login(alice)
		app := b.at(appHost)
		domain, portal := app.cookies(), b.cookies()
		wantStatus(t, app.ask("GET", "/x", "", nil), 200)
		if from == "app" {
			wantStatus(t, app.post("/sallyport/logout", nil), http.StatusSeeOther)
		} else {
			wantStatus(t, b.post("/sallyport/logout", nil), http.StatusSeeOther)
		}
		wantStatus(t, app.ask("GET", "/x", "", http.Header{"Cookie": {domain}}), http.StatusUnauthorized)
		wantStatus(t, b.api("GET", "/me", nil, http.Header{"Cookie": {portal}}), http.StatusUnauthorized)
	}
}

// A delegate is taken out of the group, and his open session goes on with it.
// Gained before: the right, until the session ended.
func TestR11AGroupIsGoneWithTheNextRequest(t *testing.T) {
	w, _ := guarding(t)
	p := w.user("olga", "users", "ops")
	b := w.browser(w.here())
	b.login(p)
	b.host = "ops.example.com"
	if got := b.ask("GET", "/", "", nil).echo(t).Header.Get("Remote-Groups"); got != "ops" {
		t.Errorf("Remote-Groups %q", got)
	}
	w.must("PATCH", p.path(), map[string]any{"groups": []string{"other"}})
	wantStatus(t, b.ask("GET", "/", "", nil), http.StatusForbidden)
	w.must("PATCH", p.path(), map[string]any{"groups": []string{"ops", "other"}})
	if got := b.ask("GET", "/", "", nil).echo(t).Header.Get("Remote-Groups"); got != "ops,other" {
		t.Errorf("Remote-Groups %q", got)
	}
}

// webSocketEcho is an application that upgrades and sends lines back.
func webSocketEcho(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-User: %s\r\n\r\n", r.Header.Get("Remote-User"))
		_ = rw.Flush()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = rw.WriteString(line)
			_ = rw.Flush()
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// A chat stays open in the browser of somebody who was signed out, disabled or
// taken out of the group. Gained before: everything that comes down the wire,
// for as long as the tab lives.
func TestStreamsCloseWithTheSessionThroughTheWholeGateway(t *testing.T) {
	upstream := webSocketEcho(t)
	for _, c := range []struct {
		what string
		do   func(w *world, b *browser, p *person)
	}{
		{"sign-out", func(w *world, b *browser, _ *person) {
			b.origin, b.host = w.here(), w.address()
			wantStatus(t, b.post("/sallyport/logout", nil), http.StatusSeeOther)
		}},
		{"disabling", func(w *world, _ *browser, p *person) { w.must("PATCH", p.path(), map[string]any{"disabled": true}) }},
		{"deletion", func(w *world, _ *browser, p *person) { w.must("DELETE", p.path(), nil) }},
		{"loss of the group", func(w *world, _ *browser, p *person) { w.must("PATCH", p.path(), map[string]any{"groups": []string{}}) }},
		{"end of all sessions", func(w *world, _ *browser, p *person) { w.must("DELETE", p.path()+"/sessions", nil) }},
		{"the clock: idle", func(w *world, _ *browser, _ *person) { w.pass(8*time.Hour + time.Second) }},
		{"reset of factors", func(w *world, _ *browser, p *person) { w.must("DELETE", p.path()+"/methods", nil) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := open(t, gateway.Config{Upstream: upstream.URL, Rules: []guard.Rule{{Realms: []string{"users"}, Groups: []string{"ops"}}}})
			p := w.user("olga", "users", "ops")
			b := w.browser(w.here())
			b.login(p)
			conn, err := net.Dial("tcp", w.address())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Websocket-Version: 13\r\nSec-Websocket-Key: x\r\nRemote-User: mallory\r\nCookie: %s\r\n\r\n", b.host, b.cookies())
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			if err != nil || res.StatusCode != 101 || res.Header.Get("X-User") != "olga" {
				t.Fatalf("%v %v", res, err)
			}
			fmt.Fprintf(conn, "still here\n")
			if line, err := in.ReadString('\n'); err != nil || line != "still here\n" {
				t.Fatalf("%q %v", line, err)
			}
			began := time.Now()
			c.do(w, b, p)
			if err := conn.SetReadDeadline(began.Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := in.ReadByte(); err == nil || isTimeout(err) {
				t.Errorf("5 s later the stream is open (%v)", err)
			}
		})
	}
	t.Run("nobody gets one without a session", func(t *testing.T) {
		w := open(t, gateway.Config{Upstream: upstream.URL, Rules: []guard.Rule{{Realms: []string{"users"}}}})
		for _, cookie := range []string{"", "sallyport_session=x"} {
			a := w.browser(w.here()).ask("GET", "/ws", "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Cookie": {cookie}})
			wantStatus(t, a, http.StatusUnauthorized)
		}
	})
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// What a guarded application says and hears passes unharmed: streams piece by
// piece, trailers both ways, HTTP/2 without TLS; and what is identity in a
// trailer does not.
func TestStreamsTrailersAndHTTP2PassUnharmed(t *testing.T) {
	next := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stream":
			for i := range 3 {
				fmt.Fprintf(w, "piece %d\n", i)
				_ = http.NewResponseController(w).Flush()
				if i < 2 {
					select {
					case <-next:
					case <-r.Context().Done():
						return
					}
				}
			}
		default:
			w.Header().Set("Trailer", "X-Sum")
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s|%s|%s|%s", body, r.Trailer.Get("X-Checksum"), r.Trailer.Get("Remote-User"), r.Header.Get("Remote-User"))
			w.Header().Set("X-Sum", "42")
		}
	}))
	t.Cleanup(upstream.Close)
	w := open(t, gateway.Config{Upstream: upstream.URL, Rules: []guard.Rule{{Realms: []string{"users"}}}})
	b := w.browser(w.here())
	b.login(w.user("alice", "users"))

	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2.CloseIdleConnections)
	for proto, transport := range map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2.0": h2} {
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport}
		ask := func(method, path string, body io.Reader, trailer http.Header) *http.Response {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), method, w.here()+path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Cookie", b.cookies())
			req.Trailer = trailer
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if res.Proto != proto || res.StatusCode != 200 {
				t.Fatalf("%s: %s %d", proto, res.Proto, res.StatusCode)
			}
			return res
		}
		res := ask("GET", "/stream", nil, nil)
		lines := bufio.NewReader(res.Body)
		for i := range 3 {
			line, err := lines.ReadString('\n')
			if err != nil || line != fmt.Sprintf("piece %d\n", i) {
				t.Fatalf("%s: %q %v", proto, line, err)
			}
			if i < 2 {
				next <- struct{}{} // the next piece is not sent before this one was seen
			}
		}
		res.Body.Close()
		body := io.MultiReader(strings.NewReader("one "), strings.NewReader("two"))
		res = ask("POST", "/trailers", io.NopCloser(body), http.Header{"X-Checksum": {"17"}, "Remote-User": {"mallory"}, "Remote_user": {"mallory"}})
		text, err := io.ReadAll(res.Body)
		if err != nil || string(text) != "one two|17||alice" || res.Trailer.Get("X-Sum") != "42" {
			t.Errorf("%s: %q, trailer %v, %v", proto, text, res.Trailer, err)
		}
		res.Body.Close()
	}
}

// R13 through the whole gateway: what HTTP knows besides ordinary requests.
func TestR13OddRequestsReachNoUpstream(t *testing.T) {
	w, e := guarding(t)
	w.user("alice", "users")
	for _, raw := range []string{
		"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x.example\r\n\r\n",
		"TRACE / HTTP/1.1\r\nHost: x.example\r\n\r\n",
		"GET http://other.example/sallyport/ HTTP/1.1\r\nHost: public.example.com\r\n\r\n",
		"GET //public.example.com/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: other.example\r\nHost: public.example.com\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: public.example.com@other.example\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"get / HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: other.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: other.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"GET / HTTP/1.1\r\nHost: other.example\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: other.example\r\nRemote-User : alice\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: other.example\r\nX: y\r\n Remote-User: alice\r\n\r\n",
	} {
		before := e.hits.Load()
		if status := w.raw(t, raw); status >= 200 && status < 300 || e.hits.Load() != before {
			t.Errorf("%q: %d, upstream reached: %v", raw, status, e.hits.Load() != before)
		}
	}
	// An absolute target names the host that decides (RFC 9112 section 3.2.2),
	// and the same host goes on.
	conn, err := net.Dial("tcp", w.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET http://public.example.com/x HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(text), `"Host":"public.example.com"`) {
		t.Errorf("%s %v", text, err)
	}
}

// raw sends bytes as they are and returns the status of the first answer, 0 for
// none.
func (w *world) raw(t *testing.T, text string) int {
	t.Helper()
	conn, err := net.Dial("tcp", w.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		return 0
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}
