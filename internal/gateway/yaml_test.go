package gateway_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
)

func parse(t *testing.T, text string) (gateway.Config, error) {
	t.Helper()
	return gateway.Parse("gateway.yaml", []byte(text))
}

func TestConfigMistakesNameFileLineAndWhatWasExpected(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "listen: 127.0.0.1:1\nlissten: x\n", `gateway.yaml:2: unknown key "lissten": did you mean "listen"?`},
		{"unknown key below", "rules:\n  - hosts: [a.example]\n    factor: 2\n", `gateway.yaml:3: unknown key "factor": did you mean "factors"?`},
		{"other case", "Listen: x\n", `gateway.yaml:1: unknown key "Listen"`},
		{"key twice", "listen: a\nlisten: b\n", `gateway.yaml:2: the key "listen" stands twice, first on line 1`},
		{"key twice below", "rules:\n  - hosts: [a.example]\n    factors: 1\n    hosts: [b.example]\n", `gateway.yaml:4: the key "hosts" stands twice, first on line 2`},
		{"key twice on one line", "log: {level: info, level: debug}\n", `gateway.yaml:1: the key "level" stands twice, first on line 1`},
		{"second document", "listen: a\n---\nportal: b\n", "gateway.yaml:3: a second document"},
		{"not a number", "passwords:\n  min_length: many\n", "gateway.yaml:2: min_length: expected a whole number"},
		{"not a duration", "session:\n  idle: 8 hours\n", "gateway.yaml:2: idle: expected a length of time"},
		{"list expected", "rules:\n  - hosts: a.example\n", "gateway.yaml:2: hosts: expected a list"},
		{"unset variable", "a: b\nmaster_key: \"{env.SALLYPORT_TEST_NOT_SET}\"\n", "gateway.yaml:2: the environment variable SALLYPORT_TEST_NOT_SET is not set"},
		{"missing file", "master_key: \"{file./does/not/exist}\"\n", "gateway.yaml:1: a {file.…} cannot be read"},
		{"braces without quotes", "master_key: {env.HOME}\n", "gateway.yaml:1: put quotes around"},
		{"tab", "rules:\n\t- hosts: [a]\n", "gateway.yaml:2: a tab stands at the beginning of this line"},
		{"tab after spaces", "log:\n  level: info\n \tformat: text\n", "gateway.yaml:3: a tab stands at the beginning of this line"},
		{"tab before a key", "log:\n\tlevel: info\n", "gateway.yaml:2: a tab stands at the beginning of this line"},
		{"a bare port", "metrics: 9092\n", "gateway.yaml:1: metrics: expected HOST:PORT such as 127.0.0.1:9092"},
		{"another bare port", "name: x\nlisten: 9091\n", "gateway.yaml:2: listen: expected HOST:PORT such as 127.0.0.1:9091"},
		{"a number for a text", "name: 7\n", "gateway.yaml:1: name: expected a text (a number that is meant as one needs quotes)"},
		{"short messages by a text", "sms: post\n", "gateway.yaml:1: sms: expected log, or one of twilio and smsapi with its keys"},
		{"an unknown key of a sender", "sms:\n  twilio:\n    acount: x\n", "gateway.yaml:3: unknown key \"acount\": did you mean \"account\"?"},
		{"an unknown sender", "sms:\n  twillio: {}\n", "gateway.yaml:2: unknown key \"twillio\": did you mean \"twilio\"?"},
		{"a number of a sender", "sms:\n  smsapi:\n    token: 7\n", "gateway.yaml:3: token: expected a text"},
		{"merge key", "rules:\n  - &a {hosts: [x]}\n  - {<<: *a}\n", "gateway.yaml:3: merge keys"},
		{"star without quotes", "rules:\n  - hosts:\n      - *.example.com\n", "gateway.yaml:3: put quotes around a value that begins with *"},
		{"star in a list", "rules:\n  - {hosts: [*.example.com]}\n", "gateway.yaml:2: put quotes around a value that begins with *"},
		{"lone star", "rules:\n  - {hosts: [*]}\n", "values which begin with *, @ or { have quotes"},
		{"list at the top", "- listen\n", "gateway.yaml:1: expected keys with values"},
		{"cookie domain", "cookie_domain: [{domian: x}]\n", "gateway.yaml:1: cookie_domain: expected a domain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v\nwant it to contain %s", err, c.want)
			}
			var bad *gateway.ConfigError
			if !errors.As(err, &bad) || bad.Line == 0 {
				t.Fatalf("%v names no line", err)
			}
		})
	}
}

