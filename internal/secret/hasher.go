package secret

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxPassword bounds an accepted password, in bytes. Longer ones are
	// answered, not hashed: nobody types them, and the slow hashes read each
	// byte many times.
	MaxPassword = 1024
	// queuePerSlot is the default length of the queue for each slot: at about
	// 30 ms a hash, its end is some 2 s away, what a person waits.
	queuePerSlot = 64
	// defaultMaxWait is the default bound of the time in the queue.
	defaultMaxWait = 10 * time.Second
)

// HashParams are the costs of argon2id (RFC 9106). The zero value of a field
// takes its default.
type HashParams struct {
	MemoryKiB uint32 // memory of one hashing, in KiB
	Time      uint32 // passes over it
	Threads   uint8  // lanes
}

// DefaultHashParams returns 19 MiB, 2 passes, 1 lane: the OWASP password
// storage recommendation for argon2id.
func DefaultHashParams() HashParams { return HashParams{MemoryKiB: 19 * 1024, Time: 2, Threads: 1} }

// Validate returns an error that names the first value out of bounds. Zero
// values are good: they are the defaults.
func (p HashParams) Validate() error {
	p = p.defaults()
	return checkArgon2(p)
}

func (p HashParams) defaults() HashParams {
	d := DefaultHashParams()
	if p.MemoryKiB == 0 {
		p.MemoryKiB = d.MemoryKiB
	}
	if p.Time == 0 {
		p.Time = d.Time
	}
	if p.Threads == 0 {
		p.Threads = d.Threads
	}
	return p
}

func (p HashParams) bounded() HashParams {
	p = p.defaults()
	p.Threads = min(p.Threads, maxArgon2Threads)
	p.Time = min(p.Time, maxArgon2Time)
	p.MemoryKiB = min(max(p.MemoryKiB, minArgon2PerLane*uint32(p.Threads)), maxArgon2MemoryKiB)
	return p
}

// HasherOptions configure a Hasher. Zero values take the defaults.
type HasherOptions struct {
	Params  HashParams    // default DefaultHashParams
	Slots   int           // hashings at once; default GOMAXPROCS-1, at least 1
	Queue   int           // callers that may wait; default 64 per slot, negative: none
	MaxWait time.Duration // longest wait in the queue; default 10 s

	// Refused counts the answers Busy, over any number of Hashers. Nil: nobody
	// counts.
	Refused *atomic.Uint64
}

// Busy is the error of a hashing that found no slot: the queue is full, or the
// wait in it was too long. Nothing was computed. Answer 503 with Retry-After.
type Busy struct {
	RetryAfter time.Duration // when a slot may be free, at least 1 s
}

func (b *Busy) Error() string {
	return fmt.Sprintf("too many passwords are being checked: try again in %s", b.RetryAfter)
}

// Hasher hashes and verifies passwords in a bounded number of slots, so that
// logins never take all memory or all cores. Callers beyond the slots wait in a
// queue of bounded length; one whose context ends leaves it. It may be used by
// many goroutines at once.
//
// Passwords are compared in PRECIS OpaqueString form (RFC 8265 section 4): NFC,
// every kind of space as U+0020; case and everything else are kept. Foreign
// hashes are given the bytes as they were typed, as their first owner did.
type Hasher struct {
	*slots
	params HashParams
	native atomic.Int64 // cost of one native hash, ns
	known  atomic.Bool  // native was measured, not estimated
}

// slots are what the Hashers of one process share, whatever their costs.
type slots struct {
	free    chan struct{}
	queue   int64
	maxWait time.Duration
	refused *atomic.Uint64
	waiting atomic.Int64
	foreign atomic.Int64 // cost of the longest foreign hash measured, ns
	seen    sync.Map     // foreign digests that were measured
}

// NewHasher returns a Hasher. Params that Validate refuses are brought to the
// nearest bound, never to a cheaper one than the bound.
func NewHasher(o HasherOptions) *Hasher {
	if o.Slots <= 0 {
		o.Slots = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if o.Queue == 0 {
		o.Queue = queuePerSlot * o.Slots
	}
	if o.MaxWait <= 0 {
		o.MaxWait = defaultMaxWait
	}
	if o.Refused == nil {
		o.Refused = new(atomic.Uint64)
	}
	return &Hasher{
		params: o.Params.bounded(),
		slots: &slots{
			free:    make(chan struct{}, o.Slots),
			queue:   int64(max(o.Queue, 0)),
			maxWait: o.MaxWait,
			refused: o.Refused,
		},
	}
}

// With returns a Hasher of other costs that shares h's slots and queue, for a
// configuration that takes another's place while that one still works. Until Measure
// has found a slot, its floor is an estimate by memory and passes: never none.
func (h *Hasher) With(params HashParams) *Hasher {
	with := &Hasher{slots: h.slots, params: params.bounded()}
	work := func(p HashParams) float64 { return float64(p.MemoryKiB) * float64(p.Time) }
	with.native.Store(int64(float64(h.native.Load()) * work(with.params) / work(h.params)))
	with.known.Store(h.known.Load() && with.params == h.params)
	return with
}

// Measured reports whether Measure has found the cost of these parameters.
func (h *Hasher) Measured() bool { return h.known.Load() }

// Load is how many hashings run, how many may, and how many callers wait.
func (h *Hasher) Load() (running, most, waiting int) {
	return len(h.free), cap(h.free), int(h.waiting.Load())
}

// Hash returns the PHC string of a new password, with a random salt. Errors:
// *WeakPassword (empty, over MaxPassword bytes, control characters or invalid
// UTF-8; strength is CheckPassword's business), *Busy, the context's.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	text, ok := normalise(password)
	if !ok {
		return "", unacceptable(password)
	}
	var phc string
	err := h.inSlot(ctx, func() { phc = newArgon2id(h.params, text).String() })
	return phc, err
}

