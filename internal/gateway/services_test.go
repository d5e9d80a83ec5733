package gateway_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/otp"
)

// robot is a service, with what it knows.
type robot struct {
	w    *world
	name string // name@realm
	seed []byte
}

// robot makes a service, and its realm where it is missing.
func (w *world) robot(ref string) *robot {
	w.t.Helper()
	name, realm, _ := strings.Cut(ref, "@")
	if w.local("GET", "/realms/"+realm, nil).status == http.StatusNotFound {
		w.must("PUT", "/realms/"+realm, map[string]any{})
	}
	r := &robot{w: w, name: ref}
	r.learn(w.must("POST", "/services", map[string]any{"realm": realm, "name": name}))
	return r
}

func (r *robot) learn(made map[string]any) {
	r.w.t.Helper()
	seed, err := otp.ParseSeed(made["seed"].(string))
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.seed = seed
}

func (r *robot) path() string {
	name, realm, _ := strings.Cut(r.name, "@")
	return "/services/" + realm + "/" + name
}

// token is good now.
func (r *robot) token() string {
	r.w.t.Helper()
	token, err := otp.Default().Code(r.seed, otp.Default().Step(r.w.clock()))
	if err != nil {
		r.w.t.Fatal(err)
	}
	return token
}

// shows is the header of a caller who claims to be somebody.
func shows(name, token string) http.Header {
	return http.Header{"Authorization": {"Basic " + basic(name, token)}}
}

// access asks the token endpoint, with the credentials in the body or by Basic.
func (w *world) access(name, token string, inHeader bool) *answer {
	w.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if inHeader {
		maps.Copy(header, shows(url.QueryEscape(name), token))
	} else {
		form.Set("client_id", name)
		form.Set("client_secret", token)
	}
	return w.browser("https://"+portalHost).ask("POST", apiPrefix+"/token", form.Encode(), header)
}

// robots is a gateway before an echo, where two services of one name in two realms
// have a host each.
func robots(t *testing.T, change func(*gateway.Config)) (*world, *echo) {
	t.Helper()
	e := newEcho(t)
	cfg := centralConfig()
	cfg.Upstream = e.URL
	cfg.Rules = []guard.Rule{
		{Hosts: []string{"robots.example.com"}, Services: []string{"deploy@robots"}, Assertion: guard.AssertionEdDSA},
		{Hosts: []string{"machines.example.com"}, Realms: []string{"users"}, Services: []string{"@machines"}},
		{Hosts: []string{"network.example.com"}, Networks: []string{"127.0.0.0/8"}, Services: []string{"deploy@robots"}},
		{Hosts: []string{"*.example.com"}, Realms: []string{"users"}},
	}
	if change != nil {
		change(&cfg)
	}
	return open(t, cfg), e
}

