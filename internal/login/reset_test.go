package login_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// forgot asks for a link and returns it as it stands in the mailbox.
func (p *person) forgot() string {
	p.h.Helper()
	must(p.h, p.h.doors.RequestReset(p.h.Context(), p.name, "", p.client))
	return p.h.mail.Last(mailtest.Reset).Token
}

// opened opens a link for a new password in a browser.
func (h *house) opened(link string) string {
	h.Helper()
	cookie, err := h.doors.TradeReset(h.Context(), link)
	must(h, err)
	return cookie.Reveal()
}

// reset is an attempt by the cookie of a link.
func (p *person) reset(cookie, code string) login.ResetAttempt {
	return login.ResetAttempt{Door: login.Portal, Token: cookie, Password: newWords, Code: code, Client: p.client}
}

func (p *person) tryReset(cookie, code string) error {
	_, err := p.h.doors.ResetFinish(p.h.Context(), p.reset(cookie, code))
	return err
}

// A forgotten password: the link, the new password with a code, then the second door
// as after any first one. All that was open has ended, and the person is told.
func TestReset(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	old := alice.login()
	half := alice.first()
	h.next()
	link := alice.forgot()
	if got := h.mail.Last(mailtest.Reset); got.To != "alice@example.com" {
		t.Errorf("the link went to %s", got.To)
	}
	cookie := h.opened(link)
	state, err := h.doors.Peek(t.Context(), cookie, login.Portal)
	must(t, err)
	if state.Status != login.Resetting || state.Method != factor.TOTP || state.Name != "alice" || state.TriesLeft != login.ResetTries || state.NoWay {
		t.Errorf("the page: %+v", state)
	}
	if err := alice.tryReset(cookie, ""); !errors.Is(err, login.ErrCodeNeeded) {
		t.Errorf("without a code: %v", err)
	}
	next, err := h.doors.ResetFinish(t.Context(), alice.reset(cookie, alice.code()))
	must(t, err)
	if next.Status != login.SecondFactor || next.Opened != nil {
		t.Fatalf("after a reset: %+v", next)
	}
	h.mustBeDead(old, "a reset")
	h.wantDenied(second(h.doors.Code(t.Context(), alice.second(half, alice.code()))), "a half login of before")
	h.wantDenied(second(h.doors.Password(t.Context(), alice.attempt())), "the old password")
	h.wantDenied(second(h.doors.TradeReset(t.Context(), link)), "the link again")
	h.wantDenied(alice.tryReset(cookie, alice.code()), "the cookie again")
	h.wantDenied(second(h.doors.Code(t.Context(), alice.second(next, alice.code()))), "the code of the reset at the second door")
	h.next()
	done, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	must(t, err)
	h.mustLive(done)
	if h.mail.Count("reset_used") != 1 || h.mail.Count("password_changed") != 0 || h.count(audit.KindReset, audit.OK, "") != 1 {
		t.Errorf("told: %+v", h.mail.Sent())
	}
}

