package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// shared is a Caddy with a portal at auth.example.com, and three guarded hosts: a
// asks for both factors, b for a fresh second one below /vault/, c for one or two.
func shared(t *testing.T, fresh string) (*server, *echo) {
	t.Helper()
	e := newEcho(t)
	return serveCaddy(t, `sallyport {
	portal https://auth.example.com:HTTPS_PORT
	cookie_domain example.com
	realm lean {
		factors 1
	}
	`+cheap+`}`, `
https://auth.example.com:HTTPS_PORT {
	sallyport portal
}
https://a.example.com:HTTPS_PORT {
	sallyport
	reverse_proxy `+e.address()+`
}
https://b.example.com:HTTPS_PORT {
	sallyport {
		rule {
			path /vault/*
			realm users admin
			fresh `+fresh+`
		}
		rule {
			realm users admin
		}
	}
	reverse_proxy `+e.address()+`
}
https://c.example.com:HTTPS_PORT {
	sallyport {
		rule {
			path /strict/*
			realm lean users
			factors 2
		}
		rule {
			path /staff/*
			realm staff
		}
		rule {
			realm lean users
			factors 1
		}
	}
	reverse_proxy `+e.address()+`
}`), e
}

func (s *server) site(name string) string { return "https://" + name + ".example.com:" + s.https }

// roamer is a browser that goes from host to host, with the cookies that each may
// have, and follows redirects: how many is what its tests are about.
type roamer struct {
	s         *server
	client    *http.Client
	redirects []string // of the last call
}

func (s *server) roamer() *roamer {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &roamer{s: s, client: s.client()}
	r.client.Jar = jar
	r.client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		r.redirects = append(r.redirects, req.URL.String())
		if len(r.redirects) > 8 {
			return fmt.Errorf("sent to and fro: %s", strings.Join(r.redirects, "\n"))
		}
		return nil
	}
	return r
}

// page is where somebody ended up.
type page struct {
	url    *url.URL
	status int
	body   string
}

func (r *roamer) send(req *http.Request) page {
	r.s.t.Helper()
	r.redirects = nil
	for name, values := range navigation {
		req.Header[name] = values
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.s.t.Fatal(err)
	}
	return page{resp.Request.URL, resp.StatusCode, string(body)}
}

func (r *roamer) open(address string) page {
	r.s.t.Helper()
	req, err := http.NewRequestWithContext(r.s.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		r.s.t.Fatal(err)
	}
	return r.send(req)
}

