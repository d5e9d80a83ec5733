package caddymodule

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// canary is a secret that a placeholder stands for. It must never be in an error:
// Caddy logs them, and its admin API answers with them.
const canary = "CANARY-9f8e7d6c5b4a-yranac"

func plantCanary(f *testing.F) {
	f.Helper()
	f.Setenv("SALLYPORT_CANARY", canary)
}

func singsNot(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(canary[:12])) {
		t.Errorf("an error holds the secret: %v", err)
	}
}

// An odd Caddyfile (an empty block, a brace too many, a word in quotes) makes Caddy
// panic while it reloads, with all that it serves. Every golden file is a seed.
func FuzzS13Caddyfile(f *testing.F) {
	plantCanary(f)
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		f.Fatal("no golden files")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), "\n----------\n")
		f.Add(input)
	}
	for _, body := range []string{
		"", "{", "}", "{ }", "{\n}", "{\n{\n}\n}", "portal {", "/x portal {\nportal\n}", "{\nrule {\nrule\n}\n}", "{\nrule {\n}\nrule\n}", "{\nrule\n}", "{\n\"\" {\n}\n}", "{\nfactors {\n}\n}", "{\nfactors 1 {\n}\nfactors 2\n}",
		"{\ngroup } {\n}\n}", "{\nname `a\nb`\n}", "{\nname <<X\na\nX\n}", "{\nname \\\nx\n}", "{\n} x", "{\nrule {\n} x\n}", "{\nfactors 99999999999999999999\n}", "{\nfactors +2\n}", "{\nfresh 9999999h\n}", "{\npath {env.SALLYPORT_CANARY}\n}", "{\nhost {env.SALLYPORT_CANARY} /\n}",
		"* * *", "@", "@x {\n}", "{\nimport *\n}", "{\npath regex:(((((((a*)*)*)*)*)*)*\n}", "{\nheaders \x00\n}", "{\nrealm \xff\n}",
	} {
		f.Add("example.com {\nsallyport " + body + "\n}\n")
		f.Add("{\nsallyport " + body + "\n}\n")
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<13 || strings.Contains(text, "import") { // which reads files
			return
		}
		_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
		singsNot(t, err)
		for _, w := range warnings {
			singsNot(t, errors.New(w.Message))
		}
	})
}

// The same with the JSON of a handler, which is what Caddy's admin API takes.
func FuzzS13HandlerJSON(f *testing.F) {
	plantCanary(f)
	for _, text := range []string{
		``, `{}`, `null`, `[]`, `""`, `0`, `{"portal":true}`, `{"portal":"yes"}`, `{"portal":true,"rules":[]}`, `{"rules":null}`, `{"rules":[null]}`, `{"rules":[{}]}`, `{"rules":{}}`, `{"Rule":{}}`, `{"raw":"x"}`, `{"gateway":{}}`,
		`{"hosts":null}`, `{"hosts":"x"}`, `{"hosts":[null]}`, `{"hosts":[""]}`, `{"hosts":["{env.SALLYPORT_CANARY}"]}`, `{"hosts":["{env.SALLYPORT_CANARY}/"]}`, `{"paths":["{env.SALLYPORT_CANARY}"]}`, `{"paths":["regex:({env.SALLYPORT_CANARY}"]}`,
		`{"methods":["{env.SALLYPORT_CANARY}"]}`, `{"networks":["{env.SALLYPORT_CANARY}"]}`, `{"realms":["{env.SALLYPORT_CANARY},"]}`, `{"groups":["{env.SALLYPORT_CANARY}/"]}`, `{"users":["{env.SALLYPORT_CANARY}@@"]}`, `{"services":["{env.SALLYPORT_CANARY}"]}`,
		`{"headers":"{env.SALLYPORT_CANARY}"}`, `{"assertion":"{env.SALLYPORT_CANARY}"}`, `{"fresh":"{env.SALLYPORT_CANARY}"}`, `{"preflight":"{env.SALLYPORT_CANARY}"}`, `{"user_header":"{env.SALLYPORT_CANARY}"}`, `{"factors":"{env.SALLYPORT_CANARY}"}`, `{"deny":"{env.SALLYPORT_CANARY}"}`,
		`{"{env.SALLYPORT_CANARY}":1}`, `{"factors":1e99}`, `{"factors":-1}`, `{"factors":1.5}`, `{"fresh":1}`, `{"fresh":-1}`, `{"fresh":"-1h"}`, `{"assertion":1}`, `{"assertion":[]}`, `{"name":"\ud800"}`, `{"name":"a","name":"b"}`, `{"rules":[{"hosts":["*.*"]}]}`, `{"rules":[{"paths":["/{file./dev/null}"]}]}`,
		strings.Repeat(`[`, 20000), strings.Repeat(`{"rules":`, 5000),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 || strings.Contains(string(text), "{file.") && !strings.Contains(string(text), "{file./dev/null}") {
			return
		}
		h := new(Handler)
		err := h.UnmarshalJSON(text)
		singsNot(t, err)
		if err != nil {
			return
		}
		rules, err := h.rules()
		singsNot(t, err)
		cfg := gateway.Config{}
		if err == nil {
			_, err := cfg.CheckRules(rules)
			singsNot(t, h.source().Hide(err))
		}
		if _, err := h.MarshalJSON(); err != nil {
			t.Errorf("cannot be written again: %v", err)
		}
	})
}

