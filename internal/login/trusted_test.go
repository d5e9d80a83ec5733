package login_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// trust passes both doors and returns the token of the browser that is trusted then.
func (p *person) trust() string {
	p.h.Helper()
	next, err := p.trusting(p.first(), "")
	if err != nil {
		p.h.Fatalf("the right code of %s: %v", p.name, err)
	}
	if next.Trusted.IsZero() {
		p.h.Fatal("the browser is not trusted")
	}
	return next.Trusted.Reveal()
}

func (p *person) trusting(first *login.Next, had string) (*login.Next, error) {
	s := p.second(first, p.code())
	s.Trust, s.Trusted = true, had
	return p.h.doors.Code(p.h.Context(), s)
}

// firstWith passes the first door with the token of a trusted browser.
func (p *person) firstWith(token string) *login.Next {
	p.h.Helper()
	a := p.attempt()
	a.Trusted = token
	next, err := p.h.doors.Password(p.h.Context(), a)
	if err != nil {
		p.h.Fatalf("the right password of %s: %v", p.name, err)
	}
	return next
}

// asked fails unless a code is asked for although the browser brings a token.
func (p *person) asked(token, why string) {
	p.h.Helper()
	if next := p.firstWith(token); next.Status != login.SecondFactor {
		p.h.Errorf("%s: status %s, a code is not asked for", why, next.Status)
	}
}

func (p *person) trusts(token string) []login.TrustedBrowser {
	p.h.Helper()
	var list []login.TrustedBrowser
	must(p.h, p.h.sealed.View(p.h.Context(), func(tx store.Tx) error {
		u, err := p.h.dir.ByID(tx, p.id)
		if err == nil {
			list, err = p.h.doors.TrustedBrowsers(tx, u, token)
		}
		return err
	}))
	return list
}

// Attack: the cookie of a trusted browser is stolen, without the password. It opens
// nothing, tells nothing, and spares no wrong password from being counted.
func TestAStolenTrustWithoutThePasswordOpensNothing(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	token := alice.trust()
	a := alice.attempt()
	a.Password, a.Client, a.Trusted = wrongWords, from("203.0.113.9"), token
	for range 5 {
		_, err := h.doors.Password(t.Context(), a)
		h.wantDenied(err, "a wrong password with the token")
	}
	if _, err := h.doors.Password(t.Context(), a); !throttled(err) {
		t.Errorf("the sixth wrong password: %v, want it throttled", err)
	}
	for _, door := range []login.Door{login.Portal, login.API} {
		if _, err := h.doors.Code(t.Context(), login.Second{Ephemeral: token, Code: alice.code(), Door: door}); !errors.Is(err, login.ErrDenied) {
			t.Errorf("the token in place of an ephemeral one: %v", err)
		}
	}
	if _, err := h.sessions.Live(t.Context(), token, h.clock.Now()); !errors.Is(err, session.ErrNone) {
		t.Errorf("the token in place of a session: %v", err)
	}
	if used := alice.trusts("")[0].LastUsed; !used.IsZero() {
		t.Errorf("used at %s, by nobody", used)
	}
}

