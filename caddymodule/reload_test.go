package caddymodule_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sessionOf is the id of somebody's one session.
func (s *server) sessionOf(p person) string {
	s.t.Helper()
	list, _ := s.must("GET", "/sessions?realm="+p.realm+"&name="+p.name, nil)["sessions"].([]any)
	if len(list) != 1 {
		s.t.Fatalf("%s has %d sessions, want 1", p.name, len(list))
	}
	return list[0].(map[string]any)["id"].(string)
}

// open counts what a process holds: file handles, and goroutines by Caddy's own
// pprof.
func (s *server) open() (files, goroutines int) {
	s.t.Helper()
	handles, err := os.ReadDir("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/fd")
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.Get("http://" + s.admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:]))
	if err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
	return len(handles), n
}

// Twenty reloads while people work and others sign in: no request is lost or
// answered as somebody else's, no session ends, every login arrives, and nothing
// is left behind.
func TestTwentyReloadsUnderLoad(t *testing.T) {
	e := newEcho(t)
	s := newCaddy(t)
	config := func(n int) string {
		return s.file("sallyport {\n"+cheap+"}", fmt.Sprintf(`
http://localhost:HTTP_PORT, https://app.localhost:HTTPS_PORT {
	header X-Config %d
	sallyport
	reverse_proxy %s
}
http://ops.localhost:HTTP_PORT {
	sallyport {
		realm users
		group round%d
	}
	reverse_proxy %s
}`, n, e.address(), n, e.address()))
	}
	s.start(config(0))
	const workers, newcomers, reloads = 4, 40, 20
	var people []person
	for i := range workers {
		people = append(people, s.user(fmt.Sprintf("worker%d", i), "round20"))
	}
	var queue []person
	for i := range newcomers {
		queue = append(queue, s.user(fmt.Sprintf("newcomer%02d", i)))
	}
	browsers := make([]*browser, workers)
	for i := range browsers {
		if browsers[i] = s.browser(""); i%2 > 0 {
			browsers[i] = s.browser("https://app.localhost:" + s.https) // HTTP/2
		}
		browsers[i].signIn(people[i])
	}
	// Somebody who stands between the doors.
	between := s.user("between")
	halfway := s.browser("")
	door := halfway.goesTo(halfway.post("/sallyport/login", url.Values{"username": {between.name}, "password": {between.password}}), http.StatusSeeOther)
	for range 3 {
		s.reload(config(0))
	}
	for _, b := range browsers {
		b.client.CloseIdleConnections()
	}
	filesBefore, goroutinesBefore := s.open()

	var requests, logins, uncertain, resets atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	halt := sync.OnceFunc(func() {
		close(stop)
		group.Wait()
	})
	defer halt() // before Caddy ends: nobody is to miss it
	for i, b := range browsers {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				target := fmt.Sprintf("/job/%d?n=%d", i, n)
				a, err := b.persist(target, nil, &resets)
				if err != nil {
					t.Errorf("a request was lost: %v", err)
					return
				}
				requests.Add(1)
				if a.status != 200 || !strings.Contains(a.body, `"Remote-User":["`+people[i].name+`"]`) || !strings.Contains(a.body, target[:len(target)-2]) {
					t.Errorf("%s: %d %.300s", a.what, a.status, a.body)
					return
				}
			}
		})
	}
	group.Go(func() {
		for _, p := range queue {
			select {
			case <-stop:
				return
			default:
			}
			switch answer, err := s.tokens(s.base, p); {
			case errors.Is(err, errUncertain):
				resets.Add(1)
				uncertain.Add(1)
			case err != nil || answer["status"] != "ok":
				t.Errorf("a login during a reload: %v %v", answer, err)
				return
			default:
				logins.Add(1)
			}
		}
	})
	watcher := s.browser("")
	for n := 1; n <= reloads; n++ {
		before := requests.Load()
		if refused := s.submit("text/caddyfile", config(n)); refused != "" {
			t.Fatalf("the reload was refused: %s\n%s", refused, s.logs())
		}
		// The old configuration may still answer whom its socket took.
		eventually(t, fmt.Sprintf("configuration %d answers", n), func() bool {
			a, err := watcher.persist("/", http.Header{"Accept": {"application/json"}}, &resets)
			if err != nil {
				t.Fatalf("after reload %d: %v", n, err)
			}
			got := a.header.Get("X-Config")
			if got != strconv.Itoa(n) && got != strconv.Itoa(n-1) {
				t.Fatalf("after reload %d configuration %s answers", n, got)
			}
			return got == strconv.Itoa(n)
		})
		eventually(t, "requests between two reloads", func() bool { return requests.Load() > before+20 || t.Failed() })
		s.settle()
	}
	halt()
	t.Logf("%d reloads, %d requests, %d logins and %d uncertain ones, %d connections reset", reloads, requests.Load(), logins.Load(), uncertain.Load(), resets.Load())
	if resets.Load() > requests.Load()/20 {
		t.Errorf("%d of %d requests met a closed connection: more than a reload of Caddy explains", resets.Load(), requests.Load())
	}
	if logins.Load() == 0 {
		t.Error("nobody signed in during the reloads")
	}
	if uncertain.Load() > 1+logins.Load()/10 {
		t.Errorf("%d logins were lost with their connections, %d were not", uncertain.Load(), logins.Load())
	}

	if to := halfway.goesTo(halfway.post(door, url.Values{"code": {between.code(t, 0)}}), http.StatusSeeOther); strings.HasPrefix(to, "/sallyport/login") {
		t.Errorf("the second door leads back to %s", to)
	}
	wantStatus(t, halfway.fetch("/"), 200)

	// The rule of the last configuration counts, and the old sessions with it.
	ops := s.browser("http://ops.localhost:" + s.http)
	ops.jar = browsers[0].jar
	if got := ops.fetch("/").seen(t); got.Header.Get("Remote-User") != "worker0" {
		t.Errorf("the application saw %+v", got)
	}
	// A session that is ended after a reload is dead with the answer to that.
	s.must("DELETE", "/sessions/"+s.sessionOf(people[1]), nil)
	s.becomes(http.StatusUnauthorized, func() *answer { return browsers[1].fetch("/") })
	wantStatus(t, browsers[2].fetch("/"), 200)

	for _, b := range append(browsers, watcher, ops, halfway) {
		b.client.CloseIdleConnections()
	}
	e.CloseClientConnections() // those that Caddy keeps to the application, for two minutes
	var files, goroutines int
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if files, goroutines = s.open(); files <= filesBefore+4 && goroutines <= goroutinesBefore+8 {
			break
		}
		pause()
	}
	t.Logf("file handles %d → %d, goroutines %d → %d", filesBefore, files, goroutinesBefore, goroutines)
	if files > filesBefore+4 || goroutines > goroutinesBefore+8 {
		t.Errorf("%d reloads left something behind: file handles %d → %d, goroutines %d → %d", reloads, filesBefore, files, goroutinesBefore, goroutines)
	}
	s.term()
}

