package api_test

import (
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
)

// Users with codes by mail and SMS come whole or not at all: nobody comes with the
// password alone because nothing here sends what they had.
func TestImportMethods(t *testing.T) {
	p := &post{}
	w := newWorld(t, worldOptions{post: p, realms: map[string]account.Settings{"users": {Methods: []string{"totp", "email", "sms"}}}})
	method := func(name string) fields { return fields{"method": name} }
	totp := fields{"secret": oldSeed}
	users := []fields{
		{"realm": "users", "name": "mailed", "password_hash": sha1Hash, "email": "mailed@example.com", "methods": []fields{method("email")}, "recovery_codes": []string{"abcdef"}},
		{"realm": "users", "name": "several", "password_hash": sha1Hash, "phone": "+41791234589", "email": "several@example.com", "totp": totp, "methods": []fields{method("email"), method("sms")}, "primary": "sms"},
		{"realm": "users", "name": "nowhere", "password_hash": sha1Hash, "methods": []fields{method("email")}},
		{"realm": "users", "name": "silent", "password_hash": sha1Hash, "methods": []fields{method("sms")}},
		{"realm": "other", "name": "closed", "password_hash": sha1Hash, "email": "closed@example.com", "methods": []fields{method("email")}},
		{"realm": "users", "name": "own", "password_hash": sha1Hash, "methods": []fields{method("pager")}},
		{"realm": "users", "name": "keyed", "password_hash": sha1Hash, "methods": []fields{{"method": "yubikey", "key": "ccccccbcgujh"}}},
		{"realm": "users", "name": "keyless", "password_hash": sha1Hash, "methods": []fields{method("yubikey")}},
		{"realm": "users", "name": "twice", "password_hash": sha1Hash, "email": "twice@example.com", "methods": []fields{method("email"), method("email")}},
		{"realm": "users", "name": "passkey", "password_hash": sha1Hash, "methods": []fields{method("passkey")}},
		{"realm": "users", "name": "first", "password_hash": sha1Hash, "email": "first@example.com", "methods": []fields{method("email")}, "primary": "totp"},
		{"realm": "users", "name": "nothing", "password_hash": sha1Hash, "primary": "totp"},
		{"realm": "users", "name": "codes", "password_hash": sha1Hash, "recovery_codes": []string{"abcdef"}},
	}
	want := []string{"created", "created", "no_target", "no_target", "unknown_method", "unknown_method", "unknown_method", "method", "method", "method", "method", "method", "recovery_code"}
	for _, dry := range []bool{true, false} {
		if got := w.admin().send("POST", "/users/import", fields{"users": users, "dry_run": dry}).statuses(); !slices.Equal(got, want) {
			t.Fatalf("dry run %v:\n%v\nwant\n%v", dry, got, want)
		}
	}
	if p.count() != 0 {
		t.Errorf("the import sent %d messages", p.count())
	}
	first := w.stranger().send("POST", "/login", fields{"name": "mailed", "password": oldPhrase}).want(200)
	if m := p.last(t); first.text("method") != "email" || m.To != "mailed@example.com" {
		t.Errorf("asked for %s, sent to %s", first.text("method"), m.To)
	}
	w.stranger().send("POST", "/login/code", fields{"ephemeral_token": first.text("ephemeral_token"), "code": p.last(t).Code}).want(200)
	first = w.stranger().send("POST", "/login", fields{"name": "several", "password": oldPhrase}).want(200)
	if m := p.last(t); first.text("method") != "sms" || m.To != "+41791234589" {
		t.Errorf("asked for %s, sent to %s", first.text("method"), m.To)
	}
	for _, name := range []string{"nowhere", "silent", "own", "keyed", "keyless", "twice", "passkey", "first", "nothing", "codes"} {
		w.admin().send("GET", "/users/users/"+name, nil).want(404, "unknown_user")
	}
}
