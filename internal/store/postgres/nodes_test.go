package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// node opens a database as one of its nodes. The end of the test closes it.
func node(t testing.TB, url string, change ...func(*Options)) *db {
	t.Helper()
	opt := Options{URL: url}
	for _, c := range change {
		c(&opt)
	}
	s, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*db)
}

// named gives a node a name. Notifications under its own name a node leaves alone.
func named(name string) func(*Options) { return func(o *Options) { o.testOnlyNode = name } }

func record(parts ...any) store.Key { return store.K(store.PrefixCompat, parts...) }

func put(t testing.TB, s store.Store, key []byte, value string) error {
	return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put(key, []byte(value), time.Time{}) })
}

// count adds one to a record.
func count(tx store.Tx, key []byte) error {
	n := uint64(0)
	value, err := tx.Get(key)
	if err == nil {
		n = binary.BigEndian.Uint64(value)
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return tx.Put(key, binary.BigEndian.AppendUint64(nil, n+1), time.Time{})
}

func number(t testing.TB, s store.Store, key []byte) (n uint64) {
	t.Helper()
	err := s.View(t.Context(), func(tx store.Tx) error {
		value, err := tx.Get(key)
		if err == nil {
			n = binary.BigEndian.Uint64(value)
		}
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	return n
}

// eventually waits for what another node has to hear first.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not in 20 seconds: %s", what)
		}
	}
}

// hear takes what is told, and fails when nothing is.
func hear[T any](t testing.TB, what string, told <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-told:
	case <-time.After(20 * time.Second):
		t.Fatalf("not in 20 seconds: %s", what)
	}
	return got
}

// A throttle's counter on two nodes: no wrong try is lost, wherever it was made.
func TestTwoNodesOneCounter(t *testing.T) {
	const writers, each = 16, 25
	url := pgtest.URL(t)
	var all sync.WaitGroup
	for _, s := range []*db{node(t, url), node(t, url)} {
		for range writers {
			all.Go(func() {
				for range each {
					if err := s.Update(t.Context(), func(tx store.Tx) error { return count(tx, record("n")) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	if n := number(t, node(t, url), record("n")); n != 2*writers*each {
		t.Errorf("counted %d of %d", n, 2*writers*each)
	}
}

// Two administrators delete each other at the same moment, each on another node:
// both read that there are two, and write only their own record and the guard's.
func TestWriteSkewAcrossNodes(t *testing.T) {
	url := pgtest.URL(t)
	nodes := []*db{node(t, url), node(t, url)}
	errLast := errors.New("the last administrator stays")
	for round := range 20 {
		a, b := record("admin", round, 0), record("admin", round, 1)
		if err := errors.Join(put(t, nodes[0], a, "a"), put(t, nodes[1], b, "b")); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		var won atomic.Int32
		for i, own := range [][]byte{a, b} {
			both.Go(func() {
				// No guard record: even the gaps hold, because no two nodes overlap.
				err := nodes[i].Update(t.Context(), func(tx store.Tx) error {
					left := 0
					for _, err := range tx.Scan(store.KPrefix(store.PrefixCompat, "admin", round), nil) {
						if err != nil {
							return err
						}
						left++
					}
					if left < 2 {
						return errLast
					}
					return tx.Delete(own)
				})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, errLast) {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d of 2 deleted an administrator", round, won.Load())
		}
	}
}

// follower counts what a node is told of a counter, and that nothing is missing,
// doubled or out of order.
type follower struct {
	last atomic.Uint64
}

func follow(t testing.TB, s store.Store, key []byte) *follower {
	f := &follower{}
	t.Cleanup(s.Watch(key, func(c store.Change) {
		if c.All {
			t.Error("changes were missed")
			return
		}
		if n, last := binary.BigEndian.Uint64(c.Value), f.last.Load(); n != last+1 {
			t.Errorf("told %d after %d", n, last)
		}
		f.last.Add(1)
	}))
	return f
}

// Three nodes write the same counter under load, and a fourth only listens: each is
// told each value once, in order.
func TestEveryNodeHearsAllInCommitOrder(t *testing.T) {
	const writers, each = 8, 20
	url := pgtest.URL(t)
	var all sync.WaitGroup
	var followers []*follower
	var nodes []*db
	for range 4 {
		s := node(t, url)
		nodes, followers = append(nodes, s), append(followers, follow(t, s, record("n")))
	}
	for _, s := range nodes[:3] {
		for range writers {
			all.Go(func() {
				for range each {
					if err := s.Update(t.Context(), func(tx store.Tx) error { return count(tx, record("n")) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	for i, f := range followers {
		eventually(t, fmt.Sprintf("node %d hears all", i), func() bool { return f.last.Load() == 3*writers*each })
	}
}

// A revocation on one node is known on another within the second that
// security-model.md promises, and a node that was told nothing finds it by itself.
func TestRevocationIsHeard(t *testing.T) {
	url := pgtest.URL(t)
	there := node(t, url, named("there"))
	for how, here := range map[string]*db{
		"notified": node(t, url),
		"polling":  node(t, url, named("there")), // as if the notification were lost
	} {
		gone := make(chan time.Time, 1)
		stop := there.Watch(record("session"), func(c store.Change) {
			if c.Deleted {
				gone <- time.Now()
			}
		})
		if err := put(t, here, record("session"), "open"); err != nil {
			t.Fatal(err)
		}
		if err := here.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(record("session")) }); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		// One second, and room for a machine that is busy with other tests.
		if took := hear(t, how, gone).Sub(begin); took > 5*time.Second {
			t.Errorf("%s: heard after %v", how, took)
		}
		stop()
	}
}

// What another node committed before is told before what this node commits: a
// watcher never sees an old value after a newer one.
func TestOwnCommitsComeBehindEarlierOnes(t *testing.T) {
	url := pgtest.URL(t)
	deaf := func(o *Options) { o.testOnlyPoll = time.Hour }
	here, there := node(t, url, deaf, named("x")), node(t, url, named("x"))
	f := follow(t, here, record("n"))
	for i := range 10 {
		for _, s := range []*db{there, here} {
			if err := s.Update(t.Context(), func(tx store.Tx) error { return count(tx, record("n")) }); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.last.Load(); got != uint64(2*i+2) {
			t.Errorf("told up to %d when Update %d returned", got, 2*i+2)
		}
	}
}

// A node that was away so long that the log does not reach back is told to forget.
func TestPrunedLogMakesWatchersForget(t *testing.T) {
	url := pgtest.URL(t)
	alone := func(o *Options) { o.testOnlyPoll = time.Hour }
	here, there := node(t, url, alone, named("x")), node(t, url, named("x"))
	var told []store.Change
	t.Cleanup(here.Watch(record("w"), func(c store.Change) { told = append(told, c) }))
	for i := range 3 {
		if err := put(t, there, record("other", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Run(t, url, "delete from sallyport_changes where seq = 1")
	if err := put(t, here, record("w"), "mine"); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || !told[0].All || !told[0].Deleted || string(told[0].Key) != string(record("w")) || string(told[1].Value) != "mine" {
		t.Errorf("told %+v", told)
	}
	if err := put(t, here, record("w"), "again"); err != nil || len(told) != 3 {
		t.Errorf("told %+v, %v", told, err)
	}
}

// Eight nodes are started at once on an empty database: one makes the tables.
func TestManyNodesMigrateAtOnce(t *testing.T) {
	url := pgtest.URL(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			s, err := Open(t.Context(), Options{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(put(t, s, record(i), "x"), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
