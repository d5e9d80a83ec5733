package badger

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/engine"
)

func openWith(t *testing.T, commit func(func() error) error) store.Store {
	t.Helper()
	s, err := Open(t.Context(), Options{InMemory: true, testOnlyCommit: commit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func record(n int) []byte { return store.K(store.PrefixCompat, n) }

func put(t *testing.T, s store.Store, n int) error {
	return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put(record(n), []byte("x"), time.Time{}) })
}

// manyAtOnce starts n Updates that are all queued before the first is committed,
// and returns their errors.
func manyAtOnce(t *testing.T, s *db, n int, update func(i int) error) []error {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	_ = s.Update(t.Context(), func(store.Tx) error { // shares their commit, and its failure
		for i := range n {
			all.Go(func() { errs[i] = update(i) })
		}
		for len(s.jobs) < n { // they stand in the queue while this one has the turn
			runtime.Gosched()
		}
		return nil
	})
	all.Wait()
	return errs
}

// The disk fails at a sync. All who shared the commit hear of it, even those that
// were refused because of what they saw in it; nothing is announced; and nobody
// writes on a disk of which nobody knows what it holds.
func TestFailedCommit(t *testing.T) {
	errDisk, errBurned := errors.New("input/output error"), errors.New("burned")
	var broken atomic.Bool
	s := openWith(t, func(commit func() error) error {
		if broken.Load() {
			return errDisk
		}
		return commit()
	})
	if err := put(t, s, 1); err != nil {
		t.Fatal(err)
	}
	s.Watch(nil, func(c store.Change) { t.Errorf("told of %q", c.Key) })
	broken.Store(true)
	for i, err := range manyAtOnce(t, s.(*db), 20, func(i int) error {
		return s.Update(t.Context(), func(tx store.Tx) error {
			tx.After(func() { t.Error("After ran") })
			if _, err := tx.Get(record(2)); err == nil {
				return errBurned
			}
			return tx.Put(record(2), []byte("x"), time.Time{})
		})
	}) {
		if !errors.Is(err, errDisk) {
			t.Errorf("Update %d: %v", i, err)
		}
	}
	broken.Store(false)
	if err := put(t, s, 3); !errors.Is(err, errDisk) {
		t.Errorf("Update on a broken disk: %v", err)
	}
	if err := s.View(t.Context(), func(tx store.Tx) error { _, err := tx.Get(record(1)); return err }); err != nil {
		t.Errorf("View on a broken disk: %v", err)
	}
}

// Those who wait share commits: 200 Updates need a handful of syncs.
func TestUpdatesShareCommits(t *testing.T) {
	var commits atomic.Int32
	s := openWith(t, func(commit func() error) error {
		commits.Add(1)
		return commit()
	})
	for i, err := range manyAtOnce(t, s.(*db), 200, func(i int) error { return put(t, s, i) }) {
		if err != nil {
			t.Errorf("Update %d: %v", i, err)
		}
	}
	if n := commits.Load(); n > 2 {
		t.Errorf("%d commits", n)
	}
}

// Two Updates in one batch, forced: a third one's commit is held until both wait.
// The second reads what the first wrote although no disk has it yet; neither is
// told around before the one commit of both; watchers hear of the first and then of
// the second, and each After runs when its own was told.
func TestSecondOfABatchReadsTheFirst(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var commits atomic.Int32
	var mu sync.Mutex
	var told []string
	say := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, what)
	}
	s := openWith(t, func(commit func() error) error {
		switch commits.Add(1) {
		case 1:
			close(held)
			<-release
		case 2:
			say("commit")
		}
		return commit()
	}).(*db)
	s.Watch(record(7), func(c store.Change) {
		say("watch " + string(c.Value))
		// What is told is on the disk.
		if err := s.View(t.Context(), func(tx store.Tx) error { _, err := tx.Get(record(7)); return err }); err != nil {
			t.Error(err)
		}
	})
	var all sync.WaitGroup
	all.Go(func() {
		if err := put(t, s, 1); err != nil {
			t.Error(err)
		}
	})
	<-held
	for i, value := range []string{"a", "ab"} {
		all.Go(func() {
			err := s.Update(t.Context(), func(tx store.Tx) error {
				seen, err := tx.Get(record(7))
				if i == 0 != errors.Is(err, store.ErrNotFound) || string(seen) != value[:i] {
					t.Errorf("Update %d read %q, %v", i, seen, err)
				}
				say("run " + value)
				tx.After(func() { say("after " + value) })
				return tx.Put(record(7), []byte(value), time.Time{})
			})
			if err != nil {
				t.Error(err)
			}
		})
		for len(s.jobs) <= i { // the first stands in the queue before the second
			runtime.Gosched()
		}
	}
	close(release)
	all.Wait()
	if commits.Load() != 2 {
		t.Fatalf("%d commits: the two did not share one, and the test proves nothing", commits.Load())
	}
	at := func(what string) int {
		if i := slices.Index(told, what); i >= 0 {
			return i
		}
		t.Fatalf("%s did not happen: %q", what, told)
		return 0
	}
	for _, order := range [][]string{
		{"run a", "run ab", "commit", "watch a", "watch ab", "after ab"},
		{"watch a", "after a"},
	} {
		for i := range len(order) - 1 {
			if at(order[i]) > at(order[i+1]) {
				t.Errorf("%q before %q: %q", order[i+1], order[i], told)
			}
		}
	}
	if len(told) != 7 {
		t.Errorf("each once: %q", told)
	}
}

// An Update that writes nothing needs no commit, and no room on the disk.
func TestIdleUpdateCommitsNothing(t *testing.T) {
	s := openWith(t, func(func() error) error { return errors.New("commit") })
	if err := s.Update(t.Context(), func(tx store.Tx) error { _, _ = tx.Get(record(1)); return nil }); err != nil {
		t.Error(err)
	}
}

// When the batch is full, it is committed first, and the next Update, which has
// read from it, goes on top; if that commit fails, so does the Update.
func TestFullBatchIsCommittedFirst(t *testing.T) {
	var commits atomic.Int32
	s := openWith(t, func(commit func() error) error {
		commits.Add(1)
		return commit()
	})
	big := make([]byte, 300<<10)
	for i, err := range manyAtOnce(t, s.(*db), 12, func(i int) error {
		return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put(record(i), big, time.Time{}) })
	}) {
		if err != nil {
			t.Errorf("Update %d: %v", i, err)
		}
	}
	if n := commits.Load(); n != 3 { // four fit into one
		t.Errorf("%d commits for 12 × 300 KiB", n)
	}
}

func TestEngineExpiryRoundsUp(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want uint64
	}{
		{time.Time{}, 0},
		{time.Unix(100, 0), 100},
		{time.Unix(100, 1), 101},
		{time.Unix(0, 0), 1},
		{time.Unix(-5, 0), 1},
	} {
		if got := engineExpiry(c.at); got != c.want {
			t.Errorf("engineExpiry(%v) = %d, want %d", c.at, got, c.want)
		}
	}
}

// A kill -9 leaves what was written in the page cache, so no test without pulling
// the plug sees a missing sync: the switch itself is what can be looked at.
func TestEveryCommitIsSynced(t *testing.T) {
	if o := badgerOptions(Options{Dir: t.TempDir()}); !o.SyncWrites || o.DetectConflicts || o.ValueThreshold <= engine.MaxSealed {
		t.Errorf("SyncWrites %v, DetectConflicts %v, ValueThreshold %d", o.SyncWrites, o.DetectConflicts, o.ValueThreshold)
	}
}
