package account

import (
	"fmt"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// maxUserMethods bounds the confirmed factors of one person.
const maxUserMethods = 32

// SetPassword replaces the password by a hash that was made and judged before, and
// raises the epoch. An empty hash leaves no password; a person cannot do that to
// the own record. That a person who changes the own password knows the old one,
// the caller has checked.
// Errors: ErrUnknownUser, ErrInvalid, ErrForbidden, ErrNotFresh.
func (d *Directory) SetPassword(tx store.Tx, a Actor, id principal.ID, hash string) (*User, error) {
	u, rights, err := d.target(tx, a, id, Update, true)
	if err != nil {
		return nil, err
	}
	if hash != "" || a.kind == self {
		if err := validHash(hash); err != nil {
			return nil, err
		}
	}
	if err := noteForeign(tx, hash); err != nil {
		return nil, err
	}
	u.Password, u.PasswordAt = hash, tx.Now()
	u.Epoch++
	if err := d.save(tx, rights, u); err != nil {
		return nil, err
	}
	return u, d.record(tx, rights, about(u, audit.KindPasswordChange))
}

// SetDisabled closes all doors to a user, or opens them. Disabling raises the
// epoch, so what was open before stays closed when the user is enabled again.
// Errors: ErrUnknownUser, ErrLastAdministrator, ErrForbidden, ErrNotFresh.
func (d *Directory) SetDisabled(tx store.Tx, a Actor, id principal.ID, disabled bool) (*User, error) {
	u, rights, err := d.target(tx, a, id, Update, false)
	if err != nil || u.Disabled == disabled {
		return u, err
	}
	u.Disabled = disabled
	kind := audit.KindUserEnable
	if disabled {
		kind = audit.KindUserDisable
		u.Epoch++
	}
	if err := d.save(tx, rights, u); err != nil {
		return nil, err
	}
	return u, d.record(tx, rights, about(u, kind))
}

// SetInvited notes that an invitation is being sent now.
// Errors: ErrUnknownUser, ErrForbidden, ErrNotFresh.
func (d *Directory) SetInvited(tx store.Tx, a Actor, id principal.ID) (*User, error) {
	u, rights, err := d.target(tx, a, id, Update, false)
	if err != nil {
		return nil, err
	}
	u.InvitedAt = tx.Now()
	if err := d.save(tx, rights, u); err != nil {
		return nil, err
	}
	return u, d.record(tx, rights, about(u, audit.KindInvite))
}

// Delete removes a user, the indexes and, through OnDelete, all that hangs on the
// user. The id and the number are never given again.
// Errors: ErrUnknownUser, ErrLastAdministrator, ErrForbidden, ErrNotFresh, and what
// a function of OnDelete answers.
func (d *Directory) Delete(tx store.Tx, a Actor, id principal.ID) error {
	u, rights, err := d.target(tx, a, id, Delete, false)
	if err != nil {
		return err
	}
	if err := keepGuard(tx, rights, u, false); err != nil {
		return err
	}
	for _, fn := range d.onDelete {
		if err := fn(tx, u); err != nil {
			return fmt.Errorf("delete what belongs to a user: %w", err)
		}
	}
	keys := []store.Key{userKey(u.ID), nameKey(u.Ref())}
	if u.Email != "" {
		keys = append(keys, addressKey(u.Realm, u.Email))
	}
	for _, key := range keys {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	if err := addMember(tx, u.Realm, -1); err != nil {
		return err
	}
	return d.record(tx, rights, about(u, audit.KindUserDelete))
}

// RaiseEpoch ends what older proofs opened. Who calls it has the right to.
// Errors: ErrUnknownUser.
func (d *Directory) RaiseEpoch(tx store.Tx, id principal.ID) (*User, error) {
	u, err := d.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	u.Epoch++
	return u, d.save(tx, rights{}, u)
}

// SetMethods replaces the summary of confirmed factors; raise raises the epoch as
// well. Room factor calls it in the transaction that changes a factor, and records
// the event; a person's own record is open to Self.
// Errors: ErrUnknownUser, ErrInvalid, ErrLastAdministrator, ErrForbidden, ErrNotFresh.
func (d *Directory) SetMethods(tx store.Tx, a Actor, id principal.ID, methods []Method, raise bool) (*User, error) {
	u, rights, err := d.target(tx, a, id, Update, true)
	if err != nil {
		return nil, err
	}
	if u.Methods, err = canonicalMethods(methods); err != nil {
		return nil, err
	}
	if u.EnrolledAt.IsZero() && u.Factors() > 0 {
		u.EnrolledAt = tx.Now()
	}
	if raise {
		u.Epoch++
	}
	if err := d.save(tx, rights, u); err != nil {
		return nil, err
	}
	return u, nil
}

func canonicalMethods(methods []Method) ([]Method, error) {
	if len(methods) > maxUserMethods {
		return nil, refuse(ErrInvalid, "a person has at most %d factors", maxUserMethods)
	}
	primary := 0
	result := make([]Method, 0, len(methods))
	for _, m := range methods {
		if err := validMethods([]string{m.Name}); err != nil {
			return nil, err
		}
		label, err := validText("label", m.Label, maxLabel)
		if err != nil {
			return nil, err
		}
		m.Label = label
		if m.Primary {
			primary++
		}
		result = append(result, m)
	}
	if primary > 1 {
		return nil, refuse(ErrInvalid, "only one method is primary")
	}
	return result, nil
}
