package login_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// spellings of a code that a generous verifier takes for the same.
func spellings(code string) []string {
	wide := func(zero rune) string {
		return strings.Map(func(r rune) rune { return zero + r - '0' }, code)
	}
	texts := []string{code, wide('０'), wide('٠'), wide('०'), wide('𝟎'), "0" + code, "00" + code, code + "0", "+" + code, code + "\x00", code + ".0"}
	for _, space := range []string{" ", "  ", "\t", "\n", "\r\n", "\v", "\u00a0", "\u2009", "\u200b", "\ufeff", "-", "--", "\u2010", "_"} {
		texts = append(texts, space+code, code+space, code[:3]+space+code[3:], space+code[:1]+space+code[1:]+space)
	}
	return texts
}

// O1: after a success the same code comes again with spaces, tabs, digits of other
// scripts and leading zeros. A memory of texts would take each for a new code.
func TestO1NoSpellingOfAUsedCodeIsGood(t *testing.T) {
	off := throttle.Policy{}
	h := newHouse(t, setting{policy: &off})
	alice := h.member("alice")
	used := alice.code()
	alice.login()
	for _, text := range spellings(used) {
		_, err := h.doors.Code(t.Context(), alice.second(alice.first(), text))
		h.wantDenied(err, fmt.Sprintf("the used code as %q", text))
	}
}

// And before a success only ASCII digits with spaces and hyphens are the code.
func TestCodeMayHaveSpacesAndHyphens(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	for _, sep := range []string{" ", "-"} {
		code := alice.code()
		if _, err := h.doors.Code(t.Context(), alice.second(alice.first(), code[:3]+sep+code[3:])); err != nil {
			t.Errorf("a code with %q: %v", sep, err)
		}
		h.next()
	}
}

// O2: a used code at every other place that takes codes: another session, the
// other door, a step-up, a fresh proof, a new password, an administrator's
// question. Each place with a memory of its own would take it once more.
func TestO2UsedCodeIsDeadEverywhere(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	used := alice.code()
	done := alice.login()
	live := h.mustLive(done)
	stepUp, err := h.doors.StepUp(t.Context(), live, alice.client, "")
	must(t, err)
	api := alice.firstAt(login.API)
	places := map[string]func() error{
		"another login": func() error {
			_, err := h.doors.Code(t.Context(), alice.second(alice.first(), used))
			return err
		},
		"the API's door": func() error {
			_, err := h.doors.Code(t.Context(), login.Second{Ephemeral: api.Ephemeral.Reveal(), Code: used, Door: login.API, Client: alice.client})
			return err
		},
		"a step-up": func() error {
			_, err := h.doors.Code(t.Context(), alice.second(stepUp, used))
			return err
		},
		"a fresh proof": func() error { return h.fresh(live, used, alice.client) },
		"a new password": func() error {
			return h.doors.ChangePassword(t.Context(), live, secretWords, "basalt marmot drizzle fen", used, alice.client)
		},
	}
	for name, try := range places {
		h.wantDenied(try(), "the used code at "+name)
	}
	h.update(func(tx store.Tx) error {
		result, err := h.factors.Verify(tx, alice.id, "", used)
		if result != factor.Replayed {
			t.Errorf("an administrator's question: %v", result)
		}
		return err
	})
	if n := h.count(audit.KindCode, audit.Denied, "replay"); n != len(places) {
		t.Errorf("%d events with cause=replay, want %d", n, len(places))
	}
	if _, err := h.doors.Code(t.Context(), alice.second(api, used)); !errors.Is(err, login.ErrDenied) {
		t.Errorf("the API's token at the portal: %v", err)
	}
}