// Attack (E2): somebody asks for links in many names, and measures. Known or not,
// disabled, without an address, with one that nobody confirmed, or sent enough: one
// Update, as many records, no error.
func TestE2ResetTellsNobodyWhoIsHere(t *testing.T) {
	h := newHouse(t, setting{})
	h.member("alice")
	h.someone("plain")
	off, empty, open := h.member("off"), h.member("empty"), h.member("open")
	root := h.member("root@admin")
	h.update(func(tx store.Tx) error {
		none, own := "", "open@example.org"
		_, err := h.dir.SetDisabled(tx, account.Local(), off.id, true)
		_, err2 := h.dir.Update(tx, account.Local(), empty.id, account.Change{Email: &none})
		_, err3 := h.dir.Update(tx, account.Local(), open.id, account.Change{Email: &own, Unconfirmed: true})
		return errors.Join(err, err2, err3)
	})
	want, letters := int64(0), 0
	for n, c := range []struct {
		login string
		sent  bool
	}{
		{"alice", true}, {"plain@example.com", true}, {root.name, true}, {"nobody", false}, {"nobody@example.com", false}, {"nobody@nowhere@x", false},
		{"off", false}, {"empty", false}, {"open@example.org", false}, {"", false}, {"alice@elsewhere", false}, {"ALICE@Example.com", true},
	} {
		updates, puts := h.store.updates.Load(), h.store.puts.Load()
		must(t, h.doors.RequestReset(t.Context(), c.login, "", from(fmt.Sprint("198.51.100.", n))))
		puts = h.store.puts.Load() - puts
		if want == 0 {
			want = puts
		}
		if h.store.updates.Load()-updates != 1 || puts != want {
			t.Errorf("%q: %d Updates, %d records; want 1 and %d", c.login, h.store.updates.Load()-updates, puts, want)
		}
		if c.sent {
			letters++
		}
		if h.mail.Count(mailtest.Reset) != letters {
			t.Fatalf("%q: %d letters, want %d", c.login, h.mail.Count(mailtest.Reset), letters)
		}
	}
	for n := range 8 { // enough is enough, and nobody hears of it
		puts := h.store.puts.Load()
		must(t, h.doors.RequestReset(t.Context(), "alice", "", from(fmt.Sprint("203.0.113.", n))))
		if puts = h.store.puts.Load() - puts; puts != want {
			t.Errorf("request %d wrote %d records, want %d", n, puts, want)
		}
	}
	if n := h.mail.Count(mailtest.Reset); n != letters+3 {
		t.Errorf("%d letters to alice after ten requests, want 5", n-letters+2)
	}
}

// Attack: the same, by the clock: an answer that is ready earlier must not leave.
func TestResetAnswersLeaveAtTheFloor(t *testing.T) {
	floor := 30 * time.Millisecond
	h := newHouse(t, setting{floor: func() time.Duration { return floor }})
	h.member("alice")
	for _, name := range []string{"alice", "nobody"} {
		begin := time.Now()
		must(t, h.doors.RequestReset(t.Context(), name, "", from("192.0.2.1")))
		if took := time.Since(begin); took < floor {
			t.Errorf("%s: answered after %s", name, took)
		}
	}
}

// Attack: one network asks for links to everybody. Twenty leave; then it is told to
// wait, whomever it names.
func TestResetRequestsPerNetwork(t *testing.T) {
	h := newHouse(t, setting{})
	for n := range 20 {
		must(t, h.doors.RequestReset(t.Context(), fmt.Sprint("user", n), "", from("203.0.113.9")))
	}
	h.member("alice")
	for _, name := range []string{"alice", "nobody"} {
		err := h.doors.RequestReset(t.Context(), name, "", from("203.0.113.9"))
		if wait, ok := errors.AsType[*throttle.Throttled](err); !ok || wait.Cause != throttle.CauseNetwork || wait.RetryAfter <= 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h.mail.Count(mailtest.Reset) != 0 {
		t.Error("a link was sent although the network had to wait")
	}
}

// Without mail, or without a portal that links could lead to, there is no reset: that
// says so, whoever is named.
func TestWithoutMailThereIsNoReset(t *testing.T) {
	h := newHouse(t, setting{mail: mailtest.WithoutLinks})
	alice := h.member("alice")
	for _, name := range []string{"alice", "nobody"} {
		if err := h.doors.RequestReset(t.Context(), name, "", from("192.0.2.1")); !errors.Is(err, login.ErrNoMail) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.doors.Register(t.Context(), "users", "x@example.com", from("192.0.2.1")); !errors.Is(err, login.ErrNoMail) {
		t.Errorf("register: %v", err)
	}
	h.update(func(tx store.Tx) error {
		if _, err := h.doors.InviteByMail(tx, account.Local(), alice.id); !errors.Is(err, login.ErrNoMail) {
			t.Errorf("invite: %v", err)
		}
		return nil
	})
	alice.login()
	if h.mail.Last("signed_in").Token != "" {
		t.Error("a notice has a link that leads nowhere")
	}
}

// A link dies of the next one, of age, of a change of password, factors or address, of
// disabling, and of an address that is no longer confirmed; and so does its cookie.
// Attack: an old mailbox, or a mail read weeks later, takes the account.
func TestResetLinkDies(t *testing.T) {
	change := func(c account.Change) func(*house, *person) {
		return func(h *house, p *person) {
			h.update(func(tx store.Tx) error {
				_, err := h.dir.Update(tx, account.Local(), p.id, c)
				return err
			})
		}
	}
	other, same := "other@example.com", "alice@example.com"
	for name, kill := range map[string]func(*house, *person){
		"the next link":          func(_ *house, p *person) { p.forgot() },
		"another address":        change(account.Change{Email: &other}),
		"an unconfirmed address": change(account.Change{Email: &same, Unconfirmed: true}),
		"disabling": func(h *house, p *person) {
			h.update(func(tx store.Tx) error {
				_, err := h.dir.SetDisabled(tx, account.Local(), p.id, true)
				return err
			})
		},
		"a change of password": func(h *house, p *person) {
			digest, err := h.hasher.Hash(h.Context(), newWords)
			must(h, err)
			h.update(func(tx store.Tx) error {
				_, err := h.dir.SetPassword(tx, account.Local(), p.id, digest)
				return err
			})
		},
		"a change of factors": func(_ *house, p *person) { p.provision() },
		"not me": func(h *house, p *person) {
			must(h, h.doors.NotMe(h.Context(), h.mail.Last("enrolled_by_admin").Token, login.API, p.client))
		},
		"age": func(h *house, _ *person) { h.clock.Advance(login.ResetLife + login.LinkCookieLife) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, setting{})
			alice := h.member("alice")
			link := alice.forgot()
			cookie := h.opened(link)
			kill(h, alice)
			h.wantDenied(second(h.doors.TradeReset(t.Context(), link)), "the link")
			h.wantDenied(alice.tryReset(cookie, alice.code()), "the cookie")
			api := alice.reset(link, alice.code())
			api.Door = login.API
			h.wantDenied(second(h.doors.ResetFinish(t.Context(), api)), "the link at the API")
		})
	}
}

