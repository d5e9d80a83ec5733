package factor

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Enrollment is what a person needs for the first code of a method: of an
// authenticator app, Seed and URI are the secret; of what is sent, SentTo says where.
type Enrollment struct {
	Method        Name
	Seed          secret.Bytes
	URI           string
	Params        otp.Params
	SentTo        string   // masked
	Options       []byte   // of a passkey: JSON for navigator.credentials.create, good once for ChallengeLife
	Active        bool     // already confirmed: shown to administrators only
	RecoveryCodes []string // where Confirmed made the first factor
}

// Enroll makes a new device of a method. It is pending, and replaces an older
// pending one, never a confirmed one, until Confirm; with Confirmed it is
// active at once, the older ones are gone, and the epoch rises. A method that sends
// has sent its first code.
//
// A person who has a factor must prove it freshly before: that is the
// caller's question, and so is how often codes are sent. Whether one who has none may
// set up a first one is answered here, and again by Confirm and Adopt, so that no door
// can forget it.
// Errors: ErrEnrollmentClosed, ErrUnknownMethod where the realm does not offer
// the method, ErrNoTarget, ErrCannotSend, invalid Params, and those of account.
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
	if o.Confirmed && o.method() != TOTP && !Sendable(o.method()) {
		return nil, ErrUnknownMethod
	}
	d, err := f.draft(tx, u.Ref(), u, o)
	if err != nil {
		return nil, err
	}
	if !o.Confirmed {
		return d.Enrollment(), savePending(tx, id, d)
	}
	codes, err := f.activate(tx, actor, u, d, -1)
	if err != nil {
		return nil, err
	}
	e := d.Enrollment()
	e.Active, e.RecoveryCodes = true, codes
	if e.Method != TOTP {
		return e, nil
	}
	return e, f.show(tx, id)
}

// show lets the newest authenticator be seen for its first hour, by those who hand it
// over. It proved nothing yet.
func (f *Factors) show(tx store.Tx, id principal.ID) error {
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return err
	}
	seeds := rec.all()
	newest := seeds[len(seeds)-1]
	newest.ShowUntil, newest.UsedAt = tx.Now().Add(ShownLife), time.Time{}
	return saveTOTP(tx, id, rec)
}

func (o EnrollOptions) method() Name {
	if o.Method == "" {
		return TOTP
	}
	return o.Method
}

// Draft makes a device for whoever ref names, who need not exist, and
// stores nothing of it. Errors as Enroll.
func (f *Factors) Draft(tx store.Tx, ref principal.Ref, o EnrollOptions) (*Draft, error) {
	u, err := f.dir.ByRef(tx, ref)
	if errors.Is(err, account.ErrUnknownUser) {
		u, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.draft(tx, ref, u, o)
}

func (f *Factors) draft(tx store.Tx, ref principal.Ref, u *account.User, o EnrollOptions) (*Draft, error) {
	if err := f.Offers(tx, ref.Realm, o.method()); err != nil {
		return nil, err
	}
	if err := account.ValidLabel(o.Name); err != nil {
		return nil, err
	}
	w, err := f.way(o.method())
	if err != nil {
		return nil, err
	}
	d, err := w.draft(tx, ref, u, o)
	if err != nil {
		return nil, err
	}
	d.Beside, d.Name, d.MadeAt = o.Beside, o.Name, tx.Now()
	return d, nil
}

// Enrollment returns what the person needs for the first code.
func (d *Draft) Enrollment() *Enrollment {
	switch {
	case d.Sent != nil:
		return &Enrollment{Method: d.method(), SentTo: Mask(d.Sent.To)}
	case d.method() == TOTP:
		return d.seed(-1, d.MadeAt).enrollment()
	case d.Passkey != nil:
		return &Enrollment{Method: Passkey, Options: d.Passkey.Options}
	}
	return &Enrollment{Method: d.method()}
}

// Check compares a first code with a draft and says what Adopt burns. It writes
// nothing, but may change the draft (wrong codes count): who keeps it saves it.
// The person need not exist for TOTP.
func (f *Factors) Check(tx store.Tx, id principal.ID, d *Draft, p Proof) (Checked, error) {
	w, err := f.way(d.method())
	if err != nil {
		return refused(d.method()), err
	}
	c, err := w.check(tx, id, d, p)
	if err == nil && c.Result == Wrong {
		d.Wrong++
	}
	return c, err
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
	return f.activate(tx, actor, u, d, step)
}

// Confirm checks the first code of a pending device and makes it a
// confirmed one. The code is burned, so that it opens no door
// afterwards, and the epoch rises. With the first factor come recovery codes.
// draftTries wrong codes end the enrolment: the caller commits, whatever the answer.
// Errors: ErrDenied, ErrReplay, ErrNoPending, ErrEnrollmentClosed (the code was
// not looked at), and those of account.
func (f *Factors) Confirm(tx store.Tx, actor account.Actor, id principal.ID, method Name, p Proof) ([]string, error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	if err := f.mayBegin(tx, actor, u); err != nil {
		return nil, err
	}
	if method == "" {
		method = TOTP
	}
	d, err := f.pending(tx, id, method)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, ErrNoPending
	}
	c, err := f.Check(tx, id, d, p)
	if err != nil {
		return nil, err
	}
	switch c.Result {
	case Good:
		return f.activate(tx, actor, u, d, c.Step)
	case Replayed:
		return nil, ErrReplay
	}
	if d.Wrong >= draftTries && method != TOTP {
		return nil, answered(ErrDenied, tx.Delete(pendingKey(id, method)))
	}
	return nil, answered(ErrDenied, savePending(tx, id, d))
}

