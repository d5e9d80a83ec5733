package account

import (
	"errors"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// maxLogin bounds what is read of a login, in bytes: no name@realm and no address
// is longer.
const maxLogin = 1024

// spelling is what a login says, with one spelling for all that mean the same.
type spelling struct {
	ref     principal.Ref // Name holds the address where address is true
	address bool
	valid   bool // it could be somebody
}

// spell reads a login: after the last @ an existing realm is that of a name,
// anything else with an @ is an address in the given realm, the rest is a name in it.
func (d *Directory) spell(tx store.Tx, login, realm string) (spelling, error) {
	if len(login) > maxLogin {
		login = login[:maxLogin] // refused below: no name is so long
	}
	if realm == "" {
		realm = d.defaultRealm
	}
	if at := strings.LastIndexByte(login, '@'); at >= 0 {
		s, err := d.spellName(tx, login[:at], login[at+1:])
		if !errors.Is(err, ErrUnknownRealm) {
			return s, err
		}
		return spellAddress(login, realm), nil
	}
	s, err := d.spellName(tx, login, realm)
	if errors.Is(err, ErrUnknownRealm) {
		return spelling{ref: raw(login, realm)}, nil
	}
	return s, err
}

// spellName reads a name of a realm. Errors: ErrUnknownRealm.
func (d *Directory) spellName(tx store.Tx, name, realm string) (spelling, error) {
	r, err := d.Realm(tx, realm)
	if err != nil {
		return spelling{}, err
	}
	canonical, err := canonicalName(r, name)
	if err != nil {
		return spelling{ref: raw(name, r.Name)}, nil
	}
	return spelling{ref: principal.Ref{Name: canonical, Realm: r.Name}, valid: true}, nil
}

func spellAddress(address, realm string) spelling {
	canonicalRealm, realmErr := principal.CanonicalRealm(realm)
	canonical, err := principal.CanonicalAddress(address)
	if realmErr != nil || err != nil {
		return spelling{ref: raw(address, realm), address: true}
	}
	return spelling{ref: principal.Ref{Name: canonical, Realm: canonicalRealm}, address: true, valid: true}
}

// raw is a spelling of what can be nobody: it only has to be the same every time.
func raw(name, realm string) principal.Ref {
	if c, err := principal.CanonicalRealm(realm); err == nil {
		realm = c
	}
	if c, err := principal.CanonicalName(name); err == nil {
		name = c
	}
	return principal.Ref{Name: name, Realm: realm[:min(len(realm), maxLogin)]}
}

// Resolve finds the user whom a login names: name, name@realm or address, in any
// spelling. After the last @ an existing realm makes it name@realm, whatever realm
// says; anything else there makes it an address in realm. An empty realm is the
// default one. It does not look at Disabled. Errors: ErrUnknownUser.
func (d *Directory) Resolve(tx store.Tx, login, realm string) (*User, error) {
	s, err := d.spell(tx, login, realm)
	if err != nil {
		return nil, err
	}
	return d.find(tx, s)
}

func (d *Directory) find(tx store.Tx, s spelling) (*User, error) {
	switch {
	case !s.valid:
		return nil, ErrUnknownUser
	case !s.address:
		return d.ByRef(tx, s.ref)
	}
	rec, err := lookup(tx, addressKey(s.ref.Realm, s.ref.Name))
	if err != nil {
		return nil, err
	}
	return d.ByID(tx, rec.ID)
}

// Canonical is the one spelling of a login, the same for all that Resolve takes for
// the same: the user's name and realm where the user exists, else what was typed in
// its canonical form (Name may then be an address, or text that can be no name).
// Give its parts to throttle.Unknown; never store or log a Name that is nobody's.
// Errors: those of the store alone.
func (d *Directory) Canonical(tx store.Tx, login, realm string) (principal.Ref, error) {
	s, err := d.spell(tx, login, realm)
	if err != nil {
		return principal.Ref{}, err
	}
	u, err := d.find(tx, s)
	if errors.Is(err, ErrUnknownUser) {
		return s.ref, nil
	}
	if err != nil {
		return principal.Ref{}, err
	}
	return u.Ref(), nil
}

// By says how FindIn reads a login.
type By uint8

const (
	ByName By = iota
	ByAddress
)

// FindIn is Resolve and Canonical for doors that know one realm alone and one way to
// name its users: nothing in the login leads out of the realm. Where nobody has the
// name, its canonical form comes back beside ErrUnknownUser, as Canonical returns it.
func (d *Directory) FindIn(tx store.Tx, login, realm string, by By) (*User, principal.Ref, error) {
	if len(login) > maxLogin {
		login = login[:maxLogin]
	}
	s, err := spellAddress(login, realm), error(nil)
	if by == ByName {
		s, err = d.spellName(tx, login, realm)
		if errors.Is(err, ErrUnknownRealm) {
			s, err = spelling{ref: raw(login, realm)}, nil
		}
	}
	if err != nil {
		return nil, principal.Ref{}, err
	}
	u, err := d.find(tx, s)
	if err != nil {
		return nil, s.ref, err
	}
	return u, u.Ref(), nil
}

// Ref is the one spelling of a name of a realm, which need not exist yet, as the
// realm's setting names has it. Errors: ErrInvalid; others: the store failed.
func (d *Directory) Ref(tx store.Tx, name, realm string) (principal.Ref, error) {
	r, err := d.RealmToBe(tx, realm)
	if errors.Is(err, ErrUnknownRealm) {
		return principal.Ref{}, refuse(ErrInvalid, "%.64q can be no realm", realm)
	}
	if err != nil {
		return principal.Ref{}, err
	}
	name, err = canonicalName(r, name)
	return principal.Ref{Name: name, Realm: r.Name}, err
}

// SpelledAlike reports whether a name is spelled the same whatever a realm's setting
// names is: then nobody has to be asked.
func SpelledAlike(name string) bool {
	canonical, err := principal.CanonicalName(name)
	return err == nil && canonical == name
}
