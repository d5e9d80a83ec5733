package web_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-auth/sallyport/internal/web"
)

// pipe is a listener of one connection that lives under the test's own clock.
type pipe struct {
	conns chan net.Conn
	once  chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.once:
		return nil, net.ErrClosed
	}
}
func (p *pipe) Close() error   { close(p.once); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// overPipe runs a real server and hands over the client's end.
func overPipe(t *testing.T, handler http.HandlerFunc, with func(conn net.Conn, answers *bufio.Reader)) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		l := &pipe{make(chan net.Conn, 1), make(chan struct{})}
		l.conns <- server
		s := &http.Server{Handler: handler}
		go s.Serve(l)
		with(client, bufio.NewReader(client))
		_ = client.Close()
		_ = s.Close()
		time.Sleep(time.Minute) // of the test's own clock: the server lingers over a closed connection
	})
}

// D6 (slowloris). Attack: a stranger posts the form of the login, announces a
// thousand bytes and sends one, on a thousand connections. Gained before: each
// held its connection and its goroutine for as long as he liked.
func TestD6BodyThatNeverArrives(t *testing.T) {
	for what, framing := range map[string]string{
		"announced": "Content-Length: 1000\r\n\r\n{",
		"chunked":   "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			read := make(chan error, 1)
			overPipe(t, func(w http.ResponseWriter, r *http.Request) {
				_, err := web.ReadBody(w, r, 1<<10)
				read <- err
				w.WriteHeader(http.StatusBadRequest)
			}, func(conn net.Conn, answers *bufio.Reader) {
				begin := time.Now()
				_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\n"+framing)
				if res, err := http.ReadResponse(answers, nil); err != nil || res.StatusCode != 400 {
					t.Errorf("%v, %v", res, err)
				}
				if took := time.Since(begin); took != 10*time.Second {
					t.Errorf("the answer came after %v", took)
				}
				if err := <-read; !isTimeout(err) {
					t.Errorf("ReadBody: %v", err)
				}
				if _, err := answers.ReadByte(); err == nil {
					t.Error("the connection stays open")
				}
			})
		})
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// What has arrived in time is under no deadline any more: the answer may take
// as long as it takes, and the connection carries the next request.
func TestReadBodyLeavesNoDeadline(t *testing.T) {
	overPipe(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := web.ReadBody(w, r, 5)
		select {
		case <-r.Context().Done():
			t.Error("the deadline of the body ended the request")
		case <-time.After(time.Minute):
		}
		if err != nil || string(body) != "12345" {
			t.Errorf("%q, %v", body, err)
		}
	}, func(conn net.Conn, answers *bufio.Reader) {
		for range 2 {
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n123")
			time.Sleep(9 * time.Second) // of the test's own clock
			_, _ = io.WriteString(conn, "45")
			if res, err := http.ReadResponse(answers, nil); err != nil || res.StatusCode != 200 {
				t.Fatalf("%v, %v", res, err)
			}
			time.Sleep(time.Hour)
		}
	})
}

func TestReadBodyIsBounded(t *testing.T) {
	overPipe(t, func(w http.ResponseWriter, r *http.Request) {
		var over *http.MaxBytesError
		if body, err := web.ReadBody(w, r, 4); !errors.As(err, &over) || body != nil {
			t.Errorf("%q, %v", body, err)
		}
	}, func(conn net.Conn, answers *bufio.Reader) {
		_, _ = io.Copy(conn, strings.NewReader("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345"))
		if _, err := http.ReadResponse(answers, nil); err != nil {
			t.Error(err)
		}
	})
}
