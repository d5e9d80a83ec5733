package api_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const shortSeed = "JBSWY3DPEHPK3PXP" // 80 bits

// A batch of programs holds good and bad. The good prove themselves with the seed that
// they had; of the bad there is nothing, not even the realm that they would have made.
func TestImportServices(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("owner@users")
	services := []fields{
		{"realm": "ungleich-admin", "name": "Deploy", "seed": shortSeed},
		{"realm": "robots", "name": "old", "seed": oldSeed, "disabled": true, "digits": 8, "period": 60, "algorithm": "SHA512"},
		{"realm": "ungleich-apps", "name": "6b0c8bd4-0000-4000-8000-000000000001", "seed": shortSeed, "description": "The shop", "owner": "nico", "trusted": true},
		{"realm": "users", "name": "owner", "seed": shortSeed},
		{"realm": "ungleich-admin", "name": "deploy", "seed": oldSeed},
		{"realm": "lost1", "name": "a b", "seed": shortSeed},
		{"realm": "no.realm", "name": "a", "seed": shortSeed},
		{"realm": "lost2", "name": "a:b", "seed": shortSeed},
		{"realm": "lost3", "name": "short", "seed": "JBSWY3DP"},
		{"realm": "lost3", "name": "none", "seed": ""},
		{"realm": "lost3", "name": "letters", "seed": "JBSWY3DPEHPK3PX1"},
		{"realm": "lost4", "name": "digits", "seed": shortSeed, "digits": 7},
		{"realm": "lost5", "name": "text", "seed": shortSeed, "description": strings.Repeat("x", 300)},
	}
	want := []string{"created", "created", "created", "exists", "exists", "invalid_name", "invalid_realm", "invalid", "seed", "seed", "seed", "invalid", "invalid"}
	before := w.dump()
	dry := w.admin().send("POST", "/services/import", fields{"services": services, "dry_run": true})
	if got := dry.statuses(); !slices.Equal(got, want) {
		t.Errorf("dry run:\n%v\nwant\n%v", got, want)
	}
	if !strings.Contains(dry.body, "the seed has 5 bytes: 10 to 128 are allowed") {
		t.Errorf("a short seed: %v", dry)
	}
	if !maps.Equal(before, w.dump()) {
		t.Error("a dry run left something")
	}
	if real := w.admin().send("POST", "/services/import", fields{"services": services}); real.body != dry.body {
		t.Errorf("the dry run said\n%s\nand the import\n%s", dry.body, real.body)
	}
	for _, realm := range []string{"lost1", "lost2", "lost3", "lost4", "lost5"} {
		w.admin().send("GET", "/realms/"+realm, nil).want(404, "unknown_realm")
	}

	seed, err := otp.ParseSeed(shortSeed)
	must(t, err)
	asked := func(name, realm string, seed []byte, p otp.Params) string {
		t.Helper()
		code, err := p.Code(seed, p.Step(w.clock.Now()))
		must(t, err)
		return w.admin().send("POST", "/verify", fields{"name": name, "realm": realm, "token": code}).want(200).text("status")
	}
	long, err := otp.ParseSeed(oldSeed)
	must(t, err)
	odd := otp.Params{Algorithm: otp.SHA512, Digits: 8, Period: 60}
	if got := asked("deploy", "ungleich-admin", seed, otp.Default()); got != "OK" {
		t.Errorf("deploy with its seed: %s", got)
	}
	if got := asked("old", "robots", long, odd); got != "FAIL" {
		t.Errorf("a disabled service: %s", got)
	}
	w.admin().send("PATCH", "/services/robots/old", fields{"disabled": false}).want(200)
	if got := asked("old", "robots", long, odd); got != "OK" {
		t.Errorf("the same when it is enabled: %s", got)
	}
	if a := w.admin().send("GET", "/services/ungleich-apps/6b0c8bd4-0000-4000-8000-000000000001", nil).want(200); a.text("description") != "The shop" {
		t.Errorf("an app: %v", a)
	}
	must(t, w.store.View(t.Context(), func(tx store.Tx) error {
		s, err := w.dir.ServiceByRef(tx, principal.Ref{Name: "6b0c8bd4-0000-4000-8000-000000000001", Realm: "ungleich-apps"})
		if err == nil && (s.Owner != "nico" || !s.Trusted) {
			t.Errorf("an app of %q, trusted %v", s.Owner, s.Trusted)
		}
		return err
	}))
	for _, secret := range []string{shortSeed, oldSeed, "JBSWY3DP"} {
		if strings.Contains(w.log.String(), secret) || strings.Contains(w.said.String(), secret) {
			t.Errorf("the seed %s stands in an answer or in the log", secret)
		}
	}

	// With update what exists gets what the file names, and keeps its seed.
	again := fields{"update": true, "services": []fields{{"realm": "ungleich-admin", "name": "deploy", "seed": oldSeed, "description": "New", "disabled": false}}}
	for _, want := range []string{"updated", "exists"} {
		if got := w.admin().send("POST", "/services/import", again).statuses(); !slices.Equal(got, []string{want}) {
			t.Errorf("%v, want %s", got, want)
		}
	}
	w.clock.Advance(30e9)
	if got := asked("deploy", "ungleich-admin", seed, otp.Default()); got != "OK" {
		t.Errorf("deploy after the update: %s", got)
	}

	root := w.member("root@admin").visit()
	root.send("POST", "/services/import", fields{"services": services[:1]}).want(403, "forbidden")
	w.admin().send("POST", "/services/import", fields{"services": []fields{}}).want(422, "invalid")
	w.admin().send("POST", "/services/import", fields{"services": slices.Repeat(services[:1], 201)}).want(422, "invalid")
}

