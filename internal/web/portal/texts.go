package portal

import (
	"fmt"
	"time"
)

// texts is every word that pages say, under the key that templates and
// handlers use. Another language is another such table. Values are formats of
// package fmt and hold no markup.
func texts() map[string]string {
	return map[string]string{
		"page.title":       "%s · %s",
		"page.title-error": "Error: %s · %s",

		"way.next":    "Then you go on to",
		"way.account": "Then you come to your account.",
		"way.start":   "Then you come to the start page.",

		"start.title":     "You are signed in",
		"start.nobody":    "You are not signed in",
		"start.signed-in": "You are signed in as",
		"start.as":        "As",
		"start.anonymous": "You are at",
		"start.account":   "Your account",
		"start.sign-in":   "Sign in",
		"start.sign-out":  "Sign out",
		"start.signedout": "You are signed out",
		"start.left":      "You are signed out.",
		"start.site":      "Go to the site itself",
		"start.target":    "The address that you were to be sent to is not one that this gateway serves, so you were left here. Check the link that you followed, or type the address of the site yourself.",

		"login.title":          "Sign in",
		"login.guards":         "This page guards",
		"login.name":           "Name or e-mail address",
		"login.realm":          "Administrators write name@admin.",
		"login.password":       "Password",
		"login.remember":       "Keep me signed in on this device",
		"login.submit":         "Sign in",
		"login.denied":         "That name and password do not match. Check both, and type them again.",
		"login.target-refused": "The address that you were to be sent to is not one that this gateway serves. You can sign in, and will be left on the start page.",
		"login.stranger": "Your browser sent more than one session cookie, so you were not recognised. " +
			"Sign in again. If that does not help, delete the cookies of that site.",

		"login.unsent": "The form that you sent was not handed on, because you have to sign in first. Afterwards, fill it in and send it again.",

		"code.label":        "Code from your authenticator",
		"code.hint":         "The digits that your app shows now. Each code works once.",
		"code.sent":         "Code from the message",
		"code.sent-hint":    "The digits that were sent. Each code works once, and a new one ends the one before.",
		"code.yubikey":      "One-time password of your YubiKey",
		"code.yubikey-hint": "Put the cursor here, then touch the key: it types by itself.",
		"code.proof":        "Code from your authenticator, or a recovery code",

		"passkey.new":          "Add a passkey",
		"passkey.new-about":    "A passkey is a key in your phone, your computer or a security key. It opens the second door without a code, and both doors where the device knows you by a finger, your face or a PIN.",
		"passkey.new-submit":   "Continue",
		"passkey.label":        "What you call it (optional)",
		"passkey.label-hint":   "Such as “blue key” or “work laptop”: it helps when you remove one.",
		"passkey.label-bad":    "A name has at most 128 characters that can be printed.",
		"passkey.create":       "Make the passkey",
		"passkey.create-about": "Your browser asks you for the device, and for a finger, your face or a PIN.",
		"passkey.changed":      "Your passkey was added. All other sessions have ended.",
		"passkey.use":          "Use your passkey",
		"passkey.second-about": "Your browser asks you for your passkey.",
		"passkey.other":        "Use a code instead",
		"passkey.login":        "Sign in with a passkey",
		"passkey.login-about":  "Your browser shows the passkeys that you have for this place. Neither name nor password is needed.",
		"passkey.login-submit": "Choose a passkey",
		"passkey.password":     "Sign in with name and password",
		"passkey.denied":       "That passkey was not accepted. Try again, or use another way.",
		"passkey.failed":       "The browser gave no passkey: it was cancelled, took too long, or none fits. Try again, or use another way.",
		"passkey.noscript":     "Passkeys need JavaScript, which is switched off here. Use another way.",
		"passkey.password-old": "Sign in again first: a first factor needs a password that was given within 15 minutes.",

		"second.title":    "Second step",
		"second.as":       "Signing in as",
		"second.submit":   "Continue",
		"second.other":    "Another way",
		"second.recovery": "Use a recovery code",
		"second.again":    "Start again, with this name or another",
		"second.denied":   "That code is not right, or it was used already. Wait for the next one and try again. If none is right, see that the clock of your phone is set by the network.",
		"second.expired":  "It took too long, was finished already, or had too many wrong codes. Nothing is lost: start again.",
		"second.gone":     "This sign-in has ended",
		"second.restart":  "Start again",

		"second.way-totp":       "Use a code from the authenticator",
		"second.way-email":      "Use a code by e-mail: %s",
		"second.way-sms":        "Use a code by SMS: %s",
		"second.way-own":        "Use a code by %s",
		"second.way-yubikey":    "Use your YubiKey",
		"second.denied-sent":    "That code is not right, it is too old, or it was used already. Type the newest one, or ask for another.",
		"second.denied-yubikey": "That is no good one-time password of your YubiKey, or it was used already. Touch the key again.",
		"second.unchecked":      "Your YubiKey cannot be checked just now. Try again in a minute, or use another way.",

		"send.sent":     "A code was sent to %s.",
		"send.sent-own": "A code was sent by %s.",
		"send.none":     "No code is on its way yet. When you ask for one, it goes to %s.",
		"send.none-own": "If no code has come by %s, ask for one.",
		"send.submit":   "Send a code",
		"send.again":    "Send it again",
		"send.wait":     "Enough codes were sent for now. You can ask for another in %s. The last one that came is still good for its time.",
		"send.cannot":   "Codes cannot be sent just now. Use another way, or ask an administrator.",
		"send.nowhere":  "Your account has no address or number to which a code could be sent. Use another way, or ask an administrator.",

		"recovery.title":  "Recovery code",
		"recovery.about":  "Each of the recovery codes that you saved works once, in place of your authenticator.",
		"recovery.label":  "Recovery code",
		"recovery.hint":   "Hyphens, spaces and capitals do not matter.",
		"recovery.back":   "Use a code instead",
		"recovery.denied": "That recovery code is not right, or it was used already. Take the next one on your list.",
		"recovery.left":   "You are signed in with a recovery code, and have %d left. When they run out, make new ones in your account.",

		"enroll.title":    "Set up your authenticator",
		"enroll.forced":   "A second proof is needed here, and your account has none yet. It takes a minute, and an authenticator app on your phone.",
		"enroll.chosen":   "Your old authenticator goes on working until the new one has shown a good code.",
		"enroll.first":    "An authenticator app on your phone shows codes that nobody else has. From now on you sign in with your password and such a code.",
		"enroll.scan":     "Scan this picture with the app, then type the code that it shows.",
		"enroll.alt":      "QR code for your authenticator app",
		"enroll.manual":   "The picture cannot be scanned?",
		"enroll.secret":   "Or type this key into the app:",
		"enroll.params":   "Kind: time based, %s, %d digits, every %d seconds.",
		"enroll.uri":      "Some apps take this address instead:",
		"enroll.link":     "Open the app on this device",
		"enroll.submit":   "Confirm the code",
		"enroll.denied":   "That code is not right. See that the clock of your phone is set by the network, and type the code shown now.",
		"enroll.nothing":  "Nothing to confirm",
		"enroll.again":    "No authenticator waits to be confirmed: it waited too long, or it was confirmed already. Start again.",
		"enroll.off":      "Signing in needs a second proof. Your account has none, and may not set one up by itself. Ask an administrator for an invitation.",
		"enroll.off-head": "A second proof is needed",

		"enroll.title-sent":    "Set up codes by message",
		"enroll.title-yubikey": "Set up your YubiKey",
		"enroll.sent":          "A code went to %s. Type it here. From now on you sign in with your password and such a code.",
		"enroll.sent-own":      "A code went to you by %s. Type it here. From now on you sign in with your password and such a code.",
		"enroll.yubikey":       "From now on you sign in with your password and a touch of this key.",

		"choose.title":        "Set up a second proof",
		"choose.about":        "A second proof is needed here, and your account has none yet. Choose one. You can add others in your account later.",
		"choose.totp":         "Authenticator app",
		"choose.totp-hint":    "An app on your phone shows codes. It needs no network.",
		"choose.email":        "Codes by e-mail",
		"choose.email-hint":   "A code goes to the address of your account whenever you sign in, and one now.",
		"choose.sms":          "Codes by SMS",
		"choose.sms-hint":     "A code goes to the number of your account whenever you sign in, and one now.",
		"choose.own":          "Codes by %s",
		"choose.own-hint":     "A code goes to you by %s whenever you sign in, and one now.",
		"choose.yubikey":      "YubiKey",
		"choose.yubikey-hint": "You touch the key, and it types a password that works once.",
		"choose.other":        "Set up something else",

		"codes.title":    "Your recovery codes",
		"codes.about":    "Each of these lets you in once when your authenticator is lost. Keep them somewhere safe, away from your phone. They are shown this one time, and older codes no longer work.",
		"codes.for":      "Recovery codes for",
		"codes.download": "Download as a text file",
		"codes.print":    "Or print this page: only the codes come out on paper.",
		"codes.continue": "I have saved them",
		"codes.file":     "Recovery codes of %s for %s\nEach works once. Made %s.\n\n",

		"setup.title":     "Create the first administrator",
		"setup.about":     "Nobody can administer this gateway yet. Choose a name and a password. An authenticator follows.",
		"setup.name":      "Name",
		"setup.name-hint": "Later you sign in as this name followed by @admin.",
		"setup.submit":    "Continue",
		"setup.bad-name":  "That name cannot be used: %s. Choose another.",
		"setup.taken":     "That name is taken. Choose another.",
		"setup.expired":   "A setup link works for an hour, until the server restarts, and only while there is no administrator. “sallyport setup-link”, on the server, prints another.",
		"setup.gone":      "This link has ended",

		"invite.title":   "Welcome",
		"invite.about":   "You were invited. Choose a password, and you are in. You may have to set up an authenticator too.",
		"invite.for":     "Your name here is",
		"invite.submit":  "Continue",
		"invite.expired": "This invitation was used already, or it is too old. Ask whoever invited you for another.",

		"password.title":   "Change your password",
		"password.about":   "When you change it, all your other sessions end.",
		"password.current": "Current password",
		"password.new":     "New password",
		"password.again":   "The new password again",
		"password.hint":    "At least %d characters. A few words in a row are good.",
		"password.submit":  "Change the password",
		"password.missing": "Choose a new password, and type it twice.",
		"password.differ":  "The two new passwords are not the same. Type both again.",
		"password.denied":  "The current password or the code is not right, or the code was used already. Type all of them again, with the code shown now.",
		"password.changed": "Your password is changed. All other sessions have ended.",

		"account.title":          "Your account",
		"account.name":           "Name",
		"account.full-name":      "Full name",
		"account.email":          "E-mail",
		"account.groups":         "Groups",
		"account.password":       "Password",
		"account.password-at":    "Changed %s",
		"account.password-none":  "Never changed here",
		"account.change":         "Change",
		"account.change-label":   "Change the password",
		"account.totp":           "Authenticator",
		"account.totp-at":        "In use since %s",
		"account.totp-none":      "None yet",
		"account.replace":        "Replace",
		"account.replace-label":  "Replace the authenticator",
		"account.add":            "Add",
		"account.add-label":      "Add an authenticator",
		"account.recovery":       "Recovery codes",
		"account.recovery-about": "For the day on which the authenticator is lost",
		"account.renew":          "New codes",
		"account.renew-label":    "New codes: make new recovery codes",
		"account.sessions":       "Sessions",
		"account.sessions-count": "%d open",
		"account.show":           "Show",
		"account.show-label":     "Show the sessions",
		"account.trusted":        "Trusted browsers",
		"account.trusted-count":  "%d sign in without a code",
		"account.trusted-label":  "Show the trusted browsers",
		"account.back":           "Back to your account",
		"account.code-denied":    "That code is not right, or it was used already. Wait for the next one and try again.",

		"totp.title":    "Replace your authenticator",
		"totp.about":    "Type a code of the authenticator that you use now. Then you scan a new one.",
		"totp.add":      "Add an authenticator",
		"totp.add-text": "From then on a code is asked whenever you sign in.",
		"totp.submit":   "Continue",
		"totp.changed":  "Your new authenticator is in use. All other sessions have ended.",

		"newcodes.title":  "New recovery codes",
		"newcodes.about":  "New codes are made, and all the old ones stop working at once.",
		"newcodes.submit": "Make new codes",

		"sessions.title":      "Your sessions",
		"sessions.about":      "Every browser and program that is signed in as you. End what you do not know, then change your password.",
		"sessions.this":       "This is where you are now.",
		"sessions.agent":      "%s on %s",
		"sessions.from":       "From %s",
		"sessions.created":    "Signed in %s",
		"sessions.seen":       "Last seen %s",
		"sessions.unknown":    "Unknown program",
		"sessions.nowhere":    "an unknown address",
		"sessions.end":        "End",
		"sessions.end-others": "End all others, and trust no browser",
		"sessions.ended":      "That session has ended.",
		"sessions.all-ended":  "All other sessions have ended, and no browser is trusted any longer.",

		"trusted.title":    "Your trusted browsers",
		"trusted.about":    "These sign in as you with your password alone. End what you do not know, then change your password. A new password or authenticator ends them all.",
		"trusted.none":     "There are none. Where it is offered, you can trust a browser when you type a code.",
		"trusted.this":     "This is the browser that you use now.",
		"trusted.created":  "Trusted since %s",
		"trusted.used":     "Last used %s",
		"trusted.unused":   "Not used yet",
		"trusted.until":    "Until %s",
		"trusted.end":      "Trust no longer",
		"trusted.end-all":  "Trust none of them",
		"trusted.ended":    "That browser is not trusted any longer: signing in there needs a code again.",
		"trusted.all-gone": "No browser is trusted any longer: signing in needs a code everywhere.",
		"trusted.offer":    "Trust this browser for %s: it will not ask for a code. Only on a device that is yours.",

		"logout.title":  "Sign out",
		"logout.about":  "This signs you out of every site behind this gateway, in this browser.",
		"logout.submit": "Sign out",
		"logout.nobody": "So there is nobody to sign out.",

		"denied.title":      "No access",
		"denied.about":      "This account may not use",
		"denied.ask":        "If it should, ask an administrator. If you have another account that may, use that one.",
		"denied.closed":     "Nobody is let in to this part of",
		"denied.closed-ask": "Signing in would not help. If you should get in, ask an administrator.",
		"denied.other":      "Use another account",

		"error.400": "This request could be read in more than one way, or in none, so nothing was done. Go back and try again. If you followed a link, it may be damaged: type the address yourself.",
		"error.401": "You were signed out in the meantime, so nothing was changed. Sign in, and do it again.",
		"error.403": "You may not do this. If you should be able to, ask an administrator.",
		"error.404": "There is no page at this address. Check it for a typing mistake, or begin at the start page.",
		"error.405": "This address is no page of its own. Begin at the start page.",
		"error.409": "Something else changed this in the meantime. Look at it again, then repeat what you did.",
		"error.413": "That was more than this page takes. Go back, and send less.",
		"error.415": "This page takes a form, and nothing else. Open it in a browser, and use the form that is there.",
		"error.429": "There were too many wrong tries, so more are not looked at. Try again in %s. If it was not you who tried, tell an administrator.",
		"error.500": "Something went wrong on our side. Try again in a minute. If it happens again, tell an administrator when it did: the reason is in the server's log.",
		"error.431": "Your browser sends more along with its requests than the gateway takes. Delete the cookies of this site, then open it again.",
		"error.502": "The site behind this gateway does not answer. Try again in a minute. If it stays like this, tell an administrator.",
		"error.504": "The site behind this gateway took too long. Try again in a minute. If it stays like this, tell an administrator.",
		"error.503": "The gateway cannot answer just now. Try again in %s.",

		"title.400": "Not understood",
		"title.401": "Sign in first",
		"title.403": "Not allowed",
		"title.404": "Not found",
		"title.405": "Cannot be opened",
		"title.409": "Changed meanwhile",
		"title.413": "Too large",
		"title.415": "Not a form",
		"title.429": "Please wait",
		"title.500": "Something went wrong",
		"title.431": "Too many cookies",
		"title.502": "No answer",
		"title.504": "No answer in time",
		"title.503": "Busy",

		"error.foreign":  "This form was sent from another site, so nothing was done. Open the page here, and send it again.",
		"error.embedded": "This page opens only in a window of its own, not inside another page. Open it in a new tab.",
		"error.again":    "Try again",
		"error.start":    "To the start page",
		"error.closed":   "There were too many wrong codes, so codes are not taken any more from this place. Use a recovery code, or ask an administrator.",

		"time.second":  "%d second",
		"time.seconds": "%d seconds",
		"time.minutes": "%d minutes",
		"time.hours":   "%d hours",
		"time.days":    "%d days",
		"time.moment":  "2 Jan 2006, 15:04 MST",
		"time.never":   "never",
	}
}

// say returns the text under key, filled in. A key that does not exist is a
// programming error and panics; a test walks all of them.
func (p *Portal) say(key string, args ...any) string {
	text, ok := p.texts[key]
	if !ok {
		panic("portal: no text " + key)
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// wait says a duration in words, rounded up so that who waits has waited
// long enough.
func (p *Portal) wait(d time.Duration) string {
	up := func(unit time.Duration) int { return max(1, int((d+unit-1)/unit)) }
	switch {
	case d >= 2*time.Hour:
		return p.say("time.hours", up(time.Hour))
	case d >= 2*time.Minute:
		return p.say("time.minutes", up(time.Minute))
	case d > time.Second:
		return p.say("time.seconds", up(time.Second))
	}
	return p.say("time.second", 1)
}

// moment says an instant, in UTC because the server does not know where the
// reader is.
func (p *Portal) moment(t time.Time) string {
	if t.IsZero() {
		return p.say("time.never")
	}
	return t.UTC().Format(p.say("time.moment"))
}
