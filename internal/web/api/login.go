package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
)

// loginInput is the body of POST /login: a name (also name@realm) or an
// address, one of the two.
type loginInput struct {
	Body LoginRequest
}

// LoginRequest is the first door's question.
type LoginRequest struct {
	Name     string `json:"name,omitempty" maxLength:"320" example:"alice@users" doc:"The name, also as name@realm. This or email."`
	Email    string `json:"email,omitempty" maxLength:"320" doc:"The e-mail address. This or name."`
	Realm    string `json:"realm,omitempty" maxLength:"128" doc:"The realm; default: the server's."`
	Password string `json:"password" maxLength:"1024" doc:"The password."`

	TrustedToken string `json:"trusted_token,omitempty" maxLength:"128" doc:"Of a trusted browser: it stands for the code. One that is not good is ignored."`
}

// LoginAnswer is where a door leads. Which fields it has depends on status.
type LoginAnswer struct {
	Status         string   `json:"status" enum:"ok,second_factor,enroll" doc:"ok: signed in. second_factor: go to /login/code. enroll: set up a factor with /me/methods/{method}/activate."`
	EphemeralToken string   `json:"ephemeral_token,omitempty" doc:"Proof of the first door, good for the second alone."`
	Method         string   `json:"method,omitempty" doc:"The factor that is asked for first."`
	OtherMethods   []string `json:"other_methods,omitempty" doc:"Other ways through the second door."`
	SentTo         string   `json:"sent_to,omitempty" doc:"With second_factor: where method has sent a code, masked."`
	Methods        []string `json:"methods,omitempty" doc:"With enroll: what may be set up."`
	AccessToken    string   `json:"access_token,omitempty" doc:"With ok: for the header Authorization."`
	RefreshToken   string   `json:"refresh_token,omitempty" doc:"With ok: for /token/refresh."`
	TokenType      string   `json:"token_type,omitempty" doc:"Bearer."`
	ExpiresIn      int      `json:"expires_in,omitempty" doc:"Seconds that the token is good."`
	RecoveryCodes  []string `json:"recovery_codes,omitempty" doc:"With the first factor: shown once."`
	RecoveryLeft   *int     `json:"recovery_codes_left,omitempty" doc:"After a recovery code: how many are still good."`
	TrustedToken   string   `json:"trusted_token,omitempty" doc:"After trust_device: for /login. Missing: this realm trusts none."`
	TrustedFor     int      `json:"trusted_for,omitempty" doc:"Seconds that the trusted token is good."`
}

type loginOutput struct {
	Body LoginAnswer
}

func (a *API) login(ctx context.Context, c *caller, in *loginInput) (*loginOutput, error) {
	b := in.Body
	if (b.Name == "") == (b.Email == "") {
		return nil, invalid("body", "name or email is expected, one of the two")
	}
	if b.Password == "" {
		return nil, invalid("body.password", "a password is expected")
	}
	next, err := a.Doors.Password(ctx, login.Attempt{
		Login: b.Name + b.Email, Realm: b.Realm, Password: b.Password, Door: login.API, Client: c.client,
		Trusted: b.TrustedToken,
	})
	if err != nil {
		return nil, err
	}
	return a.passed(ctx, c, next)
}

// invalid refuses one field.
func invalid(location, message string) *Problem {
	p := problem(http.StatusUnprocessableEntity, "invalid", "A field is missing or not as documented.")
	p.Errors = []Field{{Location: location, Message: message}}
	return p
}

// passed answers for a door that let somebody pass. Of a finished login the
// browser keeps the cookies, if it is one.
func (a *API) passed(ctx context.Context, c *caller, next *login.Next) (*loginOutput, error) {
	seconds := int(next.ExpiresIn / time.Second)
	switch next.Status {
	case login.SecondFactor:
		return &loginOutput{Body: LoginAnswer{Status: "second_factor", EphemeralToken: next.Ephemeral.Reveal(),
			Method: string(next.Method), OtherMethods: names(next.Others), ExpiresIn: seconds, SentTo: next.Sent}}, nil
	case login.Enroll:
		return &loginOutput{Body: LoginAnswer{Status: "enroll", EphemeralToken: next.Ephemeral.Reveal(), Methods: names(next.Others)}}, nil
	}
	pair, err := a.pair(ctx, next.Opened)
	if err != nil {
		return nil, err
	}
	if a.origin(c.r) != listed { // a foreign page gets tokens, never cookies
		a.Cookies.SetLogin(c.w, a.Scheme(c.r), next, a.Clock())
	}
	out := &loginOutput{Body: LoginAnswer{Status: "ok", AccessToken: pair.AccessToken, RefreshToken: pair.RefreshToken,
		TokenType: pair.TokenType, ExpiresIn: pair.ExpiresIn, RecoveryCodes: next.RecoveryCodes}}
	if !next.Trusted.IsZero() {
		out.Body.TrustedToken, out.Body.TrustedFor = next.Trusted.Reveal(), int(next.TrustedFor/time.Second)
	}
	return out, nil
}

