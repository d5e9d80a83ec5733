package factor

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// maxDevices bounds the devices that a person has of one method.
const maxDevices = 10

// totpWay is the authenticator app (RFC 6238): several a person.
type totpWay Factors

// seedRecord is one authenticator: its seed, and the last step that it used.
type seedRecord struct {
	ID        string     `json:"id,omitempty"` // "": made before there were several
	Name      string     `json:"name,omitempty"`
	Seed      []byte     `json:"seed"`
	Params    otp.Params `json:"params"`
	Issuer    string     `json:"issuer,omitempty"`
	Label     string     `json:"label,omitempty"`
	After     int64      `json:"after"` // last burned step; -1: none
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    time.Time  `json:"used_at,omitzero"`
	ShowUntil time.Time  `json:"show_until,omitzero"` // an administrator made it
	Brought   bool       `json:"brought,omitempty"`   // it was in use elsewhere
}

// device is the id that its owner sees.
func (s *seedRecord) device() string { return cmp.Or(s.ID, firstDevice) }

// firstDevice is the id of a device whose record has none.
const firstDevice = "first"

func newDevice() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: the program ends instead
	return hex.EncodeToString(id[:])
}

// totpRecord is all TOTP of a person.
type totpRecord struct {
	store.Meta
	Confirmed *seedRecord   `json:"confirmed,omitempty"`
	Beside    []*seedRecord `json:"beside,omitempty"` // further ones
}

func (r *totpRecord) all() []*seedRecord {
	if r.Confirmed == nil {
		return nil
	}
	return append([]*seedRecord{r.Confirmed}, r.Beside...)
}

func (r *totpRecord) set(seeds []*seedRecord) {
	r.Confirmed, r.Beside = nil, nil
	if len(seeds) > 0 {
		r.Confirmed, r.Beside = seeds[0], seeds[1:]
	}
}

func totpKey(id principal.ID) store.Key { return store.K(store.PrefixFactor, "totp", id) }

func loadTOTP(tx store.Tx, id principal.ID) (*totpRecord, error) {
	rec, err := store.Load[totpRecord](tx, totpKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return &totpRecord{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load factors: %w", err)
	}
	return rec, nil
}

func saveTOTP(tx store.Tx, id principal.ID, rec *totpRecord) error {
	if rec.Confirmed == nil {
		return tx.Delete(totpKey(id))
	}
	return store.Save(tx, totpKey(id), rec, time.Time{})
}

// draft makes the seed of a new authenticator: 160 bits, or more where the realm
// says so.
func (w *totpWay) draft(tx store.Tx, ref principal.Ref, _ *account.User, o EnrollOptions) (*Draft, error) {
	realm, err := w.dir.Realm(tx, ref.Realm)
	if err != nil {
		return nil, err
	}
	params := otp.Default()
	if realm.OTP != nil {
		params = *realm.OTP
	}
	if o.Params != nil {
		params = *o.Params
	}
	if err := params.Validate(); err != nil {
		return nil, err
	}
	label := otp.Label{Issuer: o.Issuer, Account: o.Label}
	if label.Issuer == "" {
		label.Issuer = cmp.Or(realm.Issuer, w.issuer)
	}
	if label.Account == "" {
		label.Account = ref.String()
	}
	label = label.Clean()
	return &Draft{Method: TOTP, Seed: otp.NewSeed(seedSize(realm.SecretLength)), Params: params,
		Issuer: label.Issuer, Label: label.Account, Skew: skewOf(realm)}, nil
}

// seedSize is how many bytes of a seed so many base32 characters hold, rounded
// down; otp.NewSeed bounds it.
func seedSize(chars *int) int {
	if chars == nil {
		return otp.MinNewSeed
	}
	return *chars * 5 / 8
}

func (w *totpWay) check(tx store.Tx, _ principal.ID, d *Draft, p Proof) (Checked, error) {
	step, result := d.seed(-1, tx.Now()).burn(p.Code, tx.Now(), d.Skew)
	return Checked{Result: result, Method: TOTP, Step: step}, nil
}

func (w *totpWay) adopt(tx store.Tx, u *account.User, d *Draft, step int64) error {
	return w.keep(tx, u, d.seed(step, tx.Now()), d.Beside)
}

// keep stores an authenticator, in place of all there are or beside them.
func (w *totpWay) keep(tx store.Tx, u *account.User, s *seedRecord, beside bool) error {
	rec, err := loadTOTP(tx, u.ID)
	if err != nil {
		return err
	}
	var seeds []*seedRecord
	if beside {
		seeds = rec.all()
	}
	if len(seeds) >= maxDevices {
		return ErrTooMany
	}
	s.ID = newDevice()
	rec.set(append(seeds, s))
	return saveTOTP(tx, u.ID, rec)
}

func (w *totpWay) devices(tx store.Tx, u *account.User) ([]Method, error) {
	rec, err := loadTOTP(tx, u.ID)
	if err != nil {
		return nil, err
	}
	var list []Method
	for _, s := range rec.all() {
		list = append(list, Method{Name: TOTP, ID: s.device(), Label: cmp.Or(s.Name, s.Label), AddedAt: s.CreatedAt, LastUsedAt: s.UsedAt})
	}
	return list, nil
}

// try burns the step of the one authenticator that a code is of. Of a code that is
// burned at one and good at another, which happens once in a million, it is good.
func (w *totpWay) try(tx store.Tx, u *account.User, p Proof) (Checked, error) {
	f := (*Factors)(w)
	rec, skew, err := f.confirmed(tx, u.ID)
	if err != nil {
		return refused(TOTP), err
	}
	best := refused(TOTP)
	for _, s := range rec.all() {
		step, result := s.burn(p.Code, tx.Now(), skew)
		if result == Good {
			return Checked{Result: Good, Method: TOTP, Step: step}, saveTOTP(tx, u.ID, rec)
		}
		if result == Replayed {
			best = Checked{Result: Replayed, Method: TOTP, Step: step}
		}
	}
	return best, nil
}

func (w *totpWay) remove(tx store.Tx, id principal.ID, device string) (int, error) {
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return 0, err
	}
	left := slices.DeleteFunc(rec.all(), func(s *seedRecord) bool { return device == "" || s.device() == device })
	if len(left) == len(rec.all()) {
		return 0, ErrNoMethod
	}
	rec.set(left)
	return len(left), saveTOTP(tx, id, rec)
}

