package main

import (
	"testing"

	"github.com/chromedp/cdproto/webauthn"
)

// A person and the pages: Chromium's own authenticator makes a passkey under the account,
// opens the second door with it, and then both doors without a name or a password.
func TestPasskeyPagesInChromium(t *testing.T) {
	w := newWalk(t, "realms: {users: {methods: [totp, passkey]}}\n", "--demo")
	k := &keyed{tab: w.tab, s: w.s}
	base := w.s.base
	alice := w.s.addUser("alice")
	w.open(base + "/sallyport/login")
	tell(k, webauthn.Enable, webauthn.EnableParams{})
	tell(k, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	const ask = "#passkey button"
	let := func(run bool) { w.do("let scripts run", scripts(run)) }

	w.fill("username", "alice", "password", alice.password)
	w.fill("code", alice.code(t, 0))
	w.open(base + "/sallyport/account/passkey")
	w.see("passkey-new", "Add a passkey")
	w.fill("label", "Blue key", "code", alice.recovery[0])
	w.see("passkey-create", "Add a passkey")
	let(false)
	w.press(ask)
	w.see("passkey-noscript", "Add a passkey")

	let(true)
	w.open(base + "/sallyport/account/passkey")
	w.fill("label", "Blue key", "code", alice.recovery[1])
	w.press(ask)
	w.shows("Your passkey was added")

	w.open(base + "/sallyport/logout")
	w.press(signOutField)
	w.open(base + "/sallyport/login")
	w.fill("username", "alice", "password", alice.password)
	w.follow("/sallyport/login/passkey-code")
	w.see("passkey-second", "Second step")
	let(true)
	w.open(w.location())
	w.press(ask)
	w.shows("You are signed in")

	w.open(base + "/sallyport/logout")
	w.press(signOutField)
	w.open(base + "/sallyport/login")
	w.follow("/sallyport/login/passkey")
	w.see("passkey-login", "Sign in")
	let(true)
	w.open(base + "/sallyport/login/passkey")
	w.press(ask)
	w.shows("You are signed in", "alice@users")
	w.end(5)
}
