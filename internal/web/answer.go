package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// refusals are the errors that are answers, with what everybody may read.
var refusals = [...]struct {
	err    error
	status int
	code   string
	text   string // "": the error's own text, which is a sentence for the caller
}{
	{login.ErrDenied, 401, "denied", "The credentials are not good."},
	{guard.ErrDenied, 401, "denied", "The credentials are not good."},
	{factor.ErrDenied, 401, "denied", "The code is not good."},
	{factor.ErrReplay, 401, "denied", "The code is not good."},
	{session.ErrNone, 401, "unauthenticated", "Sign in first."},
	{login.ErrCodeNeeded, 403, "code_needed", "A code of your second factor is needed."},
	{login.ErrNoFactor, 403, "no_factor", "Set up a second factor first."},
	{login.ErrEnrollmentClosed, 403, "enrollment_closed", "Setting up a second factor needs an invitation: ask your administrator."},
	{login.ErrSetupDone, 409, "setup_done", "An administrator exists already."},
	{login.ErrNotTrusted, 404, "unknown_trusted_browser", "There is no such trusted browser."},
	{login.ErrNoMail, 409, "no_mail", "Mail is not configured here, or no portal that a link could lead to: ask your administrator."},
	{login.ErrNoAddress, 409, "no_address", "There is no confirmed address to send to: set the user's address first."},
	{login.ErrNoWay, 409, "no_other_way", "A new password needs a second factor that does not arrive by mail, and there is none: ask your administrator."},
	{account.ErrRegistrationClosed, 403, "registration_closed", "Nobody registers here: ask your administrator for an account."},
	{account.ErrDomain, 422, "domain_not_allowed", "Addresses of this domain do not register here."},
	{factor.ErrNoPending, 409, "nothing_pending", "No enrolment is pending."},
	{factor.ErrNoMethod, 404, "unknown_method", "No such method is set up."},
	{factor.ErrUnknownMethod, 404, "unknown_method", "This method is not offered."},
	{factor.ErrNoTarget, 409, "no_target", "Your record has no address or number to which a code could be sent."},
	{factor.ErrSendsNothing, 409, "no_sending_method", "This method sends nothing: its codes come from the person's own device or paper."},
	{factor.ErrCannotSend, 409, "no_messages", "This server does not send such codes: use another way, or ask your administrator."},
	{factor.ErrTooMany, 409, "too_many", ""},
	{factor.ErrUnchecked, 503, "unchecked", "This code cannot be checked now: try again, or use another way."},
	{login.ErrPasswordNotFresh, 403, "password_not_fresh", "Sign in again first: a first factor needs a password that is at most 15 minutes old."},
	{factor.ErrLastFactor, 409, "last_factor", "The last factor stays, because two are demanded: set up another one first."},
	{factor.ErrNoRegeneration, 409, "no_regeneration", "New recovery codes are not allowed here: ask your administrator."},
	{account.ErrUnknownUser, 404, "unknown_user", "There is no such user."},
	{account.ErrUnknownService, 404, "unknown_service", "There is no such service."},
	{account.ErrUnknownRealm, 404, "unknown_realm", "There is no such realm."},
	{account.ErrExists, 409, "exists", "This name is taken."},
	{account.ErrAddressTaken, 409, "address_taken", "This address belongs to another user of the realm."},
	{account.ErrNotFresh, 403, "not_fresh", "Prove your second factor again first."},
	{account.ErrForbidden, 403, "forbidden", "You may not do this."},
	{account.ErrVersion, 409, "version", "It was changed by somebody else meanwhile."},
	{account.ErrLastAdministrator, 409, "last_administrator", "The last administrator must stay."},
	{account.ErrReserved, 409, "reserved", "This realm is reserved."},
	{account.ErrNotEmpty, 409, "not_empty", ""},
	{account.ErrConfigured, 409, "configured", ""},
	{account.ErrCursor, 400, "cursor", "This is not a cursor of this list."},
	{account.ErrInvalid, 422, "invalid", ""},
	{principal.ErrName, 422, "invalid", ""},
}

// Answer says how an error leaves the house: status, a stable code, a sentence
// for everybody, and how long to wait (0: nothing to say). It is the only
// place that decides so. nil is 200. What it does not know is a failure: 500,
// and 503 where trying again may help; the error itself belongs into the log
// (Failed), never into the answer.
func Answer(err error) (status int, code, text string, retryAfter time.Duration) {
	if err == nil {
		return http.StatusOK, "", "", 0
	}
	var throttled *throttle.Throttled
	var busy *secret.Busy
	switch {
	case errors.As(err, &throttled) && throttled.Sending:
		return http.StatusTooManyRequests, "throttled", "Enough messages were sent. Wait before the next one.", throttled.RetryAfter
	case errors.As(err, &throttled):
		return http.StatusTooManyRequests, "throttled", "Too many wrong tries. Wait before the next one.", throttled.RetryAfter
	case errors.As(err, &busy):
		return http.StatusServiceUnavailable, "busy", "Too many people sign in at this moment. Try again.", busy.RetryAfter
	case errors.Is(err, store.ErrNoSpace):
		return http.StatusServiceUnavailable, "no_space", "Nothing can be saved at this moment.", 0
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrUnavailable):
		return http.StatusServiceUnavailable, "unavailable", "The gateway cannot answer at this moment.", 0
	}
	for i := range refusals {
		r := &refusals[i]
		if errors.Is(err, r.err) {
			text := r.text
			if text == "" {
				text = err.Error()
			}
			return r.status, r.code, text, 0
		}
	}
	return http.StatusInternalServerError, "failed", "Something failed here. It was noted.", 0
}

// Failed reports whether an error is a failure, which the log must have, and
// not an answer. That all hash slots are taken is an answer: a flood of logins
// must not become a flood of log lines.
func Failed(err error) bool {
	status, code, _, _ := Answer(err)
	return status >= 500 && code != "busy"
}

// Problem is an RFC 9457 problem with a stable code.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// WriteProblem answers with a problem, never cached. Nothing of the request
// may stand in code or detail. retryAfter 0: no Retry-After.
func WriteProblem(w http.ResponseWriter, status int, code, detail string, retryAfter time.Duration) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	SetRetryAfter(h, retryAfter)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail})
}

// SetRetryAfter sets Retry-After in whole seconds, rounded up; 0 sets nothing.
func SetRetryAfter(h http.Header, wait time.Duration) {
	if wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
}
