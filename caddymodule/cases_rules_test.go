package caddymodule_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// ruleSites are the rules of an estate behind everything that Caddy may do with an
// address before and after the guard.
const ruleSites = `
http://app.test:HTTP_PORT, https://app.test:HTTPS_PORT {
	sallyport {
		RULES
	}
	reverse_proxy APP
}
http://fcgi.test:HTTP_PORT {
	sallyport {
		RULES
	}
	reverse_proxy FCGI {
		transport fastcgi {
			root /srv
			split .php
		}
	}
}
http://front.test:HTTP_PORT {
	rewrite * /index.php
	sallyport {
		RULES
	}
	reverse_proxy FCGI {
		transport fastcgi {
			root /srv
			split .php
		}
	}
}
http://stripped.test:HTTP_PORT {
	handle_path /app/* {
		sallyport {
			RULES
		}
		reverse_proxy APP
	}
	handle {
		respond "not here" 404
	}
}
http://stripped-fcgi.test:HTTP_PORT {
	handle_path /app/* {
		sallyport {
			RULES
		}
		reverse_proxy FCGI {
			transport fastcgi {
				root /srv
				split .php
			}
		}
	}
}
http://uri.test:HTTP_PORT {
	uri strip_prefix /app
	uri replace /alias/ /admin/
	sallyport {
		RULES
	}
	reverse_proxy APP
}
http://methods.test:HTTP_PORT {
	sallyport {
		rule {
			method GET HEAD
			factors 0
		}
		rule {
			group ops
		}
	}
	reverse_proxy APP
}
http://networks.test:HTTP_PORT {
	sallyport {
		rule {
			network 203.0.113.0/24
			factors 0
		}
		rule {
			realm users
		}
	}
	reverse_proxy APP
}
http://twice.test:HTTP_PORT {
	sallyport {
		rule {
			realm users
		}
	}
	handle /admin/* {
		sallyport {
			rule {
				group ops
			}
		}
		reverse_proxy APP
	}
	handle {
		reverse_proxy APP
	}
}
http://words.test:HTTP_PORT {
	sallyport {
		realm users
	}
	header {
		X-Who "{http.auth.user.id} {http.auth.user.name} {http.auth.user.groups}"
		defer
	}
	request_header X-Whom "{http.auth.user.name}"
	log {
		output file HOME/words.log
	}
	reverse_proxy APP
}
MANY {
	sallyport {
		RULES
	}
	reverse_proxy APP
}
`

func TestCaddyR1R2R3R4R5R6R7R8R9R11R12R13R14RulesOfStrangers(t *testing.T) {
	var many []string
	for i := range 150 {
		many = append(many, fmt.Sprintf("http://h%d.many.test:HTTP_PORT", i))
	}
	e := newEstate(t, "", "throttle {\nnetwork 0\n}", strings.Replace(ruleSites, "MANY", strings.Join(many, ", "), 1))
	for _, attack := range []func(*estate, *testing.T){
		(*estate).pathsHaveOneReading, (*estate).rewrittenPathsHaveOneReading, (*estate).addressInAHeader, (*estate).hostsHaveOneSpelling, (*estate).methodsAreExact, (*estate).preflightsChangeNothing, (*estate).networksAreNotClaimed,
		(*estate).everyRequestIsJudgedAnew, (*estate).twoGuardsInARow, (*estate).oddTargets, (*estate).http2OddFrames, (*estate).typedTextIsNeverExpanded,
	} {
		attack(e, t)
	}
}

