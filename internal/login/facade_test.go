package login_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// at is an attempt at a facade's door.
func (p *person) at(door login.Door) login.Attempt {
	a := p.attempt()
	name, realm, _ := strings.Cut(p.name, "@")
	a.Login, a.Realm, a.Door = name, realm, door
	return a
}

// trench logs in by a code at the facade's door.
func (p *person) trench(code string) (*login.Next, error) {
	p.h.Helper()
	next, err := p.h.doors.Password(p.h.Context(), p.at(login.Trench))
	must(p.h, err)
	s := p.second(next, code)
	s.Door, s.Method = login.Trench, factor.Any
	return p.h.doors.Code(p.h.Context(), s)
}

func (p *person) trenchLive(code string) session.Live {
	p.h.Helper()
	done, err := p.trench(code)
	must(p.h, err)
	live, err := p.h.sessions.FacadeSession(p.h.Context(), done.Opened.ID, session.Trench)
	must(p.h, err)
	return live
}

// M1: what one door gives, no other door takes, and a facade's session opens the
// facade alone.
func TestM1FacadesAreDoorsOfTheirOwn(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	doors := []login.Door{login.Portal, login.API, login.FastAPI2FA, login.Trench}
	h.update(func(tx store.Tx) error {
		email := "alice@example.com"
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{Email: &email})
		return err
	})
	for _, from := range doors {
		a := alice.at(from)
		if from == login.FastAPI2FA {
			a.Login = "alice@example.com"
		}
		next, err := h.doors.Password(t.Context(), a)
		must(t, err)
		for _, to := range doors {
			if to == from {
				continue
			}
			s := alice.second(next, alice.code())
			s.Door = to
			_, err := h.doors.Code(t.Context(), s)
			h.wantDenied(err, from.String()+"'s token at "+to.String())
		}
	}
	done, err := alice.trench(alice.code())
	must(t, err)
	if !done.Opened.Cookie.IsZero() || done.Opened.Refresh != nil || done.Opened.DomainCookie != nil {
		t.Error("a facade's session has tokens of ours")
	}
	if _, _, err := h.sessions.Access(t.Context(), done.Opened.Live); !errors.Is(err, session.ErrNone) {
		t.Errorf("an access token for a facade's session: %v", err)
	}
	if _, err := h.sessions.FacadeSession(t.Context(), done.Opened.ID, session.FastAPI2FA); !errors.Is(err, session.ErrNone) {
		t.Errorf("another facade takes it: %v", err)
	}
	h.next()
	native := alice.login()
	for _, kind := range []session.Kind{session.Trench, session.FastAPI2FA, session.Browser} {
		if _, err := h.sessions.FacadeSession(t.Context(), native.Opened.ID, kind); !errors.Is(err, session.ErrNone) {
			t.Errorf("a facade takes the portal's session as %s: %v", kind, err)
		}
	}
}

// Attack: the facade's login names an administrator, who has the right password.
func TestAFacadeKnowsOneRealm(t *testing.T) {
	h := newHouse(t, setting{})
	boss, alice := h.member("boss@admin"), h.member("alice")
	for _, door := range []login.Door{login.Trench, login.FastAPI2FA} {
		for _, text := range []string{"boss@admin", "boss", "alice@users", "Boss@ADMIN"} {
			a := boss.at(door)
			a.Login, a.Realm = text, "users"
			_, err := h.doors.Password(t.Context(), a)
			h.wantDenied(err, text+" at "+door.String())
		}
	}
	a := alice.at(login.FastAPI2FA) // whose users are known by address
	_, err := h.doors.Password(t.Context(), a)
	h.wantDenied(err, "a name where addresses are asked for")
	a = alice.at(login.Trench)
	if a.Realm = ""; true {
		if _, err := h.doors.Password(t.Context(), a); err == nil {
			t.Error("a facade without a realm looks everywhere")
		}
	}
	a = alice.at(login.Trench)
	a.Login = "ALICE"
	if next, err := h.doors.Password(t.Context(), a); err != nil || next.Status != login.SecondFactor {
		t.Errorf("another spelling of the own name: %v", err)
	}
}

