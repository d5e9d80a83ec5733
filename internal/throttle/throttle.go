// Package throttle owns the counters of wrong tries: one per principal, kind and
// place, for every door.
//
// A place is a browser or a network where this principal logged in fully during
// the last 30 days, or elsewhere, which all other places share. So a stranger who
// fails for somebody else makes the strangers wait, and not the owner at the own
// browser. A known browser is asked first, then a known network; networks are
// single IPv4 addresses (/32) and IPv6 networks (/64: what one subscriber gets).
// Being known skips nothing: it only chooses the counter.
//
// A try is counted before it is judged, in a transaction that commits, and
// settled afterwards. Passwords are judged outside a transaction:
//
//	Update: try, err := Count(tx, subject, Password, origin)   // *Throttled: stop
//	        … hash …
//	Update: Good(tx, try), Wrong(tx, try) or Uncount(tx, try)  // no hash slot was free: Uncount
//
// A password's try that is not settled counts like a wrong one, so that parallel
// tries cannot outrun the counter, but whoever waits for it waits a second only;
// after 30 s without a word it is wrong. All other kinds are judged in the
// transaction that counts: theirs is a wrong try unless the same transaction says
// Good or Uncount.
//
// # The rules
//
//   - Policy.Principal wrong tries are free. The next one must be Delay after the
//     last wrong one, and each further one doubles that, up to DelayMax.
//   - Wrong passwords are forgotten, one for each full Window without a wrong try.
//     A right password forgets none.
//   - Wrong codes are not forgotten with time, nor by a right password. A good code
//     or recovery code sets the counter of its place to 0. Closed of them close the
//     place: only a recovery code (beyond guessing, unless a realm has short ones)
//     is still taken there, at the pace of DelayMax, until Reset, or until the place
//     is no longer known and counts as elsewhere. Elsewhere stays closed.
//   - What a caller asks about somebody counts for the two of them: see Between.
//   - A service's wrong tokens count like passwords where it is known; from
//     elsewhere Tokens of them are free in each 24 hours that begin with a wrong
//     one, and then none until those hours end.
//   - A network has Network wrong tries, of all kinds and principals, in any span
//     of Window; not counted are tries at a known place of their principal and
//     those that are Exempt.
//   - Messages (codes, links) are counted when they are caused: see Send.
//
// Names that nobody has share 65,536 buckets with the same rules, and networks
// share 1,048,576: a stranger cannot fill the store, whatever they send. Place and
// bucket stand in keys as MACs; no address and no typed name reaches the store.
package throttle

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

const (
	// KnownFor is how long a place stays known after a full login.
	KnownFor = 30 * 24 * time.Hour
	// undecided is how long a password's try may stay unsettled before it is wrong.
	undecided = 30 * time.Second
	// shortly is the wait while only unsettled tries fill a limit.
	shortly = time.Second
	// day is the span of Policy.Tokens.
	day = 24 * time.Hour
	// longest bounds a delay where DelayMax is 0.
	longest = 24 * time.Hour
	// networkBits is the logarithm of the number of network counters.
	networkBits = 20
	// minKey is the shortest MAC key, in bytes.
	minKey = 16
)

// Kind says what was tried. The zero Kind is none, and Count panics over it.
type Kind uint8

const (
	Password Kind = iota + 1
	Code          // a person's one-time code
	Recovery      // a recovery code: counts with Code
	Token         // a service's one-time token
)

// String returns the word that stands in logs.
func (k Kind) String() string {
	switch k {
	case Password:
		return "password"
	case Code:
		return "code"
	case Recovery:
		return "recovery_code"
	case Token:
		return "token"
	}
	return "invalid"
}

// counter is the kind whose counter k uses.
func (k Kind) counter() Kind {
	if k == Recovery {
		return Code
	}
	return k
}

// forgets tells whether wrong tries fall with time.
func (k Kind) forgets() bool { return k.counter() != Code }

// Origin says where a try comes from.
type Origin struct {
	Client  netip.Addr // invalid: all such clients are one network, which is never a known place
	Browser []byte     // hash of the cookie sallyport_browser; nil if there is none
	Exempt  bool       // loopback as an untrusted proxy: its address says nothing, so no network counter, no known network
}

// Subject is whose try it is. The zero Subject is nobody, and Count panics over it.
type Subject struct {
	key     string
	caller  string // who asks about the principal, as a place; "": the principal's own tries
	unknown bool

	stranger bool // see NamedByStranger
}

// Of is the subject of a principal, by whatever name it was called.
func Of(id principal.ID) Subject { return Subject{key: string(id[:])} }

// NamedByStranger is the subject for messages that anybody may cause who knows a name,
// such as links for a new password: Send counts them apart, so that no stranger uses
// up the codes that the person needs to log in.
func (s Subject) NamedByStranger() Subject {
	s.stranger = true
	return s
}

