package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// scrape registers collectors in a new registry, as a shell does after a reload,
// and returns every series by name and labels: name{a="b"}.
func scrape(t testing.TB, collectors []prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if f.GetHelp() == "" || !strings.HasPrefix(f.GetName(), "sallyport_") {
			t.Errorf("%s: help %q", f.GetName(), f.GetHelp())
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			if h := m.GetHistogram(); h != nil {
				value = float64(h.GetSampleCount())
			}
			all[name] = value
		}
	}
	return all
}

// moved is what two scrapes differ in.
func moved(before, after map[string]float64) map[string]float64 {
	d := map[string]float64{}
	for name, value := range after {
		if value != before[name] && !strings.HasPrefix(name, "sallyport_store_seconds") {
			d[name] = value - before[name]
		}
	}
	return d
}

func wantMoved(t *testing.T, what string, before, after, want map[string]float64) {
	t.Helper()
	if got := moved(before, after); !maps.Equal(got, want) {
		t.Errorf("%s moved\n%v\nwant\n%v", what, got, want)
	}
}

func TestDecisionsAreCountedByRuleAndOutcome(t *testing.T) {
	w, _ := guarding(t, guard.Rule{Hosts: []string{"old.example.com"}, Deny: true}, guard.Rule{Hosts: []string{"ops.example.com"}, Paths: []string{"/a/*"}, Deny: true})
	begin := scrape(t, w.gw.Collectors())
	b := w.browser(w.here())
	for _, target := range []string{"public.example.com/x", "public.example.com/y", "old.example.com/", "ops.example.com/", "ops.example.com/x/..%2fa/"} {
		host, path, _ := strings.Cut(target, "/")
		b.host = host
		b.get("/" + path)
	}
	wantMoved(t, "requests to the proxy", begin, scrape(t, w.gw.Collectors()), map[string]float64{
		`sallyport_decisions_total{outcome="allow",rule="public"}`:     2,
		`sallyport_decisions_total{outcome="deny",rule="1"}`:           1,
		`sallyport_decisions_total{outcome="challenge",rule="ops"}`:    1,
		`sallyport_decisions_total{outcome="bad-request",rule="none"}`: 1,
	})

	c := central(t)
	begin = scrape(t, c.gw.Collectors())
	wantStatus(t, c.browser("https://"+appHost).authz("/x"), http.StatusFound, http.StatusSeeOther, http.StatusUnauthorized)
	wantStatus(t, c.browser("https://elsewhere.example").authz("/x"), http.StatusForbidden)
	wantMoved(t, "questions of a proxy", begin, scrape(t, c.gw.Collectors()), map[string]float64{
		`sallyport_decisions_total{outcome="challenge",rule="rest"}`: 1,
		`sallyport_decisions_total{outcome="deny",rule="none"}`:      1,
	})
}

// A route of another server has rules of its own: its first rule is not that of
// the configuration.
func TestDecisionsOfARouteAreThoseOfItsRules(t *testing.T) {
	w := open(t, gateway.Config{Rules: []guard.Rule{{Name: "for proxies", Deny: true}}}, func(o *gateway.Options) { o.Routes = true })
	begin := scrape(t, w.gw.Collectors())
	for _, rules := range [][]guard.Rule{{{Name: "open", Factors: number(0)}}, {{Deny: true}}, nil} {
		route, err := w.gw.Route(gateway.RouteOptions{Rules: rules})
		if err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		route.Guard(rec, httptest.NewRequest("GET", "/x", nil), func(http.ResponseWriter, *http.Request, *guard.Decision) {})
	}
	wantMoved(t, "routes", begin, scrape(t, w.gw.Collectors()), map[string]float64{
		`sallyport_decisions_total{outcome="allow",rule="open"}`:        1,
		`sallyport_decisions_total{outcome="deny",rule="1"}`:            1,
		`sallyport_decisions_total{outcome="challenge",rule="implied"}`: 1,
	})
}

