package postgres

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// All connections are cut whenever somebody got on, while two nodes count. Nobody is told of
// a success that is not there; what has no known outcome is an error, and never
// counted twice. Watchers hear all of it, in order.
func TestCutConnections(t *testing.T) {
	const writers, each = 6, 40
	url := pgtest.URL(t)
	nodes := []*db{node(t, url), node(t, url)}
	listener := node(t, url)
	f := follow(t, listener, record("n"))
	var all sync.WaitGroup
	var mu sync.Mutex
	done, unknown := uint64(0), uint64(0)
	progress := make(chan struct{}, 1)
	for _, s := range nodes {
		for range writers {
			all.Go(func() {
				for range each {
					err := s.Update(t.Context(), func(tx store.Tx) error { return count(tx, record("n")) })
					mu.Lock()
					switch {
					case err == nil:
						done++
					case errors.Is(err, errUnknown):
						unknown++
					default:
						t.Error(err)
					}
					mu.Unlock()
					select {
					case progress <- struct{}{}:
					default:
					}
				}
			})
		}
	}
	cutting := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-cutting:
				return
			case <-progress:
				pgtest.Cut(t, url)
			}
		}
	})
	all.Wait()
	close(cutting)
	cutter.Wait()
	n := number(t, listener, record("n"))
	if n < done || n > done+unknown {
		t.Errorf("%d done and %d unknown, but the counter says %d", done, unknown, n)
	}
	eventually(t, "the third node hears all", func() bool { return f.last.Load() == n })
}

// The connection goes down after the COMMIT was sent: whether it happened, nobody
// can know. The caller hears that, and nothing is run again; what was committed is
// told to watchers all the same, once.
func TestLostCommitIsNotRunAgain(t *testing.T) {
	for _, happened := range []bool{true, false} {
		url := pgtest.URL(t)
		lose := false
		s := node(t, url, func(o *Options) {
			o.testOnlyCommit = func(commit func() error) error {
				if !lose {
					return commit()
				}
				lose = false
				if happened {
					if err := commit(); err != nil {
						t.Error(err)
					}
				}
				pgtest.Cut(t, url)
				return commit()
			}
		})
		told := make(chan store.Change, 10)
		t.Cleanup(s.Watch(record("k"), func(c store.Change) { told <- c }))
		lose = true
		runs := 0
		err := s.Update(t.Context(), func(tx store.Tx) error {
			runs++
			tx.After(func() { t.Error("After ran") })
			return tx.Put(record("k"), []byte("x"), time.Time{})
		})
		if !errors.Is(err, errUnknown) || runs != 1 {
			t.Errorf("happened %v: %v after %d runs", happened, err, runs)
		}
		if err := put(t, s, record("k"), "next"); err != nil {
			t.Error(err)
		}
		want := []string{"next"}
		if happened {
			want = []string{"x", "next"}
		}
		for _, value := range want {
			if c := hear(t, "told "+value, told); string(c.Value) != value {
				t.Errorf("happened %v: told %q, want %q", happened, c.Value, value)
			}
		}
		if len(told) > 0 {
			t.Errorf("happened %v: told too much", happened)
		}
	}
}

// The connection goes down before the COMMIT: all of the batch run again, and the
// outcome is as if nothing had been.
func TestLostBeforeCommitRunsAgain(t *testing.T) {
	url := pgtest.URL(t)
	s := node(t, url)
	runs, after := 0, 0
	err := s.Update(t.Context(), func(tx store.Tx) error {
		if runs++; runs == 1 {
			pgtest.Cut(t, url)
		}
		tx.After(func() { after++ })
		return count(tx, record("n"))
	})
	if err != nil || runs != 2 || after != 1 || number(t, s, record("n")) != 1 {
		t.Errorf("%v after %d runs, After %d times, counted %d", err, runs, after, number(t, s, record("n")))
	}
}

// A conflict with somebody who writes without the lock is found by PostgreSQL, and
// the Update runs again over what is there now.
func TestForeignWriterCausesARerun(t *testing.T) {
	url := pgtest.URL(t)
	s := node(t, url)
	if err := put(t, s, record("k"), "old"); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err := s.Update(t.Context(), func(tx store.Tx) error {
		value, err := tx.Get(record("k"))
		if err != nil {
			return err
		}
		if runs++; runs == 1 {
			pgtest.Run(t, url, `update sallyport_records set value = '\x6e6577'`)
		}
		return tx.Put(record("k"), append(value, '!'), time.Time{})
	})
	if err != nil || runs != 2 {
		t.Fatalf("%v after %d runs", err, runs)
	}
	err = s.View(t.Context(), func(tx store.Tx) error {
		value, err := tx.Get(record("k"))
		if string(value) != "new!" {
			t.Errorf("the record is %q", value)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The server is stopped and started: errors while it is away, that say so and come
// soon, and then all works again by itself, and nothing is missing.
func TestServerRestart(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(t)
	short := func(o *Options) { o.testOnlyPatience = 50 * time.Millisecond }
	s, other := node(t, url, short), node(t, url, patient)
	f := follow(t, s, record("n"))
	add := func(s store.Store) error {
		return s.Update(t.Context(), func(tx store.Tx) error { return count(tx, record("n")) })
	}
	if err := add(s); err != nil {
		t.Fatal(err)
	}
	server.Halt(t)
	view := func() error { return s.View(t.Context(), func(store.Tx) error { return nil }) }
	for what, err := range map[string]error{"Update": add(s), "View": view()} {
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("%s without a server: %v", what, err)
		}
	}
	started := make(chan error, 1)
	go func() { started <- server.Start() }()
	if err := add(other); err != nil { // has patience
		t.Errorf("Update during the restart: %v", err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(add(s), view()); err != nil {
		t.Error(err)
	}
	eventually(t, "all is heard", func() bool { return f.last.Load() == 3 })
}