// Attack: cookie and password are stolen together. The thief reaches what asks for two
// factors, which is what trusting a browser means, and no more: nothing fresh, no change
// of the account, no capability; and it stands in the amr.
func TestATrustedBrowserIsNoFreshFactor(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	token := alice.trust()
	h.next()
	next := alice.firstWith(token)
	if next.Status != login.Done || !next.Trusted.IsZero() {
		t.Fatalf("%s, want a session", next.Status)
	}
	live := h.mustLive(next)
	if live.Proof.AMR != session.PWD|session.Trusted || !live.Proof.FactorAt.IsZero() || live.Proof.AMR.RealFactors() != 1 {
		t.Fatalf("proof %+v", live.Proof)
	}
	if words := live.Proof.AMR.Strings(); !slices.Equal(words, []string{"pwd", "trusted"}) {
		t.Errorf("amr %v", words)
	}
	two, fresh := guard.Demand{Factors: 2}, guard.Demand{Factors: 2, Fresh: 1000 * time.Hour}
	if lacks := two.Lacks(&live, h.clock.Now); lacks != "" {
		t.Errorf("two factors: %s", lacks)
	}
	if lacks := fresh.Lacks(&live, h.clock.Now); lacks != guard.ReasonFresh {
		t.Errorf("a fresh factor: %q, want %s", lacks, guard.ReasonFresh)
	}
	// Changes of the account.
	_, err := h.doors.Activate(t.Context(), live, factor.EnrollOptions{Method: factor.TOTP}, alice.client)
	if !errors.Is(err, account.ErrNotFresh) {
		t.Errorf("a factor of the thief's own: %v", err)
	}
	if _, err := h.doors.ChangeTarget(t.Context(), live, account.EmailField, "thief@example.com", alice.client); !errors.Is(err, account.ErrNotFresh) {
		t.Errorf("an address of the thief's own: %v", err)
	}
	h.wantDenied(h.doors.ChangePassword(t.Context(), live, secretWords, "another velvet otter lamp", alice.wrongCode(), alice.client), "a password of the thief's own")
	if err := h.doors.ChangePassword(t.Context(), live, secretWords, "another velvet otter lamp", "", alice.client); !errors.Is(err, login.ErrCodeNeeded) {
		t.Errorf("a password of the thief's own, without a code: %v", err)
	}
	h.wantDenied(h.fresh(live, token, alice.client), "the token in place of a code")
	// Capabilities.
	h.update(func(tx store.Tx) error {
		grants := []account.Grant{{Capability: account.List}, {Capability: account.Update}}
		_, err := h.dir.SetRealm(tx, account.Local(), "users", account.Settings{}, &grants, 0)
		if err != nil {
			return err
		}
		actor := account.Person(alice.id, live.Proof.AMR.RealFactors(), live.Proof.FactorAt)
		if err := h.dir.Allowed(tx, actor, account.Update, "users"); err == nil {
			t.Error("a change of others is allowed")
		}
		if err := h.dir.Allowed(tx, actor, account.List, "users"); err == nil {
			t.Error("a look at others is allowed")
		}
		return nil
	})
	// The way on is the second door: the step-up proves a factor, and forgets the trust.
	up, err := h.doors.StepUp(t.Context(), live, alice.client, "/x")
	must(t, err)
	h.next()
	done, err := h.doors.Code(t.Context(), alice.second(up, alice.code()))
	must(t, err)
	if p := h.mustLive(done).Proof; p.AMR != session.PWD|session.OTP || !p.Fresh(h.clock.Now(), time.Minute) {
		t.Errorf("after the second door: %+v", p)
	}
	if n := h.count(audit.KindLogin, audit.OK, ""); n != 2 {
		t.Errorf("%d logins were told, want 2", n)
	}
}

// A rule that demands a fresh factor leads to the second door at once, and a rule of two
// factors does not.
func TestAFreshDemandAsksATrustedBrowserForACode(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	a := alice.attempt()
	a.Trusted, a.Demand, a.Fresh = alice.trust(), 2, true
	next, err := h.doors.Password(t.Context(), a)
	must(t, err)
	if next.Status != login.SecondFactor {
		t.Errorf("fresh: %s", next.Status)
	}
	a.Fresh = false
	if next, err = h.doors.Password(t.Context(), a); err != nil || next.Status != login.Done {
		t.Errorf("two factors: %+v, %v", next, err)
	}
}

// Attack: a token that is good, for somebody else: of another person, who planted it in
// this browser or whose browser it is; of the other door; made up; of another kind. Each
// is as if it were absent, and the answer is the same.
func TestATokenOfSomebodyElseIsAbsent(t *testing.T) {
	h := newHouse(t, setting{})
	alice, bob := h.member("alice"), h.member("bob")
	token := bob.trust()
	alice.asked(token, "another person's token")
	alice.asked(secret.NewToken(secret.Device).Reveal(), "a made-up token")
	alice.asked(secret.NewToken(secret.Browser).Reveal(), "a known browser's token")
	alice.asked("spd_", "a stump")
	a := bob.attempt()
	a.Door, a.Trusted = login.API, token
	if next, err := h.doors.Password(t.Context(), a); err != nil || next.Status != login.SecondFactor {
		t.Errorf("the portal's token at the API: %+v, %v", next, err)
	}
	// Its owner may use it still: it was not burned by others.
	if next := bob.firstWith(token); next.Status != login.Done {
		t.Errorf("its owner: %s", next.Status)
	}
	// A name that is given anew is another person.
	h.update(func(tx store.Tx) error { return h.dir.Delete(tx, account.Local(), bob.id) })
	again := h.member("bob")
	again.asked(token, "the token of a deleted namesake")
}

