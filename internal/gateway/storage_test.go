package gateway_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

const (
	otherMasterKey = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
)

// Mistakes with a database are found by check, where they are written, and no
// sentence holds the password of the URL.
func TestStorageMistakes(t *testing.T) {
	const password = "never-print-this"
	t.Setenv("SALLYPORT_TEST_DATABASE", "postgres://gate:"+password+"@db.example.com/sallyport")
	t.Setenv("SALLYPORT_TEST_NO_DATABASE", "mysql://gate:"+password+"@db.example.com/sallyport")
	key := "master_key: " + pgtest.MasterKey + "\n"
	for _, c := range []struct{ text, state, want string }{
		{"storage: '{env.SALLYPORT_TEST_DATABASE}'", "", "gateway.yaml:1: storage: a database needs a master_key"},
		{"storage: 'postgres:{env.SALLYPORT_TEST_DATABASE}'", "", "gateway.yaml:1: storage: a database needs a master_key"},
		{"storage: '{env.SALLYPORT_TEST_DATABASE}'\nmaster_key: ''", "", "gateway.yaml:2: master_key is empty"},
		{key + "storage: '{env.SALLYPORT_TEST_DATABASE}'", "/var/lib/sallyport", "gateway.yaml:2: storage: this is a database, and --state (or SALLYPORT_STATE) names a directory"},
		{key + "storage: '{env.SALLYPORT_TEST_NO_DATABASE}'", "", "gateway.yaml:2: storage: expected badger:DIRECTORY, or the URL of a PostgreSQL database"},
		{key + "storage: 'postgres:{env.SALLYPORT_TEST_NO_DATABASE}'", "", "gateway.yaml:2: storage: expected a URL such as postgres://USER:PASSWORD@HOST/DATABASE"},
		{key + "storage: 'postgres:'", "", "gateway.yaml:2: storage: expected a URL such as"},
		{key + "storage: '{env.SALLYPORT_TEST_DATABASE}?sslmode=perhaps'", "", "gateway.yaml:2: storage: expected a URL such as"},
		{key + "storage: postgres://%zz" + password + "/x", "", "gateway.yaml:2: storage: expected a URL such as"},
	} {
		cfg, err := parse(t, c.text)
		if err == nil {
			err = cfg.Validate(false)
		}
		if err == nil {
			_, _, err = cfg.StateDir(c.state)
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), password) {
			t.Errorf("%s:\n%v\nwant %s", c.text, err, c.want)
		}
	}
	cfg, err := parse(t, key+"storage: '{env.SALLYPORT_TEST_DATABASE}?sslmode=require'")
	if err != nil {
		t.Fatal(err)
	}
	remarks, err := cfg.Remarks()
	if text := strings.Join(remarks, "\n"); err != nil || !strings.Contains(text, "sslmode=verify-full") || strings.Contains(text, password) {
		t.Errorf("%v\n%s", err, text)
	}
}

// shellOn is the command line over a configuration.
func shellOn(cfg gateway.Config) command.Shell {
	return gateway.ManagementShell(func(command.Global) (gateway.Config, error) { return cfg, nil }, gateway.Options{Version: "test"})
}

// Commands open the database directly, while a server runs on it, and the server
// sees at once what they did. An empty database is filled only by commands that may.
func TestCommandsOpenTheDatabase(t *testing.T) {
	cfg := cheap(gateway.Config{Storage: pgtest.URL(t), MasterKey: pgtest.MasterKey})
	sh := shellOn(cfg)
	look := command.Global{Logger: slog.New(slog.DiscardHandler)}
	if way, err := sh.AdminDial(t.Context(), look); way != nil || err != nil {
		t.Errorf("an admin socket: %v, %v", way, err)
	}
	if _, _, err := sh.OpenDirect(t.Context(), look); err == nil || !strings.Contains(err.Error(), "there is no state in PostgreSQL at ") {
		t.Errorf("a command that only looks opened an empty database: %v", err)
	}
	server, err := gateway.Open(t.Context(), cfg, gateway.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if server.StateDir() != "" {
		t.Errorf("a directory: %s", server.StateDir())
	}
	admin, closeStore, err := sh.OpenDirect(t.Context(), look)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
		req, rec := httptest.NewRequest(method, apiPrefix+path, strings.NewReader(body)), httptest.NewRecorder()
		req.RemoteAddr = "@"
		req.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(rec, req)
		return rec
	}
	if rec := ask(admin, "POST", "/users", `{"realm":"users","name":"alice","password":"`+goodPassword+`"}`); rec.Code != http.StatusCreated {
		t.Errorf("add: %d %s", rec.Code, rec.Body)
	}
	if err := closeStore(); err != nil {
		t.Error(err)
	}
	if rec := ask(server.AdminHandler(), "GET", "/users/users/alice", ""); rec.Code != http.StatusOK {
		t.Errorf("the server does not know: %d %s", rec.Code, rec.Body)
	}

	cfg.MasterKey = otherMasterKey
	_, err = gateway.Open(t.Context(), cfg, gateway.Options{Version: "test"})
	if !errors.Is(err, store.ErrWrongKey) || !strings.Contains(err.Error(), "another database in storage") {
		t.Errorf("another key: %v", err)
	}
}

// The database goes away and comes back. Whoever is signed in already is let through
// by what is known in memory, everybody else hears that it is for the moment, and
// afterwards all goes on by itself.
func TestDatabaseGoesAwayAndComesBack(t *testing.T) {
	server := pgtest.Start(t)
	w := open(t, gateway.Config{Portal: "https://" + portalHost, CookieDomain: gateway.CookieDomains{{Domain: "example.com"}}, Storage: server.URL(t), MasterKey: pgtest.MasterKey,
		Rules: []guard.Rule{{Realms: []string{"users"}}}})
	alice := w.user("alice", "users")
	portal := w.browser("https://" + portalHost)
	portal.login(alice)
	signedIn := portal.at(appHost)
	ask := func(b *browser) int { return b.authz("/x").status }
	if got := ask(signedIn); got != http.StatusOK {
		t.Fatalf("signed in: %d", got)
	}
	server.Halt(t)
	if got := ask(signedIn); got != http.StatusOK {
		t.Errorf("signed in, without a database: %d", got)
	}
	if a := w.local("GET", "/users/users/alice", nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("the API without a database: %d %s", a.status, a.body)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if a := w.local("GET", "/users/users/alice", nil); a.status != http.StatusOK {
		t.Errorf("the API with the database again: %d %s", a.status, a.body)
	}
	if got := ask(signedIn); got != http.StatusOK {
		t.Errorf("signed in, with the database again: %d", got)
	}
}
