package deploy_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"
)

// reached is what the application got, as it stood on the wire.
type reached struct {
	Method, Target string
	Header         [][2]string
	Body           string
}

// values returns the header lines whose names have these letters and digits, as
// an application behind CGI would read them.
func (r *reached) values(name string) []string {
	var out []string
	for _, h := range r.Header {
		if letters(h[0]) == letters(name) {
			out = append(out, h[1])
		}
	}
	return out
}

func (r *reached) one(name string) string { return strings.Join(r.values(name), "|") }

func letters(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, name)
}

// serveApplication answers every request with what it looked like. A path that
// ends in /status/N is answered with that status; a WebSocket handshake with 101
// and an echo.
func serveApplication(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(60 * time.Second))
			_ = answerRaw(c)
		}()
	}
}

var wantedStatus = regexp.MustCompile(`/status/([0-9]{3})$`)

func answerRaw(c net.Conn) error {
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	first := strings.Fields(line)
	if len(first) < 2 {
		return fmt.Errorf("no request line: %q", line)
	}
	r := reached{Method: first[0], Target: first[1]}
	length, chunked, upgrade, key := 0, false, false, ""
	for {
		if line, err = in.ReadString('\n'); err != nil {
			return err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		r.Header = append(r.Header, [2]string{name, value})
		switch strings.ToLower(name) {
		case "content-length":
			_, _ = fmt.Sscan(value, &length)
		case "transfer-encoding":
			chunked = true
		case "upgrade":
			upgrade = strings.EqualFold(value, "websocket")
		case "sec-websocket-key":
			key = value
		}
	}
	if upgrade {
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nX-Remote-User: %s\r\n\r\n", accepted(key), r.one("Remote-User"))
		_, err = io.Copy(c, in)
		return err
	}
	var body []byte
	if chunked {
		for {
			var n int
			if line, err = in.ReadString('\n'); err != nil {
				return err
			}
			if _, err := fmt.Sscanf(line, "%x", &n); err != nil || n == 0 {
				break
			}
			part := make([]byte, n+2)
			if _, err := io.ReadFull(in, part); err != nil {
				return err
			}
			body = append(body, part[:n]...)
		}
		for { // trailers are headers to some applications
			if line, err = in.ReadString('\n'); err != nil || strings.TrimSpace(line) == "" {
				break
			}
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			r.Header = append(r.Header, [2]string{name, strings.TrimSpace(value)})
		}
	} else if length > 0 {
		body = make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return err
		}
	}
	r.Body = string(body)
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	status := "200"
	if m := wantedStatus.FindStringSubmatch(r.Target); m != nil {
		status = m[1]
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 %s X\r\nX-Application: reached\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(text), text)
	return err
}

// accepted is the answer to a WebSocket's key (RFC 6455 section 4.2.2).
func accepted(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
