package login_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

func one() *int { n := 1; return &n }

// A person passes both doors and is who they are, with two factors, where they
// wanted to go.
func TestTwoDoors(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	a := alice.attempt()
	a.Target, a.Remember = "/reports", true
	next, err := h.doors.Password(t.Context(), a)
	must(t, err)
	if next.Status != login.SecondFactor || next.Opened != nil || next.Method != factor.TOTP || next.ExpiresIn != login.EphemeralLife {
		t.Fatalf("after the first door: %+v", next)
	}
	state, err := h.doors.Peek(t.Context(), next.Ephemeral.Reveal(), login.Portal)
	must(t, err)
	if state.Name != "alice" || state.Target != "/reports" || state.Status != login.SecondFactor || len(state.Others) != 1 {
		t.Errorf("between the doors: %+v", state)
	}
	done, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	must(t, err)
	if done.Status != login.Done || done.Target != "/reports" || done.User.ID != alice.id || done.Browser.IsZero() || !done.Remember {
		t.Errorf("after the second door: %+v", done)
	}
	live := h.mustLive(done)
	if live.Identity.ID != alice.id || live.Proof.AMR != session.PWD|session.OTP || !live.Proof.Fresh(h.clock.Now(), time.Minute) {
		t.Errorf("the session: %+v", live)
	}
	if !live.Until.After(h.clock.Now().Add(29 * 24 * time.Hour)) {
		t.Errorf("a remembered session ends at %v", live.Until)
	}
	if n := h.count(audit.KindLogin, audit.OK, ""); n != 1 {
		t.Errorf("%d events of a login, want 1", n)
	}
}

// One wrong code does not use the token up; five do, and then the right code is
// too late.
func TestFiveWrongCodesBurnTheToken(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	next := alice.first()
	for range login.EphemeralTries - 1 {
		_, err := h.doors.Code(t.Context(), alice.second(next, alice.wrongCode()))
		h.wantDenied(err, "a wrong code")
	}
	if _, err := h.doors.Peek(t.Context(), next.Ephemeral.Reveal(), login.Portal); err != nil {
		t.Fatalf("four wrong codes burned the token: %v", err)
	}
	_, err := h.doors.Code(t.Context(), alice.second(next, alice.wrongCode()))
	h.wantDenied(err, "the fifth wrong code")
	h.clock.Advance(time.Minute) // past the delay
	_, err = h.doors.Code(t.Context(), alice.second(next, alice.code()))
	h.wantDenied(err, "the right code for a burned token")
	if done := alice.login(); done.Status != login.Done {
		t.Error("a new login does not work")
	}
}

func TestEphemeralTokenExpires(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	next := alice.first()
	h.clock.Advance(login.EphemeralLife)
	_, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	h.wantDenied(err, "a token of five minutes ago")
	if n := h.count(audit.KindCode, audit.Denied, "dead_token"); n != 1 {
		t.Errorf("%d notes of a dead token, want 1", n)
	}
}

// A flood of right passwords does not fill the store: the oldest token dies.
func TestEphemeralTokensAreBounded(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	oldest := alice.first()
	for range login.EphemeralLimit {
		alice.first()
	}
	if _, err := h.doors.Peek(t.Context(), oldest.Ephemeral.Reveal(), login.Portal); !errors.Is(err, login.ErrDenied) {
		t.Errorf("the oldest token of %d lives: %v", login.EphemeralLimit+1, err)
	}
	records := 0
	must(t, h.sealed.View(t.Context(), func(tx store.Tx) error {
		for _, err := range tx.Scan(store.KPrefix(store.PrefixLogin, "ephemeral"), nil) {
			if err != nil {
				return err
			}
			records++
		}
		return nil
	}))
	if records != login.EphemeralLimit {
		t.Errorf("%d records, want %d", records, login.EphemeralLimit)
	}
}

