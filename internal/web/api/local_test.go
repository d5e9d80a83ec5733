package api_test

import "testing"

// The admin socket speaks management alone: a door there would count tries
// without an address, and hand out sessions that no cookie or network explains.
func TestAdminSocketHasNoDoors(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for _, path := range []string{"/login", "/login/code", "/login/recovery-code", "/login/challenge", "/token/refresh"} {
		if a := w.admin().send("POST", path, map[string]any{"name": "alice", "password": "x"}); a.status != 404 {
			t.Errorf("POST %s on the admin socket: %d", path, a.status)
		}
	}
}
