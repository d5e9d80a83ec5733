package caddymodule_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// forwardedSites: the client of these tests is a stranger on the first port, and on
// the second a proxy that Caddy trusts. The authz endpoints trust it on both.
const forwardedSites = `
http://app.test:HTTP_PORT, http://app.test:KEPT_PORT {
	sallyport {
		RULES
	}
	reverse_proxy APP
}
http://near.test:HTTP_PORT, http://near.test:KEPT_PORT {
	sallyport {
		rule {
			path /denied/*
			network 192.0.2.0/24
			deny
		}
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
`

const forwardedServers = `servers :KEPT_PORT {
	trusted_proxies static 127.0.0.1/32 198.51.100.0/24
}`

const authzOption = `trusted_proxies 127.0.0.1/32
rule {
	host open.test
	factors 0
}
rule {
	host app.test
	path /open/*
	factors 0
}
rule {
	host app.test
	realm users
}
`

func TestCaddyX1X2X3X4X5X7X8X9X10X11H4ForwardingHeadersOfStrangers(t *testing.T) {
	e := newEstate(t, forwardedServers, authzOption, forwardedSites)
	for _, attack := range []func(*estate, *testing.T){
		(*estate).forwardingChangesNothing, (*estate).clientsAreReadFromTheRight, (*estate).protocolOfAProxy, (*estate).authzReadsItsOwnHeaders, (*estate).malformedIsNeverAllowed, (*estate).probesMeanNothing, (*estate).oddCookiesAreNobody,
	} {
		attack(e, t)
	}
	// Where Caddy lets X_Forwarded_Host and X.Forwarded.Host through, it drops those with hyphens.
	e = newEstate(t, forwardedServers+"\nservers :HTTP_PORT {\nexpected_underscore_headers x_*\nexpected_dot_headers x.*\n}", "throttle {\nnetwork 5\n}", forwardedSites)
	for _, attack := range []func(*estate, *testing.T){(*estate).forwardingChangesNothing, (*estate).strangersAskNoAuthz, (*estate).badTriesCountForTheRealClient} {
		attack(e, t)
	}
}

// hostileForwarding are headers that say where a request came from and how it
// looked, with values that would gain something.
func hostileForwarding() (lines []string) {
	values := map[string][]string{
		"Host":       {"evil.test", "app.test@evil.test", "open.test", "evil.test, app.test", "javascript:alert(1)", "{env.HOME}", "\"><svg onload=x>", "app.test:1"},
		"Proto":      {"https", "javascript", "https, http", "HTTPS", "file", ""},
		"Uri":        {"/open/x", "//evil.test", "/sallyport/login", "javascript:alert(1)"},
		"Method":     {"GET", "OPTIONS", "FOO", "get"},
		"For":        {"203.0.113.7", "203.0.113.7, 127.0.0.1", "a", "[::1", "unix:", "203.0.113.7:80"},
		"Port":       {"1", "443", "x"},
		"Prefix":     {"/open", "/evil", "//evil.test"},
		"Server":     {"evil.test"},
		"Path":       {"/open/x"},
		"Ssl":        {"on"},
		"Scheme":     {"https", "javascript"},
		"User":       {"olga"},
		"Groups":     {"ops"},
		"Client-Ip":  {"203.0.113.7"},
		"Tls-Client": {"x"},
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			lines = append(lines, "X-Forwarded-"+name+": "+value)
		}
		for _, family := range []string{"x-forwarded-", "X_Forwarded_", "X.Forwarded.", "X-Forwarded_", "X-Original-", "X_ORIGINAL_"} {
			lines = append(lines, family+name+": "+values[name][0])
		}
	}
	return append(lines,
		"X-Original-Url: /open/x", "X-Original-Url: https://open.test/", "X-Rewrite-Url: /open/x", "X-Real-Ip: 203.0.113.7", "X-Client-Ip: 203.0.113.7", "True-Client-Ip: 203.0.113.7", "Cf-Connecting-Ip: 203.0.113.7", "X-Cluster-Client-Ip: 203.0.113.7",
		"Forwarded: for=203.0.113.7;host=evil.test;proto=https", "Forwarded: for=\"[::1]\"", "Front-End-Https: on", "X-Url-Scheme: https", "X-Host: evil.test", "X-Http-Host-Override: evil.test", "X-Forwarded: evil.test", "Via: 1.1 evil.test", "Origin: http://evil.test", "Referer: http://evil.test/",
		"X-Envoy-Original-Path: /open/x", "X-Auth-Request-Redirect: http://evil.test/", "X-Forwarded-Host: evil.test\r\nX-Forwarded-Host: app.test", "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http")
}

