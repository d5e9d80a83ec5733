package guard_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/throttle"
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
	for _, bad := range []string{"@", "robots", "@a/b", "deploy@", "*@ro bots", "a:b@robots", "a%62@robots", "a+b@robots"} {
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
	goes := func() bool {
		on, err := g.GoesOn(t.Context(), req, live)
		if err != nil {
			t.Error(err)
		}
		return on
	}
	if goes() {
		t.Error("a service that is gone goes on")
	}
	p.cookies["service"] = live
	if !goes() {
		t.Error("a living service is cut")
	}
	p.cookies["service"] = robot("deploy", "robots", "192.0.2.0/24")
	if goes() {
		t.Error("a service that was bound to another network goes on")
	}
	p.cookies["service"] = robot("deploy", "aliens")
	if goes() {
		t.Error("the rule does not admit it")
	}
	p.fail = errStore
	if on, err := g.GoesOn(t.Context(), req, live); on || err == nil {
		t.Error("nobody knows, and it is said")
	}
}

// Attack: a credential of ours in a spelling that we do not read and a lenient
// upstream does goes on to it.
func TestOursReadsWhatUpstreamsMight(t *testing.T) {
	g := make_(t, everybody(), &robots{}, guard.Rule{Services: []string{"@robots"}})
	for text, want := range map[string]bool{
		"deploy@robots:123456": true, "a:b@robots:123456": true, "x@nowhere:y@robots:1": true, "deploy:x@robots": false, "deploy@nowhere:1": false, "deploy": false, ":": false, "deploy@ｒｏｂｏｔｓ:1": true, "deploy@ROBOTS:1": true,
		"\xfb\xff@robots:1": true,
	} {
		for name, e := range map[string]*base64.Encoding{"std": base64.StdEncoding, "raw": base64.RawStdEncoding, "url": base64.URLEncoding, "rawurl": base64.RawURLEncoding} {
			if got := g.Ours(t.Context(), "Basic "+e.EncodeToString([]byte(text))); got != want {
				t.Errorf("%q in %s: %v", text, name, got)
			}
		}
	}
}

// Attack (an oracle): who stands in a rule has to wait, who does not is refused at
// once.
func TestRulesDoNotTellWhomTheyName(t *testing.T) {
	r := &robots{err: &throttle.Throttled{RetryAfter: 9}}
	g := make_(t, everybody(), r, guard.Rule{Hosts: []string{"a.example"}, Services: []string{"deploy@robots"}}, guard.Rule{Hosts: []string{"open.example"}, Services: []string{"deploy@robots"}, Factors: num(0)})
	for _, name := range []string{"deploy", "other"} {
		for host, want := range map[string]guard.Outcome{"a.example": guard.Throttled, "open.example": guard.Allow} {
			req := get(host, "/", "")
			req.Authorization = basic(name + "@robots:123456")
			if d := g.Check(t.Context(), req); d.Outcome != want {
				t.Errorf("%s at %s: %v", name, host, d.Outcome)
			}
		}
	}
}

// Attack: one request makes thousands of look-ups.
func TestOursAsksFewQuestions(t *testing.T) {
	asked := 0
	rules, err := guard.Compile([]guard.Rule{{Services: []string{"@robots"}}}, guard.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(guard.Options{Rules: rules, Sessions: everybody(), RealmExists: func(context.Context, string) (bool, error) {
		asked++
		return false, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	many := ""
	for i := range 200 {
		many += fmt.Sprintf("@r%d:", i)
	}
	for text, want := range map[string]bool{strings.Repeat("@q:", 400): false, many: true, strings.Repeat("@q:", 1990): false, strings.Repeat(":", 1500): false,
		"AWS:" + strings.Repeat("eyJhbGciOiJIUzI1NiJ9.", 90): false} {
		asked = 0
		if got := g.Ours(t.Context(), "Basic "+base64.StdEncoding.EncodeToString([]byte(text))); got != want || asked > 4 {
			t.Errorf("%.20q…: %v after %d questions", text, got, asked)
		}
	}
}

// An operator who looks for the reason of a 401 finds it: the token was good, and the
// rule names others.
func TestRefusedProofsAreTold(t *testing.T) {
	p := everybody()
	p.tokens["ours.deploy"] = robot("deploy", "robots", "10.0.0.0/8")
	rules, err := guard.Compile([]guard.Rule{{Services: []string{"other@robots"}}}, guard.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	g, err := guard.New(guard.Options{Rules: rules, Sessions: p, Programs: &robots{}, OurToken: func(string) bool { return true },
		Refused: func(who *account.Identity, _ netip.Addr, cause string) { told = append(told, who.Name+" "+cause) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, authorization := range []string{basic("deploy@robots:123456"), "Bearer ours.deploy", basic("deploy@robots:000000")} {
		req := get("a.example", "/", "")
		req.Authorization = authorization
		if d := g.Check(t.Context(), req); d.Outcome != guard.Challenge || !d.BadProof || d.Identity != nil {
			t.Errorf("%s: %v", authorization, d.Outcome)
		}
	}
	if len(told) != 2 || told[0] != "deploy not_admitted" || told[1] != "deploy network" {
		t.Errorf("told: %v", told)
	}
}
