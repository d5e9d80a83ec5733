package portal

import (
	"errors"
	"net/http"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
)

// enrollAt is where whoever must set up a factor begins: the authenticator where nothing
// else is offered, else a choice. A passkey alone is offered by its own page.
func enrollAt(offered []factor.Name) string {
	ways := typed(offered...)
	if len(ways) == 0 && slices.Contains(offered, factor.Passkey) {
		return "/sallyport/enroll/passkey"
	}
	if len(ways) == 0 || len(ways) == 1 && ways[0] == factor.TOTP {
		return "/sallyport/enroll/totp"
	}
	return "/sallyport/enroll/"
}

// passkeyLink is where a passkey is set up between the doors; "": none is offered.
func (x *exchange) passkeyLink() string {
	if !slices.Contains(x.state.Others, factor.Passkey) {
		return ""
	}
	return halfwayAt("/sallyport/enroll/passkey", x.id, nil)
}

// chooseForm is the body of the page with the methods that may be set up.
type chooseForm struct {
	ID, Name string
	Way      way
	Choices  []choice
	Passkey  string // to set up a passkey; "": not offered
}

type choice struct {
	Method     factor.Name
	Text, Hint string
}

// choosePage shows what may be set up. A choice is a form: a method that sends does so
// at once, and nothing is sent because a link was followed.
func choosePage(x *exchange) error {
	e := x.state.Enrollment
	if at := enrollAt(x.state.Others); at != "/sallyport/enroll/" && (e == nil || e.Method == factor.TOTP) {
		return x.see(halfwayAt(at, x.id, nil))
	}
	return x.chooseView(http.StatusOK, "")
}

func (x *exchange) chooseView(status int, notice string) error {
	f := chooseForm{ID: x.id, Name: x.state.Name + "@" + x.state.Realm, Way: x.way(x.state.Target), Passkey: x.passkeyLink()}
	for _, method := range typed(x.state.Others...) {
		c := choice{Method: method}
		c.Text, c.Hint = x.choiceText(method)
		f.Choices = append(f.Choices, c)
	}
	if len(f.Choices) == 0 {
		return login.ErrEnrollmentClosed
	}
	return x.page(status, "choose", view{Title: x.p.say("choose.title"), Notice: notice, Body: f})
}

func (x *exchange) choiceText(method factor.Name) (text, hint string) {
	switch method {
	case factor.TOTP:
		return x.p.say("choose.totp"), x.p.say("choose.totp-hint")
	case factor.YubiKey:
		return x.p.say("choose.yubikey"), x.p.say("choose.yubikey-hint")
	case factor.Email:
		return x.p.say("choose.email"), x.p.say("choose.email-hint")
	case factor.SMS:
		return x.p.say("choose.sms"), x.p.say("choose.sms-hint")
	}
	return x.p.say("choose.own", x.p.label(method)), x.p.say("choose.own-hint", x.p.label(method))
}

// chooseSubmit begins the enrolment of a method; of one that was begun and sends, it
// sends a new code. An authenticator that was shown stays the same: it may be scanned.
func chooseSubmit(x *exchange) error {
	method := factor.Name(x.form["way"])
	if !slices.Contains(typed(x.state.Others...), method) {
		return errMalformed
	}
	at, e := "/sallyport/enroll/code", x.state.Enrollment
	if method == factor.TOTP {
		at = "/sallyport/enroll/totp"
	}
	if method != factor.TOTP || e == nil || e.Method != method {
		_, err := x.p.doors.EnrollStart(x.context(), x.token, login.Portal, method, x.caller())
		if notice, status := x.notSent(err); notice != "" {
			if e != nil && e.Method == method {
				return x.enrollCodeView(status, "", notice)
			}
			return x.chooseView(status, notice)
		}
		if err != nil {
			return x.lost(err)
		}
	}
	return x.see(halfwayAt(at, x.id, nil))
}

// firstCodeForm is the body of the page that takes the first code of a method without a
// picture.
type firstCodeForm struct {
	ID, Name    string
	Way         way
	About       string
	Label, Hint string
	Digits      bool
	Again       factor.Name // the method whose code can be sent once more
	Choice      string      // link to the other methods
}

// typedEnrollment is what waits for its first code and has no picture; nil: nothing.
func (x *exchange) typedEnrollment() *factor.Enrollment {
	e := x.state.Enrollment
	if e == nil || e.Method == factor.TOTP || len(typed(e.Method)) == 0 {
		return nil
	}
	return e
}

func enrollCodePage(x *exchange) error {
	if x.typedEnrollment() == nil {
		return x.see(halfwayAt("/sallyport/enroll/", x.id, nil))
	}
	return x.enrollCodeView(http.StatusOK, "", "")
}

func (x *exchange) enrollCodeView(status int, alert, notice string) error {
	e := x.typedEnrollment()
	if e == nil {
		return errNothingPending
	}
	f := firstCodeForm{ID: x.id, Name: x.state.Name + "@" + x.state.Realm, Way: x.way(x.state.Target),
		Digits: e.Method != factor.YubiKey, Choice: x.choiceLink()}
	f.Label, f.Hint = x.fieldOf(e.Method)
	title := x.p.say("enroll.title-sent")
	switch {
	case e.Method == factor.YubiKey:
		title, f.About = x.p.say("enroll.title-yubikey"), x.p.say("enroll.yubikey")
	case e.SentTo != "":
		f.Again, f.About = e.Method, x.p.say("enroll.sent", e.SentTo)
	default:
		f.Again, f.About = e.Method, x.p.say("enroll.sent-own", x.p.label(e.Method))
	}
	x.leave()
	return x.page(status, "first", view{Title: title, Alert: alert, Notice: notice, Body: f})
}

// choiceLink leads to the other methods that may be set up; "": there are none.
func (x *exchange) choiceLink() string {
	if len(typed(x.state.Others...)) < 2 {
		return ""
	}
	return halfwayAt("/sallyport/enroll/", x.id, nil)
}

// enrollCodeSubmit takes the first code.
func enrollCodeSubmit(x *exchange) error {
	e := x.typedEnrollment()
	if e == nil {
		return errNothingPending
	}
	retry := func() error { return x.enrollCodeView(http.StatusUnauthorized, x.refusedCode(e.Method), "") }
	if x.form["code"] == "" {
		return retry()
	}
	next, err := x.p.doors.EnrollConfirm(x.context(), x.second(x.form["code"], e.Method))
	switch {
	case errors.Is(err, factor.ErrNoPending):
		return errNothingPending
	case errors.Is(err, factor.ErrUnchecked):
		return x.enrollCodeView(http.StatusServiceUnavailable, x.p.say("second.unchecked"), "")
	}
	return x.settle(next, err, retry)
}
