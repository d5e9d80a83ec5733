package portal_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/portal"
)

// Attack: an empty post, a missing or doubled or bracketed field, a step out
// of order or a replayed one moves a flow on.
func TestM5NothingButAGoodCodeMovesALoginOn(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", nil, "")
	id := b.page.Forms[0].Fields.Get("l")
	good := h.code(e)
	for _, body := range []string{
		"", "l=" + id, "l=" + id + "&code=", "l=" + id + "&code[]=" + good, "l=" + id + "&code[]=", "l=" + id + "&Code=" + good,
		"l=" + id + "&code=" + good + "&code=" + good, "l=" + id + "&code=%zz", "l=" + id + ";code=" + good,
		"l=" + id + "&code=null", "l=" + id + "&code=true", "l=" + id + "&step=done&code=x",
		"l=" + id + "&code=" + strings.Repeat("1", 65), "l=" + id + "&code=%ff%fe", "l=../" + id + "&code=" + good, "l=" + id + "x&code=" + good,
	} {
		r := b.request("POST", "/sallyport/login/code", url.Values{})
		r.Body, r.ContentLength = httptest.NewRequest("POST", "/", strings.NewReader(body)).Body, int64(len(body))
		if got := b.do(r); got.Status < 400 || got.Status >= 500 {
			t.Errorf("body %q: %d to %q", body, got.Status, got.Location)
		}
		if got := b.get("/sallyport/account/"); got.Status != 303 {
			t.Fatalf("body %q signed somebody in", body)
		}
		if len(b.pendingCookies()) == 0 { // too many wrong ones burned it
			b.signIn("alice", nil, "")
			id = b.page.Forms[0].Fields.Get("l")
		}
	}
	// A good code in the query, or as another kind of body, is none.
	r := b.request("POST", "/sallyport/login/code?code="+good, url.Values{"l": {id}})
	if got := b.do(r); got.Status != 401 {
		t.Errorf("a code in the query: %d", got.Status)
	}
	for _, kind := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", ""} {
		r := b.request("POST", "/sallyport/login/code", url.Values{"l": {id}, "code": {good}})
		r.Header.Set("Content-Type", kind)
		if got := b.do(r); got.Status != 415 {
			t.Errorf("content type %q: %d, want 415", kind, got.Status)
		}
	}
	r = b.request("POST", "/sallyport/login/code", url.Values{"l": {id}, "code": {good}, "x": {strings.Repeat("a", 20000)}})
	if got := b.do(r); got.Status != 413 {
		t.Errorf("a body of 20 kB: %d, want 413", got.Status)
	}
	// Enrolment is another step: nobody with a factor may take it.
	b.post("/sallyport/enroll/totp", url.Values{"l": {id}, "code": {good}}).want(t, 401, "This sign-in has ended")
	done := url.Values{"l": {id}, "code": {h.code(e)}}
	b.post("/sallyport/login/code", done).leads(t, "/sallyport/")
	if got := b.post("/sallyport/login/code", done); got.Status != 401 {
		t.Errorf("the same step again: %d", got.Status)
	}
}

// Attack: five wrong codes, then the right one.
func TestM5FiveWrongCodesEndTheHalfLogin(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", nil, "")
	for range 4 {
		b.submit("/sallyport/login/code", "code", "000000").want(t, 401, "Second step")
	}
	page, at := b.page, b.at
	b.send("/sallyport/login/code", "code", "000000").want(t, 401, "This sign-in has ended")
	b.page, b.at = page, at
	b.send("/sallyport/login/code", "code", h.code(e)).want(t, 401, "This sign-in has ended")
	if len(b.pendingCookies()) != 0 {
		t.Error("the dead login's cookie stays")
	}
}

