package deploy_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The attacks of docs/security.md's sections 1, 2, 3 and 7 once more, end to end
// through a real nginx with deploy/nginx. The numbers are those of the cases. H8,
// X6, R10 and R12 are about what no request through a proxy can reach (caches and
// links inside the gateway) and have their tests there.

func nginx(t *testing.T) *world { t.Helper(); return through(t, "nginx") }

// underscored is an nginx whose administrator lets underscores in.
func underscored(t *testing.T) *world {
	t.Helper()
	return kept(t, "nginx, underscores on", "nginx", setup{nginx: []string{"\tunderscores_in_headers on;", "\tignore_invalid_headers off;"}})
}

// Attack: Remote-User: admin where the gateway has nothing to say about somebody
// (a public page, a user without groups). Gained in Caddy before 2.11.2: the
// client's header stayed.
func TestNginxH1NothingToSayIsNoPermissionToSpeak(t *testing.T) {
	w := nginx(t)
	forged := http.Header{"Remote-User": {evil}, "Remote-Groups": {evil}, "Remote-Email": {evil}, "Remote-Name": {evil}, "Remote-Realm": {evil}, "X-Forwarded-User": {evil}, "Sallyport-Assertion": {evil}}
	for _, c := range []struct{ host, target, as, user string }{
		{appHost, "/public/x", "", ""}, {"public.example.com", "/", "", ""}, {appHost, "/", "bob", "bob"}, {appHost, "/public/x", "bob", "bob"}, {"public.example.com", "/", "bob", "bob"},
	} {
		header := forged.Clone()
		if c.as != "" {
			header["Cookie"] = []string{w.session(t, c.as)}
		}
		a := w.get(t, c.host, c.target, header)
		if a.app == nil {
			t.Errorf("%s%s: %d", c.host, c.target, a.status)
			continue
		}
		if got := a.app.one("Remote-User"); got != c.user && got != "" {
			t.Errorf("%s%s: Remote-User %q", c.host, c.target, got)
		}
		clean(t, c.host+c.target, a, a.app.one("Remote-User"), "")
	}
}

// Attack: X_Forwarded_User, which WSGI and CGI read as X-Forwarded-User. Gained
// in oauth2-proxy before 7.13: any identity. Also where the administrator has
// told nginx to take such names.
func TestNginxH2NoSpellingReachesTheApplication(t *testing.T) {
	identityInEverySpelling(t, nginx(t))
	t.Run("underscores on", func(t *testing.T) {
		identityInEverySpelling(t, underscored(t))
	})
}

// notPHP is what the PHP lines of app.conf take the place of.
var notPHP = regexp.MustCompile(`\tlocation / \{\n\t\tproxy_pass [^\n]*\n\t\}\n\n\t# PHP instead:\n`)

// Attack: the same through FastCGI, where Remote_Groups and Remote-Groups are one
// variable. Gained with Caddy before 2.11.4 and PHP: any group.
func TestNginxH3NoSpellingBecomesAVariable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		_ = fcgi.Serve(ln, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			seen := reached{Method: r.Method, Target: r.RequestURI}
			for name, values := range r.Header {
				for _, v := range values {
					seen.Header = append(seen.Header, [2]string{name, v})
				}
			}
			for name, v := range fcgi.ProcessEnv(r) {
				seen.Header = append(seen.Header, [2]string{"env " + name, v})
			}
			rw.Header().Set("X-Application", "reached")
			_ = json.NewEncoder(rw).Encode(seen)
		}))
	}()
	for name, lines := range map[string][]string{"default": nil, "underscores on": {"\tunderscores_in_headers on;", "\tignore_invalid_headers off;"}} {
		t.Run(name, func(t *testing.T) {
			w := own(t, "nginx", setup{nginx: lines, edit: func(path, text string) string {
				if filepath.Base(path) != "app.conf" {
					return text
				}
				// As the file says: PHP instead.
				params, err := os.ReadFile("/etc/nginx/fastcgi_params")
				if err == nil {
					err = os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(path)), "fastcgi_params"), params, 0o644)
				}
				if err != nil {
					t.Error(err)
				}
				text = strings.ReplaceAll(notPHP.ReplaceAllString(text, ""), "\t# ", "\t")
				return strings.ReplaceAll(text, "unix:/run/php/php-fpm.sock", ln.Addr().String())
			}})
			header := w.as(t, "alice")
			header["Authorization"] = []string{"Basic Zm9yZWlnbjp4"}
			a := w.get(t, appHost, "/x?y", header)
			if a.app == nil || a.app.one("Remote-User") != "alice" || a.app.one("env REMOTE_USER") != "alice" || a.app.one("Cookie") != "" || a.app.one("Authorization") != "Basic Zm9yZWlnbjp4" {
				t.Fatalf("%+v", a)
			}
			c := w.keepAlive(t)
			for _, as := range []string{"bob", "alice", ""} {
				host, header, user, groups := appHost, http.Header{}, as, map[string]string{"alice": "ops,staff"}[as]
				if as == "" {
					host = "public.example.com"
				} else {
					header = w.as(t, as)
				}
				for _, name := range []string{"Remote-User", "Remote-Groups", "X-Forwarded-User", "X-Auth-Request-Email", "X-Authentik-Username"} {
					for _, spelled := range spellings(name) {
						one := header.Clone()
						one[spelled] = []string{evil}
						clean(t, as+" "+spelled, w.ask(t, c, "GET", host, "/", one, ""), user, groups)
					}
				}
			}
		})
	}
}

