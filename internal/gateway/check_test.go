package gateway_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

func configFile(t *testing.T, text string) command.Global {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return command.Global{Config: file}
}

func TestCheckWarnsOfWhatIsSeldomMeant(t *testing.T) {
	const quiet = "portal: https://auth.example.com\n"
	for _, c := range []struct{ name, text, want string }{
		{"a realm that nobody made", quiet + "rules: [{hosts: [a.example], realms: [usres]}]", "rule 1: the realm usres is not configured here"},
		{"a configured realm", quiet + "realms: {staff: {factors: 2}}\nrules: [{hosts: [auth.example.com], realms: [staff, users, admin, auth]}]", ""},
		{"the default realm", quiet + "default_realm: people\nrules: [{hosts: [auth.example.com], realms: [people]}]", ""},
		{"a portal in clear", "portal: http://auth.example.com\nrules: [{realms: [users]}]", "portal: http is read"},
		{"a portal at home", "portal: http://localhost:9091\nrules: [{realms: [users]}]", ""},
		{"open to the network", quiet + "listen: 0.0.0.0:9091\nrules: [{realms: [users]}]", "listen: other machines reach"},
		{"every interface", quiet + "listen: :9091\nrules: [{realms: [users]}]", "listen: other machines reach"},
		{"loopback, version 6", quiet + "listen: '[::1]:9091'\nrules: [{realms: [users]}]", ""},
		{"a socket", quiet + "listen: unix:/run/x.sock\nrules: [{realms: [users]}]", ""},
		{"metrics for everybody", quiet + "metrics: 0.0.0.0:9092\nrules: [{realms: [users]}]", "metrics: other machines reach"},
		{"metrics at home", quiet + "metrics: localhost:9092\nrules: [{realms: [users]}]", ""},
		{"metrics at another loopback", quiet + "metrics: 127.0.0.2:9091\nrules: [{realms: [users]}]", ""},
		{"metrics in a socket", quiet + "metrics: unix:/run/m.sock\nrules: [{realms: [users]}]", ""},
		{"a method that lacks something", quiet + "realms: {users: {methods: [totp, sms]}}\nrules: [{realms: [users]}]", "realms: users: the method sms needs sms, and is not offered"},
		{"another host than the portal's", quiet + "rules: [{hosts: [A.example.com], realms: [users]}]", "rule 1: A.example.com: this host is not below a cookie_domain"},
		{"other hosts than the portal's", quiet + "rules: [{hosts: ['*.example.com'], groups: [ops]}]", "rule 1: *.example.com: these hosts are not below a cookie_domain"},
		{"a host of another domain", quiet + "cookie_domain: example.com\nrules: [{hosts: [a.example.com, '*.example.com', example.com, a.example.net], users: [alice]}]", "rule 1: a.example.net: this host is not below"},
		{"a domain that only ends alike", quiet + "cookie_domain: example.com\nrules: [{hosts: [example.com], realms: [users]}, {hosts: ['*.myexample.com'], realms: [users]}]", "rule 2: *.myexample.com: these hosts are not below"},
		{"the second of two domains", "cookie_domain: [{domain: example.com, portal: 'https://auth.example.com'}, {domain: example.net, portal: 'https://auth.example.net'}]\nrules: [{hosts: [a.example.net, '*.b.example.com', '*.net', '*'], realms: [users]}]", ""},
		{"hosts without a login", quiet + "rules: [{hosts: [a.example.net], factors: 0}, {hosts: [b.example.net], deny: true}, {hosts: [c.example.net], services: [x@auth]}, {hosts: [AUTH.example.com], realms: [users]}]", ""},
		{"no portal", "rules: [{realms: [users]}]", "there is no portal"},
		{"no rules", quiet, "there are no rules"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := gateway.Check(t.Context(), configFile(t, c.text))
			if err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(report.Warnings, func(w string) bool { return strings.HasPrefix(w, c.want) })
			if c.want == "" && len(report.Warnings) > 0 || !found && c.want != "" {
				t.Errorf("warnings %q, want %q", report.Warnings, c.want)
			}
		})
	}
}

