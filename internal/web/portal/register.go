package portal

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// registers reports whether people make their own accounts in a realm; "": the default
// one.
func (x *exchange) registers(realm string) (yes bool, err error) {
	if !x.p.doors.MailsLinks() {
		return false, nil
	}
	err = x.p.store.View(x.context(), func(tx store.Tx) error {
		r, err := x.p.directory.Realm(tx, cmp.Or(realm, x.p.directory.DefaultRealm()))
		if errors.Is(err, account.ErrUnknownRealm) {
			return nil
		}
		yes = err == nil && r.Registration != nil
		return err
	})
	return yes, err
}

// registerPage asks for an address. A realm that does not let people register has no such
// page.
func registerPage(x *exchange) error { return x.registerAsk(http.StatusOK, "") }

func (x *exchange) registerAsk(status int, alert string) error {
	realm := x.param("realm")
	if ok, err := x.registers(realm); err != nil || !ok {
		return cmp.Or(err, errNotFound)
	}
	return x.page(status, "ask", view{Title: x.p.say("register.title"), Alert: alert, Body: askForm{
		About: x.p.say("register.about"), Action: "/sallyport/register", Label: x.p.say("register.address"), Kind: "email", Complete: "email",
		Value: x.form["username"], Submit: x.p.say("register.ask"), Realm: realm,
	}})
}

// registerSubmit has one answer, whether there is an account.
func registerSubmit(x *exchange) error {
	realm := x.param("realm")
	if ok, err := x.registers(realm); err != nil || !ok {
		return cmp.Or(err, errNotFound)
	}
	err := x.p.doors.Register(x.context(), realm, x.form["username"], x.caller())
	switch {
	case errors.Is(err, account.ErrInvalid):
		return x.registerAsk(http.StatusUnprocessableEntity, x.p.say("register.bad"))
	case errors.Is(err, account.ErrDomain):
		return x.registerAsk(http.StatusUnprocessableEntity, x.p.say("register.domain"))
	case errors.Is(err, account.ErrRegistrationClosed):
		return errNotFound
	case err != nil:
		return err
	}
	return x.sent("register.sent")
}

// registerForm makes the account.
type registerForm struct{ ID, Address, Name, FullName string }

// registerLinkPage trades a link for a cookie, as invitePage does.
func registerLinkPage(x *exchange) error {
	if token := x.query["token"]; token != "" {
		return x.trade(token, login.RegisterPath, func() (secret.Token, error) {
			return x.p.doors.TradeRegister(x.context(), token)
		})
	}
	if err := x.admit(registering); err != nil {
		return x.endedLink(err, "register.expired")
	}
	return x.registerView(http.StatusOK, fault{})
}

func (x *exchange) registerView(status int, f fault) error {
	return x.page(status, "register", view{Title: x.p.say("register.title"), Alert: f.text, Wrong: f.fields, Body: registerForm{
		ID: x.id, Address: x.state.Address, Name: x.form["username"], FullName: x.form["full_name"],
	}})
}

func registerFinish(x *exchange) error {
	if f := x.newPassword(); f.text != "" {
		return x.registerView(http.StatusUnprocessableEntity, f)
	}
	_, next, err := x.p.doors.RegisterFinish(x.context(), login.RegisterAttempt{
		Door: login.Portal, Token: x.token, Name: x.form["username"], FullName: x.form["full_name"], Password: x.form["new_password"], Client: x.caller(),
	})
	if f := x.refusal(err); f.text != "" {
		return x.registerView(http.StatusUnprocessableEntity, f)
	}
	switch {
	case errors.Is(err, account.ErrInvalid):
		return x.registerView(http.StatusUnprocessableEntity, fault{x.p.say("register.bad-name"), []string{"username", "full_name"}})
	case errors.Is(err, account.ErrAddressTaken), errors.Is(err, account.ErrRegistrationClosed):
		return x.endedLink(errGone, "register.expired")
	case err != nil:
		return x.endedLink(err, "register.expired")
	}
	return x.advance(next)
}
