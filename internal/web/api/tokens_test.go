package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// Attack (CVE-2024-47616, CVE-2026-27840): a token of one kind is taken for
// another, or is good though it was cut, extended or changed.
func TestS5NoTokenPassesForAnother(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	a := p.signIn()
	access, refresh, cookie := a.text("access_token"), a.text("refresh_token"), a.cookies()[0]
	ephemeral := p.halfway().text("ephemeral_token")
	parts := strings.Split(access, ".")
	flipped := []byte(access)
	flipped[len(flipped)-10] ^= 1
	for name, token := range map[string]string{
		"refresh": refresh, "session": cookie.Value, "ephemeral": ephemeral, "empty": "", "cut": access[:len(access)-4], "extended": access + "AAAA",
		"flipped": string(flipped), "no signature": parts[0] + "." + parts[1] + ".", "alg none": "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + parts[1] + ".",
		"twice": access + " " + access, "padded": access + "=",
	} {
		v := w.stranger().saying("Authorization", "Bearer "+token)
		if a := v.send("GET", "/me", nil); a.status != 401 || a.code() != "unauthenticated" {
			t.Errorf("%s as access token: %v", name, a)
		}
	}
	for name, value := range map[string]string{
		"access": access, "refresh": refresh, "ephemeral": ephemeral, "cut": cookie.Value[:len(cookie.Value)-1], "extended": cookie.Value + "A",
		"other prefix": "spe_" + cookie.Value[4:],
	} {
		v := w.stranger().carrying(&http.Cookie{Name: cookie.Name, Value: value})
		if a := v.send("GET", "/me", nil); a.status != 401 {
			t.Errorf("%s as cookie: %v", name, a)
		}
	}
	for _, name := range []string{"sallyport_session", "__Secure-sallyport_session", "__Host-sallyport_portal", "__host-sallyport_session"} {
		if a := w.stranger().carrying(&http.Cookie{Name: name, Value: cookie.Value}).send("GET", "/me", nil); a.status != 401 {
			t.Errorf("the cookie under the name %s: %v", name, a)
		}
	}
	w.stranger().bearing(access).send("GET", "/me", nil).want(200)
	w.stranger().carrying(cookie).send("GET", "/me", nil).want(200)
}

// Attack (CVE-2026-43983): somebody who was disabled goes on by a door that
// nobody thought of.
func TestS1S6DisabledClosesEveryDoor(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	for name, end := range map[string]func(){
		"disabled": func() { w.admin().send("PATCH", w.path(p), map[string]any{"disabled": true}).want(200) },
		"password": func() {
			w.admin().send("PATCH", w.path(p), map[string]any{"disabled": false, "password": badWords}).want(200)
		},
		"factors": func() { w.admin().send("DELETE", w.path(p)+"/methods", nil).want(204) },
		"deleted": func() { w.admin().send("DELETE", w.path(p), nil).want(204) },
	} {
		p = w.member(strings.ReplaceAll(name, " ", "") + "@users")
		a, half := p.signIn(), p.halfway().text("ephemeral_token")
		code := p.code()
		end()
		w.stranger().bearing(a.text("access_token")).send("GET", "/me", nil).want(401, "unauthenticated")
		w.stranger().carrying(a.cookies()...).send("GET", "/me", nil).want(401, "unauthenticated")
		w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": a.text("refresh_token")}).want(401, "denied")
		w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": half, "code": code}).want(401, "denied")
		w.stranger().send("POST", "/login/recovery-code", map[string]any{"ephemeral_token": half, "recovery_code": p.codes[0]}).want(401, "denied")
		if name == "disabled" || name == "deleted" {
			w.stranger().send("POST", "/login", map[string]any{"name": p.name, "password": goodWords}).want(401, "denied")
		}
	}
}
