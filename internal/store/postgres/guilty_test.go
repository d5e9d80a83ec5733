package postgres

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// Attack: one Update that brings the transaction down, again and again, among those
// that it shares a commit with. It alone fails.
func TestOneUpdateFailsAlone(t *testing.T) {
	const innocent = 8
	for what, c := range map[string]struct {
		guilty      func(t *testing.T, s *db, own *tx) error
		unavailable bool
	}{
		"a query that fails": {func(t *testing.T, _ *db, own *tx) error {
			_, err := own.conn.Exec(t.Context(), "select 1/0")
			return own.fail(err)
		}, false},
		"slow, and asks then": {func(t *testing.T, s *db, own *tx) error {
			untilEnded(t, s)
			_, err := own.Get(record("other"))
			return err
		}, true},
		"slow, and others find out": {func(t *testing.T, s *db, _ *tx) error {
			untilEnded(t, s)
			return nil
		}, true},
	} {
		t.Run(what, func(t *testing.T) {
			s := node(t, pgtest.URL(t), patient, func(o *Options) { o.testOnlyIdle = 2 * time.Second })
			first, queued := make(chan struct{}), make(chan struct{})
			var all sync.WaitGroup
			var once sync.Once
			all.Go(func() { // begins the batch, and gives it on when all others wait behind
				err := s.Update(t.Context(), func(tx store.Tx) error {
					once.Do(func() { close(first) })
					<-queued
					return count(tx, record("n"))
				})
				if err != nil {
					t.Errorf("before: %v", err)
				}
			})
			<-first
			failed := make(chan error, 1)
			all.Go(func() {
				runs := 0
				err := s.Update(t.Context(), func(tx store.Tx) error {
					if runs++; runs > 1 {
						t.Error("the guilty one ran again")
						return nil
					}
					return c.guilty(t, s, ours(tx))
				})
				failed <- err
			})
			eventually(t, "the guilty one waits", func() bool { return len(s.jobs) == 1 })
			for range innocent {
				all.Go(func() {
					if err := s.Update(t.Context(), func(tx store.Tx) error { return count(tx, record("n")) }); err != nil {
						t.Errorf("behind: %v", err)
					}
				})
			}
			eventually(t, "all others wait", func() bool { return len(s.jobs) == 1+innocent })
			close(queued)
			all.Wait()
			if err := <-failed; err == nil || errors.Is(err, store.ErrUnavailable) != c.unavailable {
				t.Errorf("the guilty one: %v", err)
			}
			if n := number(t, s, record("n")); n != 1+innocent {
				t.Errorf("counted %d, want %d", n, 1+innocent)
			}
		})
	}
}

// One Update is so slow that the server ends its transaction: those who wait behind
// it are not refused with it.
func TestSlowUpdateDoesNotTakeTheQueueWithIt(t *testing.T) {
	const innocent = 8
	s := node(t, pgtest.URL(t), patient, func(o *Options) { o.testOnlyIdle = 2 * time.Second })
	var all sync.WaitGroup
	begun, failed := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	all.Go(func() {
		failed <- s.Update(t.Context(), func(tx store.Tx) error {
			once.Do(func() { close(begun) })
			eventually(t, "others wait", func() bool { return len(s.jobs) == innocent })
			untilEnded(t, s)
			_, err := tx.Get(record("other"))
			return err
		})
	})
	<-begun
	for range innocent {
		all.Go(func() {
			if err := s.Update(t.Context(), func(tx store.Tx) error { return count(tx, record("n")) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := <-failed; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the slow one: %v", err)
	}
	if n := number(t, s, record("n")); n != innocent {
		t.Errorf("counted %d, want %d", n, innocent)
	}
}

func ours(t store.Tx) *tx { return t.(*tx) }

// untilEnded waits until the server has ended the transaction of the writer.
func untilEnded(t *testing.T, s *db) {
	pid := s.writer.PgConn().PID()
	eventually(t, "the server ends the transaction", func() bool {
		l, err := s.views.get(t.Context())
		if err != nil {
			t.Error(err)
			return true
		}
		defer s.views.put(l)
		there := true
		if err := l.conn.QueryRow(t.Context(), "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&there); err != nil {
			t.Error(err)
		}
		return !there
	})
}
