// Package throttle owns the counters of wrong tries: one per principal, kind and
// place, for every door.
package throttle

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Kind says what was tried.
type Kind uint8

const (
	Password Kind = iota + 1
	Code
	Recovery // counts with Code
	Token    // a service's one-time token
)

// Origin says where a try comes from.
type Origin struct {
	Client  netip.Addr
	Browser []byte // hash of the cookie sallyport_browser, nil if there is none
	Exempt  bool   // loopback as an untrusted proxy: no network counter
}

// Subject is whose try it is: Of a principal, or Unknown.
type Subject struct {
	key     string
	unknown bool
}

// Of is the subject of a principal.
func Of(id principal.ID) Subject { return Subject{key: string(id[:])} }

// Try is one counted try, to be settled by Good, Uncount or Wrong.
type Try struct{}

// Throttled refuses a try before it is judged.
type Throttled struct {
	RetryAfter time.Duration
	Cause      string // "principal", "network", "closed"
}

func (t *Throttled) Error() string {
	return fmt.Sprintf("too many wrong tries (%s): wait %s", t.Cause, t.RetryAfter)
}

// Policy holds the numbers. Zero switches a limit off.
type Policy struct {
	Principal int
	Network   int
	Window    time.Duration
	Delay     time.Duration
	DelayMax  time.Duration
	Closed    int
}

// DefaultPolicy returns the defaults.
func DefaultPolicy() Policy {
	return Policy{Principal: 5, Network: 30, Window: 15 * time.Minute, Delay: time.Second, DelayMax: 15 * time.Minute, Closed: 50}
}

// Throttle counts wrong tries.
type Throttle struct{}

var errUnbuilt = errors.New("throttle: being written")

// New returns a Throttle; key is the key of the MACs.
func New(p Policy, key []byte) *Throttle { return &Throttle{} }

// Unknown is the subject of a name that nobody has.
func (t *Throttle) Unknown(realm, name string) Subject { return Subject{} }

// Count counts one wrong try now, or answers *Throttled; then nothing is counted.
func (t *Throttle) Count(tx store.Tx, s Subject, k Kind, o Origin) (Try, error) {
	return Try{}, errUnbuilt
}

// Good settles a try that was good.
func (t *Throttle) Good(tx store.Tx, try Try) error { return errUnbuilt }

// Wrong settles a try whose judgement took place outside the transaction that
// counted it (a password): it was wrong. Without it the try counts as
// undecided for a while, then as wrong.
func (t *Throttle) Wrong(tx store.Tx, try Try) error { return errUnbuilt }

// Uncount takes a try back that was neither: a replay.
func (t *Throttle) Uncount(tx store.Tx, try Try) error { return errUnbuilt }

// Succeeded remembers browser and network as known places.
func (t *Throttle) Succeeded(tx store.Tx, s Subject, o Origin) error { return errUnbuilt }

// Known reports whether o is a known place of s.
func (t *Throttle) Known(tx store.Tx, s Subject, o Origin) (bool, error) { return false, errUnbuilt }

// Reset opens closed places and sets all counters to 0.
func (t *Throttle) Reset(tx store.Tx, id principal.ID) error { return errUnbuilt }

// Forget removes everything about a principal.
func (t *Throttle) Forget(tx store.Tx, id principal.ID) error { return errUnbuilt }
