package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"
)

// trust passes both doors and returns what the second one answered.
func (p *person) trust() *answer {
	p.w.Helper()
	body := map[string]any{"ephemeral_token": p.halfway().text("ephemeral_token"), "code": p.code(), "trust_device": true}
	return p.w.stranger().send("POST", "/login/code", body).want(200)
}

// with passes the first door with the token of a trusted browser.
func (p *person) with(token string) *answer {
	p.w.Helper()
	body := map[string]any{"name": p.name, "realm": p.realm, "password": p.password, "trusted_token": token}
	return p.w.stranger().send("POST", "/login", body).want(200)
}

func (v *visitor) trusted() []map[string]any {
	v.w.Helper()
	var list []map[string]any
	must(v.w, json.Unmarshal([]byte(v.send("GET", "/me/trusted-browsers", nil).want(200).body), &list))
	return list
}

// A client that asks for it gets a token that stands for the code at its next login, and
// the session says what it was opened with. Answers hold the named fields alone.
func TestATrustedTokenStandsForTheCode(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	a := p.trust()
	if keys(a) != "access_token expires_in refresh_token status token_type trusted_for trusted_token" || a.fields["trusted_for"] != (30*24*time.Hour).Seconds() {
		t.Fatalf("second door: %v", a)
	}
	b := p.with(a.text("trusted_token"))
	if keys(b) != "access_token expires_in refresh_token status token_type" || b.text("status") != "ok" {
		t.Fatalf("first door: %v", b)
	}
	me := w.stranger().bearing(b.text("access_token")).send("GET", "/me", nil).want(200)
	if !slices.Equal(me.texts("amr"), []string{"pwd", "trusted"}) {
		t.Errorf("amr: %v", me)
	}
	w.stranger().send("POST", "/login", map[string]any{"name": "alice", "password": badWords, "trusted_token": a.text("trusted_token")}).want(401, "denied")
	for _, token := range []string{"", "spd_x", b.text("refresh_token"), w.member("bob@users").trust().text("trusted_token")} {
		if c := p.with(token); keys(c) != keys(p.halfway()) || c.text("status") != "second_factor" {
			t.Errorf("with %.4s: %v", token, c)
		}
	}
}

// Attack: token and password are stolen. The session that they open changes nothing of
// the account, and no capability counts in it: not even one that is refreshed, and not
// by its cookie.
func TestATrustedSessionChangesNothing(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.admin().send("PUT", "/realms/staff", map[string]any{"capabilities": []map[string]any{{"capability": "list"}, {"capability": "update"}}}).want(200)
	p := w.member("alice@staff")
	opened := p.with(p.trust().text("trusted_token"))
	token := opened.text("access_token")
	refreshed := w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": opened.text("refresh_token")}).want(200)
	for name, v := range map[string]*visitor{
		"token": w.stranger().bearing(token), "refreshed": w.stranger().bearing(refreshed.text("access_token")),
		"cookie": w.stranger().carrying(opened.cookies()...).saying("Origin", portal),
	} {
		v.send("GET", "/me", nil).want(200)
		for _, call := range []struct {
			method, path string
			body         any
			status       int
			code         string
		}{
			{"PATCH", "/me", map[string]any{"full_name": "Mallory"}, 403, "not_fresh"},
			{"PUT", "/me/methods/primary", map[string]any{"method": "totp", "code": "000000"}, 403, "not_fresh"},
			{"POST", "/me/methods/totp/activate", nil, 403, "not_fresh"},
			{"POST", "/me/methods/totp/deactivate", map[string]any{"code": "000000"}, 403, "not_fresh"},
			{"POST", "/me/recovery-codes", map[string]any{"code": "000000"}, 403, "not_fresh"},
			{"PUT", "/me/password", map[string]any{"current_password": goodWords, "new_password": "rustling leaves beneath lanterns"}, 403, "code_needed"},
			{"GET", "/users", nil, 403, "forbidden"},
			{"GET", "/audit", nil, 403, "forbidden"},
			{"PATCH", "/users/staff/alice", map[string]any{"full_name": "Mallory"}, 403, "forbidden"},
			{"DELETE", "/users/staff/alice/sessions", nil, 403, "forbidden"},
		} {
			if a := v.send(call.method, call.path, call.body); a.status != call.status || a.code() != call.code {
				t.Errorf("%s: %s %s: %v, want %d %s", name, call.method, call.path, a, call.status, call.code)
			}
		}
	}
}

