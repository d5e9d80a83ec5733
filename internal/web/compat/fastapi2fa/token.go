package fastapi2fa

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// The lives of tokens, the original's. None outlives its session.
const (
	accessLife  = 30 * time.Minute
	refreshLife = 24 * time.Hour
)

// tokenPair is what a finished login, and a refresh, answer with.
type tokenPair struct {
	AccessToken  string  `json:"access_token"`
	RefreshToken *string `json:"refresh_token"`
}

// claims of access and refresh tokens; a pre-tfa token has an ephemeral one instead of
// a session. Clients of the original read sub and exp.
type claims struct {
	Expires   int64  `json:"exp"`
	Subject   string `json:"sub"`
	Session   string `json:"sid,omitempty"`
	User      string `json:"uid,omitempty"` // so that a deleted user is told from an ended session
	Ephemeral string `json:"eph,omitempty"`
}

// issue answers with a new pair for a living session.
func (x *exchange) issue(id string, who *account.Identity, until time.Time) error {
	now := x.o.Clock()
	sign := func(s *compat.Signer, life time.Duration) (string, error) {
		end := now.Add(life)
		if until.Before(end) {
			end = until
		}
		return s.Sign(claims{Expires: end.Unix(), Subject: number(who), Session: id, User: who.ID.String()})
	}
	access, err := sign(x.access, accessLife)
	if err != nil {
		return err
	}
	refresh, err := sign(x.refresh, refreshLife)
	if err != nil {
		return err
	}
	x.json(http.StatusOK, tokenPair{access, &refresh})
	return nil
}

func number(who *account.Identity) string { return strconv.FormatUint(who.Number, 10) }

// authorization is the bearer token of a request. Errors: a reply.
func (x *exchange) authorization() (string, error) {
	lines := x.r.Header["Authorization"]
	if len(lines) == 1 {
		if scheme, token, _ := strings.Cut(lines[0], " "); strings.EqualFold(scheme, "Bearer") {
			return token, nil
		}
	}
	return "", challenged(http.StatusUnauthorized, "Not authenticated")
}

// bearer is the living session of the request's access token. Errors: a reply, or
// that the store failed.
func (x *exchange) bearer() (session.Live, error) {
	token, err := x.authorization()
	if err != nil {
		return session.Live{}, err
	}
	parsed, err := x.access.Parse(token)
	switch {
	case errors.Is(err, compat.ErrExpired):
		return session.Live{}, challenged(http.StatusUnauthorized, textExpired)
	case err != nil:
		return session.Live{}, challenged(http.StatusForbidden, textCredentials)
	}
	live, err := x.live(parsed)
	switch {
	case errors.Is(err, account.ErrUnknownUser):
		return live, detail(http.StatusNotFound, "Could not find user")
	case errors.Is(err, session.ErrNone):
		return live, challenged(http.StatusForbidden, textCredentials)
	}
	return live, err
}

// live finds the session that a token of ours names. Errors: session.ErrNone;
// account.ErrUnknownUser, because its user is deleted; others: the store failed.
func (x *exchange) live(parsed map[string]any) (session.Live, error) {
	sid, _ := parsed["sid"].(string)
	live, err := x.o.Sessions.FacadeSession(x.r.Context(), sid, session.FastAPI2FA)
	if errors.Is(err, session.ErrNone) {
		return session.Live{}, x.whyNone(parsed)
	}
	if err != nil {
		return session.Live{}, err
	}
	if sub, _ := parsed["sub"].(string); sub != number(live.Identity) || live.Identity.Realm != x.o.Realm {
		return session.Live{}, session.ErrNone
	}
	return live, nil
}

func (x *exchange) whyNone(parsed map[string]any) error {
	text, _ := parsed["uid"].(string)
	id, err := principal.ParseID(text)
	if err != nil {
		return session.ErrNone
	}
	err = x.o.Store.View(x.r.Context(), func(tx store.Tx) error {
		_, err := x.o.Directory.ByID(tx, id)
		return err
	})
	if err == nil {
		return session.ErrNone
	}
	return err
}

// issuePreTFA answers with the token of somebody who stands between the doors.
func (x *exchange) issuePreTFA(next *login.Next) error {
	u, _, err := x.between(next.Ephemeral.Reveal())
	if err != nil {
		return err
	}
	who := u.Identity()
	token, err := x.preTFA.Sign(claims{
		Expires: x.o.Clock().Add(next.ExpiresIn).Unix(), Subject: number(&who), Ephemeral: next.Ephemeral.Reveal(),
	})
	if err != nil {
		return err
	}
	x.json(http.StatusAccepted, tokenPair{AccessToken: token})
	return nil
}

// between says who stands between the doors with an ephemeral token. Errors: a reply,
// or that the store failed.
func (x *exchange) between(ephemeral string) (*account.User, *login.State, error) {
	state, err := x.o.Doors.Peek(x.r.Context(), ephemeral, login.FastAPI2FA)
	if errors.Is(err, login.ErrDenied) || err == nil && state.Status != login.SecondFactor {
		return nil, nil, challenged(http.StatusUnauthorized, textPreExpired)
	}
	if err != nil {
		return nil, nil, err
	}
	var u *account.User
	err = x.o.Store.View(x.r.Context(), func(tx store.Tx) (err error) {
		u, err = x.o.Directory.ByRef(tx, principal.Ref{Name: state.Name, Realm: state.Realm})
		return err
	})
	if errors.Is(err, account.ErrUnknownUser) { // deleted meanwhile
		return nil, nil, challenged(http.StatusUnauthorized, textPreExpired)
	}
	return u, state, err
}

// preBearer is the ephemeral token that the request's pre-tfa token holds. Errors: a
// reply.
func (x *exchange) preBearer() (string, error) {
	token, err := x.authorization()
	if err != nil {
		return "", err
	}
	parsed, err := x.preTFA.Parse(token)
	switch {
	case errors.Is(err, compat.ErrExpired):
		return "", challenged(http.StatusUnauthorized, textPreExpired)
	case err != nil:
		return "", challenged(http.StatusForbidden, textCredentials)
	}
	ephemeral, _ := parsed["eph"].(string)
	if _, err := secret.ParseToken(secret.Ephemeral, ephemeral); err != nil {
		return "", challenged(http.StatusForbidden, textCredentials)
	}
	return ephemeral, nil
}