// Where one factor is enough, and none is set up, the password opens a session.
func TestOneFactorRealm(t *testing.T) {
	h := newHouse(t, setting{realms: map[string]account.Settings{"users": {Factors: one()}}})
	bob := h.someone("bob")
	next := bob.first()
	if next.Status != login.Done || h.mustLive(next).Proof.AMR != session.PWD {
		t.Fatalf("after the only door: %+v", next)
	}
	a := bob.attempt()
	a.Demand = 2
	next, err := h.doors.Password(t.Context(), a)
	must(t, err)
	if next.Status != login.Enroll {
		t.Errorf("the target demands two factors: %+v", next)
	}
}

// M7: who sets up a factor in a realm of one must use it from then on, at once:
// a level computed from the realm alone would let the password in.
func TestM7WhoHasAFactorMustUseIt(t *testing.T) {
	h := newHouse(t, setting{realms: map[string]account.Settings{"users": {Factors: one()}}})
	bob := h.someone("bob")
	before := bob.first()
	bob.provision()
	h.mustBeDead(before, "the first factor")
	if next := bob.first(); next.Status != login.SecondFactor || next.Opened != nil {
		t.Errorf("the password alone: %+v", next)
	}
}

// Whoever has no factor where two are demanded is led to enrol one; the code that
// confirms it is burned, and the recovery codes are shown once.
func TestEnrollmentBetweenTheDoors(t *testing.T) {
	h := newHouse(t, setting{})
	carol := h.someone("carol")
	next, other := carol.first(), carol.first()
	if next.Status != login.Enroll || len(next.Others) != 1 {
		t.Fatalf("after the first door: %+v", next)
	}
	e, err := h.doors.EnrollStart(t.Context(), next.Ephemeral.Reveal(), login.Portal, factor.TOTP, login.Client{})
	must(t, err)
	state, err := h.doors.Peek(t.Context(), next.Ephemeral.Reveal(), login.Portal)
	must(t, err)
	if state.Enrollment == nil || state.Enrollment.URI != e.URI {
		t.Error("the page cannot show the pending seed")
	}
	// Somebody else with the same password sees another token's seed never.
	state, err = h.doors.Peek(t.Context(), other.Ephemeral.Reveal(), login.Portal)
	must(t, err)
	if state.Enrollment != nil {
		t.Error("a seed of one token shows up at another")
	}
	carol.seed = e.Seed.Reveal()
	_, err = h.doors.EnrollConfirm(t.Context(), carol.second(next, carol.wrongCode()))
	h.wantDenied(err, "a wrong first code")
	done, err := h.doors.EnrollConfirm(t.Context(), carol.second(next, carol.code()))
	must(t, err)
	if done.Status != login.Done || len(done.RecoveryCodes) != 10 || h.mustLive(done).Proof.AMR != session.PWD|session.OTP {
		t.Fatalf("after enrolment: %+v", done)
	}
	_, err = h.doors.EnrollStart(t.Context(), other.Ephemeral.Reveal(), login.Portal, factor.TOTP, login.Client{})
	h.wantDenied(err, "another token of before")
	_, err = h.doors.Code(t.Context(), carol.second(carol.first(), carol.code()))
	h.wantDenied(err, "the code that confirmed, used to log in")
	h.next()
	carol.login()
}

// M10: an enrolment that was never finished changes nothing: the person still has
// no factor, and is asked to enrol again.
func TestM10AbandonedEnrollmentLeavesNothing(t *testing.T) {
	h := newHouse(t, setting{})
	carol := h.someone("carol")
	next := carol.first()
	e, err := h.doors.EnrollStart(t.Context(), next.Ephemeral.Reveal(), login.Portal, factor.TOTP, login.Client{})
	must(t, err)
	h.clock.Advance(login.EphemeralLife)
	carol.seed = e.Seed.Reveal()
	_, err = h.doors.EnrollConfirm(t.Context(), carol.second(next, carol.code()))
	h.wantDenied(err, "an enrolment of five minutes ago")
	if next := carol.first(); next.Status != login.Enroll {
		t.Errorf("after an abandoned enrolment: %+v", next)
	}
}

