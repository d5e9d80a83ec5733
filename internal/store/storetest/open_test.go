package storetest_test

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// A room's test in ten lines: open, write, read, let time pass.
func TestOpen(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	s := storetest.Open(t, clock.Now)
	key := store.K(store.PrefixLogin, "token", [16]byte{1})
	err := s.Update(t.Context(), func(tx store.Tx) error {
		return tx.Put(key, []byte("alice"), tx.Now().Add(time.Minute))
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func() (value []byte, err error) {
		viewErr := s.View(t.Context(), func(tx store.Tx) error {
			value, err = tx.Get(key)
			return nil
		})
		if viewErr != nil {
			t.Fatal(viewErr)
		}
		return value, err
	}
	if value, err := get(); err != nil || string(value) != "alice" {
		t.Fatalf("Get = %q, %v", value, err)
	}
	clock.Advance(time.Minute)
	if _, err := get(); err != store.ErrNotFound {
		t.Fatalf("after its expiry: %v", err)
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		storetest.Open(b, nil)
	}
}