// Attack: a mail scanner, or a prefetching browser, opens the link again and again.
func TestOpeningAResetLinkBurnsNothing(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	link := alice.forgot()
	first := h.opened(link)
	for range login.EphemeralLimit - 1 {
		h.opened(link)
	}
	h.clock.Advance(login.LinkCookieLife - time.Second)
	must(t, alice.tryReset(first, alice.code()))
}

// Attack (CVE-2021 class): the link of a reset at the door of invitations, setup,
// registration or notices, and the other way round; and the cookies of one door at
// another, portal or API.
func TestS5LinksOpenTheirOwnDoorOnly(t *testing.T) {
	h := newHouse(t, setting{realms: open()})
	alice, bob := h.member("alice"), h.someone("bob")
	must(t, h.doors.Register(t.Context(), "users", "new@example.com", alice.client))
	links := map[string]string{
		"reset": alice.forgot(), "invite": h.invite(bob), "not_me": h.mail.Last("enrolled_by_admin").Token,
		"register": h.mail.Last(mailtest.Registration).Token,
	}
	setup, _ := h.setupLink()
	links["setup"] = setup
	trades := map[string]func(string) (secret.Token, error){
		"reset":    func(s string) (secret.Token, error) { return h.doors.TradeReset(t.Context(), s) },
		"invite":   func(s string) (secret.Token, error) { return h.doors.TradeInvite(t.Context(), s) },
		"not_me":   func(s string) (secret.Token, error) { return h.doors.TradeNotMe(t.Context(), s) },
		"register": func(s string) (secret.Token, error) { return h.doors.TradeRegister(t.Context(), s) },
		"setup":    func(s string) (secret.Token, error) { return h.doors.TradeSetup(t.Context(), s) },
	}
	finish := func(door login.Door) map[string]func(string) error {
		return map[string]func(string) error{
			"reset": func(s string) error {
				return second(h.doors.ResetFinish(t.Context(), login.ResetAttempt{Door: door, Token: s, Password: newWords, Code: alice.code(), Client: alice.client}))
			},
			"invite": func(s string) error {
				return second(h.doors.InviteFinish(t.Context(), s, newWords, bob.client, door))
			},
			"not_me": func(s string) error { return h.doors.NotMe(t.Context(), s, door, alice.client) },
			"register": func(s string) error {
				_, _, err := h.doors.RegisterFinish(t.Context(), login.RegisterAttempt{Door: door, Token: s, Name: "new", Password: newWords})
				return err
			},
		}
	}
	cookies := map[string]string{}
	for kind, link := range links {
		for door, trade := range trades {
			cookie, err := trade(link)
			if kind == door {
				must(t, err)
				cookies[kind] = cookie.Reveal()
				continue
			}
			h.wantDenied(err, kind+" at the door of "+door)
		}
	}
	for kind := range links {
		for door, do := range finish(login.API) {
			h.wantDenied(do(cookies[kind]), "the cookie of "+kind+" at the API's door of "+door)
			if kind != door {
				h.wantDenied(do(links[kind]), "the link of "+kind+" at the API's door of "+door)
			}
		}
		for door, do := range finish(login.Portal) {
			h.wantDenied(do(links[kind]), "the link of "+kind+" as a cookie of "+door)
			if kind != door {
				h.wantDenied(do(cookies[kind]), "the cookie of "+kind+" at the portal's door of "+door)
			}
		}
		for _, door := range []login.Door{0, login.Trench, login.FastAPI2FA} {
			for name, do := range finish(door) {
				h.wantDenied(do(links[kind]), fmt.Sprintf("the link of %s at the door %s of %s", kind, door, name))
			}
		}
	}
	must(t, finish(login.API)["reset"](links["reset"])) // all of them are good still
	must(t, finish(login.API)["register"](links["register"]))
	must(t, finish(login.Portal)["invite"](cookies["invite"]))
	must(t, finish(login.API)["not_me"](links["not_me"]))
}