// Attack: X_Forwarded_Uri and its kind reach the gateway beside the real ones.
// Gained in Traefik: the decision for another page.
func TestNginxH4AliasesOfTheOriginalRequest(t *testing.T) {
	for name, w := range map[string]*world{"default": nginx(t), "underscores on": underscored(t)} {
		for _, spelled := range []string{"X_Original_URL", "X_Original_Method", "x_original_url", "X.Original.Url", "X-Original_URL", "X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Host", "X_Forwarded_Uri", "XOriginalURL"} {
			for _, value := range []string{"https://app.example.com/public/x", "GET", "192.0.2.7"} {
				if a := w.get(t, appHost, "/admin/x", http.Header{spelled: {value}}); a.app != nil || a.status/100 == 2 {
					t.Errorf("%s: %s: %d", name, spelled, a.status)
				}
				if a := w.get(t, appHost, "/network/x", http.Header{spelled: {value}}); a.app != nil {
					t.Errorf("%s: %s on a network's page: %d", name, spelled, a.status)
				}
			}
		}
	}
}

// Attack: the client's header in odd case beside ours. Gained in Traefik: the
// application reads the other one.
func TestNginxH5OneValueAndItIsOurs(t *testing.T) {
	w := nginx(t)
	for _, spelled := range []string{"Remote-User", "remote-user", "REMOTE-USER", "rEMOTE-uSER"} {
		header := w.as(t, "alice")
		header[spelled] = []string{evil, "second " + evil}
		a := w.get(t, appHost, "/", header)
		if a.app == nil || len(a.app.values("Remote-User")) != 1 || a.app.one("Remote-User") != "alice" {
			t.Errorf("%s: %+v", spelled, a.app)
		}
	}
}

// Attack: Connection: X-Forwarded-For, Remote-User. Gained in Traefik, Oathkeeper
// and Fabio: the next hop removes a header that was trusted.
func TestNginxH6ConnectionNamesNothingOfOurs(t *testing.T) { hopByHop(t, nginx(t)) }

// Attack: a branch that returns before identity is stripped: another method, an
// upgrade, an own page, a range, a missing page. Gained in Cosmos: admin.
func TestNginxH7EveryBranchStrips(t *testing.T) {
	w := nginx(t)
	for _, lines := range [][]string{
		{"GET /public/x"}, {"HEAD /public/x"}, {"POST /public/x", "Content-Length: 0"}, {"OPTIONS /public/x", "Origin: https://evil.example", "Access-Control-Request-Method: GET"}, {"GET /public/status/404"}, {"GET /public/status/500"},
		{"GET /public/x", "Connection: Upgrade", "Upgrade: h2c"}, {"GET /public/x", "Range: bytes=0-1"}, {"GET /public/x", "Expect: 100-continue"}, {"GET /public/x", "If-None-Match: *"}, {"PROPFIND /public/x", "Depth: 0"},
		{"GET /sallyport/healthz"}, {"GET /sallyport/x"}, {"GET /sallyport/authz/x"}, {"GET /sallyport"},
	} {
		request := lines[0] + " HTTP/1.1\r\nHost: " + appHost + ":" + w.port + "\r\n" + strings.Join(append(lines[1:], "Remote-User: "+evil, "remote-groups: "+evil, "Remote_User: "+evil, "X-Auth-Request-User: "+evil, "", ""), "\r\n")
		a := w.raw(t, request)
		if a == nil {
			continue
		}
		if strings.Contains(fmt.Sprint(a.header, a.body), evil) {
			t.Errorf("%q: %d %v %.200s", lines, a.status, a.header, a.body)
		}
		if a.app != nil && a.app.Method != "" {
			clean(t, lines[0], a, "", "")
		}
		if strings.Contains(lines[0], "/sallyport") && a.app != nil {
			t.Errorf("%q reached the application", lines)
		}
	}
	webSocket(t, w)
}

