package session_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// A cookie is never good in a Live that began after the Update of its Revoke
// returned, while others check it, evict it and load it again.
func TestNeverLiveAfterRevoke(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	for range 60 {
		o := w.open(u, domain)
		var revoked atomic.Bool
		var all sync.WaitGroup
		for _, cookie := range []string{o.Cookie.Reveal(), o.DomainCookie.Reveal(), o.Cookie.Reveal()} {
			all.Go(func() {
				for after := 0; after < 20; {
					gone := revoked.Load()
					_, err := w.live(cookie)
					switch {
					case gone && err == nil:
						t.Error("a revoked session lives")
						return
					case !gone && err != nil && !errors.Is(err, session.ErrNone):
						t.Error(err)
						return
					case gone:
						after++
					}
				}
			})
		}
		all.Go(func() {
			for !revoked.Load() {
				w.Evict()
			}
		})
		w.update(func(tx store.Tx) error { return w.Revoke(tx, o.ID) })
		revoked.Store(true)
		all.Wait()
	}
}

// Everything at once, for the race detector: each cookie opens its owner's session
// or none (two concurrent logins that swap users: GHSA-9q5m-jfc4-wc92; a map
// written by two: CVE-2026-48154).
func TestS14Soak(t *testing.T) {
	w := newWorld(t)
	people := []*account.User{}
	for _, name := range names(8) {
		people = append(people, w.user(name))
	}
	deadline := time.Now().Add(3 * time.Second)
	var lived, ended atomic.Int64
	var all sync.WaitGroup
	for worker := range 6 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			type held struct {
				o *session.Opened
				u *account.User
			}
			var mine []held
			for time.Now().Before(deadline) && !t.Failed() {
				switch n := r.IntN(100); {
				case n < 15 || len(mine) == 0:
					u := people[r.IntN(len(people))]
					mine = append(mine, held{w.open(u, domain, refresh), u})
				case n < 20:
					i := r.IntN(len(mine))
					err := w.store.Update(context.Background(), func(tx store.Tx) error { return w.Revoke(tx, mine[i].o.ID) })
					if err != nil && !errors.Is(err, session.ErrNone) {
						t.Error(err)
					}
					w.refused(mine[i].o.Cookie.Reveal())
					w.refused(mine[i].o.DomainCookie.Reveal())
					mine = append(mine[:i], mine[i+1:]...)
					ended.Add(1)
				case n < 22:
					w.update(func(tx store.Tx) error {
						_, err := w.dir.RaiseEpoch(tx, mine[0].u.ID)
						return err
					})
				case n < 25:
					groups := []string{"ops"}[:r.IntN(2)]
					w.update(func(tx store.Tx) error {
						_, err := w.dir.Update(tx, account.Local(), mine[0].u.ID, account.Change{Groups: &groups})
						return err
					})
				case n < 27:
					w.Evict()
				case n < 28:
					w.Beat()
				case n < 29:
					w.clock.Advance(time.Minute)
				case n < 32:
					h := mine[r.IntN(len(mine))]
					if _, err := w.Refresh(context.Background(), h.o.Refresh.Reveal(), session.Origin{}); err != nil && !errors.Is(err, session.ErrNone) {
						t.Error(err)
					}
				case n < 34:
					h := mine[r.IntN(len(mine))]
					defer w.Subscribe(h.o.ID, func(bool) {})()
				default:
					h := mine[r.IntN(len(mine))]
					cookie := h.o.Cookie.Reveal()
					if n%2 == 0 {
						cookie = h.o.DomainCookie.Reveal()
					}
					l, err := w.live(cookie)
					if errors.Is(err, session.ErrNone) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					lived.Add(1)
					if l.Identity.ID != h.u.ID || l.ID != h.o.ID || l.Identity.Name != h.u.Name {
						t.Errorf("the cookie of %s opened a session of %s", h.u.Name, l.Identity.Name)
					}
				}
			}
		})
	}
	all.Wait()
	if lived.Load() == 0 || ended.Load() == 0 {
		t.Fatalf("%d lived, %d ended: nothing was tested", lived.Load(), ended.Load())
	}
}
