package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The walks come to every page, in every state of it that a person can reach,
// and each page is looked at (judge_test.go) in light and dark and on narrow
// screens. SALLYPORT_SCREENSHOTS=DIR makes them leave a picture of each page and
// look: make screenshots.

const (
	portal  = "http://auth.example.com"
	wiki    = "http://wiki.example.com"
	reports = "http://reports.example.com"
)

// A gateway with a portal, before an upstream that is down.
func TestEveryPageIsAccessibleInChromium(t *testing.T) {
	w := newWalk(t, `
portal: `+portal+`
cookie_domain: example.com
upstream: http://127.0.0.1:`+freePort(t)+`
throttle: {principal: 5, delay: 10m}
realms:
  contractors: {enrollment: "off"}
rules:
  - {hosts: [old.example.com], deny: true}
  - {hosts: [reports.example.com], realms: [users], groups: [finance]}
  - {hosts: ["*.example.com"], realms: [users, admin, contractors]}
`)
	w.setup()
	w.leaving()
	w.login()
	w.newcomers()
	w.refusals()
	w.end(55)
}

// The name and the logo of whoever runs the gateway, on pages that share their
// host with the site, and as long as everything can be.
func TestOwnNameAndLogoInChromium(t *testing.T) {
	logo := filepath.Join(t.TempDir(), "logo.svg")
	const drawing = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 32"><circle cx="16" cy="16" r="14" fill="#c2571a"/><circle cx="38" cy="18" r="12" fill="#7d8f3a"/><circle cx="55" cy="22" r="8" fill="#e0a526"/></svg>`
	if err := os.WriteFile(logo, []byte(drawing), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWalk(t, "name: Orchard Club\nlogo: "+logo+"\n", "--demo")
	const intranet = "http://intranet.example.com"
	w.open(strings.Replace(w.s.setupURL(), w.s.base, intranet, 1))
	w.see("own-setup", "Create the first administrator")
	root := person{name: "root@admin"}
	w.fill("username", "root", "new_password", goodPassword, "again", goodPassword)
	root.secret = w.secret()
	w.fill("code", root.code(t, 0))
	w.see("own-recovery-codes", "Your recovery codes")
	w.follow("/sallyport/")
	w.see("own-start", "You are signed in")
	w.press(signOutField)
	w.open(intranet + "/minutes/2026")
	w.see("own-login", "Sign in")

	long := newWalk(t, "name: Association of the Friends and Growers of Rare Apples and Pears\n", "--demo")
	long.pictures = ""
	host := "http://" + strings.Repeat("a-long-name-of-a-host", 2) + ".a-department-with-a-name." + strings.Repeat("x", 60) + ".example.com"
	long.open(host + "/" + strings.Repeat("without-any-end", 30))
	long.see("long-login", "Sign in")
	long.open(strings.Replace(long.s.setupURL(), long.s.base, host, 1))
	long.fill("username", strings.Repeat("n", 64), "new_password", goodPassword, "again", goodPassword)
	long.see("long-setup-code", "Set up your authenticator")
	someone := person{secret: long.secret()}
	long.fill("code", someone.code(t, 0))
	long.see("long-recovery-codes", "Your recovery codes")
	for page, heading := range map[string]string{"": "You are signed in", "account/": "Your account", "account/sessions": "Your sessions", "logout": "Sign out"} {
		long.open(host + "/sallyport/" + page)
		long.see("long-"+page, heading)
	}
	w.end(4)
	long.end(7)
}

// The manual shows every picture that the walks left, and no other.
func TestManualShowsEveryPage(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "docs", "pages.md"))
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := filepath.Glob(filepath.Join("..", "docs", "screenshots", "*.png"))
	if err != nil || len(pictures) < 100 {
		t.Fatalf("%d pictures (%v): make screenshots", len(pictures), err)
	}
	for _, file := range pictures {
		if !strings.Contains(string(manual), "(screenshots/"+filepath.Base(file)+")") {
			t.Errorf("docs/pages.md does not show %s", filepath.Base(file))
		}
	}
	if n := strings.Count(string(manual), "(screenshots/"); n != len(pictures) {
		t.Errorf("docs/pages.md shows %d pictures, and there are %d", n, len(pictures))
	}
}

// fill types into the fields of a form, by their names, and sends it.
func (w *walk) fill(pairs ...string) {
	w.t.Helper()
	last := ""
	for i := 0; i < len(pairs); i += 2 {
		last = "main input[name=" + pairs[i] + "]"
		w.do("type into "+last, chromedp.SetValue(chromedp.CSS(last), pairs[i+1]))
	}
	w.enter(last)
}

// follow presses the link to a path.
func (w *walk) follow(path string) {
	w.t.Helper()
	w.press(`main a[href^="` + path + `"]`)
}