func TestLoginsAreCountedByDoorAndOutcome(t *testing.T) {
	w := central(t)
	alice := w.user("alice", "users")
	begin := scrape(t, w.gw.Collectors())
	b := w.browser("https://" + portalHost)
	b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {"another heron stands here"}})
	next := b.firstDoor(alice, nil).header.Get("Location")
	b.post(next, url.Values{"code": {"000000"}})
	code := alice.code()
	wantStatus(t, b.post(next, url.Values{"code": {code}}), http.StatusSeeOther)
	program := w.browser("https://" + portalHost)
	token := program.api("POST", "/login", map[string]any{"name": "alice", "password": alice.password}).fields(t)["ephemeral_token"]
	program.api("POST", "/login/code", map[string]any{"ephemeral_token": token, "code": code})
	program.api("POST", "/login/code", map[string]any{"ephemeral_token": "spe_no_such_token", "code": code})
	program.api("POST", "/login/recovery-code", map[string]any{"ephemeral_token": token, "recovery_code": alice.recovery[0]})
	wantMoved(t, "logins", begin, scrape(t, w.gw.Collectors()), map[string]float64{
		`sallyport_logins_total{door="portal",outcome="wrong_password"}`:  1,
		`sallyport_logins_total{door="portal",outcome="wrong_code"}`:      1,
		`sallyport_logins_total{door="portal",outcome="ok"}`:              1,
		`sallyport_logins_total{door="api",outcome="replay"}`:             1,
		`sallyport_logins_total{door="api",outcome="dead_token"}`:         1,
		`sallyport_logins_total{door="api",outcome="ok"}`:                 1,
		`sallyport_events_total{kind="login",outcome="ok"}`:               2,
		`sallyport_events_total{kind="login.password",outcome="denied"}`:  1,
		`sallyport_events_total{kind="login.code",outcome="denied"}`:      3,
		`sallyport_events_total{kind="login.recovery_code",outcome="ok"}`: 1,
	})

	begin = scrape(t, w.gw.Collectors()) // at this browser, which alice has logged in with, five are free
	for range 6 {
		b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {"another heron stands here"}})
	}
	wantMoved(t, "wrong tries", begin, scrape(t, w.gw.Collectors()), map[string]float64{
		`sallyport_logins_total{door="portal",outcome="wrong_password"}`: 5,
		`sallyport_events_total{kind="login.password",outcome="denied"}`: 5,
		`sallyport_events_total{kind="throttled",outcome="denied"}`:      1,
		`sallyport_throttled_total{cause="principal",tried="password"}`:  1,
		`sallyport_sessions_indexed`:                                     1, // the browser came back with its cookie
	})

	app := b.at(appHost)
	wantStatus(t, app.authz("/x"), http.StatusOK)
	all := scrape(t, w.gw.Collectors())
	if all["sallyport_sessions_indexed"] == 0 || all["sallyport_hash_slots"] != 4 || all[`sallyport_build_info{version="test"}`] != 1 ||
		all[`sallyport_store_seconds{op="update"}`] < 10 || all[`sallyport_store_seconds{op="view"}`] < 1 {
		t.Errorf("sessions, slots, build or store: %v", all)
	}
}

// An alert is written from the manual.
func TestTheManualNamesEveryMetric(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, gateway.Config{})
	for name := range scrape(t, w.gw.Collectors()) {
		name, _, _ = strings.Cut(name, "{")
		if !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("docs/operating.md does not say what %s is", name)
		}
	}
	for label, values := range words() {
		for _, value := range values {
			if label != "kind" && label != "version" && !strings.Contains(string(manual), "`"+value+"`") {
				t.Errorf("docs/operating.md does not name %s=%q", label, value)
			}
		}
	}
}

// words are the label values that may be there: those of this version and those
// of the configuration of the tests below.
func words(rules ...string) map[string][]string {
	kinds := []string{"other", "login", "login.password", "login.code", "login.recovery_code", "login.code_sent", "login.step_up", "logout", "session.open", "session.revoke", "session.refresh",
		"user.create", "user.update", "user.delete", "user.disable", "user.enable", "password.change", "password.reset_link", "password.reset", "not_me", "register", "factor.add", "factor.remove", "factor.reset", "factor.primary",
		"factor.verify", "recovery_codes.new", "yubikey.add", "yubikey.remove", "secret.shown", "trusted_browser.add", "trusted_browser.remove", "realm.set", "realm.delete", "setup", "invite", "throttled", "guard", "keys", "outbox",
		"login_code", "email_code", "phone_code", "method_code", "reset", "invitation", "registration", "account_exists", "backup_tokens", "test", "signed_in", "password_changed",
		"factor_added", "factor_removed", "factor_primary", "recovery_codes_made", "recovery_code_used", "address_changed", "reset_used", "passkey_cloned", "enrolled_by_admin", "browser_trusted"}
	return map[string][]string{
		"rule": append(rules, "none"), "kind": kinds, "op": {"view", "update"}, "version": {"test"}, "door": {"portal", "api", "other"},
		"tried": {"password", "code", "recovery_code", "fresh", "password_change", "password_reset", "register", "other"}, "cause": {"principal", "network", "closed", "other"},
		"outcome": {"allow", "challenge", "deny", "bad-request", "method-not-allowed", "throttled", "unavailable", "ok", "denied", "failed", "other",
			"step_up", "wrong_password", "wrong_code", "replay", "dead_token", "not_enrolled", "queued", "sent", "dead", "expired", "superseded"},
	}
}

