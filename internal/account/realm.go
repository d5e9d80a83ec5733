package account

import (
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Capability is what the members of a realm may do to others.
type Capability string

const (
	Authenticate Capability = "authenticate" // ask whether somebody's token is good
	Create       Capability = "create"
	Delete       Capability = "delete"
	List         Capability = "list"
	Update       Capability = "update"
)

// Grant is one capability of a realm's members.
type Grant struct {
	Capability Capability `json:"capability"`
	Realms     []string   `json:"realms,omitempty"` // over these; empty: all
}

// Values of Settings.Enrollment.
const (
	EnrollFirstLogin = "first-login" // within FirstLogin of creation or invitation
	EnrollInvitation = "invitation"  // within Invitation of an invitation
	EnrollOff        = "off"
)

// Values of Settings.Replay and Settings.Names.
const (
	ReplayDeny  = "deny"
	ReplayAllow = "allow"
	NamesPrecis = "precis"
	NamesExact  = "exact"
)

// RecoverySettings say how recovery codes are made.
type RecoverySettings struct {
	Count    int    `json:"count"`    // codes in a set
	Length   int    `json:"length"`   // characters of a code, without hyphens
	Alphabet string `json:"alphabet"` // ASCII letters and digits, each once
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