// Attack (M2): whoever reads the mailbox resets the password, and has the code that
// comes by mail as well. It is not asked for, and not taken, under any name.
func TestResetTakesNoCodeThatComesByMail(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	mailOnly := func(p *person) {
		h.update(func(tx store.Tx) error {
			_, err := h.dir.SetMethods(tx, account.Local(), p.id, []account.Method{{Name: "email", Primary: true, AddedAt: tx.Now()}}, false)
			return err
		})
	}
	link := alice.forgot()
	h.update(func(tx store.Tx) error { // mail first, the app second
		_, err := h.dir.SetMethods(tx, account.Local(), alice.id, []account.Method{{Name: "email", Primary: true}, {Name: "totp"}}, false)
		return err
	})
	cookie := h.opened(link)
	state, err := h.doors.Peek(t.Context(), cookie, login.Portal)
	must(t, err)
	if state.Method != factor.TOTP || len(state.Others) != 1 || state.Others[0] != factor.RecoveryCode {
		t.Errorf("asked for: %s, %v", state.Method, state.Others)
	}
	for _, method := range []factor.Name{"email", factor.Any, "EMAIL", "sms"} {
		r := alice.reset(h.opened(alice.forgot2(h)), alice.code())
		r.Method = method
		h.wantDenied(second(h.doors.ResetFinish(t.Context(), r)), "a code as "+string(method))
	}
	// Mail alone, and recovery codes: those.
	mailOnly(alice)
	cookie = h.opened(alice.forgot2(h))
	state, err = h.doors.Peek(t.Context(), cookie, login.Portal)
	must(t, err)
	if state.Method != factor.RecoveryCode || len(state.Others) != 0 || state.NoWay {
		t.Errorf("asked for: %s, %v", state.Method, state.Others)
	}
	must(t, alice.tryReset(cookie, alice.codes[0]))
	// Mail alone and nothing else: an administrator.
	bob := h.someone("bob")
	mailOnly(bob)
	link = bob.forgot()
	cookie = h.opened(link)
	state, err = h.doors.Peek(t.Context(), cookie, login.Portal)
	must(t, err)
	if !state.NoWay || state.Method != "" {
		t.Errorf("no way: %+v", state)
	}
	for _, code := range []string{"", "123456"} {
		if err := bob.tryReset(cookie, code); !errors.Is(err, login.ErrNoWay) {
			t.Errorf("with the code %q: %v", code, err)
		}
	}
}

