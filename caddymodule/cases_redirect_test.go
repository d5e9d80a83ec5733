package caddymodule_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// redirectSites have one portal, and hosts below its cookie domain with rules of
// their own, which the portal does not know.
const redirectSites = `
auth.example.test:HTTPS_PORT {
	sallyport portal
}
app.example.test:HTTPS_PORT, other.example.test:HTTPS_PORT {
	sallyport {
		RULES
	}
	reverse_proxy APP
}
shut.example.test:HTTPS_PORT {
	sallyport {
		deny
	}
	reverse_proxy APP
}
http://app.test:HTTP_PORT {
	sallyport
	reverse_proxy APP
}
`

func TestCaddyD1D2D3D4D5D6D7D8RedirectsAndPages(t *testing.T) {
	e := newPortalEstate(t)
	for _, attack := range []func(*estate, *testing.T){
		(*estate).challengesComeBack, (*estate).targetsStayInTheHouse, (*estate).parallelLoginsKeepTheirTargets, (*estate).nothingIsEchoed, (*estate).bodiesAreBounded,
	} {
		attack(e, t)
	}
}

func newPortalEstate(t *testing.T) *estate {
	t.Helper()
	e := &estate{t: t, app: &recorder{}}
	e.server = serveCaddy(t, "sallyport {\n"+cheap+"portal https://auth.example.test:HTTPS_PORT\ncookie_domain example.test\nthrottle {\nnetwork 0\nprincipal 1000\n}\n}",
		strings.NewReplacer("APP", e.app.listen(t, serveHTTP), "RULES", estateRules).Replace(redirectSites))
	e.certified("auth.example.test", "app.example.test", "other.example.test", "shut.example.test")
	return e
}

func (e *estate) secure(host string) string { return "https://" + host + ":" + e.https }

// atHome reports whether a browser that is sent there stays at the portal, or at a
// guarded host: it reads as browsers do.
func (e *estate) atHome(location string) bool {
	plain := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(strings.TrimSpace(location))
	if rest, ok := strings.CutPrefix(strings.ToLower(plain), "https://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		host, _, _ = strings.Cut(host, "?")
		for _, known := range []string{"auth", "app", "other"} {
			if host == known+".example.test:"+e.https {
				return true
			}
		}
		return false
	}
	return strings.HasPrefix(plain, "/") && !strings.HasPrefix(plain, "//") && !strings.ContainsAny(location, "\\\r\n\t\x00\x7f")
}

// The whole way: from a guarded host to the portal, through both doors, and back to
// the very address, with no secret in any address on the way. Gained before: a
// token in the URL, which histories, logs and Referer pass on.
func (e *estate) challengesComeBack(t *testing.T) {
	bob := e.user("bob")
	for _, target := range []string{"/x", "/x?y=%2F&z=%26", "/a//b?c", "/%E2%82%AC?q=%E2%82%AC", "/x?rd=https://evil.test/"} {
		app := e.browser(e.secure("app.example.test"))
		a := app.get(target)
		portal := e.browser(e.secure("auth.example.test"))
		to := portal.goesTo(a, http.StatusFound)
		if !strings.HasPrefix(to, "/sallyport/login?") || len(e.app.take(t)) > 0 {
			t.Fatalf("%s leads to %s", target, to)
		}
		wantStatus(t, portal.get(to), 200)
		if target != "/x" {
			continue // one login is enough: a code works once
		}
		back := portal.login(bob, to)
		if back != e.secure("app.example.test")+target {
			t.Errorf("%s comes back to %s", target, back)
		}
		for _, address := range []string{to, back} {
			for _, value := range portal.jar {
				if strings.Contains(address, value) {
					t.Errorf("a secret stands in %s", address)
				}
			}
		}
		if got := e.beside(portal, app.origin).fetch(target).seen(t); got.Header.Get("Remote-User") != "bob" || got.Target != target {
			t.Errorf("the application saw %+v", got)
		}
		e.app.take(t)
	}
}