// secretsOf are what differs from answer to answer by itself.
var secretsOf = regexp.MustCompile(`=[A-Za-z0-9_-]{20,}|nonce-[A-Za-z0-9+/=_-]+|value="[A-Za-z0-9_.-]{20,}"|sig=[A-Za-z0-9_-]+|Expires=[^;]+`)

func (a *answer) likeness(host string) string {
	return fmt.Sprint(a.status, a.header["Location"], secretsOf.ReplaceAllString(fmt.Sprint(a.header["Set-Cookie"]), "="), a.header["Www-Authenticate"], a.header["Access-Control-Allow-Origin"])
}

// A stranger claims another host, scheme, method, address or client. Gained before:
// a rule that is not his, a redirect or a cookie to his own host, links that lead
// there, and a network that needs no login.
func (e *estate) forwardingChangesNothing(t *testing.T) {
	for _, c := range []struct{ what, host, method, target, cookie, accept string }{
		{"nobody, a page", "app.test", "GET", "/x?y=z", "", "text/html"},
		{"nobody, a program", "app.test", "GET", "/admin/x", "", "application/json"},
		{"nobody, unsafe", "app.test", "POST", "/x", "", "text/html"},
		{"not admitted", "app.test", "GET", "/admin/x", e.bob, "application/json"},
		{"open", "app.test", "GET", "/open/x", "", "application/json"},
		{"network", "near.test", "GET", "/x", "", "application/json"},
		{"the login page", "app.test", "GET", "/sallyport/login?rd=%2Fx", "", "text/html"},
		{"the start page", "app.test", "GET", "/sallyport/", "", "text/html"},
		{"the start page, signed in", "app.test", "GET", "/sallyport/", e.bob, "text/html"},
		{"the address without slash", "app.test", "GET", "/sallyport", "", "text/html"},
		{"the API", "app.test", "GET", "/sallyport/api/v1/me", e.bob, "application/json"},
		{"logout", "app.test", "GET", "/sallyport/logout", e.bob, "text/html"},
		{"keys", "app.test", "GET", "/sallyport/jwks.json", "", "application/json"},
	} {
		ask := func(line string) *answer {
			return e.raw(c.host, request(c.method, c.target, line, cookie(c.cookie), "Accept: "+c.accept, "Content-Length: 0"))
		}
		plain := ask("")
		wanted := plain.likeness(c.host)
		first := e.app.take(t)
		for _, line := range hostileForwarding() {
			if c.what == "the API" && strings.HasPrefix(line, "Origin") {
				continue // a foreign origin is refused, as it should
			}
			a := ask(line)
			if got := a.likeness(c.host); got != wanted {
				t.Errorf("%s with %q: %s, and without %s", c.what, line, got, wanted)
			}
			if a.header.Get("X-Echo") == "" && (strings.Contains(a.body, "evil.test") || strings.Contains(a.body, "<svg")) {
				t.Errorf("%s with %q: the page repeats it", c.what, line)
			}
			list := e.app.take(t)
			if len(list) != len(first) {
				t.Errorf("%s with %q: %d requests reached the application", c.what, line, len(list))
			}
			for _, s := range list {
				if s.Header.Get("X-Forwarded-Host") != first[0].Host || s.Header.Get("X-Forwarded-Proto") != "http" || s.Header.Get("X-Forwarded-For") != "127.0.0.1" || s.Header.Get("Remote-User") != "" || s.Target != first[0].Target || s.Host != first[0].Host {
					t.Errorf("%s with %q: the application saw %v", c.what, line, s.Header)
				}
			}
		}
	}
}

