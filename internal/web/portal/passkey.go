package portal

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// Passkeys are the one thing here that needs a script: only one can ask the browser for
// a signature (WebAuthn). It is one file of ours, it is on no other page, and all it does
// is to fill in a field of a form, which is posted like every other: whatever the server
// decides does not depend on it.

// passkeyForm is the body of every page that asks for a passkey.
type passkeyForm struct {
	ID, Name, Host, About, Action, Submit string
	Way                                   way
	Kind                                  string // create or get
	Options                               string // JSON for navigator.credentials
	Hidden                                map[string]string
	Remember, Back                        bool
	Other, OtherText                      string // a way without a passkey
	Script                                string
}

// passkeyView renders a page with the script.
func (x *exchange) passkeyView(status int, title, alert string, f passkeyForm) error {
	f.Script = x.p.script.path
	h := x.w.Header()
	h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; script-src 'self'")
	return x.page(status, "passkey", view{Title: x.p.say(title), Alert: alert, Notice: x.unsentNotice(""), Body: f})
}

// response is the browser's answer in a form.
func (x *exchange) response() []byte { return []byte(x.form["credential"]) }

// passkeyDenied is the sentence for an answer that is not good, or none.
func (x *exchange) passkeyDenied() string {
	if x.form["credential"] == "" {
		return x.p.say("passkey.noscript")
	}
	return x.p.say("passkey.denied")
}

// passkeyLogin is the page for a whole login with a passkey, on the way to the same place.
func passkeyLogin(f loginForm) string {
	q := url.Values{}
	if f.Target != "" {
		q.Set("rd", f.Target)
		for name, v := range f.Tighten {
			q.Set(name, v)
		}
		if f.Signature != "" {
			q.Set(signatureField, f.Signature)
		}
	}
	if f.Unsent {
		q.Set(web.UnsentParam, web.Unsent)
	}
	if len(q) == 0 {
		return "/sallyport/login/passkey"
	}
	return "/sallyport/login/passkey?" + q.Encode()
}

// passkeyLoginPage is both doors at once, for a passkey that verifies its owner.
func passkeyLoginPage(x *exchange) error { return x.passkeyLoginView(http.StatusOK, "") }

func (x *exchange) passkeyLoginView(status int, alert string) error {
	options, _, err := x.p.doors.BeginPasskeyLogin(login.Portal)
	if errors.Is(err, factor.ErrUnknownMethod) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	target, _ := x.target()
	f := passkeyForm{
		About: x.p.say("passkey.login-about"), Action: "/sallyport/login/passkey", Submit: x.p.say("passkey.login-submit"),
		Kind: "get", Options: string(options), Host: x.siteOf(target), Way: x.way(target), Remember: true,
		OtherText: x.p.say("passkey.password"),
	}
	q := url.Values{}
	f.Hidden = map[string]string{}
	if target != "" {
		f.Hidden["rd"] = target
		for _, name := range [...]string{signatureField, "realm", "factors", "fresh"} {
			if v := x.param(name); v != "" {
				f.Hidden[name] = v
			}
		}
	}
	if x.unsent() {
		f.Hidden[web.UnsentParam] = web.Unsent
	}
	for name, v := range f.Hidden {
		q.Set(name, v)
	}
	f.Other = "/sallyport/login"
	if len(q) > 0 {
		f.Other += "?" + q.Encode()
	}
	x.leave()
	return x.passkeyView(status, "login.title", alert, f)
}

func passkeyLoginSubmit(x *exchange) error {
	target, given := x.target()
	if given && target == "" {
		target = strayed
	}
	if x.form["credential"] == "" {
		return x.passkeyLoginView(http.StatusUnauthorized, x.passkeyDenied())
	}
	next, err := x.p.doors.FinishPasskeyLogin(x.context(), login.PasskeyAttempt{
		Response: x.response(), Door: login.Portal, Client: x.caller(), Remember: x.form["remember"] == "yes", Target: target,
		ReplaceSession: x.live.ID,
	})
	if denied(err) {
		return x.passkeyLoginView(http.StatusUnauthorized, x.passkeyDenied())
	}
	if err != nil {
		return err
	}
	return x.advance(next)
}

// passkeyPage is the second door with a passkey.
func passkeyPage(x *exchange) error { return x.secondPasskey(http.StatusOK, "") }

func (x *exchange) secondPasskey(status int, alert string) error {
	if x.r.Method == http.MethodHead {
		return x.plain(http.StatusOK, "")
	}
	options, err := x.p.doors.PasskeyChallenge(x.context(), x.token, login.Portal)
	if errors.Is(err, factor.ErrNoMethod) {
		return x.see(at("/sallyport/login/code", "l", x.id))
	}
	if err != nil {
		return x.lost(err)
	}
	x.leave()
	return x.passkeyView(status, "second.title", alert, passkeyForm{
		ID: x.id, Name: x.state.Name + "@" + x.state.Realm, Way: x.way(x.state.Target), About: x.p.say("passkey.second-about"),
		Hidden: x.carried(""), Action: "/sallyport/login/passkey-code", Submit: x.p.say("passkey.use"), Kind: "get", Options: string(options),
		Other: halfwayAt("/sallyport/login/code", x.id, x.carried("")), OtherText: x.p.say("passkey.other"),
	})
}

