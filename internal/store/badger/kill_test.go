package badger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/badger"
)

// The test binary is its own victim: with these in the environment it writes
// until it is killed.
const (
	victimDir   = "SALLYPORT_TEST_VICTIM_DIR"
	victimKey   = "SALLYPORT_TEST_VICTIM_KEY"
	victimStart = "SALLYPORT_TEST_VICTIM_START"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, "victim:", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func keyringOf(text string) (*secret.Keyring, error) {
	key, err := secret.ParseMasterKey([]byte(text))
	if err != nil {
		return nil, err
	}
	return secret.KeyringOf(key)
}

func openVictim(dir, keyText string) (*store.SealedStore, error) {
	keyring, err := keyringOf(keyText)
	if err != nil {
		return nil, err
	}
	engine, err := badger.Open(context.Background(), badger.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	sealed, err := store.OpenSealed(context.Background(), engine, store.SealedOptions{Keyring: keyring})
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return sealed, nil
}

func left(n uint64) store.Key  { return store.K(store.PrefixCompat, "left", n) }
func right(n uint64) store.Key { return store.K(store.PrefixCompat, "right", n) }

// writeUntilKilled writes pairs of records from several goroutines and prints the
// number of each pair once it is acknowledged.
func writeUntilKilled(dir string) error {
	s, err := openVictim(dir, os.Getenv(victimKey))
	if err != nil {
		return err
	}
	from, err := strconv.ParseUint(os.Getenv(victimStart), 10, 64)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	next := func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		from++
		return from
	}
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				n := next()
				err := s.Update(context.Background(), func(tx store.Tx) error {
					padding := strings.Repeat("x", int(n%2000))
					return errors.Join(
						tx.Put(left(n), fmt.Append(nil, n, padding), time.Time{}),
						tx.Put(right(n), fmt.Append(nil, n), time.Time{}))
				})
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("%d\n", n) // one write each: os.Stdout has no buffer
			}
		}()
	}
	return <-failed
}

// The power goes, or the OOM killer comes, in the middle of writing: whatever was
// acknowledged is there at the next start, and no transaction is there by half.
func TestKilledTenTimes(t *testing.T) {
	dir, keyText := filepath.Join(t.TempDir(), "db"), secret.NewMasterKeyText()
	acknowledged := map[uint64]bool{}
	var highest uint64
	for round := range 10 {
		for _, n := range killOne(t, dir, keyText, highest, 200+137*round) {
			acknowledged[n] = true
			highest = max(highest, n)
		}
		highest += 1000 // numbers that were given but not acknowledged
		verify(t, dir, keyText, acknowledged)
	}
	t.Logf("%d pairs acknowledged", len(acknowledged))
}

// killOne runs a victim, kills it after some acknowledgements, and returns all
// that it gave.
func killOne(t *testing.T, dir, keyText string, from uint64, after int) (acknowledged []uint64) {
	t.Helper()
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimDir+"="+dir, victimKey+"="+strings.TrimSpace(keyText), victimStart+"="+fmt.Sprint(from))
	var stderr strings.Builder
	victim.Stderr = &stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line cut short was not acknowledged
		}
		n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
		if err != nil {
			t.Fatalf("victim says %q", line)
		}
		if acknowledged = append(acknowledged, n); len(acknowledged) == after {
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := victim.Wait(); err == nil || len(acknowledged) < after {
		t.Fatalf("victim ended by itself after %d: %v %s", len(acknowledged), err, stderr.String())
	}
	return acknowledged
}

func verify(t *testing.T, dir, keyText string, acknowledged map[uint64]bool) {
	t.Helper()
	s, err := openVictim(dir, keyText)
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(t.Context(), func(tx store.Tx) error {
		for n := range acknowledged {
			if _, err := tx.Get(left(n)); err != nil {
				return fmt.Errorf("acknowledged %d: %w", n, err)
			}
		}
		lefts, rights := 0, 0
		for item, err := range tx.Scan(store.KPrefix(store.PrefixCompat, "left"), nil) {
			if err != nil {
				return err
			}
			parts, ok := store.Parts(store.PrefixCompat, item.Key)
			if !ok {
				return fmt.Errorf("key %q", item.Key)
			}
			n, _ := store.PartUint(parts[1])
			if other, err := tx.Get(right(n)); err != nil || !strings.HasPrefix(string(item.Value), string(other)) {
				return fmt.Errorf("pair %d: %q, %w", n, other, err)
			}
			lefts++
		}
		for range tx.Scan(store.KPrefix(store.PrefixCompat, "right"), nil) {
			rights++
		}
		if lefts != rights || lefts < len(acknowledged) {
			return fmt.Errorf("%d left, %d right, %d acknowledged", lefts, rights, len(acknowledged))
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}
