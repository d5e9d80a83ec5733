package badger

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// watchers are those who follow changes.
type watchers struct {
	mu   sync.RWMutex
	all  map[int]watcher
	next int
}

type watcher struct {
	prefix []byte
	fn     func(store.Change)
}

func (w *watchers) add(prefix []byte, fn func(store.Change)) (stop func()) {
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

// call is one change for one watcher.
type call struct {
	id     int
	change store.Change
}

// calls are what one transaction's writes mean to those who watch, in order of keys.
func (w *watchers) calls(writes overlay) []call {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.all) == 0 {
		return nil
	}
	var calls []call
	ids := slices.Sorted(maps.Keys(w.all))
	for _, key := range slices.Sorted(maps.Keys(writes)) {
		for _, id := range ids {
			if e := writes[key]; bytes.HasPrefix([]byte(key), w.all[id].prefix) {
				calls = append(calls, call{id, store.Change{Key: []byte(key), Value: e.value, Expires: e.expires, Deleted: e.deleted}})
			}
		}
	}
	return calls
}

// run makes the calls, all of them even when one panics, but for watchers that
// have stopped since.
func (w *watchers) run(calls []call) {
	defer func() {
		if len(calls) > 0 {
			w.run(calls)
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
