package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/api"
)

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// fill names nobody in a route's path.
func fill(path string) string {
	return parameter.ReplaceAllStringFunc(path, func(p string) string {
		switch p {
		case "{realm}":
			return "users"
		case "{method}":
			return "totp"
		}
		return "nobody"
	})
}

// Attack (CVE-2022-24797, CVE-2026-32246): somebody without a proof, or who
// passed the first door only, calls every route there is, in the hope that one
// forgot to ask. Here every route is called by everybody, and admits exactly
// whom the table says.
func TestS9M1EveryRouteAdmitsWhomItDeclares(t *testing.T) {
	w := newWorld(t, worldOptions{})
	alone, both, root := w.someone("olga@single"), w.member("bert@users"), w.member("root@admin")
	w.admin().send("PUT", "/realms/helpdesk", map[string]any{"capabilities": []any{map[string]any{"capability": "update", "realms": []string{"single"}}}}).want(200)
	plain, asks, desk, boss, dora := w.robot("plain@robots"), w.robot("asks@auth"), w.robot("desk@helpdesk"), w.robot("boss@admin"), w.member("dora@helpdesk")
	delegates := map[string]string{"service that may ask": "authenticate", "delegate service": "update single", "delegate person": "update single"}
	spe := both.halfway().text("ephemeral_token")
	levels := []struct {
		name   string
		admits map[api.Who]bool
		come   func() *visitor
	}{
		{"anonymous", who(api.Anyone), w.stranger},
		{"half logged in, token", who(api.Anyone), func() *visitor { return w.stranger().bearing(spe) }},
		{"half logged in, cookie", who(api.Anyone), func() *visitor {
			return w.stranger().carrying(&http.Cookie{Name: "__Host-sallyport_session", Value: spe}, &http.Cookie{Name: "__Host-sallyport_ephemeral", Value: spe}).saying("Origin", portal)
		}},
		{"one factor", who(api.Anyone, api.Owner, api.OwnerChange, api.OwnerOrEnrolling, api.OwnerOrCapable), alone.visit},
		{"two factors", who(api.Anyone, api.Owner, api.OwnerChange, api.OwnerOrEnrolling, api.OwnerOrCapable), both.visit},
		{"administrator", who(api.Anyone, api.Owner, api.OwnerChange, api.OwnerOrEnrolling, api.OwnerOrCapable, api.Capable), root.visit},
		{"service without capabilities", who(api.Anyone), plain.visit},
		{"service that may ask", who(api.Anyone, api.Capable), func() *visitor { return asks.visit() }},
		{"delegate service", who(api.Anyone, api.Capable), func() *visitor { return desk.visit() }},
		{"service of admin", who(api.Anyone, api.OwnerOrCapable, api.Capable), func() *visitor { return boss.visit() }},
		{"service's access token", who(api.Anyone, api.OwnerOrCapable, api.Capable), func() *visitor {
			return w.stranger().bearing(boss.access(boss.name, boss.token()).text("access_token"))
		}},
		{"delegate person", who(api.Anyone, api.Owner, api.OwnerChange, api.OwnerOrEnrolling, api.OwnerOrCapable, api.Capable), dora.visit},
		{"local", who(api.Anyone, api.OwnerOrCapable, api.Capable, api.LocalOnly), w.admin},
	}
	book, described := w.book(), 0
	for _, operations := range book.Paths {
		described += len(operations)
	}
	if described != len(w.api.Routes()) {
		t.Fatalf("%d routes, and %d are described", len(w.api.Routes()), described)
	}
	for _, route := range w.api.Routes() {
		if route.Who < api.Anyone || route.Who > api.LocalOnly {
			t.Errorf("%s %s declares nobody", route.Method, route.Path)
		}
		for _, level := range levels {
			body := book.good(route)
			a := level.come().send(route.Method, fill(route.Path), body)
			refused := a.code() == "unauthenticated" || a.code() == "forbidden"
			if route.Path == "/users/{realm}/{name}/totp/qr.png" && level.admits[api.Owner] && (!level.admits[api.Capable] || delegates[level.name] != "") {
				if !refused { // of somebody else
					t.Errorf("%s at %s %s: %v", level.name, route.Method, route.Path, a)
				}
				continue
			}
			if delegates[level.name] != "" && level.admits[route.Who] && route.Who == api.Capable {
				// What a delegate may is told by the call's transaction, over the realm
				// that it names: here never one of theirs, but for who may ask everybody.
				asking := delegates[level.name] == "authenticate" && strings.HasSuffix(route.Path, "/verify")
				if !asking && a.code() != "forbidden" || asking && (a.status != 200 || a.text("status") != "FAIL") {
					t.Errorf("%s at %s %s: %v", level.name, route.Method, route.Path, a)
				}
				continue
			}
			if level.admits[route.Who] == refused {
				t.Errorf("%s at %s %s (for %s): %v", level.name, route.Method, route.Path, route.Who, a)
			}
			if refused && a.status == http.StatusUnauthorized && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s: 401 without WWW-Authenticate", route.Method, route.Path)
			}
			if a.status >= 500 {
				t.Errorf("%s at %s %s: %v", level.name, route.Method, route.Path, a)
			}
		}
	}
}

