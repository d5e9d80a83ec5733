package deploy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// What attackers send, through every proxy alike. What only nginx can get wrong
// stands in nginx_test.go.

// evil is what no application may ever see of a client's identity headers.
const evil = "evil-7c1f"

// identityNames are those of all presets, and of cousins in other gateways.
func identityNames() []string {
	var list []string
	for prefix, names := range map[string][]string{
		"Remote-":         {"User", "Name", "Email", "Groups", "Realm"},
		"X-Forwarded-":    {"User", "Name", "Email", "Groups", "Realm", "Preferred-Username", "Access-Token", "Roles"},
		"X-Auth-Request-": {"User", "Name", "Email", "Groups", "Realm", "Preferred-Username", "Access-Token"},
		"X-Authentik-":    {"Username", "Name", "Email", "Groups", "Realm", "Uid", "Jwt"},
		"X-Remote-":       {"User", "Groups"},
		"Sallyport-":      {"Assertion", "Authorization"},
	} {
		for _, n := range names {
			list = append(list, prefix+n)
		}
	}
	slices.Sort(list)
	return list
}

// spellings returns ways to write a header name that some application reads as
// the same one.
func spellings(name string) []string {
	words := strings.Split(name, "-")
	var list []string
	for _, sep := range []string{"-", "_", ".", "", "--", "-_"} {
		joined := strings.Join(words, sep)
		mixed := []byte(strings.ToLower(joined))
		for i := 1; i < len(mixed); i += 2 {
			if 'a' <= mixed[i] && mixed[i] <= 'z' {
				mixed[i] -= 'a' - 'A'
			}
		}
		list = append(list, joined, strings.ToLower(joined), strings.ToUpper(joined), string(mixed), joined+"_", "_"+joined)
	}
	return list
}

// clean fails when something that the client said about itself got through.
func clean(t *testing.T, what string, a *answer, user, groups string) {
	t.Helper()
	if a.app == nil {
		return
	}
	for _, h := range a.app.Header {
		if strings.Contains(h[1], evil) {
			t.Errorf("%s: the application got %s: %s", what, h[0], h[1])
		}
	}
	if got := a.app.one("Remote-User"); got != user {
		t.Errorf("%s: Remote-User %q, want %q", what, got, user)
	}
	if got := a.app.one("Remote-Groups"); got != groups {
		t.Errorf("%s: Remote-Groups %q, want %q", what, got, groups)
	}
}

// keepAlive is a client for many requests.
func (w *world) keepAlive(t *testing.T) *http.Client {
	c := w.client()
	transport := c.Transport.(*http.Transport)
	transport.DisableKeepAlives = false
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// A client says who it is, under every name and in every spelling that some
// application reads as that name. Gained before: any identity, on public pages,
// as a user without groups, and as any user.
func identityInEverySpelling(t *testing.T, w *world) {
	c := w.keepAlive(t)
	for _, who := range []struct{ host, as, user, groups string }{
		{"public.example.com", "", "", ""}, {appHost, "bob", "bob", ""}, {appHost, "alice", "alice", "ops,staff"},
	} {
		header := http.Header{}
		if who.as != "" {
			header = w.as(t, who.as)
		}
		// Those that a proxy sets or removes: all at once, each twice. HAProxy
		// takes 101 lines.
		for _, spell := range []func(string) string{func(s string) string { return s }, strings.ToLower, strings.ToUpper} {
			together := header.Clone()
			for _, name := range identityNames() {
				together[spell(name)] = []string{evil, evil}
			}
			a := w.ask(t, c, "GET", who.host, "/", together, "")
			if a.app == nil {
				t.Errorf("%s: %d: a request is refused whose headers could be removed", who.host, a.status)
			}
			clean(t, "all names", a, who.user, who.groups)
		}
		names := []string{"Remote-User", "Remote-Groups", "X-Forwarded-User"}
		if who.as == "alice" {
			names = []string{"X-Auth-Request-Email", "X-Authentik-Username", "Sallyport-Assertion"}
		}
		for _, name := range names {
			for _, spelled := range spellings(name) {
				one := header.Clone()
				one[spelled] = []string{evil}
				a := w.ask(t, c, "GET", who.host, "/", one, "")
				if a.app == nil && a.status != 403 && a.status != 400 {
					t.Errorf("%s: %s: %d", who.host, spelled, a.status)
				}
				clean(t, spelled, a, who.user, who.groups)
			}
		}
	}
}

func TestIdentityHeadersInEverySpelling(t *testing.T) { each(t, identityInEverySpelling) }

// The rule's preset decides which names carry the identity; the others are empty.
func TestPresets(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		header := w.as(t, "alice")
		header["X-Forwarded-User"], header["Remote-User"] = []string{evil}, []string{evil}
		a := w.get(t, "xf.example.com", "/", header)
		if a.app == nil || a.app.one("X-Forwarded-User") != "alice" || a.app.one("X-Forwarded-Groups") != "ops,staff" || a.app.one("Remote-User") != "" {
			t.Errorf("%d %+v", a.status, a.app)
		}
	})
}