// Attack: many people on the same connections at once, in the hope for somebody
// else's answer. Gained in tinyauth: another user's identity.
func TestNginxH9ConnectionsAreNobodys(t *testing.T) {
	w := nginx(t)
	cookies := map[string]string{"alice": w.session(t, "alice"), "bob": w.session(t, "bob"), "": "a=b"}
	c := w.keepAlive(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 40 {
				who := []string{"alice", "bob", ""}[(i+j)%3]
				r, err := http.NewRequest("GET", w.url(appHost, fmt.Sprintf("/x/%d/%d", i, j)), nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header["Cookie"] = []string{cookies[who]}
				res, err := c.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				var seen reached
				err = json.NewDecoder(res.Body).Decode(&seen)
				res.Body.Close()
				if who == "" && res.StatusCode != 401 || who != "" && (err != nil || seen.one("Remote-User") != who) {
					t.Errorf("%q got %d as %q", who, res.StatusCode, seen.one("Remote-User"))
				}
			}
		})
	}
	group.Wait()
}

// Attack: a header twice, so that nginx, the gateway and the application each
// read another one.
func TestNginxH10DoubledHeadersHaveOneReading(t *testing.T) { doubled(t, nginx(t)) }

// Attack: a header of another URL than the one that the snippet sets, and the
// gateway's own prefix in it. Gained in authentik: everything, by
// X-Original-URI: /outpost.
func TestNginxX1OnlyTheSnippetsHeadersCount(t *testing.T) {
	w := nginx(t)
	for _, name := range []string{"X-Original-URI", "X-Original-Url", "X-Original-URL", "X-Rewrite-Url", "X-Forwarded-Uri", "X-Accel-Redirect", "X-Sendfile", "X-Auth-Request-Redirect"} {
		for _, value := range []string{"/sallyport/login", "/sallyport/healthz", "/sallyport/authz/auth-request", "/public/x", "https://app.example.com/sallyport/x", "https://public.example.com/"} {
			if a := w.get(t, appHost, "/admin/x", http.Header{name: {value}}); a.app != nil || a.status/100 == 2 {
				t.Errorf("%s: %s: %d", name, value, a.status)
			}
		}
	}
	// Our own prefix, in spellings that nginx does not route to the gateway.
	alice := "Cookie: " + w.session(t, "alice")
	for _, target := range []string{"/SALLYPORT/x", "/sallyport;x/login", "/sallyport%3b/x", "/%73allyport/x", "/x/..%2fsallyport/login", `/sallyport\x`, "/sallyport%5cx", "/sallyport", "/public/..%2f..%2fsallyport/x"} {
		if a := w.rawGet(t, appHost, target, alice); a != nil && a.app != nil {
			t.Errorf("%s reached the application", target)
		}
	}
}

// Attack: X-Forwarded-Uri: /public. Gained in oauth2-proxy: any page.
func TestNginxX2ForwardedUriOfAClient(t *testing.T) { forwardedHeaders(t, nginx(t)) }

// Attack: X-Forwarded-For that nobody can read, or another client's. Gained in
// authentik: a factor less.
func TestNginxX3X4ForwardedForOfAClient(t *testing.T) {
	w := nginx(t)
	for _, value := range []string{"a", "1.2.3.4:80", "[::1", strings.Repeat("1", 7000), "192.0.2.7\t", "１９２.0.2.7", "192.0.2.7, 192.0.2.8", ",", "::ffff:192.0.2.7", "unix:"} {
		for _, name := range []string{"X-Forwarded-For", "x-forwarded-for", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "X-Cluster-Client-Ip"} {
			if a := w.rawGet(t, appHost, "/network/x", name+": "+value); a != nil && (a.app != nil || a.status/100 == 2) {
				t.Errorf("%s: %.40q matched the rule for a network: %d", name, value, a.status)
			}
			if a := w.rawGet(t, appHost, "/x", name+": "+value); a != nil && a.app != nil {
				t.Errorf("%s: %.40q: %d", name, value, a.status)
			}
		}
	}
	// Rotating it escapes no delay.
	told := false
	for i := range 12 {
		a := w.ask(t, w.client(), "POST", portalHost, "/sallyport/api/v1/login", http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {fmt.Sprintf("198.51.100.%d", i)}, "X-Real-Ip": {fmt.Sprintf("198.51.100.%d", i)}}, `{"name":"mallory","password":"wrong password here"}`)
		if told = a.status == 429 && a.header.Get("Retry-After") != ""; told {
			break
		}
		if a.status != 401 {
			t.Fatalf("%d %.200s", a.status, a.body)
		}
	}
	if !told {
		t.Error("twelve wrong passwords with rotating addresses were never told to wait")
	}
}

