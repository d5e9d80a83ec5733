package portal

import (
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// accountBody is what the account page shows.
type accountBody struct {
	Name, FullName, Email, Groups string
	Password, TOTP, Sessions      string
	HasTOTP, HasFactor            bool
	Trusted                       string // "": there are none
}

// accountPage shows the signed-in person's own record.
func accountPage(x *exchange) error {
	var u *account.User
	var open []session.Session
	var trusted []login.TrustedBrowser
	err := x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		if u, err = x.p.directory.ByID(tx, x.live.Identity.ID); err != nil {
			return err
		}
		if open, err = x.p.sessions.List(tx, u.ID); err != nil {
			return err
		}
		trusted, err = x.p.doors.TrustedBrowsers(tx, u, "")
		return err
	})
	if err != nil {
		return err
	}
	b := accountBody{
		Name: u.Ref().String(), FullName: u.FullName, Email: u.Email, Groups: strings.Join(u.Groups, ", "),
		Password: x.p.say("account.password-none"), TOTP: x.p.say("account.totp-none"),
		Sessions: x.p.say("account.sessions-count", len(open)), HasFactor: u.Factors() > 0,
	}
	if len(trusted) > 0 {
		b.Trusted = x.p.say("account.trusted-count", len(trusted))
	}
	if !u.PasswordAt.IsZero() {
		b.Password = x.p.say("account.password-at", x.p.moment(u.PasswordAt))
	}
	for _, m := range u.Methods {
		if m.Name == string(factor.TOTP) {
			b.HasTOTP, b.TOTP = true, x.p.say("account.totp-at", x.p.moment(m.AddedAt))
		}
	}
	notices := map[string]string{"password": "password.changed", "totp": "totp.changed", "passkey": "passkey.changed"}
	v := view{Title: x.p.say("account.title"), Body: b}
	if key, ok := notices[x.query["m"]]; ok {
		v.Notice = x.p.say(key)
	}
	return x.page(http.StatusOK, "account", v)
}

// hasFactor reports whether changes ask for a code.
func (x *exchange) hasFactor() bool { return x.live.Identity.Methods > 0 }

// proved makes a change for a fresh code in this very request: on an origin that
// is shared with an upstream, a cookie alone proves that a browser is signed in,
// not that its owner wants a change. Session, code and change are judged in one
// transaction. It returns the sentence to show where the code is not good.
func (x *exchange) proved(change func(tx store.Tx, u *account.User) error) (alert string, err error) {
	if x.form["code"] == "" {
		return x.p.say("account.code-denied"), nil
	}
	err = x.p.doors.WithFresh(x.context(), x.live, x.form["code"], x.caller(), change)
	if denied(err) || errors.Is(err, login.ErrCodeNeeded) {
		return x.p.say("account.code-denied"), nil
	}
	return "", err
}

// change is an Update of somebody who is signed in, and still is when it is made:
// what a thief has under way when his session is revoked is not done after it.
func (x *exchange) change(fn func(store.Tx) error) error {
	return x.p.store.Update(x.context(), func(tx store.Tx) error {
		if err := x.p.sessions.Alive(tx, x.live.ID); errors.Is(err, session.ErrNone) {
			return errSignIn
		} else if err != nil {
			return err
		}
		return fn(tx)
	})
}

// self is the person who changes his own record.
func (x *exchange) self() account.Actor {
	return account.Self(x.live.Identity.ID).From(x.p.client(x.r), x.live.ID)
}

type passwordForm struct {
	Name  string
	Code  bool
	Sends *proofSends
}

func passwordPage(x *exchange) error { return x.passwordView(http.StatusOK, fault{}) }

func (x *exchange) passwordView(status int, f fault) error {
	sends, notice, err := x.sends("/sallyport/account/password")
	if err != nil {
		return err
	}
	return x.page(status, "password", view{Title: x.p.say("password.title"), Alert: f.text, Wrong: f.fields, Notice: notice,
		Body: passwordForm{Name: x.name(), Code: x.hasFactor(), Sends: sends}})
}

// passwordSubmit changes the password. The current one, the code and the new
// one are judged together, so that a wrong one tells nothing of the others.
func passwordSubmit(x *exchange) error {
	if f := x.newPassword(); f.text != "" {
		return x.passwordView(http.StatusUnprocessableEntity, f)
	}
	refused := fault{x.p.say("password.denied"), []string{"password", "code"}}
	if x.form["password"] == "" || x.hasFactor() && x.form["code"] == "" {
		return x.passwordView(http.StatusUnauthorized, refused)
	}
	err := x.p.doors.ChangePassword(x.context(), x.live, x.form["password"], x.form["new_password"], x.form["code"], x.caller())
	if f := x.refusal(err); f.text != "" {
		return x.passwordView(http.StatusUnprocessableEntity, f)
	}
	if denied(err) || errors.Is(err, login.ErrCodeNeeded) {
		return x.passwordView(http.StatusUnauthorized, refused)
	}
	if err != nil {
		return err
	}
	return x.see("/sallyport/account/?m=password")
}

// confirmBody is a page that says what will happen and asks for a code.
type confirmBody struct {
	About, Action, Submit string
	Code                  bool
	Hidden                map[string]string
	Sends                 *proofSends
}

func newCodesPage(x *exchange) error { return x.newCodesView(http.StatusOK, "") }

func (x *exchange) newCodesView(status int, alert string) error {
	if !x.hasFactor() {
		return x.see("/sallyport/account/")
	}
	return x.asking(status, x.p.say("newcodes.title"), alert, "/sallyport/account/recovery-codes", confirmBody{
		About: x.p.say("newcodes.about"), Action: "/sallyport/account/recovery-codes",
		Submit: x.p.say("newcodes.submit"), Code: true,
	})
}

// newCodesSubmit makes a fresh set of recovery codes and shows it once.
func newCodesSubmit(x *exchange) error {
	if !x.hasFactor() {
		return errNothingPending
	}
	var codes []string
	alert, err := x.proved(func(tx store.Tx, u *account.User) (err error) {
		codes, err = x.p.factors.NewRecoveryCodes(tx, x.self(), u.ID)
		return err
	})
	if err != nil {
		return err
	}
	if alert != "" {
		return x.newCodesView(http.StatusUnauthorized, alert)
	}
	return x.showCodes(x.name(), codes, "/sallyport/account/")
}

// minLength is what a new password needs unless it is unusually strong.
func (p *Portal) minLength() int {
	if n := p.directory.Passwords().MinLength; n > 0 {
		return n
	}
	return 12 // secret.CheckPassword's default
}
