package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

func TestTheOwnRecord(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	v := p.visit()
	me := v.send("PATCH", "/me", map[string]any{"full_name": "Alice Liddell"}).want(200)
	if me.text("full_name") != "Alice Liddell" || me.fields["groups"] == nil {
		t.Errorf("me: %v", me)
	}
	v.send("PATCH", "/me", map[string]any{"email": "x@example.com"}).want(409, "no_messages")
	v.send("PATCH", "/me", map[string]any{"full_name": "Mallory", "phone": "+41441234567"}).want(409, "no_messages")
	v.send("PATCH", "/me", map[string]any{"groups": []string{"admins"}}).want(422, "invalid")
	v.send("PATCH", "/me", map[string]any{"realm": "admin"}).want(422, "invalid")
	if got := v.send("GET", "/me", nil).want(200); got.text("full_name") != "Alice Liddell" || got.text("email") != "alice@example.com" {
		t.Errorf("changed in part: %v", got)
	}
}

// The own password needs the old one and a fresh code; other sessions end, the
// one that changed it goes on (S1).
func TestTheOwnPassword(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	other, mine := p.visit(), p.signIn()
	v := w.stranger().bearing(mine.text("access_token"))
	put := func(current, next, code string) *answer {
		return v.send("PUT", "/me/password", map[string]any{"current_password": current, "new_password": next, "code": code})
	}
	put(goodWords, "rustling leaves beneath lanterns", "").want(403, "code_needed")
	put(badWords, "rustling leaves beneath lanterns", p.code()).want(401, "denied")
	put(goodWords, "rustling leaves beneath lanterns", p.wrong()).want(401, "denied")
	put(goodWords, "password", p.code()).want(422, "weak_password")
	put(goodWords, "rustling leaves beneath lanterns", p.code()).want(204)
	other.send("GET", "/me", nil).want(401, "unauthenticated")
	// The access token names the old epoch; the session itself goes on.
	v.send("GET", "/me", nil).want(401, "unauthenticated")
	next := w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": mine.text("refresh_token")}).want(200)
	w.stranger().bearing(next.text("access_token")).send("GET", "/me", nil).want(200)
	w.stranger().send("POST", "/login", map[string]any{"name": "alice", "password": goodWords}).want(401, "denied")
	p.password = "rustling leaves beneath lanterns"
	p.visit().send("GET", "/me", nil).want(200)
}

func TestOwnMethods(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	v := p.visit()
	var methods []map[string]any
	must(t, json.Unmarshal([]byte(v.send("GET", "/me/methods", nil).want(200).body), &methods))
	if len(methods) != 1 || methods[0]["name"] != "totp" || methods[0]["is_primary"] != true || methods[0]["active"] != true ||
		methods[0]["label"] != "alice@users" || methods[0]["added_at"] == nil || methods[0]["last_used_at"] == nil || len(methods[0]) != 6 {
		t.Errorf("methods: %v", methods)
	}
	v.send("PUT", "/me/methods/primary", map[string]any{"method": "totp", "code": p.wrong()}).want(401, "denied")
	v.send("PUT", "/me/methods/primary", map[string]any{"method": "sms", "code": p.code()}).want(404, "unknown_method")
	v.send("PUT", "/me/methods/primary", map[string]any{"method": "totp", "code": p.code()}).want(200)

	codes := v.send("POST", "/me/recovery-codes", map[string]any{"code": p.code()}).want(200).texts("recovery_codes")
	if len(codes) != 10 || slices.Contains(codes, p.codes[0]) {
		t.Errorf("recovery codes: %v", codes)
	}
	v.send("POST", "/me/recovery-codes", map[string]any{}).want(422, "invalid")
	v.send("POST", "/me/recovery-codes", map[string]any{"code": ""}).want(403, "code_needed")
	half := p.halfway()
	w.stranger().send("POST", "/login/recovery-code", map[string]any{"ephemeral_token": half.text("ephemeral_token"), "recovery_code": p.codes[1]}).want(401, "denied")
	w.stranger().send("POST", "/login/recovery-code", map[string]any{"ephemeral_token": half.text("ephemeral_token"), "recovery_code": codes[1]}).want(200)

	// A new authenticator waits for its first code, and the old one stays good (M10).
	a := v.send("POST", "/me/methods/totp/activate", nil).want(200)
	if keys(a) != "otpauth_uri qr_png_url" {
		t.Errorf("activate: %v", a)
	}
	_, seed, _, err := otp.ParseURI(a.text("otpauth_uri"))
	must(t, err)
	qr := v.send("GET", strings.TrimPrefix(a.text("qr_png_url"), portal+"/sallyport/api/v1"), nil).want(200)
	if qr.header.Get("Content-Type") != "image/png" || !strings.HasPrefix(qr.body, "\x89PNG") {
		t.Errorf("qr: %v", qr.header)
	}
	p.visit() // by the old one
	next := &person{w: w, name: p.name, realm: p.realm, password: p.password, seed: seed}
	v = p.visit()
	v.send("POST", "/me/methods/totp/confirm", map[string]any{"code": next.wrong()}).want(401, "denied")
	c := v.send("POST", "/me/methods/totp/confirm", map[string]any{"code": next.code()}).want(200)
	if len(c.texts("recovery_codes")) != 0 {
		t.Errorf("recovery codes with the second factor: %v", c)
	}
	// The seed of a confirmed method never leaves again.
	next.visit().send("GET", "/users/users/alice/totp/qr.png", nil).want(409)
	next.visit().send("POST", "/me/methods/totp/confirm", map[string]any{"code": next.code()}).want(409)
	// Whoever has a factor proves it freshly before another one is made.
	v = next.visit()
	for range 14 {
		w.clock.Advance(time.Minute)
		v.send("GET", "/me", nil).want(200)
	}
	w.clock.Advance(59 * time.Second)
	v.send("POST", "/me/methods/totp/activate", map[string]any{}).want(200)
	v.send("POST", "/me/methods/totp/deactivate", map[string]any{"code": ""}).want(409, "last_factor")
}

