package account

import (
	"errors"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ErrNeedsFactor refuses an administrator who would come without a second factor.
var ErrNeedsFactor = errors.New("an administrator needs a second factor")

// Imported is a user who comes from elsewhere. Ref may be in any spelling.
type Imported struct {
	Ref          principal.Ref
	Email        string
	Unconfirmed  bool // nobody but its owner said that the address is theirs
	FullName     string
	Phone        string
	Groups       *[]string // nil: nothing is said of groups
	Disabled     *bool     // nil: nothing is said; a new user is enabled
	PasswordHash string    // of any format that secret.CheckDigest takes; empty: none
	Factor       bool      // an authenticator comes along: who calls brings it, in the same transaction
}

// Outcome is what Import did with somebody. The zero Outcome is nothing.
type Outcome uint8

const (
	// Created: there is a new user.
	Created Outcome = iota + 1
	// Updated: the user existed, and fields were changed.
	Updated
	// Existed: the user existed and stayed as they were.
	Existed
)

// Import makes a user, with a missing realm. Who exists already stays as they
// are, or with update gets the fields that the import names (address, full
// name, phone, groups, disabled), never a password or a factor: those may have
// been changed here since.
//
// It is for the local administrator, whom nothing is refused that could come after
// the first write: to take away the last one who could log in. So a refusal comes
// before anything was written, and a transaction may go on with the next user.
// Its events are Aside.
// Errors: those of Create and of Update, ErrNeedsFactor.
func (d *Directory) Import(tx store.Tx, a Actor, n Imported, update bool) (*User, Outcome, error) {
	a = a.Aside()
	fresh, err := d.plan(tx, a, &n)
	if err != nil {
		return nil, 0, err
	}
	old, err := d.ByRef(tx, n.Ref)
	switch {
	case err == nil && update:
		return d.refresh(tx, a, old, n)
	case err == nil:
		return old, Existed, nil
	case !errors.Is(err, ErrUnknownUser):
		return nil, 0, err
	}
	return d.settle(tx, a, n, fresh)
}

// settle makes a user whom nothing forbids but names, addresses and the realm.
func (d *Directory) settle(tx store.Tx, a Actor, n Imported, fresh NewUser) (*User, Outcome, error) {
	if _, err := lookup(tx, nameKey(n.Ref)); err == nil {
		return nil, 0, refuse(ErrExists, "%s exists already, and is a service", n.Ref)
	} else if !errors.Is(err, ErrUnknownUser) {
		return nil, 0, err
	}
	if n.Ref.Realm == AdminRealm && !n.Factor {
		return nil, 0, refuse(ErrNeedsFactor, "an administrator needs a second factor: import with totp, or add with `user add NAME@admin --totp` or --invite")
	}
	if n.PasswordHash != "" {
		if err := validHash(n.PasswordHash); err != nil {
			return nil, 0, err
		}
	}
	if err := free(tx, fresh.Ref.Realm, fresh.Email, principal.ID{}); err != nil {
		return nil, 0, err
	}
	fresh.PasswordHash, fresh.MakeRealm = n.PasswordHash, true
	u, err := d.Create(tx, a, fresh)
	if err == nil && n.Disabled != nil && *n.Disabled {
		u, err = d.SetDisabled(tx, a, u.ID, true)
	}
	return u, Created, err
}

// plan makes Ref canonical and finds, without a write, everything for which
// Create would refuse the fields. It returns them canonical.
func (d *Directory) plan(tx store.Tx, a Actor, n *Imported) (NewUser, error) {
	fresh := NewUser{Ref: n.Ref, Email: n.Email, Unconfirmed: n.Unconfirmed, FullName: n.FullName, Phone: n.Phone}
	if n.Groups != nil {
		fresh.Groups = *n.Groups
	}
	realm, err := principal.CanonicalRealm(n.Ref.Realm)
	if err != nil {
		return fresh, refuse(ErrInvalid, "%v", err)
	}
	r, err := d.rights(tx, a)
	if err != nil {
		return fresh, err
	}
	if err := r.over(tx, Create, realm); err != nil {
		return fresh, err
	}
	u, err := d.newUser(tx, realm, fresh) // writes nothing where there is no hash
	if err != nil {
		return fresh, err
	}
	if err := r.mayGive(u.Groups); err != nil {
		return fresh, err
	}
	n.Ref = u.Ref()
	return NewUser{Ref: u.Ref(), Email: u.Email, Unconfirmed: u.Unconfirmed, FullName: u.FullName, Phone: u.Phone, Groups: u.Groups}, nil
}

// free refuses an address that belongs to somebody else than id.
func free(tx store.Tx, realm, address string, id principal.ID) error {
	if address == "" {
		return nil
	}
	owner, err := lookup(tx, addressKey(realm, address))
	switch {
	case errors.Is(err, ErrUnknownUser) || err == nil && owner.ID == id:
		return nil
	case err != nil:
		return err
	}
	return ErrAddressTaken
}

// refresh gives a user the fields that an import names.
func (d *Directory) refresh(tx store.Tx, a Actor, old *User, n Imported) (*User, Outcome, error) {
	c := Change{Groups: n.Groups}
	for _, f := range []struct {
		value string
		field **string
	}{{n.Email, &c.Email}, {n.FullName, &c.FullName}, {n.Phone, &c.Phone}} {
		if f.value != "" {
			*f.field = &f.value
		}
	}
	email, err := canonicalEmail(n.Email)
	if err != nil {
		return nil, 0, err
	}
	if err := free(tx, old.Realm, email, old.ID); err != nil {
		return nil, 0, err
	}
	if c.Unconfirmed = n.Unconfirmed; email == old.Email {
		c.Email = nil // nothing new is said of it
	}
	u, err := d.Update(tx, a, old.ID, c)
	if err == nil && n.Disabled != nil {
		u, err = d.SetDisabled(tx, a, old.ID, *n.Disabled)
	}
	if err != nil {
		return nil, 0, err
	}
	if u.Version == old.Version {
		return u, Existed, nil
	}
	return u, Updated, nil
}
