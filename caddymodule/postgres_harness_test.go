package caddymodule_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// place gives a server its state.
func (s *server) place() {
	s.t.Helper()
	if pgtest.Second() {
		s.database = pgtest.URL(s.t)
	}
}

// placed says in global options where the state is, unless a test does itself.
func (s *server) placed(global string) string {
	const block = "sallyport {\n"
	if s.database == "" || strings.Contains(global, "storage ") {
		return global
	}
	if !strings.Contains(global, block) {
		global += "\n" + block + "}"
	}
	words := "storage postgres {env.SALLYPORT_TEST_DATABASE}\n"
	if !strings.Contains(global, "master_key ") {
		words += "master_key {env.SALLYPORT_TEST_MASTER_KEY}\n"
	}
	return strings.Replace(global, block, block+words, 1)
}

// beside opens the server's database in this process, once.
func (s *server) beside() http.RoundTripper {
	s.t.Helper()
	s.opening.Do(func() {
		cfg := gateway.Config{Storage: s.database, MasterKey: pgtest.MasterKey, Passwords: gateway.Passwords{Memory: 8192, Time: 1}}
		sh := gateway.ManagementShell(func(command.Global) (gateway.Config, error) { return cfg, nil }, gateway.Options{Routes: true, Version: "test"})
		h, end, err := sh.OpenDirect(s.t.Context(), command.Global{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() {
			if err := end(); err != nil {
				s.t.Error(err)
			}
		})
		s.second = command.InProcess{Handler: h}
	})
	return s.second
}

// becomes demands the status that a change by manage leads to. Where the change went
// through the server itself, it is the next answer's; a change beside it is heard
// within a second.
func (s *server) becomes(want int, ask func() *answer) {
	s.t.Helper()
	first := ask()
	if s.database == "" || first.status == want {
		wantStatus(s.t, first, want)
		return
	}
	begin := time.Now()
	eventually(s.t, fmt.Sprintf("an answer of %d", want), func() bool { return ask().status == want })
	if took := time.Since(begin); took > 10*time.Second { // one, on a machine that is busy with other tests
		s.t.Errorf("the server heard of a change after %v", took)
	}
}
