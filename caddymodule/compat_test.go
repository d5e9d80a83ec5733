package caddymodule_test

import (
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
	for _, path := range []string{"/api/v1/auth/login", "/auth/login/"} {
		if a := s.browser("https://auth.example.com:" + s.https).fetch(path); a.status == 200 {
			t.Errorf("%s on the portal's host: %d %s", path, a.status, a.body)
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
