package guard_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

var instant = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var errStore = errors.New("disk on fire")

// people is a Sessions of fixed cookies and tokens; it keeps the contract:
// ErrNone for what it does not know.
type people struct {
	cookies map[string]session.Live
	tokens  map[string]session.Live
	fail    error
	asked   []string
}

func (p *people) Live(_ context.Context, cookie string, _ time.Time) (session.Live, error) {
	p.asked = append(p.asked, "cookie "+cookie)
	return p.find(p.cookies, cookie)
}

// Again finds a service as its record is: under the cookie "service".
func (p *people) Again(ctx context.Context, _ session.Live) (session.Live, error) {
	return p.Live(ctx, "service", time.Time{})
}

func (p *people) VerifyAccess(_ context.Context, jwt string) (session.Live, error) {
	p.asked = append(p.asked, "token "+jwt)
	return p.find(p.tokens, jwt)
}

func (p *people) find(all map[string]session.Live, key string) (session.Live, error) {
	if p.fail != nil {
		return session.Live{}, p.fail
	}
	if l, ok := all[key]; ok {
		return l, nil
	}
	return session.Live{}, session.ErrNone
}

func person(name, realm string, amr session.AMR, factorAge time.Duration, groups ...string) session.Live {
	l := session.Live{
		ID:       "s-" + name,
		Identity: &account.Identity{ID: principal.NewID(), Kind: principal.User, Name: name, Realm: realm, Groups: groups, Enabled: true},
		Proof:    session.Proof{AMR: amr, PasswordAt: instant.Add(-time.Hour)},
	}
	if amr&^(session.PWD|session.Trusted) != 0 {
		l.Proof.FactorAt = instant.Add(-factorAge)
	}
	return l
}

const two = session.PWD | session.OTP

func everybody() *people {
	return &people{
		cookies: map[string]session.Live{
			"alice":   person("alice", "users", two, time.Minute, "dev"),
			"old":     person("old", "users", two, time.Hour, "ops"),
			"weak":    person("weak", "users", session.PWD, 0),
			"trusted": person("trusted", "users", session.PWD|session.Trusted, 0),
			"bob":     person("bob", "staff", two, time.Minute, "ops"),
			"root":    person("root", "admin", two, time.Minute),
			"lazy":    person("lazy", "admin", session.PWD|session.Trusted, 0),
		},
		tokens: map[string]session.Live{"ours.alice": person("alice", "users", two, time.Minute, "dev")},
	}
}