// Attack: an address that looks like ours and is not, at every place that
// redirects: the login page, both forms, and signing out.
func TestD2EveryRedirectGoesThroughOneFunction(t *testing.T) {
	h := build(t, plan{domain: true})
	_, e := h.person("alice", "users", true)
	for _, evil := range []string{
		"https://evil.example.net/", "//evil.example.net", `/\evil.example.net`, "/\t/evil.example.net", "https:evil.example.net",
		"https://auth.example.com@evil.example.net/", "https://auth.example.com.evil.example.net/", "https://badexample.com/",
		"http://auth.example.com/", "javascript:alert(1)", "data:text/html,x", "https://auth.example.com:8443/",
		"https://evil.example.net\\.example.com/", "https://[::1]/", "/%2F%2Fevil.example.net/", "/..//evil.example.net", "evil", " https://evil.example.net",
		"https://auth.example.com/\r\nSet-Cookie: x=y", "https://ex\u3002ample.net/",
	} {
		for _, name := range []string{"rd", "redirect_uri", "url"} {
			q := url.Values{name: {evil}}
			b := h.browser()
			b.get("/sallyport/login?"+q.Encode()).want(t, 200, "Sign in")
			if strings.Contains(b.page.Body, html.EscapeString(evil)) && evil != "evil" {
				t.Errorf("%s=%q is shown on the login page", name, evil)
			}
			if name != "rd" {
				continue
			}
			form := url.Values{"username": {"alice"}, "password": {password}, name: {evil}}
			b.follow(b.post("/sallyport/login", form)).want(t, 200, "Second step")
			b.send("/sallyport/login/code", "code", h.code(e)).leads(t, "/sallyport/?m=target")
			if b.follow(b.page).Notice == "" {
				t.Error("no sentence on the start page says why one is there")
			}
			b.get("/sallyport/login?"+q.Encode()).leads(t, "/sallyport/?m=target")
			b.post("/sallyport/logout", url.Values{name: {evil}}).leads(t, "/sallyport/?m=signedout")
		}
	}
	// D4: no page sends a browser anywhere by itself.
	b := h.browser()
	b.get("/sallyport/login?rd=" + url.QueryEscape("https://auth.example.com/x"))
	if strings.Contains(strings.ToLower(b.page.Body), "http-equiv") || b.page.Header.Get("Refresh") != "" {
		t.Error("the page redirects on the browser's side")
	}
}

// Attack: markup in whatever a stranger may choose, hoping that one page
// repeats it raw.
func TestD7NothingThatIsSentBecomesMarkup(t *testing.T) {
	const evil = `"><svg onload=alert(1)>`
	h := build(t, plan{})
	raw := regexp.MustCompile(`(?i)<svg|onload=alert\(1\)>`)
	browsers := callers(h)
	for _, line := range portal.RoutesForTest(h.portal) {
		if strings.HasPrefix(line.Path, "/sallyport/static/") || line.Path == "/sallyport/logout" && line.Method == "POST" {
			continue
		}
		for who, b := range browsers {
			q := url.Values{}
			for _, name := range []string{"rd", "redirect_uri", "url", "rs", "l", "m", "token", "k", "error", "lang", "realm", "factors", "fresh"} {
				q.Set(name, evil)
			}
			for _, name := range append([]string{""}, "rd", "l", "m", "token", "realm", "rs") {
				one := q
				if name != "" {
					one = url.Values{name: {evil}}
				}
				if name == "rd" {
					one.Set("rd", "/"+evil)
				}
				var form url.Values
				if line.Method == "POST" {
					form = url.Values{"username": {evil}, "password": {"x" + evil}, "code": {evil}, "recovery_code": {evil},
						"new_password": {evil}, "again": {evil}, "id": {evil}, "rd": {"/" + evil}, "realm": {evil}}
				}
				r := b.request(line.Method, line.Path+"?"+one.Encode(), form)
				for _, header := range []string{"Accept-Language", "Referer", "User-Agent", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-Url", "Accept"} {
					r.Header.Set(header, evil)
				}
				r.Header.Add("Cookie", "lang="+evil+"; sallyport_login_"+evil+"="+evil+"; x="+evil)
				got := b.do(r)
				if raw.MatchString(got.Body) {
					t.Errorf("%s %s?%s as %s repeats markup:\n%s", line.Method, line.Path, one.Encode(), who, got.Body)
				}
				for header, values := range got.Header {
					if raw.MatchString(strings.Join(values, " ")) {
						t.Errorf("%s %s as %s: header %s is %q", line.Method, line.Path, who, header, values)
					}
				}
			}
		}
	}
	// A name, a group, a browser's own name: stored first, shown later.
	id, e := h.person("nora", "users", true)
	full, groups := evil, []string{"a<b"}
	must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.directory.Update(tx, account.Local(), id, account.Change{FullName: &full})
		if err == nil {
			_, err = h.directory.Update(tx, account.Local(), id, account.Change{Groups: &groups})
		}
		return err
	}))
	b := h.browser()
	b.get("/sallyport/login")
	b.submit("/sallyport/login", "username", "nora", "password", password)
	r := b.request("POST", "/sallyport/login/code", url.Values{"l": {b.page.Forms[0].Fields.Get("l")}, "code": {h.code(e)}})
	r.Header.Set("User-Agent", evil)
	b.do(r).leads(t, "/sallyport/")
	for _, path := range []string{"/sallyport/account/", "/sallyport/account/sessions", "/sallyport/"} {
		if got := b.get(path); raw.MatchString(got.Body) || got.Status != 200 {
			t.Errorf("%s: %d\n%s", path, got.Status, got.Body)
		}
	}
	if !strings.Contains(b.get("/sallyport/account/").Body, html.EscapeString(evil)) {
		t.Error("the full name is not shown at all: the test proves nothing")
	}
	rec := httptest.NewRecorder()
	r = httptest.NewRequest("GET", "/", nil)
	r.Host, r.URL = evil, &url.URL{Path: "/x" + evil, RawQuery: evil}
	h.portal.Denied(rec, r, guard.Decision{})
	if raw.MatchString(rec.Body.String()) || rec.Code != 403 {
		t.Errorf("denied: %d\n%s", rec.Code, rec.Body)
	}
	if strings.Contains(h.log.String(), "svg") {
		t.Errorf("the log repeats it: %s", h.log)
	}
}

