package main

import (
	"cmp"
	"strings"
	"testing"
)

// The pages of the account on which nothing is sent are accessible too.
func TestAccountPagesInChromium(t *testing.T) {
	w := newWalk(t, "portal: "+portal+"\nrealms:\n  admin: {methods: [totp, yubikey]}\n", "--demo")
	w.open(w.s.setupURL())
	w.fill("username", "dana", "new_password", goodPassword, "again", goodPassword)
	dana := person{name: "dana", secret: w.secret()}
	w.fill("code", dana.code(t, 0))
	const account = portal + "/sallyport/account/"
	for _, page := range []struct{ path, heading string }{
		{"", "Your account"}, {"factors", "Your second factors"}, {"factors/add", "Add a second factor"}, {"factors/add?way=totp", "Authenticator app"},
		{"factors/add?way=yubikey", "YubiKey"}, {"factors/primary?way=totp", "What is asked for first"}, {"factors/remove?way=totp", "Remove a second factor"},
		{"profile", "Your profile"}, {"email", "Change your e-mail address"}, {"phone", "Change your phone number"},
		{"email/confirm", "Confirm the change"}, {"activity", "Recent activity"},
	} {
		w.open(account + page.path)
		w.see("own-"+strings.NewReplacer("/", "-", "?way=", "-").Replace(cmp.Or(page.path, "account")), page.heading)
	}
	w.open(account + "email")
	w.fill("target", "dana@example.com", "code", "000000")
	w.see("email-error", "Change your e-mail address")
	w.open(account + "factors/add?way=yubikey")
	w.fill("label", "blue key", "code", dana.code(t, 1))
	w.see("yubikey-confirm", "Set up your YubiKey")
	w.open(account + "factors")
	w.see("factors-pending", "Your second factors")
	w.end(15)
}
