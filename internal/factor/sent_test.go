package factor_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// post is a sender that keeps what it was given, as soon as it is committed.
type post struct {
	names []factor.Name
	sent  []factor.Message
}

func (p *post) Sends(method factor.Name) bool { return slices.Contains(p.names, method) }

func (p *post) Send(tx store.Tx, m factor.Message) error {
	if m.User == nil || m.Code == "" || !m.Expires.After(tx.Now()) {
		return errors.New("not a whole message")
	}
	tx.After(func() { p.sent = append(p.sent, m) })
	return nil
}

func (p *post) last(t *testing.T) factor.Message {
	t.Helper()
	if len(p.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return p.sent[len(p.sent)-1]
}

// sending is a house that sends by mail, SMS and an own method, to people of realm users
// who may set up all of them.
func sending(t *testing.T, settings account.Settings) (*house, *post) {
	p := &post{names: []factor.Name{factor.Email, factor.SMS, "pager"}}
	settings.Methods = []string{"totp", "email", "sms", "pager"}
	h := newHouse(t, map[string]account.Settings{"users": settings})
	h.factors = factor.New(factor.Options{Directory: h.dir, Derive: h.store.Derive, Sender: p, Own: []factor.Name{"pager"}})
	h.dir.OnDelete(func(tx store.Tx, u *account.User) error { return h.factors.Forget(tx, u.ID) })
	return h, p
}

// reachable is somebody with an address and a number.
func (h *house) reachable(name string) principal.ID {
	h.Helper()
	id := h.user(name)
	h.update(func(tx store.Tx) error {
		email, phone := name+"@example.com", "+41791234589"
		_, err := h.dir.Update(tx, account.Local(), id, account.Change{Email: &email, Phone: &phone})
		return err
	})
	return id
}

// activate sets a method up by the code that was sent.
func (h *house) activate(p *post, id principal.ID, method factor.Name) {
	h.Helper()
	h.enroll(account.Self(id), id, factor.EnrollOptions{Method: method})
	_, err := h.confirmBy(id, method, p.last(h.T).Code)
	must(h, err)
}

// confirmBy commits what an answer leaves behind, as login does.
func (h *house) confirmBy(id principal.ID, method factor.Name, code string) (codes []string, err error) {
	h.Helper()
	h.update(func(tx store.Tx) error {
		codes, err = h.factors.Confirm(tx, account.Self(id), id, method, factor.Proof{Code: code})
		if errors.Is(err, factor.ErrDenied) || errors.Is(err, factor.ErrReplay) {
			return nil
		}
		return err
	})
	return codes, err
}

func (h *house) send(id principal.ID, method factor.Name) (to string) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		to, err = h.factors.Send(tx, id, method)
		return err
	})
	return to
}

func other(code string) string {
	if code == "000000" {
		return "111111"
	}
	return "000000"
}

func TestCodesThatAreSent(t *testing.T) {
	for method, want := range map[factor.Name]string{factor.Email: "alice@example.com", factor.SMS: "+41791234589", "pager": ""} {
		t.Run(string(method), func(t *testing.T) {
			h, p := sending(t, account.Settings{})
			alice := h.reachable("alice")
			h.activate(p, alice, method)
			first := p.last(t)
			if first.To != want || first.For != factor.ForSetup || len(first.Code) != 6 {
				t.Fatalf("the first code went to %q, for %q, of %d digits", first.To, first.For, len(first.Code))
			}
			if r := h.verify(alice, method, first.Code); r != factor.Wrong {
				t.Errorf("the code of the set-up opens a door: %v", r)
			}

			h.send(alice, method)
			older := p.last(t)
			h.send(alice, method)
			code := p.last(t).Code
			if code != older.Code {
				if r := h.verify(alice, method, older.Code); r != factor.Wrong {
					t.Errorf("the older code: %v", r)
				}
			}
			if r := h.verify(alice, method, code[:3]+" "+code[3:]); r != factor.Good {
				t.Fatalf("the newest code: %v", r)
			}
			if r := h.verify(alice, method, code); r != factor.Replayed {
				t.Errorf("twice: %v", r)
			}

			h.send(alice, method)
			code = p.last(t).Code
			if p.last(t).Expires.Sub(h.clock.Now()) != factor.CodeLife {
				t.Errorf("a code lives %s", p.last(t).Expires.Sub(h.clock.Now()))
			}
			h.clock.Advance(factor.CodeLife)
			if r := h.verify(alice, method, code); r != factor.Wrong {
				t.Errorf("after its life: %v", r)
			}
		})
	}
}

