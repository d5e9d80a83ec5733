package gateway_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// place gives a configuration a new state, unless it names one: in a directory, or in
// a database.
func place(t testing.TB, cfg *gateway.Config, o *gateway.Options) {
	t.Helper()
	switch {
	case cfg.Storage != "":
		return
	case !pgtest.Second():
		o.StateDir = t.TempDir()
		return
	}
	cfg.Storage, cfg.MasterKey = pgtest.URL(t), pgtest.MasterKey
}
