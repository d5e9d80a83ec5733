package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// childOfCGI makes this test binary a CGI program that prints its environment.
const childOfCGI = "SALLYPORT_TEST_CGI"

func TestMain(m *testing.M) {
	if os.Getenv(childOfCGI) != "" {
		fmt.Print("Content-Type: application/json\r\n\r\n")
		_ = json.NewEncoder(os.Stdout).Encode(os.Environ())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// spellings returns ways to write a header name that some application reads as
// the same one: other cases, other separators, doubled and dangling ones.
func spellings(name string) []string {
	words := strings.Split(name, "-")
	var list []string
	for _, sep := range []string{"-", "_", ".", "", "--", "__", "-_"} {
		joined := strings.Join(words, sep)
		list = append(list, joined, strings.ToLower(joined), strings.ToUpper(joined), joined+"_", "_"+joined, joined+".")
		mixed := []byte(strings.ToLower(joined))
		for i := 1; i < len(mixed); i += 2 {
			if 'a' <= mixed[i] && mixed[i] <= 'z' {
				mixed[i] -= 'a' - 'A'
			}
		}
		list = append(list, string(mixed))
	}
	return list
}

// identityNames are those of all presets, and of cousins.
func identityNames() []string {
	var list []string
	for prefix, names := range map[string][]string{
		"Remote-":         {"User", "Name", "Email", "Groups", "Realm"},
		"X-Forwarded-":    {"User", "Name", "Email", "Groups", "Realm", "Preferred-Username"},
		"X-Auth-Request-": {"User", "Name", "Email", "Groups", "Realm", "Preferred-Username", "Access-Token"},
		"X-Authentik-":    {"Username", "Name", "Email", "Groups", "Realm", "Uid"},
		"Sallyport-":      {"Assertion", "User", "Anything"},
	} {
		for _, n := range names {
			list = append(list, prefix+n)
		}
	}
	return list
}

// A client sends Remote_Groups: admins. The gateway removes Remote-Groups, and
// the interface to the application (CGI, FastCGI, WSGI, PHP) turns both into
// HTTP_REMOTE_GROUPS. Gained before: any identity, on paths that ask for none
// and as any user, by an underscore.
func TestH3NoSpellingBecomesAVariableOfTheApplication(t *testing.T) {
	child, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(&cgi.Handler{Path: child, Root: "/", Env: []string{childOfCGI + "=1"}})
	t.Cleanup(upstream.Close)
	for _, preset := range []string{"remote", "x-forwarded", "x-auth-request", "authentik"} {
		t.Run(preset, func(t *testing.T) {
			w := open(t, gateway.Config{Upstream: upstream.URL, Rules: []guard.Rule{
				{Hosts: []string{"public.example.com"}, Factors: number(0), Headers: preset},
				{Realms: []string{"users"}, Headers: preset},
			}})
			alice := w.user("alice", "users")
			b := w.browser(w.here())
			b.login(alice)
			for _, host := range []string{"public.example.com", b.host} {
				var names []string
				for _, name := range identityNames() {
					names = append(names, spellings(name)...)
				}
				// In portions, because a header has its limit.
				for len(names) > 0 {
					portion := names[:min(len(names), 700)]
					names = names[len(portion):]
					h := http.Header{"Accept": {"application/json"}}
					for _, name := range portion {
						h[name] = []string{"mallory"}
					}
					asking := w.browser(w.here())
					if asking.host = host; host == b.host {
						asking.jar = b.jar
					}
					a := asking.ask("GET", "/", "", h)
					wantStatus(t, a, 200)
					var environ []string
					if err := json.Unmarshal([]byte(a.body), &environ); err != nil {
						t.Fatalf("%v: %s", err, a.body)
					}
					user := 0
					for _, v := range environ {
						if strings.Contains(v, "mallory") {
							t.Errorf("%s: the application has %s", host, v)
						}
						name, value, _ := strings.Cut(v, "=")
						if strings.HasSuffix(name, "_USER") || strings.HasSuffix(name, "_USERNAME") && !strings.Contains(name, "PREFERRED") {
							user++
							if want := map[bool]string{true: "alice"}[host == b.host]; value != want && !strings.HasPrefix(name, "USER") {
								t.Errorf("%s: %s, want %q", host, v, want)
							}
						}
					}
					if user == 0 {
						t.Errorf("%s: no variable says who is there: %v", host, environ)
					}
				}
			}
		})
	}
}

// The same through every branch that reaches the upstream or an authz answer:
// a public path, an anonymous client, a user without groups, a preflight, a
// WebSocket's handshake, with a bad proof. Gained before: the identity of
// whoever the branch forgot.
func TestH1H7IdentityIsOursOnEveryBranch(t *testing.T) {
	w, _ := guarding(t, guard.Rule{Hosts: []string{"cors.example.com"}, Realms: []string{"users"}, Preflight: "pass"})
	alice := w.user("alice", "users")
	signed := w.browser(w.here())
	signed.login(alice)
	forged := http.Header{"Remote-User": {"mallory"}, "Remote-Groups": {"admins"}, "Remote-Email": {"m@evil.example"}, "Remote-Name": {"mallory"},
		"Remote-Realm": {"admin"}, "Connection": {"close, Remote-User, Remote-Groups"}, "X_forwarded_user": {"mallory"}, "Sallyport-Assertion": {"mallory"}}
	for _, c := range []struct {
		what, host, method string
		signed             bool
		more               http.Header
		user               string
	}{
		{"public and anonymous", "public.example.com", "GET", false, nil, ""},
		{"public and signed in", "public.example.com", "GET", true, nil, "alice"},
		{"public with a bad proof", "public.example.com", "GET", false, http.Header{"Authorization": {"Bearer x.y.z"}}, ""},
		{"public with a bad cookie", "public.example.com", "GET", false, http.Header{"Cookie": {"sallyport_session=sps_AAAA"}}, ""},
		{"guarded", w.address(), "GET", true, nil, "alice"},
		{"guarded, unknown method", w.address(), "PROPFIND", true, nil, "alice"},
		{"preflight", "cors.example.com", "OPTIONS", false, http.Header{"Origin": {"https://x.example"}, "Access-Control-Request-Method": {"PUT"}}, ""},
	} {
		b := w.browser(w.here())
		if b.host = c.host; c.signed {
			b.jar = signed.jar
		}
		h := forged.Clone()
		for name, v := range c.more {
			h[name] = v
		}
		e := b.ask(c.method, "/", "", h).echo(t)
		for _, name := range []string{"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name", "Remote-Realm"} {
			if v := e.Header[name]; len(v) != 1 {
				t.Errorf("%s: %s has the values %q, want one", c.what, name, v)
			}
		}
		if got := e.Header.Get("Remote-User"); got != c.user {
			t.Errorf("%s: Remote-User %q, want %q", c.what, got, c.user)
		}
		if text := fmt.Sprint(e.Header); strings.Contains(text, "mallory") || strings.Contains(text, "admins") {
			t.Errorf("%s: what the client wrote arrived: %v", c.what, e.Header)
		}
	}
}
