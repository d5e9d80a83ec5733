package login_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const newWords = "basalt marmot drizzle fen"

// Who is signed in, but not freshly, steps up with a code alone. The new session
// replaces the old one, remembers the password's time and ends when the old one
// would have.
func TestStepUp(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	old := alice.login()
	before := h.mustLive(old)
	h.clock.Advance(time.Hour)
	next, err := h.doors.StepUp(t.Context(), h.mustLive(old), alice.client, "/vault")
	must(t, err)
	if next.Status != login.SecondFactor || next.Target != "/vault" {
		t.Fatalf("step-up: %+v", next)
	}
	h.mustLive(old)
	done, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	must(t, err)
	after := h.mustLive(done)
	h.mustBeDead(old, "the step-up")
	if !after.Proof.Fresh(h.clock.Now(), time.Minute) || !after.Proof.PasswordAt.Equal(before.Proof.PasswordAt) || !after.Until.Equal(before.Until) {
		t.Errorf("before %+v until %v, after %+v until %v", before.Proof, before.Until, after.Proof, after.Until)
	}
	if done.Target != "/vault" || h.count(audit.KindStepUp, audit.OK, "") != 1 {
		t.Error("the target or the event is missing")
	}
}

// A step-up token is worth nothing once its session has ended: signed out means
// signed out.
func TestStepUpDiesWithItsSession(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	old := alice.login()
	live := h.mustLive(old)
	h.next()
	next, err := h.doors.StepUp(t.Context(), live, alice.client, "")
	must(t, err)
	must(t, h.doors.Logout(t.Context(), live))
	_, err = h.doors.Code(t.Context(), alice.second(next, alice.code()))
	h.wantDenied(err, "a step-up of a session that ended")
	_, err = h.doors.StepUp(t.Context(), live, alice.client, "")
	h.wantDenied(err, "a step-up from a session that ended")
}

// Who has one factor and goes where two are demanded enrols on the way, and the
// session of one factor is replaced.
func TestStepUpByEnrollment(t *testing.T) {
	h := newHouse(t, setting{realms: map[string]account.Settings{"users": {Factors: one()}}})
	bob := h.someone("bob")
	old, elsewhere := bob.first(), bob.first()
	next, err := h.doors.StepUp(t.Context(), h.mustLive(old), bob.client, "/vault")
	must(t, err)
	if next.Status != login.Enroll {
		t.Fatalf("step-up of a person without a factor: %+v", next)
	}
	e, err := h.doors.EnrollStart(t.Context(), next.Ephemeral.Reveal(), login.Portal, "", login.Client{})
	must(t, err)
	bob.seed = e.Seed.Reveal()
	done, err := h.doors.EnrollConfirm(t.Context(), bob.second(next, bob.code()))
	must(t, err)
	if live := h.mustLive(done); live.Proof.AMR != session.PWD|session.OTP || done.Target != "/vault" {
		t.Errorf("after the enrolment: %+v", live)
	}
	h.mustBeDead(old, "the step-up")
	h.mustBeDead(elsewhere, "the first factor")
}

// Attack: a page that anybody may link to, opened with a session, makes a
// step-up token each time; twenty of them burned the half login that the same
// person had begun on another device. And nobody's tokens grow without bound.
func TestStepUpsBurnNoHalfLogin(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	old := alice.login()
	live := h.mustLive(old)
	h.next()
	phone := alice.first()
	var steps []*login.Next
	for range login.EphemeralLimit + 1 {
		next, err := h.doors.StepUp(t.Context(), live, alice.client, "")
		must(t, err)
		steps = append(steps, next)
	}
	alive := func(next *login.Next) bool {
		_, err := h.doors.Peek(t.Context(), next.Ephemeral.Reveal(), login.Portal)
		return err == nil
	}
	if alive(steps[0]) || !alive(steps[1]) {
		t.Error("the oldest step-up, and it alone, is to be burned")
	}
	if !alive(phone) {
		t.Fatal("the half login is burned")
	}
	var halves []*login.Next
	for range login.EphemeralLimit {
		halves = append(halves, alice.first())
	}
	if alive(phone) || !alive(halves[0]) || !alive(steps[1]) {
		t.Error("the oldest half login, and it alone, is to be burned")
	}
	_, err := h.doors.Code(t.Context(), alice.second(halves[0], alice.code()))
	must(t, err)
}