// Attack: a trusted browser is stolen, its owner notices and changes the password or the
// factors, or an administrator disables the account. Nothing of it is left, although the
// session that made the change goes on.
func TestChangesEndTrustedBrowsers(t *testing.T) {
	for name, change := range map[string]func(h *house, p *person, live session.Live){
		"a new password": func(h *house, p *person, live session.Live) {
			p.password = "another velvet otter lamp"
			must(h, h.doors.ChangePassword(h.Context(), live, secretWords, p.password, p.code(), p.client))
		},
		"a new authenticator": func(h *house, p *person, live session.Live) {
			e, err := h.doors.Activate(h.Context(), live, factor.EnrollOptions{Method: factor.TOTP, Beside: true}, p.client)
			must(h, err)
			_, err = h.doors.ConfirmMethod(h.Context(), live, factor.TOTP, codeAt(h, e.Seed.Reveal(), h.clock.Now()), p.client)
			must(h, err)
		},
		"a factor reset": func(h *house, p *person, _ session.Live) {
			h.update(func(tx store.Tx) error { return h.factors.Reset(tx, account.Local(), p.id) })
			p.provision()
		},
		"a reset by mail": func(h *house, p *person, _ session.Live) {
			must(h, p.tryReset(h.opened(p.forgot()), p.code()))
			p.password = newWords
		},
		"not me": func(h *house, p *person, _ session.Live) {
			must(h, h.doors.NotMe(h.Context(), h.mail.Last("signed_in").Token, login.API, p.client))
		},
		"disabling": func(h *house, p *person, _ session.Live) {
			for _, disabled := range []bool{true, false} {
				h.update(func(tx store.Tx) error {
					_, err := h.dir.SetDisabled(tx, account.Local(), p.id, disabled)
					return err
				})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, setting{})
			alice := h.member("alice")
			token := alice.trust()
			h.next()
			live := h.mustLive(alice.login())
			h.next()
			if alice.firstWith(token).Status != login.Done {
				t.Fatal("it is no trusted browser before")
			}
			change(h, alice, live)
			h.next()
			alice.asked(token, name)
			if list := alice.trusts(token); len(list) != 0 {
				t.Errorf("%d are listed still", len(list))
			}
		})
	}
}

// Attack: an administrator's browser is stolen. Realm admin trusts none: not when asked
// for, not by a record that stands there, and no setting changes it.
func TestRealmAdminTrustsNoBrowser(t *testing.T) {
	h := newHouse(t, setting{})
	root := h.member("root@admin")
	if state, err := h.doors.Peek(t.Context(), root.first().Ephemeral.Reveal(), login.Portal); err != nil || state.TrustFor != 0 {
		t.Errorf("it is offered: %+v, %v", state, err)
	}
	next, err := root.trusting(root.first(), "")
	must(t, err)
	if !next.Trusted.IsZero() {
		t.Error("a token is handed out")
	}
	long := 24 * time.Hour
	err = h.sealed.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.dir.SetRealm(tx, account.Local(), "admin", account.Settings{TrustedBrowsers: &long}, nil, 0)
		return err
	})
	if !errors.Is(err, account.ErrInvalid) {
		t.Errorf("the setting: %v, want ErrInvalid", err)
	}
	if realm := (account.Realm{Name: "admin", Settings: account.Settings{TrustedBrowsers: &long}}); realm.TrustFor() != 0 {
		t.Error("a record that says so is believed")
	}
}

// Where a realm switches trusted browsers off, or makes their time shorter, that holds
// for those that there are.
func TestARealmThatBecomesStricter(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	token := alice.trust()
	set := func(life time.Duration) {
		h.update(func(tx store.Tx) error {
			_, err := h.dir.SetRealm(tx, account.Local(), "users", account.Settings{TrustedBrowsers: &life}, nil, 0)
			return err
		})
	}
	h.clock.Advance(2 * time.Hour)
	if alice.firstWith(token).Status != login.Done {
		t.Fatal("it is no trusted browser before")
	}
	set(time.Hour)
	alice.asked(token, "a shorter time")
	set(0)
	alice.asked(token, "switched off")
	if next, err := alice.trusting(alice.first(), ""); err != nil || !next.Trusted.IsZero() {
		t.Errorf("a token is handed out where it is switched off: %v", err)
	}
}

// The time counts from the factor that was proved there; logins do not prolong it.
func TestTrustEndsInTime(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	token := alice.trust()
	for range 3 {
		h.clock.Advance(9 * 24 * time.Hour)
		if next := alice.firstWith(token); next.Status != login.Done {
			t.Fatalf("after days: %s", next.Status)
		}
	}
	h.clock.Advance(3*24*time.Hour - time.Second)
	if alice.firstWith(token).Status != login.Done {
		t.Error("a second too early")
	}
	h.clock.Advance(time.Second)
	alice.asked(token, "after 30 days")
}

// Windows log in at once with the same token: all pass, and none loses the trust for the
// others.
func TestParallelLoginsKeepTheTrust(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	token := alice.trust()
	var passed atomic.Int64
	for range 10 {
		for _, err := range parallel(5, func(int) error { // as many as may be open without a delay
			a := alice.attempt()
			a.Trusted = token
			next, err := h.doors.Password(t.Context(), a)
			if err == nil && next.Status == login.Done {
				passed.Add(1)
			}
			return err
		}) {
			must(t, err)
		}
	}
	if passed.Load() != 50 || alice.firstWith(token).Status != login.Done {
		t.Errorf("%d of 50 passed", passed.Load())
	}
}

