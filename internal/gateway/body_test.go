package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// A stranger announces a body and sends one byte of it, on a thousand
// connections. Gained before: each of them stayed open for ever, because the
// server reads what is left of a body before it sends even a refusal.
func TestD6BodyThatNeverArrivesHoldsNothing(t *testing.T) {
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	cfg, o := gateway.Config{Upstream: upstream.URL}, gateway.Options{BodyTime: 100 * time.Millisecond}
	place(t, &cfg, &o)
	gw, err := gateway.Open(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	defer gw.Close()
	front := httptest.NewServer(gw.Handler())
	defer front.Close()
	for _, path := range []string{"/sallyport/login", "/sallyport/logout", "/sallyport/healthz", "/sallyport/authz/forward-auth", "/guarded", "/sallyport/nowhere"} {
		for _, framing := range []string{"Content-Length: 1000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"} {
			conn, err := net.Dial("tcp", front.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nOrigin: http://localhost\r\n%s", path, framing)
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && resp.StatusCode < 400 {
				t.Errorf("%s: %d", path, resp.StatusCode)
			} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Errorf("%s: no answer and no end in 20 s", path)
			}
			_ = conn.Close()
		}
	}
}

// A proxy that was not named may not say who its clients are, whatever socket it
// comes by.
func TestX4UpstreamTrustsNobodyOnASocketEither(t *testing.T) {
	for text, want := range map[string]string{
		"listen: unix:/run/x.sock\nupstream: http://127.0.0.1:1\n":                                  "nobody",
		"listen: unix:/run/x.sock\nrules: [{realms: [users]}]\n":                                    "socket",
		"listen: unix:/run/x.sock\nupstream: http://127.0.0.1:1\ntrusted_proxies: [127.0.0.1/32]\n": "socket",
	} {
		cfg, err := gateway.Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		unix, err := gateway.TrustsSocketForTest(cfg)
		if err != nil || unix != (want == "socket") {
			t.Errorf("%q: trusts the socket %v %v, want %s", text, unix, err, want)
		}
	}
}

// A guarded host on a port of its own: the way back is lost unless the port is
// configured, and no other port is let in with it.
func TestD3OnlyConfiguredPortsAreReturnedTo(t *testing.T) {
	cfg := centralConfig(guard.Rule{Hosts: []string{appHost}, Realms: []string{"users"}})
	cfg.Ports = []int{8443}
	w := open(t, cfg)
	alice := w.user("alice", "users")
	signed := w.browser("https://" + portalHost)
	signed.login(alice)
	for port, want := range map[string]bool{"": true, ":8443": true, ":8444": false} {
		target := "https://" + appHost + port + "/x"
		if got := signed.get("/sallyport/login?rd=" + url.QueryEscape(target)).header.Get("Location"); (got == target) != want {
			t.Errorf("port %q: sent to %q", port, got)
		}
	}
}
