package session_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// countingStore counts transactions.
type countingStore struct {
	store.Store
	views, updates atomic.Int64
}

func (s *countingStore) View(ctx context.Context, fn func(store.Tx) error) error {
	s.views.Add(1)
	return s.Store.View(ctx, fn)
}

func (s *countingStore) Update(ctx context.Context, fn func(store.Tx) error) error {
	s.updates.Add(1)
	return s.Store.Update(ctx, fn)
}

// slowStore lets a test do something after a View has read what it wanted and
// before its caller hears of it.
type slowStore struct {
	store.Store
	mu    sync.Mutex
	after func() // of the next View; once
}

func (s *slowStore) View(ctx context.Context, fn func(store.Tx) error) error {
	s.mu.Lock()
	after := s.after
	s.after = nil
	s.mu.Unlock()
	err := s.Store.View(ctx, fn)
	if after != nil {
		after()
	}
	return err
}

func (s *slowStore) next(after func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = after
}

// Attack: a request with a stolen cookie runs while its owner signs out. It has
// read the session from the store, then the session ends, and only then would it
// put what it read into the index: the session would live on there, revoked, until
// its idle limit, and every request slides that. The index must notice.
func TestRevocationOvertakesALoad(t *testing.T) {
	for what, end := range map[string]func(w *world, tx store.Tx, u *account.User, id string) error{
		"revoked": func(w *world, tx store.Tx, u *account.User, id string) error { return w.Revoke(tx, id) },
		"disabled": func(w *world, tx store.Tx, u *account.User, id string) error {
			_, err := w.dir.SetDisabled(tx, account.Local(), u.ID, true)
			return err
		},
		"epoch": func(w *world, tx store.Tx, u *account.User, id string) error {
			_, err := w.dir.SetPassword(tx, account.Local(), u.ID, phc)
			return err
		},
		"deleted": func(w *world, tx store.Tx, u *account.User, id string) error {
			return w.dir.Delete(tx, account.Local(), u.ID)
		},
	} {
		for _, sibling := range []bool{false, true} { // the principal is in the index by another session, or not
			for _, token := range []string{"portal", "domain", "access"} {
				t.Run(what+"/"+token, func(t *testing.T) {
					var slow *slowStore
					w := newWorldOver(t, func(s store.Store) store.Store { slow = &slowStore{Store: s}; return slow })
					u := w.user("alice")
					o := w.open(u, domain)
					jwt := w.access(o.Live)
					if _, err := w.VerifyAccess(t.Context(), jwt); err != nil {
						t.Fatal(err)
					}
					w.Evict()
					if sibling {
						w.passes(w.open(u).Cookie.Reveal())
					}
					ended := false
					slow.next(func() {
						w.update(func(tx store.Tx) error { return end(w, tx, u, o.ID) })
						ended = true
					})
					show := func() {
						switch token {
						case "portal":
							w.refused(o.Cookie.Reveal())
						case "domain":
							w.refused(o.DomainCookie.Reveal())
						case "access":
							w.tokenRefused(jwt)
						}
					}
					show()
					if !ended {
						t.Fatal("the store was not asked: the test proves nothing")
					}
					show()
				})
			}
		}
	}
}

// The same race, with a change that the session survives: it must not be lost either.
func TestRaiseOvertakesALoad(t *testing.T) {
	var slow *slowStore
	w := newWorldOver(t, func(s store.Store) store.Store { slow = &slowStore{Store: s}; return slow })
	u := w.user("alice")
	o := w.open(u)
	slow.next(func() {
		w.update(func(tx store.Tx) error {
			u, err := w.dir.SetPassword(tx, account.Local(), u.ID, phc)
			if err != nil {
				return err
			}
			return w.Raise(tx, o.ID, u.Epoch)
		})
	})
	for range 2 {
		if l := w.passes(o.Cookie.Reveal()); l.Epoch != u.Epoch+1 || l.Identity.Epoch != u.Epoch+1 {
			t.Fatalf("epoch %d of %d", l.Epoch, l.Identity.Epoch)
		}
	}
}

