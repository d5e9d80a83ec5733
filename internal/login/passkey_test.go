package login_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/factor/passkeytest"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const ourOrigin = "https://auth.example.com"

// keyed makes a user with a password and a passkey.
func (h *house) keyed(ref string) (*person, *passkeytest.Authenticator) {
	h.Helper()
	p := h.someone(ref)
	a := passkeytest.New(ourOrigin)
	p.adds(a)
	return p, a
}

// adds gives the person a passkey, past all doors.
func (p *person) adds(a *passkeytest.Authenticator) {
	p.h.Helper()
	p.h.update(func(tx store.Tx) error {
		actor := account.Self(p.id)
		e, err := p.h.factors.Enroll(tx, actor, p.id, factor.EnrollOptions{Method: factor.Passkey, Name: "phone"})
		if err != nil {
			return err
		}
		p.codes, err = p.h.factors.Confirm(tx, actor, p.id, factor.Passkey, factor.Proof{Response: a.Create(p.h, e.Options)})
		return err
	})
}

// signs passes both doors by password and passkey.
func (p *person) signs(a *passkeytest.Authenticator) (*login.Next, error) {
	p.h.Helper()
	next := p.first()
	return p.answers(next, a.Get(p.h, p.asks(next)))
}

// asks is what the second door wants to be signed.
func (p *person) asks(next *login.Next) []byte {
	p.h.Helper()
	options, err := p.h.doors.PasskeyChallenge(p.h.Context(), next.Ephemeral.Reveal(), login.Portal)
	must(p.h, err)
	return options
}

func (p *person) answers(next *login.Next, response []byte) (*login.Next, error) {
	s := p.second(next, "")
	s.Response = response
	done, err := p.h.doors.Passkey(p.h.Context(), s)
	if err == nil {
		p.client.Browser = done.Browser.Reveal()
	}
	return done, err
}

// alone passes both doors by passkey.
func (h *house) alone(a *passkeytest.Authenticator, c login.Client) (*login.Next, error) {
	h.Helper()
	return h.doors.FinishPasskeyLogin(h.Context(), login.PasskeyAttempt{Response: a.Get(h, h.challenge()), Door: login.Portal, Client: c})
}

func (h *house) challenge() []byte {
	h.Helper()
	options, life, err := h.doors.BeginPasskeyLogin(login.Portal)
	must(h, err)
	if life != factor.ChallengeLife {
		h.Errorf("a challenge that lives %v", life)
	}
	return options
}

func amr(live session.Live) string { return strings.Join(live.Proof.AMR.Strings(), " ") }

// Password and passkey: two factors, the token is burned, and the session says hwk, or
// swk where the key may be copied.
func TestPasskeyAtTheSecondDoor(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	first := alice.first()
	if first.Method != factor.Passkey || !slices.Contains(first.Others, factor.RecoveryCode) {
		t.Errorf("ways: %s, %v", first.Method, first.Others)
	}
	response := a.Get(t, alice.asks(first))
	done, err := alice.answers(first, response)
	must(t, err)
	live := h.mustLive(done)
	if amr(live) != "pwd hwk" || live.Proof.AMR.RealFactors() != 2 || !live.Proof.Fresh(h.clock.Now(), time.Minute) {
		t.Errorf("session: %s", amr(live))
	}
	if _, err := alice.answers(first, response); !errors.Is(err, login.ErrDenied) {
		t.Errorf("the same answer again: %v", err)
	}
	bob := h.someone("bob")
	b := passkeytest.New(ourOrigin)
	b.Synced, b.Uncounted = true, true
	bob.adds(b)
	done, err = bob.signs(b)
	must(t, err)
	if live := h.mustLive(done); amr(live) != "pwd swk" {
		t.Errorf("a synchronised key: %s", amr(live))
	}
}

// Attack: an answer is recorded and used at another half login, or twice at one, or
// without asking first, or after a wrong one. Each challenge has one answer.
func TestPasskeyAnswersAreForOneHalfLogin(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	one, two := alice.first(), alice.first()
	recorded := a.Get(t, alice.asks(one))
	alice.asks(two)
	_, err := alice.answers(two, recorded)
	h.wantDenied(err, "the answer of another half login")
	_, err = alice.answers(two, recorded)
	h.wantDenied(err, "again")
	three := alice.first()
	_, err = alice.answers(three, recorded)
	h.wantDenied(err, "without a challenge")
	options := alice.asks(three)
	good := a.Get(t, options)
	a.Broken = true
	_, err = alice.answers(three, a.Get(t, options))
	h.wantDenied(err, "a signature of another key")
	a.Broken = false
	_, err = alice.answers(three, good)
	h.wantDenied(err, "the good one, after the wrong one used the challenge up")
	if n := h.count(audit.KindCode, audit.Denied, "wrong"); n < 4 {
		t.Errorf("%d events", n)
	}
	h.clock.Advance(time.Minute) // past the delay of the wrong ones
	if _, err := alice.answers(one, recorded); err != nil {
		t.Errorf("where it belongs: %v", err)
	}
}

