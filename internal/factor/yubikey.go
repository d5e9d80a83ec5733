package factor

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// YubiKeys asks servers that know the secrets of YubiKeys, as Yubico's do.
type YubiKeys interface {
	// Validate answers nil where a one-time password is good, and takes it: no later
	// call does. ErrDenied: it is not good, or was taken. Anything else: nobody knows.
	Validate(ctx context.Context, otp string) error
}

// yubiWay is the one-time password that a YubiKey types: several keys a person. A key
// whose secret stands in the store is judged here, any other one by servers, outside of
// the transaction (AskYubico).
type yubiWay Factors

// yubiRecord is a person's keys.
type yubiRecord struct {
	store.Meta
	Keys []yubiKey `json:"keys"`
}

type yubiKey struct {
	ID      string    `json:"id"`
	Public  string    `json:"public"` // identity, in modhex
	Name    string    `json:"name,omitempty"`
	AddedAt time.Time `json:"added_at"`
	UsedAt  time.Time `json:"used_at,omitzero"`
}

// yubiSecret is the secret of a key that is judged here. It belongs to the key, not to a
// person, so that a one-time password has one memory whoever sends it.
type yubiSecret struct {
	store.Meta
	Key     []byte    `json:"key"`
	Private []byte    `json:"private"`
	Counter int64     `json:"counter"` // of the last one-time password that was accepted; -1: none
	AddedAt time.Time `json:"added_at"`
}

func yubiRecordKey(id principal.ID) store.Key { return store.K(store.PrefixFactor, "yubikeys", id) }
func yubiSecretKey(public string) store.Key   { return store.K(store.PrefixFactor, "yubisecret", public) }

