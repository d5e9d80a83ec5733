// Package guard is the hot path: a list of rules, and one Decision for one
// request.
//
// Package guard owns the rules of routes, the views of a path, the canonical
// form of a host, the order in which proofs of identity are judged, and the
// one function that says where a login may send a browser back to.
//
// It knows neither HTTP nor Caddy: a shell fills a Request from what its own
// client sent (or from what a trusted proxy says that its client sent) and
// does what the Decision says. Everything fails closed: the zero Decision is a
// denial, the zero Rule admits nobody, no rule is a denial, a store that does
// not answer is Unavailable.
package guard

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
)

// Sessions says who a session cookie or an access token belongs to.
// session.Registry implements it. Errors: session.ErrNone where the proof is
// not good (unknown, expired, revoked, of an older epoch, its owner disabled);
// anything else means that the store failed. Safe for concurrent use.
type Sessions interface {
	Live(ctx context.Context, cookie string, now time.Time) (session.Live, error)
	VerifyAccess(ctx context.Context, jwt string) (session.Live, error)
	// Again finds a service anew that proved itself before.
	Again(ctx context.Context, live session.Live) (session.Live, error)
}

// Programs says whether a service's time-based token is good now, for a caller
// from this address. login implements it. The identity is shared: read only.
// Errors: ErrDenied (unknown service or wrong token), *throttle.Throttled (wait),
// anything else means that the store failed. Safe for concurrent use.
type Programs interface {
	Program(ctx context.Context, ref principal.Ref, token string, client netip.Addr) (*account.Identity, error)
}

// ErrDenied is what Programs answers to a bad token.
var ErrDenied = errors.New("denied")

// Options is what a Guard is made of.
type Options struct {
	// Rules decide. Nil: everything is denied.
	Rules *Rules
	// Sessions is required.
	Sessions Sessions
	// Programs judges Basic credentials of services. Nil: such a credential
	// is a bad proof.
	Programs Programs
	// RealmExists tells whether a realm exists, so that a Basic name can be
	// told from one that belongs to the upstream. Nil: the realms that Compile
	// was told of. An error means that the store failed.
	RealmExists func(ctx context.Context, realm string) (bool, error)
	// OurToken tells whether a text is a JWT whose iss is ours; it proves
	// nothing (session.Registry.IsOurs). Nil: no Bearer is ours.
	OurToken func(jwt string) bool
	// Refused hears of a service's good proof that lets nobody in: an access token
	// from a network which the service is not bound to ("network": it was probably
	// stolen), or a token at a route whose rule does not name the service
	// ("not_admitted"). Nil: nobody does.
	Refused func(who *account.Identity, client netip.Addr, cause string)
	// Clock is the source of time, by default time.Now.
	Clock func() time.Time
}

// Guard takes decisions. Safe for concurrent use. The zero Guard denies
// everything.
type Guard struct {
	rules    *Rules
	sessions Sessions
	programs Programs
	realm    func(ctx context.Context, realm string) (bool, error)
	ours     func(jwt string) bool
	clock    func() time.Time

	refused func(who *account.Identity, client netip.Addr, cause string)
}

// New returns a Guard over compiled rules.
func New(o Options) (*Guard, error) {
	if o.Sessions == nil {
		return nil, errors.New("make a guard: sessions are required")
	}
	g := &Guard{rules: o.Rules, sessions: o.Sessions, programs: o.Programs, realm: o.RealmExists, ours: o.OurToken, clock: o.Clock, refused: o.Refused}
	if g.rules == nil {
		g.rules = &Rules{}
	}
	if g.ours == nil {
		g.ours = func(string) bool { return false }
	}
	if g.clock == nil {
		g.clock = time.Now
	}
	if g.realm == nil {
		known := g.rules.realms
		g.realm = func(_ context.Context, realm string) (bool, error) { return slices.Contains(known, realm), nil }
	}
	return g, nil
}

// Rules returns the rules that decide.
func (g *Guard) Rules() *Rules { return g.rules }

// Request is what a decision looks at: the original request, as the shell
// found it or as a trusted proxy told it.
type Request struct {
	Method string     // as sent: a token in upper case
	Scheme string     // "http" or "https"; no rule looks at it
	Host   string     // as sent, with or without a port
	Path   string     // raw, as sent, without the query
	Client netip.Addr // the client, past trusted proxies
	// Cookie is the value of the one session cookie, "" if there is none.
	Cookie string
	// Authorization is the header's value, "" if there is none.
	Authorization string
	// Navigation says that a person waits for a page.
	Navigation bool
	// Preflight says that this OPTIONS request has Origin and
	// Access-Control-Request-Method.
	Preflight bool
	// Tighten adds demands to those of the rule. It never loosens.
	Tighten Demand
	// CookieOnly leaves Authorization alone: no proof, not judged.
	CookieOnly bool
}

