package trench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// scheme is a kind of tokens, by the library whose clients hold it.
type scheme uint8

const (
	noScheme  scheme = iota
	drfJWT           // django-rest-framework-jwt: Authorization: JWT …
	simpleJWT        // djangorestframework-simplejwt: Bearer …, and a refresh token
	drfToken         // rest_framework.authtoken, djoser: Token …
)

const (
	// accessLife is how long a JWT opens calls: both libraries' default.
	accessLife = 5 * time.Minute
	// refreshLife is how long a refresh token gives others: simplejwt's default.
	refreshLife = 24 * time.Hour
)

// tokens makes and reads the tokens of all kinds. Each kind has a key of its own, so
// none is good in another's place. All name a session, but for enrol, which carries
// the ephemeral token of somebody who has none yet.
type tokens struct {
	now                         func() time.Time
	drf, access, renewal, enrol *compat.Signer
	opaque                      *opaque
}

func newTokens(derive func(string) []byte, now func() time.Time) (*tokens, error) {
	signer := func(kind string) *compat.Signer { return compat.NewSigner(derive("compat trench "+kind), now) }
	o, err := newOpaque(derive("compat trench token"), derive("compat trench token mac"))
	return &tokens{
		now: now, opaque: o,
		drf: signer("jwt"), access: signer("access"), renewal: signer("refresh"), enrol: signer("enrol"),
	}, err
}

// schemeOf is what a login door gives.
func (f *Facade) schemeOf(c *call) scheme {
	switch {
	case strings.HasPrefix(c.route.path, "token/"):
		return drfToken
	case strings.HasPrefix(c.route.path, "jwt/") || !f.old:
		return simpleJWT
	}
	return drfJWT
}

type drfBody struct {
	Token string `json:"token"`
}

type pairBody struct {
	Refresh string `json:"refresh"`
	Access  string `json:"access"`
}

type opaqueBody struct {
	AuthToken string `json:"auth_token"`
}

type drfClaims struct {
	UserID   uint64 `json:"user_id"`
	Username string `json:"username"`
	Exp      int64  `json:"exp"`
	Email    string `json:"email"`
	SID      string `json:"sid"`
}

type simpleClaims struct {
	Type   string `json:"token_type"`
	Exp    int64  `json:"exp"`
	IAT    int64  `json:"iat"`
	JTI    string `json:"jti"`
	UserID uint64 `json:"user_id,omitempty"`
	SID    string `json:"sid,omitempty"`
	Eph    string `json:"eph,omitempty"`
}

// session makes the body of a login that opened a session.
func (t *tokens) session(s scheme, live session.Live) (any, error) {
	switch s {
	case drfJWT:
		who := live.Identity
		token, err := t.drf.Sign(drfClaims{UserID: who.Number, Username: who.Name, Exp: t.end(live, accessLife), Email: who.Email, SID: live.ID})
		return drfBody{token}, err
	case simpleJWT:
		refresh, err := t.renewal.Sign(t.claims("refresh", live, refreshLife))
		if err != nil {
			return nil, err
		}
		access, err := t.access.Sign(t.claims("access", live, accessLife))
		return pairBody{Refresh: refresh, Access: access}, err
	case drfToken:
		token, err := t.opaque.make(live.ID)
		return opaqueBody{token}, err
	}
	return nil, errors.New("make a token: of no kind")
}

// enrolling makes the body of a login of somebody who must set up a factor first. It
// looks like the other one, and its token is good for that alone.
func (t *tokens) enrolling(s scheme, ephemeral secret.Token, life time.Duration) (any, error) {
	now := t.now()
	token, err := t.enrol.Sign(simpleClaims{Type: "access", Exp: now.Add(life).Unix(), IAT: now.Unix(), JTI: newJTI(), Eph: ephemeral.Reveal()})
	switch s {
	case drfJWT:
		return drfBody{token}, err
	case simpleJWT:
		return pairBody{Refresh: token, Access: token}, err
	}
	return opaqueBody{token}, err
}

func (t *tokens) claims(kind string, live session.Live, life time.Duration) simpleClaims {
	return simpleClaims{Type: kind, Exp: t.end(live, life), IAT: t.now().Unix(), JTI: newJTI(), UserID: live.Identity.Number, SID: live.ID}
}

