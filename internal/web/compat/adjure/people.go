package adjure

import (
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// provisioned is what a caller is told of a user's recovery codes.
type provisioned struct {
	Codes []string `json:"recovery_codes"`
	User  string   `json:"user_id"`
}

// provision makes a user with an authenticator that is good at once.
func (f *Facade) provision(c *call) error {
	params, err := c.body(provisionSchema)
	if err != nil {
		return err
	}
	id := params.text("user_id")
	answer := provisioned{}
	err = f.Store.Update(c.r.Context(), func(tx store.Tx) error {
		own, err := f.params(tx, params)
		if err != nil {
			return err
		}
		u, err := f.Directory.Create(tx, f.actor(c), account.NewUser{Ref: principal.Ref{Name: id, Realm: f.Realm}, MakeRealm: true})
		if err != nil {
			return err
		}
		e, err := f.Factors.Enroll(tx, f.actor(c), u.ID, factor.EnrollOptions{Params: &own, Confirmed: true})
		if err != nil {
			return err
		}
		answer = provisioned{User: u.Name, Codes: e.RecoveryCodes}
		return nil
	})
	switch {
	case errors.Is(err, account.ErrExists):
		return refuse(provisionFailure, "User id %s already provisioned.", echo(id))
	case errors.Is(err, account.ErrInvalid):
		return refuse(provisionFailure, "This user id cannot be used: at most %d bytes without control characters are expected.", principal.MaxName)
	case err != nil:
		return err
	}
	writeJSON(c.w, http.StatusOK, answer)
	return nil
}

// params are those of a new authenticator: what the caller says, else the realm's.
func (f *Facade) params(tx store.Tx, asked *dict) (otp.Params, error) {
	realm, err := f.Directory.RealmToBe(tx, f.Realm)
	if err != nil {
		return otp.Params{}, err
	}
	own := otp.Default()
	if realm.OTP != nil {
		own = *realm.OTP
	}
	if n, ok := asked.values["key_length"].(number); ok {
		own.Digits = int(n.float())
	}
	if n, ok := asked.values["key_valid_duration"].(number); ok && n.float() != 0 {
		own.Period = int(n.float())
	}
	if s := asked.text("hash_algorithm"); s != "" {
		own.Algorithm = otp.Algorithm(s)
	}
	return own, nil
}

// regenerate makes a new set of recovery codes; the old one is dead.
func (f *Facade) regenerate(c *call) error {
	params, err := c.body(userSchema)
	if err != nil {
		return err
	}
	answer := provisioned{}
	err = f.Store.Update(c.r.Context(), func(tx store.Tx) error {
		u, err := f.user(tx, params)
		if err != nil {
			return err
		}
		codes, err := f.Factors.NewRecoveryCodes(tx, f.actor(c), u.ID)
		answer = provisioned{User: u.Name, Codes: codes}
		return err
	})
	if missing(err) {
		return notProvisioned(params)
	}
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, answer)
	return nil
}

// user finds whom a call names. Who is disabled is nobody, where something would be
// shown or changed. Errors: account.ErrUnknownUser.
func (f *Facade) user(tx store.Tx, params *dict) (*account.User, error) {
	u, _, err := f.Directory.FindIn(tx, params.text("user_id"), f.Realm, account.ByName)
	if err == nil && u.Disabled {
		err = account.ErrUnknownUser
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

// missing reports whether nobody is there, or nobody with an authenticator.
func missing(err error) bool {
	return errors.Is(err, account.ErrUnknownUser) || errors.Is(err, factor.ErrNoMethod)
}

func notProvisioned(params *dict) error {
	return refuse(userNotFound, "User %s has not been provisioned", echo(params.text("user_id")))
}

// healthcheck reads from the store.
func (f *Facade) healthcheck(c *call) error {
	err := f.Store.View(c.r.Context(), func(tx store.Tx) error {
		_, err := f.Directory.RealmToBe(tx, f.Realm)
		return err
	})
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, struct{}{})
	return nil
}
