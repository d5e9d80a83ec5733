package gateway

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
)

// An odd configuration (an empty list, a negative number, a host of dots) makes
// the gateway panic, at a reload with all that it guards. What can be read is
// understood or refused with a sentence; both shells read the same.
func FuzzS13Configuration(f *testing.F) {
	for _, text := range []string{
		"", "{}", "null", "[]", "rules: []", "rules: [{}]", "rules: [null]", "rules: [{hosts: []}]", "rules: [{hosts: ['']}]", "rules: [{hosts: ['*.']}]", "rules: [{hosts: ['.'], realms: [users]}]",
		"rules: [{paths: ['regex:(']}]", "rules: [{paths: ['regex:(a*)*$'], factors: 0}]", "rules: [{paths: ['/*', '*', '']}]", "rules: [{methods: ['']}]", "rules: [{networks: [10.0.0.0/33]}]",
		"rules: [{factors: -1}]", "rules: [{factors: 3}]", "rules: [{fresh: -1s}]", "rules: [{fresh: 1000000h}]", "rules: [{services: ['@']}]", "rules: [{users: ['@@@']}]", "rules: [{realms: ['a@b']}]",
		"portal: 'https://'", "portal: 'https://a b'", "portal: 'https://[::1'", "portal: '//x'", "portal: 'https://xn--a'", "cookie_domain: ''", "cookie_domain: '.'", "cookie_domain: [{}]", "cookie_domain: [null]",
		"portal: https://a.b\ncookie_domain: b", "portal: https://auth.example.com\ncookie_domain: example.com", "portal: https://auth.example.com:0\ncookie_domain: [{domain: example.com}, {domain: example.com}]",
		"trusted_proxies: ['']", "trusted_proxies: [::/0]", "trusted_proxies: [fe80::1%eth0]", "trusted_proxies: [null]", "throttle: {principal: -1}", "throttle: {window: 0s, delay: 0s, delay_max: 0s}",
		"realms: {admin: {factors: 1}}", "realms: {'': {}}", "realms: {a: null}", "realms: {users: {otp: {digits: 0}}}", "realms: {users: {otp: null, skew: 99, recovery_codes: {count: -1, length: 0}}}",
		"realms: {users: {session: {idle: 0s}}}", "passwords: {memory: 8, threads: 255}", "passwords: {memory: 1048576, time: 100}", "passwords: {min_length: -5}", "upstream: 'http://'", "upstream: 'h2c://x'",
		"upstream: 'http://x/%zz'", "listen: 'unix:'", "listen: ':'", "storage: 'badger:'", "storage: badger", "master_key: zz", "log: {level: x}", "cors: {allow_origins: ['*']}", "default_realm: 'A'", "credentials: x",
		"name: \"\\0\"", "? {}", "&a *a", "a: &a [*a]", "!!binary x", "- - -", "{{{{", "\xff\xfe", "listen: {env.HOME}", "listen: '{env.}'", "listen: '{file.}'", "listen: '{'", "listen: '{env.A{env.B}}'",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		c, err := Parse("gateway.yaml", []byte(text))
		if err != nil {
			return
		}
		for _, demo := range []bool{false, true} {
			p, err := c.plan(shell{demo: demo})
			if err != nil {
				var bad *ConfigError
				if !errors.As(err, &bad) || bad.Text == "" {
					t.Errorf("a mistake without a sentence: %v", err)
				}
				continue
			}
			if slices.ContainsFunc(p.trusted.Prefixes, func(n netip.Prefix) bool { return n.Bits() == 0 }) {
				t.Error("everybody is a trusted proxy")
			}
			for i := range p.written {
				_ = sentence(&p.written[i])
			}
			for _, url := range []string{"https://app.example.com/x", "http://[::1]/%2e%2e/"} {
				req, err := request(command.Question{Method: "GET", URL: url})
				if err != nil {
					t.Fatal(err)
				}
				p.rules.Explain(req, nil, 0)
			}
		}
		_, _ = c.Logger(io.Discard)
	})
}