// seed is the record of a draft.
func (d *Draft) seed(after int64, at time.Time) *seedRecord {
	return &seedRecord{Name: d.Name, Seed: d.Seed, Params: d.Params, Issuer: d.Issuer, Label: d.Label, After: after, CreatedAt: at, UsedAt: at}
}

// burn checks a text against one authenticator and burns the step that
// matched: into the record, which the caller saves. The step of a replay is
// returned too; that of a wrong code is -1.
func (s *seedRecord) burn(text string, now time.Time, skew int) (step int64, r Result) {
	code, ok := otp.Clean(text, s.Params.Digits)
	if !ok {
		return -1, Wrong
	}
	step, result := otp.Match(s.Seed, s.Params, code, now, skew, s.After)
	switch result {
	case otp.Matched:
		s.After, s.UsedAt = step, now
		return step, Good
	case otp.Replayed:
		return step, Replayed
	}
	return -1, Wrong
}

func (s *seedRecord) enrollment() *Enrollment {
	label := otp.Label{Issuer: s.Issuer, Account: s.Label}
	return &Enrollment{Method: TOTP, Seed: secret.NewBytes(s.Seed), Params: s.Params, URI: otp.URI(label, s.Seed, s.Params)}
}

// confirmed loads a person's authenticators and the window of their realm.
// Nobody there: an empty record.
func (f *Factors) confirmed(tx store.Tx, id principal.ID) (*totpRecord, int, error) {
	u, err := f.dir.ByID(tx, id)
	if errors.Is(err, account.ErrUnknownUser) {
		return &totpRecord{}, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	rec, err := loadTOTP(tx, id)
	if err != nil || rec.Confirmed == nil {
		return rec, 0, err
	}
	realm, err := f.dir.Realm(tx, u.Realm)
	if err != nil {
		return nil, 0, err
	}
	return rec, min(max(skewOf(realm), 0), otp.MaxSkew), nil
}

func skewOf(realm account.Realm) int {
	if realm.Skew == nil {
		return defaultSkew
	}
	return *realm.Skew
}

// Again reports whether a code is that of exactly this step of a confirmed
// authenticator, the step is burned, and it is still inside the realm's window.
// It burns nothing and opens nothing.
//
// Clients of an older system use one code for the login and then for the next
// protected action. That second purpose belongs to the session that the code
// opened, once: whether this is that session and its step, and whether it asked
// already, is decided by login, in the same transaction.
func (f *Factors) Again(tx store.Tx, id principal.ID, code string, step int64) (bool, error) {
	rec, skew, err := f.confirmed(tx, id)
	if err != nil || step < 0 {
		return false, err
	}
	for _, s := range rec.all() {
		same, err := s.again(code, step, tx.Now(), skew)
		if err != nil || same {
			return same, err
		}
	}
	return false, nil
}

func (s *seedRecord) again(code string, step int64, now time.Time, skew int) (bool, error) {
	clean, ok := otp.Clean(code, s.Params.Digits)
	if !ok || step > s.After {
		return false, nil
	}
	if away := s.Params.Step(now) - step; away < -int64(skew) || away > int64(skew) {
		return false, nil
	}
	want, err := s.Params.Code(s.Seed, step)
	if err != nil {
		return false, err
	}
	return sameText(want, clean), nil
}

// Knows reports whether a text is a code of one of the person's authenticators now,
// burned or not. It burns nothing and decides nothing: it spares the hashes of
// recovery codes that the text cannot be.
func (f *Factors) Knows(tx store.Tx, id principal.ID, code string) (bool, error) {
	rec, skew, err := f.confirmed(tx, id)
	if err != nil {
		return false, err
	}
	known := false
	for _, s := range rec.all() {
		_, result := s.burn(code, tx.Now(), skew) // into a record that nobody saves
		known = known || result != Wrong
	}
	return known, nil
}