// The same with the JSON of the app.
func FuzzS13AppJSON(f *testing.F) {
	plantCanary(f)
	for _, text := range []string{
		``, `{}`, `null`, `[]`, `{"Config":{}}`, `{"listen":"x"}`, `{"upstream":"x"}`, `{"log":{}}`, `{"mail":"{env.SALLYPORT_CANARY}"}`, `{"raw":1}`,
		`{"portal":"{env.SALLYPORT_CANARY}"}`, `{"portal":"https://{env.SALLYPORT_CANARY}/x"}`, `{"cookie_domain":"{env.SALLYPORT_CANARY}"}`, `{"cookie_domain":"{env.SALLYPORT_CANARY}.example","portal":"https://auth.example.org"}`, `{"cookie_domain":[{"domain":"example.com","portal":"https://{env.SALLYPORT_CANARY}"}]}`,
		`{"storage":"{env.SALLYPORT_CANARY}"}`, `{"storage":"postgres://u:{env.SALLYPORT_CANARY}@h/d"}`, `{"master_key":"{env.SALLYPORT_CANARY}"}`, `{"default_realm":"{env.SALLYPORT_CANARY}"}`, `{"credentials":"{env.SALLYPORT_CANARY}"}`, `{"name":"{env.SALLYPORT_CANARY}"}`,
		`{"trusted_proxies":["{env.SALLYPORT_CANARY}"]}`, `{"ports":["{env.SALLYPORT_CANARY}"]}`, `{"ports":[0,-1,99999999999]}`, `{"cors":{"allow_origins":["{env.SALLYPORT_CANARY}"]}}`, `{"realms":{"{env.SALLYPORT_CANARY}":{}}}`, `{"realms":{"a":{"enrollment":"{env.SALLYPORT_CANARY}"}}}`,
		`{"realms":{"a":{"methods":["{env.SALLYPORT_CANARY}"]}}}`, `{"realms":{"a":{"replay":"{env.SALLYPORT_CANARY}"}}}`, `{"realms":{"a":{"otp":{"algorithm":"{env.SALLYPORT_CANARY}"}}}}`, `{"realms":{"a":{"session":{"idle":"{env.SALLYPORT_CANARY}"}}}}`, `{"realms":{"a":null,"":{}}}`,
		`{"passwords":{"hash":"{env.SALLYPORT_CANARY}"}}`, `{"throttle":{"window":"{env.SALLYPORT_CANARY}"}}`, `{"rules":[{"hosts":["{env.SALLYPORT_CANARY}/"]}]}`, `{"rules":[{"users":["{env.SALLYPORT_CANARY}@@"]}]}`, `{"rules":[{"services":["{env.SALLYPORT_CANARY}"]}]}`,
		`{"session":{"idle":"1ns"}}`, `{"passwords":{"memory":-1}}`, `{"throttle":{"principal":1e300}}`, `{"cookie_domain":[null]}`, `{"cookie_domain":[[]]}`, `{"cookie_domain":{}}`, `{"trusted_proxies":["::ffff:0:0/96","0.0.0.0/0"]}`, strings.Repeat(`{"realms":`, 5000),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 || strings.Contains(string(text), "{file.") {
			return
		}
		a := new(App)
		if err := a.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		if _, err := a.MarshalJSON(); err != nil {
			t.Fatal(err)
		}
		cfg, err := gateway.Decode(gateway.Source{JSON: text, Expand: true})
		singsNot(t, err)
		if err != nil {
			return
		}
		singsNot(t, cfg.Validate(true))
		_, err = cfg.StateOptions(gateway.Options{})
		singsNot(t, err)
		_ = cfg.Portals()
	})
}