func loadYubi(tx store.Tx, id principal.ID) (*yubiRecord, error) {
	rec, err := store.Load[yubiRecord](tx, yubiRecordKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return &yubiRecord{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load factors: %w", err)
	}
	return rec, nil
}

func saveYubi(tx store.Tx, id principal.ID, rec *yubiRecord) error {
	if len(rec.Keys) == 0 {
		return tx.Delete(yubiRecordKey(id))
	}
	return store.Save(tx, yubiRecordKey(id), rec, time.Time{})
}

func looksLikeYubiKey(text string) bool {
	o, err := otp.ParseYubiKey(text)
	return err == nil && o.Public != ""
}

// judge says what a one-time password is, and burns it where that is done here.
func (w *yubiWay) judge(tx store.Tx, p Proof) (public string, r Result, err error) {
	o, err := otp.ParseYubiKey(p.Code)
	if err != nil || o.Public == "" {
		return "", Wrong, nil
	}
	s, err := store.Load[yubiSecret](tx, yubiSecretKey(o.Public))
	if errors.Is(err, store.ErrNotFound) {
		if p.YubiKey != "" && sameText(p.YubiKey, p.Code) {
			return o.Public, Good, nil
		}
		return o.Public, Wrong, nil
	}
	if err != nil {
		return "", Wrong, fmt.Errorf("load the secret of a YubiKey: %w", err)
	}
	use, err := o.Open(s.Key, s.Private)
	if err != nil {
		return o.Public, Wrong, nil
	}
	if int64(use.Counter()) <= s.Counter {
		return o.Public, Replayed, nil
	}
	s.Counter = int64(use.Counter())
	return o.Public, Good, store.Save(tx, yubiSecretKey(o.Public), s, time.Time{})
}

func (w *yubiWay) draft(store.Tx, principal.Ref, *account.User, EnrollOptions) (*Draft, error) {
	return &Draft{Method: YubiKey}, nil
}

func (w *yubiWay) check(tx store.Tx, _ principal.ID, d *Draft, p Proof) (Checked, error) {
	public, result, err := w.judge(tx, p)
	if result == Good {
		d.Key = public
	}
	return Checked{Result: result, Method: YubiKey, Step: -1}, err
}

func (w *yubiWay) adopt(tx store.Tx, u *account.User, d *Draft, _ int64) error {
	return w.keep(tx, u.ID, yubiKey{Public: d.Key, Name: d.Name, AddedAt: tx.Now(), UsedAt: tx.Now()}, d.Beside)
}

// keep stores a key, in place of all there are or beside them. One that is there
// already stands once.
func (w *yubiWay) keep(tx store.Tx, id principal.ID, k yubiKey, beside bool) error {
	rec, err := loadYubi(tx, id)
	if err != nil {
		return err
	}
	if !beside {
		rec.Keys = nil
	}
	rec.Keys = slices.DeleteFunc(rec.Keys, func(old yubiKey) bool { return old.Public == k.Public })
	if len(rec.Keys) >= maxDevices {
		return ErrTooMany
	}
	k.ID = newDevice()
	rec.Keys = append(rec.Keys, k)
	return saveYubi(tx, id, rec)
}

func (w *yubiWay) devices(tx store.Tx, u *account.User) ([]Method, error) {
	rec, err := loadYubi(tx, u.ID)
	if err != nil {
		return nil, err
	}
	var list []Method
	for _, k := range rec.Keys {
		label := k.Name
		if label == "" {
			label = k.Public
		}
		list = append(list, Method{Name: YubiKey, ID: k.ID, Label: label, AddedAt: k.AddedAt, LastUsedAt: k.UsedAt})
	}
	return list, nil
}

// try takes a one-time password of one of the person's keys. What somebody else's key
// typed is not even looked at: it would be burned.
func (w *yubiWay) try(tx store.Tx, u *account.User, p Proof) (Checked, error) {
	rec, err := loadYubi(tx, u.ID)
	if err != nil {
		return refused(YubiKey), err
	}
	own := rec.find(p.Code)
	if own == nil {
		return refused(YubiKey), nil
	}
	_, result, err := w.judge(tx, p)
	if err != nil || result != Good {
		return Checked{Result: result, Method: YubiKey, Step: -1}, err
	}
	own.UsedAt = tx.Now()
	return Checked{Result: Good, Method: YubiKey, Step: -1}, saveYubi(tx, u.ID, rec)
}

// find is the key that typed a text; nil: none of these.
func (r *yubiRecord) find(text string) *yubiKey {
	o, err := otp.ParseYubiKey(text)
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(r.Keys, func(k yubiKey) bool { return k.Public == o.Public })
	if i < 0 {
		return nil
	}
	return &r.Keys[i]
}

func (w *yubiWay) remove(tx store.Tx, id principal.ID, device string) (int, error) {
	rec, err := loadYubi(tx, id)
	if err != nil {
		return 0, err
	}
	before := len(rec.Keys)
	rec.Keys = slices.DeleteFunc(rec.Keys, func(k yubiKey) bool { return device == "" || k.ID == device })
	if len(rec.Keys) == before {
		return 0, ErrNoMethod
	}
	return len(rec.Keys), saveYubi(tx, id, rec)
}

// AsksYubico reports whether a text is of one of the person's YubiKeys that is judged
// by servers.
func (f *Factors) AsksYubico(tx store.Tx, id principal.ID, text string) (bool, error) {
	rec, err := loadYubi(tx, id)
	if err != nil || rec.find(text) == nil {
		return false, err
	}
	here, err := f.KnowsYubiKey(tx, text)
	return !here, err
}

// KnowsYubiKey reports whether the secret of the YubiKey that typed a text stands in the
// store, so that no server is asked.
func (f *Factors) KnowsYubiKey(tx store.Tx, text string) (bool, error) {
	o, err := otp.ParseYubiKey(text)
	if err != nil {
		return false, nil
	}
	_, err = store.Load[yubiSecret](tx, yubiSecretKey(o.Public))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// AskYubico has servers judge a one-time password, outside of any transaction; what they
// call good they never do again, so put it into Proof.YubiKey at once.
// Errors: ErrUnchecked, where nobody knows.
func (f *Factors) AskYubico(ctx context.Context, text string) (good bool, err error) {
	if f.yubikeys == nil {
		return false, nil // nobody can have such a key that works here
	}
	err = f.yubikeys.Validate(ctx, text)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrDenied):
		return false, nil
	}
	return false, fmt.Errorf("%w: %w", ErrUnchecked, err)
}

