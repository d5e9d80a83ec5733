package factor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// An authenticator from elsewhere is good at once, each code once, and its seed
// never leaves: not even in the first hour.
func TestABroughtAuthenticator(t *testing.T) {
	h := newHouse(t, map[string]account.Settings{"recovery": {Methods: []string{"recovery_code"}}})
	id := h.user("alice")
	brought := factor.Brought{Seed: secret.NewBytes([]byte("twenty bytes of seed")), Params: otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}}
	bring := func() error {
		return h.store.Update(h.Context(), func(tx store.Tx) error {
			return h.factors.Bring(tx, account.Local(), id, brought)
		})
	}
	must(t, bring())
	code := h.code(&factor.Enrollment{Seed: brought.Seed, Params: brought.Params})
	if r := h.verify(id, "", code); r != factor.Good {
		t.Errorf("its code: %v", r)
	}
	if r := h.verify(id, "", code); r != factor.Replayed {
		t.Errorf("its code again: %v", r)
	}
	if e, err := h.pending(id); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("the seed leaves: %v, %v", e, err)
	}
	if m := h.methods(id); len(m) != 1 || !m[0].Active || !m[0].Primary {
		t.Errorf("methods: %+v", m)
	}
	h.update(func(tx store.Tx) error {
		if left, err := h.factors.RecoveryLeft(tx, id); left != 0 || err != nil {
			t.Errorf("%d recovery codes that nobody saw: %v", left, err)
		}
		if err := h.factors.Offers(tx, "recovery", factor.TOTP); !errors.Is(err, factor.ErrUnknownMethod) {
			t.Errorf("a realm without TOTP: %v", err)
		}
		return errors.Join(h.factors.Offers(tx, "users", factor.TOTP), h.factors.Offers(tx, "not-made-yet", factor.TOTP))
	})
	if err := bring(); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("a second one took the place of the first: %v", err)
	}
}

// Methods without a seed come along, active at once, with the primary one kept; nothing
// is sent, and nothing is proved of the address.
func TestBroughtMethods(t *testing.T) {
	h, p := sending(t, account.Settings{})
	id := h.reachable("alice")
	unconfirmed := true
	h.update(func(tx store.Tx) error {
		email := "alice@example.com"
		_, err := h.dir.Update(tx, account.Local(), id, account.Change{Email: &email, Unconfirmed: unconfirmed})
		return err
	})
	brought := factor.Brought{Seed: secret.NewBytes([]byte("twenty bytes of seed")), Params: otp.Default(), Primary: factor.SMS,
		Methods: []factor.BroughtMethod{{Name: factor.Email}, {Name: factor.SMS}, {Name: "pager"}}, RecoveryCodes: []string{"abcdef", "123456"}, Mailed: true}
	bring := func(id principal.ID, b factor.Brought) error {
		return h.store.Update(h.Context(), func(tx store.Tx) error { return h.factors.Bring(tx, account.Local(), id, b) })
	}
	must(t, bring(id, brought))
	if len(p.sent) != 0 {
		t.Errorf("%d messages were sent", len(p.sent))
	}
	got := map[factor.Name]bool{}
	for _, m := range h.methods(id) {
		if !m.Active || m.Primary != (m.Name == factor.SMS) || !m.LastUsedAt.IsZero() {
			t.Errorf("method %+v", m)
		}
		got[m.Name] = true
	}
	if len(got) != 4 {
		t.Errorf("methods %v", got)
	}
	confirmed := func() (yes bool) {
		h.update(func(tx store.Tx) error {
			u, err := h.dir.ByID(tx, id)
			yes = err == nil && !u.Unconfirmed
			return err
		})
		return yes
	}
	if confirmed() {
		t.Error("the address is confirmed, and nobody read anything")
	}
	h.send(id, factor.Email)
	if r := h.verify(id, "", p.last(t).Code); r != factor.Good {
		t.Errorf("a mailed code: %v", r)
	}
	if !confirmed() {
		t.Error("a code came back, and the address is not confirmed")
	}
	if r := h.verify(id, factor.RecoveryCode, "ABC-def"); r != factor.Good {
		t.Errorf("a recovery code: %v", r)
	}
	h.update(func(tx store.Tx) error {
		mailed, err := h.factors.RecoveryMailed(tx, id)
		if !mailed {
			t.Error("it is not noted that the codes were mailed")
		}
		return err
	})
	if err := bring(id, brought); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("once more: %v", err)
	}

	must(t, bring(h.reachable("bob"), factor.Brought{Methods: []factor.BroughtMethod{{Name: factor.Email}}}))
	bare := h.user("carol")
	if err := bring(bare, factor.Brought{Methods: []factor.BroughtMethod{{Name: factor.SMS}}}); !errors.Is(err, factor.ErrNoTarget) {
		t.Errorf("without a number: %v", err)
	}
	p.names = []factor.Name{factor.Email}
	if err := bring(h.reachable("dave"), factor.Brought{Methods: []factor.BroughtMethod{{Name: factor.SMS}}}); !errors.Is(err, factor.ErrUnknownMethod) {
		t.Errorf("what nothing sends: %v", err)
	}
	for what, b := range map[string]factor.Brought{
		"nothing":                       {},
		"a seed for a YubiKey":          {Methods: []factor.BroughtMethod{{Name: factor.YubiKey}}},
		"an odd identity":               {Methods: []factor.BroughtMethod{{Name: factor.YubiKey, Key: "ccc"}}},
		"an identity that is none":      {Methods: []factor.BroughtMethod{{Name: factor.YubiKey, Key: "ccccccbcguj1"}}},
		"a long identity":               {Methods: []factor.BroughtMethod{{Name: factor.YubiKey, Key: strings.Repeat("c", 34)}}},
		"a key of mail":                 {Methods: []factor.BroughtMethod{{Name: factor.Email, Key: "cc"}}},
		"a method twice":                {Methods: []factor.BroughtMethod{{Name: factor.Email}, {Name: factor.Email}}},
		"a passkey":                     {Methods: []factor.BroughtMethod{{Name: factor.Passkey}}},
		"no name":                       {Methods: []factor.BroughtMethod{{}}},
		"a primary one that is not one": {Methods: []factor.BroughtMethod{{Name: factor.Email}}, Primary: factor.TOTP},
		"a short seed":                  {Seed: secret.NewBytes([]byte("short")), Params: otp.Default(), Methods: []factor.BroughtMethod{{Name: factor.Email}}},
	} {
		if err := b.Validate(); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := (factor.Brought{Methods: []factor.BroughtMethod{{Name: factor.YubiKey, Key: "ccccccbcgujh"}}}).Validate(); err != nil {
		t.Errorf("a YubiKey: %v", err)
	}
}