// Attack (M2): recovery codes were mailed, as an older system does, and whoever reads the
// mailbox resets the password with one of them. They are no way, until there are others
// that were not.
func TestResetTakesNoRecoveryCodeThatCameByMail(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	mailed := func(p *person) {
		h.update(func(tx store.Tx) error { return h.factors.Mailed(tx, p.id) })
	}
	mailed(alice)
	cookie := h.opened(alice.forgot())
	state, err := h.doors.Peek(t.Context(), cookie, login.Portal)
	must(t, err)
	if state.Method != factor.TOTP || len(state.Others) != 0 {
		t.Errorf("asked for: %s, %v", state.Method, state.Others)
	}
	r := alice.reset(cookie, alice.codes[0])
	r.Method = factor.RecoveryCode
	h.wantDenied(second(h.doors.ResetFinish(t.Context(), r)), "a recovery code that was mailed")
	must(t, alice.tryReset(h.opened(alice.forgot2(h)), alice.code()))

	bob := h.member("bob") // with codes by mail alone
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetMethods(tx, account.Local(), bob.id, []account.Method{{Name: "email", Primary: true, AddedAt: tx.Now()}}, false)
		return err
	})
	mailed(bob)
	if err := bob.tryReset(h.opened(bob.forgot2(h)), bob.codes[0]); !errors.Is(err, login.ErrNoWay) {
		t.Errorf("mail and mailed codes: %v", err)
	}
	h.update(func(tx store.Tx) error {
		bob.codes, err = h.factors.NewRecoveryCodes(tx, account.Local(), bob.id)
		return err
	})
	must(t, bob.tryReset(h.opened(bob.forgot2(h)), bob.codes[0]))
}

// forgot2 is forgot from a network of its own, when the window has passed.
func (p *person) forgot2(h *house) string {
	h.clock.Advance(15 * time.Minute)
	return p.forgot()
}

// Attack (O6): whoever reads the mailbox guesses codes, and opens the link again after
// each five, or uses the API as well. Five burn the link, wherever they came.
func TestFiveWrongCodesBurnTheResetLink(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	link := alice.forgot()
	for n := range login.ResetTries {
		r := alice.reset(link, alice.wrongCode())
		if r.Door = login.API; n%2 == 0 {
			r.Door, r.Token = login.Portal, h.opened(link)
		}
		h.wantDenied(second(h.doors.ResetFinish(t.Context(), r)), "a wrong code")
	}
	h.wantDenied(second(h.doors.TradeReset(t.Context(), link)), "the link after five wrong codes")
	if h.count(audit.KindReset, audit.Denied, "wrong_codes") != 1 {
		t.Error("no event says that the link was burned")
	}
	if err := h.doors.RequestReset(t.Context(), "alice", "", alice.client); err != nil {
		t.Errorf("another link: %v", err)
	}
}

// Attack: whoever has a link keeps the processor busy with hashes.
func TestResetLinkPaysForFewHashes(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	link := alice.forgot()
	replayed := alice.code()
	alice.login() // burns the code: refused, and not counted as wrong
	for range login.ResetPosts {
		h.wantDenied(alice.tryReset(h.opened(link), replayed), "a replayed code")
	}
	h.next()
	h.wantDenied(alice.tryReset(h.opened(link), alice.code()), "the good code after too many")
	h.wantDenied(second(h.doors.TradeReset(t.Context(), link)), "the link")
}

// Attack (O3): the link is posted many times at once, with several passwords. One is
// set, with one code, and no session opens.
func TestParallelUseOfOneResetLink(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	link := alice.forgot()
	cookies := make([]string, 10)
	for i := range cookies {
		cookies[i] = h.opened(link)
	}
	errs := parallel(len(cookies), func(i int) error {
		r := alice.reset(cookies[i], alice.code())
		r.Password += fmt.Sprint(" ", i)
		return second(h.doors.ResetFinish(t.Context(), r))
	})
	good := -1
	for i, err := range errs {
		switch {
		case err == nil && good >= 0:
			t.Error("two resets by one link")
		case err == nil:
			good = i
		case !errors.Is(err, login.ErrDenied):
			t.Errorf("%v", err)
		}
	}
	if good < 0 {
		t.Fatal("no reset at all")
	}
	alice.password = fmt.Sprint(newWords, " ", good)
	h.next()
	alice.login()
}

