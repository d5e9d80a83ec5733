// Package session owns what a finished login leaves behind: sessions and their
// cookies, the proof each was opened with, access and refresh tokens, assertions
// to upstreams, and the keys that sign them.
//
// A session is a record in the store; a cookie is 256 random bits of which only a
// SHA-256 is kept. In front of the store stands an index without pointers that
// answers [Registry.Live] for every request. It is exact: it follows the store's
// commits, and a session that was revoked, or whose principal was disabled,
// deleted or raised to a new epoch, is refused before the Update that did it
// returns.
//
// What changes who may pass is recorded by whoever decided it: Open, Revoke,
// RevokeAll and Raise record no events. Only what this package decides by itself
// is recorded here: the end of a family by reuse of a refresh token, the oldest
// session that makes room for a new one, and rotation of keys.
package session

import (
	"errors"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// ErrNone is the answer for a cookie, token or id that opens nothing: unknown,
// expired, revoked, of an older epoch, or of somebody disabled or deleted. Every
// other error means that the store failed.
var ErrNone = errors.New("no living session")

// Default lifetimes (security-model: "The two doors").
const (
	DefaultIdle     = 8 * time.Hour
	DefaultAbsolute = 7 * 24 * time.Hour
	DefaultRemember = 30 * 24 * time.Hour

	AdminRealm           = "admin"
	DefaultAdminIdle     = 30 * time.Minute
	DefaultAdminAbsolute = 8 * time.Hour
)

// MaxPerPrincipal bounds the sessions of one principal, so that a script that
// logs in for each call cannot fill the store: the oldest ends.
const MaxPerPrincipal = 100

// maxUserAgent bounds what a stranger's header may take in a record, in bytes.
const maxUserAgent = 256

// Kind says through which door a session was opened. The zero Kind is neither
// and is refused by Open.
type Kind uint8

const (
	Browser Kind = iota + 1 // the portal: a cookie
	API                     // the JSON API: tokens, and a cookie too

	// Facades of older systems (compat): sessions without cookie and refresh token,
	// found by FacadeSession alone.
	FastAPI2FA
	Trench
)

// Facade reports whether a session is good for the calls of one facade alone.
func (k Kind) Facade() bool { return k == FastAPI2FA || k == Trench }

// String returns "browser", "api", the facade's name or "invalid".
func (k Kind) String() string {
	switch k {
	case Browser:
		return "browser"
	case API:
		return "api"
	case FastAPI2FA:
		return "fastapi2fa"
	case Trench:
		return "trench"
	}
	return "invalid"
}

// Origin is where a request came from, for lists of sessions.
type Origin struct {
	Client    netip.Addr
	UserAgent string // cut at 256 bytes
}

// Opening is what Open makes a session of.
type Opening struct {
	User      *account.User // as read in the same transaction
	Proof     Proof         // at least one factor
	Remember  bool          // idle and absolute limits are Lifetimes.Remember; ignored for realm admin
	Kind      Kind
	Lifetimes account.Lifetimes // zero fields: the defaults
	Origin    Origin
	Domain    bool   // a second token for the cookie domain, which the guard alone accepts
	Refresh   bool   // a refresh token
	Replaces  string // id of the session this one takes the place of; it ends in the same transaction
}

// Opened is a new session and its secrets, which exist nowhere else. After
// Refresh the cookies are zero: the browser's stay as they are.
type Opened struct {
	ID           string
	Cookie       secret.SessionToken  // for the portal's or the only host
	DomainCookie *secret.SessionToken // nil unless Opening.Domain
	Refresh      *secret.Token        // nil unless Opening.Refresh
	Expires      time.Time            // absolute end
	Live         Live                 // what Registry.Access wants
}

// Session is what may be shown of a session: no tokens. LastSeen is exact to the
// step in which idle limits slide, at most five minutes.
type Session struct {
	ID        string
	Principal principal.ID
	Proof     Proof
	Created   time.Time
	LastSeen  time.Time
	IdleUntil time.Time
	Until     time.Time
	Remember  bool
	Kind      Kind
	Origin    Origin
	Epoch     uint64
}

// Live is a living session as the guard sees it. The zero Live is nobody.
type Live struct {
	ID       string // public id; empty for a program that proved itself with its own token
	Proof    Proof
	Identity *account.Identity // shared: read only
	Portal   bool              // the token opens account, admin and API, not the guard alone
	Until    time.Time         // absolute end
	Epoch    uint64
	Kind     Kind
	Remember bool
}
