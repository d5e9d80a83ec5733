package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// A newcomer opens the link that the server printed and ends as an
// administrator with an authenticator and ten recovery codes.
func TestSetupLeadsFromTheLinkToTheFirstAdministrator(t *testing.T) {
	for name, p := range map[string]plan{"one host": {}, "portal and cookie domain": {domain: true}} {
		t.Run(name, func(t *testing.T) {
			h := build(t, p)
			link, err := h.doors.SetupLink(t.Context())
			must(t, err)
			b := h.browser()
			first := b.get("/sallyport/setup?token=" + link.Reveal())
			if first.Status != 303 || strings.Contains(first.Location, "spi_") || strings.Contains(first.Location, "spe_") {
				t.Fatalf("the link is answered %d to %q, want 303 to a clean URL", first.Status, first.Location)
			}
			b.follow(first).want(t, 200, "Create the first administrator")

			b.submit("/sallyport/setup", "username", "root", "new_password", password, "again", "another thing")
			b.page.want(t, 422, "Create the first administrator")
			b.submit("/sallyport/setup", "username", "root", "new_password", "password1234", "again", "password1234")
			b.page.want(t, 422, "Create the first administrator")
			b.submit("/sallyport/setup", "username", "ro ot", "new_password", password, "again", password)
			b.page.want(t, 422, "Create the first administrator")
			b.submit("/sallyport/setup", "username", "Root@admin", "new_password", password, "again", password)
			b.page.want(t, 200, "Set up your authenticator")
			e := b.page.scanned(t)
			b.submit("/sallyport/setup/code", "code", "000000").want(t, 401, "Set up your authenticator")
			codes := b.submit("/sallyport/setup/code", "code", h.code(e)).want(t, 200, "Your recovery codes")
			if len(codes.Codes) != 10 || !strings.Contains(codes.Body, "root@admin") {
				t.Fatalf("want 10 recovery codes of root@admin:\n%s", codes.Body)
			}
			b.get("/sallyport/").want(t, 200, "You are signed in")
			if !strings.Contains(b.page.Body, "root@admin") {
				t.Fatal("not signed in after setup")
			}
			again := h.browser()
			again.get("/sallyport/setup?token="+link.Reveal()).want(t, 403, "This link has ended")

			out := b.get("/sallyport/logout").want(t, 200, "Sign out")
			_ = out
			b.submit("/sallyport/logout").want(t, 200, "You are signed out")
			if strings.Contains(b.page.Body, "root@admin") {
				t.Fatal("still signed in after signing out")
			}
			b.signIn("root@admin", e, "").leads(t, "/sallyport/")
		})
	}
}

func TestRecoveryCodesCanBeDownloadedFromThePageThatShowsThem(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	b.get("/sallyport/account/recovery-codes").want(t, 200, "New recovery codes")
	b.submit("/sallyport/account/recovery-codes", "code", "123456").want(t, 401, "New recovery codes")
	shown := b.submit("/sallyport/account/recovery-codes", "code", h.code(e)).want(t, 200, "Your recovery codes")
	codes := shown.Codes
	file := b.send("/sallyport/recovery-codes.txt")
	if file.Status != 200 || !strings.HasPrefix(file.Header.Get("Content-Disposition"), "attachment") ||
		file.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(file.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("download: %d %v", file.Status, file.Header)
	}
	for _, code := range codes {
		if !strings.Contains(file.Body, code+"\n") {
			t.Errorf("the file lacks %s", code)
		}
	}
	for _, bad := range []url.Values{
		{}, {"recovery_code": {"<svg onload=alert(1)>"}}, {"recovery_code": {"a b"}}, {"recovery_code": make([]string, 101)},
	} {
		if got := b.post("/sallyport/recovery-codes.txt", bad); got.Status != 400 {
			t.Errorf("file of %v: %d, want 400", bad, got.Status)
		}
	}

	// Each opens the second door once.
	other := h.browser()
	other.signIn("alice", nil, "")
	other.get(other.page.Links[1]).want(t, 200, "Recovery code")
	other.submit("/sallyport/login/recovery", "recovery_code", "aaaa-bbbb-cccc-dddd").want(t, 401, "Recovery code")
	other.submit("/sallyport/login/recovery", "recovery_code", " "+strings.ToUpper(codes[3])).want(t, 200, "You are signed in")
	if !strings.Contains(other.page.Notice, "9 left") {
		t.Errorf("notice %q does not say how many are left", other.page.Notice)
	}
	third := h.browser()
	third.signIn("alice", nil, "")
	third.get(third.page.Links[1])
	third.submit("/sallyport/login/recovery", "recovery_code", codes[3]).want(t, 401, "Recovery code")
}