// Attack: a second login in another window, or a request in the background,
// overwrites the cookie in which the first keeps its target.
func TestD8TwoLoginsInOneBrowserReturnToTheirOwnTargets(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", nil, "/first").want(t, 200, "Second step")
	first := *b
	b.signIn("alice", nil, "/second").want(t, 200, "Second step")
	second := *b
	if len(b.pendingCookies()) != 2 {
		t.Fatalf("cookies %v, want two", b.pendingCookies())
	}
	first.send("/sallyport/login/code", "code", h.code(e)).leads(t, "/first")
	second.send("/sallyport/login/code", "code", h.code(e)).leads(t, "/second")
	if len(b.pendingCookies()) != 0 {
		t.Errorf("cookies %v are left", b.pendingCookies())
	}
	// Unfinished ones do not pile up.
	for range 8 {
		if got := b.post("/sallyport/logout", url.Values{}); got.Status != 303 {
			t.Fatal(got.Status)
		}
		for range 7 {
			h.clock.Advance(time.Second)
			b.signIn("alice", nil, "").want(t, 200, "Second step")
		}
		if n := len(b.pendingCookies()); n != 5 {
			t.Fatalf("%d unfinished logins in one browser, want 5", n)
		}
		b.send("/sallyport/login/code", "code", h.code(e)).leads(t, "/sallyport/")
	}
}

// Attack: a session cookie that somebody set before the login (on http, or
// from a sibling host) is the victim's session after it.
func TestS3ThePlantedCookieIsReplacedAtBothSteps(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("alice", "users", true)
	mallory := h.browser()
	_, f := h.person("mallory", "users", true)
	mallory.signIn("mallory", f, "")
	planted := mallory.cookie("sallyport_session")
	origin, err := url.Parse(h.origin)
	must(t, err)
	b := h.browser()
	b.client.Jar.SetCookies(origin, []*http.Cookie{
		{Name: "sallyport_session", Value: planted, Path: "/"}, {Name: "sallyport_portal", Value: planted, Path: "/"},
	})
	b.post("/sallyport/logout", url.Values{}) // Mallory's session ends with it
	mallory.signIn("mallory", f, "")
	planted = mallory.cookie("sallyport_session")
	b.client.Jar.SetCookies(origin, []*http.Cookie{
		{Name: "sallyport_session", Value: planted, Path: "/"}, {Name: "sallyport_portal", Value: planted, Path: "/"},
	})
	b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {password}})
	b.follow(b.page).want(t, 200, "Second step")
	if got := b.send("/sallyport/login/code", "code", h.code(e)); got.Status != 303 {
		t.Fatal(got.Status)
	}
	if now := b.cookie("sallyport_session"); now == planted || now == "" {
		t.Error("the planted cookie is still there after the login")
	}
	if b.cookie("sallyport_portal") != "" {
		t.Error("a planted cookie of another name is still there after the login")
	}
	if !strings.Contains(b.get("/sallyport/").Body, "alice@users") {
		t.Error("Alice is not herself")
	}
	// Two cookies of one name: nobody.
	r := b.request("GET", "/sallyport/account/", nil)
	r.Header.Set("Cookie", "sallyport_session="+planted)
	if got := b.do(r); got.Status != 303 {
		t.Errorf("the same cookie name twice: %d, want the way to the login", got.Status)
	}
	// A token of the first door does not open as a session, nor the reverse.
	c := h.browser()
	c.signIn("alice", nil, "")
	half := c.cookie(c.pendingCookies()[0])
	c.client.Jar.SetCookies(origin, []*http.Cookie{{Name: "sallyport_session", Value: half, Path: "/"}})
	if got := c.get("/sallyport/account/"); got.Status != 303 {
		t.Errorf("M1: an ephemeral token as session cookie: %d", got.Status)
	}
}