// Attack: a host and a scheme that steer where links and cookies go. Gained in
// caddy-security: a Location to anywhere.
func TestNginxX5HostAndSchemeOfAClientSteerNothing(t *testing.T) {
	w := nginx(t)
	for _, host := range []string{"evil.example", "auth.example.com@evil.example", "evil.example:443", "evil.example, auth.example.com", "javascript:alert(1)"} {
		for _, proto := range []string{"http", "javascript", "https, http"} {
			lines := []string{"X-Forwarded-Host: " + host, "X-Forwarded-Proto: " + proto, "X-Forwarded-Server: " + host, "Forwarded: host=\"" + host + "\";proto=" + proto, "X-Host: " + host, "Accept: text/html", "Sec-Fetch-Mode: navigate"}
			for _, at := range []struct{ host, target string }{{appHost, "/x"}, {appHost, "/sallyport/"}, {portalHost, "/sallyport/login?rd=%2Fx"}, {portalHost, "/sallyport/"}, {portalHost, "/sallyport/logout"}} {
				a := w.rawGet(t, at.host, at.target, lines...)
				if a == nil {
					continue
				}
				if all := fmt.Sprint(a.header, a.body); strings.Contains(all, "evil.example") || strings.Contains(all, "javascript:") {
					t.Errorf("%s%s repeats %q: %v", at.host, at.target, host, a.header)
				}
				for _, cookie := range a.header["Set-Cookie"] {
					if !strings.Contains(cookie, "Secure") && !strings.HasPrefix(cookie, "sallyport_") {
						t.Errorf("%s%s: %s", at.host, at.target, cookie)
					}
				}
			}
		}
	}
}

// Attack: X-Forwarded-Proto chooses which cookie is read, or what a session is
// worth. Gained in Oathkeeper: another rule.
func TestNginxX7X8OtherForwardedHeadersHaveNoEffect(t *testing.T) {
	w := nginx(t)
	session := w.session(t, "alice")
	_, value, _ := strings.Cut(session, "=")
	for _, lines := range [][]string{
		{"X-Forwarded-Proto: http", "Cookie: sallyport_session=" + value}, {"X-Forwarded-Proto: http", "X-Forwarded-Port: 80", "Cookie: __Host-sallyport_session=" + value},
		{"X-Forwarded-Prefix: /public", "X-Forwarded-Path: /public/x", "X-Forwarded-Port: 80", "X-Forwarded-Server: public.example.com"}, {"X-Forwarded-Ssl: off", "Front-End-Https: off", "X-Url-Scheme: http"},
	} {
		if a := w.rawGet(t, appHost, "/x", lines...); a == nil || a.app != nil || a.status/100 == 2 {
			t.Errorf("%q: %+v", lines, a)
		}
	}
	if a := w.rawGet(t, appHost, "/x", "X-Forwarded-Proto: http", "X-Forwarded-Port: 80", "X-Forwarded-Prefix: /evil", "Cookie: "+session); a == nil || a.app == nil || a.app.one("X-Forwarded-Proto") != "https" || a.app.one("X-Forwarded-Prefix") != "" {
		t.Errorf("alice: %+v", a)
	}
}

// Attack: a request that cannot be read. Gained in Authelia: 200, because the
// error path said so.
func TestNginxX9WhatCannotBeReadIsRefused(t *testing.T) {
	w := nginx(t)
	for _, target := range []string{"/%", "/%zz", "/\x7f", "/%00", "/public/%2e%2e/x", "x", "*", "/public//../x\\", "/public/..;/x", "/\xff%", "http://[::1", "/public/%c0%af../x", "//", "/?", "/?%", "/" + strings.Repeat("a", 9000), "/public/\x01", "/%f0%9f%92%a9\x00", "https://app.example.com", "https:///x", "app.example.com:443", "/public/x y", "/public/x\ty"} {
		for _, method := range []string{"GET", "CONNECT", "OPTIONS"} {
			a := w.raw(t, method+" "+target+" HTTP/1.1\r\nHost: "+appHost+":"+w.port+"\r\nConnection: close\r\n\r\n")
			if a == nil {
				continue
			}
			if a.status/100 == 2 && a.app == nil {
				t.Errorf("%s %.60q: %d", method, target, a.status)
			}
			if a.app != nil {
				for _, reading := range readings(a.app.Target) {
					if r := resolved(reading); r != "/public" && !strings.HasPrefix(r, "/public/") {
						t.Errorf("%s %.60q reached the application as %q", method, target, a.app.Target)
					}
				}
			}
		}
	}
	for _, request := range []string{"GET\r\n\r\n", "GET /x HTTP/2.0\r\n\r\n", "GET /x HTTP/1.1\r\n\r\n", "GET /x\r\n", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n Host: b\r\n\r\n", "POST /x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: app.example.com\r\n\r\n"} {
		if a := w.raw(t, request); a != nil && (a.app != nil || a.status/100 == 2) {
			t.Errorf("%q: %d", request, a.status)
		}
	}
}

