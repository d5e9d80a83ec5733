package adjure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// The original's error codes, and one for a store that does not answer.
const (
	invalidParams       = "INVALID_PARAMS"
	provisionFailure    = "USER_PROVISION_FAILURE"
	userNotFound        = "USER_NOT_FOUND"
	validationFailure   = "VALIDATION_FAILURE"
	invalidRecoveryCode = "INVALID_RECOVERY_CODE"
	unavailable         = "UNAVAILABLE"
)

// htmlUTF8 is the content type of a text that the original's handlers return; its
// error pages say no charset.
const htmlUTF8 = "text/html; charset=utf-8"

// again is how long to wait, where nothing else is known, for a house that cannot
// answer now.
const again = 5 * time.Second

// refusal is an error in the original's JSON form.
type refusal struct {
	status     int
	code, text string
}

func (r *refusal) Error() string { return r.text }

// refuse is a refusal of the original: they all have the status 400.
func refuse(code, format string, args ...any) error {
	return &refusal{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// page is an error that the original leaves to its framework: a page of HTML.
type page struct {
	status     int
	name, text string
}

func (p *page) Error() string { return p.name }

// The texts are those of the framework's age, two spaces after a full stop included.
var (
	badRequest  = &page{http.StatusBadRequest, "Bad Request", "The browser (or proxy) sent a request that this server could not understand."}
	notFound    = &page{http.StatusNotFound, "Not Found", "The requested URL was not found on the server.  If you entered the URL manually please check your spelling and try again."}
	wrongMethod = &page{http.StatusMethodNotAllowed, "Method Not Allowed", "The method is not allowed for the requested URL."}
	tooLarge    = &page{http.StatusRequestEntityTooLarge, "Request Entity Too Large", "The data value transmitted exceeds the capacity limit."}
	failed      = &page{http.StatusInternalServerError, "Internal Server Error", "The server encountered an internal error and was unable to complete your request.  Either the server is overloaded or there is an error in the application."}
)

func (p *page) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(p.status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>%d %s</title>\n<h1>%s</h1>\n<p>%s</p>\n",
		p.status, p.name, p.name, html.EscapeString(p.text))
}

// errNobody is the one refusal that the original says in plain words.
var errNobody = errors.New("nobody to draw a QR code for")

const nobody = "User not found"

// fail writes an error in the original's form. Refusals of the rooms have the status
// 400 and the endpoint's error_code, as everything here has; throttling and a house
// that cannot answer keep their own status. What is unknown is logged, and not told.
func (f *Facade) fail(w http.ResponseWriter, r *http.Request, code string, err error) {
	if errors.Is(err, errNobody) {
		w.Header().Set("Content-Type", htmlUTF8)
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(nobody))
		return
	}
	if own, ok := errors.AsType[*refusal](err); ok {
		own.write(w)
		return
	}
	if own, ok := errors.AsType[*page](err); ok {
		own.write(w)
		return
	}
	if web.Failed(err) && r.Context().Err() == nil {
		f.log.Error("a call could not be answered", "facade", name, "error", err)
	}
	status, word, text, wait := web.Answer(err)
	switch {
	case status == http.StatusTooManyRequests && wait == 0:
		text = compat.Closed
	case status == http.StatusTooManyRequests:
		web.SetRetryAfter(w.Header(), wait)
	case status == http.StatusServiceUnavailable:
		web.SetRetryAfter(w.Header(), max(wait, again))
		code = strings.ToUpper(word)
	case status < http.StatusInternalServerError:
		status = http.StatusBadRequest
	default:
		failed.write(w)
		return
	}
	(&refusal{status, code, text}).write(w)
}

// turnAway writes what the gate refused.
func turnAway(w http.ResponseWriter, refused *compat.Refusal) {
	if refused.Challenge != "" {
		w.Header().Set("WWW-Authenticate", refused.Challenge)
	}
	if refused.Wait == 0 && refused.Status == http.StatusServiceUnavailable {
		refused.Wait = again
	}
	web.SetRetryAfter(w.Header(), refused.Wait)
	(&refusal{refused.Status, strings.ToUpper(refused.Code), refused.Text}).write(w)
}

func (r *refusal) write(w http.ResponseWriter) {
	writeJSON(w, r.status, struct {
		Code string `json:"error_code"`
		Text string `json:"error_message"`
	}{r.code, r.text})
}

// writeJSON writes as the original's framework does: indented, names in order, and
// nothing but ASCII.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil { // never: texts alone are encoded here
		failed.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(ascii(b.Bytes()))
}

// ascii escapes all other characters of a JSON text; they stand in its strings alone.
func ascii(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		switch {
		case r < utf8.RuneSelf:
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// maxEcho bounds what an answer repeats of a request, in bytes.
const maxEcho = 1024

// echo is what an answer repeats of a text.
func echo(text string) string {
	if len(text) <= maxEcho {
		return text
	}
	at := maxEcho
	for at > 0 && !utf8.RuneStart(text[at]) {
		at--
	}
	return text[:at] + "... (" + strconv.Itoa(len(text)) + " bytes)"
}
