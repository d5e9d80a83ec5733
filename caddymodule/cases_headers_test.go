package caddymodule_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// identityNames are the headers of all presets, and some that only look like them.
var identityNames = []string{
	"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Realm", "Remote-Anything",
	"X-Forwarded-User", "X-Forwarded-Name", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Realm", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
	"X-Auth-Request-User", "X-Auth-Request-Name", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Realm", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Access-Token",
	"X-Authentik-Username", "X-Authentik-Name", "X-Authentik-Email", "X-Authentik-Groups", "X-Authentik-Realm", "X-Authentik-Uid", "X-Authentik-Jwt",
	"Sallyport-Assertion", "Sallyport-Anything", "X-Remote-User", "X-Remote-Groups",
}

// identitySpellings are the names that some upstream takes for one of these.
func identitySpellings() (all []string) {
	mixed := func(name, a, b string) string {
		out, n := "", 0
		for _, c := range name {
			if c == '-' {
				out += []string{a, b}[n%2]
				n++
				continue
			}
			out += string(c)
		}
		return out
	}
	for _, name := range identityNames {
		for _, spelled := range []string{
			name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.ReplaceAll(name, "-", ""), strings.ReplaceAll(name, "-", "--"), strings.ReplaceAll(name, "-", "__"),
			mixed(name, "-", "_"), mixed(name, "_", "-"), mixed(name, ".", "_"), "_" + name, "-" + name, name + "_", name + "-", name + ".", strings.ReplaceAll(name, "-", "-_"), strings.ReplaceAll(name, "-", "~"), strings.ReplaceAll(name, "-", "!"),
		} {
			all = append(all, spelled, strings.ToLower(spelled), strings.ToUpper(spelled), strings.ToLower(spelled[:1])+spelled[1:])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// forged are header lines with every spelling, twice.
func forged() (lines []string) {
	for _, name := range identitySpellings() {
		lines = append(lines, name+": forged", name+": forged again")
	}
	return append(lines, "Honest: kept")
}

// fewForged is what fits into the trailers that a server reads.
func fewForged() (lines []string) {
	for _, name := range identityNames {
		for _, spelled := range []string{name, strings.ToLower(strings.ReplaceAll(name, "-", "_"))} {
			lines = append(lines, spelled+": forged")
		}
	}
	return lines
}

const headerSites = `
http://app.test:HTTP_PORT, http://app.test:KEPT_PORT, http://other.test:HTTP_PORT, http://other.test:KEPT_PORT {
	sallyport {
		RULES
	}
	reverse_proxy APP
}
http://fcgi.test:HTTP_PORT, http://fcgi.test:KEPT_PORT {
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
http://errors.test:HTTP_PORT, http://errors.test:KEPT_PORT {
	sallyport {
		RULES
	}
	reverse_proxy 127.0.0.1:1
	handle_errors {
		reverse_proxy FAILS
	}
}
http://portal-errors.test:HTTP_PORT, http://portal-errors.test:KEPT_PORT {
	sallyport portal
	handle_errors {
		reverse_proxy FAILS
	}
}
http://one.test:HTTP_PORT, http://one.test:KEPT_PORT {
	sallyport
	reverse_proxy APP
}
http://presets.test:HTTP_PORT, http://presets.test:KEPT_PORT {
	sallyport {
		rule {
			path /x-forwarded/*
			realm users
			headers x-forwarded
		}
		rule {
			path /x-auth-request/*
			realm users
			headers x-auth-request
			assertion
		}
		rule {
			path /authentik/*
			realm users
			headers authentik
			user_header bare
		}
		rule {
			path /off/*
			factors 0
			headers x-forwarded
			assertion es256
		}
	}
	reverse_proxy APP
}
`

const headerServers = `servers {
	max_header_size 1MB
}
servers :KEPT_PORT {
	max_header_size 1MB
	expected_underscore_headers remote_* x_* sallyport_* _* http_*
	expected_dot_headers remote.* x.* sallyport.*
}`

func TestCaddyH1H2H3H5H6H7H8H9H10HeadersOfStrangers(t *testing.T) {
	e := newEstate(t, headerServers, "throttle {\nnetwork 0\n}", headerSites)
	for _, attack := range []func(*estate, *testing.T){
		(*estate).forgedIdentityReachesNobody, (*estate).fastCGIVariablesAreOurs, (*estate).refusedRequestsLoseIdentityAndCredentials, (*estate).connectionTakesNothingAway,
		(*estate).trailersCarryNoIdentity, (*estate).doubledHeadersHaveOneReading, (*estate).credentialsStayHere, (*estate).everybodyIsHimself,
	} {
		attack(e, t)
	}
}

// A stranger, or somebody who is signed in, sends identity headers of his own in
// every spelling that HTTP, CGI, WSGI or PHP would take for one of ours. Gained
// before: on a path that needs no login, and where the gateway left a header out
// (no group, no address), the application believed the client's.
func (e *estate) forgedIdentityReachesNobody(t *testing.T) {
	for name, port := range map[string]string{"as Caddy is": e.http, "underscores and dots kept": e.kept} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				what, host, text string
				status           int
				user, groups     string
			}{
				{"allowed", "app.test", request("GET", "/x", append(forged(), cookie(e.bob))...), 200, "bob", ""},
				{"allowed with a group", "other.test", request("GET", "/admin/x", append(forged(), cookie(e.ops))...), 200, "olga", "ops"},
				{"one word", "one.test", request("GET", "/x", append(forged(), cookie(e.bob))...), 200, "bob", ""},
				{"no login needed", "app.test", request("GET", "/open/x", forged()...), 200, "", ""},
				{"no login needed, signed in", "app.test", request("GET", "/open/x", append(forged(), cookie(e.bob))...), 200, "bob", ""},
				{"no login needed, forged cookie", "app.test", request("GET", "/open/x", append(forged(), "Cookie: sallyport_session=forged")...), 200, "", ""},
				{"preflight", "app.test", request("OPTIONS", "/admin/x", append(forged(), "Origin: https://evil.test", "Access-Control-Request-Method: GET")...), 200, "", ""},
				{"post", "app.test", request("POST", "/open/x", append(forged(), "Content-Length: 3")...) + "abc", 200, "", ""},
				{"upgrade", "app.test", request("GET", "/open/x", append(forged(), "Upgrade: h2c")...), 200, "", ""},
			} {
				for _, host := range []string{c.host, "fcgi.test"} {
					a := e.rawAt(port, host, c.text)
					all := append(e.app.take(t), e.fcgi.take(t)...)
					if a.status != c.status || len(all) != 1 {
						t.Errorf("%s at %s: %d, %d requests reached the application: %.200s", c.what, host, a.status, len(all), a.body)
						continue
					}
					s := all[0]
					if where := s.holds("forged"); where != "" {
						t.Errorf("%s at %s: the application saw %s", c.what, host, where)
					}
					for n, want := range map[string]string{"Remote-User": c.user, "Remote-Groups": c.groups, "Remote-Email": "", "Remote-Name": ""} {
						if got, there := s.Header[n]; !there || len(got) != 1 || got[0] != want {
							t.Errorf("%s at %s: the application saw %s: %q, want one: %q", c.what, host, n, got, want)
						}
					}
					if s.Header.Get("Honest") != "kept" {
						t.Errorf("%s at %s: an honest header is lost", c.what, host)
					}
				}
			}
			for _, preset := range []string{"x-forwarded", "x-auth-request", "authentik", "off"} {
				a := e.rawAt(port, "presets.test", request("GET", "/"+preset+"/x", append(forged(), cookie(e.bob))...))
				for _, s := range e.app.take(t) {
					if where := s.holds("forged"); where != "" || s.Header["Remote-User"] != nil {
						t.Errorf("preset %s: the application saw %s, Remote-User %q", preset, where, s.Header["Remote-User"])
					}
					if asserted := preset == "x-auth-request" || preset == "off"; (s.Header.Get("Sallyport-Assertion") != "") != asserted {
						t.Errorf("preset %s: assertion %q", preset, s.Header["Sallyport-Assertion"])
					}
				}
				wantStatus(t, a, 200)
			}
		})
	}
}