// Connection names headers that the next hop removes: identity, or what says
// where the request came from. Gained before: an anonymous request that the
// application takes for a local one.
func hopByHop(t *testing.T, w *world) {
	cookie := "Cookie: " + w.session(t, "alice")
	for _, lines := range [][]string{
		{"Connection: close, Remote-User, X-Forwarded-For, Cookie"},
		{"connection: remote-user"},
		{"Connection: Remote-User", "Connection: X-Forwarded-Uri, X-Forwarded-Host, X-Original-URL, X-Original-Method, Authorization"},
		{"Connection: keep-alive, REMOTE-USER, remote-groups", "Keep-Alive: timeout=5"},
		{"Connection: upgrade, remote-user", "Upgrade: h2c"},
		{"Proxy-Connection: Remote-User", "TE: trailers, Remote-User"},
	} {
		request := "GET / HTTP/1.1\r\nHost: " + appHost + ":" + w.port + "\r\n" + cookie + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
		a := w.raw(t, request)
		if a == nil || a.app == nil {
			if a != nil && a.status == 400 {
				continue
			}
			t.Errorf("%q: not answered: %+v", lines, a)
			continue
		}
		if a.app.one("Remote-User") != "alice" || a.app.one("Remote-Groups") != "ops,staff" || a.app.one("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("%q: %+v", lines, a.app.Header)
		}
		for _, token := range a.app.values("Connection") {
			for part := range strings.SplitSeq(token, ",") {
				if p := strings.ToLower(strings.TrimSpace(part)); p != "" && !slices.Contains([]string{"close", "keep-alive", "upgrade", "te"}, p) {
					t.Errorf("%q: the application's hop is told to drop %q", lines, p)
				}
			}
		}
	}
	// Without a session it stays anonymous.
	if a := w.rawGet(t, appHost, "/", "Connection: X-Forwarded-Uri, X-Original-URL"); a == nil || a.app != nil || a.status/100 == 2 {
		t.Errorf("%+v", a)
	}
}

func TestConnectionNamesNoHeaderOfOurs(t *testing.T) { each(t, hopByHop) }

// A client writes the headers by which a proxy tells the gateway what was asked.
// Gained before: the decision for a public page, or for another client.
func forwardedHeaders(t *testing.T, w *world) {
	c := w.keepAlive(t)
	for name, values := range map[string][]string{
		"X-Forwarded-For":    {"192.0.2.7", "192.0.2.7, 127.0.0.1", "a", "1.2.3.4:80", "[::1", strings.Repeat("9", 6000), "１.2.3.4", ""},
		"X-Forwarded-Host":   {"public.example.com", "evil.example", "app.example.com\t"},
		"X-Forwarded-Proto":  {"http", "javascript", ""},
		"X-Forwarded-Uri":    {"/public/x", "/sallyport/login", ""},
		"X-Forwarded-Method": {"OPTIONS", "get", "TRACE"},
		"X-Forwarded-Prefix": {"/public"},
		"X-Forwarded-Port":   {"80"},
		"X-Original-Url":     {"https://app.example.com/public/x", "/public/x", ""},
		"X-Original-Uri":     {"/public/x", "/sallyport/healthz"},
		"X-Original-Method":  {"OPTIONS"},
		"X-Real-Ip":          {"192.0.2.7"},
		"True-Client-Ip":     {"192.0.2.7"},
		"Forwarded":          {"for=192.0.2.7;host=public.example.com;proto=http"},
		"User-Agent":         {"kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0"},
	} {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", ".")} {
			for _, value := range values {
				for _, target := range []string{"/x", "/network/x", "/admin/x"} {
					a := w.ask(t, c, "GET", appHost, target, http.Header{spelled: {value}}, "")
					if a.app != nil || a.status/100 == 2 || a.status >= 500 {
						t.Errorf("%s: %.60s on %s: %d", spelled, value, target, a.status)
					}
					if l := a.header.Get("Location"); l != "" && !strings.HasPrefix(l, w.url(portalHost, "/sallyport/login")) {
						t.Errorf("%s: %.60s: Location %q", spelled, value, l)
					}
				}
			}
		}
		// In its own spelling a proxy overwrites it, and a user is not disturbed.
		for _, value := range values {
			header := w.as(t, "alice")
			header[name] = []string{value, value}
			if value == "" || name == "User-Agent" {
				header[name] = []string{value}
			}
			a := w.ask(t, c, "GET", appHost, "/admin/x", header, "")
			if a.app == nil {
				t.Errorf("%s: %.60s: alice gets %d", name, value, a.status)
				continue
			}
			if got := a.app.one("X-Forwarded-For"); got != "127.0.0.1" {
				t.Errorf("%s: %.60s: the application got X-Forwarded-For %q", name, value, got)
			}
			if got := a.app.one("X-Forwarded-Host"); got != appHost+":"+w.port {
				t.Errorf("%s: %.60s: the application got X-Forwarded-Host %q", name, value, got)
			}
			if got := a.app.one("X-Original-Url") + a.app.one("X-Forwarded-Uri"); got != "" && strings.Contains(got, "public") {
				t.Errorf("%s: %.60s: the application got %q", name, value, got)
			}
		}
	}
}

func TestForwardedHeadersOfAClientChangeNothing(t *testing.T) { each(t, forwardedHeaders) }