func TestCheckRefusesWhatNoServerCouldUse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"rules: [{realms: [users]}]\nmaster_key: c2hvcnQ=\n", "gateway.yaml:2: master_key has 5 bytes: 32 bytes"},
		{"master_key: ''\n", "gateway.yaml:1: master_key is empty"},
		{"listen: 9091x\n", "gateway.yaml:1: listen: expected HOST:PORT"},
		{"listen: :9091\nmetrics: localhost\n", "gateway.yaml:2: metrics: expected HOST:PORT"},
		{"metrics: 127.0.0.1:9091\n", "gateway.yaml:1: metrics: listen has this address already"},
		{"listen: :9091\nmetrics: 10.0.0.1:9091\n", "gateway.yaml:2: metrics: listen has this address already"},
		{"listen: '[::1]:9091'\nmetrics: localhost:9091\n", "gateway.yaml:2: metrics: listen has this address already"},
		{"listen: unix:/run/x.sock\nmetrics: unix:/run/x.sock\n", "gateway.yaml:2: metrics: listen has this address already"},
		{"upstream: localhost:3000\n", "gateway.yaml:1: upstream: expected http://HOST:PORT"},
		{"listen: 127.0.0.1:1\nlog: {level: verbose}\n", "gateway.yaml:2: level: expected debug, info, warn or error"},
		{"log:\n  level: info\n  format: xml\n", "gateway.yaml:3: format: expected text or json"},
		{"metrics: 9092\n", "gateway.yaml:1: metrics: expected HOST:PORT such as 127.0.0.1:9092"},
		{"metrics: '9092'\n", "gateway.yaml:1: metrics: expected HOST:PORT such as 127.0.0.1:9092"},
		{"name: x\nlisten: unix:/" + strings.Repeat("d", 110) + "\n", "gateway.yaml:2: listen: the path of a unix socket has at most 103 bytes"},
		{"name: x\nstorage: sqlite:x\n", "gateway.yaml:2: storage: expected badger:DIRECTORY"},
		{"realms: {staff: {methods: [sms]}}\n", "gateway.yaml:1: methods: none of these can be had here, so nobody could have a second factor: name totp, or say what the others need"},
		{"realms:\n  staff:\n    methods: [email, sms]\n", "gateway.yaml:3: methods: none of these can be had here"},
		{"yubikey: {client_id: us, key: MDEyMzQ1Njc4OWFiY2RlZmdo}\n", "gateway.yaml:1: yubikey: client_id is a number"},
		{"yubikey: {client_id: '1', key: MDEyMzQ1Njc4OWFiY2RlZmdo, servers: ['http://example.com/']}\n", "gateway.yaml:1: yubikey: \"http://example.com/\": a validation server is asked by https"},
		{"realms:\n  staff:\n    methods: [totp,\n      topt]\n", "gateway.yaml:4: methods: expected totp, passkey, email"},
	} {
		_, err := gateway.Check(t.Context(), configFile(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.text, err, c.want)
		}
	}
}

// A word that the server around us has its own for would be read, and do nothing.
func TestCaddyRefusesTheWordMetrics(t *testing.T) {
	cfg, err := parse(t, "portal: https://auth.example.com\nmetrics: 127.0.0.1:9092\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(true); err == nil || !strings.Contains(err.Error(), "gateway.yaml:2: metrics is for the standalone server") {
		t.Errorf("got %v", err)
	}
}

