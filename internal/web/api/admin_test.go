package api_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
)

func items(a *answer, name string) []map[string]any {
	var list []map[string]any
	values, _ := a.fields[name].([]any)
	for _, v := range values {
		m, _ := v.(map[string]any)
		list = append(list, m)
	}
	return list
}

// Both doors to administration are the same: an administrator's session and
// the admin socket.
func TestUsersAreManaged(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for name, v := range map[string]*visitor{"local": w.admin(), "session": w.member("root@admin").visit()} {
		t.Run(name, func(t *testing.T) {
			who := name
			body := map[string]any{"realm": "users", "name": strings.ToUpper(who), "password": goodWords, "email": who + "@example.com",
				"full_name": "Some Body", "phone": "+41441234567", "groups": []string{"ops", "dev"}}
			a := v.send("POST", "/users", body).want(201)
			if a.text("name") != who || a.fields["has_password"] != true || a.fields["disabled"] != false || !slices.Contains(a.texts("groups"), "ops") {
				t.Errorf("created: %v", a)
			}
			path := "/users/users/" + who
			v.send("POST", "/users", body).want(409, "exists")
			other := maps.Clone(body)
			other["name"] = who + "2"
			v.send("POST", "/users", other).want(409, "address_taken")
			v.send("POST", "/users", map[string]any{"realm": "users", "name": "x", "password": "password1"}).want(422, "weak_password")
			v.send("POST", "/users", map[string]any{"realm": "users", "name": "x", "groups": []string{"a,b"}}).want(422, "invalid")
			v.send("POST", "/users", map[string]any{"realm": "users", "name": "x", "email": "not an address"}).want(422, "invalid")
			v.send("GET", "/users/users/x", nil).want(404, "unknown_user")
			v.send("GET", "/users/nowhere/x", nil).want(404, "unknown_realm")

			b := v.send("PATCH", path, map[string]any{"email": "", "groups": []string{}, "full_name": "Else"}).want(200)
			if b.text("email") != "" || len(b.texts("groups")) != 0 || b.text("full_name") != "Else" || b.text("phone") != "+41441234567" {
				t.Errorf("changed: %v", b)
			}
			// All or nothing: the bad part keeps the good one out.
			v.send("PATCH", path, map[string]any{"full_name": "Half", "password": "123"}).want(422, "weak_password")
			v.send("PATCH", path, map[string]any{"full_name": "Half", "email": "a@b@c"}).want(422, "invalid")
			if got := v.send("GET", path, nil).want(200); got.text("full_name") != "Else" {
				t.Errorf("half a change: %v", got)
			}
			v.send("PATCH", path, map[string]any{"password": badWords}).want(200)
			w.stranger().send("POST", "/login", map[string]any{"name": who, "password": goodWords}).want(401, "denied")
			w.stranger().send("POST", "/login", map[string]any{"name": who, "password": badWords}).want(200)
			v.send("PATCH", path, map[string]any{"disabled": true}).want(200)
			w.stranger().send("POST", "/login", map[string]any{"name": who, "password": badWords}).want(401, "denied")
			v.send("PATCH", path, map[string]any{"disabled": false}).want(200)
			v.send("DELETE", path, nil).want(204)
			v.send("DELETE", path, nil).want(404, "unknown_user")
		})
	}
}

