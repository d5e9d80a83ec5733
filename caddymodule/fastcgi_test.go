package caddymodule_test

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newFastCGI is an application behind FastCGI that answers with its environment:
// headers are HTTP_… there, and the server's own words are beside them.
func newFastCGI(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		_ = fcgi.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			environ := fcgi.ProcessEnv(r)
			for name, values := range r.Header { // what net/http/fcgi took out of the environment
				environ["HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = strings.Join(values, ", ")
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(environ)
		}))
	}()
	return ln.Addr().String()
}

// spellings are ways to write a header name that some application reads as the
// same one: other cases, other separators, doubled and dangling ones.
func spellings(name string) []string {
	words := strings.Split(name, "-")
	var list []string
	for _, sep := range []string{"-", "_", ".", "", "--", "__", "-_"} {
		joined := strings.Join(words, sep)
		list = append(list, joined, strings.ToLower(joined), strings.ToUpper(joined), joined+"_", "_"+joined, joined+".")
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// A client sends Remote_Groups: ops, or Remote.Groups. FastCGI turns dashes into
// underscores, so both would be HTTP_REMOTE_GROUPS for the application, beside or
// instead of ours. Gained before: any identity, on public paths and as any user.
func TestH3FastCGISeesOurIdentityAlone(t *testing.T) {
	application := newFastCGI(t)
	s := newCaddy(t)
	root := filepath.Join(s.home, "www")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index.php", "static.txt"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("a file"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rules := "sallyport {\nrule {\npath /public/*\nfactors 0\n}\nrule {\nrealm users\n}\n}\n"
	s.start(s.file("sallyport {\n"+cheap+"}", `
http://php.localhost:HTTP_PORT {
	root * `+root+`
	`+rules+`
	php_fastcgi `+application+`
	file_server
}
http://fastcgi.localhost:HTTP_PORT {
	`+rules+`
	reverse_proxy `+application+` {
		transport fastcgi {
			env REMOTE_USER {http.auth.user.id}
		}
	}
}`))
	alice := s.user("alice", "dev")
	var names []string
	for prefix, words := range map[string][]string{
		"Remote-":         {"User", "Name", "Email", "Groups", "Realm"},
		"X-Forwarded-":    {"User", "Groups", "Email", "Preferred-Username"},
		"X-Auth-Request-": {"User", "Groups", "Email", "Access-Token"},
		"X-Authentik-":    {"Username", "Groups", "Email", "Uid"},
		"Sallyport-":      {"Assertion", "Anything"},
	} {
		for _, word := range words {
			names = append(names, spellings(prefix+word)...)
		}
	}
	jar := s.browser("http://php.localhost:" + s.http).signIn(alice).jar
	for _, host := range []string{"php", "fastcgi"} {
		b := s.browser("http://" + host + ".localhost:" + s.http)
		b.jar = jar
		stranger := s.browser(b.origin)
		for portion := range slices.Chunk(names, 200) { // a header has its limit
			h := http.Header{"Accept": {"application/json"}, "X-App": {"passes"}}
			for _, name := range portion {
				h[name] = []string{"mallory"}
			}
			for who, asking := range map[string]*browser{"alice": b, "": stranger} {
				target := map[bool]string{true: "/x/y?z=1", false: "/public/x"}[who != ""]
				a := asking.ask("GET", target, "", maps.Clone(h))
				environ := map[string]string{}
				if err := json.Unmarshal([]byte(a.body), &environ); err != nil || a.status != 200 {
					t.Fatalf("%s: %d %s", a.what, a.status, a.body)
				}
				for name, value := range environ {
					if strings.Contains(value, "mallory") {
						t.Errorf("%s: the application has %s=%s", a.what, name, value)
					}
				}
				user, set := environ["HTTP_REMOTE_USER"]
				if user != who || !set || environ["REMOTE_USER"] != who || environ["HTTP_X_APP"] != "passes" || environ["HTTP_COOKIE"] != "" {
					t.Errorf("%s: the application has %v", a.what, environ)
				}
				if want := map[string]string{"alice": "dev"}[who]; environ["HTTP_REMOTE_GROUPS"] != want {
					t.Errorf("%s: groups %q, want %q", a.what, environ["HTTP_REMOTE_GROUPS"], want)
				}
			}
		}
		wantStatus(t, stranger.fetch("/index.php"), http.StatusUnauthorized)
	}
	b := s.browser("http://php.localhost:" + s.http)
	wantStatus(t, b.fetch("/static.txt"), http.StatusUnauthorized)
	if a := b.signIn(s.user("bob")).fetch("/static.txt"); a.status != 200 || a.body != "a file" {
		t.Errorf("a file: %d %s", a.status, a.body)
	}
}