// A proxy that Caddy trusts appends who asked it; what stands before that, the
// client wrote. Gained before: Caddy's client_ip is the first of the list, so
// whoever sent an X-Forwarded-For of his own chose his network.
func (e *estate) clientsAreReadFromTheRight(t *testing.T) {
	for _, c := range []struct {
		lines  []string
		inside bool
	}{
		{[]string{"X-Forwarded-For: 203.0.113.7"}, true},
		{[]string{"X-Forwarded-For: 10.0.0.1, 203.0.113.7"}, true},
		{[]string{"X-Forwarded-For: 203.0.113.7, 198.51.100.9"}, true}, // another trusted proxy on the way
		{[]string{"X-Forwarded-For: 203.0.113.7, 10.0.0.1"}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7, 10.0.0.1, 198.51.100.9"}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 10.0.0.1"}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7,10.0.0.1:4711"}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7, a"}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7, "}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7, [::1"}, false},
		{[]string{"X-Forwarded-For: " + strings.Repeat("203.0.113.7, ", 3000) + "10.0.0.1"}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7, " + strings.Repeat("198.51.100.9, ", 3000) + "198.51.100.9"}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7 10.0.0.1"}, false},
		{[]string{"X_Forwarded_For: 203.0.113.7"}, false},
		{[]string{"X-Real-Ip: 203.0.113.7"}, false},
		{[]string{"X-Forwarded-For: 192.0.2.1, 10.0.0.1", "X-Real-Ip: 203.0.113.7"}, false},
		{nil, false},
	} {
		a := e.rawAt(e.kept, "near.test", request("GET", "/x", c.lines...))
		if n := len(e.app.take(t)); (n == 1) != c.inside || (a.status == 200) != c.inside {
			t.Errorf("%.90q: %d, %d requests reached the application", c.lines, a.status, n)
		}
	}
	// The same where a network is kept out.
	for _, line := range []string{"X-Forwarded-For: 192.0.2.5", "X-Forwarded-For: 10.0.0.1, 192.0.2.5", "X-Forwarded-For: 203.0.113.7, 192.0.2.5"} {
		if a := e.rawAt(e.kept, "near.test", request("GET", "/denied/x", line, cookie(e.bob))); a.status != 403 || len(e.app.take(t)) > 0 {
			t.Errorf("%q: %d", line, a.status)
		}
	}
}

// One X-Forwarded-Proto of a trusted proxy says the scheme, nothing else does.
// Gained before: a cookie without Secure, or the session of plain HTTP on https.
func (e *estate) protocolOfAProxy(t *testing.T) {
	session := strings.TrimPrefix(e.bob, "sallyport_session=")
	for _, c := range []struct {
		port, line string
		https      bool
	}{
		{e.kept, "X-Forwarded-Proto: https", true}, {e.kept, "X-Forwarded-Proto: http", false}, {e.kept, "", false}, {e.kept, "X-Forwarded-Proto: HTTPS", false}, {e.kept, "X-Forwarded-Proto: https, http", false},
		{e.kept, "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https", false}, {e.kept, "X_Forwarded_Proto: https", false}, {e.kept, "X-Forwarded-Proto: javascript", false}, {e.http, "X-Forwarded-Proto: https", false}, {e.http, "X-Forwarded-Ssl: on", false},
	} {
		for name, secure := range map[string]bool{"sallyport_session": false, "__Host-sallyport_session": true, "__Secure-sallyport_session": true} {
			a := e.rawAt(c.port, "app.test", request("GET", "/x", c.line, cookie(name+"="+session)))
			if want := secure == c.https && name != "__Secure-sallyport_session"; (a.status == 200) != want || (len(e.app.take(t)) == 1) != want {
				t.Errorf("%q with %s: %d", c.line, name, a.status)
			}
		}
	}
}

