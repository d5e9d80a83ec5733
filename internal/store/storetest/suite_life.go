package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

func closeIsFinal(b *bench) {
	b.put(key("k"), "x")
	if err := b.Close(); err != nil {
		b.Fatalf("Close: %v", err)
	}
	ran := func(store.Tx) error {
		b.Error("fn ran")
		return nil
	}
	if err := b.Update(b.Context(), ran); !errors.Is(err, store.ErrClosed) {
		b.Errorf("Update: %v", err)
	}
	if err := b.View(b.Context(), ran); !errors.Is(err, store.ErrClosed) {
		b.Errorf("View: %v", err)
	}
	if err := b.Close(); err != nil {
		b.Errorf("second Close: %v", err)
	}
}

// Close under load: every Update is either done or refused, none hangs.
func closeWaits(b *bench) {
	var all sync.WaitGroup
	inside, leave := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		b.view(func(tx store.Tx) error {
			close(inside)
			<-leave
			_, err := tx.Get(key("k")) // still works
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		})
	})
	<-inside
	for range 20 {
		all.Go(func() {
			for {
				err := b.Update(b.Context(), func(tx store.Tx) error {
					_, err := count(tx, key("n"))
					return err
				})
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					b.Errorf("Update: %v", err)
					return
				}
			}
		})
	}
	closed := make(chan error, 1)
	all.Go(func() { closed <- b.Close() })
	for b.View(b.Context(), func(store.Tx) error { return nil }) == nil {
	}
	select {
	case err := <-closed:
		b.Errorf("Close returned (%v) with a View inside", err)
	default:
	}
	close(leave)
	if err := <-closed; err != nil {
		b.Errorf("Close: %v", err)
	}
	all.Wait()
}

// What was acknowledged is there again, what was deleted is not, and what has
// expired meanwhile stays away.
func reopen(b *bench) {
	if !b.durable {
		if err := b.Close(); err != nil {
			b.Errorf("Close: %v", err)
		}
		return
	}
	for i := range 300 {
		b.put(key("r", uint64(i)), fmt.Sprint(i))
	}
	b.update(func(tx store.Tx) error { return tx.Delete(key("r", uint64(7))) })
	b.putUntil(key("soon"), "x", start.Add(time.Minute))
	b.putUntil(key("later"), "y", start.Add(time.Hour))
	for range 3 {
		if err := b.Close(); err != nil {
			b.Fatalf("Close: %v", err)
		}
		b.clock.Advance(time.Minute)
		b.Store = b.open(b.clock.Now)
		b.wantNone(key("soon"))
		b.want(key("later"), "y")
		b.wantNone(key("r", uint64(7)))
		b.view(func(tx store.Tx) error {
			if n := len(b.values(tx, under("r"), nil)); n != 299 {
				b.Errorf("%d records, want 299", n)
			}
			return nil
		})
	}
}