// Six digits are found by trying. Whoever has the password could try at a pace that the
// throttle allows until one fits: five wrong ones kill the code that was sent.
func TestWrongCodesKillTheOneThatWasSent(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice := h.reachable("alice")
	h.activate(p, alice, factor.Email)
	h.send(alice, factor.Email)
	code := p.last(t).Code
	for range 5 {
		if r := h.verify(alice, factor.Email, other(code)); r != factor.Wrong {
			t.Fatal(r)
		}
	}
	if r := h.verify(alice, factor.Email, code); r != factor.Wrong {
		t.Errorf("after five wrong ones: %v", r)
	}

	// The same while a method is set up.
	h.enroll(account.Self(alice), alice, factor.EnrollOptions{Method: factor.SMS})
	code = p.last(t).Code
	for range 5 {
		if _, err := h.confirmBy(alice, factor.SMS, other(code)); !errors.Is(err, factor.ErrDenied) {
			t.Fatal(err)
		}
	}
	err := h.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.factors.Confirm(tx, account.Self(alice), alice, factor.SMS, factor.Proof{Code: code})
		return err
	})
	if !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("after five wrong first codes: %v", err)
	}
}

// A code proves that its reader has the mailbox that the account names. If the account
// names another one meanwhile, or the code is somebody else's, or of another method, it
// proves nothing.
func TestACodeIsBoundToPersonMethodAndTarget(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice, bob := h.reachable("alice"), h.reachable("bob")
	for _, id := range []principal.ID{alice, bob} {
		h.activate(p, id, factor.Email)
		h.activate(p, id, factor.SMS)
	}
	h.send(alice, factor.Email)
	code := p.last(t).Code
	if r := h.verify(bob, factor.Email, code); r != factor.Wrong {
		t.Errorf("somebody else's code: %v", r)
	}
	if r := h.verify(alice, factor.SMS, code); r != factor.Wrong {
		t.Errorf("another method's code: %v", r)
	}
	h.update(func(tx store.Tx) error {
		moved := "moved@example.com"
		_, err := h.dir.Update(tx, account.Local(), alice, account.Change{Email: &moved})
		return err
	})
	if r := h.verify(alice, factor.Email, code); r != factor.Wrong {
		t.Errorf("sent to an address that was hers: %v", r)
	}
	h.send(alice, factor.Email)
	if to := p.last(t).To; to != "moved@example.com" {
		t.Errorf("the next code goes to %s", to)
	}
}

func TestLifeOfCodesIsTheRealms(t *testing.T) {
	h, p := sending(t, account.Settings{CodeLife: map[string]time.Duration{"email": 2 * time.Minute}})
	alice := h.reachable("alice")
	h.activate(p, alice, factor.Email)
	h.send(alice, factor.Email)
	if life := p.last(t).Expires.Sub(h.clock.Now()); life != 2*time.Minute {
		t.Errorf("a code lives %s", life)
	}
	h.clock.Advance(2 * time.Minute)
	if r := h.verify(alice, factor.Email, p.last(t).Code); r != factor.Wrong {
		t.Errorf("after its life: %v", r)
	}
}

