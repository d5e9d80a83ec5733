package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// patient waits as long as a test may last.
func patient(o *Options) { o.testOnlyPatience = time.Minute }

// request is the context of one caller.
func request(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx
}

// Attack: many slow reads at once, until the server has no connection left for
// anybody. They wait for each other instead.
func TestSlowViewsStayUnderTheCap(t *testing.T) {
	const callers = 200
	url := pgtest.URL(t)
	s := node(t, url, patient)
	other := node(t, url)
	release := make(chan struct{})
	var all sync.WaitGroup
	var waiting, inside, most atomic.Int32
	for range callers {
		ctx := request(t)
		all.Go(func() {
			waiting.Add(1)
			err := s.View(ctx, func(tx store.Tx) error {
				now := inside.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				<-release
				inside.Add(-1)
				_, err := tx.Get(record("k"))
				return err
			})
			if !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	eventually(t, "all views wait", func() bool { return waiting.Load() == callers && inside.Load() >= poolSize })
	// Longer than whoever waits took until now for more connections.
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
		if err := other.View(t.Context(), func(store.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	all.Wait()
	if n := most.Load(); n > poolSize {
		t.Errorf("%d connections for %d views, want %d", n, callers, poolSize)
	}
}

// Views inside Views, with as many callers as have connections and more who wait
// for one: nobody waits for ever, and nobody else takes what those inside need.
func TestNestedViewsDoNotStarve(t *testing.T) {
	s := node(t, pgtest.URL(t), patient)
	full := make(chan struct{})
	var all sync.WaitGroup
	var inside atomic.Int32
	for range 4 * poolSize {
		ctx := request(t)
		all.Go(func() {
			err := s.View(ctx, func(store.Tx) error {
				if inside.Add(1) == poolSize {
					close(full)
				}
				<-full
				return s.View(ctx, func(store.Tx) error { return nil })
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A View inside an Update comes to its end although all connections are taken by
// Views that wait for that Update.
func TestViewInsideAnUpdateDoesNotStarve(t *testing.T) {
	s := node(t, pgtest.URL(t), patient)
	done := make(chan struct{})
	var all sync.WaitGroup
	var inside atomic.Int32
	for range 2 * poolSize {
		ctx := request(t)
		all.Go(func() {
			err := s.View(ctx, func(store.Tx) error {
				inside.Add(1)
				<-done
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all connections are taken", func() bool { return inside.Load() == poolSize })
	ctx := request(t)
	err := s.Update(ctx, func(store.Tx) error { return s.View(ctx, func(store.Tx) error { return nil }) })
	close(done)
	if err != nil {
		t.Error(err)
	}
	all.Wait()
}

// Who finds no connection for too long is told so, as of a store that does not
// answer; who gives up waiting hears of their own end.
func TestViewsThatFindNoConnection(t *testing.T) {
	s := node(t, pgtest.URL(t), func(o *Options) { o.testOnlyPatience = 50 * time.Millisecond })
	var all sync.WaitGroup
	release := make(chan struct{})
	var inside atomic.Int32
	for range poolSize {
		ctx := request(t)
		all.Go(func() {
			err := s.View(ctx, func(store.Tx) error {
				inside.Add(1)
				<-release
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all connections are taken", func() bool { return inside.Load() == poolSize })
	err := s.View(request(t), func(store.Tx) error { return nil })
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, errBusy) {
		t.Errorf("too long: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.views.get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	close(release)
	all.Wait()
}

// A server that is full for a moment is as one that is away for a moment.
func TestFullServerIsWaitedFor(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(t)
	s := node(t, url, patient)
	server.Exec(t, "alter role "+pgtest.User+" connection limit 3")
	release, taken := make(chan struct{}), make(chan struct{})
	outer, inner := request(t), request(t)
	var all sync.WaitGroup
	all.Go(func() {
		err := s.View(outer, func(store.Tx) error {
			close(taken)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-taken
	other := make(chan error, 1)
	go func() {
		// The first View, the follower and the role's limit leave one connection, which
		// the writer takes, and this one waits.
		err := put(t, s, record("k"), "x")
		other <- errors.Join(err, s.View(inner, func(store.Tx) error { return nil }))
	}()
	eventually(t, "the server refuses", func() bool { return refused(t, s) })
	close(release)
	if err := <-other; err != nil {
		t.Error(err)
	}
	all.Wait()
}

// refused reports whether the server has no room for one more of ours.
func refused(t *testing.T, s *db) bool {
	conn, err := s.connect(t.Context())
	closeConn(conn)
	return code(err) == codeConnections
}