func passkeySubmit(x *exchange) error {
	retry := func() error { return x.secondPasskey(http.StatusUnauthorized, x.passkeyDenied()) }
	if x.form["credential"] == "" {
		return retry()
	}
	s := x.second("", factor.Passkey)
	s.Response = x.response()
	next, err := x.p.doors.Passkey(x.context(), s)
	return x.settle(next, err, retry)
}

// enrollPasskeyPage sets a passkey up between the doors.
func enrollPasskeyPage(x *exchange) error { return x.enrollPasskeyView(http.StatusOK, "") }

func (x *exchange) enrollPasskeyView(status int, alert string) error {
	if x.r.Method == http.MethodHead {
		return x.plain(http.StatusOK, "")
	}
	e, err := x.p.doors.EnrollStart(x.context(), x.token, login.Portal, factor.Passkey, x.caller())
	if errors.Is(err, factor.ErrUnknownMethod) {
		return errNotFound
	}
	if err != nil {
		return x.lost(err)
	}
	x.leave()
	return x.passkeyView(status, "passkey.new", alert, passkeyForm{
		ID: x.id, Name: x.state.Name + "@" + x.state.Realm, Way: x.way(x.state.Target), About: x.p.say("passkey.create-about"),
		Action: "/sallyport/enroll/passkey", Submit: x.p.say("passkey.create"), Kind: "create", Options: string(e.Options),
	})
}

func enrollPasskeySubmit(x *exchange) error {
	retry := func() error { return x.enrollPasskeyView(http.StatusUnauthorized, x.passkeyDenied()) }
	if x.form["credential"] == "" {
		return retry()
	}
	s := x.second("", factor.Passkey)
	s.Response = x.response()
	next, err := x.p.doors.EnrollConfirm(x.context(), s)
	if errors.Is(err, factor.ErrNoPending) {
		return errNothingPending
	}
	return x.settle(next, err, retry)
}

// newPasskeyForm asks for a name and, of whoever has a factor, for a code.
type newPasskeyForm struct {
	Label string
	Code  bool
}

func newPasskeyPage(x *exchange) error { return x.newPasskeyView(http.StatusOK, "") }

func (x *exchange) newPasskeyView(status int, alert string) error {
	if !x.p.factors.Available(factor.Passkey) {
		return errNotFound
	}
	return x.page(status, "passkey-new", view{Title: x.p.say("passkey.new"), Alert: alert, Wrong: []string{"code"},
		Body: newPasskeyForm{Label: x.form["label"], Code: x.hasFactor()}})
}

// newPasskeyBegin makes the challenge of a new passkey. Whoever has a factor proves it;
// whoever has none gave the password a moment ago.
func newPasskeyBegin(x *exchange) error {
	if !x.p.factors.Available(factor.Passkey) {
		return errNotFound
	}
	o := factor.EnrollOptions{Method: factor.Passkey, Beside: true, Name: x.form["label"]}
	if err := account.ValidLabel(o.Name); err != nil {
		return x.newPasskeyView(http.StatusUnprocessableEntity, x.p.say("passkey.label-bad"))
	}
	var e *factor.Enrollment
	var alert string
	var err error
	if x.hasFactor() {
		alert, err = x.proved(func(tx store.Tx, u *account.User) (err error) {
			e, err = x.p.doors.Begin(tx, u, x.live, o, x.caller())
			return err
		})
	} else {
		e, err = x.p.doors.Activate(x.context(), x.live, o, x.caller())
	}
	if errors.Is(err, login.ErrPasswordNotFresh) {
		return x.newPasskeyView(http.StatusForbidden, x.p.say("passkey.password-old"))
	}
	if err != nil {
		return err
	}
	if alert != "" {
		return x.newPasskeyView(http.StatusUnauthorized, alert)
	}
	return x.passkeyView(http.StatusOK, "passkey.new", "", passkeyForm{
		Name: x.name(), Back: true, About: x.p.say("passkey.create-about"), Action: "/sallyport/account/passkey/confirm",
		Submit: x.p.say("passkey.create"), Kind: "create", Options: string(e.Options),
	})
}

// newPasskeyConfirm takes the new passkey. All other sessions end, and this one goes on.
func newPasskeyConfirm(x *exchange) error {
	again := func() error { return x.newPasskeyView(http.StatusUnauthorized, x.passkeyDenied()) }
	if x.form["credential"] == "" {
		return again()
	}
	codes, err := x.p.doors.ConfirmPasskey(x.context(), x.live, x.response(), x.caller())
	switch {
	case errors.Is(err, factor.ErrDenied), errors.Is(err, factor.ErrReplay):
		return again()
	case errors.Is(err, factor.ErrNoPending), errors.Is(err, account.ErrNotFresh), errors.Is(err, login.ErrPasswordNotFresh):
		return errNothingPending
	case err != nil:
		return err
	case len(codes) > 0:
		return x.showCodes(x.name(), codes, "/sallyport/account/?m=passkey")
	}
	return x.see("/sallyport/account/?m=passkey")
}