// setup comes by the printed link and leaves an administrator.
func (w *walk) setup() {
	w.open(w.s.setupURL())
	w.see("setup", "Create the first administrator")
	w.fill("username", "dana", "new_password", "short", "again", "short")
	w.see("setup-error", "Create the first administrator")
	w.fill("username", "dana", "new_password", goodPassword, "again", goodPassword)
	w.see("setup-code", "Set up your authenticator")
	w.tap("summary")
	w.see("setup-code-by-hand", "Set up your authenticator")
	dana := person{name: "dana", secret: w.secret()}
	w.fill("code", "000000")
	w.see("setup-code-error", "Set up your authenticator")
	w.fill("code", dana.code(w.t, 0))
	w.see("recovery-codes", "Your recovery codes")
	w.follow("/sallyport/")
	w.see("start", "You are signed in")
	w.open(w.s.setupURL())
	w.see("setup-ended", "This link has ended")
}

// tap presses something that does not lead to another page.
func (w *walk) tap(selector string) {
	w.t.Helper()
	w.do("press "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// secret is the key that the page shows for typing.
func (w *walk) secret() string {
	w.t.Helper()
	return read(w.tab, "read the key", chromedp.Evaluate[string](`document.querySelector('code.secret').textContent.replaceAll(' ', '')`))
}

// alice is a person whose record is full.
func (w *walk) alice() person {
	alice := w.s.addUser("alice")
	status, answer := w.s.admin("PATCH", "/users/users/alice", map[string]any{
		"full_name": "Alice Example", "email": "alice@example.com", "groups": []string{"engineering", "on-call"},
	})
	if status != 200 {
		w.t.Fatalf("complete alice: %d %v", status, answer)
	}
	return alice
}

// elsewhere signs somebody in from another program.
func (w *walk) elsewhere(p person, recovery, program string) {
	w.t.Helper()
	client := browserLike(w.t)
	client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, w.s.addr)
	}}
	header := http.Header{"Sec-Fetch-Site": {"same-origin"}, "User-Agent": {program}}
	status, answer := call(w.t, client, "POST", portal+"/sallyport/api/v1/login", map[string]any{"name": p.name, "password": p.password}, header)
	if status == 200 {
		status, answer = call(w.t, client, "POST", portal+"/sallyport/api/v1/login/recovery-code",
			map[string]any{"ephemeral_token": answer["ephemeral_token"], "recovery_code": recovery}, header)
	}
	if status != 200 {
		w.t.Fatalf("sign %s in from %s: %d %v", p.name, program, status, answer)
	}
}

// login passes both doors, with all that can go wrong there, and goes through
// the own account.
func (w *walk) login() {
	alice := w.alice()
	w.open(wiki + "/projects/garden?page=2")
	w.see("login", "Sign in")
	w.fill("username", "alice", "password", "not the password")
	w.see("login-error", "Sign in")
	w.fill("username", "alice", "password", alice.password)
	w.see("code", "Second step")
	w.fill("code", "000000")
	w.see("code-error", "Second step")
	w.follow("/sallyport/login/recovery")
	w.see("recovery", "Recovery code")
	w.fill("recovery_code", "aaaa-bbbb-cccc-dddd")
	w.see("recovery-error", "Recovery code")
	w.fill("recovery_code", alice.recovery[0])
	w.see("upstream-down", "No answer")
	w.open(reports + "/2026/")
	w.see("denied", "No access")
	w.press(signOutField)
	w.see("login-other", "Sign in")

	w.open(portal + "/sallyport/login")
	w.see("login-plain", "Sign in")
	w.open(portal + "/sallyport/login?rd=https://elsewhere.example.net/")
	w.see("login-refused-target", "Sign in")
	w.open(portal + "/sallyport/login")
	w.fill("username", "alice", "password", alice.password)
	w.follow("/sallyport/login/recovery")
	w.fill("recovery_code", alice.recovery[1])
	w.see("start-after-recovery", "You are signed in")
	w.account(alice)
}

