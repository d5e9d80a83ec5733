package caddymodule_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// robot is a service, with the file that holds its seed.
type robot struct {
	s        *server
	name     string // name@realm
	seedFile string
}

// robot makes a service with `caddy sallyport`, as an administrator does.
func (s *server) robot(name string, flags ...string) robot {
	s.t.Helper()
	r := robot{s: s, name: name, seedFile: filepath.Join(s.home, strings.ReplaceAll(name, "@", "-")+".seed")}
	r.sallyport(append([]string{"service", "add", name, "--seed-file", r.seedFile}, flags...)...)
	return r
}

func (r robot) sallyport(args ...string) string {
	r.s.t.Helper()
	done := r.s.caddy(append([]string{"sallyport"}, args...)...)
	if done.code != 0 {
		r.s.t.Fatalf("caddy sallyport %v: %v", args, done)
	}
	return strings.TrimSpace(done.out)
}

func (r robot) token() string {
	r.s.t.Helper()
	return r.sallyport("token", "--seed-file", r.seedFile)
}

// before is the token of a moment that is so long ago.
func (r robot) before(ago time.Duration) string {
	r.s.t.Helper()
	text, err := os.ReadFile(r.seedFile)
	if err != nil {
		r.s.t.Fatal(err)
	}
	seed, err := otp.ParseSeed(strings.TrimSpace(string(text)))
	if err != nil {
		r.s.t.Fatal(err)
	}
	params := otp.Default()
	token, err := params.Code(seed, params.Step(time.Now().Add(-ago)))
	if err != nil {
		r.s.t.Fatal(err)
	}
	return token
}

// basic is the header of a caller who claims to be somebody.
func basic(name, token string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+token))}}
}

const robotSite = `
http://localhost:HTTP_PORT {
	sallyport {
		realm users
		service deploy@robots @auth
	}
	handle_errors {
		header X-Handled yes
		respond "handled {err.status_code}"
	}
	reverse_proxy `