// FastCGI has a variable of its own for who was let in, and turns every header into
// one. Gained before: REMOTE_USER or HTTP_REMOTE_USER of the client's choice.
func (e *estate) fastCGIVariablesAreOurs(t *testing.T) {
	for _, c := range []struct{ target, cookie, user string }{{"/open/x", "", ""}, {"/open/x", e.bob, "bob"}, {"/x.php/y", e.bob, "bob"}, {"/admin/x", e.ops, "olga"}} {
		e.rawAt(e.kept, "fcgi.test", request("GET", c.target, append(forged(), cookie(c.cookie), "Remote_User_: forged", "HTTP_REMOTE_USER: forged", "Proxy: forged", "Remote-Addr: forged")...))
		list, env := e.fcgi.takeEnv()
		if len(list) != 1 {
			t.Fatalf("%s: %d requests", c.target, len(list))
		}
		if env[0]["REMOTE_USER"] != c.user || list[0].Header.Get("Remote-User") != c.user {
			t.Errorf("%s: REMOTE_USER %q, HTTP_REMOTE_USER %q, want %q", c.target, env[0]["REMOTE_USER"], list[0].Header.Get("Remote-User"), c.user)
		}
		for name, value := range env[0] {
			if strings.Contains(value, "forged") {
				t.Errorf("%s: %s=%s", c.target, name, value)
			}
		}
	}
}