// A typing mistake near a secret, and a log that everybody may read: an error
// that prints the value or its neighbours would publish the secret.
func TestConfigErrorsHoldNoSecrets(t *testing.T) {
	for _, text := range []string{
		"master_key: canary-secret\nunknown: 1\n",
		"master_key: [canary-secret]\n",
		"passwords: canary-secret\n",
		"passwords: {min_length: canary-secret}\n",
		"master_key: canary-secret\n  x: y\n",
		"unknown: canary-secret\n",
		"master_key: \"canary-secret\nlisten: x\n",
		"master_key: canary-secret\nmaster_key: canary-secret\n",
		"session:\n\tidle: canary-secret\n",
		"master_key: canary-secret\n\tlisten: x\n",
		"metrics: [canary-secret]\n",
		"session: {idle: canary-secret}\n",
		"trusted_proxies: canary-secret\n",
		"rules: [{factors: canary-secret}]\n",
		"rules: [{fresh: canary-secret}]\n",
	} {
		_, err := parse(t, text)
		if err == nil {
			t.Errorf("accepted %q", text)
		} else if strings.Contains(err.Error(), "canary-secret") {
			t.Errorf("%q: the error prints the value: %v", text, err)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from the {env.HOME} file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SALLYPORT_TEST", "from env: \"quoted\"\n# and more")
	c, err := parse(t, "master_key: \"{file."+file+"}\"\nname: \"<{env.SALLYPORT_TEST}> {other} {\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "from the {env.HOME} file"; c.MasterKey != want {
		t.Errorf("master_key = %q, want %q: what a file holds is not expanded again", c.MasterKey, want)
	}
	if want := "<from env: \"quoted\"\n# and more> {other} {"; c.Name != want {
		t.Errorf("name = %q, want %q", c.Name, want)
	}
}

func TestConfigOfTheManual(t *testing.T) {
	c, err := parse(t, `
listen: 127.0.0.1:9091            # or unix:/run/sallyport.sock
portal: https://auth.example.com
cookie_domain: example.com
trusted_proxies: [127.0.0.1/32, 10.0.0.0/8]
storage: badger:/var/lib/sallyport
default_realm: users
throttle: {principal: 5, network: 30, window: 15m, delay: 1s, delay_max: 15m}
session: {idle: 8h, absolute: 168h, remember: 30d}
passwords: {min_length: 12, hash: argon2id, hash_slots: 1}
realms:
  users: {factors: 2, methods: [totp, passkey, email], enrollment: first-login, replay: deny}
rules:
  - {hosts: [status.example.com], factors: 0}
  - {hosts: [grafana.example.com], paths: [/admin/*], realms: [staff], groups: [ops], factors: 2, fresh: 15m}
  - {hosts: ["*.example.com"], realms: [users, staff], services: [deploy@robots], factors: 2}
  - {hosts: [old.example.com], deny: true}
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rules) != 4 || c.Rules[1].Paths[0] != "/admin/*" || !c.Rules[3].Deny {
		t.Errorf("rules = %+v", c.Rules)
	}
	if c.CookieDomain[0].Domain != "example.com" || *c.Throttle.Network != 30 {
		t.Errorf("config = %+v", c)
	}
	if e := c.At("/rules/1/fresh", "x").Error(); e != "gateway.yaml:15: x" {
		t.Errorf("At: %s", e)
	}
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{"", "listen: a", "a: &x [*x]", "? [a]\n: b", "- - - -", "{", "a: !!binary x", "a: |\n  b\n", "\x00", "a: .inf", "rules: [{}]", "<<: {a: b}", "a: 0x1F", "a: 1e400"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := gateway.Parse("f.yaml", []byte(text)); err != nil && len(err.Error()) > 2000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}

// A secret stands where something else was expected, because two lines were
// swapped: the error must not be the place where it is read.
func TestErrorsHoldNothingThatAPlaceholderStoodFor(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_CANARY", "Canary-9f8e7d6c5b4a")
	for _, text := range []string{
		"rules: [{hosts: ['{env.SALLYPORT_TEST_CANARY}/']}]", "rules: [{realms: ['{env.SALLYPORT_TEST_CANARY},']}]", "rules: [{users: ['{env.SALLYPORT_TEST_CANARY}@@']}]", "rules: [{paths: ['{env.SALLYPORT_TEST_CANARY}']}]", "rules: [{headers: '{env.SALLYPORT_TEST_CANARY}'}]",
		"portal: https://auth.example.com\ncookie_domain: '{env.SALLYPORT_TEST_CANARY}.example'", "cookie_domain: '{env.SALLYPORT_TEST_CANARY}.example'", "realms: {users: {enrollment: '{env.SALLYPORT_TEST_CANARY}'}}", "listen: '{env.SALLYPORT_TEST_CANARY}'", "upstream: '{env.SALLYPORT_TEST_CANARY}'", "master_key: '{env.SALLYPORT_TEST_CANARY}'", "storage: '{env.SALLYPORT_TEST_CANARY}'",
	} {
		c, err := parse(t, text)
		if err == nil {
			err = c.Validate(false)
		}
		if err == nil {
			_, _, err = c.StateDir("")
		}
		if err == nil || strings.Contains(strings.ToLower(err.Error()), "canary-9f8e7d6c5b4a") || !strings.HasPrefix(err.Error(), "gateway.yaml:") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