// O1, O2: the code that opened a session is good once more for each purpose, for that
// session alone.
func TestO1O2ABurnedCodeOnceMoreForItsOwnSession(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	code := alice.code()
	live := alice.trenchLive(code)
	nothing := func(store.Tx, *account.User) error { return nil }
	with := func(live session.Live, purpose login.Purpose, code string) error {
		return h.doors.WithCode(t.Context(), live, purpose, nil, code, alice.client, nothing)
	}
	must(t, with(live, login.Primary, code))
	must(t, with(live, login.Deactivate, " "+code[:3]+" "+code[3:]))
	for _, again := range []string{code, " " + code, code + " ", code[:3] + "-" + code[3:]} {
		h.wantDenied(with(live, login.Deactivate, again), "a purpose for the second time")
	}
	h.wantDenied(h.fresh(live, code, alice.client), "the native way")
	h.next()
	other := alice.trenchLive(alice.code())
	h.wantDenied(with(other, login.Regenerate, code), "another session of the same person")
	h.clock.Advance(3 * time.Minute)
	h.wantDenied(with(live, login.Regenerate, code), "the code after its window")
	if _, err := alice.trench(code); !errors.Is(err, login.ErrDenied) {
		t.Errorf("a login with it: %v", err)
	}
	must(t, with(live, login.Regenerate, alice.code())) // a fresh one always is
	h.wantDenied(with(live, login.Primary, alice.code()), "that one again, which opened no session")
}

// O3: posts in parallel do not use a purpose twice.
func TestO3OncePerPurposeInParallel(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	code := alice.code()
	live := alice.trenchLive(code)
	var good atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			err := h.doors.WithCode(t.Context(), live, login.Regenerate, nil, code, alice.client, func(store.Tx, *account.User) error { return nil })
			if err == nil {
				good.Add(1)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Errorf("%d of 50 were taken", good.Load())
	}
}

// django is a digest as Django's default hasher writes it.
func django(t *testing.T, code string) string {
	t.Helper()
	sum, err := pbkdf2.Key(sha256.New, code, []byte("0123456789ab"), 1000, 32)
	must(t, err)
	return "pbkdf2_sha256$1000$0123456789ab$" + base64.StdEncoding.EncodeToString(sum)
}