// A replay is refused and not counted: a double click locks nobody out.
func TestReplayIsNotCounted(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	used := alice.code()
	alice.login()
	next := alice.first()
	for range 3 * login.EphemeralTries {
		_, err := h.doors.Code(t.Context(), alice.second(next, used))
		h.wantDenied(err, "a replay")
	}
	h.next()
	if _, err := h.doors.Code(t.Context(), alice.second(next, alice.code())); err != nil {
		t.Errorf("the next code: %v", err)
	}
}

// O2: the used code comes again after the server was restarted on the same disk,
// with the half login of before; a memory in the process would be empty.
func TestO2UsedCodeStaysDeadAfterARestart(t *testing.T) {
	dir, keyring := t.TempDir(), storetest.NewKeyring(t)
	clock := storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 5, 0, time.UTC))
	before := storetest.OpenDir(t, dir, keyring, clock.Now)
	h := newHouse(t, setting{store: before, clock: clock})
	alice := h.member("alice")
	used := alice.code()
	alice.login()
	recovery := alice.codes[0]
	_, err := h.doors.Recovery(t.Context(), alice.second(alice.first(), recovery))
	must(t, err)
	half := alice.first()
	for range 3 {
		_, err := h.doors.Code(t.Context(), alice.second(half, alice.wrongCode()))
		h.wantDenied(err, "a wrong code")
	}
	must(t, h.sessions.Close())
	must(t, before.Close())

	again := newHouse(t, setting{store: storetest.OpenDir(t, dir, keyring, clock.Now), clock: clock})
	alice.h = again
	_, err = again.doors.Code(t.Context(), alice.second(half, used))
	h.wantDenied(err, "the used code after a restart")
	_, err = again.doors.Recovery(t.Context(), alice.second(half, recovery))
	h.wantDenied(err, "the used recovery code after a restart")
	state, err := again.doors.Peek(t.Context(), half.Ephemeral.Reveal(), login.Portal)
	must(t, err)
	if state.TriesLeft != 1 {
		t.Errorf("%d tries left at the token after a restart, want 1", state.TriesLeft)
	}
	clock.Advance(30 * time.Second)
	if _, err := again.doors.Code(t.Context(), alice.second(half, alice.code())); err != nil {
		t.Errorf("the next code with the half login of before: %v", err)
	}
}

// O3: two hundred posts of one good code at once. Check-then-save would open many
// sessions.
func TestO3ParallelReplayOpensOneSession(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	next, code := alice.first(), alice.code()
	errs := parallel(200, func(int) error {
		_, err := h.doors.Code(t.Context(), alice.second(next, code))
		return err
	})
	h.wantOne(errs)
	h.wantSessions(alice, 1)
}

// O3: the same with many half logins, at the doors of portal and API mixed.
func TestO3ParallelReplayAtBothDoors(t *testing.T) {
	off := throttle.Policy{}
	h := newHouse(t, setting{policy: &off})
	alice := h.member("alice")
	tokens := make([]login.Second, login.EphemeralLimit)
	for i := range tokens {
		door := []login.Door{login.Portal, login.API}[i%2]
		tokens[i] = login.Second{Ephemeral: alice.firstAt(door).Ephemeral.Reveal(), Code: alice.code(), Door: door, Client: alice.client}
	}
	errs := parallel(200, func(i int) error {
		_, err := h.doors.Code(t.Context(), tokens[i%len(tokens)])
		return err
	})
	h.wantOne(errs)
	h.wantSessions(alice, 1)
}

// O3: one recovery code at once at many half logins.
func TestO3ParallelRecoveryCode(t *testing.T) {
	off := throttle.Policy{}
	h := newHouse(t, setting{policy: &off})
	alice := h.member("alice")
	tokens := make([]login.Second, login.EphemeralLimit)
	for i := range tokens {
		tokens[i] = alice.second(alice.first(), alice.codes[0])
	}
	h.wantOne(parallel(100, func(i int) error {
		_, err := h.doors.Recovery(t.Context(), tokens[i%len(tokens)])
		return err
	}))
	h.wantSessions(alice, 1)
}