func make_(t testing.TB, p *people, programs guard.Programs, rules ...guard.Rule) *guard.Guard {
	t.Helper()
	compiled, err := guard.Compile(rules, guard.CompileOptions{Realms: []string{"users", "staff", "admin", "robots"}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(guard.Options{
		Rules: compiled, Sessions: p, Programs: programs, Clock: func() time.Time { return instant },
		OurToken: func(jwt string) bool { return strings.HasPrefix(jwt, "ours.") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func num(n int) *int { return &n }

func get(host, path, cookie string) *guard.Request {
	return &guard.Request{Method: "GET", Scheme: "https", Host: host, Path: path, Cookie: cookie, Client: netip.MustParseAddr("203.0.113.7")}
}

// Nobody configured anything, and everybody came in.
func TestZeroValuesDeny(t *testing.T) {
	var zero guard.Decision
	if zero.Outcome != guard.Deny || zero.Outcome.String() != "deny" {
		t.Fatalf("the zero decision is %v", zero.Outcome)
	}
	if d := new(guard.Guard).Check(t.Context(), get("a.example", "/", "alice")); d.Outcome != guard.Deny {
		t.Fatalf("the zero guard says %v", d.Outcome)
	}
	for _, rules := range [][]guard.Rule{nil, {{}}, {{Hosts: []string{"*"}}}, {{Factors: num(1)}}, {{Paths: []string{"/*"}, Factors: num(2)}}} {
		g := make_(t, everybody(), nil, rules...)
		for _, cookie := range []string{"", "alice", "root"} {
			if d := g.Check(t.Context(), get("a.example", "/", cookie)); d.Outcome != guard.Deny {
				t.Errorf("rules %+v let %q have %v", rules, cookie, d.Outcome)
			}
		}
	}
}

func TestWhoIsAdmitted(t *testing.T) {
	rules := []guard.Rule{
		{Hosts: []string{"two.example"}, Realms: []string{"users", "admin"}},
		{Hosts: []string{"one.example"}, Realms: []string{"users"}, Factors: num(1)},
		{Hosts: []string{"open.example"}, Factors: num(0)},
		{Hosts: []string{"ops.example"}, Realms: []string{"staff", "users"}, Groups: []string{"ops"}},
		{Hosts: []string{"named.example"}, Users: []string{"bob@staff"}},
		{Hosts: []string{"fresh.example"}, Realms: []string{"users"}, Groups: []string{"dev", "ops"}, Fresh: guard.Duration(15 * time.Minute)},
		{Hosts: []string{"mixed.example"}, Users: []string{"bob@staff"}, Groups: []string{"dev"}},
		{Hosts: []string{"closed.example"}, Deny: true},
		{Hosts: []string{"freshtrust.example"}, Realms: []string{"users"}, Fresh: guard.Duration(time.Hour)},
	}
	g := make_(t, everybody(), nil, rules...)
	for _, c := range []struct {
		host, cookie string
		want         guard.Outcome
		reason       string
		user         string
	}{
		{"two.example", "", guard.Challenge, guard.ReasonAnonymous, ""},
		{"two.example", "forged", guard.Challenge, guard.ReasonAnonymous, ""},
		{"two.example", "alice", guard.Allow, guard.ReasonAdmitted, "alice"},
		{"two.example", "weak", guard.Challenge, guard.ReasonFactors, "weak"},
		{"two.example", "trusted", guard.Allow, guard.ReasonAdmitted, "trusted"},
		{"two.example", "root", guard.Allow, guard.ReasonAdmitted, "root"},
		{"two.example", "lazy", guard.Challenge, guard.ReasonFactors, "lazy"}, // a trusted browser is nothing to an administrator
		{"two.example", "bob", guard.Deny, guard.ReasonNotAdmitted, "bob"},
		{"one.example", "weak", guard.Allow, guard.ReasonAdmitted, "weak"},
		{"open.example", "", guard.Allow, guard.ReasonPublic, ""},
		{"open.example", "forged", guard.Allow, guard.ReasonPublic, ""},
		{"open.example", "weak", guard.Allow, guard.ReasonPublic, "weak"},
		{"ops.example", "bob", guard.Allow, guard.ReasonAdmitted, "bob"},
		{"ops.example", "old", guard.Allow, guard.ReasonAdmitted, "old"},
		{"ops.example", "alice", guard.Deny, guard.ReasonNotAdmitted, "alice"},
		{"named.example", "bob", guard.Allow, guard.ReasonAdmitted, "bob"},
		{"named.example", "alice", guard.Deny, guard.ReasonNotAdmitted, "alice"},
		{"fresh.example", "alice", guard.Allow, guard.ReasonAdmitted, "alice"},
		{"fresh.example", "old", guard.Challenge, guard.ReasonFresh, "old"},
		{"freshtrust.example", "trusted", guard.Challenge, guard.ReasonFresh, "trusted"},
		{"mixed.example", "bob", guard.Allow, guard.ReasonAdmitted, "bob"},
		{"mixed.example", "alice", guard.Allow, guard.ReasonAdmitted, "alice"},
		{"mixed.example", "old", guard.Deny, guard.ReasonNotAdmitted, "old"},
		{"closed.example", "root", guard.Deny, guard.ReasonDenyRule, ""},
		{"elsewhere.example", "root", guard.Deny, guard.ReasonNoRule, ""},
	} {
		d := g.Check(t.Context(), get(c.host, "/", c.cookie))
		user := ""
		if d.Identity != nil {
			user = d.Identity.Name
		}
		if d.Outcome != c.want || d.Reason != c.reason || user != c.user {
			t.Errorf("%s as %q: %v (%s) user %q, want %v (%s) user %q", c.host, c.cookie, d.Outcome, d.Reason, user, c.want, c.reason, c.user)
		}
	}
}

// Remote-User has no realm for the first realm of the rule alone: an alice of
// another realm is not this alice.
func TestBareUser(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Hosts: []string{"a.example"}, Realms: []string{"users", "staff"}},
		guard.Rule{Hosts: []string{"b.example"}, Realms: []string{"staff", "users"}, UserHeader: guard.UserHeaderBare})
	for _, c := range []struct {
		host, cookie string
		bare         bool
	}{{"a.example", "alice", true}, {"a.example", "bob", false}, {"b.example", "alice", true}, {"b.example", "bob", true}} {
		if d := g.Check(t.Context(), get(c.host, "/", c.cookie)); d.Outcome != guard.Allow || d.BareUser != c.bare {
			t.Errorf("%s %s: %v bare=%v, want %v", c.host, c.cookie, d.Outcome, d.BareUser, c.bare)
		}
	}
}

// A query parameter on a check URL says factors=0, or names a realm that the
// rule does not admit: nothing gets looser.
func TestTightenNeverLoosens(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Hosts: []string{"a.example"}, Realms: []string{"users"}},
		guard.Rule{Hosts: []string{"open.example"}, Factors: num(0), Preflight: "pass"},
		guard.Rule{Hosts: []string{"f.example"}, Realms: []string{"users"}, Fresh: guard.Duration(10 * time.Minute)})
	for _, c := range []struct {
		host, cookie string
		tighten      guard.Demand
		want         guard.Outcome
	}{
		{"a.example", "weak", guard.Demand{Factors: 1}, guard.Challenge},
		{"a.example", "bob", guard.Demand{Realm: "staff"}, guard.Deny},
		{"a.example", "alice", guard.Demand{Realm: "staff"}, guard.Deny},
		{"a.example", "alice", guard.Demand{Groups: []string{"ops"}}, guard.Deny},
		{"a.example", "alice", guard.Demand{Groups: []string{"ops", "dev"}}, guard.Allow},
		{"a.example", "old", guard.Demand{Fresh: time.Minute}, guard.Challenge},
		{"f.example", "old", guard.Demand{Fresh: 2 * time.Hour}, guard.Challenge},
		{"open.example", "", guard.Demand{Factors: 1}, guard.Challenge},
		{"open.example", "", guard.Demand{Realm: "users"}, guard.Challenge},
		{"open.example", "weak", guard.Demand{Factors: 2}, guard.Challenge},
		{"open.example", "bob", guard.Demand{Realm: "users"}, guard.Deny},
		{"open.example", "trusted", guard.Demand{Fresh: time.Hour}, guard.Challenge},
	} {
		req := get(c.host, "/", c.cookie)
		req.Tighten = c.tighten
		if d := g.Check(t.Context(), req); d.Outcome != c.want {
			t.Errorf("%s as %q with %+v: %v (%s), want %v", c.host, c.cookie, c.tighten, d.Outcome, d.Reason, c.want)
		}
	}
	pre := get("open.example", "/", "")
	pre.Method, pre.Preflight, pre.Tighten = "OPTIONS", true, guard.Demand{Factors: 2}
	if d := g.Check(t.Context(), pre); d.Outcome != guard.Challenge {
		t.Errorf("a tightened preflight: %v", d.Outcome)
	}
}

func TestPreflight(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Hosts: []string{"pass.example"}, Realms: []string{"users"}, Preflight: "pass"},
		guard.Rule{Hosts: []string{"judge.example"}, Realms: []string{"users"}},
		guard.Rule{Hosts: []string{"deny.example"}, Deny: true, Preflight: "pass"})
	for _, c := range []struct {
		host, method string
		preflight    bool
		want         guard.Outcome
	}{
		{"pass.example", "OPTIONS", true, guard.Allow},
		{"pass.example", "OPTIONS", false, guard.Challenge},
		{"pass.example", "GET", true, guard.Challenge},
		{"judge.example", "OPTIONS", true, guard.Challenge},
		{"deny.example", "OPTIONS", true, guard.Deny},
	} {
		req := get(c.host, "/", "")
		req.Method, req.Preflight = c.method, c.preflight
		if d := g.Check(t.Context(), req); d.Outcome != c.want || d.Identity != nil {
			t.Errorf("%+v: %v", c, d.Outcome)
		}
	}
}

