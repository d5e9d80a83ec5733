package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// entry is a record that was written but is not yet in Badger.
type entry struct {
	value   []byte
	expires time.Time
	deleted bool
}

// overlay is what was written, by key.
type overlay map[string]entry

// cost is what entries take of a Badger transaction: an upper bound.
type cost struct{ count, size int64 }

func costOf(key string, e entry) cost {
	return cost{count: 1, size: int64(len(key) + len(e.value) + 64)}
}

func (c cost) plus(d cost) cost  { return cost{c.count + d.count, c.size + d.size} }
func (c cost) minus(d cost) cost { return cost{c.count - d.count, c.size - d.size} }
func (c cost) over(limit cost) bool {
	return c.count > limit.count || c.size > limit.size
}

// tx is one run of a transaction: its own writes over those of the batch over a
// snapshot of Badger.
type tx struct {
	ctx      context.Context
	snapshot *badger.Txn
	now      time.Time

	batch overlay // earlier Updates of the same batch; read only here
	own   overlay // nil in a View
	cost  cost
	limit cost

	after     []func()
	iterators []*badger.Iterator
	over      bool
}

var errOver = errors.New("transaction used after its end")

func (t *tx) Now() time.Time { return t.now }

func (t *tx) After(fn func()) { t.after = append(t.after, fn) }

func (t *tx) runAfter() {
	for _, fn := range t.after {
		fn()
	}
}

// end closes what a caller left open (iter.Pull without stop): Badger would panic.
func (t *tx) end() {
	t.over = true
	for _, it := range t.iterators {
		it.Close()
	}
	t.iterators = nil
}

func (t *tx) Get(key []byte) ([]byte, error) {
	if t.over {
		return nil, errOver
	}
	if e, ok := t.written(string(key)); ok {
		if e.deleted {
			return nil, store.ErrNotFound
		}
		return bytes.Clone(e.value), nil
	}
	if len(key) == 0 {
		return nil, store.ErrNotFound
	}
	item, err := t.snapshot.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	return value, nil
}

func (t *tx) written(key string) (entry, bool) {
	if e, ok := t.own[key]; ok {
		return e, true
	}
	e, ok := t.batch[key]
	return e, ok
}

func (t *tx) Put(key, value []byte, expires time.Time) error {
	if len(value) > store.MaxValue+sealing {
		return fmt.Errorf("%w: a value of %d bytes; the limit is %d", store.ErrTooLarge, len(value), store.MaxValue)
	}
	return t.write(key, entry{value: append([]byte{}, value...), expires: expires})
}

func (t *tx) Delete(key []byte) error { return t.write(key, entry{deleted: true}) }

func (t *tx) write(key []byte, e entry) error {
	switch {
	case t.over:
		return errOver
	case t.own == nil:
		return store.ErrReadOnly
	case len(key) == 0:
		return errors.New("a record needs a key")
	case len(key) > store.MaxKey:
		return fmt.Errorf("%w: a key of %d bytes; the limit is %d", store.ErrTooLarge, len(key), store.MaxKey)
	}
	name := string(key)
	cost := t.cost.plus(costOf(name, e))
	if old, ok := t.own[name]; ok {
		cost = cost.minus(costOf(name, old))
	}
	if cost.over(t.limit) {
		return fmt.Errorf("%w: a transaction of more than %d records or %d KiB; write in pages", store.ErrTooLarge, t.limit.count, t.limit.size>>10)
	}
	t.own[name], t.cost = e, cost
	return nil
}