// Attack: the User-Agent of a health check. Gained in oauth2-proxy: any page.
func TestNginxX10NoProbeIsSpecial(t *testing.T) {
	w := nginx(t)
	for _, agent := range []string{"kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Prometheus/2.0", "Consul Health Check", "nginx"} {
		for _, target := range []string{"/x", "/healthz", "/ping", "/ready", "/robots.txt", "/favicon.ico", "/.well-known/acme-challenge/x"} {
			if a := w.rawGet(t, appHost, target, "User-Agent: "+agent, "X-Health-Check: 1"); a == nil || a.app != nil || a.status/100 == 2 {
				t.Errorf("%s: %s: %+v", agent, target, a)
			}
		}
	}
}

// Attack: a session cookie that is none. Gained in authentik behind a proxy: 200
// without identity.
func TestNginxX11BrokenCookiesAreNobody(t *testing.T) { brokenCookies(t, nginx(t)) }

// Attack: a host in other letters, with a dot, a port, an unknown one, two of
// them. Gained in Authelia and tinyauth: no rule, or another one.
func TestNginxR1R2HostsInEverySpelling(t *testing.T) { hosts(t, nginx(t)) }

// Attack: the same where there are more hosts than a matcher keeps in a list.
// Gained in Caddy, whose matcher lost its case folding at a hundred hosts.
func TestNginxR3ManyHosts(t *testing.T) {
	var text strings.Builder
	var more []string
	for i := range 120 {
		host := fmt.Sprintf("host%03d.example.com", i)
		more = append(more, host)
		fmt.Fprintf(&text, "  - {hosts: [%s], realms: [users], groups: [nobody]}\n", host)
	}
	w := own(t, "nginx", setup{rules: text.String(), hosts: more})
	hosts(t, w)
	pathTricks(t, w)
	for _, host := range []string{"host007.example.com", "HOST119.example.COM", "Host064.Example.com."} {
		if a := w.raw(t, "GET /x HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\nCookie: "+w.session(t, "alice")+"\r\n\r\n"); a == nil || a.app != nil || a.status != 403 {
			t.Errorf("%s: %+v", host, a)
		}
	}
}

// Attack: a public word in the query or behind an escaped #. Gained in
// oauth2-proxy: any page.
func TestNginxR4R6QueryAndFragmentTakeNoPart(t *testing.T) { queries(t, nginx(t)) }

// Attack: a path that nginx, the rule and the application read differently. Gained
// in Oathkeeper, Traefik and others: any page, by way of a public one.
func TestNginxR5TheRuleSawWhatTheApplicationGets(t *testing.T) { pathTricks(t, nginx(t)) }

// Attack: a page whose name begins like a public one. Gained in tinyauth and
// Caddy's admin API: pages that no rule meant.
func TestNginxR7R8PatternsEndAtSegments(t *testing.T) {
	w := nginx(t)
	for _, target := range []string{"/publicity", "/public-x/y", "/public.x", "/publicx/", "/x/public/y", "/apublic/x", "/public%20/x", "/public_", "/.public/x"} {
		if a := w.rawGet(t, appHost, target); a != nil && (a.app != nil || a.status/100 == 2) {
			t.Errorf("%s: %d", target, a.status)
		}
	}
	bob := "Cookie: " + w.session(t, "bob")
	for _, target := range []string{"/administration", "/admin-x"} { // no admin pages
		if a := w.rawGet(t, appHost, target, bob); a == nil || a.app == nil {
			t.Errorf("%s: %+v", target, a)
		}
	}
}

// Attack: get for GET, unknown methods, methods in headers. Gained in gatekeeper:
// what was denied for GET alone.
func TestNginxR9Methods(t *testing.T) { methods(t, nginx(t)) }

// Attack: none but time: somebody leaves a group, and goes on. Gained in Authelia
// and Pomerium: hours.
func TestNginxR11AGroupLostIsLostAtOnce(t *testing.T) {
	w := nginx(t)
	header := w.as(t, "dave")
	if a := w.get(t, appHost, "/admin/x", header); a.app == nil {
		t.Fatalf("dave of ops: %d", a.status)
	}
	w.admin(t, "PATCH", "/users/users/dave", map[string]any{"groups": []string{"staff"}})
	w.closes(t, "he left ops", func() bool {
		a := w.get(t, appHost, "/admin/x", header)
		return a.app != nil || a.status/100 == 2
	})
}

