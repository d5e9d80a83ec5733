package portal

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// askForm asks for whom, or to which address, a link is to be sent.
type askForm struct {
	About, Action, Label, Kind, Complete, Value, Submit, Hint string
	Realm                                                     string
}

// resetPage asks who forgot the password. Where no link can be sent there is no such page.
func resetPage(x *exchange) error { return x.resetAsk(http.StatusOK, "") }

func (x *exchange) resetAsk(status int, alert string) error {
	if !x.p.doors.MailsLinks() {
		return errNotFound
	}
	return x.page(status, "ask", view{Title: x.p.say("reset.title"), Alert: alert, Body: askForm{
		About: x.p.say("reset.about"), Action: "/sallyport/reset", Label: x.p.say("login.name"), Kind: "text", Complete: "username",
		Value: x.form["username"], Submit: x.p.say("reset.ask"), Hint: x.p.say("login.realm"), Realm: x.param("realm"),
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
	err := x.p.doors.RequestReset(x.context(), x.form["username"], x.form["realm"], x.caller())
	if text := x.enough(err); text != "" {
		return x.resetAsk(http.StatusTooManyRequests, text)
	}
	if err != nil {
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

// enough says when more may be sent to whoever asks from here, and sets how long to
// wait; "": something else is wrong.
func (x *exchange) enough(err error) string {
	var throttled *throttle.Throttled
	if !errors.As(err, &throttled) || !throttled.Sending {
		return ""
	}
	_, _, _, after := web.Answer(err)
	web.SetRetryAfter(x.w.Header(), after)
	return x.p.say("reset.wait", x.p.wait(after))
}

// resetDone is the word (parameter m) for who comes from a new password.
const resetDone = "reset"

// afterReset is what the second door says to who comes from a new password.
func (x *exchange) afterReset() string {
	if x.query["m"] == resetDone {
		return x.p.say("reset.done")
	}
	return ""
}

// offerLinks fills in what the first door offers to whoever cannot pass it, for the realm
// whose names it takes. It stands where the store does not: then it offers no account.
func (x *exchange) offerLinks(f *loginForm) {
	if !x.p.doors.MailsLinks() {
		return
	}
	realm := x.tighten().Realm
	if f.Target != "" && !ours(f.Target) {
		realm = cmp.Or(x.judge(f.Target).Demand.Realm, realm)
	}
	to := func(path string) string {
		if realm == "" {
			return path
		}
		return at(path, "realm", realm)
	}
	f.Forgot = to("/sallyport/reset")
	if yes, err := x.registers(realm); err == nil && yes {
		f.Register = to("/sallyport/register")
	}
}

// resetForm asks for the new password and, of whoever has a factor, for a code of one.
type resetForm struct {
	ID, Name    string
	NoWay       bool
	Method      factor.Name // whose code is asked for; "": none is
	Label, Hint string
	Digits      bool
	Sends, Sent bool   // there is a button that sends; a code is on its way
	Line        string // where to, or that there is none
	Carry       map[string]string
	Others      []otherWay
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

// resetWays are the methods of which one is to be shown, the first one first. What
// arrives by mail is not among them: the room login sees to it.
func (x *exchange) resetWays() []factor.Name {
	return slices.DeleteFunc(append([]factor.Name{x.state.Method}, x.state.Others...), func(n factor.Name) bool { return n == "" })
}

// resetAsked is the method whose code the page asks for: the one that the request chose,
// if it is one of the ways, else the first. "": none is asked for.
func (x *exchange) resetAsked() factor.Name {
	ways := x.resetWays()
	if way := factor.Name(x.param("way")); slices.Contains(ways, way) {
		return way
	}
	if len(ways) == 0 {
		return ""
	}
	return ways[0]
}

func (x *exchange) resetView(status int, f fault, notice string) error {
	method := x.resetAsked()
	body := resetForm{ID: x.id, Name: x.state.Name + "@" + x.state.Realm, NoWay: x.state.NoWay, Method: method, Carry: map[string]string{}}
	if method != "" {
		body.Label, body.Hint = x.resetField(method)
		body.Digits = method != factor.YubiKey && method != factor.RecoveryCode
		body.Carry["way"] = string(method)
	}
	if factor.Sendable(method) {
		body.Sends, body.Sent = true, x.param("sent") == string(method)
		body.Line = x.sentLine(method, body.Sent)
		if body.Sent {
			body.Carry["sent"] = string(method)
		}
	}
	for _, other := range x.resetWays() {
		if other != method {
			body.Others = append(body.Others, otherWay{Link: halfwayAt(login.ResetPath, x.id, map[string]string{"way": string(other)}), Text: x.resetWayText(other)})
		}
	}
	x.leave()
	return x.page(status, "reset", view{Title: x.p.say("reset.new"), Alert: f.text, Wrong: f.fields, Notice: notice, Body: body})
}

func (x *exchange) resetField(method factor.Name) (label, hint string) {
	if method == factor.RecoveryCode {
		return x.p.say("recovery.label"), x.p.say("recovery.hint")
	}
	return x.fieldOf(method)
}

func (x *exchange) resetWayText(method factor.Name) string {
	if method == factor.RecoveryCode {
		return x.p.say("second.recovery")
	}
	return x.wayText(method)
}

// resetFinish sets the password, and goes on as after the first door.
func resetFinish(x *exchange) error {
	if f := x.newPassword(); f.text != "" {
		return x.resetView(http.StatusUnprocessableEntity, f, "")
	}
	next, err := x.p.doors.ResetFinish(x.context(), login.ResetAttempt{
		Door: login.Portal, Token: x.token, Password: x.form["new_password"], Code: x.form["code"], Method: x.resetAsked(), Client: x.caller(),
	})
	if f := x.refusal(err); f.text != "" {
		return x.resetView(http.StatusUnprocessableEntity, f, "")
	}
	switch {
	case errors.Is(err, login.ErrCodeNeeded), errors.Is(err, login.ErrNoWay), denied(err):
		return x.resetAgain()
	case errors.Is(err, factor.ErrUnchecked):
		return x.resetView(http.StatusServiceUnavailable, fault{x.p.say("second.unchecked"), []string{"code"}}, "")
	case errors.Is(err, login.ErrEnrollmentClosed):
		x.end()
		return x.message(http.StatusForbidden, message{Title: x.p.say("enroll.off-head"), Text: x.p.say("reset.done-closed"),
			Link: "/sallyport/", LinkText: x.p.say("error.start")})
	case err != nil:
		return err
	}
	return x.advanceWith(next, resetDone)
}

// resetAgain asks for another code while the link lives. What is asked for may have
// changed meanwhile.
func (x *exchange) resetAgain() error {
	ok, err := x.hold()
	switch {
	case err != nil:
		return err
	case !ok || stands(x.state.Status) != resetting:
		return x.endedLink(errGone, "reset.expired")
	case x.state.NoWay:
		return x.resetView(http.StatusConflict, fault{}, "")
	}
	return x.resetView(http.StatusUnauthorized, fault{x.p.say("reset.denied"), []string{"code"}}, "")
}

// resetChallenge sends a code of the method that the form names to whoever holds the
// link, to where the account says: never by mail.
func resetChallenge(x *exchange) error {
	method := factor.Name(x.form["way"])
	if !slices.Contains(x.resetWays(), method) || !factor.Sendable(method) {
		return errMalformed
	}
	_, err := x.p.doors.Challenge(x.context(), x.token, login.Portal, method, x.caller())
	if notice, status := x.notSent(err); notice != "" {
		return x.resetView(status, fault{}, notice)
	}
	if err != nil {
		return x.endedLink(err, "reset.expired")
	}
	return x.see(halfwayAt(login.ResetPath, x.id, map[string]string{"way": string(method), "sent": string(method)}))
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
	realm := x.state.Realm // whose account it is: another may have the same name
	if err := x.p.doors.NotMe(x.context(), x.token, login.Portal, x.caller()); err != nil {
		return x.endedLink(err, "notme.expired")
	}
	x.end()
	m := message{Text: x.p.say("notme.done"), Link: "/sallyport/login", LinkText: x.p.say("start.sign-in")}
	if x.p.doors.MailsLinks() {
		m.Link, m.LinkText = at("/sallyport/reset", "realm", realm), x.p.say("reset.title")
	}
	return x.page(http.StatusOK, "told", view{Title: x.p.say("notme.ended"), Body: m})
}
