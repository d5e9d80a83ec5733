package account

import (
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Field names where messages reach a person.
type Field string

const (
	EmailField Field = "email"
	PhoneField Field = "phone"
)

// CanonicalTarget returns the one spelling of an address, or a number (E.164).
// Errors: ErrInvalid, empty ones too.
func CanonicalTarget(field Field, text string) (canonical string, err error) {
	switch field {
	case EmailField:
		canonical, err = canonicalEmail(text)
	case PhoneField:
		canonical, err = canonicalPhone(text)
	default:
		return "", refuse(ErrInvalid, "%.32q is no field that a code confirms", string(field))
	}
	if err == nil && canonical == "" {
		err = refuse(ErrInvalid, "%s is empty", string(field))
	}
	return canonical, err
}

// ValidLabel refuses a label that would break a page or a terminal. Errors: ErrInvalid.
func ValidLabel(text string) error {
	_, err := validText("label", text, maxLabel)
	return err
}

// ConfirmAddress notes that a code which was sent to a person's address came back: it
// is theirs. An address that the record does not have, or has confirmed already, changes
// nothing. Whoever calls it has seen the code. Errors: ErrUnknownUser.
func (d *Directory) ConfirmAddress(tx store.Tx, id principal.ID, address string) error {
	u, err := d.ByID(tx, id)
	if err != nil || !u.Unconfirmed || u.Email != address {
		return err
	}
	u.Unconfirmed = false
	if err := d.save(tx, rights{}, u); err != nil {
		return err
	}
	return d.Record(tx, Self(id), targetEvent(u, EmailField))
}

// SetTarget gives a person another address or number, to which a code was sent that
// came back: it is theirs. "" takes it away. That the person is asked freshly before,
// the caller has checked; the actor is the person, or has the right to update.
// Errors: ErrUnknownUser, ErrInvalid, ErrAddressTaken, ErrForbidden, ErrNotFresh.
func (d *Directory) SetTarget(tx store.Tx, a Actor, id principal.ID, field Field, value string) (*User, error) {
	u, rights, err := d.target(tx, a, id, Update, true)
	if err != nil {
		return nil, err
	}
	if value != "" {
		if value, err = CanonicalTarget(field, value); err != nil {
			return nil, err
		}
	}
	before := *u
	switch field {
	case EmailField:
		u.Email, u.Unconfirmed = value, false
	case PhoneField:
		u.Phone = value
	default:
		return nil, refuse(ErrInvalid, "%.32q is no field that a code confirms", string(field))
	}
	if len(changed(&before, u)) == 0 {
		return u, nil
	}
	if u.Email != before.Email {
		if err := moveAddress(tx, &before, u); err != nil {
			return nil, err
		}
	}
	if err := d.save(tx, rights, u); err != nil {
		return nil, err
	}
	return u, d.record(tx, rights, targetEvent(u, field))
}

func targetEvent(u *User, field Field) audit.Event {
	e := about(u, audit.KindUserUpdate)
	e.Detail = map[string]string{"fields": string(field)}
	return e
}