// The endpoints that proxies ask must not answer the world: whoever asks them
// could try cookies there, or read what comes back.
func TestAuthzPathsAreClosedFromOutside(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		cookie := "Cookie: " + w.session(t, "alice")
		for _, host := range []string{portalHost, appHost} {
			for _, target := range []string{
				"/sallyport/authz/forward-auth", "/sallyport/authz/auth-request", "/sallyport/authz/ext-authz/", "/sallyport/authz/ext-authz/x", "/sallyport/authz/",
				"/sallyport/authz/forward-auth?factors=0", "/api/authz/forward-auth", "/api/authz/auth-request", "/api/authz/ext-authz/x?y",
				"/sallyport/authz/ext-authz/../../login", "/sallyport/authz/ext-authz/%2e%2e/%2e%2e/login", "/sallyport/authz/ext-authz//..//../healthz",
				"/api/authz/ext-authz/../../../sallyport/login",
			} {
				a := w.rawGet(t, host, target, cookie, "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Uri: /x", "X-Original-Method: GET", "X-Original-URL: https://app.example.com/x")
				if a == nil || a.status != 404 {
					t.Errorf("%s%s: %+v", host, target, a)
				}
			}
			// Other spellings are nobody's endpoint, whoever answers.
			for _, target := range []string{"/sallyport/%61uthz/forward-auth", "//sallyport/authz/forward-auth", "/x/../sallyport/authz/ext-authz/x", "/Sallyport/authz/forward-auth", "/sallyport/authz;x/forward-auth", "http://" + host + "/sallyport/authz/ext-authz/x"} {
				a := w.rawGet(t, host, target, "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Uri: /public/x", "X-Original-Method: GET", "X-Original-URL: https://app.example.com/public/x")
				if a != nil && (a.app != nil || a.header.Get("Remote-Realm") != "" || len(a.header["Remote-User"]) > 0) {
					t.Errorf("%s%s: %d with %v", host, target, a.status, a.header)
				}
			}
		}
		// The rest of /sallyport/ is there, on both hosts.
		if a := w.get(t, appHost, "/sallyport/healthz", nil); a.status != 200 || a.app != nil {
			t.Errorf("health: %d", a.status)
		}
		if a := w.get(t, appHost, "/sallyport/", page); a.status != 302 || a.app != nil {
			t.Errorf("pages on a guarded host: %d", a.status)
		}
	})
}

// Our cookies stay here, in every form; everybody else's go on.
func TestCookiesGoOnWithoutOurs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ours := w.session(t, "alice")
		for name, c := range map[string]struct {
			lines []string
			want  string
		}{
			"alone":       {[]string{"Cookie: " + ours}, ""},
			"first":       {[]string{"Cookie: " + ours + "; a=1; b=x%20y"}, "a=1; b=x%20y"},
			"in between":  {[]string{"Cookie: a=1; " + ours + "; b=2"}, "a=1; b=2"},
			"two lines":   {[]string{"Cookie: a=1", "Cookie: " + ours + "; b=2"}, "a=1; b=2"},
			"long":        {[]string{"Cookie: a=" + strings.Repeat("x", 2400), "Cookie: b=" + strings.Repeat("y", 2400), "Cookie: " + ours + "; c=" + strings.Repeat("z", 2400)}, "a=" + strings.Repeat("x", 2400) + "; b=" + strings.Repeat("y", 2400) + "; c=" + strings.Repeat("z", 2400)},
			"other names": {[]string{"Cookie: a=1; " + ours + "; __Host-sallyport_session=x; SALLYPORT_browser=y; sallyport_other=z"}, "a=1"},
		} {
			a := w.rawGet(t, appHost, "/", c.lines...)
			if a == nil || a.app == nil {
				t.Errorf("%s: %+v", name, a)
				continue
			}
			if got := strings.Join(a.app.values("Cookie"), "; "); got != c.want {
				t.Errorf("%s: the application got %.200q, want %.200q", name, got, c.want)
			}
		}
		if a := w.rawGet(t, "public.example.com", "/", "Cookie: a=1; "+ours); a == nil || a.app == nil || a.app.one("Cookie") != "a=1" || a.app.one("Remote-User") != "alice" && a.app.one("Remote-User") != "" {
			t.Errorf("on a public page: %+v", a)
		}
	})
}

// Cookies that cannot be ours are nobody (authentik, CVE-2026-25748: a malformed
// one was let in).
func brokenCookies(t *testing.T, w *world) {
	good := w.session(t, "alice")
	name, value, _ := strings.Cut(good, "=")
	for _, line := range []string{
		"Cookie: " + name + "=", "Cookie: " + name, "Cookie: " + good[:len(good)-1], "Cookie: " + good + "A", "Cookie: " + name + "=\x80\xff\x01", "Cookie: " + good + "; " + good,
		"Cookie: " + strings.ToUpper(name) + "=" + value, "Cookie: " + name + " =" + value, "Cookie: " + name + "=" + strings.Repeat("A", 5000), "Cookie: sallyport_session=" + value,
		"Cookie: __Host-sallyport_session=" + value, "Cookie: ;;;=;" + name, "Cookie: " + name + "=\"" + value + "\"x", "Cookie: " + name + "=" + value[:10],
	} {
		a := w.rawGet(t, appHost, "/", line)
		if a != nil && (a.app != nil || a.status/100 == 2) {
			t.Errorf("%.80q: %d", line, a.status)
		}
	}
	if a := w.rawGet(t, appHost, "/", "Cookie: "+good, "Cookie: "+good); a != nil && a.app != nil {
		t.Errorf("the same cookie in two lines: %d", a.status)
	}
}

