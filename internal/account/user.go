package account

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// recoveryCode is the method that is no factor of its own: it stands in for one.
const recoveryCode = "recovery_code"

// Factors is the number of confirmed second factors, without recovery codes.
func (u *User) Factors() int { return factors(u.Methods) }

func factors(methods []Method) int {
	n := 0
	for _, m := range methods {
		if m.Name != recoveryCode {
			n++
		}
	}
	return n
}

// A user holds a hash and where to reach a person: whatever prints or logs one
// shows the name alone.
func (u User) String() string             { return u.Ref().String() }
func (u User) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }
func (u User) LogValue() slog.Value       { return slog.StringValue(u.String()) }

// Identity returns what other rooms may know.
func (u *User) Identity() Identity {
	return Identity{
		ID: u.ID, Number: u.Number, Kind: principal.User,
		Name: u.Name, Realm: u.Realm, FullName: u.FullName, Email: confirmed(u.Email, u.Unconfirmed), Address: u.Email,
		Groups: u.Groups, Epoch: u.Epoch, Enabled: !u.Disabled, Methods: u.Factors(),
	}
}

// confirmed is an address that others may believe.
func confirmed(address string, not bool) string {
	if not {
		return ""
	}
	return address
}

// DecodeIdentity reads the identity out of a user's record, as Watch and Scan show
// it below UserKeyPrefix. The error never repeats the record.
func DecodeIdentity(value []byte) (Identity, error) {
	var u struct {
		ID       principal.ID `json:"id"`
		Number   uint64       `json:"number"`
		Name     string       `json:"name"`
		Realm    string       `json:"realm"`
		Email    string       `json:"email"`
		Not      bool         `json:"unconfirmed"`
		FullName string       `json:"full_name"`
		Groups   []string     `json:"groups"`
		Disabled bool         `json:"disabled"`
		Epoch    uint64       `json:"epoch"`
		Methods  []Method     `json:"methods"`
	}
	if json.Unmarshal(value, &u) != nil || u.ID.IsZero() || u.Realm == "" {
		return Identity{}, errors.New("not the record of a user")
	}
	return Identity{
		ID: u.ID, Number: u.Number, Kind: principal.User,
		Name: u.Name, Realm: u.Realm, FullName: u.FullName, Email: confirmed(u.Email, u.Not), Address: u.Email,
		Groups: u.Groups, Epoch: u.Epoch, Enabled: !u.Disabled, Methods: factors(u.Methods),
	}, nil
}

// ByID finds a user. Errors: ErrUnknownUser.
func (d *Directory) ByID(tx store.Tx, id principal.ID) (*User, error) {
	u, err := store.Load[User](tx, userKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknownUser
	}
	return u, err
}

// ByRef finds a user by the canonical name. Errors: ErrUnknownUser.
func (d *Directory) ByRef(tx store.Tx, ref principal.Ref) (*User, error) {
	if len(ref.Name) > principal.MaxName || len(ref.Realm) > principal.MaxRealm {
		return nil, ErrUnknownUser
	}
	rec, err := lookup(tx, nameKey(ref))
	if err == nil && rec.kind() != principal.User {
		err = ErrUnknownUser
	}
	if err != nil {
		return nil, err
	}
	return d.ByID(tx, rec.ID)
}

// Create makes a user. Errors: ErrInvalid, ErrUnknownRealm, ErrExists,
// ErrAddressTaken, ErrForbidden, ErrNotFresh.
func (d *Directory) Create(tx store.Tx, a Actor, n NewUser) (*User, error) {
	realm, rights, err := d.creating(tx, a, n.Ref.Realm, n.MakeRealm)
	if err != nil {
		return nil, err
	}
	u, err := d.newUser(tx, realm, n)
	if err != nil {
		return nil, err
	}
	if err := rights.mayGive(u.Groups); err != nil {
		return nil, err
	}
	if err := d.claim(tx, u); err != nil {
		return nil, err
	}
	if u.Number, err = nextNumber(tx); err != nil {
		return nil, err
	}
	if err := d.save(tx, rights, u); err != nil {
		return nil, err
	}
	return u, d.record(tx, rights, about(u, audit.KindUserCreate))
}

