package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/factor/passkeytest"
)

// options are what the answer asks an authenticator.
func (a *answer) options() []byte {
	a.t.Helper()
	text, err := json.Marshal(a.fields["options"])
	must(a.t, err)
	if a.fields["expires_in"] != 300.0 {
		a.t.Errorf("options that say nothing of their end: %v", a)
	}
	return text
}

// adds gives somebody who is signed in a passkey.
func (v *visitor) adds(key *passkeytest.Authenticator, label string) *answer {
	v.w.Helper()
	begun := v.send("POST", "/me/methods/passkey/activate", map[string]any{"label": label}).want(200)
	return v.send("POST", "/me/methods/passkey/confirm", map[string]any{"credential": json.RawMessage(key.Create(v.w, begun.options()))}).want(200)
}

// challenge asks for what a passkey signs, for both doors or behind the first one.
func (w *world) challenge(ephemeral string) []byte {
	w.Helper()
	body := map[string]any{}
	if ephemeral != "" {
		body["ephemeral_token"] = ephemeral
	}
	return w.stranger().send("POST", "/login/passkey/begin", body).want(200).options()
}

// alone logs in by passkey alone.
func (w *world) alone(key *passkeytest.Authenticator) *answer {
	w.Helper()
	return w.stranger().send("POST", "/login/passkey", map[string]any{"credential": json.RawMessage(key.Get(w, w.challenge("")))})
}

// A passkey by the API: set up, named, as a second factor, as a whole login, for a call
// that asks for a code, and taken away.
func TestPasskeysByTheAPI(t *testing.T) {
	w := newWorld(t, worldOptions{passkeys: true})
	alice := w.member("alice@users")
	v := alice.visit()
	key := passkeytest.New(portal)
	if codes := v.adds(key, "phone"); codes.fields["recovery_codes"] != nil {
		t.Errorf("recovery codes with a further factor: %v", codes)
	}
	v = alice.visit() // the access token is of the epoch before
	methods := func(v *visitor) (list []map[string]any) {
		must(t, json.Unmarshal([]byte(v.send("GET", "/me/methods", nil).want(200).body), &list))
		return list
	}
	list := methods(v)
	if len(list) != 2 || list[1]["name"] != "passkey" || list[1]["label"] != "phone" || list[1]["id"] == nil || list[1]["cloned"] != nil {
		t.Fatalf("methods: %v", list)
	}
	id := list[1]["id"].(string)
	v.send("PATCH", "/me/methods/passkey/"+id, map[string]any{"label": "old phone"}).want(200)
	v.send("PATCH", "/me/methods/passkey/nobody", map[string]any{"label": "x"}).want(404, "unknown_method")
	v.send("PATCH", "/me/methods/email/"+id, map[string]any{"label": "x"}).want(404, "unknown_method")
	v.send("PATCH", "/me/methods/passkey/"+id, map[string]any{"label": "\u202e"}).want(422, "invalid")
	if list := methods(v); list[1]["label"] != "old phone" {
		t.Errorf("named: %v", list)
	}

	half := alice.halfway()
	if !slices.Contains(half.texts("other_methods"), "passkey") {
		t.Errorf("ways: %v", half)
	}
	ephemeral := half.text("ephemeral_token")
	done := w.stranger().send("POST", "/login/passkey", map[string]any{
		"ephemeral_token": ephemeral, "credential": json.RawMessage(key.Get(t, w.challenge(ephemeral))),
	}).want(200)
	if me := w.stranger().bearing(done.text("access_token")).send("GET", "/me", nil).want(200); !slices.Equal(me.texts("amr"), []string{"pwd", "hwk"}) {
		t.Errorf("amr: %v", me.texts("amr"))
	}
	done = w.alone(key).want(200)
	v = w.stranger().bearing(done.text("access_token"))
	if me := v.send("GET", "/me", nil).want(200); !slices.Equal(me.texts("amr"), []string{"hwk", "mfa"}) || me.text("name") != "alice" {
		t.Errorf("me: %v", me)
	}
	if len(done.cookies()) == 0 {
		t.Error("a whole login sets no cookie")
	}

	asked := v.send("POST", "/me/methods/passkey/prove/begin", nil).want(200)
	pass := v.send("POST", "/me/methods/passkey/prove", map[string]any{"credential": json.RawMessage(key.Get(t, asked.options()))}).want(200)
	v.send("PUT", "/me/methods/primary", map[string]any{"method": "passkey", "code": pass.text("code")}).want(200)
	v.send("PUT", "/me/methods/primary", map[string]any{"method": "totp", "code": pass.text("code")}).want(401, "denied")
	if half := alice.halfway(); half.text("method") != "passkey" {
		t.Errorf("first way: %v", half)
	}
	v.send("POST", "/me/methods/passkey/deactivate", map[string]any{"code": alice.code(), "id": id}).want(204)
	w.alone(key).want(401, "denied")
}

