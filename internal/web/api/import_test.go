package api_test

import (
	"encoding/json"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// The passphrase of these is: correct horse battery staple
	apr1Hash  = "$apr1$abcdefgh$5MT.bUwCwhCf2blpqTwiG/"
	sha1Hash  = "{SHA}q/eq1kOINtvlJqojGr3i0O73TUI="
	oldPhrase = "correct horse battery staple"
	oldSeed   = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
)

// statuses are what became of each user: the status, or the code of a refusal.
func (a *answer) statuses() (list []string) {
	a.t.Helper()
	var body struct {
		Results []struct{ Status, Code, Message string }
	}
	must(a.t, json.Unmarshal([]byte(a.want(200).body), &body))
	for _, r := range body.Results {
		if r.Status == "refused" {
			if r.Message == "" {
				a.t.Errorf("a refusal without a reason: %v", r)
			}
			r.Status = r.Code
		}
		list = append(list, r.Status)
	}
	return list
}

func (w *world) records() (all []string) {
	must(w, w.store.View(w.Context(), func(tx store.Tx) error {
		for _, p := range []store.Prefix{store.PrefixAccount, store.PrefixFactor, store.PrefixAudit} {
			for item, err := range tx.Scan(store.KPrefix(p), nil) {
				if err != nil {
					return err
				}
				all = append(all, string(item.Key)+string(item.Value))
			}
		}
		return nil
	}))
	return all
}

type fields = map[string]any

// A batch holds good and bad. The good are whole: they sign in with the
// password and the authenticator that they had. Of the bad there is nothing,
// and nothing of what stood in the file is repeated to anybody.
func TestImport(t *testing.T) {
	hasher := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 64, Time: 1, Threads: 1}})
	w := newWorld(t, worldOptions{hasher: hasher})
	w.someone("owner@users")
	users := []fields{
		{"realm": "single", "name": "Apr", "password_hash": apr1Hash, "email": "apr@example.com", "groups": []string{"b", "a"}},
		{"realm": "users", "name": "whole", "password_hash": sha1Hash, "totp": fields{"secret": oldSeed}},
		{"realm": "admin", "name": "chief", "password_hash": sha1Hash, "totp": fields{"secret": oldSeed, "digits": 8, "period": 60, "algorithm": "SHA512"}},
		{"realm": "admin", "name": "bare", "password_hash": sha1Hash},
		{"realm": "brand-new", "name": "clear", "password": "quiet otters paddle", "disabled": true},
		{"realm": "users", "name": "owner", "password_hash": sha1Hash},
		{"realm": "users", "name": "thief", "email": "Owner@example.com"},
		{"realm": "users", "name": "a b " + apr1Hash},
		{"realm": "no.realm", "name": "a"},
		{"realm": "users", "name": "weak", "password": "password1"},
		{"realm": "users", "name": "both", "password": "quiet otters paddle", "password_hash": sha1Hash},
		{"realm": "users", "name": "plain", "password_hash": "quiet otters paddle"},
		{"realm": "users", "name": "seed", "totp": fields{"secret": "JBSWY3DP"}},
		{"realm": "users", "name": "digits", "totp": fields{"secret": oldSeed, "digits": 7}},
		{"realm": "users", "name": "slow", "totp": fields{"secret": oldSeed, "period": 3600}},
		{"realm": "users", "name": "slower", "totp": fields{"secret": oldSeed, "period": 3601}},
		{"realm": "users", "name": "phone", "phone": "044 123"},
		{"realm": "users", "name": "group", "groups": []string{"a,b"}},
		{"realm": "users", "name": "mail", "email": "nobody"},
		{"realm": "users", "name": "whole"},
	}
	want := []string{"created", "created", "created", "needs_factor", "created", "exists", "address_taken", "invalid_name", "invalid_realm", "weak_password",
		"invalid", "password_hash", "totp", "totp", "created", "totp", "invalid", "invalid_group", "invalid_email", "exists"}
	before := w.records()
	dry := w.admin().send("POST", "/users/import", fields{"users": users, "dry_run": true})
	if got := dry.statuses(); !slices.Equal(got, want) {
		t.Errorf("dry run:\n%v\nwant\n%v", got, want)
	}
	if !slices.Equal(before, w.records()) || hasher.Floor(true) != 0 {
		t.Error("a dry run left something")
	}
	real := w.admin().send("POST", "/users/import", fields{"users": users})
	if real.body != dry.body {
		t.Errorf("the dry run said\n%s\nand the import\n%s", dry.body, real.body)
	}
	if hasher.Floor(true) == 0 {
		t.Error("nobody measured the foreign hashes")
	}

	w.stranger().send("POST", "/login", fields{"name": "apr@example.com", "realm": "single", "password": oldPhrase}).want(200)
	if a := w.stranger().send("POST", "/login", fields{"name": "apr", "realm": "single", "password": oldPhrase}).want(200); a.text("status") != "ok" {
		t.Errorf("apr: %v", a)
	}
	seed, err := otp.ParseSeed(oldSeed)
	must(t, err)
	whole := &person{w: w, name: "whole", realm: "users", password: oldPhrase, seed: seed}
	whole.signIn()
	w.stranger().send("POST", "/login", fields{"name": "clear", "realm": "brand-new", "password": "quiet otters paddle"}).want(401, "denied")
	w.admin().send("PATCH", "/users/brand-new/clear", fields{"disabled": false}).want(200)
	w.stranger().send("POST", "/login", fields{"name": "clear", "realm": "brand-new", "password": "quiet otters paddle"}).want(200)
	w.admin().send("GET", "/users/admin/chief/totp/qr.png", nil).want(409)
	for _, name := range []string{"thief", "weak", "both", "plain", "seed", "digits", "phone", "group", "mail"} {
		w.admin().send("GET", "/users/users/"+name, nil).want(404, "unknown_user")
	}
	for _, c := range []string{"5MT.bUwC", "q/eq1kOI", "battery", "otters", "JBSWY3DP", "044 123", "password1"} {
		if strings.Contains(w.log.String(), c) || strings.Contains(w.said.String(), c) {
			t.Errorf("%q stands in an answer or in the log", c)
		}
	}
}

