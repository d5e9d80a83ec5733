package session_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

func (w *world) refresh(token string) (string, error) {
	o, err := w.Refresh(context.Background(), token, session.Origin{UserAgent: "test"})
	if err != nil {
		return "", err
	}
	if !o.Cookie.IsZero() || o.DomainCookie != nil {
		w.Error("refresh shows a cookie")
	}
	return o.Refresh.Reveal(), nil
}

func (w *world) refreshed(token string) string {
	w.Helper()
	next, err := w.refresh(token)
	if err != nil {
		w.Fatalf("a good refresh token was refused: %v", err)
	}
	return next
}

func (w *world) notRefreshed(token string) {
	w.Helper()
	if _, err := w.refresh(token); !errors.Is(err, session.ErrNone) {
		w.Fatalf("got %v, want ErrNone", err)
	}
}

func TestRefreshGoesOn(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"), refresh)
	token, seen := o.Refresh.Reveal(), []string{}
	for range 30 { // a week, more often than the idle limit
		if slices.Contains(seen, token) {
			t.Fatal("a token came twice")
		}
		seen = append(seen, token)
		next := w.refreshed(token)
		token = next
		w.clock.Advance(5 * time.Hour)
		w.Beat()
	}
	l := w.passes(o.Cookie.Reveal())
	if l.ID != o.ID {
		t.Error("another session")
	}
	w.clock.Set(start.Add(session.DefaultAbsolute))
	w.notRefreshed(token)
}

// Attack: a refresh token is stolen and used by both sides. Whoever comes second
// shows a token that is dead: the family ends, for the thief too.
func TestRefreshReuseEndsTheFamily(t *testing.T) {
	for name, c := range map[string]struct {
		later time.Duration
		older int // which predecessor is shown: 1 is the immediate one
	}{
		"immediate, after 10 seconds": {11 * time.Second, 1},
		"older, at once":              {0, 2},
		"the very first, long after":  {time.Hour, 5},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.open(w.user("alice"), refresh, domain)
			access := w.access(o.Live)
			tokens := []string{o.Refresh.Reveal()}
			for i := range 5 {
				tokens = append(tokens, w.refreshed(tokens[i]))
			}
			w.clock.Advance(c.later)
			w.passes(o.Cookie.Reveal())
			w.notRefreshed(tokens[len(tokens)-1-c.older])
			w.notRefreshed(tokens[len(tokens)-1])
			w.refused(o.Cookie.Reveal())
			w.refused(o.DomainCookie.Reveal())
			w.tokenRefused(access)
			if n := w.caused(audit.KindSessionRevoke, "reuse"); n != 1 {
				t.Errorf("%d events, want 1", n)
			}
		})
	}
}

// A client whose answer was lost asks again: once, within 10 seconds, it gets the
// same answer, and that token is good. The third time is a theft.
func TestRefreshAnswersAgainOnce(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"), refresh)
	first := o.Refresh.Reveal()
	second := w.refreshed(first)
	w.clock.Advance(9 * time.Second)
	w.restart()
	if again := w.refreshed(first); again != second {
		t.Fatal("another answer")
	}
	third := w.refreshed(second)
	if w.refreshed(second) != third {
		t.Fatal("another answer")
	}
	w.notRefreshed(second)
	w.notRefreshed(third)
	w.refused(o.Cookie.Reveal())
}

// Many at once with one token: all answers that are given are the same, there are
// at most two, and no second family comes of it.
func TestParallelRefresh(t *testing.T) {
	for _, n := range []int{2, 16} {
		w := newWorld(t)
		o := w.open(w.user("alice"), refresh)
		var mu sync.Mutex
		var answers []string
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				next, err := w.refresh(o.Refresh.Reveal())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					answers = append(answers, next)
				case !errors.Is(err, session.ErrNone):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(answers) != 2 || answers[0] != answers[1] {
			t.Fatalf("%d of %d answered", len(answers), n)
		}
		if n == 2 {
			w.refreshed(answers[0])
		} else {
			w.notRefreshed(answers[0]) // sixteen are not a lost answer
		}
	}
}

// Attack: somebody was disabled, deleted, or changed the password, and a program
// goes on with a refresh token from before (CVE-2024-47000, CVE-2026-43983).
func TestS6RefreshOfSomebodyWhoMayNot(t *testing.T) {
	for what, end := range map[string]func(w *world, tx store.Tx, u *account.User) error{
		"disabled": func(w *world, tx store.Tx, u *account.User) error {
			_, err := w.dir.SetDisabled(tx, account.Local(), u.ID, true)
			return err
		},
		"deleted": func(w *world, tx store.Tx, u *account.User) error { return w.dir.Delete(tx, account.Local(), u.ID) },
		"password": func(w *world, tx store.Tx, u *account.User) error {
			_, err := w.dir.SetPassword(tx, account.Local(), u.ID, phc)
			return err
		},
		"factor added": func(w *world, tx store.Tx, u *account.User) error {
			_, err := w.dir.SetMethods(tx, account.Local(), u.ID, []account.Method{{Name: "totp", Primary: true, AddedAt: tx.Now()}}, true)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			u := w.user("alice")
			o := w.open(u, refresh)
			next := w.refreshed(o.Refresh.Reveal())
			w.update(func(tx store.Tx) error { return end(w, tx, u) })
			w.notRefreshed(o.Refresh.Reveal())
			w.notRefreshed(next)
			w.refused(o.Cookie.Reveal())
			w.must(w.store.View(t.Context(), func(tx store.Tx) error {
				if _, err := w.Get(tx, o.ID); !errors.Is(err, session.ErrNone) {
					t.Errorf("the session is still there: %v", err)
				}
				return nil
			}))
		})
	}
}

// The session that made a change goes on, by its refresh token too; one that
// idles too long does not.
func TestRefreshAfterRaiseAndIdle(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	o := w.open(u, refresh)
	w.update(func(tx store.Tx) error {
		u, err := w.dir.SetPassword(tx, account.Local(), u.ID, phc)
		if err != nil {
			return err
		}
		return w.Raise(tx, o.ID, u.Epoch)
	})
	next := w.refreshed(o.Refresh.Reveal())
	w.clock.Advance(session.DefaultIdle)
	w.notRefreshed(next)
}
