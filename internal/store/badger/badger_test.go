package badger_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

func TestContractOnDisk(t *testing.T) {
	storetest.Run(t, storetest.Engine{Durable: true, Fresh: func(t *testing.T) func(func() time.Time) store.Store {
		dir, keyring := filepath.Join(t.TempDir(), "db"), storetest.NewKeyring(t)
		return func(clock func() time.Time) store.Store { return storetest.OpenDir(t, dir, keyring, clock) }
	}})
}

func TestContractInMemory(t *testing.T) {
	storetest.Run(t, storetest.Engine{Fresh: func(t *testing.T) func(func() time.Time) store.Store {
		return func(clock func() time.Time) store.Store { return storetest.Open(t, clock) }
	}})
}
