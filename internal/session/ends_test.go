package session_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ear hears what a stream is told.
type ear struct {
	*world
	told chan bool
	stop func()
}

func (w *world) listen(id string) *ear {
	e := &ear{world: w, told: make(chan bool, 1000)}
	e.stop = w.Subscribe(id, func(ended bool) { e.told <- ended })
	return e
}

// next waits for what is told next.
func (e *ear) next(want bool) {
	e.Helper()
	select {
	case got := <-e.told:
		if got != want {
			e.Fatalf("told %v, want %v", got, want)
		}
	case <-time.After(10 * time.Second):
		e.Fatalf("nothing was told, want %v", want)
	}
}

// silent demands that nothing more was told; last is told after all that is due.
func (e *ear) silent() {
	e.Helper()
	if n := len(e.told); n != 0 {
		e.Fatalf("told %d times more", n)
	}
}

// Attack: a WebSocket stays open after its user was thrown out.
func TestStreamsHearOfTheEnd(t *testing.T) {
	for what, end := range map[string]func(w *world, tx store.Tx, u *account.User, id string) error{
		"revoked": func(w *world, tx store.Tx, u *account.User, id string) error { return w.Revoke(tx, id) },
		"disabled": func(w *world, tx store.Tx, u *account.User, id string) error {
			_, err := w.dir.SetDisabled(tx, account.Local(), u.ID, true)
			return err
		},
		"deleted": func(w *world, tx store.Tx, u *account.User, id string) error {
			return w.dir.Delete(tx, account.Local(), u.ID)
		},
		"epoch": func(w *world, tx store.Tx, u *account.User, id string) error {
			_, err := w.dir.RaiseEpoch(tx, u.ID)
			return err
		},
		"expired": func(w *world, tx store.Tx, u *account.User, id string) error {
			w.clock.Advance(session.DefaultIdle)
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			u, bob := w.user("alice"), w.user("bob")
			o, other := w.open(u), w.open(bob, func(o *session.Opening) { o.Remember = true })
			one, two, theirs := w.listen(o.ID), w.listen(o.ID), w.listen(other.ID)
			one.next(false) // what was decided before Subscribe may be old
			two.next(false)
			theirs.next(false)
			w.update(func(tx store.Tx) error { return end(w, tx, u, o.ID) })
			w.Beat()
			one.next(true)
			two.next(true)
			w.Beat()
			last := w.listen("no session") // told after whatever is in the queue
			last.next(true)
			one.silent()
			two.silent()
			theirs.silent()
			last.silent()
		})
	}
}

// A stream whose principal lost a group is asked about again, and goes on living.
func TestStreamsHearOfChanges(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	o := w.open(u)
	e := w.listen(o.ID)
	e.next(false)
	for _, groups := range [][]string{{"ops"}, {"ops", "dev"}, nil} {
		w.update(func(tx store.Tx) error {
			_, err := w.dir.Update(tx, account.Local(), u.ID, account.Change{Groups: &groups})
			return err
		})
		e.next(false)
	}
	w.update(func(tx store.Tx) error { return w.dir.Touch(tx, u.ID, tx.Now()) }) // a login elsewhere is no change
	stopped := w.listen(o.ID)
	stopped.next(false)
	stopped.stop()
	e.silent()
	w.update(func(tx store.Tx) error { return w.Revoke(tx, o.ID) })
	e.next(true)
	stopped.silent()
	stopped.stop()
	e.stop()
}

func TestManyStreamsEndOnce(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	ends := map[int]int{}
	var all sync.WaitGroup
	ids := []string{}
	for i, name := range names(50) {
		o := w.open(w.user(name))
		ids = append(ids, o.ID)
		for range 4 {
			all.Add(1)
			w.Subscribe(o.ID, func(bool) {}) // beside it
			w.Subscribe(o.ID, func(ended bool) {
				if ended {
					mu.Lock()
					ends[i]++
					mu.Unlock()
					all.Done()
				}
			})
		}
	}
	for _, id := range ids {
		all.Go(func() { w.update(func(tx store.Tx) error { return w.Revoke(tx, id) }) })
		all.Go(w.Beat)
	}
	all.Wait()
	w.Beat()
	mu.Lock()
	defer mu.Unlock()
	for i, n := range ends {
		if n != 4 {
			t.Errorf("person %d: %d ends", i, n)
		}
	}
}

// Attack: a server that goes on after it was given another state keeps the streams
// of the old one, and nobody hears any longer that their sessions end.
func TestStreamsEndWithTheRegistry(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"))
	one, gone := w.listen(o.ID), w.listen(o.ID)
	one.next(false)
	gone.next(false)
	gone.stop()
	w.must(w.Close())
	one.next(true)
	one.silent()
	gone.silent()
	w.listen(o.ID).next(true)
}
