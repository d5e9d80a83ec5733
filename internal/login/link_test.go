package login_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// setupLink makes a setup link and opens it.
func (h *house) setupLink() (link, cookie string) {
	h.Helper()
	token, err := h.doors.SetupLink(h.Context())
	must(h, err)
	traded, err := h.doors.TradeSetup(h.Context(), token.Reveal())
	must(h, err)
	return token.Reveal(), traded.Reveal()
}

// begin gives name and password, and returns the administrator to be.
func (h *house) begin(cookie, name string) *person {
	h.Helper()
	e, err := h.doors.SetupBegin(h.Context(), cookie, name, secretWords, from("192.0.2.1"))
	must(h, err)
	return &person{h: h, name: strings.ToLower(name) + "@admin", password: secretWords, seed: e.Seed.Reveal(), client: from("192.0.2.1")}
}

func (h *house) administrators() (n int) {
	h.Helper()
	must(h, h.sealed.View(h.Context(), func(tx store.Tx) (err error) {
		n, err = h.dir.Administrators(tx)
		return err
	}))
	return n
}

// The first run: the link, name and password, the QR code, the first code. Then
// the administrator is signed in with two factors, and the link is dead.
func TestSetup(t *testing.T) {
	h := newHouse(t, setting{})
	link, cookie := h.setupLink()
	root := h.begin(cookie, "Root")
	state, err := h.doors.Peek(t.Context(), cookie, login.Portal)
	must(t, err)
	if state.Status != login.Setup || state.Name != "root" || state.Realm != account.AdminRealm || state.Enrollment == nil {
		t.Errorf("the page of the code: %+v", state)
	}
	if h.administrators() != 0 || h.exists("root@admin") {
		t.Error("somebody exists before the first code")
	}
	_, err = h.doors.SetupFinish(t.Context(), cookie, root.wrongCode(), root.client)
	h.wantDenied(err, "a wrong code")
	done, err := h.doors.SetupFinish(t.Context(), cookie, root.code(), root.client)
	must(t, err)
	live := h.mustLive(done)
	if live.Identity.Realm != account.AdminRealm || live.Proof.AMR != session.PWD|session.OTP || len(done.RecoveryCodes) != 10 || done.Browser.IsZero() {
		t.Errorf("after setup: %+v %+v", live, done)
	}
	if h.administrators() != 1 || h.count(audit.KindSetup, audit.OK, "") != 1 {
		t.Error("no administrator, or no event")
	}
	_, err = h.doors.Code(t.Context(), root.second(root.first(), root.code()))
	h.wantDenied(err, "the code of the setup, used to log in")
	h.next()
	root.login()
	for name, err := range map[string]error{
		"the link":   second(h.doors.TradeSetup(t.Context(), link)),
		"the cookie": second(h.doors.SetupFinish(t.Context(), cookie, root.code(), root.client)),
	} {
		if !errors.Is(err, login.ErrDenied) && !errors.Is(err, login.ErrSetupDone) {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
	if _, err := h.doors.SetupLink(t.Context()); !errors.Is(err, login.ErrSetupDone) {
		t.Errorf("another link: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func (h *house) exists(ref string) bool {
	h.Helper()
	parsed, err := principal.ParseRef(ref, "")
	must(h, err)
	err = h.sealed.View(h.Context(), func(tx store.Tx) error {
		_, err := h.dir.ByRef(tx, parsed)
		return err
	})
	return err == nil
}

// Whoever opens the link first does not burn it, a mail scanner as little as a
// person; but the next link, and an hour, do.
func TestSetupLinkLives(t *testing.T) {
	h := newHouse(t, setting{})
	first, _ := h.setupLink()
	for range 50 {
		if _, err := h.doors.TradeSetup(t.Context(), first); err != nil {
			t.Fatalf("opening a link again: %v", err)
		}
	}
	_, cookie := h.trade(first)
	newer, err := h.doors.SetupLink(t.Context()) // the server starts again
	must(t, err)
	h.wantDenied(second(h.doors.TradeSetup(t.Context(), first)), "the link of the last run")
	h.wantDenied(second(h.doors.SetupBegin(t.Context(), cookie, "root", secretWords, from("192.0.2.1"))), "a cookie of the last run")
	h.clock.Advance(login.SetupLife)
	h.wantDenied(second(h.doors.TradeSetup(t.Context(), newer.Reveal())), "a link of an hour ago")
}

func (h *house) trade(link string) (string, string) {
	h.Helper()
	cookie, err := h.doors.TradeSetup(h.Context(), link)
	must(h, err)
	return link, cookie.Reveal()
}

// Two people opened the link, each with a name and a good code of their own, and
// post at once. Checked before, and not in the transaction that creates, both
// would become administrator.
func TestParallelSetupMakesOneAdministrator(t *testing.T) {
	h := newHouse(t, setting{})
	link, cookie := h.setupLink()
	_, other := h.trade(link)
	cookies := []string{cookie, other}
	people := []*person{h.begin(cookie, "root"), h.begin(other, "toor")}
	good := 0
	for _, err := range parallel(20, func(i int) error {
		_, err := h.doors.SetupFinish(t.Context(), cookies[i%2], people[i%2].code(), people[i%2].client)
		return err
	}) {
		switch {
		case err == nil:
			good++
		case !errors.Is(err, login.ErrDenied) && !errors.Is(err, login.ErrSetupDone):
			t.Error(err)
		}
	}
	if good != 1 || h.administrators() != 1 {
		t.Errorf("%d posts were good, %d administrators, want 1 and 1", good, h.administrators())
	}
}

// Ten wrong codes end a setup; the link opens another.
func TestSetupCountsWrongCodes(t *testing.T) {
	h := newHouse(t, setting{})
	link, cookie := h.setupLink()
	root := h.begin(cookie, "root")
	for range login.SetupTries {
		_, err := h.doors.SetupFinish(t.Context(), cookie, root.wrongCode(), root.client)
		h.wantDenied(err, "a wrong code")
	}
	_, err := h.doors.SetupFinish(t.Context(), cookie, root.code(), root.client)
	h.wantDenied(err, "the right code, too late")
	_, cookie = h.trade(link)
	root = h.begin(cookie, "root")
	if _, err := h.doors.SetupFinish(t.Context(), cookie, root.code(), root.client); err != nil {
		t.Errorf("another try with the same link: %v", err)
	}
}

// The only administrator lost phone and recovery codes, and had the factors reset
// on the machine: the setup link takes the same name again, with a new password.
// What was open under the old one is closed.
func TestSetupTakesTheFactorlessNameAgain(t *testing.T) {
	h := newHouse(t, setting{})
	root := h.someone("root@admin")
	invitation := h.invite(root)
	_, cookie := h.setupLink()
	again := h.begin(cookie, "Root")
	done, err := h.doors.SetupFinish(t.Context(), cookie, again.code(), again.client)
	must(t, err)
	if live := h.mustLive(done); live.Identity.ID != root.id || h.administrators() != 1 {
		t.Errorf("after setup: %+v, %d administrators", live, h.administrators())
	}
	if _, err := h.accept(invitation, secretWords); err == nil {
		t.Error("the invitation from before still sets a password")
	}
}

// What setup refuses, it refuses with a sentence, and nothing is lost.
func TestSetupRefuses(t *testing.T) {
	h := newHouse(t, setting{})
	_, cookie := h.setupLink()
	begin := func(name, password string) error {
		return second(h.doors.SetupBegin(t.Context(), cookie, name, password, from("192.0.2.1")))
	}
	if err := begin("not a name", secretWords); !errors.Is(err, principal.ErrName) {
		t.Errorf("a name with spaces: %v", err)
	}
	if _, ok := errors.AsType[*secret.WeakPassword](begin("root", "password")); !ok {
		t.Error("a common password is taken")
	}
	taken := h.someone("taken@admin")
	taken.provision()
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetDisabled(tx, account.Local(), taken.id, true) // no administrator any more
		return err
	})
	if err := begin("taken", secretWords); !errors.Is(err, account.ErrExists) {
		t.Errorf("the name of somebody with a factor: %v", err)
	}
	h.wantDenied(second(h.doors.SetupFinish(t.Context(), cookie, "123456", from("192.0.2.1"))), "a code before there is a seed")
	must(t, begin("chief", secretWords))
	h.clock.Advance(login.LinkCookieLife)
	h.wantDenied(begin("chief", secretWords), "a cookie of ten minutes ago")
}

func (h *house) invite(p *person) string {
	h.Helper()
	var link string
	h.update(func(tx store.Tx) error {
		token, err := h.doors.Invite(tx, account.Local(), p.id)
		link = token.Reveal()
		return err
	})
	return link
}

func (h *house) accept(link, password string) (*login.Next, error) {
	cookie, err := h.doors.TradeInvite(h.Context(), link)
	if err != nil {
		return nil, err
	}
	return h.doors.InviteFinish(h.Context(), cookie.Reveal(), password, from("192.0.2.9"), login.Portal)
}

// An invitation: the person sets a password, is led to enrol, and is in. The link
// works once.
func TestInvitation(t *testing.T) {
	h := newHouse(t, setting{})
	dave := h.withDigest("dave@admin", "")
	link := h.invite(dave)
	for range 3 { // mail scanners
		_, err := h.doors.TradeInvite(t.Context(), link)
		must(t, err)
	}
	_, err := h.accept(link, "password")
	if _, ok := errors.AsType[*secret.WeakPassword](err); !ok {
		t.Errorf("a weak password: %v", err)
	}
	next, err := h.accept(link, secretWords)
	must(t, err)
	if next.Status != login.Enroll || next.Opened != nil {
		t.Fatalf("after the password: %+v", next)
	}
	e, err := h.doors.EnrollStart(t.Context(), next.Ephemeral.Reveal(), login.Portal, factor.TOTP, login.Client{})
	must(t, err)
	dave.seed = e.Seed.Reveal()
	done, err := h.doors.EnrollConfirm(t.Context(), dave.second(next, dave.code()))
	must(t, err)
	if h.mustLive(done).Identity.ID != dave.id {
		t.Error("somebody else is signed in")
	}
	_, err = h.accept(link, newWords)
	h.wantDenied(err, "the link once more")
	h.next()
	dave.login()
}

// M2: an invitation is no way around a factor that exists: after the new password
// the second door asks, and everything older is dead.
func TestM2InvitationAsksForTheFactor(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	old := alice.login()
	half := alice.first()
	link := h.invite(alice)
	next, err := h.accept(link, newWords)
	must(t, err)
	if next.Status != login.SecondFactor || next.Opened != nil {
		t.Fatalf("after the new password: %+v", next)
	}
	h.mustBeDead(old, "the invitation's password")
	h.next()
	_, err = h.doors.Code(t.Context(), alice.second(half, alice.code()))
	h.wantDenied(err, "a half login of before")
	if _, err := h.doors.Code(t.Context(), alice.second(next, alice.code())); err != nil {
		t.Errorf("the second door: %v", err)
	}
}

// An invitation dies of the next one, of a change of the password, of disabling
// and of age; and two posts at once set one password.
func TestInvitationDies(t *testing.T) {
	h := newHouse(t, setting{})
	carol := h.someone("carol")
	older := h.invite(carol)
	newer := h.invite(carol)
	_, err := h.accept(older, newWords)
	h.wantDenied(err, "the older of two links")

	digest, err := h.hasher.Hash(t.Context(), wrongWords)
	must(t, err)
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetPassword(tx, account.Local(), carol.id, digest)
		return err
	})
	_, err = h.accept(newer, newWords)
	h.wantDenied(err, "a link of before the new password")

	aged := h.invite(carol)
	h.clock.Advance(account.Invitation)
	_, err = h.accept(aged, newWords)
	h.wantDenied(err, "a link of three days ago")

	good := h.invite(carol)
	cookie, err := h.doors.TradeInvite(t.Context(), good)
	must(t, err)
	h.wantOne(parallel(20, func(int) error {
		_, err := h.doors.InviteFinish(t.Context(), cookie.Reveal(), newWords, carol.client, login.Portal)
		return err
	}))

	last := h.invite(carol)
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetDisabled(tx, account.Local(), carol.id, true)
		return err
	})
	_, err = h.accept(last, newWords)
	h.wantDenied(err, "a link of somebody disabled")
	err = h.sealed.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.doors.Invite(tx, account.Local(), carol.id)
		return err
	})
	if !errors.Is(err, account.ErrInvalid) {
		t.Errorf("inviting somebody disabled: %v", err)
	}
}

