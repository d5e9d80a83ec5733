package account

import (
	"errors"
	"reflect"
	"time"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Values of Settings.Enrollment.
const (
	EnrollFirstLogin = "first-login" // within FirstLogin of creation or invitation
	EnrollInvitation = "invitation"  // within Invitation of an invitation
	EnrollOff        = "off"
	EnrollOpen       = "open" // at any time, by whoever has the password: only where one factor is enough
)

// Values of Settings.Replay and Settings.Names.
const (
	ReplayDeny  = "deny"
	ReplayAllow = "allow"
	NamesPrecis = "precis" // the one spelling of RFC 8265, at every door
	NamesExact  = "exact"  // letter for letter: see principal.ExactName
)

// RecoverySettings say how recovery codes are made.
type RecoverySettings struct {
	Count    int    `json:"count"`           // codes in a set
	Length   int    `json:"length"`          // characters of a code, without hyphens
	Alphabet string `json:"alphabet"`        // ASCII letters and digits, each once, in the case that is printed
	Plain    bool   `json:"plain,omitempty"` // printed without hyphens
}

// Registration lets people make their own accounts in a realm, each with an address
// that they proved to read. No realm whose members may do something to others has it.
type Registration struct {
	Domains []string `json:"domains"` // of the addresses: canonical, without subdomains; empty: all
}

// Lifetimes of sessions. In JSON they are nanoseconds.
type Lifetimes struct {
	Idle     time.Duration `json:"idle"`
	Absolute time.Duration `json:"absolute"`
	Remember time.Duration `json:"remember"` // absolute with remember-me; 0: not offered
}

// Settings of a realm. A nil or empty field means: not set here. In what
// Directory.Realm returns all are set, but Methods may be empty: all methods.
type Settings struct {
	Factors       *int              `json:"factors,omitempty"` // that a full login demands: 1 or 2
	Methods       []string          `json:"methods,omitempty"`
	Enrollment    string            `json:"enrollment,omitempty"`
	OTP           *otp.Params       `json:"otp,omitempty"`  // of new seeds
	Skew          *int              `json:"skew,omitempty"` // steps accepted on either side of now
	RecoveryCodes *RecoverySettings `json:"recovery_codes,omitempty"`
	Session       *Lifetimes        `json:"session,omitempty"`
	Replay        string            `json:"replay,omitempty"`
	Names         string            `json:"names,omitempty"`
	SecretLength  *int              `json:"secret_length,omitempty"` // base32 characters of a new authenticator's seed
	Issuer        string            `json:"issuer,omitempty"`        // what authenticator apps show; default: the installation's name
	MethodLabels  map[string]string `json:"method_labels,omitempty"` // what methods are called, where a client asks
	Registration  *Registration     `json:"registration,omitempty"`  // whether people make their own accounts; nil: no

	// CodeLife is how long codes that are sent are good, by method; a method that is
	// not named: ten minutes.
	CodeLife map[string]time.Duration `json:"code_life,omitempty"`

	// TrustedBrowsers is how long a browser is trusted that its owner asked to trust at the
	// second door; 0: not offered, and never in realm admin.
	TrustedBrowsers *time.Duration `json:"trusted_browsers,omitempty"`

	// What a signed-in person may do with a code, and without: the three settings of
	// django-trench. The native API always asks for a code.
	ConfirmDisable    *bool `json:"confirm_disable,omitempty"`
	ConfirmRegenerate *bool `json:"confirm_regenerate,omitempty"`
	AllowRegenerate   *bool `json:"allow_regenerate,omitempty"`
}

// Realm is a namespace of principals.
type Realm struct {
	store.Meta
	Name   string  `json:"name"`
	Grants []Grant `json:"grants,omitempty"`
	Settings
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
}

// Demanded is the number of factors of a full login. Unset is two, and nothing
// lowers it for administrators.
func (r Realm) Demanded() int {
	if r.Factors == nil || r.Name == AdminRealm {
		return 2
	}
	return *r.Factors
}

// TrustFor is how long browsers are trusted, counted from the second factor that was
// proved there. 0: they are not, nor ever those of administrators.
func (r Realm) TrustFor() time.Duration {
	if r.TrustedBrowsers == nil || r.Name == AdminRealm {
		return 0
	}
	return *r.TrustedBrowsers
}

// noExpiry marks records that stay until they are deleted.
var noExpiry time.Time

func realmKey(name string) store.Key { return store.K(store.PrefixAccount, keyRealm, name) }

// loadRealm reads what is stored of a realm. The capabilities of admin and auth are
// fixed here: no record gives them more or fewer. Missing: ErrUnknownRealm.
func loadRealm(tx store.Tx, name string) (*Realm, error) {
	r, err := store.Load[Realm](tx, realmKey(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknownRealm
	}
	if err != nil {
		return nil, err
	}
	if grants, fixed := fixedGrants(name); fixed {
		r.Grants = grants
	}
	return r, nil
}

func saveRealm(tx store.Tx, r *Realm) error {
	return store.Save(tx, realmKey(r.Name), r, noExpiry)
}

func newRealm(tx store.Tx, name string) *Realm {
	grants, _ := fixedGrants(name)
	return &Realm{Name: name, Grants: grants, Version: 1, CreatedAt: tx.Now()}
}

// Realm returns a realm with all that holds for it: defaults, over them what is
// stored, over that what is configured. A name in any spelling is found.
// Errors: ErrUnknownRealm.
func (d *Directory) Realm(tx store.Tx, name string) (Realm, error) {
	canonical, err := principal.CanonicalRealm(name)
	if err != nil {
		return Realm{}, ErrUnknownRealm
	}
	r, err := loadRealm(tx, canonical)
	if err != nil {
		return Realm{}, err
	}
	return d.effective(r), nil
}

// RealmToBe is Realm, or what will hold for a realm that does not exist yet when
// its first member makes it.
func (d *Directory) RealmToBe(tx store.Tx, name string) (Realm, error) {
	r, err := d.Realm(tx, name)
	if !errors.Is(err, ErrUnknownRealm) {
		return r, err
	}
	canonical, err := principal.CanonicalRealm(name)
	if err != nil {
		return Realm{}, ErrUnknownRealm
	}
	return d.effective(newRealm(tx, canonical)), nil
}

// effective never answers less than the realm admin demands, whatever is stored.
func (d *Directory) effective(r *Realm) Realm {
	e := *r
	e.Settings = d.defaults(r.Name).over(r.Settings).over(d.configured[r.Name]).clone()
	if r.Name == AdminRealm {
		two := 2
		e.Factors = &two
		if e.Enrollment == EnrollFirstLogin {
			e.Enrollment = EnrollInvitation
		}
	}
	return e
}

// Realms returns all realms, as Realm does, in the order of their names.
func (d *Directory) Realms(tx store.Tx) ([]Realm, error) {
	var realms []Realm
	for item, err := range tx.Scan(store.KPrefix(store.PrefixAccount, keyRealm), nil) {
		if err != nil {
			return nil, err
		}
		r, err := store.Decode[Realm](item.Value)
		if err != nil {
			return nil, err
		}
		if grants, fixed := fixedGrants(r.Name); fixed {
			r.Grants = grants
		}
		realms = append(realms, d.effective(r))
	}
	return realms, nil
}

// Configured returns the settings of a realm that the configuration fixes; SetRealm
// cannot change them.
func (d *Directory) Configured(name string) Settings { return d.configured[name].clone() }

// SetRealm makes a realm, or replaces its settings (those that s leaves empty
// return to their defaults) and, unless grants is nil, its capabilities.
//
// A principal needs create over a new realm's name. Settings and grants need update
// over all realms: what a realm demands of its members, others rely on. Grants never
// exceed the principal's own; those of admin and auth are fixed. ifVersion other than
// 0: only if the realm has it.
// Errors: ErrInvalid, ErrConfigured, ErrReserved, ErrNotEmpty, ErrVersion, ErrForbidden, ErrNotFresh.
func (d *Directory) SetRealm(tx store.Tx, a Actor, name string, s Settings, grants *[]Grant, ifVersion uint64) (Realm, error) {
	name, err := principal.CanonicalRealm(name)
	if err != nil {
		return Realm{}, refuse(ErrInvalid, "%v", err)
	}
	needed := Update
	r, err := loadRealm(tx, name)
	if errors.Is(err, ErrUnknownRealm) {
		needed, r, err = Create, nil, nil
	}
	if err != nil {
		return Realm{}, err
	}
	rights, err := d.rights(tx, a)
	if err != nil {
		return Realm{}, err
	}
	if err := rights.over(tx, needed, name); err != nil {
		return Realm{}, err
	}
	if needed == Update || !reflect.ValueOf(s).IsZero() {
		if err := rights.everywhere(Update); err != nil {
			return Realm{}, err
		}
	}
	if ifVersion != 0 && (r == nil || r.Version != ifVersion) {
		return Realm{}, ErrVersion
	}
	if r == nil {
		r = newRealm(tx, name)
	} else {
		r.Version++
	}
	before := d.effective(r).Names
	if err := d.setSettings(r, s); err != nil {
		return Realm{}, err
	}
	if err := d.keepNames(tx, r, before); err != nil {
		return Realm{}, err
	}
	if grants != nil {
		if err := setGrants(tx, rights, r, *grants); err != nil {
			return Realm{}, err
		}
	}
	if err := d.mayRegister(d.effective(r)); err != nil {
		return Realm{}, err
	}
	if err := saveRealm(tx, r); err != nil {
		return Realm{}, err
	}
	return d.effective(r), d.record(tx, rights, audit.Event{Kind: audit.KindRealmSet, Name: "@" + name})
}

// keepNames refuses another way to spell names while somebody has one: two members
// could become one, or a member nobody.
func (d *Directory) keepNames(tx store.Tx, r *Realm, before string) error {
	if d.effective(r).Names == before {
		return nil
	}
	members, err := loadCount(tx, membersKey(r.Name))
	if err == nil && members.N > 0 {
		err = refuse(ErrNotEmpty, "names of the realm %s can change only while it has no members; it has %d", r.Name, members.N)
	}
	return err
}

func (d *Directory) setSettings(r *Realm, s Settings) error {
	if err := s.validate(r.Name); err != nil {
		return err
	}
	rest, conflict := s.without(d.configured[r.Name])
	if conflict != "" {
		return refuse(ErrConfigured, "%s of the realm %s is set in the configuration, by realms or by the facade (compat) whose realm it is; change it there", conflict, r.Name)
	}
	r.Settings = rest.clone()
	return nil
}

// DeleteRealm removes a realm that has no principals. Reserved realms stay, and so
// do those that the configuration names.
// Errors: ErrUnknownRealm, ErrReserved, ErrConfigured, ErrNotEmpty, ErrForbidden, ErrNotFresh.
func (d *Directory) DeleteRealm(tx store.Tx, a Actor, name string) error {
	name, err := principal.CanonicalRealm(name)
	if err != nil {
		return ErrUnknownRealm
	}
	rights, err := d.rights(tx, a)
	if err != nil {
		return err
	}
	if err := rights.over(tx, Delete, name); err != nil {
		return err
	}
	if _, err := loadRealm(tx, name); err != nil {
		return err
	}
	if d.reserved(name) {
		return refuse(ErrReserved, "the realm %s is reserved and cannot be deleted", name)
	}
	if _, ok := d.configured[name]; ok {
		return refuse(ErrConfigured, "the realm %s stands in the configuration; remove it there first", name)
	}
	members, err := loadCount(tx, membersKey(name))
	if err != nil {
		return err
	}
	if members.N > 0 {
		return refuse(ErrNotEmpty, "the realm %s still has %d members; delete them first", name, members.N)
	}
	if err := tx.Delete(membersKey(name)); err != nil {
		return err
	}
	if err := tx.Delete(realmKey(name)); err != nil {
		return err
	}
	if err := revoke(tx, name); err != nil {
		return err
	}
	return d.record(tx, rights, audit.Event{Kind: audit.KindRealmDelete, Name: "@" + name})
}