// Attack: a service of realm robots shows its good token where a service of the
// same name in another realm may pass, at every door, before and after its own
// realm took that token; and a token that one door burned is shown again. There is
// no mode in which a token is bound to a request: it is a bearer secret for its
// window, and the manual says so.
func TestO13ATokenOpensItsOwnRealmAlone(t *testing.T) {
	w, e := robots(t, func(cfg *gateway.Config) { cfg.Credentials = "all" })
	ours, other, checker := w.robot("deploy@robots"), w.robot("deploy@machines"), w.robot("checker@auth")
	portal := w.browser("https://" + portalHost)
	ask := func(realm, token string) *answer {
		return portal.api("POST", "/verify", map[string]any{"name": "deploy", "realm": realm, "token": token}, http.Header{"Origin": nil}, shows(checker.name, checker.token()))
	}
	authz := func(path string) func(string, string, string) int {
		return func(name, token, host string) int {
			b := w.browser("https://" + host)
			if strings.HasPrefix(path, "/api/") {
				b.host = portalHost
			}
			h := http.Header{"X-Forwarded-Host": {host}, "X-Original-Url": {"https://" + host + "/x"}, "X-Original-Method": {"GET"}}
			maps.Copy(h, shows(name, token))
			return b.forwardAuth(path, "GET", "/x", h).status
		}
	}
	doors := map[string]func(name, token, host string) int{
		"the proxy": func(name, token, host string) int {
			return w.browser("https://"+host).ask("GET", "/x", "", shows(name, token)).status
		},
		"the API": func(name, token, _ string) int { // 403: proved, and may do nothing there
			return portal.ask("GET", apiPrefix+"/users", "", shows(name, token)).status
		},
		"the token endpoint":         func(name, token, _ string) int { return w.access(name, token, false).status },
		"the token endpoint, header": func(name, token, _ string) int { return w.access(name, token, true).status },
		"verify": func(name, token, _ string) int {
			if _, realm, _ := strings.Cut(name, "@"); ask(realm, token).fields(t)["status"] == "OK" {
				return 200
			}
			return 401
		},
	}
	for _, path := range []string{"/sallyport/authz/forward-auth", "/sallyport/authz/auth-request", "/sallyport/authz/ext-authz/x", "/api/authz/forward-auth", "/api/authz/auth-request"} {
		doors[path] = authz(path)
	}
	for _, door := range slices.Sorted(maps.Keys(doors)) {
		t.Run(door, func(t *testing.T) {
			open := doors[door]
			for range 2 { // the second time robots' token has been taken
				w.pass(time.Hour) // past what wrong tries cost
				hits := e.hits.Load()
				if status := open("deploy@machines", ours.token(), "machines.example.com"); status != 401 {
					t.Errorf("a token of robots as machines': %d", status)
				}
				if status := open("deploy@robots", other.token(), "robots.example.com"); status != 401 {
					t.Errorf("a token of machines as robots': %d", status)
				}
				if e.hits.Load() != hits {
					t.Error("it reached the upstream")
				}
				want := 200
				if door == "the API" {
					want = 403
				}
				if status := open("deploy@robots", ours.token(), "robots.example.com"); status != want {
					t.Errorf("the service itself: %d", status)
				}
				if status := open("deploy@machines", other.token(), "machines.example.com"); status != want {
					t.Errorf("the service of the other realm itself: %d", status)
				}
			}
		})
	}
	// A good token of a service that the rule does not name opens nothing there.
	wantStatus(t, w.browser("https://machines.example.com").ask("GET", "/x", "", shows(ours.name, ours.token())), 401)
	access := w.access(ours.name, ours.token(), false).fields(t)["access_token"].(string)
	wantStatus(t, w.browser("https://machines.example.com").ask("GET", "/x", "", http.Header{"Authorization": {"Bearer " + access}}), 403)
	w.pass(time.Minute)
	for i, want := range []string{"OK", "FAIL"} {
		if got := ask("robots", ours.token()).fields(t)["status"]; got != want {
			t.Errorf("question %d about one token: %v", i+1, got)
		}
	}
}

// Attack: snippets that hand /api/authz/* the client's Authorization strip nothing
// from the request, so the application would get a service's token. Only the cookie
// counts there, unless the configuration says otherwise.
func TestServiceTokensCountAtApiAuthzOnlyWhereAsked(t *testing.T) {
	for credentials, want := range map[string]int{"": 401, "all": 200} {
		w, _ := robots(t, func(cfg *gateway.Config) { cfg.Credentials = credentials })
		r := w.robot("deploy@robots")
		access := w.access(r.name, r.token(), false).fields(t)["access_token"].(string)
		for _, proof := range []http.Header{shows(r.name, r.token()), {"Authorization": {"Bearer " + access}}} {
			for path, status := range map[string]int{"/sallyport/authz/forward-auth": 200, "/api/authz/forward-auth": want} {
				b := w.browser("https://robots.example.com")
				if strings.HasPrefix(path, "/api/") {
					b.host = portalHost
				}
				h := http.Header{"X-Forwarded-Host": {"robots.example.com"}}
				maps.Copy(h, proof)
				a := b.forwardAuth(path, "GET", "/x", h)
				wantStatus(t, a, status)
				if got, there := a.header["Authorization"]; a.status == 200 && (!there || got[0] != "") {
					t.Errorf("%s hands on the proof: %q", path, got)
				}
			}
		}
	}
}