// good is the smallest body that a call takes, of somebody in the realm users; nil:
// it takes none. Who is asked to prove themselves by the body is not: at the doors.
func (b *book) good(route api.Route) any {
	op := b.Paths[route.Path][strings.ToLower(route.Method)]
	switch {
	case op.RequestBody == nil && (route.Method == http.MethodGet || route.Method == http.MethodDelete):
		return nil
	case strings.HasSuffix(route.Path, "/confirm"), route.Path == "/users/{realm}/{name}/verify": // who it is counts before what the code is
		return map[string]any{"code": "000000"}
	case route.Who != api.Capable || op.RequestBody == nil:
		return map[string]any{}
	}
	body := b.least(op.RequestBody.Content["application/json"].Schema)
	if _, named := body["realm"]; named {
		body["realm"] = "users"
	}
	return body
}

func who(list ...api.Who) map[api.Who]bool {
	set := map[api.Who]bool{}
	for _, w := range list {
		set[w] = true
	}
	return set
}

// Every refusal has one form, names a code, and repeats nothing of what was
// sent: a default that echoes the body echoes passwords (S8).
func TestRefusalsHaveOneFormAndEchoNothing(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const canary = "CaNaRy7391"
	big := `{"name":"` + strings.Repeat("x", 70<<10) + `"}`
	for _, c := range []struct {
		name         string
		method, path string
		body         any
		header       []string
		status       int
		code         string
	}{
		{"unknown field", "POST", "/login", `{"name":"a","password":"` + canary + `","` + canary + `":1}`, nil, 422, "invalid"},
		{"other capitals", "POST", "/login", `{"Name":"a","password":"` + canary + `"}`, nil, 422, "invalid"},
		{"twice", "POST", "/login", `{"name":"a","name":"` + canary + `","password":"x"}`, nil, 422, "invalid"},
		{"wrong type", "POST", "/login", `{"name":"a","password":["` + canary + `"]}`, nil, 422, "invalid"},
		{"number", "POST", "/login", `{"name":7391,"password":"` + canary + `"}`, nil, 422, "invalid"},
		{"missing", "POST", "/login", `{"name":"` + canary + `"}`, nil, 422, "invalid"},
		{"both names", "POST", "/login", `{"name":"a","email":"b@example.com","password":"` + canary + `"}`, nil, 422, "invalid"},
		{"no name", "POST", "/login", `{"password":"` + canary + `"}`, nil, 422, "invalid"},
		{"not an object", "POST", "/login", `["` + canary + `"]`, nil, 422, "invalid"},
		{"null", "POST", "/login", `null`, nil, 422, "invalid"},
		{"too long", "POST", "/login", `{"name":"a","password":"` + strings.Repeat(canary, 200) + `"}`, nil, 422, "invalid"},
		{"syntax", "POST", "/login", `{"name":` + canary, nil, 400, "malformed"},
		{"trailing", "POST", "/login", `{"name":"a","password":"b"}` + canary, nil, 400, "malformed"},
		{"second document", "POST", "/login", `{"name":"a","password":"b"}{}`, nil, 400, "malformed"},
		{"empty", "POST", "/login", nil, []string{"Content-Type", "application/json"}, 400, "malformed"},
		{"too large", "POST", "/login", big, nil, 413, "too_large"},
		{"form", "POST", "/login", "name=" + canary, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "not_json"},
		{"plain", "POST", "/login", `{"name":"a","password":"b"}`, []string{"Content-Type", "text/plain"}, 415, "not_json"},
		{"no type", "POST", "/login", `{"name":"a","password":"b"}`, []string{"Content-Type", ""}, 415, "not_json"},
		{"charset", "POST", "/login", `{"name":"a","password":"b"}`, []string{"Content-Type", "application/json; charset=utf-16"}, 415, "not_json"},
		{"unknown path", "GET", "/" + canary, nil, nil, 404, "not_found"},
		{"prefix alone", "GET", "", nil, nil, 404, "not_found"},
		{"trailing slash", "POST", "/login/", `{}`, nil, 404, "not_found"},
		{"dots", "GET", "/users/../me", nil, nil, 404, "not_found"},
		{"slashes", "GET", "//me", nil, nil, 404, "not_found"},
		{"method", "GET", "/login", nil, nil, 405, "method_not_allowed"},
		{"options", "OPTIONS", "/me", nil, nil, 405, "method_not_allowed"},
		{"odd method", "PROPFIND", "/me", nil, nil, 405, "method_not_allowed"},
		{"no token", "GET", "/me", nil, nil, 401, "unauthenticated"},
		{"foreign token", "GET", "/me", nil, []string{"Authorization", "Bearer " + canary}, 401, "unauthenticated"},
		{"basic", "GET", "/me", nil, []string{"Authorization", "Basic " + canary}, 401, "unauthenticated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.stranger().saying(c.header...).send(c.method, c.path, c.body)
			if a.status != c.status || a.code() != c.code {
				t.Fatalf("answer %v, want %d %s", a, c.status, c.code)
			}
			if strings.Contains(a.body, canary) || strings.Contains(a.body, "7391") {
				t.Errorf("the answer repeats what was sent: %s", a.body)
			}
			if a.fields["status"] != float64(c.status) || a.text("title") == "" || a.text("detail") == "" {
				t.Errorf("not a whole problem: %s", a.body)
			}
			if c.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if a.header.Get("Link") != "" || strings.Contains(a.body, "$schema") {
				t.Errorf("the library's own additions: %v %s", a.header, a.body)
			}
		})
	}
	if strings.Contains(w.log.String(), canary) {
		t.Error("the log repeats what was sent")
	}
	allow := w.stranger().send("PUT", "/users/users/a", `{}`).want(405).header.Get("Allow")
	if allow != "GET, HEAD, PATCH, DELETE" {
		t.Errorf("Allow: %s", allow)
	}
	root := w.member("root@admin").visit()
	a := root.send("GET", "/users?"+canary+"=1", nil).want(422, "invalid")
	b := root.send("GET", "/users?limit="+canary, nil).want(422, "invalid")
	if strings.Contains(a.body+b.body, canary) {
		t.Errorf("a query is repeated: %v %v", a, b)
	}
	root.send("GET", "/users?limit=100000", nil).want(422, "invalid")
	d := root.send("POST", w.robot("deploy@robots").path()+"/rotate", map[string]any{"overlap": 3_000_000}).want(422, "invalid")
	if !strings.Contains(d.body, `"expected number <= 2592000"`) { // for people, not 2.592e+06
		t.Errorf("a bound that nobody reads: %v", d)
	}
	root.send("GET", "/users?cursor="+canary, nil).want(400, "cursor")
	root.send("GET", "/audit?cursor="+canary, nil).want(400, "cursor")
	c := root.send("POST", "/users", map[string]any{"realm": "users", "name": canary + " x"}).want(422, "invalid")
	if strings.Contains(c.body, canary) {
		t.Errorf("a bad name is repeated: %v", c)
	}
}

