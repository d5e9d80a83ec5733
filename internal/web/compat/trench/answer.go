package trench

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// answer is what goes out. It is an error too, so that a refusal made inside a
// transaction comes out of it.
type answer struct {
	status    int
	body      any // JSON; nil: nothing
	page      string
	allow     string
	challenge string
	location  string
	wait      time.Duration
}

func (a *answer) Error() string { return fmt.Sprintf("answer with status %d", a.status) }

// ok is a good answer.
func ok(body any) *answer { return &answer{status: http.StatusOK, body: body} }

// done is a good answer that says nothing.
func done() *answer { return &answer{status: http.StatusNoContent} }

// detail is the form of what the frame of the original says.
func detail(status int, text string) *answer {
	return &answer{status: status, body: drf.Detail{Detail: text}}
}

type errorBody struct {
	Error string `json:"error"`
}

// failed is the form of what the original itself says.
func failed(text string) *answer {
	return &answer{status: http.StatusBadRequest, body: errorBody{text}}
}

func notFound() *answer { return detail(http.StatusNotFound, drf.NotFound) }

// noPath is an answer for people, as the original has where no path fits.
func noPath() *answer { return &answer{status: http.StatusNotFound, page: drf.NotFoundPage} }

// refusal is what the gate says, in the form of the original.
func refusal(r *compat.Refusal) *answer {
	a := detail(r.Status, r.Text)
	a.wait, a.challenge = r.Wait, r.Challenge
	return a
}

// throttled is how the frame of the original asks for patience. Where patience does not
// help its sentence would mislead.
func throttled(wait time.Duration) *answer {
	if wait == 0 {
		return detail(http.StatusTooManyRequests, compat.Closed)
	}
	a := detail(http.StatusTooManyRequests, drf.Throttled(wait))
	a.wait = wait
	return a
}

// of maps an error of the rooms to the original's form, and logs what is a failure.
// What a call has no words of its own for comes out as web.Answer has it.
func (f *Facade) of(c *call, err error) *answer {
	if a, ok := errors.AsType[*answer](err); ok {
		return a
	}
	if errors.Is(err, account.ErrUnknownUser) { // deleted meanwhile
		err = login.ErrDenied
	}
	status, code, text, wait := web.Answer(err)
	if web.Failed(err) && c.r.Context().Err() == nil {
		route := ""
		if c.route != nil {
			route = c.route.path
		}
		f.log.Error("a call of trench failed", "method", c.r.Method, "route", route, "code", code, "error", err)
	}
	switch {
	case status == http.StatusTooManyRequests:
		return throttled(wait)
	case status == http.StatusInternalServerError:
		return detail(status, "A server error occurred.")
	case status == http.StatusUnauthorized: // whoever was signed in is not any more
		return f.unauthorized(c.scheme, notGood(c.scheme, badPair, session.ErrNone))
	case status < http.StatusInternalServerError && code == "enrollment_closed":
		return failed(text)
	case errors.Is(err, account.ErrAddressTaken): // its owner proved it by a code
		return fieldAnswer("email", "This field must be unique.")
	}
	a := detail(status, text)
	a.wait = wait
	return a
}

// denied reports whether an error says that a code was not good.
func denied(err error) bool { return errors.Is(err, login.ErrDenied) }

func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.challenge != "" {
		h.Set("WWW-Authenticate", a.challenge)
	}
	if a.location != "" {
		h.Set("Location", a.location)
	}
	web.SetRetryAfter(h, a.wait)
	if a.body != nil || a.status == http.StatusNoContent {
		drf.Write(w, a.status, a.body)
		return
	}
	drf.WritePage(w, a.status, a.page)
}
