package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Chromium's own authenticator and its own WebAuthn judge what we ask and what we take:
// neither shares code with us, or with the authenticator of the other tests.

// keyed is a tab with an authenticator, on a page that may call the API.
type keyed struct {
	tab
	s     *server
	key   webauthn.AuthenticatorID
	token string // of the session
}

func newKeyed(t *testing.T) *keyed {
	t.Helper()
	s := serveBinary(t, t.TempDir(), "--demo")
	k := &keyed{tab: tab{t: t, ctx: chromium(t)}, s: s}
	k.do("let scripts run", scripts(true))
	k.on(s.base)
	tell(k, webauthn.Enable, webauthn.EnableParams{})
	k.key = tell(k, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}}).AuthenticatorID
	return k
}

// on opens the page of the API, which may call it.
func (k *keyed) on(base string) { k.t.Helper(); k.open(base + "/sallyport/docs") }

// tell speaks to the browser.
func tell[P, R any](k *keyed, c cdp.Command[P, R], params P) R {
	k.t.Helper()
	return read(k.tab, c.Method, chromedp.Action[R](func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, c, params)
	}))
}

// script runs a function's body on the page, which may wait; what fails is its text.
func (k *keyed) script(body string) string {
	k.t.Helper()
	return read(k.tab, "run a script", chromedp.Evaluate[string](
		`(async () => { try { `+body+` } catch (e) { return "failed: " + e.name + ": " + e.message } })()`, chromedp.EvalAwaitPromise))
}

// fetch calls the API from the page.
func (k *keyed) fetch(method, path string, body any) (status int, fields map[string]any) {
	k.t.Helper()
	request := map[string]any{"method": method, "credentials": "omit", "headers": map[string]string{"Content-Type": "application/json"}}
	if k.token != "" {
		request["headers"].(map[string]string)["Authorization"] = "Bearer " + k.token
	}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			k.t.Fatal(err)
		}
		request["body"] = string(text)
	}
	text, err := json.Marshal(request)
	if err != nil {
		k.t.Fatal(err)
	}
	out := k.script(fmt.Sprintf(`const r = await fetch("/sallyport/api/v1" + %q, %s); return r.status + " " + await r.text();`, path, text))
	_, answer, _ := strings.Cut(out, " ")
	if _, err := fmt.Sscanf(out, "%d ", &status); err != nil {
		k.t.Fatalf("%s %s: %s", method, path, out)
	}
	if strings.HasPrefix(answer, "[") {
		answer = `{"list":` + answer + `}`
	}
	if answer != "" {
		if err := json.Unmarshal([]byte(answer), &fields); err != nil {
			k.t.Fatalf("%s %s: %s", method, path, out)
		}
	}
	return status, fields
}

// post is fetch that has to succeed.
func (k *keyed) post(path string, body any) map[string]any {
	k.t.Helper()
	status, fields := k.fetch("POST", path, body)
	if status != http.StatusOK {
		k.t.Fatalf("POST %s: %d %v", path, status, fields)
	}
	return fields
}

// create and get hand options to the browser, and return what it answers.
func (k *keyed) create(options any) string {
	k.t.Helper()
	return k.asks("create", "Creation", options)
}
func (k *keyed) get(options any) string { k.t.Helper(); return k.asks("get", "Request", options) }

func (k *keyed) asks(call, kind string, options any) string {
	k.t.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		k.t.Fatal(err)
	}
	return k.script(fmt.Sprintf(`
		const publicKey = PublicKeyCredential.parse%sOptionsFromJSON(%s.publicKey);
		return JSON.stringify((await navigator.credentials.%s({publicKey})).toJSON());`, kind, text, call))
}

// credential is the good answer of a browser, for a body.
func (k *keyed) credential(answer string) json.RawMessage {
	k.t.Helper()
	if !strings.HasPrefix(answer, "{") {
		k.t.Fatalf("the browser refuses: %s", answer)
	}
	return json.RawMessage(answer)
}

// alone logs in by passkey alone.
func (k *keyed) alone() (int, map[string]any) {
	k.t.Helper()
	options := k.post("/login/passkey/begin", map[string]any{})["options"]
	return k.fetch("POST", "/login/passkey", map[string]any{"credential": k.credential(k.get(options))})
}

// newcomer makes somebody with a password, who sets up a passkey as the first factor.
func (k *keyed) newcomer(name string) {
	k.t.Helper()
	if status, answer := k.s.admin("POST", "/users", map[string]any{"realm": "users", "name": name, "password": goodPassword}); status != 201 {
		k.t.Fatalf("create %s: %d %v", name, status, answer)
	}
	half := k.post("/login", map[string]any{"name": name, "password": goodPassword})
	token := half["ephemeral_token"]
	begun := k.post("/me/methods/passkey/activate", map[string]any{"ephemeral_token": token})
	done := k.post("/me/methods/passkey/confirm", map[string]any{"ephemeral_token": token, "credential": k.credential(k.create(begun["options"]))})
	if codes, _ := done["recovery_codes"].([]any); len(codes) == 0 || done["access_token"] == nil {
		k.t.Fatalf("set up: %v", done)
	}
	k.token = fmt.Sprint(done["access_token"])
}

func (k *keyed) amr() string {
	k.t.Helper()
	_, me := k.fetch("GET", "/me", nil)
	return fmt.Sprint(me["name"], " ", me["amr"])
}

