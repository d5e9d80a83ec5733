package trench

import (
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// standing is what the original's table would say of one method of a person.
type standing uint8

const (
	absent   standing = iota // no row: never asked for
	inactive                 // a row that is not active: taken away again
	pending                  // likewise, but it waits for its first code
	isActive
)

// view is what a call has to know of a person before it can tell what is wrong with a
// request. What is done afterwards is decided again, inside of its transaction.
type view struct {
	has     standing
	seed    *factor.Enrollment // what is pending
	primary string             // the name of the method that is asked for first; "": none
	realm   account.Realm
}

// look reads it of one method, or with "" of the primary one.
func (f *Facade) look(c *call, name string) (v view, err error) {
	if c.enrolling != "" {
		if v.seed = c.state.Enrollment; v.seed != nil {
			v.has = pending
		}
		return v, nil
	}
	err = f.Store.View(c.r.Context(), func(tx store.Tx) error {
		u, err := f.Directory.ByID(tx, c.live.Identity.ID)
		if err != nil {
			return err
		}
		if v.realm, err = f.Directory.Realm(tx, u.Realm); err != nil {
			return err
		}
		for _, m := range u.Methods {
			if m.Primary {
				v.primary = nameOf(factor.Name(m.Name))
			}
		}
		if name == "" {
			name = v.primary
		}
		v.has, v.seed, err = f.standing(tx, u, name)
		return err
	})
	return v, err
}

func (f *Facade) standing(tx store.Tx, u *account.User, name string) (standing, *factor.Enrollment, error) {
	method, known := factorOf(name)
	switch {
	case !known:
		return absent, nil, nil
	case active(u, method):
		return isActive, nil, nil
	}
	// What an administrator made is active, and its seed is for administrators.
	e, err := f.Factors.Pending(tx, u.ID)
	switch {
	case err == nil && !e.Active && e.Method == method:
		return pending, e, nil
	case err != nil && !errors.Is(err, factor.ErrNoPending):
		return absent, nil, err
	case !u.EnrolledAt.IsZero():
		return inactive, nil, nil
	}
	return absent, nil, nil
}

// configured are the names of the methods that a realm offers.
func configured(realm account.Realm) []string {
	names := []string{}
	for _, m := range methods {
		offered := len(realm.Methods) == 0
		for _, name := range realm.Methods {
			offered = offered || name == string(m.factor)
		}
		if offered {
			names = append(names, m.name)
		}
	}
	return names
}

func on(setting *bool) bool { return setting == nil || *setting }

// confirmDisable reports whether a factor goes for a code only: where the realm says
// so, and always where two are demanded.
func confirmDisable(realm account.Realm) bool {
	return on(realm.ConfirmDisable) || realm.Demanded() > 1
}

// confirmRegenerate reports likewise whether new backup codes come for a code only:
// whoever has them has the factor.
func confirmRegenerate(realm account.Realm) bool {
	return on(realm.ConfirmRegenerate) || realm.Demanded() > 1
}

// with makes a change of the caller's for a code, or without one where there is none:
// change itself then says whether one is needed.
func (f *Facade) with(c *call, purpose login.Purpose, code string, change func(store.Tx, *account.User) error) error {
	if code == "" {
		return f.Doors.WithSession(c.r.Context(), c.live, change)
	}
	return f.Doors.WithCode(c.r.Context(), c.live, purpose, code, c.client, change)
}
