package caddymodule_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
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
			_, _ = io.CopyN(w, pattern{}, n)
		case "/trailer":
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Trailer", "X-Sum")
			fmt.Fprintf(w, "%s|%s|%s", body, r.Trailer.Get("X-Client"), r.Trailer.Get("Remote-User"))
			w.Header().Set("X-Sum", "42")
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

// pattern are bytes that differ from place to place.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return len(p), nil
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
