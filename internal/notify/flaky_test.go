package notify_test

import (
	"context"
	"sync"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// flaky is a store that may be away.
type flaky struct {
	store.Store
	mu   sync.Mutex
	away bool
	told int
}

func (f *flaky) fail(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = on
}

func (f *flaky) failed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told
}

func (f *flaky) ask() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		f.told++
		return store.ErrUnavailable
	}
	return nil
}

func (f *flaky) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Store.View(ctx, fn)
}

func (f *flaky) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Store.Update(ctx, fn)
}
