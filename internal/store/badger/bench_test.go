package badger_test

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	plain "github.com/dgraph-io/badger/v4"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

const benchWriters = 64

// inParallel spreads b.N calls over 64 writers and reports calls per second.
func inParallel(b *testing.B, call func(n uint64) error) {
	var next atomic.Uint64
	var writers sync.WaitGroup
	b.ResetTimer()
	begin := time.Now()
	for range benchWriters {
		writers.Go(func() {
			for n := next.Add(1); n <= uint64(b.N); n = next.Add(1) {
				if err := call(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "commits/s")
}

// BenchmarkCommit64Writers: each transaction reads and writes a record of its own
// (200 bytes), sealed, and is on the disk when it returns.
func BenchmarkCommit64Writers(b *testing.B) {
	s := storetest.OpenDir(b, b.TempDir(), storetest.NewKeyring(b), nil)
	value := make([]byte, 200)
	inParallel(b, func(n uint64) error {
		return s.Update(b.Context(), func(tx store.Tx) error {
			key := store.K(store.PrefixSession, "b", n%100_000)
			if _, err := tx.Get(key); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return tx.Put(key, value, time.Time{})
		})
	})
}

// BenchmarkHotKey64Writers: all count on one record.
func BenchmarkHotKey64Writers(b *testing.B) {
	s := storetest.OpenDir(b, b.TempDir(), storetest.NewKeyring(b), nil)
	key := store.K(store.PrefixThrottle, "hot")
	inParallel(b, func(uint64) error {
		return s.Update(b.Context(), func(tx store.Tx) error {
			value, err := tx.Get(key)
			if errors.Is(err, store.ErrNotFound) {
				value, err = make([]byte, 8), nil
			}
			if err != nil {
				return err
			}
			return tx.Put(key, binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(value)+1), time.Time{})
		})
	})
}

// BenchmarkPlainBadger64Writers is what the committer is measured against: one
// Badger transaction and one sync for each.
func BenchmarkPlainBadger64Writers(b *testing.B) {
	db, err := plain.Open(plain.DefaultOptions(b.TempDir()).WithSyncWrites(true).WithLogger(nil))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	value := make([]byte, 250)
	inParallel(b, func(n uint64) error {
		return db.Update(func(tx *plain.Txn) error {
			key := store.K(store.PrefixSession, "b", n%100_000)
			if _, err := tx.Get(key); err != nil && !errors.Is(err, plain.ErrKeyNotFound) {
				return err
			}
			return tx.Set(key, value)
		})
	})
}

// BenchmarkGet is one View with one Get of a sealed record.
func BenchmarkGet(b *testing.B) {
	s := storetest.OpenDir(b, b.TempDir(), storetest.NewKeyring(b), nil)
	key := store.K(store.PrefixSession, "b")
	if err := s.Update(b.Context(), func(tx store.Tx) error { return tx.Put(key, make([]byte, 200), time.Time{}) }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		err := s.View(b.Context(), func(tx store.Tx) error {
			_, err := tx.Get(key)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGetWhileCommitting is BenchmarkGet beside 64 writers: a snapshot waits
// for the commit that is under way.
func BenchmarkGetWhileCommitting(b *testing.B) {
	s := storetest.OpenDir(b, b.TempDir(), storetest.NewKeyring(b), nil)
	key := store.K(store.PrefixSession, "b")
	put := func(key store.Key) error {
		return s.Update(b.Context(), func(tx store.Tx) error { return tx.Put(key, make([]byte, 200), time.Time{}) })
	}
	if err := put(key); err != nil {
		b.Fatal(err)
	}
	var stop atomic.Bool
	var writers sync.WaitGroup
	for w := range benchWriters {
		writers.Go(func() {
			for i := 0; !stop.Load(); i++ {
				if err := put(store.K(store.PrefixSession, "w", w, i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	for b.Loop() {
		err := s.View(b.Context(), func(tx store.Tx) error {
			_, err := tx.Get(key)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	stop.Store(true)
	writers.Wait()
}
