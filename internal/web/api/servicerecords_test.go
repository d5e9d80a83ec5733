package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/web/api"
)

// The seed leaves in the answer that made it, and never again; a name is one
// principal, person or program.
func TestServiceRecords(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.admin()
	v.send("PUT", "/realms/robots", map[string]any{}).want(200)
	a := v.send("POST", "/services", map[string]any{"realm": "Robots", "name": "Deploy", "digits": 8, "algorithm": "SHA256", "period": 60, "description": "puts things live"}).want(201)
	if a.text("realm") != "robots" || a.text("name") != "deploy" || len(a.fields) != 4 {
		t.Fatalf("%v", a)
	}
	label, seed, params, err := otp.ParseURI(a.text("otpauth_uri"))
	if err != nil || otp.FormatSeed(seed) != a.text("seed") || params != (otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}) || label.Account != "deploy@robots" {
		t.Errorf("%v %v %v", label, params, err)
	}
	v.send("POST", "/services", map[string]any{"realm": "robots", "name": "deploy"}).want(409, "exists")
	v.send("POST", "/users", map[string]any{"realm": "robots", "name": "DEPLOY"}).want(409, "exists")
	v.send("POST", "/users", map[string]any{"realm": "robots", "name": "person"}).want(201)
	v.send("POST", "/services", map[string]any{"realm": "robots", "name": "person"}).want(409, "exists")
	v.send("GET", "/users/robots/deploy", nil).want(404, "unknown_user")
	v.send("GET", "/services/robots/person", nil).want(404, "unknown_service")
	v.send("GET", "/services/robots/a%2Fb", nil).want(404, "unknown_service")
	// 80 bits and no padding come from elsewhere; less does not.
	v.send("POST", "/services", map[string]any{"realm": "robots", "name": "old", "seed": "JBSWY3DPEHPK3PXP"}).want(201)
	for _, seed := range []string{"JBSWY3DPEHPK3P", "MZXW6YTB", "01890189", strings.Repeat("A", 400)} {
		if got := v.send("POST", "/services", map[string]any{"realm": "robots", "name": "short", "seed": seed}).want(422, "invalid"); strings.Contains(got.body, seed) {
			t.Errorf("the refusal repeats the seed: %v", got)
		}
	}
	w.robot("old2@robots", "seed", "jbsw-y3dp ehpk3pxp")
	w.clock.Advance(time.Second)
	list := v.send("GET", "/services?realm=robots", nil).want(200)
	for _, canary := range []string{a.text("seed"), "JBSWY3DPEHPK3PXP"} {
		if strings.Contains(list.body, canary) || strings.Contains(w.log.String(), canary) {
			t.Error("a seed leaves once more")
		}
	}
	var page struct {
		Services []api.Service `json:"services"`
		Next     string        `json:"next_cursor"`
	}
	var names []string
	for cursor := ""; ; cursor = page.Next {
		page.Services, page.Next = nil, ""
		must(t, json.Unmarshal([]byte(v.send("GET", "/services?limit=1&cursor="+cursor, nil).want(200).body), &page))
		for _, s := range page.Services {
			names = append(names, s.Name)
		}
		if page.Next == "" {
			break
		}
	}
	if !slices.Equal(names, []string{"deploy", "old", "old2"}) {
		t.Errorf("by pages: %v", names)
	}
	if users := v.send("GET", "/users?realm=robots", nil).want(200); strings.Contains(users.body, `"deploy"`) || !strings.Contains(users.body, `"person"`) {
		t.Errorf("users: %v", users)
	}
	v.send("GET", "/services?cursor="+v.send("GET", "/users?limit=1", nil).want(200).fields["users"].([]any)[0].(map[string]any)["id"].(string), nil).want(400, "cursor")
	v.send("DELETE", "/realms/robots", nil).want(409, "not_empty")
	for _, name := range []string{"deploy", "old", "old2"} {
		v.send("DELETE", "/services/robots/"+name, nil).want(204)
	}
	v.send("DELETE", "/users/robots/person", nil).want(204)
	v.send("DELETE", "/realms/robots", nil).want(204)
}