// What the application learns of a service: its whole name, its realm, and a signed
// assertion; not its proof.
func TestApplicationsSeeWhichServiceIsCalling(t *testing.T) {
	w, _ := robots(t, nil)
	r := w.robot("deploy@robots")
	id := w.must("GET", r.path(), nil)["id"]
	access := w.access(r.name, r.token(), true).fields(t)["access_token"].(string)
	for what, proof := range map[string]http.Header{"token": shows(r.name, r.token()), "access token": {"Authorization": {"Bearer " + access}}} {
		proof.Set("Remote-User", "admin")
		seen := w.browser("https://robots.example.com").ask("GET", "/x", "", proof).echo(t)
		for name, want := range map[string]string{"Remote-User": "deploy@robots", "Remote-Realm": "robots", "Remote-Groups": "", "Authorization": ""} {
			if got := seen.Header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", what, name, got, want)
			}
		}
		claims := w.assertion(t, seen.Header.Get("Sallyport-Assertion"))
		for name, want := range map[string]any{"sub": id, "realm": "robots", "aud": "http://robots.example.com", "iss": "https://" + portalHost} {
			if aud, list := claims[name].([]any); list && len(aud) == 1 {
				claims[name] = aud[0]
			}
			if claims[name] != want {
				t.Errorf("%s: the assertion's %s is %v, want %v", what, name, claims[name], want)
			}
		}
		if amr := fmt.Sprint(claims["amr"]); amr != "[otp]" {
			t.Errorf("%s: amr %s", what, amr)
		}
	}
}

// assertion verifies an assertion as an application does: with the keys that stand
// at /sallyport/jwks.json.
func (w *world) assertion(t *testing.T, text string) jwt.MapClaims {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, Crv, X string }
	}
	if err := json.Unmarshal([]byte(w.browser("https://"+portalHost).get("/sallyport/jwks.json").body), &set); err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithTimeFunc(w.clock)).ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		for _, key := range set.Keys {
			if key.Kid == token.Header["kid"] && token.Header["typ"] == "sallyport-assertion+jwt" && key.Crv == "Ed25519" {
				x, err := base64.RawURLEncoding.DecodeString(key.X)
				return ed25519.PublicKey(x), err
			}
		}
		return nil, fmt.Errorf("no key %v for %v", token.Header["kid"], token.Header["typ"])
	})
	if err != nil {
		t.Fatalf("the assertion: %v", err)
	}
	return claims
}

// Attack: somebody who recorded a client's first packet sends it again from
// elsewhere (0-RTT). What changes something, and what a rule decides by the
// network, is asked to come again; a service's token is not burned by any of it.
func TestEarlyDataOfServicesIsAskedToComeAgain(t *testing.T) {
	w, e := robots(t, nil)
	r := w.robot("deploy@robots")
	early := func(method, host string) int {
		req := httptest.NewRequest(method, "https://"+host+"/x", nil)
		req.RemoteAddr, req.TLS = "127.0.0.1:5000", &tls.ConnectionState{HandshakeComplete: false}
		maps.Copy(req.Header, shows(r.name, r.token()))
		rec := httptest.NewRecorder()
		w.gw.Handler().ServeHTTP(rec, req)
		return rec.Code
	}
	for range 2 {
		for _, c := range []struct {
			method, host string
			status       int
		}{
			{"POST", "robots.example.com", 425}, {"DELETE", "robots.example.com", 425}, {"GET", "network.example.com", 425},
			{"GET", "robots.example.com", 200},
		} {
			if status := early(c.method, c.host); status != c.status {
				t.Errorf("early %s to %s: %d, want %d", c.method, c.host, status, c.status)
			}
		}
	}
	if e.hits.Load() != 2 {
		t.Errorf("%d requests reached the upstream, want 2", e.hits.Load())
	}
	for _, c := range [][2]string{{"POST", "robots.example.com"}, {"GET", "network.example.com"}} {
		wantStatus(t, w.browser("https://"+c[1]).ask(c[0], "/x", "", shows(r.name, r.token())), 200)
	}
}

