package session_test

import (
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// cutOff is a store whose watchers hear nothing while the connection is down, and
// then only that they have missed something.
type cutOff struct {
	store.Store
	mu       sync.Mutex
	down     bool
	watchers []store.Change
	tell     []func(store.Change)
}

func (s *cutOff) Watch(prefix []byte, fn func(store.Change)) (stop func()) {
	s.watchers, s.tell = append(s.watchers, store.Change{Key: prefix, Deleted: true, All: true}), append(s.tell, fn)
	return s.Store.Watch(prefix, func(c store.Change) {
		s.mu.Lock()
		down := s.down
		s.mu.Unlock()
		if !down {
			fn(c)
		}
	})
}

func (s *cutOff) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Attack: a thief uses a session while this node does not hear the database, and
// the owner ends it, or is disabled, on another node. As soon as the node knows that
// it has missed something, it asks the store again.
func TestMissedChangesAreNotBelieved(t *testing.T) {
	for what, end := range map[string]func(w *world, tx store.Tx, u *account.User, id string) error{
		"revoked": func(w *world, tx store.Tx, u *account.User, id string) error { return w.Revoke(tx, id) },
		"disabled": func(w *world, tx store.Tx, u *account.User, id string) error {
			_, err := w.dir.SetDisabled(tx, account.Local(), u.ID, true)
			return err
		},
	} {
		net := &cutOff{}
		w := newWorldOver(t, func(s store.Store) store.Store { net.Store = s; return net })
		alice, bob := w.user("alice"), w.user("bob")
		stolen, kept := w.open(alice), w.open(bob)
		for _, cookie := range []string{stolen.Cookie.Reveal(), kept.Cookie.Reveal()} {
			if _, err := w.live(cookie); err != nil {
				t.Fatal(err)
			}
		}
		stream := w.listen(stolen.ID)
		stream.next(false)
		net.set(true)
		w.update(func(tx store.Tx) error { return end(w, tx, alice, stolen.ID) })
		if _, err := w.live(stolen.Cookie.Reveal()); err != nil {
			t.Fatalf("%s: heard although the connection is down: the test proves nothing (%v)", what, err)
		}
		net.set(false)
		for i, tell := range net.tell {
			tell(net.watchers[i])
		}
		if w.Known() != 0 || w.People() != 0 {
			t.Errorf("%s: %d tokens of %d people are still known", what, w.Known(), w.People())
		}
		if _, err := w.live(stolen.Cookie.Reveal()); err == nil {
			t.Errorf("%s: the session lives", what)
		}
		if _, err := w.live(kept.Cookie.Reveal()); err != nil {
			t.Errorf("%s: another session is gone: %v", what, err)
		}
		stream.next(true)
	}
}
