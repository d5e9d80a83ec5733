package factor

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// passkeyWay is WebAuthn (Level 3): several passkeys a person, as a second factor, and as
// a whole login where the authenticator verified the person. What is signed and by whom
// is judged in ceremony.go; here stands who has which, and what becomes of it.
type passkeyWay Factors

// passkeyRecord is a person's passkeys.
type passkeyRecord struct {
	store.Meta
	Keys []passkey `json:"keys"`
}

// passkey is a credential record (WebAuthn section 4). It holds no secret: the private
// key never leaves the authenticator.
type passkey struct {
	ID         string    `json:"id"` // of the device, for its owner
	Name       string    `json:"name,omitempty"`
	RPID       string    `json:"rp_id"` // the host it is bound to
	Handle     []byte    `json:"handle"`
	PublicKey  []byte    `json:"public_key"` // COSE
	Counter    uint32    `json:"counter"`    // of the last signature; 0: the authenticator counts nothing
	Flags      byte      `json:"flags"`      // of the authenticator data, as last seen
	AAGUID     []byte    `json:"aaguid,omitempty"`
	Transports []string  `json:"transports,omitempty"`
	AddedAt    time.Time `json:"added_at"`
	UsedAt     time.Time `json:"used_at,omitzero"`
	ClonedAt   time.Time `json:"cloned_at,omitzero"` // since then it proves nothing; zero: it is good
}

// passkeyOwner is whose a credential is: no two people have the same one (WebAuthn
// section 7.1, step 26).
type passkeyOwner struct {
	store.Meta
	Principal principal.ID `json:"principal"`
}

// defaultPasskeyName is what a passkey is called whose owner gave it no name.
const defaultPasskeyName = "Passkey"

func passkeyKey(id principal.ID) store.Key { return store.K(store.PrefixFactor, "passkeys", id) }

func passkeyOwnerKey(handle []byte) store.Key {
	sum := sha256.Sum256(handle)
	return store.K(store.PrefixFactor, "passkey-of", sum[:])
}

