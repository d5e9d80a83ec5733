package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// authenticator is one that Chromium itself has: its own WebAuthn code makes and signs what
// the gateway judges.
type authenticator struct {
	tab
	id webauthn.AuthenticatorID
}

func (b tab) authenticator() authenticator {
	b.t.Helper()
	id := read(b, "make an authenticator", chromedp.Action[webauthn.AuthenticatorID](func(ctx context.Context, t *chromedp.Target) (webauthn.AuthenticatorID, error) {
		if _, err := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return "", err
		}
		made, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
			HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
		return made.AuthenticatorID, err
	}))
	return authenticator{b, id}
}

// keys are the passkeys in it.
func (a authenticator) keys() []*webauthn.Credential {
	a.t.Helper()
	return read(a.tab, "read the authenticator", chromedp.Action[[]*webauthn.Credential](func(ctx context.Context, t *chromedp.Target) ([]*webauthn.Credential, error) {
		got, err := cdp.Call(ctx, t, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id})
		return got.Credentials, err
	}))
}

// counts sets the counter of a passkey: a copy of it has fallen behind.
func (a authenticator) counts(key []byte, n float64) {
	a.t.Helper()
	a.do("set a counter", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, webauthn.SetCredentialProperties, webauthn.SetCredentialPropertiesParams{AuthenticatorID: a.id, CredentialID: key, SignCount: &n})
		return err
	}))
}

// passkeyScript is what a page does with passkeys: nothing but the browser's own calls.
const passkeyScript = `
const call = async (method, path, body, token) => {
	const headers = {"Content-Type": "application/json"};
	if (token) headers["Authorization"] = "Bearer " + token;
	const r = await fetch("/sallyport/api/v1" + path, {method, headers, body: body && JSON.stringify(body), credentials: "omit"});
	const text = await r.text();
	return {status: r.status, ...(text ? JSON.parse(text) : {})};
};
const create = async (options) => (await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey)})).toJSON();
const get = async (options) => (await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey)})).toJSON();
`

// script runs something on the page, with passkeyScript before it.
func (b tab) script(body string) map[string]any {
	b.t.Helper()
	text := read(b, "run a script", chromedp.Evaluate[string](
		"(async () => {"+passkeyScript+"try { return JSON.stringify(await (async () => {"+body+"})()) } catch (e) { return JSON.stringify({thrown: String(e)}) } })()",
		chromedp.EvalAwaitPromise))
	out := map[string]any{}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		b.t.Fatalf("a script answered %s: %v", text, err)
	}
	return out
}