func TestBrokenCookiesAreNobody(t *testing.T) { each(t, brokenCookies) }

// Tokens of ours stop here; an Authorization that the application understands
// goes on.
func TestAuthorizationGoesOnUnlessItIsOurs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		token := w.token(t, "alice")
		foreign := "Basic " + base64.StdEncoding.EncodeToString([]byte("app:secret"))
		cookie := "Cookie: " + w.session(t, "alice")
		for name, c := range map[string]struct {
			lines  []string
			status int
			want   string
		}{
			"ours":                  {[]string{"Authorization: Bearer " + token}, 200, ""},
			"foreign, with cookie":  {[]string{cookie, "Authorization: " + foreign}, 200, foreign},
			"foreign Bearer":        {[]string{cookie, "Authorization: Bearer abc.def.ghi"}, 200, "Bearer abc.def.ghi"},
			"ours, with cookie":     {[]string{cookie, "Authorization: Bearer " + token}, 200, ""},
			"a service's":           {[]string{cookie, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("robot@users:123456"))}, 200, ""},
			"foreign alone":         {[]string{"Authorization: " + foreign}, 401, ""},
			"ours, damaged":         {[]string{"Authorization: Bearer " + token[:len(token)-4] + "AAAA"}, 401, ""},
			"two":                   {[]string{"Authorization: Bearer " + token, "Authorization: " + foreign}, 400, ""},
			"damaged, waiting page": {[]string{"Authorization: Bearer " + token[:len(token)-4] + "AAAA", "Accept: text/html", "Sec-Fetch-Mode: navigate"}, 401, ""},
		} {
			a := w.rawGet(t, appHost, "/", c.lines...)
			if a == nil || a.status != c.status || (a.app != nil) != (c.status == 200) {
				t.Errorf("%s: %+v, want %d", name, a, c.status)
				continue
			}
			if a.app != nil && (a.app.one("Authorization") != c.want || a.app.one("Remote-User") != "alice" || strings.Contains(fmt.Sprint(a.app.Header), token)) {
				t.Errorf("%s: the application got %v", name, a.app.Header)
			}
		}
	})
}

