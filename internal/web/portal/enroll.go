package portal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// enrollForm is the body of every page that shows a new authenticator.
type enrollForm struct {
	ID, Name, About, Action string
	Way                     way
	Image, Secret, URI      string
	Link                    template.URL // the URI, for an app on this very device
	Key                     string       // proof that the code was typed on our page
	Algorithm               string
	Digits, Period          int
	Back                    bool   // to the account
	Passkey                 string // to set up a passkey instead; "": not offered
	Choice                  string // link to the other methods; "": there are none
}

// newEnrollForm fills in what is to be scanned.
//
// The picture's address carries a key, made of the seed: an upstream that
// shares our origin may put an img element into a page of its own and read
// the pixels, with the person's cookies. It cannot know the key, because it
// cannot read our pages.
func (x *exchange) newEnrollForm(e *factor.Enrollment) enrollForm {
	q := url.Values{"k": {x.p.pictureKey(e)}}
	if x.id != "" {
		q.Set("l", x.id)
	}
	return enrollForm{
		ID: x.id, Image: "/sallyport/enroll/qr.png?" + q.Encode(),
		Secret: spaced(otp.FormatSeed(e.Seed.Reveal())), URI: e.URI, Link: template.URL(e.URI), // made by otp, otpauth: alone
		Algorithm: string(e.Params.Algorithm), Digits: e.Params.Digits, Period: e.Params.Period,
	}
}

// spaced writes a text in groups of four, as people type it.
func spaced(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// pictureKey is what a picture's address needs beside the cookie.
func (p *Portal) pictureKey(e *factor.Enrollment) string { return p.keyOf("picture", "", e) }

// keyOf proves that a request comes from a page of ours that showed e: who
// did not see the page cannot know it, even if he knows the seed.
func (p *Portal) keyOf(what, session string, e *factor.Enrollment) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(what + "\x00" + session + "\x00"))
	mac.Write(e.Seed.Reveal())
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// qrPicture draws what waits for its first code: of the half login that the
// request names, or of the session. A confirmed seed is never drawn.
func qrPicture(x *exchange) error {
	e, err := x.waiting()
	if err != nil {
		return err
	}
	if e == nil || e.Active || e.Method != factor.TOTP {
		return errNothingPending
	}
	if !hmac.Equal([]byte(x.query["k"]), []byte(x.p.pictureKey(e))) {
		return errNotFound
	}
	png, err := factor.QR(e.URI, 480)
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Content-Length", strconv.Itoa(len(png)))
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(png)
	}
	return nil
}

// waiting returns the enrolment that the request may see; nil: none.
func (x *exchange) waiting() (*factor.Enrollment, error) {
	if x.query["l"] == "" && x.live.Identity != nil && x.live.Portal {
		return x.pending()
	}
	ok, err := x.hold()
	if err != nil || !ok {
		return nil, err
	}
	if by := stands(x.state.Status); by != enrolling && by != settingUp {
		return nil, nil
	}
	return x.state.Enrollment, nil
}

// pending returns the enrolment that the signed-in person has begun; nil: none.
func (x *exchange) pending() (e *factor.Enrollment, err error) {
	err = x.p.store.View(x.context(), func(tx store.Tx) error {
		e, err = x.p.factors.Pending(tx, x.live.Identity.ID)
		return err
	})
	if errors.Is(err, factor.ErrNoPending) {
		return nil, nil
	}
	if err != nil || e.Active {
		return nil, err
	}
	return e, nil
}

// enrollPage shows the authenticator that a login demands. It is made at the
// first look and stays the same until it is confirmed.
func enrollPage(x *exchange) error {
	e := x.state.Enrollment
	if e == nil && enrollAt(x.state.Others) != "/sallyport/enroll/totp" || e != nil && e.Method != factor.TOTP {
		return x.see(halfwayAt("/sallyport/enroll/", x.id, nil)) // chosen there, by a form
	}
	if e == nil {
		if x.r.Method == http.MethodHead {
			return x.plain(http.StatusOK, "")
		}
		var err error
		if e, err = x.p.doors.EnrollStart(x.context(), x.token, login.Portal, factor.TOTP, x.caller()); err != nil {
			return x.lost(err)
		}
	}
	return x.enrollView(http.StatusOK, e, "")
}

func (x *exchange) enrollView(status int, e *factor.Enrollment, alert string) error {
	x.leave()
	f := x.newEnrollForm(e)
	f.Name = x.state.Name + "@" + x.state.Realm
	f.Choice, f.Passkey = x.choiceLink(), x.passkeyLink()
	f.About, f.Action, f.Way = x.p.say("enroll.forced"), "/sallyport/enroll/totp", x.way(x.state.Target)
	return x.page(status, "enroll", view{Title: x.p.say("enroll.title"), Alert: alert, Body: f})
}

// enrollSubmit takes the first code.
func enrollSubmit(x *exchange) error {
	if e := x.state.Enrollment; e == nil || e.Method != factor.TOTP {
		return errNothingPending
	}
	retry := func() error {
		if x.state.Enrollment == nil {
			return errNothingPending
		}
		return x.enrollView(http.StatusUnauthorized, x.state.Enrollment, x.p.say("enroll.denied"))
	}
	if x.form["code"] == "" {
		return retry()
	}
	next, err := x.p.doors.EnrollConfirm(x.context(), x.second(x.form["code"], factor.TOTP))
	if errors.Is(err, factor.ErrNoPending) {
		return errNothingPending
	}
	return x.settle(next, err, retry)
}

// lost turns the death of a half login into its page.
func (x *exchange) lost(err error) error {
	if denied(err) {
		x.end()
		return errGone
	}
	return err
}
