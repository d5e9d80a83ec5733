package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// ErrOver is what a transaction answers that is used after its end.
var ErrOver = errors.New("transaction used after its end")

// sealing is what store.SealedStore may add to a value, in bytes.
const sealing = 1000

// MaxSealed is the longest value that an engine takes, in bytes.
const MaxSealed = store.MaxValue + sealing

// Entry is a record that was written but is not yet in the engine.
type Entry struct {
	Value   []byte
	Expires time.Time
	Deleted bool
}

// Item is what a Scan yields of an entry under its key.
func (e Entry) Item(key string) store.Item {
	return store.Item{Key: []byte(key), Value: append([]byte{}, e.Value...), Expires: e.Expires}
}

// Overlay is what was written, by key.
type Overlay map[string]Entry

// From copies what was written in a range, with the keys in order. Later overlays
// win over earlier ones.
func From(prefix, start []byte, overlays ...Overlay) (Overlay, []string) {
	found := Overlay{}
	for _, writes := range overlays {
		for key, e := range writes {
			if strings.HasPrefix(key, string(prefix)) && key >= string(start) {
				found[key] = e
			}
		}
	}
	return found, slices.Sorted(maps.Keys(found))
}

// Cost is what entries take of an engine's transaction: an upper bound.
type Cost struct{ Count, Size int64 }

func costOf(key string, e Entry) Cost {
	return Cost{Count: 1, Size: int64(len(key) + len(e.Value) + 64)}
}

// Plus is both together.
func (c Cost) Plus(d Cost) Cost { return Cost{c.Count + d.Count, c.Size + d.Size} }

// Over reports whether a cost is beyond a limit.
func (c Cost) Over(limit Cost) bool { return c.Count > limit.Count || c.Size > limit.Size }

// Writes are those of one transaction, over what was written before it and is not
// in the engine yet. The zero Writes refuse to be written: a view's.
type Writes struct {
	Before Overlay // earlier Updates of the same commit; read only here
	Own    Overlay // nil in a View
	Cost   Cost
	Limit  Cost

	after []func()
}

// Get finds what was written for a key.
func (w *Writes) Get(key string) (Entry, bool) {
	if e, ok := w.Own[key]; ok {
		return e, true
	}
	e, ok := w.Before[key]
	return e, ok
}

// Put is the writing half of store.Tx.Put.
func (w *Writes) Put(key, value []byte, expires time.Time) error {
	if len(value) > MaxSealed {
		return fmt.Errorf("%w: a value of %d bytes; the limit is %d", store.ErrTooLarge, len(value), store.MaxValue)
	}
	return w.write(key, Entry{Value: append([]byte{}, value...), Expires: expires})
}

// Delete is the writing half of store.Tx.Delete.
func (w *Writes) Delete(key []byte) error { return w.write(key, Entry{Deleted: true}) }

func (w *Writes) write(key []byte, e Entry) error {
	switch {
	case w.Own == nil:
		return store.ErrReadOnly
	case len(key) == 0:
		return errors.New("a record needs a key")
	case len(key) > store.MaxKey:
		return fmt.Errorf("%w: a key of %d bytes; the limit is %d", store.ErrTooLarge, len(key), store.MaxKey)
	}
	name := string(key)
	cost := w.Cost.Plus(costOf(name, e))
	if old, ok := w.Own[name]; ok {
		less := costOf(name, old)
		cost = cost.Plus(Cost{-less.Count, -less.Size})
	}
	if cost.Over(w.Limit) {
		return fmt.Errorf("%w: a transaction of more than %d records or %d KiB; write in pages", store.ErrTooLarge, w.Limit.Count, w.Limit.Size>>10)
	}
	w.Own[name], w.Cost = e, cost
	return nil
}

// After is store.Tx.After.
func (w *Writes) After(fn func()) { w.after = append(w.after, fn) }

// RunAfter calls what After was given.
func (w *Writes) RunAfter() {
	for _, fn := range w.after {
		fn()
	}
}