// Attack (CVE-2022-46145): a service of one realm reaches beyond its grant:
// another realm, its own grant, the grant of those above it, or a principal by
// which it could act with more.
func TestS12ServicesStayWithinTheirGrant(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.admin().send("PUT", "/realms/staff", map[string]any{}).want(200)
	w.admin().send("PUT", "/realms/helpdesk", map[string]any{"capabilities": []any{map[string]any{"capability": "update", "realms": []string{"staff"}}}}).want(200)
	w.someone("anna@staff")
	w.robot("robo@staff")
	w.someone("bert@users")
	desk := w.robot("desk@helpdesk")
	do := func(method, path string, body any) *answer { return desk.visit().send(method, path, body) }
	do("PATCH", "/users/staff/anna", map[string]any{"full_name": "Anna B."}).want(200)
	do("PATCH", "/services/staff/robo", map[string]any{"description": "x"}).want(200)
	more := map[string]any{"capabilities": []any{map[string]any{"capability": "update"}}}
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/users", nil}, {"GET", "/users?realm=staff", nil}, {"GET", "/users/staff/anna", nil}, {"GET", "/services", nil}, {"GET", "/services/staff/robo", nil},
		{"POST", "/users", map[string]any{"realm": "staff", "name": "new"}}, {"POST", "/users", map[string]any{"realm": "helpdesk", "name": "new"}},
		{"POST", "/services", map[string]any{"realm": "staff", "name": "new"}}, {"POST", "/services", map[string]any{"realm": "admin", "name": "new"}},
		{"DELETE", "/users/staff/anna", nil}, {"DELETE", "/services/staff/robo", nil},
		{"PATCH", "/users/users/bert", map[string]any{"full_name": "x"}}, {"PATCH", "/users/staff/anna", map[string]any{"groups": []string{"ops"}}},
		{"PATCH", desk.path(), map[string]any{"description": "x"}}, {"POST", desk.path() + "/rotate", map[string]any{}},
		{"PUT", "/realms/helpdesk", more}, {"PUT", "/realms/staff", more}, {"PUT", "/realms/admin", more}, {"PUT", "/realms/new", map[string]any{}}, {"DELETE", "/realms/staff", nil},
		{"POST", "/verify", map[string]any{"name": "robo", "realm": "staff", "token": "1"}}, {"POST", "/users/staff/anna/verify", map[string]any{"code": "123456"}},
		{"GET", "/audit", nil}, {"GET", "/sessions", nil}, {"POST", "/setup-link", nil},
	} {
		do(c.method, c.path, c.body).want(403, "forbidden")
	}
	w.admin().send("PUT", "/realms/helpdesk", map[string]any{"capabilities": []any{map[string]any{"capability": "create"}, map[string]any{"capability": "list"}}}).want(200)
	do("POST", "/services", map[string]any{"realm": "admin", "name": "new"}).want(403, "forbidden")
	do("POST", "/users", map[string]any{"realm": "admin", "name": "new"}).want(403, "forbidden")
	do("POST", "/services", map[string]any{"realm": "auth", "name": "new"}).want(403, "forbidden")
	do("POST", "/services", map[string]any{"realm": "staff", "name": "new"}).want(201)
}

// A lost answer is fetched again by the same request, and makes no second seed; a
// rotation that somebody else's came before is refused.
func TestServicesKnowConditionsAndRepeats(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("boss@admin")
	again := func(path string, body any, key string) *answer {
		return r.visit().saying("Authorization", basic(r.name, r.token()), "Idempotency-Key", key).send("POST", path, body)
	}
	body := map[string]any{"realm": "users", "name": "deploy"}
	first := again("/services", body, "one").want(201)
	if second := again("/services", body, "one").want(201); second.body != first.body || second.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%v, then %v", first, second)
	}
	again("/services", map[string]any{"realm": "users", "name": "other"}, "one").want(422, "idempotency_mismatch")
	again("/services", body, "two").want(409, "exists")
	tag := first.header.Get("ETag")
	path := "/services/users/deploy"
	rotated := again(path+"/rotate", map[string]any{}, "three").want(200)
	if rotated.header.Get("ETag") == tag || again(path+"/rotate", map[string]any{}, "three").want(200).body != rotated.body {
		t.Error("a rotation was made twice")
	}
	late := w.admin().saying("If-Match", tag)
	late.send("POST", path+"/rotate", map[string]any{}).want(412, "version")
	late.send("PATCH", path, map[string]any{"disabled": true}).want(412, "version")
	late.send("DELETE", path, nil).want(412, "version")
	if now := w.admin().send("GET", path, nil).want(200); now.fields["disabled"] != false || now.header.Get("ETag") != rotated.header.Get("ETag") {
		t.Errorf("something was lost: %v", now)
	}
	w.admin().saying("If-Match", rotated.header.Get("ETag")).send("PATCH", path, map[string]any{"disabled": true}).want(200)
	w.admin().saying("If-Match", "*").send("DELETE", path, nil).want(204)
}