// hostileTargets leave the house by one reading or another.
func (e *estate) hostileTargets() []string {
	good := "app.example.test:" + e.https
	list := []string{
		"//evil.test", `/\evil.test`, `\\evil.test`, `\/evil.test`, "///evil.test", "/\t/evil.test", "/\n/evil.test", "/\r\n/evil.test", "\t//evil.test", " //evil.test", "/%09/evil.test", "/%5cevil.test", "/%2f%2fevil.test", "/%2fevil.test", "/..//evil.test", "/./\\evil.test", "/;//evil.test",
		"http:evil.test", "https:/evil.test", "https:///evil.test", "https:evil.test", "HtTpS://evil.test", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "blob:x", "file:///etc/passwd", "ftp://" + good + "/",
		"https://evil.test", "https://" + good + "@evil.test", "https://" + good + ":x@evil.test/", "https://user@" + good + "/", "https://" + good + ".evil.test", "https://evilexample.test", "https://evil.test\\.example.test", `https://evil.test\@` + good, "https://evil.test#." + good, "https://evil.test?." + good, "https://evil.test/." + good, "https://evil.test%2f.example.test", "https://evil.test%00.example.test",
		"https://app.example.test:666/", "https://app.example.test%3a666/", "http://app.example.test:" + e.http + "/", "https://[::1]/", "https://127.0.0.1/", "https://0x7f.1/", "https://ex\u00e4mple.test/", "https://app\u3002example.test/", "https://xn--evil/", "https://.example.test/", "//" + good + "/x", good, "x", "?x", "#x", "..", "./x",
		"https://" + good + "\r\nSet-Cookie: x=y/", "/x\r\nSet-Cookie: x=y", "/x\x00", "/\x7f", "https://shut.example.test:" + e.https + "/", "https://unknown.example.test:" + e.https + "/", "https://" + strings.Repeat("a", 5000) + ".example.test/", "{http.request.host}", "/{env.HOME}//evil.test",
	}
	for _, c := range "\u2028\u2029\u00a0\u200b\ufeff\u3000\uff0f\u29f8\u2215" {
		list = append(list, "/"+string(c)+"/evil.test", string(c)+"//evil.test")
	}
	return list
}

// A link to our login carries a target elsewhere, and whoever signs in is sent
// there, believing that he is still with us. At every endpoint that redirects, by
// every name of the parameter, with signatures of other targets.
func (e *estate) targetsStayInTheHouse(t *testing.T) {
	amy := e.user("amy")
	signed := e.browser(e.secure("auth.example.test")).signIn(amy)
	signature := ""
	if u, err := url.Parse(e.browser(e.secure("other.example.test")).get("/x").header.Get("Location")); err == nil {
		for name, values := range u.Query() {
			if name != "rd" {
				signature += "&" + name + "=" + url.QueryEscape(values[0])
			}
		}
	}
	if signature == "" {
		t.Fatal("a challenge is not signed")
	}
	for i, target := range e.hostileTargets() {
		escaped := url.QueryEscape(target)
		for _, name := range []string{"rd", "redirect_uri", "url"} {
			if i%3 != len(name)%3 && name != "rd" {
				continue
			}
			query := "?" + name + "=" + escaped
			var all []*answer
			for _, origin := range []string{e.secure("auth.example.test"), e.secure("app.example.test")} {
				for _, page := range []string{"/sallyport/login", "/sallyport/logout", "/sallyport/"} {
					b := e.browser(origin)
					all = append(all, b.get(page+query))
					if origin == signed.origin {
						all = append(all, signed.get(page+query), signed.get(page+query+signature), b.get(page+query+"&rd=/x"))
					}
				}
			}
			form := url.Values{name: {target}, "username": {"amy@users"}, "password": {amy.password}}
			b := e.browser(e.secure("auth.example.test"))
			first := b.post("/sallyport/login"+query, form)
			all = append(all, first, e.browser(e.secure("app.example.test")).post("/sallyport/logout"+query, form))
			for _, a := range all {
				location := a.header.Get("Location")
				if len(a.header["Location"]) > 1 || location != "" && !e.atHome(location) || a.header.Get("Refresh") != "" || strings.Contains(strings.Join(a.header["Set-Cookie"], "\n"), "x=y") {
					t.Errorf("%q at %.70s: %d to %q", target, a.what, a.status, a.header["Location"])
				}
				if strings.Contains(strings.ToLower(a.body), "http-equiv") || strings.Contains(a.body, `href="`+target) {
					t.Errorf("%q at %.70s: the page leads there", target, a.what)
				}
			}
		}
	}
	// The same after both doors, where the target is taken out of the record.
	for i, target := range []string{"//evil.test", `/\evil.test`, "https://evil.test", "https://shut.example.test:" + e.https + "/", "javascript:alert(1)", "https://app.example.test:" + e.https + "@evil.test"} {
		p := e.user(fmt.Sprintf("rd%d", i))
		b := e.browser(e.secure("auth.example.test"))
		if to := b.login(p, "/sallyport/login?rd="+url.QueryEscape(target)+signature); !e.atHome(b.origin+strings.TrimPrefix(to, b.origin)) || strings.Contains(to, "evil") || strings.Contains(to, "shut") {
			t.Errorf("%q: after both doors to %s", target, to)
		}
	}
	e.app.take(t)
}