// socket is a WebSocket's handshake and then bytes both ways: enough for a proxy,
// which does not look into them.
type socket struct {
	net.Conn
	r *bufio.Reader
}

// upgrade opens one with the cookies of a browser.
func (b *browser) upgrade(path string) (*socket, *http.Response) {
	b.s.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+b.s.http)
	if err != nil {
		b.s.t.Fatal(err)
	}
	b.s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * patience)) // reloads come between
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		path, strings.TrimPrefix(b.origin, "http://"), b.cookies())
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return &socket{conn, r}, resp
}

// says sends a line and expects it back.
func (c *socket) says(line string) error {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return err
	}
	got, err := c.r.ReadString('\n')
	if err == nil && got != line+"\n" {
		err = fmt.Errorf("%q came back", got)
	}
	return err
}

// ends waits until the other side closes, and says how long that took.
func (c *socket) ends(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	_, err := io.Copy(io.Discard, c.r)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Fatal("the connection stays open")
	}
	return time.Since(begin)
}

// Somebody who was signed out keeps what he opened before: a WebSocket that a
// reload let live, held by a configuration that is no longer there. Gained before:
// an open line for as long as he likes.
func TestRevokedSessionClosesWhatAnOldConfigurationOpened(t *testing.T) {
	app := newStreams(t)
	s := newCaddy(t)
	config := func(n int) string {
		return s.file("sallyport {\n"+cheap+"}", fmt.Sprintf("http://localhost:HTTP_PORT {\nheader X-Config %d\nsallyport\nreverse_proxy %s {\nstream_close_delay 10m\n}\n}", n, app.address()))
	}
	s.start(config(0))
	alice, bob := s.user("alice"), s.user("bob")
	a, b := s.browser("").signIn(alice), s.browser("").signIn(bob)
	line, resp := a.upgrade("/ws")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %d", resp.StatusCode)
	}
	other, resp := b.upgrade("/ws")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %d", resp.StatusCode)
	}
	events := a.stream("/events")
	if event := events.next(t); event != "data: 1" {
		t.Fatalf("first event %q", event)
	}
	for n := 1; n <= 3; n++ {
		s.reload(config(n))
	}
	for _, c := range []*socket{line, other} {
		if err := c.says("after three reloads"); err != nil {
			t.Fatalf("the WebSocket did not live through the reloads: %v", err)
		}
	}
	s.must("DELETE", "/sessions/"+s.sessionOf(alice), nil)
	if took := line.ends(t); took > 5*time.Second {
		t.Errorf("the WebSocket was closed after %v, want 5 s at most", took)
	}
	if took := events.ends(t); took > 5*time.Second {
		t.Errorf("the events ended after %v, want 5 s at most", took)
	}
	if err := other.says("still here"); err != nil {
		t.Errorf("somebody else's WebSocket ended too: %v", err)
	}
	wantStatus(t, a.fetch("/"), http.StatusUnauthorized)

	// A configuration with another state takes the open one away: what was opened
	// by sessions of that state cannot be watched any longer, so it ends.
	elsewhere := s.file("sallyport {\nstorage badger HOME/elsewhere\n"+cheap+"}", "http://localhost:HTTP_PORT {\nsallyport\nreverse_proxy "+app.address()+"\n}")
	s.reload(elsewhere)
	if took := other.ends(t); took > 5*time.Second {
		t.Errorf("a WebSocket outlived its state by %v", took)
	}
	wantStatus(t, b.fetch("/"), http.StatusUnauthorized)
	if _, err := os.Stat(filepath.Join(s.state, "admin.sock")); err == nil {
		t.Error("the admin socket of the old state is still there")
	}
	s.reload(config(9))
	wantStatus(t, b.fetch("/"), 200)
	s.term()
}