// robots is a Programs with one service.
type robots struct {
	err   error
	calls int
}

func (r *robots) Program(_ context.Context, ref principal.Ref, token string, _ netip.Addr) (*account.Identity, error) {
	r.calls++
	if r.err != nil {
		return nil, r.err
	}
	if ref != (principal.Ref{Name: "deploy", Realm: "robots"}) || token != "123456" {
		return nil, guard.ErrDenied
	}
	return &account.Identity{ID: principal.NewID(), Kind: principal.Service, Name: "deploy", Realm: "robots", Enabled: true}, nil
}

func basic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

// The order in which proofs count (security-model: "Proof of who is calling").
func TestProofOrder(t *testing.T) {
	rules := []guard.Rule{
		{Hosts: []string{"s.example"}, Realms: []string{"users"}, Services: []string{"deploy@robots"}},
		{Hosts: []string{"n.example"}, Realms: []string{"users"}},
		{Hosts: []string{"o.example"}, Factors: num(0), Services: []string{"deploy@robots"}},
	}
	for _, c := range []struct {
		name, host, cookie, authorization string
		cookieOnly                        bool
		want                              guard.Outcome
		user                              string
		judged, bad                       bool
	}{
		{"cookie wins and Authorization is not looked at", "s.example", "alice", basic("deploy@robots:000000"), false, guard.Allow, "alice", false, false},
		{"a bad cookie gives way", "s.example", "forged", basic("deploy@robots:123456"), false, guard.Allow, "deploy", true, false},
		{"our token", "n.example", "", "Bearer ours.alice", false, guard.Allow, "alice", true, false},
		{"our token, odd scheme case", "n.example", "", "bEARER ours.alice", false, guard.Allow, "alice", true, false},
		{"a bad token of ours", "n.example", "", "Bearer ours.mallory", false, guard.Challenge, "", true, true},
		{"a foreign token is no proof", "n.example", "", "Bearer theirs", false, guard.Challenge, "", false, false},
		{"a bad token on an open route", "o.example", "", "Bearer ours.mallory", false, guard.Allow, "", true, true},
		{"service", "s.example", "", basic("deploy@robots:123456"), false, guard.Allow, "deploy", true, false},
		{"service, wrong token", "s.example", "", basic("deploy@robots:000000"), false, guard.Challenge, "", true, true},
		{"a service that the rule does not name", "s.example", "", basic("other@robots:123456"), false, guard.Challenge, "", true, true},
		{"a person is refused like an unknown name", "s.example", "", basic("alice@users:password"), false, guard.Challenge, "", true, true},
		{"a realm that does not exist is the upstream's", "s.example", "", basic("deploy@nowhere:123456"), false, guard.Challenge, "", false, false},
		{"no realm is the upstream's", "s.example", "", basic("deploy:123456"), false, guard.Challenge, "", false, false},
		{"the text after the last @ is the realm", "s.example", "", basic("a@b@robots:123456"), false, guard.Challenge, "", true, true},
		{"a rule without services leaves Basic alone", "n.example", "", basic("deploy@robots:123456"), false, guard.Challenge, "", false, false},
		{"garbage", "s.example", "", "Basic !!!", false, guard.Challenge, "", false, false},
		{"cookie only", "s.example", "", basic("deploy@robots:123456"), true, guard.Challenge, "", false, false},
		{"cookie only, token", "n.example", "", "Bearer ours.alice", true, guard.Challenge, "", false, false},
		{"open route, service", "o.example", "", basic("deploy@robots:123456"), false, guard.Allow, "deploy", true, false},
		{"open route, wrong token", "o.example", "", basic("deploy@robots:1"), false, guard.Allow, "", true, true},
	} {
		g := make_(t, everybody(), &robots{}, rules...)
		req := get(c.host, "/", c.cookie)
		req.Authorization, req.CookieOnly = c.authorization, c.cookieOnly
		d := g.Check(t.Context(), req)
		user := ""
		if d.Identity != nil {
			user = d.Identity.Name
		}
		if d.Outcome != c.want || user != c.user || d.Judged != c.judged || d.BadProof != c.bad {
			t.Errorf("%s: %v user %q judged %v bad %v (%s)", c.name, d.Outcome, user, d.Judged, d.BadProof, d.Reason)
		}
		if user == "deploy" && d.BareUser {
			t.Errorf("%s: a service has a bare name", c.name)
		}
	}
}

