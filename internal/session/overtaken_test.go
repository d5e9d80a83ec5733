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
