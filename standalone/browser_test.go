package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// chromium starts a browser whose pages run no JavaScript.
func chromium(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.NoFirstRun,
		chromedp.Flag("headless", true),
		chromedp.Flag("no-sandbox", true), // tests run as root in containers
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.WindowSize(900, 1100),
	}, more...)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, scripts(false)); err != nil {
		t.Fatalf("start Chromium: %v (make test installs it)", err)
	}
	ctx, cancel = context.WithTimeout(ctx, 8*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// scripts lets pages run JavaScript, or not.
func scripts(run bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
		return err
	})
}

// tab is one page of the browser, with the steps of a person.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func (b tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	read(b, what, chromedp.Steps(actions...))
}

// read does something that has a result.
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

func (b tab) open(url string) { b.t.Helper(); b.do("open "+url, chromedp.Navigate(url)) }

func (b tab) text() string {
	b.t.Helper()
	return read(b, "read the page", chromedp.Text(chromedp.CSS("body")))
}

func (b tab) location() string {
	b.t.Helper()
	return read(b, "read the address", chromedp.Location())
}

func (b tab) shows(words ...string) {
	b.t.Helper()
	text := b.text()
	for _, w := range words {
		if !strings.Contains(text, w) {
			b.t.Fatalf("the page at %s does not show %q:\n%s", b.location(), w, text)
		}
	}
}

func (b tab) count(selector string) int {
	b.t.Helper()
	return read(b, "count "+selector, chromedp.Evaluate[int](fmt.Sprintf("document.querySelectorAll(%q).length", selector)))
}

// typeInto types into a field as a person does.
func (b tab) typeInto(selector, text string) {
	b.t.Helper()
	b.do("type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// enter sends the form of a field with the Enter key, and waits for the page.
func (b tab) enter(selector string) {
	b.t.Helper()
	b.sends(chromedp.SendKeys(chromedp.CSS(selector), "\r"))
}

func (b tab) press(selector string) {
	b.t.Helper()
	b.sends(chromedp.Click(chromedp.CSS(selector)))
}

func (b tab) sends(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, action); err != nil {
		b.t.Fatalf("send the form at %s: %v\n%s", b.location(), err, b.text())
	}
}

// scan photographs the QR code on the page and lets zbarimg read it.
func (b tab) scan() string {
	b.t.Helper()
	picture := read(b, "photograph the QR code", chromedp.Screenshot(chromedp.CSS(`img[src*="qr"]`)))
	file := filepath.Join(b.t.TempDir(), "qr.png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
	out, err := exec.Command("zbarimg", "--quiet", "--raw", file).Output()
	if err != nil {
		b.t.Fatalf("zbarimg: %v (make test installs it)", err)
	}
	return strings.TrimSpace(string(out))
}

const (
	nameField    = `input[autocomplete="username"]`
	passwordNow  = `input[autocomplete="current-password"]`
	passwordNew  = `input[autocomplete="new-password"]`
	codeField    = `input[autocomplete="one-time-code"]`
	signOutField = `form[action$="/logout"] button`
)

// code types a one-time code and sends it.
func (b tab) code(digits string) {
	b.t.Helper()
	b.typeInto(codeField, digits)
	b.enter(codeField)
}

// The whole way of a newcomer: printed link, administrator, QR code, login,
// guarded page, sign out; in Chromium without JavaScript.
func TestNewcomerInChromiumWithoutJavaScript(t *testing.T) {
	s := serveBinary(t, t.TempDir(), "--demo")
	b := tab{t: t, ctx: chromium(t)}

	b.open(s.setupURL())
	if strings.Contains(b.location(), "token=") {
		t.Fatalf("the link's token stays in the address bar: %s", b.location())
	}
	b.typeInto(nameField, "root")
	for i := range b.count(passwordNew) { // once, and again where the page asks for it
		field := chromedp.Search(fmt.Sprintf(`(//input[@autocomplete="new-password"])[%d]`, i+1))
		b.do("choose a password", chromedp.SendKeys(field, goodPassword))
	}
	b.enter(passwordNew)

	uri, err := url.Parse(b.scan())
	if err != nil || uri.Scheme != "otpauth" || uri.Host != "totp" {
		t.Fatalf("the QR code says %v", uri)
	}
	root := person{name: "root", secret: uri.Query().Get("secret")}
	enrolled := root.code(t, 0)
	b.code(enrolled)
	b.shows("ecovery codes")

	b.open(s.base + "/")
	b.shows("Remote-User", "root@admin")

	b.open(s.base + "/sallyport/")
	b.shows("root")
	if b.count(signOutField) == 0 {
		b.open(s.base + "/sallyport/logout")
	}
	b.press(signOutField)
	b.open(s.base + "/")
	if at := b.location(); !strings.Contains(at, "/sallyport/login") {
		t.Fatalf("after signing out the guarded page leads to %s", at)
	}

	b.typeInto(nameField, "root@admin")
	b.typeInto(passwordNow, goodPassword)
	b.enter(passwordNow)
	b.code(enrolled) // again
	if at := b.location(); at == s.base+"/" {
		t.Fatal("the code of the enrolment worked again")
	}
	b.code(root.code(t, 1))
	if at := b.location(); at != s.base+"/" {
		t.Fatalf("after the login the browser is at %s, not where it wanted to go", at)
	}
	b.shows("Remote-User", "root@admin")
}