// The description is JSON, is complete, and needs no proof; the framework's own
// pages do not exist.
func TestDescription(t *testing.T) {
	w := newWorld(t, worldOptions{})
	get := func(method, path string) *answer {
		return w.serve(w.api, httptest.NewRequest(method, "https://auth.example.com"+path, nil))
	}
	a := get("GET", api.DescriptionPath).want(200)
	var doc struct {
		OpenAPI string                               `json:"openapi"`
		Servers []struct{ URL string }               `json:"servers"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}
	must(t, json.Unmarshal([]byte(a.body), &doc))
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || len(doc.Servers) != 1 || doc.Servers[0].URL != api.Prefix {
		t.Errorf("openapi %s, servers %v", doc.OpenAPI, doc.Servers)
	}
	ids := map[any]bool{}
	described := 0
	for _, route := range w.api.Routes() {
		op := doc.Paths[route.Path][strings.ToLower(route.Method)]
		if op == nil || op["summary"] == "" {
			t.Errorf("%s %s is not described", route.Method, route.Path)
			continue
		}
		if ids[op["operationId"]] {
			t.Errorf("operation id %v twice", op["operationId"])
		}
		ids[op["operationId"]] = true
		if _, secured := op["security"]; secured == (route.Who == api.Anyone) {
			t.Errorf("%s %s: security is described wrongly", route.Method, route.Path)
		}
	}
	for _, item := range doc.Paths {
		described += len(item)
	}
	if described != len(w.api.Routes()) {
		t.Errorf("%d operations described, %d exist", described, len(w.api.Routes()))
	}
	get("POST", api.DescriptionPath).want(405)
	for _, path := range []string{"/docs", "/schemas/User.json", "/openapi.json", "/openapi.yaml", api.Prefix + "/docs", api.Prefix + "/openapi.json", api.Prefix + "/schemas/User"} {
		get("GET", path).want(404)
	}
}

// Attack: two spellings of one name, of which a door folds one into the other. Where
// a realm keeps them apart, every call does.
func TestARealmMayKeepNamesExact(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.admin().send("PUT", "/realms/adjure", map[string]any{"names": "exact"}).want(200)
	for _, name := range []string{"Bob", "bob", "b o/b@example.com"} {
		w.admin().send("POST", "/users", map[string]any{"realm": "adjure", "name": name, "full_name": "I am " + name}).want(201)
	}
	for _, name := range []string{"Bob", "bob", "b o/b@example.com"} {
		if a := w.admin().send("GET", "/users/adjure/"+url.PathEscape(name), nil).want(200); !strings.Contains(a.String(), `"I am `+name+`"`) {
			t.Errorf("%q is %v", name, a)
		}
	}
	w.admin().send("DELETE", "/users/adjure/Bob", nil).want(204)
	w.admin().send("GET", "/users/adjure/bob", nil).want(200)
	w.admin().send("PUT", "/realms/adjure", map[string]any{"names": "precis"}).want(409, "not_empty")
}
