package login_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// register asks for an account and returns the link.
func (h *house) register(address string) string {
	h.Helper()
	must(h, h.doors.Register(h.Context(), "", address, from("192.0.2.77")))
	return h.mail.Last(mailtest.Registration).Token
}

func (h *house) join(link, name string) error {
	_, _, err := h.doors.RegisterFinish(h.Context(), login.RegisterAttempt{
		Door: login.API, Token: link, Name: name, Password: newWords, Client: from("192.0.2.77"),
	})
	return err
}

// Somebody makes an account: the link, a name, a password, then a factor, as the realm
// demands. The address is confirmed, and the link works once.
func TestRegistration(t *testing.T) {
	h := newHouse(t, setting{realms: open("example.com", "xn--bcher-kva.example")})
	link := h.register("New@Example.com")
	cookie, err := h.doors.TradeRegister(t.Context(), link)
	must(t, err)
	state, err := h.doors.Peek(t.Context(), cookie.Reveal(), login.Portal)
	must(t, err)
	if state.Status != login.Registering || state.Address != "new@example.com" || state.Realm != "users" || state.Name != "" {
		t.Errorf("the page: %+v", state)
	}
	who, next, err := h.doors.RegisterFinish(t.Context(), login.RegisterAttempt{
		Door: login.Portal, Token: cookie.Reveal(), Name: "Newton", FullName: "New Ton", Password: newWords, Client: from("192.0.2.77"),
	})
	must(t, err)
	if who.Name != "newton" || who.Realm != "users" || who.Email != "new@example.com" || next.Status != login.Enroll {
		t.Errorf("made %+v, and goes on with %+v", who, next)
	}
	h.wantDenied(h.join(link, "second"), "the link again")
	h.wantDenied(second(h.doors.TradeRegister(t.Context(), link)), "the link again")
	h.wantDenied(second(h.doors.Peek(t.Context(), cookie.Reveal(), login.Portal)), "the cookie again")
	if h.count(audit.KindUserCreate, audit.OK, "") != 1 || h.count(audit.KindRegister, audit.OK, "accepted") != 1 {
		t.Error("no event says that somebody registered")
	}
	h.register("x@bücher.example")
}

// Attack (E2): somebody registers with other people's addresses, and measures who has
// an account. One answer, one Update, as many records; the owner alone is told, by mail.
func TestE2RegistrationTellsNobodyWhoIsHere(t *testing.T) {
	floor := 20 * time.Millisecond
	h := newHouse(t, setting{realms: open(), floor: func() time.Duration { return floor }})
	h.someone("alice")
	off := h.someone("off")
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetDisabled(tx, account.Local(), off.id, true)
		return err
	})
	want := int64(0)
	for n, address := range []string{"alice@example.com", "new@example.com", "off@example.com", "new@example.com"} {
		updates, puts, begin := h.store.updates.Load(), h.store.puts.Load(), time.Now()
		must(t, h.doors.Register(t.Context(), "users", address, from(fmt.Sprint("198.51.100.", n))))
		if time.Since(begin) < floor {
			t.Errorf("%s: answered early", address)
		}
		if puts = h.store.puts.Load() - puts; want == 0 {
			want = puts
		}
		if h.store.updates.Load()-updates != 1 || puts != want {
			t.Errorf("%s: %d Updates, %d records; want 1 and %d", address, h.store.updates.Load()-updates, puts, want)
		}
	}
	if h.mail.Count(mailtest.AccountExists) != 2 || h.mail.Count(mailtest.Registration) != 2 {
		t.Errorf("letters: %+v", h.mail.Sent())
	}
	for n := range 8 {
		puts := h.store.puts.Load()
		for _, address := range []string{"alice@example.com", "new@example.com"} {
			must(t, h.doors.Register(t.Context(), "users", address, from(fmt.Sprint("203.0.113.", n))))
		}
		if puts = h.store.puts.Load() - puts; puts != 2*want {
			t.Errorf("round %d: %d records, want %d", n, puts, 2*want)
		}
	}
	if exists, sent := h.mail.Count(mailtest.AccountExists), h.mail.Count(mailtest.Registration); exists != 5+1 || sent != 5 {
		t.Errorf("%d and %d letters after many requests, want five to each address", exists, sent)
	}
}

// Attack: a network registers addresses of everybody. Twenty letters leave.
func TestRegistrationsPerNetwork(t *testing.T) {
	h := newHouse(t, setting{realms: open()})
	for n := range 20 {
		must(t, h.doors.Register(t.Context(), "users", fmt.Sprintf("n%d@example.com", n), from("203.0.113.9")))
	}
	err := h.doors.Register(t.Context(), "users", "n99@example.com", from("203.0.113.9"))
	if wait, ok := errors.AsType[*throttle.Throttled](err); !ok || wait.Cause != throttle.CauseNetwork {
		t.Errorf("the twenty-first: %v", err)
	}
}

