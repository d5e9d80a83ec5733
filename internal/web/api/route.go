package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/sallyport-auth/sallyport/internal/web"
)

// Route is one line of the table: a call, and who may make it.
type Route struct {
	Method  string
	Path    string // below Prefix
	Who     Who
	Status  int // of success; 0: 200, or 204 where nothing is said
	Summary string
	// SharedCookie lets the session cookie open this call where an upstream's
	// scripts share our origin: what they can do with it anyway.
	SharedCookie bool
	// Image is a call that answers a picture.
	Image bool
	// OAuth is a call that speaks RFC 6749: it takes a form, and answers in its form.
	OAuth bool
	// Match is a call that asks caller.holds what If-Match and If-None-Match
	// say. A change that does not is refused with either: to ignore a
	// condition would be to break it.
	Match bool
	// Once is a call that is made by once, and so understands Idempotency-Key.
	Once bool
}

// add puts a call behind its checks, in this order: origin, proof, body.
// In is a struct with path and query parameters and perhaps a Body; Out one
// with a Body or without fields.
func add[In, Out any](a *API, built huma.API, route Route, do func(context.Context, *caller, *In) (*Out, error)) {
	a.routes = append(a.routes, route)
	var shape reflect.Type
	if body, ok := reflect.TypeFor[In]().FieldByName("Body"); ok {
		shape = body.Type
	}
	op := describeRoute(route, shape != nil)
	op.DefaultStatus = route.Status
	op.MaxBodyBytes = maxBody
	op.BodyReadTimeout = -1 // the body is in memory by then
	if route.Image {
		op.Responses["200"] = &huma.Response{Description: "A picture.", Content: map[string]*huma.MediaType{"image/png": {}}}
	}
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		c, err := a.admit(w, r, route)
		var body []byte
		if err == nil {
			body, err = readBody(w, r, shape)
		}
		if err == nil {
			err = c.conditions(r, route)
		}
		if err == nil && route.Once {
			c.once, err = a.onceOf(r, body)
		}
		if err != nil {
			a.refuse(r, err).write(w)
			return
		}
		r.Header.Del("Accept") // there is one form of answers, and nothing to negotiate
		next(huma.WithValue(ctx, callerKey{}, c))
	}}
	huma.Register(built, op, func(ctx context.Context, in *In) (*Out, error) {
		c := callerOf(ctx)
		if c == nil {
			return nil, forbidden()
		}
		out, err := do(ctx, c, in)
		if err != nil {
			return nil, a.refuse(c.r, err)
		}
		return out, nil
	})
	describeSuccess(&op, route)
}

// refuse maps an error, and logs what is a failure of ours.
func (a *API) refuse(r *http.Request, err error) *Problem {
	p, failure := answer(err)
	switch {
	case failure && errors.Is(err, context.Canceled):
		a.Logger.Debug("api call was given up", "method", r.Method, "pattern", r.Pattern)
	case failure:
		a.Logger.Error("api call failed", "method", r.Method, "pattern", r.Pattern, "error", err)
	case a.Local && p.Status == http.StatusUnprocessableEntity && !errors.As(err, new(*Problem)):
		// The local administrator typed it: say what was wrong with it.
		p.Detail = err.Error()
	}
	return p
}

// readBody takes the whole body into memory, checks that it has one reading,
// and leaves it to be read again.
func readBody(w http.ResponseWriter, r *http.Request, shape reflect.Type) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	body, err := web.ReadBody(w, r, maxBody)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, problem(http.StatusRequestEntityTooLarge, "too_large", "The body is larger than 64 KiB.")
	case err != nil:
		return nil, problem(http.StatusBadRequest, "malformed", "The body did not arrive whole.")
	case len(body) == 0:
		r.Body = http.NoBody
		return nil, nil
	case !isJSON(r.Header):
		return nil, problem(http.StatusUnsupportedMediaType, "not_json", "The body must be sent as Content-Type: application/json.")
	}
	if err := checkBody(body, shape); err != nil {
		status, code := http.StatusUnprocessableEntity, "invalid"
		if errors.Is(err, errBodySyntax) || errors.Is(err, errBodyTrailing) {
			status, code = http.StatusBadRequest, "malformed"
		}
		text := err.Error()
		return nil, problem(status, code, strings.ToUpper(text[:1])+text[1:]+".")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// isJSON wants the media type once, with no charset but UTF-8.
func isJSON(h http.Header) bool {
	values := h.Values("Content-Type")
	if len(values) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(values[0])
	if err != nil || kind != "application/json" {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}

// operationID is a stable name for generated clients: get-users-realm-name.
func operationID(route Route) string {
	words := strings.FieldsFunc(route.Path, func(r rune) bool {
		return r == '/' || r == '{' || r == '}' || r == '.' || r == '_'
	})
	return strings.ToLower(route.Method) + "-" + strings.Join(words, "-")
}
