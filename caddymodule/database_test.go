package caddymodule_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// The state is in a database: it is shared over a reload under whatever name it is
// written, commands and `caddy validate` open it beside the server, and nothing lies
// on the disk. Only the way in cannot change, and no answer holds it.
func TestStateInADatabase(t *testing.T) {
	const password = "never-print-this"
	e := newEcho(t)
	s := newCaddy(t)
	s.database = pgtest.URL(t)
	config := func(storage string) string {
		return s.file("sallyport {\nstorage "+storage+"\n"+
			"master_key {env.SALLYPORT_TEST_MASTER_KEY}\n"+cheap+"}", "http://localhost:HTTP_PORT {\nsallyport\nreverse_proxy "+e.address()+"\n}")
	}
	first := config("postgres {env.SALLYPORT_TEST_DATABASE}")
	s.start(first)
	b := s.browser("").signIn(s.user("alice"))
	if got := b.fetch("/").seen(t); got.Header.Get("Remote-User") != "alice" {
		t.Errorf("the application saw %+v", got)
	}
	s.reload(config("{env.SALLYPORT_TEST_DATABASE}"))
	wantStatus(t, b.fetch("/"), http.StatusOK)

	if r := s.caddy("sallyport", "user", "list"); r.code != 0 || !strings.Contains(r.out, "alice") {
		t.Errorf("user list: %v", r)
	}
	if r := s.caddy("sallyport", "user", "disable", "alice"); r.code != 0 {
		t.Errorf("user disable: %v", r)
	}
	s.becomes(http.StatusUnauthorized, func() *answer { return b.fetch("/") })
	if r := s.caddy("sallyport", "user", "list", "--state", s.home); r.code != 1 || !strings.Contains(r.err, "names a directory: leave one of the two out") {
		t.Errorf("a directory beside a database: %v", r)
	}
	if r := s.caddy("validate", "--config", s.write(first), "--adapter", "caddyfile"); r.code != 0 {
		t.Errorf("validate: %v", r)
	}

	other := strings.Replace(s.database, "gate@", "gate:"+password+"@", 1)
	refused := s.load(config(other))
	if !strings.Contains(refused, "is open with another user, password or parameter in the URL: stop and start Caddy") {
		t.Errorf("another password in a reload: %q", refused)
	}
	if strings.Contains(refused, password) {
		t.Error("the password is printed")
	}
	wantStatus(t, b.get("/sallyport/healthz"), http.StatusOK)
	if _, err := os.Stat(s.state); err == nil {
		t.Error("a state directory was made")
	}
	s.term()
}
