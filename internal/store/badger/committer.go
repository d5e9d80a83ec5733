package badger

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/engine"
)

// How an Update travels: the caller queues a job and waits for its turn. The
// committer gives turns one at a time, each with a transaction that reads through
// what earlier jobs of the batch wrote. The caller runs fn in its own goroutine
// (so that a panic, or a test's FailNow, ends the caller and not the committer)
// and hands the turn back. When nobody waits, or the batch is full, the committer
// writes the batch in one Badger transaction, with one sync, and tells all.
// Watchers are called in turn by the callers too, in commit order.

// maxBatch is how many Updates share a commit at most.
const maxBatch = 512

// job is one Update.
type job struct {
	state   atomic.Int32
	turn    chan *tx
	outcome chan outcome // room for one
	tx      *tx
	kept    bool  // fn came to its end: it waits for the outcome
	err     error // fn's own
}

const (
	queued = iota
	started
	withdrawn
)

type outcome struct {
	err   error
	calls []engine.Call // to be run before handing back the turn
}

// Update implements [store.Store].
func (e *db) Update(ctx context.Context, fn func(store.Tx) error) error {
	if !e.gate.Enter() {
		return store.ErrClosed
	}
	defer e.gate.Leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{turn: make(chan *tx, 1), outcome: make(chan outcome, 1)}
	select {
	case e.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case tx := <-j.turn:
		e.take(ctx, j, tx, fn)
	case <-ctx.Done():
		if j.state.CompareAndSwap(queued, withdrawn) {
			return ctx.Err()
		}
		e.take(ctx, j, <-j.turn, fn)
	}
	out := <-j.outcome
	if out.err != nil {
		return out.err
	}
	if len(out.calls) > 0 {
		e.notify(out.calls)
	}
	if j.err != nil {
		return j.err
	}
	j.tx.RunAfter()
	return nil
}

// take runs fn while it is this job's turn.
func (e *db) take(ctx context.Context, j *job, tx *tx, fn func(store.Tx) error) {
	defer func() {
		tx.end()
		e.ran <- struct{}{}
	}()
	tx.ctx, j.tx = ctx, tx
	if j.err = ctx.Err(); j.err == nil {
		j.err = fn(tx)
	}
	j.kept = true
}

func (e *db) notify(calls []engine.Call) {
	defer func() { e.ran <- struct{}{} }()
	e.watch.Run(calls)
}

// batch is a set of Updates that are committed together.
type batch struct {
	snapshot *badger.Txn
	writes   engine.Overlay
	cost     engine.Cost
	jobs     []*job
}

func (e *db) commitLoop() {
	var broken error // once a commit failed, nobody knows what the disk holds
	for {
		select {
		case <-e.quit:
			return
		case j := <-e.jobs:
			b := e.begin()
			e.give(b, j, &broken)
			e.fill(b, &broken)
			e.finish(b, &broken)
		}
	}
}

// fill gives turns while somebody waits. Callers that the last commit released
// get a moment to come back: a fuller batch saves a sync.
func (e *db) fill(b *batch, broken *error) {
	for yields := 0; len(b.jobs) < maxBatch; {
		select {
		case j := <-e.jobs:
			e.give(b, j, broken)
		default:
			if yields++; yields > 2 {
				return
			}
			runtime.Gosched()
		}
	}
}

func (e *db) begin() *batch {
	return &batch{snapshot: e.db.NewTransaction(false), writes: engine.Overlay{}}
}

// give lets a job run over the batch and adds what it wrote.
func (e *db) give(b *batch, j *job, broken *error) {
	if !j.state.CompareAndSwap(queued, started) {
		return
	}
	tx := &tx{snapshot: b.snapshot, now: e.clock(), Writes: engine.Writes{Before: b.writes, Own: engine.Overlay{}, Limit: e.limit}}
	j.turn <- tx
	<-e.ran
	if !j.kept {
		return // panicked: nobody waits
	}
	if j.err == nil {
		if b.cost.Plus(tx.Cost).Over(e.limit) {
			// What the job read stands in the full batch, so it holds if that does.
			if err := e.finish(b, broken); err != nil {
				j.outcome <- outcome{err: err}
				return
			}
			*b = *e.begin()
		}
		maps.Copy(b.writes, tx.Own)
		b.cost = b.cost.Plus(tx.Cost)
	}
	b.jobs = append(b.jobs, j)
}

// finish commits the batch and tells all its jobs.
//
// A job whose fn refused hears of a failed commit too: what it refused for may
// have stood in the batch alone.
func (e *db) finish(b *batch, broken *error) error {
	b.snapshot.Discard()
	err := e.commit(b, broken)
	for _, j := range b.jobs {
		out := outcome{err: err}
		if err == nil && j.err == nil {
			out.calls = e.watch.Calls(j.tx.Own)
		}
		j.outcome <- out
		if len(out.calls) > 0 {
			<-e.ran
		}
	}
	b.jobs = nil
	return err
}

// commit writes a batch. After a failed write or sync nobody knows what the disk
// holds, so from then on the store takes no more changes.
func (e *db) commit(b *batch, broken *error) error {
	if len(b.writes) == 0 {
		return nil
	}
	if *broken != nil {
		return *broken
	}
	if err := e.reserve.check(uint64(b.cost.Size), e.compaction); err != nil {
		return err
	}
	txn, err := e.fillTransaction(b.writes)
	if err != nil {
		return err
	}
	commit := txn.Commit
	if e.testOnlyCommit != nil {
		commit = func() error { return e.testOnlyCommit(txn.Commit) }
	}
	if err := commit(); err != nil {
		*broken = fmt.Errorf("commit: %w; what the disk holds is unknown: look after the disk and restart", err)
		e.log.Error("the store takes no more changes", "error", *broken)
	}
	return *broken
}

func (e *db) fillTransaction(writes engine.Overlay) (*badger.Txn, error) {
	txn := e.db.NewTransaction(true)
	for key, w := range writes {
		var err error
		if w.Deleted {
			err = txn.Delete([]byte(key))
		} else {
			err = txn.SetEntry(&badger.Entry{Key: []byte(key), Value: w.Value, ExpiresAt: engineExpiry(w.Expires)})
		}
		if err != nil {
			txn.Discard()
			// Badger's text would dump the record.
			return nil, fmt.Errorf("%w: badger refuses a record of %d and %d bytes", store.ErrTooLarge, len(key), len(w.Value))
		}
	}
	return txn, nil
}

// engineExpiry is the first whole second at which a record is gone for sure.
func engineExpiry(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	s := t.Unix()
	if t.Nanosecond() > 0 && s < math.MaxInt64 {
		s++
	}
	return uint64(max(s, 1))
}

var _ store.Store = (*db)(nil)
