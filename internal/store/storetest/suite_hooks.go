package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

func afterOnceAndOnlyAfter(b *bench) {
	var ran []string
	note := func(s string) func() { return func() { ran = append(ran, s) } }
	b.update(func(tx store.Tx) error {
		tx.After(note("first"))
		tx.After(func() {
			b.want(key("k"), "committed")
			note("second")()
		})
		if len(ran) > 0 {
			b.Error("After ran before the commit")
		}
		return tx.Put(key("k"), []byte("committed"), time.Time{})
	})
	if want := []string{"first", "second"}; !slices.Equal(ran, want) {
		b.Errorf("ran %q", ran)
	}
	ran = nil
	_ = b.Update(b.Context(), func(tx store.Tx) error {
		tx.After(note("aborted"))
		return errAbort
	})
	recovered(func() {
		_ = b.Update(b.Context(), func(tx store.Tx) error {
			tx.After(note("panicked"))
			panic("x")
		})
	})
	_ = b.View(b.Context(), func(tx store.Tx) error {
		tx.After(note("aborted view"))
		return errAbort
	})
	if len(ran) > 0 {
		b.Errorf("ran %q", ran)
	}
	b.view(func(tx store.Tx) error {
		tx.After(note("view"))
		return nil
	})
	b.update(func(tx store.Tx) error { // writes nothing
		tx.After(note("idle"))
		return nil
	})
	if want := []string{"view", "idle"}; !slices.Equal(ran, want) {
		b.Errorf("ran %q", ran)
	}
}

func afterMayOpenTransactions(b *bench) {
	b.update(func(tx store.Tx) error {
		tx.After(func() { b.put(key("event"), "written after") })
		return tx.Put(key("k"), []byte("x"), time.Time{})
	})
	b.want(key("event"), "written after")
	if recovered(func() {
		_ = b.Update(b.Context(), func(tx store.Tx) error {
			tx.After(func() { panic("x") })
			return tx.Put(key("k"), []byte("y"), time.Time{})
		})
	}) != "x" {
		b.Error("the panic of an After did not reach the caller")
	}
	b.want(key("k"), "y")
}

// Exact revocation: when Update has returned, the index knows.
func watchBeforeUpdateReturns(b *bench) {
	index := map[string]string{}
	calls := 0
	stop := b.Watch(under("watched"), func(c store.Change) {
		calls++
		if c.Deleted != (c.Value == nil) {
			b.Errorf("deleted %v with value %q", c.Deleted, c.Value)
		}
		if c.Deleted {
			delete(index, string(c.Key))
		} else {
			index[string(c.Key)] = string(c.Value)
		}
		b.view(func(store.Tx) error { return nil }) // reading is allowed
	})
	k := key("watched", "session")
	b.update(func(tx store.Tx) error {
		tx.After(func() {
			if index[string(k)] != "open" {
				b.Error("After ran before Watch")
			}
		})
		return errors.Join(tx.Put(k, []byte("open"), time.Time{}), tx.Put(key("other"), nil, time.Time{}))
	})
	if len(index) != 1 || calls != 1 {
		b.Errorf("index %q after %d calls", index, calls)
	}
	_ = b.Update(b.Context(), func(tx store.Tx) error {
		return errors.Join(tx.Delete(k), errAbort)
	})
	if calls != 1 {
		b.Error("an aborted change was told")
	}
	b.update(func(tx store.Tx) error { return tx.Delete(k) })
	if len(index) != 0 || calls != 2 {
		b.Errorf("index %q after %d calls", index, calls)
	}
	stop()
	stop()
	b.put(k, "open")
	if calls != 2 {
		b.Error("called after stop")
	}
}

func watchInCommitOrder(b *bench) {
	var last uint64 // unguarded: calls come one at a time
	b.Cleanup(b.Watch(key("counter"), func(c store.Change) {
		if n := binary.BigEndian.Uint64(c.Value); n != last+1 {
			b.Errorf("%d after %d", n, last)
		} else {
			last = n
		}
	}))
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			b.update(func(tx store.Tx) error {
				_, err := count(tx, key("counter"))
				return err
			})
		})
	}
	all.Wait()
	if last != 200 {
		b.Errorf("told up to %d", last)
	}
}

// A watcher that panics spoils neither the store, nor the commit, nor the others.
func watchThatPanics(b *bench) {
	told := 0
	b.Cleanup(b.Watch(under("w"), func(c store.Change) {
		if string(c.Value) == "bad" {
			panic("watcher")
		}
	}))
	b.Cleanup(b.Watch(under("w"), func(store.Change) { told++ }))
	if value := recovered(func() { b.put(key("w"), "bad") }); value != "watcher" {
		b.Errorf("recovered %v", value)
	}
	b.put(key("w", "2"), "good")
	b.want(key("w"), "bad")
	if told != 2 {
		b.Errorf("the other watcher was told %d times", told)
	}
}

func expiryByOurClock(b *bench) {
	k := key("short")
	b.putUntil(k, "x", start.Add(time.Minute))
	b.putUntil(key("ever"), "y", time.Time{})
	b.putUntil(key("born dead"), "z", start)
	b.wantNone(key("born dead"))
	b.clock.Advance(time.Minute - time.Nanosecond)
	b.want(k, "x")
	b.clock.Advance(time.Nanosecond)
	b.wantNone(k)
	b.update(func(tx store.Tx) error {
		if _, err := tx.Get(k); !errors.Is(err, store.ErrNotFound) {
			b.Errorf("Get in Update: %v", err)
		}
		return tx.Put(k, []byte("again"), tx.Now().Add(time.Second))
	})
	b.want(k, "again")
	b.clock.Advance(100 * 365 * 24 * time.Hour)
	b.wantNone(k)
	b.want(key("ever"), "y")
}

func expiryInScanAndWatch(b *bench) {
	for i := range 6 {
		b.putUntil(key("e", uint64(i)), fmt.Sprint(i), start.Add(time.Duration(i)*time.Minute))
	}
	expiries := func(tx store.Tx) (at []time.Duration) {
		for item, err := range tx.Scan(under("e"), nil) {
			if err != nil {
				b.Fatal(err)
			}
			at = append(at, item.Expires.Sub(start))
		}
		return at
	}
	b.clock.Advance(3*time.Minute + time.Nanosecond)
	b.view(func(tx store.Tx) error {
		b.wantScan(tx, under("e"), nil, "4", "5")
		if got := expiries(tx); !slices.Equal(got, []time.Duration{4 * time.Minute, 5 * time.Minute}) {
			b.Errorf("expiries %v", got)
		}
		return nil
	})
	b.update(func(tx store.Tx) error {
		err := tx.Put(key("e", uint64(0)), []byte("dead"), tx.Now())
		b.wantScan(tx, under("e"), nil, "4", "5")
		return err
	})
	var changes []store.Change
	b.Cleanup(b.Watch(under("e"), func(c store.Change) { changes = append(changes, c) }))
	until := b.clock.Now().Add(time.Hour)
	b.putUntil(key("e", uint64(8)), "alive", until)
	b.putUntil(key("e", uint64(9)), "dead", b.clock.Now())
	if len(changes) != 2 || changes[0].Deleted || !changes[0].Expires.Equal(until) || !changes[1].Deleted || changes[1].Value != nil {
		b.Errorf("told %+v", changes)
	}
}
