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
		"start.title":     "Where you are",
		"start.signed-in": "You are signed in as",
		"start.anonymous": "You are not signed in.",
		"start.account":   "Your account",
		"start.sign-in":   "Sign in",
		"start.sign-out":  "Sign out",
		"start.signedout": "You are signed out.",
		"start.target":    "You are signed in. The address that you were to be sent to is not one that this gateway serves, so you were left here.",

		"login.title":    "Sign in",
		"login.guards":   "to go on to",
		"login.name":     "Name or e-mail address",
		"login.realm":    "Administrators write name@admin.",
		"login.password": "Password",
		"login.remember": "Keep me signed in on this device",
		"login.submit":   "Sign in",
		"login.target":   "Afterwards you go on to",
		"login.denied":   "That name and password do not match.",
		"login.stranger": "Your browser sent more than one session cookie, so you were not recognised. " +
			"Sign in again. If that does not help, delete the cookies of that site.",
		"login.target-refused": "The address that you were to be sent to is not one that this gateway serves. " +
			"You can sign in, and will be left on the start page.",

		"code.label": "Code from your authenticator",
		"code.hint":  "The digits that your app shows now. Each code works once.",
		"code.proof": "Code from your authenticator, or a recovery code",

		"second.title":    "Second step",
		"second.as":       "Signing in as",
		"second.submit":   "Continue",
		"second.other":    "Another way",
		"second.recovery": "Use a recovery code",
		"second.again":    "Start again with another name",
		"second.denied":   "That code is not right, or it was used already. Wait for the next one and try again. If none is right, see that the phone's clock is set by the network.",
		"second.expired":  "This sign-in has ended: it took too long, was finished already, or had too many wrong codes. Nothing is lost; start again.",
		"second.gone":     "This sign-in has ended",
		"second.restart":  "Start again",

		"recovery.title":  "Recovery code",
		"recovery.about":  "Each of the recovery codes that you saved works once, in place of your authenticator.",
		"recovery.label":  "Recovery code",
		"recovery.hint":   "Hyphens, spaces and capitals do not matter.",
		"recovery.back":   "Use a code from the authenticator instead",
		"recovery.denied": "That recovery code is not right, or it was used already.",
		"recovery.left":   "You are signed in with a recovery code. You have %d left.",

		"enroll.title":    "Set up your authenticator",
		"enroll.forced":   "A second proof is needed here, and your account has none yet. It takes a minute: you need an authenticator app on your phone.",
		"enroll.chosen":   "Your old authenticator goes on working until the new one has shown a good code.",
		"enroll.first":    "Now the second door: an authenticator app on your phone shows codes that nobody else has.",
		"enroll.scan":     "Scan this picture with the app, then type the code that it shows.",
		"enroll.alt":      "QR code for your authenticator app",
		"enroll.manual":   "The picture cannot be scanned?",
		"enroll.secret":   "Type this key into the app:",
		"enroll.params":   "Kind: time based, %s, %d digits, every %d seconds.",
		"enroll.link":     "On the phone itself, this link opens the app:",
		"enroll.submit":   "Confirm the code",
		"enroll.denied":   "That code is not right. Check that the phone's clock is set by the network, and type the code shown now.",
		"enroll.nothing":  "Nothing to confirm",
		"enroll.again":    "There is no authenticator waiting to be confirmed, or it waited too long. Start again.",
		"enroll.off":      "A second proof is needed here, your account has none, and it may not be set up at the door. Ask an administrator.",
		"enroll.off-head": "A second proof is needed",

		"codes.title":    "Your recovery codes",
		"codes.about":    "Keep these somewhere safe, away from your phone. Each lets you in once when the authenticator is lost. They are shown this one time; older codes no longer work.",
		"codes.for":      "Recovery codes for",
		"codes.download": "Download as a text file",
		"codes.print":    "Or print this page: only the codes come out on paper.",
		"codes.continue": "I have saved them, continue",
		"codes.file":     "Recovery codes of %s for %s\nEach works once. Made %s.\n\n",

		"setup.title":     "Create the first administrator",
		"setup.about":     "Nobody can administer this gateway yet. Choose a name and a password; an authenticator follows.",
		"setup.name":      "Name",
		"setup.name-hint": "You will sign in as this name followed by @admin.",
		"setup.submit":    "Continue",
		"setup.bad-name":  "That name is refused: %s.",
		"setup.taken":     "That name is taken.",
		"setup.expired":   "This setup link has ended: it lives for an hour and until the server restarts, and is of no use once there is an administrator. “sallyport setup-link” prints another.",
		"setup.gone":      "This link has ended",

		"invite.title":   "Welcome",
		"invite.about":   "You were invited. Choose a password for your account; an authenticator may follow.",
		"invite.submit":  "Continue",
		"invite.expired": "This invitation has ended: it was used already, or it is too old. Ask for another.",

		"password.title":   "Change your password",
		"password.about":   "All your other sessions end when you change it.",
		"password.current": "Current password",
		"password.new":     "New password",
		"password.again":   "The new password again",
		"password.hint":    "At least %d characters. A few words in a row are good.",
		"password.submit":  "Change the password",
		"password.missing": "Choose a new password, and type it twice.",
		"password.differ":  "The two new passwords are not the same.",
		"password.denied":  "The current password or the code is not right, or the code was used already.",
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
		"account.totp":           "Authenticator",
		"account.totp-at":        "In use since %s",
		"account.totp-none":      "None yet",
		"account.replace":        "Replace",
		"account.add":            "Add",
		"account.recovery":       "Recovery codes",
		"account.recovery-about": "For the day on which the authenticator is lost",
		"account.renew":          "New codes",
		"account.sessions":       "Sessions",
		"account.sessions-count": "%d open",
		"account.show":           "Show",
		"account.back":           "Back to your account",
		"account.code-denied":    "That code is not right, or it was used already. Wait for the next one and try again.",

		"totp.title":    "Replace your authenticator",
		"totp.about":    "Type a code of the authenticator that you use now. Then you scan a new one.",
		"totp.add":      "Add an authenticator",
		"totp.add-text": "From then on a code is asked whenever you sign in.",
		"totp.submit":   "Continue",
		"totp.changed":  "Your new authenticator is in use. All other sessions have ended.",

		"newcodes.title":  "New recovery codes",
		"newcodes.about":  "Ten new codes are made, and all the old ones stop working at once.",
		"newcodes.submit": "Make new codes",

		"sessions.title":      "Your sessions",
		"sessions.about":      "Every browser and program that is signed in as you.",
		"sessions.this":       "(this one)",
		"sessions.line":       "From %s, signed in %s, last seen %s",
		"sessions.unknown":    "Unknown program",
		"sessions.nowhere":    "an unknown address",
		"sessions.end":        "End",
		"sessions.end-others": "End all others",
		"sessions.ended":      "That session has ended.",
		"sessions.all-ended":  "All other sessions have ended.",

		"logout.title":  "Sign out",
		"logout.submit": "Sign out",
		"logout.nobody": "You are not signed in.",

		"denied.title":  "No access",
		"denied.about":  "This account is not admitted to",
		"denied.closed": "Nobody is admitted to",
		"denied.other":  "Use another account",

		"error.400": "This request is malformed, so it was not looked at.",
		"error.401": "Please sign in first.",
		"error.403": "This is not allowed.",
		"error.404": "There is nothing here.",
		"error.405": "This address does not work that way.",
		"error.409": "Something else changed this in the meantime. Look at it again, then repeat what you did.",
		"error.413": "This is more than this page takes.",
		"error.415": "This page takes a form, and nothing else.",
		"error.429": "There were too many wrong tries. Try again in %s.",
		"error.500": "Something went wrong on our side. It is in the server's log.",
		"error.431": "The headers of this request are more than the gateway takes. Deleting the cookies of this site may help.",
		"error.502": "The site behind the gateway does not answer.",
		"error.504": "The site behind the gateway took too long.",
		"error.503": "The gateway cannot answer just now. Try again in %s.",

		"title.400": "Malformed request",
		"title.401": "Sign in first",
		"title.403": "Not allowed",
		"title.404": "Not found",
		"title.405": "Wrong method",
		"title.409": "Changed meanwhile",
		"title.413": "Too large",
		"title.415": "Not a form",
		"title.429": "Please wait",
		"title.500": "Something went wrong",
		"title.431": "Headers too large",
		"title.502": "No answer",
		"title.504": "No answer in time",
		"title.503": "Busy",

		"error.foreign":  "This form was sent from another site, so it was refused. Open the page here and send it again.",
		"error.embedded": "This page opens only in a window of its own.",
		"error.start":    "To the start page",
		"error.closed":   "There were too many wrong codes, so codes are not taken any more from this place. Use a recovery code, or ask an administrator.",

		"time.second":  "%d second",
		"time.seconds": "%d seconds",
		"time.minutes": "%d minutes",
		"time.hours":   "%d hours",
		"time.moment":  "2 January 2006, 15:04 MST",
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
