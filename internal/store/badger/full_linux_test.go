package badger_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/badger"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// smallDisk mounts a tmpfs and returns how to change its size.
func smallDisk(t *testing.T, mib int) (dir string, resize func(mib int)) {
	t.Helper()
	dir = t.TempDir()
	mount := func(flags uintptr, mib int) {
		t.Helper()
		if err := unix.Mount("tmpfs", dir, "tmpfs", flags, fmt.Sprintf("size=%dm,mode=0700", mib)); err != nil {
			t.Fatalf("this test needs a small disk, and mounting a tmpfs failed (run it as root, or in a container with CAP_SYS_ADMIN): %v", err)
		}
	}
	mount(0, mib)
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func(mib int) { mount(unix.MS_REMOUNT, mib) }
}

// fillUp writes a file until the disk takes no more byte.
func fillUp(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
}

func number(n int) store.Key { return store.K(store.PrefixCompat, "n", uint64(n)) }

func putNumber(t *testing.T, s store.Store, n int, value []byte) error {
	return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put(number(n), value, time.Time{}) })
}

func wantNumbers(t *testing.T, s store.Store, n int) {
	t.Helper()
	err := s.View(t.Context(), func(tx store.Tx) error {
		for i := range n {
			if _, err := tx.Get(number(i)); err != nil {
				return fmt.Errorf("record %d: %w", i, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func tryOpen(t *testing.T, dir string, keyring *secret.Keyring) (*store.SealedStore, error) {
	engine, err := badger.Open(t.Context(), badger.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { engine.Close() })
	return store.OpenSealed(t.Context(), engine, store.SealedOptions{Keyring: keyring})
}

// Somebody else's file takes the last byte of the disk. Before: Badger's next
// write through mmap was a SIGBUS, and so was each restart.
func TestDiskFilledByOthers(t *testing.T) {
	disk, _ := smallDisk(t, 160)
	dir, filler, keyring := filepath.Join(disk, "db"), filepath.Join(disk, "filler"), storetest.NewKeyring(t)
	s, err := tryOpen(t, dir, keyring)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := putNumber(t, s, i, make([]byte, 10<<10)); err != nil {
			t.Fatal(err)
		}
	}
	fillUp(t, filler)
	told := 0
	defer s.Watch(nil, func(store.Change) { told++ })()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			err := s.Update(t.Context(), func(tx store.Tx) error {
				tx.After(func() { t.Error("After ran") })
				return tx.Put(number(1000), []byte("x"), time.Time{})
			})
			if !errors.Is(err, store.ErrNoSpace) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Update on a full disk: %v", err)
			}
		})
	}
	all.Wait()
	if told != 0 {
		t.Error("a change was told that was not committed")
	}
	wantNumbers(t, s, 200)

	// Make room: it goes on as if nothing had been.
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := putNumber(t, s, 200, []byte("x")); err != nil {
		t.Fatal(err)
	}

	// Close and start while it is full.
	fillUp(t, filler)
	if err := s.Close(); err != nil {
		t.Fatalf("Close on a full disk: %v", err)
	}
	fillUp(t, filler+"2")
	for range 3 {
		if _, err := tryOpen(t, dir, keyring); !errors.Is(err, store.ErrNoSpace) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("Open on a full disk: %v", err)
		}
	}
	if err := errors.Join(os.Remove(filler), os.Remove(filler+"2")); err != nil {
		t.Fatal(err)
	}
	s, err = tryOpen(t, dir, keyring)
	if err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, s, 201)
}

// We fill it ourselves, with compactions at work until the last moment.
func TestDiskFilledByUs(t *testing.T) {
	disk, resize := smallDisk(t, 320)
	dir, keyring := filepath.Join(disk, "db"), storetest.NewKeyring(t)
	s, err := tryOpen(t, dir, keyring)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acknowledged := map[int]byte{}
	write := func(n int) error {
		value := make([]byte, 1+n%40_000)
		rand.Read(value)
		err := putNumber(t, s, n, value)
		if err == nil {
			mu.Lock()
			acknowledged[n] = value[0]
			mu.Unlock()
		}
		return err
	}
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				// Every other write replaces an old record: work for the compactions.
				if err := write(w + 8*(i/(1+i%2))); errors.Is(err, store.ErrNoSpace) {
					return
				} else if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	if len(acknowledged) < 1000 {
		t.Errorf("full after %d records", len(acknowledged))
	}
	check := func() {
		t.Helper()
		err := s.View(t.Context(), func(tx store.Tx) error {
			for n, first := range acknowledged {
				if value, err := tx.Get(number(n)); err != nil || value[0] != first {
					return fmt.Errorf("record %d: %d bytes, %w", n, len(value), err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := tryOpen(t, dir, keyring); err == nil { // closing made room
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	} else if !errors.Is(err, store.ErrNoSpace) {
		t.Fatal(err)
	}
	resize(640)
	s, err = tryOpen(t, dir, keyring)
	if err != nil {
		t.Fatal(err)
	}
	check()
	if err := putNumber(t, s, 1, []byte("room again")); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records acknowledged", len(acknowledged))
}
