// Package factor owns second factors: TOTP and recovery codes, their
// enrolment, and the memory of what was used.
//
// Every door asks here, so a code has one memory whatever door it comes
// through: Confirm, Try and their kin burn what they accept in the
// transaction of the caller. Burned is the step, not its text, and it never
// goes back, whatever the clock does. Who throttles, and what a good code
// opens, is the business of the caller.
//
// A method that a person enrols is pending until one good code; until then it
// proves nothing and the older one stays good. What an administrator makes is
// active at once. The summary of the confirmed methods stands in the
// account's record and is written in the same transaction.
package factor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Name is a method as the API and the pages write it.
type Name string

const (
	// TOTP is an authenticator app (RFC 6238).
	TOTP Name = "totp"
	// RecoveryCode is one of the codes on paper. It opens the second door, but
	// is no method of its own: who has nothing else has no factor.
	RecoveryCode Name = "recovery_code"
	// Any is what Try takes for a text that may be either: the authenticator's
	// code, else a recovery code. It is no method and stands in no record.
	Any Name = "any"
)

// Result is what a code was. The zero Result is a refusal.
type Result uint8

const (
	// Wrong: the code is none of the person's. Count it.
	Wrong Result = iota
	// Good: the code was good and is burned now.
	Good
	// Replayed: the code was good once, and its step is burned. Refuse it; it
	// is no guess, so it need not count.
	Replayed
)

// String returns the word that stands in events.
func (r Result) String() string {
	switch r {
	case Good:
		return "good"
	case Replayed:
		return "replay"
	}
	return "wrong"
}

// Errors that a caller may test.
var (
	// ErrDenied: the code is not good.
	ErrDenied = errors.New("the code is not good")
	// ErrReplay: the code was good once and is burned.
	ErrReplay = errors.New("the code was used already")
	// ErrNoPending: nothing waits for a first code, or it waited too long.
	ErrNoPending = errors.New("no enrolment is pending")
	// ErrNoMethod: the person has no such method.
	ErrNoMethod = errors.New("no such method is set up")
	// ErrUnknownMethod: no such method exists, or the realm does not allow it.
	ErrUnknownMethod = errors.New("this method is not offered")
	// ErrEnrollmentClosed: the person has no factor, and the realm's setting
	// enrollment lets nobody set up a first one with a password alone now.
	ErrEnrollmentClosed = errors.New("setting up a second factor needs an invitation: ask your administrator")
	// ErrLastFactor: the realm demands two factors, and this is the last one.
	ErrLastFactor = errors.New("the last factor stays, because two are demanded: set up another one first")
	// ErrNoRegeneration: the realm's setting allow_regenerate lets nobody make
	// new recovery codes for himself.
	ErrNoRegeneration = errors.New("new recovery codes are not allowed here: ask your administrator")
)

const (
	// PendingLife is how long an enrolment waits for its first code: time to
	// install an app, not enough to be found open a day later.
	PendingLife = time.Hour
	// ShownLife is how long a seed that an administrator made may be shown
	// again, though it is active: time to hand it over.
	ShownLife = time.Hour
	// defaultIssuer stands in authenticator apps where nothing else is said.
	defaultIssuer = "Sallyport"
	// defaultSkew is one step on either side of now (RFC 6238 section 5.2).
	defaultSkew = 1
)

// Options configure Factors.
type Options struct {
	Directory *account.Directory          // required
	Audit     *audit.Log                  // not read yet: account writes this room's events, with the actor's name
	Derive    func(purpose string) []byte // required: 32 bytes for the MAC of recovery codes
	Issuer    string                      // what authenticator apps show; default "Sallyport"
}

// Factors is the room's one value. It holds no state of its own and is safe
// for concurrent use.
type Factors struct {
	dir    *account.Directory
	key    []byte // MAC of recovery codes
	issuer string
}

// Available reports whether people can prove something by a method in this version.
func Available(method Name) bool { return method == TOTP || method == RecoveryCode }

// Issuer is what authenticator apps call this installation where nobody says
// otherwise.
func (f *Factors) Issuer() string { return f.issuer }

// New returns Factors.
func New(o Options) *Factors {
	f := &Factors{dir: o.Directory, key: o.Derive("factor recovery codes"), issuer: o.Issuer}
	if f.issuer == "" {
		f.issuer = defaultIssuer
	}
	return f
}

// Method is what its owner and administrators see of a method.
type Method struct {
	Name       Name
	Primary    bool // asked for first
	Active     bool // false: pending
	Label      string
	AddedAt    time.Time
	LastUsedAt time.Time // zero: never
}

