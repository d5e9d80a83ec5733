package ungleich_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/ungleich"
)

const (
	firstApp  = "7f3c0d2e-8f0b-4f0e-9a55-0d6a3b1c2d4e"
	secondApp = "0b9d6a51-55f5-4a4f-9a3f-6f0a4f7a1c11"
	thirdApp  = "c0ffee00-1111-4222-8333-444455556666"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// app is the own fields of an application, by either key.
func (s *service) app(key string) body {
	return body{"version": "1", key: s.name, "token": s.token()}
}

// registered reads an answer that made an application.
func (h *house) registered(b body, path string) (made map[string]string) {
	h.Helper()
	got := h.send("POST", path, b)
	h.Must(json.Unmarshal([]byte(got.Body), &made))
	if got.Status != 200 || made["status"] != "OK" {
		h.Fatalf("register: %d %s", got.Status, got.Body)
	}
	return made
}

// POST /verify of both documents: OK, or FAIL and nothing else.
func TestVerifyApp(t *testing.T) {
	h := newHouse(t, nil)
	trusted, plain := h.app(firstApp, "nico", true), h.app(secondApp, "nico", false)
	asker, root, sub := h.service("your-name", askers), h.service("root", admins), h.service("sub", others)
	odd := h.service("odd", others, func(n *account.NewService) { n.Trusted = true })
	a := func(s *service, key string, more ...any) func() body {
		return func() body {
			return s.app(key).and(key+"toverify", plain.name, "tokentoverify", plain.token()).and(more...)
		}
	}
	b := func(s *service, more ...any) func() body {
		return func() body {
			return s.early().and("version", "1", "verifyname", "sub", "verifyrealm", others, "verifytoken", sub.token()).and(more...)
		}
	}
	h.rows("POST", "/verify", []row{
		{"A: a trusted one asks", a(trusted, "appid"), 200, ok},
		{"B: a trusted one asks", a(trusted, "appuuid"), 200, ok},
		{"A: without a version", a(trusted, "appid", "version", nil), 200, ok},
		{"A: the version as a number", a(trusted, "appid", "version", 1), 200, ok},
		{"A: about itself", func() body {
			return a(trusted, "appid")().and("appidtoverify", trusted.name, "tokentoverify", trusted.token())
		}, 200, ok},
		{"A: about a service", func() body {
			return trusted.app("appid").and("verifyname", "sub", "verifyrealm", others, "verifytoken", sub.token())
		}, 200, ok},
		{"B: ungleich-auth asks", b(asker), 200, ok},
		{"B: ungleich-admin asks", b(root), 200, ok},
		{"B: about an application", func() body { return asker.early().and("appidtoverify", plain.name, "tokentoverify", plain.token()) }, 200, ok},
		{"B: a trusted application by its name", b(trusted), 200, ok},

		{"A: one that is not trusted", a(plain, "appid"), 200, failed},
		{"A: one that is not trusted, about itself", func() body { return a(plain, "appid")().and("appidtoverify", plain.name) }, 200, failed},
		{"B: another realm", b(sub), 200, failed},
		{"B: another realm, and trusted", b(odd), 200, failed},
		{"A: another version", a(trusted, "appid", "version", "2"), 200, failed},
		{"A: caller unknown", a(trusted, "appid", "appid", thirdApp), 200, failed},
		{"A: caller's token", a(trusted, "appid", "token", trusted.wrongToken()), 200, failed},
		{"A: no token", a(trusted, "appid", "token", nil), 200, failed},
		{"A: no caller", a(trusted, "appid", "appid", nil), 200, failed},
		{"A: two callers", a(trusted, "appid", "appuuid", plain.name), 200, failed},
		{"A: subject unknown", a(trusted, "appid", "appidtoverify", thirdApp), 200, failed},
		{"A: subject's token", a(trusted, "appid", "tokentoverify", plain.wrongToken()), 200, failed},
		{"A: no subject", func() body { return trusted.app("appid") }, 200, failed},
		{"A: no subject's token", a(trusted, "appid", "tokentoverify", nil), 200, failed},
		{"A: a list", a(trusted, "appid", "tokentoverify", []string{"1"}), 200, failed},
		{"B: subject unknown", b(asker, "verifyname", "nobody"), 200, failed},
		{"B: subject's token", b(asker, "verifytoken", sub.wrongToken()), 200, failed},
		{"nothing", func() body { return body{} }, 200, failed},
	})
}

// POST /register and /app/register, GET /app: who may make what, and who sees it.
func TestRegisterApps(t *testing.T) {
	h := newHouse(t, nil)
	trusted, plain, foreign := h.app(firstApp, "nico", true), h.app(secondApp, "nico", false), h.app(thirdApp, "sanghee", false)
	lone, root, asker := h.app("lone", "", false), h.service("root", admins), h.service("asker", askers)

	h.app("lone too", "", false)

	made := h.registered(plain.app("appid").and("username", "nico", "appname", "shop"), "/app/register")
	if !uuid.MatchString(made["appid"]) || !base32.MatchString(made["seed"]) || len(made) != 3 {
		t.Errorf("%v", made)
	}
	shop := &service{h: h, name: made["appid"], realm: appsIn, seed: made["seed"]}
	made = h.registered(trusted.app("appuuid").and("username", "sanghee", "appname", "wiki ü"), "/register")
	if !uuid.MatchString(made["appuuid"]) || len(made) != 3 {
		t.Errorf("%v", made)
	}
	wiki := made["appuuid"]
	if made = h.registered(root.early().and("version", "1", "username", "nobody", "appname", "x"), "/app/register"); !uuid.MatchString(made["appuuid"]) {
		t.Errorf("%v", made)
	}
	line := func(key, id, name string) string { return fmt.Sprintf(`{"name":%q,%q:%q}`, name, key, id) }
	list := func(lines ...string) string { return `{"status":"OK","apps":[` + strings.Join(lines, ",") + `]}` }
	nicos := func(key string) string {
		return list(line(key, firstApp, "app of nico"), line(key, secondApp, "app of nico"), line(key, shop.name, "shop"))
	}
	h.want("what was registered lists", h.send("GET", "/app", shop.app("appid")), 200, nicos("appid"))
	h.want("by the other key", h.send("GET", "/app", plain.app("appuuid")), 200, nicos("appuuid"))
	h.want("by a form", h.Do("GET", "/app", plain.app("appid").form(), formIs), 200, nicos("appid"))
	h.want("another user's", h.send("GET", "/app", foreign.app("appid")), 200, list(line("appid", thirdApp, "app of sanghee"), line("appid", wiki, "wiki ü")))
	h.want("nobody's sees itself", h.send("GET", "/app", lone.app("appid")), 200, list(line("appid", "lone", "app of")))
	if got := h.send("GET", "/app", root.early()); strings.Count(got.Body, "appuuid") != 8 {
		t.Errorf("an administrator: %s", got.Body)
	}
	fails := func(what string, b body, reason string) {
		t.Helper()
		for _, path := range []string{"/register", "/app/register"} {
			h.want(what, h.send("POST", path, b), 200, fmt.Sprintf(`{"status":"FAIL","error":%q}`, reason))
		}
	}
	own := "This application may register applications of its own user alone."
	fails("for another user", plain.app("appid").and("username", "sanghee", "appname", "x"), own)
	fails("in other letters", plain.app("appid").and("username", "Nico", "appname", "x"), own)
	fails("of nobody's", lone.app("appid").and("username", "nico", "appname", "x"), own)
	fails("no user", plain.app("appid").and("appname", "x"), "username: This field is required.")
	fails("no name", plain.app("appid").and("username", "nico"), "appname: This field is required.")
	fails("a blank name", plain.app("appid").and("username", "nico", "appname", " "), "appname: This field may not be blank.")
	fails("a long name", plain.app("appid").and("username", "nico", "appname", strings.Repeat("x", 257)), "appname: Ensure this field has no more than 256 bytes.")
	fails("control characters", plain.app("appid").and("username", "nico", "appname", "a\x1b[2J"), "appname: Control characters are not allowed.")
	fails("ungleich-auth", asker.early().and("username", "nico", "appname", "x"), "You may not do this.")
	fails("a wrong token", plain.app("appid").and("username", "nico", "appname", "x", "token", plain.wrongToken()), "The credentials are not good.")
	fails("an unknown application", plain.app("appid").and("appid", "nobody", "username", "nico", "appname", "x"), "The credentials are not good.")
	fails("the first one", body{"version": "1", "username": "nico", "appname": "x"}, "appid: This field is required.")
	fails("another version", plain.app("appid").and("version", "2", "username", "nico", "appname", "x"), "This version is not spoken here: version 1 is.")
	h.want("a name of 256 bytes", h.send("GET", "/app", asker.early()), 200, `{"status":"FAIL","error":"You may not do this."}`)
	h.registered(plain.app("appid").and("username", "nico", "appname", strings.Repeat("x", 256)), "/register")
}

// GET /app/{uuid}: with show_seeds the seed of the own user's applications, without
// it nothing. What is somebody else's is as what is not there.
func TestShowApp(t *testing.T) {
	const none = `{"status":"FAIL","error":"There is no such application."}`
	h := newHouse(t, func(o *ungleich.Options) { o.ShowSeeds = true })
	trusted, plain, foreign := h.app(firstApp, "nico", true), h.app(secondApp, "nico", false), h.app(thirdApp, "sanghee", true)
	root, asker := h.service("root", admins), h.service("asker", askers)
	seed := func(s *service) string { return fmt.Sprintf(`{"status":"OK","seed":%q}`, s.seed) }
	h.want("the own one", h.send("GET", "/app/"+plain.name, plain.app("appid")), 200, seed(plain))
	h.want("by the other key", h.send("GET", "/app/"+plain.name, trusted.app("appuuid")), 200, seed(plain))
	h.want("by an administrator", h.send("GET", "/app/"+foreign.name, root.early()), 200, seed(foreign))
	h.want("of another user", h.send("GET", "/app/"+foreign.name, trusted.app("appid")), 200, none)
	h.want("of nobody", h.send("GET", "/app/nobody", trusted.app("appid")), 200, none)
	h.want("what can be nobody", h.send("GET", "/app/"+strings.Repeat("x", 500)+"%00", trusted.app("appid")), 200, none)
	h.want("of a service elsewhere", h.send("GET", "/app/root", trusted.app("appid")), 200, none)
	// Attack: an application that nobody trusts takes the seed of one that is, and asks as it.
	h.want("of a trusted one", h.send("GET", "/app/"+trusted.name, plain.app("appid")), 200, none)
	h.want("ungleich-auth", h.send("GET", "/app/"+plain.name, asker.early()), 200, `{"status":"FAIL","error":"You may not do this."}`)
	if made := h.registered(plain.app("appid").and("username", "nico", "appname", "x"), "/register"); made["seed"] != "" {
		t.Errorf("the seed is shown by two calls: %v", made)
	}

	h = newHouse(t, nil)
	plain = h.app(secondApp, "nico", false)
	h.want("seeds are hidden", h.send("GET", "/app/"+plain.name, plain.app("appid")), 200,
		`{"status":"FAIL","error":"Seeds are shown once, when an application is registered."}`)
}

// The examples of the two documents, with the quotes that JSON needs and no comma at
// the end.
func TestTheDocuments(t *testing.T) {
	h := newHouse(t, func(o *ungleich.Options) { o.ShowSeeds = true })
	app, other := h.app("your-app-uuid", "user this app belongs to", true), h.app("appid that wants to be authenticated", "somebody", false)
	name, sub := h.service("your-name", askers), h.service("name that wants to be authenticated", admins)
	for _, key := range []string{"appid", "appuuid"} {
		self := fmt.Sprintf(`"version": "1", %q: "your-app-uuid", "token": %q`, key, app.token())
		h.want("verify", h.Do("POST", "/verify", fmt.Sprintf(`{%s, "appidtoverify": %q, "tokentoverify": %q}`, self, other.name, other.token()), jsonIs), 200, `{"status": "OK"}`)
		h.want("verify", h.Do("POST", "/verify", fmt.Sprintf(`{%s, "appidtoverify": %q, "tokentoverify": "000"}`, self, other.name), jsonIs), 200, `{"status": "FAIL"}`)
		got := h.Do("POST", "/app/register", fmt.Sprintf(`{%s, "username": "user this app belongs to", "appname": "name of your web app"}`, self), jsonIs)
		var made map[string]string
		h.Must(json.Unmarshal([]byte(got.Body), &made))
		if made["status"] != "OK" || made[key] == "" || len(made) != 2 {
			t.Errorf("register: %s", got.Body)
		}
		seed := h.Do("GET", "/app/"+made[key], fmt.Sprintf(`{%s}`, self), jsonIs)
		var shown map[string]string
		h.Must(json.Unmarshal([]byte(seed.Body), &shown))
		fresh := &service{h: h, name: made[key], realm: appsIn, seed: shown["seed"]}
		got = h.Do("GET", "/app", fresh.app(key).json(), jsonIs)
		if !strings.Contains(got.Body, fmt.Sprintf(`{"name":"name of your web app",%q:%q}`, key, made[key])) {
			t.Errorf("list: %s", got.Body)
		}
	}
	text := fmt.Sprintf(`{"version": "1", "name": "your-name", "realm": %q, "token": %q, "verifyname": "name that wants to be authenticated",
		"verifyrealm": %q, "verifytoken": %q}`, askers, name.token(), admins, sub.token())
	h.want("verify by name", h.Do("POST", "/verify", text, jsonIs), 200, `{"status": "OK"}`)
}

// The trust of an application is that of the moment.
func TestTrustIsTakenAway(t *testing.T) {
	h := newHouse(t, nil)
	app := h.app(firstApp, "nico", true)
	ask := func() string {
		return h.send("POST", "/verify", app.app("appid").and("appidtoverify", app.name, "tokentoverify", app.token())).Body
	}
	if got := ask(); got != ok {
		t.Fatal(got)
	}
	no := false
	h.Must(h.Store.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.Directory.UpdateService(tx, account.Local(), principal.Ref{Name: firstApp, Realm: appsIn}, account.ServiceChange{Trusted: &no})
		return err
	}))
	if got := ask(); got != failed {
		t.Errorf("it still asks: %s", got)
	}
}
