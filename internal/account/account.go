// Package account owns who exists and what they may do: realms and their
// settings, users and services, their epochs, and the rules by which one
// principal may change another.
//
// Every changing method takes the [Actor] and checks its right in the same
// transaction as the change, and records one event in it. Names given to it are
// made canonical here, so that one person has one spelling at every door.
package account

import (
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Reserved realms. They always exist; DefaultRealm may be named otherwise in
// Options.
const (
	AdminRealm   = "admin" // whose persons may do everything
	AuthRealm    = "auth"  // who may ask whether somebody else's token is good
	DefaultRealm = "users"
)

// FirstLogin is how long after creation or invitation a person may enrol a first
// factor where the realm's enrollment is "first-login".
const FirstLogin = 14 * 24 * time.Hour

// Invitation is how long an invitation is good.
const Invitation = 72 * time.Hour

// Fresh is how old a person's factor may be for a change.
const Fresh = 15 * time.Minute

// Options of a Directory.
type Options struct {
	Audit        *audit.Log            // nil: nothing is recorded
	Realms       map[string]Settings   // configured: these fields win over stored ones
	DefaultRealm string                // "": DefaultRealm
	Session      *Lifetimes            // of realms where nothing else is set, but not of admin; nil: DefaultSettings
	Capable      map[string][]Grant    // what services of some realms may do within a facade: see CapableInFacade
	Apps         string                // of these, the one whose members may do it only if they are trusted; "": none
	Passwords    secret.PasswordPolicy // for those who set passwords: see Directory.Passwords
}

// Directory knows realms and users. It is safe for concurrent use; OnDelete and
// SetLiving are called before the first use.
type Directory struct {
	audit           *audit.Log
	configured      map[string]Settings
	defaultRealm    string
	passwords       secret.PasswordPolicy
	lifetimes       *Lifetimes
	onDelete        []func(store.Tx, *User) error
	onDeleteService []func(store.Tx, *Service) error
	living          Living
	capable         map[string][]Grant
	apps            string
	invalid         error
}

// Method is one confirmed second factor of a person, as room factor summarises it.
type Method struct {
	Name    string    `json:"name"`
	Primary bool      `json:"primary,omitempty"`
	AddedAt time.Time `json:"added_at"`
	Label   string    `json:"label,omitempty"`
}

// User is a person.
type User struct {
	store.Meta
	ID          principal.ID `json:"id"`
	Number      uint64       `json:"number"`
	Name        string       `json:"name"`
	Realm       string       `json:"realm"`
	Email       string       `json:"email,omitempty"`
	Unconfirmed bool         `json:"unconfirmed,omitempty"`  // nobody but its owner says that the address is theirs
	FormerEmail string       `json:"former_email,omitempty"` // the confirmed address before this one: whoever reads it is told
	FormerAt    time.Time    `json:"former_at,omitzero"`     // when it was given back
	FullName    string       `json:"full_name,omitempty"`
	Phone       string       `json:"phone,omitempty"`
	Groups      []string     `json:"groups,omitempty"`
	Password    string       `json:"password,omitempty"` // hash, a PHC string; empty: none, no password is good
	PasswordAt  time.Time    `json:"password_at,omitzero"`
	Disabled    bool         `json:"disabled,omitempty"`
	Epoch       uint64       `json:"epoch"`   // sessions and tokens of an older one are dead
	Version     uint64       `json:"version"` // for If-Match; raised by every change that others may see
	Methods     []Method     `json:"methods,omitempty"`
	CreatedAt   time.Time    `json:"created_at"`
	InvitedAt   time.Time    `json:"invited_at,omitzero"`
	EnrolledAt  time.Time    `json:"enrolled_at,omitzero"` // when the first factor was confirmed
	LastLoginAt time.Time    `json:"last_login_at,omitzero"`
}

// Ref names the user.
func (u *User) Ref() principal.Ref { return principal.Ref{Name: u.Name, Realm: u.Realm} }

// Identity is what other rooms may know of a principal: no hash, no phone.
type Identity struct {
	ID       principal.ID
	Number   uint64
	Kind     principal.Kind
	Name     string
	Realm    string
	FullName string
	Email    string // confirmed, or set by an administrator: what upstreams may believe
	Address  string // by which the principal logs in, confirmed or not
	Groups   []string
	Epoch    uint64
	Enabled  bool
	Methods  int // confirmed second factors

	// AllowFrom are the networks that a service is bound to; empty: it may call from
	// everywhere.
	// See MayCallFrom.
	AllowFrom []netip.Prefix
}

// NewUser is what Create needs. Ref may be in any spelling.
type NewUser struct {
	Ref          principal.Ref
	Email        string
	FullName     string
	Phone        string
	Groups       []string
	PasswordHash string // already hashed; empty: none
	Unconfirmed  bool   // whoever signs up says by himself that the address is his
	Invited      bool   // an invitation is being sent: InvitedAt is now
	MakeRealm    bool   // make a missing realm, without capabilities
}

// Change is what Update changes: fields that are nil stay.
type Change struct {
	Email *string // "" removes it
	// Unconfirmed: nobody but its owner says that Email is theirs. Otherwise an
	// administrator says so by setting it.
	Unconfirmed bool
	FullName    *string
	Phone       *string
	Groups      *[]string
	IfVersion   uint64 // refuse with ErrVersion unless the record has this version; 0: do not ask
}
