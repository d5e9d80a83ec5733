package trench

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// The original's words about methods and codes.
const (
	noMethod      = "Requested MFA method does not exist."
	alreadyActive = "MFA method already active."
	notEnabled    = "2FA is not enabled."
	badCode       = "Code invalid or expired."
	noCode        = "OTP code not provided."
)

// self is who changes the own record, in this session.
func (c *call) self() account.Actor {
	return account.Self(c.live.Identity.ID).From(c.client.Addr, c.live.ID)
}

// goOn follows a change of the own factors, which raised the epoch: all other sessions
// end with it, the one that made it goes on.
func (f *Facade) goOn(tx store.Tx, c *call) error {
	u, err := f.Directory.ByID(tx, c.live.Identity.ID)
	if err != nil {
		return err
	}
	return f.Sessions.Raise(tx, c.live.ID, u.Epoch)
}

// active reports whether somebody has a method.
func active(u *account.User, method factor.Name) bool {
	for _, m := range u.Methods {
		if m.Name == string(method) {
			return true
		}
	}
	return false
}

type qrBody struct {
	Link string `json:"qr_link"`
}

type detailsBody struct {
	Details string `json:"details"`
}

// seed shows what an authenticator app needs.
func (f *Facade) seed(e *factor.Enrollment, username string) (*answer, error) {
	uri, err := pyotpURI(e, username)
	if f.old {
		return ok(qrBody{uri}), err
	}
	return ok(detailsBody{uri}), err
}

// pyotpURI is the otpauth URI of an enrolment in the writing of the original's
// library: the label is issuer and name, and what is as usual is left out.
func pyotpURI(e *factor.Enrollment, username string) (string, error) {
	label, seed, params, err := otp.ParseURI(e.URI)
	if err != nil {
		return "", err
	}
	label.Account = username
	label = label.Clean()
	uri := "otpauth://totp/" + escape(label.Issuer) + ":" + escape(label.Account) + "?secret=" + otp.FormatSeed(seed) +
		"&issuer=" + strings.ReplaceAll(url.QueryEscape(label.Issuer), "+", "%20")
	if params.Algorithm != otp.SHA1 {
		uri += "&algorithm=" + string(params.Algorithm)
	}
	if params.Digits != 6 {
		uri += "&digits=" + strconv.Itoa(params.Digits)
	}
	if params.Period != 30 {
		uri += "&period=" + strconv.Itoa(params.Period)
	}
	return uri, nil
}

// escape is Python's quote: it leaves slashes.
func escape(s string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s))
}

// activate sets up a method, which waits for its first code. A method that sends has
// sent it: to where the account says, or where it says nothing, to where the body says.
func (f *Facade) activate(c *call) (*answer, error) {
	if f.old { // 0.3 does not need the body
		if _, refused := c.fields(); refused != nil {
			return refused, nil
		}
	}
	if !c.names.offers(c.method) {
		return failed(noMethod), nil
	}
	method := c.names.factor(c.method)
	if c.enrolling != "" {
		e, err := f.Doors.EnrollStart(c.r.Context(), c.enrolling, login.Trench, method, c.client)
		return f.begun(e, err, c.state.Name)
	}
	v, err := f.look(c, method)
	if err != nil {
		return nil, err
	}
	to, refused := f.target(c, v, method)
	switch {
	case refused != nil:
		return refused, nil
	case v.has == isActive:
		return failed(alreadyActive), nil
	}
	return f.begin(c, method, to)
}

// begin is the enrolment of somebody who has a session.
func (f *Facade) begin(c *call, method factor.Name, to string) (*answer, error) {
	name := c.live.Identity.Name
	e, err := f.Doors.Activate(c.r.Context(), c.live, factor.EnrollOptions{Method: method, Target: to, Label: name}, c.client)
	return f.begun(e, err, name)
}

// begun answers an enrolment that waits for its first code.
func (f *Facade) begun(e *factor.Enrollment, err error, username string) (*answer, error) {
	if err != nil {
		return f.undelivered(err)
	}
	if e.Method == factor.TOTP {
		return f.seed(e, username)
	}
	return f.whereIs(e.Method), nil
}

type codesBody struct {
	Codes []string `json:"backup_codes"`
}

// backup is the answer that shows recovery codes.
func backup(codes []string) *answer {
	if codes == nil {
		codes = []string{}
	}
	return ok(codesBody{codes})
}

// aboutCode is the form of a refused code: 0.3 says all under the field.
func (f *Facade) aboutCode(text string) *answer {
	if f.old {
		return fieldAnswer(drf.NonField, text)
	}
	return fieldAnswer("code", text)
}

// confirm checks the first code of what activate made. Backup codes come with the first
// method: they are the person's, and go on being good beside a further one. In 0.2 the code of a method
// that is active already makes new backup codes.
func (f *Facade) confirm(c *call) (*answer, error) {
	method := c.names.factor(c.method)
	v, err := f.look(c, method)
	if err != nil {
		return nil, err
	}
	if f.old && v.has == absent {
		return notFound(), nil
	}
	code, refused := f.code(c, !f.old)
	switch {
	case refused != nil:
		return refused, nil
	case code == "":
		return f.aboutCode(noCode), nil
	case v.has == absent:
		return f.aboutCode(noMethod), nil
	case v.has == isActive && f.old:
		return f.renew(c, method, code)
	case v.has == isActive:
		return f.aboutCode(alreadyActive), nil
	}
	if c.enrolling != "" {
		return f.confirmEnrolling(c, method, code)
	}
	codes, err := f.Doors.ConfirmMethod(c.r.Context(), c.live, method, code, c.client)
	switch {
	case errors.Is(err, factor.ErrDenied), errors.Is(err, factor.ErrReplay), errors.Is(err, factor.ErrNoPending):
		return f.aboutCode(badCode), nil
	case err != nil:
		return nil, err
	}
	return backup(codes), nil
}

// confirmEnrolling ends the enrolment of somebody who must have a factor. The session
// that it opens ends at once: none of the original's answers has a place for its
// tokens, so whoever enrolled logs in anew.
func (f *Facade) confirmEnrolling(c *call, method factor.Name, code string) (*answer, error) {
	next, err := f.Doors.EnrollConfirm(c.r.Context(), login.Second{
		Ephemeral: c.enrolling, Code: code, Method: method, Door: login.Trench, Client: c.client,
	})
	if denied(err) {
		return f.aboutCode(badCode), nil
	}
	if err != nil {
		return nil, err
	}
	if err := f.Doors.Logout(c.r.Context(), next.Opened.Live); err != nil { // nobody holds it: it ends by itself
		f.log.Warn("a session that nobody holds was not ended", "error", err)
	}
	return backup(next.RecoveryCodes), nil
}

// code reads the code of a body, as the original compares it; "": there is none, and
// none must be.
func (f *Facade) code(c *call, must bool) (string, *answer) {
	in, refused := c.fields()
	if refused != nil {
		return "", refused
	}
	code, sent := in.text("code", must)
	if refused := in.refused(); refused != nil {
		return "", refused
	}
	if !sent {
		return "", nil
	}
	return typed(code), nil
}