// section says which rule of an estate a careless application would put a path
// under: one that decodes, cleans, cuts and ignores case until nothing changes.
func section(path string) string {
	path, _, _ = strings.Cut(path, "?")
	path = strings.ToLower(path)
	for range 6 {
		if decoded, err := url.PathUnescape(path); err == nil {
			path = decoded
		}
		path = strings.ReplaceAll(path, `\`, "/")
		var out []string
		for _, part := range strings.Split(path, "/") {
			part, _, _ = strings.Cut(part, ";")
			switch part {
			case "", ".":
			case "..":
				out = out[:max(0, len(out)-1)]
			default:
				out = append(out, part)
			}
		}
		path = "/" + strings.Join(out, "/")
	}
	path, _, _ = strings.Cut(path, "#")
	path, _, _ = strings.Cut(path, "?")
	switch first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); first {
	case "admin", "closed", "sallyport":
		return first
	}
	return "rest"
}

// oddPaths are spellings of addresses below /admin/ and /closed/, and of our own
// prefix, that begin as something harmless.
func oddPaths() (all []string) {
	for _, target := range []string{"admin", "closed", "sallyport"} {
		for _, up := range []string{"..", "%2e%2e", ".%2e", "%2E.", "%252e%252e", "..;", "..;x=1", "%2e%2e;x"} {
			for _, slash := range []string{"/", "%2f", "%2F", "%5c", `\`, "%252f", "//", "/./", "/;/"} {
				all = append(all, "/open/"+up+slash+target+"/x", "/open/a"+slash+up+slash+up+slash+target+slash+"x")
			}
		}
		for _, tail := range []string{"", "/", "/x", "/.", "/./x", "//x", "%2fx", "%2f..%2f" + target, `\x`, ";x=1", ";x/x", "%3bx", "%23", "%23/x", "%3f", "%00", "%0a", "%20", ".", "%2e", "/..%2f" + target, "/x/..", "/x/../", "%c0%afx", "%"} {
			for _, head := range []string{"/", "//", "/./", "/%2f", "/;/", "/open/../", `/\`, "/%5c", "/.//", "///", "/%2e/"} {
				all = append(all, head+target+tail)
			}
		}
		double := ""
		for _, c := range target {
			double += fmt.Sprintf("%%%02x", c)
		}
		all = append(all, "/"+double+"/x", "/"+strings.ReplaceAll(double, "%", "%25")+"/x", "/"+strings.ToUpper(target)+"/x", "/"+strings.ToUpper(target[:1])+target[1:]+"/x", "/%"+fmt.Sprintf("%02X", target[0])+target[1:]+"/x", "/"+target+"istrator", "/"+target+".css", "/"+target+"-old/x")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A path that the rule reads in one way and the application in another. Gained
// before: the way into /admin with a session that may not go there, or with none.
func (e *estate) pathsHaveOneReading(t *testing.T) {
	got := map[int]int{}
	for _, host := range []string{"app.test", "fcgi.test", "h7.many.test", "h149.many.test"} {
		for i, path := range oddPaths() {
			if host != "app.test" && i%5 != len(host)%5 {
				continue
			}
			for _, query := range []string{"", "?x=/open/y"} {
				a := e.raw(host, request("GET", path+query, cookie(e.bob)))
				got[a.status]++
				for _, s := range append(e.app.take(t), e.fcgi.take(t)...) {
					if where := section(s.Target); where != "rest" {
						t.Errorf("%s at %s: the application was asked for %q, which is %s", path, host, s.Target, where)
					}
					if s.Header.Get("Remote-User") != "bob" && section(s.Target) != "open" {
						t.Errorf("%s: for %v", path, s.Header["Remote-User"])
					}
				}
				if query != "" {
					continue
				}
				a = e.raw(host, request("GET", path))
				for _, s := range append(e.app.take(t), e.fcgi.take(t)...) {
					if !strings.HasPrefix(strings.ToLower(s.Target), "/open") || section(s.Target) != "rest" {
						t.Errorf("%s at %s, nobody signed in: the application was asked for %q", path, host, s.Target)
					}
				}
				_ = a
			}
		}
	}
	if got[400] == 0 || got[403] == 0 || got[200] == 0 {
		t.Errorf("the table is one-sided: %v", got)
	}
}

// Caddy rewrites the address before the guard sees it, or an application asks
// Caddy for the first one (FastCGI: REQUEST_URI). Gained before: the rule for
// /index.php decided, and the application served /admin, which stood in
// REQUEST_URI.
func (e *estate) rewrittenPathsHaveOneReading(t *testing.T) {
	for _, host := range []string{"front.test", "stripped.test", "stripped-fcgi.test", "uri.test"} {
		for i, path := range append([]string{"/admin/x", "/closed/x", "/alias/x", "/x", "/open/x"}, oddPaths()...) {
			if i > 5 && i%11 != len(host)%11 {
				continue
			}
			for _, head := range []string{"", "/app", "/app/", "/APP", "/app/%2e"} {
				for _, who := range []string{"", e.bob} {
					e.raw(host, request("GET", head+path, cookie(who)))
					list, env := e.fcgi.takeEnv()
					for i, s := range list {
						if where := section(s.Target); where == "admin" || where == "closed" {
							t.Errorf("%s at %s: REQUEST_URI %q is %s", head+path, host, s.Target, where)
						}
						if where := section(env[i]["SCRIPT_NAME"] + env[i]["PATH_INFO"]); where == "admin" || where == "closed" {
							t.Errorf("%s at %s: the script is %q", head+path, host, env[i]["SCRIPT_NAME"])
						}
					}
					for _, s := range e.app.take(t) {
						if where := section(s.Target); where != "rest" {
							t.Errorf("%s at %s: the application was asked for %q, which is %s", head+path, host, s.Target, where)
						}
					}
				}
			}
		}
	}
	// Whoever may go to both keeps the address that was asked for.
	e.raw("front.test", request("GET", "/some/page?x=1", cookie(e.bob)))
	if list, _ := e.fcgi.takeEnv(); len(list) != 1 || list[0].Target != "/some/page?x=1" {
		t.Errorf("a front controller is asked for %+v", list)
	}
}

// Some frameworks take the address from a header. Gained before: /open/x for the
// rule, /admin for the application.
func (e *estate) addressInAHeader(t *testing.T) {
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Original-Uri", "X-Forwarded-Uri", "X-Forwarded-Path", "X-Forwarded-Url", "X-Original-Path", "x-rewrite-url", "X-Envoy-Original-Path"} {
		a := e.raw("app.test", request("GET", "/open/x", name+": /admin/forged"))
		list := e.app.take(t)
		if len(list) != 1 || list[0].holds("forged") != "" {
			t.Errorf("%s: %d; the application saw %v", name, a.status, list)
		}
	}
}

// Spellings of a host, and more than a hundred of them in one site (where Caddy
// looks them up in another way). Gained before: no rule, or a lax one.
func (e *estate) hostsHaveOneSpelling(t *testing.T) {
	for _, base := range []string{"app.test", "h7.many.test", "h149.many.test"} {
		for _, host := range []string{
			base, strings.ToUpper(base), base + ".", base + "..", "." + base, base + ":", base + ":80", base + ":0", base + ":99999", base + ":x", "[" + base + "]", base + "%2e", base + "%00", base + "%", "x@" + base, base + "@evil.test", base + "/", base + "/open", base + "#", base + "?", base + `\`,
			strings.Replace(base, ".", "%2e", 1), strings.Replace(base, ".", "。", 1), strings.Replace(base, "t", "ｔ", 1), strings.Replace(base, "a", "\u00ada", 1), base + "\u200b", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.1", "2130706433", "0x7f.1", "evil.test", "xn--a", "", "*", "localhost", strings.Repeat("a", 300) + ".test", base + ", evil.test", base + " evil.test", base + "\tevil.test",
		} {
			for _, target := range []string{"/x", "/admin/x"} {
				a := e.raw(host, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
				if n := len(e.app.take(t)); n > 0 {
					t.Errorf("%s at %q: nobody is signed in, and %d requests reached the application (%d)", target, host, n, a.status)
				}
				a = e.raw(host, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n"+cookie(e.bob)+"\r\n\r\n")
				for _, s := range e.app.take(t) {
					if target != "/x" || s.Header.Get("Remote-User") != "bob" || strings.TrimSuffix(strings.ToLower(s.Host), ".") != s.Host && !strings.Contains(s.Host, ":") {
						t.Errorf("%s at %q: %d; the application saw %s %q", target, host, a.status, s.Target, s.Host)
					}
				}
			}
		}
	}
}

// Methods: a rule for GET is not one for get, and what changes the method behind us
// does not pass. Gained before: a write where only reading was open.
func (e *estate) methodsAreExact(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO", "PROPFIND", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "get", "Get", "gET", "head", "post", "TRACE", "Trace", "CONNECT", "GET_", "GE T"} {
		a := e.raw("methods.test", request(method, "/x", cookie(e.bob)))
		if list := e.app.take(t); len(list) > 0 {
			t.Errorf("%s: %d, %d requests went on", method, a.status, len(list))
		}
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method-override"} {
		a := e.raw("methods.test", request("GET", "/x", name+": DELETE", "X-Forwarded-Method: DELETE"))
		list := e.app.take(t)
		if len(list) != 1 || list[0].Method != "GET" || list[0].holds("DELETE") != "" && !strings.HasPrefix(list[0].holds("DELETE"), "X-Forwarded-Method") {
			t.Errorf("%s: %d; the application saw %v", name, a.status, list)
		}
	}
}

// A preflight passes without a login because it changes nothing. Gained before: with
// a header that names another method, an application that goes by it did what only
// members of a group may do.
func (e *estate) preflightsChangeNothing(t *testing.T) {
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		for _, who := range []string{"", e.bob} {
			a := e.raw("app.test", request("OPTIONS", "/admin/x", name+": DELETE", "Origin: https://evil.test", "Access-Control-Request-Method: GET", cookie(who)))
			list := e.app.take(t)
			if a.status != 200 || len(list) != 1 {
				t.Fatalf("a preflight: %d, %d requests", a.status, len(list))
			}
			if list[0].holds("DELETE") != "" || list[0].Header.Get("Remote-User") != "" || list[0].Header["Remote-User"] == nil {
				t.Errorf("%s: the application saw %v", name, list[0].Header)
			}
		}
	}
	for _, lines := range [][]string{{"Origin: https://evil.test"}, {"Access-Control-Request-Method: GET"}, {"Origin:", "Access-Control-Request-Method:"}, nil} {
		if a := e.raw("app.test", request("OPTIONS", "/admin/x", lines...)); a.status != 401 || len(e.app.take(t)) > 0 {
			t.Errorf("OPTIONS with %q is no preflight: %d", lines, a.status)
		}
	}
	for _, method := range []string{"GET", "POST", "options"} {
		if a := e.raw("app.test", request(method, "/admin/x", "Origin: https://evil.test", "Access-Control-Request-Method: GET")); a.status < 400 || len(e.app.take(t)) > 0 {
			t.Errorf("%s is no preflight: %d", method, a.status)
		}
	}
}

// A network rule and a client that says he is in that network. Gained before: a
// path without login for everybody who sends a header.
func (e *estate) networksAreNotClaimed(t *testing.T) {
	for _, line := range []string{
		"X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.7, 127.0.0.1", "X-Real-Ip: 203.0.113.7", "Forwarded: for=203.0.113.7", "X-Client-Ip: 203.0.113.7", "True-Client-Ip: 203.0.113.7", "CF-Connecting-Ip: 203.0.113.7",
		"X-Forwarded-For: a", "X-Forwarded-For: 203.0.113.7:80", "X-Forwarded-For: [::1", "X-Forwarded-For: " + strings.Repeat("203.0.113.7, ", 500) + "203.0.113.7", "X-Forwarded-For: ٢٠٣.0.113.7", "X-Forwarded-For:",
	} {
		if a := e.raw("networks.test", request("GET", "/x", line)); a.status != 401 || len(e.app.take(t)) > 0 {
			t.Errorf("%.60s: %d", line, a.status)
		}
	}
}

// Somebody is taken out of a group, or signed out, while his browser keeps a
// connection open. Gained before: a decision that was remembered for a path, a
// connection or another rule went on to count.
func (e *estate) everyRequestIsJudgedAnew(t *testing.T) {
	p := e.user("vera", "ops")
	b := e.browser(e.origin("app.test")).signIn(p)
	for range 3 {
		wantStatus(t, b.fetch("/admin/x"), 200)
		wantStatus(t, b.fetch("/x"), 200)
	}
	e.must("PATCH", "/users/users/vera", map[string]any{"groups": []string{}})
	e.becomes(403, func() *answer { return b.fetch("/admin/x") })
	wantStatus(t, b.fetch("/x"), 200)
	e.must("DELETE", "/users/users/vera/sessions", nil)
	e.becomes(401, func() *answer { return b.fetch("/x") })
	e.app.take(t)
}

// A stricter guard inside a guarded site. Gained before: nothing; but whoever was
// signed in was sent to the login for ever, since the first guard took the session
// away before the second looked for it.
func (e *estate) twoGuardsInARow(t *testing.T) {
	for _, c := range []struct {
		target, who, user string
		status            int
	}{{"/x", e.bob, "bob", 200}, {"/admin/x", e.ops, "olga", 200}, {"/admin/x", e.bob, "", 403}, {"/admin/x", "", "", 401}, {"/x", "", "", 401}} {
		a := e.raw("twice.test", request("GET", c.target, append(fewForged(), cookie(c.who+"; theme=dark"))...))
		list := e.app.take(t)
		if a.status != c.status || (len(list) == 1) != (c.status == 200) {
			t.Errorf("%s for %q: %d, want %d", c.target, c.user, a.status, c.status)
		}
		for _, s := range list {
			if s.Header.Get("Remote-User") != c.user || s.Header.Get("Cookie") != "theme=dark" || s.holds("forged") != "" {
				t.Errorf("%s: the application saw %v", c.target, s.Header)
			}
		}
	}
}

// Request lines that are no plain path. Gained before: a target that the router
// sent to one place and the guard judged as another.
func (e *estate) oddTargets(t *testing.T) {
	for _, c := range []struct{ what, text string }{
		{"absolute, protected", "GET http://app.test:" + e.http + "/admin/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"absolute, another host", "GET http://app.test:" + e.http + "/admin/x HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\nCOOKIE\r\n"},
		{"absolute, no path", "GET http://app.test:" + e.http + " HTTP/1.1\r\nHOST:\r\nConnection: close\r\n\r\n"},
		{"absolute, ours", "GET http://app.test:" + e.http + "/sallyport/login HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"absolute, dots", "GET http://app.test:" + e.http + "/open/../admin/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"absolute, user", "GET http://x@app.test:" + e.http + "/admin/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"another scheme", "GET file://app.test/admin/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"no slash", "GET admin/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"connect", "CONNECT app.test:" + e.http + " HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"connect to a path", "CONNECT /admin/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"star", "OPTIONS * HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"star with GET", "GET * HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"two slashes", "GET //app.test/admin/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nCOOKIE\r\n"},
		{"HTTP/1.0", "GET /admin/x HTTP/1.0\r\nHOST:\r\nCOOKIE\r\n"},
		{"HTTP/1.0, no host", "GET /x HTTP/1.0\r\n\r\n"},
		{"websocket", "GET /admin/x HTTP/1.1\r\nHOST:\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nCOOKIE\r\n"},
		{"h2c", "GET /admin/x HTTP/1.1\r\nHOST:\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nCOOKIE\r\n"},
		{"early", "GET /admin/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nEarly-Data: 1\r\nCOOKIE\r\n"},
		{"two lengths", "POST /open/x HTTP/1.1\r\nHOST:\r\nConnection: close\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc"},
		{"length and chunks", "POST /open/x HTTP/1.1\r\nHOST:\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin/smuggled HTTP/1.1\r\nHOST:\r\nCOOKIE\r\n"},
		{"a space before the colon", "POST /open/x HTTP/1.1\r\nHOST:\r\nContent-Length : 3\r\n\r\nabc"},
		{"a folded line", "GET /x HTTP/1.1\r\nHOST:\r\nX-A: b\r\n Cookie: x\r\nConnection: close\r\n\r\n"},
	} {
		text := strings.ReplaceAll(strings.ReplaceAll(c.text, "COOKIE\r\n", cookie(e.bob)+"\r\n\r\n"), "HOST:", "Host: app.test:"+e.http)
		a, err := send(e.http, "app.test", text)
		status := 0
		if err == nil {
			status = a.status
		}
		for _, s := range e.app.take(t) {
			if where := section(s.Target); where != "rest" || s.Header.Get("Remote-User") == "" && !strings.HasPrefix(s.Target, "/open/") {
				t.Errorf("%s: %d; the application was asked for %q (%s) for %q", c.what, status, s.Target, where, s.Header["Remote-User"])
			}
			if len(s.Header["Upgrade"]) > 0 && s.Header.Get("Upgrade") != "websocket" {
				t.Errorf("%s: upgrade %q went on", c.what, s.Header["Upgrade"])
			}
		}
	}
}

// HTTP/2 has the method, the host and the path in fields of their own. Gained
// before: a Host beside :authority, a path without slash, CONNECT with a protocol,
// or connection headers in capitals, that the router and the guard read otherwise.
func (e *estate) http2OddFrames(t *testing.T) {
	field := func(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }
	authority := "app.test:" + e.https
	e.certified("app.test")
	session := strings.Replace(e.bob, "sallyport_session", "__Host-sallyport_session", 1)
	plain := func(more ...hpack.HeaderField) []hpack.HeaderField {
		return append([]hpack.HeaderField{field(":method", "GET"), field(":scheme", "https"), field(":authority", authority), field(":path", "/admin/x")}, more...)
	}
	answered := 0
	for what, fields := range map[string][]hpack.HeaderField{
		"plain":               plain(field("cookie", session)),
		"nobody":              plain(),
		"another host":        plain(field("cookie", session), field("host", "evil.test")),
		"a path with host":    {field(":method", "GET"), field(":scheme", "https"), field(":authority", authority), field(":path", "https://open.test/admin/x"), field("cookie", session)},
		"a path without":      {field(":method", "GET"), field(":scheme", "https"), field(":authority", authority), field(":path", "admin/x"), field("cookie", session)},
		"two slashes":         {field(":method", "GET"), field(":scheme", "https"), field(":authority", authority), field(":path", "//open/../admin/x"), field("cookie", session)},
		"a space":             {field(":method", "GET"), field(":scheme", "https"), field(":authority", authority), field(":path", "/open/x HTTP/1.1\r\nX: /admin"), field("cookie", session)},
		"connect":             {field(":method", "CONNECT"), field(":authority", authority), field("cookie", session)},
		"extended connect":    {field(":method", "CONNECT"), field(":protocol", "websocket"), field(":scheme", "https"), field(":authority", authority), field(":path", "/admin/x"), field("cookie", session)},
		"small letters":       {field(":method", "get"), field(":scheme", "https"), field(":authority", authority), field(":path", "/x"), field("cookie", session)},
		"scheme":              {field(":method", "GET"), field(":scheme", "http"), field(":authority", authority), field(":path", "/admin/x"), field("cookie", e.bob)},
		"no authority":        {field(":method", "GET"), field(":scheme", "https"), field(":path", "/admin/x"), field("host", authority), field("cookie", session)},
		"te and connection":   plain(field("cookie", session), field("te", "trailers, remote-user")),
		"split cookies":       plain(field("cookie", session), field("cookie", session)),
		"identity":            plain(field("remote-user", "forged"), field("remote_user", "forged"), field("cookie", session)),
		"user in authority":   {field(":method", "GET"), field(":scheme", "https"), field(":authority", "x@"+authority), field(":path", "/admin/x"), field("cookie", session)},
		"dot after authority": {field(":method", "GET"), field(":scheme", "https"), field(":authority", "app.test.:"+e.https), field(":path", "/admin/x"), field("cookie", session)},
	} {
		status, err := e.http2(fields)
		if status > 0 {
			answered++
		}
		for _, s := range e.app.take(t) {
			t.Errorf("%s: %d %v; the application was asked for %s %q", what, status, err, s.Method, s.Target)
		}
	}
	if status, err := e.http2([]hpack.HeaderField{field(":method", "GET"), field(":scheme", "https"), field(":authority", authority), field(":path", "/x"), field("remote-user", "forged"), field("cookie", session)}); status != 200 {
		t.Errorf("an honest request by HTTP/2: %d %v", status, err)
	}
	for _, s := range e.app.take(t) {
		if s.Host != authority || s.Header.Get("Remote-User") != "bob" || s.holds("forged") != "" {
			t.Errorf("the application saw %q, %v", s.Host, s.Header)
		}
	}
	if answered < 8 {
		t.Errorf("only %d of the frames were answered at all", answered)
	}
}

// http2 sends one request in frames and returns the status that comes back, 0 with
// an error where the stream or the connection was refused.
func (e *estate) http2(fields []hpack.HeaderField) (int, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", "127.0.0.1:"+e.https, &tls.Config{InsecureSkipVerify: true, ServerName: "app.test", NextProtos: []string{"h2"}})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return 0, err
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		if err := enc.WriteField(f); err != nil {
			return 0, err
		}
	}
	if err := framer.WriteSettings(); err != nil {
		return 0, err
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		return 0, err
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return 0, err
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			var status int
			_, err := fmt.Sscan(f.PseudoValue("status"), &status)
			return status, err
		case *http2.RSTStreamFrame:
			return 0, fmt.Errorf("stream reset: %v", f.ErrCode)
		case *http2.GoAwayFrame:
			return 0, fmt.Errorf("connection refused: %v", f.ErrCode)
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		}
	}
}

// Text that a person typed, or that comes with a request, looks like one of Caddy's
// placeholders. Gained before: what is expanded twice reads the server's
// environment and files to whoever asked.
func (e *estate) typedTextIsNeverExpanded(t *testing.T) {
	placeholders := []string{"{env.HOME}", "{file./etc/passwd}", "{http.request.header.Cookie}", "{http.vars.x}", "{system.hostname}", "{{env \"HOME\"}}"}
	secrets := []string{e.home, "root:x:", "sallyport_session"}
	p := e.member("mallory", "users", map[string]any{"full_name": strings.Join(placeholders[:3], " ")})
	session := e.session(p)
	clean := func(what, text string) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds %q: %.300s", what, s, text)
			}
		}
	}
	for _, text := range placeholders {
		escaped := url.PathEscape(text)
		a := e.raw("words.test", request("GET", "/x/"+escaped+"?q="+url.QueryEscape(text), cookie(session), "User-Agent: "+text, "Referer: "+text, "Accept-Language: "+text, "X-Any: "+text))
		list := e.app.take(t)
		if len(list) != 1 {
			t.Errorf("%s: %d, %d requests", text, a.status, len(list))
			continue
		}
		s := list[0]
		if want := "mallory " + strings.Join(placeholders[:3], " ") + " "; a.header.Get("X-Who") != want && a.header.Get("X-Who") != strings.TrimSpace(want) {
			t.Errorf("%s: X-Who %q", text, a.header.Get("X-Who"))
		}
		if s.Header.Get("Remote-Name") != strings.Join(placeholders[:3], " ") || s.Header.Get("X-Whom") != s.Header.Get("Remote-Name") || s.Header.Get("User-Agent") != text {
			t.Errorf("%s: the application saw %v", text, s.Header)
		}
		clean(text+" before the application", fmt.Sprint(s))
		clean(text+" in the answer", fmt.Sprint(a.header))
		for _, target := range []string{"/x/" + escaped, "/sallyport/login?rd=/" + escaped + "&x=" + url.QueryEscape(text), "/sallyport/" + escaped, "/sallyport/api/v1/" + escaped, "/%2e/sallyport/" + escaped} {
			for _, accept := range []string{"text/html", "application/json"} {
				a := e.raw("words.test", request("GET", target, "Accept: "+accept, "User-Agent: "+text, "Accept-Language: "+text, "X-Forwarded-Host: "+text, "Origin: "+text))
				clean(text+" at "+target, fmt.Sprint(a.header)+a.body)
			}
		}
	}
	b := e.browser(e.origin("words.test"))
	for _, text := range placeholders {
		a := b.post("/sallyport/login", url.Values{"username": {text}, "password": {text}, "rd": {"/" + text}})
		clean("login as "+text, fmt.Sprint(a.header)+a.body)
	}
	clean("the log", strings.ReplaceAll(e.logs(), e.home, "HOME"))
}
