package login_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// post is a sender that keeps what was committed.
type post struct {
	names []factor.Name
	mu    sync.Mutex
	sent  []factor.Message
}

func (p *post) Sends(method factor.Name) bool { return slices.Contains(p.names, method) }

func (p *post) Send(tx store.Tx, m factor.Message) error {
	if m.User == nil || m.Code == "" || !m.Expires.After(tx.Now()) {
		return errors.New("not a whole message")
	}
	tx.After(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent = append(p.sent, m)
	})
	return nil
}

func (p *post) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

func (p *post) last(t testing.TB) factor.Message {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return p.sent[len(p.sent)-1]
}

// mailing is a house whose people may set up codes by mail and SMS too.
func mailing(t *testing.T) (*house, *post) {
	p := &post{names: []factor.Name{factor.Email, factor.SMS}}
	settings := account.Settings{Methods: []string{"totp", "email", "sms"}}
	return newHouse(t, setting{post: p, realms: map[string]account.Settings{"users": settings}}), p
}

// byMail gives the person codes by mail.
func (p *person) byMail(post *post) {
	p.h.Helper()
	p.h.update(func(tx store.Tx) error {
		_, err := p.h.factors.Enroll(tx, account.Self(p.id), p.id, factor.EnrollOptions{Method: factor.Email})
		return err
	})
	code := post.last(p.h).Code
	p.h.update(func(tx store.Tx) error {
		codes, err := p.h.factors.Confirm(tx, account.Self(p.id), p.id, factor.Email, factor.Proof{Code: code})
		p.codes = codes
		return err
	})
}

// A login whose primary method sends has sent its first code with the right password:
// not with a wrong one, or strangers write to people at will.
func TestAPrimaryMethodSendsAtTheFirstDoor(t *testing.T) {
	h, p := mailing(t)
	alice := h.someone("alice")
	alice.byMail(p)
	before := p.count()
	a := alice.attempt()
	a.Password = wrongWords
	_, err := h.doors.Password(t.Context(), a)
	h.wantDenied(err, "a wrong password")
	if p.count() != before {
		t.Fatal("a wrong password sends a code")
	}
	next := alice.first()
	if next.Method != factor.Email || next.Sent != "a•••@example.com" || p.count() != before+1 {
		t.Fatalf("%+v, %d messages", next, p.count()-before)
	}
	code := p.last(t)
	if code.To != "alice@example.com" || code.For != factor.ForLogin {
		t.Errorf("sent to %s for %s", code.To, code.For)
	}
	done, err := h.doors.Code(t.Context(), alice.second(next, code.Code))
	must(t, err)
	if live := h.mustLive(done); live.Proof.AMR != session.PWD|session.Email || !live.Proof.Fresh(h.clock.Now(), time.Minute) {
		t.Errorf("%+v", live.Proof)
	}
	again := alice.first()
	_, err = h.doors.Code(t.Context(), alice.second(again, code.Code))
	h.wantDenied(err, "the burned code")
	if h.count(audit.KindCodeSent, audit.OK, "") != 2 {
		t.Error("sending is not written down")
	}
}

func TestChallenge(t *testing.T) {
	h, p := mailing(t)
	alice := h.member("alice")
	alice.byMail(p)
	next := alice.first()
	if next.Method != factor.TOTP || next.Sent != "" {
		t.Fatalf("%+v", next)
	}
	ask := func(token string, door login.Door, method factor.Name) (*login.Next, error) {
		return h.doors.Challenge(t.Context(), token, door, method, alice.client)
	}
	token := next.Ephemeral.Reveal()
	sent, err := ask(token, login.Portal, factor.Email)
	must(t, err)
	first := p.last(t).Code
	if sent.Sent != "a•••@example.com" {
		t.Errorf("%+v", sent)
	}
	if _, err := ask(token, login.API, factor.Email); !errors.Is(err, login.ErrDenied) {
		t.Errorf("at the other door: %v", err)
	}
	if _, err := ask(token, login.Portal, factor.TOTP); !errors.Is(err, factor.ErrSendsNothing) {
		t.Errorf("an authenticator: %v", err)
	}
	if _, err := ask(token, login.Portal, factor.SMS); !errors.Is(err, factor.ErrNoMethod) {
		t.Errorf("a method that she does not have: %v", err)
	}
	_, err = ask(token, login.Portal, factor.Email)
	must(t, err)
	if second := p.last(t).Code; second != first {
		_, err = h.doors.Code(t.Context(), alice.second(next, first))
		h.wantDenied(err, "the older code")
	}
	state, err := h.doors.Peek(t.Context(), token, login.Portal)
	must(t, err)
	if state.Targets[factor.Email] != "a•••@example.com" || !slices.Contains(state.Others, factor.Email) {
		t.Errorf("%+v", state)
	}
	done, err := h.doors.Code(t.Context(), alice.second(next, p.last(t).Code))
	must(t, err)
	if live := h.mustLive(done); live.Proof.AMR != session.PWD|session.Email {
		t.Errorf("%+v", live.Proof)
	}
	if _, err := ask(token, login.Portal, factor.Email); !errors.Is(err, login.ErrDenied) {
		t.Errorf("with a burned token: %v", err)
	}
}