// Five wrong answers burn the token, and they count at the person; but a place that
// wrong codes have closed still takes a passkey: nobody guesses one.
func TestWrongPasskeyAnswersCount(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	first := alice.first()
	for range login.EphemeralTries {
		alice.asks(first)
		_, err := alice.answers(first, []byte("{}"))
		h.wantDenied(err, "no answer")
	}
	if _, err := h.doors.PasskeyChallenge(t.Context(), first.Ephemeral.Reveal(), login.Portal); !errors.Is(err, login.ErrDenied) {
		t.Errorf("the token lives after %d wrong answers: %v", login.EphemeralTries, err)
	}
	alice.provision()
	for range 60 {
		h.clock.Advance(20 * time.Minute)
		_, _ = h.doors.Code(t.Context(), alice.second(alice.first(), alice.wrongCode()))
	}
	h.clock.Advance(20 * time.Minute)
	if _, err := h.doors.Code(t.Context(), alice.second(alice.first(), alice.code())); !throttled(err) {
		t.Fatalf("the place is not closed: %v", err)
	}
	if _, err := alice.signs(a); err != nil {
		t.Errorf("a passkey at a closed place: %v", err)
	}
}

// Attack: another person's passkey, a door's answer at the other door, a token of
// another door, of a disabled person, of an older epoch.
func TestPasskeysAtForeignDoors(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	_, b := h.keyed("bob")
	first := alice.first()
	options := alice.asks(first)
	_, err := alice.answers(first, b.Sign(t, b.Keys()[0], options))
	h.wantDenied(err, "Bob's passkey at Alice's door")
	first = alice.first()
	if _, err := h.doors.PasskeyChallenge(t.Context(), first.Ephemeral.Reveal(), login.API); !errors.Is(err, login.ErrDenied) {
		t.Errorf("a token of the portal at the API: %v", err)
	}
	if _, err := h.doors.PasskeyChallenge(t.Context(), "spe_nothing", login.Portal); !errors.Is(err, login.ErrDenied) {
		t.Errorf("no token: %v", err)
	}
	carol := h.member("carol")
	if _, err := h.doors.PasskeyChallenge(t.Context(), carol.first().Ephemeral.Reveal(), login.Portal); !errors.Is(err, factor.ErrNoMethod) {
		t.Errorf("who has none: %v", err)
	}
	response := a.Get(t, alice.asks(first))
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetDisabled(tx, account.Local(), alice.id, true)
		return err
	})
	_, err = alice.answers(first, response)
	h.wantDenied(err, "disabled meanwhile")
}

// A passkey that verified the person opens both doors: two factors, fresh, without a
// password, for whoever it names.
func TestPasskeyLogin(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	done, err := h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{
		Response: a.Get(t, h.challenge()), Door: login.Portal, Client: alice.client, Target: "/vault",
	})
	must(t, err)
	live := h.mustLive(done)
	if done.Target != "/vault" || done.User.ID != alice.id || amr(live) != "hwk mfa" || live.Proof.AMR.Factors() != 2 || live.Proof.AMR.RealFactors() != 2 ||
		!live.Proof.Fresh(h.clock.Now(), time.Minute) || !live.Proof.PasswordAt.IsZero() || done.Browser.IsZero() {
		t.Errorf("session: %s, %+v, %+v", amr(live), live.Proof, done)
	}
	if h.count(audit.KindLogin, audit.OK, "") != 1 {
		t.Error("no event of a login")
	}
	options, _, err := h.doors.BeginPasskeyLogin(login.API)
	must(t, err)
	done, err = h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{Response: a.Get(t, options), Realm: "users", Door: login.API, Client: alice.client})
	must(t, err)
	if live := h.mustLive(done); live.Kind != session.API || done.Opened.Refresh == nil {
		t.Errorf("by the API: %+v", live)
	}
	root, key := h.member("root@admin"), passkeytest.New(ourOrigin)
	root.adds(key)
	done, err = h.alone(key, root.client)
	must(t, err)
	if live := h.mustLive(done); live.Identity.Realm != "admin" || live.Proof.AMR.RealFactors() != 2 {
		t.Errorf("administrator: %+v", live.Proof)
	}
}