// Attack: somebody registers where nobody may, with an address of another company or of
// a subdomain, or in a realm whose members have capabilities.
func TestRegistrationIsClosed(t *testing.T) {
	h := newHouse(t, setting{realms: open("example.com")})
	for _, realm := range []string{"staff", "admin", "auth", "nowhere", "@", "\x00"} {
		if err := h.doors.Register(t.Context(), realm, "x@example.com", from("192.0.2.1")); !errors.Is(err, account.ErrRegistrationClosed) {
			t.Errorf("in %q: %v", realm, err)
		}
	}
	for _, address := range []string{"x@example.org", "x@sub.example.com", "x@example.com.evil.example", "x@xexample.com"} {
		if err := h.doors.Register(t.Context(), "users", address, from("192.0.2.1")); !errors.Is(err, account.ErrDomain) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"", "x", "x@evil@example.com", "x@example.com\r\nBcc: y@example.com", "<x@example.com>", "x@example.com,y@example.com"} {
		if err := h.doors.Register(t.Context(), "users", address, from("192.0.2.1")); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if len(h.mail.Sent()) != 0 {
		t.Errorf("sent: %+v", h.mail.Sent())
	}
	// Capabilities and registration exclude each other, in whatever order they come.
	h.update(func(tx store.Tx) error {
		grants := []account.Grant{{Capability: account.List}}
		for name, err := range map[string]error{
			"capabilities after registration": second(h.dir.SetRealm(tx, account.Local(), "users", account.Settings{}, &grants, 0)),
			"both at once":                    second(h.dir.SetRealm(tx, account.Local(), "both", account.Settings{Registration: &account.Registration{}}, &grants, 0)),
			"admin":                           second(h.dir.SetRealm(tx, account.Local(), "admin", account.Settings{Registration: &account.Registration{}}, nil, 0)),
			"auth":                            second(h.dir.SetRealm(tx, account.Local(), "auth", account.Settings{Registration: &account.Registration{}}, nil, 0)),
			"nobody could sign in":            second(h.dir.SetRealm(tx, account.Local(), "shut", account.Settings{Enrollment: account.EnrollInvitation, Registration: &account.Registration{}}, nil, 0)),
			"no domain":                       second(h.dir.SetRealm(tx, account.Local(), "odd", account.Settings{Registration: &account.Registration{Domains: []string{"*.example.com"}}}, nil, 0)),
			"another spelling":                second(h.dir.SetRealm(tx, account.Local(), "odd", account.Settings{Registration: &account.Registration{Domains: []string{"Example.com"}}}, nil, 0)),
		} {
			if !errors.Is(err, account.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
}

// The configuration opens a realm that has capabilities in the store: it stays closed,
// and links of before open nothing.
func TestCapabilitiesCloseRegistration(t *testing.T) {
	h := newHouse(t, setting{realms: open()})
	link := h.register("new@example.com")
	h.update(func(tx store.Tx) error { // as another configuration would have let it be set
		dir := account.New(account.Options{Audit: h.audit})
		_, err := dir.SetRealm(tx, account.Local(), "users", account.Settings{}, &[]account.Grant{{Capability: account.List}}, 0)
		return err
	})
	if err := h.doors.Register(t.Context(), "users", "x@example.com", from("192.0.2.1")); !errors.Is(err, account.ErrRegistrationClosed) {
		t.Errorf("another registration: %v", err)
	}
	if err := h.join(link, "newton"); !errors.Is(err, account.ErrRegistrationClosed) {
		t.Errorf("a link of before: %v", err)
	}
}

// A taken name is told to the link's owner, and the link lives on.
// Attack: the owner of one link asks for all names there are.
func TestTakenNamesAreToldToTheOwnerOfTheLinkOnly(t *testing.T) {
	h := newHouse(t, setting{realms: open()})
	h.someone("alice")
	link := h.register("new@example.com")
	for n := range login.RegisterPosts - 1 {
		if err := h.join(link, []string{"alice", "ALICE"}[n%2]); !errors.Is(err, account.ErrExists) {
			t.Fatalf("try %d: %v", n+1, err)
		}
	}
	must(t, h.join(link, "newton"))
	h.next()
	link = h.register("other@example.com")
	for range login.RegisterPosts {
		if err := h.join(link, "a,b"); !errors.Is(err, account.ErrInvalid) {
			t.Fatalf("a name that is none: %v", err)
		}
	}
	h.wantDenied(h.join(link, "free"), "a link after too many names")
}

// The link dies of the next one, of age, and of an account that has the address by then.
func TestRegistrationLinkDies(t *testing.T) {
	h := newHouse(t, setting{realms: open()})
	older := h.register("new@example.com")
	newer := h.register("new@example.com")
	h.wantDenied(h.join(older, "older"), "the older link")
	h.update(func(tx store.Tx) error {
		_, err := h.dir.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: "quick", Realm: "users"}, Email: "new@example.com"})
		return err
	})
	if err := h.join(newer, "newton"); !errors.Is(err, account.ErrAddressTaken) {
		t.Errorf("an address that is taken by now: %v", err)
	}
	last := h.register("last@example.com")
	h.clock.Advance(login.RegisterLife)
	h.wantDenied(h.join(last, "last"), "a link of yesterday")
}

// Attack: the link is posted many times at once with different names: one mailbox, many
// accounts. One is made.
func TestParallelRegistrationMakesOneAccount(t *testing.T) {
	h := newHouse(t, setting{realms: open()})
	link := h.register("new@example.com")
	good := 0
	for _, err := range parallel(10, func(i int) error { return h.join(link, fmt.Sprint("new", i)) }) {
		switch {
		case err == nil:
			good++
		case !errors.Is(err, login.ErrDenied) && !errors.Is(err, account.ErrAddressTaken):
			t.Errorf("%v", err)
		}
	}
	if good != 1 {
		t.Errorf("%d accounts", good)
	}
}

// Attack: whoever opens a link twenty times pushes others' cookies out, of other links
// and of the setup.
func TestRegistrationCookiesPushNobodyOut(t *testing.T) {
	h := newHouse(t, setting{realms: open()})
	_, setup := h.setupLink()
	mine := h.register("new@example.com")
	cookie, err := h.doors.TradeRegister(t.Context(), mine)
	must(t, err)
	other := h.register("other@example.com")
	for range 2 * login.EphemeralLimit {
		must(t, second(h.doors.TradeRegister(t.Context(), other)))
	}
	must(t, second(h.doors.Peek(t.Context(), cookie.Reveal(), login.Portal)))
	must(t, second(h.doors.Peek(t.Context(), setup, login.Portal)))
}

// An invitation by mail goes to the address in the record, and to no other mailbox that
// is the person's by the time it is opened.
func TestInvitationByMail(t *testing.T) {
	h := newHouse(t, setting{})
	bob, alice := h.someone("bob"), h.someone("alice")
	var to string
	send := func(p *person) (err error) {
		h.update(func(tx store.Tx) error {
			to, err = h.doors.InviteByMail(tx, account.Local(), p.id)
			if err != nil {
				to = ""
			}
			return nil
		})
		return err
	}
	must(t, send(bob))
	if letter := h.mail.Last(mailtest.Invitation); to != "bob@example.com" || letter.To != to || letter.Name != "bob@users" {
		t.Errorf("sent to %q: %+v", to, letter)
	}
	first := h.mail.Last(mailtest.Invitation).Token
	_, err := h.accept(first, newWords)
	must(t, err)
	must(t, send(alice))
	link := h.mail.Last(mailtest.Invitation).Token
	cookie, err := h.doors.TradeInvite(t.Context(), link)
	must(t, err)
	other, none := "other@example.com", ""
	h.update(func(tx store.Tx) error {
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{Email: &other})
		return err
	})
	h.wantDenied(second(h.doors.TradeInvite(t.Context(), link)), "the link in the old mailbox")
	h.wantDenied(second(h.doors.InviteFinish(t.Context(), cookie.Reveal(), newWords, alice.client, login.Portal)), "its cookie")
	h.update(func(tx store.Tx) error {
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{Email: &other, Unconfirmed: true})
		return err
	})
	if err := send(alice); !errors.Is(err, login.ErrNoAddress) {
		t.Errorf("to an address that nobody confirmed: %v", err)
	}
	h.update(func(tx store.Tx) error {
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{Email: &none})
		return err
	})
	if err := send(alice); !errors.Is(err, login.ErrNoAddress) {
		t.Errorf("to nowhere: %v", err)
	}
	link = h.invite(alice) // by hand it needs none
	h.update(func(tx store.Tx) error {
		_, err := h.dir.Update(tx, account.Local(), alice.id, account.Change{Email: &other})
		return err
	})
	must(t, second(h.accept(link, newWords)))
}
