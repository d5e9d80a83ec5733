package trench

import (
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// The original's words at its doors.
const (
	noLogin  = "Unable to login with provided credentials."
	badEph   = "Invalid or expired token."
	badLogin = "Invalid or expired code."
)

// methodBody is a second factor that somebody has.
type methodBody struct {
	Name      string `json:"name"`
	IsPrimary bool   `json:"is_primary"`
}

// secondBody asks for the second step. Others is of 0.2 alone.
type secondBody struct {
	Ephemeral string        `json:"ephemeral_token"`
	Method    string        `json:"method"`
	Others    *[]methodBody `json:"other_methods,omitempty"`
}

// atDoor is the form of a refusal at a login door: 0.3 has a status of its own for
// the second step.
func (f *Facade) atDoor(status int, text string) *answer {
	if f.old {
		return fieldAnswer(drf.NonField, text)
	}
	return &answer{status: status, body: errorBody{text}}
}

// login is the first step. Who has a second factor gets the token for the second
// step; who has none gets tokens.
func (f *Facade) login(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	password, _ := in.text("password", true)
	username, _ := in.text("username", true)
	if refused := in.refused(); refused != nil {
		return refused, nil
	}
	next, err := f.Doors.Password(c.r.Context(), login.Attempt{
		Login: username, Realm: f.realm, Password: password, Door: login.Trench, Client: c.client,
	})
	switch {
	case denied(err):
		return f.atDoor(http.StatusBadRequest, noLogin), nil
	case errors.Is(err, login.ErrEnrollmentClosed):
		return f.atDoor(http.StatusBadRequest, "Two-factor authentication must be set up first, and that needs an invitation: ask your administrator."), nil
	case err != nil:
		return nil, err
	}
	switch next.Status {
	case login.Done:
		return f.opened(c, next)
	case login.Enroll:
		body, err := f.tokens.enrolling(f.schemeOf(c), next.Ephemeral, next.ExpiresIn)
		return ok(body), err
	case login.SecondFactor:
		return ok(f.second(c, next)), nil
	}
	return nil, errors.New("log in: a step that the original does not have")
}

func (f *Facade) second(c *call, next *login.Next) secondBody {
	body := secondBody{Ephemeral: next.Ephemeral.Reveal(), Method: c.names.of(next.Method)}
	if f.old {
		body.Others = &[]methodBody{}
		for _, other := range next.Others {
			if other != factor.RecoveryCode { // no method here: each has its own
				*body.Others = append(*body.Others, methodBody{Name: c.names.of(other)})
			}
		}
	}
	return body
}

// opened gives the tokens of a new session.
func (f *Facade) opened(c *call, next *login.Next) (*answer, error) {
	body, err := f.tokens.session(f.schemeOf(c), next.Opened.Live)
	return ok(body), err
}

// loginCode is the second step: a code of any of the methods or a backup code.
func (f *Facade) loginCode(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	ephemeral, _ := in.text("ephemeral_token", true)
	code, _ := in.text("code", true)
	if refused := in.refused(); refused != nil {
		return refused, nil
	}
	// A door has one answer for both; the original tells them apart. The code goes to
	// the door in any case: there it is counted and noted.
	state, err := f.Doors.Peek(c.r.Context(), ephemeral, login.Trench)
	if err != nil && !denied(err) {
		return nil, err
	}
	alive := err == nil && state.Status == login.SecondFactor
	next, err := f.Doors.Code(c.r.Context(), login.Second{
		Ephemeral: ephemeral, Code: typed(code), Method: factor.Any, Door: login.Trench, Client: c.client,
	})
	switch {
	case denied(err) && !alive:
		return f.atDoor(http.StatusUnauthorized, badEph), nil
	case denied(err):
		return f.atDoor(http.StatusUnauthorized, badLogin), nil
	case err != nil:
		return nil, err
	}
	return f.opened(c, next)
}

// unreadable goes to the door in place of a code that the original would not take: it
// is no code, and is counted as a wrong one.
const unreadable = "-"

// typed is a code as the original compares it. An authenticator's code has digits
// alone: what our own doors would read as one although something stands between the
// digits, the original refuses.
func typed(code string) string {
	for _, digits := range []int{6, 8} {
		if clean, read := otp.Clean(code, digits); read && clean != code {
			return unreadable
		}
	}
	return code
}

// logout ends the session of the token, whatever its kind: all its tokens are dead.
func (f *Facade) logout(c *call) (*answer, error) {
	if err := f.Doors.Logout(c.r.Context(), c.live); err != nil {
		return nil, err
	}
	return done(), nil
}