// Who may not enrol any more learns so after the right password, and only then.
func TestEnrollmentClosed(t *testing.T) {
	h := newHouse(t, setting{})
	carol := h.someone("carol")
	h.clock.Advance(account.FirstLogin + time.Hour)
	_, err := h.doors.Password(t.Context(), carol.attempt())
	if !errors.Is(err, login.ErrEnrollmentClosed) {
		t.Errorf("the right password: %v", err)
	}
	a := carol.attempt()
	a.Password = wrongWords
	_, err = h.doors.Password(t.Context(), a)
	h.wantDenied(err, "a wrong password")
}

// A recovery code stands in for the authenticator, once, and opens what wrong
// codes had closed.
func TestRecoveryCode(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	next := alice.first()
	done, err := h.doors.Recovery(t.Context(), alice.second(next, alice.codes[3]))
	must(t, err)
	if done.RecoveryLeft != 9 || h.mustLive(done).Proof.AMR != session.PWD|session.Recovery {
		t.Errorf("after recovery: %d left, %v", done.RecoveryLeft, h.mustLive(done).Proof.AMR.Strings())
	}
	if h.count(audit.KindRecovery, audit.OK, "") != 1 {
		t.Error("the use of a recovery code is not told")
	}
	_, err = h.doors.Recovery(t.Context(), alice.second(alice.first(), alice.codes[3]))
	h.wantDenied(err, "the same recovery code")
}

// M3: Alice's recovery code at Bob's second door. A memory of codes that does not
// know whose they are would let her in, or spend it.
func TestM3RecoveryCodeIsForItsOwnerAlone(t *testing.T) {
	h := newHouse(t, setting{})
	alice, bob := h.member("alice"), h.member("bob")
	_, err := h.doors.Recovery(t.Context(), bob.second(bob.first(), alice.codes[0]))
	h.wantDenied(err, "Alice's code for Bob")
	if _, err := h.doors.Recovery(t.Context(), alice.second(alice.first(), alice.codes[0])); err != nil {
		t.Errorf("Alice's code was spent by Bob's try: %v", err)
	}
}

