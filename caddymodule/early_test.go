package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// early is a client of HTTP/3 that remembers servers and asks in its first packet
// (testdata/early). It runs as a program of its own, without the race detector:
// quic-go's client has a data race there, which is not ours, and ours are looked for
// in Caddy. So no test of this directory dials early by itself.
type early struct {
	s       *server
	in      io.WriteCloser
	answers *json.Decoder
	stderr  *bytes.Buffer // to be read when answers has ended
}

// early builds the client and starts it.
func (s *server) early() *early {
	s.t.Helper()
	program := filepath.Join(s.t.TempDir(), "early")
	if out, err := exec.Command("go", "build", "-race=false", "-o", program, "./testdata/early").CombinedOutput(); err != nil {
		s.t.Fatalf("build the client: %v\n%s", err, out)
	}
	cmd := exec.Command(program)
	c := &early{s: s, stderr: &bytes.Buffer{}}
	cmd.Stderr = c.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if c.in, err = cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	c.answers = json.NewDecoder(out)
	s.t.Cleanup(func() {
		_ = c.in.Close() // the client ends with its input
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the client: %v\n%s", err, c.stderr)
		}
	})
	return c
}

// ask sends one request on a new connection to app.localhost and returns the status.
// The method http3.MethodGet0RTT asks early where there is a ticket.
func (c *early) ask(method, target string, header http.Header) (status int) {
	c.s.t.Helper()
	question := map[string]any{"address": "127.0.0.1:" + c.s.https, "method": method, "url": "https://app.localhost:" + c.s.https + target, "header": header}
	if err := json.NewEncoder(c.in).Encode(question); err != nil {
		c.s.t.Fatalf("ask the client: %v", err)
	}
	var answer struct {
		Status int
		Error  string
	}
	if err := c.answers.Decode(&answer); err != nil {
		c.s.t.Fatalf("the client gave no answer: %v", err)
	}
	if answer.Error != "" {
		c.s.t.Fatalf("%s %s over HTTP/3: %s\n%s", method, target, answer.Error, c.s.logs())
	}
	return answer.Status
}

// Early data over the wire: HTTP/3 lets a client that was here before ask in its
// first packet, and Caddy takes that.
func TestEarlyDataOverHTTP3(t *testing.T) {
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", `
https://app.localhost:HTTPS_PORT {
	sallyport {
		rule {
			path /public/*
			factors 0
		}
	}
	respond "{http.request.tls.resumed}"
}`)
	client := s.early()
	// A ticket comes after the first answers; now and then the handshake is over
	// before the server looks at what came early.
	eventually(t, "early data is asked to come again", func() bool {
		status := client.ask(http3.MethodGet0RTT, "/sallyport/healthz", nil)
		if status != 200 && status != http.StatusTooEarly {
			t.Fatalf("early: %d", status)
		}
		return status == http.StatusTooEarly
	})
	for range 10 {
		if status := client.ask(http3.MethodGet0RTT, "/public/x", nil); status != 200 {
			t.Errorf("a public page, early: %d", status)
		}
	}
}

// Early data over the wire, with a service's proof in it: asked to come again where
// it would change something, and no token is burned by that.
func TestEarlyDataOfAServiceOverHTTP3(t *testing.T) {
	e := newEcho(t)
	s := serveCaddy(t, "sallyport {\n"+cheap+"}", `
https://app.localhost:HTTPS_PORT {
	sallyport {
		rule {
			path /near/*
			network 127.0.0.0/8
			service @robots
		}
		rule {
			service @robots
		}
	}
	reverse_proxy `+e.address()+`
}`)
	r := s.robot("deploy@robots")
	client := s.early()
	once := func(method, target string) int {
		t.Helper()
		return client.ask(method, target, basic(r.name, r.token()))
	}
	eventually(t, "early data of a rule that looks at the network is asked to come again", func() bool {
		status := once(http3.MethodGet0RTT, "/near/x")
		if status != 200 && status != http.StatusTooEarly {
			t.Fatalf("early: %d", status)
		}
		return status == http.StatusTooEarly
	})
	if status := once(http.MethodGet, "/near/x"); status != 200 { // the same token once more
		t.Errorf("on an established connection: %d", status)
	}
	if status := once(http.MethodPost, "/x"); status != 200 {
		t.Errorf("a change on an established connection: %d", status)
	}
}