// Attack (CVE-2026-9091): the person, or whoever sits at the open session,
// takes the last factor away and is back at a password. Where one factor is
// enough, it goes for a code, and no other way.
func TestM9TheLastFactorStaysWhereTwoAreDemanded(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	v := p.visit()
	v.send("POST", "/me/methods/totp/deactivate", map[string]any{"code": p.code()}).want(409, "last_factor")
	v.send("POST", "/me/methods/sms/deactivate", map[string]any{"code": p.code()}).want(404, "unknown_method")
	if p.halfway().text("status") != "second_factor" {
		t.Fatal("the factor is gone")
	}
	free := w.member("olga@single")
	v = free.visit()
	v.send("POST", "/me/methods/totp/deactivate", nil).want(403, "code_needed")
	v.send("POST", "/me/methods/totp/deactivate", map[string]any{"code": free.wrong()}).want(401, "denied")
	v.send("POST", "/me/methods/totp/deactivate", map[string]any{"code": free.code()}).want(204)
	if free.halfway().text("status") != "ok" {
		t.Error("the factor is still asked for")
	}
	// One that waits for its first code goes without.
	v = free.visit()
	v.send("POST", "/me/methods/totp/activate", nil).want(200)
	v.send("POST", "/me/methods/totp/deactivate", nil).want(204)
	v.send("POST", "/me/methods/totp/deactivate", nil).want(404, "unknown_method")
}

func TestOwnSessions(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p, stranger := w.member("alice@users"), w.member("bert@users")
	a, b, c := p.visit(), p.visit(), p.visit()
	mine := func(v *visitor) []map[string]any {
		var list []map[string]any
		must(t, json.Unmarshal([]byte(v.send("GET", "/me/sessions", nil).want(200).body), &list))
		return list
	}
	list := mine(a)
	if len(list) != 3 {
		t.Fatalf("sessions: %v", list)
	}
	current := ""
	for _, s := range list {
		if s["current"] == true {
			current = s["id"].(string)
		}
	}
	own := mine(b)
	for _, s := range own {
		if s["current"] == true && s["id"] != current {
			// Somebody else's session is unknown, and stays.
			stranger.visit().send("DELETE", "/me/sessions/"+s["id"].(string), nil).want(404, "unknown_session")
			b.send("GET", "/me", nil).want(200)
			a.send("DELETE", "/me/sessions/"+s["id"].(string), nil).want(204)
		}
	}
	b.send("GET", "/me", nil).want(401)
	a.send("DELETE", "/me/sessions", nil).want(204)
	c.send("GET", "/me", nil).want(401)
	a.send("DELETE", "/me/sessions/"+current, nil).want(204)
	a.send("GET", "/me", nil).want(401)
}
