// Package storetest is the contract of package store as tests: [Run] is what
// every engine passes, and [Open] is the store that other rooms test with.
package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/badger"
)

// Clock is a clock that tests own. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at start.
func NewClock(start time.Time) *Clock { return &Clock{now: start} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, also backwards.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set moves the clock to an instant.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Open gives an empty store in memory under a random key, closed at the end of
// the test. A nil clock is time.Now.
func Open(t testing.TB, clock func() time.Time) *store.SealedStore {
	t.Helper()
	engine, err := badger.Open(t.Context(), badger.Options{InMemory: true, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return Seal(t, engine, NewKeyring(t), clock)
}

// OpenDir gives the store of a directory, which may hold one already. The caller
// closes it; the end of the test does, too.
func OpenDir(t testing.TB, dir string, keyring *secret.Keyring, clock func() time.Time) *store.SealedStore {
	t.Helper()
	engine, err := badger.Open(t.Context(), badger.Options{Dir: dir, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return Seal(t, engine, keyring, clock)
}

// Seal wraps an engine. With a clock the engine's own removal of expired records
// is off, because it goes by the real one.
func Seal(t testing.TB, engine store.Store, keyring *secret.Keyring, clock func() time.Time) *store.SealedStore {
	t.Helper()
	sealed, err := store.OpenSealed(t.Context(), engine, store.SealedOptions{Keyring: keyring, Clock: clock, NoTTL: clock != nil})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// NewKeyring makes a keyring with a random master key.
func NewKeyring(t testing.TB) *secret.Keyring {
	t.Helper()
	key, err := secret.ParseMasterKey([]byte(secret.NewMasterKeyText()))
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := secret.KeyringOf(key)
	if err != nil {
		t.Fatal(err)
	}
	return keyring
}
