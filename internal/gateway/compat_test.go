package gateway_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// parrot is a facade that says what came to it.
type parrot struct {
	gate *compat.Gate
	call compat.Call
}

func (p parrot) Owns(path string) bool { return strings.HasPrefix(path, "/api/v1/") }

func (p parrot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, refused := p.gate.Admit(r, p.call)
	if refused != nil {
		w.WriteHeader(refused.Status)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"facade": true, "header": r.Header, "browser": client.Browser})
}

// talking is a gateway with a parrot where fastapi2fa will be.
func talking(t *testing.T, cfg gateway.Config, call compat.Call) *world {
	t.Helper()
	cfg.Compat.Fastapi2FA = &compat.Fastapi2FA{}
	w := open(t, cfg)
	w.gw.AddFacadeForTest("fastapi2fa", func(rooms compat.Rooms, common compat.Common) compat.Facade {
		return parrot{compat.NewGate(rooms, common), call}
	})
	return w
}

// A guarded application has an /api/v1 of its own (Grafana has): on its host the
// paths of a facade are its own, and on the portal's they are the facade's.
func TestFacadesAnswerOnThePortalsHostAlone(t *testing.T) {
	e := newEcho(t)
	cfg := centralConfig()
	cfg.Upstream = e.URL
	w := talking(t, cfg, compat.Call{})
	spoken := func(host, target string) bool {
		t.Helper()
		a := w.browser("https://"+host).ask("GET", target, "", http.Header{"Cookie": {"a=b"}})
		return strings.Contains(a.body, `"facade":true`)
	}
	if spoken("public.example.com", "/api/v1/users") || e.hits.Load() != 1 {
		t.Errorf("a guarded host's /api/v1 did not go to its application (%d requests did)", e.hits.Load())
	}
	for target, want := range map[string]bool{"/api/v1/users?x=/": true, "/api/%761/users": false, "//api/v1/users": false, "/x/../api/v1/users": false, "/API/v1/users": false} {
		if got := spoken(portalHost, target); got != want {
			t.Errorf("%s on the portal's host: the facade answers: %v", target, got)
		}
	}
	if spoken("127.0.0.1", "/api/v1/users") {
		t.Error("a gateway that passes requests on guards loopback hosts too")
	}
}

// A facade sees no cookie and no identity that a stranger wrote, and what it answers
// is stored nowhere.
func TestFacadesSeeNoCookiesAndNoIdentity(t *testing.T) {
	w := talking(t, centralConfig(), compat.Call{})
	a := w.browser("https://"+portalHost).ask("GET", "/api/v1/x", "", http.Header{
		"Cookie": {"__Host-sallyport_browser=canary"}, "Remote-User": {"canary"}, "X-Forwarded-User": {"canary"}, "Authorization": {"Bearer x"}})
	wantStatus(t, a, 200)
	if strings.Contains(a.body, "canary") || !strings.Contains(a.body, "Bearer x") {
		t.Errorf("the facade saw %s", a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Security-Policy") != "" {
		t.Errorf("headers %v", a.header)
	}
}

// Attack: a proxy on this host that says nothing of whom it forwards for, but one
// word that is identity and is taken away before a facade sees it. Without the rule
// its clients would be "from this host".
func TestForwardedRequestsAreNeverLoopback(t *testing.T) {
	w := talking(t, gateway.Config{}, compat.Call{Loopback: true, Open: true})
	b := w.browser("http://" + w.address())
	wantStatus(t, b.ask("GET", "/api/v1/x", "", nil), 200)
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-For", "Via", "X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "X-Remote-Ip"} {
		wantStatus(t, b.ask("GET", "/api/v1/x", "", http.Header{name: {"127.0.0.1"}}), 403)
	}
	if status := w.raw(t, "GET /api/v1/x HTTP/1.0\r\nHost: localhost\r\n\r\n"); status != 403 {
		t.Errorf("HTTP/1.0, as a proxy speaks that was told nothing: %d", status)
	}
	wantStatus(t, w.browser("http://rebound.example").ask("GET", "/api/v1/x", "", nil), 403)
}