// creating is what making any principal begins with: the realm in its one spelling,
// the right to it, and the realm itself, made where it may be.
func (d *Directory) creating(tx store.Tx, a Actor, realm string, make bool) (string, rights, error) {
	realm, err := principal.CanonicalRealm(realm)
	if err != nil {
		return "", rights{}, refuse(ErrInvalid, "%v", err)
	}
	r, err := d.rights(tx, a)
	if err != nil {
		return "", r, err
	}
	if err := r.over(tx, Create, realm); err != nil {
		return "", r, err
	}
	return realm, r, d.realmOfNew(tx, r, realm, make)
}

// realmOfNew finds the realm of a user who is being created, or makes it.
func (d *Directory) realmOfNew(tx store.Tx, rights rights, name string, make bool) error {
	_, err := loadRealm(tx, name)
	if errors.Is(err, ErrUnknownRealm) && make {
		if err = saveRealm(tx, newRealm(tx, name)); err == nil {
			err = d.record(tx, rights, audit.Event{Kind: audit.KindRealmSet, Name: "@" + name})
		}
	}
	return err
}

// newUser is the record of a new user, canonical and within all limits.
func (d *Directory) newUser(tx store.Tx, realm string, n NewUser) (*User, error) {
	u := &User{ID: principal.NewID(), Realm: realm, Epoch: 1, CreatedAt: tx.Now()}
	ref, err := d.Ref(tx, n.Ref.Name, realm)
	if err != nil {
		return nil, err
	}
	u.Name = ref.Name
	if u.Email, err = canonicalEmail(n.Email); err != nil {
		return nil, err
	}
	if u.FullName, err = validFullName(n.FullName); err != nil {
		return nil, err
	}
	if u.Phone, err = canonicalPhone(n.Phone); err != nil {
		return nil, err
	}
	if u.Groups, err = canonicalGroups(n.Groups); err != nil {
		return nil, err
	}
	if n.PasswordHash != "" {
		if err := validHash(n.PasswordHash); err != nil {
			return nil, err
		}
		if err := noteForeign(tx, n.PasswordHash); err != nil {
			return nil, err
		}
		u.Password, u.PasswordAt = n.PasswordHash, tx.Now()
	}
	u.Unconfirmed = n.Unconfirmed && u.Email != ""
	if n.Invited {
		u.InvitedAt = tx.Now()
	}
	return u, nil
}

// claim takes the name and the address of a new user, read by Get so that two
// transactions cannot both have them.
func (d *Directory) claim(tx store.Tx, u *User) error {
	if err := claimName(tx, u.Ref(), u.ID, 0); err != nil {
		return err
	}
	return claimAddress(tx, u)
}

// claimName takes a name of a realm for a new principal (kind zero: a user), and
// counts it.
func claimName(tx store.Tx, ref principal.Ref, id principal.ID, kind principal.Kind) error {
	switch _, err := lookup(tx, nameKey(ref)); {
	case err == nil:
		return refuse(ErrExists, "%s exists already", ref)
	case !errors.Is(err, ErrUnknownUser):
		return err
	}
	if err := store.Save(tx, nameKey(ref), &indexed{ID: id, Kind: kind}, noExpiry); err != nil {
		return err
	}
	return addMember(tx, ref.Realm, 1)
}

func claimAddress(tx store.Tx, u *User) error {
	if u.Email == "" {
		return nil
	}
	key := addressKey(u.Realm, u.Email)
	owner, err := lookup(tx, key)
	switch {
	case err == nil && owner.ID != u.ID:
		return ErrAddressTaken
	case err != nil && !errors.Is(err, ErrUnknownUser):
		return err
	}
	return store.Save(tx, key, &indexed{ID: u.ID}, noExpiry)
}

// save writes a user after a change that others may see.
func (d *Directory) save(tx store.Tx, rights rights, u *User) error {
	if err := keepGuard(tx, rights, u, isAdministrator(u)); err != nil {
		return err
	}
	u.Version++
	return store.Save(tx, userKey(u.ID), u, noExpiry)
}

func about(u *User, kind audit.Kind) audit.Event {
	return audit.Event{Kind: kind, Principal: u.ID, Name: u.Ref().String()}
}

// target finds the user whom an actor wants to change, and checks that it may.
// The own record is open where self says so, while the person is enabled.
func (d *Directory) target(tx store.Tx, a Actor, id principal.ID, c Capability, own bool) (*User, rights, error) {
	r, err := d.rights(tx, a)
	if err != nil {
		return nil, r, err
	}
	u, err := d.ByID(tx, id)
	if err != nil {
		return nil, r, err
	}
	if a.kind == self {
		if !own || a.id != id || u.Disabled {
			return nil, r, refuse(ErrForbidden, "only an administrator can do this")
		}
		return u, r, nil
	}
	return u, r, r.over(tx, c, u.Realm)
}

