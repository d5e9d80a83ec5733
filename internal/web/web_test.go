package web_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// spellings are ways to write a header name that CGI, WSGI or PHP take for the
// same variable.
func spellings(name string) []string {
	mixed := []byte(strings.ToLower(name))
	for i := range mixed {
		if i%2 == 1 {
			mixed[i] = strings.ToUpper(string(mixed[i]))[0]
		}
	}
	list := []string{name, strings.ToLower(name), strings.ToUpper(name), string(mixed)}
	for _, sep := range []string{"_", ".", "", "--", "-_", "~", "!"} {
		s := strings.ReplaceAll(name, "-", sep)
		list = append(list, s, strings.ToLower(s), strings.ToUpper(s))
	}
	return append(list, name+"_", name+"-", "_"+name, "-"+name, strings.Replace(name, "-", "_", 1), name[:3]+"-"+name[3:])
}

var identityHeaders = []string{
	"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Realm", "Remote-Foo",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Access-Token", "X-authentik-username", "X-authentik-jwt", "X-authentik-meta-app",
	"Sallyport-Assertion", "Sallyport-User", "X-Remote-User", "x-AUTH-user",
}

// H2 (oauth2-proxy, CVE-2025-64484), H5: an upstream maps X_Forwarded_User to
// the variable of X-Forwarded-User.
func TestH2EverySpellingIsGone(t *testing.T) {
	s := web.NewStripper("x-AUTH-user")
	for _, name := range identityHeaders {
		for _, spelled := range spellings(name) {
			h := http.Header{spelled: {"admin"}, "Accept": {"*/*"}, "X-Forwarded-For": {"1.2.3.4"}, "User-Agent": {"x"}}
			s.Strip(h)
			if _, there := h[spelled]; there || len(h) != 3 {
				t.Errorf("%q survived, or something else went: %v", spelled, h)
			}
		}
	}
	for _, name := range []string{"Accept", "X-Forwarded-Host", "X-Requested-With", "Remot", "Removed-User", "Sally", "Cookie", "Authorization", "X-Auth-Token", "X-Forwarded-Userx", "", "-", "X", "Range", "Referer", "Sec-Fetch-Mode", "X-Real-Ip"} {
		h := http.Header{name: {"x"}}
		if s.Strip(h); len(h) != 1 {
			t.Errorf("%q was removed", name)
		}
	}
}

// H5 (Traefik, CVE-2026-33433): a header was set under a key in odd case, and
// the client's canonical copy stayed beside it.
func TestH5OneValueWhateverTheCase(t *testing.T) {
	s := web.NewStripper("x-AUTH-user")
	for _, preset := range []string{"", guard.HeadersForwarded, guard.HeadersAuthRequest, guard.HeadersAuthentik} {
		n := web.Names(preset)
		h := http.Header{n.User: {"admin"}, strings.ToLower(n.User): {"admin"}, strings.ToUpper(n.User): {"admin"}, "X-Auth-User": {"admin"}, "x-auth-USER": {"admin"}}
		s.Strip(h)
		web.SetIdentity(h, &guard.Decision{Outcome: guard.Allow, Headers: preset, Identity: &account.Identity{Kind: principal.User, Name: "alice", Realm: "users"}}, "")
		count := 0
		for name, values := range h {
			if strings.EqualFold(name, n.User) || strings.EqualFold(name, "x-auth-user") {
				count += len(values)
			}
		}
		if count != 1 || h.Get(n.User) != "alice@users" {
			t.Errorf("preset %q: %v", preset, h)
		}
	}
}

