package fastapi2fa

import (
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// Texts that stand in more than one answer.
const (
	textCredentials = "Could not validate credentials, if TFA is enabled, please confirm token first"
	textExpired     = "Token expired"
	textPreExpired  = "Token expired, login again and validate TFA token within 5 minutes"
	textInvalid     = "Invalid token"
	textClosed      = "Too many wrong codes: ask your administrator." // tokens of six digits are closed too
	textLists       = "This may be called from the gateway's own machine, or by the service that compat.fastapi2fa.require names."
	textSignup      = "This may be called from the gateway's own machine, unless compat.fastapi2fa.signup opens it."
)

// reply is an answer other than success: `{"detail": …}`.
type reply struct {
	status    int
	detail    any // a text, or []invalid
	challenge string
	wait      time.Duration
}

func (r *reply) Error() string { return http.StatusText(r.status) }

func detail(status int, text string) error { return &reply{status: status, detail: text} }

// challenged is detail with WWW-Authenticate.
func challenged(status int, text string) error {
	return &reply{status: status, detail: text, challenge: "Bearer"}
}

// errBody is said of a body that cannot be read at all.
func errBody() error {
	return detail(http.StatusBadRequest, "There was an error parsing the body")
}

// invalid is one finding of pydantic 1.
type invalid struct {
	Loc  []any  `json:"loc"`
	Msg  string `json:"msg"`
	Type string `json:"type"`
	Ctx  any    `json:"ctx,omitempty"`
}

// unprocessable answers with findings, in their order.
func unprocessable(found ...invalid) error {
	return &reply{status: http.StatusUnprocessableEntity, detail: found}
}

// fail answers an error, of ours or of a room.
func (x *exchange) fail(err error) {
	if r, ok := errors.AsType[*reply](err); ok {
		x.refuse(r)
		return
	}
	status, _, text, wait := web.Answer(err)
	if web.Failed(err) && x.r.Context().Err() == nil {
		path := ""
		if x.route != nil {
			path = x.route.path
		}
		x.log.ErrorContext(x.r.Context(), "a call failed", "facade", "fastapi2fa", "call", path, "error", err)
	}
	switch {
	case status == http.StatusTooManyRequests && wait == 0:
		text = textClosed
	case status == http.StatusServiceUnavailable:
		wait = max(wait, time.Second)
	case status >= http.StatusInternalServerError:
		h := x.w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		x.w.WriteHeader(http.StatusInternalServerError)
		_, _ = x.w.Write([]byte("Internal Server Error"))
		return
	}
	x.refuse(&reply{status: status, detail: text, wait: wait})
}

func (x *exchange) refuse(r *reply) {
	h := x.w.Header()
	if r.challenge != "" {
		h.Set("WWW-Authenticate", r.challenge)
	}
	web.SetRetryAfter(h, r.wait)
	x.json(r.status, struct {
		Detail any `json:"detail"`
	}{r.detail})
}

// json writes what can be encoded: all bodies are ours.
func (x *exchange) json(status int, v any) {
	text, _ := compat.EncodeJSON(v)
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(text)
}

func (x *exchange) png(picture []byte) {
	x.w.Header().Set("Content-Type", "image/png")
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(picture)
}
