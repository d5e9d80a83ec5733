package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// trust passes both doors and ticks the box.
func (b *browser) trust(name string, e *factor.Enrollment) *page {
	b.h.t.Helper()
	b.signIn(name, nil, "").want(b.h.t, 200, "Second step")
	return b.send("/sallyport/login/code", "code", b.h.code(e), "trust", "yes")
}

// leave forgets the session, as a closed browser does.
func (b *browser) leave() {
	b.h.t.Helper()
	b.post("/sallyport/logout", url.Values{})
}

func setCookies(p *page) []*http.Cookie { return (&http.Response{Header: p.Header}).Cookies() }

// offered reports whether the page of the second door has the box.
func (p *page) offered() bool {
	return slices.ContainsFunc(p.Forms, func(f formOf) bool { return slices.Contains(f.Names, "trust") })
}

// Whoever ticks the box signs in with the password alone from then on, in this browser
// and in no other. The cookie is of the portal's host, out of reach of scripts.
func TestATrustedBrowserSkipsTheSecondDoor(t *testing.T) {
	h := build(t, plan{domain: true})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", nil, "").want(t, 200, "Second step")
	if !strings.Contains(b.page.Body, "Trust this browser for 30 days") {
		t.Errorf("the box does not say how long:\n%s", b.page.Body)
	}
	b.send("/sallyport/login/code", "code", "000000", "trust", "yes").want(t, 401, "Second step")
	if !strings.Contains(b.page.Body, `value="yes" checked`) {
		t.Error("a wrong code loses the tick")
	}
	got := b.send("/sallyport/login/code", "code", h.code(e), "trust", "yes")
	got.leads(t, "/sallyport/")
	i := slices.IndexFunc(setCookies(got), func(c *http.Cookie) bool { return c.Name == "__Host-sallyport_trusted" })
	if i < 0 {
		t.Fatalf("no cookie: %v", got.Header)
	}
	c := setCookies(got)[i]
	if !c.HttpOnly || !c.Secure || c.Domain != "" || c.Path != "/" || c.SameSite != http.SameSiteLaxMode || c.MaxAge != int((30*24*time.Hour).Seconds()) || !strings.HasPrefix(c.Value, "spd_") {
		t.Errorf("cookie %v", c)
	}
	b.leave()
	b.signIn("alice", nil, "").want(t, 200, "You are signed in")
	h.browser().signIn("alice", nil, "").want(t, 200, "Second step")
	// Without the tick nothing is set.
	other := h.browser()
	if got := other.signIn("alice", e, ""); slices.ContainsFunc(setCookies(got), func(c *http.Cookie) bool { return strings.Contains(c.Name, "trusted") }) {
		t.Errorf("set without being asked for: %v", got.Header)
	}
}

// Where it is off, and for administrators, there is no box, and a tick that is sent all
// the same does nothing.
func TestTheBoxIsAbsentWhereNoBrowserIsTrusted(t *testing.T) {
	var off time.Duration
	h := build(t, plan{realms: map[string]account.Settings{"users": {TrustedBrowsers: &off}}})
	for name, realm := range map[string]string{"alice": "users", "root": "admin"} {
		_, e := h.person(name, realm, true)
		b := h.browser()
		b.signIn(name+"@"+realm, nil, "").want(t, 200, "Second step")
		if b.page.offered() {
			t.Errorf("%s: it is offered", realm)
		}
		got := b.post("/sallyport/login/code", url.Values{"code": {h.code(e)}, "trust": {"yes"}})
		got.leads(t, "/sallyport/")
		if b.cookie("sallyport_trusted") != "" {
			t.Errorf("%s: a cookie is set", realm)
		}
	}
}

