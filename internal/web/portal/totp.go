package portal

import (
	"crypto/hmac"
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

func totpPage(x *exchange) error { return x.totpView(http.StatusOK, "") }

func (x *exchange) totpView(status int, alert string) error {
	title, about := "totp.title", "totp.about"
	if !x.hasFactor() {
		title, about = "totp.add", "totp.add-text"
	}
	return x.asking(status, x.p.say(title), alert, "/sallyport/account/totp", confirmBody{
		About: x.p.say(about), Action: "/sallyport/account/totp",
		Submit: x.p.say("totp.submit"), Code: x.hasFactor(),
	})
}

// totpBegin makes a new authenticator that waits for its first code. Whoever
// has one proves it; whoever has none is led through the same enrolment as at
// a login that demands it.
func totpBegin(x *exchange) error {
	if !x.hasFactor() {
		next, err := x.p.doors.StepUp(x.context(), x.live, x.caller(), "/sallyport/account/?m=totp")
		if err != nil {
			return err
		}
		return x.advance(next)
	}
	alert, err := x.proved(func(tx store.Tx, u *account.User) error {
		_, err := x.p.factors.Enroll(tx, x.self(), u.ID, factor.EnrollOptions{})
		return err
	})
	if err != nil {
		return err
	}
	if alert != "" {
		return x.totpView(http.StatusUnauthorized, alert)
	}
	return x.see("/sallyport/account/totp/confirm")
}

func totpConfirmPage(x *exchange) error { return x.totpConfirmView(http.StatusOK, "") }

func (x *exchange) totpConfirmView(status int, alert string) error {
	e, err := x.pending()
	if err != nil {
		return err
	}
	if e == nil {
		return errNothingPending
	}
	about := "enroll.chosen"
	if d, err := x.draft(factor.TOTP); err != nil {
		return err
	} else if d.Beside {
		about = "enroll.beside"
	}
	f := x.newEnrollForm(e)
	f.Key, f.Back = x.confirmKey(e), true
	f.Name, f.About, f.Action = x.name(), x.p.say(about), "/sallyport/account/totp/confirm"
	return x.page(status, "enroll", view{Title: x.p.say("enroll.title"), Alert: alert, Body: f})
}

// confirmKey ties the confirmation to the page that asked for it and to this
// session. Otherwise a script on a shared origin that had an authenticator of
// its own put to wait, by whatever door, could post the code that activates it.
func (x *exchange) confirmKey(e *factor.Enrollment) string {
	return x.p.keyOf("confirm", x.live.ID, e)
}

// totpConfirm takes the first code of the new authenticator. The old one is
// gone, all other sessions end, and this one goes on at the new epoch.
func totpConfirm(x *exchange) error {
	if x.form["code"] == "" {
		return x.totpConfirmView(http.StatusUnauthorized, x.p.say("enroll.denied"))
	}
	e, err := x.pending()
	if err != nil {
		return err
	}
	if e == nil || !hmac.Equal([]byte(x.form["k"]), []byte(x.confirmKey(e))) {
		return errNothingPending
	}
	var codes []string
	err = x.change(func(tx store.Tx) (err error) {
		id := x.live.Identity.ID
		if codes, err = x.p.factors.Confirm(tx, x.self(), id, factor.TOTP, factor.Proof{Code: x.form["code"]}); err != nil {
			return err
		}
		u, err := x.p.directory.ByID(tx, id)
		if err != nil {
			return err
		}
		return x.p.sessions.Raise(tx, x.live.ID, u.Epoch)
	})
	switch {
	case errors.Is(err, factor.ErrDenied), errors.Is(err, factor.ErrReplay):
		return x.totpConfirmView(http.StatusUnauthorized, x.p.say("enroll.denied"))
	case errors.Is(err, factor.ErrNoPending):
		return errNothingPending
	case err != nil:
		return err
	case len(codes) > 0:
		return x.showCodes(x.name(), codes, "/sallyport/account/?m=totp")
	}
	return x.see("/sallyport/account/?m=totp")
}
