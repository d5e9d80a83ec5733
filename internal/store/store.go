// Package store keeps records under keys, in serialisable transactions.
//
// The kind of a record is in its key, so a new record type costs no new method:
// a room takes its [Prefix] from the table in prefixes.go, builds keys with [K],
// and reads and writes its records with [Load] and [Save]. Decide inside the
// transaction (load, compare, burn, save in one Update): what was read before is
// a rumour.
//
// Engines (store/badger) are untrusted with values: every one of them is wrapped
// in a [SealedStore] before a room sees it. That encrypts values, proves that key and
// store belong together, and decides what has expired. Names of keys are in
// clear; they may hold names and addresses, never what strangers typed, and
// never secrets.
package store

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Limits of one record. What is larger is refused with ErrTooLarge.
const (
	MaxKey   = 1 << 10    // bytes
	MaxValue = 1023 << 10 // bytes: what sealing adds fits into the megabyte that engines take
)

// Errors that a caller may test. Engines wrap them in a sentence that names the
// directory and the way out.
var (
	ErrNotFound = errors.New("no such record")
	ErrLocked   = errors.New("store is in use by another process")
	ErrNoSpace  = errors.New("no space left for the store")
	ErrClosed   = errors.New("store is closed")
	ErrReadOnly = errors.New("transaction is read-only")
	ErrForeign  = errors.New("directory holds something else")
	ErrWrongKey = errors.New("master key does not belong to this store")
	ErrTooLarge = errors.New("record too large")

	// ErrUnavailable: the engine's server does not answer, or another node holds it
	// up. Another try may help; whether a change happened, the error's text says.
	ErrUnavailable = errors.New("store does not answer")
)

// Key is the name of a record. Build it with [K].
type Key = []byte

// Item is one record met by a Scan. The caller owns both slices.
type Item struct {
	Key, Value []byte
	Expires    time.Time // zero: never
}

// Change is one record that a committed transaction wrote or deleted. Its slices
// are shared by all watchers: read only.
type Change struct {
	Key     []byte
	Value   []byte // nil when deleted
	Expires time.Time
	Deleted bool // deleted, or written already expired, or unreadable

	// All says that changes of any keys that start with Key may have been missed:
	// whoever follows lets go of all that it knows of them. Deleted is true too.
	All bool
}

// Store is a set of records. It is safe for concurrent use.
//
// An engine's own notion of expiry is a coarse broom: it may return a record for
// a while after it expired. [SealedStore] is exact.
type Store interface {
	// View runs fn over a snapshot. Put and Delete answer ErrReadOnly; After
	// runs its function when the view ended without an error.
	// View may stand inside a View or an Update, but sees only what is committed. It
	// is given that one's context: an engine may know by it whom it must not make wait.
	View(ctx context.Context, fn func(Tx) error) error

	// Update runs fn and commits what it wrote: all or nothing, durable when
	// Update returns nil, and as if Updates ran one after another. fn may run
	// more than once, so it has no side effects (use After). An error of fn
	// aborts and is returned as it is; a panic of fn aborts and reaches the
	// caller. A context that ended before fn started: its error, and fn did not
	// run; once fn has started, Update waits for the outcome.
	//
	// One Update writes a little, at least a megabyte or 10,000 records; more is
	// refused by Put with ErrTooLarge. What walks over many records goes in pages.
	//
	// Update must not be called from inside fn of another Update, nor from a
	// Watch callback: it would wait for itself.
	Update(ctx context.Context, fn func(Tx) error) error

	// Watch calls fn for each committed change of a key that starts with prefix,
	// one at a time and in commit order. For this process's own commits fn has
	// returned before the Update that made the change does; for those of other
	// nodes it runs as soon as the engine hears of them. fn is quick, does not
	// block and opens no Update. To load a state and follow it: Watch first,
	// then Scan. After stop returns no new call begins.
	Watch(prefix []byte, fn func(Change)) (stop func())

	// Close waits for running transactions and releases the engine. Later calls
	// answer ErrClosed; a second Close answers nil.
	Close() error
}

// Tx is one transaction. It belongs to the goroutine that runs fn and ends with it.
type Tx interface {
	// Get returns a copy of the value; missing or expired: ErrNotFound.
	Get(key []byte) ([]byte, error)

	// Put writes a record that is gone at expires (zero time: never).
	// Errors: ErrTooLarge (also when the whole transaction outgrows the engine), ErrReadOnly.
	Put(key, value []byte, expires time.Time) error

	// Delete removes a record; missing: nil.
	Delete(key []byte) error

	// Scan yields the records whose keys start with prefix, in ascending order of
	// bytes, from the key from on (inclusive; nil: from the start). It sees what
	// the transaction wrote before the Scan began, not what is written while it
	// runs. The caller stops when it has a page; [Next] makes the next from.
	// An error is yielded once, last.
	//
	// Scan guards what it returned, not the gaps: an invariant over a set (last
	// administrator, unique address) hangs on one record read by Get.
	Scan(prefix, from []byte) iter.Seq2[Item, error]

	// Now is one instant per transaction, of the clock the store was opened with.
	Now() time.Time

	// After has fn called once, in the caller's goroutine, after the commit and
	// after Watch callbacks, before Update returns; never when nothing was
	// committed. If the transaction runs more than once, only the functions of
	// the run that was committed are called. fn may open transactions.
	After(fn func())
}

// Next is the smallest key after key: the from that continues a Scan behind key.
func Next(key []byte) []byte {
	next := make([]byte, len(key)+1)
	copy(next, key)
	return next
}
