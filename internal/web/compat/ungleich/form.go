package ungleich

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/web"
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
	notFound       = "Not found."
	notUnique      = "The fields name, realm must make a unique set."
)

type detail struct {
	Detail string `json:"detail"`
}

type verdict struct {
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// fail is an answer of the ages A and B, which know no statuses.
func fail(reason string) *refusal {
	return &refusal{status: http.StatusOK, text: reason, body: verdict{Status: "FAIL", Error: reason}}
}

// perField is an answer of the ages C and D about fields.
type perField []fieldError

type fieldError struct {
	name  string
	texts []string
}

// MarshalJSON keeps the order of the fields.
func (p perField) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, e := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		texts, err := encode(e.texts)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", e.name, texts) // names are ours: ASCII letters
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func invalid(errs perField) *refusal { return &refusal{status: http.StatusBadRequest, body: errs} }

func nonField(text string) *refusal {
	return invalid(perField{{name: "non_field_errors", texts: []string{text}}})
}

func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(body)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// write answers. A nil body is none.
func write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text, err := encode(body)
	if err != nil { // the bodies are texts: nothing in them can fail
		status, text = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

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
		body = detail{r.text}
	default:
		body = verdict{Status: "FAIL", Error: r.text}
	}
	write(w, r.status, body)
}

const missingPage = `
<!doctype html>
<html lang="en">
<head>
  <title>Not Found</title>
</head>
<body>
  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>
</body>
</html>
`

// missing answers a path that the age does not have.
func (f form) missing(w http.ResponseWriter) {
	if f == plain {
		f.refuse(w, &refusal{status: http.StatusNotFound, text: "There is nothing at this path."})
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(missingPage))
}

func (f form) wrongMethod(method string, to *route) string {
	if f == rest {
		return fmt.Sprintf("Method \"%s\" not allowed.", strings.ToValidUTF8(method, "?"))
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
		return &refusal{status: http.StatusNotFound, text: notFound}
	case errors.Is(err, account.ErrExists):
		return nonField(notUnique)
	}
	return nonField(text)
}

// throttledText has the original framework's words. A wait of 0 is none that helps.
func throttledText(wait time.Duration) string {
	seconds := int64((wait + time.Second - 1) / time.Second)
	switch seconds {
	case 0:
		return "Request was throttled."
	case 1:
		return "Request was throttled. Expected available in 1 second."
	}
	return fmt.Sprintf("Request was throttled. Expected available in %d seconds.", seconds)
}

// unread says why a body could not be read.
func unread(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &refusal{status: http.StatusRequestEntityTooLarge, text: "The body is larger than 64 KiB."}
	}
	return &refusal{status: http.StatusBadRequest, text: "The body did not arrive whole."}
}