// Attack: a service of admin counts as an administrator, and the last person who
// could log in is removed.
func TestServicesAreNoAdministrators(t *testing.T) {
	w := newWorld(t, worldOptions{})
	root, boss := w.member("root@admin"), w.robot("boss@admin")
	boss.visit().send("DELETE", w.path(root), nil).want(409, "last_administrator")
	boss.visit().send("PATCH", w.path(root), map[string]any{"disabled": true}).want(409, "last_administrator")
	boss.visit().send("DELETE", w.path(root)+"/methods", nil).want(409, "last_administrator")
	w.member("ruth@admin")
	boss.visit().send("DELETE", w.path(root), nil).want(204)
}

// Attack: a service that may ask about everybody tries an administrator's codes.
func TestCodesOfTheMightyAreNotTried(t *testing.T) {
	w := newWorld(t, worldOptions{})
	root, alice, asks, boss := w.member("root@admin"), w.member("alice@users"), w.robot("asks@auth"), w.robot("boss@admin")
	try := func(r *robot, p *person) string {
		code := p.code()
		return r.visit().send("POST", w.path(p)+"/verify", map[string]any{"code": code}).want(200).text("status")
	}
	if got := try(asks, alice) + try(asks, root) + try(boss, root); got != "OKFAILOK" {
		t.Error(got)
	}
	if got := asks.ask("root@admin", root.code()) + boss.ask("root@admin", root.code()) + asks.ask("alice@users", alice.code()); got != "FAILFAILOK" {
		t.Error(got)
	}
}

// A client that sends its credential only when it is asked for learns that Basic is
// taken; a browser does not.
func TestCallsForProgramsOfferBasic(t *testing.T) {
	w := newWorld(t, worldOptions{})
	if got := w.stranger().send("GET", "/users", nil).want(401).header.Values("WWW-Authenticate"); len(got) != 1 || !strings.Contains(got[0], ", Basic ") {
		t.Errorf("offered %v", got)
	}
	if got := w.stranger().saying("Sec-Fetch-Site", "same-origin").send("GET", "/users", nil).want(401).header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != "Bearer" {
		t.Errorf("offered to a browser %v", got)
	}
	if got := w.stranger().send("GET", "/me", nil).want(401).header.Values("WWW-Authenticate"); len(got) != 1 {
		t.Errorf("offered to persons %v", got)
	}
}

// An application of compat.ungleich belongs to somebody and may be trusted: both can
// be said when it is made and changed later, and nobody else's record shows them.
func TestOwnerAndTrust(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.admin()
	v.send("PUT", "/realms/apps", map[string]any{}).want(200)
	v.send("POST", "/services", map[string]any{"realm": "apps", "name": "portal", "owner": " nico ", "trusted": true}).want(201)
	v.send("POST", "/services", map[string]any{"realm": "apps", "name": "plain"}).want(201)
	if got := v.send("GET", "/services/apps/portal", nil).want(200); got.text("owner") != "nico" || got.fields["trusted"] != true {
		t.Errorf("%v", got.fields)
	}
	got := v.send("PATCH", "/services/apps/portal", map[string]any{"owner": "sanghee", "trusted": false}).want(200)
	if got.text("owner") != "sanghee" || got.fields["trusted"] != nil {
		t.Errorf("%v", got.fields)
	}
	got = v.send("GET", "/services/apps/plain", nil).want(200)
	if got.fields["owner"] != nil || got.fields["trusted"] != nil {
		t.Errorf("%v", got.fields)
	}
	v.send("POST", "/services", map[string]any{"realm": "apps", "name": "bad", "owner": "a\nb"}).want(422, "invalid")
	v.send("PATCH", "/services/apps/plain", map[string]any{"owner": strings.Repeat("x", 129)}).want(422, "invalid")
}
