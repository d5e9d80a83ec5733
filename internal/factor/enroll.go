package factor

import (
	"cmp"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// EnrollOptions say what an enrolment makes. The zero value makes what the
// realm's settings say.
type EnrollOptions struct {
	Params *otp.Params // nil: the realm's, else SHA1, 6 digits, 30 s
	Issuer string      // "": the realm's, else the gateway's
	Label  string      // the account in the app; "": name@realm
	// Confirmed makes the method active at once, without a code: for
	// administrators, the command line and provisioning services.
	Confirmed bool
}

// Enrollment is what an authenticator app needs. Seed and URI are the secret.
type Enrollment struct {
	Method        Name
	Seed          secret.Bytes
	URI           string
	Params        otp.Params
	Active        bool     // already confirmed: shown to administrators only
	RecoveryCodes []string // where Confirmed made the first factor
}

// Enroll makes a new authenticator. It is pending, and replaces an older
// pending one, never the confirmed one, until Confirm; with Confirmed it is
// active at once, the older one is gone, and the epoch rises.
//
// A person who has a factor must prove it freshly before: that is the
// caller's question. Whether one who has none may set up a first one is
// answered here, and again by Confirm and Adopt, so that no door can forget it.
// Errors: ErrEnrollmentClosed, ErrUnknownMethod where the realm does not offer
// TOTP, invalid Params, and those of account.
func (f *Factors) Enroll(tx store.Tx, actor account.Actor, id principal.ID, o EnrollOptions) (*Enrollment, error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	if err := f.authorize(tx, actor, u); err != nil {
		return nil, err
	}
	if err := f.mayBegin(tx, actor, u); err != nil {
		return nil, err
	}
	seed, err := f.draft(tx, u.Ref(), o)
	if err != nil {
		return nil, err
	}
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return nil, err
	}
	if !o.Confirmed {
		rec.Pending = seed
		if err := store.Save(tx, totpKey(id), rec, time.Time{}); err != nil {
			return nil, err
		}
		return seed.enrollment(), nil
	}
	seed.ShowUntil = tx.Now().Add(ShownLife)
	codes, err := f.activate(tx, actor, u, rec, seed)
	if err != nil {
		return nil, err
	}
	e := seed.enrollment()
	e.Active, e.RecoveryCodes = true, codes
	return e, nil
}

// Draft is an authenticator that is not anybody's yet: who makes it keeps it,
// sealed, bound to a half login, until its first code is good, and then calls
// Adopt. It is as secret as its seed.
type Draft struct {
	Seed   []byte     `json:"seed"`
	Params otp.Params `json:"params"`
	Issuer string     `json:"issuer"`
	Label  string     `json:"label"`
	Skew   int        `json:"skew"`
}

// Draft makes an authenticator for whoever ref names, who need not exist, and
// stores nothing. Errors as Enroll.
func (f *Factors) Draft(tx store.Tx, ref principal.Ref, o EnrollOptions) (*Draft, error) {
	seed, err := f.draft(tx, ref, o)
	if err != nil {
		return nil, err
	}
	skew, err := f.skew(tx, ref.Realm)
	if err != nil {
		return nil, err
	}
	return &Draft{Seed: seed.Seed, Params: seed.Params, Issuer: seed.Issuer, Label: seed.Label, Skew: skew}, nil
}

// Enrollment returns what an authenticator app needs.
func (d *Draft) Enrollment() *Enrollment {
	return d.record(-1, time.Time{}).enrollment()
}

// Check compares a code with the draft and returns the step that Adopt burns.
// It changes nothing.
func (d *Draft) Check(code string, at time.Time) (step int64, ok bool) {
	rec := d.record(-1, at)
	step, result := rec.burn(code, at, d.Skew)
	return step, result == Good
}

func (d *Draft) record(after int64, at time.Time) *seedRecord {
	return &seedRecord{Seed: d.Seed, Params: d.Params, Issuer: d.Issuer, Label: d.Label, After: after, CreatedAt: at, UsedAt: at}
}

// Adopt gives a draft to a person who has no factor yet, active at once, with
// the step that Check returned burned. The epoch rises. It returns the
// recovery codes. Errors: ErrDenied where there is a factor meanwhile,
// ErrEnrollmentClosed, and those of account.
func (f *Factors) Adopt(tx store.Tx, actor account.Actor, id principal.ID, d *Draft, step int64) ([]string, error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	if u.Factors() > 0 {
		return nil, ErrDenied
	}
	if err := f.mayBegin(tx, actor, u); err != nil {
		return nil, err
	}
	return f.activate(tx, actor, u, &totpRecord{}, d.record(step, tx.Now()))
}

