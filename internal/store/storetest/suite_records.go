package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

func missingIsNotFound(b *bench) {
	b.wantNone(key("nobody"))
	b.update(func(tx store.Tx) error {
		if _, err := tx.Get(key("nobody")); !errors.Is(err, store.ErrNotFound) {
			b.Errorf("Get in Update: %v", err)
		}
		return tx.Delete(key("nobody"))
	})
	b.put(key("somebody"), "x")
	b.update(func(tx store.Tx) error {
		if err := tx.Delete(key("somebody")); err != nil {
			return err
		}
		if _, err := tx.Get(key("somebody")); !errors.Is(err, store.ErrNotFound) {
			b.Errorf("Get of what the transaction deleted: %v", err)
		}
		return nil
	})
	b.wantNone(key("somebody"))
}

func whatWasPutIsRead(b *bench) {
	for _, value := range []string{"", "x", "\x00\xff", strings.Repeat("long ", 1000)} {
		b.put(key("k"), value)
		b.want(key("k"), value)
	}
	b.update(func(tx store.Tx) error {
		for _, value := range []string{"first", "second"} {
			if err := tx.Put(key("k"), []byte(value), time.Time{}); err != nil {
				return err
			}
			if got, err := tx.Get(key("k")); err != nil || string(got) != value {
				b.Errorf("own write reads as %q, %v", got, err)
			}
		}
		return nil
	})
	b.want(key("k"), "second")
}

// A caller that changes its slices must not change the store, now or later.
func valuesBelongToTheCaller(b *bench) {
	k, v := bytes.Clone(key("k")), []byte("value")
	b.update(func(tx store.Tx) error {
		if err := tx.Put(k, v, time.Time{}); err != nil {
			return err
		}
		v[0], k[0] = 'X', 'X'
		got, err := tx.Get(key("k"))
		if err != nil || string(got) != "value" {
			b.Errorf("Get = %q, %v", got, err)
			return err
		}
		got[0] = 'Y'
		for item := range tx.Scan(under(), nil) {
			item.Value[0], item.Key[0] = 'Z', 'Z'
		}
		return nil
	})
	b.want(key("k"), "value")
}

func scanIsOrdered(b *bench) {
	b.update(func(tx store.Tx) error {
		for _, name := range []string{"b", "", "a\x00", "ab", "\xff", "a", "B"} {
			if err := tx.Put(key("n", name), []byte(name), time.Time{}); err != nil {
				return err
			}
		}
		return tx.Put(key("o", "other"), []byte("other"), time.Time{})
	})
	b.view(func(tx store.Tx) error {
		b.wantScan(tx, under("n"), nil, "", "B", "a", "a\x00", "ab", "b", "\xff")
		b.wantScan(tx, store.KStart(store.PrefixCompat, "n", store.OpenString("a")), nil, "a", "a\x00", "ab")
		b.wantScan(tx, under("n"), key("n", "ab"), "ab", "b", "\xff")
		b.wantScan(tx, under("n"), store.Next(key("n", "ab")), "b", "\xff")
		b.wantScan(tx, under("n"), key("a", "before the prefix"), "", "B", "a", "a\x00", "ab", "b", "\xff")
		b.wantScan(tx, under("n"), key("z", "behind the prefix"))
		b.wantScan(tx, under("none"), nil)
		return nil
	})
}