// Who has no factor where two are demanded is led to set one up at once, and
// comes to the target afterwards.
func TestForcedEnrolmentLeadsToTheTarget(t *testing.T) {
	h := build(t, plan{})
	h.person("bob", "users", false)
	b := h.browser()
	b.signIn("bob", nil, "/app/x?y=1").want(t, 200, "Set up your authenticator")
	e := b.page.scanned(t)
	img := b.request(http.MethodGet, b.page.Images[1], nil)
	img.Header.Set("Sec-Fetch-Dest", "image")
	img.Header.Set("Sec-Fetch-Mode", "no-cors")
	img.Header.Set("Sec-Fetch-Site", "same-origin")
	enrol := b.page
	at := b.at
	png := b.do(img)
	if png.Status != 200 || png.Header.Get("Content-Type") != "image/png" || png.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(png.Body, "\x89PNG") {
		t.Fatalf("picture: %d %v", png.Status, png.Header)
	}
	b.page, b.at = enrol, at
	again := b.get(at.RequestURI()).scanned(t)
	if !again.Seed.Equal(e.Seed) {
		t.Fatal("looking again made another seed: the scanned one is worthless")
	}
	b.submit("/sallyport/enroll/totp", "code", "").want(t, 401, "Set up your authenticator")
	shown := b.submit("/sallyport/enroll/totp", "code", h.code(e)).want(t, 200, "Your recovery codes")
	if shown.Links[len(shown.Links)-1] != "/app/x?y=1" {
		t.Errorf("after the codes the page leads to %q", shown.Links[len(shown.Links)-1])
	}
	if got := b.do(img.Clone(t.Context())); got.Status != 409 {
		t.Errorf("the picture after confirmation: %d, want 409", got.Status)
	}
	other := h.browser()
	other.signIn("bob", e, "").leads(t, "/sallyport/")
}

func TestAccountChangesAskForAFreshCodeEach(t *testing.T) {
	h := build(t, plan{})
	id, e := h.person("carol", "users", true)
	b, other := h.browser(), h.browser()
	b.signIn("carol", e, "")
	other.signIn("carol", e, "")

	b.get("/sallyport/account/").want(t, 200, "Your account")
	if !strings.Contains(b.page.Body, "2 open") {
		t.Error("the account does not count two sessions")
	}
	const next = "quite another phrase here"
	b.get("/sallyport/account/password").want(t, 200, "Change your password")
	b.submit("/sallyport/account/password", "password", password, "new_password", next, "again", next).want(t, 401, "Change your password")
	b.submit("/sallyport/account/password", "password", "wrong wrong wrong", "new_password", next, "again", next, "code", h.code(e)).want(t, 401, "Change your password")
	b.submit("/sallyport/account/password", "password", password, "new_password", "carol", "again", "carol", "code", h.code(e)).want(t, 422, "Change your password")
	b.submit("/sallyport/account/password", "password", password, "new_password", next, "again", next, "code", h.code(e)).want(t, 200, "Your account")
	if b.page.Notice == "" {
		t.Error("no sentence says that the password is changed")
	}
	// S1: all other sessions are over.
	other.get("/sallyport/account/").leads(t, "/sallyport/login?rd=%2Fsallyport%2Faccount%2F")

	b.get("/sallyport/account/totp").want(t, 200, "Replace your authenticator")
	b.submit("/sallyport/account/totp", "code", "000000").want(t, 401, "Replace your authenticator")
	b.get("/sallyport/account/totp/confirm").want(t, 409, "Nothing to confirm")
	b.get("/sallyport/account/totp")
	b.submit("/sallyport/account/totp", "code", h.code(e)).want(t, 200, "Set up your authenticator")
	fresh := b.page.scanned(t)
	confirm, at := b.page, b.at
	img := b.request(http.MethodGet, confirm.Images[1], nil)
	img.Header.Set("Sec-Fetch-Dest", "image")
	if got := b.do(img); got.Status != 200 || !strings.HasPrefix(got.Body, "\x89PNG") {
		t.Errorf("the picture of a chosen authenticator: %d", got.Status)
	}
	b.page, b.at = confirm, at
	b.submit("/sallyport/account/totp/confirm", "code", "000000").want(t, 401, "Set up your authenticator")
	b.submit("/sallyport/account/totp/confirm", "code", h.code(fresh)).want(t, 200, "Your account")
	must(t, h.store.View(t.Context(), func(tx store.Tx) error {
		methods, err := h.factors.Methods(tx, id)
		if err == nil && len(methods) != 1 {
			t.Errorf("%d methods after the replacement", len(methods))
		}
		return err
	}))
	if got := b.do(img.Clone(t.Context())); got.Status != 409 {
		t.Errorf("the picture after confirmation: %d, want 409", got.Status)
	}
	b.get("/sallyport/account/recovery-codes")
	b.submit("/sallyport/account/recovery-codes", "code", h.code(e)).want(t, 401, "New recovery codes")
	b.submit("/sallyport/account/recovery-codes", "code", h.code(fresh)).want(t, 200, "Your recovery codes")
}

