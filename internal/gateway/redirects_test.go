package gateway_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// hostileTargets leave the house by one reading or another.
func hostileTargets() []string {
	list := []string{
		"//evil.example", `/\evil.example`, `\\evil.example`, `\/evil.example`, "///evil.example", "////evil.example/%2e%2e", "/\t/evil.example", "/\n/evil.example", "/\r\n/evil.example", "\t//evil.example",
		" //evil.example", "/%09/evil.example", "/%5cevil.example", "/%2f%2fevil.example", "/%2fevil.example", "http:evil.example", "https:/evil.example", "https:///evil.example", "https:evil.example", "HtTpS://evil.example",
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "blob:x", "file:///etc/passwd", "ftp://app.example.com/",
		"https://evil.example", "https://app.example.com@evil.example", "https://app.example.com:x@evil.example/", "https://user@app.example.com/", "https://app.example.com.evil.example", "https://evilexample.com", "https://badapp.example.com.evil",
		`https://evil.example\.example.com`, `https://evil.example\@app.example.com`, "https://evil.example#.example.com", "https://evil.example?.example.com", "https://evil.example/.example.com", "https://evil.example%2f.example.com", "https://evil.example%00.example.com",
		"https://app.example.com:666/", "https://app.example.com%3a666/", "http://app.example.com/", "https://deny.example.com/", "https://example.com/", "https://unknown.example.net/", "https://[::1]/", "https://127.0.0.1/", "https://0x7f.1/", "https://ex\u00e4mple.com/",
		"https://app\u3002example.com/", "https://app.ex\u00adample.com/", "https://xn--evil/", "https://.example.com/", "https://-.example.com/", "//app.example.com/x", "app.example.com", "x", "?x", "#x", "..", "./x", "/..//evil.example", "/./\\evil.example",
		"https://app.example.com\r\nSet-Cookie: x=y/", "/x\r\nSet-Cookie: x=y", "/x\x00", "/\x7f", "https://" + strings.Repeat("a", 5000) + ".example.com/",
	}
	for _, c := range "\u2028\u2029\u00a0\u200b\ufeff\u3000\uff0f\u29f8\u2215" {
		list = append(list, "/"+string(c)+"/evil.example", string(c)+"//evil.example", "/"+string(c)+"evil.example")
	}
	return list
}

// safe reports whether a browser stays: on a path of the portal, or at a host
// that a rule names. It reads as browsers do, not as net/url does.
func safe(location string) bool {
	plain := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(strings.TrimSpace(location))
	if rest, ok := strings.CutPrefix(plain, "https://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		return host == appHost || host == portalHost
	}
	return strings.HasPrefix(plain, "/") && !strings.HasPrefix(plain, "//") && !strings.ContainsAny(location, "\\\r\n\t\x00\x7f")
}

// A link to our login carries a target elsewhere, and whoever signs in is sent
// there, believing that he is still with us; or the target sets a header. At
// every endpoint that redirects, by every name of the parameter.
func TestD1D2D3NoEndpointRedirectsOutOfTheHouse(t *testing.T) {
	w := central(t, guard.Rule{Hosts: []string{"deny.example.com"}, Deny: true})
	w.cfg.Rules = []guard.Rule{{Hosts: []string{"deny.example.com"}, Deny: true}, {Hosts: []string{appHost}, Realms: []string{"users"}}}
	w.restart()
	alice := w.user("alice", "users")
	signed := w.browser("https://" + portalHost)
	signed.login(alice)
	check := func(a *answer, target string) {
		t.Helper()
		if len(a.header["Location"]) > 1 || a.header.Get("Location") != "" && !safe(a.header.Get("Location")) || a.header.Get("Refresh") != "" || slices.ContainsFunc(a.header["Set-Cookie"], func(c string) bool { return strings.HasPrefix(c, "x=") }) {
			t.Errorf("%q at %.60s: %d to %q", target, a.what, a.status, a.header["Location"])
		}
	}
	for i, target := range hostileTargets() {
		name := []string{"rd", "redirect_uri", "url"}[i%3]
		q := name + "=" + url.QueryEscape(target)
		check(signed.get("/sallyport/login?"+q), target)
		check(signed.get("/sallyport/?"+q), target)
		check(signed.get("/sallyport/logout?"+q), target)
		check(w.browser("https://"+portalHost).post("/sallyport/logout", url.Values{name: {target}}), target)
		check(w.browser("https://"+portalHost).post("/sallyport/logout?"+q, nil), target)
		if i%6 == 0 { // both doors, which cost more
			b := w.browser("https://" + portalHost)
			a := b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {alice.password}, name: {target}})
			check(a, target)
			if a.status != http.StatusSeeOther {
				continue // longer than any target may be
			}
			check(b.post(a.header.Get("Location"), url.Values{"code": {alice.code()}}), target)
		}
	}
	// What is allowed is still allowed.
	for _, target := range []string{"https://" + appHost + "/x?y=z#f", "/sallyport/account/"} {
		if a := signed.get("/sallyport/login?rd=" + url.QueryEscape(target)); a.status != http.StatusSeeOther || !strings.HasPrefix(target, a.header.Get("Location")) && a.header.Get("Location") != target {
			t.Errorf("%s: %d to %s", target, a.status, a.header.Get("Location"))
		}
	}
}