// H6 (Traefik, Oathkeeper, Fabio): Connection: Remote-User makes the next hop
// delete what we set.
func TestH6ConnectionNamesNothing(t *testing.T) {
	for in, want := range map[string]string{
		"close, Remote-User, X-Real-Ip": "close", "Remote-User": "", "remote-user,keep-alive": "keep-alive", "Upgrade": "Upgrade", "TE, X-Forwarded-For, Upgrade": "TE, Upgrade", "": "", ",,": "", "close,close": "close,close",
		"X-Forwarded-For, ,Cookie": "", "keep-alive": "keep-alive",
	} {
		h := http.Header{"Connection": {in}, "Cookie": {"a=b"}}
		web.Strip(h)
		if got := h.Get("Connection"); got != want || h.Get("Cookie") == "" {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	h := http.Header{"Connection": {"close", "Remote-User", "te, Cookie"}}
	if web.Strip(h); strings.Join(h["Connection"], "|") != "close, te" {
		t.Errorf("several lines: %q", h["Connection"])
	}
	h = http.Header{"Trailer": {"X-Sum, Remote_User", "sallyport-x"}}
	if web.Strip(h); h.Get("Trailer") != "X-Sum" {
		t.Errorf("announced trailers: %q", h["Trailer"])
	}
}

func TestStripAllocatesNothing(t *testing.T) {
	h := http.Header{"Accept": {"*/*"}, "Cookie": {"a=b"}, "X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Uri": {"/"}, "User-Agent": {"x"}, "Sec-Fetch-Mode": {"navigate"}, "Referer": {"x"}, "Connection": {"keep-alive"}}
	s := web.NewStripper()
	if n := testing.AllocsPerRun(100, func() { s.Strip(h); s.Alias(h) }); n > 0 {
		t.Fatalf("Strip allocates %v times", n)
	}
}

// A forward-auth proxy overwrites Remote-User; Remote_User it lets through.
func TestAlias(t *testing.T) {
	s := web.NewStripper()
	for name, alias := range map[string]bool{
		"Remote-User": false, "remote-user": false, "Remote_user": true, "Remote.User": true, "Remoteuser": true, "Remote-User-": true, "-Remote-User": true, "Rem-Ote-User": true, "X-Forwarded_User": true, "X-Forwarded-User": false,
		"X-Forwarded-For": false, "Sallyport_assertion": true, "X-Authentik-Username": false, "Accept": false, "X_authentik-Meta-App": true,
	} {
		if got := s.Alias(http.Header{name: {"x"}}) != ""; got != alias {
			t.Errorf("%q alias %v, want %v", name, got, alias)
		}
	}
}

// H1: every header is set, empty where nothing is known, in every preset.
func TestH1AllHeadersAlways(t *testing.T) {
	who := &account.Identity{Kind: principal.User, Name: "alice", Realm: "users", FullName: "Alice\r\nRemote-User: root\x00 Ä\u0085\u202e ", Email: "a@example.com", Groups: []string{"dev", "Domain Admins"}}
	for preset, prefix := range map[string]string{"": "Remote-", guard.HeadersForwarded: "X-Forwarded-", guard.HeadersAuthRequest: "X-Auth-Request-", guard.HeadersAuthentik: "X-Authentik-", "unknown": "Remote-"} {
		n := web.Names(preset)
		for _, id := range []*account.Identity{nil, {Name: "bob", Realm: "users"}, who} {
			h := http.Header{n.User: {"forged"}, n.Groups: {"admins", "more"}}
			web.SetIdentity(h, &guard.Decision{Outcome: guard.Allow, Identity: id, Headers: preset, Assertion: guard.AssertionEdDSA}, "jwt")
			for _, name := range []string{n.User, n.Name, n.Email, n.Groups, n.Realm} {
				if !strings.HasPrefix(name, prefix) || http.CanonicalHeaderKey(name) != name {
					t.Errorf("preset %q has %q", preset, name)
				}
				if len(h[name]) != 1 || id == nil && h[name][0] != "" {
					t.Errorf("preset %q %q: %q", preset, name, h[name])
				}
				if strings.ContainsFunc(h.Get(name), func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == '\u202e' }) {
					t.Errorf("preset %q %q: %q", preset, name, h[name])
				}
			}
			if id == who && (h.Get(n.User) != "alice@users" || h.Get(n.Groups) != "dev,Domain Admins" || h.Get(n.Name) != "AliceRemote-User: root Ä" || h.Get(web.AssertionHeader) != "jwt") {
				t.Errorf("preset %q: %v", preset, h)
			}
		}
	}
	h := http.Header{}
	web.SetIdentity(h, &guard.Decision{Outcome: guard.Allow, Identity: who, BareUser: true}, "")
	if h.Get("Remote-User") != "alice" || h["Sallyport-Assertion"] != nil {
		t.Errorf("bare: %v", h)
	}
	h = http.Header{}
	web.SetIdentity(h, &guard.Decision{Outcome: guard.Deny, Identity: who}, "")
	if h.Get("Remote-User") != "" {
		t.Error("a denial names somebody")
	}
}

func trusts(networks ...string) *web.Trusted {
	t := &web.Trusted{Unix: true}
	for _, n := range networks {
		t.Prefixes = append(t.Prefixes, netip.MustParsePrefix(n))
	}
	return t
}

// X3 (authentik), X4: garbage in X-Forwarded-For means the last address that a
// trusted proxy wrote right of it. Where there is none nobody knows the client, and
// no rule for a network is his: the proxy's own network would ask fewer factors.
// Anything from a stranger means the stranger.
func TestX3X4Client(t *testing.T) {
	trusted := trusts("127.0.0.0/8", "10.0.0.0/8", "2001:db8::1/128")
	long := strings.Repeat("a", 10<<10)
	for _, c := range []struct {
		peer string
		xff  []string
		want string
	}{
		{"127.0.0.1:1", nil, "127.0.0.1"},
		{"127.0.0.1:1", []string{"203.0.113.7"}, "203.0.113.7"},
		{"127.0.0.1:1", []string{"1.1.1.1, 203.0.113.7"}, "203.0.113.7"},
		{"127.0.0.1:1", []string{"1.1.1.1, 203.0.113.7, 10.2.3.4"}, "203.0.113.7"},
		{"127.0.0.1:1", []string{"1.1.1.1", "203.0.113.7,10.2.3.4"}, "203.0.113.7"},
		{"127.0.0.1:1", []string{"10.0.0.9, 10.2.3.4"}, "10.0.0.9"},
		{"127.0.0.1:1", []string{"a, 203.0.113.7"}, "203.0.113.7"},
		{"127.0.0.1:1", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"[2001:db8::1]:1", []string{"2001:db8::2"}, "2001:db8::2"},
		{"[::ffff:127.0.0.1]:1", []string{"203.0.113.7"}, "203.0.113.7"},
		{"127.0.0.1:1", []string{"a"}, "invalid IP"},
		{"127.0.0.1:1", []string{"203.0.113.7:80"}, "invalid IP"},
		{"127.0.0.1:1", []string{"[::1"}, "invalid IP"},
		{"127.0.0.1:1", []string{"203.0.113.7, x"}, "invalid IP"},
		{"127.0.0.1:1", []string{"203.0.113.7, x, 10.2.3.4"}, "10.2.3.4"},
		{"127.0.0.1:1", []string{"x", "10.2.3.4"}, "10.2.3.4"},
		{"127.0.0.1:1", []string{", 10.0.0.9, 10.2.3.4"}, "10.0.0.9"},
		{"127.0.0.1:1", []string{""}, "invalid IP"},
		{"127.0.0.1:1", []string{long}, "invalid IP"},
		{"127.0.0.1:1", []string{"２０３.0.113.7"}, "invalid IP"},
		{"127.0.0.1:1", []string{"fe80::1%eth0"}, "invalid IP"},
		{"203.0.113.9:1", []string{"10.0.0.1"}, "203.0.113.9"},
		{"203.0.113.9:1", []string{"127.0.0.1"}, "203.0.113.9"},
		{"@", []string{"203.0.113.7"}, "203.0.113.7"},
		{"@", nil, "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.xff != nil {
			r.Header["X-Forwarded-For"] = c.xff
		}
		if got := trusted.Client(r); got.String() != c.want {
			t.Errorf("%s %q: %v, want %s", c.peer, c.xff, got, c.want)
		}
		var nobody web.Trusted
		if got, peer := nobody.Client(r), web.Peer(r); got != peer {
			t.Errorf("nobody is trusted and %q became %v", c.xff, got)
		}
	}
}

// X5, X7: X-Forwarded-Proto says the scheme where a trusted peer wrote it, once
// and in one of two words; from anybody else it has no effect.
func TestX7Scheme(t *testing.T) {
	trusted := trusts("10.0.0.0/8")
	for _, c := range []struct {
		peer  string
		tls   bool
		proto []string
		want  string
	}{
		{"10.0.0.1:1", false, nil, "http"}, {"10.0.0.1:1", true, nil, "https"},
		{"10.0.0.1:1", false, []string{"https"}, "https"}, {"10.0.0.1:1", true, []string{"http"}, "http"}, {"@", false, []string{"https"}, "https"},
		{"10.0.0.1:1", false, []string{"https", "https"}, "http"}, {"10.0.0.1:1", false, []string{"https,http"}, "http"},
		{"10.0.0.1:1", false, []string{"HTTPS"}, "http"}, {"10.0.0.1:1", true, []string{"javascript"}, "https"}, {"10.0.0.1:1", false, []string{""}, "http"},
		{"203.0.113.7:1", false, []string{"https"}, "http"}, {"203.0.113.7:1", true, []string{"http"}, "https"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.proto != nil {
			r.Header["X-Forwarded-Proto"] = c.proto
		}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := trusted.Scheme(r); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// X3. Attack: nginx on this host appends ($proxy_add_x_forwarded_for), and the
// office's network is trusted. A client in it sends "X-Forwarded-For: x". If
// garbage meant the peer, that client would be 127.0.0.1: it would match rules
// for this host's network and escape every limit per network.
func TestX3GarbageMakesNobodyLoopback(t *testing.T) {
	trusted := trusts("127.0.0.1/32", "10.0.0.0/8")
	for _, garbage := range []string{"x", "", "10.9.9.9:80", "[::1]", "127.0.0.1;", "fe80::1%lo", strings.Repeat("a", 10<<10)} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "127.0.0.1:5000"
		r.Header.Set("X-Forwarded-For", garbage+", 10.1.2.3")
		if got := trusted.Client(r); got.String() != "10.1.2.3" {
			t.Errorf("%.20q: the client is %v", garbage, got)
		}
		if _, err := trusted.ForwardedClient(r); !errors.Is(err, web.ErrForwardedFor) {
			t.Errorf("%.20q was read: %v", garbage, err)
		}
		r.Header.Set("X-Forwarded-For", garbage+", 203.0.113.7, 10.1.2.3")
		if got, err := trusted.ForwardedClient(r); err != nil || got.String() != "203.0.113.7" {
			t.Errorf("%.20q is the client's own text and nobody's business: %v, %v", garbage, got, err)
		}
	}
}

// X11 (authentik, CVE-2026-25748), H10: malformed or doubled cookies.
func TestX11CookieIsOneOrNone(t *testing.T) {
	c := web.Cookies{}
	name := "__Host-sallyport_session"
	for want, lines := range map[string][][]string{
		"tok": {{name + "=tok"}, {"a=b; " + name + "=tok"}, {"a=b;" + name + "=tok;c=d"}, {"a=b", name + "=tok"}, {name + "=tok ; x"}, {"sallyport_session=other; " + name + "=tok"}, {"__Secure-sallyport_session=other; " + name + "=tok"}, {"x" + name + "=bad; " + name + "=tok"}},
		"": {nil, {""}, {name}, {name + "="}, {name + "=a; " + name + "=a"}, {name + "=a", name + "=b"}, {name + " =a"}, {"sallyport_session=a"}, {"__Secure-sallyport_session=a"}, {strings.ToLower(name) + "=a"}, {";;;=;"}, {"=" + name + "=a"},
			{name + "=; " + name + "=a"}},
	} {
		for _, l := range lines {
			h := http.Header{}
			if l != nil {
				h["Cookie"] = l
			}
			if got := c.Guard(h, "https"); got != want {
				t.Errorf("%q: %q, want %q", l, got, want)
			}
		}
	}
	h := http.Header{"Cookie": {"a=b; " + name + "=tok"}}
	if n := testing.AllocsPerRun(100, func() { web.Cookie(h, name) }); n > 0 {
		t.Errorf("reading a cookie allocates %v times", n)
	}
}

// A cookie of this host alone: its name, Secure and its reader hang on one answer
// to whether the browser speaks TLS, which the portal's own scheme gives where
// TLS ends in front of us.
func TestHostCookie(t *testing.T) {
	for _, c := range []struct {
		cookies      web.Cookies
		scheme, name string
		secure       bool
	}{
		{web.Cookies{}, "https", "__Host-sallyport_x", true},
		{web.Cookies{}, "http", "sallyport_x", false},
		{web.Cookies{Scheme: "https", Domain: "example.com"}, "http", "__Host-sallyport_x", true},
		{web.Cookies{Scheme: "http"}, "https", "sallyport_x", false},
	} {
		w := httptest.NewRecorder()
		c.cookies.SetHost(w, c.scheme, "sallyport_x", "tok", 90*time.Second)
		c.cookies.ClearHost(w, c.scheme, "sallyport_x")
		got := w.Result().Cookies()
		if len(got) != 2 || got[0].MaxAge != 90 || got[1].MaxAge >= 0 || got[1].Value != "" {
			t.Fatalf("%+v", got)
		}
		for _, g := range got {
			if g.Name != c.name || g.Secure != c.secure || !g.HttpOnly || g.SameSite != http.SameSiteLaxMode || g.Path != "/" || g.Domain != "" {
				t.Errorf("%+v", g)
			}
		}
		if v := c.cookies.Host(http.Header{"Cookie": {c.name + "=tok"}}, c.scheme, "sallyport_x"); v != "tok" {
			t.Errorf("%s: read %q", c.name, v)
		}
	}
}

func TestCookieNames(t *testing.T) {
	for _, c := range []struct {
		cookies                web.Cookies
		scheme, guard, account string
	}{
		{web.Cookies{}, "https", "__Host-sallyport_session", "__Host-sallyport_session"},
		{web.Cookies{}, "http", "sallyport_session", "sallyport_session"},
		{web.Cookies{Scheme: "https"}, "http", "__Host-sallyport_session", "__Host-sallyport_session"},
		{web.Cookies{Scheme: "https", Domain: "example.com"}, "https", "__Secure-sallyport_session", "__Host-sallyport_portal"},
		{web.Cookies{Scheme: "http", Domain: "example.com"}, "http", "sallyport_session", "sallyport_portal"},
	} {
		if g, p := c.cookies.GuardName(c.scheme), c.cookies.PortalName(c.scheme); g != c.guard || p != c.account {
			t.Errorf("%+v on %s: %s and %s", c.cookies, c.scheme, g, p)
		}
	}
}

func TestSetAndClearCookies(t *testing.T) {
	w := httptest.NewRecorder()
	c := web.Cookies{Scheme: "https", Domain: "example.com"}
	c.SetSession(w, "https", "portal-token", "domain-token", time.Time{})
	got := w.Result().Header["Set-Cookie"]
	want := []string{
		"__Host-sallyport_portal=portal-token; Path=/; HttpOnly; Secure; SameSite=Lax",
		"__Secure-sallyport_session=domain-token; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax",
	}
	if !slices.Equal(got, want) {
		t.Errorf("set: %q", got)
	}
	w = httptest.NewRecorder()
	web.Cookies{}.SetSession(w, "http", "tok", "", time.Time{})
	if got := w.Result().Header["Set-Cookie"]; len(got) != 1 || got[0] != "sallyport_session=tok; Path=/; HttpOnly; SameSite=Lax" {
		t.Errorf("on http: %q", got)
	}
	w = httptest.NewRecorder()
	c.ClearSession(w, "https")
	cleared := map[string]bool{}
	for _, cookie := range w.Result().Cookies() {
		if cookie.MaxAge >= 0 || cookie.Value != "" {
			t.Errorf("not cleared: %v", cookie)
		}
		cleared[cookie.Name+" "+cookie.Domain] = true
	}
	for _, name := range []string{"__Host-sallyport_portal ", "__Secure-sallyport_session example.com", "__Host-sallyport_session ", "sallyport_session ", "sallyport_session example.com"} {
		if !cleared[name] {
			t.Errorf("%q stays: %v", name, cleared)
		}
	}
}

// Credentials of ours never reach an upstream; other cookies are its own, byte
// for byte.
func TestStripCookies(t *testing.T) {
	for in, want := range map[string]string{
		"a=b; c=d": "a=b; c=d", "a=b;  c=\"d e\"": "a=b;  c=\"d e\"", "sallyport_session=x": "", "a=b; __Host-sallyport_session=x; c=d": "a=b; c=d", "__Secure-sallyport_session=x; a=b": "a=b", "a=b; sallyport_browser=x": "a=b",
		"SALLYPORT_session=x; a=b": "a=b", "__host-Sallyport_portal=x;a=b": "a=b", "a=sallyport_session=x": "a=sallyport_session=x", "my_sallyport_x=1": "my_sallyport_x=1", "\"sallyport_session\"=x; a=b": "a=b",
		"a=b; sallyport_session": "a=b", "sallyport_ephemeral=1; sallyport_link=2; __Host-sallyport_device=3": "", "": "", "a=b; sallyport_x=1; c=d; sallyport_y=2; e=f": "a=b; c=d; e=f",
	} {
		h := http.Header{"Cookie": {in}, "X": {"y"}}
		web.StripCookies(h)
		if got := h.Get("Cookie"); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		if got := web.CookieWithoutOurs(http.Header{"Cookie": {in}}); got != want {
			t.Errorf("without ours %q is %q, want %q", in, got, want)
		}
	}
	if got := web.CookieWithoutOurs(http.Header{"Cookie": {"a=b", "sallyport_session=x", "c=d"}}); got != "a=b; c=d" {
		t.Errorf("several lines: %q", got)
	}
}

// S4, S10: a page of somebody else posts to us.
func TestSiteOf(t *testing.T) {
	self := []string{"https://auth.example.com"}
	for _, c := range []struct {
		origin, site []string
		want         web.Site
	}{
		{nil, nil, web.SiteUnknown},
		{self, nil, web.SiteSame},
		{self, []string{"same-origin"}, web.SiteSame},
		{nil, []string{"none"}, web.SiteSame},
		{[]string{"https://evil.test"}, nil, web.SiteForeign},
		{[]string{"https://evil.test"}, []string{"same-origin"}, web.SiteForeign},
		{self, []string{"cross-site"}, web.SiteForeign},
		{self, []string{"same-site"}, web.SiteForeign},
		{nil, []string{"cross-site"}, web.SiteForeign},
		{nil, []string{""}, web.SiteForeign},
		{[]string{"null"}, nil, web.SiteForeign},
		{[]string{""}, nil, web.SiteForeign},
		{[]string{"http://auth.example.com"}, nil, web.SiteForeign},
		{[]string{"https://auth.example.com:8443"}, nil, web.SiteForeign},
		{[]string{"https://auth.example.com.evil.test"}, nil, web.SiteForeign},
		{[]string{self[0], "https://evil.test"}, nil, web.SiteForeign},
		{self, []string{"same-origin", "same-origin"}, web.SiteForeign},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		if c.origin != nil {
			r.Header["Origin"] = c.origin
		}
		if c.site != nil {
			r.Header["Sec-Fetch-Site"] = c.site
		}
		if got := web.SiteOf(r, self...); got != c.want {
			t.Errorf("%q %q: %v, want %v", c.origin, c.site, got, c.want)
		}
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.Header["Origin"] = []string{""}
	if web.SiteOf(r, "") != web.SiteForeign {
		t.Error("an empty origin of ours admits an empty Origin")
	}
}

func TestNavigation(t *testing.T) {
	for want, list := range map[bool][]http.Header{
		true:  {{"Sec-Fetch-Mode": {"navigate"}}, {"Accept": {"text/html,*/*"}}, {"Sec-Fetch-Mode": {"navigate"}, "X-Requested-With": {"x"}}},
		false: {{}, {"Accept": {"*/*"}}, {"Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html"}}, {"Accept": {"text/html"}, "X-Requested-With": {"XMLHttpRequest"}}, {"Accept": {"text/html"}, "Sec-Fetch-Site": {"none"}}, {"Sec-Fetch-Mode": {"navigate", "navigate"}}, {"Sec-Fetch-Mode": {"websocket"}}},
	} {
		for _, h := range list {
			if web.Navigation(h) != want {
				t.Errorf("%v: %v", h, !want)
			}
		}
	}
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		wait   time.Duration
	}{
		{nil, 200, "", 0},
		{fmt.Errorf("sign in: %w", login.ErrDenied), 401, "denied", 0},
		{&throttle.Throttled{RetryAfter: 3 * time.Second}, 429, "throttled", 3 * time.Second},
		{fmt.Errorf("hash: %w", &secret.Busy{RetryAfter: time.Second}), 503, "busy", time.Second},
		{store.ErrNoSpace, 503, "no_space", 0},
		{context.Canceled, 503, "unavailable", 0},
		{session.ErrNone, 401, "unauthenticated", 0},
		{account.ErrUnknownRealm, 404, "unknown_realm", 0},
		{account.ErrExists, 409, "exists", 0},
		{account.ErrForbidden, 403, "forbidden", 0},
		{account.ErrNotFresh, 403, "not_fresh", 0},
		{account.ErrInvalid, 422, "invalid", 0},
		{errors.New("badger: /var/lib/secret-place is on fire"), 500, "failed", 0},
		{io.ErrUnexpectedEOF, 500, "failed", 0},
	} {
		status, code, text, wait := web.Answer(c.err)
		if status != c.status || code != c.code || wait != c.wait {
			t.Errorf("%v: %d %q %v", c.err, status, code, wait)
		}
		if status >= 500 && c.err != nil && strings.Contains(text, c.err.Error()) {
			t.Errorf("a failure shows itself: %q", text)
		}
		if web.Failed(c.err) != (status >= 500 && code != "busy") {
			t.Errorf("%v: failed %v", c.err, web.Failed(c.err))
		}
	}
	w := httptest.NewRecorder()
	status, code, text, wait := web.Answer(&throttle.Throttled{RetryAfter: 1500 * time.Millisecond})
	web.WriteProblem(w, status, code, text, wait)
	if w.Code != 429 || w.Header().Get("Retry-After") != "2" || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Body.String(), `"code":"throttled"`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestOwnOriginAndForwarded(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"https", "App.example.com"}: "https://app.example.com", {"https", "a:443"}: "https://a", {"http", "a:80"}: "http://a", {"https", "a:80"}: "https://a:80", {"http", "[::1]:9091"}: "http://[::1]:9091",
		{"https", "a\r\nX: y"}: "", {"javascript", "a"}: "", {"https", "u@a"}: "", {"https", ""}: "",
	} {
		if got := web.OwnOrigin(in[0], in[1]); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for name, forwarded := range map[string]bool{"X-Forwarded-For": true, "X_forwarded_host": true, "Forwarded": true, "X-Real-Ip": true, "X-Original-Url": true, "Via": true, "Accept": false, "X-Real": false} {
		if got := web.Forwarded(http.Header{name: {"x"}}); got != forwarded {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, name := range []string{"X-Http-Method-Override", "X_HTTP_Method_override", "X-Http-Method", "X-Method-Override"} {
		h := http.Header{name: {"DELETE"}, "Accept": {"x"}}
		if !web.MethodOverrides(h) {
			t.Errorf("%s overrides nothing", name)
		}
		if web.StripMethodOverrides(h); len(h) != 1 {
			t.Errorf("%s stays", name)
		}
	}
	if web.Peer(&http.Request{RemoteAddr: "[fe80::1%eth0]:1"}) != netip.MustParseAddr("fe80::1") {
		t.Error("a zone is part of the client")
	}
}

// FuzzStripCookies: nothing of ours is left, in whatever the client sent, and
// nothing else is lost.
func FuzzStripCookies(f *testing.F) {
	for _, s := range []string{"a=b; sallyport_session=x", ";;", "__Host-sallyport_portal", "a=\"; sallyport_session=x\"", "=; =sallyport_session"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := web.CookieWithoutOurs(http.Header{"Cookie": {line}})
		for _, name := range []string{"sallyport_session", "__Host-sallyport_session", "__Secure-sallyport_session", "__Host-sallyport_portal", "sallyport_browser"} {
			if web.Cookie(http.Header{"Cookie": {got}}, name) != "" {
				t.Fatalf("%q became %q, which still has %s", line, got, name)
			}
		}
		if !strings.Contains(strings.ToLower(line), "sallyport_") && got != line {
			t.Fatalf("%q became %q", line, got)
		}
	})
}

// A hostile host below the cookie domain plants a second session cookie. The guard
// recognises nobody then, but the portal does not see that cookie and would send
// whoever is signed in there back at once. Gained before: a browser that goes to and
// fro.
func TestTwoCookiesAskForANewLogin(t *testing.T) {
	targets, err := guard.NewTargets(guard.TargetOptions{Portal: "https://auth.example.com", Domains: []string{"example.com"}, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	site := &web.LoginSite{Portal: "https://auth.example.com", Cookies: web.Cookies{Scheme: "https", Domain: "example.com"}, Targets: targets}
	const name = "__Secure-sallyport_session"
	for _, c := range []struct {
		cookies  []string
		stranger bool
	}{
		{nil, false},
		{[]string{name + "=a"}, false},
		{[]string{name + "=a; other=b; sallyport_session=c; x" + name + "=d; " + name}, false},
		{[]string{name + "=a; " + name + "=b"}, true},
		{[]string{name + "=a", name + "="}, true},
	} {
		for _, uri := range []string{"/x", "/" + strings.Repeat("x", 4000)} { // the second is too long to come back to
			location := site.Location(http.Header{"Cookie": c.cookies}, "https", "https://a.example.com", uri, guard.Demand{}, time.Now())
			u, err := url.Parse(location)
			if err != nil || u.Path != web.LoginPath || (u.Query().Get("m") == "stranger") != c.stranger {
				t.Errorf("%v: %.100s (%v)", c.cookies, location, err)
			}
		}
	}
}

// Of a request that would have changed something the login page is told that its content
// does not come along; of a page, or a question about one, there is nothing to tell.
func TestUnsentFormsAreTold(t *testing.T) {
	for _, c := range []struct{ method, location, want string }{
		{"GET", "/sallyport/login?rd=%2Fx", "/sallyport/login?rd=%2Fx"},
		{"HEAD", "/sallyport/login", "/sallyport/login"},
		{"POST", "/sallyport/login?rd=%2Fx", "/sallyport/login?rd=%2Fx&unsent=yes"},
		{"PUT", "https://auth.example.com/sallyport/login", "https://auth.example.com/sallyport/login?unsent=yes"},
		{"BREW", "/sallyport/login", "/sallyport/login?unsent=yes"},
	} {
		if got := web.WithUnsent(c.location, c.method); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.location, got, c.want)
		}
	}
}
