package gateway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
)

const drawing = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>`

// logoFile puts a picture where a configuration can name it.
func logoFile(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestNameAndLogoMistakesAreFoundBeforeAStart(t *testing.T) {
	const pretender = "<html><script>alert(1)</script></html>"
	for _, c := range []struct{ text, want string }{
		{"listen: 127.0.0.1:1\nlogo: /does/not/exist.svg\n", "gateway.yaml:2: logo: the file cannot be read: no such file"},
		{"logo: " + t.TempDir() + "\n", "gateway.yaml:1: logo: expected the path of a file"},
		{"logo: /dev/zero\n", "gateway.yaml:1: logo: expected the path of a file"},
		{"logo: " + logoFile(t, "logo.svg", pretender) + "\n", "gateway.yaml:1: logo: expected an SVG, PNG, JPEG or WebP picture"},
		{"logo: " + logoFile(t, "logo.svg", "") + "\n", "gateway.yaml:1: logo: expected an SVG, PNG, JPEG or WebP picture"},
		{"logo: " + logoFile(t, "logo.svg", drawing+strings.Repeat(" ", 256<<10)) + "\n", "gateway.yaml:1: logo: larger than 256 KiB"},
		{"listen: 127.0.0.1:1\nname: \"two\\nlines\"\n", "gateway.yaml:2: name: expected at most 64 characters on one line"},
		{"name: \"turned \\u202e round\"\n", "gateway.yaml:1: name: expected"},
		{"name: ' x'\n", "gateway.yaml:1: name: expected"},
		{"name: " + strings.Repeat("é", 65) + "\n", "gateway.yaml:1: name: expected"},
	} {
		_, err := gateway.Check(t.Context(), configFile(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q: got %v, want %s", c.text, err, c.want)
		}
	}
	good := "name: " + strings.Repeat("é", 64) + "\nlogo: " + logoFile(t, "no-name-for-it", drawing) + "\nrules: [{realms: [users]}]\n"
	if _, err := gateway.Check(t.Context(), configFile(t, good)); err != nil {
		t.Error(err)
	}
}

// Both stand on the pages of the portal, and of the hosts that it guards.
func TestNameAndLogoStandOnThePages(t *testing.T) {
	w := open(t, gateway.Config{
		Name: "Garden Club", Logo: logoFile(t, "logo.svg", drawing), Portal: "https://" + portalHost,
		CookieDomain: gateway.CookieDomains{{Domain: "example.com"}},
	})
	for _, host := range []string{portalHost, appHost} {
		b := w.browser("https://" + host)
		page := b.get("/sallyport/logout")
		_, after, _ := strings.Cut(page.body, `<img src="`)
		path, _, _ := strings.Cut(after, `"`)
		if page.status != 200 || !strings.Contains(page.body, "<span>Garden Club</span>") || !strings.HasPrefix(path, "/sallyport/static/") {
			t.Fatalf("%s: %d %s", host, page.status, page.body)
		}
		if got := b.get(path); got.status != 200 || got.body != drawing || !strings.Contains(got.header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s%s: %d %v %q", host, path, got.status, got.header, got.body)
		}
	}
}