// Chromium sets up a passkey in its own authenticator, logs in by password and passkey,
// by the passkey alone, and proves itself for a change; an authenticator that does not
// verify, one whose counter fell, and a page at another address get nowhere.
func TestPasskeysInChromium(t *testing.T) {
	s := serveBinary(t, t.TempDir(), "--demo")
	alice := s.addUser("alice")
	b := tab{t: t, ctx: chromium(t)}
	b.do("let pages run scripts", scripts(true))
	b.open(s.base + "/sallyport/docs") // a page of ours that may call the API
	device := b.authenticator()

	half := func() string {
		return fmt.Sprintf(`const half = await call("POST", "/login", {name: "alice", password: %q});`, alice.password)
	}
	made := b.script(half() + fmt.Sprintf(`
		const done = await call("POST", "/login/code", {ephemeral_token: half.ephemeral_token, code: %q});
		const begun = await call("POST", "/me/methods/passkey/activate", {label: "Chromium"}, done.access_token);
		const credential = await create(begun.options);
		return {begun, credential, ...await call("POST", "/me/methods/passkey/confirm", {credential}, done.access_token)};`, alice.code(t, 0)))
	if made["status"] != 200.0 {
		t.Fatalf("set up: %v", made)
	}
	keys := device.keys()
	if len(keys) != 1 || keys[0].RpID != "localhost" || !keys[0].IsResidentCredential || keys[0].UserName != "alice@users" || len(keys[0].UserHandle) != 16 {
		t.Fatalf("the authenticator holds %+v", keys)
	}

	second := b.script(half() + `
		const begun = await call("POST", "/login/passkey/begin", {ephemeral_token: half.ephemeral_token});
		const done = await call("POST", "/login/passkey", {ephemeral_token: half.ephemeral_token, credential: await get(begun.options)});
		const me = await call("GET", "/me", null, done.access_token);
		return {ways: half.other_methods, done, me, amr: me.amr};`)
	if fmt.Sprint(second["amr"]) != "[pwd hwk]" {
		t.Errorf("password and passkey: %v", second)
	}

	const alone = `
		const begun = await call("POST", "/login/passkey/begin", {});
		const credential = await get(begun.options);
		const done = await call("POST", "/login/passkey", {credential});`
	whole := b.script(alone + `
		const me = await call("GET", "/me", null, done.access_token);
		const replayed = await call("POST", "/login/passkey", {credential});
		const asked = await call("POST", "/me/methods/passkey/prove/begin", null, done.access_token);
		const pass = await call("POST", "/me/methods/passkey/prove", {credential: await get(asked.options)}, done.access_token);
		const primary = await call("PUT", "/me/methods/primary", {method: "passkey", code: pass.code}, done.access_token);
		return {done, amr: me.amr, name: me.name, replayed: replayed.status, primary: primary.status};`)
	if fmt.Sprint(whole["amr"]) != "[hwk mfa]" || whole["name"] != "alice" || whole["replayed"] != 401.0 || whole["primary"] != 200.0 {
		t.Errorf("the passkey alone: %v", whole)
	}

	// Whoever only touches the device passes as a second factor; alone the browser itself
	// refuses to sign, since verification is demanded.
	verifies := func(verified bool) {
		b.do("let the authenticator verify, or not", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: device.id, IsUserVerified: verified})
			return err
		}))
	}
	bad := func(flag bool) {
		b.do("let the authenticator lie of its flag", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: device.id, IsBadUV: &flag})
			return err
		}))
	}
	verifies(false)
	if out := b.script(alone + `return done;`); !strings.Contains(fmt.Sprint(out["thrown"]), "NotAllowedError") {
		t.Errorf("alone, not verified: %v", out)
	}
	verifies(true)
	bad(true)
	if out := b.script(alone + `return done;`); out["status"] != 401.0 {
		t.Errorf("alone, without the flag: %v", out)
	}
	bad(false)

	// A page of another port is another origin, though the host is the same.
	other := serveBinary(t, t.TempDir(), "--demo")
	b.open(other.base + "/sallyport/docs")
	foreign := b.script(`const begun = await call("POST", "/login/passkey/begin", {}); return {credential: await get(begun.options)};`)
	if status, answer := call(t, browserLike(t), "POST", s.base+"/sallyport/api/v1/login/passkey", map[string]any{"credential": foreign["credential"]}, nil); foreign["credential"] == nil || status != 401 {
		t.Errorf("signed for another port: %d %v, %v", status, answer, foreign)
	}
	// By its address the page has no passkeys at all.
	b.open("http://" + s.addr + "/sallyport/docs")
	if out := b.script(alone + `return done;`); !strings.Contains(fmt.Sprint(out["thrown"]), "SecurityError") {
		t.Errorf("at an address: %v", out)
	}

	// The counter falls behind: somebody copied the key. Neither copy is good any more.
	b.open(s.base + "/sallyport/docs")
	device.counts(keys[0].CredentialID, 0)
	if out := b.script(alone + `return done;`); out["status"] != 401.0 {
		t.Errorf("a counter that fell: %v", out)
	}
	device.counts(keys[0].CredentialID, 1000)
	if out := b.script(alone + `return done;`); out["status"] != 401.0 {
		t.Errorf("the copied passkey, counting on: %v", out)
	}
	_, events := s.admin("GET", "/audit?limit=50", nil)
	kinds := []string{}
	for _, e := range events["events"].([]any) {
		kinds = append(kinds, fmt.Sprint(e.(map[string]any)["kind"]))
	}
	if !slices.Contains(kinds, "factor.clone") {
		t.Errorf("events: %v", kinds)
	}
}
