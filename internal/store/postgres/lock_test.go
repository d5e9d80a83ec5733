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

// Somebody holds the lock and does not give it back: all who wait hear of it when
// the first one gives up, and not each after a wait of their own.
func TestHeldLockAnswersTheWholeQueue(t *testing.T) {
	const limit, callers = 2 * time.Second, 4
	url := pgtest.URL(t)
	s := node(t, url, func(o *Options) { o.testOnlyLock = limit })
	other, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(other)
	if err := run(other, "begin; lock table sallyport_turn in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			err := put(t, s, record("k"), "x")
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "did not give the lock back") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if took := time.Since(begin); took > 2*limit {
		t.Errorf("the last of %d was answered after %v", callers, took)
	}
	if err := run(other, "rollback"); err != nil {
		t.Fatal(err)
	}
	if err := put(t, s, record("k"), "x"); err != nil {
		t.Error(err)
	}
}