// M1: a token that waits for one thing is tried at every other call, and at the
// other door. A pending login that any call accepts is a login.
func TestM1HalfLoginOpensNothingElse(t *testing.T) {
	h := newHouse(t, setting{})
	alice, carol := h.member("alice"), h.someone("carol")
	root := h.someone("root@admin")
	var link string
	h.update(func(tx store.Tx) error {
		token, err := h.doors.Invite(tx, account.Local(), root.id)
		link = token.Reveal()
		return err
	})
	invited, err := h.doors.TradeInvite(t.Context(), link)
	must(t, err)
	setup, err := h.doors.SetupLink(t.Context())
	must(t, err)
	settingUp, err := h.doors.TradeSetup(t.Context(), setup.Reveal())
	must(t, err)

	tokens := map[login.Status]string{
		login.SecondFactor: alice.first().Ephemeral.Reveal(), login.Enroll: carol.first().Ephemeral.Reveal(),
		login.Invited: invited.Reveal(), login.Setup: settingUp.Reveal(),
	}
	calls := map[string]struct {
		is login.Status
		do func(token string, door login.Door) error
	}{
		"Code": {login.SecondFactor, func(token string, door login.Door) error {
			_, err := h.doors.Code(t.Context(), login.Second{Ephemeral: token, Code: alice.code(), Door: door, Client: alice.client})
			return err
		}},
		"Recovery": {login.SecondFactor, func(token string, door login.Door) error {
			_, err := h.doors.Recovery(t.Context(), login.Second{Ephemeral: token, Code: alice.codes[0], Door: door, Client: alice.client})
			return err
		}},
		"EnrollStart": {login.Enroll, func(token string, door login.Door) error {
			_, err := h.doors.EnrollStart(t.Context(), token, door, factor.TOTP, login.Client{})
			return err
		}},
		"EnrollConfirm": {login.Enroll, func(token string, door login.Door) error {
			_, err := h.doors.EnrollConfirm(t.Context(), login.Second{Ephemeral: token, Code: "123456", Door: door})
			return err
		}},
		"SetupBegin": {login.Setup, func(token string, _ login.Door) error {
			_, err := h.doors.SetupBegin(t.Context(), token, "mallory", secretWords, alice.client)
			return err
		}},
		"SetupFinish": {login.Setup, func(token string, _ login.Door) error {
			_, err := h.doors.SetupFinish(t.Context(), token, "123456", alice.client)
			return err
		}},
		"InviteFinish": {login.Invited, func(token string, door login.Door) error {
			_, err := h.doors.InviteFinish(t.Context(), token, secretWords, alice.client, door)
			return err
		}},
	}
	for name, call := range calls {
		for state, token := range tokens {
			if state != call.is {
				h.wantDenied(call.do(token, login.Portal), name+" with a token "+string(state))
			}
		}
		if call.is != login.Setup { // its calls are the portal's by themselves
			h.wantDenied(call.do(tokens[call.is], login.API), name+" at the other door")
			h.wantDenied(call.do(tokens[call.is], 0), name+" at no door")
		}
		for _, junk := range []string{"", "spe_", "null", link, setup.Reveal(), tokens[call.is] + "A", tokens[call.is][:40]} {
			h.wantDenied(call.do(junk, login.Portal), name+" with junk")
		}
	}
	for state, token := range tokens { // and nobody was burned by all that
		if _, err := h.doors.Peek(t.Context(), token, login.Portal); err != nil {
			t.Errorf("the token %s is gone: %v", state, err)
		}
		if _, err := h.sessions.Live(t.Context(), token, h.clock.Now()); !errors.Is(err, session.ErrNone) {
			t.Errorf("the token %s is a session: %v", state, err)
		}
	}
}

// M5: empty and malformed codes, and steps out of order, advance nothing.
func TestM5NothingAdvancesWithoutAProof(t *testing.T) {
	h := newHouse(t, setting{})
	alice, carol := h.member("alice"), h.someone("carol")
	next, enroll := alice.first(), carol.first()
	for _, code := range []string{"", " ", "[]", "null", "0", "true", "-", "\x00"} {
		_, err := h.doors.Code(t.Context(), alice.second(next, code))
		if !errors.Is(err, login.ErrDenied) && !throttled(err) {
			t.Errorf("the code %q: %v", code, err)
		}
	}
	_, err := h.doors.EnrollConfirm(t.Context(), carol.second(enroll, "123456"))
	h.wantDenied(err, "a code before there is a seed")
	if _, err := h.doors.Peek(t.Context(), enroll.Ephemeral.Reveal(), login.Portal); err != nil {
		t.Errorf("a step out of order burned the token: %v", err)
	}
	_, err = h.doors.EnrollConfirm(t.Context(), login.Second{Door: login.Portal})
	h.wantDenied(err, "an empty post")
	_, err = h.doors.Password(t.Context(), login.Attempt{Door: login.Portal, Client: alice.client})
	h.wantDenied(err, "an empty first door")
}

// S3: the session that the browser brought ends when the new one opens, and the
// new one has tokens of its own.
func TestS3LoginReplacesTheOldSession(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	old := alice.login()
	h.next()
	a := alice.attempt()
	a.ReplaceSession = old.Opened.ID
	next, err := h.doors.Password(t.Context(), a)
	must(t, err)
	h.mustLive(old) // half a login ends nothing
	done, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	must(t, err)
	h.mustBeDead(old, "the login that replaced it")
	if done.Opened.Cookie.Reveal() == old.Opened.Cookie.Reveal() {
		t.Error("the cookie is the old one")
	}
}