func TestUsersArePagedAndFiltered(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.admin()
	for _, name := range []string{"ann", "anton", "bea", "carl", "dora"} {
		v.send("POST", "/users", map[string]any{"realm": "users", "name": name, "email": "z" + name + "@example.com"}).want(201)
	}
	v.send("POST", "/users", map[string]any{"realm": "single", "name": "anna"}).want(201)
	all := func(query string) []string {
		var found []string
		cursor := ""
		for range 20 {
			a := v.send("GET", "/users?limit=2"+query+cursor, nil).want(200)
			if len(items(a, "users")) > 2 {
				t.Errorf("page too large: %v", a)
			}
			for _, u := range items(a, "users") {
				found = append(found, u["name"].(string)+"@"+u["realm"].(string))
			}
			next, _ := a.fields["next_cursor"].(string)
			if next == "" {
				break
			}
			cursor = "&cursor=" + next
		}
		slices.Sort(found)
		return found
	}
	for query, want := range map[string]string{
		"":                   "ann@users anna@single anton@users bea@users carl@users dora@users",
		"&realm=users":       "ann@users anton@users bea@users carl@users dora@users",
		"&realm=users&q=an":  "ann@users anton@users",
		"&q=AN":              "ann@users anna@single anton@users",
		"&realm=users&q=zbe": "bea@users",
		"&q=nobody":          "",
	} {
		if got := strings.Join(all(query), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	v.send("GET", "/users?realm=nowhere", nil).want(404, "unknown_realm")
}

func TestProvisioningATOTPFactor(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.admin()
	p := w.someone("alice@users")
	a := v.send("POST", "/users/users/alice/totp", map[string]any{"digits": 8, "period": 60, "algorithm": "SHA256", "issuer": "ACME"}).want(201)
	if keys(a) != "otpauth_uri qr_png_url recovery_codes secret" || len(a.texts("recovery_codes")) != 10 {
		t.Fatalf("provisioned: %v", a)
	}
	label, seed, params, err := otp.ParseURI(a.text("otpauth_uri"))
	must(t, err)
	if params != (otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}) || label.Issuer != "ACME" || otp.FormatSeed(seed) != a.text("secret") {
		t.Errorf("uri %v %v", label, params)
	}
	// It is active at once.
	code, err := params.Code(seed, params.Step(w.clock.Now()))
	must(t, err)
	half := p.halfway()
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": half.text("ephemeral_token"), "code": code}).want(200)
	for _, bad := range []map[string]any{{"digits": 7}, {"period": 5}, {"algorithm": "MD5"}, {"digits": "6"}, {"Issuer": "x"}} {
		v.send("POST", "/users/users/alice/totp", bad).want(422, "invalid")
	}
	v.send("POST", "/users/users/nobody/totp", map[string]any{}).want(404, "unknown_user")
	// The picture is there for an hour, for those who hand it over.
	qr := v.send("GET", "/users/users/alice/totp/qr.png?issuer=Other&size=300", nil).want(200)
	if !strings.HasPrefix(qr.body, "\x89PNG") || qr.header.Get("Content-Type") != "image/png" || qr.header.Get("Cache-Control") != "no-store" {
		t.Errorf("picture: %v", qr.header)
	}
	v.send("GET", "/users/users/alice/totp/qr.png?size=9", nil).want(422, "invalid")
	v.send("GET", "/users/users/alice/totp/qr.png?size=99999", nil).want(422, "invalid")
	w.clock.Advance(61 * time.Minute)
	v.send("GET", "/users/users/alice/totp/qr.png", nil).want(409)
	codes := v.send("POST", "/users/users/alice/recovery-codes", nil).want(200).texts("recovery_codes")
	if len(codes) != 10 {
		t.Errorf("recovery codes: %v", codes)
	}
	v.send("DELETE", "/users/users/alice/methods/sms", nil).want(404, "unknown_method")
	v.send("DELETE", "/users/users/alice/methods/totp", nil).want(204)
	v.send("POST", "/users/users/alice/recovery-codes", nil).want(409, "no_factor")
	v.send("POST", "/users/users/alice/totp", nil).want(201)
	v.send("DELETE", "/users/users/alice/methods", nil).want(204)
	if p.halfway().text("status") != "enroll" {
		t.Error("the factors were not reset")
	}
}

// What verify accepts is burned; of who exists it tells nothing; and who asks
// shuts nobody out.
func TestVerify(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	v := w.admin()
	ask := func(name string, body map[string]any) string {
		t.Helper()
		a := v.send("POST", "/users/users/"+name+"/verify", body).want(200)
		if keys(a) != "status" {
			t.Errorf("verdict: %v", a)
		}
		return a.text("status")
	}
	code := p.code()
	for i, want := range []string{"OK", "FAIL"} {
		if got := ask("alice", map[string]any{"code": code}); got != want {
			t.Errorf("try %d: %s", i, got)
		}
		if got := ask("alice", map[string]any{"recovery_code": p.codes[0]}); got != want {
			t.Errorf("recovery, try %d: %s", i, got)
		}
	}
	// The owner cannot use what was burned either.
	half := p.halfway()
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": half.text("ephemeral_token"), "code": code}).want(401, "denied")
	if ask("nobody", map[string]any{"code": "123456"}) != "FAIL" || ask("not%20a%20name", map[string]any{"code": "123456"}) != "FAIL" {
		t.Error("nobody's code was good")
	}
	good := p.code()
	for range 60 {
		if ask("alice", map[string]any{"code": p.wrong()}) != "FAIL" {
			t.Fatal("a wrong code was good")
		}
	}
	if ask("alice", map[string]any{"code": good}) != "FAIL" {
		t.Error("guessing has no limit")
	}
	if ask("alice", map[string]any{"code": p.code()}) != "OK" {
		t.Error("the limit does not end by waiting")
	}
	p.visit().send("GET", "/me", nil).want(200) // the owner's own doors are not shut by it
	v.send("POST", "/users/users/alice/verify", map[string]any{}).want(422, "invalid")
	v.send("POST", "/users/users/alice/verify", map[string]any{"code": "1", "recovery_code": "2"}).want(422, "invalid")
	v.send("PATCH", "/users/users/alice", map[string]any{"disabled": true}).want(200)
	if ask("alice", map[string]any{"recovery_code": p.codes[3]}) != "FAIL" {
		t.Error("a disabled user's code was good")
	}
}

// Recovery codes of six digits can be guessed like codes of an authenticator, so they
// close the place like those.
func TestShortRecoveryCodesCountAsCodes(t *testing.T) {
	w := newWorld(t, worldOptions{realms: map[string]account.Settings{"users": {RecoveryCodes: &account.RecoverySettings{Count: 5, Length: 6, Alphabet: "0123456789", Plain: true}}}})
	p := w.member("alice@users")
	ask := func(code string) string {
		w.clock.Advance(16 * time.Minute)
		return w.admin().send("POST", "/users/users/alice/verify", map[string]any{"recovery_code": code}).want(200).text("status")
	}
	if ask(p.codes[0]) != "OK" {
		t.Error("a good one")
	}
	for i := range 60 {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(p.codes, code) && ask("-"+code) != "FAIL" {
			t.Fatal("a wrong code was good")
		}
	}
	if ask(p.codes[1]) != "FAIL" {
		t.Error("guessing has no end")
	}
}

func TestRealms(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.admin()
	a := v.send("PUT", "/realms/Staff", map[string]any{"factors": 1, "methods": []string{"totp"},
		"session": map[string]any{"idle": 600, "absolute": 7200, "remember": 0}, "capabilities": []map[string]any{{"capability": "list", "realms": []string{"users"}}}}).want(200)
	if a.text("realm") != "staff" || a.fields["factors"] != 1.0 || len(items(a, "capabilities")) != 1 || a.fields["session"].(map[string]any)["idle"] != 600.0 {
		t.Errorf("set: %v", a)
	}
	// PUT replaces; capabilities that are not named stay.
	b := v.send("PUT", "/realms/staff", map[string]any{"enrollment": "off"}).want(200)
	if b.fields["factors"] != 2.0 || b.text("enrollment") != "off" || len(items(b, "capabilities")) != 1 {
		t.Errorf("replaced: %v", b)
	}
	stored := v.send("GET", "/realms/staff?stored=true", nil).want(200)
	if stored.fields["factors"] != nil || stored.text("enrollment") != "off" {
		t.Errorf("stored: %v", stored)
	}
	names := map[string]bool{}
	for _, r := range items(v.send("GET", "/realms", nil).want(200), "realms") {
		names[r["realm"].(string)] = r["default"].(bool)
	}
	if isDefault, ok := names["users"]; !ok || !isDefault || len(names) != 5 {
		t.Errorf("realms: %v", names)
	}
	for _, bad := range []map[string]any{{"factors": 3}, {"enrollment": "maybe"}, {"skew": -1}, {"otp": map[string]any{"digits": 6}}, {"names": "any"},
		{"capabilities": []map[string]any{{"capability": "rule"}}}, {"capabilities": map[string]any{}}, {"realm": "other"}, {"session": map[string]any{"idle": 1, "absolute": 1, "remember": 1}}} {
		v.send("PUT", "/realms/staff", bad).want(422, "invalid")
	}
	v.send("PUT", "/realms/admin", map[string]any{"factors": 1}).want(422, "invalid")
	v.send("PUT", "/realms/not.a.realm", map[string]any{}).want(422, "invalid")
	v.send("PUT", "/realms/single", map[string]any{"factors": 2}).want(409, "configured")
	v.send("GET", "/realms/nowhere", nil).want(404, "unknown_realm")
	v.send("DELETE", "/realms/nowhere", nil).want(404, "unknown_realm")
	v.send("DELETE", "/realms/admin", nil).want(409, "reserved")
	v.send("POST", "/users", map[string]any{"realm": "staff", "name": "x"}).want(201)
	v.send("DELETE", "/realms/staff", nil).want(409, "not_empty")
	v.send("DELETE", "/users/staff/x", nil).want(204)
	v.send("DELETE", "/realms/staff", nil).want(204)
}

func TestSessionsAndEvents(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p, other := w.member("alice@users"), w.member("bert@users")
	alice, bert := p.visit(), other.visit()
	v := w.admin()
	if got := items(v.send("GET", "/sessions", nil).want(200), "sessions"); len(got) != 2 {
		t.Errorf("sessions: %v", got)
	}
	page := v.send("GET", "/sessions?limit=1", nil).want(200)
	if len(items(page, "sessions")) != 1 || page.fields["next_cursor"] == nil {
		t.Errorf("first page: %v", page)
	}
	v.send("GET", "/sessions?limit=1&cursor="+page.text("next_cursor"), nil).want(200)
	v.send("GET", "/sessions?name=alice", nil).want(422, "invalid")
	mine := items(v.send("GET", "/sessions?realm=users&name=alice", nil).want(200), "sessions")
	if len(mine) != 1 || mine[0]["name"] != "alice" || mine[0]["kind"] != "api" && mine[0]["kind"] != "browser" || mine[0]["client"] != "192.0.2.1" {
		t.Fatalf("sessions of alice: %v", mine)
	}
	v.send("DELETE", "/sessions/"+mine[0]["id"].(string), nil).want(204)
	v.send("DELETE", "/sessions/"+mine[0]["id"].(string), nil).want(404, "unknown_session")
	alice.send("GET", "/me", nil).want(401)
	bert.send("GET", "/me", nil).want(200)
	v.send("DELETE", "/users/users/bert/sessions", nil).want(204)
	bert.send("GET", "/me", nil).want(401)

	w.stranger().send("POST", "/login", map[string]any{"name": "alice", "password": badWords}).want(401)
	events := items(v.send("GET", "/audit?limit=200", nil).want(200), "events")
	kinds := map[string]bool{}
	for _, e := range events {
		kinds[e["kind"].(string)] = true
	}
	for _, kind := range []string{"user.create", "factor.add", "login", "session.revoke"} {
		if !kinds[kind] {
			t.Errorf("no event %s among %v", kind, kinds)
		}
	}
	for _, e := range items(v.send("GET", "/audit?kind=session.revoke&user=alice@users", nil).want(200), "events") {
		if e["name"] != "alice@users" || e["actor"] != "local" {
			t.Errorf("event: %v", e)
		}
	}
	first := v.send("GET", "/audit?limit=1", nil).want(200)
	second := v.send("GET", "/audit?limit=1&cursor="+first.text("next_cursor"), nil).want(200)
	if first.body == second.body {
		t.Errorf("the second page is the first: %v", second)
	}
}

func TestLinks(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.admin()
	a := v.send("POST", "/setup-link", nil).want(200)
	if !strings.HasPrefix(a.text("url"), portal+"/sallyport/setup?token=spi_") || a.fields["expires_in"] != 3600.0 {
		t.Errorf("setup link: %v", a)
	}
	w.someone("alice@users")
	b := v.send("POST", "/users/users/alice/invite", nil).want(200)
	if keys(b) != "expires_in invite_url" || !strings.HasPrefix(b.text("invite_url"), portal+"/sallyport/invite?token=spi_") {
		t.Errorf("invitation: %v", b)
	}
	v.send("POST", "/users/users/nobody/invite", nil).want(404, "unknown_user")
	w.member("root@admin")
	v.send("POST", "/setup-link", nil).want(409, "setup_done")
	shared := newWorld(t, worldOptions{noPortal: true})
	shared.someone("alice@users")
	shared.admin().send("POST", "/users/users/alice/invite", nil).want(409, "no_portal")
	if got := shared.admin().send("POST", "/setup-link", nil).want(200); !strings.HasPrefix(got.text("url"), "http://localhost:9091/sallyport/setup?token=") {
		t.Errorf("setup link: %v", got)
	}
}

// Changes need a factor of at most 15 minutes; reading does not. The last
// administrator stays.
func TestAdministrationIsFresh(t *testing.T) {
	w := newWorld(t, worldOptions{})
	root := w.member("root@admin")
	a := root.signIn()
	v := w.stranger().bearing(a.text("access_token"))
	v.send("POST", "/users", map[string]any{"realm": "users", "name": "early"}).want(201)
	v.send("DELETE", "/users/admin/root", nil).want(409, "last_administrator")
	v.send("PATCH", "/users/admin/root", map[string]any{"disabled": true}).want(409, "last_administrator")
	w.clock.Advance(14 * time.Minute)
	a = w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": a.text("refresh_token")}).want(200)
	w.clock.Advance(2 * time.Minute)
	v = w.stranger().bearing(a.text("access_token"))
	v.send("GET", "/users", nil).want(200)
	v.send("POST", "/users", map[string]any{"realm": "users", "name": "late"}).want(403, "not_fresh")
	v.send("PATCH", "/users/users/early", map[string]any{"password": badWords}).want(403, "not_fresh")
	v.send("DELETE", "/users/users/early", nil).want(403, "not_fresh")
	v.send("PUT", "/realms/late", map[string]any{}).want(403, "not_fresh")
	v.send("POST", "/users/users/early/totp", map[string]any{}).want(403, "not_fresh")
}

// Attack (CVE-2022-46145): whoever manages one realm reaches into another, or
// gives himself more than he has.
func TestS12ADelegateStaysInTheGrant(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.admin()
	v.send("PUT", "/realms/staff", map[string]any{}).want(200)
	v.send("PUT", "/realms/helpdesk", map[string]any{"capabilities": []map[string]any{
		{"capability": "create", "realms": []string{"staff"}}, {"capability": "update", "realms": []string{"staff"}}, {"capability": "list", "realms": []string{"staff"}},
	}}).want(200)
	w.someone("victim@users")
	root := w.member("root@admin")
	d := w.member("dora@helpdesk").visit()
	d.send("POST", "/users", map[string]any{"realm": "staff", "name": "new"}).want(201)
	d.send("GET", "/users?realm=staff", nil).want(200)
	d.send("PATCH", "/users/staff/new", map[string]any{"full_name": "New"}).want(200)
	victimSession := root.visit()
	id := items(v.send("GET", "/sessions?realm=admin&name=root", nil).want(200), "sessions")[0]["id"].(string)
	for _, call := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/users", nil}, {"GET", "/users?realm=users", nil}, {"GET", "/users/users/victim", nil}, {"GET", "/users/users/nobody", nil},
		{"POST", "/users", map[string]any{"realm": "admin", "name": "dora2"}}, {"POST", "/users", map[string]any{"realm": "helpdesk", "name": "dora2"}},
		{"PATCH", "/users/users/victim", map[string]any{"password": badWords}}, {"PATCH", "/users/admin/root", map[string]any{"disabled": true}},
		{"DELETE", "/users/staff/new", nil}, {"DELETE", "/users/users/victim", nil},
		{"POST", "/users/users/victim/totp", map[string]any{}}, {"POST", "/users/users/victim/verify", map[string]any{"code": "123456"}},
		{"POST", "/users/staff/new/verify", map[string]any{"code": "123456"}}, {"POST", "/users/users/victim/invite", nil},
		{"GET", "/users/users/victim/totp/qr.png", nil}, {"DELETE", "/users/admin/root/sessions", nil}, {"DELETE", "/users/admin/root/methods", nil},
		{"PUT", "/realms/helpdesk", map[string]any{"capabilities": []map[string]any{{"capability": "delete"}}}},
		{"PUT", "/realms/staff", map[string]any{"capabilities": []map[string]any{{"capability": "delete"}}}},
		{"PUT", "/realms/mine", map[string]any{}}, {"DELETE", "/realms/staff", nil}, {"GET", "/realms/users", nil},
		{"GET", "/sessions", nil}, {"GET", "/sessions?realm=admin&name=root", nil}, {"DELETE", "/sessions/" + id, nil},
		{"GET", "/audit", nil}, {"GET", "/audit?realm=admin", nil}, {"POST", "/setup-link", nil},
	} {
		a := d.send(call.method, call.path, call.body)
		if a.status != 403 || a.code() != "forbidden" {
			t.Errorf("%s %s: %v", call.method, call.path, a)
		}
	}
	victimSession.send("GET", "/me", nil).want(200)
	realms := items(d.send("GET", "/realms", nil).want(200), "realms")
	if len(realms) != 1 || realms[0]["realm"] != "staff" {
		t.Errorf("realms that the delegate sees: %v", realms)
	}
}

