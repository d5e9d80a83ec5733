package login_test

import (
	"errors"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Attack: somebody at a stolen session sends a change with a code that he saw,
// and the owner ends that session at the same moment. Before, the code was
// judged in one transaction and the change made in the next, so the change came
// after the revocation.
func TestAChangeDiesWithTheSessionThatSentIt(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	live := h.mustLive(alice.login())
	h.next()
	made := 0
	change := func(store.Tx, *account.User) error { made++; return nil }
	h.store.beforeUpdate(1, func() {
		h.update(func(tx store.Tx) error { return h.sessions.Revoke(tx, live.ID) })
	})
	updates := h.store.updates.Load()
	h.wantDenied(h.doors.WithFresh(t.Context(), live, alice.code(), alice.client, change), "a change of a session that was revoked meanwhile")
	if made != 0 {
		t.Error("the change was made")
	}
	if n := h.store.updates.Load() - updates; n != 1 {
		t.Errorf("%d transactions for one decision", n)
	}
	// The code was not looked at, so it is not spent either.
	must(t, h.doors.WithFresh(t.Context(), h.mustLive(alice.login()), alice.codes[0], alice.client, change))
	if made != 1 {
		t.Error("a living session with a good code changed nothing")
	}
}

// A change that is refused costs no code, and a wrong code makes no change and
// stays counted, whatever the change would have answered.
func TestACodeIsSpentWithTheChangeOrNotAtAll(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	live := h.mustLive(alice.login())
	h.next()
	code := alice.code()
	made := false
	for _, refusal := range []error{factor.ErrLastFactor, login.ErrDenied, login.ErrCodeNeeded} {
		err := h.doors.WithFresh(t.Context(), live, code, alice.client, func(tx store.Tx, u *account.User) error {
			if err := h.dir.Touch(tx, u.ID, tx.Now()); err != nil {
				return err
			}
			return refusal
		})
		if !errors.Is(err, refusal) {
			t.Errorf("the refusal %v became %v", refusal, err)
		}
	}
	h.update(func(tx store.Tx) error {
		u, err := h.dir.ByID(tx, alice.id)
		if err == nil && u.LastLoginAt.Equal(h.clock.Now()) {
			t.Error("a refused change left something behind")
		}
		return err
	})
	change := func(store.Tx, *account.User) error { made = true; return nil }
	must(t, h.doors.WithFresh(t.Context(), live, code, alice.client, change))
	if !made {
		t.Fatal("the code was spent by a refused change")
	}
	made = false
	h.wantDenied(h.doors.WithFresh(t.Context(), live, code, alice.client, change), "the same code again")
	wrong := 0
	for ; wrong < 20; wrong++ {
		if throttled(h.doors.WithFresh(t.Context(), live, alice.wrongCode(), alice.client, change)) {
			break
		}
	}
	if wrong != 5 || made {
		t.Errorf("%d wrong codes before the wait, want 5; changed: %v", wrong, made)
	}
}

// Attack: two posts of the same code at once, each for a change of its own.
func TestOneCodeMakesOneChange(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	live := h.mustLive(alice.login())
	h.next()
	code := alice.code()
	good := 0
	for _, err := range parallel(20, func(int) error {
		return h.doors.WithFresh(t.Context(), live, code, alice.client, func(store.Tx, *account.User) error { return nil })
	}) {
		if err == nil {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d changes for one code", good)
	}
}