// S12: only who may change a person may invite them.
func TestInviteNeedsTheRight(t *testing.T) {
	h := newHouse(t, setting{})
	alice, mallory := h.member("alice"), h.member("mallory")
	for name, actor := range map[string]account.Actor{
		"a user": account.Person(mallory.id, 2, h.clock.Now()), "herself": account.Self(alice.id), "nobody": {},
	} {
		err := h.sealed.Update(t.Context(), func(tx store.Tx) error {
			_, err := h.doors.Invite(tx, actor, alice.id)
			return err
		})
		if !errors.Is(err, account.ErrForbidden) {
			t.Errorf("%s: %v, want ErrForbidden", name, err)
		}
	}
	root := h.member("root@admin")
	stale := h.clock.Now().Add(-time.Hour)
	err := h.sealed.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.doors.Invite(tx, account.Person(root.id, 2, stale), alice.id)
		return err
	})
	if !errors.Is(err, account.ErrNotFresh) {
		t.Errorf("an administrator of an hour ago: %v, want ErrNotFresh", err)
	}
}

// The older link was opened before the newer one was made: its cookie is dead too.
func TestCookieOfAnOlderInvitationIsDead(t *testing.T) {
	h := newHouse(t, setting{})
	carol := h.someone("carol")
	older, err := h.doors.TradeInvite(t.Context(), h.invite(carol))
	must(t, err)
	newer, err := h.doors.TradeInvite(t.Context(), h.invite(carol))
	must(t, err)
	_, err = h.doors.InviteFinish(t.Context(), older.Reveal(), newWords, carol.client, login.Portal)
	h.wantDenied(err, "the cookie of the older link")
	if _, err := h.doors.InviteFinish(t.Context(), newer.Reveal(), newWords, carol.client, login.Portal); err != nil {
		t.Errorf("the cookie of the newer link: %v", err)
	}
}