// Whoever has somebody's password could fill the mailbox, and run up the bill of SMS.
// Five messages go in a quarter of an hour, whatever half logins they come from; the
// login itself goes on, by other ways.
func TestSendingIsThrottled(t *testing.T) {
	h, p := mailing(t)
	alice := h.member("alice")
	alice.byMail(p)
	h.update(func(tx store.Tx) error { return h.factors.SetPrimary(tx, account.Local(), alice.id, factor.Email) })
	before := p.count()
	for range 5 {
		if next := alice.first(); next.Sent == "" {
			t.Fatal("nothing was sent")
		}
	}
	next := alice.first()
	if next.Sent != "" || p.count() != before+5 {
		t.Fatalf("the sixth: %+v, %d messages", next, p.count()-before)
	}
	if _, err := h.doors.Challenge(t.Context(), next.Ephemeral.Reveal(), login.Portal, factor.Email, alice.client); !throttled(err) {
		t.Errorf("asked again: %v", err)
	}
	done, err := h.doors.Code(t.Context(), alice.second(next, alice.code()))
	must(t, err)
	live := h.mustLive(done)
	if _, err := h.doors.ChallengeOwn(t.Context(), live, factor.Email, alice.client); !throttled(err) {
		t.Errorf("signed in: %v", err)
	}
	h.clock.Advance(15 * time.Minute)
	_, err = h.doors.ChallengeOwn(t.Context(), live, factor.Email, alice.client)
	must(t, err)
}

// A page that steps up is opened by any link. It sends nothing by itself: five links
// would use up what may be sent.
func TestAStepUpSendsNothingByItself(t *testing.T) {
	h, p := mailing(t)
	alice := h.someone("alice")
	alice.byMail(p)
	first := alice.first()
	done, err := h.doors.Code(t.Context(), alice.second(first, p.last(t).Code))
	must(t, err)
	before := p.count()
	next, err := h.doors.StepUp(t.Context(), h.mustLive(done), alice.client, "/vault")
	must(t, err)
	if next.Sent != "" || p.count() != before {
		t.Fatalf("%+v", next)
	}
	_, err = h.doors.Challenge(t.Context(), next.Ephemeral.Reveal(), login.Portal, factor.Email, alice.client)
	must(t, err)
	_, err = h.doors.Code(t.Context(), alice.second(next, p.last(t).Code))
	must(t, err)
}

// Whoever has a password alone enrols between the doors. The code goes to where the
// account says, so that a stolen password does not become a second factor of the thief.
func TestEnrolmentByMailBetweenTheDoors(t *testing.T) {
	h, p := mailing(t)
	bob := h.someone("bob")
	next := bob.first()
	if next.Status != login.Enroll || !slices.Equal(next.Others, []factor.Name{factor.TOTP, factor.Email, factor.SMS}) {
		t.Fatalf("%+v", next)
	}
	e, err := h.doors.EnrollStart(t.Context(), next.Ephemeral.Reveal(), login.Portal, factor.Email, bob.client)
	must(t, err)
	if e.SentTo != "b•••@example.com" || p.last(t).To != "bob@example.com" {
		t.Fatalf("%+v to %s", e, p.last(t).To)
	}
	if _, err := h.doors.EnrollStart(t.Context(), next.Ephemeral.Reveal(), login.Portal, factor.SMS, bob.client); !errors.Is(err, factor.ErrNoTarget) {
		t.Errorf("without a number: %v", err)
	}
	code := p.last(t).Code
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	_, err = h.doors.EnrollConfirm(t.Context(), bob.second(next, wrong))
	h.wantDenied(err, "a wrong first code")
	done, err := h.doors.EnrollConfirm(t.Context(), bob.second(next, code))
	must(t, err)
	if live := h.mustLive(done); live.Proof.AMR != session.PWD|session.Email || len(done.RecoveryCodes) == 0 {
		t.Errorf("%+v, %d recovery codes", live.Proof, len(done.RecoveryCodes))
	}
}

// A stolen session must not make itself a factor, nor move the address to which codes
// go: a fresh proof is asked for; of whoever has no factor, a fresh password.
func TestFactorsAndAddressesNeedAFreshProof(t *testing.T) {
	h, p := mailing(t)
	alice := h.member("alice")
	live := h.mustLive(alice.login())
	h.clock.Advance(16 * time.Minute)
	if _, err := h.doors.Activate(t.Context(), live, factor.EnrollOptions{Method: factor.Email}, alice.client); !errors.Is(err, account.ErrNotFresh) {
		t.Errorf("a factor: %v", err)
	}
	if _, err := h.doors.ChangeTarget(t.Context(), live, account.EmailField, "thief@example.com", alice.client); !errors.Is(err, account.ErrNotFresh) {
		t.Errorf("an address: %v", err)
	}
	if p.count() > 0 {
		t.Error("something was sent")
	}

	one := newHouse(t, setting{post: p, realms: map[string]account.Settings{"users": {Factors: one(), Methods: []string{"totp", "email"}}}})
	bob := one.someone("bob")
	session := one.mustLive(bob.first())
	one.clock.Advance(16 * time.Minute)
	if _, err := one.doors.Activate(t.Context(), session, factor.EnrollOptions{}, bob.client); !errors.Is(err, login.ErrPasswordNotFresh) {
		t.Errorf("a first factor: %v", err)
	}
	if _, err := one.doors.ChangeTarget(t.Context(), session, account.EmailField, "thief@example.com", bob.client); !errors.Is(err, login.ErrPasswordNotFresh) {
		t.Errorf("an address, without a factor: %v", err)
	}
}