func TestNothingIsSentWhereNothingCanBe(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice := h.user("alice") // no address, no number
	try := func(o factor.EnrollOptions) error {
		return h.store.Update(t.Context(), func(tx store.Tx) error {
			_, err := h.factors.Enroll(tx, account.Self(alice), alice, o)
			return err
		})
	}
	if err := try(factor.EnrollOptions{Method: factor.Email}); !errors.Is(err, factor.ErrNoTarget) {
		t.Errorf("without an address: %v", err)
	}
	p.names = nil
	if err := try(factor.EnrollOptions{Method: factor.SMS}); !errors.Is(err, factor.ErrUnknownMethod) {
		t.Errorf("without a way to send: %v", err)
	}
	if err := try(factor.EnrollOptions{Method: "carrier_pigeon"}); !errors.Is(err, factor.ErrUnknownMethod) {
		t.Errorf("a method that nobody knows: %v", err)
	}
	if len(p.sent) > 0 {
		t.Errorf("%d messages were sent", len(p.sent))
	}
}

// An address that its owner alone vouches for is confirmed by the code that came back.
func TestTheFirstCodeConfirmsTheAddress(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice := h.user("alice")
	h.update(func(tx store.Tx) error {
		email := "alice@example.com"
		_, err := h.dir.Update(tx, account.Local(), alice, account.Change{Email: &email, Unconfirmed: true})
		return err
	})
	h.activate(p, alice, factor.Email)
	h.update(func(tx store.Tx) error {
		u, err := h.dir.ByID(tx, alice)
		if err == nil && (u.Unconfirmed || u.Identity().Email == "") {
			t.Errorf("the address is %q, unconfirmed %v", u.Email, u.Unconfirmed)
		}
		return err
	})
}

// Whoever is signed in names another number; the code goes there, and only the code
// makes it theirs.
func TestAMethodForANewNumber(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice := h.reachable("alice")
	h.enroll(account.Self(alice), alice, factor.EnrollOptions{Method: factor.SMS, Target: "+49 30 123456"})
	if to := p.last(t).To; to != "+4930123456" {
		t.Fatalf("the code went to %s", to)
	}
	phone := func() (number string) {
		h.update(func(tx store.Tx) error {
			u, err := h.dir.ByID(tx, alice)
			number = u.Phone
			return err
		})
		return number
	}
	if phone() != "+41791234589" {
		t.Errorf("before the code the number is %s", phone())
	}
	_, err := h.confirmBy(alice, factor.SMS, p.last(t).Code)
	must(t, err)
	if phone() != "+4930123456" {
		t.Errorf("after the code the number is %s", phone())
	}
}

func TestNewAddress(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice, bob := h.reachable("alice"), h.reachable("bob")
	begin := func(value string) (err error) {
		h.Helper()
		return h.store.Update(t.Context(), func(tx store.Tx) error {
			_, err := h.factors.NewTarget(tx, alice, account.EmailField, value)
			return err
		})
	}
	confirm := func(id principal.ID, code string) (err error) {
		h.Helper()
		h.update(func(tx store.Tx) error {
			err = h.factors.ConfirmTarget(tx, account.Self(id), id, account.EmailField, code)
			return nil
		})
		return err
	}
	if err := begin("no address"); !errors.Is(err, account.ErrInvalid) {
		t.Errorf("no address: %v", err)
	}
	must(t, begin("Alice.New@Example.com"))
	code := p.last(t).Code
	if err := confirm(bob, code); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("somebody else confirms: %v", err)
	}
	if err := confirm(alice, other(code)); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("a wrong code: %v", err)
	}
	if r := h.verify(alice, factor.Email, code); r != factor.Wrong {
		t.Errorf("the code of an address opens a door: %v", r)
	}
	must(t, confirm(alice, code))
	h.update(func(tx store.Tx) error {
		u, err := h.dir.ByID(tx, alice)
		if err == nil && !strings.EqualFold(u.Email, "alice.new@example.com") {
			t.Errorf("the address is %s", u.Email)
		}
		return err
	})
	if err := confirm(alice, code); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("twice: %v", err)
	}

	// Taken meanwhile: it stays whose it is.
	must(t, begin("bob@example.com"))
	if err := h.store.Update(t.Context(), func(tx store.Tx) error {
		return h.factors.ConfirmTarget(tx, account.Self(alice), alice, account.EmailField, p.last(t).Code)
	}); !errors.Is(err, account.ErrAddressTaken) {
		t.Errorf("somebody else's address: %v", err)
	}

	// A change of factors ends it: who had the session then may not be who has it now.
	must(t, begin("later@example.com"))
	h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	if err := confirm(alice, p.last(t).Code); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("after a change of factors: %v", err)
	}
}