func TestSessionsAreListedAndEndedByTheirOwnerAlone(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("dora", "users", true)
	_, f := h.person("eve", "users", true)
	b, other, foreign := h.browser(), h.browser(), h.browser()
	b.signIn("dora", e, "")
	other.signIn("dora", e, "")
	foreign.signIn("eve", f, "")
	b.get("/sallyport/account/sessions").want(t, 200, "Your sessions")
	var id string
	for _, form := range b.page.Forms {
		if form.Action == "/sallyport/account/sessions" {
			id = form.Fields.Get("id")
		}
	}
	if id == "" {
		t.Fatal("no button ends the other session")
	}
	// Eve knows the id, and ends nothing with it.
	foreign.post("/sallyport/account/sessions", url.Values{"id": {id}}).want(t, 404, "Not found")
	other.get("/sallyport/account/").want(t, 200, "Your account")
	b.submit("/sallyport/account/sessions").want(t, 200, "Your sessions")
	if other.get("/sallyport/account/").Status != 303 {
		t.Error("the ended session goes on")
	}
	other.signIn("dora", e, "")
	b.get("/sallyport/account/sessions")
	b.submit("/sallyport/account/sessions/end-others").want(t, 200, "Your sessions")
	if other.get("/sallyport/account/").Status != 303 || foreign.get("/sallyport/account/").Status != 200 {
		t.Error("the wrong sessions ended")
	}
}

func TestInvitationSetsAPasswordAndLeadsToEnrolment(t *testing.T) {
	h := build(t, plan{})
	id, _ := h.person("frank", "users", false)
	var link secret.Token
	must(t, h.store.Update(t.Context(), func(tx store.Tx) (err error) {
		link, err = h.doors.Invite(tx, account.Local(), id)
		return err
	}))
	scanner := h.browser()
	if got := scanner.get("/sallyport/invite?token=" + link.Reveal()); got.Status != 303 {
		t.Fatalf("the link is answered %d", got.Status)
	}
	b := h.browser()
	b.follow(b.get("/sallyport/invite?token="+link.Reveal())).want(t, 200, "Welcome")
	const chosen = "something that frank chose"
	b.submit("/sallyport/invite", "new_password", "frank", "again", "frank").want(t, 422, "Welcome")
	b.submit("/sallyport/invite", "new_password", chosen, "again", chosen).want(t, 200, "Set up your authenticator")
	e := b.page.scanned(t)
	b.submit("/sallyport/enroll/totp", "code", h.code(e)).want(t, 200, "Your recovery codes")
	scanner.get("/sallyport/invite?token="+link.Reveal()).want(t, 403, "This link has ended")
}

