package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/engine"
)

// tx is one run of a transaction: its own writes over those of the batch over a
// snapshot of Badger.
type tx struct {
	engine.Writes
	ctx       context.Context
	snapshot  *badger.Txn
	now       time.Time
	iterators []*badger.Iterator
	over      bool
}

func (t *tx) Now() time.Time { return t.now }

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
		return nil, engine.ErrOver
	}
	if e, ok := t.Writes.Get(string(key)); ok {
		if e.Deleted {
			return nil, store.ErrNotFound
		}
		return bytes.Clone(e.Value), nil
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

func (t *tx) Put(key, value []byte, expires time.Time) error {
	if t.over {
		return engine.ErrOver
	}
	return t.Writes.Put(key, value, expires)
}

func (t *tx) Delete(key []byte) error {
	if t.over {
		return engine.ErrOver
	}
	return t.Writes.Delete(key)
}