// Pending returns the authenticator that waits for its first code. A seed that an
// administrator made is active, and is returned for its first hour with Active
// set: to administrators only. Afterwards, and always else, ErrNoPending: the
// seed of a confirmed method never leaves again.
func (f *Factors) Pending(tx store.Tx, id principal.ID) (*Enrollment, error) {
	e, err := f.PendingOf(tx, id, TOTP)
	if !errors.Is(err, ErrNoPending) {
		return e, err
	}
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return nil, err
	}
	for _, s := range slices.Backward(rec.all()) {
		if tx.Now().Before(s.ShowUntil) {
			e := s.enrollment()
			e.Active = true
			return e, nil
		}
	}
	return nil, ErrNoPending
}

// PendingOf returns what waits for its first code. Errors: ErrNoPending.
func (f *Factors) PendingOf(tx store.Tx, id principal.ID, method Name) (*Enrollment, error) {
	d, err := f.pending(tx, id, method)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, ErrNoPending
	}
	return d.Enrollment(), nil
}

// Waiting returns the draft that waits for its first code; nil: none.
func (f *Factors) Waiting(tx store.Tx, id principal.ID, method Name) (*Draft, error) {
	return f.pending(tx, id, method)
}

// Abandon drops a pending enrolment; what is confirmed stays as it is. None: nil.
func (f *Factors) Abandon(tx store.Tx, actor account.Actor, id principal.ID, method Name) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	if err := f.authorize(tx, actor, u); err != nil {
		return err
	}
	return tx.Delete(pendingKey(id, method))
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

// activate makes a draft a confirmed device and raises the epoch.
func (f *Factors) activate(tx store.Tx, actor account.Actor, u *account.User, d *Draft, step int64) ([]string, error) {
	w, err := f.way(d.method())
	if err != nil {
		return nil, err
	}
	if err := w.adopt(tx, u, d, step); err != nil {
		return nil, err
	}
	if err := tx.Delete(pendingKey(u.ID, d.method())); err != nil {
		return nil, err
	}
	return f.confirm(tx, actor, u, d.method(), d.label())
}

// label is what the account's summary calls a device.
func (d *Draft) label() string {
	if d.Name != "" {
		return d.Name
	}
	return d.Label
}

// confirm writes down that a person has a method, whose records stand, and raises the
// epoch. With the first factor come recovery codes.
func (f *Factors) confirm(tx store.Tx, actor account.Actor, u *account.User, method Name, label string) ([]string, error) {
	first := u.Factors() == 0
	added := account.Method{Name: string(method), AddedAt: tx.Now(), Label: label}
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
	if err := f.record(tx, u, actor, audit.KindFactorAdd, method); err != nil {
		return nil, err
	}
	if !first {
		return nil, nil
	}
	return f.freshCodes(tx, u)
}