// O3: the code that confirms an enrolment, at once as often as it can be posted.
func TestO3ParallelConfirm(t *testing.T) {
	h := newHouse(t, setting{})
	carol := h.someone("carol")
	next := carol.first()
	e, err := h.doors.EnrollStart(t.Context(), next.Ephemeral.Reveal(), login.Portal, factor.TOTP, login.Client{})
	must(t, err)
	carol.seed = e.Seed.Reveal()
	h.wantOne(parallel(100, func(int) error {
		_, err := h.doors.EnrollConfirm(t.Context(), carol.second(next, carol.code()))
		return err
	}))
	h.wantSessions(carol, 1)
}

func (h *house) wantOne(errs []error) {
	h.Helper()
	good := 0
	for _, err := range errs {
		switch {
		case err == nil:
			good++
		case !errors.Is(err, login.ErrDenied) && !throttled(err):
			h.Errorf("a parallel post: %v", err)
		}
	}
	if good != 1 {
		h.Errorf("%d of %d parallel posts were good, want 1", good, len(errs))
	}
}

func (h *house) wantSessions(p *person, want int) {
	h.Helper()
	must(h, h.sealed.View(h.Context(), func(tx store.Tx) error {
		list, err := h.sessions.List(tx, p.id)
		if len(list) != want {
			h.Errorf("%d sessions of %s, want %d", len(list), p.name, want)
		}
		return err
	}))
}

// O4: a hundred wrong codes at once, over twenty half logins. A counter that is
// raised after the comparison lets all of them be compared.
func TestO4ParallelGuessesDoNotOutrunTheCounter(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	tokens := make([]login.Second, login.EphemeralLimit)
	for i := range tokens {
		tokens[i] = alice.second(alice.first(), alice.wrongCode())
		h.clock.Advance(time.Second)
	}
	for i := range tokens {
		tokens[i].Code = alice.wrongCode()
	}
	parallel(100, func(i int) error {
		_, err := h.doors.Code(t.Context(), tokens[i%len(tokens)])
		return err
	})
	limit := throttle.DefaultPolicy().Principal + 1
	if n := h.count(audit.KindCode, audit.Denied, "wrong"); n == 0 || n > limit {
		t.Errorf("%d codes were compared, want at most %d", n, limit)
	}
}

// O5: guess, restart, guess on. A counter in the process, or one written in a
// transaction that is rolled back, would begin anew.
func TestO5CountersOutliveARestart(t *testing.T) {
	dir, keyring := t.TempDir(), storetest.NewKeyring(t)
	clock := storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 5, 0, time.UTC))
	before := storetest.OpenDir(t, dir, keyring, clock.Now)
	h := newHouse(t, setting{store: before, clock: clock})
	alice := h.member("alice")
	wrong := alice.attempt()
	wrong.Password = wrongWords
	half := alice.first()
	for !throttledBy(h, func() error { _, err := h.doors.Password(t.Context(), wrong); return err }) {
	}
	for !throttledBy(h, func() error { _, err := h.doors.Code(t.Context(), alice.second(half, alice.wrongCode())); return err }) {
		if _, err := h.doors.Peek(t.Context(), half.Ephemeral.Reveal(), login.Portal); err != nil {
			break
		}
	}
	must(t, h.sessions.Close())
	must(t, before.Close())
	again := newHouse(t, setting{store: storetest.OpenDir(t, dir, keyring, clock.Now), clock: clock})
	if _, err := again.doors.Password(t.Context(), alice.attempt()); !throttled(err) {
		t.Errorf("after a restart the right password, too early: %v", err)
	}
}

func throttledBy(h *house, try func() error) bool {
	h.Helper()
	err := try()
	if err != nil && !errors.Is(err, login.ErrDenied) && !throttled(err) {
		h.Fatal(err)
	}
	return throttled(err)
}