// Verify reports whether password belongs to digest, and whether the caller
// should store a new Hash of it: because the digest is of a foreign format or
// of other parameters than the configured. A password that Hash would refuse
// is never ok, but costs as much. rehash is false unless ok, and false for a
// bcrypt digest and a password over 72 bytes: bcrypt never saw its tail, so
// the tail is not proved. Errors: ErrDigest (malformed, unknown or too
// expensive), *Busy, the context's.
func (h *Hasher) Verify(ctx context.Context, password, digest string) (ok, rehash bool, err error) {
	d, err := parseDigest(digest)
	if err != nil {
		return false, false, err
	}
	text, acceptable := normalise(password)
	if _, native := d.(*argon2id); !native {
		text = []byte(password)
	}
	if !acceptable {
		text = []byte{0}
	}
	err = h.compare(ctx, func() { ok = d.verify(text) && acceptable })
	if err != nil {
		return false, false, err
	}
	return ok, ok && d.outdated(h.params, text), nil
}

// Unknown costs what Verify costs for a password of ours, and is never right:
// call it where the name does not exist. Errors: *Busy, the context's.
func (h *Hasher) Unknown(ctx context.Context, password string) error {
	text, ok := normalise(password)
	if !ok {
		text = []byte{0}
	}
	return h.compare(ctx, func() { nobody(h.params).verify(text) })
}

// Measure hashes three times and keeps the median as the cost of a native
// hash, which it returns. Call it once at start, before the doors open; 0 if
// ctx ended or no slot was free.
func (h *Hasher) Measure(ctx context.Context) time.Duration {
	var costs [3]time.Duration
	for i := range costs {
		err := h.inSlot(ctx, func() { // the hash alone: not the wait for a slot
			begin := time.Now()
			nobody(h.params).verify([]byte("a password that nobody has"))
			costs[i] = time.Since(begin)
		})
		if err != nil {
			return 0
		}
	}
	a, b, c := costs[0], costs[1], costs[2]
	median := max(min(a, b), min(max(a, b), c))
	h.native.Store(int64(median))
	h.known.Store(true)
	return median
}

// longest is a wrong password as long as one may be: some formats take the longer
// for it, and whoever tries one chooses its length.
var longest = []byte(strings.Repeat("no", MaxPassword/2))

// MeasureForeign verifies a wrong password, as long as any, against a foreign digest
// and keeps the longest cost seen for Floor. Call it at start and after an import with
// the dearest digest of each kind; one that these slots have measured is not
// measured again (0). Errors as Verify.
func (h *Hasher) MeasureForeign(ctx context.Context, digest string) (time.Duration, error) {
	if _, done := h.seen.Load(digest); done {
		return 0, nil
	}
	d, err := parseDigest(digest)
	if err != nil {
		return 0, err
	}
	var cost time.Duration
	err = h.inSlot(ctx, func() {
		begin := time.Now()
		d.verify(longest)
		cost = time.Since(begin)
	})
	if err != nil {
		return 0, err
	}
	h.seen.Store(digest, true)
	for {
		old := h.foreign.Load()
		if old >= int64(cost) || h.foreign.CompareAndSwap(old, int64(cost)) {
			return cost, nil
		}
	}
}

// Floor returns the time that every login's answer takes at least: 1.5 times
// the cost of a native hash as Measure found it, and with longestForeign not
// less than 1.5 times the longest cost that MeasureForeign found. 0 before
// Measure.
func (h *Hasher) Floor(longestForeign bool) time.Duration {
	cost := h.native.Load()
	if longestForeign {
		cost = max(cost, h.foreign.Load())
	}
	return time.Duration(cost + cost/2)
}

// inSlot runs f in a slot. The slot is given back even if f panics.
func (h *Hasher) inSlot(ctx context.Context, f func()) error {
	if err := h.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-h.free }()
	f()
	return nil
}

// compare is inSlot for one password of somebody or nobody. Where hashes have come
// from elsewhere the slot stays taken for as long as the dearest takes, whoever was
// named and whatever their hash: or those who wait behind it would tell how long it
// took.
func (h *Hasher) compare(ctx context.Context, f func()) error {
	if err := h.acquire(ctx); err != nil {
		return err
	}
	begin := time.Now()
	defer func() {
		foreign := h.foreign.Load()
		rest := time.Duration(max(foreign, h.native.Load())) - time.Since(begin)
		if foreign == 0 || rest <= 0 {
			<-h.free
			return
		}
		time.AfterFunc(rest, func() { <-h.free })
	}()
	f()
	return nil
}

func (h *Hasher) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.free <- struct{}{}:
		return nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.queue {
		return h.busy()
	}
	timer := time.NewTimer(h.maxWait)
	defer timer.Stop()
	select {
	case h.free <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return h.busy()
	}
}

// busy refuses, and estimates when the callers that wait now will be through.
func (h *Hasher) busy() error {
	h.refused.Add(1)
	cost := time.Duration(max(h.native.Load(), h.foreign.Load()))
	wait := cost * time.Duration(h.waiting.Load()) / time.Duration(cap(h.free))
	return &Busy{RetryAfter: max(wait.Round(time.Second), time.Second)}
}
