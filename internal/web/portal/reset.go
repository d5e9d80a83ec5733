package portal

import (
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// askForm asks for whom, or to which address, a link is to be sent.
type askForm struct {
	About, Action, Label, Kind, Complete, Value, Submit string
	Realm                                               string
}

// resetPage asks who forgot the password. Where no link can be sent there is no such page.
func resetPage(x *exchange) error { return x.resetAsk(http.StatusOK, "") }

func (x *exchange) resetAsk(status int, alert string) error {
	if !x.p.doors.MailsLinks() {
		return errNotFound
	}
	return x.page(status, "ask", view{Title: x.p.say("reset.title"), Alert: alert, Body: askForm{
		About: x.p.say("reset.about"), Action: "/sallyport/reset", Label: x.p.say("login.name"), Kind: "text", Complete: "username",
		Value: x.form["username"], Submit: x.p.say("reset.ask"),
	}})
}

// resetSubmit has one answer, whoever was named.
func resetSubmit(x *exchange) error {
	if !x.p.doors.MailsLinks() {
		return errNotFound
	}
	if x.form["username"] == "" {
		return x.resetAsk(http.StatusUnprocessableEntity, x.p.say("reset.missing"))
	}
	if err := x.p.doors.RequestReset(x.context(), x.form["username"], "", x.caller()); err != nil {
		return err
	}
	return x.sent("reset.sent")
}

// sent says that a link is on its way, if there is somebody to send it to.
func (x *exchange) sent(key string) error {
	return x.page(http.StatusOK, "told", view{Title: x.p.say("mailed.title"), Body: message{
		Text: x.p.say(key), Link: "/sallyport/login", LinkText: x.p.say("mailed.back"),
	}})
}

// resetForm asks for the new password and, of whoever has a factor, for a code of it.
type resetForm struct {
	ID, Name string
	Code     bool
	Ways     []resetWay
	NoWay    bool
	Sends    map[factor.Name]string // where the codes of methods that send would go
}

// resetWay is one method by which a reset is proved.
type resetWay struct {
	Method  factor.Name
	Label   string
	Checked bool
}

// resetLinkPage trades a link for a cookie, as invitePage does.
func resetLinkPage(x *exchange) error {
	if token := x.query["token"]; token != "" {
		return x.trade(token, login.ResetPath, func() (secret.Token, error) {
			return x.p.doors.TradeReset(x.context(), token)
		})
	}
	if err := x.admit(resetting); err != nil {
		return x.endedLink(err, "reset.expired")
	}
	return x.resetView(http.StatusOK, fault{}, "")
}

func (x *exchange) resetView(status int, f fault, notice string) error {
	body := resetForm{ID: x.id, Name: x.state.Name + "@" + x.state.Realm, NoWay: x.state.NoWay, Code: x.state.Method != ""}
	chosen := factor.Name(x.form["method"])
	for i, m := range append([]factor.Name{x.state.Method}, x.state.Others...) {
		if m == "" {
			continue
		}
		label := x.methodText(m)
		if m == factor.RecoveryCode {
			label = x.p.say("reset.recovery")
		}
		body.Ways = append(body.Ways, resetWay{m, label, m == chosen || chosen == "" && i == 0})
	}
	return x.page(status, "reset", view{Title: x.p.say("reset.new"), Alert: f.text, Wrong: f.fields, Notice: notice, Body: body})
}

// resetFinish sets the password, or sends a code where the button for that was pressed.
func resetFinish(x *exchange) error {
	method := factor.Name(x.form["method"])
	if x.form["send"] != "" {
		return x.resetSend(method)
	}
	if f := x.newPassword(); f.text != "" {
		return x.resetView(http.StatusUnprocessableEntity, f, "")
	}
	next, err := x.p.doors.ResetFinish(x.context(), login.ResetAttempt{
		Door: login.Portal, Token: x.token, Password: x.form["new_password"], Code: x.form["code"], Method: method, Client: x.caller(),
	})
	if f := x.refusal(err); f.text != "" {
		return x.resetView(http.StatusUnprocessableEntity, f, "")
	}
	switch {
	case errors.Is(err, login.ErrCodeNeeded), denied(err):
		ok, peek := x.hold()
		if peek != nil {
			return peek
		}
		if !ok || stands(x.state.Status) != resetting {
			return x.endedLink(errGone, "reset.expired")
		}
		return x.resetView(http.StatusUnauthorized, fault{x.p.say("reset.denied"), []string{"code"}}, "")
	case errors.Is(err, login.ErrNoWay):
		return x.resetView(http.StatusConflict, fault{}, "")
	case err != nil:
		return err
	}
	return x.advance(next)
}

// resetSend sends a code of a method to whoever holds the link: never by mail.
func (x *exchange) resetSend(method factor.Name) error {
	next, err := x.p.doors.Challenge(x.context(), x.token, login.Portal, method, x.caller())
	var throttled *throttle.Throttled
	switch {
	case errors.As(err, &throttled):
		return x.resetView(http.StatusTooManyRequests, fault{x.p.say("reset.enough"), []string{"code"}}, "")
	case errors.Is(err, factor.ErrNoMethod), errors.Is(err, factor.ErrSendsNothing), errors.Is(err, factor.ErrCannotSend), errors.Is(err, factor.ErrNoTarget):
		return x.resetView(http.StatusConflict, fault{x.p.say("reset.sends-nothing"), []string{"code"}}, "")
	case err != nil:
		return x.endedLink(err, "reset.expired")
	}
	return x.resetView(http.StatusOK, fault{}, x.p.say("reset.code-sent", next.Sent))
}

// notMePage trades the link of a notice for a cookie. Nothing ends before the button.
func notMePage(x *exchange) error {
	if token := x.query["token"]; token != "" {
		return x.trade(token, login.NotMePath, func() (secret.Token, error) {
			return x.p.doors.TradeNotMe(x.context(), token)
		})
	}
	if err := x.admit(objecting); err != nil {
		return x.endedLink(err, "notme.expired")
	}
	return x.page(http.StatusOK, "notme", view{Title: x.p.say("notme.title"), Body: inviteForm{ID: x.id, Name: x.state.Name + "@" + x.state.Realm}})
}

func notMeSubmit(x *exchange) error {
	if err := x.p.doors.NotMe(x.context(), x.token, login.Portal, x.caller()); err != nil {
		return x.endedLink(err, "notme.expired")
	}
	x.end()
	m := message{Text: x.p.say("notme.done"), Link: "/sallyport/login", LinkText: x.p.say("start.sign-in")}
	if x.p.doors.MailsLinks() {
		m.Link, m.LinkText = "/sallyport/reset", x.p.say("reset.title")
	}
	return x.page(http.StatusOK, "told", view{Title: x.p.say("notme.ended"), Body: m})
}