// A target that asks for a fresh factor is a step-up: the code alone.
func TestSignedInButNotFreshIsAskedForACodeAlone(t *testing.T) {
	h := build(t, plan{rules: []guard.Rule{
		{Paths: []string{"/vault/*"}, Realms: []string{"users"}, Factors: number(2), Fresh: guard.Duration(15 * time.Minute)},
		{Realms: []string{"users"}, Factors: number(2)},
	}})
	_, e := h.person("gina", "users", true)
	b := h.browser()
	b.signIn("gina", e, "")
	b.get("/sallyport/login?rd=/vault/a").leads(t, "/vault/a")
	h.clock.Advance(20 * time.Minute)
	b.get("/sallyport/login?rd=/plain").leads(t, "/plain")
	b.follow(b.get("/sallyport/login?rd=/vault/a")).want(t, 200, "Second step")
	b.send("/sallyport/login/code", "code", h.code(e)).leads(t, "/vault/a")
	b.get("/sallyport/login?rd=/vault/a").leads(t, "/vault/a")
}

// One factor is enough where the realm says so; adding one later raises it.
func TestAuthenticatorCanBeAddedWhereNoneWasDemanded(t *testing.T) {
	h := build(t, plan{realms: map[string]account.Settings{"users": {Factors: number(1)}},
		rules: []guard.Rule{{Realms: []string{"users"}, Factors: number(1)}}})
	h.person("hugo", "users", false)
	b := h.browser()
	b.get("/sallyport/login")
	b.send("/sallyport/login", "username", "hugo", "password", password).leads(t, "/sallyport/")
	b.get("/sallyport/account/totp").want(t, 200, "Add an authenticator")
	b.submit("/sallyport/account/totp").want(t, 200, "Set up your authenticator")
	e := b.page.scanned(t)
	b.submit("/sallyport/enroll/totp", "code", h.code(e)).want(t, 200, "Your recovery codes")
	other := h.browser()
	other.signIn("hugo", nil, "").want(t, 200, "Second step")
}

func TestRememberMeAloneOutlivesTheBrowser(t *testing.T) {
	h := build(t, plan{})
	_, e := h.person("ida", "users", true)
	for remember, want := range map[string]bool{"": false, "yes": true} {
		b := h.browser()
		b.get("/sallyport/login")
		pairs := []string{"username", "ida", "password", password}
		if remember != "" {
			pairs = append(pairs, "remember", remember)
		}
		b.submit("/sallyport/login", pairs...)
		b.send("/sallyport/login/code", "code", h.code(e))
		for _, c := range (&http.Response{Header: b.page.Header}).Cookies() {
			if c.Name == "sallyport_session" && c.Value != "" && !c.Expires.IsZero() != want {
				t.Errorf("remember %q: the cookie expires %v", remember, c.Expires)
			}
		}
	}
}

// With a cookie domain the guard reads another cookie than the pages. If the
// browser lost it, sending straight back would go round for ever.
func TestALostDomainCookieAsksForALoginInsteadOfALoop(t *testing.T) {
	h := build(t, plan{domain: true, rules: []guard.Rule{{Hosts: []string{"*.example.com"}, Realms: []string{"users"}, Factors: number(2)}}})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	const target = "https://app.example.com/x"
	b.signIn("alice", e, target+"?rs=").leads(t, target+"?rs=")
	b.get("/sallyport/login?rd="+target).leads(t, target)
	origin, err := url.Parse(h.origin)
	must(t, err)
	b.client.Jar.SetCookies(origin, []*http.Cookie{{Name: "__Secure-sallyport_session", Path: "/", Domain: "example.com", MaxAge: -1}})
	b.get("/sallyport/account/").want(t, 200, "Your account")
	b.get("/sallyport/login?rd="+target).want(t, 200, "Sign in")
	if !strings.Contains(b.page.Body, "app.example.com") {
		t.Error("the page does not say where one is going")
	}
	b.submit("/sallyport/login", "username", "alice", "password", password)
	b.send("/sallyport/login/code", "code", h.code(e)).leads(t, target)
	b.get("/sallyport/login?rd="+target).leads(t, target)
}
