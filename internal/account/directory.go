package account

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// New returns a Directory. Options that cannot be are found by EnsureReserved.
func New(o Options) *Directory {
	d := &Directory{audit: o.Audit, configured: map[string]Settings{}, defaultRealm: DefaultRealm, passwords: o.Passwords, capable: maps.Clone(o.Capable), apps: o.Apps, lifetimes: copied(o.Session)}
	if o.Session != nil {
		d.invalid = o.Session.validate()
	}
	if o.DefaultRealm != "" {
		realm, err := principal.CanonicalRealm(o.DefaultRealm)
		if err != nil {
			d.invalid = errors.Join(d.invalid, fmt.Errorf("default_realm: %w", err))
		}
		d.defaultRealm = realm
	}
	for _, name := range slices.Sorted(maps.Keys(o.Realms)) {
		realm, err := principal.CanonicalRealm(name)
		if err == nil {
			err = o.Realms[name].validate(realm)
		}
		if err == nil && o.Realms[name].Registration != nil {
			err = d.mayRegister(Realm{Name: realm, Settings: d.defaults(realm).over(o.Realms[name])})
		}
		if _, twice := d.configured[realm]; err == nil && twice {
			err = errors.New("it stands there twice")
		}
		if err != nil {
			d.invalid = errors.Join(d.invalid, fmt.Errorf("realm %.64q: %w", name, err))
			continue
		}
		d.configured[realm] = o.Realms[name]
	}
	return d
}

// Check says what is wrong in the Options; nil: nothing.
func (d *Directory) Check() error { return d.invalid }

// EnsureReserved is Reserve for those who do not go back.
func (d *Directory) EnsureReserved(ctx context.Context, s store.Store) error {
	_, err := d.Reserve(ctx, s)
	return err
}

