package session_test

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// A cookie leads to the person who logged in, with the proof of that login, from
// the store as from the index.
func TestCookieLeadsToItsOwner(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	a, b := w.open(alice), w.open(bob)
	for range 2 { // from the store, from the index
		for cookie, want := range map[string]*account.User{a.Cookie.Reveal(): alice, b.Cookie.Reveal(): bob} {
			l := w.passes(cookie)
			identity := want.Identity()
			if l.Identity.ID != want.ID || l.Identity.Name != want.Name || l.Identity.Email != identity.Email {
				t.Fatalf("the cookie of %s opened a session of %s", want.Name, l.Identity.Name)
			}
			if !l.Portal || l.Proof.AMR.Factors() != 2 || !l.Proof.FactorAt.Equal(start) || !l.Until.Equal(start.Add(session.DefaultAbsolute)) {
				t.Fatalf("got %+v", l)
			}
			if !reflect.DeepEqual(l.Proof.AMR.Strings(), []string{"pwd", "otp"}) {
				t.Fatalf("amr %v", l.Proof.AMR.Strings())
			}
		}
	}
	if a.ID == b.ID || w.Known() != 2 || w.People() != 2 {
		t.Fatalf("ids %s and %s, %d tokens of %d people", a.ID, b.ID, w.Known(), w.People())
	}
}

// Attack: somebody keeps a cookie and shows it after its session should have
// ended. Before: logout cleared the browser's cookie only (CVE-2024-21492). Each
// case is refused as soon as the Update that ended it has returned, by this
// process's index, and by one that starts anew.
func TestS1CookieIsDeadAtOnce(t *testing.T) {
	cases := map[string]func(w *world, tx store.Tx, u *account.User, id string) error{
		"logout": func(w *world, tx store.Tx, u *account.User, id string) error { return w.Revoke(tx, id) },
		"password change": func(w *world, tx store.Tx, u *account.User, _ string) error {
			_, err := w.dir.SetPassword(tx, account.Local(), u.ID, phc)
			return err
		},
		"disable": func(w *world, tx store.Tx, u *account.User, _ string) error {
			_, err := w.dir.SetDisabled(tx, account.Local(), u.ID, true)
			return err
		},
		"delete": func(w *world, tx store.Tx, u *account.User, _ string) error {
			return w.dir.Delete(tx, account.Local(), u.ID)
		},
		"factor reset": func(w *world, tx store.Tx, u *account.User, _ string) error {
			_, err := w.dir.SetMethods(tx, account.Local(), u.ID, nil, true)
			return err
		},
		"sign out everywhere": func(w *world, tx store.Tx, u *account.User, _ string) error {
			n, err := w.RevokeAll(tx, u.ID, "")
			if n != 2 {
				w.Errorf("%d sessions ended, want 2", n)
			}
			return err
		},
	}
	for what, end := range cases {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			u, other := w.user("alice"), w.user("bob")
			mine, theirs := w.open(u, domain, refresh), w.open(other)
			if what == "sign out everywhere" {
				w.open(u)
			}
			cookies := []string{mine.Cookie.Reveal(), mine.DomainCookie.Reveal()}
			for _, cookie := range cookies {
				w.passes(cookie)
			}
			token := w.access(w.passes(cookies[0]))
			w.passes(theirs.Cookie.Reveal())

			// The first thing that anybody can run after the commit, before Update
			// returns, must find the door closed already.
			w.update(func(tx store.Tx) error {
				tx.After(func() {
					for _, cookie := range cookies {
						w.refused(cookie)
					}
				})
				return end(w, tx, u, mine.ID)
			})
			for range 2 {
				for _, cookie := range cookies {
					w.refused(cookie)
				}
				w.tokenRefused(token)
				if _, err := w.Refresh(t.Context(), mine.Refresh.Reveal(), session.Origin{}); !errors.Is(err, session.ErrNone) {
					t.Fatalf("refresh: %v", err)
				}
				w.passes(theirs.Cookie.Reveal())
				w.restart()
			}
		})
	}
}