func scanByPages(b *bench) {
	const records, page = 103, 10
	b.update(func(tx store.Tx) error {
		for i := range records {
			if err := tx.Put(key("p", uint64(i)), fmt.Append(nil, i), time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	var from []byte
	seen, pages := 0, 0
	for more := true; more; pages++ {
		more = false
		b.view(func(tx store.Tx) error {
			n := 0
			for item, err := range tx.Scan(under("p"), from) {
				if err != nil {
					return err
				}
				if n++; n > page {
					more = true
					return nil
				}
				if string(item.Value) != fmt.Sprint(seen) {
					b.Errorf("record %d is %q", seen, item.Value)
				}
				seen, from = seen+1, store.Next(item.Key)
			}
			return nil
		})
	}
	if seen != records || pages != 11 {
		b.Errorf("%d records on %d pages", seen, pages)
	}
}

func scanSeesOwnWrites(b *bench) {
	for _, name := range []string{"a", "c", "e", "g"} {
		b.put(key("w", name), name)
	}
	b.update(func(tx store.Tx) error {
		err := errors.Join(
			tx.Put(key("w", "b"), []byte("new b"), time.Time{}),
			tx.Put(key("w", "c"), []byte("new c"), time.Time{}),
			tx.Delete(key("w", "e")),
			tx.Put(key("w", "z"), []byte("new z"), time.Time{}),
			tx.Put(key("x", "y"), []byte("elsewhere"), time.Time{}))
		b.wantScan(tx, under("w"), nil, "a", "new b", "new c", "g", "new z")
		b.wantScan(tx, under("w"), key("w", "c"), "new c", "g", "new z")
		return err
	})
	b.view(func(tx store.Tx) error {
		b.wantScan(tx, under("w"), nil, "a", "new b", "new c", "g", "new z")
		return nil
	})
}

// Deleting all that a Scan meets, with a Scan inside, is what rooms do.
func scansMayNest(b *bench) {
	for i := range 4 {
		b.put(key("outer", uint64(i)), "o")
		b.put(key("inner", uint64(i)), "i")
	}
	b.update(func(tx store.Tx) error {
		met := 0
		for outer, err := range tx.Scan(under("outer"), nil) {
			if err != nil {
				return err
			}
			for inner, err := range tx.Scan(under("inner"), nil) {
				if err != nil {
					return err
				}
				met++
				if err := tx.Delete(inner.Key); err != nil {
					return err
				}
			}
			if err := tx.Delete(outer.Key); err != nil {
				return err
			}
			met++
		}
		if met != 8 {
			b.Errorf("met %d records, want 8", met)
		}
		return nil
	})
	b.view(func(tx store.Tx) error {
		b.wantScan(tx, under(), nil)
		return nil
	})
}

// A Scan that is left early, or pulled and forgotten, must not harm the store.
func scanLeftEarly(b *bench) {
	for i := range 10 {
		b.put(key("s", uint64(i)), fmt.Sprint(i))
	}
	errStop := errors.New("stop")
	forget := func(tx store.Tx) error {
		next, stop := iter.Pull2(tx.Scan(under("s"), nil))
		b.Cleanup(stop)
		if item, err, ok := next(); !ok || err != nil || string(item.Value) != "0" {
			b.Errorf("first = %q, %v, %v", item.Value, err, ok)
		}
		for range tx.Scan(under("s"), nil) {
			return errStop
		}
		return nil
	}
	for range 2 {
		if err := b.Update(b.Context(), forget); err != errStop {
			b.Errorf("Update: %v", err)
		}
		if err := b.View(b.Context(), forget); err != errStop {
			b.Errorf("View: %v", err)
		}
	}
	b.put(key("still"), "works")
	b.want(key("still"), "works")
}

func limitsAreKept(b *bench) {
	long := bytes.Repeat([]byte("k"), store.MaxKey+1)
	big := make([]byte, store.MaxValue+1)
	b.update(func(tx store.Tx) error {
		if err := tx.Put(long, nil, time.Time{}); !errors.Is(err, store.ErrTooLarge) {
			b.Errorf("long key: %v", err)
		}
		if err := tx.Put(key("big"), big, time.Time{}); !errors.Is(err, store.ErrTooLarge) {
			b.Errorf("big value: %v", err)
		}
		if err := tx.Put(nil, []byte("x"), time.Time{}); err == nil {
			b.Error("an empty key was taken")
		}
		return tx.Put(long[:store.MaxKey], []byte("longest"), time.Time{})
	})
	b.want(long[:store.MaxKey], "longest")
	b.wantNone(key("big"))
	b.wantNone(long)

	// More than an engine takes at once is refused by Put, and nothing stays.
	err := b.Update(b.Context(), func(tx store.Tx) error {
		for i := range 1 << 20 {
			if err := tx.Put(key("flood", uint64(i)), make([]byte, 512), time.Time{}); err != nil {
				return err
			}
		}
		return errors.New("half a gigabyte in one transaction")
	})
	if !errors.Is(err, store.ErrTooLarge) {
		b.Errorf("flood: %v", err)
	}
	b.wantNone(key("flood", uint64(0)))
}

func largestValues(b *bench) {
	value := bytes.Repeat([]byte("0123456789abcdef"), store.MaxValue/16)
	for i := range 6 {
		b.put(key("large", uint64(i)), string(value[i:]))
	}
	for i := range 6 {
		b.want(key("large", uint64(i)), string(value[i:]))
	}
	b.update(func(tx store.Tx) error {
		return errors.Join(
			tx.Put(key("small"), []byte("beside"), time.Time{}),
			tx.Put(key("large", uint64(0)), value, time.Time{}))
	})
	b.want(key("small"), "beside")
	b.want(key("large", uint64(0)), string(value))
}