// Attack: a page of another site posts one of our forms with the victim's
// cookies, or logs the victim in as the attacker.
func TestS4FormsOfOtherSitesAreRefused(t *testing.T) {
	h := build(t, plan{})
	foreign := []map[string]string{
		{"Origin": "https://evil.example.net"}, {"Origin": "null"}, {"Origin": ""},
		{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "x"},
		{"Origin": h.origin + ".evil.example.net"}, {"Origin": h.origin + "/"}, {"Origin": "-", "Sec-Fetch-Site": "-"},
		{"Origin": strings.Replace(h.origin, "http:", "https:", 1)},
	}
	browsers := callers(h)
	for _, line := range portal.RoutesForTest(h.portal) {
		if line.Method != "POST" {
			continue
		}
		by := line.By
		if by == "anyone" {
			by = "signed in"
		}
		for _, sent := range foreign {
			r := browsers[by].request("POST", line.Path, url.Values{"username": {"walker"}, "password": {password}})
			for name, value := range sent {
				if value == "-" {
					r.Header.Del(name)
					continue
				}
				r.Header.Set(name, value)
			}
			if got := browsers[by].do(r); got.Status != 403 || len(got.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s with %v: %d, cookies %v", line.Path, sent, got.Status, got.Header["Set-Cookie"])
			}
		}
	}
	browsers["signed in"].get("/sallyport/account/").want(t, 200, "Your account")
	// Either header alone is enough where it is good.
	for _, gone := range []string{"Origin", "Sec-Fetch-Site"} {
		b := h.browser()
		r := b.request("POST", "/sallyport/login", url.Values{"username": {"walker"}, "password": {password}})
		r.Header.Del(gone)
		b.follow(b.do(r)).want(t, 200, "Second step")
	}
}

// Attack: log in, keep the cookie, sign out, use it.
func TestS1TheCookieIsWorthNothingAfterSigningOut(t *testing.T) {
	for name, p := range map[string]plan{"one host": {}, "domain": {domain: true}} {
		t.Run(name, func(t *testing.T) {
			h := build(t, p)
			id, e := h.person("alice", "users", true)
			ways := map[string]func(b *browser){
				"sign out": func(b *browser) { b.post("/sallyport/logout", url.Values{}) },
				"disabled": func(*browser) {
					for _, off := range []bool{true, false} {
						must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
							_, err := h.directory.SetDisabled(tx, account.Local(), id, off)
							return err
						}))
					}
				},
			}
			for way, end := range ways {
				b := h.browser()
				b.signIn("alice", e, "")
				origin, err := url.Parse(h.origin)
				must(t, err)
				kept := b.client.Jar.Cookies(origin)
				end(b)
				b.client.Jar.SetCookies(origin, kept)
				if got := b.get("/sallyport/account/"); got.Status != 303 {
					t.Errorf("%s: the old cookie opens the account: %d", way, got.Status)
				}
			}
		})
	}
}

