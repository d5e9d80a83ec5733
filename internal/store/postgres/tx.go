package postgres

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/engine"
)

// tx is one run of a transaction: its own writes over those of the batch over a
// transaction of PostgreSQL.
type tx struct {
	engine.Writes
	ctx     context.Context
	conn    *pgx.Conn
	now     time.Time
	read    cache             // of the batch; nil in a View
	failed  func(error) error // notes what PostgreSQL failed at; nil in a View
	explain func(what string, err error) error
	over    bool
}

// cache is what a batch has read. The lock keeps it true: nobody else writes.
type cache map[string][]byte // nil: no such record

// Bounds of a cache, in records and in bytes of a value.
const (
	maxCached      = 20_000
	maxCachedValue = 2 << 10
)

func (c cache) keep(key string, value []byte) {
	if c != nil && len(c) < maxCached && len(value) <= maxCachedValue {
		c[key] = value
	}
}

func (t *tx) Now() time.Time { return t.now }

func (t *tx) Get(key []byte) ([]byte, error) {
	if t.over {
		return nil, engine.ErrOver
	}
	name := string(key)
	if e, ok := t.Writes.Get(name); ok {
		if e.Deleted {
			return nil, store.ErrNotFound
		}
		return bytes.Clone(e.Value), nil
	}
	value, ok := t.read[name]
	if !ok {
		var err error
		if value, err = t.get(key); err != nil {
			return nil, t.fail(err)
		}
		t.read.keep(name, bytes.Clone(value))
	} else {
		value = bytes.Clone(value)
	}
	if value == nil {
		return nil, store.ErrNotFound
	}
	return value, nil
}

// get asks the server; nil: there is no such record.
func (t *tx) get(key []byte) (value []byte, err error) {
	ctx, cancel := answering()
	defer cancel()
	err = t.conn.QueryRow(ctx, "select value from sallyport_records where key = $1", key).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

func (t *tx) fail(err error) error {
	if t.failed != nil {
		return t.failed(err)
	}
	return t.explain("read", err)
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

// scan merges what was written with what PostgreSQL holds. It answers an error only
// while the caller still listens.
func (t *tx) scan(prefix, start []byte, yield func(store.Item) bool) error {
	writes, keys := engine.From(prefix, start, t.Before, t.Own)
	stored := &pages{tx: t, from: start, end: behind(prefix), size: firstPage}
	for {
		item, err := stored.head()
		if err != nil {
			return err
		}
		switch {
		case len(keys) > 0 && (item == nil || strings.Compare(keys[0], string(item.Key)) <= 0):
			key := keys[0]
			keys = keys[1:]
			if item != nil && string(item.Key) == key {
				stored.pop() // overwritten
			}
			if writes[key].Deleted {
				continue
			}
			written := writes[key].Item(key)
			item = &written
		case item == nil:
			return nil
		default:
			stored.pop()
		}
		if !yield(*item) {
			return nil
		}
		if t.over { // iter.Pull went on after the end
			return engine.ErrOver
		}
	}
}

// behind is the first key after all that start with prefix; nil: there is none.
func behind(prefix []byte) []byte {
	end := bytes.TrimRight(prefix, "\xff")
	if len(end) == 0 {
		return nil
	}
	end = bytes.Clone(end)
	end[len(end)-1]++
	return end
}

// Sizes of the pages in which a Scan reads, in records and bytes. Many scans end
// after a few records.
const (
	firstPage = 32
	lastPage  = 512
	pageBytes = 4 << 20
)

// pages reads a range page by page. Each is read to its end, so that scans may nest
// on one connection, and be forgotten.
type pages struct {
	tx        *tx
	from, end []byte
	size      int
	items     []store.Item
	done      bool
}

// head is the next item, nil at the end.
func (p *pages) head() (*store.Item, error) {
	if len(p.items) == 0 && !p.done {
		if err := p.tx.ctx.Err(); err != nil {
			return nil, err
		}
		if err := p.load(); err != nil {
			return nil, p.tx.fail(err)
		}
	}
	if len(p.items) == 0 {
		return nil, nil
	}
	return &p.items[0], nil
}

func (p *pages) pop() { p.items = p.items[1:] }

func (p *pages) load() error {
	ctx, cancel := answering()
	defer cancel()
	const columns = "select key, value, expires from sallyport_records where key >= $1 "
	from := append([]byte{}, p.from...)
	var rows pgx.Rows
	var err error
	if p.end == nil {
		rows, err = p.tx.conn.Query(ctx, columns+"order by key limit $2", from, p.size)
	} else {
		rows, err = p.tx.conn.Query(ctx, columns+"and key < $3 order by key limit $2", from, p.size, p.end)
	}
	if err != nil {
		return err
	}
	bytes := 1
	p.items, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (item store.Item, err error) {
		var expires *int64
		err = row.Scan(&item.Key, &item.Value, &expires)
		item.Expires = timeOf(expires)
		bytes += len(item.Value)
		return item, err
	})
	if err != nil {
		return err
	}
	if p.done = len(p.items) < p.size; !p.done {
		p.from = store.Next(p.items[len(p.items)-1].Key)
		p.size = max(1, min(4*p.size, lastPage, pageBytes/max(1, bytes/len(p.items))))
	}
	return nil
}
