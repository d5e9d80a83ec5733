package badger_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// A process that is killed while it stops leaves memtable files of no length.
// Seen: the next start refused with a sentence that only Badger understands.
func TestMemtableFilesThatAKillLeftEmpty(t *testing.T) {
	dir, keyring := filepath.Join(t.TempDir(), "db"), storetest.NewKeyring(t)
	key := store.K(store.PrefixLogin, "kept")
	s := storetest.OpenDir(t, dir, keyring, time.Now)
	if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put(key, []byte("value"), time.Time{}) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00007.mem", "00008.mem", "00009.mem"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		s = storetest.OpenDir(t, dir, keyring, time.Now)
		err := s.View(t.Context(), func(tx store.Tx) error {
			value, err := tx.Get(key)
			if string(value) != "value" {
				t.Errorf("what was acknowledged is now %q", value)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
