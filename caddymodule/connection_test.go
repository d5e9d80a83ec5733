package caddymodule_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// What a reload of Caddy does to connections, with or without us. Each configuration
// has listening sockets of its own on the same ports, its admin API too. The old ones
// are closed at about the time when /load answers; until then they take connections
// for the old configuration, and what waits in their queues is reset.

// load hands a Caddyfile to the running Caddy, as `caddy reload` does, and waits until
// one configuration listens. The answer is "" for a configuration that is in force
// now, else what is wrong with it.
func (s *server) load(caddyfile string) string { return s.loadAs("text/caddyfile", caddyfile) }

func (s *server) loadAs(contentType, text string) string {
	s.t.Helper()
	refused := s.submit(contentType, text)
	s.settle()
	return refused
}

// reload is load, and it has to be good.
func (s *server) reload(caddyfile string) {
	s.t.Helper()
	if refused := s.load(caddyfile); refused != "" {
		s.t.Fatalf("the reload was refused: %s\n%s", refused, s.logs())
	}
}

// submit is loadAs that does not wait: for tests of what happens meanwhile. They
// settle before the next one.
func (s *server) submit(contentType, text string) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.admin+"/load", strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Close = true // the next one is not for the admin API of an old configuration
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Cache-Control", "must-revalidate") // load it even if it is the same
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("reload: %v\n%s", err, s.logs())
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// settle waits until no port of this server has two listening sockets, and lets go of
// the connections that its clients keep to the old configuration: a POST is not sent
// again by itself when such a one closes.
func (s *server) settle() {
	s.t.Helper()
	eventually(s.t, "one configuration listens", func() bool { return !s.doubled() })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, transport := range s.kept {
		transport.CloseIdleConnections()
	}
}

// doubled reports whether the kernel knows two listening sockets for one address and
// one port of this server.
func (s *server) doubled() bool {
	s.t.Helper()
	_, admin, err := net.SplitHostPort(s.admin)
	if err != nil {
		s.t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, port := range []string{admin, s.http, s.https} {
		n, err := net.LookupPort("tcp", port)
		if err != nil {
			s.t.Fatal(err)
		}
		ours[fmt.Sprintf("%04X", n)] = true
	}
	const local, state, listens = 1, 3, "0A" // columns, and TCP_LISTEN
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if errors.Is(err, os.ErrNotExist) { // a machine without IPv6
			continue
		}
		if err != nil {
			s.t.Fatal(err)
		}
		seen := map[string]bool{}
		for line := range strings.Lines(string(text)) {
			columns := strings.Fields(line)
			if len(columns) <= state || columns[state] != listens {
				continue
			}
			address := columns[local]
			if !ours[address[strings.LastIndexByte(address, ':')+1:]] {
				continue
			}
			if seen[address] {
				return true
			}
			seen[address] = true
		}
	}
	return false
}

// dropped reports whether a connection broke as those do that a reload meets.
func dropped(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EPIPE)
}

// persist sends a GET and, while the connection is dropped, sends it again, as
// clients do (RFC 9110 section 9.2.2); three times, then it is lost. Each drop is
// counted.
func (b *browser) persist(target string, header http.Header, drops *atomic.Int64) (*answer, error) {
	a, err := b.try("GET", target, nil, header)
	for again := 0; err != nil && dropped(err) && again < 3; again++ {
		drops.Add(1)
		pause()
		a, err = b.try("GET", target, nil, header)
	}
	return a, err
}

// errUncertain is a login whose connection was dropped while its code was under way,
// and whose code does not work again: whether it opened a session nobody can say.
var errUncertain = errors.New("the connection of a code was dropped, and the code is burned")

// tokens passes both doors by the JSON API, with the waits that Retry-After
// asks for. A connection that is dropped is opened again: one that was refused
// carried nothing, a password may be shown twice, and a code that arrived all the
// same is refused the second time. Errors: errUncertain for that.
func (s *server) tokens(base string, p person) (map[string]any, error) {
	client := s.client()
	client.Transport.(*http.Transport).DisableKeepAlives = true // a POST is not sent again when an idle connection closes
	post := func(path string, body any) (map[string]any, error) {
		arrived := false // perhaps
		for range 50 {
			status, header, answer, err := tryCall(client, "POST", base+"/sallyport/api/v1"+path, body, http.Header{"Origin": {base}})
			if err != nil && dropped(err) {
				arrived = arrived || !errors.Is(err, syscall.ECONNREFUSED)
				pause()
				continue
			}
			if err != nil {
				return nil, err
			}
			if status == 200 {
				return answer, nil
			}
			wait, _ := time.ParseDuration(header.Get("Retry-After") + "s")
			if status != 429 && status != 503 || wait <= 0 {
				err := fmt.Errorf("%s: %d %v", path, status, answer)
				if arrived && status == http.StatusUnauthorized && path == "/login/code" {
					err = fmt.Errorf("%w: %w", errUncertain, err)
				}
				return nil, err
			}
			<-time.After(wait)
		}
		return nil, fmt.Errorf("%s: no answer but to wait", path)
	}
	first, err := post("/login", map[string]any{"name": p.name, "realm": p.realm, "password": p.password})
	if err != nil {
		return nil, err
	}
	return post("/login/code", map[string]any{"ephemeral_token": first["ephemeral_token"], "code": p.code(s.t, 0)})
}