// Signing out ends the session, for good and at once; twice is no error.
func TestLogout(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	done := alice.login()
	live := h.mustLive(done)
	must(t, h.doors.Logout(t.Context(), live))
	h.mustBeDead(done, "signing out")
	must(t, h.doors.Logout(t.Context(), live))
	must(t, h.doors.Logout(t.Context(), session.Live{}))
	if n := h.count(audit.KindLogout, audit.OK, ""); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// A fresh proof burns a code; a wrong one counts as at the second door.
func TestFresh(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	live := h.mustLive(alice.login())
	h.next()
	if err := h.fresh(live, "", alice.client); !errors.Is(err, login.ErrCodeNeeded) {
		t.Errorf("no code: %v", err)
	}
	code := alice.code()
	must(t, h.fresh(live, code, alice.client))
	h.wantDenied(h.fresh(live, code, alice.client), "the same code")
	must(t, h.fresh(live, alice.codes[0], alice.client))
	h.wantDenied(h.fresh(live, alice.codes[0], alice.client), "the same recovery code")
	h.next()
	limit := 0
	for ; limit < 20; limit++ {
		if err := h.fresh(live, alice.wrongCode(), alice.client); throttled(err) {
			break
		}
	}
	if limit > 6 {
		t.Errorf("%d wrong codes were compared", limit)
	}
	_, err := h.doors.Code(t.Context(), alice.second(alice.first(), alice.code()))
	if !throttled(err) {
		t.Errorf("the second door does not know of them: %v", err)
	}
}

func TestFreshWithoutAFactor(t *testing.T) {
	h := newHouse(t, setting{realms: map[string]account.Settings{"users": {Factors: one()}}})
	bob := h.someone("bob")
	live := h.mustLive(bob.first())
	if err := h.fresh(live, "123456", bob.client); !errors.Is(err, login.ErrNoFactor) {
		t.Errorf("got %v, want ErrNoFactor", err)
	}
}

// A new password ends every other session and half login, and this session goes
// on. S1: the old cookie of a thief is worth nothing afterwards.
func TestChangePassword(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	thief := alice.login()
	h.next()
	mine := alice.login()
	half := alice.first()
	live := h.mustLive(mine)
	h.next()
	change := func(current, next, code string) error {
		return h.doors.ChangePassword(t.Context(), live, current, next, code, alice.client)
	}
	h.wantDenied(change(wrongWords, newWords, alice.code()), "a wrong current password")
	if err := change(secretWords, newWords, ""); !errors.Is(err, login.ErrCodeNeeded) {
		t.Errorf("without a code: %v", err)
	}
	h.wantDenied(change(secretWords, newWords, alice.wrongCode()), "a wrong code")
	for _, weak := range []string{"", "short", "password1234", "alice alice alice", secretWords[:4]} {
		if _, ok := errors.AsType[*secret.WeakPassword](change(secretWords, weak, alice.code())); !ok {
			t.Errorf("the new password %q is not refused as weak", weak)
		}
	}
	h.mustLive(thief)
	must(t, change(secretWords, newWords, alice.code()))
	h.mustBeDead(thief, "the new password")
	h.mustLive(mine)
	h.next()
	_, err := h.doors.Code(t.Context(), alice.second(half, alice.code()))
	h.wantDenied(err, "a half login of before")
	_, err = h.doors.Password(t.Context(), alice.attempt())
	h.wantDenied(err, "the old password")
	alice.password = newWords
	alice.login()
}

// The password is changed by an administrator while the person's own change is
// being hashed: the later look finds it, and the older intention loses.
func TestChangePasswordLooksAgain(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	live := h.mustLive(alice.login())
	h.next()
	h.store.beforeUpdate(2, func() {
		digest, err := h.hasher.Hash(t.Context(), wrongWords)
		must(t, err)
		h.update(func(tx store.Tx) error {
			u, err := h.dir.SetPassword(tx, account.Local(), alice.id, digest)
			if err == nil {
				err = h.sessions.Raise(tx, live.ID, u.Epoch) // even so
			}
			return err
		})
	})
	h.wantDenied(h.doors.ChangePassword(t.Context(), live, secretWords, newWords, alice.code(), alice.client), "a change over a change")
	alice.password = wrongWords
	alice.login()
}

// Guessing the current password at an open session counts as at the first door.
func TestChangePasswordCountsGuesses(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	live := h.mustLive(alice.login())
	h.next()
	guesses := 0
	for ; guesses < 20; guesses++ {
		err := h.doors.ChangePassword(t.Context(), live, wrongWords, newWords, alice.code(), alice.client)
		if throttled(err) {
			break
		}
		h.wantDenied(err, "a wrong current password")
	}
	if guesses != 5 {
		t.Errorf("%d guesses were judged, want 5", guesses)
	}
	if _, err := h.doors.Password(t.Context(), alice.attempt()); !throttled(err) {
		t.Errorf("the first door does not know of them: %v", err)
	}
}

// M9: the last factor stays where two are demanded, whoever asks from inside; a
// person cannot reset their own factors around that either.
func TestM9LastFactorStays(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	err := h.sealed.Update(t.Context(), func(tx store.Tx) error {
		return h.factors.Remove(tx, account.Self(alice.id), alice.id, factor.TOTP, "")
	})
	if !errors.Is(err, factor.ErrLastFactor) {
		t.Errorf("removing: %v, want ErrLastFactor", err)
	}
	err = h.sealed.Update(t.Context(), func(tx store.Tx) error {
		return h.factors.Reset(tx, account.Self(alice.id), alice.id)
	})
	if !errors.Is(err, factor.ErrLastFactor) {
		t.Errorf("resetting: %v, want ErrLastFactor", err)
	}
	if next := alice.first(); next.Status != login.SecondFactor {
		t.Errorf("the password alone: %+v", next)
	}
}