// Attack: a script that knows password and seed fills the store with trusted browsers.
// The oldest makes room; a browser that is trusted again does not take two places.
func TestTrustedBrowsersAreBounded(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	first := alice.trust()
	second := ""
	for range login.TrustedLimit {
		h.next()
		second = alice.trust()
	}
	if n := len(alice.trusts("")); n != login.TrustedLimit {
		t.Errorf("%d trusted browsers, want %d", n, login.TrustedLimit)
	}
	alice.asked(first, "the oldest")
	h.next()
	next, err := alice.trusting(alice.first(), second)
	must(t, err)
	list := alice.trusts(next.Trusted.Reveal())
	if len(list) != login.TrustedLimit || !list[0].Current {
		t.Errorf("%d, %+v", len(list), list[0])
	}
	alice.asked(second, "the token that was replaced")
	if alice.firstWith(next.Trusted.Reveal()).Status != login.Done {
		t.Error("the new token is not good")
	}
}

// A recovery code says that the factor is lost, and trusts no browser, whatever is asked
// for. Neither do the doors of facades, and there no token counts.
func TestWhatTrustsNoBrowser(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	s := alice.second(alice.first(), alice.codes[0])
	s.Trust = true
	next, err := h.doors.Recovery(t.Context(), s)
	must(t, err)
	if !next.Trusted.IsZero() {
		t.Error("a recovery code trusts a browser")
	}
	token := alice.trust()
	a := alice.attempt()
	a.Login, a.Realm, a.Door, a.Trusted = "alice", "users", login.Trench, token
	half, err := h.doors.Password(t.Context(), a)
	must(t, err)
	if half.Status != login.SecondFactor {
		t.Fatalf("a facade takes the token: %s", half.Status)
	}
	h.next()
	next, err = h.doors.Code(t.Context(), login.Second{Ephemeral: half.Ephemeral.Reveal(), Code: alice.code(), Door: login.Trench, Client: alice.client, Trust: true})
	must(t, err)
	if !next.Trusted.IsZero() {
		t.Error("a facade trusts a browser")
	}
}

// What is stored outlives a restart, and holds no token. What is ended by hand is ended
// at once, alone or all of them, and each end is told.
func TestTrustedBrowsersAreKeptShownAndEnded(t *testing.T) {
	h := newHouse(t, setting{})
	alice, bob := h.member("alice"), h.member("bob")
	alice.client.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
	one := alice.trust()
	h.next()
	two := alice.trust()
	again := newHouse(t, setting{store: h.sealed, clock: h.clock})
	a := alice.attempt()
	a.Trusted, a.Client = one, from("198.51.100.4")
	if next, err := again.doors.Password(t.Context(), a); err != nil || next.Status != login.Done {
		t.Fatalf("after a restart: %+v, %v", next, err)
	}
	list := alice.trusts(one)
	if len(list) != 2 || list[0].Current || !list[1].Current || list[1].LastUsed.IsZero() || list[1].Origin.Client != a.Client.Addr {
		t.Fatalf("%+v", list)
	}
	if o := list[0].Origin; o.UserAgent != alice.client.UserAgent || o.Client != alice.client.Addr {
		t.Errorf("origin %+v", o)
	}
	distrust := func(p *person, id string) error {
		return h.sealed.Update(t.Context(), func(tx store.Tx) error {
			u, err := h.dir.ByID(tx, p.id)
			if err != nil {
				return err
			}
			return h.doors.Distrust(tx, account.Self(p.id), u, id)
		})
	}
	if err := distrust(bob, list[0].ID); !errors.Is(err, login.ErrNotTrusted) {
		t.Errorf("somebody else's: %v", err)
	}
	must(t, distrust(alice, list[1].ID))
	if err := distrust(alice, list[1].ID); !errors.Is(err, login.ErrNotTrusted) {
		t.Errorf("twice: %v", err)
	}
	alice.asked(one, "one that was ended")
	if alice.firstWith(two).Status != login.Done {
		t.Error("the other one ended too")
	}
	h.update(func(tx store.Tx) error {
		u, err := h.dir.ByID(tx, alice.id)
		if err == nil {
			_, err = h.doors.DistrustAll(tx, account.Local(), u)
		}
		return err
	})
	alice.asked(two, "all were ended")
	if added, removed := h.count(audit.KindTrustedAdd, audit.OK, ""), h.count(audit.KindTrustedRemove, audit.OK, ""); added != 2 || removed != 2 {
		t.Errorf("%d beginnings and %d ends were told", added, removed)
	}
}