// Throttled refuses a try before it is judged; nothing was counted.
type Throttled struct {
	// RetryAfter is the wait after which a try is judged, unless others come
	// first. For the Cause "closed" it is 0, unless a caller asked (Between):
	// waiting does not help, so send no Retry-After.
	RetryAfter time.Duration
	Cause      string // CausePrincipal, CauseNetwork or CauseClosed
	Sending    bool   // of messages, not of wrong tries: see Send
}

// Values of Throttled.Cause.
const (
	CausePrincipal = "principal"
	CauseNetwork   = "network"
	CauseClosed    = "closed"
)

func (t *Throttled) Error() string {
	if t.Cause == CauseClosed {
		return "too many wrong codes: closed until recovery or reset"
	}
	what := "wrong tries"
	if t.Sending {
		what = "messages"
	}
	return fmt.Sprintf("too many %s (%s): wait %s", what, t.Cause, t.RetryAfter)
}

// Policy holds the numbers. Zero switches one off: Principal or Delay the delays,
// Network the counter of networks, Window both that counter and the forgetting,
// DelayMax the bound of the doubling (then it is 24 hours), Closed the closing,
// Tokens the limit of services, Sends and NetworkSends those of messages.
type Policy struct {
	Principal int           // wrong tries per principal, kind and place that are free
	Network   int           // wrong tries per network in any Window
	Window    time.Duration // of Network; and in which one wrong password is forgotten
	Delay     time.Duration // after the last free try; doubles with each further one
	DelayMax  time.Duration
	Closed    int // wrong codes that close a place
	Tokens    int // a service's wrong tokens from elsewhere in 24 hours

	Sends        int           // messages to one person in any SendWindow: see Send
	NetworkSends int           // messages that one network causes in any SendWindow
	SendWindow   time.Duration // 0: messages are not counted
}

// DefaultPolicy returns the numbers of the security model.
func DefaultPolicy() Policy {
	return Policy{
		Principal: 5,
		Network:   30,
		Window:    15 * time.Minute,
		Delay:     time.Second,
		DelayMax:  15 * time.Minute,
		Closed:    50,
		Tokens:    100,

		Sends:        5,
		NetworkSends: 20,
		SendWindow:   15 * time.Minute,
	}
}

// delay is the wait after a number of wrong tries.
func (p Policy) delay(wrong int) time.Duration {
	if p.Principal <= 0 || p.Delay <= 0 || wrong < p.Principal {
		return 0
	}
	limit := p.DelayMax
	if limit <= 0 {
		limit = longest
	}
	d := p.Delay
	for n := wrong - p.Principal; n > 0 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}

// Throttle counts wrong tries. All its state is in the store; it is safe for
// concurrent use.
type Throttle struct {
	policy Policy
	key    []byte
}

// New returns a Throttle. key makes the MACs: at least 16 secret bytes, always the
// same for one store; a shorter one is a mistake of the programmer and panics.
func New(p Policy, key []byte) *Throttle {
	if len(key) < minKey {
		panic("throttle: the MAC key is too short")
	}
	return &Throttle{policy: p, key: key}
}

// Unknown is the subject of a name that nobody has, in its canonical spelling: one
// of 65,536 buckets, chosen by a MAC, so that nobody can aim at another's.
func (t *Throttle) Unknown(realm, name string) Subject {
	mac := t.mac("unknown", []byte(realm), []byte(name))
	return Subject{key: "u" + string(mac[:2]), unknown: true}
}

// Between is the subject of what a caller, such as a service that asks whether
// somebody's code is good, tries for a principal. It has a counter of its own,
// so that nobody is shut out of the own doors by what others ask, nor others by
// one caller. Its wrong tries are forgotten 24 hours after the last one, codes
// too; no network counts them, and it has no places. Reset and Forget of the
// principal reach it.
func (t *Throttle) Between(caller string, id principal.ID) Subject {
	return Subject{key: Of(id).key, caller: t.callerPlace(caller)}
}

// BetweenUnknown is Between for a name that nobody has: one of 64 buckets for each
// caller, so that no caller fills the store with what strangers type.
func (t *Throttle) BetweenUnknown(caller, realm, name string) Subject {
	mac := t.mac("unknown", []byte(realm), []byte(name))
	return Subject{key: "v" + string([]byte{mac[0] & 0x3f}), caller: t.callerPlace(caller), unknown: true}
}

func (t *Throttle) callerPlace(caller string) string {
	return "c" + string(t.mac("caller", []byte(caller))[:16])
}

func (t *Throttle) mac(purpose string, parts ...[]byte) []byte {
	mac := secret.MAC(t.key, append([][]byte{[]byte(purpose)}, parts...)...)
	return mac[:]
}