// account walks through the own account and all its changes, and signs out.
func (w *walk) account(p person) {
	w.elsewhere(p, p.recovery[2], "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1")
	w.elsewhere(p, p.recovery[3], "backup-script/1.4 "+strings.Repeat("(a-long-name-without-a-space)", 4))
	w.open(portal + "/sallyport/account/")
	w.see("account", "Your account")
	w.follow("/sallyport/account/sessions")
	w.see("sessions", "Your sessions")
	w.press(`form[action$="/sessions"] button`)
	w.see("sessions-ended", "Your sessions")

	next := p.password + " too"
	w.open(portal + "/sallyport/account/password")
	w.see("password", "Change your password")
	w.fill("password", p.password, "new_password", next, "again", next, "code", "000000")
	w.see("password-error", "Change your password")
	w.fill("password", p.password, "new_password", next, "again", next, "code", p.code(w.t, 0))
	w.see("password-changed", "Your account")

	w.open(portal + "/sallyport/account/totp/confirm")
	w.see("nothing-to-confirm", "Nothing to confirm")
	w.open(portal + "/sallyport/account/totp")
	w.see("totp", "Replace your authenticator")
	w.fill("code", "000000")
	w.see("totp-error", "Replace your authenticator")
	w.fill("code", p.code(w.t, 1))
	w.see("totp-confirm", "Set up your authenticator")
	fresh := person{name: p.name, secret: w.secret()}
	w.fill("code", "000000")
	w.see("totp-confirm-error", "Set up your authenticator")
	w.fill("code", fresh.code(w.t, 0))
	w.see("totp-changed", "Your account")

	w.open(portal + "/sallyport/account/recovery-codes")
	w.see("new-codes", "New recovery codes")
	w.fill("code", "000000")
	w.see("new-codes-error", "New recovery codes")
	w.fill("code", fresh.code(w.t, 1))
	w.see("new-codes-shown", "Your recovery codes")

	// Somebody else ended the session while the form was open.
	w.open(portal + "/sallyport/account/password")
	if status, answer := w.s.admin("DELETE", "/users/users/"+p.name+"/sessions", nil); status != 204 {
		w.t.Fatalf("end the sessions of %s: %d %v", p.name, status, answer)
	}
	w.fill("password", next, "new_password", p.password, "again", p.password, "code", "000000")
	w.see("sign-in-first", "Sign in first")
}

// leaving signs the administrator out.
func (w *walk) leaving() {
	w.open(portal + "/sallyport/account/")
	w.see("account-administrator", "Your account")
	w.open(portal + "/sallyport/logout")
	w.see("logout", "Sign out")
	w.press(signOutField)
	w.see("signed-out", "You are signed out")
	w.open(portal + "/sallyport/")
	w.see("start-nobody", "You are not signed in")
	w.open(portal + "/sallyport/logout")
	w.see("logout-nobody", "You are not signed in")
}

// newcomers come by an invitation, or without an authenticator.
func (w *walk) newcomers() {
	for _, p := range []map[string]any{
		{"realm": "users", "name": "bob"},
		{"realm": "users", "name": "carol", "password": goodPassword + " carol"},
		{"realm": "contractors", "name": "dan", "password": goodPassword + " dan"},
	} {
		if status, answer := w.s.admin("POST", "/users", p); status != 201 {
			w.t.Fatalf("create %s: %d %v", p["name"], status, answer)
		}
	}
	status, answer := w.s.admin("POST", "/users/users/bob/invite", map[string]any{})
	link, _ := answer["invite_url"].(string)
	if link == "" {
		w.t.Fatalf("invite bob: %d %v", status, answer)
	}
	w.open(link)
	w.see("invite", "Welcome")
	w.fill("new_password", goodPassword, "again", goodPassword+"x")
	w.see("invite-error", "Welcome")
	w.fill("new_password", goodPassword, "again", goodPassword)
	w.open(link)
	w.see("invite-ended", "This link has ended")

	w.open(wiki + "/projects/garden")
	w.fill("username", "carol", "password", goodPassword+" carol")
	w.see("enroll", "Set up your authenticator")
	carol := person{name: "carol", secret: w.secret()}
	w.fill("code", "000000")
	w.see("enroll-error", "Set up your authenticator")
	w.fill("code", carol.code(w.t, 0))
	w.see("enroll-codes", "Your recovery codes")
	w.open(portal + "/sallyport/logout")
	w.press(signOutField)

	w.open(wiki + "/")
	w.fill("username", "dan@contractors", "password", goodPassword+" dan")
	w.see("enroll-closed", "A second proof is needed")
}

// refusals are the pages on which nothing can be done but to go elsewhere.
func (w *walk) refusals() {
	w.open("http://old.example.com/")
	w.see("denied-closed", "No access")
	for _, p := range []struct{ name, path, heading string }{
		{"not-found", "/sallyport/nowhere", "Not found"},
		{"malformed", "/sallyport/login?m=1&m=2", "Not understood"},
		{"method", "/sallyport/recovery-codes.txt", "Cannot be opened"},
		{"login-ended", "/sallyport/login/code", "This sign-in has ended"},
	} {
		w.open(portal + p.path)
		w.see(p.name, p.heading)
	}
	w.open("data:text/html,<form method=post action='" + portal + "/sallyport/logout'><button>x</button></form>")
	w.press("button")
	w.see("foreign", "Not allowed")

	w.open(portal + "/sallyport/login")
	for range 7 {
		w.fill("username", "nobody", "password", "not the password")
		if strings.HasPrefix(w.text(), "Sallyport\nPlease wait") {
			break
		}
	}
	w.see("wait", "Please wait")
}
