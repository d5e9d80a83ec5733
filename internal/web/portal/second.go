package portal

import (
	"errors"
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
	Carry    map[string]string // words for the form (challenge.go)
	Code     string            // link to the page that asks for a code
	Recovery string            // link to the page that asks for a recovery code; "": there are none left
	Passkey  string            // link to the page that asks for a passkey; "": there is none
	TrustFor string            // in words; "": trusted browsers are not offered
	Trust    bool              // asked for with the code that was wrong
}

func (x *exchange) secondForm() secondForm {
	f := secondForm{
		ID: x.id, Name: x.state.Name + "@" + x.state.Realm, Way: x.way(x.state.Target),
		Carry: x.carried(x.asked()), TrustFor: x.trustFor(), Trust: x.form["trust"] != "",
	}
	if len(x.methods()) > 0 {
		f.Code = halfwayAt("/sallyport/login/code", x.id, f.Carry)
	}
	if x.state.Method == factor.Passkey || slices.Contains(x.state.Others, factor.Passkey) {
		f.Passkey = halfwayAt("/sallyport/login/passkey-code", x.id, f.Carry)
	}
	if slices.Contains(x.state.Others, factor.RecoveryCode) {
		f.Recovery = halfwayAt("/sallyport/login/recovery", x.id, f.Carry)
	}
	return f
}

func codePage(x *exchange) error { return x.codeView(http.StatusOK, "", "") }

func recoveryPage(x *exchange) error { return x.recoveryView(http.StatusOK, "") }

func (x *exchange) recoveryView(status int, alert string) error {
	x.leave()
	return x.page(status, "recovery", view{Title: x.p.say("recovery.title"), Alert: alert, Notice: x.unsentNotice(""), Body: x.secondForm()})
}

func codeSubmit(x *exchange) error {
	method := x.asked()
	retry := func() error { return x.codeView(http.StatusUnauthorized, x.refusedCode(method), "") }
	if x.form["code"] == "" {
		return retry()
	}
	next, err := x.p.doors.Code(x.context(), x.second(x.form["code"], method))
	if errors.Is(err, factor.ErrUnchecked) {
		return x.codeView(http.StatusServiceUnavailable, x.p.say("second.unchecked"), "")
	}
	return x.settle(next, err, retry)
}

func recoverySubmit(x *exchange) error {
	retry := func() error { return x.recoveryView(http.StatusUnauthorized, x.p.say("recovery.denied")) }
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