// What the manual prints is what a newcomer pastes.
func TestExamplesOfTheManual(t *testing.T) {
	for _, c := range []struct {
		file, from, to string
		rules          int
	}{
		{"README.md", "<<'END'\n", "END\n", 2},
		{"docs/configuration.md", "```yaml\n", "```\n", 3},
	} {
		t.Run(c.file, func(t *testing.T) {
			manual, err := os.ReadFile(filepath.Join("../..", c.file))
			if err != nil {
				t.Fatal(err)
			}
			_, rest, found := strings.Cut(string(manual), c.from)
			text, _, ended := strings.Cut(rest, c.to)
			if !found || !ended {
				t.Fatalf("no example between %q and %q", c.from, c.to)
			}
			g := configFile(t, text)
			report, err := gateway.Check(t.Context(), g)
			if err != nil || len(report.Rules) != c.rules || len(report.Warnings) > 0 {
				t.Fatalf("%+v, %v; want %d rules and no warning", report, err, c.rules)
			}
			e, err := gateway.Explain(t.Context(), g, command.Question{Method: "GET",
				URL: "https://grafana.example.com/admin/", As: "alice@users", Groups: []string{"ops"}, Factors: 2})
			if err != nil || e.Decision != "allow" {
				t.Errorf("%+v, %v; want alice of ops let in", e, err)
			}
		})
	}
}

func TestExplainNamesWhatFailed(t *testing.T) {
	const rules = "rules:\n  - {hosts: [a.example], paths: [/admin/*], realms: [users], groups: [ops]}\n  - {hosts: [a.example], realms: [users]}\n"
	for _, c := range []struct {
		name, config, method, url string
		q                         command.Question
		decision, reason          string
	}{
		{"two readings", rules, "GET", "https://a.example/x/..%2fadmin/", command.Question{As: "alice", Factors: 2}, "deny",
			"the request would be refused (400): the path can be read in more ways than one"},
		{"a small method", rules, "get", "https://a.example/", command.Question{}, "deny", "the request would be refused (400): the method is not valid"},
		{"a closed method", rules, "TRACE", "https://a.example/", command.Question{}, "deny", "the request would be refused (405): the method is never passed on"},
		{"no factors named", rules, "GET", "https://a.example/", command.Question{As: "alice"}, "challenge", "0 factors (see --factors)"},
		{"one factor", rules, "GET", "https://a.example/", command.Question{As: "alice", Factors: 1}, "challenge", "too few factors: the session has 1, 2 are demanded"},
		{"another group", rules, "GET", "https://a.example/admin/", command.Question{As: "alice", Factors: 2, Groups: []string{"dev"}}, "deny",
			"the rule does not admit this principal: not in group ops (groups: dev)"},
		{"another realm", rules, "GET", "https://a.example/", command.Question{As: "alice@admin", Factors: 2}, "deny",
			"the rule does not admit this principal: the realm is not users"},
		{"disabled", rules, "GET", "https://a.example/", command.Question{As: "alice", Factors: 2, Disabled: true}, "challenge", "nobody is signed in (the user is disabled"},
		{"a name that nobody has", rules, "GET", "https://a.example/", command.Question{As: "ghost@users", Factors: 2, Unknown: true}, "challenge",
			"there is no user or service ghost@users in the state, so nobody is signed in"},
		{"nobody at an open door", "rules: [{factors: 0}]", "GET", "https://a.example/", command.Question{As: "ghost@users", Factors: 2, Unknown: true}, "allow",
			"the rule asks for no proof (there is no user or service ghost@users in the state)"},
		{"no rule for the host", rules, "GET", "https://b.example/", command.Question{As: "alice", Factors: 2}, "deny", "no rule matches"},
		{"no rules at all", "{}", "GET", "https://a.example/", command.Question{}, "deny", "there are no rules (`serve --upstream` would imply one"},
		{"the implied one", "upstream: http://localhost:3000", "GET", "https://a.example/", command.Question{As: "alice", Factors: 2}, "allow", "admitted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.Method, c.q.URL = c.method, c.url
			e, err := gateway.Explain(t.Context(), configFile(t, c.config), c.q)
			if err != nil {
				t.Fatal(err)
			}
			if e.Decision != c.decision || !strings.HasPrefix(e.Reason, c.reason) {
				t.Errorf("%s: %s\nwant %s: %s", e.Decision, e.Reason, c.decision, c.reason)
			}
		})
	}
}
