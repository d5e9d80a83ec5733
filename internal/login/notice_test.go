package login_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// heard are the kinds of letters since the last call, in order.
func (h *house) heard(seen *int) (kinds []string) {
	all := h.mail.Sent()
	for _, l := range all[*seen:] {
		kinds = append(kinds, l.Kind)
	}
	*seen = len(all)
	return kinds
}

// Attack: somebody who has password and phone changes password, factors, codes and
// address, by whatever door. Each change is told to the owner at once.
func TestEveryChangeIsTold(t *testing.T) {
	h := newHouse(t, setting{})
	seen := 0
	want := func(what string, kinds ...string) {
		t.Helper()
		got := h.heard(&seen)
		if len(got) != len(kinds) {
			t.Errorf("%s: told %v, want %v", what, got, kinds)
			return
		}
		for i := range kinds {
			if got[i] != kinds[i] {
				t.Errorf("%s: told %v, want %v", what, got, kinds)
			}
		}
	}
	alice := h.someone("alice")
	want("an account") // of which an administrator tells
	alice.provision()
	want("a factor by an administrator", "enrolled_by_admin")
	if by := h.mail.Last("enrolled_by_admin").Notice.By; by != "local" {
		t.Errorf("by %q", by)
	}
	alice.client.UserAgent = "Firefox"
	live := h.mustLive(alice.login())
	want("a sign-in from a new browser", "signed_in")
	if n := h.mail.Last("signed_in").Notice; n.Browser != "Firefox" || n.Client != alice.client.Addr || n.Method != "totp" || n.By != "" {
		t.Errorf("signed in: %+v", n)
	}
	h.next()
	alice.login()
	want("the same browser again")
	h.next()
	alice.trust()
	want("a browser that is trusted", "browser_trusted")
	h.next()
	must(t, h.doors.ChangePassword(t.Context(), live, secretWords, newWords, alice.code(), alice.client))
	alice.password = newWords
	want("another password", "password_changed")
	h.next()
	must(t, h.doors.WithFresh(t.Context(), live, alice.code(), alice.client, func(tx store.Tx, u *account.User) error {
		_, err := h.factors.NewRecoveryCodes(tx, account.Self(u.ID).From(alice.client.Addr, live.ID), u.ID)
		return err
	}))
	want("recovery codes", "recovery_codes_made")
	h.update(func(tx store.Tx) error {
		codes, err := h.factors.NewRecoveryCodes(tx, account.Local(), alice.id)
		alice.codes = codes
		return err
	})
	want("recovery codes by an administrator", "recovery_codes_made")
	s := alice.second(alice.first(), alice.codes[0])
	must(t, second(h.doors.Recovery(t.Context(), s)))
	want("a recovery code", "recovery_code_used")
	h.update(func(tx store.Tx) error { return h.factors.SetPrimary(tx, account.Local(), alice.id, factor.TOTP) })
	want("another primary factor", "factor_primary")
	phone, name := "+41441234567", "Alice L."
	h.update(func(tx store.Tx) error {
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{Phone: &phone})
		return err
	})
	want("another number", "address_changed")
	h.update(func(tx store.Tx) error {
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{FullName: &name})
		return err
	})
	want("another full name")
	h.update(func(tx store.Tx) error { return h.factors.Reset(tx, account.Local(), alice.id) })
	want("no factor any more", "factor_removed")
	if next := alice.first(); next.Status != login.Enroll {
		t.Fatalf("%+v", next)
	}
	alice.enroll()
	want("a first factor between the doors", "factor_added")
}

// enroll sets up a first factor between the doors.
func (p *person) enroll() {
	p.h.Helper()
	next := p.first()
	e, err := p.h.doors.EnrollStart(p.h.Context(), next.Ephemeral.Reveal(), login.Portal, factor.TOTP, login.Client{})
	must(p.h, err)
	p.seed = e.Seed.Reveal()
	must(p.h, second(p.h.doors.EnrollConfirm(p.h.Context(), p.second(next, p.code()))))
}

// Attack: whoever took an account over gives it another address first, so that the
// owner hears of nothing. The old mailbox hears of exactly that.
func TestTheOldMailboxHearsOfTheNewAddress(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.someone("alice")
	seen := 0
	other := "thief@example.org"
	h.update(func(tx store.Tx) error {
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{Email: &other})
		return err
	})
	h.heard(&seen)
	letters := h.mail.Sent()
	if len(letters) != 2 || letters[0].To != "alice@example.com" || letters[1].To != other || letters[0].Token == letters[1].Token {
		t.Fatalf("told: %+v", letters)
	}
	must(t, h.doors.NotMe(t.Context(), letters[0].Token, login.API, alice.client))
	h.clock.Advance(time.Minute)
	alice.provision()
	if got := h.mail.Sent()[seen:]; len(got) != 1 || got[0].To != other {
		t.Errorf("a later notice: %+v", got)
	}
	// What nobody confirmed is told nothing, neither before nor after.
	bob := h.someone("bob")
	own, third := "bob@example.org", "bob@example.net"
	h.clock.Advance(time.Minute)
	for _, c := range []account.Change{{Email: &own, Unconfirmed: true}, {Email: &third, Unconfirmed: true}} {
		h.heard(&seen)
		h.update(func(tx store.Tx) error {
			_, err := h.dir.Update(tx, account.Local(), bob.id, c)
			return err
		})
	}
	if got := h.mail.Sent()[seen:]; len(got) != 0 {
		t.Errorf("an unconfirmed address was told: %+v", got)
	}
}

