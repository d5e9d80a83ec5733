package gateway_test

import (
	"os"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// onPostgres: scripts/test.sh runs the tests of this directory twice, the second
// time with their states in PostgreSQL.
func onPostgres() bool { return os.Getenv("SALLYPORT_TEST_STORAGE") == "postgres" }

// place gives a configuration a new state, unless it names one: in a directory, or in
// a database.
func place(t testing.TB, cfg *gateway.Config, o *gateway.Options) {
	t.Helper()
	switch {
	case cfg.Storage != "":
		return
	case !onPostgres():
		o.StateDir = t.TempDir()
		return
	}
	cfg.Storage, cfg.MasterKey = pgtest.URL(t), testMasterKey
}