// Attack: somebody else's trusted browsers are listed, or ended, by whoever knows an id.
// The owner sees and ends them without a code, and an administrator's "end all sessions"
// ends them too.
func TestTrustedBrowsersBelongToTheirOwner(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p, q := w.member("alice@users"), w.member("bob@users")
	one, two := p.trust().text("trusted_token"), p.trust().text("trusted_token")
	p.with(one)
	v, foreign := p.visit(), q.visit()
	list := v.trusted()
	if len(list) != 2 || len(list[1]) != 6 || len(list[0]) != 5 || list[1]["last_used_at"] == nil || list[0]["client"] != "192.0.2.1" {
		t.Fatalf("%v", list)
	}
	if len(foreign.trusted()) != 0 {
		t.Error("bob sees alice's")
	}
	id := list[1]["id"].(string)
	foreign.send("DELETE", "/me/trusted-browsers/"+id, nil).want(404, "unknown_trusted_browser")
	w.stranger().send("GET", "/me/trusted-browsers", nil).want(401, "unauthenticated")
	v.send("DELETE", "/me/trusted-browsers/"+id, nil).want(204)
	v.send("DELETE", "/me/trusted-browsers/"+id, nil).want(404, "unknown_trusted_browser")
	status := func(token, want, why string) {
		t.Helper()
		if a := p.with(token); a.text("status") != want {
			t.Errorf("%s: %v, want %s", why, a, want)
		}
	}
	status(one, "second_factor", "ended by hand")
	status(two, "ok", "the other one")
	for why, end := range map[string]func(){
		"all, by hand":                      func() { v.send("DELETE", "/me/trusted-browsers", nil).want(204) },
		"all other sessions":                func() { v.send("DELETE", "/me/sessions", nil).want(204) },
		"all sessions, by an administrator": func() { w.admin().send("DELETE", w.path(p)+"/sessions", nil).want(204); v = p.visit() },
	} {
		token := p.trust().text("trusted_token")
		status(token, "ok", "before "+why)
		end()
		status(token, "second_factor", why)
	}
}

// Attack: without a portal a script of an upstream ends, or lists, trusted browsers with
// the cookie that its origin shares. It needs a token, as for sessions.
func TestASharedOriginDoesNotReachTrustedBrowsers(t *testing.T) {
	w := newWorld(t, worldOptions{noPortal: true})
	p := w.member("alice@users")
	v := w.stranger()
	v = v.carrying(p.signIn().cookies()...).saying("Sec-Fetch-Site", "same-origin", "Origin", "https://"+v.host)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if a := v.send(method, "/me/trusted-browsers", nil); a.status != 403 {
			t.Errorf("%s: %v", method, a)
		}
	}
}

// A realm says how long, in seconds; 0 switches them off, and then no token comes.
func TestARealmSaysHowLongBrowsersAreTrusted(t *testing.T) {
	w := newWorld(t, worldOptions{})
	if a := w.admin().send("GET", "/realms/users", nil).want(200); a.fields["trusted_browsers"] != 2592000.0 {
		t.Errorf("default: %v", a)
	}
	if a := w.admin().send("GET", "/realms/admin", nil).want(200); a.fields["trusted_browsers"] != 0.0 {
		t.Errorf("admin: %v", a)
	}
	set := func(realm string, seconds int) *answer {
		return w.admin().send("PUT", "/realms/"+realm, map[string]any{"trusted_browsers": seconds})
	}
	p := w.member("alice@users")
	set("users", 7200).want(200)
	a := p.trust()
	if a.fields["trusted_for"] != 7200.0 {
		t.Errorf("%v", a)
	}
	if b := set("users", 0).want(200); b.fields["trusted_browsers"] != 0.0 {
		t.Errorf("off: %v", b)
	}
	if b := p.with(a.text("trusted_token")); b.text("status") != "second_factor" {
		t.Errorf("switched off: %v", b)
	}
	if b := p.trust(); b.fields["trusted_token"] != nil || b.fields["trusted_for"] != nil {
		t.Errorf("switched off: %v", b)
	}
	for _, bad := range []int{-1, 1, 3599, 31622401} {
		set("users", bad).want(422, "invalid")
	}
	set("admin", 7200).want(422, "invalid")
	set("admin", 0).want(200)
}