// Attack: compare what the login says for a name that exists and one that
// does not.
func TestE2KnownAndUnknownNamesReadTheSame(t *testing.T) {
	h := build(t, plan{})
	h.person("alice", "users", true)
	h.person("bob", "users", false)
	off, _ := h.person("carl", "users", true)
	must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.directory.SetDisabled(tx, account.Local(), off, true)
		return err
	}))
	answer := func(name, pass string) (string, string) {
		b := h.browser()
		b.get("/sallyport/login")
		got := b.send("/sallyport/login", "username", name, "password", pass)
		got.Header.Del("Date")
		got.Header.Del("Content-Length")
		var head strings.Builder
		must(t, got.Header.Write(&head))
		return strconv.Itoa(got.Status) + strings.ReplaceAll(got.Body, name, "NAME"), head.String()
	}
	body, head := answer("alice", "wrong wrong wrong")
	if !strings.HasPrefix(body, "401") {
		t.Fatal(body)
	}
	for name, pass := range map[string]string{"bob": "wrong wrong wrong", "carl": password, "nobody": password, "no@where": password, "x y": password} {
		if b, hd := answer(name, pass); b != body || hd != head {
			t.Errorf("%s reads differently:\n%s\n%s", name, b, hd)
		}
	}
}

// Attack: keep trying. The page says how long to wait, in words and for
// programs, and right credentials meanwhile are not looked at.
func TestThrottledPagesSayHowLong(t *testing.T) {
	h := build(t, plan{})
	h.person("alice", "users", true)
	b := h.browser()
	b.get("/sallyport/login")
	var got *page
	for range 12 {
		h.clock.Advance(time.Millisecond)
		if got = b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {"wrong"}}); got.Status == 429 {
			break
		}
	}
	got.want(t, 429, "Please wait")
	after, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if err != nil || after < 1 || !strings.Contains(got.Body, "Try again in "+strconv.Itoa(after)+" second") {
		t.Errorf("Retry-After %q and the page disagree:\n%s", got.Header.Get("Retry-After"), got.Body)
	}
	b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {password}}).want(t, 429, "Please wait")
	h.clock.Advance(time.Duration(after) * time.Second)
	b.follow(b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {password}})).want(t, 200, "Second step")
}

// Attack: an upstream on our origin shows the picture of a pending seed in a
// page of its own and reads the pixels.
func TestPictureNeedsItsKeyAndItsOwner(t *testing.T) {
	h := build(t, plan{})
	h.person("bob", "users", false)
	b := h.browser()
	b.signIn("bob", nil, "").want(t, 200, "Set up your authenticator")
	path := b.page.Images[1]
	seed := strings.ReplaceAll(b.page.Secrets[0], " ", "")
	if strings.Contains(path, seed) || strings.Contains(b.at.String(), seed) {
		t.Fatal("the seed is in a URL")
	}
	image := func(b *browser, path string, dest string) int {
		r := b.request("GET", path, nil)
		r.Header.Set("Sec-Fetch-Mode", "no-cors")
		r.Header.Set("Sec-Fetch-Dest", dest)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		return b.do(r).Status
	}
	u, err := url.Parse(path)
	must(t, err)
	q := u.Query()
	q.Del("k")
	for what, got := range map[string]int{
		"no key":          image(b, "/sallyport/enroll/qr.png?"+q.Encode(), "image"),
		"wrong key":       image(b, strings.Replace(path, "k=", "k=00", 1), "image"),
		"a script":        image(b, path, "empty"),
		"another browser": image(h.browser(), path, "image"),
	} {
		if got == 200 {
			t.Errorf("%s: 200", what)
		}
	}
	if got := image(b, path, "image"); got != 200 {
		t.Errorf("the page's own picture: %d", got)
	}
}

// A person who is signed in as somebody whom the host does not admit can
// change the account and comes back to the same place.
func TestDeniedOffersAnotherAccountAndTheWayBack(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	rec := httptest.NewRecorder()
	r := httptest.NewRequest("GET", h.origin+"/ops/x?y=1", nil)
	h.portal.Denied(rec, r, guard.Decision{Identity: &account.Identity{Name: "alice", Realm: "users"}})
	if rec.Code != 403 || !strings.Contains(rec.Body.String(), "127.0.0.1") || !strings.Contains(rec.Body.String(), "alice@users") {
		t.Fatalf("%d\n%s", rec.Code, rec.Body)
	}
	// The cookie alone tells who it is, and nobody is offered nothing.
	for cookie, want := range map[string]string{b.cookie("sallyport_session"): "alice@users", "": "Nobody is let in"} {
		other := httptest.NewRecorder()
		r := httptest.NewRequest("GET", h.origin+"/ops/x", nil)
		r.AddCookie(&http.Cookie{Name: "sallyport_session", Value: cookie})
		h.portal.Denied(other, r, guard.Decision{})
		if other.Code != 403 || !strings.Contains(other.Body.String(), want) {
			t.Errorf("%d, want %q\n%s", other.Code, want, other.Body)
		}
	}
	b.page = read(t, rec.Body.String())
	b.at = r.URL
	b.send("/sallyport/logout").leads(t, "/ops/x?y=1")
	if b.get("/sallyport/account/").Status != 303 {
		t.Error("still signed in")
	}
}

