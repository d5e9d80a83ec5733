package factor_test

import (
	"errors"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
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
