// Package audit owns what happened: one [Event] for each thing that changed who
// may pass, and for each answer at a door.
//
// An event that belongs to a transaction is recorded in it ([Log.Record]), so
// that there is no change without its event and no event of a change that was
// rolled back. What strangers can cause without bound is only noted
// ([Log.Note]): a log line and the counters, nothing in the store.
//
// Events never hold secrets: no password, hash, seed, code, token or cookie, and
// of what strangers typed only a MAC ([Unknown]). Callers keep that; this package
// bounds lengths and takes control characters out, so that no event breaks a log.
package audit

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// DefaultRetention is how long events are kept: three months answer most
// questions, and what is not kept cannot leak.
const DefaultRetention = 90 * 24 * time.Hour

// Event is one thing that happened.
type Event struct {
	store.Meta
	Time      time.Time         `json:"time"` // Record sets it to tx.Now, Note to what it finds
	Kind      Kind              `json:"kind"`
	Outcome   Outcome           `json:"outcome"`
	Cause     string            `json:"cause,omitempty"`   // why not: "replay", "wrong", "expired"; one word
	Principal principal.ID      `json:"principal"`         // whom it concerns; zero: nobody known
	Name      string            `json:"name,omitempty"`    // name@realm, canonical; for unknown names what Unknown returns
	Actor     string            `json:"actor,omitempty"`   // who did it: name@realm, "local", or empty: the principal itself
	Client    netip.Addr        `json:"client,omitzero"`   // where from
	Session   string            `json:"session,omitempty"` // public id of the session
	Method    string            `json:"method,omitempty"`  // the factor or the door
	Detail    map[string]string `json:"detail,omitempty"`  // few words more; at most 16 of 256 bytes

	// Aside is an event of which its person is told nothing by itself: it is part of
	// a greater one, or of a move from elsewhere. It is not stored; Within sees it.
	Aside bool `json:"-"`
}

// Options of a Log. The zero Options are good: silent, DefaultRetention.
type Options struct {
	Logger    *slog.Logger     // nil: silent
	Retention time.Duration    // 0: DefaultRetention
	Clock     func() time.Time // for Note; nil: time.Now
}

// Log records events. It is safe for concurrent use.
type Log struct {
	log       *slog.Logger
	retention time.Duration
	clock     func() time.Time
	node      [8]byte
	seq       atomic.Int64

	mu          sync.Mutex
	subscribers map[int]func(Event)
	next        int

	within atomic.Pointer[within]
}

// within is what has to happen in the transaction of an event.
type within struct {
	fn func(store.Tx, Event) error
}