// Whoever must set up a factor may set up a passkey, with the token of the login.
func TestEnrolPasskeyByTheAPI(t *testing.T) {
	w := newWorld(t, worldOptions{passkeys: true})
	bob := w.someone("bob@users")
	half := bob.halfway()
	if half.text("status") != "enroll" || !slices.Equal(half.texts("methods"), []string{"totp", "passkey"}) {
		t.Fatalf("first door: %v", half)
	}
	token, key := half.text("ephemeral_token"), passkeytest.New(portal)
	begun := w.stranger().send("POST", "/me/methods/passkey/activate", map[string]any{"ephemeral_token": token}).want(200)
	done := w.stranger().send("POST", "/me/methods/passkey/confirm", map[string]any{
		"ephemeral_token": token, "credential": json.RawMessage(key.Create(t, begun.options())),
	}).want(200)
	if len(done.texts("recovery_codes")) != 10 || done.text("access_token") == "" {
		t.Errorf("set up: %v", done)
	}
	w.alone(key).want(200)
}

// Attack on the bodies of passkeys: huge, nested, a member twice in other capitals
// (whoever decodes it takes the last one), a code in place of a signature, nothing.
func TestPasskeyBodies(t *testing.T) {
	w := newWorld(t, worldOptions{passkeys: true})
	alice := w.member("alice@users")
	v := alice.visit()
	key := passkeytest.New(portal)
	v.adds(key, "")
	v = alice.visit()
	for _, path := range []string{"/login/passkey", "/me/methods/passkey/prove", "/me/methods/passkey/confirm"} {
		good := string(key.Get(t, w.challenge("")))
		for _, c := range []struct {
			name, credential, code string
			status                 int
		}{
			{"a text", `"PK.x"`, "invalid", 422},
			{"null", `null`, "invalid", 422},
			{"a list", `[]`, "invalid", 422},
			{"empty", `{}`, "", 401},
			{"a member twice", strings.Replace(good, `"type":`, `"Type":"public-key","type":`, 1), "invalid", 422},
			{"a member twice below", strings.Replace(good, `"signature":`, `"SIGNATURE":"AA","signature":`, 1), "invalid", 422},
			{"too deep", strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30), "invalid", 422},
			{"too deep in lists", `{"a":` + strings.Repeat(`[`, 30) + strings.Repeat("]", 30) + "}", "invalid", 422},
			{"huge", `{"a":"` + strings.Repeat("x", 70<<10) + `"}`, "too_large", 413},
			{"large", `{"a":"` + strings.Repeat("x", 40<<10) + `"}`, "", 401},
			{"broken", `{"a":`, "malformed", 400},
		} {
			a := v.send("POST", path, `{"credential":`+c.credential+`}`)
			pending := path == "/me/methods/passkey/confirm" && c.status == 401
			if pending && a.code() == "nothing_pending" {
				continue
			}
			if a.status != c.status || c.code != "" && a.code() != c.code {
				t.Errorf("%s, %s: %v", path, c.name, a)
			}
		}
		v.send("POST", path, map[string]any{}).want(422, "invalid")
		v.send("POST", path, map[string]any{"code": "000000"}).want(422, "invalid")
	}
	w.clock.Advance(time.Hour)
	v = alice.visit()
	v.send("POST", "/me/methods/totp/confirm", map[string]any{"credential": map[string]any{}}).want(422, "invalid")
	ephemeral := alice.halfway().text("ephemeral_token")
	credential := json.RawMessage(key.Get(t, w.challenge(ephemeral)))
	w.stranger().send("POST", "/login/passkey", map[string]any{"ephemeral_token": ephemeral, "realm": "users", "credential": credential}).want(422, "invalid")
	w.stranger().send("POST", "/login/passkey", map[string]any{"trust_device": true, "credential": credential}).want(422, "invalid")
	w.stranger().send("POST", "/login/passkey", map[string]any{"ephemeral_token": ephemeral, "credential": credential}).want(200)
	w.stranger().send("POST", "/login/passkey/begin", map[string]any{"ephemeral_token": "spe_x"}).want(401, "denied")
}

// Attack: another site's page begins or ends a login by passkey, or asks for a pass, in
// the browser of somebody who is signed in.
func TestForeignPagesAskNoPasskey(t *testing.T) {
	w := newWorld(t, worldOptions{passkeys: true})
	alice := w.member("alice@users")
	done := alice.signIn()
	v := w.stranger().bearing(done.text("access_token"))
	key := passkeytest.New(portal)
	v.adds(key, "")
	evil := w.stranger().saying("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").carrying(w.alone(key).cookies()...)
	for _, path := range []string{"/login/passkey/begin", "/login/passkey", "/me/methods/passkey/prove/begin", "/me/methods/passkey/prove", "/me/methods/passkey/activate"} {
		evil.send("POST", path, map[string]any{"credential": json.RawMessage(key.Get(t, w.challenge("")))}).want(403)
	}
}

// Where no passkeys can be had, the calls say so, and are there.
func TestWithoutPasskeys(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.member("alice@users").visit()
	w.stranger().send("POST", "/login/passkey/begin", map[string]any{}).want(404, "unknown_method")
	w.stranger().send("POST", "/login/passkey", map[string]any{"credential": map[string]any{}}).want(401, "denied")
	v.send("POST", "/me/methods/passkey/activate", nil).want(404, "unknown_method")
	v.send("POST", "/me/methods/passkey/prove/begin", nil).want(404, "unknown_method")
}
