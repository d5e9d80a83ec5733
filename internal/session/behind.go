package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	beatEvery   = 2 * time.Second // of the background: slides written, streams looked at
	beatWait    = time.Minute     // for one beat's writes
	sweepShards = 8               // of the index per beat: all within about a minute
	flushBatch  = 500             // sessions in one Update
	rotateEvery = 1800            // beats between looks at the age of signing keys: an hour
)

// behind is what waits to be written: idle limits that slid, and sessions that
// were found dead. Losing it at a crash shortens sessions and nothing else.
type behind struct {
	mu      sync.Mutex
	waiting map[name]wait
	failing bool

	flushing sync.Mutex
}

type wait struct {
	idleUntil second
	deadAt    second // found dead at this instant; the record decides
}

func (b *behind) add(id name, fn func(*wait)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = map[name]wait{}
	}
	w := b.waiting[id]
	fn(&w)
	b.waiting[id] = w
}

func (b *behind) slide(id name, idleUntil second) {
	b.add(id, func(w *wait) { w.idleUntil = max(w.idleUntil, idleUntil) })
}

func (b *behind) reap(id name, at second) {
	b.add(id, func(w *wait) { w.deadAt = max(w.deadAt, at) })
}

// slid is the idle limit that waits to be written, 0 if none does.
func (b *behind) slid(id name) second {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting[id].idleUntil
}

func (b *behind) batch() map[name]wait {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := make(map[name]wait, min(len(b.waiting), flushBatch))
	for id, w := range b.waiting {
		if len(batch) == flushBatch {
			break
		}
		batch[id] = w
	}
	return batch
}

// done takes off what was written, unless there is something newer.
func (b *behind) done(batch map[name]wait) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, w := range batch {
		if b.waiting[id] == w {
			delete(b.waiting, id)
		}
	}
}

// flush writes what waits, and what is added while it runs up to a point.
func (r *Registry) flush(ctx context.Context) error {
	r.behind.flushing.Lock()
	defer r.behind.flushing.Unlock()
	for {
		batch := r.behind.batch()
		if len(batch) == 0 {
			return nil
		}
		var unreadable []error
		if err := r.store.Update(ctx, func(tx store.Tx) (err error) {
			unreadable, err = r.settle(tx, batch)
			return err
		}); err != nil {
			return fmt.Errorf("write idle limits of sessions: %w", err)
		}
		for _, err := range unreadable {
			r.log.Error("an idle limit could not be written and is given up", "error", err)
		}
		r.behind.done(batch)
		if len(batch) < flushBatch {
			return nil
		}
	}
}

// settle writes a batch. It only ever moves an idle limit forward, and ends only
// what the records themselves prove dead. A session whose records cannot be read
// is left out and named, so that it does not hold up all others; err is a store
// that does not answer.
func (r *Registry) settle(tx store.Tx, batch map[name]wait) (unreadable []error, err error) {
	for id, w := range batch {
		err := r.settleOne(tx, id, w)
		switch {
		case err == nil:
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrUnavailable):
			return nil, err
		default:
			unreadable = append(unreadable, fmt.Errorf("session %s: %w", id, err))
		}
	}
	return unreadable, nil
}

func (r *Registry) settleOne(tx store.Tx, id name, w wait) error {
	rec, err := loadRecord(tx, id)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	if w.idleUntil > rec.IdleUntil {
		rec.IdleUntil = w.idleUntil
		if err := rec.save(tx); err != nil {
			return err
		}
	}
	if w.deadAt == 0 {
		return nil
	}
	if _, err = r.judge(tx, rec, w.deadAt); errors.Is(err, ErrNone) {
		err = r.end(tx, id)
	}
	return err
}

// run is the one background goroutine over the store.
func (r *Registry) run() {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for beat := 0; ; beat++ {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			r.beat(beat)
		}
	}
}

func (r *Registry) beat(beat int) {
	ctx, cancel := context.WithTimeout(context.Background(), beatWait)
	defer cancel()
	at := r.instant(r.clock())
	for i := range sweepShards {
		for _, id := range r.index.sweep((beat*sweepShards+i)%shards, at) {
			r.behind.reap(id, at)
		}
	}
	r.report("sessions", r.flush(ctx))
	r.ends.look(ctx, at)
	if beat%rotateEvery == 0 {
		r.report("signing keys", r.keys.rotate(ctx, keyAge))
	}
}

// report logs a failure of the background once, not at each beat.
func (r *Registry) report(what string, err error) {
	r.behind.mu.Lock()
	first := err != nil && !r.behind.failing
	r.behind.failing = err != nil
	r.behind.mu.Unlock()
	if first {
		r.log.Error("background work of sessions failed, will be tried again", "what", what, "error", err)
	}
}