// With update who exists gets what the file names, and keeps password and factors.
func TestImportUpdates(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("olga@single")
	body := fields{"update": true, "users": []fields{
		{"realm": "single", "name": "olga", "email": "new@example.com", "full_name": "Olga", "groups": []string{"ops"}, "password_hash": sha1Hash, "totp": fields{"secret": oldSeed}},
	}}
	for _, want := range []string{"updated", "exists"} {
		if got := w.admin().send("POST", "/users/import", body).statuses(); !slices.Equal(got, []string{want}) {
			t.Errorf("%v, want %s", got, want)
		}
	}
	p.signIn()
	if a := w.admin().send("GET", "/users/single/olga", nil).want(200); a.text("email") != "new@example.com" || a.text("full_name") != "Olga" || !slices.Equal(a.texts("groups"), []string{"ops"}) {
		t.Errorf("olga: %v", a)
	}
}

func TestImportTakesBatchesOfAKnownSize(t *testing.T) {
	w := newWorld(t, worldOptions{})
	users := make([]fields, 201)
	for i := range users {
		users[i] = fields{"realm": "users", "name": "u" + strings.Repeat("x", i%60) + string(rune('a'+i/60))}
	}
	w.admin().send("POST", "/users/import", fields{"users": users}).want(422, "invalid")
	w.admin().send("POST", "/users/import", fields{"users": []fields{}}).want(422, "invalid")
	w.admin().send("POST", "/users/import", fields{}).want(422, "invalid")
	if got := w.admin().send("POST", "/users/import", fields{"users": users[:200]}).statuses(); slices.Contains(got, "refused") || len(got) != 200 {
		t.Errorf("a full batch: %v", got)
	}
}