// Enabling somebody again does not bring back what disabling ended.
func TestS1EnablingDoesNotRevive(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	o := w.open(u)
	w.passes(o.Cookie.Reveal())
	for _, disabled := range []bool{true, false} {
		w.update(func(tx store.Tx) error {
			_, err := w.dir.SetDisabled(tx, account.Local(), u.ID, disabled)
			return err
		})
	}
	w.refused(o.Cookie.Reveal())
}

// The session that made a change goes on at the new epoch, all others end, and
// what an access token was given before the change is dead even for the survivor.
func TestRaisedSessionGoesOn(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	mine, old := w.open(u, domain), w.open(u)
	token := w.access(w.passes(mine.Cookie.Reveal()))
	w.passes(mine.DomainCookie.Reveal())
	w.passes(old.Cookie.Reveal())
	w.update(func(tx store.Tx) error {
		u, err := w.dir.SetPassword(tx, account.Local(), u.ID, phc)
		if err != nil {
			return err
		}
		return w.Raise(tx, mine.ID, u.Epoch)
	})
	for range 2 {
		w.passes(mine.Cookie.Reveal())
		w.passes(mine.DomainCookie.Reveal())
		w.refused(old.Cookie.Reveal())
		w.tokenRefused(token)
		if _, err := w.VerifyAccess(t.Context(), w.access(w.passes(mine.Cookie.Reveal()))); err != nil {
			t.Fatal(err)
		}
		w.restart()
	}
}

// Attack: session fixation. A cookie that somebody planted is worth nothing after
// the login (CVE-2026-34454): each login makes new tokens, and the session that it
// takes the place of ends in the same transaction.
func TestS3EachLoginHasNewTokens(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	before := w.open(u, domain)
	w.passes(before.Cookie.Reveal())
	after := w.open(u, domain, func(o *session.Opening) { o.Replaces = before.ID })
	if after.ID == before.ID || after.Cookie.Reveal() == before.Cookie.Reveal() || after.DomainCookie.Reveal() == before.DomainCookie.Reveal() {
		t.Fatal("a login kept an older token")
	}
	w.refused(before.Cookie.Reveal())
	w.refused(before.DomainCookie.Reveal())
	w.passes(after.Cookie.Reveal())
	w.open(u, func(o *session.Opening) { o.Replaces = "no session has this id" })
}

// Attack: a stolen domain cookie, which every host below the domain sees, is shown
// to the account pages. It opens the guard alone, and no access token comes of it.
func TestDomainTokenIsForTheGuardAlone(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"), domain)
	for range 2 {
		l := w.passes(o.DomainCookie.Reveal())
		if l.Portal || l.ID != o.ID {
			t.Fatalf("got %+v", l)
		}
		if _, _, err := w.Access(t.Context(), l); !errors.Is(err, session.ErrNone) {
			t.Fatalf("an access token for a domain cookie: %v", err)
		}
		if !w.passes(o.Cookie.Reveal()).Portal {
			t.Fatal("the portal's cookie does not open the portal")
		}
	}
}

// Attack: cookies of our form, altered in any one bit or place (CVE-2026-27840:
// truncated tokens were good).
func TestS5AlteredCookies(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"), domain, refresh)
	for _, good := range []string{o.Cookie.Reveal(), o.DomainCookie.Reveal()} {
		w.passes(good) // in the index: its answer alone must refuse
		for i := range len(good) {
			for bit := range 8 {
				b := []byte(good)
				b[i] ^= 1 << bit
				w.refused(string(b))
			}
			w.refused(good[:i])
		}
		w.refused(good + "A")
		w.refused(good + "=")
		w.refused(" " + good)
		w.refused(strings.ToUpper(good))
	}
	for _, bad := range []string{"", "sps_", o.ID, o.Refresh.Reveal(), "spe_" + o.Cookie.Reveal()[4:], strings.Repeat("A", 58), "sps_" + strings.Repeat("\x00", 54), strings.Repeat("x", 1<<20)} {
		w.refused(bad)
	}
	w.passes(o.Cookie.Reveal())
}

