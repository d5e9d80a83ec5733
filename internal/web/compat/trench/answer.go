package trench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
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

type detailBody struct {
	Detail string `json:"detail"`
}

// detail is the form of what the frame of the original says.
func detail(status int, text string) *answer {
	return &answer{status: status, body: detailBody{text}}
}

type errorBody struct {
	Error string `json:"error"`
}

// failed is the form of what the original itself says.
func failed(text string) *answer {
	return &answer{status: http.StatusBadRequest, body: errorBody{text}}
}

func notFound() *answer { return detail(http.StatusNotFound, "Not found.") }

// page is an answer for people, as the original has where no path fits.
func page(status int, text string) *answer {
	title := http.StatusText(status)
	return &answer{status: status, page: "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>" + title + "</title>\n</head>\n<body>\n  <h1>" + title +
		"</h1><p>" + text + "</p>\n</body>\n</html>\n"}
}

func noPath() *answer {
	return page(http.StatusNotFound, "The requested resource was not found on this server.")
}

// refusal is what the gate says, in the form of the original.
func refusal(r *compat.Refusal) *answer {
	a := detail(r.Status, r.Text)
	a.wait, a.challenge = r.Wait, r.Challenge
	return a
}

// throttled is how the frame of the original asks for patience.
func throttled(wait time.Duration) *answer {
	seconds, unit := (wait+time.Second-1)/time.Second, "seconds"
	if seconds == 1 {
		unit = "second"
	}
	a := detail(http.StatusTooManyRequests, "Request was throttled. Expected available in "+strconv.FormatInt(int64(seconds), 10)+" "+unit+".")
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
		f.log.Error("a call of trench failed", "method", c.r.Method, "route", c.route.path, "code", code, "error", err)
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
	switch {
	case a.body != nil:
		h.Set("Content-Type", "application/json")
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(a.body); err != nil { // cannot be: bodies are ours
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(bytes.TrimSuffix(b.Bytes(), []byte{'\n'}))
	case a.status == http.StatusNoContent:
		w.WriteHeader(a.status)
	default:
		h.Set("Content-Type", "text/html") // Django's page is ASCII, and says no more
		if a.location != "" {
			h.Set("Content-Type", "text/html; charset=utf-8")
		}
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.page))
	}
}