// Where a portal stands and nothing is passed on, programs of this machine reach what
// is for them by a loopback host.
func TestFacadesAnswerOnLoopbackWhereNothingIsPassedOn(t *testing.T) {
	w := talking(t, centralConfig(), compat.Call{Loopback: true, Open: true})
	if status := w.raw(t, "GET http://localhost/api/v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); status != 404 {
		t.Errorf("a target that names a host: %d", status)
	}
	for host, want := range map[string]int{"127.0.0.1:9091": 200, "localhost": 200, "[::1]:80": 200, portalHost: 200, "app.example.com": 404, "10.0.0.1": 404} {
		wantStatus(t, w.browser("http://"+host).ask("GET", "/api/v1/x", "", nil), want)
	}
}

func TestCompatMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"compat: {flask: {}}\n", `gateway.yaml:1: unknown key "flask"`},
		{"compat:\n  ungleich:\n    realm: x\n", `gateway.yaml:3: unknown key "realm"`},
		{"compat:\n  trench:\n    dialect: 0.4\n", "gateway.yaml:3: dialect: expected 0.2 or 0.3"},
		{"compat:\n  trench:\n    dialect: [0.3]\n", "gateway.yaml:3: dialect: expected 0.2 or 0.3"},
		{"compat:\n  trench:\n    dialect: ''\n", "gateway.yaml:3: dialect: expected 0.2 or 0.3"},
		{"compat:\n  trench: {prefix: /auth/}\n", "gateway.yaml:2: prefix: expected a path"},
		{"compat:\n  trench: {prefix: auth}\n", "gateway.yaml:2: prefix: expected a path"},
		{"compat:\n  trench: {prefix: /a/../b}\n", "gateway.yaml:2: prefix: expected a path"},
		{"compat:\n  trench: {prefix: /Sallyport/x}\n", "gateway.yaml:2: prefix: expected a path"},
		{"compat:\n  trench: {prefix: /api/v1/x}\n", "gateway.yaml:2: prefix: expected a path"},
		{"compat:\n  trench: {prefix: /API}\n", "gateway.yaml:2: prefix: expected a path"},
		{"compat:\n  trench:\n    prefix: ''\n", "gateway.yaml:3: prefix: nothing stands here"},
		{"compat:\n  trench:\n    realm:\n", "gateway.yaml:3: realm: nothing stands here"},
		{"compat:\n  ungleich:\n    app_realm: \"\"\n", "gateway.yaml:3: app_realm: nothing stands here"},
		{"compat:\n  ungleich:\n    replay: ''\n", "gateway.yaml:3: replay: nothing stands here"},
		{"compat:\n  adjure:\n    require:\n", "gateway.yaml:3: require: nothing stands here"},
		{"compat:\n  adjure: {realm: 5}\n", "gateway.yaml:2: realm: expected a text"},
		{"compat:\n  adjure: {require: Gate@micro}\n", "gateway.yaml:2: require: a service has one spelling, in small letters: write gate@micro"},
		{"compat:\n  trench: {prefix: '/a%2fb'}\n", "gateway.yaml:2: prefix: expected a path"},
		{"compat:\n  trench: {prefix: /}\n", "gateway.yaml:2: prefix: expected a path"},
		{"compat:\n  adjure: {realm: users}\n", "gateway.yaml:2: realm: the realm users is for other doors too"},
		{"default_realm: people\ncompat:\n  trench: {realm: people}\n", "gateway.yaml:3: realm: the realm people is for other doors too"},
		{"compat:\n  ungleich: {app_realm: auth}\n", "gateway.yaml:2: app_realm: the realm auth is for other doors too"},
		{"compat:\n  ungleich: {admin_realm: users}\n", "gateway.yaml:2: admin_realm: the realm users is for other doors too"},
		{"compat:\n  ungleich: {admin_realm: admin, auth_realm: admin}\n", "gateway.yaml:2: auth_realm: compat.ungleich has the realm admin already"},
		{"compat:\n  adjure:\n  trench: {realm: adjure}\n", "gateway.yaml:3: realm: compat.adjure has the realm adjure already"},
		{"compat:\n  adjure: {realm: Old}\n", "gateway.yaml:2: realm: expected a realm's name in small letters"},
		{"compat:\n  adjure: {skew: 11}\n", "gateway.yaml:2: skew: expected 0 to 10 steps"},
		{"compat:\n  adjure: {skew: 2}\nrealms: {adjure: {skew: 1}}\n", "gateway.yaml:2: skew: realms says otherwise for adjure"},
		{"compat:\n  ungleich: {replay: deny}\nrealms: {ungleich-apps: {replay: allow}}\n", "gateway.yaml:2: replay: realms says otherwise for ungleich-apps"},
		{"compat:\n  trench: {replay: allow}\n", "gateway.yaml:2: replay: people's codes are good once"},
		{"compat:\n  ungleich: {replay: twice}\n", "gateway.yaml:2: replay: expected allow or deny"},
		{"compat:\n  adjure:\n    allow_from: [127.0.0.1,\n      anybody]\n", "gateway.yaml:4: allow_from: expected a network"},
		{"compat:\n  adjure: {allow_from: []}\n", "gateway.yaml:2: allow_from: nobody could call"},
		{"compat:\n  adjure: {require: billing}\n", "gateway.yaml:2: require: expected a service"},
		{"compat:\n  adjure: {require: x@micro}\n  ungleich: {app_realm: micro}\n", "gateway.yaml:2: require: services of micro are made by the administrators of compat.ungleich"},
		{"compat:\n  adjure: {require: ''}\n", "gateway.yaml:2: require: nothing stands here"},
		{"compat:\n  trench: {cors: ['*']}\n", "gateway.yaml:2: cors: expected an exact origin"},
		{"compat: {adjure: }\nrules:\n  - realms: [users]\n  - hosts: [a.example]\n    realms: [users, adjure]\n", "gateway.yaml:5: rule 2: realms: the realm adjure is compat.adjure's"},
		{"compat: {adjure: {realm: old}}\nrules:\n  - users: [alice@old]\n", "gateway.yaml:3: rule 1: users: the realm old is compat.adjure's"},
		{"compat: {adjure: }\nrules:\n  - services: ['@adjure']\n", "gateway.yaml:3: rule 1: services: the realm adjure is compat.adjure's"},
	} {
		_, err := gateway.Check(t.Context(), configFile(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.text, err, c.want)
		}
	}
}

