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

// A missing realm is made with its first member or not at all: a refusal, at
// whatever step, leaves none behind. And only the local administrator makes one so.
func TestTheLocalAdministratorMakesRealmsWithTheirFirstMember(t *testing.T) {
	w := newWorld(t, worldOptions{})
	root, local := w.member("root@admin").visit(), w.admin()
	for _, c := range []struct {
		path string
		body map[string]any
	}{
		{"/services", map[string]any{"realm": "fresh", "name": "a", "seed": "not base32!"}},
		{"/services", map[string]any{"realm": "fresh", "name": "a", "seed": "MFRGG"}},          // too short
		{"/services", map[string]any{"realm": "fresh", "name": "a:b"}},                         // refused by the directory
		{"/services", map[string]any{"realm": "fresh", "name": "a", "allow_from": []any{"x"}}}, // the same
		{"/users", map[string]any{"realm": "fresh", "name": "a", "password": "short"}},
		{"/users", map[string]any{"realm": "fresh", "name": "a", "phone": "none"}},
		{"/users", map[string]any{"realm": "fresh", "name": "a", "groups": []any{"a,b"}}},
	} {
		if a := local.send("POST", c.path, c.body); a.status != 422 {
			t.Errorf("%s %v: %v", c.path, c.body, a)
		}
		local.send("GET", "/realms/fresh", nil).want(404, "unknown_realm")
	}
	for path, body := range map[string]map[string]any{
		"/services": {"realm": "Robots", "name": "deploy", "digits": 8}, "/users": {"realm": "staff", "name": "zoe"},
	} {
		root.send("POST", path, body).want(404, "unknown_realm")
		local.send("POST", path, body).want(201)
	}
	for _, realm := range []string{"robots", "staff"} {
		if a := root.send("GET", "/realms/"+realm, nil).want(200); len(a.texts("capabilities")) != 0 {
			t.Errorf("a realm that was made by the way: %v", a)
		}
	}
	if a := local.send("GET", "/services/robots/deploy", nil).want(200); a.fields["digits"] != 8.0 || a.fields["period"] != 30.0 {
		t.Errorf("the service has not what holds for a new realm: %v", a)
	}
}