// Update changes what Change names. A person may change only the full name of the
// own record (Actor Self): an address or a number counts as confirmed, so
// changing it takes a code sent to the new one, or an administrator.
// Errors: ErrUnknownUser, ErrInvalid, ErrAddressTaken, ErrVersion, ErrForbidden, ErrNotFresh.
func (d *Directory) Update(tx store.Tx, a Actor, id principal.ID, c Change) (*User, error) {
	u, rights, err := d.target(tx, a, id, Update, true)
	if err != nil {
		return nil, err
	}
	if a.kind == self && (c.Email != nil || c.Phone != nil || c.Groups != nil) {
		return nil, refuse(ErrForbidden, "you can change your full name here; address, phone and groups are changed by an administrator")
	}
	if c.IfVersion != 0 && c.IfVersion != u.Version {
		return nil, ErrVersion
	}
	before := *u
	if err := c.apply(u); err != nil {
		return nil, err
	}
	if err := rights.mayGive(added(before.Groups, u.Groups)); err != nil {
		return nil, err
	}
	fields := changed(&before, u)
	if len(fields) == 0 {
		return u, nil
	}
	if u.Email != before.Email {
		if err := moveAddress(tx, &before, u); err != nil {
			return nil, err
		}
	}
	if err := d.save(tx, rights, u); err != nil {
		return nil, err
	}
	e := about(u, audit.KindUserUpdate)
	e.Detail = map[string]string{"fields": strings.Join(fields, ",")}
	return u, d.record(tx, rights, e)
}

func (c Change) apply(u *User) (err error) {
	if c.Email != nil {
		if u.Email, err = canonicalEmail(*c.Email); err != nil {
			return err
		}
		u.Unconfirmed = c.Unconfirmed && u.Email != ""
	}
	if c.FullName != nil {
		if u.FullName, err = validFullName(*c.FullName); err != nil {
			return err
		}
	}
	if c.Phone != nil {
		if u.Phone, err = canonicalPhone(*c.Phone); err != nil {
			return err
		}
	}
	if c.Groups != nil {
		u.Groups, err = canonicalGroups(*c.Groups)
	}
	return err
}

// changed names the fields that differ: names only, an event holds no values.
func changed(a, b *User) (fields []string) {
	if a.Email != b.Email || a.Unconfirmed != b.Unconfirmed {
		fields = append(fields, "email")
	}
	if a.FullName != b.FullName {
		fields = append(fields, "full_name")
	}
	if a.Phone != b.Phone {
		fields = append(fields, "phone")
	}
	if !slices.Equal(a.Groups, b.Groups) {
		fields = append(fields, "groups")
	}
	return fields
}

func added(before, after []string) (groups []string) {
	for _, g := range after {
		if !slices.Contains(before, g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// moveAddress gives the address of before back and takes that of after.
func moveAddress(tx store.Tx, before, after *User) error {
	after.FormerEmail, after.FormerAt = confirmed(before.Email, before.Unconfirmed), tx.Now()
	if before.Email != "" {
		if err := tx.Delete(addressKey(before.Realm, before.Email)); err != nil {
			return err
		}
	}
	return claimAddress(tx, after)
}

// Touch notes a login. It never goes back and raises no version.
func (d *Directory) Touch(tx store.Tx, id principal.ID, at time.Time) error {
	u, err := d.ByID(tx, id)
	if err != nil || !at.After(u.LastLoginAt) {
		return err
	}
	u.LastLoginAt = at
	return store.Save(tx, userKey(u.ID), u, noExpiry)
}

// Rehash replaces a password's hash by another of the same password. It does
// nothing if the hash is no longer the old one, and raises neither epoch nor version.
func (d *Directory) Rehash(tx store.Tx, id principal.ID, oldHash, newHash string) error {
	u, err := d.ByID(tx, id)
	if err != nil {
		return err
	}
	if err := validHash(newHash); err != nil {
		return err
	}
	if oldHash == "" || subtle.ConstantTimeCompare([]byte(u.Password), []byte(oldHash)) != 1 {
		return nil
	}
	u.Password = newHash
	return store.Save(tx, userKey(u.ID), u, noExpiry)
}
