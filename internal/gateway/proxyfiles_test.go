package gateway_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// What a proxy's files name is what the configuration says, in the form that the
// proxy needs; what would fail silently is a warning.
func TestProxyFilesNameTheConfiguration(t *testing.T) {
	const domain = "portal: https://auth.example.org\ncookie_domain: example.org\n"
	const rule = "rules: [{hosts: [app.example.org], realms: [users]}]\n"
	for name, c := range map[string]struct {
		config, proxy string
		want          []string
		warnings      []string // beginnings
	}{
		"plain":           {domain + rule, "nginx", []string{"server 127.0.0.1:9091;", "server_name auth.example.org;", "server_name app.example.org;"}, nil},
		"every address":   {"listen: :7001\n" + domain + rule, "nginx", []string{"server 127.0.0.1:7001;"}, []string{"listen: only a proxy"}},
		"every address 6": {"listen: '[::]:7001'\n" + domain + rule, "haproxy", []string{"ipv4@127.0.0.1:7001"}, []string{"listen: only a proxy"}},
		"far and trusted": {"listen: 0.0.0.0:7001\ntrusted_proxies: [10.0.0.0/8, 127.0.0.1]\n" + domain + rule, "haproxy", []string{"server gateway 127.0.0.1:7001"}, nil},
		"loopback 6":      {"listen: '[::1]:7001'\n" + domain + rule, "haproxy", []string{"ipv6@[::1]:7001"}, nil},
		"port of browsers": {"portal: https://auth.example.org:8443\ncookie_domain: example.org\n" + rule, "caddy",
			[]string{"\nauth.example.org:8443 {", "\napp.example.org:8443 {"}, nil},
		"http": {"portal: http://auth.localhost:8080\ncookie_domain: auth.localhost\nrules: [{hosts: [app.auth.localhost], realms: [users]}]\n", "nginx", []string{"listen 8080;", "server_name app.auth.localhost;"}, nil},
		"the portal's own host and closed ones are not guarded": {domain + "rules: [{hosts: [Auth.example.org, A.example.org], realms: [users]}, {hosts: [old.example.org], deny: true}, {hosts: ['*'], realms: [users]}, {hosts: [b.example.org, a.example.org], factors: 0}]\n", "nginx",
			[]string{"server_name a.example.org;", "server_name b.example.org;", "/a.example.org.pem;", "/b.example.org.pem;"}, nil},
		"below a domain": {domain + "rules: [{hosts: ['*.example.org'], realms: [users]}]\n", "caddy", []string{"\n*.example.org {"}, []string{"Caddy's *"}},
		"no hosts":       {domain + "rules: [{realms: [users]}]\n", "nginx", []string{"server_name app.example.com;"}, []string{"no rule names a host"}},
		"no domain":      {"portal: https://auth.example.org\n" + rule, "traefik", []string{"Host(`auth.example.org`)"}, []string{"there is no cookie_domain"}},
		"no portal":      {rule, "haproxy", []string{"!sallyport_own !sallyport_allowed"}, []string{"there is no portal"}},
		"two portals": {"cookie_domain: [{domain: example.org, portal: https://auth.example.org}, {domain: example.net, portal: https://auth.example.net}]\n" + rule, "nginx",
			[]string{"server_name auth.example.org;"}, []string{"there are 2 portals"}},
		"not trusted": {"trusted_proxies: [10.0.0.0/8]\n" + domain + rule, "nginx", nil, []string{"trusted_proxies: the proxy comes from 127.0.0.1"}},
		"only 6":      {"listen: '[::1]:7001'\ntrusted_proxies: ['::1']\n" + domain + rule, "nginx", []string{"server [::1]:7001;"}, nil},
		"unix":        {"listen: unix:/run/sallyport.sock\ntrusted_proxies: [10.0.0.0/8]\n" + domain + rule, "envoy", []string{"{pipe: {path: /run/sallyport.sock}}"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			setup, err := gateway.ProxyFiles(t.Context(), configFile(t, c.config), c.proxy)
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, f := range setup.Files {
				all.WriteString("\n" + f.Text)
			}
			for _, want := range c.want {
				if !strings.Contains(all.String(), want) {
					t.Errorf("%q is not there", want)
				}
			}
			for _, begin := range c.warnings {
				if !slices.ContainsFunc(setup.Warnings, func(w string) bool { return strings.HasPrefix(w, begin) }) {
					t.Errorf("no warning %q among %q", begin, setup.Warnings)
				}
			}
			if len(setup.Warnings) != len(c.warnings) {
				t.Errorf("warnings %q", setup.Warnings)
			}
		})
	}
}

// The example that every proxy's page points to must admit whom its setup link
// makes: it ended in a 403 for the first person there is.
func TestTheExampleAdmitsTheFirstAdministrator(t *testing.T) {
	manual, err := os.ReadFile("../../docs/nginx.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(manual), "   ```\n")
	text, _, ended := strings.Cut(rest, "   ```\n")
	if !found || !ended {
		t.Fatal("no example")
	}
	g := configFile(t, strings.ReplaceAll("\n"+text, "\n   ", "\n"))
	setup, err := gateway.ProxyFiles(t.Context(), g, "nginx")
	if err != nil || len(setup.Warnings) > 0 {
		t.Fatalf("%q, %v; want no warning", setup.Warnings, err)
	}
	for _, who := range []string{"anna@admin", "alice@users"} {
		e, err := gateway.Explain(t.Context(), g, command.Question{Method: "GET", URL: "https://app.example.com/", As: who, Factors: 2})
		if err != nil || e.Decision != "allow" {
			t.Errorf("%s: %+v, %v", who, e, err)
		}
	}
}