// readings are the paths that applications make of a raw target, written without
// the gateway's own code.
func readings(target string) []string {
	path, _, _ := strings.Cut(target, "?")
	decoded := []string{path}
	for range 3 {
		next, err := url.PathUnescape(path)
		if err != nil {
			break
		}
		path = next
		decoded = append(decoded, path)
	}
	var all []string
	for _, p := range decoded {
		for _, slashes := range []string{p, strings.ReplaceAll(p, `\`, "/")} {
			var cut []string
			for segment := range strings.SplitSeq(slashes, "/") {
				segment, _, _ = strings.Cut(segment, ";")
				cut = append(cut, segment)
			}
			for _, q := range []string{slashes, strings.Join(cut, "/")} {
				all = append(all, q, strings.ToLower(q), resolved(q), strings.ToLower(resolved(q)))
			}
		}
	}
	return all
}

// resolved merges slashes and removes dot segments.
func resolved(p string) string {
	var out []string
	for segment := range strings.SplitSeq(p, "/") {
		switch segment {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

// tricks are targets that one reader takes for /public/… and another for
// /admin/… or anything else.
func tricks() []string {
	list := []string{"/admin%2f..", "/admin/.", "//admin/x", "/Admin/x", "/ADMIN/x", "/%61dmin/x", "/admin;x=1/x", `/admin\x`, "/./admin/x", "/admin%00/x", "/admin%0a", "/public/%00", "/public%2fx/%2e%2e/%2e%2e/admin/x", "/admin/%", "/admin/%zz", "/public/x%", "/public#/../admin/x", "/public%23/../admin/x", "/public%3f/../admin/x"}
	for _, up := range []string{"..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..;", "..;x=1", "%2e%2e;a"} {
		for _, slash := range []string{"/", "%2f", "%5c", `\`, "//", "%252f"} {
			list = append(list, "/public/x"+slash+up+slash+up+slash+"admin/x", "/public/"+up+slash+"admin"+slash+"x", "/public"+slash+up+slash+"secret")
		}
	}
	return list
}

// The rule reads one path and the application another. Gained before: any page,
// by way of a public one.
func pathTricks(t *testing.T, w *world) {
	bob := "Cookie: " + w.session(t, "bob")
	refused := 0
	for _, target := range tricks() {
		for _, as := range []string{"", bob} {
			var lines []string
			if as != "" {
				lines = []string{as}
			}
			a := w.rawGet(t, appHost, target, lines...)
			if a == nil || a.app == nil {
				refused++
				if a != nil && a.status/100 == 2 {
					t.Errorf("%s: %d without the application", target, a.status)
				}
				continue
			}
			if w.proxy != "caddy" && a.app.Target != target {
				t.Errorf("%s: the application got %s", target, a.app.Target)
			}
			for _, reading := range readings(a.app.Target) {
				if strings.HasPrefix(reading, "/admin/") || reading == "/admin" {
					t.Errorf("%s: the application may read %s from %s (signed in: %v)", target, reading, a.app.Target, as != "")
				}
				if r := resolved(reading); as == "" && r != "/public" && !strings.HasPrefix(r, "/public/") {
					t.Errorf("%s: a stranger reached what may be read as %s", target, reading)
				}
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: the table tests nothing")
	}
	for _, good := range []string{"/public/x", "/public/a%20b?x=%2e%2e/admin", "/public/"} {
		if a := w.rawGet(t, appHost, good); a == nil || a.app == nil || a.app.Target != good {
			t.Errorf("%s: %+v", good, a)
		}
	}
}

func TestWhatTheRuleSawIsWhatTheApplicationGets(t *testing.T) { each(t, pathTricks) }

// A public word behind ? or # (oauth2-proxy, CVE-2025-54576, CVE-2026-41059).
func queries(t *testing.T, w *world) {
	for _, target := range []string{"/secret?x=/public/", "/?/public/x", "/secret?/../public/", "/secret%3f/public/", "/secret%23/public/x", "/foo/secret%23/public/bar", "/secret?factors=0", "/secret?rd=/public/", "/secret;/public/x"} {
		if a := w.rawGet(t, appHost, target); a != nil && (a.app != nil || a.status/100 == 2) {
			t.Errorf("%s: %d", target, a.status)
		}
	}
	// A query is no parameter of the question either, and arrives as it is.
	cookie := "Cookie: " + w.session(t, "bob")
	for _, target := range []string{"/x?groups=ops&realm=nobody&factors=2&fresh=1s", "/x?a=%zz", "/x?factors=9", "/x?x=1;y=2&&="} {
		if a := w.rawGet(t, appHost, target, cookie); a == nil || a.app == nil || a.app.Target != target {
			t.Errorf("%s: %+v", target, a)
		}
	}
}

func TestTheQueryNeverTakesPart(t *testing.T) { each(t, queries) }

// Another spelling of a host, another host, two hosts (Authelia, CVE-2026-48794;
// tinyauth, CVE-2026-77560).
func hosts(t *testing.T, w *world) {
	ask := func(host string, lines ...string) *answer {
		return w.raw(t, "GET /admin/x HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n"+strings.Join(append(lines, "", ""), "\r\n"))
	}
	alice, bob := "Cookie: "+w.session(t, "alice"), "Cookie: "+w.session(t, "bob")
	for _, host := range []string{appHost, "APP.example.COM", "app.example.com.", "App.Example.Com:" + w.port, "app.example.com:443"} {
		if a := ask(host, bob); a == nil || a.app != nil || a.status == 404 {
			t.Errorf("%s: bob: %+v", host, a)
		}
		if a := ask(host, alice); a == nil || a.app != nil && a.app.one("Remote-User") != "alice" {
			t.Errorf("%s: alice: %+v", host, a)
		}
	}
	for _, host := range []string{"old.example.com", "other.example.com", "unknown.example.org", "[::1]", "127.0.0.1", "app.example.com@public.example.com", "public.example.com/app.example.com", "ａpp.example.com", "public.example.com, app.example.com", "", "public.example.com:x"} {
		if a := ask(host, alice); a != nil && a.app != nil {
			t.Errorf("%q: %d", host, a.status)
		}
	}
	// Two hosts: the rule must not be chosen by one and the site by the other.
	for _, lines := range [][]string{
		{"GET /x HTTP/1.1", "Host: public.example.com", "Host: app.example.com"},
		{"GET /x HTTP/1.1", "Host: app.example.com", "Host: public.example.com"},
		{"GET https://app.example.com/x HTTP/1.1", "Host: public.example.com"},
		{"GET https://public.example.com/x HTTP/1.1", "Host: app.example.com"},
		{"GET http://app.example.com/x HTTP/1.1", "Host: public.example.com:" + w.port},
		{"GET https://public.example.com@app.example.com/x HTTP/1.1", "Host: public.example.com"},
		{"GET /x HTTP/1.0"},
	} {
		a := w.raw(t, strings.Join(append(lines, "Connection: close", "", ""), "\r\n"))
		if a == nil || a.app == nil {
			continue
		}
		if host := a.app.one("Host"); !strings.HasPrefix(host, "public.example.com") || strings.Contains(strings.Join(a.app.values("X-Forwarded-Host"), ""), "app") {
			t.Errorf("%q: the application got Host %q and %+v", lines, host, a.app.Header)
		}
	}
}

func TestHosts(t *testing.T) { each(t, hosts) }

// Methods in other letters, unknown ones, and those that a header names
// (gatekeeper, CVE-2020-14359).
func methods(t *testing.T, w *world) {
	cookie := "Cookie: " + w.session(t, "alice")
	ask := func(method, target string, lines ...string) *answer {
		return w.raw(t, method+" "+target+" HTTP/1.1\r\nHost: "+appHost+":"+w.port+"\r\nConnection: close\r\n"+strings.Join(append(lines, "", ""), "\r\n"))
	}
	if a := ask("GET", "/methods/x", cookie); a == nil || a.app == nil {
		t.Errorf("GET: %+v", a)
	}
	for _, method := range []string{"get", "Get", "FOO", "PROPFIND", "POST", "DELETE", "G\tT", "GET\x00", "TRACE", "CONNECT", "OPTIONS"} {
		if a := ask(method, "/methods/x", cookie, "Content-Length: 0", "X-Forwarded-Method: GET", "X-Original-Method: GET"); a != nil && a.app != nil {
			t.Errorf("%q: %d", method, a.status)
		}
	}
	for _, header := range []string{"X-HTTP-Method-Override: DELETE", "X-Http-Method: PUT", "X-Method-Override: PATCH"} {
		if a := ask("GET", "/methods/x", cookie, header); a == nil || a.app != nil || a.status != 400 {
			t.Errorf("%s: %+v", header, a)
		}
	}
	if a := ask("TRACE", "/x", cookie); a == nil || a.app != nil || a.status != 405 {
		t.Errorf("TRACE: %+v", a)
	}
	for _, method := range []string{"PROPFIND", "PATCH", "FOO"} { // no rule looks at it
		if a := ask(method, "/x", cookie, "Content-Length: 0"); a == nil || a.app == nil || a.app.Method != method {
			t.Errorf("%s: %+v", method, a)
		}
		if a := ask(method, "/x", "Content-Length: 0"); a == nil || a.app != nil || a.status != 401 {
			t.Errorf("a stranger's %s: %+v", method, a)
		}
	}
}

func TestMethods(t *testing.T) { each(t, methods) }

// A header that counts, twice: whoever reads the first and whoever reads the
// last would see two requests.
func doubled(t *testing.T, w *world) {
	cookie := "Cookie: " + w.session(t, "alice")
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Proto", "X-Forwarded-Method", "X-Forwarded-For", "X-Original-URL", "X-Original-Method"} {
		for _, lines := range [][]string{{name + ": public.example.com", name + ": app.example.com"}, {name + ": /public/x, /admin/x"}} {
			if a := w.rawGet(t, appHost, "/admin/x", lines...); a != nil && a.app != nil {
				t.Errorf("%q: a stranger was let in", lines)
			}
			if a := w.rawGet(t, appHost, "/admin/x", append(lines, cookie)...); a == nil || a.app == nil {
				t.Errorf("%q: alice: %+v", lines, a)
			}
		}
	}
	if a := w.rawGet(t, appHost, "/", cookie, "Authorization: Basic eDp5", "Authorization: Bearer x"); a == nil || a.app != nil || a.status != 400 {
		t.Errorf("two Authorizations: %+v", a)
	}
}

func TestDoubledHeaders(t *testing.T) { each(t, doubled) }

// A WebSocket's handshake is a request like any other.
func webSocket(t *testing.T, w *world) {
	for _, target := range []string{"/ws", "/admin/ws"} {
		handshake := func(lines ...string) (*http.Response, net.Conn, *bufio.Reader) {
			c, err := tls.Dial("tcp", "127.0.0.1:"+w.port, &tls.Config{RootCAs: authorities, ServerName: appHost})
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			lines = append([]string{"GET " + target + " HTTP/1.1", "Host: " + appHost + ":" + w.port, "Connection: Upgrade, Remote-User", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
				"Origin: https://" + appHost + ":" + w.port, "Sec-Fetch-Mode: websocket", "Remote-User: " + evil}, lines...)
			if _, err := io.WriteString(c, strings.Join(append(lines, "", ""), "\r\n")); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			res, err := http.ReadResponse(in, &http.Request{Method: "GET"})
			if err != nil {
				t.Fatal(err)
			}
			return res, c, in
		}
		res, c, _ := handshake()
		c.Close()
		if res.StatusCode != 401 {
			t.Errorf("%s: a stranger's handshake: %d", target, res.StatusCode)
		}
		res, c, in := handshake("Cookie: " + w.session(t, "alice"))
		if res.StatusCode != 101 || res.Header.Get("X-Remote-User") != "alice" {
			t.Fatalf("%s: alice's handshake: %d %v", target, res.StatusCode, res.Header)
		}
		if _, err := io.WriteString(c, "hello\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
			t.Errorf("%s: through the tunnel: %q %v", target, line, err)
		}
		c.Close()
	}
}

func TestWebSocketNeedsASession(t *testing.T) { each(t, webSocket) }

// The same over HTTP/2, where headers are written otherwise.
func overHTTP2(t *testing.T, w *world) {
	c := w.h2()
	defer c.CloseIdleConnections()
	send := func(target string, header http.Header, host string) (*answer, string) {
		r, err := http.NewRequest("GET", w.url(appHost, target), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		if host != "" {
			r.Host = host
		}
		res, err := c.Do(r)
		if err != nil {
			return nil, ""
		}
		return read(t, res), res.Proto
	}
	a, proto := send("/x", page.Clone(), "")
	if a == nil || a.status != 302 || proto != "HTTP/2.0" {
		t.Fatalf("%+v over %s", a, proto)
	}
	header := w.as(t, "alice")
	for _, name := range identityNames() {
		header[name] = []string{evil, evil}
	}
	header["Te"] = []string{"trailers"}
	a, _ = send("/admin/x", header, "")
	if a == nil || a.app == nil {
		t.Fatalf("alice: %+v", a)
	}
	clean(t, "HTTP/2", a, "alice", "ops,staff")
	for _, spelled := range []string{"remote_user", "remote.user", "Remote_User", "x_forwarded_uri", "x_original_url"} {
		a, _ := send("/x", http.Header{spelled: {evil}}, "")
		if a != nil && a.app != nil {
			t.Errorf("%s: a stranger was let in", spelled)
		}
		header := w.as(t, "bob")
		header[spelled] = []string{evil}
		if a, _ := send("/x", header, ""); a != nil {
			clean(t, spelled, a, "bob", "")
		}
	}
	// :authority of another site, on a connection for this one.
	if a, _ := send("/admin/x", w.as(t, "bob"), "public.example.com:"+w.port); a != nil && a.app != nil && !strings.HasPrefix(a.app.one("Host"), "public.example.com") {
		t.Errorf("another authority: %+v", a.app)
	}
	if a, _ := send("/x", http.Header{"Host": {"public.example.com"}}, ""); a != nil && a.app != nil && strings.HasPrefix(a.app.one("Host"), appHost) {
		t.Errorf("a second host: %+v", a.app)
	}
}

func TestOverHTTP2(t *testing.T) { each(t, overHTTP2) }

// The body goes to the application and nowhere else.
func TestBodiesArriveWhole(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		body := strings.Repeat("0123456789abcdef", 4096)
		header := w.as(t, "alice")
		header["Content-Type"] = []string{"application/octet-stream"}
		if a := w.ask(t, w.client(), "POST", appHost, "/upload", header, body); a.app == nil || a.app.Body != body {
			t.Errorf("%d, %d bytes", a.status, len(a.body))
		}
		chunked := "POST /upload HTTP/1.1\r\nHost: " + appHost + ":" + w.port + "\r\nCookie: " + w.session(t, "alice") + "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
		if a := w.raw(t, chunked); a == nil || a.app == nil || a.app.Body != "hello" {
			t.Errorf("chunked: %+v", a)
		}
	})
}

// Identity in trailers is identity to applications that merge them with the
// headers. nginx passes none; HAProxy and Caddy do, and their pages of the manual
// say so. No proxy merges them by itself.
func TestTrailersAreNoHeaders(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		request := "POST /upload HTTP/1.1\r\nHost: " + appHost + ":" + w.port + "\r\nCookie: " + w.session(t, "bob") + "\r\nTE: trailers\r\nTrailer: Remote-User\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nRemote-User: " + evil + "\r\n\r\n"
		a := w.raw(t, request)
		if a == nil || a.app == nil || a.app.values("Remote-User")[0] != "bob" {
			t.Fatalf("%+v", a)
		}
		if passed := len(a.app.values("Remote-User")) > 1; passed != (w.proxy != "nginx") {
			t.Errorf("the trailer arrived: %v; the manual says otherwise", passed)
		}
	})
}

// What the gateway answers arrives as such, whatever the proxy makes of it.
func TestStatusesArrive(t *testing.T) {
	for _, proxy := range proxyNames {
		t.Run(proxy, func(t *testing.T) {
			w := stubbed(t, proxy, func(rw http.ResponseWriter, r *http.Request) {
				status := 0
				_, _ = fmt.Sscan(r.Header.Get("X-Wanted"), &status)
				if r.ContentLength != 0 {
					status = 418 // the question has no body
				}
				if status == 429 || status == 503 {
					rw.Header().Set("Retry-After", "17")
				}
				if status == 0 {
					panic(http.ErrAbortHandler)
				}
				if status == 301 {
					rw.Header().Set("Location", "https://evil.example/")
				}
				rw.WriteHeader(status)
			})
			for _, status := range []int{400, 403, 405, 429, 431, 503} {
				for _, method := range []string{"GET", "POST"} {
					a := w.ask(t, w.client(), method, appHost, "/x", http.Header{"X-Wanted": {fmt.Sprint(status)}}, map[string]string{"POST": "body"}[method])
					if a.status != status || a.app != nil {
						t.Errorf("%s %d: arrives as %d", method, status, a.status)
					}
					if want := map[bool]string{true: "17"}[status == 429 || status == 503]; a.header.Get("Retry-After") != want {
						t.Errorf("%s %d: Retry-After %q", method, status, a.header.Get("Retry-After"))
					}
				}
			}
			// What a gateway never says lets nobody in.
			for _, status := range []int{0, 301, 404, 418, 500, 502} {
				if a := w.get(t, appHost, "/x", http.Header{"X-Wanted": {fmt.Sprint(status)}}); a.app != nil || a.status < 300 {
					t.Errorf("the gateway's %d arrives as %d", status, a.status)
				}
			}
		})
	}
}

// A gateway that speaks nonsense, hangs up or is not there admits nobody.
func TestWithoutAGatewayNobodyPasses(t *testing.T) {
	for _, proxy := range proxyNames {
		t.Run(proxy, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			nonsense := []string{"", "nonsense\r\n\r\n", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nRemote-User: alice", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 -200 OK\r\n\r\n"}
			next := make(chan string, 1)
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					_ = c.SetDeadline(time.Now().Add(5 * time.Second))
					_, _ = bufio.NewReader(c).ReadString('\n')
					select {
					case text := <-next:
						_, _ = io.WriteString(c, text)
					default: // asked again
					}
					c.Close()
				}
			}()
			w, err := open(proxy, setup{gateway: ln.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.close)
			for _, text := range nonsense {
				next <- text
				if a := w.get(t, appHost, "/x", nil); a.app != nil || a.status < 500 {
					t.Errorf("%q: %d", text, a.status)
				}
				select {
				case <-next:
				default:
				}
			}
			ln.Close()
			a := w.get(t, appHost, "/x", page)
			if want := map[string]int{"nginx": 503, "haproxy": 503, "caddy": 502}[proxy]; a.app != nil || a.status != want {
				t.Errorf("no gateway: %d, want %d", a.status, want)
			}
		})
	}
}

// Real answers of the real gateway: 400, 403, 405, 431.
func TestRefusalsOfTheGatewayArrive(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		bob := "Cookie: " + w.session(t, "bob")
		cookies := []string{bob}
		for i := range 5 {
			cookies = append(cookies, fmt.Sprintf("Cookie: c%d=%s", i, strings.Repeat("v", 1800)))
		}
		for name, c := range map[string]struct {
			target string
			lines  []string
			status int
		}{
			"two readings":  {"/public/..%2fadmin/x", []string{bob}, 400},
			"not admitted":  {"/admin/x", []string{bob}, 403},
			"a closed host": {"/network/x", []string{bob}, 403},
			"cookies":       {"/", cookies, 431},
		} {
			if a := w.rawGet(t, appHost, c.target, c.lines...); a == nil || a.status != c.status || a.app != nil {
				t.Errorf("%s: %+v, want %d", name, a, c.status)
			}
		}
	})
}

// Whoever is not admitted reads what to do, and finds the way to another account;
// a program gets the status and a line. Nothing of the request stands in the page.
func TestAPersonWhoIsNotAdmittedIsToldWhatToDo(t *testing.T) {
	for _, proxy := range []string{"nginx", "haproxy"} {
		t.Run(proxy, func(t *testing.T) {
			w := through(t, proxy)
			bob := w.as(t, "bob")
			for name, c := range map[string]struct {
				method, target string
				header         http.Header
				page           bool
			}{
				"browser":         {"GET", "/admin/x", page, true},
				"form":            {"POST", "/admin/x", page, true},
				"a script's name": {"GET", "/admin/x.js?<svg>", page, true},
				"old browser":     {"GET", "/admin/x", http.Header{"Accept": {"text/html"}}, true},
				"fetch":           {"GET", "/admin/x", http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}}, false},
				"program":         {"GET", "/admin/x.html", http.Header{"Accept": {"application/json"}}, false},
				"curl":            {"GET", "/admin/x", nil, false},
			} {
				header := bob.Clone()
				for key, values := range c.header {
					header[key] = values
				}
				a := w.ask(t, w.client(), c.method, appHost, c.target, header, "")
				kind := a.header.Get("Content-Type")
				if a.status != 403 || a.app != nil || a.header.Get("Cache-Control") != "no-store" || strings.Contains(kind, "text/html") != c.page {
					t.Errorf("%s: %d %v", name, a.status, a.header)
				}
				links := strings.Contains(a.body, `href="/sallyport/logout"`) && strings.Contains(a.body, `href="/sallyport/"`)
				if links != c.page || strings.Contains(a.body, "<!doctype html>") != c.page || strings.Contains(a.body, "svg") || strings.Contains(a.body, "bob") {
					t.Errorf("%s: %s", name, a.body)
				}
				if c.page && !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
					t.Errorf("%s: %v", name, a.header)
				}
			}
			// The links lead on: to the button that signs out, and to the portal.
			for key, values := range page {
				bob[key] = values
			}
			if a := w.get(t, appHost, "/sallyport/logout", bob); a.status != 200 || !strings.Contains(a.body, `action="/sallyport/logout"`) {
				t.Errorf("sign out: %d %s", a.status, a.body)
			}
			if a := w.get(t, appHost, "/sallyport/", bob); !strings.HasPrefix(a.header.Get("Location"), w.url(portalHost, "/sallyport/")) {
				t.Errorf("start page: %d to %q", a.status, a.header.Get("Location"))
			}
		})
	}
}

// What the application answers is the application's: its 401, 403 and 500 are
// not taken for the gateway's.
func TestStatusesOfTheApplicationArrive(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, status := range []int{401, 403, 404, 429, 500, 503} {
			a := w.get(t, appHost, fmt.Sprintf("/status/%d", status), w.as(t, "alice"))
			if a.status != status || a.app == nil || a.header.Get("Location") != "" {
				t.Errorf("%d arrives as %d %v", status, a.status, a.header)
			}
		}
	})
}

// HAProxy goes on after an error in a script. Then the last line of the rules
// stops the request.
func TestAScriptThatFailsAdmitsNobody(t *testing.T) {
	for name, change := range map[string][2]string{
		"before it asks":  {"local question = strip(txn.http)", `error("boom")`},
		"after the yes":   {`txn:set_var("txn.sallyport", "allowed")`, `error("boom")`},
		"without its yes": {`txn:set_var("txn.sallyport", "allowed")`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			stub := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Remote-User", "alice") }))
			w, err := open("haproxy", setup{gateway: strings.TrimPrefix(stub.URL, "http://"), edit: func(_, text string) string { return strings.Replace(text, change[0], change[1], 1) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { w.close(); stub.Close() })
			if a := w.get(t, appHost, "/x", nil); a.app != nil || a.status != 503 {
				t.Errorf("%d", a.status)
			}
		})
	}
}