// A reload that the server refuses after this module was provisioned has opened
// nothing, closed nothing and changed nothing, however often it happens.
func TestRefusedReloadsChangeNothing(t *testing.T) {
	e := newEcho(t)
	s := newCaddy(t)
	site := func(n int, more string) string {
		return fmt.Sprintf("http://localhost:HTTP_PORT {\nheader X-Config %d\nsallyport {\nrealm users\ngroup g%d\n}\nreverse_proxy %s\n}\n%s", n, n, e.address(), more)
	}
	good := func(n int) string {
		return s.file("sallyport {\nname Config"+strconv.Itoa(n)+"\n"+cheap+"}", site(n, ""))
	}
	s.start(good(1))
	alice := s.user("alice", "g1", "g2")
	b := s.browser("").signIn(alice)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	mine := s.home + "/unreadable.pem"
	sallyport := "sallyport {\nname Refused\nrealm phantom {\nfactors 2\n}\n" + cheap + "}"
	refusals := []struct{ what, config, says string }{
		{"the adapter does not understand a rule", s.file(sallyport, strings.Replace(site(8, ""), "group g8", "factors 17", 1)), `factors`},
		{"the adapter does not know a word", s.file(strings.Replace(sallyport, "name", "nmae", 1), site(8, "")), `nmae`},
		{"another app is not provisioned", s.file(sallyport, site(8, "https://x.localhost:HTTPS_PORT {\ntls "+mine+" "+mine+"\n}")), "unreadable.pem"},
		{"another handler is not provisioned", s.file(sallyport, site(8, "http://x.localhost:HTTP_PORT {\nreverse_proxy 127.0.0.1:1 {\nheader_up X-A [ $1\nlb_policy random_choose 1\n}\n}")), "random_choose"},
		{"the port of another site is taken", s.file(sallyport, site(8, "http://127.0.0.1:"+port(taken)+" {\nbind 127.0.0.1\nrespond hello\n}")), "address already in use"},
		{"a secret is not there", s.file(strings.Replace(sallyport, "name Refused", "name {env.SALLYPORT_NOT_SET}", 1), site(8, "")), "SALLYPORT_NOT_SET"},
		{"another master key for the same state", s.file(strings.Replace(sallyport, "name Refused", "master_key "+strings.Repeat("ab", 32), 1), site(8, "")), "master_key"},
	}
	for round := range 3 {
		for _, r := range refusals {
			refused := s.load(r.config)
			if refused == "" || !strings.Contains(refused, r.says) {
				t.Fatalf("%s (round %d): the answer is %q, want a refusal that says %s", r.what, round, refused, r.says)
			}
			if strings.Contains(refused, "locked") || strings.Contains(refused, strings.Repeat("ab", 32)) {
				t.Errorf("%s: %s", r.what, refused)
			}
			a := b.fetch("/")
			if a.status != 200 || a.header.Get("X-Config") != "1" {
				t.Fatalf("%s: the session of before: %d from configuration %s", r.what, a.status, a.header.Get("X-Config"))
			}
		}
		// Commands and logins belong to the configuration that goes on.
		if _, page := s.manage("GET", "/users/users/alice", nil); page["name"] != "alice" {
			t.Errorf("the admin socket says %v", page)
		}
		if page := b.get("/sallyport/"); !strings.Contains(page.body, "Config1") || strings.Contains(page.body, "Refused") {
			t.Errorf("the pages call this installation:\n%s", page.body)
		}
		if _, realms := s.manage("GET", "/realms", nil); strings.Contains(fmt.Sprint(realms), "phantom") {
			t.Errorf("a refused configuration made a realm: %v", realms)
		}
		newcomer := s.user(fmt.Sprintf("newcomer%d", round), "g1")
		wantStatus(t, s.browser("").signIn(newcomer).fetch("/"), 200)
	}

	s.reload(good(2))
	if a := b.fetch("/"); a.status != 200 || a.header.Get("X-Config") != "2" {
		t.Fatalf("a good reload after the refused ones: %d from configuration %s: %s", a.status, a.header.Get("X-Config"), a.body)
	}
	if page := b.get("/sallyport/"); !strings.Contains(page.body, "Config2") {
		t.Error("the pages are those of the old configuration")
	}
	stranger := s.browser("").signIn(s.user("stranger", "g1"))
	wantStatus(t, stranger.fetch("/"), http.StatusForbidden)
	if log := s.logs(); strings.Contains(log, "resource temporarily unavailable") || strings.Contains(log, "is locked") {
		t.Errorf("the store was opened twice:\n%s", log)
	}

	// The same by the command that people use.
	for _, c := range []struct {
		config, says string
		code         int
	}{
		{refusals[0].config, "Caddyfile:", 1}, // the client finds it, and names the line
		{refusals[2].config, "unreadable.pem", 1},
		{good(3), "", 0},
	} {
		r := s.caddy("reload", "--config", s.write(c.config), "--adapter", "caddyfile", "--address", s.admin)
		if r.code != c.code || !strings.Contains(r.err, c.says) {
			t.Errorf("caddy reload: %v, want exit code %d and %q", r, c.code, c.says)
		}
	}
	if got := b.fetch("/").header.Get("X-Config"); got != "3" {
		t.Errorf("after caddy reload configuration %s answers", got)
	}
	s.term()
}

func port(ln net.Listener) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