// talker is an application with a WebSocket that echoes, and events without end.
func talker(t *testing.T) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			fmt.Fprint(w, "one\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	}))
	t.Cleanup(func() { app.CloseClientConnections(); app.Close() })
	return app.URL
}

// line is a WebSocket's connection, or the events of an answer.
type line struct {
	conn net.Conn
	r    *bufio.Reader
}

// opens sends the first request of a stream and reads the answer's head.
func (r *robot) opens(t *testing.T, path, proof string) *line {
	t.Helper()
	conn, err := net.Dial("tcp", r.w.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	upgrade := ""
	if path == "/ws" {
		upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: robots.example.com\r\nAuthorization: %s\r\n%s\r\n", path, proof, upgrade)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 && resp.StatusCode != 200 {
		t.Fatalf("%s: %v %v", path, resp, err)
	}
	l := &line{conn, in}
	if resp.StatusCode == 200 {
		l.r = bufio.NewReader(resp.Body)
	}
	return l
}

// ends waits until the stream is cut, and says how long that took.
func (l *line) ends() time.Duration {
	began := time.Now()
	_, _ = io.Copy(io.Discard, l.r)
	return time.Since(began)
}

// Attack: a service is switched off, and the stream that it opened before goes on
// for days. A stream lives on when its token's window has ended, and ends within 5
// seconds of what would refuse the service today.
func TestStreamsOfServicesEndWithTheService(t *testing.T) {
	for what, end := range map[string]func(r *robot){
		"disabled": func(r *robot) { r.w.must("PATCH", r.path(), map[string]any{"disabled": true}) },
		"deleted":  func(r *robot) { r.w.must("DELETE", r.path(), nil) },
		"rotated":  func(r *robot) { r.w.must("POST", r.path()+"/rotate", map[string]any{"overlap": 86400}) },
		"subject":  func(r *robot) { r.w.must("PATCH", r.path(), map[string]any{"use": "subject"}) },
		"bound":    func(r *robot) { r.w.must("PATCH", r.path(), map[string]any{"allow_from": []string{"10.0.0.0/8"}}) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cfg := centralConfig()
			cfg.Upstream = talker(t)
			cfg.Rules = []guard.Rule{{Hosts: []string{"robots.example.com"}, Services: []string{"deploy@robots"}}}
			w := open(t, cfg)
			r := w.robot("deploy@robots")
			token := r.token()
			access := w.access(r.name, token, false).fields(t)["access_token"].(string)
			var sockets, events []*line
			for _, proof := range []string{"Basic " + basic(r.name, token), "Bearer " + access} {
				sockets, events = append(sockets, r.opens(t, "/ws", proof)), append(events, r.opens(t, "/events", proof))
			}
			for _, l := range events {
				if text, err := l.r.ReadString('\n'); err != nil || text != "one\n" {
					t.Fatalf("%q %v", text, err)
				}
			}
			w.pass(2 * time.Minute) // the token is old now
			wantStatus(t, w.browser("https://robots.example.com").ask("GET", "/events", "", shows(r.name, token)), 401)
			w.must("PATCH", r.path(), map[string]any{"description": "a change that denies nothing"})
			for _, l := range sockets {
				if _, err := io.WriteString(l.conn, "hello\n"); err != nil {
					t.Fatal(err)
				}
				if text, err := l.r.ReadString('\n'); err != nil || text != "hello\n" {
					t.Fatalf("after the token's window: %q %v", text, err)
				}
			}
			end(r)
			for i, l := range slices.Concat(sockets, events) {
				if took := l.ends(); took > 5*time.Second {
					t.Errorf("stream %d went on for %v", i, took)
				}
			}
		})
	}
}