// O6: the password is known, the code is guessed: new half logins, new sessions,
// new networks. A counter at the token, or one that the right password resets,
// gives five guesses each time.
func TestO6RightPasswordBuysNoGuesses(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	compared := func() int { return h.count(audit.KindCode, audit.Denied, "wrong") }
	for i := range 60 {
		alice.client.Addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		alice.client.Browser = ""
		next, err := h.doors.Password(t.Context(), alice.attempt())
		must(t, err)
		_, err = h.doors.Code(t.Context(), alice.second(next, alice.wrongCode()))
		if !errors.Is(err, login.ErrDenied) && !throttled(err) {
			t.Fatal(err)
		}
	}
	if n := compared(); n != throttle.DefaultPolicy().Principal {
		t.Errorf("%d guesses were compared, want %d", n, throttle.DefaultPolicy().Principal)
	}
	// With all the patience in the world: fifty, then only recovery opens.
	for range 200 {
		h.clock.Advance(20 * time.Minute)
		next, err := h.doors.Password(t.Context(), alice.attempt())
		must(t, err)
		_, err = h.doors.Code(t.Context(), alice.second(next, alice.wrongCode()))
		if !errors.Is(err, login.ErrDenied) && !throttled(err) {
			t.Fatal(err)
		}
	}
	if n := compared(); n != throttle.DefaultPolicy().Closed {
		t.Errorf("%d guesses were compared before the place closed, want %d", n, throttle.DefaultPolicy().Closed)
	}
	if _, err := h.doors.Code(t.Context(), alice.second(alice.first(), alice.code())); !throttled(err) {
		t.Errorf("the right code at a closed place: %v", err)
	}
	if _, err := h.doors.Recovery(t.Context(), alice.second(alice.first(), alice.codes[0])); err != nil {
		t.Fatalf("a recovery code at a closed place: %v", err)
	}
	h.next()
	alice.login()
}

// O11: a stranger has closed the second door from elsewhere; Alice at her own
// browser still gets in.
func TestO11OwnerAtTheOwnBrowserStillGetsIn(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	alice.login()
	stranger := *alice
	stranger.client = from("203.0.113.77")
	for range 200 {
		h.clock.Advance(20 * time.Minute)
		a := stranger.attempt()
		a.Password = wrongWords
		if _, err := h.doors.Password(t.Context(), a); err == nil {
			t.Fatal("a wrong password was good")
		}
		_, _ = h.doors.Code(t.Context(), stranger.second(stranger.firstOrNone(), alice.wrongCode()))
	}
	alice.login()
}

func (p *person) firstOrNone() *login.Next {
	next, err := p.h.doors.Password(p.h.Context(), p.attempt())
	if err != nil {
		return &login.Next{Ephemeral: secret.NewToken(secret.Ephemeral)}
	}
	return next
}

// O7, O8: the same person by name, by name@realm, by address, in capitals and in
// full-width letters: one counter. Each spelling with a counter of its own
// multiplies the guesses.
func TestO7AllSpellingsShareOneCounter(t *testing.T) {
	names := []string{"alice", "ALICE", "Alice@users", "ａｌｉｃｅ", "alice@USERS", "alice@example.com", "ALICE@Example.COM", "alice@example.com"}
	h := newHouse(t, setting{})
	alice := h.member("alice")
	for _, name := range names { // each of them is Alice
		a := alice.attempt()
		a.Login = name
		if _, err := h.doors.Password(t.Context(), a); err != nil {
			t.Fatalf("the right password of %q: %v", name, err)
		}
	}
	for _, known := range []bool{true, false} {
		guesses := 0
		for round := range 3 {
			for i, name := range names {
				if !known {
					name = strings.NewReplacer("alice", "nobody", "ALICE", "NOBODY", "Alice", "Nobody", "ａｌｉｃｅ", "ｎｏｂｏｄｙ").Replace(name)
					if strings.Contains(strings.ToLower(name), "example") {
						continue // no address of anybody: its own name
					}
				}
				a := login.Attempt{Login: name, Password: wrongWords, Door: login.Portal}
				a.Client.Addr = netip.AddrFrom4([4]byte{10, byte(round), byte(i), 1})
				_, err := h.doors.Password(t.Context(), a)
				if errors.Is(err, login.ErrDenied) {
					guesses++
				} else if !throttled(err) {
					t.Fatal(err)
				}
			}
		}
		if guesses != throttle.DefaultPolicy().Principal {
			t.Errorf("known %v: %d guesses were judged, want %d", known, guesses, throttle.DefaultPolicy().Principal)
		}
	}
}

