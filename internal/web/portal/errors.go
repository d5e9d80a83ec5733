package portal

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// The refusals of this package. exchange.fail alone turns errors into answers.
var (
	errNotFound       = errors.New("no such page")
	errForeign        = errors.New("form of another site")
	errEmbedded       = errors.New("page asked for by a frame or a script")
	errSignIn         = errors.New("nobody is signed in")
	errGone           = errors.New("the half login has ended")
	errNothingPending = errors.New("nothing waits for a first code")
)

// unavailable is a failure with a time after which trying again makes sense.
type unavailable struct {
	err   error
	after time.Duration
}

func (u *unavailable) Error() string { return fmt.Sprintf("unavailable: %v", u.err) }
func (u *unavailable) Unwrap() error { return u.err }

func errUnavailable(err error, after time.Duration) error {
	return &unavailable{err: err, after: after}
}

// retryAfter is what a failure without a time of its own says: the store may
// be back in a moment.
const retryAfter = 5 * time.Second

// message is a page of one sentence.
type message struct {
	Title, Text, Link, LinkText string
}

func (x *exchange) message(status int, m message) error {
	return x.page(status, "message", view{Title: m.Title, Body: m})
}

// fail maps an error to its answer: the refusals of this package first, then
// whatever web.Answer says. What is an answer (a malformed form, a wait, a
// dead link) is said; a failure is logged, and the page says no more than
// that.
func (x *exchange) fail(err error) error {
	switch {
	case errors.Is(err, errNotFound):
		return x.status(http.StatusNotFound)
	case errors.Is(err, errMalformed):
		return x.status(http.StatusBadRequest)
	case errors.Is(err, errTooLarge):
		return x.status(http.StatusRequestEntityTooLarge)
	case errors.Is(err, errNotForm):
		return x.status(http.StatusUnsupportedMediaType)
	case errors.Is(err, errForeign):
		return x.sentence(http.StatusForbidden, "error.foreign")
	case errors.Is(err, errEmbedded):
		return x.sentence(http.StatusForbidden, "error.embedded")
	case errors.Is(err, errSignIn), errors.Is(err, session.ErrNone), errors.Is(err, account.ErrUnknownUser):
		return x.askSignIn()
	case errors.Is(err, errGone), denied(err):
		return x.message(http.StatusUnauthorized, message{Title: x.p.say("second.gone"),
			Text: x.p.say("second.expired"), Link: "/sallyport/login", LinkText: x.p.say("second.restart")})
	case errors.Is(err, errNothingPending), errors.Is(err, factor.ErrNoPending):
		m := message{Title: x.p.say("enroll.nothing"), Text: x.p.say("enroll.again"), Link: "/sallyport/", LinkText: x.p.say("error.start")}
		if x.live.Portal {
			m.Link, m.LinkText = "/sallyport/account/", x.p.say("account.back")
		}
		return x.message(http.StatusConflict, m)
	case errors.Is(err, login.ErrEnrollmentClosed), errors.Is(err, factor.ErrUnknownMethod):
		return x.message(http.StatusForbidden, message{Title: x.p.say("enroll.off-head"),
			Text: x.p.say("enroll.off"), Link: "/sallyport/", LinkText: x.p.say("error.start")})
	}
	return x.answer(err)
}

// answer is the page of what web.Answer says.
func (x *exchange) answer(err error) error {
	status, _, _, after := web.Answer(err)
	if web.Failed(err) {
		x.log(err)
	}
	var throttled *throttle.Throttled
	var down *unavailable
	switch {
	case errors.As(err, &throttled) && throttled.Cause == throttle.CauseClosed && after <= 0:
		return x.closed()
	case errors.As(err, &down):
		return x.wait(http.StatusServiceUnavailable, max(down.after, retryAfter))
	case status == http.StatusTooManyRequests:
		return x.wait(status, after)
	case status == http.StatusServiceUnavailable:
		return x.wait(status, max(after, time.Second))
	case status >= http.StatusInternalServerError:
		return x.status(http.StatusInternalServerError)
	}
	if _, ok := x.p.texts["error."+strconv.Itoa(status)]; !ok {
		status = http.StatusBadRequest
	}
	return x.status(status)
}

// log tells the operator what failed. The path is one of the table's, so a
// stranger writes nothing into the log.
func (x *exchange) log(err error) {
	if x.r.Context().Err() != nil {
		return // the browser went away
	}
	path := "" // of an upstream: a stranger's text
	if _, ok := x.p.find(x.r.URL.EscapedPath(), false); ok {
		path = x.r.URL.Path
	}
	x.p.logger.Error("answer a page", "path", path, "error", err)
}

// status is the page of a bare status.
func (x *exchange) status(code int) error { return x.sentence(code, "error."+strconv.Itoa(code)) }

func (x *exchange) sentence(code int, key string) error {
	return x.onward(code, x.p.say(key))
}

// wait says how long to wait, in a header for programs and in words.
func (x *exchange) wait(code int, d time.Duration) error {
	d = max(d, time.Second)
	web.SetRetryAfter(x.w.Header(), d)
	return x.onward(code, x.p.say("error."+strconv.Itoa(code), x.p.wait(d)))
}

// onward is a page that leads on: to the same address of the guarded site again
// where that may help, else to the start page. An address of our own may hold the
// token of a link, which belongs on no page.
func (x *exchange) onward(code int, text string) error {
	m := message{Title: x.p.say("title." + strconv.Itoa(code)), Text: text, Link: "/sallyport/", LinkText: x.p.say("error.start")}
	switch code {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if here, ok := x.p.targets.Local(x.r.URL.RequestURI()); ok && x.r.Method == http.MethodGet && !reserved(x.r.URL.Path) {
			m.Link, m.LinkText = here, x.p.say("error.again")
		}
	}
	return x.message(code, m)
}

// closed says what opens a place where no waiting helps.
func (x *exchange) closed() error { return x.sentence(http.StatusTooManyRequests, "error.closed") }

// askSignIn leads to the first door and back, or says so to a form, whose
// content would be lost on the way.
func (x *exchange) askSignIn() error {
	if x.r.Method == http.MethodGet {
		return x.see(at("/sallyport/login", "rd", x.here()))
	}
	return x.message(http.StatusUnauthorized, message{Title: x.p.say("title.401"), Text: x.p.say("error.401"),
		Link: "/sallyport/login", LinkText: x.p.say("start.sign-in")})
}
