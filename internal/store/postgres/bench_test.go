package postgres

import (
	"encoding/binary"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
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

// keyOf says which record a call counts on: all on one, or each on its own.
var keyOf = map[string]func(n uint64) store.Key{
	"hot":      func(uint64) store.Key { return record("hot") },
	"separate": func(n uint64) store.Key { return record("b", n%100_000) },
}

// BenchmarkUpdate64Writers: each reads a record and writes it, and is on the disk
// when it returns; on one node, and spread over two.
func BenchmarkUpdate64Writers(b *testing.B) {
	server := pgtest.Durable(b)
	for name, key := range keyOf {
		for _, nodes := range []int{1, 2} {
			b.Run(name+map[int]string{1: "/one node", 2: "/two nodes"}[nodes], func(b *testing.B) {
				at := server.URL(b)
				var all []*db
				for range nodes {
					all = append(all, node(b, at))
				}
				inParallel(b, func(n uint64) error {
					return all[n%uint64(nodes)].Update(b.Context(), func(tx store.Tx) error { return count(tx, key(n)) })
				})
			})
		}
	}
}

// BenchmarkPlain64Writers is what the committer is measured against: one
// SERIALIZABLE transaction for each, on ten connections, run again while it fails,
// and without a log that others could follow.
func BenchmarkPlain64Writers(b *testing.B) {
	server := pgtest.Durable(b)
	for name, key := range keyOf {
		b.Run(name, func(b *testing.B) {
			at := server.URL(b)
			node(b, at)
			u, err := url.Parse(at)
			if err != nil {
				b.Fatal(err)
			}
			u.RawQuery += "&pool_max_conns=10"
			pool, err := pgxpool.New(b.Context(), u.String())
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			retries := atomic.Int64{}
			inParallel(b, func(n uint64) error {
				for {
					err := pgx.BeginTxFunc(b.Context(), pool, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
						value := make([]byte, 8)
						err := tx.QueryRow(b.Context(), "select value from sallyport_records where key = $1", key(n)).Scan(&value)
						if err != nil && !errors.Is(err, pgx.ErrNoRows) {
							return err
						}
						value = binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(value)+1)
						_, err = tx.Exec(b.Context(), "insert into sallyport_records (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value", key(n), value)
						return err
					})
					if !conflict(err) {
						return err
					}
					retries.Add(1)
				}
			})
			b.ReportMetric(float64(retries.Load())/float64(b.N), "retries/op")
		})
	}
}

// BenchmarkGet is one View with one Get.
func BenchmarkGet(b *testing.B) {
	s := node(b, pgtest.Durable(b).URL(b))
	if err := put(b, s, record("b"), "x"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := s.View(b.Context(), func(tx store.Tx) error {
			_, err := tx.Get(record("b"))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate is one Update at a time, with one Get: what a lone caller waits.
func BenchmarkUpdate(b *testing.B) {
	s := node(b, pgtest.Durable(b).URL(b))
	for b.Loop() {
		if err := s.Update(b.Context(), func(tx store.Tx) error { return count(tx, record("n")) }); err != nil {
			b.Fatal(err)
		}
	}
}