// Confirm checks the first code of the pending method and makes it the
// confirmed one. The code's step is burned, so that it opens no door
// afterwards, and the epoch rises. With the first factor come recovery codes.
// Errors: ErrDenied, ErrReplay, ErrNoPending, ErrEnrollmentClosed (the code was
// not looked at), and those of account.
func (f *Factors) Confirm(tx store.Tx, actor account.Actor, id principal.ID, code string) ([]string, error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	if err := f.mayBegin(tx, actor, u); err != nil {
		return nil, err
	}
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return nil, err
	}
	pending := rec.pendingAt(tx.Now())
	if pending == nil {
		return nil, ErrNoPending
	}
	skew, err := f.skew(tx, u.Realm)
	if err != nil {
		return nil, err
	}
	switch _, result := pending.burn(code, tx.Now(), skew); result {
	case Good:
		return f.activate(tx, actor, u, rec, pending)
	case Replayed:
		return nil, ErrReplay
	}
	return nil, ErrDenied
}

// Pending returns the enrolment that waits for its first code. A seed that an
// administrator made is active, and is returned for its first hour with Active
// set: to administrators only. Afterwards, and always else, ErrNoPending: the
// seed of a confirmed method never leaves again.
func (f *Factors) Pending(tx store.Tx, id principal.ID) (*Enrollment, error) {
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return nil, err
	}
	if p := rec.pendingAt(tx.Now()); p != nil {
		return p.enrollment(), nil
	}
	if c := rec.Confirmed; c != nil && tx.Now().Before(c.ShowUntil) {
		e := c.enrollment()
		e.Active = true
		return e, nil
	}
	return nil, ErrNoPending
}

// Abandon drops a pending enrolment; the confirmed method stays as it is.
func (f *Factors) Abandon(tx store.Tx, actor account.Actor, id principal.ID) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	if err := f.authorize(tx, actor, u); err != nil {
		return err
	}
	rec, err := loadTOTP(tx, id)
	if err != nil || rec.Pending == nil {
		return err
	}
	rec.Pending = nil
	return store.Save(tx, totpKey(id), rec, time.Time{})
}

// mayBegin refuses a first factor that a person makes for the own account, who
// proved a password alone, where the realm's setting enrollment is closed to
// them: otherwise whoever has a leaked password takes the account over.
func (f *Factors) mayBegin(tx store.Tx, actor account.Actor, u *account.User) error {
	if !actor.Is(u.ID) || u.Factors() > 0 {
		return nil
	}
	ok, _, err := f.dir.MayEnroll(tx, u)
	if err == nil && !ok {
		err = ErrEnrollmentClosed
	}
	return err
}

// draft makes the record of a new authenticator. Its seed has 160 bits, or more
// where the realm says so.
func (f *Factors) draft(tx store.Tx, ref principal.Ref, o EnrollOptions) (*seedRecord, error) {
	realm, err := f.dir.Realm(tx, ref.Realm)
	if err != nil {
		return nil, err
	}
	if len(realm.Methods) > 0 && !slices.Contains(realm.Methods, string(TOTP)) {
		return nil, ErrUnknownMethod
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
		label.Issuer = cmp.Or(realm.Issuer, f.issuer)
	}
	if label.Account == "" {
		label.Account = ref.String()
	}
	label = label.Clean()
	return &seedRecord{Seed: otp.NewSeed(seedSize(realm.SecretLength)), Params: params, Issuer: label.Issuer, Label: label.Account,
		After: -1, CreatedAt: tx.Now()}, nil
}

// seedSize is how many bytes of a seed so many base32 characters hold, rounded
// down; otp.NewSeed bounds it.
func seedSize(chars *int) int {
	if chars == nil {
		return otp.MinNewSeed
	}
	return *chars * 5 / 8
}

// activate makes seed the one confirmed authenticator and raises the epoch.
func (f *Factors) activate(tx store.Tx, actor account.Actor, u *account.User, rec *totpRecord, seed *seedRecord) ([]string, error) {
	first := u.Factors() == 0
	rec.Confirmed, rec.Pending = seed, nil
	if err := store.Save(tx, totpKey(u.ID), rec, time.Time{}); err != nil {
		return nil, err
	}
	added := account.Method{Name: string(TOTP), AddedAt: tx.Now(), Label: seed.Label}
	methods := slices.DeleteFunc(slices.Clone(u.Methods), func(m account.Method) bool {
		if m.Name != added.Name {
			return false
		}
		added.Primary = m.Primary // it takes the place of the older one
		return true
	})
	methods = promote(append(methods, added))
	if _, err := f.dir.SetMethods(tx, actor, u.ID, methods, true); err != nil {
		return nil, err
	}
	if err := f.record(tx, u, actor, audit.KindFactorAdd, TOTP); err != nil {
		return nil, err
	}
	if !first {
		return nil, nil
	}
	return f.freshCodes(tx, u)
}
