package caddymodule_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// newStreams is an application that talks for longer than one answer: /ws echoes
// bytes after a WebSocket's handshake, /events sends lines until the client goes,
// /both answers while it reads, /upload hashes, /download?n= sends n bytes.
func newStreams(t *testing.T) *echo {
	t.Helper()
	e := &echo{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.hits.Add(1)
		switch r.URL.Path {
		case "/ws":
			shake(w, r)
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: 1\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/both":
			_ = http.NewResponseController(w).EnableFullDuplex()
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				fmt.Fprintf(w, "%s\n", lines.Text())
				_ = http.NewResponseController(w).Flush()
			}
		case "/upload":
			sum := sha256.New()
			n, err := io.Copy(sum, r.Body)
			fmt.Fprintf(w, "%d %s %v %s", n, hex.EncodeToString(sum.Sum(nil)), err, r.Header.Get("Remote-User"))
		case "/download":
			n, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
			w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
			_, _ = io.CopyN(w, new(pattern), n)
		case "/trailer":
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Trailer", "X-Sum")
			fmt.Fprintf(w, "%s|%s|%s", body, r.Trailer.Get("X-Client"), r.Trailer.Get("Remote-User"))
			w.Header().Set("X-Sum", "42")
		case "/text":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprint(w, strings.Repeat("compress me ", 1000))
		default:
			fmt.Fprint(w, "hello "+r.Header.Get("Remote-User"))
		}
	}))
	t.Cleanup(e.CloseClientConnections)
	return e
}

func shake(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		http.Error(w, "no upgrade came", http.StatusBadRequest)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: sallyport_session=planted\r\n\r\n")
	_ = rw.Flush()
	_, _ = io.Copy(conn, rw)
}

// pattern are bytes without end that differ from place to place.
type pattern struct{ at int }

var block = func() []byte {
	p := make([]byte, 1<<16-1) // no power of two: nothing repeats where buffers do
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}()

func (b *pattern) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		copied := copy(p[n:], block[b.at:])
		n, b.at = n+copied, (b.at+copied)%len(block)
	}
	return n, nil
}

// lines is an answer that goes on.
type lines struct {
	body io.ReadCloser
	r    *bufio.Reader
}

// stream opens one.
func (b *browser) stream(target string) *lines {
	b.s.t.Helper()
	req, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodGet, b.origin+target, nil)
	if err != nil {
		b.s.t.Fatal(err)
	}
	req.Header.Set("Cookie", b.cookies())
	resp, err := b.client.Do(req)
	if err != nil {
		b.s.t.Fatal(err)
	}
	b.s.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 {
		b.s.t.Fatalf("%s: %d", target, resp.StatusCode)
	}
	return &lines{resp.Body, bufio.NewReader(resp.Body)}
}

func (l *lines) next(t *testing.T) string {
	t.Helper()
	line, err := l.r.ReadString('\n')
	if err != nil {
		t.Fatalf("the stream ended: %v", err)
	}
	return line[:len(line)-1]
}

// ends waits until nothing more comes, and says how long that took.
func (l *lines) ends(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	_, _ = io.Copy(io.Discard, l.r)
	return time.Since(begin)
}

// over returns the browser as one that speaks nothing but one version of HTTP.
func (b *browser) over(version string) *browser {
	other := *b
	trust := &tls.Config{InsecureSkipVerify: true}
	other.client = b.s.client()
	switch version {
	case "HTTP/1.1":
		transport := other.client.Transport.(*http.Transport)
		transport.ForceAttemptHTTP2, transport.TLSClientConfig.NextProtos = false, []string{"http/1.1"}
	case "HTTP/3.0":
		transport := &http3.Transport{TLSClientConfig: trust, DisableCompression: true, QUICConfig: &quic.Config{HandshakeIdleTimeout: patience},
			Dial: func(ctx context.Context, address string, trust *tls.Config, config *quic.Config) (*quic.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return quic.DialAddr(ctx, "127.0.0.1:"+port, trust, config) // not early: see early
			}}
		b.s.t.Cleanup(func() { _ = transport.Close() })
		other.client.Transport = transport
	}
	return &other
}

