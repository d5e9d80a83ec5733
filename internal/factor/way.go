package factor

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// way is one kind of method. Each stands in a file of its own and owns the
// records that it keeps of a person; which methods are confirmed stands in the
// account, and this room's one value writes both in the same transaction.
type way interface {
	// draft makes what waits for its first code. u is nil where nobody exists
	// yet (the first administrator).
	draft(tx store.Tx, ref principal.Ref, u *account.User, o EnrollOptions) (*Draft, error)
	// check compares a first code with a draft. It may change the draft, which
	// the caller saves, whatever the result.
	check(tx store.Tx, id principal.ID, d *Draft, p Proof) (Checked, error)
	// adopt stores a draft whose first code was good as the person's.
	adopt(tx store.Tx, u *account.User, d *Draft, step int64) error
	// devices lists what the person has confirmed, without Primary.
	devices(tx store.Tx, u *account.User) ([]Method, error)
	// try compares a proof with all devices and burns what is good.
	try(tx store.Tx, u *account.User, p Proof) (Checked, error)
	// remove takes one device away, or all for device "", and says how many are
	// left. No such device: ErrNoMethod.
	remove(tx store.Tx, id principal.ID, device string) (left int, err error)
}

// way finds a method. A name that is none in this installation: ErrUnknownMethod.
func (f *Factors) way(method Name) (way, error) {
	switch method {
	case TOTP:
		return (*totpWay)(f), nil
	case YubiKey:
		return (*yubiWay)(f), nil
	case Passkey:
		return (*passkeyWay)(f), nil
	}
	if f.sender != nil && Sendable(method) {
		return &sentWay{f, method}, nil
	}
	return nil, ErrUnknownMethod
}

// wayOf finds a method that a person may have, also where the installation does not
// offer it any more: so that it can be seen and taken away.
func (f *Factors) wayOf(method Name) (way, error) {
	w, err := f.way(method)
	if errors.Is(err, ErrUnknownMethod) && Sendable(method) {
		return &sentWay{f, method}, nil
	}
	return w, err
}

// Available reports whether this installation has what a method needs: mail for
// Email, and so on.
func (f *Factors) Available(method Name) bool {
	switch method {
	case TOTP, RecoveryCode, YubiKey:
		return true
	case Passkey:
		return f.relying != nil
	}
	return f.sender != nil && f.sender.Sends(method)
}

// Offered are the methods that people of a realm may set up, in the order in
// which they are offered: those that the realm names, of which this installation
// has what they need. A realm that names none offers TOTP and passkeys.
func (f *Factors) Offered(tx store.Tx, realm string) ([]Name, error) {
	r, err := f.dir.RealmToBe(tx, realm)
	if err != nil {
		return nil, err
	}
	return f.offered(r), nil
}

func (f *Factors) offered(r account.Realm) []Name {
	var names []Name
	for _, m := range r.Methods {
		if name := Name(m); name != RecoveryCode && f.Available(name) {
			names = append(names, name)
		}
	}
	if len(r.Methods) == 0 {
		names = append(names, TOTP)
		if f.Available(Passkey) {
			names = append(names, Passkey)
		}
	}
	return names
}

// Offers reports, by ErrUnknownMethod, that a realm does not offer a method. Of a
// realm that is still to be made holds what will hold.
func (f *Factors) Offers(tx store.Tx, realm string, method Name) error {
	names, err := f.Offered(tx, realm)
	if errors.Is(err, account.ErrUnknownRealm) {
		return nil // the caller finds that out by itself
	}
	if err == nil && !slices.Contains(names, method) {
		err = ErrUnknownMethod
	}
	return err
}

// has reports whether a method is confirmed.
func has(u *account.User, method Name) bool {
	return slices.ContainsFunc(u.Methods, func(m account.Method) bool { return m.Name == string(method) })
}

// EnrollOptions say what an enrolment makes. The zero value makes what the
// realm's settings say.
type EnrollOptions struct {
	Method Name // "": TOTP
	// Beside leaves what the person has of the method as it is; otherwise the new
	// device takes the place of all there are: a phone was lost, or replaced.
	Beside bool
	// Target is an address, or number, that the person wants to have: its first code
	// makes it theirs. "": what the account says. Only of somebody who is signed in, and
	// was asked freshly.
	Target string
	// Name is what the person calls the device; "": what the method says by itself.
	Name string

	Params *otp.Params // TOTP; nil: the realm's, else SHA1, 6 digits, 30 s
	Issuer string      // TOTP; "": the realm's, else the gateway's
	Label  string      // TOTP: the account in the app; "": name@realm
	// Confirmed makes a TOTP, or a method that sends, active at once, without a code: for
	// administrators, the command line, provisioning services, and the facade of an
	// older system that asked for none. A method that sends has sent nothing.
	Confirmed bool
}

// Draft is a device that is not anybody's yet: it waits for its first code, in
// the person's records, or sealed and bound to a half login by whoever keeps it and
// then calls Adopt. It is as secret as the device.
type Draft struct {
	store.Meta
	Method Name      `json:"method,omitempty"` // "": TOTP
	Beside bool      `json:"beside,omitempty"`
	Name   string    `json:"name,omitempty"`
	MadeAt time.Time `json:"made_at,omitzero"`
	Wrong  int       `json:"wrong,omitempty"` // first codes that were none

	Seed   []byte     `json:"seed,omitempty"` // TOTP
	Params otp.Params `json:"params,omitzero"`
	Issuer string     `json:"issuer,omitempty"`
	Label  string     `json:"label,omitempty"`
	Skew   int        `json:"skew,omitempty"`

	Sent *sentCode `json:"sent,omitempty"` // what is on its way
	Own  bool      `json:"own,omitempty"`  // to a target that the account does not have yet
	Key  string    `json:"key,omitempty"`  // a YubiKey's public identity, once it typed

	Passkey *passkeyDraft `json:"passkey,omitempty"`
}

// method is the draft's, with what older records leave out.
func (d *Draft) method() Name {
	if d.Method == "" {
		return TOTP
	}
	return d.Method
}

// draftTries is how many wrong first codes end a draft of a signed-in person: a
// code that was sent has six digits.
const draftTries = 5

func pendingKey(id principal.ID, method Name) store.Key {
	return store.K(store.PrefixFactor, "pending", id, string(method))
}

// pending reads what waits for its first code. None, or too old: nil.
func (f *Factors) pending(tx store.Tx, id principal.ID, method Name) (*Draft, error) {
	d, err := store.Load[Draft](tx, pendingKey(id, method))
	if errors.Is(err, store.ErrNotFound) || err == nil && !tx.Now().Before(d.MadeAt.Add(PendingLife)) {
		return nil, nil
	}
	return d, err
}

func savePending(tx store.Tx, id principal.ID, d *Draft) error {
	return store.Save(tx, pendingKey(id, d.method()), d, d.MadeAt.Add(PendingLife))
}

// allPending reads whatever waits, in the order of the methods' names.
func (f *Factors) allPending(tx store.Tx, id principal.ID) ([]*Draft, error) {
	var all []*Draft
	for _, method := range f.known() {
		d, err := f.pending(tx, id, method)
		if err != nil {
			return nil, err
		}
		if d != nil {
			all = append(all, d)
		}
	}
	return all, nil
}

// known are the methods that people can have here, or could have had.
func (f *Factors) known() []Name {
	names := []Name{TOTP, Email, SMS, YubiKey, Passkey}
	for _, own := range f.own {
		if !slices.Contains(names, own) {
			names = append(names, own)
		}
	}
	return names
}
