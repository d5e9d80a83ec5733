package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// count adds one to a record and returns what it was before.
func count(tx store.Tx, key []byte) (before uint64, err error) {
	value, err := tx.Get(key)
	if err == nil {
		before = binary.BigEndian.Uint64(value)
	} else if !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	return before, tx.Put(key, binary.BigEndian.AppendUint64(nil, before+1), time.Time{})
}

// The throttle's counter: no wrong try is lost, however many come at once.
func manyWritersOneCounter(b *bench) {
	const writers, each = 32, 25
	var all sync.WaitGroup
	var seen sync.Map
	for range writers {
		all.Go(func() {
			for range each {
				var before uint64
				err := b.Update(b.Context(), func(tx store.Tx) (err error) {
					before, err = count(tx, key("counter"))
					return err
				})
				if err != nil {
					b.Errorf("Update: %v", err)
				}
				if _, twice := seen.LoadOrStore(before, true); twice {
					b.Errorf("two transactions saw %d", before)
				}
			}
		})
	}
	all.Wait()
	b.want(key("counter"), string(binary.BigEndian.AppendUint64(nil, writers*each)))
}

func abortsAmongCommits(b *bench) {
	const writers = 60
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			err := b.Update(b.Context(), func(tx store.Tx) error {
				if _, err := count(tx, key("counter")); err != nil {
					return err
				}
				if err := tx.Put(key("mine", uint64(i)), []byte("x"), time.Time{}); err != nil {
					return err
				}
				if i%3 == 0 {
					return errAbort
				}
				return nil
			})
			if (i%3 == 0) != (err == errAbort) {
				b.Errorf("writer %d: %v", i, err)
			}
		})
	}
	all.Wait()
	b.want(key("counter"), string(binary.BigEndian.AppendUint64(nil, writers-writers/3)))
	for i := range writers {
		if i%3 == 0 {
			b.wantNone(key("mine", uint64(i)))
		} else {
			b.want(key("mine", uint64(i)), "x")
		}
	}
}

// Two administrators delete each other at the same moment. Each transaction reads
// that there are two, deletes one, and writes the guard record; only one may win.
func writeSkewOnAGuard(b *bench) {
	for round := range 20 {
		guard := key("guard", uint64(round))
		admin := func(i int) store.Key { return key("admin", uint64(round), uint64(i)) }
		b.update(func(tx store.Tx) error {
			return errors.Join(
				tx.Put(guard, binary.BigEndian.AppendUint64(nil, 2), time.Time{}),
				tx.Put(admin(0), []byte("a"), time.Time{}), tx.Put(admin(1), []byte("b"), time.Time{}))
		})
		var both sync.WaitGroup
		var won atomic.Int32
		for i := range 2 {
			both.Go(func() {
				err := b.Update(b.Context(), func(tx store.Tx) error {
					value, err := tx.Get(guard)
					if err != nil {
						return err
					}
					left := binary.BigEndian.Uint64(value)
					if left < 2 {
						return errAbort
					}
					return errors.Join(tx.Delete(admin(i)), tx.Put(guard, binary.BigEndian.AppendUint64(nil, left-1), time.Time{}))
				})
				if err == nil {
					won.Add(1)
				} else if err != errAbort {
					b.Errorf("Update: %v", err)
				}
			})
		}
		both.Wait()
		if won.Load() != 1 {
			b.Fatalf("%d of 2 deleted an administrator", won.Load())
		}
		b.view(func(tx store.Tx) error {
			if left := b.values(tx, under("admin", uint64(round)), nil); len(left) != 1 {
				b.Errorf("%d administrators left", len(left))
			}
			return nil
		})
	}
}

// 200 posts of one good code at once: one burns the step, all others find it burned.
func oneBurnsTheRestSee(b *bench) {
	var all sync.WaitGroup
	var opened atomic.Int32
	begin := make(chan struct{})
	for range 200 {
		all.Go(func() {
			<-begin
			err := b.Update(b.Context(), func(tx store.Tx) error {
				if _, err := tx.Get(key("step")); err == nil {
					return errAbort
				}
				return tx.Put(key("step"), []byte("burned"), time.Time{})
			})
			if err == nil {
				opened.Add(1)
			} else if err != errAbort {
				b.Errorf("Update: %v", err)
			}
		})
	}
	close(begin)
	all.Wait()
	if opened.Load() != 1 {
		b.Errorf("%d sessions opened", opened.Load())
	}
}

// Writers that together outgrow one engine transaction are split, not refused.
func moreThanABatchHolds(b *bench) {
	const writers = 40
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range writers {
		all.Go(func() {
			<-begin
			err := b.Update(b.Context(), func(tx store.Tx) error {
				if _, err := count(tx, key("counter")); err != nil {
					return err
				}
				return tx.Put(key("big", uint64(i)), make([]byte, 300<<10), time.Time{})
			})
			if err != nil {
				b.Errorf("Update: %v", err)
			}
		})
	}
	close(begin)
	all.Wait()
	b.want(key("counter"), string(binary.BigEndian.AppendUint64(nil, writers)))
	b.view(func(tx store.Tx) error {
		for i, value := range b.values(tx, under("big"), nil) {
			if len(value) != 300<<10 {
				return fmt.Errorf("record %d has %d bytes", i, len(value))
			}
		}
		return nil
	})
}