// An import is told to nobody: nobody can have changed it, and nobody knows yet.
func TestImportsAreNotTold(t *testing.T) {
	h := newHouse(t, setting{})
	h.update(func(tx store.Tx) error {
		u, _, err := h.dir.Import(tx, account.Local(), account.Imported{Ref: principal.Ref{Name: "ivy", Realm: "users"}, Email: "ivy@example.com", Factor: true}, false)
		if err != nil {
			return err
		}
		if err := h.factors.Bring(tx, account.Local(), u.ID, factor.Brought{Seed: secret.NewBytes(otp.NewSeed(20)), Params: otp.Default()}); err != nil {
			return err
		}
		_, _, err = h.dir.Import(tx, account.Local(), account.Imported{Ref: u.Ref(), Email: "ivy@example.org"}, true)
		return err
	})
	if got := h.mail.Sent(); len(got) != 0 {
		t.Errorf("told: %+v", got)
	}
}

// A change that is rolled back is told to nobody, and one that cannot be told is not
// made.
func TestNoticeAndChangeAreOne(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.someone("alice")
	undone := errors.New("undone")
	err := h.sealed.Update(t.Context(), func(tx store.Tx) error {
		if _, err := h.factors.Enroll(tx, account.Local(), alice.id, factor.EnrollOptions{Confirmed: true}); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) || len(h.mail.Sent()) != 0 {
		t.Errorf("%v; told %+v", err, h.mail.Sent())
	}
	stop := h.audit.Within(func(store.Tx, audit.Event) error { return undone })
	defer stop()
	err = h.sealed.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.factors.Enroll(tx, account.Local(), alice.id, factor.EnrollOptions{Confirmed: true})
		return err
	})
	if !errors.Is(err, undone) {
		t.Errorf("a change whose notice failed: %v", err)
	}
	if next := alice.first(); next.Status != login.Enroll {
		t.Error("the factor is there")
	}
}

// "This was not me": everything that is open ends, the password stays, and the link is
// spent. Opening it ends nothing.
func TestNotMe(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	thief := *alice
	thief.client = from("203.0.113.66")
	theirs := thief.login()
	link := h.mail.Last("signed_in").Token
	h.next()
	half := alice.first()
	reset := alice.forgot()
	for range 3 { // a mail scanner
		must(t, second(h.doors.TradeNotMe(t.Context(), link)))
	}
	h.mustLive(theirs)
	cookie, err := h.doors.TradeNotMe(t.Context(), link)
	must(t, err)
	state, err := h.doors.Peek(t.Context(), cookie.Reveal(), login.Portal)
	must(t, err)
	if state.Status != login.Objecting || state.Name != "alice" || state.Realm != "users" {
		t.Errorf("the page: %+v", state)
	}
	must(t, h.doors.NotMe(t.Context(), cookie.Reveal(), login.Portal, alice.client))
	h.mustBeDead(theirs, "not me")
	h.wantDenied(second(h.doors.Code(t.Context(), alice.second(half, alice.code()))), "a half login")
	h.wantDenied(second(h.doors.TradeReset(t.Context(), reset)), "a reset link")
	h.wantDenied(h.doors.NotMe(t.Context(), cookie.Reveal(), login.Portal, alice.client), "the cookie again")
	h.wantDenied(second(h.doors.TradeNotMe(t.Context(), link)), "the link again")
	h.wantDenied(h.doors.NotMe(t.Context(), link, login.API, alice.client), "the link again at the API")
	if h.count(audit.KindNotMe, audit.OK, "") != 1 {
		t.Error("no event")
	}
	// The thief, who has all of it, comes again from the same place: that is told again.
	n := h.mail.Count("signed_in")
	h.next()
	thief.login()
	if h.mail.Count("signed_in") != n+1 {
		t.Error("a sign-in from the thief's place is not told any more")
	}
	// And the other links of before are good still, one for each notice, until they are old.
	must(t, h.doors.NotMe(t.Context(), h.mail.Last("enrolled_by_admin").Token, login.API, alice.client))
	link = h.mail.Last("signed_in").Token
	h.clock.Advance(login.NotMeLife)
	h.wantDenied(h.doors.NotMe(t.Context(), link, login.API, alice.client), "a link of three days ago")
}

// Attack: the thief disables nothing, but changes the password at once; the owner's
// link works all the same, however often, and for who is disabled.
func TestNotMeOutlivesWhatTheThiefDoes(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	alice.login()
	link := h.mail.Last("signed_in").Token
	digest, err := h.hasher.Hash(t.Context(), newWords)
	must(t, err)
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetPassword(tx, account.Local(), alice.id, digest)
		return err
	})
	alice.password = newWords
	h.next()
	theirs := alice.login()
	must(t, h.doors.NotMe(t.Context(), link, login.API, from("192.0.2.50")))
	h.mustBeDead(theirs, "not me")
}

// Attack: somebody causes notices without end, to fill the store with their links.
func TestLinksOfNoticesAreBounded(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.someone("alice")
	alice.provision()
	oldest := h.mail.Last("enrolled_by_admin").Token
	for range login.NotMeLimit - 1 {
		alice.provision()
	}
	must(t, second(h.doors.TradeNotMe(t.Context(), oldest)))
	alice.provision()
	h.wantDenied(second(h.doors.TradeNotMe(t.Context(), oldest)), "the oldest of too many")
	n := 0
	h.update(func(tx store.Tx) error {
		n = 0
		for _, err := range tx.Scan(store.KPrefix(store.PrefixLogin, "not-me"), nil) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if n != login.NotMeLimit {
		t.Errorf("%d links, want %d", n, login.NotMeLimit)
	}
	if h.mail.Count(mailtest.Reset) != 0 {
		t.Error("a reset")
	}
}