// A planted cookie sallyport_browser is not made a known place; one's own stays.
func TestBrowserCookieIsKeptWhereItIsKnown(t *testing.T) {
	h := newHouse(t, setting{})
	alice, mallory := h.member("alice"), h.member("mallory")
	planted := mallory.login().Browser.Reveal()
	alice.client.Browser = planted
	first := alice.login()
	if first.Browser.Reveal() == planted {
		t.Error("somebody else's cookie became a known place of Alice")
	}
	h.next()
	if second := alice.login(); second.Browser.Reveal() != first.Browser.Reveal() {
		t.Error("the own cookie was replaced")
	}
}

// S6: all doors are closed to whoever is disabled, at once: the first, the second
// and what was open.
func TestS6DisabledAtEveryDoor(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	done := alice.login()
	live := h.mustLive(done)
	h.next()
	next := alice.first()
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetDisabled(tx, account.Local(), alice.id, true)
		return err
	})
	h.mustBeDead(done, "disabling")
	_, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	h.wantDenied(err, "the second door")
	_, err = h.doors.Password(t.Context(), alice.attempt())
	h.wantDenied(err, "the first door")
	_, err = h.doors.StepUp(t.Context(), live, alice.client, "")
	h.wantDenied(err, "stepping up")
	h.wantDenied(h.fresh(live, alice.code(), alice.client), "a fresh code")
	h.wantDenied(h.doors.ChangePassword(t.Context(), live, secretWords, "a whole new set of words", alice.code(), alice.client), "a new password")
}

// Deleting somebody leaves no half login behind.
func TestDeletedPersonHasNoHalfLogin(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	next := alice.first()
	h.update(func(tx store.Tx) error { return h.dir.Delete(tx, account.Local(), alice.id) })
	_, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	h.wantDenied(err, "the second door of somebody who is gone")
}

// A change of the factors kills half logins of before.
func TestFactorChangeBurnsEphemeralTokens(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	next := alice.first()
	alice.provision()
	_, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	h.wantDenied(err, "a half login of before the new factor")
}

// A token that opened a session opens no second one, not even with the next good
// code: whoever finds it in a log has nothing.
func TestTokenIsBurnedBySuccess(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	byCode, byRecovery := alice.first(), alice.first()
	_, err := h.doors.Code(t.Context(), alice.second(byCode, alice.code()))
	must(t, err)
	_, err = h.doors.Recovery(t.Context(), alice.second(byRecovery, alice.codes[0]))
	must(t, err)
	h.next()
	for _, spent := range []*login.Next{byCode, byRecovery} {
		_, err := h.doors.Code(t.Context(), alice.second(spent, alice.code()))
		h.wantDenied(err, "the next code with a spent token")
		_, err = h.doors.Recovery(t.Context(), alice.second(spent, alice.codes[1]))
		h.wantDenied(err, "the next recovery code with a spent token")
	}
	h.wantSessions(alice, 2)
}

// A stranger who knows the password has closed the second door for all unknown
// places. Alice recovers at her own browser; then a new place is open to her again.
func TestRecoveryOpensOtherPlacesToo(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	alice.login()
	stranger := *alice
	stranger.client = from("203.0.113.77")
	closed := func(p *person) bool {
		_, err := h.doors.Code(t.Context(), p.second(p.first(), alice.wrongCode()))
		wait, ok := errors.AsType[*throttle.Throttled](err)
		return ok && wait.Cause == throttle.CauseClosed
	}
	for tries := 0; !closed(&stranger); tries++ {
		if tries > 100 {
			t.Fatal("a hundred wrong codes did not close the place")
		}
		h.clock.Advance(20 * time.Minute)
	}
	_, err := h.doors.Recovery(t.Context(), alice.second(alice.first(), alice.codes[0]))
	must(t, err)
	alice.client = from("198.51.100.4")
	h.next()
	alice.login()
}