// Between the hash and the change an administrator disables her: the change looks again.
func TestResetLooksAgain(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	cookie := h.opened(alice.forgot())
	h.store.beforeUpdate(2, func() {
		h.update(func(tx store.Tx) error {
			_, err := h.dir.SetDisabled(tx, account.Local(), alice.id, true)
			return err
		})
	})
	h.wantDenied(alice.tryReset(cookie, alice.code()), "a reset of who was disabled meanwhile")
}

// Fifty wrong codes closed every place. A reset opens them, and a weak password changes
// nothing and spends nothing.
func TestResetOpensClosedPlacesAndRefusesWeakPasswords(t *testing.T) {
	policy := throttle.DefaultPolicy()
	policy.Closed, policy.Delay = 3, 0
	h := newHouse(t, setting{policy: &policy})
	alice := h.member("alice")
	next := alice.first()
	for range 3 {
		h.wantDenied(second(h.doors.Code(t.Context(), alice.second(next, alice.wrongCode()))), "a wrong code")
	}
	if err := second(h.doors.Code(t.Context(), alice.second(next, alice.code()))); !throttled(err) {
		t.Fatalf("a closed place: %v", err)
	}
	cookie := h.opened(alice.forgot())
	if err := alice.tryReset(cookie, alice.code()); !throttled(err) {
		t.Errorf("a code in a closed place: %v", err)
	}
	weak := alice.reset(cookie, alice.codes[0])
	weak.Method, weak.Password = factor.RecoveryCode, "alice alice"
	if _, err := h.doors.ResetFinish(t.Context(), weak); !isWeak(err) {
		t.Errorf("a weak password: %v", err)
	}
	weak.Password = newWords
	must(t, second(h.doors.ResetFinish(t.Context(), weak)))
	alice.password = newWords
	alice.login()
}

func isWeak(err error) bool {
	_, ok := errors.AsType[*secret.WeakPassword](err)
	return ok
}

// Who has no factor is led to enrol one, as at a first login; who needs one factor is
// in. At the API nothing opens.
func TestResetWithoutAFactor(t *testing.T) {
	one := 1
	h := newHouse(t, setting{realms: map[string]account.Settings{"single": {Factors: &one}}})
	bob, sue := h.someone("bob"), h.someone("sue@single")
	next, err := h.doors.ResetFinish(t.Context(), bob.reset(h.opened(bob.forgot()), ""))
	must(t, err)
	if next.Status != login.Enroll {
		t.Errorf("bob: %+v", next)
	}
	next, err = h.doors.ResetFinish(t.Context(), login.ResetAttempt{Door: login.API, Token: sue.forgot(), Password: newWords})
	if err != nil || next != nil {
		t.Errorf("at the API: %+v, %v", next, err)
	}
	sue.password = newWords
	if next = sue.first(); next.Status != login.Done {
		t.Errorf("sue: %+v", next)
	}
}

// What belongs to a deleted person is gone with them.
func TestLinksOfTheDeleted(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	link, notice := alice.forgot(), h.mail.Last("enrolled_by_admin").Token
	h.update(func(tx store.Tx) error { return h.dir.Delete(tx, account.Local(), alice.id) })
	h.wantDenied(second(h.doors.TradeReset(t.Context(), link)), "the link of somebody deleted")
	h.wantDenied(second(h.doors.TradeNotMe(t.Context(), notice)), "the notice of somebody deleted")
	h.update(func(tx store.Tx) error {
		for item, err := range tx.Scan(store.KPrefix(store.PrefixLogin), nil) {
			if err != nil {
				return err
			}
			if bytes.Contains(item.Key, alice.id[:]) {
				t.Errorf("left behind: %q", item.Key)
			}
		}
		return nil
	})
}

// open is a configuration in which people register in the realm users.
func open(domains ...string) map[string]account.Settings {
	return map[string]account.Settings{"users": {Registration: &account.Registration{Domains: domains}}}
}