// Demand is what is asked of whoever wants to pass. The zero Demand asks
// nothing.
type Demand struct {
	// Realm is the one realm that is admitted, "" for the rule's own.
	Realm string
	// Groups: one of them is needed. Empty: none.
	Groups []string
	// Factors is 0, 1 or 2.
	Factors int
	// Fresh is how old the second factor may be. 0: any age.
	Fresh time.Duration
}

// Outcome is what becomes of a request. The zero Outcome is Deny.
type Outcome uint8

const (
	// Deny is final for this caller: 403.
	Deny Outcome = iota
	// Allow passes the request on, with Identity.
	Allow
	// Challenge asks for a login, a second factor or a fresh one.
	Challenge
	// BadRequest: what the rule saw is not surely what an upstream sees. 400.
	BadRequest
	// MethodNotAllowed: CONNECT and TRACE. 405.
	MethodNotAllowed
	// Throttled: wait RetryAfter. 429.
	Throttled
	// Unavailable: the store failed, or no slot is free. 503.
	Unavailable
)

// String returns one word: "deny", "allow", "challenge", …
func (o Outcome) String() string {
	switch o {
	case Allow:
		return "allow"
	case Challenge:
		return "challenge"
	case BadRequest:
		return "bad-request"
	case MethodNotAllowed:
		return "method-not-allowed"
	case Throttled:
		return "throttled"
	case Unavailable:
		return "unavailable"
	}
	return "deny"
}

// Decision is the answer to one Request, with all that a shell needs to act.
// The zero Decision is a denial.
type Decision struct {
	Outcome Outcome
	// Rule is the number of the rule that decided, from 1; 0: none did.
	Rule int
	// RuleName is the rule's own name, "" if it has none.
	RuleName string
	// Reason is one of few fixed texts, for logs and explain. It never has
	// anything in it that the client sent.
	Reason string
	// Identity is who is calling, nil for anonymous. It is set only where the
	// proof was good, and must not be changed.
	Identity *account.Identity
	// Live is the session behind Identity; without an id where a service proved
	// itself by its own token or its access token.
	Live session.Live
	// Judged says that Authorization held a proof of ours and was judged (it
	// does not belong to the upstream).
	Judged bool
	// BadProof says that Authorization held a proof of ours that is not good:
	// the answer to a Challenge is then 401, whoever asks.
	BadProof bool
	// Services says that the rule admits services: a 401 may offer Basic.
	Services bool
	// Demand is what the rule, tightened, asks: what a login must reach.
	Demand Demand
	// BareUser says that Remote-User has no realm.
	BareUser bool
	// Headers is the preset of identity headers, "" for the default.
	Headers string
	// Assertion is "", AssertionEdDSA or AssertionES256.
	Assertion Assertion
	// MethodAware says that a rule for this host looks at the method, or that a
	// preflight passed because of it: method-override headers must not reach the upstream.
	MethodAware bool
	// PathAware says that a rule for this host looks at the path: headers from which
	// an upstream takes another one must not reach it, nor must another path.
	PathAware bool
	// NetworkAware says that a rule for this host looks at the client's network:
	// early data, which anybody can replay from elsewhere, must not pass.
	NetworkAware bool
	// RetryAfter is how long to wait where Outcome is Throttled, and
	// sometimes where it is Unavailable.
	RetryAfter time.Duration
	// Err is the failure behind Unavailable, for the log alone.
	Err error
}

// The reasons of decisions.
const (
	ReasonNoRule       = "no rule matches"
	ReasonDenyRule     = "the rule denies"
	ReasonNobody       = "the rule admits nobody"
	ReasonPublic       = "the rule asks for no proof"
	ReasonPreflight    = "a CORS preflight may pass"
	ReasonAnonymous    = "nobody is signed in"
	ReasonBadProof     = "the proof in Authorization is not good"
	ReasonFactors      = "too few factors"
	ReasonFresh        = "the second factor is too old"
	ReasonNotAdmitted  = "the rule does not admit this principal"
	ReasonAdmitted     = "admitted"
	ReasonHost         = "the host is not valid"
	ReasonPath         = "the path is not valid"
	ReasonViews        = "the path selects different rules when it is decoded or cleaned"
	ReasonMethod       = "the method is not valid"
	ReasonMethodClosed = "the method is never passed on"
	ReasonThrottled    = "too many wrong tries"
	ReasonUnavailable  = "the store does not answer"
)