func loadPasskeys(tx store.Tx, id principal.ID) (*passkeyRecord, error) {
	rec, err := store.Load[passkeyRecord](tx, passkeyKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return &passkeyRecord{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load factors: %w", err)
	}
	return rec, nil
}

func savePasskeys(tx store.Tx, id principal.ID, rec *passkeyRecord) error {
	if len(rec.Keys) == 0 {
		return tx.Delete(passkeyKey(id))
	}
	return store.Save(tx, passkeyKey(id), rec, time.Time{})
}

// usable are the passkeys that may prove something here: not those of another host, nor
// those that may have been copied.
func (r *passkeyRecord) usable(rpID string) []passkey {
	var keys []passkey
	for _, k := range r.Keys {
		if k.RPID == rpID && k.ClonedAt.IsZero() {
			keys = append(keys, k)
		}
	}
	return keys
}

// find is the passkey that signed; nil: none that may.
func (r *passkeyRecord) find(rpID string, handle []byte) *passkey {
	for i := range r.Keys {
		k := &r.Keys[i]
		if hmac.Equal(k.Handle, handle) && k.RPID == rpID && k.ClonedAt.IsZero() {
			return k
		}
	}
	return nil
}

// passkeyDraft is what waits for the answer of an authenticator.
type passkeyDraft struct {
	Challenge *Challenge `json:"challenge,omitempty"` // nil: it was answered
	Options   []byte     `json:"options"`
	Made      *passkey   `json:"made,omitempty"` // what came back, and was good
}

// draft makes the options of a new passkey. The first administrator, who does not exist
// yet, cannot have one: it is bound to the person's UUID.
func (w *passkeyWay) draft(tx store.Tx, _ principal.Ref, u *account.User, _ EnrollOptions) (*Draft, error) {
	if u == nil || w.relying == nil {
		return nil, ErrUnknownMethod
	}
	rec, err := loadPasskeys(tx, u.ID)
	if err != nil {
		return nil, err
	}
	if len(rec.Keys) >= maxDevices {
		return nil, ErrTooMany
	}
	options, challenge, err := w.relying.create(u, rec, tx.Now())
	if err != nil {
		return nil, err
	}
	return &Draft{Method: Passkey, Passkey: &passkeyDraft{Challenge: challenge, Options: options}}, nil
}

// check judges the answer of an authenticator. The challenge is dead afterwards,
// whatever the answer was: a further one needs a new draft.
func (w *passkeyWay) check(tx store.Tx, id principal.ID, d *Draft, p Proof) (Checked, error) {
	if d.Passkey == nil || w.relying == nil {
		return refused(Passkey), nil
	}
	challenge := d.Passkey.Challenge
	d.Passkey.Challenge = nil
	made, ok := w.relying.created(id, challenge, p.Response, tx.Now())
	if !ok {
		return refused(Passkey), nil
	}
	if _, err := passkeyOwnerOf(tx, made.Handle); err == nil || !errors.Is(err, store.ErrNotFound) {
		return refused(Passkey), err // it is somebody's
	}
	d.Passkey.Made = made
	return Checked{Result: Good, Method: Passkey, Step: -1, Verified: true, Synced: made.synced()}, nil
}

func passkeyOwnerOf(tx store.Tx, handle []byte) (principal.ID, error) {
	owner, err := store.Load[passkeyOwner](tx, passkeyOwnerKey(handle))
	if err != nil {
		return principal.ID{}, err
	}
	return owner.Principal, nil
}

// adopt stores a passkey beside those there are, always: a person has one in each
// device, and a new one says nothing about the others.
func (w *passkeyWay) adopt(tx store.Tx, u *account.User, d *Draft, _ int64) error {
	if d.Passkey == nil || d.Passkey.Made == nil {
		return ErrDenied
	}
	rec, err := loadPasskeys(tx, u.ID)
	if err != nil {
		return err
	}
	if len(rec.Keys) >= maxDevices {
		return ErrTooMany
	}
	made := *d.Passkey.Made
	made.ID, made.Name, made.AddedAt = newDevice(), d.Name, tx.Now()
	rec.Keys = append(rec.Keys, made)
	if err := store.Save(tx, passkeyOwnerKey(made.Handle), &passkeyOwner{Principal: u.ID}, time.Time{}); err != nil {
		return err
	}
	return savePasskeys(tx, u.ID, rec)
}

func (w *passkeyWay) devices(tx store.Tx, u *account.User) ([]Method, error) {
	rec, err := loadPasskeys(tx, u.ID)
	if err != nil {
		return nil, err
	}
	var list []Method
	for _, k := range rec.Keys {
		list = append(list, Method{
			Name: Passkey, ID: k.ID, Label: k.label(), AddedAt: k.AddedAt, LastUsedAt: k.UsedAt, Cloned: !k.ClonedAt.IsZero(),
		})
	}
	return list, nil
}

func (k *passkey) label() string {
	if k.Name == "" {
		return defaultPasskeyName
	}
	return k.Name
}

// try judges a signature over a challenge. A counter that did not grow, where it or the
// one before counts at all, says that the key may have been copied (WebAuthn section
// 7.2, step 22): the passkey proves nothing from then on, its owner hears of it, and
// the try is refused. The method stays the person's, so that a copied key does not
// leave an account with a password alone.
func (w *passkeyWay) try(tx store.Tx, u *account.User, p Proof) (Checked, error) {
	if w.relying == nil || p.Challenge == nil {
		return refused(Passkey), nil
	}
	rec, err := loadPasskeys(tx, u.ID)
	if err != nil {
		return refused(Passkey), err
	}
	used, cloned, ok := w.relying.signed(u.ID, rec, p.Challenge, p.Response, tx.Now())
	switch {
	case !ok:
		return refused(Passkey), nil
	case cloned:
		used.ClonedAt = tx.Now()
		return refused(Passkey), errors.Join(savePasskeys(tx, u.ID, rec), w.recordClone(tx, u, used))
	}
	used.UsedAt = tx.Now()
	return Checked{Result: Good, Method: Passkey, Step: -1, Verified: used.verified(), Synced: used.synced()}, savePasskeys(tx, u.ID, rec)
}

func (w *passkeyWay) recordClone(tx store.Tx, u *account.User, k *passkey) error {
	return w.dir.Record(tx, account.Self(u.ID), audit.Event{
		Time: tx.Now(), Kind: audit.KindFactorClone, Principal: u.ID, Name: u.Ref().String(), Method: string(Passkey),
		Detail: map[string]string{"device": k.ID, "label": k.label()},
	})
}

func (w *passkeyWay) remove(tx store.Tx, id principal.ID, device string) (int, error) {
	rec, err := loadPasskeys(tx, id)
	if err != nil {
		return 0, err
	}
	before := len(rec.Keys)
	for _, k := range rec.Keys {
		if device == "" || k.ID == device {
			if err := tx.Delete(passkeyOwnerKey(k.Handle)); err != nil {
				return 0, err
			}
		}
	}
	rec.Keys = slices.DeleteFunc(rec.Keys, func(k passkey) bool { return device == "" || k.ID == device })
	if len(rec.Keys) == before {
		return 0, ErrNoMethod
	}
	return len(rec.Keys), savePasskeys(tx, id, rec)
}

// rename implements named.
func (w *passkeyWay) rename(tx store.Tx, id principal.ID, device, label string) error {
	rec, err := loadPasskeys(tx, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rec.Keys, func(k passkey) bool { return k.ID == device })
	if i < 0 {
		return ErrNoMethod
	}
	rec.Keys[i].Name = label
	return savePasskeys(tx, id, rec)
}

// BeginAssertion makes what a person's passkeys sign as a second factor: options for
// navigator.credentials.get (WebAuthn section 5.5), and the challenge, which the caller
// keeps and hands to Try as Proof.Challenge, once. User verification is preferred, not
// demanded: something else was proved already.
// Errors: ErrNoMethod where the person has no passkey that could sign here, and those of
// account.
func (f *Factors) BeginAssertion(tx store.Tx, id principal.ID) (options []byte, c *Challenge, err error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return nil, nil, err
	}
	if f.relying == nil || !has(u, Passkey) {
		return nil, nil, ErrNoMethod
	}
	rec, err := loadPasskeys(tx, id)
	if err != nil {
		return nil, nil, err
	}
	keys := rec.usable(f.relying.id)
	if len(keys) == 0 {
		return nil, nil, ErrNoMethod
	}
	return f.relying.get(id, keys, tx.Now())
}

// BeginLogin makes what a passkey signs for a whole login, of a person whom it names
// itself: user verification is demanded. Nothing is stored; the caller chooses the
// challenge, of at least 32 bytes, and takes it once. Errors: ErrUnknownMethod where no
// passkeys are offered.
func (f *Factors) BeginLogin(challenge []byte) (options []byte, err error) {
	if f.relying == nil {
		return nil, ErrUnknownMethod
	}
	return f.relying.login(challenge)
}

// WhoLogsIn says whom a passkey names that answers BeginLogin, and by which challenge.
// Nothing is proved by that: Try judges it, with Proof.Challenge made of the challenge.
// Errors: ErrDenied, where nobody has this passkey or it is not the named person's.
func (f *Factors) WhoLogsIn(tx store.Tx, response []byte) (id principal.ID, challenge []byte, err error) {
	if f.relying == nil {
		return id, nil, ErrDenied
	}
	handle, named, challenge, ok := f.relying.named(response)
	if !ok {
		return id, nil, ErrDenied
	}
	id, err = passkeyOwnerOf(tx, handle)
	if errors.Is(err, store.ErrNotFound) || err == nil && id != named {
		return principal.ID{}, nil, ErrDenied
	}
	return id, challenge, err
}
