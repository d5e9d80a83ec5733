package engine

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// Watchers are those who follow changes. The zero Watchers are none. It is safe
// for concurrent use.
type Watchers struct {
	mu   sync.RWMutex
	all  map[int]watcher
	next int
}

type watcher struct {
	prefix []byte
	fn     func(store.Change)
}

// Add is store.Store.Watch.
func (w *Watchers) Add(prefix []byte, fn func(store.Change)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[int]watcher{}
	}
	id := w.next
	w.next++
	w.all[id] = watcher{bytes.Clone(prefix), fn}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, id)
	}
}

// Any reports whether somebody watches.
func (w *Watchers) Any() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.all) > 0
}

// Call is one change for one watcher.
type Call struct {
	id     int
	change store.Change
}

// Calls are what one transaction's writes mean to those who watch, in order of keys.
func (w *Watchers) Calls(writes Overlay) []Call {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.all) == 0 {
		return nil
	}
	var calls []Call
	for _, key := range slices.Sorted(maps.Keys(writes)) {
		e := writes[key]
		calls = w.tell(calls, store.Change{Key: []byte(key), Value: e.Value, Expires: e.Expires, Deleted: e.Deleted})
	}
	return calls
}

// CallsOf are what changes mean to those who watch, in their order.
func (w *Watchers) CallsOf(changes []store.Change) (calls []Call) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, c := range changes {
		calls = w.tell(calls, c)
	}
	return calls
}

func (w *Watchers) tell(calls []Call, c store.Change) []Call {
	for _, id := range slices.Sorted(maps.Keys(w.all)) {
		if bytes.HasPrefix(c.Key, w.all[id].prefix) {
			calls = append(calls, Call{id, c})
		}
	}
	return calls
}

// Missed are the calls that tell all watchers to forget what they know.
func (w *Watchers) Missed() (calls []Call) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(w.all)) {
		calls = append(calls, Call{id, store.Change{Key: w.all[id].prefix, Deleted: true, All: true}})
	}
	return calls
}

// Run makes the calls, all of them even when one panics, but for watchers that
// have stopped since.
func (w *Watchers) Run(calls []Call) {
	defer func() {
		if len(calls) > 0 {
			w.Run(calls)
		}
	}()
	for len(calls) > 0 {
		c := calls[0]
		calls = calls[1:]
		w.mu.RLock()
		watcher, ok := w.all[c.id]
		w.mu.RUnlock()
		if ok {
			watcher.fn(c.change)
		}
	}
}
