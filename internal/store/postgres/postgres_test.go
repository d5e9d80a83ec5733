package postgres_test

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// openURL opens a database as a node does. The end of the test closes it.
func openURL(t testing.TB, url string, keyring *secret.Keyring, clock func() time.Time) *store.SealedStore {
	t.Helper()
	engine, err := postgres.Open(t.Context(), postgres.Options{URL: url, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return storetest.Seal(t, engine, keyring, clock)
}

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Engine{Durable: true, Fresh: func(t *testing.T) func(func() time.Time) store.Store {
		url, keyring := pgtest.URL(t), storetest.NewKeyring(t)
		return func(clock func() time.Time) store.Store { return openURL(t, url, keyring, clock) }
	}})
}
