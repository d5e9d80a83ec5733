package portal_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/factor/passkeytest"
)

var dataOptions = regexp.MustCompile(`data-options="([^"]+)"`)

// options are what a page hands to the browser.
func (b *browser) options() []byte {
	b.h.t.Helper()
	m := dataOptions.FindStringSubmatch(b.page.Body)
	if m == nil {
		b.h.t.Fatalf("page %q asks for no passkey:\n%s", b.page.Title, b.page.Body)
	}
	return []byte(html.UnescapeString(m[1]))
}

func TestPasskeyPages(t *testing.T) {
	h := build(t, plan{domain: true})
	_, totp := h.person("alice", "users", true)
	key := passkeytest.New(h.origin)
	b := h.browser()
	b.get("/sallyport/login")
	b.submit("/sallyport/login", "username", "alice", "password", password)
	b.submit("/sallyport/login/code", "code", h.code(totp))

	b.get("/sallyport/account/passkey")
	if p := b.send("/sallyport/account/passkey", "label", "Blue key", "code", "000000"); p.Status != http.StatusUnauthorized || p.Alert == "" {
		t.Fatalf("a wrong code: %d %q", p.Status, p.Alert)
	}
	p := b.send("/sallyport/account/passkey", "label", "Blue key", "code", h.code(totp))
	if p.Status != http.StatusOK || !strings.Contains(p.Header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Fatalf("%d %s", p.Status, p.Header.Get("Content-Security-Policy"))
	}
	made := string(key.Create(t, b.options()))
	if p := b.send("/sallyport/account/passkey/confirm"); p.Status != http.StatusUnauthorized || !strings.Contains(p.Alert, "JavaScript") {
		t.Errorf("without the script: %d %q", p.Status, p.Alert)
	}
	b.get("/sallyport/account/passkey")
	b.send("/sallyport/account/passkey", "label", "Blue key", "code", h.code(totp))
	if p := b.submit("/sallyport/account/passkey/confirm", "credential", made); p.Status != http.StatusUnauthorized {
		t.Errorf("the answer to another challenge: %d", p.Status)
	}
	b.get("/sallyport/account/passkey")
	b.send("/sallyport/account/passkey", "label", "Blue key", "code", h.code(totp))
	if p := b.submit("/sallyport/account/passkey/confirm", "credential", string(key.Create(t, b.options()))); p.Status != http.StatusOK || p.Notice == "" {
		t.Fatalf("%d %q %q", p.Status, p.Title, p.Alert)
	}

	// At the second door.
	b = h.browser()
	b.get("/sallyport/login")
	p = b.submit("/sallyport/login", "username", "alice", "password", password)
	link := ""
	for _, l := range p.Links {
		if strings.HasPrefix(l, "/sallyport/login/passkey-code?") {
			link = l
		}
	}
	if link == "" {
		t.Fatalf("the second door offers no passkey: %q", p.Links)
	}
	b.get(link)
	if p := b.send("/sallyport/login/passkey-code"); p.Status != http.StatusUnauthorized || !strings.Contains(p.Body, `id="alert"`) {
		t.Errorf("without the script: %d %q", p.Status, p.Alert)
	}
	if p := b.submit("/sallyport/login/passkey-code", "credential", string(key.Get(t, b.options()))); p.Status != http.StatusOK || p.Title != "You are signed in" {
		t.Fatalf("%d %q", p.Status, p.Title)
	}

	// Alone: no name, no password.
	b = h.browser()
	p = b.get("/sallyport/login/passkey")
	if strings.Contains(p.Body, "alice") {
		t.Error("the page names somebody")
	}
	answer := string(key.Get(t, b.options()))
	other := h.browser()
	other.get("/sallyport/login/passkey")
	if p := other.send("/sallyport/login/passkey", "credential", `{"id":"x"}`); p.Status != http.StatusUnauthorized {
		t.Errorf("nonsense: %d", p.Status)
	}
	if p := b.submit("/sallyport/login/passkey", "credential", answer); p.Status != http.StatusOK || p.Title != "You are signed in" {
		t.Fatalf("%d %q", p.Status, p.Title)
	}
	other.get("/sallyport/login/passkey")
	if p := other.send("/sallyport/login/passkey", "credential", answer); p.Status != http.StatusUnauthorized {
		t.Errorf("the same answer twice: %d", p.Status)
	}
}

// Whoever has no factor sets a passkey up between the doors.
func TestPasskeyEnrolmentBetweenTheDoors(t *testing.T) {
	h := build(t, plan{domain: true})
	h.person("bob", "users", false)
	key := passkeytest.New(h.origin)
	b := h.browser()
	b.get("/sallyport/login")
	b.submit("/sallyport/login", "username", "bob", "password", password)
	id := b.at.Query().Get("l")
	if p := b.get("/sallyport/enroll/passkey?l=" + id); p.Status != http.StatusOK {
		t.Fatalf("%d %q", p.Status, p.Title)
	}
	p := b.send("/sallyport/enroll/passkey", "credential", string(key.Create(t, b.options())))
	if p.Status != http.StatusOK || len(p.Codes) != 10 {
		t.Fatalf("%d %q, %d recovery codes", p.Status, p.Title, len(p.Codes))
	}
}

// The script stands on the pages that need it, and on no other.
func TestScriptsRunOnPasskeyPagesAlone(t *testing.T) {
	h := build(t, plan{domain: true})
	b := h.browser()
	for path, runs := range map[string]bool{"/sallyport/login": false, "/sallyport/login/passkey": true, "/sallyport/": false} {
		p := b.get(path)
		if got := strings.Contains(p.Header.Get("Content-Security-Policy"), "script-src"); got != runs || strings.Contains(p.Body, "<script") != runs {
			t.Errorf("%s: a script may run: %v", path, got)
		}
	}
}
