package gateway_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// remarked finds a remark of check.
func remarked(t *testing.T, text, want string) bool {
	t.Helper()
	report, err := gateway.Check(t.Context(), configFile(t, text))
	if err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return slices.ContainsFunc(report.Warnings, func(w string) bool { return strings.Contains(w, want) })
}

// A realm that anybody can join by himself is no realm to admit without a group.
func TestARuleThatAdmitsWhoeverSignsUpIsWarnedOf(t *testing.T) {
	for text, want := range map[string]bool{
		"compat: {fastapi2fa: {signup: true}}\nrules: [{realms: [FastAPI2fa], factors: 1}]\n":                  true,
		"compat: {fastapi2fa: {signup: true}}\nrules: [{realms: [fastapi2fa], groups: [staff], factors: 1}]\n": false,
		"compat: {fastapi2fa: {}}\nrules: [{realms: [fastapi2fa], factors: 1}]\n":                              false,
	} {
		if remarked(t, text, "anybody may sign up") != want {
			t.Errorf("%s: warned %v", text, !want)
		}
	}
}

// Attack: a rule names alice@fastapi2fa, and somebody else signs up as alice.
func TestARuleMayNotNameWhoeverSignsUp(t *testing.T) {
	const signup = "compat: {fastapi2fa: {signup: true, realm: shop}}\n"
	for text, want := range map[string]string{
		signup + "rules:\n  - realms: [users]\n  - users: [bob, alice@shop]\n":                        "gateway.yaml:4: rule 2: users: anybody may sign up in the realm shop",
		signup + "rules:\n  - {realms: [Shop, users], users: [alice], factors: 1}\n":                  "gateway.yaml:3: rule 1: users: anybody may sign up in the realm shop",
		signup + "rules:\n  - {realms: [users, shop], users: [alice], factors: 1}\n":                  "",
		"compat: {fastapi2fa: {realm: shop}}\nrules:\n  - {users: [alice@shop], factors: 1}\n":        "",
		"compat: {fastapi2fa: {signup: true}}\nrules:\n  - {users: [alice@fastapi2fa], factors: 1}\n": "gateway.yaml:3: rule 1: users: anybody may sign up in the realm fastapi2fa",
	} {
		_, err := gateway.Check(t.Context(), configFile(t, text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	cfg := centralConfig()
	cfg.Compat.Fastapi2FA = &compat.Fastapi2FA{Signup: true}
	rules := []guard.Rule{{Users: []string{"alice@fastapi2fa"}}}
	if _, err := cfg.CheckRules(rules); err == nil {
		t.Error("CheckRules says nothing")
	}
	w := open(t, cfg, func(o *gateway.Options) { o.Routes = true })
	if _, err := w.gw.Route(gateway.RouteOptions{Rules: rules}); err == nil {
		t.Error("Route says nothing")
	}
}

// Two factors of somebody are no more than one where whoever has the one makes the
// other, or takes it away.
func TestARuleThatDemandsASoftSecondFactorIsWarnedOf(t *testing.T) {
	const setUp, takeAway = "may set up the second factor", "may take away the second factor"
	for _, c := range []struct {
		text        string
		open, taken bool
	}{
		{"compat: {trench: }\nrules: [{realms: [users, TRENCH]}]\n", true, true},
		{"compat: {trench: }\nrules: [{users: [alice@trench]}]\n", true, true},
		{"compat: {trench: }\nrules: [{realms: [trench], factors: 1}]\n", false, false},
		{"compat: {trench: }\nrules: [{realms: [users]}]\n", false, false},
		{"compat: {trench: }\nrealms: {trench: {enrollment: invitation}}\nrules: [{realms: [trench]}]\n", false, true},
		{"compat: {trench: }\nrealms: {trench: {confirm_disable: true}}\nrules: [{realms: [trench]}]\n", true, false},
		{"compat: {trench: }\nrealms: {trench: {factors: 2}}\nrules: [{realms: [trench]}]\n", false, false},
		{"compat: {fastapi2fa: }\nrules: [{realms: [fastapi2fa]}]\n", true, false},
		{"realms: {staff: {factors: 1, enrollment: open}}\nrules: [{realms: [staff], factors: 2}]\n", true, false},
		{"realms: {users: {factors: 1, enrollment: open}}\nrules: [{groups: [staff]}]\n", true, false},
		{"realms: {users: {factors: 1, confirm_disable: false}}\nrules: [{realms: [users]}]\n", false, false},
	} {
		if remarked(t, c.text, setUp) != c.open || remarked(t, c.text, takeAway) != c.taken {
			t.Errorf("%s: want open %v, taken %v", c.text, c.open, c.taken)
		}
	}
	cfg := centralConfig()
	cfg.Compat.Trench = &compat.Trench{}
	remarks, err := cfg.CheckRules([]guard.Rule{{Realms: []string{"trench"}}})
	if err != nil || len(remarks) != 2 {
		t.Errorf("CheckRules: %q, %v", remarks, err)
	}
}

// What check adds where a facade does less than somebody may think.
func TestCheckSaysWhereFacadesFallShort(t *testing.T) {
	const portal = "portal: https://auth.example.com\n"
	for _, c := range []struct {
		text, want string
		said       bool
	}{
		{"compat: {adjure: {allow_from: [10.0.0.0/8], require: shop@auth}}\n", "compat.adjure: there is no portal, so what authenticates nobody", true},
		{"compat: {adjure: {allow_from: [127.0.0.1]}}\n", "so what authenticates nobody", false},
		{portal + "compat: {adjure: {allow_from: [10.0.0.0/8], require: shop@auth}}\n", "so what authenticates nobody", false},
		{"compat: {fastapi2fa: {signup: true}}\n", "compat.fastapi2fa: there is no portal, so what authenticates nobody", true},
		{"compat: {fastapi2fa: {allow_from: [10.0.0.0/8]}}\n", "so what authenticates nobody", false},
		{"compat: {ungleich: {allow_from: [10.0.0.0/8]}}\n", "so what authenticates nobody", false},
		{"compat: {trench: }\nrealms: {trench: {session: {idle: 23h}}}\n", "realm trench: session.idle is below 24h: refresh tokens of compat.trench", true},
		{"compat: {fastapi2fa: }\nrealms: {fastapi2fa: {session: {absolute: 100h}}}\n", "realm fastapi2fa: session.idle is below 24h", true},
		{"compat: {trench: , fastapi2fa: }\nrealms: {trench: {factors: 1}}\n", "session.idle is below 24h", false},
		{"compat: {fastapi2fa: }\nrealms: {fastapi2fa: {enrollment: off}}\n", "so enable_tfa of compat.fastapi2fa refuses everybody", true},
		{"compat: {trench: , fastapi2fa: }\nrealms: {trench: {enrollment: off}}\n", "enable_tfa", false},
	} {
		if remarked(t, c.text, c.want) != c.said {
			t.Errorf("%s: says %q: %v", c.text, c.want, !c.said)
		}
	}
}

// Administrators of ungleich-otp manage services of its own realms, whatever rules
// admit them: check says what that reaches, and nothing of other realms.
func TestCheckSaysWhatUngleichReaches(t *testing.T) {
	const said = "services of the realm boss can make and delete services of the realm ungleich-apps through compat.ungleich"
	for text, want := range map[string]bool{
		"compat: {ungleich: {admin_realm: boss}}\nrules: [{services: [\"@robots\", \"@Ungleich-Apps\"]}]\nrealms: {robots: {}}\n": true,
		"compat: {ungleich: {admin_realm: boss}}\nrules: [{services: [x@ungleich-apps]}]\n":                                       true,
		"compat: {ungleich: {admin_realm: boss}}\nrules: [{services: [\"@robots\"]}]\nrealms: {robots: {}}\n":                     false,
		"rules: [{services: [\"@ungleich-apps\"]}]\n":                                                                             false,
	} {
		if got := remarked(t, text, "through compat.ungleich"); got != want || got && !remarked(t, text, said) {
			t.Errorf("%s: said %v", text, got)
		}
	}
}

// Attack: an administrator of ungleich-otp makes a service of a realm whose services a
// rule lets in, one of the configuration's or one of a route.
func TestUngleichMakesNobodyWhomARuleLetsIn(t *testing.T) {
	admits := []guard.Rule{{Hosts: []string{"app.example.com"}, Services: []string{"@Robots"}}}
	add := func(w *world, boss *robot, name string) *answer {
		w.t.Helper()
		w.pass(30 * time.Second)
		text, err := json.Marshal(map[string]string{"auth_name": "boss", "auth_realm": "ungleich-admin", "auth_token": boss.token(), "name": name, "realm": "robots"})
		if err != nil {
			w.t.Fatal(err)
		}
		return w.browser("http://localhost").ask("POST", "/ungleichotp/", string(text), http.Header{"Content-Type": {"application/json"}})
	}
	config := func(rules ...guard.Rule) gateway.Config {
		cfg := centralConfig(rules...)
		cfg.Compat.Ungleich = &compat.Ungleich{}
		cfg.Realms = map[string]gateway.Realm{"robots": {}}
		return cfg
	}
	w := open(t, config(admits...))
	wantStatus(t, add(w, w.robot("boss@ungleich-admin"), "evil"), 403)

	w = open(t, config(), func(o *gateway.Options) { o.Routes = true })
	boss := w.robot("boss@ungleich-admin")
	wantStatus(t, add(w, boss, "early"), 201)
	if _, err := w.gw.Route(gateway.RouteOptions{Rules: admits}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, add(w, boss, "evil"), 403)
	if w.local("GET", "/services/robots/evil", nil).status != 404 {
		t.Error("evil@robots was made")
	}

	// A facade that takes robots at their word, and one whose people they would be.
	for name, change := range map[string]func(*compat.Config){
		"required": func(c *compat.Config) { c.Adjure = &compat.Adjure{Access: compat.Access{Require: "x@robots"}} },
		"people":   func(c *compat.Config) { c.Trench = &compat.Trench{Realm: "robots"} },
	} {
		cfg := config()
		change(&cfg.Compat)
		w := open(t, cfg)
		if a := add(w, w.robot("boss@ungleich-admin"), "evil"); a.status != 403 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// Natively a question about a key of ungleich's is answered no, whoever asks: its
// administrators', its verifiers' and its trusted applications'. Other applications are
// services like any other.
func TestKeysOfUngleichAreNotTriedNatively(t *testing.T) {
	cfg := centralConfig()
	cfg.Compat.Ungleich = &compat.Ungleich{}
	w := open(t, cfg)
	for name, want := range map[string]string{"boss@ungleich-admin": "FAIL", "asker@ungleich-auth": "FAIL", "trusted@ungleich-apps": "FAIL", "shop@ungleich-apps": "OK"} {
		r := w.robot(name)
		short, realm, _ := strings.Cut(name, "@")
		if short == "trusted" {
			wantStatus(t, w.local("PATCH", "/services/"+realm+"/"+short, map[string]any{"trusted": true}), 200)
		}
		a := w.local("POST", "/verify", map[string]any{"name": short, "realm": realm, "token": r.token()})
		if a.status != 200 || !strings.Contains(a.body, `"`+want+`"`) {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, want)
		}
	}
}
