package account

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

var errUnbuilt = errors.New("account: being written")

func New(o Options) *Directory                                               { return &Directory{} }
func (d *Directory) EnsureReserved(ctx context.Context, s store.Store) error { return errUnbuilt }
func (d *Directory) Passwords() secret.PasswordPolicy                        { return d.passwords }
func (d *Directory) OnDelete(fn func(tx store.Tx, u *User) error)            {}
func (u *User) Identity() Identity                                           { return Identity{} }
func UserKeyPrefix() []byte                                                  { return store.KPrefix(store.PrefixAccount, "u") }
func DecodeIdentity(value []byte) (Identity, error)                          { return Identity{}, errUnbuilt }

func (d *Directory) Realm(tx store.Tx, name string) (Realm, error) { return Realm{}, errUnbuilt }
func (d *Directory) Realms(tx store.Tx) ([]Realm, error)           { return nil, errUnbuilt }
func (d *Directory) SetRealm(tx store.Tx, a Actor, name string, s Settings, grants *[]Grant, ifVersion uint64) (Realm, error) {
	return Realm{}, errUnbuilt
}
func (d *Directory) DeleteRealm(tx store.Tx, a Actor, name string) error { return errUnbuilt }

// Resolve finds the user whom a login names. ErrUnknownUser.
func (d *Directory) Resolve(tx store.Tx, login, realm string) (*User, error) { return nil, errUnbuilt }

// Canonical is the one spelling of what Resolve did not find: Name is a name or an
// address; give both to throttle.Unknown.
func (d *Directory) Canonical(tx store.Tx, login, realm string) (principal.Ref, error) {
	return principal.Ref{}, errUnbuilt
}
func (d *Directory) ByID(tx store.Tx, id principal.ID) (*User, error)    { return nil, errUnbuilt }
func (d *Directory) ByRef(tx store.Tx, ref principal.Ref) (*User, error) { return nil, errUnbuilt }

// List pages through users. limit 1..500. next "" : the end.
func (d *Directory) List(tx store.Tx, realm, q, cursor string, limit int) (users []User, next string, err error) {
	return nil, "", errUnbuilt
}

// Allowed checks a capability over a realm, as every changing method does by
// itself: for calls that only read. List and Authenticate need two factors, the others a fresh one.
func (d *Directory) Allowed(tx store.Tx, a Actor, c Capability, realm string) error {
	return errUnbuilt
}

func (d *Directory) Create(tx store.Tx, a Actor, n NewUser) (*User, error) { return nil, errUnbuilt }
func (d *Directory) Update(tx store.Tx, a Actor, id principal.ID, c Change) (*User, error) {
	return nil, errUnbuilt
}
func (d *Directory) SetPassword(tx store.Tx, a Actor, id principal.ID, hash string) (*User, error) {
	return nil, errUnbuilt
}
func (d *Directory) Rehash(tx store.Tx, id principal.ID, oldHash, newHash string) error {
	return errUnbuilt
}
func (d *Directory) SetDisabled(tx store.Tx, a Actor, id principal.ID, disabled bool) (*User, error) {
	return nil, errUnbuilt
}

// SetInvited notes that an invitation is being sent now.
func (d *Directory) SetInvited(tx store.Tx, a Actor, id principal.ID) (*User, error) {
	return nil, errUnbuilt
}
func (d *Directory) Delete(tx store.Tx, a Actor, id principal.ID) error { return errUnbuilt }

// RaiseEpoch ends what older proofs opened.
func (d *Directory) RaiseEpoch(tx store.Tx, id principal.ID) (*User, error) { return nil, errUnbuilt }
func (d *Directory) SetMethods(tx store.Tx, a Actor, id principal.ID, m []Method, raise bool) (*User, error) {
	return nil, errUnbuilt
}
func (d *Directory) Administrators(tx store.Tx) (int, error)                { return 0, errUnbuilt }
func (d *Directory) Touch(tx store.Tx, id principal.ID, at time.Time) error { return errUnbuilt }

// MayEnroll says whether a person without a factor may enrol one at a login; reason is one word for the event.
func (d *Directory) MayEnroll(tx store.Tx, u *User) (ok bool, reason string, err error) {
	return false, "", errUnbuilt
}
