package portal

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
)

// secondForm is the body of the second door's pages.
type secondForm struct {
	ID, Name string
	Way      way
	Recovery bool
	Passkey  bool
	TrustFor string // in words; "": trusted browsers are not offered
	Trust    bool   // asked for with the code that was wrong
}

// secondView renders one of the second door's pages.
func (x *exchange) secondView(status int, page, title, alert string) error {
	x.leave()
	return x.page(status, page, view{Title: x.p.say(title), Alert: alert, Body: secondForm{
		ID: x.id, Name: x.state.Name + "@" + x.state.Realm, Way: x.way(x.state.Target),
		Recovery: slices.Contains(x.state.Others, factor.RecoveryCode),
		Passkey:  x.state.Method == factor.Passkey || slices.Contains(x.state.Others, factor.Passkey), TrustFor: x.trustFor(), Trust: x.form["trust"] != "",
	}})
}

func codePage(x *exchange) error {
	return x.secondView(http.StatusOK, "code", "second.title", "")
}

func recoveryPage(x *exchange) error {
	return x.secondView(http.StatusOK, "recovery", "recovery.title", "")
}

func codeSubmit(x *exchange) error {
	retry := func() error {
		return x.secondView(http.StatusUnauthorized, "code", "second.title", x.p.say("second.denied"))
	}
	if x.form["code"] == "" {
		return retry()
	}
	next, err := x.p.doors.Code(x.context(), x.second(x.form["code"], x.state.Method))
	return x.settle(next, err, retry)
}

func recoverySubmit(x *exchange) error {
	retry := func() error {
		return x.secondView(http.StatusUnauthorized, "recovery", "recovery.title", x.p.say("recovery.denied"))
	}
	if x.form["recovery_code"] == "" {
		return retry()
	}
	next, err := x.p.doors.Recovery(x.context(), x.second(x.form["recovery_code"], factor.RecoveryCode))
	return x.settle(next, err, retry)
}

// second is one try with the token that the browser holds.
func (x *exchange) second(code string, method factor.Name) login.Second {
	return login.Second{Ephemeral: x.token, Code: code, Method: method, Door: login.Portal, Client: x.caller(),
		Trust: x.form["trust"] != "", Trusted: x.trustedToken()}
}

// settle answers a try at the second door. A wrong one is asked again while
// the token lives.
func (x *exchange) settle(next *login.Next, err error, retry func() error) error {
	if denied(err) {
		ok, peek := x.hold()
		if peek != nil {
			return peek
		}
		if !ok {
			return errGone
		}
		return retry()
	}
	if err != nil {
		return err
	}
	return x.advance(next)
}

// recoveryLeft is the start page with a sentence on the codes that are left.
func recoveryLeft(n int) string { return at("/sallyport/", "m", "recovery-"+strconv.Itoa(n)) }
