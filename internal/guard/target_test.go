package guard_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

func targets(t testing.TB, portal string, domains ...string) *guard.Targets {
	t.Helper()
	rules, err := guard.Compile([]guard.Rule{
		{Hosts: []string{"app.example.com", "*.apps.example.com"}, Realms: []string{"users"}},
		{Hosts: []string{"old.example.com"}, Deny: true},
		{Hosts: []string{"*"}, Realms: []string{"users"}},
	}, guard.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	to, err := guard.NewTargets(guard.TargetOptions{Portal: portal, Domains: domains, Ports: []int{8443}, Rules: rules, Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestTargetsAllowed(t *testing.T) {
	to := targets(t, "https://auth.example.com", "example.com")
	for raw, want := range map[string]string{
		"/":                                   "/",
		"/x?y=z#f":                            "/x?y=z#f",
		"/a b":                                "/a%20b",
		"/wiki/a//b":                          "/wiki/a//b",
		"/x?next=//evil.test":                 "/x?next=//evil.test",
		"/search?q=100%25":                    "/search?q=100%25",
		"https://auth.example.com/sallyport/": "https://auth.example.com/sallyport/",
		"https://app.example.com":             "https://app.example.com",
		"https://app.example.com/x?y=https://e/#z": "https://app.example.com/x?y=https://e/#z",
		"HTTPS://APP.Example.com./x":               "https://app.example.com/x",
		"https://app.example.com:443/":             "https://app.example.com:443/",
		"https://app.example.com:8443/":            "https://app.example.com:8443/",
		"https://x.apps.example.com/":              "https://x.apps.example.com/",
	} {
		if got, ok := to.Allowed(raw, "", instant); !ok || got != want {
			t.Errorf("%q: %q %v, want %q", raw, got, ok, want)
		}
	}
}

// D1 (oauth2-proxy), D3 (pocket-id, authentik): targets that a check reads as
// ours and a browser as somebody else's.
var hostile = []string{
	"", " ", "//evil.test", "///evil.test", "////evil.test/%2f..", `/\evil.test`, `\/evil.test`, `\\evil.test`, `/\/evil.test`, "/\t/evil.test", "/\n/evil.test", "/\r/evil.test",
	"/ /evil.test", "\t//evil.test", " //evil.test", "/\v/evil.test", "/\x00/evil.test", "/%09/evil.test", "/%0a/evil.test", "/%0d%0aLocation:%20https://evil.test", "/%5cevil.test",
	"/%2Fevil.test", "/%2f%2fevil.test", "/%252f/evil.test", "/%255cevil.test", "/.//evil.test", "/./\\evil.test", "/..//evil.test", "/x/..//evil.test", "/x/../%2fevil.test", "/%2e/%2fevil.test", "/;/..//evil.test", "/\u00a0/evil.test",
	"evil.test", "evil.test/x", "http:evil.test", "https:evil.test", "https:/evil.test", "https:///evil.test", "https:////evil.test", `https:\\evil.test`, `https:/\evil.test`, "//evil.test\\@app.example.com",
	"https://evil.test", "https://evil.test/app.example.com", "https://app.example.com.evil.test/", "https://evil-app.example.com.test/", "https://appXexample.com/", "https://badexample.com/", "https://xexample.com",
	"https://app.example.com@evil.test/", "https://app.example.com:443@evil.test/", "https://user@app.example.com/", "https://u:p@app.example.com/", "https://@app.example.com/", "https://evil.test#@app.example.com/", "https://evil.test?@app.example.com", `https://evil.test\@app.example.com/`, `https://evil.test\.app.example.com/`,
	"https://app.example.com\\.evil.test/", "https://app.example.com%2eevil.test/", "https://app.example.com%00.evil.test/", "https://app.example.com%2f.evil.test", "https://app.example.com\t.evil.test/", "https://app.exam\nple.com/", "https://evil.test\r\n/",
	"https://app.example.com:80/", "https://app.example.com:22/", "https://app.example.com:/", "https://app.example.com:443:80/", "https://app.example.com:0443/", "https://app.example.com:８443/", "https://app.example.com:+443/",
	"http://app.example.com/", "http://auth.example.com/", "javascript:alert(1)", "javascript://app.example.com/%0aalert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "ftp://app.example.com/", "wss://app.example.com/", "blob:https://app.example.com/x", "view-source:https://app.example.com",
	"https://[::1]/", "https://[::1]:443/", "https://[::ffff:1.2.3.4]/", "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://example.com:8443@evil.test", "https://evil。test/", "https://evil．test/", "https://еxample.com/", "https://xn--xample-2of.com/",
	"https://old.example.com/", "https://unnamed.example.com/", "https://apps.example.com.", "https://x.y.test/?https://app.example.com/", "https://.example.com/", "https://..example.com/", "https://app..example.com/", "?x", "#x", ".", "..", "./x", "../x", "x:y",
	"\ufeffhttps://app.example.com/", "https://app.example.com/\u202e", "https:// app.example.com/", "https://app.example.com /", "\x01https://app.example.com/", "https://app.example.com/\x7f", "\u2028/x", "/\u2028/evil.test", "/\xff/evil.test",
}

func TestD1D3HostileTargets(t *testing.T) {
	to := targets(t, "https://auth.example.com", "example.com")
	local := targets(t, "")
	for _, raw := range hostile {
		if got, ok := to.Allowed(raw, "", instant); ok {
			t.Errorf("%q was allowed as %q", raw, got)
		}
		if got, ok := local.Allowed(raw, "", instant); ok {
			t.Errorf("without a portal %q was allowed as %q", raw, got)
		}
	}
	for _, raw := range []string{"https://app.example.com/", "https://auth.example.com/"} {
		if got, ok := local.Allowed(raw, "", instant); ok {
			t.Errorf("without a portal %q was allowed as %q", raw, got)
		}
	}
}

// A challenge signs what it saw: for an hour, this target alone, and nothing
// that is not below the cookie domain.
func TestSignedTargets(t *testing.T) {
	to := targets(t, "https://auth.example.com", "example.com")
	target := "https://unnamed.example.com/x?y=z"
	sig := to.Sign(target, instant)
	if got, ok := to.Allowed(target, sig, instant.Add(59*time.Minute)); !ok || got != target {
		t.Fatalf("a signed target: %q %v", got, ok)
	}
	for name, c := range map[string]struct {
		raw, sig string
		at       time.Time
	}{
		"an hour later":      {target, sig, instant.Add(time.Hour)},
		"before it was made": {target, sig, instant.Add(-time.Minute)},
		"another path":       {target + "z", sig, instant},
		"another host":       {"https://other.example.com/x?y=z", sig, instant},
		"cut":                {target, sig[:len(sig)-2], instant},
		"none":               {target, "", instant},
		"longer life":        {target, "B" + sig[1:], instant},
		"foreign domain":     {"https://evil.test/", to.Sign("https://evil.test/", instant), instant},
		"plain http":         {"http://unnamed.example.com/", to.Sign("http://unnamed.example.com/", instant), instant},
		"another port":       {"https://unnamed.example.com:22/", to.Sign("https://unnamed.example.com:22/", instant), instant},
		"backslash":          {`https://evil.test\.example.com/`, to.Sign(`https://evil.test\.example.com/`, instant), instant},
		"userinfo":           {"https://unnamed.example.com@evil.test/", to.Sign("https://unnamed.example.com@evil.test/", instant), instant},
	} {
		if got, ok := to.Allowed(c.raw, c.sig, c.at); ok {
			t.Errorf("%s: allowed as %q", name, got)
		}
	}
	other, err := guard.NewTargets(guard.TargetOptions{Portal: "https://auth.example.com", Domains: []string{"example.com"}, Key: bytes.Repeat([]byte{8}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := other.Allowed(target, sig, instant); ok {
		t.Error("another key's signature was taken")
	}
	if _, err := guard.NewTargets(guard.TargetOptions{}); err == nil {
		t.Error("targets without a key")
	}
}

// A portal on plain http, for trying out: its own port and plain targets.
func TestTargetsOnHTTP(t *testing.T) {
	to := targets(t, "http://localhost:9091", "localhost")
	for raw, want := range map[string]bool{
		"http://localhost:9091/x": true, "http://localhost/x": true, "https://localhost/x": true, "http://localhost:9092/x": false, "http://app.localhost:9091/": false, "http://127.0.0.1:9091/": false,
	} {
		if _, ok := to.Allowed(raw, "", instant); ok != want {
			t.Errorf("%q: %v", raw, ok)
		}
	}
}

// browserHost reads a target as browsers do (URL Standard): white space at the
// ends and tabs and newlines anywhere are dropped, \ is /, any number of
// slashes follows https:.
func browserHost(raw, base string) (host string, ok bool) {
	raw = strings.TrimFunc(raw, func(r rune) bool { return r <= ' ' })
	raw = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(raw)
	raw = strings.ReplaceAll(raw, `\`, "/")
	lower := strings.ToLower(raw)
	switch {
	case strings.HasPrefix(lower, "https:"), strings.HasPrefix(lower, "http:"):
		raw = strings.TrimLeft(raw[strings.IndexByte(raw, ':')+1:], "/")
	case strings.HasPrefix(raw, "//"):
		raw = strings.TrimLeft(raw, "/")
	case strings.HasPrefix(raw, "/"):
		return base, true
	default:
		return "", false
	}
	if i := strings.IndexAny(raw, "/?#"); i >= 0 {
		raw = raw[:i]
	}
	raw = raw[strings.LastIndexByte(raw, '@')+1:]
	host, err := guard.CanonicalHost(raw)
	return host, err == nil
}

// FuzzTargets: whatever is allowed stays on our hosts, for net/url and for a
// browser alike, and also when it is resolved against a page of ours.
func FuzzTargets(f *testing.F) {
	for _, raw := range hostile {
		f.Add(raw)
		f.Add("https://app.example.com/" + raw)
		f.Add("/x" + raw)
	}
	to := targets(f, "https://auth.example.com", "example.com")
	base, _ := url.Parse("https://auth.example.com/sallyport/login")
	f.Fuzz(func(t *testing.T, raw string) {
		got, ok := to.Allowed(raw, "", instant)
		if !ok {
			return
		}
		for _, s := range []string{raw, got} {
			u, err := base.Parse(s)
			if err != nil {
				t.Fatalf("%q allowed as %q, net/url: %v", raw, got, err)
			}
			canonical, err := guard.CanonicalHost(u.Host)
			if err != nil || u.Scheme != "https" || u.User != nil || canonical != "example.com" && !strings.HasSuffix(canonical, ".example.com") {
				t.Fatalf("%q allowed as %q, net/url goes to %q", raw, got, u)
			}
			host, ok := browserHost(s, "auth.example.com")
			if !ok || host != canonical {
				t.Fatalf("%q allowed as %q, a browser goes to %q, net/url to %q", raw, got, host, canonical)
			}
		}
		if strings.ContainsAny(got, "\r\n\t\\ ") {
			t.Fatalf("%q allowed as %q", raw, got)
		}
		if again, ok := to.Allowed(got, "", instant); !ok || again != got {
			t.Fatalf("%q allowed as %q, which becomes %q %v", raw, got, again, ok)
		}
	})
}