// Attack: a flood of cookies that look like ours. They never reach the store.
func TestRandomCookiesNeverReachTheStore(t *testing.T) {
	var counted *countingStore
	w := newWorldOver(t, func(s store.Store) store.Store { counted = &countingStore{Store: s}; return counted })
	good := w.open(w.user("alice")).Cookie.Reveal()
	before := counted.views.Load()
	for i := range 40 { // all but the prefix and the MAC's last characters
		b := []byte(good)
		b[4+i] = 'A' + (b[4+i]+1)%26
		w.refused(string(b))
	}
	if n := counted.views.Load() - before; n != 0 {
		t.Fatalf("%d reads of the store", n)
	}
	w.passes(good)
	w.passes(good)
	if n := counted.views.Load() - before; n != 1 {
		t.Fatalf("%d reads of the store for a session, want 1", n)
	}
}

func TestLimits(t *testing.T) {
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		realm          string
		remember       bool
		lifetimes      account.Lifetimes
		idle, absolute time.Duration
	}{
		"defaults":                  {"users", false, account.Lifetimes{}, 8 * time.Hour, 7 * day},
		"remember me":               {"users", true, account.Lifetimes{}, 30 * day, 30 * day},
		"administrators":            {"admin", false, account.Lifetimes{}, 30 * time.Minute, 8 * time.Hour},
		"administrators, remember":  {"admin", true, account.Lifetimes{Idle: time.Hour, Absolute: 2 * time.Hour, Remember: 30 * day}, time.Hour, 2 * time.Hour},
		"of the realm":              {"users", false, account.Lifetimes{Idle: time.Hour, Absolute: 3 * time.Hour}, time.Hour, 3 * time.Hour},
		"remember is not offered":   {"users", true, account.Lifetimes{Idle: time.Hour, Absolute: 3 * time.Hour}, time.Hour, 3 * time.Hour},
		"idle over absolute":        {"users", false, account.Lifetimes{Idle: 9 * time.Hour, Absolute: 3 * time.Hour}, 3 * time.Hour, 3 * time.Hour},
		"fractions are rounded up":  {"users", false, account.Lifetimes{Idle: 1500 * time.Millisecond, Absolute: 2 * time.Second}, 2 * time.Second, 2 * time.Second},
		"only one of two is stated": {"users", false, account.Lifetimes{Idle: time.Hour}, time.Hour, 7 * day},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u := w.userIn("alice", c.realm)
			opening := func(o *session.Opening) { o.Remember, o.Lifetimes = c.remember, c.lifetimes }
			idle, used := w.open(u, opening).Cookie.Reveal(), w.open(u, opening).Cookie.Reveal()
			w.passes(idle)
			w.clock.Advance(c.idle - time.Second)
			w.passes(used)
			w.clock.Advance(time.Second)
			w.refused(idle)
			for step := c.idle / 4; w.clock.Now().Add(step).Before(start.Add(c.absolute)); {
				w.clock.Advance(step)
				w.passes(used)
			}
			if c.idle < c.absolute {
				w.clock.Set(start.Add(c.absolute - time.Second))
				w.passes(used)
			}
			w.clock.Set(start.Add(c.absolute))
			w.refused(used)
		})
	}
}