// O12: the clock goes back ten minutes after a login. A memory that goes by time
// would forget; and no code further away than one step is ever good.
func TestO12ClockGoesBack(t *testing.T) {
	off := throttle.Policy{}
	h := newHouse(t, setting{policy: &off})
	alice := h.member("alice")
	alice.login()
	h.clock.Advance(-10 * time.Minute)
	good := 0
	for range 25 {
		_, err := h.doors.Code(t.Context(), alice.second(alice.first(), alice.code()))
		if err == nil {
			good++
		}
		if step := otp.Default(); err == nil && step.Step(h.clock.Now()) <= step.Step(time.Date(2026, 5, 4, 9, 0, 5, 0, time.UTC)) {
			t.Fatalf("a code of %v is good after a later one was used", h.clock.Now())
		}
		h.next()
	}
	if good != 4 { // the steps after the burned one
		t.Errorf("%d codes were good once the clock had caught up, want 4", good)
	}
	for _, steps := range []int{-3, -2, 2, 3} {
		h.clock.Advance(5 * time.Minute)
		far := codeAt(t, alice.seed, h.clock.Now().Add(time.Duration(steps)*30*time.Second))
		_, err := h.doors.Code(t.Context(), alice.second(alice.first(), far))
		h.wantDenied(err, fmt.Sprintf("a code %d steps away", steps))
	}
}

// H9: two hundred people log in at once; each gets their own session. State of one
// request kept in a shared place would swap them.
func TestH9ParallelLoginsGetTheirOwnSessions(t *testing.T) {
	h := newHouse(t, setting{})
	people := make([]*person, 200)
	for i := range people {
		people[i] = h.member(fmt.Sprintf("user%03d", i))
		people[i].client = login.Client{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i), 1}), UserAgent: people[i].name}
	}
	errs := parallel(len(people), func(i int) error {
		p := people[i]
		a := p.attempt()
		a.Target = "/" + p.name
		next, err := h.doors.Password(t.Context(), a)
		if err != nil {
			return err
		}
		done, err := h.doors.Code(t.Context(), p.second(next, p.code()))
		if err != nil {
			return err
		}
		live, err := h.live(done)
		if err != nil {
			return err
		}
		if live.Identity.ID != p.id || done.User.ID != p.id || done.Target != "/"+p.name {
			return fmt.Errorf("%s got the session of %s, target %s", p.name, live.Identity.Name, done.Target)
		}
		return nil
	})
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

// One person logs in many times at once: the hash slots and the counters let each
// good password through, sooner or later, when the client honours what it is told.
func TestParallelLoginsOfOnePerson(t *testing.T) {
	h := newHouse(t, setting{realms: map[string]account.Settings{"users": {Factors: one()}}})
	bob := h.someone("bob")
	good := 0
	for round := 0; good < 40 && round < 100; round++ {
		for _, err := range parallel(10, func(int) error {
			_, err := h.doors.Password(t.Context(), bob.attempt())
			return err
		}) {
			switch {
			case err == nil:
				good++
			case !throttled(err):
				t.Fatal(err)
			}
		}
		h.clock.Advance(time.Second)
	}
	if good < 40 {
		t.Errorf("only %d good passwords came through", good)
	}
}