// Attack on the whole login: no touch, not verified, another page, an old challenge, one
// of the other door, a made-up one, one that was used, one of the second door.
func TestPasskeyLoginRefuses(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	for name, spoil := range map[string]func(*passkeytest.Authenticator){
		"not verified":     func(a *passkeytest.Authenticator) { a.Unverified = true },
		"no touch":         func(a *passkeytest.Authenticator) { a.Absent = true },
		"another page":     func(a *passkeytest.Authenticator) { a.Origin = "https://evil.example" },
		"another key":      func(a *passkeytest.Authenticator) { a.Broken = true },
		"nobody":           func(a *passkeytest.Authenticator) { a.NotDiscoverable = true },
		"a made-up text":   func(a *passkeytest.Authenticator) { a.Challenge = strings.Repeat("A", 96) },
		"an empty text":    func(a *passkeytest.Authenticator) { a.Challenge = "AA" },
		"another ceremony": func(a *passkeytest.Authenticator) { a.Type = "webauthn.create" },
	} {
		evil := a.Copy()
		spoil(evil)
		_, err := h.alone(evil, alice.client)
		h.wantDenied(err, name)
	}
	options := h.challenge()
	api, _, err := h.doors.BeginPasskeyLogin(login.API)
	must(t, err)
	_, err = h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{Response: a.Get(t, api), Door: login.Portal, Client: alice.client})
	h.wantDenied(err, "a challenge of the API at the portal")
	for _, door := range []login.Door{login.Trench, login.FastAPI2FA, 0} {
		theirs, _, err := h.doors.BeginPasskeyLogin(door)
		must(t, err)
		for _, options := range [][]byte{options, theirs} {
			_, err = h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{Response: a.Get(t, options), Door: door, Client: alice.client})
			h.wantDenied(err, "a facade's door")
		}
	}
	first := alice.first()
	_, err = h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{Response: a.Get(t, alice.asks(first)), Door: login.Portal, Client: alice.client})
	h.wantDenied(err, "a challenge of the second door")
	_, err = h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{Response: a.Get(t, options), Realm: "admin", Door: login.Portal, Client: alice.client})
	if !throttled(err) {
		t.Errorf("nine wrong answers by a passkey of hers: %v", err)
	}
	h.clock.Advance(20 * time.Minute) // past the delays of the wrong ones
	_, err = h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{Response: a.Get(t, h.challenge()), Realm: "admin", Door: login.Portal, Client: alice.client})
	h.wantDenied(err, "another realm")
	old := h.challenge()
	h.clock.Advance(factor.ChallengeLife)
	_, err = h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{Response: a.Get(t, old), Door: login.Portal, Client: alice.client})
	h.wantDenied(err, "too late")

	response := a.Get(t, h.challenge())
	errs := parallel(20, func(int) error {
		_, err := h.doors.FinishPasskeyLogin(t.Context(), login.PasskeyAttempt{Response: response, Door: login.Portal, Client: alice.client})
		return err
	})
	if good := len(errs) - len(slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })); good != 1 {
		t.Errorf("one answer, sent at once 20 times, opened %d sessions", good)
	}
	h.update(func(tx store.Tx) error {
		methods, err := h.factors.Methods(tx, alice.id)
		if err == nil && (len(methods) != 1 || methods[0].Cloned) {
			t.Errorf("a repeated answer made the passkey look copied: %+v", methods)
		}
		return err
	})
}

// Strangers ask for challenges, and answer with passkeys that nobody has. Nothing of it
// is written, or they fill the store.
func TestStrangersWithPasskeysWriteNothing(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	stray := a.Copy()
	stray.Keys()[0].ID = []byte("a passkey that nobody ever set up")
	before := h.store.puts.Load()
	for range 50 {
		_, err := h.alone(stray, alice.client)
		h.wantDenied(err, "nobody's passkey")
	}
	if n := h.store.puts.Load() - before; n != 0 {
		t.Errorf("%d records were written", n)
	}
	if _, err := h.alone(a, alice.client); err != nil {
		t.Errorf("Alice: %v", err)
	}
}