func names(methods []factor.Name) []string {
	list := make([]string, len(methods))
	for i, m := range methods {
		list[i] = string(m)
	}
	return list
}

// TokenPair is what a session hands out.
type TokenPair struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in" doc:"Seconds that the access token is good."`
}

func (a *API) pair(ctx context.Context, opened *session.Opened) (TokenPair, error) {
	access, expires, err := a.Sessions.Access(ctx, opened.Live)
	if err != nil {
		return TokenPair{}, err
	}
	pair := TokenPair{AccessToken: access, TokenType: "Bearer", ExpiresIn: seconds(expires.Sub(a.Clock()))}
	if opened.Refresh != nil {
		pair.RefreshToken = opened.Refresh.Reveal()
	}
	return pair, nil
}

type challengeInput struct {
	Body struct {
		EphemeralToken string `json:"ephemeral_token" maxLength:"128"`
		Method         string `json:"method" maxLength:"32"`
	}
}

// challenge sends a code; the older one is dead.
func (a *API) challenge(ctx context.Context, c *caller, in *challengeInput) (*challengeOutput, error) {
	next, err := a.Doors.Challenge(ctx, in.Body.EphemeralToken, login.API, factor.Name(in.Body.Method), c.client)
	if err != nil {
		return nil, err
	}
	return &challengeOutput{Body: Challenge{SentTo: next.Sent, ExpiresIn: int(next.ExpiresIn / time.Second)}}, nil
}

type codeInput struct {
	Body struct {
		EphemeralToken string `json:"ephemeral_token" maxLength:"128"`
		Code           string `json:"code" maxLength:"64"`
		Method         string `json:"method,omitempty" maxLength:"32" doc:"Default: the person's methods that read digits."`
		TrustDevice    bool   `json:"trust_device,omitempty" doc:"Trust this browser: the answer has a trusted_token, where the realm allows it."`
	}
}

func (a *API) code(ctx context.Context, c *caller, in *codeInput) (*loginOutput, error) {
	if factor.Name(in.Body.Method) == factor.RecoveryCode {
		return nil, invalid("body.method", "recovery codes have a call of their own: /login/recovery-code")
	}
	next, err := a.Doors.Code(ctx, login.Second{Ephemeral: in.Body.EphemeralToken, Code: in.Body.Code,
		Method: factor.Name(in.Body.Method), Door: login.API, Client: c.client, Trust: in.Body.TrustDevice})
	if err != nil {
		return nil, err
	}
	return a.passed(ctx, c, next)
}

type recoveryInput struct {
	Body struct {
		EphemeralToken string `json:"ephemeral_token" maxLength:"128"`
		RecoveryCode   string `json:"recovery_code" maxLength:"128"`
	}
}

func (a *API) recoveryCode(ctx context.Context, c *caller, in *recoveryInput) (*loginOutput, error) {
	next, err := a.Doors.Recovery(ctx, login.Second{Ephemeral: in.Body.EphemeralToken, Code: in.Body.RecoveryCode,
		Method: factor.RecoveryCode, Door: login.API, Client: c.client})
	if err != nil {
		return nil, err
	}
	out, err := a.passed(ctx, c, next)
	if err == nil {
		out.Body.RecoveryLeft = &next.RecoveryLeft
	}
	return out, err
}

type refreshInput struct {
	Body struct {
		RefreshToken string `json:"refresh_token" maxLength:"128"`
	}
}

type refreshOutput struct {
	Body TokenPair
}

func (a *API) refresh(ctx context.Context, c *caller, in *refreshInput) (*refreshOutput, error) {
	opened, err := a.Sessions.Refresh(ctx, in.Body.RefreshToken, session.Origin{Client: c.client.Addr, UserAgent: c.client.UserAgent})
	if err != nil {
		return nil, orDenied(err)
	}
	pair, err := a.pair(ctx, opened)
	if err != nil {
		return nil, orDenied(err)
	}
	return &refreshOutput{Body: pair}, nil
}

func (a *API) logout(ctx context.Context, c *caller, _ *struct{}) (*struct{}, error) {
	if err := a.Doors.Logout(ctx, c.live); err != nil {
		return nil, err
	}
	a.Cookies.ClearSession(c.w, a.Scheme(c.r))
	return nil, nil
}

// orDenied answers for a token that opens nothing as for any bad credential.
func orDenied(err error) error {
	if errors.Is(err, session.ErrNone) {
		return denied()
	}
	return err
}