// Methods returns what the person has, the primary method first, a pending
// enrolment last. Recovery codes are not listed: see RecoveryLeft.
func (f *Factors) Methods(tx store.Tx, id principal.ID) ([]Method, error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return nil, err
	}
	var methods []Method
	for _, m := range u.Methods {
		shown := Method{Name: Name(m.Name), Primary: m.Primary, Active: true, Label: m.Label, AddedAt: m.AddedAt}
		if shown.Name == TOTP && rec.Confirmed != nil {
			shown.LastUsedAt = rec.Confirmed.UsedAt
		}
		methods = append(methods, shown)
	}
	slices.SortStableFunc(methods, func(a, b Method) int { return boolOrder(b.Primary) - boolOrder(a.Primary) })
	if p := rec.pendingAt(tx.Now()); p != nil {
		methods = append(methods, Method{Name: TOTP, Label: p.Label, AddedAt: p.CreatedAt})
	}
	return methods, nil
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// SetPrimary makes a confirmed method the one that is asked for first.
// Errors: ErrNoMethod, and those of account.
func (f *Factors) SetPrimary(tx store.Tx, actor account.Actor, id principal.ID, method Name) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	methods := slices.Clone(u.Methods)
	found := false
	for i := range methods {
		methods[i].Primary = methods[i].Name == string(method)
		found = found || methods[i].Primary
	}
	if !found {
		return ErrNoMethod
	}
	if _, err = f.dir.SetMethods(tx, actor, id, methods, false); err != nil {
		return err
	}
	return f.record(tx, u, actor, audit.KindFactorPrimary, method)
}

// Remove takes a confirmed method away. Whoever removes his own last factor
// where the realm demands two is refused (ErrLastFactor); with the last factor
// the recovery codes go. The epoch rises.
// Errors: ErrNoMethod, ErrLastFactor, and those of account.
func (f *Factors) Remove(tx store.Tx, actor account.Actor, id principal.ID, method Name) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(u.Methods), func(m account.Method) bool { return m.Name == string(method) })
	if len(left) == len(u.Methods) || method != TOTP {
		return ErrNoMethod
	}
	if len(left) == 0 && actor.Is(id) {
		if err := f.mayGo(tx, u); err != nil {
			return err
		}
	}
	if _, err := f.dir.SetMethods(tx, actor, id, promote(left), true); err != nil {
		return err
	}
	if err := tx.Delete(totpKey(id)); err != nil {
		return err
	}
	if len(left) == 0 {
		if err := tx.Delete(recoveryKey(id)); err != nil {
			return err
		}
	}
	return f.record(tx, u, actor, audit.KindFactorRemove, method)
}

// mayGo refuses where the person's realm demands two factors.
func (f *Factors) mayGo(tx store.Tx, u *account.User) error {
	realm, err := f.dir.Realm(tx, u.Realm)
	if err != nil {
		return err
	}
	if realm.Demanded() >= 2 {
		return ErrLastFactor
	}
	return nil
}

// Reset takes everything away: methods, pending enrolments, recovery codes.
// It is for administrators and the command line; the epoch rises, so all
// sessions and half logins end. Errors: those of account.
func (f *Factors) Reset(tx store.Tx, actor account.Actor, id principal.ID) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	if actor.Is(id) {
		if err := f.mayGo(tx, u); err != nil {
			return err
		}
	}
	if _, err := f.dir.SetMethods(tx, actor, id, nil, true); err != nil {
		return err
	}
	if err := f.Forget(tx, id); err != nil {
		return err
	}
	return f.record(tx, u, actor, audit.KindFactorReset, "")
}

// Forget deletes what is known of a person who is being deleted. It is wired
// to account.Directory.OnDelete.
func (f *Factors) Forget(tx store.Tx, id principal.ID) error {
	if err := tx.Delete(totpKey(id)); err != nil {
		return err
	}
	return tx.Delete(recoveryKey(id))
}

// authorize checks the right to change somebody's factors, where nothing in
// the account's record changes that would check it.
func (f *Factors) authorize(tx store.Tx, actor account.Actor, u *account.User) error {
	if actor.Is(u.ID) {
		return f.dir.Alive(tx, actor)
	}
	return f.dir.Allowed(tx, actor, account.Update, u.Realm)
}

// promote makes the first method primary where none is.
func promote(methods []account.Method) []account.Method {
	if len(methods) > 0 && !slices.ContainsFunc(methods, func(m account.Method) bool { return m.Primary }) {
		methods[0].Primary = true
	}
	return methods
}

func (f *Factors) record(tx store.Tx, u *account.User, actor account.Actor, kind audit.Kind, method Name) error {
	return f.dir.Record(tx, actor, audit.Event{
		Time: tx.Now(), Kind: kind, Principal: u.ID, Name: u.Ref().String(), Method: string(method),
	})
}

// seedRecord is one authenticator: its seed, and the last step that it used.
type seedRecord struct {
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

// totpRecord is all TOTP of a person: at most one confirmed, one pending.
type totpRecord struct {
	store.Meta
	Confirmed *seedRecord `json:"confirmed,omitempty"`
	Pending   *seedRecord `json:"pending,omitempty"`
}

func (r *totpRecord) pendingAt(now time.Time) *seedRecord {
	if r.Pending == nil || !now.Before(r.Pending.CreatedAt.Add(PendingLife)) {
		return nil
	}
	return r.Pending
}

func totpKey(id principal.ID) store.Key     { return store.K(store.PrefixFactor, "totp", id) }
func recoveryKey(id principal.ID) store.Key { return store.K(store.PrefixFactor, "recovery", id) }

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

func (f *Factors) skew(tx store.Tx, name string) (int, error) {
	realm, err := f.dir.Realm(tx, name)
	if err != nil {
		return 0, err
	}
	if realm.Skew == nil {
		return defaultSkew, nil
	}
	return *realm.Skew, nil
}