// The same answers as at the other doors for somebody disabled, deleted, or without the
// passkey any more; and a copied one ends in a notice.
func TestPasskeyLoginOfWhoMayNot(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	set := func(disabled bool) {
		h.update(func(tx store.Tx) error {
			_, err := h.dir.SetDisabled(tx, account.Local(), alice.id, disabled)
			return err
		})
	}
	set(true)
	_, err := h.alone(a, alice.client)
	h.wantDenied(err, "disabled")
	if h.count(audit.KindLogin, audit.Denied, "disabled") != 1 {
		t.Error("no event says that somebody disabled knocked")
	}
	set(false)
	stolen := a.Copy()
	_, err = h.alone(a, alice.client)
	must(t, err)
	_, err = h.alone(stolen, alice.client)
	h.wantDenied(err, "a copy")
	_, err = h.alone(a, alice.client)
	h.wantDenied(err, "the original, after the copy")
	if h.count(audit.KindFactorClone, audit.OK, "") != 1 || h.mail.Count(string(login.PasskeyCloned)) != 1 {
		t.Error("nobody was told of the copy")
	}
	_, err = h.doors.Recovery(t.Context(), alice.second(alice.first(), alice.codes[0]))
	must(t, err)
	h.update(func(tx store.Tx) error { return h.factors.Remove(tx, account.Local(), alice.id, factor.Passkey, "") })
	_, err = h.alone(a, alice.client)
	h.wantDenied(err, "a removed passkey")
	bob, b := h.keyed("bob")
	h.update(func(tx store.Tx) error { return h.dir.Delete(tx, account.Local(), bob.id) })
	_, err = h.alone(b, bob.client)
	h.wantDenied(err, "somebody deleted")
}

// Whoever came by a passkey alone steps up with a code, and the new session does not say
// that a password was given.
func TestStepUpOfAPasskeyLogin(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	alice.provision()
	old, err := h.alone(a, alice.client)
	must(t, err)
	h.clock.Advance(time.Hour)
	next, err := h.doors.StepUp(t.Context(), h.mustLive(old), alice.client, "/vault")
	must(t, err)
	done, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	must(t, err)
	live := h.mustLive(done)
	if amr(live) != "otp hwk mfa" || live.Proof.AMR.RealFactors() != 2 || !live.Proof.PasswordAt.IsZero() || !live.Proof.Fresh(h.clock.Now(), time.Minute) {
		t.Errorf("after the step-up: %s, %+v", amr(live), live.Proof)
	}
	next, err = h.doors.StepUp(t.Context(), live, alice.client, "/vault")
	must(t, err)
	done, err = alice.answers(next, a.Get(t, alice.asks(next)))
	must(t, err)
	if live := h.mustLive(done); amr(live) != "hwk mfa" {
		t.Errorf("by passkey: %s", amr(live))
	}
}

// Between the doors whoever has no factor sets up a passkey; it opens the session, and
// recovery codes come with it.
func TestEnrolPasskeyBetweenTheDoors(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice := h.someone("alice")
	first := alice.first()
	if first.Status != login.Enroll || !slices.Contains(first.Others, factor.Passkey) {
		t.Fatalf("first door: %s %v", first.Status, first.Others)
	}
	a := passkeytest.New(ourOrigin)
	begin := func() []byte {
		e, err := h.doors.EnrollStart(t.Context(), first.Ephemeral.Reveal(), login.Portal, factor.Passkey, alice.client)
		must(t, err)
		return e.Options
	}
	finish := func(response []byte) (*login.Next, error) {
		s := alice.second(first, "")
		s.Response = response
		return h.doors.EnrollConfirm(t.Context(), s)
	}
	options := begin()
	evil := passkeytest.New("https://evil.example")
	_, err := finish(evil.Create(t, options))
	h.wantDenied(err, "made at another page")
	_, err = finish(a.Create(t, options))
	h.wantDenied(err, "a challenge that was answered")
	done, err := finish(a.Create(t, begin()))
	must(t, err)
	if live := h.mustLive(done); amr(live) != "pwd hwk" || len(done.RecoveryCodes) == 0 {
		t.Errorf("%s, %d recovery codes", amr(live), len(done.RecoveryCodes))
	}
	if done, err = alice.signs(a); err != nil {
		t.Fatal(err)
	}
	h.mustLive(done)
}

