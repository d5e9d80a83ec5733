package guard_test

import (
	"net/netip"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
)

func robot(name, realm string, networks ...string) session.Live {
	who := &account.Identity{ID: principal.NewID(), Kind: principal.Service, Name: name, Realm: realm, Enabled: true}
	for _, n := range networks {
		who.AllowFrom = append(who.AllowFrom, netip.MustParsePrefix(n))
	}
	return session.Live{Identity: who}
}

// A rule names services one by one or a whole realm of them; a person of that
// realm is no service, and a service is nobody's user.
func TestRulesNameServicesAndRealmsOfThem(t *testing.T) {
	p := everybody()
	p.tokens["ours.deploy"], p.tokens["ours.build"], p.tokens["ours.alien"] = robot("deploy", "robots"), robot("build", "robots"), robot("deploy", "aliens")
	p.tokens["ours.person"] = person("deploy", "robots", two, 0)
	rules := []guard.Rule{
		{Hosts: []string{"one.example"}, Services: []string{"deploy@robots"}},
		{Hosts: []string{"all.example"}, Services: []string{"@Robots"}},
		{Hosts: []string{"people.example"}, Realms: []string{"robots"}},
	}
	for _, c := range []struct {
		host, token string
		want        guard.Outcome
	}{
		{"one.example", "deploy", guard.Allow}, {"one.example", "build", guard.Deny}, {"one.example", "alien", guard.Deny}, {"one.example", "person", guard.Deny},
		{"all.example", "deploy", guard.Allow}, {"all.example", "build", guard.Allow}, {"all.example", "alien", guard.Deny}, {"all.example", "person", guard.Deny},
		{"people.example", "deploy", guard.Deny}, {"people.example", "person", guard.Allow},
	} {
		g := make_(t, p, &robots{}, rules...)
		req := get(c.host, "/", "")
		req.Authorization = "Bearer ours." + c.token
		if d := g.Check(t.Context(), req); d.Outcome != c.want {
			t.Errorf("%s at %s: %v (%s)", c.token, c.host, d.Outcome, d.Reason)
		}
		if req.Authorization = basic("deploy@robots:123456"); c.host == "all.example" {
			if d := g.Check(t.Context(), req); d.Outcome != guard.Allow || d.Identity.Name != "deploy" {
				t.Errorf("by its token: %v (%s)", d.Outcome, d.Reason)
			}
		}
	}
	for _, bad := range []string{"@", "robots", "@a/b", "deploy@", "*@ro bots"} {
		if _, err := guard.Compile([]guard.Rule{{Services: []string{bad}}}, guard.CompileOptions{}); err == nil {
			t.Errorf("%q is no service", bad)
		}
	}
}

// An access token is no way around the networks that a service is bound to.
func TestAccessTokensKeepTheNetwork(t *testing.T) {
	p := everybody()
	p.tokens["ours.deploy"] = robot("deploy", "robots", "10.0.0.0/8")
	g := make_(t, p, &robots{}, guard.Rule{Services: []string{"@robots"}})
	for client, want := range map[string]guard.Outcome{"10.1.2.3": guard.Allow, "::ffff:10.1.2.3": guard.Allow, "192.0.2.1": guard.Challenge, "": guard.Challenge} {
		req := get("a.example", "/", "")
		req.Authorization = "Bearer ours.deploy"
		req.Client = netip.Addr{}
		if client != "" {
			req.Client = netip.MustParseAddr(client)
		}
		if d := g.Check(t.Context(), req); d.Outcome != want || d.BadProof != (want != guard.Allow) {
			t.Errorf("from %q: %v", client, d.Outcome)
		}
	}
}

// A stream outlives the token that opened it, not the service's right to it.
func TestGoesOn(t *testing.T) {
	p := everybody()
	g := make_(t, p, &robots{}, guard.Rule{Hosts: []string{"a.example"}, Services: []string{"@robots"}})
	req := get("a.example", "/", "")
	req.Client = netip.MustParseAddr("10.1.2.3")
	live := robot("deploy", "robots")
	if g.GoesOn(t.Context(), req, live) {
		t.Error("a service that is gone goes on")
	}
	p.cookies["service"] = live
	if !g.GoesOn(t.Context(), req, live) {
		t.Error("a living service is cut")
	}
	p.cookies["service"] = robot("deploy", "robots", "192.0.2.0/24")
	if g.GoesOn(t.Context(), req, live) {
		t.Error("a service that was bound to another network goes on")
	}
	p.cookies["service"] = robot("deploy", "aliens")
	if g.GoesOn(t.Context(), req, live) {
		t.Error("the rule does not admit it")
	}
	p.fail = errStore
	if !g.GoesOn(t.Context(), req, live) {
		t.Error("a store that fails for a moment cuts all streams")
	}
}