// What a guarded route must not harm, by every version of HTTP: large bodies both
// ways, byte by byte the same; answers that begin before they end; both directions
// at once; trailers. And a stream ends with its session.
func TestStreamsPassUnharmed(t *testing.T) {
	app := newStreams(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", `
https://app.localhost:HTTPS_PORT {
	sallyport
	reverse_proxy `+app.address()+`
}
https://bare.localhost:HTTPS_PORT {
	reverse_proxy `+app.address()+`
}
https://zip.localhost:HTTPS_PORT {
	sallyport
	encode gzip
	reverse_proxy `+app.address()+`
}`)
	origin := "https://app.localhost:" + s.https
	const size = 100 << 20
	want := sha256.New()
	if _, err := io.CopyN(want, new(pattern), size); err != nil {
		t.Fatal(err)
	}
	hash := hex.EncodeToString(want.Sum(nil))
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
		t.Run(version, func(t *testing.T) {
			name := "user" + version[5:6]
			b := s.browser(origin).over(version)
			stranger := s.browser(origin).over(version)
			b.signIn(s.user(name))
			if a := b.fetch("/"); a.proto != version || a.body != "hello "+name {
				t.Fatalf("%s: %d %s", a.proto, a.status, a.body)
			}

			began := time.Now()
			a, err := b.try("POST", "/upload", io.LimitReader(new(pattern), size), nil)
			if err != nil || a.body != fmt.Sprintf("%d %s <nil> %s", size, hash, name) {
				t.Errorf("upload: %v %+v", err, a)
			}
			t.Logf("100 MiB up in %v", time.Since(began).Round(time.Millisecond))
			began = time.Now()
			resp, err := b.open("GET", fmt.Sprintf("/download?n=%d", size), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.New()
			if n, err := io.Copy(sum, resp.Body); n != size || err != nil || hex.EncodeToString(sum.Sum(nil)) != hash {
				t.Errorf("download: %d bytes, %v", n, err)
			}
			t.Logf("100 MiB down in %v", time.Since(began).Round(time.Millisecond))

			// Both directions at once: a line comes back while the body is open.
			// HTTP/1.1 promises that to no client.
			if version != "HTTP/1.1" {
				r, w := io.Pipe()
				defer w.Close()
				go func() { _, _ = io.WriteString(w, "first\n") }()
				resp, err := b.open("POST", "/both", r, nil)
				if err != nil {
					t.Fatal(err)
				}
				talk := &lines{resp.Body, bufio.NewReader(resp.Body)}
				for _, word := range []string{"first", "second", "third"} {
					if word != "first" {
						if _, err := io.WriteString(w, word+"\n"); err != nil {
							t.Fatal(err)
						}
					}
					if got := talk.next(t); got != word {
						t.Fatalf("%q came back for %q", got, word)
					}
				}
			}

			// Trailers of the client go as far as Caddy carries them (its HTTP/3 drops
			// them), but nobody's identity in them. Those of the application come.
			for _, host := range []string{"bare", "app"} {
				body, w := io.Pipe()
				go func() { _, _ = io.WriteString(w, "body"); _ = w.Close() }()
				req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+host+".localhost:"+s.https+"/trailer", body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Cookie", b.cookies())
				req.Trailer = http.Header{"X-Client": {"from the client"}, "Remote-User": {"mallory"}}
				resp, err := b.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				want := "body|from the client|"
				switch {
				case version == "HTTP/3.0":
					want = "body||"
				case host == "bare":
					want = "body|from the client|mallory"
				}
				if err != nil || string(text) != want || resp.Trailer.Get("X-Sum") != "42" {
					t.Errorf("trailers through %s: %q, want %q; %v %v", host, text, want, err, resp.Trailer)
				}
			}

			// A stranger's body is not asked for. (Caddy holds back any early answer over
			// HTTP/1.1 until the body comes after all, so clients wait for their own
			// patience's end.)
			continued := false
			trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { continued = true }})
			for _, who := range []*browser{stranger, b} {
				continued = false
				req, err := http.NewRequestWithContext(trace, "POST", origin+"/upload", strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Expect", "100-continue")
				req.Header.Set("Cookie", who.cookies())
				if transport, ok := who.client.Transport.(*http.Transport); ok {
					transport.ExpectContinueTimeout = map[bool]time.Duration{true: 20 * time.Second, false: time.Second / 2}[who == b]
				}
				resp, err := who.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if good := who == b; good != (resp.StatusCode == 200) || version == "HTTP/1.1" && good != continued {
					t.Errorf("Expect: 100-continue, signed in %v: %d, continued %v", good, resp.StatusCode, continued)
				}
			}

			zip := *b
			zip.origin = "https://zip.localhost:" + s.https
			if a := zip.ask("GET", "/download?n=20000", "", http.Header{"Accept-Encoding": {"gzip"}}); a.status != 200 || a.header.Get("Content-Encoding") != "" {
				// No content type that is worth it: Caddy leaves it alone.
				t.Errorf("a download: %d %v", a.status, a.header)
			}
			if a := zip.ask("GET", "/text", "", http.Header{"Accept-Encoding": {"gzip"}}); a.status != 200 || a.header.Get("Content-Encoding") != "gzip" {
				t.Errorf("compressed text: %d %v", a.status, a.header)
			}

			events := b.stream("/events")
			if event := events.next(t); event != "data: 1" {
				t.Fatalf("first event %q", event)
			}
			s.must("DELETE", "/sessions/"+s.sessionOf(person{name: name, realm: "users"}), nil)
			if took := events.ends(t); took > 5*time.Second {
				t.Errorf("the events went on for %v after the session", took)
			}
		})
	}
}

// open is try for those who read the body as it comes.
func (b *browser) open(method, target string, body io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(b.s.t.Context(), method, b.origin+target, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Cookie", b.cookies())
	resp, err := b.client.Do(req)
	if err == nil {
		b.s.t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

// A WebSocket through a guarded route; a stranger's handshake is refused, and the
// application plants no cookie of ours with it.
func TestWebSocketPasses(t *testing.T) {
	app := newStreams(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", "http://localhost:HTTP_PORT {\nsallyport\nreverse_proxy "+app.address()+"\n}")
	if _, resp := s.browser("").upgrade("/ws"); resp.StatusCode != http.StatusUnauthorized || app.hits.Load() != 0 {
		t.Errorf("a stranger's handshake: %d", resp.StatusCode)
	}
	alice := s.user("alice")
	b := s.browser("").signIn(alice)
	line, resp := b.upgrade("/ws")
	if resp.StatusCode != http.StatusSwitchingProtocols || len(resp.Header["Set-Cookie"]) > 0 {
		t.Fatalf("handshake: %d %v", resp.StatusCode, resp.Header)
	}
	for _, word := range []string{"hello", strings.Repeat("long ", 20000)} {
		if err := line.says(word); err != nil {
			t.Fatal(err)
		}
	}
	s.must("DELETE", "/users/users/alice/sessions", nil)
	if took := line.ends(t); took > 5*time.Second {
		t.Errorf("the WebSocket was closed after %v", took)
	}
}

// A browser that is on HTTP/3 opens its WebSockets there too (RFC 9220), by a
// CONNECT. Other uses of that method stay closed: they would be tunnels.
func TestWebSocketOverHTTP3(t *testing.T) {
	app := newStreams(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", `
