package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/factor/passkeytest"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// Passkeys are bound to the portal's host, or to localhost where this machine alone
// reaches the server; everywhere else check says what they need. An address, or a page
// without TLS, would be refused by every browser, when somebody loses an evening.
func TestWherePasskeysAreOffered(t *testing.T) {
	for name, c := range map[string]struct{ config, missing string }{
		"nothing at all":         {"", ""},
		"a portal":               {"portal: https://auth.example.com\n", ""},
		"a portal with a port":   {"portal: https://auth.example.com:8443\n", ""},
		"a portal on localhost":  {"portal: http://localhost:9091\n", ""},
		"a portal without TLS":   {"portal: http://auth.example.com\n", "a portal on https"},
		"a portal at an address": {"portal: https://192.0.2.7\n", "a host name in place of an address"},
		"IPv6":                   {"portal: 'https://[2001:db8::1]'\n", "a host name in place of an address"},
		"all addresses":          {"listen: 0.0.0.0:9091\n", "a portal, or a server"},
		"a socket":               {"listen: unix:/run/x.sock\n", "a portal, or a server"},
		"loopback":               {"listen: '[::1]:9091'\n", ""},
	} {
		file := filepath.Join(t.TempDir(), "sallyport.yaml")
		if err := os.WriteFile(file, []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := gateway.Check(context.Background(), command.Global{Config: file, State: t.TempDir()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		i := slices.IndexFunc(r.Warnings, func(w string) bool { return strings.HasPrefix(w, "passkeys are not offered") })
		if c.missing == "" && i >= 0 || c.missing != "" && (i < 0 || !strings.Contains(r.Warnings[i], c.missing)) {
			t.Errorf("%s: %q", name, r.Warnings)
		}
	}
	if remarks, err := (&gateway.Config{}).Remarks(); err != nil || !slices.Contains(remarks, "passkeys are not offered: they need a portal") {
		t.Errorf("a server with routes of its own: %q, %v", remarks, err)
	}
}

// Whoever must set up a factor is offered both defaults at a portal, and sets up a passkey
// that opens both doors afterwards. The portal's default port is none in what browsers
// sign, and names are in their ASCII form.
func TestAPasskeyAtAPortal(t *testing.T) {
	for portal, origin := range map[string]string{
		"https://" + portalHost: "https://" + portalHost, "https://AUTH.example.com:443": "https://" + portalHost,
		"https://auth.example.com:8443": "https://auth.example.com:8443", "https://bücher.example": "https://xn--bcher-kva.example",
	} {
		w := open(t, gateway.Config{Portal: portal})
		w.bare("alice", "users", nil)
		b := w.browser(origin)
		post := func(path string, body any) (out map[string]any) {
			t.Helper()
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			a := b.ask("POST", apiPrefix+path, string(text), http.Header{"Content-Type": {"application/json"}, "Origin": {origin}})
			if a.status != 200 || json.Unmarshal([]byte(a.body), &out) != nil {
				t.Fatalf("%s: %s: %d %s", portal, path, a.status, a.body)
			}
			return out
		}
		options := func(answer map[string]any) []byte {
			text, _ := json.Marshal(answer["options"])
			return text
		}
		half := post("/login", map[string]any{"name": "alice", "password": goodPassword})
		if methods := fmt.Sprint(half["methods"]); methods != "[totp passkey]" {
			t.Errorf("%s: offered: %s", portal, methods)
		}
		key := passkeytest.New(origin)
		token := half["ephemeral_token"]
		begun := post("/me/methods/passkey/activate", map[string]any{"ephemeral_token": token})
		post("/me/methods/passkey/confirm", map[string]any{"ephemeral_token": token, "credential": json.RawMessage(key.Create(t, options(begun)))})
		done := post("/login/passkey", map[string]any{"credential": json.RawMessage(key.Get(t, options(post("/login/passkey/begin", map[string]any{}))))})
		if done["status"] != "ok" {
			t.Errorf("%s: %v", portal, done)
		}
	}
}
