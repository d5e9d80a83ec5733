package adjure

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// digits are what a code is made of; the original does not trim.
	digits = "0123456789"
	// recoveryLetters are those of the original's recovery codes, in small letters only.
	recoveryLetters = "0123456789abcdef"
)

// authenticate judges a code and burns it.
func (f *Facade) authenticate(c *call) error {
	params, err := c.body(authenticateSchema)
	if err != nil {
		return err
	}
	ref, _, err := f.named(c.r.Context(), params)
	if err == nil {
		err = f.prove(c, ref, factor.TOTP, exact(params.text("auth_code"), digits))
	}
	switch {
	case errors.Is(err, account.ErrUnknownUser):
		return refuse(validationFailure, "%s is not a known user.", echo(params.text("user_id")))
	case errors.Is(err, login.ErrDenied):
		return refuse(validationFailure, "Invalid code was given.")
	}
	return c.done(err)
}

// recoveryAuthenticate judges a recovery code and burns it.
func (f *Facade) recoveryAuthenticate(c *call) error {
	params, err := c.body(recoverySchema)
	if err != nil {
		return err
	}
	ref, letters, err := f.named(c.r.Context(), params)
	if err == nil {
		err = f.prove(c, ref, factor.RecoveryCode, exact(params.text("recovery_code"), letters))
	}
	switch {
	case errors.Is(err, account.ErrUnknownUser):
		return notProvisioned(params)
	case errors.Is(err, login.ErrDenied):
		return refuse(invalidRecoveryCode, "The recovery code supplied is not valid for this user")
	}
	return c.done(err)
}

// named finds whom a code is for, disabled or not: the door judges that. letters are
// those in which the realm prints recovery codes.
func (f *Facade) named(ctx context.Context, params *dict) (ref principal.Ref, letters string, err error) {
	letters = recoveryLetters
	err = f.Store.View(ctx, func(tx store.Tx) error {
		u, _, err := f.Directory.FindIn(tx, params.text("user_id"), f.Realm, account.ByName)
		if err != nil {
			return err
		}
		ref = u.Ref()
		realm, err := f.Directory.Realm(tx, f.Realm)
		if err == nil && realm.RecoveryCodes != nil && realm.RecoveryCodes.Alphabet != "" {
			letters = realm.RecoveryCodes.Alphabet
			if !realm.RecoveryCodes.Plain {
				letters += "-"
			}
		}
		return err
	})
	return ref, letters, err
}

func (f *Facade) prove(c *call, ref principal.Ref, method factor.Name, code string) error {
	return f.Doors.Prove(c.r.Context(), ref, method, code, c.client, f.actor(c), "compat "+name)
}

// exact is a code of these letters alone. Everything else the door gets as the empty
// text, so that it is counted: the rooms are more generous with spaces and capitals
// than the original.
func exact(code, letters string) string {
	if strings.Trim(code, letters) != "" {
		return ""
	}
	return code
}

// done answers a good code.
func (c *call) done(err error) error {
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, struct{}{})
	return nil
}

// authCode shows the code of this moment: who reads it needs no authenticator, so it
// is off unless the configuration says otherwise.
func (f *Facade) authCode(c *call) error {
	params, err := c.query(userSchema)
	if err != nil {
		return err
	}
	if !f.CodeOracle {
		return refuse(invalidParams, "Reading codes is switched off here: set code_oracle of compat.adjure to allow it.")
	}
	var answer struct {
		Code string `json:"code"`
	}
	var u *account.User
	err = f.Store.View(c.r.Context(), func(tx store.Tx) error {
		u, err = f.shows(tx, c, params)
		if err == nil {
			answer.Code, err = f.Factors.Current(tx, u.ID)
		}
		return err
	})
	if missing(err) {
		return notProvisioned(params)
	}
	if err != nil {
		return err
	}
	f.Shown(name, "code", u.ID, u.Ref(), c.client.Addr, "compat "+name)
	writeJSON(c.w, http.StatusOK, answer)
	return nil
}

// shows finds a user whose secrets the facade may show: as those whom it may change,
// so nobody's of a realm that has capabilities here.
func (f *Facade) shows(tx store.Tx, c *call, params *dict) (*account.User, error) {
	u, err := f.user(tx, params)
	if err != nil {
		return nil, err
	}
	return u, f.Directory.Allowed(tx, f.actor(c), account.Update, u.Realm)
}