https://app.localhost:HTTPS_PORT {
	sallyport {
		rule {
			path /ws
			method GET
			realm users
		}
		rule {
			path /open
			factors 0
		}
	}
	reverse_proxy `+app.address()+`
}`)
	alice := s.user("alice")
	b := s.browser("https://app.localhost:" + s.https).signIn(alice)
	conn, err := quic.DialAddr(t.Context(), "127.0.0.1:"+s.https, &tls.Config{InsecureSkipVerify: true, ServerName: "app.localhost", NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	client := new(http3.Transport).NewClientConn(conn)
	connect := func(protocol, path string, cookies string) (*http3.RequestStream, *http.Response) {
		t.Helper()
		stream, err := client.OpenRequestStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, b.origin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Proto = protocol
		req.Header.Set("Sec-WebSocket-Version", "13")
		req.Header.Set("Cookie", cookies)
		if err := stream.SendRequestHeader(req); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.ReadResponse()
		if err != nil {
			t.Fatal(err)
		}
		return stream, resp
	}
	for _, c := range []struct {
		protocol, path, cookies string
		status                  int
	}{
		{"websocket", "/ws", "", 401},
		{"websocket", "/other", b.cookies(), 403},
		{"connect-udp", "/ws", b.cookies(), 405},
		{"webtransport", "/open", "", 405},
	} {
		if _, resp := connect(c.protocol, c.path, c.cookies); resp.StatusCode != c.status {
			t.Errorf("CONNECT %s by %s: %d, want %d", c.path, c.protocol, resp.StatusCode, c.status)
		}
	}
	if n := app.hits.Load(); n != 0 {
		t.Errorf("%d requests reached the application", n)
	}
	stream, resp := connect("websocket", "/ws", b.cookies())
	if resp.StatusCode != 200 || len(resp.Header["Set-Cookie"]) > 0 {
		t.Fatalf("handshake: %d %v", resp.StatusCode, resp.Header)
	}
	_ = stream.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(stream)
	for _, word := range []string{"hello", strings.Repeat("long ", 5000)} {
		if _, err := io.WriteString(stream, word+"\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := r.ReadString('\n'); err != nil || got != word+"\n" {
			t.Fatalf("%.20q came back: %v", got, err)
		}
	}
	s.must("DELETE", "/sessions/"+s.sessionOf(alice), nil)
	began := time.Now()
	if _, err := io.Copy(io.Discard, r); time.Since(began) > 5*time.Second {
		t.Errorf("the WebSocket was closed after %v: %v", time.Since(began), err)
	}
}