// All hash slots are taken by logins. The batch is refused whole, before
// anybody exists whose hash was not measured, and may be sent again.
func TestImportWaitsForASlot(t *testing.T) {
	hasher := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 64, Time: 1, Threads: 1}, Slots: 1, Queue: -1})
	w := newWorld(t, worldOptions{hasher: hasher})
	slow := make(chan error)
	go func() {
		_, _, err := hasher.Verify(t.Context(), "x", "$pbkdf2-sha512$2000000$c2l4dGVlbiBieXRlIHNsdA$3QMwrxLg4/X2UcnWiHG3oGtaw1Sr4coKsAAOWMiR/640yePfdIno4J23vNuKz9ZkADlvSFRe8oUd+qOpwSH1Ww")
		slow <- err
	}()
	for running := 0; running == 0; running, _, _ = hasher.Load() {
		runtime.Gosched()
	}
	foreign := fields{"users": []fields{{"realm": "users", "name": "ann", "password_hash": apr1Hash}}}
	plain := fields{"users": []fields{{"realm": "users", "name": "ann", "password": "quiet otters paddle"}}}
	for _, body := range []fields{foreign, plain} {
		if a := w.admin().send("POST", "/users/import", body).want(503, "busy"); a.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
	}
	w.admin().send("GET", "/users/users/ann", nil).want(404)
	must(t, <-slow)
	if got := w.admin().send("POST", "/users/import", foreign).statuses(); got[0] != "created" {
		t.Errorf("sent again: %v", got)
	}
}

// Hashes leave by the export alone, where they were asked for; seeds never.
func TestExport(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.member("bert@users")
	w.admin().send("POST", "/users/import", fields{"users": []fields{
		{"realm": "single", "name": "apr", "email": "apr@example.com", "full_name": "A. Pr", "phone": "+41441234567", "groups": []string{"b", "a"}, "disabled": true, "password_hash": apr1Hash, "totp": fields{"secret": oldSeed}},
	}}).want(200)
	type page struct {
		Users      []fields
		NextCursor string `json:"next_cursor"`
	}
	read := func(query string) (p page) {
		must(t, json.Unmarshal([]byte(w.admin().send("GET", "/users/export"+query, nil).want(200).body), &p))
		return p
	}
	public := []string{"created_at", "disabled", "email", "full_name", "groups", "name", "phone", "realm"}
	p := read("?realm=single")
	if len(p.Users) != 1 || !slices.Equal(slices.Sorted(maps.Keys(p.Users[0])), public) || p.Users[0]["phone"] != "+41441234567" {
		t.Errorf("without hashes: %v", p)
	}
	if p = read("?realm=single&hashes=true"); p.Users[0]["password_hash"] != apr1Hash || len(p.Users[0]) != len(public)+1 {
		t.Errorf("with hashes: %v", p)
	}
	// Whether an address was confirmed moves with it.
	w.admin().send("POST", "/users/import", fields{"users": []fields{{"realm": "moved", "name": "kim", "email": "kim@example.com", "unconfirmed": true}}}).want(200)
	if p = read("?realm=moved"); p.Users[0]["unconfirmed"] != true {
		t.Errorf("an address that nobody confirmed: %v", p)
	}
	same := fields{"users": p.Users}
	delete(p.Users[0], "created_at")
	for email, want := range map[string]any{"kim@example.com": true, "other@example.com": nil} {
		w.admin().send("DELETE", "/users/moved/kim", nil).want(204)
		w.admin().send("POST", "/users/import", same).want(200)
		w.admin().send("PATCH", "/users/moved/kim", fields{"full_name": "Kim"}).want(200)
		if email != "kim@example.com" {
			w.admin().send("PATCH", "/users/moved/kim", fields{"email": email}).want(200)
		}
		if a := w.admin().send("GET", "/users/moved/kim", nil).want(200); a.fields["unconfirmed"] != want {
			t.Errorf("%s: %v", email, a)
		}
	}
	first := read("?limit=1&hashes=true")
	if second := read("?limit=1&hashes=true&cursor=" + first.NextCursor); len(first.Users) != 1 || len(second.Users) != 1 || first.Users[0]["name"] == second.Users[0]["name"] {
		t.Errorf("pages: %v, %v", first, second)
	}
	w.admin().send("GET", "/users/export?realm=nowhere", nil).want(404, "unknown_realm")
	root := w.member("root@admin").visit()
	root.send("GET", "/users/export?hashes=true", nil).want(403, "forbidden")
	root.send("POST", "/users/import", fields{"users": []fields{{"realm": "users", "name": "x"}}}).want(403, "forbidden")
	if a := root.send("GET", "/users/single/apr", nil).want(200); strings.Contains(a.body, "apr1$") {
		t.Errorf("a network's answer shows a hash: %v", a)
	}
}
