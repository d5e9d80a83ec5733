package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/web"
)

const problemType = "application/problem+json"

// Problem is an answer that is not a success (RFC 9457). Code is stable: what
// programs compare. Detail is a sentence for people, and never repeats what
// the caller sent.
type Problem struct {
	Title  string  `json:"title" doc:"The status in words."`
	Status int     `json:"status" doc:"The HTTP status."`
	Code   string  `json:"code" doc:"A stable word for programs."`
	Detail string  `json:"detail,omitempty" doc:"One sentence for people."`
	Errors []Field `json:"errors,omitempty" doc:"Which fields are wrong, and what was expected."`

	header http.Header
}

// Field is one wrong field of a request.
type Field struct {
	Location string `json:"location,omitempty" doc:"Such as body.name or query.limit."`
	Message  string `json:"message" doc:"What was expected."`
}

// problem makes a Problem.
func problem(status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// with adds a header to the answer.
func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

func (p *Problem) Error() string               { return p.Code }
func (p *Problem) GetStatus() int              { return p.Status }
func (p *Problem) GetHeaders() http.Header     { return p.header }
func (p *Problem) ContentType(_ string) string { return problemType }

// write sends the problem without huma.
func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	for name, values := range p.header {
		h[name] = values
	}
	h.Set("Content-Type", problemType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller may be gone; there is nobody to tell
}

// unauthenticated asks for a proof (RFC 6750 section 3).
func unauthenticated() *Problem {
	return problem(http.StatusUnauthorized, "unauthenticated", "Sign in first: send an access token, or the session cookie.").
		with("WWW-Authenticate", "Bearer")
}

// denied is the one answer to bad credentials, whatever was wrong with them.
func denied() *Problem {
	return problem(http.StatusUnauthorized, "denied", "The credentials are not good.").with("WWW-Authenticate", "Bearer")
}

func forbidden() *Problem {
	return problem(http.StatusForbidden, "forbidden", "You may not do this.")
}

// answer maps an error to what the caller may know of it, by the one function
// that decides so for the whole house. The second result is true for failures
// of ours, which belong into the log.
func answer(err error) (p *Problem, failure bool) {
	var weak *secret.WeakPassword
	switch {
	case errors.As(err, &p):
		return p, false
	case errors.As(err, &weak):
		return problem(http.StatusUnprocessableEntity, "weak_password", weak.Reason), false
	case errors.Is(err, audit.ErrCursor), errors.Is(err, notify.ErrCursor):
		err = account.ErrCursor
	case errors.Is(err, notify.ErrUnknown):
		return problem(http.StatusNotFound, "unknown_message", "There is no such message."), false
	case errors.Is(err, notify.ErrDone):
		return problem(http.StatusConflict, "message_done", "This message was sent, or replaced by a newer one."), false
	case errors.Is(err, notify.ErrUnusable):
		return problem(http.StatusConflict, "message_expired", "The code or link in this message no longer works: cause a new one."), false
	}
	status, code, text, wait := web.Answer(err)
	if code == "invalid" {
		text = "A name or a value is not as documented." // the error's own text quotes it
	}
	p = problem(status, code, text)
	if wait == 0 && status == http.StatusServiceUnavailable {
		wait = 5 * time.Second
	}
	if p.header == nil {
		p.header = http.Header{}
	}
	web.SetRetryAfter(p.header, wait)
	if status == http.StatusUnauthorized {
		p.with("WWW-Authenticate", "Bearer")
	}
	return p, web.Failed(err)
}

// fromHuma replaces huma's own error answers, which repeat what was sent. It is
// a huma.Transformer.
func fromHuma(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problem(m.Status, codeOf(m.Status), "")
	for _, e := range m.Errors {
		if e == nil {
			continue
		}
		field := Field{Location: e.Location, Message: plainNumber(e.Message)}
		if e.Message == validation.MsgUnexpectedProperty || e.Message == "unknown query parameter" {
			field.Location = "" // the name is the caller's own
		}
		p.Errors = append(p.Errors, field)
	}
	switch {
	case len(p.Errors) > 0:
		p.Detail = "A field is missing or not as documented."
	case m.Status == http.StatusBadRequest:
		p.Detail = "A JSON body is missing."
	}
	return p, nil
}

// plainNumber writes the bound at the end of a message as people write it: 2592000,
// not 2.592e+06.
func plainNumber(message string) string {
	text, bound, ok := strings.Cut(message, "= ")
	n, err := strconv.ParseFloat(bound, 64)
	if !ok || err != nil {
		return message
	}
	return text + "= " + strconv.FormatFloat(n, 'f', -1, 64)
}

func codeOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "malformed"
	case http.StatusUnprocessableEntity:
		return "invalid"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusUnsupportedMediaType:
		return "not_json"
	}
	return "failed"
}