// Attack: a trusted browser is borrowed by somebody who knows the password. What asks
// for a fresh factor leads to the second door: at the login, and from the session.
func TestATrustedBrowserIsAskedWhereARuleWantsAFreshFactor(t *testing.T) {
	h := build(t, plan{domain: true, rules: []guard.Rule{
		{Hosts: []string{"pay.example.com"}, Realms: []string{"users"}, Factors: number(2), Fresh: guard.Duration(15 * time.Minute)},
		{Hosts: []string{"*.example.com"}, Realms: []string{"users"}, Factors: number(2)},
	}})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.trust("alice", e).leads(t, "/sallyport/")
	b.leave()
	b.signIn("alice", nil, "https://pay.example.com/").want(t, 200, "Second step")
	b.get("/sallyport/login?rd=https://wiki.example.com/").want(t, 200, "Sign in")
	b.send("/sallyport/login", "username", "alice", "password", password).leads(t, "https://wiki.example.com/")
	b.follow(b.get("/sallyport/login?rd=https://pay.example.com/")).want(t, 200, "Second step")
	b.send("/sallyport/login/code", "code", h.code(e)).leads(t, "https://pay.example.com/")
	// The account asks for a code for each change, as ever.
	b.leave()
	b.signIn("alice", nil, "").want(t, 200, "You are signed in")
	b.get("/sallyport/account/recovery-codes")
	b.submit("/sallyport/account/recovery-codes", "code", b.cookie("__Host-sallyport_trusted")[:24]).want(t, 401, "New recovery codes")
}

// The owner sees the trusted browsers and ends them; nobody else does. The browser that
// ends its own trust forgets the cookie.
func TestTrustedBrowsersAreListedAndEndedByTheirOwnerAlone(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("dora", "users", true)
	_, f := h.person("eve", "users", true)
	b, other, foreign := h.browser(), h.browser(), h.browser()
	b.signIn("dora", e, "")
	b.get("/sallyport/account/").want(t, 200, "Your account")
	if strings.Contains(b.page.Body, "Trusted browsers") {
		t.Error("the account shows trusted browsers where there are none")
	}
	b.get("/sallyport/account/trusted-browsers").want(t, 200, "Your trusted browsers")
	b.leave()
	b.trust("dora", e)
	other.trust("dora", e)
	foreign.signIn("eve", f, "")
	if !strings.Contains(b.get("/sallyport/account/").Body, "2 sign in without a code") {
		t.Error("the account does not count them")
	}
	const page = "/sallyport/account/trusted-browsers"
	ids := func() (ids []string) {
		b.get(page).want(t, 200, "Your trusted browsers")
		for _, form := range b.page.Forms {
			if form.Action == page {
				ids = append(ids, form.Fields.Get("id"))
			}
		}
		return ids
	}
	all := ids()
	if len(all) != 2 || strings.Count(b.page.Body, "This is the browser that you use now.") != 1 {
		t.Fatalf("%d are listed:\n%s", len(all), b.page.Body)
	}
	foreign.post(page, url.Values{"id": {all[0]}}).want(t, 404, "Not found")
	if strings.Contains(foreign.get(page).Body, all[0]) {
		t.Error("eve sees dora's")
	}
	// The other one, which is the newer, then this one.
	b.post(page, url.Values{"id": {all[0]}}).leads(t, page+"?m=ended")
	if b.cookie("sallyport_trusted") == "" {
		t.Error("the end of another one takes this one's cookie")
	}
	other.leave()
	other.signIn("dora", nil, "").want(t, 200, "Second step")
	b.post(page, url.Values{"id": {all[1]}}).leads(t, page+"?m=ended")
	if b.cookie("sallyport_trusted") != "" || len(ids()) != 0 {
		t.Error("this one is still there")
	}
	// All at once: by their button, and by that of the sessions.
	for action, form := range map[string]string{page + "/end-all": page, "/sallyport/account/sessions/end-others": "/sallyport/account/sessions"} {
		b.leave()
		b.trust("dora", e)
		other.trust("dora", e)
		b.get(form)
		b.send(action).want(t, 303, "")
		if b.cookie("sallyport_trusted") != "" || len(ids()) != 0 {
			t.Errorf("%s leaves some", action)
		}
		other.leave()
		other.signIn("dora", nil, "").want(t, 200, "Second step")
	}
}

// Attack: another site's page sends the form, and so has the victim's trust ended, or
// trusts the victim's browser with a code of the attacker's.
func TestOtherSitesCannotTouchTrust(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("dora", "users", true)
	b := h.browser()
	b.trust("dora", e)
	for _, path := range []string{"/sallyport/account/trusted-browsers", "/sallyport/account/trusted-browsers/end-all"} {
		r := b.request(http.MethodPost, path, url.Values{"id": {"x"}})
		r.Header.Set("Origin", "https://evil.example.net")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if got := b.do(r); got.Status != 403 {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
	b.leave()
	b.signIn("dora", nil, "").want(t, 200, "You are signed in")
}
