package main

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// place gives a server its state.
func (s *server) place() {
	s.t.Helper()
	s.state = []string{"--state", s.dir}
	if !pgtest.Second() {
		return
	}
	text := "" // of the test first: errors name its lines
	if i := slices.Index(s.args, "--config"); i >= 0 {
		own, err := os.ReadFile(s.args[i+1])
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(own) + "\n"
		s.args = slices.Delete(slices.Clone(s.args), i, i+2)
	}
	text += "storage: '" + pgtest.URL(s.t) + "'\nmaster_key: " + pgtest.MasterKey + "\n"
	s.config = filepath.Join(s.t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.state = []string{"--config", s.config}
}

// beside opens the server's database in this process, once.
func (s *server) beside() http.RoundTripper {
	s.t.Helper()
	s.opening.Do(func() {
		h, end, err := gateway.CommandShell("test").OpenDirect(s.t.Context(), command.Global{Config: s.config, Logger: slog.New(slog.DiscardHandler)})
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

// masterKey is what seals the server's state.
func (s *server) masterKey(t *testing.T) string {
	t.Helper()
	if pgtest.Second() {
		return pgtest.MasterKey
	}
	key, err := os.ReadFile(filepath.Join(s.dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}