// Attack (CVE-2024-39315): an answer, a list, an event or a log line carries a
// secret. Secrets are planted, everything is done once, and all that was ever
// said is searched for them.
func TestS8SecretsLeaveOnlyWhereTheyAreHandedOut(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	root := w.member("root@admin").visit()
	signedIn := p.signIn()
	v := w.stranger().bearing(signedIn.text("access_token"))
	spent := p.code()
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": p.halfway().text("ephemeral_token"), "code": spent}).want(200)
	w.mu.Lock()
	w.said.Reset() // what was handed out so far was meant to be
	w.mu.Unlock()
	for _, path := range []string{"/me", "/me/methods", "/me/sessions"} {
		v.send("GET", path, nil).want(200)
	}
	for _, path := range []string{"/users", "/users/users/alice", "/realms", "/sessions", "/audit?limit=200", "/users/users/alice/totp/qr.png"} {
		root.send("GET", path, nil).want(200)
	}
	w.stranger().send("POST", "/login", map[string]any{"name": "alice", "password": goodWords + "x"}).want(401)
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": signedIn.text("refresh_token"), "code": spent}).want(401)
	v.send("PUT", "/me/password", map[string]any{"current_password": goodWords, "new_password": badWords, "code": spent}).want(401)
	root.send("POST", "/users", map[string]any{"realm": "users", "name": "new", "password": badWords}).want(201)
	root.send("PATCH", "/users/users/new", map[string]any{"password": goodWords}).want(200)
	w.mu.Lock()
	defer w.mu.Unlock()
	said, log := w.said.String(), w.log.String()
	if len(log) < 100 || len(said) < 1000 {
		t.Fatalf("too little to search: %d and %d bytes", len(said), len(log))
	}
	for name, canary := range map[string]string{
		"password": goodWords, "new password": badWords, "seed": otp.FormatSeed(p.seed), "recovery code": p.codes[4], "code": `"` + spent + `"`,
		"access token": signedIn.text("access_token"), "refresh token": signedIn.text("refresh_token"), "hash": "$argon2", "session token": "sps_",
		"link": "spi_", "ephemeral": "spe_", "otpauth": "otpauth://",
	} {
		if strings.Contains(said, canary) {
			t.Errorf("an answer holds the %s", name)
		}
		if strings.Contains(log, canary) {
			t.Errorf("the log holds the %s", name)
		}
	}
}
