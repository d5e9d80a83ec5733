// Package login owns the two doors: a password, then a code, and what stands
// between them.
//
//	door 1     Password ─┬─ wrong ────────────────────────────── ErrDenied
//	                     ├─ one factor is enough ─────────────── Done: session
//	                     ├─ has a factor, trusted browser ────── Done: session
//	                     ├─ has a factor ── token second_factor ─┐
//	                     └─ has none, two demanded ─ token enroll│─┐
//	door 2     Code, Recovery, Passkey ──────────────────────────┘ │ Done: session
//	both       FinishPasskeyLogin ─────────────────────────────────│ Done: session
//	enrolment  EnrollStart, EnrollConfirm ─────────────────────────┘ Done: session
//	signed in  StepUp ── token second_factor or enroll, bound to the session
//	links      TradeSetup ── token setup ── SetupBegin, SetupFinish ─ Done: session
//	           TradeInvite ─ token invite ─ InviteFinish ─ as after door 1
//	           RequestReset … TradeReset ─ token reset ─ ResetFinish ─ as after door 1
//	           Register … TradeRegister ─ token register ─ RegisterFinish ─ as after door 1
//	notices    Notify … TradeNotMe ─ token not_me ─ NotMe ─ everything ends
//
// An ephemeral token is a record in the store under its SHA-256. It has one
// state, and is good for the calls of that state alone; it belongs to one door
// (portal or API), one principal and one epoch, lives 5 minutes, and is burned
// by what it opens, by 5 wrong codes, and by any change of the password or the
// factors.
//
// A password takes three steps: an Update counts the try, the hash is computed
// outside of any transaction, a second Update looks again and settles. A code
// is counted, compared and burned in one Update, which also burns the token and
// opens the session: of two hundred equal posts one opens a session. Whoever
// was named, known or not, disabled or without a password: the same number of
// Updates, the same hash, the same error, and an answer that leaves at the
// same floor.
//
// Errors of all doors: ErrDenied (an answer; outside it says nothing more),
// *throttle.Throttled (wait RetryAfter), *secret.Busy (all hash slots are
// taken, nothing was counted), *secret.WeakPassword and the sentinels below
// where a function names them; anything else means that something failed.
package login

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Errors that a caller may test.
var (
	// ErrDenied is the one answer to bad credentials, dead tokens and links.
	ErrDenied = errors.New("denied")
	// ErrEnrollmentClosed is said after the right password only: two factors
	// are demanded, there is none, and the realm lets nobody enrol now.
	// It is the same at every door.
	ErrEnrollmentClosed = factor.ErrEnrollmentClosed
	// ErrSetupDone: an administrator exists.
	ErrSetupDone = errors.New("an administrator exists already")
	// ErrCodeNeeded: a signed-in person who has a factor sent no code.
	ErrCodeNeeded = errors.New("a code of your second factor is needed")
	// ErrNoFactor: a signed-in person who has no factor cannot prove one freshly.
	ErrNoFactor = errors.New("no second factor is set up")
)

const (
	// EphemeralLife is how long somebody may stand between the doors.
	EphemeralLife = 5 * time.Minute
	// EphemeralTries is how many wrong codes burn an ephemeral token.
	EphemeralTries = 5
	// EphemeralLimit bounds the living ephemeral tokens of a principal, for half
	// logins, step-ups and links each, so that a flood of them does not fill the
	// store: the oldest of the kind is burned.
	EphemeralLimit = 20
	// LinkCookieLife is how long the cookie lives that a link is traded for.
	LinkCookieLife = 10 * time.Minute
	// SetupLife is how long a setup link may be opened.
	SetupLife = time.Hour
	// SetupTries is how many wrong codes end a setup: the link opens another.
	SetupTries = 10
)

// Door is where somebody stands. Neither door takes the other's ephemeral
// token. The zero Door is none and is refused.
type Door uint8

const (
	Portal Door = iota + 1 // pages: the ephemeral token is in a cookie of its own
	API                    // programs: the caller holds it

	// The facades of older systems (compat), each a door of its own: what they open is
	// good for that facade alone, and logins name users of the attempt's realm alone.
	FastAPI2FA // users by address
	Trench     // users by name, or by address
)

// facade reports whether a door belongs to a facade.
func (d Door) facade() bool { return d == FastAPI2FA || d == Trench }

// kind is what sessions that a door opens are.
func (d Door) kind() session.Kind {
	switch d {
	case Portal:
		return session.Browser
	case API:
		return session.API
	case FastAPI2FA:
		return session.FastAPI2FA
	case Trench:
		return session.Trench
	}
	return 0
}

// String returns "portal", "api", the facade's name or "invalid".
func (d Door) String() string {
	switch d {
	case Portal:
		return "portal"
	case API:
		return "api"
	case FastAPI2FA:
		return "fastapi2fa"
	case Trench:
		return "trench"
	}
	return "invalid"
}

// Status says what comes next, or what an ephemeral token is good for.
type Status string

const (
	Done         Status = "done"          // a session is open
	SecondFactor Status = "second_factor" // Code or Recovery
	Enroll       Status = "enroll"        // EnrollStart and EnrollConfirm alone
	Setup        Status = "setup"         // SetupBegin and SetupFinish alone
	Invited      Status = "invite"        // InviteFinish alone
	Resetting    Status = "reset"         // ResetFinish alone
	Registering  Status = "register"      // RegisterFinish alone
	Objecting    Status = "not_me"        // NotMe alone
)