// Set up between the doors, password and passkey, passkey alone, a pass for a call that
// asks for a code: all by Chromium.
func TestPasskeysInChromium(t *testing.T) {
	k := newKeyed(t)
	k.newcomer("carla")
	if got := k.amr(); got != "carla [pwd hwk]" {
		t.Errorf("after the set-up: %s", got)
	}

	k.token = ""
	half := k.post("/login", map[string]any{"name": "carla", "password": goodPassword})
	if half["status"] != "second_factor" || half["method"] != "passkey" {
		t.Fatalf("first door: %v", half)
	}
	ephemeral := half["ephemeral_token"]
	options := k.post("/login/passkey/begin", map[string]any{"ephemeral_token": ephemeral})["options"]
	body := map[string]any{"ephemeral_token": ephemeral, "credential": k.credential(k.get(options))}
	k.token = fmt.Sprint(k.post("/login/passkey", body)["access_token"])
	if got := k.amr(); got != "carla [pwd hwk]" {
		t.Errorf("password and passkey: %s", got)
	}
	k.token = ""
	if status, answer := k.fetch("POST", "/login/passkey", body); status != 401 {
		t.Errorf("the same answer again: %d %v", status, answer)
	}

	status, done := k.alone()
	if status != 200 {
		t.Fatalf("passkey alone: %d %v", status, done)
	}
	k.token = fmt.Sprint(done["access_token"])
	if got := k.amr(); got != "carla [hwk mfa]" {
		t.Errorf("passkey alone: %s", got)
	}

	options = k.post("/me/methods/passkey/prove/begin", nil)["options"]
	pass := k.post("/me/methods/passkey/prove", map[string]any{"credential": k.credential(k.get(options))})
	if codes := k.post("/me/recovery-codes", map[string]any{"code": pass["code"]}); codes["recovery_codes"] == nil {
		t.Errorf("a call with a pass: %v", codes)
	}
	// A second passkey in the same authenticator: the browser says that there is one.
	begun := k.post("/me/methods/passkey/activate", map[string]any{"label": "again"})
	if got := k.create(begun["options"]); !strings.Contains(got, "InvalidStateError") {
		t.Errorf("a second passkey in the same authenticator: %s", got)
	}
}

// Attack: a page of another program on this machine (the same host, another port, which
// browsers let use our passkeys) asks the gateway for a challenge, lets the victim's
// browser sign it, and hands the signature in; and one under the address, of which the
// browser itself says that it is none of ours.
func TestPasskeySignsForForeignPageInChromium(t *testing.T) {
	k := newKeyed(t)
	k.newcomer("carla")
	k.token = ""
	options := func() any { return k.post("/login/passkey/begin", map[string]any{})["options"] }

	phish := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<title>Win a prize</title>")
	}))
	defer phish.Close()
	stolen := options()
	k.open(strings.Replace(phish.URL, "127.0.0.1", "localhost", 1))
	answer := k.credential(k.get(stolen))
	k.on(k.s.base)
	if status, fields := k.fetch("POST", "/login/passkey", map[string]any{"credential": answer}); status != 401 {
		t.Errorf("a signature for another page: %d %v", status, fields)
	}

	stolen = options()
	k.open(phish.URL)
	if got := k.get(stolen); !strings.Contains(got, "SecurityError") {
		t.Errorf("under an address the browser signs: %s", got)
	}
	k.on(k.s.base)
	if status, fields := k.alone(); status != 200 {
		t.Errorf("the owner afterwards: %d %v", status, fields)
	}
}

// counts sets the counter of a credential.
func (k *keyed) counts(c *webauthn.Credential, at float64) {
	k.t.Helper()
	tell(k, webauthn.SetCredentialProperties, webauthn.SetCredentialPropertiesParams{AuthenticatorID: k.key, CredentialID: c.CredentialID, SignCount: &at})
}

// Attack: a thief copied the private key, and signs with it after the owner did: his
// counter stands where it was. And an authenticator that asks for no PIN signs a whole
// login, with the flag set back on the way.
func TestCopiedPasskeyInChromium(t *testing.T) {
	k := newKeyed(t)
	k.newcomer("carla")
	k.token = ""
	copied := tell(k, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: k.key}).Credentials[0]
	yes := true
	tell(k, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: k.key, IsBadUV: &yes})
	if status, fields := k.alone(); status != 401 {
		t.Errorf("without verification: %d %v", status, fields)
	}
	tell(k, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: k.key, IsBogusSignature: &yes})
	if status, fields := k.alone(); status != 401 {
		t.Errorf("a signature of zeros: %d %v", status, fields)
	}
	tell(k, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: k.key})
	status, done := k.alone()
	if status != 200 {
		t.Fatalf("the owner: %d %v", status, done)
	}

	k.counts(copied, copied.SignCount)
	if status, fields := k.alone(); status != 401 {
		t.Errorf("the thief: %d %v", status, fields)
	}
	k.counts(copied, copied.SignCount+100)
	if status, fields := k.alone(); status != 401 {
		t.Errorf("with a counter that grew, afterwards: %d %v", status, fields)
	}
	k.token = fmt.Sprint(done["access_token"])
	_, methods := k.fetch("GET", "/me/methods", nil)
	list, _ := methods["list"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["cloned"] != true {
		t.Errorf("what its owner sees: %v", methods)
	}
}
