package trench

import (
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// challenges are what the three libraries demand.
var challenges = [...]string{
	drfJWT:    `JWT realm="api"`,
	simpleJWT: `Bearer realm="api"`,
	drfToken:  "Token",
}

// unauthorized is a 401 of a scheme.
func (f *Facade) unauthorized(s scheme, body any) *answer {
	if s == noScheme {
		if s = simpleJWT; f.old {
			s = drfJWT
		}
	}
	return &answer{status: http.StatusUnauthorized, challenge: challenges[s], body: body}
}

// identify finds out whose call it is, where the route is protected: before all else
// that could be wrong with it, as the original does. It takes any of the three headers.
func (f *Facade) identify(c *call) *answer {
	if c.route.who == anyone {
		return nil
	}
	var token string
	var refused *answer
	c.scheme, token, refused = f.header(c.r.Header)
	if refused != nil {
		return refused
	}
	if c.scheme == noScheme {
		return f.unauthorized(noScheme, drf.Detail{Detail: "Authentication credentials were not provided."})
	}
	id, ephemeral, err := f.tokens.read(c.scheme, token)
	switch {
	case err != nil:
	case ephemeral != "":
		c.state, err = f.Doors.Peek(c.r.Context(), ephemeral, login.Trench)
		c.enrolling = ephemeral
		if err == nil && (c.state.Status != login.Enroll || c.state.Realm != f.realm) || errors.Is(err, login.ErrDenied) {
			err = session.ErrNone
		}
	default:
		c.live, err = f.living(c.r.Context(), id)
	}
	switch {
	case dead(err):
		return f.unauthorized(c.scheme, notGood(c.scheme, misplaced(f.tokens.renewal, token), err))
	case err != nil:
		return f.of(c, err)
	case c.enrolling != "" && c.route.who != enrolling:
		return detail(http.StatusForbidden, "Two-factor authentication must be set up first.")
	}
	return nil
}

// header reads Authorization as the three libraries do, one after the other: each
// leaves alone what is not its own.
func (f *Facade) header(h http.Header) (s scheme, token string, refused *answer) {
	words := strings.FieldsFunc(strings.Join(h["Authorization"], ","), func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
	if len(words) == 0 {
		return noScheme, "", nil
	}
	var empty, spaces any
	switch {
	case strings.EqualFold(words[0], "jwt"):
		s = drfJWT
		empty = drf.Detail{Detail: "Invalid Authorization header. No credentials provided."}
		spaces = drf.Detail{Detail: "Invalid Authorization header. Credentials string should not contain spaces."}
	case words[0] == "Bearer":
		s = simpleJWT
		empty = tokenErrorBody{Detail: "Authorization header must contain two space-delimited values", Code: "bad_authorization_header"}
		spaces = empty
	case strings.EqualFold(words[0], "token"):
		s = drfToken
		empty = drf.Detail{Detail: "Invalid token header. No credentials provided."}
		spaces = drf.Detail{Detail: "Invalid token header. Token string should not contain spaces."}
	default:
		return noScheme, "", nil
	}
	switch len(words) {
	case 1:
		return s, "", f.unauthorized(s, empty)
	case 2:
		return s, words[1], nil
	}
	return s, "", f.unauthorized(s, spaces)
}

// notGood is what each library says of a token that is not good; pair is simplejwt's.
func notGood(s scheme, pair string, err error) any {
	switch s {
	case drfToken:
		return drf.Detail{Detail: "Invalid token."}
	case simpleJWT:
		return tokenErrorBody{Detail: "Given token not valid for any token type", Code: "token_not_valid",
			Messages: []tokenMessage{{Class: "AccessToken", Type: "access", Message: pair}}}
	}
	if errors.Is(err, compat.ErrToken) {
		return drf.Detail{Detail: "Error decoding signature."}
	}
	return drf.Detail{Detail: "Signature has expired."} // and so has the session that it named
}