// Each authz endpoint reads the headers that its proxy sets. Gained before: a
// header that the proxy does not set, and the client does, chose the address; and
// an endpoint that let its own prefix pass answered 200 to anybody who named it.
func (e *estate) authzReadsItsOwnHeaders(t *testing.T) {
	forward := map[string]string{"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.test", "X-Forwarded-Uri": "/x", "X-Forwarded-For": "10.0.0.1"}
	nginx := map[string]string{"X-Original-Url": "https://app.test/x", "X-Original-Method": "GET", "X-Forwarded-For": "10.0.0.1"}
	foreign := []string{"X-Original-Uri: /open/x", "X-Rewrite-Url: /open/x", "X-Forwarded-Prefix: /open", "X-Forwarded-Port: 1", "X-Forwarded-Path: /open/x", "X-Auth-Request-Redirect: /open/x", "Forwarded: host=open.test", "X-Envoy-Original-Path: /open/x", "X-Accel-Redirect: /open/x"}
	lines := func(h map[string]string, without string, more ...string) (all []string) {
		for _, name := range slices.Sorted(maps.Keys(h)) {
			if name != without {
				all = append(all, name+": "+h[name])
			}
		}
		return append(all, more...)
	}
	for endpoint, own := range map[string]map[string]string{"/sallyport/authz/forward-auth": forward, "/sallyport/authz/auth-request": nginx, "/api/authz/forward-auth": forward, "/api/authz/auth-request": nginx} {
		if strings.HasPrefix(endpoint, "/api/") {
			continue // the upstream's on a guarded host
		}
		status := func(lines []string) int { return e.raw("app.test", request("GET", endpoint, lines...)).status }
		if got := status(lines(own, "")); got != 401 {
			t.Errorf("%s: nobody is signed in: %d", endpoint, got)
		}
		if got := status(lines(own, "", cookie("__Host-"+e.bob))); got != 200 {
			t.Errorf("%s: bob: %d", endpoint, got)
		}
		for name := range own {
			for what, changed := range map[string][]string{"missing": lines(own, name), "doubled": lines(own, "", name+": "+own[name]), "empty": lines(own, name, name+":")} {
				if got := status(append(changed, cookie("__Host-"+e.bob))); got != 400 {
					t.Errorf("%s: %s is %s: %d", endpoint, name, what, got)
				}
			}
		}
		for _, line := range foreign {
			if got := status(lines(own, "", line)); got != 401 {
				t.Errorf("%s with %s: %d", endpoint, line, got)
			}
		}
		for _, uri := range []string{"/sallyport/", "/sallyport/login", "/sallyport/authz/forward-auth", "/sallyport/healthz", "/sallyport/jwks.json", "/x/../sallyport/login", "/%73allyport/login"} {
			changed := maps.Clone(own)
			if _, url := own["X-Original-Url"]; url {
				changed["X-Original-Url"] = "https://app.test" + uri
			} else {
				changed["X-Forwarded-Uri"] = uri
			}
			if got := status(lines(changed, "")); got < 300 {
				t.Errorf("%s about %s: %d", endpoint, uri, got)
			}
		}
	}
	e.app.take(t)
}