// Attack: requests in forms that proxies treat apart: absolute targets, CONNECT,
// upgrades, HTTP/2 with another authority. Gained in Pomerium: a way around.
func TestNginxR13EveryFormOfARequestNeedsASession(t *testing.T) {
	w := nginx(t)
	for _, lines := range [][]string{
		{"GET https://" + appHost + ":" + w.port + "/x HTTP/1.1", "Host: " + appHost + ":" + w.port},
		{"GET https://public.example.com/x HTTP/1.1", "Host: " + appHost}, {"GET https://" + appHost + "/x HTTP/1.1", "Host: public.example.com"},
		{"CONNECT " + appHost + ":443 HTTP/1.1", "Host: " + appHost}, {"CONNECT 127.0.0.1:1 HTTP/1.1", "Host: public.example.com"},
		{"GET /x HTTP/1.1", "Host: " + appHost, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		{"PRI * HTTP/2.0"}, {"GET /x HTTP/1.0", "Host: " + appHost}, {"GET /x HTTP/1.0"}, {"OPTIONS * HTTP/1.1", "Host: " + appHost},
	} {
		if a := w.raw(t, strings.Join(append(slices.Clone(lines), "Early-Data: 1", "", ""), "\r\n")); a != nil && (a.app != nil || a.status/100 == 2) {
			t.Errorf("%q: %d", lines, a.status)
		}
	}
	webSocket(t, w)
	overHTTP2(t, w)
}

// Attack: text that a configuration language would expand. Gained in Caddy:
// environment and files.
func TestNginxR14NothingOfAClientIsExpanded(t *testing.T) {
	w := nginx(t)
	for _, text := range []string{"{env.HOME}", "{file./etc/hostname}", "$http_cookie", "${request_uri}", "%[env(HOME)]", "$sallyport_cookie", "{{.Name}}"} {
		header := w.as(t, "bob")
		header["User-Agent"], header["X-Note"] = []string{text}, []string{text}
		a := w.get(t, appHost, "/x?q="+url.QueryEscape(text), header)
		if a.app == nil || a.app.one("User-Agent") != text || a.app.one("X-Note") != text || a.app.Target != "/x?q="+url.QueryEscape(text) {
			t.Errorf("%s: %+v", text, a)
		}
	}
}

// hostile are targets that leave the house, in forms that one reader takes for
// local and a browser does not.
func hostile(w *world) []string {
	list := []string{
		"//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "/\n/evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example", "http://evil.example/", "https://evil.example",
		"https://" + portalHost + "@evil.example/", "https://" + portalHost + ".evil.example/", "https://evilexample.com/", "https://evil.example/https://" + appHost, "https://evil.example#" + appHost, "https://evil.example?" + appHost, `https://evil.example\@` + appHost,
		"https://" + appHost + `:` + w.port + `@evil.example/x`, "https://" + appHost + ":1/", "javascript:alert(1)", "data:text/html,x", "JaVaScRiPt:alert(1)", "https://[::1]/", "https://аpp.example.com/", "%2f%2fevil.example", "/%2f/evil.example", "//%65vil.example", ".evil.example", "evil.example", "https://old.example.com/",
		"https://example.com.evil.example/", "//" + appHost, "http://" + appHost + "/", "https://user:pw@" + appHost + ":" + w.port + "/", "/%0d%0aSet-Cookie:a=b", "https://" + appHost + ":" + w.port + "/\r\nX: y", "///evil.example", "/.//evil.example", "https://app.example.com\x00.evil.example/", "ftp://" + appHost + "/",
	}
	return list
}

// leaves reports whether a browser at base that is told this Location lands
// outside example.com.
func leaves(w *world, location string) bool {
	if location == "" || strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") && !strings.Contains(location, `\`) {
		return false
	}
	u, err := url.Parse(location)
	return err != nil || u.Scheme != "https" || u.User != nil || u.Port() != w.port || u.Hostname() != portalHost && !slices.Contains(guardedHosts, u.Hostname())
}

// Attack: a login that sends somebody on to a page of the attacker's. Gained in
// oauth2-proxy, Authelia, pocket-id, authentik: phishing from a trusted address.
func TestNginxD1D2D3LoginAndLogoutStayInTheHouse(t *testing.T) {
	w := nginx(t)
	eve := w.person("eve@single")
	login := func(query string) *answer {
		c := w.jar(t)
		at := w.url(portalHost, "/sallyport/login"+query)
		shown := w.follow(t, c, at)
		if shown.status != 200 {
			return shown
		}
		return w.submit(t, c, at, shown, map[string]string{"username": eve.name, "password": eve.password})
	}
	good := w.url("single.example.com", "/page?a=b")
	if a := login("?rd=" + url.QueryEscape(good)); a.status != 303 || a.header.Get("Location") != good {
		t.Fatalf("a good target: %d %q", a.status, a.header.Get("Location"))
	}
	out := w.jar(t)
	for i, target := range hostile(w) {
		names := []string{"rd", "redirect_uri", "url"}
		a := login("?" + names[i%3] + "=" + url.QueryEscape(target))
		if location := a.header.Get("Location"); a.status >= 500 || leaves(w, location) || strings.Contains(fmt.Sprint(a.header), "Set-Cookie:a=b") {
			t.Errorf("login, %q: %d to %q", target, a.status, location)
		}
		at := w.url(portalHost, "/sallyport/logout?"+names[i%3]+"="+url.QueryEscape(target))
		shown := w.follow(t, out, at)
		if location := shown.header.Get("Location"); leaves(w, location) {
			t.Errorf("logout, %q: %q", target, location)
		}
		if a := w.submit(t, out, at, shown, map[string]string{names[i%3]: target}); leaves(w, a.header.Get("Location")) {
			t.Errorf("logout, posted, %q: %q", target, a.header.Get("Location"))
		}
		guarded := w.rawGet(t, appHost, "/sallyport/login?rd="+url.QueryEscape(target), "Accept: text/html", "Sec-Fetch-Mode: navigate")
		if guarded == nil || leaves(w, guarded.header.Get("Location")) {
			t.Errorf("login on a guarded host, %q: %+v", target, guarded)
		}
	}
}