// A challenge may ask more than the rule: without the parameters the login
// page would send straight back, and the guard straight here, for ever.
func TestTightenedChallengeDoesNotLoop(t *testing.T) {
	h := build(t, plan{rules: []guard.Rule{{Realms: []string{"users"}, Factors: number(1)}},
		realms: map[string]account.Settings{"users": {Factors: number(1)}}})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	h.clock.Advance(time.Hour)
	b.get("/sallyport/login?rd=/x").leads(t, "/x")
	b.follow(b.get("/sallyport/login?rd=/x&fresh=15m")).want(t, 200, "Second step")
	b.send("/sallyport/login/code", "code", h.code(e)).leads(t, "/x")
	b.get("/sallyport/login?rd=/x&fresh=15m").leads(t, "/x")

	h.person("bob", "users", false)
	c := h.browser()
	c.get("/sallyport/login?rd=/x&factors=2").want(t, 200, "Sign in")
	c.submit("/sallyport/login", "username", "bob", "password", password).want(t, 200, "Set up your authenticator")
}

// The shells hand over a bare status; a wait is said in words.
func TestRefusalsOfShellsAreWholePages(t *testing.T) {
	h := build(t, plan{})
	for status, want := range map[int]string{400: "Not understood", 403: "Not allowed", 405: "Cannot be opened", 431: "Too many cookies",
		429: "Try again in 2 minutes", 502: "No answer", 503: "Try again in 2 minutes", 504: "No answer in time", 418: "Something went wrong"} {
		rec := httptest.NewRecorder()
		if status == 429 || status == 503 {
			rec.Header().Set("Retry-After", "120")
		}
		h.portal.Refuse(rec, httptest.NewRequest("GET", "/x?y=<svg", nil), status)
		got := rec.Code
		if status == 418 {
			status = 500
		}
		if got != status || !strings.Contains(rec.Body.String(), want) || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d, want %d %q\n%s", got, status, want, rec.Body)
		}
		// Where the same may work in a moment, one link tries it, and it stays here.
		if again := strings.Contains(rec.Body.String(), `href="/x?y=%3csvg">Try again<`); again != (status >= 500) {
			t.Errorf("%d: a link to try again: %v\n%s", status, again, rec.Body)
		}
	}
	for _, target := range []string{"//evil.example.net/", "/\\evil.example.net", "*", "/sallyport/setup?token=spi_secret"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Opaque: target}
		if strings.HasPrefix(target, "/sallyport/") {
			r = httptest.NewRequest("GET", target, nil)
		}
		rec := httptest.NewRecorder()
		h.portal.Refuse(rec, r, 502)
		if strings.Contains(rec.Body.String(), "Try again<") {
			t.Errorf("%s: the page leads there:\n%s", target, rec.Body)
		}
	}
}

// Attack: a script of an upstream on our origin, which cannot read our pages,
// knows the seed of an authenticator that waits (it was made by another door)
// and posts a good code of it to make it the victim's.
func TestOnlyThePageThatShowedAnAuthenticatorConfirmsIt(t *testing.T) {
	h := build(t, plan{})
	id, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	var planted *factor.Enrollment
	must(t, h.store.Update(t.Context(), func(tx store.Tx) (err error) {
		planted, err = h.factors.Enroll(tx, account.Self(id), id, factor.EnrollOptions{})
		return err
	}))
	for _, key := range []string{"", "00", strings.Repeat("0", 32)} {
		b.post("/sallyport/account/totp/confirm", url.Values{"code": {h.code(planted)}, "k": {key}}).want(t, 409, "Nothing to confirm")
	}
	other := h.browser()
	other.signIn("alice", e, "").leads(t, "/sallyport/")
}