// The pages of a site's handle_errors may come from an application too. Gained
// before: what was refused went there with the client's identity headers, and with
// the session cookie and the token, which no application may see.
func (e *estate) refusedRequestsLoseIdentityAndCredentials(t *testing.T) {
	token := strings.Repeat("A", 40)
	for _, c := range []struct {
		what, host, text string
		status           int
	}{
		{"nobody is signed in", "errors.test", request("GET", "/x", forged()...), 401},
		{"not admitted", "errors.test", request("GET", "/admin/x", append(forged(), cookie(e.bob+"; theme=dark"), "Authorization: Bearer "+token)...), 403},
		{"denied", "errors.test", request("GET", "/closed/x", append(forged(), cookie(e.bob))...), 403},
		{"two readings", "errors.test", request("GET", "/open/..%2fadmin/x", append(forged(), cookie(e.bob))...), 400},
		{"a method in small letters", "errors.test", request("get", "/x", append(forged(), cookie(e.bob))...), 400},
		{"trace", "errors.test", request("TRACE", "/x", append(forged(), cookie(e.bob))...), 405},
		{"a reading of our prefix", "errors.test", request("GET", "/x/../sallyport/login", append(forged(), cookie(e.bob))...), 404},
		{"two credentials", "errors.test", request("GET", "/x", append(forged(), cookie(e.bob), "Authorization: Bearer "+token, "Authorization: Basic "+token)...), 400},
		{"the application is away", "errors.test", request("GET", "/x", append(forged(), cookie(e.bob))...), 502},
	} {
		a := e.rawAt(e.kept, c.host, c.text)
		list := e.fails.take(t)
		if len(list) != 1 {
			t.Errorf("%s: %d %.200s: %d requests reached the application for errors", c.what, a.status, a.body, len(list))
			continue
		}
		for _, text := range []string{"forged", "sallyport_session", token} {
			if where := list[0].holds(text); where != "" {
				t.Errorf("%s: the application for errors saw %s", c.what, where)
			}
		}
		if strings.Contains(c.text, "theme=dark") && list[0].Header.Get("Cookie") != "theme=dark" {
			t.Errorf("%s: the application for errors saw the cookies %q", c.what, list[0].Header["Cookie"])
		}
	}
	// What the gateway answers by itself goes to no application at all.
	for _, host := range []string{"errors.test", "portal-errors.test", "app.test"} {
		for _, target := range []string{"/sallyport/", "/sallyport/login", "/sallyport/nothing", "/sallyport/healthz", "/sallyport/static/x", "/sallyport/api/v1/me", "/sallyport/authz/forward-auth", "/sallyport/authz/auth-request"} {
			a := e.raw(host, request("GET", target, append(forged(), cookie(e.bob))...))
			if n := len(e.fails.take(t)) + len(e.app.take(t)); n > 0 || a.header.Get("Remote-User") != "" && a.header.Get("Remote-User") != "bob" || strings.Contains(a.body, "forged") {
				t.Errorf("%s at %s: %d, %d requests went on, answer header %v", target, host, a.status, n, a.header)
			}
		}
	}
}