// Signed in, a further passkey needs a fresh factor, as every factor does; its first
// answer ends all other sessions, and only the one that began can end it.
func TestActivatePasskey(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice := h.member("alice")
	old := alice.login()
	h.next()
	done := alice.login()
	live := h.mustLive(done)
	a := passkeytest.New(ourOrigin)
	o := factor.EnrollOptions{Method: factor.Passkey, Name: "laptop"}
	e, err := h.doors.Activate(t.Context(), live, o, alice.client)
	must(t, err)
	h.clock.Advance(account.Fresh + time.Minute)
	if _, err := h.doors.Activate(t.Context(), live, o, alice.client); !errors.Is(err, account.ErrNotFresh) {
		t.Errorf("not fresh: %v", err)
	}
	if _, err := h.doors.ConfirmPasskey(t.Context(), live, a.Create(t, e.Options), alice.client); !errors.Is(err, account.ErrNotFresh) {
		t.Errorf("not fresh: %v", err)
	}
	done = alice.login()
	live = h.mustLive(done)
	e, err = h.doors.Activate(t.Context(), live, o, alice.client)
	must(t, err)
	_, err = h.doors.ConfirmPasskey(t.Context(), live, a.Create(t, e.Options), alice.client)
	must(t, err)
	h.mustLive(done)
	h.mustBeDead(old, "a new factor")
	if _, err := alice.signs(a); err != nil {
		t.Error(err)
	}
}

// A passkey proves somebody who is signed in, for a change that asks for a code. The pass
// is good once, for that session, until the epoch changes or five minutes are over.
func TestPassesOfPasskeys(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	open := func() session.Live {
		done, err := alice.signs(a)
		must(t, err)
		return h.mustLive(done)
	}
	prove := func(live session.Live) string {
		options, err := h.doors.AskPasskey(t.Context(), live)
		must(t, err)
		pass, err := h.doors.ProvePasskey(t.Context(), live, a.Get(t, options), alice.client)
		must(t, err)
		if !strings.HasPrefix(pass, "PK.") || len(pass) < 46 || len(pass) > 64 {
			t.Errorf("a pass of %d characters", len(pass))
		}
		return pass
	}
	live, other := open(), open()
	pass := prove(live)
	h.wantDenied(h.fresh(other, pass, alice.client), "another session")
	must(t, h.fresh(live, pass, alice.client))
	h.wantDenied(h.fresh(live, pass, alice.client), "the second use")
	h.wantDenied(h.fresh(live, "PK.", alice.client), "an empty pass")

	pass = prove(live)
	failed := errors.New("no")
	if err := h.doors.WithFresh(t.Context(), live, pass, alice.client, func(store.Tx, *account.User) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a change that fails: %v", err)
	}
	must(t, h.fresh(live, pass, alice.client)) // nothing had happened, so it was still good

	first, second := prove(live), prove(live)
	h.wantDenied(h.fresh(live, first, alice.client), "an older pass")
	h.clock.Advance(login.PassLife)
	h.wantDenied(h.fresh(live, second, alice.client), "a pass after five minutes")

	pass = prove(live)
	must(t, h.doors.ChangePassword(t.Context(), live, alice.password, newWords, pass, alice.client))
	alice.password = newWords
	h.wantDenied(h.fresh(live, pass, alice.client), "a pass of the epoch before")

	// A pass is no code at a door.
	pass = prove(live)
	_, err := h.doors.Code(t.Context(), alice.second(alice.first(), pass))
	h.wantDenied(err, "a pass at the second door")
	errs := parallel(20, func(int) error { return h.fresh(live, pass, alice.client) })
	if good := len(errs) - len(slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })); good != 1 {
		t.Errorf("one pass was taken %d times", good)
	}
}

// Attack on a pass: the answer of a login, a recorded one, one without asking, of a
// session that is over.
func TestPassesNeedAnAnswerOfTheirOwn(t *testing.T) {
	h := newHouse(t, setting{origin: ourOrigin})
	alice, a := h.keyed("alice")
	done, err := alice.signs(a)
	must(t, err)
	live := h.mustLive(done)
	prove := func(response []byte, what string) {
		t.Helper()
		pass, err := h.doors.ProvePasskey(t.Context(), live, response, alice.client)
		if pass != "" {
			t.Errorf("%s: a pass", what)
		}
		h.wantDenied(err, what)
	}
	prove(a.Get(t, h.challenge()), "an answer to a whole login, unasked")
	options, err := h.doors.AskPasskey(t.Context(), live)
	must(t, err)
	prove(a.Get(t, alice.asks(alice.first())), "an answer to the second door")
	prove(a.Get(t, options), "an answer after a wrong one")
	options, err = h.doors.AskPasskey(t.Context(), live)
	must(t, err)
	response := a.Get(t, options)
	must(t, h.doors.Logout(t.Context(), live))
	prove(response, "a session that is over")
	if _, err := h.doors.AskPasskey(t.Context(), live); !errors.Is(err, login.ErrDenied) {
		t.Errorf("a session that is over: %v", err)
	}
}