// A recovery code that an older system kept as a digest works once, whichever door it
// comes through, and a hundred posts of it are one.
func TestO3RecoveryCodesOfAnOlderSystem(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.someone("alice")
	seed := otp.NewSeed(20)
	alice.seed = seed
	h.update(func(tx store.Tx) error {
		return h.factors.Bring(tx, account.Local(), alice.id, factor.Brought{Seed: secret.NewBytes(seed), Params: otp.Default(),
			RecoveryDigests: []string{django(t, "aB3dE5gH7jK9"), django(t, "Zz1Xx2Cc3Vv4"), django(t, "123456")}})
	})
	recover := func(code string, method factor.Name, door login.Door) error {
		next, err := h.doors.Password(t.Context(), alice.at(door))
		must(t, err)
		s := alice.second(next, code)
		s.Door, s.Method = door, method
		_, err = h.doors.Code(t.Context(), s)
		return err
	}
	h.wantDenied(recover("ab3de5gh7jk9", factor.RecoveryCode, login.API), "another spelling")
	h.wantDenied(recover("", factor.RecoveryCode, login.API), "an empty code")
	h.wantDenied(recover("aB3dE5gH7jK9", "", login.API), "where digits are asked for")
	var good atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		next, err := h.doors.Password(t.Context(), alice.at(login.API))
		must(t, err)
		all.Go(func() {
			s := alice.second(next, "aB3dE5gH7jK9")
			s.Door = login.API
			if _, err := h.doors.Recovery(t.Context(), s); err == nil {
				good.Add(1)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Fatalf("%d logins with one code", good.Load())
	}
	h.clock.Advance(time.Hour)
	must(t, recover("Zz1Xx2Cc3Vv4", factor.Any, login.Trench))
	h.wantDenied(recover("Zz1Xx2Cc3Vv4", factor.Any, login.Trench), "the second code again")
	must(t, recover("123456", factor.Any, login.Trench)) // six digits, and no code of the authenticator
	bob := h.member("bob")
	next, err := h.doors.Password(t.Context(), bob.at(login.Trench))
	must(t, err)
	s := bob.second(next, "123456")
	s.Door, s.Method = login.Trench, factor.Any
	_, err = h.doors.Code(t.Context(), s)
	h.wantDenied(err, "another person's code")
}

// Wrong guesses at digests are counted, and stop costing hashes.
func TestO4GuessesAtDigestsAreCounted(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.someone("alice")
	seed := otp.NewSeed(20)
	h.update(func(tx store.Tx) error {
		return h.factors.Bring(tx, account.Local(), alice.id, factor.Brought{Seed: secret.NewBytes(seed), Params: otp.Default(), RecoveryDigests: []string{django(t, "aB3dE5gH7jK9")}})
	})
	waits := 0
	for range 12 {
		next, err := h.doors.Password(t.Context(), alice.at(login.API))
		must(t, err)
		s := alice.second(next, "nope")
		s.Door = login.API
		if _, err := h.doors.Recovery(t.Context(), s); err != nil && !errors.Is(err, login.ErrDenied) {
			waits++
		}
	}
	if waits != 7 {
		t.Errorf("%d of 12 wrong codes had to wait, want 7", waits)
	}
}

// An application that asks by itself who somebody is: each code once, wrong ones
// counted, nobody let in by being unknown or disabled.
func TestProve(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	ref := principal.Ref{Name: "alice", Realm: "users"}
	adjure := account.Facade("adjure", account.Grant{Capability: account.Authenticate, Realms: []string{"users"}})
	prove := func(ref principal.Ref, code string) error {
		return h.doors.Prove(t.Context(), ref, factor.TOTP, code, alice.client, adjure, "compat adjure")
	}
	code := alice.code()
	must(t, prove(ref, code))
	stored := h.storedEvents()
	h.wantDenied(prove(ref, code), "the code again")
	if n := h.storedEvents(); n != stored {
		t.Error("repeating a code fills the store")
	}
	h.wantDenied(prove(ref, alice.wrongCode()), "a wrong code")
	if n := h.storedEvents(); n != stored+1 {
		t.Error("a wrong code left no event")
	}
	if err := prove(principal.Ref{Name: "nobody", Realm: "users"}, code); !errors.Is(err, account.ErrUnknownUser) {
		t.Errorf("nobody: %v", err)
	}
	must(t, h.doors.Prove(t.Context(), ref, factor.RecoveryCode, alice.codes[0], alice.client, adjure, "compat adjure"))
	h.wantDenied(h.doors.Prove(t.Context(), ref, factor.RecoveryCode, alice.codes[0], alice.client, adjure, "compat adjure"), "a recovery code again")
	h.next()
	h.update(func(tx store.Tx) error { _, err := h.dir.SetDisabled(tx, account.Local(), alice.id, true); return err })
	h.wantDenied(prove(ref, alice.code()), "a disabled person")
	if h.count(audit.KindFactorVerify, audit.Denied, "disabled") != 1 || h.count(audit.KindFactorVerify, audit.OK, "") != 2 {
		t.Error("the events do not tell what happened")
	}
	for range 20 {
		_ = prove(ref, alice.wrongCode())
	}
	if err := prove(ref, alice.wrongCode()); err == nil || errors.Is(err, login.ErrDenied) {
		t.Errorf("after twenty wrong codes: %v", err)
	}
}

// storedEvents counts what the log of events holds.
func (h *house) storedEvents() (n int) {
	h.Helper()
	must(h, h.sealed.View(h.Context(), func(tx store.Tx) error {
		for _, err := range tx.Scan([]byte(store.PrefixAudit), nil) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}))
	return n
}

// O7, O8: wrong tries count together whichever door and spelling they came by, for
// those who exist and for those who do not.
func TestO7O8FacadesShareTheCounters(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	h.update(func(tx store.Tx) error {
		email := "alice@example.com"
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{Email: &email})
		return err
	})
	for _, spellings := range [][]string{{"alice", "ALICE", "alice@example.com", "Alice@EXAMPLE.com"}, {"nobody", "NoBody"}} {
		tries := 0
		for round := range 20 {
			a := login.Attempt{Login: spellings[round%len(spellings)], Password: wrongWords, Realm: "users", Client: login.Client{Exempt: true}}
			a.Door = []login.Door{login.Trench, login.Portal, login.API}[round%3]
			if strings.Contains(a.Login, "@") {
				a.Door = login.FastAPI2FA
			}
			if _, err := h.doors.Password(t.Context(), a); !errors.Is(err, login.ErrDenied) {
				break
			}
			tries++
		}
		if tries != 5 {
			t.Errorf("%v: %d tries at all doors together, want 5", spellings, tries)
		}
	}
}
