package caddymodule_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// A guarded application keeps its own /api/v1, /verify and /auth (Grafana has the
// first): facades are mounted where `sallyport portal` stands, and nowhere else.
func TestGuardedSitesKeepThePathsOfFacades(t *testing.T) {
	e := newEcho(t)
	s := newCaddy(t)
	config := s.file(`sallyport {
	portal https://auth.example.com:HTTPS_PORT
	cookie_domain example.com
	compat {
		adjure
		ungleich
		fastapi2fa
		trench {
			dialect 0.2
		}
	}
	`+cheap+`}`, `
https://auth.example.com:HTTPS_PORT {
	sallyport portal
}
https://app.example.com:HTTPS_PORT {
	sallyport {
		factors 0
	}
	reverse_proxy `+e.address()+`
}
`)
	s.start(config)
	app := s.browser("https://app.example.com:" + s.https)
	for _, path := range []string{"/api/v1/users/users", "/verify", "/register", "/app", "/ungleichotp/", "/user/auth_code?user_id=x", "/healthcheck", "/auth/login/"} {
		if got := app.fetch(path).seen(t); got.Target != path {
			t.Errorf("%s reached the application as %q", path, got.Target)
		}
	}
	before := e.hits.Load()
	for path, want := range map[string]string{
		"/api/v1/auth/login": `{"detail":"Method Not Allowed"}`, "/auth/login/": `{"detail":"Method \"GET\" not allowed."}`,
	} {
		if a := s.browser("https://auth.example.com:" + s.https).fetch(path); a.status != 405 || a.body != want {
			t.Errorf("%s on the portal's host: %d %s, want the facade's own 405", path, a.status, a.body)
		}
	}
	if e.hits.Load() != before {
		t.Error("a request to the portal's host reached an application")
	}
	checked := s.caddy("sallyport", "check", "--config", s.write(config))
	for _, want := range []string{"compat.adjure answers /user/* and /healthcheck on https://auth.example.com", "compat.trench answers /auth/*, dialect 0.2"} {
		if checked.code != 0 || !strings.Contains(checked.out, want) {
			t.Errorf("check does not say %q: %s", want, checked)
		}
	}
}

// Attack: a route names somebody of a realm in which anybody may sign up, under that
// name too.
func TestARouteMayNotNameWhoeverSignsUp(t *testing.T) {
	for signup, bad := range map[string]bool{"signup": true, "signup off": false} {
		_, _, err := adapt(t, "{\n\tsallyport {\n\t\tportal https://auth.example.com\n\t\tcookie_domain example.com\n\t\tcompat {\n\t\t\tfastapi2fa {\n\t\t\t\t"+signup+
			"\n\t\t\t}\n\t\t}\n\t}\n}\napp.example.com {\n\tsallyport {\n\t\tfactors 1\n\t\tuser alice@fastapi2fa\n\t}\n\trespond ok\n}\n")
		if (err != nil) != bad || bad && !strings.Contains(err.Error(), "anybody may sign up in the realm fastapi2fa") {
			t.Errorf("%s: %v", signup, err)
		}
	}
}

// The examples of the four older systems' documents, against a real Caddy.
func TestDocumentsOfTheOlderSystems(t *testing.T) {
	s := newCaddy(t)
	s.start(s.file("sallyport {\n\tportal http://localhost:HTTP_PORT\n"+compattest.Caddyfile+cheap+"}", "http://localhost:HTTP_PORT {\n\tsallyport portal\n}\n"))
	compattest.Server{TB: t, URL: "http://localhost:" + s.http, Run: func(stdin string, args ...string) string {
		done := s.caddyIn(stdin, append([]string{"sallyport"}, args...)...)
		if done.code != 0 {
			t.Fatalf("caddy sallyport %v: %v", args, done)
		}
		return done.out
	}}.Documents()
}

// What the manual and the Caddyfile to start from show is what people paste: it must
// adapt, in the example without its comment signs too.
func TestCompatExamplesAdapt(t *testing.T) {
	manual, err := os.ReadFile("../docs/compat.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manual), "```caddyfile\n")
	shown, _, _ := strings.Cut(rest, "```\n")
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ = strings.Cut(string(example), "\n#\n# {\n")
	several := regexp.MustCompile("(?m)^# ?").ReplaceAllString("# {\n"+rest, "")
	for name, text := range map[string]string{"docs/compat.md": shown, "Caddyfile.example": several} {
		adapted, warnings, err := adapt(t, text)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, %q", name, err, warnings)
			continue
		}
		app := string(partsOf(t, adapted).App)
		for _, facade := range []string{"adjure", "ungleich", "fastapi2fa", "trench"} {
			if !strings.Contains(app, `"`+facade+`":`) {
				t.Errorf("%s has no %s: %s", name, facade, app)
			}
		}
	}
}