// A Caddy whose routes bring their own rules is no way around that.
func TestARouteMayNotAdmitWhatAdjureDoesNotAuthenticate(t *testing.T) {
	cfg := centralConfig()
	cfg.Compat.Adjure = &compat.Adjure{}
	rules := []guard.Rule{{Realms: []string{"ADJURE"}}}
	if _, err := cfg.CheckRules(rules); err == nil {
		t.Error("CheckRules says nothing")
	}
	w := open(t, cfg, func(o *gateway.Options) { o.Routes = true })
	if _, err := w.gw.Route(gateway.RouteOptions{Rules: rules}); err == nil {
		t.Error("Route says nothing")
	}
	if _, err := w.gw.Route(gateway.RouteOptions{Rules: []guard.Rule{{Realms: []string{"users"}}}}); err != nil {
		t.Error(err)
	}
	cfg.Portal, cfg.CookieDomain = "", nil
	if err := cfg.Validate(true); err == nil || !strings.Contains(err.Error(), "set portal") {
		t.Errorf("facades without a portal: %v", err)
	}
}

// A variable that is set to nothing is no wish for an open door, and what YAML says
// with nothing behind the colon JSON says with null.
func TestCompatInJSON(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_EMPTY", "")
	cfg, err := gateway.Decode(gateway.Source{JSON: []byte(`{"compat": {"adjure": null, "trench": {"dialect": 0.2}}}`), Expand: true})
	if err != nil || cfg.Compat.Adjure == nil || cfg.Compat.Ungleich != nil || cfg.Compat.Trench.Dialect != compat.Dialect02 {
		t.Fatalf("%+v, %v", cfg.Compat, err)
	}
	for _, word := range []string{"require", "realm", "replay", "prefix"} {
		source := gateway.Source{JSON: []byte(`{"compat": {"trench": {"` + word + `": "{env.SALLYPORT_TEST_EMPTY}"}}}`), Expand: true}
		if _, err := gateway.Decode(source); err == nil || !strings.HasPrefix(err.Error(), word+": nothing stands here") {
			t.Errorf("an empty %s: %v", word, err)
		}
	}
}

