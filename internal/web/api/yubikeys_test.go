package api_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest"
)

// A key whose secret is registered here opens the second door without anybody's servers.
func TestYubiKeyOverTheAPI(t *testing.T) {
	w := newWorld(t, worldOptions{realms: map[string]account.Settings{"users": {Methods: []string{"totp", "yubikey"}}}})
	k, unknown := yubicotest.NewKey(), yubicotest.NewKey()
	body := map[string]any{"public_id": strings.ToUpper(k.Public), "private_id": hex.EncodeToString(k.Private), "key": hex.EncodeToString(k.Secret)}
	a := w.admin().send("POST", "/yubikeys", body).want(201)
	if keys(a) != "added_at public_id" || a.text("public_id") != k.Public {
		t.Errorf("%v", a)
	}
	for name, change := range map[string]string{"public_id": "xyz", "private_id": "12", "key": "zz"} {
		bad := map[string]any{"public_id": k.Public, "private_id": hex.EncodeToString(k.Private), "key": hex.EncodeToString(k.Secret)}
		bad[name] = change
		w.admin().send("POST", "/yubikeys", bad).want(422, "invalid")
	}
	list := w.admin().send("GET", "/yubikeys", nil).want(200).body
	if !strings.Contains(list, k.Public) || strings.Contains(list, hex.EncodeToString(k.Secret)) {
		t.Errorf("%s", list)
	}

	alice := w.member("alice@users")
	v := alice.visit()
	v.send("GET", "/yubikeys", nil).want(403, "forbidden")
	v.send("POST", "/yubikeys", body).want(403, "forbidden")
	if a := v.send("POST", "/me/methods/yubikey/activate", map[string]any{"label": "Blue"}).want(200); keys(a) != "" {
		t.Errorf("%v", a)
	}
	v.send("POST", "/me/methods/yubikey/confirm", map[string]any{"code": unknown.Press()}).want(401, "denied")
	v.send("POST", "/me/methods/yubikey/confirm", map[string]any{"code": k.Press()}).want(200)
	half := alice.halfway()
	text := k.Press()
	code := map[string]any{"ephemeral_token": half.text("ephemeral_token"), "code": text}
	ok := w.stranger().send("POST", "/login/code", code).want(200)
	v = w.stranger().bearing(ok.text("access_token"))
	if me := v.send("GET", "/me", nil).want(200); strings.Join(me.texts("amr"), " ") != "pwd hwk" {
		t.Errorf("%v", me)
	}
	code["ephemeral_token"] = alice.halfway().text("ephemeral_token")
	w.stranger().send("POST", "/login/code", code).want(401, "denied")

	w.admin().send("DELETE", "/yubikeys/"+k.Public, nil).want(204)
	w.admin().send("DELETE", "/yubikeys/"+k.Public, nil).want(404, "unknown_method")
	code["code"] = k.Press()
	w.stranger().send("POST", "/login/code", code).want(401, "denied")
}
