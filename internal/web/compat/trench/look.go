package trench

import (
	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// standing is what the original's table would say of one method of a person.
type standing uint8

const (
	absent   standing = iota // no row: never asked for
	inactive                 // a row that is not active: taken away again, and nothing else is left
	pending                  // likewise, but it waits for its first code
	isActive
)

// view is what a call has to know of a person before it can tell what is wrong with a
// request. What is done afterwards is decided again, inside of its transaction.
type view struct {
	has     standing
	seed    *factor.Enrollment // what is pending
	wanted  string             // to what address or number, where it is not the account's yet
	address string             // or number, as the account says it, where the method needs one
	primary factor.Name        // the method that is asked for first; "": none
	active  int                // how many are
	realm   account.Realm
}

// look reads it of one method, or with "" of the primary one.
func (f *Facade) look(c *call, method factor.Name) (v view, err error) {
	if c.enrolling != "" {
		if v.seed = c.state.Enrollment; v.seed != nil && v.seed.Method == method {
			v.has = pending
		}
		return v, nil
	}
	err = f.Store.View(c.r.Context(), func(tx store.Tx) error {
		v = view{realm: c.names.realm}
		u, err := f.Directory.ByID(tx, c.live.Identity.ID)
		if err != nil {
			return err
		}
		v.primary, v.active = primaryOf(u), u.Factors()
		if method == "" {
			method = v.primary
		}
		_, field := sourceOf(method)
		v.address = says(u, field)
		return f.standing(tx, u, method, &v)
	})
	return v, err
}

func (f *Facade) standing(tx store.Tx, u *account.User, method factor.Name, v *view) error {
	if method == "" {
		return nil
	}
	if active(u, method) {
		v.has = isActive
		return nil
	}
	d, err := f.Factors.Waiting(tx, u.ID, method)
	switch {
	case err != nil:
		return err
	case d != nil:
		v.has, v.seed = pending, d.Enrollment()
		if d.Own && d.Sent != nil {
			v.wanted = d.Sent.To
		}
	case !u.EnrolledAt.IsZero() && v.active == 0:
		v.has = inactive
	}
	return nil
}

// primaryOf is the method that is asked for first; "": none.
func primaryOf(u *account.User) factor.Name {
	for _, m := range u.Methods {
		if m.Primary {
			return factor.Name(m.Name)
		}
	}
	return ""
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

// with makes a change of the caller's for a code of these methods, or without one where
// there is none: change itself then says whether one is needed. A code of another method
// is a wrong one, as in the original; the backup codes are all methods'.
func (f *Facade) with(c *call, purpose login.Purpose, code string, change func(store.Tx, *account.User) error, methods ...factor.Name) error {
	if code == "" {
		return f.Doors.WithSession(c.r.Context(), c.live, change)
	}
	of := func(*account.User) []factor.Name { return methods }
	return f.Doors.WithCode(c.r.Context(), c.live, purpose, of, code, c.client, change)
}
