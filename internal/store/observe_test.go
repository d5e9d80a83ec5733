package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// failing is an engine that breaks where it is told to.
type failing struct {
	store.Store
	commit, get error
}

func (f *failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := f.Store.Update(ctx, func(tx store.Tx) error { return fn(&failingTx{tx, f}) }); err != nil || f.commit == nil {
		return err
	}
	return f.commit
}

type failingTx struct {
	store.Tx
	engine *failing
}

func (t *failingTx) Get(key []byte) ([]byte, error) {
	if t.engine.get != nil {
		return nil, t.engine.get
	}
	return t.Tx.Get(key)
}

// A counter of store errors wakes somebody at night. It counts a disk that does
// not answer, and nothing that a stranger can cause by a wrong password.
func TestObserveTellsFailuresFromAnswers(t *testing.T) {
	disk, refused := errors.New("input/output error"), errors.New("denied")
	key := store.K(store.PrefixFactor, "alice")
	missing := func(tx store.Tx) error { _, err := tx.Get(key); return err }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name        string
		commit, get error
		ctx         context.Context
		fn          func(store.Tx) error
		want        error
	}{
		{name: "good", fn: func(tx store.Tx) error { return tx.Put(key, []byte("x"), time.Time{}) }},
		{name: "fn refuses", fn: func(store.Tx) error { return refused }},
		{name: "no record", fn: missing},
		{name: "too large", fn: func(tx store.Tx) error { return tx.Put(key, make([]byte, store.MaxValue+1), time.Time{}) }},
		{name: "the caller has gone", ctx: ended, fn: missing},
		{name: "fn's own deadline", fn: func(store.Tx) error { return context.DeadlineExceeded }},
		{name: "the commit fails", commit: store.ErrNoSpace, fn: func(store.Tx) error { return nil }, want: store.ErrNoSpace},
		{name: "the commit fails and fn refused", commit: disk, fn: func(store.Tx) error { return refused }},
		{name: "a read fails", get: disk, fn: missing, want: disk},
		{name: "a read fails and fn calls it something else", get: disk, fn: func(tx store.Tx) error { _ = missing(tx); return refused }, want: disk},
		{name: "a read fails and fn goes on", get: disk, fn: func(tx store.Tx) error { _ = missing(tx); return nil }, want: disk},
	} {
		t.Run(c.name, func(t *testing.T) {
			engine := &failing{Store: memoryEngine(t)}
			calls := 0
			var got error
			s, err := store.OpenSealed(t.Context(), engine, store.SealedOptions{Keyring: storetest.NewKeyring(t), Observe: func(op store.Op, took time.Duration, failure error) {
				calls++
				if got = failure; took < 0 || op != store.OpView && op != store.OpUpdate {
					t.Errorf("%s took %s", op, took)
				}
			}})
			if err != nil || calls != 2 { // the check record: looked for, and written
				t.Fatalf("opened with %d calls, %v", calls, err)
			}
			if c.ctx == nil {
				c.ctx = t.Context()
			}
			engine.commit, engine.get = c.commit, c.get
			_ = s.Update(c.ctx, c.fn)
			if calls != 3 || !errors.Is(got, c.want) {
				t.Errorf("%d calls; got %v, want %v", calls, got, c.want)
			}
		})
	}
}

// A value that was altered in the engine is a failure of the store.
func TestObserveHearsOfTampering(t *testing.T) {
	engine := memoryEngine(t)
	var got error
	s, err := store.OpenSealed(t.Context(), engine, store.SealedOptions{Keyring: storetest.NewKeyring(t), Observe: func(_ store.Op, _ time.Duration, failure error) { got = failure }})
	if err != nil {
		t.Fatal(err)
	}
	key := store.K(store.PrefixFactor, "alice")
	mustUpdate(t, engine, func(tx store.Tx) error { return tx.Put(key, []byte("not sealed by us"), time.Time{}) })
	for name, fn := range map[string]func(store.Tx) error{
		"get": func(tx store.Tx) error { _, err := tx.Get(key); return err },
		"scan": func(tx store.Tx) error {
			for _, err := range tx.Scan(key, nil) {
				return err
			}
			return nil
		},
	} {
		got = nil
		if err := s.View(t.Context(), fn); err == nil || got == nil {
			t.Errorf("%s: %v, observed %v", name, err, got)
		}
	}
}
