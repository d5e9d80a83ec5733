package gateway_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

const servicesConfig = `portal: https://auth.example.com
cookie_domain: example.com
realms: {robots: {}}
rules:
  - {hosts: [app.example.com], realms: [users], services: [deploy@robots, "@auth"]}
  - {hosts: [people.example.com], realms: [users, robots]}
  - {hosts: [open.example.com], factors: 0}
  - {hosts: [bots.example.com], services: ["@robots", "@auth"]}
`

func TestCheckSaysWhichServicesARuleAdmits(t *testing.T) {
	report, err := gateway.Check(t.Context(), configFile(t, servicesConfig))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{
		0: "service deploy@robots; and all services of realm auth",
		3: "bots.example.com: all services of realm robots or auth",
	} {
		if got := report.Rules[i].Text; !strings.HasSuffix(got, want) {
			t.Errorf("rule %d: %s, want …%s", i+1, got, want)
		}
	}
	if len(report.Warnings) > 0 {
		t.Errorf("warnings %q", report.Warnings)
	}
}

func TestCheckHintsAtServicesOfARealmThatNobodyMade(t *testing.T) {
	report, err := gateway.Check(t.Context(), configFile(t, "portal: https://auth.example.com\nrules: [{hosts: [auth.example.com], services: [a@rebots, b@rebots, \"@rebots\", \"@auth\"]}]"))
	if err != nil {
		t.Fatal(err)
	}
	about := slices.DeleteFunc(report.Warnings, func(w string) bool { return !strings.Contains(w, "rebots") })
	if len(about) != 1 || !strings.HasPrefix(about[0], "rule 1: the realm rebots of services is not configured here") {
		t.Errorf("warnings %q", report.Warnings)
	}
	// YAML keeps @ for itself.
	if _, err := gateway.Check(t.Context(), configFile(t, "rules:\n  - {services: [@robots]}\n")); err == nil || !strings.Contains(err.Error(), "begin with *, @ or { have quotes") {
		t.Errorf("without quotes: %v", err)
	}
	for _, wrong := range []string{"deploy", "@", "a@b@c", "@a.b"} {
		if _, err := gateway.Check(t.Context(), configFile(t, "rules:\n  - {services: ['"+wrong+"']}\n")); err == nil || !strings.Contains(err.Error(), "gateway.yaml:2") || !strings.Contains(err.Error(), "or @realm for all services of a realm") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestExplainKnowsServices(t *testing.T) {
	g := configFile(t, servicesConfig)
	for _, c := range []struct {
		name             string
		q                command.Question
		decision, reason string
	}{
		{"named", command.Question{URL: "https://app.example.com/", As: "deploy@robots"}, "allow", "admitted"},
		{"by the realm", command.Question{URL: "https://app.example.com/", As: "checker@auth"}, "allow", "admitted"},
		{"another", command.Question{URL: "https://app.example.com/", As: "other@robots"}, "deny", "the rule admits service deploy@robots, and all services of realm auth, and no other service"},
		{"none", command.Question{URL: "https://people.example.com/", As: "deploy@robots"}, "deny", "the rule admits no service"},
		{"no rule", command.Question{URL: "https://else.example.com/", As: "deploy@robots"}, "deny", "no rule matches"},
		{"open", command.Question{URL: "https://open.example.com/", As: "other@robots"}, "allow", "the rule asks for no proof"},
		{"disabled", command.Question{URL: "https://app.example.com/", As: "deploy@robots", Disabled: true}, "challenge", "the service is disabled"},
		{"disabled, and open", command.Question{URL: "https://open.example.com/", As: "deploy@robots", Disabled: true}, "allow", "the rule asks for no proof (the service is disabled"},
		{"for others to ask", command.Question{URL: "https://app.example.com/", As: "deploy@robots", SubjectOnly: true}, "challenge", "for `verify` alone"},
		{"bound", command.Question{URL: "https://app.example.com/", As: "deploy@robots", AllowFrom: []string{"10.0.0.0/8"}}, "allow", "admitted, from 10.0.0.0/8 alone (see --client)"},
		{"from there", command.Question{URL: "https://app.example.com/", As: "deploy@robots", AllowFrom: []string{"10.0.0.0/8"}, Client: "10.1.2.3"}, "allow", "admitted"},
		{"from elsewhere", command.Question{URL: "https://app.example.com/", As: "deploy@robots", AllowFrom: []string{"10.0.0.0/8"}, Client: "192.0.2.1"}, "challenge", "may call from 10.0.0.0/8 alone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.Method, c.q.Service = "GET", true
			e, err := gateway.Explain(t.Context(), g, c.q)
			if err != nil {
				t.Fatal(err)
			}
			if e.Decision != c.decision || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("%s: %s, want %s: …%s…", e.Decision, e.Reason, c.decision, c.reason)
			}
		})
	}
	// The same name as a person's is admitted by nothing here.
	e, err := gateway.Explain(t.Context(), g, command.Question{Method: "GET", URL: "https://app.example.com/", As: "deploy@robots", Factors: 2})
	if err != nil || e.Decision != "deny" {
		t.Errorf("a person: %v %v", e, err)
	}
}

// Attack by oneself: "*@robots" reads like all services of robots, and was one of
// that very name, which nobody has.
func TestCheckRefusesStarsInNamesOfServices(t *testing.T) {
	_, err := gateway.Check(t.Context(), configFile(t, "portal: https://auth.example.com\nrealms: {robots: {}}\nrules: [{services: [\"*@robots\"]}]"))
	if err == nil || !strings.Contains(err.Error(), "gateway.yaml:3: rule 1: services: \"*@robots\": expected name@realm without *; \"@robots\" names all services of that realm") {
		t.Errorf("%v", err)
	}
}