// Recovery codes come along with the authenticator: each works once, in the spelling of
// the old system, and one that the file has twice works once too.
func TestImportBringsRecoveryCodes(t *testing.T) {
	w := newWorld(t, worldOptions{})
	totp := fields{"secret": shortSeed}
	many := make([]string, 101)
	for i := range many {
		many[i] = strings.Repeat("a", i+1)
	}
	users := []fields{
		{"realm": "users", "name": "alice", "password_hash": apr1Hash, "totp": totp, "recovery_codes": []string{"0AF1-9c", "418908", "0af19c", "418 908"}},
		{"realm": "users", "name": "bare", "password_hash": apr1Hash, "recovery_codes": []string{"418908"}},
		{"realm": "users", "name": "hashed", "password_hash": apr1Hash, "recovery_digests": []string{apr1Hash}},
		{"realm": "users", "name": "odd", "password_hash": apr1Hash, "totp": totp, "recovery_codes": []string{"41_8908"}},
		{"realm": "users", "name": "empty", "password_hash": apr1Hash, "totp": totp, "recovery_codes": []string{""}},
		{"realm": "users", "name": "plain", "password_hash": apr1Hash, "totp": totp, "recovery_digests": []string{"418908"}},
		{"realm": "users", "name": "many", "password_hash": apr1Hash, "totp": totp, "recovery_codes": many},
	}
	want := []string{"created", "recovery_code", "recovery_code", "recovery_code", "recovery_code", "recovery_code", "recovery_code"}
	a := w.admin().send("POST", "/users/import", fields{"users": users})
	if got := a.statuses(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	p := &person{w: w, name: "alice", realm: "users", password: oldPhrase}
	for _, c := range []struct {
		code   string
		status int
		left   float64
	}{{"418908", 200, 1}, {"418908", 401, 0}, {"0af19c", 200, 0}, {"0af1-9c", 401, 0}} {
		a := w.stranger().send("POST", "/login/recovery-code", fields{"ephemeral_token": p.halfway().text("ephemeral_token"), "recovery_code": c.code}).want(c.status)
		if c.status == 200 && a.fields["recovery_codes_left"] != c.left {
			t.Errorf("%s: %v, want %v left", c.code, a, c.left)
		}
	}
	if strings.Contains(w.log.String()+a.body, "418908") || strings.Contains(w.log.String()+a.body, "41_8908") {
		t.Error("a recovery code stands in an answer or in the log")
	}
}