func TestCompatDefaults(t *testing.T) {
	cfg, err := parse(t, "compat:\n  adjure:\n  ungleich: {}\n  fastapi2fa:\n  trench: {dialect: 0.2}\nrealms: {trench: {recovery_codes: {count: 3}, method_labels: {app: App}}}\n")
	if err != nil {
		t.Fatal(err)
	}
	words, err := gateway.CompatForTest(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if words.Adjure.Realm != "adjure" || words.Ungleich.AdminRealm != "ungleich-admin" || words.Ungleich.AuthRealm != "ungleich-auth" || words.Ungleich.AppRealm != "ungleich-apps" ||
		words.Ungleich.Replay != "allow" || words.Fastapi2FA.Realm != "fastapi2fa" || words.Trench.Prefix != "/auth" || words.Trench.Dialect != compat.Dialect02 {
		t.Errorf("%+v %+v %+v %+v", words.Adjure, words.Ungleich, words.Fastapi2FA, words.Trench)
	}
	w := open(t, cfg)
	realm := func(name string) (r account.Realm) {
		t.Helper()
		err := w.gw.StoreForTest().View(t.Context(), func(tx store.Tx) (err error) {
			r, err = w.gw.DirectoryForTest().Realm(tx, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := realm("adjure"); r.Names != account.NamesExact || r.Enrollment != account.EnrollOff || *r.Factors != 2 || r.OTP.Algorithm != "SHA256" || r.RecoveryCodes.Length != 32 || !r.RecoveryCodes.Plain || *r.Skew != 1 {
		t.Errorf("adjure: %+v", r.Settings)
	}
	for _, name := range []string{"ungleich-admin", "ungleich-auth", "ungleich-apps"} {
		if r := realm(name); r.Names != account.NamesExact || r.Replay != account.ReplayAllow || *r.Skew != 3 {
			t.Errorf("%s: %+v", name, r.Settings)
		}
	}
	if r := realm("fastapi2fa"); *r.Factors != 1 || r.Enrollment != account.EnrollOpen || r.RecoveryCodes.Alphabet != "0123456789" || *r.Skew != 2 {
		t.Errorf("fastapi2fa: %+v", r.Settings)
	}
	if r := realm("trench"); *r.Factors != 1 || *r.Skew != 1 || r.RecoveryCodes.Count != 3 || r.RecoveryCodes.Length != 12 || *r.ConfirmDisable || !*r.ConfirmRegenerate || r.MethodLabels["app"] != "App" {
		t.Errorf("trench: %+v", r.Settings)
	}
}

// The realms admin and auth belong to people's doors too: ungleich may use them, and
// does not soften them.
func TestReservedRealmsKeepTheirSettings(t *testing.T) {
	cfg, err := parse(t, "compat: {ungleich: {admin_realm: admin, auth_realm: auth, skew: 9}}\nrealms: {auth: {factors: 2}}\n")
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, cfg)
	for _, name := range []string{"admin", "auth"} {
		if got := w.must("GET", "/realms/"+name, nil); got["skew"] != 1.0 || got["replay"] != "deny" || got["names"] != "precis" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestCheckSaysWhatFacadesDo(t *testing.T) {
	const portal = "portal: https://auth.example.com\nrules: [{hosts: [auth.example.com], realms: [users]}]\n"
	for _, c := range []struct{ text, facade, warning string }{
		{"adjure: ", "compat.adjure answers /user/* and /healthcheck on https://auth.example.com, and on loopback hosts; it may be called from this machine alone; a user's seed is shown until its first good code", ""},
		{"adjure: {allow_from: [10.0.0.0/8], code_oracle: true}", "it may be called from 10.0.0.0/8; whoever calls it can read users' codes", "compat.adjure: everybody in the networks of allow_from can read the code of every user"},
		{"adjure: {allow_from: [127.0.0.0/7]}", "from 127.0.0.0/7", "compat.adjure: everybody in the networks of allow_from can make users"},
		{"adjure: {allow_from: [127.0.0.1, '::1', 127.1.0.0/16]}", "from 127.0.0.1 or ::1 or 127.1.0.0/16", ""},
		{"adjure: {allow_from: [10.0.0.0/8], require: billing@auth}", "from 10.0.0.0/8, always with the token of the service billing@auth", ""},
		{"adjure: {require: billing@robots}", "with the token of the service billing@robots", "compat.adjure: the realm robots of require is not configured here"},
		{"ungleich: {show_seeds: true}", "/ungleichotp/* on https://auth.example.com, and on loopback hosts; it may be called from this machine alone; seeds are shown to", ""},
		{"fastapi2fa: ", "/api/v1/* on https://auth.example.com, and on loopback hosts; it may be called from everywhere, but for signup, users and tasks, which are for this machine alone;", ""},
		{"fastapi2fa: {allow_from: [10.0.0.0/8, 127.0.0.1]}", "from 10.0.0.0/8 or 127.0.0.1, but for signup, users and tasks, which are for this machine alone;", ""},
		{"fastapi2fa: {allow_from: [10.0.0.0/8]}", "from 10.0.0.0/8, but for signup, users and tasks, which are for this machine alone, and allow_from leaves it out: nobody may call them;", ""},
		{"fastapi2fa: {signup: true}", "from everywhere, and anybody may sign up (signup);", ""},
		{"fastapi2fa: {signup: true, allow_from: [10.0.0.0/8]}", "from 10.0.0.0/8, and anybody there may sign up (signup);", ""},
		{"trench: {prefix: /mfa}", "/mfa/*, dialect 0.3 on https://auth.example.com, and on loopback hosts; it may be called from everywhere;", ""},
	} {
		report, err := gateway.Check(t.Context(), configFile(t, portal+"compat: {"+c.text+"}\n"))
		if err != nil {
			t.Error(c.text, err)
			continue
		}
		if len(report.Facades) != 1 || !strings.Contains(report.Facades[0], c.facade) {
			t.Errorf("%s: %q", c.text, report.Facades)
		}
		warned := slices.ContainsFunc(report.Warnings, func(w string) bool { return strings.HasPrefix(w, c.warning) })
		if c.warning == "" && len(report.Warnings) > 0 || !warned && c.warning != "" {
			t.Errorf("%s: warnings %q, want %q", c.text, report.Warnings, c.warning)
		}
	}
	report, err := gateway.Check(t.Context(), configFile(t, portal+"upstream: http://127.0.0.1:1\ntrusted_proxies: []\ncompat: {trench: }\n"))
	if err != nil || len(report.Facades) != 1 || !strings.Contains(report.Facades[0], "on https://auth.example.com; it may") {
		t.Errorf("with an upstream: %q, %v", report.Facades, err)
	}
	report, err = gateway.Check(t.Context(), configFile(t, portal+"compat: {trench: }\nrealms: {trench: {factors: 2}}\n"))
	if err != nil || len(report.Warnings) != 1 || !strings.HasPrefix(report.Warnings[0], "realm trench: factors must be 1") {
		t.Errorf("%q, %v", report.Warnings, err)
	}
}

// The manual's examples are what people paste.
func TestCompatExamplesOfTheManual(t *testing.T) {
	for _, c := range []struct {
		file, heading string
		facades       int
	}{
		{"configuration.md", "\n## `compat`\n", 2},
		{"compat.md", "\n## Configuration\n", 4},
	} {
		manual, err := os.ReadFile("../../docs/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(manual), c.heading)
		_, rest, found := strings.Cut(rest, "```yaml\n")
		text, _, _ := strings.Cut(rest, "```\n")
		report, err := gateway.Check(t.Context(), configFile(t, text))
		if err != nil || !found || len(report.Facades) != c.facades || len(report.Warnings) > 0 {
			t.Errorf("%s: %+v, %v", c.file, report, err)
		}
	}
}
