package deploy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// h2cAnyway is an application that takes the upgrade to HTTP/2 without TLS by the
// Upgrade header alone, as some servers do.
func h2cAnyway(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "h2c") {
			h.ServeHTTP(w, r)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		_ = buffered.Flush()
		_, _ = io.Copy(io.Discard, buffered) // whatever comes now was judged by nobody
	})
}

// R13. Attack: somebody who may see one public page asks for it with "Upgrade: h2c".
// A proxy that hands the upgrade on has opened a tunnel with the answer 101: what
// goes through it, any path with any Remote-User, is seen by no rule. Gained before:
// everything, as anybody.
func TestR13NoTunnelIsOpened(t *testing.T) {
	for _, proxy := range proxyNames {
		t.Run(proxy, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			upstream := ln.Addr().String()
			app := &http.Server{Handler: h2cAnyway(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "upgrade %q connection %q settings %q", r.Header["Upgrade"], r.Header["Connection"], r.Header["Http2-Settings"])
			}))}
			go func() { _ = app.Serve(ln) }()
			t.Cleanup(func() { _ = app.Close() })
			w := own(t, proxy, setup{edit: func(_, text string) string {
				text = regexp.MustCompile(`server app 127\.0\.0\.1:\d+`).ReplaceAllString(text, "server app "+upstream)
				if proxy == "nginx" {
					text = regexp.MustCompile(`proxy_pass http://127\.0\.0\.1:\d+;`).ReplaceAllString(text, "proxy_pass http://"+upstream+";")
				}
				if proxy == "caddy" {
					i := strings.LastIndex(text, "reverse_proxy ")
					text = text[:i] + "reverse_proxy " + upstream + "\n" + text[i+strings.IndexByte(text[i:], '\n'):]
				}
				return text
			}})
			for _, upgrade := range [][]string{{"Upgrade: h2c"}, {"Upgrade: H2C"}, {"Upgrade: h2c, websocket"}, {"Upgrade: websocket, h2c"}, {"Upgrade: websocket", "Upgrade: h2c"}, {"Upgrade: TLS/1.0"}, {"upgrade:h2c"}} {
				c, err := tls.Dial("tcp", "127.0.0.1:"+w.port, &tls.Config{RootCAs: authorities, ServerName: appHost})
				if err != nil {
					t.Fatal(err)
				}
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				fmt.Fprintf(c, "GET /public/x HTTP/1.1\r\nHost: %s:%s\r\n%s\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n", appHost, w.port, strings.Join(upgrade, "\r\n"))
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					_ = c.Close()
					t.Errorf("%q: %v", upgrade, err)
					continue
				}
				text := make([]byte, 300)
				n, _ := io.ReadFull(resp.Body, text)
				if resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode == http.StatusOK && strings.Contains(strings.ToLower(string(text[:n])), "h2c") || strings.Contains(string(text[:n]), "AAMA") {
					t.Errorf("%q: %d %s", upgrade, resp.StatusCode, text[:n])
				}
				_ = c.Close()
			}
		})
	}
}
