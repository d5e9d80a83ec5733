package badger_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/badger"
)

// wantOpenError: the sentence names the directory and says what to do.
func wantOpenError(t *testing.T, dir string, want error, hints ...string) {
	t.Helper()
	engine, err := badger.Open(t.Context(), badger.Options{Dir: dir})
	if err == nil {
		engine.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("Open: %v; want %v", err, want)
	}
	for _, hint := range append(hints, dir) {
		if !strings.Contains(err.Error(), hint) {
			t.Errorf("%q does not say %q", err, hint)
		}
	}
}

func TestDirectoryIsMadePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "db")
	engine, err := badger.Open(t.Context(), badger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", d, info.Mode(), err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
}

func TestForeignDirectories(t *testing.T) {
	home := t.TempDir()
	diary := filepath.Join(home, "diary.txt")
	if err := os.WriteFile(diary, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, home, store.ErrForeign, "diary.txt", "empty or a new directory")
	wantOpenError(t, diary, store.ErrForeign, "this is a file")
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	wantOpenError(t, filepath.Join(diary, "db"), syscall.ENOTDIR)
	if _, err := badger.Open(t.Context(), badger.Options{}); err == nil {
		t.Error("opened without a directory")
	}
	if _, err := badger.Open(t.Context(), badger.Options{Dir: home, InMemory: true}); err == nil {
		t.Error("opened in memory with a directory")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := badger.Open(ctx, badger.Options{InMemory: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
}

// A second server on the same directory.
func TestLockedByAnotherProcess(t *testing.T) {
	dir, keyText := filepath.Join(t.TempDir(), "db"), secret.NewMasterKeyText()
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimDir+"="+dir, victimKey+"="+strings.TrimSpace(keyText), victimStart+"=0")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has written
		t.Fatal(err)
	}
	wantOpenError(t, dir, store.ErrLocked, "process "+strconv.Itoa(victim.Process.Pid), "stop it, or let it do the work: management commands reach a running server through its admin socket")
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // killed
	s, err := openVictim(dir, keyText)
	if err != nil {
		t.Fatalf("after the other has gone: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLockedByThisProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	engine, err := badger.Open(t.Context(), badger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, dir, store.ErrLocked, "this process")
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	engine, err = badger.Open(t.Context(), badger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
}

// A crash before Badger wrote its manifest leaves only its lock and the reserve.
func TestHalfMadeDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"LOCK", "reserve"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	engine, err := badger.Open(t.Context(), badger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
}

// A manifest that is no manifest is refused with the directory's name.
func TestDamagedManifest(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("not a manifest at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := badger.Open(t.Context(), badger.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open: %v", err)
	}
}