// What cannot be parsed is no permission. Gained before: an error on the way to the
// decision was answered 200, and the proxy took that for yes.
func (e *estate) malformedIsNeverAllowed(t *testing.T) {
	uris := append(oddPaths()[:40], "", "x", "*", "//", "https://", "https://app.test", "/\x7f", "/%zz", "/%", "?", "#", "/x#/open/", "/a b", "\\", "/"+strings.Repeat("a", 9000), "/"+strings.Repeat("%2e/", 2000), "javascript:x", "/open/../x", "/open/%2e%2e/x", "/open/..;/x")
	hosts := []string{"app.test", "", "app.test:x", "app.test@open.test", "closed.test/", "open.test, app.test", "[::1", "app..test", "app.test\\", "xn--a", ".", "*"}
	for _, endpoint := range []string{"/sallyport/authz/forward-auth", "/sallyport/authz/auth-request"} {
		for i, uri := range uris {
			for j, host := range hosts {
				if i > 0 && j > 0 && (i+j)%5 != 0 {
					continue
				}
				for _, method := range []string{"GET", "get", "", "G ET", "CONNECT"} {
					if method != "GET" && (i+j)%3 != 0 {
						continue
					}
					a, err := send(e.http, "app.test", request("GET", endpoint, "X-Forwarded-Method: "+method, "X-Forwarded-Proto: https", "X-Forwarded-Host: "+host, "X-Forwarded-Uri: "+uri, "X-Forwarded-For: 10.0.0.1", "X-Original-Url: https://"+host+uri, "X-Original-Method: "+method))
					if err == nil && a.status < 300 {
						t.Errorf("%s about %s %q at %q: %d", endpoint, method, uri, host, a.status)
					}
				}
			}
		}
	}
	for _, target := range []string{"/sallyport/authz/", "/sallyport/authz", "/sallyport/authz/x", "/sallyport/authz/forward-auth/", "/sallyport/authz/forward-auth/x", "/sallyport/authz/ext-authz", "/sallyport/authz//forward-auth", "/sallyport/authz/forward-auth%2f", "/sallyport/authz/../authz/forward-auth", "/sallyport//authz/forward-auth", "/SALLYPORT/authz/forward-auth"} {
		if a := e.raw("app.test", request("GET", target, "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.test", "X-Forwarded-Uri: /x", "X-Forwarded-For: 10.0.0.1")); a.status < 300 {
			t.Errorf("%s: %d", target, a.status)
		}
	}
	e.app.take(t)
}

// A probe of a load balancer is answered where a probe asks. Gained before: its
// User-Agent was answered 200 on every path.
func (e *estate) probesMeanNothing(t *testing.T) {
	for _, line := range []string{"User-Agent: GoogleHC/1.0", "User-Agent: kube-probe/1.30", "User-Agent: ELB-HealthChecker/2.0", "X-Health-Check: 1", "Probe: 1", "K-Network-Probe: queue", "K-Kubelet-Probe: queue"} {
		for _, target := range []string{"/", "/x", "/ping", "/ready", "/healthz", "/readyz", "/health", "/metrics", "/debug/pprof/", "/sallyport/authz/forward-auth", "/admin/healthz"} {
			if a := e.raw("app.test", request("GET", target, line)); a.status < 300 || len(e.app.take(t)) > 0 {
				t.Errorf("%s with %s: %d", target, line, a.status)
			}
		}
	}
}

