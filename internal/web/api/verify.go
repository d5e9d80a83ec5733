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
	ref, err := a.spelled(ctx, in.Body.Name, in.Body.Realm)
	switch {
	case errors.Is(err, principal.ErrName) || errors.Is(err, account.ErrInvalid): // nobody has it, so it has no other spelling
		ref.Name = in.Body.Name
		if ref.Realm == "" {
			ref.Realm = in.Body.Realm
		}
	case err != nil:
		return nil, err
	}
	q := c.asks(ref, in.Body.Token)
	good := false
	err = a.Store.Update(ctx, func(tx store.Tx) (err error) {
		good = false
		if err := a.may(tx, c, account.Authenticate, ref.Realm); err != nil {
			return err
		}
		u, err := a.Directory.ByRef(tx, ref)
		switch {
		case errors.Is(err, account.ErrUnknownUser):
			good, err = a.Programs.Verify(tx, q)
			return err
		case err != nil:
			return err
		}
		realm, err := a.Directory.Realm(tx, u.Realm)
		if err != nil {
			return err
		}
		good, err = a.judgeUser(tx, c, u, q, factor.TOTP, len(realm.Grants) == 0 && !a.Directory.CapableInFacade(realm.Name))
		return err
	})
	if err != nil {
		return nil, err
	}
	return verdict(good), nil
}

// asks is a question of this caller.
func (c *caller) asks(ref principal.Ref, token string) login.Asking {
	return login.Asking{Caller: c.asking(), Actor: c.name(), Client: c.client.Addr, Ref: ref, Token: token}
}

// judgeUser judges a person's code. open: the realm is one whose members' codes this
// caller may try. Who is disabled, or may not be tried, costs what nobody costs.
func (a *API) judgeUser(tx store.Tx, c *caller, u *account.User, q login.Asking, method factor.Name, open bool) (bool, error) {
	switch {
	case u.Disabled:
		return false, a.Programs.Nobody(tx, q, u, "disabled")
	case !open:
		return false, a.Programs.Nobody(tx, q, u, "capable_realm")
	}
	result, err := a.judge(tx, c, u, method, q.Token)
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
	return nameOf(c.live.Identity)
}

func nameOf(who *account.Identity) string {
	return principal.Ref{Name: who.Name, Realm: who.Realm}.String()
}
