package storetest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

var errAbort = errors.New("abort")

func viewIsReadOnly(b *bench) {
	b.put(key("k"), "kept")
	b.view(func(tx store.Tx) error {
		if err := tx.Put(key("k"), []byte("x"), time.Time{}); !errors.Is(err, store.ErrReadOnly) {
			b.Errorf("Put: %v", err)
		}
		if err := tx.Delete(key("k")); !errors.Is(err, store.ErrReadOnly) {
			b.Errorf("Delete: %v", err)
		}
		return nil
	})
	b.want(key("k"), "kept")
	if err := b.View(b.Context(), func(store.Tx) error { return errAbort }); err != errAbort {
		b.Errorf("View returns %v", err)
	}
}

func viewIsASnapshot(b *bench) {
	b.put(key("k"), "old")
	b.view(func(tx store.Tx) error {
		b.put(key("k"), "new")
		b.put(key("l"), "new")
		if value, err := tx.Get(key("k")); err != nil || string(value) != "old" {
			b.Errorf("Get = %q, %v", value, err)
		}
		b.wantScan(tx, under(), nil, "old")
		return nil
	})
	b.want(key("k"), "new")
	b.update(func(tx store.Tx) error { // a View inside sees what is committed
		err := tx.Put(key("k"), []byte("newer"), time.Time{})
		b.want(key("k"), "new")
		return err
	})
}

func abortLeavesNothing(b *bench) {
	b.put(key("k"), "old")
	err := b.Update(b.Context(), func(tx store.Tx) error {
		return errors.Join(
			tx.Put(key("k"), []byte("new"), time.Time{}),
			tx.Put(key("l"), []byte("new"), time.Time{}),
			tx.Delete(key("k")), errAbort)
	})
	if !errors.Is(err, errAbort) {
		b.Errorf("Update: %v", err)
	}
	if err := b.Update(b.Context(), func(store.Tx) error { return errAbort }); err != errAbort {
		b.Errorf("fn's error comes back as %v", err)
	}
	b.want(key("k"), "old")
	b.wantNone(key("l"))
}

// A handler that panics (net/http recovers it) must not take the store with it,
// nor the transactions that share its commit.
func panicReachesItsCaller(b *bench) {
	var others sync.WaitGroup
	for i := range 20 {
		others.Go(func() { b.put(key("other", uint64(i)), "kept") })
	}
	for range 5 {
		value := recovered(func() {
			_ = b.Update(b.Context(), func(tx store.Tx) error {
				if err := tx.Put(key("k"), []byte("x"), time.Time{}); err != nil {
					return err
				}
				panic("the handler's own")
			})
		})
		if value != "the handler's own" {
			b.Errorf("recovered %v", value)
		}
	}
	others.Wait()
	if value := recovered(func() {
		_ = b.View(b.Context(), func(store.Tx) error { panic("in a view") })
	}); value != "in a view" {
		b.Errorf("recovered %v", value)
	}
	b.wantNone(key("k"))
	for i := range 20 {
		b.want(key("other", uint64(i)), "kept")
	}
}

// t.FailNow inside fn is a runtime.Goexit.
func goexitEndsItsCallerAlone(b *bench) {
	var caller sync.WaitGroup
	caller.Go(func() {
		_ = b.Update(b.Context(), func(tx store.Tx) error {
			_ = tx.Put(key("k"), []byte("x"), time.Time{})
			runtime.Goexit()
			return nil
		})
	})
	caller.Wait()
	b.wantNone(key("k"))
	b.put(key("k"), "works")
	b.want(key("k"), "works")
}

func contextEndedBefore(b *bench) {
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	ran := func(store.Tx) error {
		b.Error("fn ran")
		return nil
	}
	if err := b.Update(ctx, ran); !errors.Is(err, context.Canceled) {
		b.Errorf("Update: %v", err)
	}
	if err := b.View(ctx, ran); !errors.Is(err, context.Canceled) {
		b.Errorf("View: %v", err)
	}
	// Once fn has started the outcome counts, whatever the context says.
	ctx, cancel = context.WithCancel(b.Context())
	err := b.Update(ctx, func(tx store.Tx) error {
		cancel()
		return tx.Put(key("k"), []byte("kept"), time.Time{})
	})
	if err != nil {
		b.Errorf("Update: %v", err)
	}
	b.want(key("k"), "kept")
}

// A client that went away while it waited for its turn changes nothing.
func contextEndsInTheQueue(b *bench) {
	ctx, cancel := context.WithCancel(b.Context())
	var waiting sync.WaitGroup
	b.update(func(tx store.Tx) error {
		for range 10 {
			waiting.Go(func() {
				err := b.Update(ctx, func(tx store.Tx) error {
					b.Error("fn ran")
					return nil
				})
				if !errors.Is(err, context.Canceled) {
					b.Errorf("Update: %v", err)
				}
			})
		}
		cancel()
		waiting.Wait()
		return tx.Put(key("k"), []byte("kept"), time.Time{})
	})
	b.want(key("k"), "kept")
}

// A transaction that leaks out of its function must not work: its batch may be
// committed, or be another's.
func overIsOver(b *bench) {
	b.put(key("k"), "kept")
	var leaked []store.Tx
	leak := func(tx store.Tx) error {
		leaked = append(leaked, tx)
		return nil
	}
	b.update(leak)
	b.view(leak)
	for _, tx := range leaked {
		if _, err := tx.Get(key("k")); err == nil || errors.Is(err, store.ErrNotFound) {
			b.Errorf("Get: %v", err)
		}
		if err := tx.Put(key("k"), []byte("x"), time.Time{}); err == nil {
			b.Error("Put works")
		}
		if err := tx.Delete(key("k")); err == nil {
			b.Error("Delete works")
		}
		for _, err := range tx.Scan(under(), nil) {
			if err == nil {
				b.Error("Scan works")
			}
		}
	}
	b.want(key("k"), "kept")
}

func nowIsOneInstant(b *bench) {
	b.update(func(tx store.Tx) error {
		before := tx.Now()
		b.clock.Advance(time.Hour)
		if !before.Equal(start) || !tx.Now().Equal(before) {
			b.Errorf("Now = %v, then %v", before, tx.Now())
		}
		return nil
	})
	b.view(func(tx store.Tx) error {
		if !tx.Now().Equal(start.Add(time.Hour)) {
			b.Errorf("Now = %v", tx.Now())
		}
		return nil
	})
}
