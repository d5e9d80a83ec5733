package caddymodule_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// chromium starts a browser whose pages run no JavaScript, for which every host is
// this machine and Caddy's own authority is good.
func chromium(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewExecAllocator(t.Context(),
		chromedp.Flag("headless", true),
		chromedp.Flag("no-sandbox", true), // tests run as root in containers
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP * 127.0.0.1"),
		chromedp.WindowSize(900, 1100),
	)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	off := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
	if err := chromedp.Do(ctx, off); err != nil {
		t.Fatalf("start Chromium: %v (make test installs it)", err)
	}
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// tab is one page of the browser, with the steps of a person.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func read[T any](b tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		location, _ := chromedp.Run(b.ctx, chromedp.Location())
		text, _ := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
		b.t.Fatalf("%s: %v\nat %s:\n%s", what, err, location, text)
	}
	return v
}

func (b tab) open(url string) tab {
	b.t.Helper()
	read(b, "open "+url, chromedp.Steps(chromedp.Navigate(url)))
	return b
}

func (b tab) at(url string) {
	b.t.Helper()
	if got := read(b, "read the address", chromedp.Location()); got != url && !(strings.HasSuffix(url, "?") && strings.HasPrefix(got, url)) {
		b.t.Fatalf("the browser is at %s, want %s", got, url)
	}
}

func (b tab) shows(words ...string) {
	b.t.Helper()
	text := read(b, "read the page", chromedp.Text(chromedp.CSS("body")))
	for _, w := range words {
		if !strings.Contains(text, w) {
			b.t.Fatalf("the page does not show %q:\n%s", w, text)
		}
	}
}

func (b tab) typeInto(selector, text string) {
	b.t.Helper()
	read(b, "type into "+selector, chromedp.Steps(chromedp.SendKeys(chromedp.CSS(selector), text)))
}

func (b tab) sends(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, action); err != nil {
		b.t.Fatalf("send a form: %v", err)
	}
}

const (
	nameField     = `input[autocomplete="username"]`
	passwordField = `input[autocomplete="current-password"]`
	codeField     = `input[autocomplete="one-time-code"]`
	signOutButton = `form[action$="/logout"] button`
)

func (b tab) password(p person) {
	b.t.Helper()
	b.typeInto(nameField, p.name)
	b.typeInto(passwordField, p.password)
	b.sends(chromedp.SendKeys(chromedp.CSS(passwordField), "\r"))
}

func (b tab) code(p person, step int) {
	b.t.Helper()
	b.typeInto(codeField, p.code(b.t, step))
	b.sends(chromedp.SendKeys(chromedp.CSS(codeField), "\r"))
}

// One login opens three hosts below the cookie domain; a vault asks for the second
// door again, once its proof is old, and for nothing else; signing out anywhere
// ends it everywhere. All of it in Chromium, without JavaScript, on HTTPS.
func TestOneLoginForThreeHostsInChromium(t *testing.T) {
	const fresh = 6 * time.Second
	s, _ := shared(t, fresh.String())
	alice := s.user("alice")
	b := tab{t: t, ctx: chromium(t)}
	login := s.site("auth") + "/sallyport/login"

	b.open(s.site("a") + "/reports?year=2026")
	b.at(login + "?")
	b.shows("a.example.com")
	b.password(alice)
	b.code(alice, 0)
	proved := time.Now()
	b.at(s.site("a") + "/reports?year=2026")
	b.shows(`"Remote-User":["alice"]`)
	for _, host := range []string{"b", "c", "a"} {
		b.open(s.site(host) + "/x")
		b.at(s.site(host) + "/x")
		b.shows(map[bool]string{true: `"Remote-User":["alice@users"]`, false: `"Remote-User":["alice"]`}[host == "c"]) // whose first realm is another
	}

	// The proof of the login grows old; then the vault asks for a code alone.
	eventually(t, "the code is no longer fresh", func() bool { return time.Since(proved) > fresh })
	b.open(s.site("b") + "/vault/deeds?id=7")
	b.at(login + "/code?")
	b.code(alice, 1) // each code works once
	b.at(s.site("b") + "/vault/deeds?id=7")
	b.shows(`"Remote-User":["alice"]`)
	b.open(s.site("b") + "/vault/more").at(s.site("b") + "/vault/more")

	// Out at one of the applications: out at all of them, and at the portal.
	b.open(s.site("c") + "/sallyport/logout")
	b.sends(chromedp.Click(chromedp.CSS(signOutButton)))
	for _, host := range []string{"a", "b", "c"} {
		b.open(s.site(host) + "/x")
		b.at(login + "?")
	}
	b.open(s.site("auth") + "/sallyport/account/")
	b.at(login + "?")
	if list, _ := s.must("GET", "/sessions?realm=users&name=alice", nil)["sessions"].([]any); len(list) != 0 {
		t.Errorf("sessions after signing out: %v", list)
	}
	wantStatus(t, s.browser(s.site("a")).fetch("/x"), http.StatusUnauthorized)
}