// YubiKeySecret is a YubiKey whose secret is registered here.
type YubiKeySecret struct {
	Public  string // identity, in modhex
	AddedAt time.Time
}

// RegisterYubiKey stores the secret of a YubiKey, so that its one-time passwords are
// judged here, without servers. One that is registered already is replaced; with another
// AES key its counter begins anew, with the same one it goes on, or what was used would be
// good again. After ForgetYubiKey nothing is known of what was used. It makes nobody a
// factor: people set the key up as their own.
// The actor must be allowed to update in realm admin. It returns the public identity in
// its one spelling.
// Errors: account.ErrInvalid, and those of account.
func (f *Factors) RegisterYubiKey(tx store.Tx, actor account.Actor, public string, private, key []byte) (string, error) {
	if err := f.dir.Allowed(tx, actor, account.Update, account.AdminRealm); err != nil {
		return "", err
	}
	bytes, err := otp.Modhex(public)
	switch {
	case err != nil || len(bytes) == 0 || len(bytes) > otp.MaxYubiKeyPublic:
		return "", unfit("a public identity is up to %d characters of modhex, in pairs: what the key types without the last 32", 2*otp.MaxYubiKeyPublic)
	case len(private) != otp.YubiKeyPrivate:
		return "", unfit("a private identity has %d bytes", otp.YubiKeyPrivate)
	case len(key) != otp.YubiKeySecret:
		return "", unfit("the AES key has %d bytes", otp.YubiKeySecret)
	}
	s := &yubiSecret{Key: key, Private: private, Counter: -1, AddedAt: tx.Now()}
	canonical := otp.FormatModhex(bytes)
	old, err := store.Load[yubiSecret](tx, yubiSecretKey(canonical))
	switch {
	case err == nil && hmac.Equal(old.Key, key):
		s.Counter = old.Counter
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return "", fmt.Errorf("load the secret of a YubiKey: %w", err)
	}
	if err := store.Save(tx, yubiSecretKey(canonical), s, time.Time{}); err != nil {
		return "", err
	}
	return canonical, f.dir.Record(tx, actor, audit.Event{Time: tx.Now(), Kind: audit.KindYubiKeyAdd, Name: canonical})
}

// ForgetYubiKey deletes the secret of a YubiKey. People who have set it up keep it, and
// servers judge it from then on. Errors: ErrNoMethod, and those of account.
func (f *Factors) ForgetYubiKey(tx store.Tx, actor account.Actor, public string) error {
	if err := f.dir.Allowed(tx, actor, account.Update, account.AdminRealm); err != nil {
		return err
	}
	key := yubiSecretKey(public)
	if _, err := store.Load[yubiSecret](tx, key); errors.Is(err, store.ErrNotFound) {
		return ErrNoMethod
	} else if err != nil {
		return err
	}
	if err := tx.Delete(key); err != nil {
		return err
	}
	return f.dir.Record(tx, actor, audit.Event{Time: tx.Now(), Kind: audit.KindYubiKeyRemove, Name: public})
}

// YubiKeySecrets lists the YubiKeys whose secrets are registered here, without them.
// Errors: those of account.
func (f *Factors) YubiKeySecrets(tx store.Tx, actor account.Actor) ([]YubiKeySecret, error) {
	if err := f.dir.Allowed(tx, actor, account.List, account.AdminRealm); err != nil {
		return nil, err
	}
	list := []YubiKeySecret{}
	for item, err := range tx.Scan(store.KPrefix(store.PrefixFactor, "yubisecret"), nil) {
		if err != nil {
			return nil, err
		}
		parts, ok := store.Parts(store.PrefixFactor, item.Key)
		if !ok || len(parts) != 2 {
			return nil, errors.New("list YubiKeys: a key that is none")
		}
		rec, err := store.Load[yubiSecret](tx, yubiSecretKey(string(parts[1])))
		if err != nil {
			return nil, err
		}
		list = append(list, YubiKeySecret{Public: string(parts[1]), AddedAt: rec.AddedAt})
	}
	return list, nil
}
