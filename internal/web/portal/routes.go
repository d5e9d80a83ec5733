package portal

import (
	"net/http"
	"slices"
	"strings"
)

// caller is who may use a route. The zero caller is nobody: a route that says
// nothing answers nobody.
type caller uint8

const (
	anyone      caller = iota + 1
	halfway            // passed the first door, and has a second factor to show
	enrolling          // passed the first door, and must set up a factor first
	settingUp          // came by the setup link
	invited            // came by an invitation
	resetting          // came by a link for a new password
	registering        // came by a link for a new account
	objecting          // came by the link of a notice
	signedIn           // has a session whose cookie opens the account
)

func (c caller) String() string {
	return [...]string{"nobody", "anyone", "halfway", "enrolling", "setting up", "invited", "resetting", "registering", "objecting", "signed in"}[c]
}

// form is how a route may be reached.
type form uint8

const (
	// window: a page, opened by a person in a window of its own.
	window form = iota
	// picture: loaded by one of our pages.
	picture
	// machine: for programs and probes; answers nothing about anybody.
	machine
)

// action does one route's work. An error is answered by exchange.fail.
type action func(x *exchange) error

// route is one line of the table: a path, its methods, who may call it.
type route struct {
	path    string
	form    form
	get     action // GET and HEAD
	getBy   caller
	post    action
	postBy  caller
	many    string // the field of the form that may come several times
	guarded bool   // answered on guarded hosts too; elsewhere the portal's host alone
}

