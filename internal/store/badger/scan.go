package badger

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/engine"
)

func (t *tx) Scan(prefix, from []byte) iter.Seq2[store.Item, error] {
	return func(yield func(store.Item, error) bool) {
		if t.over {
			yield(store.Item{}, engine.ErrOver)
			return
		}
		start := prefix
		if bytes.Compare(from, prefix) > 0 {
			start = from
		}
		err := t.scan(bytes.Clone(prefix), bytes.Clone(start), func(item store.Item) bool { return yield(item, nil) })
		if err != nil {
			yield(store.Item{}, err)
		}
	}
}

// scan merges what was written with what Badger holds. It answers an error only
// while the caller still listens.
func (t *tx) scan(prefix, start []byte, yield func(store.Item) bool) error {
	writes, keys := engine.From(prefix, start, t.Before, t.Own)
	it := t.snapshot.NewIterator(badger.IteratorOptions{Prefix: prefix})
	t.iterators = append(t.iterators, it)
	defer t.drop(it)

	it.Seek(start)
	for n := 1; len(keys) > 0 || it.ValidForPrefix(prefix); n++ {
		if n%64 == 0 && t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		var item store.Item
		if order := compareHead(keys, it, prefix); order <= 0 {
			key := keys[0]
			keys = keys[1:]
			if order == 0 {
				it.Next() // overwritten
			}
			e := writes[key]
			if e.Deleted {
				continue
			}
			item = e.Item(key)
		} else {
			var err error
			if item, err = stored(it.Item()); err != nil {
				return err
			}
			it.Next()
		}
		if !yield(item) {
			return nil
		}
		if t.over { // iter.Pull went on after the end
			return engine.ErrOver
		}
	}
	return nil
}

// compareHead says whose key comes next: below zero the written one's, above
// zero Badger's, zero both.
func compareHead(keys []string, it *badger.Iterator, prefix []byte) int {
	switch {
	case len(keys) == 0:
		return 1
	case !it.ValidForPrefix(prefix):
		return -1
	}
	return strings.Compare(keys[0], string(it.Item().Key()))
}

func stored(item *badger.Item) (store.Item, error) {
	value, err := item.ValueCopy(nil)
	if err != nil {
		return store.Item{}, fmt.Errorf("read record: %w", err)
	}
	out := store.Item{Key: item.KeyCopy(nil), Value: value}
	if at := item.ExpiresAt(); at != 0 {
		out.Expires = time.Unix(int64(at), 0)
	}
	return out, nil
}

func (t *tx) drop(it *badger.Iterator) {
	it.Close()
	if i := slices.Index(t.iterators, it); i >= 0 {
		t.iterators = slices.Delete(t.iterators, i, i+1)
	}
}
