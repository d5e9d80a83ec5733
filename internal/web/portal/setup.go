package portal

import (
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// setupPage trades the link for a cookie and goes on to a clean URL, which
// asks for name and password. Nothing is burned by looking.
func setupPage(x *exchange) error {
	if token := x.query["token"]; token != "" {
		return x.trade(token, "/sallyport/setup", func() (secret.Token, error) {
			return x.p.doors.TradeSetup(x.context(), token)
		})
	}
	if err := x.admit(settingUp); err != nil {
		return x.endedLink(err, "setup.expired")
	}
	return x.setupView(http.StatusOK, fault{}, x.state.Name)
}

// trade answers the first look at a link.
func (x *exchange) trade(token, path string, fn func() (secret.Token, error)) error {
	if x.r.Method == http.MethodHead { // mail scanners look like this
		return x.plain(http.StatusOK, "")
	}
	cookie, err := fn()
	if err != nil {
		key, ok := map[string]string{"/sallyport/invite": "invite.expired", login.ResetPath: "reset.expired",
			login.RegisterPath: "register.expired", login.NotMePath: "notme.expired"}[path]
		if !ok {
			key = "setup.expired"
		}
		return x.endedLink(err, key)
	}
	id := x.begin(cookie.Reveal(), login.LinkCookieLife)
	return x.see(at(path, "l", id))
}

// endedLink says that a link, or what it was traded for, is dead. Whoever can ask for
// another by himself is led there.
func (x *exchange) endedLink(err error, key string) error {
	if !denied(err) && !errors.Is(err, errGone) && !errors.Is(err, login.ErrSetupDone) && !errors.Is(err, account.ErrRegistrationClosed) {
		return err
	}
	x.end()
	m := message{Title: x.p.say("setup.gone"), Text: x.p.say(key), Link: "/sallyport/", LinkText: x.p.say("error.start")}
	if key == "reset.expired" && x.p.doors.MailsLinks() {
		m.Link, m.LinkText = "/sallyport/reset", x.p.say("reset.title")
	}
	return x.message(http.StatusForbidden, m)
}

type setupForm struct{ ID, Name string }

func (x *exchange) setupView(status int, f fault, name string) error {
	return x.page(status, "setup", view{Title: x.p.say("setup.title"), Alert: f.text, Wrong: f.fields, Body: setupForm{ID: x.id, Name: name}})
}

// setupBegin takes name and password. Nobody is created yet.
func setupBegin(x *exchange) error {
	name := strings.TrimSuffix(x.form["username"], "@"+account.AdminRealm) // who read the hint may write it whole
	if f := x.newPassword(); f.text != "" {
		return x.setupView(http.StatusUnprocessableEntity, f, name)
	}
	_, err := x.p.doors.SetupBegin(x.context(), x.token, name, x.form["new_password"], x.caller())
	if f := x.refusal(err); f.text != "" {
		return x.setupView(http.StatusUnprocessableEntity, f, name)
	}
	if err != nil {
		return x.endedLink(err, "setup.expired")
	}
	x.keep(x.id, x.token, login.LinkCookieLife) // its life has begun anew
	return x.see(at("/sallyport/setup/code", "l", x.id))
}

// fault is what a person can mend in the same form: a sentence, and the fields
// that it is about. The zero fault is none.
type fault struct {
	text   string
	fields []string
}

func badPassword(text string) fault { return fault{text, []string{"new_password", "again"}} }
func badName(text string) fault     { return fault{text, []string{"username"}} }

// newPassword compares the two new passwords.
func (x *exchange) newPassword() fault {
	switch {
	case x.form["new_password"] == "":
		return badPassword(x.p.say("password.missing"))
	case x.form["new_password"] != x.form["again"]:
		return badPassword(x.p.say("password.differ"))
	}
	return fault{}
}

// refusal is what an error says to whoever can mend it.
func (x *exchange) refusal(err error) fault {
	var weak *secret.WeakPassword
	switch {
	case err == nil:
		return fault{}
	case errors.As(err, &weak):
		return badPassword(weak.Reason)
	case errors.Is(err, principal.ErrName):
		return badName(x.p.say("setup.bad-name", err.Error()))
	case errors.Is(err, account.ErrExists):
		return badName(x.p.say("setup.taken"))
	}
	return fault{}
}

// setupCodePage shows the authenticator of the administrator to be.
func setupCodePage(x *exchange) error {
	if x.state.Enrollment == nil {
		return x.see(at("/sallyport/setup", "l", x.id))
	}
	return x.setupCodeView(http.StatusOK, "")
}

func (x *exchange) setupCodeView(status int, alert string) error {
	f := x.newEnrollForm(x.state.Enrollment)
	f.Name = x.state.Name + "@" + account.AdminRealm
	f.About, f.Action, f.Way = x.p.say("enroll.first"), "/sallyport/setup/code", x.way("")
	return x.page(status, "enroll", view{Title: x.p.say("enroll.title"), Alert: alert, Body: f})
}

// setupFinish takes the first code: administrator, authenticator, recovery
// codes and session come into being together.
func setupFinish(x *exchange) error {
	if x.state.Enrollment == nil {
		return errNothingPending
	}
	retry := func() error {
		if x.state.Enrollment == nil {
			return errNothingPending
		}
		return x.setupCodeView(http.StatusUnauthorized, x.p.say("enroll.denied"))
	}
	if x.form["code"] == "" {
		return retry()
	}
	next, err := x.p.doors.SetupFinish(x.context(), x.token, x.form["code"], x.caller())
	if errors.Is(err, login.ErrSetupDone) {
		return x.endedLink(err, "setup.expired")
	}
	return x.settle(next, err, retry)
}