// A second login in another window, or a request in the background, overwrites what
// the first one keeps. Gained before: the first ended where the second wanted to go.
func (e *estate) parallelLoginsKeepTheirTargets(t *testing.T) {
	carl := e.user("carl")
	b := e.browser(e.secure("auth.example.test"))
	var second []string
	hosts := []string{"app.example.test", "other.example.test"}
	for _, host := range hosts {
		challenge := b.goesTo(e.browser(e.secure(host)).get("/from/"+host), http.StatusFound)
		u, err := url.Parse(challenge)
		if err != nil {
			t.Fatal(err)
		}
		form := u.Query()
		form.Set("username", "carl@users")
		form.Set("password", carl.password)
		second = append(second, b.goesTo(b.post("/sallyport/login", form), http.StatusSeeOther))
		for range 3 { // and others in the background
			e.browser(e.secure(host)).get("/background")
			b.get("/sallyport/login?rd=%2Fbackground")
		}
	}
	for i, host := range hosts {
		if to := b.goesTo(b.post(second[i], url.Values{"code": {carl.code(t, i)}}), http.StatusSeeOther); to != e.secure(host)+"/from/"+host {
			t.Errorf("the login from %s ends at %s", host, to)
		}
	}
	e.app.take(t)
}

// Markup in every place that a stranger can write to. Gained before: a script on
// the origin of the login pages.
func (e *estate) nothingIsEchoed(t *testing.T) {
	const markup = `"><svg onload=alert(1)>'` + "`{{7*7}}<script>x</script>"
	escaped := url.QueryEscape(markup)
	dora := e.user("dora")
	signed := e.browser(e.secure("auth.example.test")).signIn(dora)
	lines := http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept-Language": {markup}, "User-Agent": {markup}, "Referer": {"https://x/" + markup}, "X-Forwarded-Host": {markup}, "X-Forwarded-Proto": {markup}, "X-Requested-With": {""}}
	with := func(more http.Header) http.Header {
		all := lines.Clone()
		for name, values := range more {
			all[name] = values
		}
		return all
	}
	check := func(a *answer) {
		t.Helper()
		for _, text := range []string{"<svg", "<script>x", "onload=alert(1)>", "{{7*7}}<", "49<script"} {
			if strings.Contains(a.body, text) {
				t.Errorf("%.90s: the answer holds %s", a.what, text)
			}
			for name, values := range a.header {
				if name != "Location" && strings.Contains(strings.Join(values, "\n"), text) {
					t.Errorf("%.90s: %s holds %s", a.what, name, text)
				}
			}
		}
		if !strings.Contains(a.header.Get("Content-Type"), "text/html") {
			return
		}
		csp := a.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe-") || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") == "" {
			t.Errorf("%.90s: Content-Security-Policy %q, %v", a.what, csp, a.header)
		}
		for _, handler := range []string{" onclick=", " onload=", " onerror=", "javascript:", "<script>"} {
			if strings.Contains(strings.ToLower(a.body), handler) {
				t.Errorf("%.90s: the page has an inline %s", a.what, handler)
			}
		}
	}
	var query []string
	for _, name := range []string{"rd", "redirect_uri", "url", "token", "m", "error", "name", "username", "realm", "factors", "fresh", "groups", "q", "cursor", "lang", "id", "sig", "state", "code", "issuer", markup} {
		query = append(query, url.QueryEscape(name)+"="+escaped)
	}
	pages := []string{"/sallyport/", "/sallyport/login", "/sallyport/login/code", "/sallyport/logout", "/sallyport/setup", "/sallyport/invite", "/sallyport/reset", "/sallyport/reset/confirm", "/sallyport/account/", "/sallyport/account/password", "/sallyport/account/sessions", "/sallyport/enroll/", "/sallyport/admin/", "/sallyport/" + url.PathEscape(markup), "/sallyport/api/v1/me", "/sallyport/api/v1/" + url.PathEscape(markup), "/" + url.PathEscape(markup), "/sallyport/static/" + url.PathEscape(markup)}
	for _, page := range pages {
		for _, b := range []*browser{e.browser(signed.origin), signed, e.browser(e.secure("app.example.test")), e.beside(signed, e.secure("app.example.test"))} {
			if b == signed && page == "/sallyport/logout" {
				continue
			}
			check(b.ask("GET", page+"?"+strings.Join(query, "&"), "", with(nil)))
			check(b.ask("GET", page, "", with(http.Header{"Cookie": {b.cookies() + "; lang=" + url.QueryEscape(markup) + "; sallyport_browser=" + markup}})))
		}
	}
	form := url.Values{}
	for _, name := range []string{"username", "password", "code", "rd", "realm", "method", "name", "token", "recovery_code", "m", "label"} {
		form.Set(name, markup)
	}
	for _, page := range []string{"/sallyport/login", "/sallyport/login/code", "/sallyport/logout", "/sallyport/setup", "/sallyport/reset", "/sallyport/invite", "/sallyport/account/password"} {
		check(e.browser(signed.origin).post(page, form))
		check(e.browser(signed.origin).post(page+"?"+strings.Join(query, "&"), form))
		if page != "/sallyport/logout" {
			check(signed.post(page, form))
		}
	}
	for _, path := range []string{"/admin/x", "/closed/x", "/open/..%2fadmin/x"} { // the pages of the guard itself
		check(e.beside(signed, e.secure("app.example.test")).ask("GET", path+"?"+escaped, "", with(nil)))
		check(e.browser(e.secure("app.example.test")).ask("GET", path+"?"+escaped, "", with(nil)))
	}
	e.app.take(t)
}