// submit sends the form of a page, which goes to the page's own address.
func (r *roamer) submit(at page, fields url.Values) page {
	r.s.t.Helper()
	form := at.url.Query() // what the form carries along in hidden fields
	for name, values := range fields {
		form[name] = values
	}
	action := *at.url
	if at.url.Path == "/sallyport/login" {
		action.RawQuery = ""
	}
	req, err := http.NewRequestWithContext(r.s.t.Context(), http.MethodPost, action.String(), strings.NewReader(form.Encode()))
	if err != nil {
		r.s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", at.url.Scheme+"://"+at.url.Host)
	return r.send(req)
}

func (p page) at(t *testing.T, address string) page {
	t.Helper()
	got := *p.url
	if !strings.Contains(address, "?") {
		got.RawQuery = ""
	}
	if got.String() != address || p.status != 200 {
		t.Fatalf("the browser is at %s (%d), want %s\n%.600s", p.url, p.status, address, p.body)
	}
	return p
}

// password and code answer the two doors.
func (r *roamer) password(at page, p person) page {
	r.s.t.Helper()
	at.at(r.s.t, r.s.site("auth")+"/sallyport/login")
	return r.submit(at, url.Values{"username": {p.name + "@" + p.realm}, "password": {p.password}})
}

func (r *roamer) code(at page, p person, step int) page {
	r.s.t.Helper()
	at.at(r.s.t, r.s.site("auth")+"/sallyport/login/code")
	return r.submit(at, url.Values{"code": {p.code(r.s.t, step)}})
}

// Somebody is signed in at the portal and lacks what a Caddy route demands, which
// the portal's own rules do not know. Sent away by the one and back by the other,
// his browser would go to and fro for ever. Gained by whoever can bring that about:
// nobody reaches the application.
func TestNoLoginGoesRoundInCircles(t *testing.T) {
	s, _ := shared(t, "1h")
	portal := s.site("auth") + "/sallyport/login"

	t.Run("one factor, then a route that wants two", func(t *testing.T) {
		s.must("POST", "/users", map[string]any{"realm": "lean", "name": "noel", "password": goodPassword})
		noel := person{name: "noel", realm: "lean", password: goodPassword}
		r := s.roamer()
		at := r.password(r.open(s.site("c")+"/x?y=1"), noel)
		at.at(t, s.site("c")+"/x?y=1")
		if !strings.Contains(at.body, `"Remote-User":["noel"]`) {
			t.Errorf("the application saw %s", at.body)
		}
		// He has no second one yet: he is led to where he gets one.
		at = r.open(s.site("c") + "/strict/x")
		if at.url.Host != "auth.example.com:"+s.https || at.url.Path != "/sallyport/enroll/totp" || at.status != 200 {
			t.Errorf("%d at %s", at.status, at.url)
		}
	})
	t.Run("another realm", func(t *testing.T) {
		ada := s.user("ada")
		r := s.roamer()
		at := r.code(r.password(r.open(s.site("a")+"/x"), ada), ada, 0).at(t, s.site("a")+"/x")
		if at = r.open(s.site("c") + "/staff/x"); at.status != http.StatusForbidden || len(r.redirects) > 0 {
			t.Errorf("somebody of another realm: %d at %s after %v", at.status, at.url, r.redirects)
		}
		if at = r.open(s.site("c") + "/x"); at.status != 200 {
			t.Errorf("%d at %s", at.status, at.url)
		}
	})
	t.Run("another realm, by the login", func(t *testing.T) {
		ben := s.user("ben")
		r := s.roamer()
		at := r.code(r.password(r.open(s.site("c")+"/staff/x"), ben), ben, 0)
		if at.status != http.StatusForbidden || at.url.String() != s.site("c")+"/staff/x" {
			t.Errorf("%d at %s", at.status, at.url)
		}
	})
	t.Run("the domain's cookie is gone", func(t *testing.T) {
		cleo := s.user("cleo")
		r := s.roamer()
		r.code(r.password(r.open(s.site("a")+"/x"), cleo), cleo, 0).at(t, s.site("a")+"/x")
		// Another tab cleaned up, or a hostile host below the domain overwrote it.
		for _, value := range []string{"", "sps_" + strings.Repeat("A", 54), "nonsense"} {
			r.set("example.com", "__Secure-sallyport_session", value)
			at := r.open(s.site("a") + "/x")
			if at.status != 200 || !strings.HasPrefix(at.url.String(), portal) {
				t.Fatalf("with the domain's cookie %q: %d at %s", value, at.status, at.url)
			}
		}
		// A whole new login puts it right.
		r.code(r.password(r.open(s.site("a")+"/x"), cleo), cleo, 1).at(t, s.site("a")+"/x")
	})
	t.Run("the domain's cookie is somebody else's", func(t *testing.T) {
		mallory, dora := s.user("mallory"), s.user("dora")
		evil, r := s.roamer(), s.roamer()
		evil.code(evil.password(evil.open(s.site("a")+"/x"), mallory), mallory, 0).at(t, s.site("a")+"/x")
		r.code(r.password(r.open(s.site("b")+"/x"), dora), dora, 0).at(t, s.site("b")+"/x")
		r.set("example.com", "__Secure-sallyport_session", evil.cookie(s.site("a"), "__Secure-sallyport_session"))
		if at := r.open(s.site("b") + "/vault/x"); at.status != 200 || len(r.redirects) > 2 {
			t.Errorf("%d at %s after %v", at.status, at.url, r.redirects)
		}
	})
	t.Run("two cookies of the domain's name", func(t *testing.T) {
		finn := s.user("finn")
		r := s.roamer()
		r.code(r.password(r.open(s.site("a")+"/x"), finn), finn, 0).at(t, s.site("a")+"/x")
		address, _ := url.Parse(s.site("a") + "/x/y")
		r.client.Jar.SetCookies(address, []*http.Cookie{{Name: "__Secure-sallyport_session", Value: "planted", Path: "/x/", Secure: true}})
		at := r.open(s.site("a") + "/x/y")
		if at.status != 200 || at.url.Host != "auth.example.com:"+s.https {
			t.Errorf("%d at %s", at.status, at.url)
		}
	})
	t.Run("an administrator at a fresh route", func(t *testing.T) {
		root := s.member("root", "admin", nil)
		r := s.roamer()
		at := r.code(r.password(r.open(s.site("b")+"/vault/x"), root), root, 0).at(t, s.site("b")+"/vault/x")
		if !strings.Contains(at.body, `"Remote-User":["root@admin"]`) {
			t.Errorf("the application saw %s", at.body)
		}
		r.open(s.site("b")+"/vault/y").at(t, s.site("b")+"/vault/y")
		if len(r.redirects) > 0 {
			t.Errorf("redirected: %v", r.redirects)
		}
	})
	t.Run("demands that somebody made up", func(t *testing.T) {
		gwen := s.user("gwen")
		r := s.roamer()
		r.code(r.password(r.open(s.site("a")+"/x"), gwen), gwen, 0)
		for _, query := range []string{"factors=2", "factors=9", "fresh=1ns", "fresh=-1h", "realm=staff", "realm=staff&factors=2&fresh=1s", "rd=%2Fsallyport%2Flogin", "rd=" + url.QueryEscape(portal)} {
			if !strings.Contains(query, "rd=") {
				query += "&rd=" + url.QueryEscape(s.site("auth")+"/sallyport/")
			}
			if at := r.open(portal + "?" + query); at.status != 200 {
				t.Errorf("%s: %d at %s", query, at.status, at.url)
			}
		}
	})
}

// set plants a cookie for all hosts below a domain; "" removes it.
func (r *roamer) set(domain, name, value string) {
	address, _ := url.Parse(r.s.site("a"))
	cookie := &http.Cookie{Name: name, Value: value, Domain: domain, Path: "/", Secure: true}
	if value == "" {
		cookie.MaxAge = -1
	}
	r.client.Jar.SetCookies(address, []*http.Cookie{cookie})
}

func (r *roamer) cookie(origin, name string) string {
	address, _ := url.Parse(origin)
	for _, c := range r.client.Jar.Cookies(address) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Somebody has the domain's cookie: a guarded application, whose host it is sent
// to, leaked it. Gained before: the account, its factors and the administration.
func TestStolenDomainCookieOpensNeitherAccountNorAPI(t *testing.T) {
	s, _ := shared(t, "1h")
	root := s.member("root", "admin", nil)
	r := s.roamer()
	r.code(r.password(r.open(s.site("a")+"/x"), root), root, 0).at(t, s.site("a")+"/x")
	stolen := r.cookie(s.site("a"), "__Secure-sallyport_session")
	if stolen == "" || r.cookie(s.site("a"), "__Host-sallyport_portal") != "" {
		t.Fatalf("cookies at the application: %q, and the portal's is there too", stolen)
	}
	if r.cookie(s.site("auth"), "__Host-sallyport_portal") == stolen {
		t.Fatal("both cookies are the same secret")
	}
	thief := s.browser(s.site("a"))
	thief.jar["__Secure-sallyport_session"] = stolen
	wantStatus(t, thief.fetch("/x"), 200) // this much it is
	for _, names := range [][]string{{"__Secure-sallyport_session"}, {"__Host-sallyport_portal"}, {"__Host-sallyport_session"}, {"sallyport_session"}, {"__Secure-sallyport_session", "__Host-sallyport_portal", "__Host-sallyport_session"}} {
		at := s.browser(s.site("auth"))
		cookies := ""
		for _, name := range names {
			cookies += name + "=" + stolen + "; "
		}
		header := http.Header{"Cookie": {cookies}, "Origin": {s.site("auth")}, "Sec-Fetch-Site": {"same-origin"}, "Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}}
		for _, path := range []string{"/sallyport/account/", "/sallyport/account/sessions", "/sallyport/account/totp", "/sallyport/account/recovery-codes"} {
			if a := at.ask("GET", path, "", header); a.status == 200 || !strings.Contains(a.header.Get("Location"), "/sallyport/login") {
				t.Errorf("%s with %v: %d %v", path, names, a.status, a.header)
			}
		}
		for _, path := range []string{"/me", "/me/methods", "/me/sessions", "/users", "/sessions", "/realms"} {
			wantStatus(t, at.ask("GET", "/sallyport/api/v1"+path, "", header), http.StatusUnauthorized)
		}
	}
	for _, path := range []string{"/sallyport/account/", "/sallyport/api/v1/me", "/sallyport/login", "/sallyport/setup", "/sallyport/openapi.json", "/sallyport/docs"} { // nor on a guarded host
		if a := thief.get(path); a.status == 200 {
			t.Errorf("a guarded host answers %s: %.200s", path, a.body)
		}
	}
}