func TestSeveralAuthenticators(t *testing.T) {
	h, _ := sending(t, account.Settings{})
	alice := h.reachable("alice")
	phone := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	watch := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true, Beside: true, Name: "Watch"})
	if got := h.methods(alice); len(got) != 2 || got[0].ID == got[1].ID || !got[0].Primary || got[1].Label != "Watch" {
		t.Fatalf("%+v", got)
	}
	at := func(e *factor.Enrollment) string {
		code, err := e.Params.Code(e.Seed.Reveal(), e.Params.Step(h.clock.Now()))
		must(t, err)
		return code
	}
	for _, e := range []*factor.Enrollment{watch, phone} {
		if r := h.verify(alice, factor.TOTP, at(e)); r != factor.Good {
			t.Errorf("a code of each: %v", r)
		}
		if r := h.verify(alice, factor.TOTP, at(e)); r != factor.Replayed {
			t.Errorf("twice: %v", r)
		}
	}
	h.clock.Advance(time.Minute)
	device := h.methods(alice)[0].ID
	h.update(func(tx store.Tx) error {
		return h.factors.Remove(tx, account.Local(), alice, factor.TOTP, device)
	})
	if r := h.verify(alice, factor.TOTP, at(phone)); r != factor.Wrong {
		t.Errorf("the one that was removed: %v", r)
	}
	if r := h.verify(alice, factor.TOTP, at(watch)); r != factor.Good {
		t.Errorf("the one that stayed: %v", r)
	}
	if got := h.methods(alice); len(got) != 1 || !got[0].Primary {
		t.Errorf("%+v", got)
	}

	// A lost phone: the new one takes the place of all.
	fresh := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	h.clock.Advance(time.Minute)
	if r := h.verify(alice, factor.TOTP, at(watch)); r != factor.Wrong {
		t.Errorf("the old one: %v", r)
	}
	if r := h.verify(alice, factor.TOTP, at(fresh)); r != factor.Good {
		t.Errorf("the new one: %v", r)
	}
}

// An address to which a factor's codes go is part of the factor: with a new one the epoch
// rises, and what was opened before ends. Without such a factor it does not.
func TestANewAddressOfAFactorRaisesTheEpoch(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice, bob := h.reachable("alice"), h.reachable("bob")
	h.activate(p, alice, factor.Email)
	for id, want := range map[principal.ID]uint64{alice: 1, bob: 0} {
		before := h.epoch(id)
		h.update(func(tx store.Tx) error {
			_, err := h.factors.NewTarget(tx, id, account.EmailField, id.String()[:8]+"@example.org")
			return err
		})
		h.update(func(tx store.Tx) error {
			return h.factors.ConfirmTarget(tx, account.Self(id), id, account.EmailField, p.last(t).Code)
		})
		if got := h.epoch(id) - before; got != want {
			t.Errorf("the epoch rose by %d, want %d", got, want)
		}
	}
}