// Nobody is signed in, and sends a bomb. Gained before: memory, until Caddy ended.
func (e *estate) bodiesAreBounded(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 64 {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	big := "username=" + strings.Repeat("a", 2<<20)
	b := e.browser(e.secure("auth.example.test"))
	for _, page := range []string{"/sallyport/login", "/sallyport/login/code", "/sallyport/logout", "/sallyport/setup", "/sallyport/reset", "/sallyport/invite", "/sallyport/api/v1/login", "/sallyport/api/v1/token", "/sallyport/authz/forward-auth"} {
		for what, c := range map[string]struct {
			body   string
			header http.Header
		}{
			"big":        {big, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}},
			"big JSON":   {`{"name":"` + big + `"}`, http.Header{"Content-Type": {"application/json"}}},
			"deep JSON":  {strings.Repeat("[", 60000), http.Header{"Content-Type": {"application/json"}}},
			"compressed": {bomb.String(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Content-Encoding": {"gzip"}}},
			"parts":      {"--x\r\nContent-Disposition: form-data; name=\"username\"; filename=\"a\"\r\n\r\n" + big + "\r\n--x--\r\n", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}},
			"many":       {strings.Repeat("a=b&", 15000), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}},
		} {
			c.header.Set("Origin", b.origin)
			c.header.Set("Sec-Fetch-Site", "same-origin")
			a, err := b.try("POST", page, strings.NewReader(c.body), c.header)
			if err != nil {
				continue // cut off while it was sent
			}
			if a.status < 300 || a.status >= 500 {
				t.Errorf("%s to %s: %d %.200s", what, page, a.status, a.body)
			}
		}
	}
	if a, err := b.try("GET", "/sallyport/login?rd=/"+strings.Repeat("a", 200000), nil, navigation); err == nil && a.status < 400 && a.status != 200 {
		t.Errorf("a long address: %d", a.status)
	}
	wantStatus(t, b.get("/sallyport/login"), 200)
}
