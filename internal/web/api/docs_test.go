package api_test

import (
	"html"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/api"
)

func (w *world) docs(path string, header ...string) *answer {
	w.Helper()
	r := httptest.NewRequest("GET", "https://auth.example.com"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return w.serve(w.api, r)
}

// The page shows every call, is whole without scripts, and nothing on it runs
// or comes from elsewhere but one file of ours.
func TestPageOfTheAPIShowsEveryCall(t *testing.T) {
	w := newWorld(t, worldOptions{})
	a := w.docs(api.DocsPath).want(200)
	for _, route := range w.api.Routes() {
		if !strings.Contains(a.body, html.EscapeString(route.Summary)) {
			t.Errorf("%s %s is not shown", route.Method, route.Path)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || a.header.Get("Set-Cookie") != "" {
		t.Errorf("headers: %v", a.header)
	}
	for _, m := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"|<script(?: src="[^"]*" defer)?>(.+?)</script>|<style|style="| on[a-z]+="|https?://`).FindAllStringSubmatch(a.body, -1) {
		if m[1] == "" || m[1][0] != '#' && !strings.HasPrefix(m[1], "/sallyport/") {
			t.Errorf("the page has %q", m[0])
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		if ids[m[1]] {
			t.Errorf("the id %s twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, path := range []string{api.DocsPath, api.DocsPath + "/style.css", api.DocsPath + "/try.js", api.DescriptionPath} {
		tag := w.docs(path).want(200).header.Get("ETag")
		if again := w.docs(path, "If-None-Match", `W/"x", `+tag); tag == "" || again.status != 304 || again.body != "" {
			t.Errorf("%s: tag %s, again %v", path, tag, again)
		}
	}
	shared := newWorld(t, worldOptions{noPortal: true})
	b := shared.docs(api.DocsPath, "Cookie", "sallyport_session=x").want(200)
	if b.body != a.body || b.header.Get("Set-Cookie") != "" {
		t.Errorf("where an upstream shares the host the page is another: %v", b.header)
	}
	w.docs(api.DocsPath + "/page.html").want(404)
	w.docs(api.DocsPath + "/").want(404)
	if c := w.serve(w.local, httptest.NewRequest("GET", "https://localhost"+api.DocsPath, nil)); c.status != 404 {
		t.Errorf("the admin socket has pages: %v", c)
	}
}