func TestSetUpByMailWhenSignedIn(t *testing.T) {
	h, p := mailing(t)
	alice := h.member("alice")
	live, elsewhere := h.mustLive(alice.login()), func() session.Live { h.next(); return h.mustLive(alice.login()) }()
	e, err := h.doors.Activate(t.Context(), elsewhere, factor.EnrollOptions{Method: factor.Email}, alice.client)
	must(t, err)
	if e.SentTo != "a•••@example.com" {
		t.Errorf("%+v", e)
	}
	code := p.last(t).Code
	if _, err := h.doors.ConfirmMethod(t.Context(), elsewhere, factor.SMS, code, alice.client); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("another method: %v", err)
	}
	codes, err := h.doors.ConfirmMethod(t.Context(), elsewhere, factor.Email, code, alice.client)
	must(t, err)
	if len(codes) > 0 {
		t.Error("a second factor brings recovery codes")
	}
	if now, err := h.sessions.Live(t.Context(), "", h.clock.Now()); err == nil {
		t.Errorf("%+v", now)
	}
	if err := h.fresh(live, "000000", alice.client); !errors.Is(err, login.ErrDenied) {
		t.Errorf("the other session: %v", err)
	}
	if _, err := h.doors.ConfirmMethod(t.Context(), elsewhere, factor.Email, code, alice.client); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("twice: %v", err)
	}
}

func TestNewAddressWhenSignedIn(t *testing.T) {
	h, p := mailing(t)
	alice := h.member("alice")
	live := h.mustLive(alice.login())
	to, err := h.doors.ChangeTarget(t.Context(), live, account.EmailField, "new@example.org", alice.client)
	must(t, err)
	if to != "n•••@example.org" || p.last(t).To != "new@example.org" {
		t.Errorf("sent to %s, %s", to, p.last(t).To)
	}
	for range 5 {
		err := h.doors.ConfirmTarget(t.Context(), live, account.EmailField, "", alice.client)
		if !errors.Is(err, factor.ErrDenied) {
			t.Fatal(err)
		}
	}
	if err := h.doors.ConfirmTarget(t.Context(), live, account.EmailField, p.last(t).Code, alice.client); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("after five wrong codes: %v", err)
	}
	_, err = h.doors.ChangeTarget(t.Context(), live, account.EmailField, "new@example.org", alice.client)
	must(t, err)
	must(t, h.doors.ConfirmTarget(t.Context(), live, account.EmailField, p.last(t).Code, alice.client))
	h.update(func(tx store.Tx) error {
		u, err := h.dir.ByID(tx, alice.id)
		if err == nil && u.Email != "new@example.org" {
			t.Errorf("the address is %s", u.Email)
		}
		return err
	})
}

// Whoever moves the number to which the codes of a factor go has another factor: what the
// old one opened elsewhere ends, as with every change of factors.
func TestANewAddressForCodesEndsOtherSessions(t *testing.T) {
	h, p := mailing(t)
	alice := h.someone("alice")
	alice.byMail(p)
	sign := func() *login.Next {
		next, err := h.doors.Code(t.Context(), alice.second(alice.first(), p.last(t).Code))
		must(t, err)
		return next
	}
	elsewhere := sign()
	here := sign()
	_, err := h.doors.ChangeTarget(t.Context(), h.mustLive(here), account.EmailField, "new@example.org", alice.client)
	must(t, err)
	must(t, h.doors.ConfirmTarget(t.Context(), h.mustLive(here), account.EmailField, p.last(t).Code, alice.client))
	h.mustLive(here)
	h.mustBeDead(elsewhere, "a new address for codes")
}

// Of many equal posts with the one code that was sent, one opens a session.
func TestParallelCodesByMailOpenOneSession(t *testing.T) {
	h, p := mailing(t)
	alice := h.someone("alice")
	alice.byMail(p)
	next := alice.first()
	code := p.last(t).Code
	opened := 0
	for _, err := range parallel(40, func(int) error {
		_, err := h.doors.Code(t.Context(), alice.second(next, code))
		return err
	}) {
		if err == nil {
			opened++
		} else if !errors.Is(err, login.ErrDenied) {
			t.Error(err)
		}
	}
	if opened != 1 {
		t.Errorf("%d sessions were opened", opened)
	}
}