// Without anybody to judge programs, their credentials are bad, not ignored.
func TestServicesWithoutPrograms(t *testing.T) {
	g := make_(t, everybody(), nil, guard.Rule{Services: []string{"deploy@robots"}})
	req := get("a.example", "/", "")
	req.Authorization = basic("deploy@robots:123456")
	if d := g.Check(t.Context(), req); d.Outcome != guard.Challenge || !d.BadProof || !d.Judged {
		t.Fatalf("%+v", d)
	}
}

// The store is down, and whoever comes is let in.
func TestFailuresAreClosed(t *testing.T) {
	rules := []guard.Rule{
		{Hosts: []string{"s.example"}, Realms: []string{"users"}, Services: []string{"deploy@robots"}},
		{Hosts: []string{"o.example"}, Factors: num(0), Services: []string{"deploy@robots"}},
	}
	for _, host := range []string{"s.example", "o.example"} {
		p := everybody()
		p.fail = errStore
		g := make_(t, p, &robots{err: errStore}, rules...)
		for _, req := range []*guard.Request{
			{Method: "GET", Host: host, Path: "/", Cookie: "alice"},
			{Method: "GET", Host: host, Path: "/", Authorization: "Bearer ours.alice"},
			{Method: "GET", Host: host, Path: "/", Authorization: basic("deploy@robots:123456")},
		} {
			if d := g.Check(t.Context(), req); d.Outcome != guard.Unavailable || d.Identity != nil || d.Err == nil {
				t.Errorf("%s %+v: %v", host, req, d.Outcome)
			}
		}
		g = make_(t, everybody(), &robots{err: &throttle.Throttled{RetryAfter: 7 * time.Second}}, rules...)
		if d := g.Check(t.Context(), &guard.Request{Method: "GET", Host: host, Path: "/", Authorization: basic("deploy@robots:1")}); host == "s.example" && (d.Outcome != guard.Throttled || d.RetryAfter != 7*time.Second) {
			t.Errorf("%s throttled: %v %v", host, d.Outcome, d.RetryAfter)
		}
	}
	compiled, err := guard.Compile(rules, guard.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(guard.Options{Rules: compiled, Sessions: everybody(), RealmExists: func(context.Context, string) (bool, error) { return false, errStore }})
	if err != nil {
		t.Fatal(err)
	}
	req := &guard.Request{Method: "GET", Host: "s.example", Path: "/", Authorization: basic("deploy@robots:1")}
	if d := g.Check(t.Context(), req); d.Outcome != guard.Unavailable {
		t.Errorf("unknown realms: %v", d.Outcome)
	}
	if !g.Ours(t.Context(), req.Authorization) {
		t.Error("a credential that may be ours would go to the upstream")
	}
}

// H10. Attack: a program's token, padded so that the guard does not look at it,
// beside the cookie of somebody who may pass: the upstream would read a
// credential that opens the gateway itself.
func TestH10PaddedCredentialIsOurs(t *testing.T) {
	g := make_(t, everybody(), nil, guard.Rule{Realms: []string{"users"}})
	token, own := strings.TrimPrefix(basic("deploy@robots:123456"), "Basic "), strings.TrimPrefix(basic("upstream:own"), "Basic ")
	for value, want := range map[string]bool{
		"Basic " + token: true, "bAsIc   " + token + " ": true, "Basic\t" + token: true, "Bearer\tours.alice": true,
		"Basic " + strings.Repeat(" ", 9000) + token:         true,
		"Basic " + token + strings.Repeat(" ", 9000):         true,
		"Bearer " + strings.Repeat(" ", 9000) + "ours.alice": true,
		"Basic " + own: false, "Bearer theirs": false, "Negotiate " + strings.Repeat("a", 9000): false,
		"": false, "Basic": false, "Basic ": false, token: false,
	} {
		if got := g.Ours(t.Context(), value); got != want {
			t.Errorf("%.40q of %d bytes is ours: %v", value, len(value), got)
		}
	}
}

// R11 (Authelia, Pomerium): somebody leaves a group and keeps coming in until
// a cache runs out. Check keeps nothing between two requests.
func TestR11GroupIsSeenAtOnce(t *testing.T) {
	p := everybody()
	g := make_(t, p, nil, guard.Rule{Realms: []string{"staff"}, Groups: []string{"ops"}})
	if d := g.Check(t.Context(), get("a.example", "/", "bob")); d.Outcome != guard.Allow {
		t.Fatalf("before: %v", d.Outcome)
	}
	p.cookies["bob"] = person("bob", "staff", two, time.Minute)
	if d := g.Check(t.Context(), get("a.example", "/", "bob")); d.Outcome != guard.Deny {
		t.Fatalf("after: %v", d.Outcome)
	}
}

// R12 (Oathkeeper, CVE-2026-33496): a decision for one rule was remembered and
// taken for another. Check remembers nothing: each order of questions gets the
// same answers, and each asks who is there.
func TestR12NoDecisionIsRemembered(t *testing.T) {
	p := everybody()
	g := make_(t, p, nil,
		guard.Rule{Hosts: []string{"one.example"}, Realms: []string{"users"}, Factors: num(1)},
		guard.Rule{Hosts: []string{"two.example"}, Realms: []string{"users"}},
		guard.Rule{Hosts: []string{"staff.example"}, Realms: []string{"staff"}})
	want := map[string]guard.Outcome{"one.example": guard.Allow, "two.example": guard.Challenge, "staff.example": guard.Deny}
	for _, order := range [][]string{{"one.example", "two.example", "staff.example"}, {"staff.example", "one.example", "two.example"}, {"two.example", "one.example", "one.example"}} {
		for _, host := range order {
			before := len(p.asked)
			if d := g.Check(t.Context(), get(host, "/", "weak")); d.Outcome != want[host] {
				t.Errorf("%v: %s %v", order, host, d.Outcome)
			}
			if len(p.asked) != before+1 {
				t.Errorf("%s: asked %d times who it is", host, len(p.asked)-before)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Name: "status", Hosts: []string{"status.example"}, Factors: num(0)},
		guard.Rule{Hosts: []string{"a.example"}, Paths: []string{"/admin/*"}, Realms: []string{"staff"}},
		guard.Rule{Name: "all", Hosts: []string{"*.example", "a.example"}, Realms: []string{"users"}})
	alice := everybody().cookies["alice"].Identity
	d, steps := g.Explain(get("a.example", "/x", ""), alice, 2)
	if d.Outcome != guard.Allow || d.Rule != 3 || d.RuleName != "all" || len(steps) != 3 || !steps[2].Matches || steps[1].Why != "another path" || steps[0].Why != "another host" {
		t.Fatalf("%+v %+v", d, steps)
	}
	if d, _ := g.Explain(get("a.example", "/x", ""), alice, 1); d.Outcome != guard.Challenge || d.Reason != guard.ReasonFactors {
		t.Errorf("one factor: %v %s", d.Outcome, d.Reason)
	}
	if d, _ := g.Explain(get("a.example", "/x", ""), nil, 0); d.Outcome != guard.Challenge {
		t.Errorf("anonymous: %v", d.Outcome)
	}
	if d, _ := g.Explain(get("a.example", "/admin/", ""), alice, 2); d.Outcome != guard.Deny || d.Rule != 2 {
		t.Errorf("admin: %+v", d)
	}
	if realm, factors, _ := g.Demand("a.example", "/admin/x", netip.Addr{}); realm != "staff" || factors != 2 {
		t.Errorf("demand: %s %d", realm, factors)
	}
	if _, factors, _ := g.Demand("unknown.test", "/", netip.Addr{}); factors != 2 {
		t.Errorf("a target that no rule admits asks %d factors", factors)
	}
}