// A slide is written behind, and once written it survives a restart; each session
// causes at most one write a minute, however often it is used.
func TestIdleLimitSlidesBehind(t *testing.T) {
	var counted *countingStore
	w := newWorldOver(t, func(s store.Store) store.Store { counted = &countingStore{Store: s}; return counted })
	o := w.open(w.user("alice"), domain, lifetimes(account.Lifetimes{Idle: 30 * time.Minute, Absolute: 24 * time.Hour}))
	w.passes(o.Cookie.Reveal())
	before := counted.updates.Load()
	for range 60 * 60 { // an hour, a request each second
		w.clock.Advance(time.Second)
		w.passes(o.DomainCookie.Reveal())
		w.Beat()
	}
	if n := counted.updates.Load() - before; n < 50 || n > 60 {
		t.Fatalf("%d writes in an hour", n)
	}
	w.Evict()
	w.passes(o.Cookie.Reveal()) // the other token lives with it
	w.clock.Advance(29 * time.Minute)
	w.passes(o.Cookie.Reveal()) // not yet written: Close does
	w.restart()
	w.clock.Advance(28 * time.Minute)
	w.passes(o.DomainCookie.Reveal())
	w.clock.Advance(31 * time.Minute)
	w.refused(o.DomainCookie.Reveal())
}

// A slide that waits to be written counts already: for the session's other token,
// and when the index has forgotten the session.
func TestSlideCountsBeforeItIsWritten(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.userIn("root", "admin"), domain, refresh)
	w.passes(o.Cookie.Reveal())
	w.passes(o.DomainCookie.Reveal())
	w.clock.Advance(20 * time.Minute)
	w.passes(o.DomainCookie.Reveal())
	w.clock.Advance(20 * time.Minute)
	w.passes(o.Cookie.Reveal())
	w.clock.Advance(20 * time.Minute)
	w.Evict()
	w.passes(o.DomainCookie.Reveal())
	w.clock.Advance(20 * time.Minute)
	w.refreshed(o.Refresh.Reveal())
	w.clock.Advance(20 * time.Minute)
	w.passes(o.Cookie.Reveal())
	w.clock.Advance(20 * time.Minute)
	w.update(func(tx store.Tx) error { return w.Revoke(tx, o.ID) })
	w.refused(o.Cookie.Reveal())
	w.refused(o.DomainCookie.Reveal())
}

// One record is damaged. Before, the batch that it stood in was never written, and
// everybody was signed out at the end of an idle limit that he had moved.
func TestDamagedRecordStopsNoOtherSlide(t *testing.T) {
	w := newWorld(t)
	damaged, good, ended := w.open(w.userIn("mallory", "admin")), w.open(w.userIn("root", "admin")), w.open(w.userIn("eve", "admin"))
	for _, o := range []*session.Opened{damaged, good, ended} {
		w.passes(o.Cookie.Reveal())
	}
	w.clock.Advance(20 * time.Minute)
	w.passes(damaged.Cookie.Reveal())
	w.passes(good.Cookie.Reveal())
	w.update(func(tx store.Tx) error {
		return tx.Put(session.SessionKey(damaged.ID), []byte("no record"), damaged.Expires)
	})
	w.clock.Advance(15 * time.Minute)
	w.passes(good.Cookie.Reveal())
	w.refused(ended.Cookie.Reveal()) // dead, to be reaped with the others
	w.Beat()
	if n := w.Waiting(); n != 0 {
		t.Errorf("%d sessions wait to be written", n)
	}
	w.restart()
	w.clock.Advance(20 * time.Minute)
	w.passes(good.Cookie.Reveal())
	if l, err := w.live(damaged.Cookie.Reveal()); err == nil || errors.Is(err, session.ErrNone) || l.Identity != nil {
		t.Errorf("a damaged record is a failure: %+v, %v", l, err)
	}
	w.update(func(tx store.Tx) error {
		if _, err := tx.Get(session.SessionKey(ended.ID)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the dead session is still there: %v", err)
		}
		return nil
	})
}

// Attack: the clock is set back (a bad time server) to bring back a session that
// has ended.
func TestClockGoingBackRevivesNothing(t *testing.T) {
	w := newWorld(t)
	u := w.userIn("root", "admin")
	expired, revoked, unseen := w.open(u).Cookie.Reveal(), w.open(u), w.open(u).Cookie.Reveal()
	w.passes(expired)
	w.passes(revoked.Cookie.Reveal())
	w.update(func(tx store.Tx) error { return w.Revoke(tx, revoked.ID) })
	w.clock.Advance(session.DefaultAdminIdle)
	w.refused(expired)
	w.clock.Advance(-10 * time.Minute)
	for range 2 {
		w.refused(expired)
		w.refused(revoked.Cookie.Reveal())
		w.refused(unseen) // expired for this process, though nobody asked
		w.Evict()
	}
	w.restart() // what was seen to end, ended in the store
	w.refused(expired)
	w.refused(revoked.Cookie.Reveal())
}

