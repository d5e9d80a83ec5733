package caddymodule_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/fcgi"
	"strings"
	"sync"
	"testing"
	"time"
)

// estate is one Caddy with the sites that the attacks of this directory go to: the
// same rules before an application that speaks HTTP and one that speaks FastCGI.
type estate struct {
	*server
	t     *testing.T
	app   *recorder // behind reverse_proxy
	fcgi  *recorder // behind FastCGI
	fails *recorder // behind handle_errors
	kept  string    // the port of a listener that lets odd header names through
	bob   string    // the cookie of a person with two factors and no group
	ops   string    // and of one in group ops
}

// estateRules are the rules of every site of an estate.
const estateRules = `rule {
	name open
	path /open/* /open.css
	factors 0
}
rule {
	name admin
	path /admin/*
	group ops
	preflight pass
}
rule {
	name closed
	path /closed/*
	deny
}
rule {
	name rest
	realm users
	preflight pass
}
`

// recorder is an application that keeps what reached it.
type recorder struct {
	mu   sync.Mutex
	list []seen
	env  []map[string]string
}

func (r *recorder) take(t testing.TB) []seen {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list, r.env = nil, nil
	return list
}

// takeEnv is take for FastCGI, which has variables too.
func (r *recorder) takeEnv() (list []seen, env []map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, env = r.list, r.env
	r.list, r.env = nil, nil
	return list, env
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	s := seen{Method: req.Method, Target: req.RequestURI, Host: req.Host, Proto: req.Proto, Header: req.Header, Trailer: req.Trailer, Body: string(body)}
	env := fcgi.ProcessEnv(req)
	if env != nil {
		env = maps.Clone(env)
		s.Target = req.URL.RequestURI()
	}
	r.mu.Lock()
	r.list, r.env = append(r.list, s), append(r.env, env)
	r.mu.Unlock()
	w.Header().Set("X-Echo", "here")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s)
}

func (r *recorder) listen(t *testing.T, serve func(net.Listener, http.Handler) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() { _ = serve(ln, r) }()
	return ln.Addr().String()
}

func serveHTTP(ln net.Listener, h http.Handler) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return (&http.Server{Handler: h, Protocols: protocols, ReadHeaderTimeout: 30 * time.Second}).Serve(ln)
}

// newEstate starts one, and makes bob and ops, who sign in at app.test. In sites the
// words APP, FCGI, FAILS, RULES and KEPT_PORT are replaced; global stands beside the
// option sallyport.
func newEstate(t *testing.T, global, option, sites string) *estate {
	t.Helper()
	e := &estate{t: t, app: &recorder{}, fcgi: &recorder{}, fails: &recorder{}, kept: freePort(t)}
	replace := strings.NewReplacer("APP", e.app.listen(t, serveHTTP), "FCGI", e.fcgi.listen(t, fcgi.Serve), "FAILS", e.fails.listen(t, serveHTTP), "RULES", estateRules, "KEPT_PORT", e.kept)
	e.server = serveCaddy(t, replace.Replace(global)+"\nsallyport {\n"+cheap+option+"\n}\n", replace.Replace(sites))
	e.bob = e.session(e.user("bob"))
	e.ops = e.session(e.user("olga", "ops"))
	return e
}

// session signs somebody in and returns the cookie of the session alone.
func (e *estate) session(p person) string {
	e.t.Helper()
	b := e.browser(e.origin("app.test")).signIn(p)
	return "sallyport_session=" + b.jar["sallyport_session"]
}

// certified waits until Caddy's own authority has given each host a certificate,
// which happens beside the start.
func (e *estate) certified(hosts ...string) {
	e.t.Helper()
	for _, host := range hosts {
		eventually(e.t, "a certificate for "+host, func() bool {
			conn, err := tls.Dial("tcp", "127.0.0.1:"+e.https, &tls.Config{InsecureSkipVerify: true, ServerName: host})
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		})
	}
}

// origin is a site of the estate on plain HTTP.
func (e *estate) origin(host string) string { return "http://" + host + ":" + e.http }

// raw sends bytes as they are and reads one answer. HOST:, at the beginning of a
// line, is a Host header with the port.
func (e *estate) raw(host, text string) *answer {
	e.t.Helper()
	return e.rawAt(e.http, host, text)
}

func (e *estate) rawAt(port, host, text string) *answer {
	e.t.Helper()
	a, err := send(port, host, text)
	if err != nil {
		e.t.Fatalf("%.80q: %v", text, err)
	}
	return a
}

func send(port, host, text string) (*answer, error) {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	text = strings.Replace(text, "HOST:", "Host: "+host+":"+port, 1)
	if _, err := io.WriteString(conn, text); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	line, _, _ := strings.Cut(text, "\r\n")
	return &answer{what: fmt.Sprintf("%.120q at %s", line, host), status: res.StatusCode, proto: res.Proto, header: res.Header, body: string(body)}, nil
}

// request is an HTTP/1.1 request with its header lines.
func request(method, target string, lines ...string) string {
	text := method + " " + target + " HTTP/1.1\r\nHOST:\r\nConnection: close\r\n"
	for _, line := range lines {
		if line != "" {
			text += line + "\r\n"
		}
	}
	return text + "\r\n"
}

func cookie(value string) string { return "Cookie: " + value }

// beside is the same browser at another origin of the cookie domain: it has the
// cookies of the domain and none of a host.
func (e *estate) beside(b *browser, origin string) *browser {
	other := e.browser(origin)
	for name, value := range b.jar {
		if strings.HasPrefix(name, "__Secure-") {
			other.jar[name] = value
		}
	}
	return other
}

// holds reports where an application saw a text: in a header, its name or a trailer.
func (s *seen) holds(text string) string {
	for _, h := range []http.Header{s.Header, s.Trailer} {
		for name, values := range h {
			if strings.Contains(strings.Join(values, "\n"), text) {
				return fmt.Sprintf("%s: %v", name, values)
			}
		}
	}
	if strings.Contains(s.Target, text) {
		return s.Target
	}
	return ""
}