// Headers of one hop: what Connection names is removed by the next proxy. Gained
// before: `Connection: Remote-User` took the identity away behind us, and an
// application that takes nobody for a guest, or its own network for trusted, let
// the request in.
func (e *estate) connectionTakesNothingAway(t *testing.T) {
	names := strings.Join(append(slices.Clone(identityNames), "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Cookie", "Honest", "Host"), ", ")
	for _, lines := range [][]string{
		{"Connection: " + names}, {"Connection: close, " + names}, {"connection: " + strings.ToLower(names)}, {"CONNECTION: " + strings.ToUpper(names)},
		{"Connection: Remote-User", "Connection: Remote-Groups, close", "connection: x-forwarded-for"}, {"Connection: ,,Remote-User ,\tRemote-Groups"}, {"Connection: keep-alive, \"Remote-User\""},
		{"Keep-Alive: Remote-User", "Proxy-Connection: Remote-User"}, {"TE: trailers", "Connection: te, Remote-User"}, {"Connection: upgrade, Remote-User", "Upgrade: foo"},
	} {
		for _, host := range []string{"app.test", "fcgi.test"} {
			a := e.raw(host, "GET /x HTTP/1.1\r\nHOST:\r\n"+strings.Join(lines, "\r\n")+"\r\nHonest: kept\r\nConnection: close\r\n"+cookie(e.bob+"; theme=dark")+"\r\n\r\n")
			all := append(e.app.take(t), e.fcgi.take(t)...)
			if len(all) != 1 {
				t.Errorf("%q at %s: %d, %d requests", lines, host, a.status, len(all))
				continue
			}
			s := all[0]
			if s.Header.Get("Remote-User") != "bob" || s.Header["Remote-Groups"] == nil || s.Header.Get("X-Forwarded-For") != "127.0.0.1" || s.Header.Get("Honest") != "kept" || s.Header.Get("Cookie") != "theme=dark" {
				t.Errorf("%q at %s: the application saw %v", lines, host, s.Header)
			}
		}
	}
}

// What comes after a body is merged into the headers by some servers. Gained
// before: an identity, a credential, or another method, in a trailer that nobody
// looked at.
func (e *estate) trailersCarryNoIdentity(t *testing.T) {
	announced := strings.Join(identityNames, ", ") + ", Cookie, Authorization, X-Forwarded-For, X-Checksum"
	trailer := ""
	for _, line := range append(fewForged(), "Cookie: sallyport_session=forged", "Authorization: Bearer forged", "X-Forwarded-For: forged", "X-HTTP-Method-Override: forged", "Unannounced: forged") {
		trailer += line + "\r\n"
	}
	for _, c := range []struct{ target, cookie string }{{"/open/x", ""}, {"/x", e.bob}, {"/open/x", e.bob}} {
		for _, announce := range []string{"Trailer: " + announced, "Trailer: " + strings.ToLower(announced), "Trailer: X-Checksum", ""} {
			e.rawAt(e.kept, "app.test", request("POST", c.target, cookie(c.cookie), announce, "Transfer-Encoding: chunked")+"3\r\nabc\r\n0\r\nX-Checksum: good\r\n"+trailer+"\r\n")
			list := e.app.take(t)
			if len(list) != 1 || list[0].Body != "abc" {
				t.Fatalf("%s %q: %d requests", c.target, announce[:min(20, len(announce))], len(list))
			}
			if where := list[0].holds("forged"); where != "" {
				t.Errorf("%s: the application saw %s", c.target, where)
			}
		}
	}
}