// Attack: a token of another realm, one that is old, one of a seed that leaked and was
// rotated away, and guesses until one fits. None passes a guarded route, and the wait comes through handle_errors with its own status and
// Retry-After. What is to pass: curl with `caddy sallyport token`.
func TestServicesPassAGuardedRoute(t *testing.T) {
	e := newEcho(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", robotSite+e.address()+"\n}")
	deploy, other, checker := s.robot("deploy@robots"), s.robot("deploy@machines"), s.robot("checker@auth")
	b := s.browser("")
	leaked := s.robot("leaked@auth")
	b.ask("GET", "/x", "", basic(leaked.name, leaked.before(0))).seen(t)
	leaked.sallyport("service", "rotate", leaked.name, "--overlap", "0", "--seed-file", leaked.seedFile+".new")
	e.hits.Store(0)
	for what, header := range map[string]http.Header{
		"a token of long ago":   basic("deploy@robots", deploy.before(10*time.Minute)),
		"a rotated seed":        basic(leaked.name, leaked.token()),
		"a token of machines":   basic("deploy@robots", other.token()),
		"machines' service":     basic("deploy@machines", other.token()),
		"a token of a letter":   basic("deploy@robots", "x"),
		"a service, not listed": basic("deploy@users", deploy.token()),
	} {
		a := b.ask("GET", "/x", "", header)
		wantStatus(t, a, 401)
		if a.body != "handled 401" || !strings.Contains(a.header.Get("Www-Authenticate"), "Basic realm=") {
			t.Errorf("%s: %v %s", what, a.header, a.body)
		}
	}
	if e.hits.Load() != 0 {
		t.Fatal("it reached the application")
	}
	leaked.seedFile += ".new"
	b.ask("GET", "/x", "", basic(leaked.name, leaked.token())).seen(t)
	script := exec.Command("sh", "-c", `curl --silent --show-error --fail -u "deploy@robots:$("$CADDY" sallyport token --seed-file "$SEED")" "$URL"`)
	script.Env = append(os.Environ(), "CADDY="+plain, "SEED="+deploy.seedFile, "URL="+s.base+"/x")
	if out, err := script.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"deploy@robots"`)) {
		t.Errorf("curl: %v: %s", err, out)
	}
	for _, r := range []robot{deploy, checker} {
		header := basic(r.name, r.token())
		header.Set("Remote-User", "admin")
		seen := b.ask("GET", "/x", "", header).seen(t)
		_, realm, _ := strings.Cut(r.name, "@")
		for name, want := range map[string]string{"Remote-User": r.name, "Remote-Realm": realm, "Authorization": ""} {
			if got := seen.Header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", r.name, name, got, want)
			}
		}
	}
	for _, c := range []struct{ args, want string }{
		{"check", "users of realm users with two factors; and service deploy@robots; and all services of realm auth"},
		{"check", "the realm robots of services is not configured here"},
		{"explain GET " + s.base + "/x --as deploy@robots", "allow: rule 1: admitted"},
		{"explain GET " + s.base + "/x --as checker@auth", "allow: rule 1: admitted"},
		{"explain GET " + s.base + "/x --as deploy@machines", "the rule admits service deploy@robots, and all services of realm auth, and no other service"},
	} {
		if done := s.caddy(append([]string{"sallyport"}, strings.Fields(c.args)...)...); done.code != 0 || !strings.Contains(done.out+done.err, c.want) {
			t.Errorf("caddy sallyport %s: %v, want %s", c.args, done, c.want)
		}
	}
	loud := s.robot("loud@auth")
	for i := range 100 {
		if a := b.ask("GET", "/x", "", basic(loud.name, "0")); a.status != 401 {
			t.Fatalf("wrong token %d: %d", i, a.status)
		}
	}
	a := b.ask("GET", "/x", "", basic(loud.name, loud.token()))
	wantStatus(t, a, 429)
	if a.body != "handled 429" || a.header.Get("Retry-After") == "" {
		t.Errorf("a wait: %v %s", a.header, a.body)
	}
	b.ask("GET", "/x", "", basic(deploy.name, deploy.token())).seen(t) // others do not wait for it
}

// dials opens a WebSocket with a token, nil where that is refused.
func (r robot) dials(path, token string) *socket {
	r.s.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+r.s.http)
	if err != nil {
		r.s.t.Fatal(err)
	}
	r.s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * patience)) // the token grows old meanwhile
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost:%s\r\nAuthorization: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, r.s.http, basic(r.name, token).Get("Authorization"))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		r.s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil
	}
	return &socket{conn, in}
}

// Attack: a service is switched off, and what it opened through Caddy goes on. And
// the opposite: a stream must not end with the 15 seconds of the token that opened
// it, which is all that such a program has.
func TestStreamsOfServicesThroughCaddyEndWithTheService(t *testing.T) {
	app := newStreams(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"realm robots {\nskew 0\n}\n}", `
http://localhost:HTTP_PORT {
	sallyport {
		service @robots
	}
	reverse_proxy `+app.address()+`
}`)
	ends := map[string]func(robot){
		"disabled": func(r robot) { r.sallyport("service", "disable", r.name) },
		"deleted":  func(r robot) { r.sallyport("service", "delete", r.name) },
		"rotated":  func(r robot) { r.sallyport("service", "rotate", r.name, "--overlap", "24h") },
	}
	sockets, robots := map[string]*socket{}, map[string]robot{}
	for what := range ends {
		robots[what] = s.robot(what+"@robots", "--period", "15")
	}
	tokens := map[string]string{}
	for what, r := range robots {
		eventually(t, "a WebSocket", func() bool { // now and then the token is old before it arrives
			tokens[what] = r.token()
			sockets[what] = r.dials("/ws", tokens[what])
			return sockets[what] != nil
		})
	}
	for what, r := range robots {
		eventually(t, "the token is old", func() bool {
			return s.browser("").ask("GET", "/", "", basic(r.name, tokens[what])).status == 401
		})
	}
	for what, end := range ends {
		if err := sockets[what].says("hello"); err != nil {
			t.Fatalf("%s: after the token's window: %v", what, err)
		}
		end(robots[what])
		if took := sockets[what].ends(t); took > 5*time.Second {
			t.Errorf("%s: the WebSocket was closed after %v", what, took)
		}
	}
}

// Attack: a service is switched off, and the WebSocket that it opened under a
// configuration that is no longer there goes on, because nobody of the new one knows
// of it; or its state is taken away, and nobody can be asked any longer.
func TestStreamsOfServicesEndAfterReloadsToo(t *testing.T) {
	app := newStreams(t)
	s := newCaddy(t)
	config := func(more string) string {
		return s.file("sallyport {\n"+more+cheap+"}", "http://localhost:HTTP_PORT {\nsallyport {\nservice @robots\n}\nreverse_proxy "+app.address()+" {\nstream_close_delay 10m\n}\n}")
	}
	s.start(config(""))
	deploy, build := s.robot("deploy@robots"), s.robot("build@robots")
	sockets := map[string]*socket{deploy.name: deploy.dials("/ws", deploy.token()), build.name: build.dials("/ws", build.token())}
	for range 2 {
		s.reload(config(""))
	}
	for name, line := range sockets {
		if err := line.says("after two reloads"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	deploy.sallyport("service", "disable", deploy.name)
	if took := sockets[deploy.name].ends(t); took > 5*time.Second {
		t.Errorf("the WebSocket of a disabled service was closed after %v", took)
	}
	if err := sockets[build.name].says("still here"); err != nil {
		t.Errorf("another service's WebSocket ended too: %v", err)
	}
	s.reload(config("storage badger HOME/elsewhere\n"))
	if took := sockets[build.name].ends(t); took > 5*time.Second {
		t.Errorf("a WebSocket outlived its state by %v", took)
	}
}
