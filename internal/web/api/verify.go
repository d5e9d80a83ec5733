package api

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

type verifyTokenInput struct {
	Body struct {
		Name  string `json:"name" maxLength:"512" minLength:"1"`
		Realm string `json:"realm" maxLength:"512" minLength:"1"`
		Token string `json:"token" maxLength:"64" minLength:"1" doc:"The subject's current token."`
	}
}

// verifyToken asks about a service's token, or about a user's one-time code. It
// answers FAIL for everything but a good one, whoever was named; only a caller who
// may not ask about the realm at all hears so, whether it exists or not.
func (a *API) verifyToken(ctx context.Context, c *caller, in *verifyTokenInput) (*verdictOutput, error) {
	ref := principal.Ref{Name: in.Body.Name, Realm: in.Body.Realm}
	if realm, err := principal.CanonicalRealm(ref.Realm); err == nil {
		ref.Realm = realm
	}
	if name, err := principal.CanonicalName(ref.Name); err == nil {
		ref.Name = name
	}
	asking := login.Asking{Caller: c.asking(), Actor: c.name(), Client: c.client.Addr, Ref: ref, Token: in.Body.Token}
	good := false
	err := a.Store.Update(ctx, func(tx store.Tx) (err error) {
		good = false
		if err := a.may(tx, c, account.Authenticate, ref.Realm); err != nil {
			return err
		}
		u, err := a.Directory.ByRef(tx, ref)
		switch {
		case errors.Is(err, account.ErrUnknownUser):
			good, err = a.Programs.Verify(tx, asking)
			return err
		case err != nil:
			return err
		}
		good, err = a.verifyUser(tx, c, u, in.Body.Token)
		return err
	})
	if err != nil {
		return nil, err
	}
	return verdict(good), nil
}

// verifyUser judges a person's one-time code, as POST /users/…/verify does.
// Realms with capabilities answer no: to ask would be to try their keys.
func (a *API) verifyUser(tx store.Tx, c *caller, u *account.User, code string) (bool, error) {
	realm, err := a.Directory.Realm(tx, u.Realm)
	if err != nil || u.Disabled || len(realm.Grants) > 0 {
		return false, err
	}
	in := &verifyInput{}
	in.Body.Code = code
	result, err := a.judge(tx, c, u, in)
	return result == factor.Good, err
}

func verdict(good bool) *verdictOutput {
	if good {
		return &verdictOutput{Body: Verdict{Status: "OK"}}
	}
	return &verdictOutput{Body: Verdict{Status: "FAIL"}}
}

// name is the caller for events.
func (c *caller) name() string {
	if c.local {
		return "local"
	}
	return principal.Ref{Name: c.live.Identity.Name, Realm: c.live.Identity.Realm}.String()
}
