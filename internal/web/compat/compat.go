// Package compat is the frame in which the facades stand: handlers that speak the
// wire formats of four older systems, so that their clients go on working. A facade
// decodes, asks the same rooms as our own API, and encodes; it decides nothing and
// keeps nothing.
//
// What is the same for all of them is here: their words in the configuration
// ([Config]), who may call them at all ([Gate]), the tokens of those whose clients
// expect a JWT ([Signer]), and how a form is read and JSON written ([Unquote],
// [EncodeJSON]). Each facade is a package below this one; besides them stand pyjson,
// which reads JSON as all the originals do, and drf, the frame of two of them.
package compat

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Facade speaks one older system's wire format. Requests come to it without Cookie
// and without identity headers, and its answers have Cache-Control: no-store and
// X-Content-Type-Options: nosniff already.
type Facade interface {
	http.Handler

	// Owns reports whether a path is this facade's: the raw one of the request line,
	// up to the question mark, escapes and all.
	Owns(path string) bool
}

// Rooms are what every facade is made of. All but Logger are required.
type Rooms struct {
	Store     store.Store
	Directory *account.Directory
	Factors   *factor.Factors
	Sessions  *session.Registry
	Doors     *login.Doors
	Programs  *login.Programs
	Throttle  *throttle.Throttle
	Hasher    *secret.Hasher
	Audit     *audit.Log
	Derive    func(purpose string) []byte // keys that survive a restart, 32 bytes
	Clock     func() time.Time
	Logger    *slog.Logger                   // nil: silent
	Client    func(*http.Request) netip.Addr // past trusted proxies; not valid: nobody knows
	Name      string                         // of the installation
}

// Common is what each facade's configuration has, understood.
type Common struct {
	Facade    string         // its word in the configuration
	Realm     string         // of its people; "" where it has several (ungleich)
	AllowFrom []netip.Prefix // who may call at all; nil: not said
	Require   principal.Ref  // the service that must prove itself with every call; zero: none
	CORS      []string       // foreign origins whose scripts may read answers, exact

	// OwnHost reports whether a canonical host is one of this installation's own:
	// the portal's, or the address on which it listens.
	OwnHost func(host string) bool
	// Scheme is the public scheme of a request.
	Scheme func(*http.Request) string
}

// Closed is what facades say of a place where no code is judged any more, however long
// somebody waits (a 429 with nothing for Retry-After).
const Closed = "Too many wrong codes: use a backup code, or ask your administrator."

// Refusal is why a call does not come to a facade's door. Code is a stable word and
// Text a sentence for everybody; each facade writes them in its own error form.
type Refusal struct {
	Status     int
	Code, Text string
	Wait       time.Duration // for Retry-After; 0: nothing to say
	Challenge  string        // for WWW-Authenticate; "": none
}

// Shown notes that a facade shows a seed, or the code of a moment, of somebody whose
// authenticator is in use. It is a line in the log: callers ask as often as they like.
func (r Rooms) Shown(facade, what string, id principal.ID, ref principal.Ref, client netip.Addr, caller string) {
	r.Audit.Note(audit.Event{Time: r.Clock(), Kind: audit.KindSecretShown, Outcome: audit.OK, Principal: id, Name: ref.String(),
		Client: client, Actor: caller, Method: facade, Detail: map[string]string{"what": what}})
}