// end is when a token ends: never after its session.
func (t *tokens) end(live session.Live, life time.Duration) int64 {
	return min(t.now().Add(life).Unix(), live.Until.Unix())
}

func newJTI() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: the program ends instead
	return hex.EncodeToString(id[:])
}

// sid reads a JWT that names a session. Errors: compat.ErrExpired, compat.ErrToken.
func sid(s *compat.Signer, token string) (string, error) {
	return claim(s, token, "sid")
}

func claim(s *compat.Signer, token, name string) (string, error) {
	claims, err := s.Parse(token)
	if err != nil {
		return "", err
	}
	text, _ := claims[name].(string)
	if text == "" {
		return "", compat.ErrToken
	}
	return text, nil
}

// read finds out what a token of a scheme stands for: a session's id or an ephemeral
// token. Errors: compat.ErrExpired, compat.ErrToken.
func (t *tokens) read(s scheme, token string) (sessionID, ephemeral string, err error) {
	switch s {
	case drfJWT:
		sessionID, err = sid(t.drf, token)
	case simpleJWT:
		sessionID, err = sid(t.access, token)
	default:
		var good bool
		if sessionID, good = t.opaque.read(token); !good {
			err = compat.ErrToken
		}
	}
	if errors.Is(err, compat.ErrToken) {
		ephemeral, err = claim(t.enrol, token, "eph")
	}
	return sessionID, ephemeral, err
}

// living is the session of an id, if it is one of this facade's people.
// Errors: session.ErrNone; others: the store failed.
func (f *Facade) living(ctx context.Context, id string) (session.Live, error) {
	live, err := f.Sessions.FacadeSession(ctx, id, session.Trench)
	if err == nil && live.Identity.Realm != f.realm {
		err = session.ErrNone
	}
	return live, err
}

type accessBody struct {
	Access string `json:"access"`
}

// refresh gives a new access token for a refresh token, as simplejwt does.
func (f *Facade) refresh(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	token, _ := in.text("refresh", true)
	if refused := in.refused(); refused != nil {
		return refused, nil
	}
	live, err := f.named(c.r.Context(), token, f.tokens.renewal)
	if err != nil {
		return badToken(misplaced(f.tokens.access, token), err)
	}
	access, err := f.tokens.access.Sign(f.tokens.claims("access", live, accessLife))
	return ok(accessBody{access}), err
}

// verify says whether a token of simplejwt is good.
func (f *Facade) verify(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	token, _ := in.text("token", true)
	if refused := in.refused(); refused != nil {
		return refused, nil
	}
	if _, err := f.named(c.r.Context(), token, f.tokens.access, f.tokens.renewal); err != nil {
		return badToken(badPair, err)
	}
	return ok(struct{}{}), nil
}

// named is the living session that a token of one of some kinds names.
func (f *Facade) named(ctx context.Context, token string, kinds ...*compat.Signer) (live session.Live, err error) {
	err = compat.ErrToken
	for _, kind := range kinds {
		var id string
		if id, err = sid(kind, token); err == nil {
			return f.living(ctx, id)
		}
	}
	return live, err
}

type tokenErrorBody struct {
	Detail   string         `json:"detail"`
	Code     string         `json:"code"`
	Messages []tokenMessage `json:"messages,omitempty"`
}

type tokenMessage struct {
	Class   string `json:"token_class"`
	Type    string `json:"token_type"`
	Message string `json:"message"`
}

// badPair is simplejwt's word for a token of its own that is not good.
const badPair = "Token is invalid or expired"

// misplaced is its word for one that is good, but of the other kind, else badPair.
func misplaced(other *compat.Signer, token string) string {
	if _, err := sid(other, token); err == nil {
		return "Token has wrong type"
	}
	return badPair
}

// badToken answers a token in a body that is not good.
func badToken(text string, err error) (*answer, error) {
	if !dead(err) {
		return nil, err
	}
	return &answer{status: http.StatusUnauthorized, challenge: challenges[simpleJWT],
		body: tokenErrorBody{Detail: text, Code: "token_not_valid"}}, nil
}

// dead tells a token that is not good from a failure.
func dead(err error) bool {
	return errors.Is(err, compat.ErrToken) || errors.Is(err, compat.ErrExpired) || errors.Is(err, session.ErrNone)
}
