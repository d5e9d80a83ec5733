// Command early is a client that was here before: it asks over HTTP/3, each time
// on a connection of its own, and keeps the tickets with which the next one may ask
// in its first packet (RFC 9114, RFC 8446 section 2.3).
//
// It is a program of its own because quic-go's client is not free of data races
// while early data and the handshake meet, and a race detector that watches the
// tests ends them for that.
//
// It reads requests from standard input, one JSON object a line, and answers each
// with one on standard output: the status, or an error for a request that had no
// answer. It ends with its input.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// patience is for one request: a machine that does much else is slow.
const patience = 30 * time.Second

// question is one request.
type question struct {
	Address string      `json:"address"` // host:port that is dialled, whatever the URL says
	Method  string      `json:"method"`  // GET_0RTT: a GET in the first packet
	URL     string      `json:"url"`
	Header  http.Header `json:"header"`
}

// reply is its answer.
type reply struct {
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	tickets := tls.NewLRUClientSessionCache(10)
	questions, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q question
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		var r reply
		var err error
		if r.Status, err = ask(q, tickets); err != nil {
			r.Error = err.Error()
		}
		if err := replies.Encode(r); err != nil {
			return fmt.Errorf("write an answer: %w", err)
		}
	}
}

func ask(q question, tickets tls.ClientSessionCache) (status int, _ error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tickets}, // Caddy's own authority
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: patience},
		Dial: func(ctx context.Context, _ string, trust *tls.Config, config *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, q.Address, trust, config)
		},
	}
	defer transport.Close()
	req, err := http.NewRequestWithContext(ctx, q.Method, q.URL, nil)
	if err != nil {
		return 0, err
	}
	if q.Header != nil {
		req.Header = q.Header
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}