// routes is everything that this package answers. Paths are compared with the
// raw path of the request: no other spelling of them exists.
func (p *Portal) routes() []route {
	table := []route{
		{path: "/sallyport/", get: start, getBy: anyone},
		{path: "/sallyport/setup", get: setupPage, getBy: anyone, post: setupBegin, postBy: settingUp},
		{path: "/sallyport/setup/code", get: setupCodePage, getBy: settingUp, post: setupFinish, postBy: settingUp},
		{path: "/sallyport/login", get: loginPage, getBy: anyone, post: loginSubmit, postBy: anyone},
		{path: "/sallyport/login/code", get: codePage, getBy: halfway, post: codeSubmit, postBy: halfway},
		{path: "/sallyport/login/challenge", post: challengeSubmit, postBy: halfway},
		{path: "/sallyport/login/passkey", get: passkeyLoginPage, getBy: anyone, post: passkeyLoginSubmit, postBy: anyone},
		{path: "/sallyport/login/passkey-code", get: passkeyPage, getBy: halfway, post: passkeySubmit, postBy: halfway},
		{path: "/sallyport/login/recovery", get: recoveryPage, getBy: halfway, post: recoverySubmit, postBy: halfway},
		{path: "/sallyport/enroll/", get: choosePage, getBy: enrolling, post: chooseSubmit, postBy: enrolling},
		{path: "/sallyport/enroll/code", get: enrollCodePage, getBy: enrolling, post: enrollCodeSubmit, postBy: enrolling},
		{path: "/sallyport/enroll/totp", get: enrollPage, getBy: enrolling, post: enrollSubmit, postBy: enrolling},
		{path: "/sallyport/enroll/passkey", get: enrollPasskeyPage, getBy: enrolling, post: enrollPasskeySubmit, postBy: enrolling},
		{path: "/sallyport/enroll/qr.png", form: picture, get: qrPicture, getBy: anyone},
		{path: "/sallyport/recovery-codes.txt", post: codesFile, postBy: signedIn, many: "recovery_code"},
		{path: "/sallyport/logout", get: logoutPage, getBy: anyone, post: logoutSubmit, postBy: anyone, guarded: true},
		{path: "/sallyport/invite", get: invitePage, getBy: anyone, post: inviteSubmit, postBy: invited},
		{path: "/sallyport/reset", get: resetPage, getBy: anyone, post: resetSubmit, postBy: anyone},
		{path: "/sallyport/reset/confirm", get: resetLinkPage, getBy: anyone, post: resetFinish, postBy: resetting},
		{path: "/sallyport/register", get: registerPage, getBy: anyone, post: registerSubmit, postBy: anyone},
		{path: "/sallyport/register/confirm", get: registerLinkPage, getBy: anyone, post: registerFinish, postBy: registering},
		{path: "/sallyport/not-me", get: notMePage, getBy: anyone, post: notMeSubmit, postBy: objecting},
		{path: "/sallyport/account/", get: accountPage, getBy: signedIn},
		{path: "/sallyport/account/password", get: passwordPage, getBy: signedIn, post: passwordSubmit, postBy: signedIn},
		{path: "/sallyport/account/totp", get: totpPage, getBy: signedIn, post: totpBegin, postBy: signedIn},
		{path: "/sallyport/account/totp/confirm", get: totpConfirmPage, getBy: signedIn, post: totpConfirm, postBy: signedIn},
		{path: "/sallyport/account/passkey", get: newPasskeyPage, getBy: signedIn, post: newPasskeyBegin, postBy: signedIn},
		{path: "/sallyport/account/passkey/confirm", post: newPasskeyConfirm, postBy: signedIn},
		{path: "/sallyport/account/factors", get: factorsPage, getBy: signedIn},
		{path: "/sallyport/account/factors/add", get: factorAddPage, getBy: signedIn, post: factorBegin, postBy: signedIn},
		{path: "/sallyport/account/factors/confirm", get: factorConfirmPage, getBy: signedIn, post: factorConfirm, postBy: signedIn},
		{path: "/sallyport/account/factors/again", post: factorAgain, postBy: signedIn},
		{path: "/sallyport/account/factors/drop", post: factorDrop, postBy: signedIn},
		{path: "/sallyport/account/factors/primary", get: factorFirstPage, getBy: signedIn, post: factorFirst, postBy: signedIn},
		{path: "/sallyport/account/factors/remove", get: factorRemovePage, getBy: signedIn, post: factorRemove, postBy: signedIn},
		{path: "/sallyport/account/code", post: proofSend, postBy: signedIn},
		{path: "/sallyport/account/profile", get: profilePage, getBy: signedIn, post: profileName, postBy: signedIn},
		{path: "/sallyport/account/email", get: emailTarget().page, getBy: signedIn, post: emailTarget().submit, postBy: signedIn},
		{path: "/sallyport/account/email/confirm", get: emailTarget().confirmPage, getBy: signedIn, post: emailTarget().confirm, postBy: signedIn},
		{path: "/sallyport/account/phone", get: phoneTarget().page, getBy: signedIn, post: phoneTarget().submit, postBy: signedIn},
		{path: "/sallyport/account/phone/confirm", get: phoneTarget().confirmPage, getBy: signedIn, post: phoneTarget().confirm, postBy: signedIn},
		{path: "/sallyport/account/activity", get: activityPage, getBy: signedIn},
		{path: "/sallyport/account/recovery-codes", get: newCodesPage, getBy: signedIn, post: newCodesSubmit, postBy: signedIn},
		{path: "/sallyport/account/sessions", get: sessionsPage, getBy: signedIn, post: sessionEnd, postBy: signedIn},
		{path: "/sallyport/account/sessions/end-others", post: sessionsEndOthers, postBy: signedIn},
		{path: "/sallyport/account/trusted-browsers", get: trustedPage, getBy: signedIn, post: trustedEnd, postBy: signedIn},
		{path: "/sallyport/account/trusted-browsers/end-all", post: trustedEndAll, postBy: signedIn},
		{path: "/sallyport/healthz", form: machine, get: healthz, getBy: anyone, guarded: true},
		{path: "/sallyport/readyz", form: machine, get: readyz, getBy: anyone, guarded: true},
		{path: "/sallyport/jwks.json", form: machine, get: jwks, getBy: anyone},
	}
	for _, a := range []asset{p.style, p.icon, p.script} {
		table = append(table, route{path: a.path, form: machine, get: a.serve, getBy: anyone, guarded: true})
	}
	return table
}

// choose finds what a method may do on the route. No action: not allowed.
func (rt route) choose(method string) (action, caller) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return rt.get, rt.getBy
	case http.MethodPost:
		return rt.post, rt.postBy
	}
	return nil, 0
}

// allow is the Allow header of a 405.
func (rt route) allow() string {
	var methods []string
	if rt.get != nil {
		methods = append(methods, http.MethodGet, http.MethodHead)
	}
	if rt.post != nil {
		methods = append(methods, http.MethodPost)
	}
	return strings.Join(methods, ", ")
}

// find returns the route of a raw path on this host.
func (p *Portal) find(path string, guarded bool) (route, bool) {
	i := slices.IndexFunc(p.table, func(rt route) bool { return rt.path == path })
	if i < 0 || guarded && !p.table[i].guarded {
		return route{}, false
	}
	return p.table[i], true
}