// forAnybody answers a challenge for whoever may come with a passkey: it is about nobody.
const forAnybody = apiPrefix + "/login/passkey/begin"

// A foreign page that the configuration lists may use the API with a token, and
// never with a cookie; one that it does not list gets nothing at all.
func TestListedOriginsGetTokensAndNoCookies(t *testing.T) {
	cfg := centralConfig()
	cfg.CORS = gateway.CORS{AllowOrigins: []string{"https://spa.example"}}
	w := open(t, cfg)
	alice := w.user("alice", "users")
	b := w.browser("https://" + portalHost)
	b.login(alice)
	listed, other := http.Header{"Origin": {"https://spa.example"}, "Sec-Fetch-Site": {"cross-site"}}, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
	for _, origin := range []http.Header{listed, other} {
		for _, call := range w.apiCalls(t) {
			a := b.api(call.method, strings.TrimPrefix(call.path, apiPrefix), map[string]any{}, origin)
			if a.status < 400 && call.path != forAnybody || len(a.header["Set-Cookie"]) > 0 || a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s from %v with the cookie: %d %v", a.what, origin, a.status, a.header)
			}
			if allowed := a.header.Get("Access-Control-Allow-Origin"); allowed != "" && (allowed != "https://spa.example" || origin.Get("Origin") != allowed) {
				t.Errorf("%s: Access-Control-Allow-Origin %q", a.what, allowed)
			}
		}
	}
	spa := w.browser("https://" + portalHost)
	first := spa.api("POST", "/login", map[string]any{"name": "alice", "password": alice.password}, listed).fields(t)
	second := spa.api("POST", "/login/code", map[string]any{"ephemeral_token": first["ephemeral_token"], "code": alice.code()}, listed)
	wantStatus(t, second, 200)
	if len(spa.jar) > 0 || len(second.header["Set-Cookie"]) > 0 {
		t.Errorf("a foreign page's login set %v", second.header["Set-Cookie"])
	}
	token := http.Header{"Authorization": {"Bearer " + fmt.Sprint(second.fields(t)["access_token"])}}
	h := listed.Clone()
	h["Authorization"] = token["Authorization"]
	a := spa.api("GET", "/me", nil, h)
	wantStatus(t, a, 200)
	if a.header.Get("Access-Control-Allow-Origin") != "https://spa.example" || !strings.Contains(strings.Join(a.header["Vary"], ","), "Origin") {
		t.Errorf("%v", a.header)
	}
	h = other.Clone()
	h["Authorization"] = token["Authorization"]
	wantStatus(t, spa.api("GET", "/me", nil, h), http.StatusForbidden)
	for _, near := range []string{"https://spa.example.evil.example", "https://evilspa.example", "http://spa.example", "https://spa.example:444", "https://SPA.example", "https://spa.example/", "null", ""} {
		a := spa.api("GET", "/me", nil, http.Header{"Origin": {near}, "Authorization": token["Authorization"]})
		if a.status < 400 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%q: %d %v", near, a.status, a.header)
		}
	}
}