func TestRestartKeepsSessions(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	stays, ends := w.open(u, domain, refresh), w.open(u)
	token := w.access(stays.Live)
	w.update(func(tx store.Tx) error { return w.Revoke(tx, ends.ID) })
	w.restart()
	w.passes(stays.Cookie.Reveal())
	w.passes(stays.DomainCookie.Reveal())
	w.refused(ends.Cookie.Reveal())
	if _, err := w.VerifyAccess(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

// The index does not grow with what has ended.
func TestIndexForgetsWhatHasEnded(t *testing.T) {
	w := newWorld(t)
	for _, name := range names(20) {
		u := w.user(name)
		w.passes(w.open(u).Cookie.Reveal())
		o := w.open(u, domain)
		w.passes(o.Cookie.Reveal())
		w.passes(o.DomainCookie.Reveal())
		w.update(func(tx store.Tx) error { return w.Revoke(tx, o.ID) })
	}
	if w.Known() != 20 || w.People() != 20 {
		t.Fatalf("%d tokens of %d people", w.Known(), w.People())
	}
	w.clock.Advance(session.DefaultIdle)
	w.Beat()
	if w.Known() != 0 || w.People() != 0 || w.Waiting() != 0 {
		t.Fatalf("%d tokens of %d people, %d waiting", w.Known(), w.People(), w.Waiting())
	}
	w.must(w.store.View(t.Context(), func(tx store.Tx) error {
		for item, err := range tx.Scan([]byte("s/i"), nil) {
			t.Errorf("still stored: %q %v", item.Key, err)
		}
		return nil
	}))
}

func TestListGetPage(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	first := w.open(alice, func(o *session.Opening) {
		o.Origin = session.Origin{Client: netip.MustParseAddr("192.0.2.7"), UserAgent: "curl\r\n/8" + strings.Repeat("x", 1000)}
	})
	w.clock.Advance(time.Minute)
	second := w.open(alice, refresh)
	theirs := w.open(bob)
	w.must(w.store.View(t.Context(), func(tx store.Tx) error {
		list, err := w.List(tx, alice.ID)
		if err != nil || len(list) != 2 || list[0].ID != second.ID || list[1].ID != first.ID {
			t.Fatalf("list: %+v, %v", list, err)
		}
		if o := list[1].Origin; o.Client.String() != "192.0.2.7" || len(o.UserAgent) > 256 || strings.ContainsAny(o.UserAgent, "\r\n") {
			t.Errorf("origin %+v", o)
		}
		if s := list[1]; s.Principal != alice.ID || !s.Created.Equal(start) || !s.LastSeen.Equal(start) || s.Kind != session.Browser || list[0].Kind != session.API {
			t.Errorf("session %+v", s)
		}
		if _, err := w.Get(tx, theirs.ID); err != nil {
			t.Error(err)
		}
		for _, id := range []string{"", "x", strings.ToUpper(first.ID), first.ID + "00", strings.Repeat("0", 32)} {
			if _, err := w.Get(tx, id); !errors.Is(err, session.ErrNone) {
				t.Errorf("get %q: %v", id, err)
			}
		}
		seen, cursor := map[string]bool{}, ""
		for {
			page, next, err := w.Page(tx, cursor, 2)
			if err != nil {
				return err
			}
			for _, s := range page {
				seen[s.ID] = true
			}
			if cursor = next; next == "" {
				break
			}
		}
		if len(seen) != 3 {
			t.Errorf("pages show %d sessions, want 3", len(seen))
		}
		return nil
	}))
	w.update(func(tx store.Tx) error {
		n, err := w.RevokeAll(tx, alice.ID, first.ID)
		if n != 1 {
			t.Errorf("%d ended, want 1", n)
		}
		return err
	})
	w.passes(first.Cookie.Reveal())
	w.refused(second.Cookie.Reveal())
	if err := w.store.Update(t.Context(), func(tx store.Tx) error { return w.Revoke(tx, second.ID) }); !errors.Is(err, session.ErrNone) {
		t.Errorf("revoke what has ended: %v", err)
	}
}

// A script that logs in for each call does not fill the store: the oldest ends,
// and what has expired goes first.
func TestOldestSessionMakesRoom(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	short := w.open(u, lifetimes(account.Lifetimes{Idle: time.Minute}))
	oldest := w.open(u)
	for range session.MaxPerPrincipal - 2 {
		w.open(u)
	}
	w.clock.Advance(time.Minute)
	w.open(u)
	w.passes(oldest.Cookie.Reveal())
	w.refused(short.Cookie.Reveal())
	w.open(u)
	w.refused(oldest.Cookie.Reveal())
	if n := w.caused(audit.KindSessionRevoke, "limit"); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	w.must(w.store.View(t.Context(), func(tx store.Tx) error {
		list, err := w.List(tx, u.ID)
		if len(list) != session.MaxPerPrincipal {
			t.Errorf("%d sessions", len(list))
		}
		return err
	}))
}

func TestOpenRefusesWhatIsNoLogin(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	disabled := *u
	disabled.Disabled = true
	for name, o := range map[string]session.Opening{
		"nobody":   {Proof: w.twoDoors(), Kind: session.Browser},
		"zero id":  {User: &account.User{}, Proof: w.twoDoors(), Kind: session.Browser},
		"disabled": {User: &disabled, Proof: w.twoDoors(), Kind: session.Browser},
		"no proof": {User: u, Kind: session.Browser},
		"no door":  {User: u, Proof: w.twoDoors()},
	} {
		err := w.store.Update(t.Context(), func(tx store.Tx) error { _, err := w.Open(tx, o); return err })
		if err == nil {
			t.Errorf("%s: a session was opened", name)
		}
	}
}

// A store that fails is not a refusal: the shells answer 503, not a login page.
func TestStoreFailureIsNotARefusal(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Live(ctx, o.Cookie.Reveal(), w.clock.Now()); err == nil || errors.Is(err, session.ErrNone) {
		t.Fatalf("got %v", err)
	}
	w.passes(o.Cookie.Reveal())
	if _, err := w.Live(ctx, o.Cookie.Reveal(), w.clock.Now()); err != nil {
		t.Fatalf("the index needs the store: %v", err)
	}
}

func TestFactors(t *testing.T) {
	for amr, want := range map[session.AMR][2]int{
		0: {0, 0}, session.PWD: {1, 1}, session.OTP: {1, 1}, session.PWD | session.OTP: {2, 2},
		session.PWD | session.Trusted: {2, 1}, session.OTP | session.Email: {1, 1}, session.PWD | session.Recovery: {2, 2},
	} {
		if amr.Factors() != want[0] || amr.RealFactors() != want[1] {
			t.Errorf("%v: %d factors, %d real; want %v", amr.Strings(), amr.Factors(), amr.RealFactors(), want)
		}
	}
	p := session.Proof{AMR: session.PWD | session.OTP, PasswordAt: start, FactorAt: start.Add(time.Minute)}
	for after, want := range map[time.Duration]bool{0: true, 16 * time.Minute: true, 17 * time.Minute: false, -10 * time.Minute: false} {
		if p.Fresh(start.Add(after), 15*time.Minute) != want {
			t.Errorf("fresh after %v: %v", after, !want)
		}
	}
	if (session.Proof{AMR: session.PWD | session.Trusted, PasswordAt: start}).Fresh(start, time.Hour) {
		t.Error("a trusted browser is fresh")
	}
}