var mover = regexp.MustCompile(`(?i)<meta[^>]+refresh|location\s*=|<svg|<[^>"]* onload=|<script[^>]*>[^<]`)

// Attack: a page that goes where its address says, or runs it. Gained in pocket-id
// and caddy-security: scripts in the portal.
func TestNginxD4D7PagesCarryNothingOfAnAttacker(t *testing.T) {
	w := nginx(t)
	const payload = `"><svg onload=alert(1)>'<script>alert(2)</script>`
	for _, target := range []string{"/sallyport/login?rd=%s", "/sallyport/login?error=%s&realm=%s", "/sallyport/logout?rd=%s", "/sallyport/%s", "/sallyport/setup?token=%s", "/sallyport/invite?token=%s", "/sallyport/login/code?l=%s", "/sallyport/?x=%s"} {
		target = strings.ReplaceAll(target, "%s", url.QueryEscape(payload))
		a := w.get(t, portalHost, target, http.Header{"Accept": {"text/html"}, "Accept-Language": {payload}, "User-Agent": {payload}, "Referer": {"https://x/" + payload}, "Cookie": {"a=" + url.QueryEscape(payload)}, "Sec-Fetch-Mode": {"navigate"}})
		if m := mover.FindString(a.body); m != "" || strings.Contains(a.body, payload) {
			t.Errorf("%s: %q in the page", target, m)
		}
		if policy := a.header["Content-Security-Policy"]; a.status != 302 && a.status != 303 && (len(policy) != 1 || !strings.Contains(policy[0], "default-src 'none'")) {
			t.Errorf("%s: %d with Content-Security-Policy %q", target, a.status, policy)
		}
	}
	a := w.submit(t, w.client(), w.url(portalHost, "/sallyport/login"), &answer{}, map[string]string{"username": payload, "password": payload})
	if m := mover.FindString(a.body); m != "" || strings.Contains(a.body, payload) {
		t.Errorf("a name: %q in the page", m)
	}
}

// Attack: an address that holds a secret, or that opens something for whoever
// copies it. Gained in Pomerium: another's session.
func TestNginxD5AddressesHoldNoSecret(t *testing.T) {
	w := nginx(t)
	c := w.jar(t)
	login := w.follow(t, c, w.url(appHost, "/page")).header.Get("Location")
	u, err := url.Parse(login)
	if err != nil {
		t.Fatal(err)
	}
	for name := range u.Query() {
		if name != "rd" && name != "rs" {
			t.Errorf("the challenge's address has %s", name)
		}
	}
	// The address between the doors, copied into another browser.
	p := w.person("bob")
	shown := w.follow(t, c, login)
	next := w.absolute(login, w.submit(t, c, login, shown, map[string]string{"username": p.name, "password": p.password}).header.Get("Location"))
	other := w.jar(t)
	shown = w.follow(t, other, next)
	if a := w.submit(t, other, next, shown, map[string]string{"code": p.code(t, 1)}); len(a.header["Set-Cookie"]) > 0 && strings.Contains(fmt.Sprint(a.header["Set-Cookie"]), "session=sps_") {
		t.Errorf("another browser was signed in: %d", a.status)
	}
	if a := w.follow(t, other, w.url(appHost, "/page")); a.app != nil {
		t.Error("another browser reached the page")
	}
}

// Attack: a body that grows when it is read. Gained in Pomerium: the memory.
func TestNginxD6BodiesAreBounded(t *testing.T) {
	w := nginx(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for range 64 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/sallyport/login", "/sallyport/login/code", "/sallyport/api/v1/login", "/sallyport/api/v1/token", "/sallyport/setup", "/sallyport/logout"} {
		for kind, body := range map[string]string{"packed": packed.String(), "long": strings.Repeat("a=b&", 200_000)} {
			header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {w.url(portalHost, "")}}
			if strings.Contains(target, "/api/") {
				header["Content-Type"] = []string{"application/json"}
			}
			if kind == "packed" {
				header["Content-Encoding"] = []string{"gzip"}
			}
			if a := w.ask(t, w.client(), "POST", portalHost, target, header, body); a.status < 400 || a.status >= 500 {
				t.Errorf("%s, %s: %d", target, kind, a.status)
			}
		}
	}
}

