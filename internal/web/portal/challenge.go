package portal

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// Between two pages of the second door the address, and the forms, carry three words:
//
//	way     the method that is asked for; none: the person's first one
//	sent    the method by which a code was sent last
//	unsent  a form was on its way when the sign-in was asked for (web.UnsentParam)
//
// They choose sentences and no more: whose methods there are, where a code goes and
// whether one is good, the half login says. A link with made-up words shows a wrong
// sentence.

// codeForm is the body of the page that asks for a code.
type codeForm struct {
	secondForm
	Label, Hint string
	Digits      bool   // the field takes digits; else what a key types
	Sends       bool   // there is a button that sends
	Sent        bool   // a code is on its way
	Line        string // where to, or that there is none
	Others      []otherWay
}

// otherWay is a link to another of the person's methods.
type otherWay struct{ Link, Text string }

// typed keeps the methods whose codes are typed into a field. Recovery codes have a page
// of their own.
func typed(names ...factor.Name) []factor.Name {
	return slices.DeleteFunc(slices.Clone(names), func(n factor.Name) bool {
		return n == "" || n == factor.Passkey || n == factor.RecoveryCode
	})
}

// methods are those of the person that are typed, the first one first.
func (x *exchange) methods() []factor.Name {
	return typed(append([]factor.Name{x.state.Method}, x.state.Others...)...)
}

// asked is the method that this page asks for: the one that the request chose, if the
// person has it, else the first. "": the person has none that is typed.
func (x *exchange) asked() factor.Name {
	all := x.methods()
	if way := factor.Name(x.param("way")); slices.Contains(all, way) {
		return way
	}
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// carried are the words that go with the next form or link, where method is asked for.
func (x *exchange) carried(method factor.Name) map[string]string {
	words := map[string]string{}
	if method != "" && method != x.state.Method {
		words["way"] = string(method)
	}
	if sent := factor.Name(x.param("sent")); slices.Contains(x.methods(), sent) {
		words["sent"] = string(sent)
	}
	if x.unsent() {
		words[web.UnsentParam] = web.Unsent
	}
	return words
}

// halfwayAt is a page of a half login, with words.
func halfwayAt(path, id string, words map[string]string) string {
	q := url.Values{"l": {id}}
	for name, word := range words {
		q.Set(name, word)
	}
	return path + "?" + q.Encode()
}

// unsent reports whether a form was on its way when this login was asked for.
func (x *exchange) unsent() bool { return x.param(web.UnsentParam) != "" }

// unsentNotice says before notice that the form was not handed on, if one was on its way.
func (x *exchange) unsentNotice(notice string) string {
	switch {
	case !x.unsent():
		return notice
	case notice == "":
		return x.p.say("login.unsent")
	}
	return x.p.say("login.unsent") + " " + notice
}

// codeView renders the page that asks for a code.
func (x *exchange) codeView(status int, alert, notice string) error {
	method := x.asked()
	if method == "" {
		return x.see(halfwayAt("/sallyport/login/recovery", x.id, x.carried("")))
	}
	f := codeForm{secondForm: x.secondForm(), Digits: method != factor.YubiKey}
	f.Label, f.Hint = x.fieldOf(method)
	if factor.Sendable(method) {
		f.Sends, f.Sent = true, x.param("sent") == string(method)
		f.Line = x.sentLine(method, f.Sent)
	}
	for _, other := range x.methods() {
		if other != method {
			f.Others = append(f.Others, otherWay{Link: halfwayAt("/sallyport/login/code", x.id, x.carried(other)), Text: x.wayText(other)})
		}
	}
	x.leave()
	return x.page(status, "code", view{Title: x.p.say("second.title"), Alert: alert, Notice: x.unsentNotice(notice), Body: f})
}

// fieldOf is what the field of a method's code is called, and how it is filled in.
func (x *exchange) fieldOf(method factor.Name) (label, hint string) {
	switch {
	case method == factor.YubiKey:
		return x.p.say("code.yubikey"), x.p.say("code.yubikey-hint")
	case factor.Sendable(method):
		return x.p.say("code.sent"), x.p.say("code.sent-hint")
	}
	return x.p.say("code.label"), x.p.say("code.hint")
}

// refusedCode is what is said of a wrong code of a method.
func (x *exchange) refusedCode(method factor.Name) string {
	switch {
	case method == factor.YubiKey:
		return x.p.say("second.denied-yubikey")
	case factor.Sendable(method):
		return x.p.say("second.denied-sent")
	}
	return x.p.say("second.denied")
}

// sentLine says where the code went, or would go. Of an own method nobody knows where
// to, and whether the first door has sent one already: so it says neither.
func (x *exchange) sentLine(method factor.Name, sent bool) string {
	to := x.state.Targets[method]
	switch {
	case to != "" && sent:
		return x.p.say("send.sent", to)
	case to != "":
		return x.p.say("send.none", to)
	case sent:
		return x.p.say("send.sent-own", x.p.label(method))
	}
	return x.p.say("send.none-own", x.p.label(method))
}

// label is what people call an own method.
func (p *Portal) label(method factor.Name) string {
	return cmp.Or(p.labels[string(method)], string(method))
}

// wayText is a method as a link to it says it.
func (x *exchange) wayText(method factor.Name) string {
	switch method {
	case factor.TOTP:
		return x.p.say("second.way-totp")
	case factor.YubiKey:
		return x.p.say("second.way-yubikey")
	case factor.Email:
		return x.p.say("second.way-email", x.state.Targets[method])
	case factor.SMS:
		return x.p.say("second.way-sms", x.state.Targets[method])
	}
	return x.p.say("second.way-own", x.p.label(method))
}

// challengeSubmit sends a code of the method that the form names, to where the account
// says, and comes back to its page.
func challengeSubmit(x *exchange) error {
	method := factor.Name(x.form["way"])
	if method == "" {
		method = x.asked()
	}
	if !slices.Contains(x.methods(), method) || !factor.Sendable(method) {
		return errMalformed
	}
	_, err := x.p.doors.Challenge(x.context(), x.token, login.Portal, method, x.caller())
	if notice, status := x.notSent(err); notice != "" {
		return x.codeView(status, "", notice)
	}
	if err != nil {
		return x.lost(err)
	}
	words := x.carried(method)
	words["sent"] = string(method)
	return x.see(halfwayAt("/sallyport/login/code", x.id, words))
}

// notSent says why no code was sent, and sets how long to wait; "": it was sent, or
// something else is wrong.
func (x *exchange) notSent(err error) (notice string, status int) {
	status, _, _, after := web.Answer(err)
	var throttled *throttle.Throttled
	switch {
	case errors.As(err, &throttled) && throttled.Sending:
		web.SetRetryAfter(x.w.Header(), after)
		return x.p.say("send.wait", x.p.wait(after)), http.StatusTooManyRequests
	case errors.Is(err, factor.ErrCannotSend):
		return x.p.say("send.cannot"), status
	case errors.Is(err, factor.ErrNoTarget):
		return x.p.say("send.nowhere"), status
	}
	return "", status
}