// A session cookie that is none. Gained before: an error was answered 200 without
// identity, and the application took that for a guest.
func (e *estate) oddCookiesAreNobody(t *testing.T) {
	token := strings.TrimPrefix(e.bob, "sallyport_session=")
	for _, value := range []string{
		"", " ", "x", token[:len(token)-1], token + "x", token + "=", token + "%00", strings.ToUpper(token), token[1:], "\"" + token + "\"", token + " " + token, token + "," + token, "%73" + token[1:], strings.Repeat("a", 60000), "sps_" + strings.Repeat("A", 54), "\xff\xfe\x01", "null", "{}", "[]", "true", "0", "../../etc", "' OR 1=1", token + "\t", "spe_" + token[4:], token[:10] + "\x00" + token[11:],
	} {
		for _, target := range []string{"/x", "/admin/x", "/sallyport/authz/forward-auth"} {
			a, err := send(e.http, "app.test", request("GET", target, "Cookie: sallyport_session="+value, "X-Forwarded-Method: GET", "X-Forwarded-Proto: http", "X-Forwarded-Host: app.test", "X-Forwarded-Uri: /x", "X-Forwarded-For: 10.0.0.1"))
			list := e.app.take(t)
			if strings.TrimRight(value, "\t ") == token { // white space at the end is no part of a value
				continue
			}
			if len(list) > 0 || err == nil && a.status < 300 {
				t.Errorf("%s with the cookie %.40q: %d, %d requests reached the application", target, value, a.status, len(list))
			}
		}
		if a, err := send(e.http, "app.test", request("GET", "/open/x", "Cookie: sallyport_session="+value)); err == nil && a.status == 200 {
			if list := e.app.take(t); len(list) != 1 || list[0].Header.Get("Remote-User") != "" && strings.TrimRight(value, "\t ") != token || list[0].holds(token[4:30]) != "" {
				t.Errorf("/open/x with the cookie %.40q: %v", value, list)
			}
		}
	}
	for _, other := range []string{"SALLYPORT_SESSION", "Sallyport_session", "sallyport-session", "sallyport_session ", "__Secure-sallyport_session", "__Host-sallyport_session", "sallyport_portal", "sallyport_browser", "sallyport_session[]", "$sallyport_session"} {
		a := e.raw("app.test", request("GET", "/x", "Cookie: "+other+"="+token))
		if list := e.app.take(t); len(list) > 0 || a.status < 300 {
			t.Errorf("the session as %q: %d", other, a.status)
		}
	}
}

// Anybody may reach the authz endpoints of a site that faces the network. Gained
// before: whoever asked there as if he were the proxy learned who may do what, or
// was let in by a URL that he named himself.
func (e *estate) strangersAskNoAuthz(t *testing.T) {
	for _, port := range []string{e.http, e.kept} { // Caddy's own trust is another one
		for _, target := range []string{"/sallyport/authz/forward-auth", "/sallyport/authz/auth-request", "/sallyport/authz/ext-authz/x", "/sallyport/authz/forward-auth?realm=users"} {
			for _, who := range []string{"", e.bob, e.ops} {
				for _, line := range []string{"", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: ::1", "X-Real-Ip: 127.0.0.1", "Forwarded: for=127.0.0.1"} {
					a := e.rawAt(port, "app.test", request("GET", target, cookie(who), line, "X-Forwarded-Method: GET", "X-Forwarded-Proto: http", "X-Forwarded-Host: app.test", "X-Forwarded-Uri: /open/x", "X-Original-Url: http://app.test/open/x", "X-Original-Method: GET"))
					if a.status != 403 || a.header["Remote-User"] != nil {
						t.Errorf("%s with %q: %d, %v", target, line, a.status, a.header["Remote-User"])
					}
				}
			}
		}
	}
}

// Somebody guesses passwords through a proxy and sends another X-Forwarded-For each
// time. Gained before: the limit for his network never counted to its end.
func (e *estate) badTriesCountForTheRealClient(t *testing.T) {
	try := func(i int, lines ...string) int {
		form := url.Values{"username": {fmt.Sprintf("nobody%d", i)}, "password": {"wrong"}}.Encode()
		return e.rawAt(e.kept, "app.test", request("POST", "/sallyport/login", append(lines, "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(form)), "Origin: http://app.test:"+e.kept, "Sec-Fetch-Site: same-origin", "Accept: text/html")...)+form).status
	}
	var got []int
	for i := range 12 {
		got = append(got, try(i, fmt.Sprintf("X-Forwarded-For: 192.0.%d.%d, 10.9.9.9", i, i)))
	}
	if got[0] != http.StatusUnauthorized && got[0] != 200 || !slices.Contains(got, http.StatusTooManyRequests) {
		t.Errorf("twelve wrong tries of one client: %v", got)
	}
	if other := try(50, "X-Forwarded-For: 10.77.0.1"); other == http.StatusTooManyRequests {
		t.Error("another client is locked out too")
	}
}