// Attack: none; a background request overwrites where a login goes. Seen in
// authcrunch: both land on one page.
func TestNginxD8TwoLoginsReturnToTheirOwnPages(t *testing.T) {
	w := nginx(t)
	c, p := w.jar(t), w.person("frank")
	targets := []string{w.url(appHost, "/first?x=1"), w.url(appHost, "/second")}
	var logins []string
	for _, target := range targets {
		logins = append(logins, w.follow(t, c, target).header.Get("Location"))
	}
	for i, step := range []int{1, 0} { // the later one first
		if back := w.signIn(t, c, logins[step], p, p.code(t, i)); back != targets[step] {
			t.Errorf("%s returned to %s", targets[step], back)
		}
		if i == 0 { // the other tab was open before the session was there
			u, _ := url.Parse(w.url(portalHost, "/"))
			for _, cookie := range c.Jar.Cookies(u) {
				if strings.Contains(cookie.Name, "session") || strings.Contains(cookie.Name, "portal") {
					c.Jar.SetCookies(u, []*http.Cookie{{Name: cookie.Name, Path: "/", MaxAge: -1, Secure: true}})
				}
			}
		}
	}
}

// Attack: GET https://app/ with Host: public, where each has a server block of its
// own. Gained with $http_host in X-Original-URL alone: nginx chooses the block by
// the target, the rule is chosen by Host, and a closed page is open.
func TestNginxR13TheTargetsHostIsTheRulesHost(t *testing.T) {
	w := own(t, "nginx", setup{edit: func(path, text string) string {
		if filepath.Base(path) != "app.conf" {
			return text
		}
		blocks := strings.Split(text, "\nserver {\n")
		if len(blocks) != 1+len(guardedHosts) || !strings.Contains(blocks[1], "server_name "+appHost+";") {
			t.Errorf("%d blocks: %s", len(blocks), text)
		}
		text = blocks[0] + "\nserver {\n" + blocks[1]
		other := ""
		for _, block := range blocks[2:] {
			other += "\nserver {\n" + regexp.MustCompile(`proxy_pass \S+;`).ReplaceAllString(block, "return 204;")
		}
		// A location with a proxy_set_header line of its own inherits none: it
		// includes headers.conf again, as the manual says.
		return strings.Replace(text, "\tlocation / {\n", "\tlocation / {\n\t\tproxy_set_header X-Mine yes;\n\t\tinclude sallyport/headers.conf;\n", 1) + other
	}})
	if a := w.rawGet(t, "public.example.com", "/x"); a == nil || a.status != 204 {
		t.Fatalf("the other block: %+v", a)
	}
	for _, lines := range [][]string{
		{"GET https://app.example.com/x HTTP/1.1", "Host: public.example.com"}, {"GET http://app.example.com/x HTTP/1.1", "Host: public.example.com:" + w.port}, {"GET https://APP.example.com:443/x HTTP/1.1", "Host: Public.Example.com"},
		{"GET /x HTTP/1.1", "Host: app.example.com", "Host: public.example.com"}, {"GET /x HTTP/1.1", "Host: public.example.com", "Host: app.example.com"},
		{"GET https://app.example.com/x HTTP/1.1", "Host: public.example.com app.example.com"}, {"GET https://app.example.com/x HTTP/1.1", "Host: app.example.com@public.example.com"}, {"GET https://app.example.com/x HTTP/1.0", "Host: public.example.com"},
	} {
		if a := w.raw(t, strings.Join(append(lines, "Connection: close", "", ""), "\r\n")); a != nil && a.app != nil {
			t.Errorf("%q reached the closed application: %d", lines, a.status)
		}
	}
	if a := w.raw(t, "GET https://app.example.com/x HTTP/1.1\r\nHost: app.example.com\r\nCookie: "+w.session(t, "alice")+"\r\nConnection: close\r\n\r\n"); a == nil || a.app == nil {
		t.Errorf("two hosts that agree: %+v", a)
	}
	header := w.as(t, "alice")
	for _, name := range identityNames() {
		header[name] = []string{evil}
	}
	a := w.get(t, appHost, "/", header)
	if clean(t, "headers of a location's own", a, "alice", "ops,staff"); a.app == nil || a.app.one("X-Mine") != "yes" || a.app.one("Cookie") != "" {
		t.Errorf("headers of a location's own: %+v", a)
	}
}