// However methods come and go, whoever has any has exactly one primary one.
func TestThereIsAlwaysOnePrimaryMethod(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice := h.reachable("alice")
	one := func(after string) {
		t.Helper()
		n := 0
		for _, m := range h.methods(alice) {
			if m.Primary {
				n++
			}
		}
		if n != 1 {
			t.Errorf("after %s there are %d primary methods", after, n)
		}
	}
	h.activate(p, alice, factor.Email)
	one("the first")
	h.activate(p, alice, factor.SMS)
	one("the second")
	h.update(func(tx store.Tx) error { return h.factors.SetPrimary(tx, account.Local(), alice, factor.SMS) })
	one("a change")
	h.update(func(tx store.Tx) error { return h.factors.SetPrimary(tx, account.Local(), alice, factor.SMS) })
	one("the same change")
	h.update(func(tx store.Tx) error { return h.factors.Remove(tx, account.Local(), alice, factor.SMS, "") })
	one("the removal of the primary one")
	h.activate(p, alice, factor.SMS)
	one("setting it up again")
	if err := h.store.Update(t.Context(), func(tx store.Tx) error {
		return h.factors.SetPrimary(tx, account.Local(), alice, factor.TOTP)
	}); !errors.Is(err, factor.ErrNoMethod) {
		t.Errorf("one that she does not have: %v", err)
	}
	one("a refused change")
}

// Whoever asks about nobody learns nothing, and events name a method.
func TestACodeOfNobody(t *testing.T) {
	h, _ := sending(t, account.Settings{})
	for method, want := range map[factor.Name]factor.Name{"": factor.TOTP, factor.Any: factor.TOTP, factor.Email: factor.Email, factor.RecoveryCode: factor.RecoveryCode} {
		h.update(func(tx store.Tx) error {
			c, err := h.factors.Try(tx, principal.ID{1}, method, factor.Proof{Code: "123456"})
			if c.Result != factor.Wrong || c.Method != want || c.Step != -1 {
				t.Errorf("method %q: %+v", method, c)
			}
			return err
		})
	}
}

// The list says when a method last proved something, not when somebody guessed.
func TestLastUse(t *testing.T) {
	h, p := sending(t, account.Settings{})
	alice := h.reachable("alice")
	h.activate(p, alice, factor.Email)
	added := h.methods(alice)[0].LastUsedAt
	h.clock.Advance(time.Hour)
	h.send(alice, factor.Email)
	h.verify(alice, factor.Email, other(p.last(t).Code))
	if got := h.methods(alice)[0].LastUsedAt; !got.Equal(added) {
		t.Errorf("a wrong code counts as a use: %v", got)
	}
	h.verify(alice, factor.Email, p.last(t).Code)
	if got := h.methods(alice)[0].LastUsedAt; !got.Equal(h.clock.Now()) {
		t.Errorf("a good code counts as no use: %v", got)
	}
}

func TestMask(t *testing.T) {
	for target, want := range map[string]string{
		"alice@example.com": "a•••@example.com", "é@example.com": "é•••@example.com", "@example.com": "•••@example.com",
		"+41791234589": "•••• 89", "1234": "••••", "": "",
	} {
		if got := factor.Mask(target); got != want {
			t.Errorf("Mask(%q) = %q, want %q", target, got, want)
		}
	}
}

// Checked tells codes that were sent from each other, so that a session can know the one
// that opened it: the burned one as when it was good, a newer one by another mark, and a
// wrong one by none.
func TestCodesThatWereSentAreToldApart(t *testing.T) {
	h, p := sending(t, account.Settings{})
	id := h.reachable("alice")
	h.activate(p, id, factor.Email)
	try := func(code string) (c factor.Checked) {
		h.update(func(tx store.Tx) (err error) {
			c, err = h.factors.Try(tx, id, factor.Email, factor.Proof{Code: code})
			return err
		})
		return c
	}
	h.send(id, factor.Email)
	code := p.last(t).Code
	if c := try("nothing"); c.Result != factor.Wrong || c.Sent != "" {
		t.Errorf("a wrong one: %+v", c)
	}
	good, again := try(code), try(code)
	if good.Result != factor.Good || good.Sent == "" || again.Result != factor.Replayed || again.Sent != good.Sent {
		t.Errorf("good %+v, again %+v", good, again)
	}
	h.send(id, factor.Email)
	if c := try(p.last(t).Code); c.Result != factor.Good || c.Sent == "" || c.Sent == good.Sent {
		t.Errorf("the next one: %+v", c)
	}
}