func wantWords(t *testing.T, collectors []prometheus.Collector, allowed map[string][]string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	for _, c := range collectors {
		registry.MustRegister(c)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(allowed[l.GetName()], l.GetValue()) {
					t.Errorf("%s has %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
}

// A stranger sends a new host, path, method, name or method of proof with each
// request. If any of them became the value of a label, each request would be a
// new series: the memory of the gateway, and of every Prometheus that scrapes it,
// would be the stranger's to fill, and names that were typed would stand in
// pages that nobody guards.
func TestNoStrangerChoosesALabel(t *testing.T) {
	w, _ := guarding(t)
	alice := w.user("alice", "users")
	for i := range 30 {
		hostile := fmt.Sprintf("evil%d", i)
		b := w.browser(w.here())
		b.host = hostile + ".example.com"
		b.ask("M"+strings.ToUpper(hostile), "/"+hostile, "", http.Header{"User-Agent": {hostile}, "X-Forwarded-Host": {hostile}, "Remote-User": {hostile}})
		b.forwardAuth("/sallyport/authz/forward-auth", hostile, "/"+hostile, nil)
		b = w.browser(w.here())
		b.post("/sallyport/login", url.Values{"username": {hostile + "@" + hostile}, "password": {hostile}, "door": {hostile}})
		b.api("POST", "/login", map[string]any{"name": hostile, "realm": hostile, "password": hostile})
		b.api("POST", "/login/code", map[string]any{"ephemeral_token": hostile, "code": hostile, "method": hostile})
		token := b.api("POST", "/login", map[string]any{"name": "alice", "password": alice.password}).fields(t)["ephemeral_token"]
		b.api("POST", "/login/code", map[string]any{"ephemeral_token": token, "code": "000000", "method": hostile})
		b.api("POST", "/login/recovery-code", map[string]any{"ephemeral_token": token, "recovery_code": hostile})
	}
	wantWords(t, w.gw.Collectors(), words("public", "ops", "rest"))
	for name := range scrape(t, w.gw.Collectors()) {
		if strings.Contains(strings.ToLower(name), "evil") || strings.Contains(name, "alice") {
			t.Errorf("a series is called %s", name)
		}
	}
}

// The same one floor below: whatever an event says, by a mistake of ours too, and
// whatever number a decision has.
func TestEventsAndDecisionsMakeNoLabels(t *testing.T) {
	var cfg gateway.Config
	o := gateway.Options{Version: "test"}
	place(t, &cfg, &o)
	so, err := cfg.StateOptions(o)
	if err != nil {
		t.Fatal(err)
	}
	state, err := gateway.OpenState(t.Context(), so)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	before := len(scrape(t, state.Collectors()))
	kinds := []audit.Kind{"", audit.KindLogin, audit.KindPassword, audit.KindCode, audit.KindRecovery, audit.KindStepUp, audit.KindThrottled, "alice@users", "a\xff\n"}
	for i := range 500 {
		evil := fmt.Sprintf("evil %d \xff\n{}", i)
		for _, kind := range kinds {
			for _, outcome := range []audit.Outcome{audit.OK, audit.Denied, audit.Failed, audit.Outcome(evil)} {
				for _, cause := range []string{evil, "replay", "dead_token"} {
					state.Audit.Note(audit.Event{Kind: kind, Outcome: outcome, Cause: cause, Method: evil, Name: evil, Actor: evil, Session: evil,
						Client: netip.MustParseAddr("198.51.100.7"), Detail: map[string]string{"door": evil, evil: evil}})
				}
			}
		}
		state.Audit.Note(audit.Event{Kind: audit.Kind(evil), Outcome: audit.Denied})
	}
	gw, err := gateway.OpenOn(t.Context(), cheap(gateway.Config{}), state, gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	count := gw.CounterForTest([]guard.Rule{{Name: "bad \xff name"}, {}})
	for _, rule := range []int{-1, 0, 1, 2, 3, 1 << 40} {
		for outcome := range 256 {
			count(&guard.Decision{Rule: rule, Outcome: guard.Outcome(outcome), RuleName: "evil", Reason: "evil"})
		}
	}
	wantWords(t, state.Collectors(), words("bad ? name", "2"))
	if after := len(scrape(t, state.Collectors())); after-before > 120 {
		t.Errorf("%d series became %d", before, after)
	}
}

// A reload builds a new gateway over the same state and gives its metrics to a new
// registry, while the old one still answers. A counter that began again at 0 would
// hide what happened from an alert on its increase, or would look like a restart.
func TestReloadsSetNoCounterBack(t *testing.T) {
	o := gateway.Options{Version: "test"}
	first := cheap(gateway.Config{Rules: []guard.Rule{{Name: "a", Factors: number(0)}}})
	place(t, &first, &o)
	first.Passwords.HashSlots = 1
	so, err := first.StateOptions(o)
	if err != nil {
		t.Fatal(err)
	}
	state, err := gateway.OpenState(t.Context(), so)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	build := func(cfg gateway.Config) *gateway.Gateway {
		gw, err := gateway.OpenOn(t.Context(), cfg, state, o)
		if err == nil {
			err = gw.Begin(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return gw
	}
	older := build(first)
	count := older.CounterForTest(first.Rules)
	count(&guard.Decision{Outcome: guard.Allow, Rule: 1})
	state.Audit.Note(audit.Event{Kind: audit.KindLogin, Outcome: audit.OK, Detail: map[string]string{"door": "api"}})
	overload(t, state)
	before := scrape(t, older.Collectors())
	if before["sallyport_hash_refused_total"] == 0 || before["sallyport_hash_slots"] != 1 {
		t.Fatalf("nobody was refused: %v", before)
	}

	second := first
	second.Passwords.HashSlots = 3
	second.Rules = []guard.Rule{{Name: "b", Factors: number(0)}, {Name: "a", Factors: number(0)}}
	newer := build(second)
	count(&guard.Decision{Outcome: guard.Allow, Rule: 1}) // an old request ends
	newer.CounterForTest(second.Rules)(&guard.Decision{Outcome: guard.Allow, Rule: 2})
	after := scrape(t, newer.Collectors())
	for name, value := range before {
		if after[name] < value {
			t.Errorf("%s fell from %v to %v", name, value, after[name])
		}
	}
	if got := after[`sallyport_decisions_total{outcome="allow",rule="a"}`]; got != 3 || after["sallyport_hash_slots"] != 3 {
		t.Errorf("%v decisions by rule a, %v slots", got, after["sallyport_hash_slots"])
	}
	if older := scrape(t, older.Collectors()); !maps.Equal(moved(after, older), map[string]float64{}) {
		t.Errorf("the old registry differs: %v", moved(after, older))
	}
}

// overload hashes until somebody finds no slot.
func overload(t *testing.T, state *gateway.State) {
	t.Helper()
	h := state.HasherForTest(secret.HasherOptions{Slots: 1, Queue: -1, Params: secret.HashParams{MemoryKiB: 4096, Time: 4, Threads: 1}})
	ctx, refused := context.WithCancel(t.Context())
	defer refused()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for ctx.Err() == nil {
				var busy *secret.Busy
				if err := h.Unknown(ctx, "x"); errors.As(err, &busy) {
					refused()
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkDecided is what counting adds to each request.
func BenchmarkDecided(b *testing.B) {
	gw, err := gateway.Open(b.Context(), cheap(gateway.Config{}), gateway.Options{StateDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer gw.Close()
	count := gw.CounterForTest(make([]guard.Rule, 20))
	d := &guard.Decision{Outcome: guard.Allow, Rule: 20}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			count(d)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				count(d)
			}
		})
	})
}

// The hot path has no room for garbage.
func TestCountingADecisionAllocatesNothing(t *testing.T) {
	w := open(t, gateway.Config{Rules: []guard.Rule{{Factors: number(0)}}})
	count := w.gw.CounterForTest(make([]guard.Rule, 3))
	d := &guard.Decision{Outcome: guard.Challenge, Rule: 2}
	if n := testing.AllocsPerRun(1000, func() { count(d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