// A session goes on at a new epoch, and the commit that says so is being told
// around: the store has the new epoch, the index still the old one. A request in
// that moment is of a living session. Before, it was asked for again and again
// without a pause, found the same, and failed: 503 at the guard, 500 on the pages,
// for everybody who changed a password while many others did something.
func TestLivingSessionWhileACommitIsToldAround(t *testing.T) {
	for _, token := range []string{"portal", "domain", "access"} {
		t.Run(token, func(t *testing.T) {
			var armed atomic.Bool
			committed, answered := make(chan struct{}), make(chan struct{})
			w := newWorldOver(t, func(s store.Store) store.Store {
				s.Watch(account.UserKeyPrefix(), func(store.Change) { // stands before the registry's own
					if armed.CompareAndSwap(true, false) {
						close(committed)
						<-answered
					}
				})
				return s
			})
			u := w.user("alice")
			o := w.open(u, domain)
			w.passes(w.open(u).Cookie.Reveal()) // a sibling: the index knows alice
			w.access(o.Live)                    // the signing keys are made
			armed.Store(true)
			var change sync.WaitGroup
			change.Go(func() {
				w.update(func(tx store.Tx) error {
					u, err := w.dir.SetPassword(tx, account.Local(), u.ID, phc)
					if err != nil {
						return err
					}
					return w.Raise(tx, o.ID, u.Epoch)
				})
			})
			<-committed
			show := func() (session.Live, error) {
				switch token {
				case "portal":
					return w.live(o.Cookie.Reveal())
				case "domain":
					return w.live(o.DomainCookie.Reveal())
				}
				raised := o.Live
				raised.Epoch++
				return w.VerifyAccess(t.Context(), w.access(raised))
			}
			l, err := show()
			close(answered)
			change.Wait()
			if err != nil || l.Epoch != u.Epoch+1 || l.Identity.Epoch != u.Epoch+1 || l.ID != o.ID || l.Portal != (token != "domain") {
				t.Fatalf("a living session: %+v, %v", l, err)
			}
			if l, err = show(); err != nil || l.Epoch != u.Epoch+1 {
				t.Fatalf("after the commit: %+v, %v", l, err)
			}
			w.update(func(tx store.Tx) error { return w.Revoke(tx, o.ID) })
			if _, err := show(); !errors.Is(err, session.ErrNone) {
				t.Fatalf("revoked, and yet: %v", err)
			}
		})
	}
}

// Attack: a stolen cookie is shown while its owner is locked out, and every time
// just as the answer comes something else of that person is written, so that what
// was read is never what the index may take in. A request gets the answer that was
// true while it ran, and nothing that was old stays behind it.
func TestRevocationBehindManyOtherCommits(t *testing.T) {
	var slow *slowStore
	w := newWorldOver(t, func(s store.Store) store.Store { slow = &slowStore{Store: s}; return slow })
	u := w.user("alice")
	o := w.open(u)
	writes := 0
	var again func()
	again = func() {
		writes++
		w.update(func(tx store.Tx) error {
			if writes < 300 { // of this very person, so that what was read is old each time
				name := names(writes)[writes-1]
				_, err := w.dir.Update(tx, account.Local(), u.ID, account.Change{FullName: &name})
				return err
			}
			_, err := w.dir.SetDisabled(tx, account.Local(), u.ID, true)
			return err
		})
		if writes < 300 {
			slow.next(again)
		}
	}
	slow.next(again)
	for writes < 300 {
		if l, err := w.live(o.Cookie.Reveal()); err != nil && !errors.Is(err, session.ErrNone) {
			t.Fatalf("after %d commits: %+v, %v", writes, l, err)
		}
	}
	w.refused(o.Cookie.Reveal())
	if w.Known() != 0 {
		t.Error("the index took in what was old")
	}
}

// Two registries over one store: what ends in one has ended in the other when the
// Update returns, and a session that is used in one does not idle out in the other.
func TestTwoRegistries(t *testing.T) {
	w := newWorld(t)
	other := w.registry()
	u := w.userIn("root", "admin")
	o, used := w.open(u, domain), w.open(u)
	for _, cookie := range []string{o.Cookie.Reveal(), o.DomainCookie.Reveal(), used.Cookie.Reveal()} {
		w.passes(cookie)
		if _, err := other.Live(t.Context(), cookie, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Advance(20 * time.Minute)
	w.passes(used.Cookie.Reveal())
	w.passes(o.Cookie.Reveal())
	w.Beat()
	w.clock.Advance(20 * time.Minute)
	if _, err := other.Live(t.Context(), used.Cookie.Reveal(), w.clock.Now()); err != nil {
		t.Fatalf("the other registry does not know that the session was used: %v", err)
	}
	w.update(func(tx store.Tx) error { return w.Revoke(tx, o.ID) })
	for _, cookie := range []string{o.Cookie.Reveal(), o.DomainCookie.Reveal()} {
		if _, err := other.Live(t.Context(), cookie, w.clock.Now()); !errors.Is(err, session.ErrNone) {
			t.Fatalf("revoked here, there: %v", err)
		}
	}
}

// Many requests with one new cookie load it once each at most, and all pass.
func TestParallelFirstRequests(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"), domain)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			cookie := o.Cookie.Reveal()
			if i%2 == 0 {
				cookie = o.DomainCookie.Reveal()
			}
			if l, err := w.live(cookie); err != nil || l.ID != o.ID {
				t.Errorf("got %+v, %v", l, err)
			}
		})
	}
	all.Wait()
	if w.Known() != 2 || w.People() != 1 {
		t.Errorf("%d tokens of %d people", w.Known(), w.People())
	}
}