// Reserve makes the realms that always exist: the default one, admin, auth, and
// those that the configuration names. Call it when the configuration comes into
// force. It returns the names of those that it made, for Retract. An error that is
// not the store's says what is wrong in the configuration.
func (d *Directory) Reserve(ctx context.Context, s store.Store) (made []string, err error) {
	if d.invalid != nil {
		return nil, d.invalid
	}
	err = s.Update(ctx, func(tx store.Tx) error {
		made = nil
		names := append([]string{AdminRealm, AuthRealm, d.defaultRealm}, slices.Sorted(maps.Keys(d.configured))...)
		for _, name := range names {
			if _, err := loadRealm(tx, name); !errors.Is(err, ErrUnknownRealm) {
				if err != nil {
					return err
				}
				continue
			}
			if err := saveRealm(tx, newRealm(tx, name)); err != nil {
				return err
			}
			made = append(made, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make reserved realms: %w", err)
	}
	return made, nil
}

// Retract takes realms back that Reserve made for a configuration which did
// not come into force after all: those that nobody belongs to and nobody changed.
func Retract(ctx context.Context, s store.Store, made []string) error {
	if len(made) == 0 {
		return nil
	}
	return s.Update(ctx, func(tx store.Tx) error {
		for _, name := range made {
			r, err := loadRealm(tx, name)
			if errors.Is(err, ErrUnknownRealm) || err == nil && r.Version != 1 {
				continue
			}
			members, counted := loadCount(tx, membersKey(name))
			if err = errors.Join(err, counted); err != nil {
				return err
			}
			if members.N > 0 {
				continue
			}
			if err := tx.Delete(realmKey(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Passwords is the policy for new passwords. They are judged and hashed before
// they come here.
func (d *Directory) Passwords() secret.PasswordPolicy { return d.passwords }

// DefaultRealm is the realm of logins that name none.
func (d *Directory) DefaultRealm() string { return d.defaultRealm }

// CapableInFacade reports whether services of a realm have capabilities within a
// facade (compat.ungleich). Here they have none, but their tokens are keys: nobody may
// try them by asking whether they are good, and whoever changes one of them could be
// it, so that takes what it may do.
func (d *Directory) CapableInFacade(realm string) bool {
	return len(d.capable[realm]) > 0 && realm != d.apps
}

// KeyOfFacade is CapableInFacade for one service: of applications those alone may do
// something that are trusted.
func (d *Directory) KeyOfFacade(s *Service) bool {
	return d.CapableInFacade(s.Realm) || s.Trusted && s.Realm == d.apps
}

// OnDelete has fn called in the transaction that deletes a user, so that what
// hangs on the user goes with it. Its error keeps the user.
func (d *Directory) OnDelete(fn func(tx store.Tx, u *User) error) {
	d.onDelete = append(d.onDelete, fn)
}

func (d *Directory) reserved(realm string) bool {
	return realm == AdminRealm || realm == AuthRealm || realm == d.defaultRealm
}

// What account keeps under its prefix. "u" alone is watched by others.
const (
	keyUser         = "u" // id → User
	keyName         = "n" // realm, name → id
	keyAddress      = "e" // realm, address → id
	keyRealm        = "r" // name → Realm
	keyMembers      = "m" // realm → number of its principals
	keySequence     = "q" // the last number given
	keyGuard        = "g" // the administrators
	keyForeign      = "f" // the dearest foreign password hashes
	keyService      = "s" // realm, name → Service; the name stands in keyName too
	keyServiceState = "v" // id → ServiceState
	keyBurnedSeed   = "w" // realm → burned steps of seeds that are gone
	keyNumber       = "o" // number → name of a service
)

// UserKeyPrefix is the start of all users' keys, for Watch and Scan.
func UserKeyPrefix() []byte { return store.KPrefix(store.PrefixAccount, keyUser) }

func userKey(id principal.ID) store.Key { return store.K(store.PrefixAccount, keyUser, id) }

func nameKey(ref principal.Ref) store.Key {
	return store.K(store.PrefixAccount, keyName, ref.Realm, ref.Name)
}

func addressKey(realm, address string) store.Key {
	return store.K(store.PrefixAccount, keyAddress, realm, address)
}

// indexed is what an index record holds: whose the name or the address is.
type indexed struct {
	store.Meta
	ID   principal.ID   `json:"id"`
	Kind principal.Kind `json:"kind,omitzero"` // zero: a user
}

// lookup reads an index record. Missing: ErrUnknownUser.
func lookup(tx store.Tx, key store.Key) (*indexed, error) {
	rec, err := store.Load[indexed](tx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknownUser
	}
	return rec, err
}

// count is a number that is read by Get, so that two transactions which change it
// cannot pass each other.
type count struct {
	store.Meta
	N uint64 `json:"n"`
}

func loadCount(tx store.Tx, key store.Key) (*count, error) {
	c, err := store.Load[count](tx, key)
	if errors.Is(err, store.ErrNotFound) {
		return &count{}, nil
	}
	return c, err
}

// nextNumber takes a number from the one sequence of all principals. It never goes
// back, so a number is never used again, deleted or not.
func nextNumber(tx store.Tx) (uint64, error) {
	key := store.K(store.PrefixAccount, keySequence)
	c, err := loadCount(tx, key)
	if err != nil {
		return 0, err
	}
	c.N++
	return c.N, store.Save(tx, key, c, noExpiry)
}

func membersKey(realm string) store.Key { return store.K(store.PrefixAccount, keyMembers, realm) }

// addMember counts the principals of a realm: a realm may be deleted only when
// none is left, and a Scan would not see one that is being created.
func addMember(tx store.Tx, realm string, n int) error {
	c, err := loadCount(tx, membersKey(realm))
	if err != nil {
		return err
	}
	if n < 0 && c.N == 0 {
		return fmt.Errorf("count of members of a realm is below zero")
	}
	c.N += uint64(n)
	return store.Save(tx, membersKey(realm), c, noExpiry)
}
