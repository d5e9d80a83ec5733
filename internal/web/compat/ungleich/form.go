package ungleich

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// form is how an age writes what it refuses.
type form uint8

const (
	rest  form = iota // ages C and D: Django REST framework
	plain             // ages A and B: {"status": "FAIL"}
)

func formOf(path string) form {
	if path == "/ungleichotp" || strings.HasPrefix(path, "/ungleichotp/") {
		return rest
	}
	return plain
}

// refusal is an answer that is none of the good ones. It is an error for handlers.
type refusal struct {
	status    int
	text      string
	body      any // instead of the form's own with text
	wait      time.Duration
	challenge string
}

func (r *refusal) Error() string { return r.text }

// The words of the original.
const (
	badCredentials = "Incorrect authentication credentials."
	noPermission   = "You do not have permission to perform this action."
	notUnique      = "The fields name, realm must make a unique set."
)

type verdict struct {
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// fail is an answer of the ages A and B, which know no statuses.
func fail(reason string) *refusal {
	return &refusal{status: http.StatusOK, text: reason, body: verdict{Status: "FAIL", Error: reason}}
}

// invalid is an answer of the ages C and D about fields.
func invalid(errs drf.FieldErrors) *refusal {
	return &refusal{status: http.StatusBadRequest, body: errs}
}

func wrongField(name, text string) *refusal {
	return invalid(drf.FieldErrors{{Field: name, Texts: []string{text}}})
}

func nonField(text string) *refusal { return wrongField(drf.NonField, text) }

// unread is what the frame of the original refuses of a body.
func unread(r *drf.Refusal) *refusal { return &refusal{status: r.Status, text: r.Text} }

// refuse writes a refusal in the form of the age.
func (f form) refuse(w http.ResponseWriter, r *refusal) {
	h := w.Header()
	web.SetRetryAfter(h, r.wait)
	if r.challenge != "" {
		h.Set("WWW-Authenticate", r.challenge)
	}
	body := r.body
	switch {
	case body != nil:
	case f == rest:
		body = drf.Detail{Detail: r.text}
	default:
		body = verdict{Status: "FAIL", Error: r.text}
	}
	drf.Write(w, r.status, body)
}

// missing answers a path that the age does not have.
func (f form) missing(w http.ResponseWriter) {
	if f == plain {
		f.refuse(w, &refusal{status: http.StatusNotFound, text: "There is nothing at this path."})
		return
	}
	drf.WritePage(w, http.StatusNotFound, drf.NotFoundPage)
}

func (f form) wrongMethod(method string, to *route) string {
	if f == rest {
		return drf.MethodNotAllowed(strings.ToValidUTF8(method, "?"))
	}
	return "This path takes " + to.names() + " alone."
}

// refusalOf says how an error leaves: what is an answer in the words of the age, what
// is a failure noted and not told.
func (f *Facade) refusalOf(r *http.Request, form form, err error) *refusal {
	if own, ok := errors.AsType[*refusal](err); ok {
		return own
	}
	status, _, text, wait := web.Answer(err)
	if status >= http.StatusInternalServerError {
		if web.Failed(err) && r.Context().Err() == nil {
			f.log.Error("compat.ungleich could not answer", "error", err)
		}
		if status == http.StatusServiceUnavailable {
			wait = max(wait, time.Second)
		}
		return &refusal{status: status, text: text, wait: wait}
	}
	if status == http.StatusTooManyRequests {
		if form == rest {
			text = throttledText(wait)
		}
		return &refusal{status: status, text: text, wait: wait}
	}
	if form == plain {
		return fail(text)
	}
	switch {
	case status == http.StatusUnauthorized:
		return &refusal{status: http.StatusForbidden, text: badCredentials}
	case status == http.StatusForbidden:
		return &refusal{status: status, text: noPermission}
	case errors.Is(err, account.ErrUnknownService):
		return &refusal{status: http.StatusNotFound, text: drf.NotFound}
	case errors.Is(err, account.ErrExists):
		return nonField(notUnique)
	}
	return nonField(text)
}

// throttledText has the original framework's words. A wait of 0 is none that helps.
func throttledText(wait time.Duration) string {
	if wait <= 0 {
		return "Request was throttled."
	}
	return drf.Throttled(wait)
}
