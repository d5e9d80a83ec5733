// Package factor owns second factors: authenticator apps, codes by mail and SMS and
// by an installation's own methods, YubiKeys, passkeys and recovery codes, their
// enrolment, and the memory of what was used. Each stands in a file of its own, behind
// one small interface (way).
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
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Name is a method as the API and the pages write it.
type Name string

const (
	// TOTP is an authenticator app (RFC 6238).
	TOTP Name = "totp"
	// Email and SMS are codes that are sent to the account's address and number.
	Email Name = "email"
	SMS   Name = "sms"
	// YubiKey is the one-time password that a YubiKey types.
	YubiKey Name = "yubikey"
	// Passkey is a WebAuthn credential.
	Passkey Name = "passkey"
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
	// ErrNoTarget: the account says no address, or number, to send a code to.
	ErrNoTarget = errors.New("the account has no address or number to which a code could be sent")
	// ErrSendsNothing: codes of the method come from the person's own device, or paper.
	ErrSendsNothing = errors.New("this method sends nothing: its codes come from the person's own device or paper")
	// ErrCannotSend: nothing is configured by which a code could be sent.
	ErrCannotSend = errors.New("codes cannot be sent here: ask your administrator")
	// ErrUnchecked: whether a code is good cannot be found out now. Nothing was counted.
	ErrUnchecked = errors.New("this code cannot be checked now: try again, or use another way")
	// ErrTooMany: the person has as many devices of the method as there may be.
	ErrTooMany = fmt.Errorf("%d devices of one method are enough: remove one first", maxDevices)
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
	Derive    func(purpose string) []byte // required: 32 bytes for each MAC
	Issuer    string                      // what authenticator apps show; default "Sallyport"
	Sender    Sender                      // of codes by mail and the like; nil: none is sent
	Own       []Name                      // own methods, whose codes Sender sends
	YubiKeys  YubiKeys                    // asks Yubico's servers; nil: keys whose secrets stand in the store alone
	Passkeys  *Passkeys                   // nil, or what Check refuses: passkeys are not offered, and prove nothing
}

// Factors is the room's one value. It holds no state of its own and is safe
// for concurrent use.
type Factors struct {
	dir      *account.Directory
	key      []byte // MAC of recovery codes
	codeKey  []byte // MAC of codes that were sent
	issuer   string
	sender   Sender
	own      []Name
	yubikeys YubiKeys
	relying  *relying // nil: no passkeys
}

// Issuer is what authenticator apps call this installation where nobody says
// otherwise.
func (f *Factors) Issuer() string { return f.issuer }

// New returns Factors.
func New(o Options) *Factors {
	f := &Factors{
		dir: o.Directory, key: o.Derive("factor recovery codes"), codeKey: o.Derive("factor sent codes"), issuer: o.Issuer,
		sender: o.Sender, own: o.Own, yubikeys: o.YubiKeys,
	}
	if f.issuer == "" {
		f.issuer = defaultIssuer
	}
	if o.Passkeys != nil {
		f.relying, _ = newRelying(o.Passkeys) // what is refused is not offered: who wires this room has asked Check
	}
	return f
}

// Method is what its owner and administrators see of a device of a method.
type Method struct {
	Name       Name
	ID         string // of the device, where there can be several; else ""
	Primary    bool   // asked for first
	Active     bool   // false: pending
	Label      string
	Target     string // masked: where its codes go
	AddedAt    time.Time
	LastUsedAt time.Time // zero: never
	Cloned     bool      // a passkey that may have been copied: it proves nothing, and waits to be removed
}

// Methods returns what the person has, the primary method first, pending
// enrolments last. Recovery codes are not listed: see RecoveryLeft.
func (f *Factors) Methods(tx store.Tx, id principal.ID) ([]Method, error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	var methods []Method
	for _, m := range u.Methods {
		shown, err := f.shown(tx, u, m)
		if err != nil {
			return nil, err
		}
		methods = append(methods, shown...)
	}
	slices.SortStableFunc(methods, func(a, b Method) int { return boolOrder(b.Primary) - boolOrder(a.Primary) })
	pending, err := f.allPending(tx, id)
	for _, d := range pending {
		m := Method{Name: d.method(), Label: d.label(), AddedAt: d.MadeAt}
		if d.Sent != nil {
			m.Target = Mask(d.Sent.To)
		}
		methods = append(methods, m)
	}
	return methods, err
}

// shown lists the devices of a confirmed method.
func (f *Factors) shown(tx store.Tx, u *account.User, m account.Method) ([]Method, error) {
	only := Method{Name: Name(m.Name), Label: m.Label, Primary: m.Primary, Active: true, AddedAt: m.AddedAt}
	w, err := f.wayOf(only.Name)
	if errors.Is(err, ErrUnknownMethod) { // of a version to come
		return []Method{only}, nil
	}
	if err != nil {
		return nil, err
	}
	devices, err := w.devices(tx, u)
	for i := range devices {
		devices[i].Primary, devices[i].Active = m.Primary, true
	}
	return devices, err
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

// Remove takes a confirmed method away, or one device of it; device "" stands for
// all. Whoever removes his own last factor where the realm demands two is refused
// (ErrLastFactor); with the last factor the recovery codes go. The epoch rises.
// Errors: ErrNoMethod, ErrLastFactor, and those of account.
func (f *Factors) Remove(tx store.Tx, actor account.Actor, id principal.ID, method Name, device string) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	if !has(u, method) {
		return ErrNoMethod
	}
	if err := f.authorize(tx, actor, u); err != nil {
		return err
	}
	w, err := f.wayOf(method)
	if errors.Is(err, ErrUnknownMethod) {
		return ErrNoMethod
	}
	if err != nil {
		return err
	}
	stay, err := w.remove(tx, id, device)
	if err != nil {
		return err
	}
	left := slices.Clone(u.Methods)
	if stay == 0 {
		left = slices.DeleteFunc(left, func(m account.Method) bool { return m.Name == string(method) })
	}
	if len(left) == 0 && actor.Is(id) {
		if err := f.mayGo(tx, u); err != nil {
			return err
		}
	}
	if _, err := f.dir.SetMethods(tx, actor, id, promote(left), true); err != nil {
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
	u, err := f.dir.ByID(tx, id)
	if err != nil && !errors.Is(err, account.ErrUnknownUser) {
		return err
	}
	names := f.known()
	if err == nil {
		for _, m := range u.Methods {
			names = append(names, Name(m.Name))
		}
	}
	for _, name := range names {
		w, err := f.wayOf(name)
		if errors.Is(err, ErrUnknownMethod) {
			continue
		}
		if err == nil {
			_, err = w.remove(tx, id, "")
		}
		if err != nil && !errors.Is(err, ErrNoMethod) {
			return err
		}
		if err := tx.Delete(pendingKey(id, name)); err != nil {
			return err
		}
	}
	for _, field := range []account.Field{account.EmailField, account.PhoneField} {
		if err := tx.Delete(targetKey(id, field)); err != nil {
			return err
		}
	}
	return tx.Delete(recoveryKey(id))
}

// answered is an answer, unless what was to be written with it failed.
func answered(answer, err error) error {
	if err != nil {
		return err
	}
	return answer
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

func recoveryKey(id principal.ID) store.Key { return store.K(store.PrefixFactor, "recovery", id) }