// Client is who is at the door, as far as the network tells.
type Client struct {
	Addr      netip.Addr
	Browser   string // the cookie sallyport_browser, as it came
	UserAgent string
	Exempt    bool // loopback as an untrusted proxy: the network is not counted
}

// Options configure Doors. All rooms are required.
type Options struct {
	Store        store.Store
	Directory    *account.Directory
	Factors      *factor.Factors
	Sessions     *session.Registry
	Throttle     *throttle.Throttle
	Hasher       *secret.Hasher
	Audit        *audit.Log
	Derive       func(purpose string) []byte // keys that survive a restart
	Clock        func() time.Time            // nil: time.Now
	Logger       *slog.Logger                // nil: silent
	Mail         Mail                        // nil: nothing is sent, and what needs mail answers ErrNoMail
	CookieDomain bool                        // sessions of the portal have a second token for the cookie domain
	// Floor is the time that an answer of the first door takes at least.
	// nil: what the Hasher measured. Tests set their own.
	Floor func() time.Duration
}

// Doors is the room's one value. It is safe for concurrent use.
type Doors struct {
	store        store.Store
	dir          *account.Directory
	factors      *factor.Factors
	sessions     *session.Registry
	throttle     *throttle.Throttle
	hasher       *secret.Hasher
	audit        *audit.Log
	logger       *slog.Logger
	clock        func() time.Time
	floor        func() time.Duration
	mail         Mail
	cookieDomain bool
	unknownKey   []byte
	challengeKey []byte // MAC of challenges of passkeys
}

// New returns Doors.
func New(o Options) *Doors {
	d := &Doors{
		store: o.Store, dir: o.Directory, factors: o.Factors, sessions: o.Sessions, throttle: o.Throttle,
		hasher: o.Hasher, audit: o.Audit, logger: o.Logger, clock: o.Clock, floor: o.Floor,
		mail: o.Mail, cookieDomain: o.CookieDomain, unknownKey: o.Derive("login unknown names"),
		challengeKey: o.Derive("login passkey challenges"),
	}
	if d.logger == nil {
		d.logger = slog.New(slog.DiscardHandler)
	}
	if d.clock == nil {
		d.clock = time.Now
	}
	if d.floor == nil {
		d.floor = func() time.Duration { return d.hasher.Floor(true) }
	}
	return d
}

// Attempt is one try at the first door.
type Attempt struct {
	Login    string // name, name@realm or address, in any spelling
	Realm    string // "": the default realm; at a facade's door the only one
	Password string
	Door     Door
	Client   Client
	Demand   int    // factors that the target's rule demands; 0: the realm's own
	Fresh    bool   // the target's rule demands a fresh factor: no trusted browser will do
	Trusted  string // token of a trusted browser, as it came; "": none. It counts after the right password alone
	Remember bool   // a long session, where the realm offers it
	Target   string // where to go afterwards; the caller has allowed it
	// ReplaceSession is the id of the session that the browser brought: it
	// ends when the new one opens.
	ReplaceSession string
}

// Second is one try at the second door, or the code that ends an enrolment.
type Second struct {
	Ephemeral string
	Code      string
	Method    factor.Name // "": whichever of the person's methods reads digits
	Door      Door
	Client    Client
	Trust     bool   // make this browser a trusted one, where the realm offers it
	Trusted   string // the token that it had, as it came: Trust replaces it

	// Response is the answer of a passkey in place of a code, with Method factor.Passkey:
	// to PasskeyChallenge at the second door, to EnrollStart when it ends an enrolment.
	Response []byte

	foreign foreignCode // what was compared outside of the transaction
}

// Next is the answer of a door that let somebody pass.
type Next struct {
	Status    Status
	Ephemeral secret.Token  // unless Done
	Method    factor.Name   // SecondFactor: asked for first
	Others    []factor.Name // SecondFactor: other ways. Enroll: what may be enrolled
	ExpiresIn time.Duration // of the ephemeral token
	Sent      string        // SecondFactor: where Method has sent a code, masked; "": none is on its way

	Opened        *session.Opened  // Done
	User          account.Identity // Done: who it is
	Target        string           // where to go; kept through all doors
	Browser       secret.Token     // Done: the cookie sallyport_browser to set
	Trusted       secret.Token     // Done: of the browser that is a trusted one from now on; zero: it is none
	TrustedFor    time.Duration    // how long it is one
	Remember      bool             // Done: what was asked for at the first door
	RecoveryCodes []string         // with the first factor: shown once
	RecoveryLeft  int              // after Recovery: how many are still good
}

// State is what a page may know of an ephemeral token.
type State struct {
	Status     Status
	Method     factor.Name // SecondFactor and Resetting: asked for first; "": no code is asked for
	Others     []factor.Name
	Target     string
	Name       string // of whom; empty before setup has a name
	Realm      string
	ExpiresIn  time.Duration
	TriesLeft  int                    // wrong codes that remain
	StepUp     bool                   // the person is signed in already
	TrustFor   time.Duration          // SecondFactor: how long the browser could be trusted; 0: not offered
	Targets    map[factor.Name]string // SecondFactor and Resetting: where the codes of methods go, masked
	Enrollment *factor.Enrollment     // Enroll and Setup: what waits for its first code; nil: nothing yet
	NoWay      bool                   // Resetting: see ErrNoWay
	Address    string                 // Registering: that the account will have
}