// Two lines of a header that decides something: one reader takes the first, another
// the last, a third joins them. Gained before: the guard judged one, the
// application believed the other.
func (e *estate) doubledHeadersHaveOneReading(t *testing.T) {
	session := strings.TrimPrefix(e.bob, "sallyport_session=")
	for _, c := range []struct {
		what   string
		lines  []string
		status int
	}{
		{"two sessions in two lines", []string{cookie(e.bob), cookie(e.ops)}, 401},
		{"two sessions in one line", []string{cookie(e.bob + "; " + e.ops)}, 401},
		{"the same session twice", []string{cookie(e.bob), cookie(e.bob)}, 401},
		{"a forged one first", []string{cookie("sallyport_session=forged"), cookie(e.bob)}, 401},
		{"a forged one last", []string{cookie(e.bob + ";sallyport_session=")}, 401},
		{"another name first", []string{cookie("__Host-sallyport_session=forged; " + e.bob)}, 200},
		{"in capitals", []string{cookie("SALLYPORT_SESSION=" + session)}, 401},
		{"two credentials", []string{cookie(e.bob), "Authorization: Bearer a", "Authorization: Bearer b"}, 400},
		{"two credentials, joined", []string{cookie(e.bob), "Authorization: Bearer a, Basic b"}, 200},
		{"two forwarded hosts", []string{cookie(e.bob), "X-Forwarded-Host: open.test", "X-Forwarded-Host: app.test"}, 200},
		{"two forwarded protocols", []string{cookie(e.bob), "X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, 200},
		{"two original addresses", []string{cookie(e.bob), "X-Original-Url: /open/x", "X-Original-Url: /open/y"}, 200},
	} {
		a := e.raw("app.test", request("GET", "/x", c.lines...))
		list := e.app.take(t)
		if a.status != c.status || (len(list) == 1) != (c.status == 200) {
			t.Errorf("%s: %d, want %d; %d requests went on", c.what, a.status, c.status, len(list))
		}
		for _, s := range list {
			if s.Header.Get("Remote-User") != "bob" || len(s.Header["Remote-User"]) != 1 || s.holds(session) != "" {
				t.Errorf("%s: the application saw %v", c.what, s.Header)
			}
		}
	}
	if a := e.raw("app.test", "GET /x HTTP/1.1\r\nHOST:\r\nHost: other.test\r\nConnection: close\r\n"+cookie(e.bob)+"\r\n\r\n"); a.status != 400 || len(e.app.take(t)) > 0 {
		t.Errorf("two Host headers: %d", a.status)
	}
}

// What proves who somebody is goes to nobody behind us, in whatever spelling, and
// what belongs to the application stays. Gained before: an application, or whoever
// reads its logs, was the person.
func (e *estate) credentialsStayHere(t *testing.T) {
	kim := e.user("kim")
	tokens, err := e.tokens(e.origin("app.test"), kim)
	if err != nil {
		t.Fatal(err)
	}
	jwt, _ := tokens["access_token"].(string)
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, c := range []struct{ authorization, want string }{
		{"Bearer " + jwt, ""}, {"bearer " + jwt, ""}, {"BEARER  " + jwt, ""}, {"Bearer\t" + jwt, ""}, {basic("deploy@users:123456"), ""}, {strings.ToLower(basic("")[:6]) + basic("kim@users:1")[6:], ""},
		{"Bearer theirs", "Bearer theirs"}, {basic("kim:theirs"), basic("kim:theirs")}, {basic("kim@elsewhere:x"), basic("kim@elsewhere:x")}, {"Digest username=x", "Digest username=x"}, {"", ""},
	} {
		for _, target := range []string{"/x", "/open/x"} {
			for _, host := range []string{"app.test", "fcgi.test"} {
				a := e.raw(host, request("GET", target, cookie(e.bob+"; theme=dark; SALLYPORT_x=1; __Host-sallyport_portal=2; sallyport_browser=3"), "Authorization: "+c.authorization))
				all := append(e.app.take(t), e.fcgi.take(t)...)
				if len(all) != 1 {
					t.Errorf("%.30q: %d, %d requests", c.authorization, a.status, len(all))
					continue
				}
				s := all[0]
				if s.Header.Get("Authorization") != c.want || s.Header.Get("Cookie") != "theme=dark" || s.Header.Get("Remote-User") != "bob" {
					t.Errorf("%.30q at %s%s: the application saw %v", c.authorization, host, target, s.Header)
				}
			}
		}
	}
	for _, target := range []string{"/x", "/open/x"} { // the token as the proof itself
		e.raw("app.test", request("GET", target, "Authorization: Bearer "+jwt))
		if list := e.app.take(t); len(list) != 1 || list[0].Header.Get("Remote-User") != "kim" || list[0].holds(jwt) != "" {
			t.Errorf("%s with a token: %v", target, list)
		}
	}
	for _, bad := range []string{jwt + "x", jwt[:len(jwt)-4], strings.ToUpper(jwt)} {
		if a := e.raw("app.test", request("GET", "/x", "Authorization: Bearer "+bad)); a.status < 400 || len(e.app.take(t)) > 0 {
			t.Errorf("a token that is not good: %d", a.status)
		}
	}
	// A page of one's own for refusals is no page for a site that has none.
	if a := e.raw("app.test", request("GET", "/closed/x", cookie(e.bob), "Accept: text/html")); a.status != 403 || len(a.body) < 20 {
		t.Errorf("a site without error routes: %d %q", a.status, a.body)
	}
}

// Two people sign in at the same moment, from many browsers. Gained before: state
// of a request in a field of a shared object gave one the other's session, and a
// cache whose key ran name and password together gave one the other's identity.
func (e *estate) everybodyIsHimself(t *testing.T) {
	var people []person
	for i := range 8 {
		people = append(people, e.user(fmt.Sprintf("p%d", i), fmt.Sprintf("g%d", i)))
	}
	sessions := make([]string, len(people))
	var logins sync.WaitGroup
	for i, p := range people {
		logins.Go(func() { sessions[i] = e.browser(e.origin("app.test")).signIn(p).cookies() })
	}
	logins.Wait()
	var asks sync.WaitGroup
	for i, p := range people {
		asks.Go(func() {
			b := e.browser(e.origin("app.test"))
			for range 25 {
				got := b.ask("GET", "/x?who="+p.name, "", http.Header{"Cookie": {sessions[i]}}).seen(t)
				if got.Header.Get("Remote-User") != p.name || got.Header.Get("Remote-Groups") != fmt.Sprintf("g%d", i) || got.Target != "/x?who="+p.name {
					t.Errorf("%s is %v at %s", p.name, got.Header["Remote-User"], got.Target)
					return
				}
			}
		})
	}
	asks.Wait()
	// A name and a password that are parted elsewhere are not the same pair.
	b := e.browser(e.origin("app.test"))
	a := b.post("/sallyport/login", url.Values{"username": {"p0" + people[0].password[:3]}, "password": {people[0].password[3:]}})
	if a.status == http.StatusSeeOther && strings.Contains(a.header.Get("Location"), "/login/code") {
		t.Error("the boundary between name and password moved")
	}
}
