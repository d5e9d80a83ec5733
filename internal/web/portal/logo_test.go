package portal_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/portal"
)

const drawing = `<?xml version="1.0"?><!-- ours --><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script>alert(1)</script></svg>`

// What a logo is, its content says: a name is no proof, and a page of HTML that
// is called logo.svg must not be served as one.
func TestLogoIsRecognisedByItsContent(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{drawing, "image/svg+xml"},
		{"\x89PNG\r\n\x1a\n rest", "image/png"},
		{"\xff\xd8\xff\xe0 rest", "image/jpeg"},
		{"RIFF\x10\x00\x00\x00WEBPVP8L rest", "image/webp"},
		{"", ""},
		{"GIF89a", ""},
		{"RIFF\x10\x00\x00\x00WAVEfmt rest", ""},
		{"\x1f\x8b compressed", ""},
		{"<svg></svg>", ""}, // no namespace: browsers show nothing
		{`<html xmlns="http://www.w3.org/1999/xhtml"><svg xmlns="http://www.w3.org/2000/svg"/></html>`, ""},
		{`<svg xmlns="http://www.w3.org/2000/svg">`, ""},
		{`<svg xmlns="http://www.w3.org/2000/svg">&undefined;</svg>`, ""},
		{drawing + strings.Repeat(" ", portal.MaxLogo), ""},
	} {
		got, err := portal.LogoKind([]byte(c.content))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%.40q is %q (%v), want %q", c.content, got, err, c.want)
		}
	}
}

// Attack: a script in the operator's logo, opened by itself, would run on the
// origin of the login pages. It is sent with a policy under which nothing runs,
// and with a type that no browser second-guesses.
func TestLogoTakesTheIconsPlaceAndNothingInItRuns(t *testing.T) {
	h := build(t, plan{logo: drawing})
	b := h.browser()
	page := b.get("/sallyport/login").want(t, 200, "Sign in")
	if n := strings.Count(page.Body, page.Images[0]); n != 2 {
		t.Errorf("the logo stands %d times on the page, want 2: in the header, and in the tab", n)
	}
	got := b.get(page.Images[0])
	if got.Status != 200 || got.Body != drawing {
		t.Fatalf("%d %q", got.Status, got.Body)
	}
	for name, want := range map[string]string{
		"Content-Type": "image/svg+xml", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	// A guarded host shows pages too, such as the one that refuses somebody.
	d := build(t, plan{domain: true, logo: drawing})
	c := d.browser()
	if got := c.get("https://app.example.com" + page.Images[0]); got.Status != http.StatusOK {
		t.Errorf("on a guarded host: %d", got.Status)
	}
}