// A method that sends, active at once without a code, as an older system made it: it
// proves nothing until its first code came back, and nobody has it whom nothing reaches.
func TestConfirmedWithoutACode(t *testing.T) {
	h, p := sending(t, account.Settings{Enrollment: account.EnrollOff})
	id := h.reachable("alice")
	enroll := func(actor account.Actor, id principal.ID) (e *factor.Enrollment, err error) {
		err = h.store.Update(h.Context(), func(tx store.Tx) error {
			e, err = h.factors.Enroll(tx, actor, id, factor.EnrollOptions{Method: factor.Email, Confirmed: true})
			return err
		})
		return e, err
	}
	if _, err := enroll(account.Self(id), id); !errors.Is(err, factor.ErrEnrollmentClosed) {
		t.Errorf("by herself, where the realm lets nobody: %v", err)
	}
	e, err := enroll(account.Local(), id)
	must(t, err)
	if !e.Active || len(e.RecoveryCodes) == 0 || e.Method != factor.Email || e.URI != "" || len(p.sent) != 0 {
		t.Errorf("the enrolment is %+v, and %d messages were sent", e, len(p.sent))
	}
	if r := h.verify(id, "", "000000"); r != factor.Wrong {
		t.Errorf("a code where none was sent: %v", r)
	}
	if _, err := enroll(account.Local(), h.user("bare")); !errors.Is(err, factor.ErrNoTarget) {
		t.Errorf("without an address: %v", err)
	}
	p.names = nil
	if _, err := enroll(account.Local(), h.reachable("bob")); !errors.Is(err, factor.ErrUnknownMethod) {
		t.Errorf("what nothing sends: %v", err)
	}
}

// A YubiKey comes along by its public identity: what that key types is good here, and
// what another one types is not.
func TestABroughtYubiKey(t *testing.T) {
	h := newHouse(t, map[string]account.Settings{"users": {Methods: []string{"totp", "yubikey"}}})
	k, other := yubicotest.NewKey(), yubicotest.NewKey()
	h.register(k)
	h.register(other)
	id := h.user("alice")
	h.update(func(tx store.Tx) error {
		return h.factors.Bring(tx, account.Local(), id, factor.Brought{Methods: []factor.BroughtMethod{{Name: factor.YubiKey, Key: k.Public}}})
	})
	if m := h.methods(id); len(m) != 1 || m[0].Name != factor.YubiKey || !m[0].Active || !m[0].Primary || m[0].Label != k.Public {
		t.Errorf("methods: %+v", m)
	}
	if r := h.verify(id, "", other.Press()); r != factor.Wrong {
		t.Errorf("another key: %v", r)
	}
	code := k.Press()
	if r := h.verify(id, "", code); r != factor.Good {
		t.Errorf("its one-time password: %v", r)
	}
	if r := h.verify(id, "", code); r != factor.Replayed {
		t.Errorf("once more: %v", r)
	}
}
