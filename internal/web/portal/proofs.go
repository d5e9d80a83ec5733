package portal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// pageKey proves that a form of the account comes from a page of ours, shown to this
// session: an upstream that shares our origin can send forms, and cannot read pages. It
// goes with forms that ask for no code; subject is what the page was about.
func (x *exchange) pageKey(what, subject string) string {
	mac := hmac.New(sha256.New, x.p.key)
	mac.Write([]byte("page\x00" + what + "\x00" + x.live.ID + "\x00" + subject))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// fromPage reports whether the form holds that key.
func (x *exchange) fromPage(what, subject string) bool {
	return hmac.Equal([]byte(x.form["k"]), []byte(x.pageKey(what, subject)))
}

// proofSends are the buttons of a page that asks for a fresh code: they send one, by
// each of the person's methods that send.
type proofSends struct {
	Key, Back string
	Ways      []choice // without hints
}

// sends completes a page that asks for a code: the buttons, and the sentence after one
// was pressed. back is the page itself. Nobody who has no method that sends: nil.
func (x *exchange) sends(back string) (s *proofSends, notice string, err error) {
	if !x.hasFactor() {
		return nil, "", nil
	}
	var methods []factor.Method
	err = x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		methods, err = x.p.factors.Methods(tx, x.live.Identity.ID)
		return err
	})
	for _, m := range methods {
		if !m.Active || !factor.Sendable(m.Name) {
			continue
		}
		if s == nil {
			s = &proofSends{Key: x.pageKey("code", ""), Back: back}
		}
		text, sent := x.p.say("proof.send", m.Target), x.p.say("send.sent", m.Target)
		if m.Target == "" {
			text, sent = x.p.say("proof.send-own", m.Name), x.p.say("send.sent-own", m.Name)
		}
		s.Ways = append(s.Ways, choice{Method: m.Name, Text: text})
		if x.query["sent"] == string(m.Name) {
			notice = sent
		}
	}
	return s, notice, err
}

// proofSend sends a code of an own method, and leads back to the page that asks for it.
func proofSend(x *exchange) error {
	back, err := url.Parse(x.form["rd"])
	if err != nil || back.Host != "" || back.Scheme != "" || !strings.HasPrefix(back.EscapedPath(), "/sallyport/account/") {
		return errMalformed
	}
	if _, ok := x.p.find(back.EscapedPath(), x.guarded); !ok {
		return errMalformed
	}
	if !x.fromPage("code", "") {
		return errForeign
	}
	method := factor.Name(x.form["way"])
	_, err = x.p.doors.ChallengeOwn(x.context(), x.live, method, x.caller())
	if notice, status := x.notSent(err); notice != "" {
		return x.message(status, message{Title: x.p.say("proof.unsent"), Text: notice, Link: back.RequestURI(), LinkText: x.p.say("proof.back")})
	}
	if denied(err) {
		return errSignIn
	}
	if err != nil {
		return err
	}
	q := back.Query()
	q.Set("sent", string(method))
	return x.see(back.EscapedPath() + "?" + q.Encode())
}

// asking renders a page that says what will happen and asks for a code.
func (x *exchange) asking(status int, title, alert, back string, b confirmBody) error {
	sends, notice, err := x.sends(back)
	if err != nil {
		return err
	}
	b.Sends = sends
	return x.page(status, "confirm", view{Title: title, Alert: alert, Notice: notice, Body: b})
}

// unmade says why a change of the own record or factors was not made, and with which
// status; "": something else is wrong.
func (x *exchange) unmade(err error) (alert string, status int) {
	if notice, status := x.notSent(err); notice != "" {
		return notice, status
	}
	for _, r := range []struct {
		err    error
		key    string
		status int
	}{
		{account.ErrAddressTaken, "profile.taken", http.StatusConflict},
		{account.ErrInvalid, "profile.invalid", http.StatusUnprocessableEntity},
		{account.ErrNotFresh, "profile.not-fresh", http.StatusForbidden},
		{login.ErrPasswordNotFresh, "passkey.password-old", http.StatusForbidden},
		{factor.ErrLastFactor, "factors.last", http.StatusConflict},
		{factor.ErrTooMany, "factors.too-many", http.StatusConflict},
		{factor.ErrUnchecked, "second.unchecked", http.StatusServiceUnavailable},
	} {
		if errors.Is(err, r.err) {
			return x.p.say(r.key), r.status
		}
	}
	return "", 0
}

// offered are the methods that the person may set up, those with a page of ours.
func (x *exchange) offered(tx store.Tx) ([]factor.Name, error) {
	all, err := x.p.factors.Offered(tx, x.live.Identity.Realm)
	return slices.DeleteFunc(all, func(n factor.Name) bool { return n != factor.Passkey && len(typed(n)) == 0 }), err
}
