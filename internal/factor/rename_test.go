package factor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Devices of the methods that can have several have names of their owner's; nobody else
// gives one, and a method that a person does not have has no device.
func TestRename(t *testing.T) {
	h := newPasskeyHouse(t)
	alice, bob := h.user("alice"), h.user("bob")
	e := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	if e.Method != factor.TOTP {
		t.Fatal(e.Method)
	}
	rename := func(actor account.Actor, method factor.Name, device, label string) error {
		return h.store.Update(t.Context(), func(tx store.Tx) error {
			return h.factors.Rename(tx, actor, alice, method, device, label)
		})
	}
	device := h.methods(alice)[0].ID
	must(t, rename(account.Self(alice), factor.TOTP, device, "tablet"))
	epoch := h.epoch(alice)
	if m := h.methods(alice); m[0].Label != "tablet" {
		t.Errorf("methods %+v", m)
	}
	if h.epoch(alice) != epoch {
		t.Error("a name ended sessions")
	}
	for name, err := range map[string]error{
		"no such device":   rename(account.Self(alice), factor.TOTP, "nothing", "x"),
		"no such method":   rename(account.Self(alice), factor.Passkey, device, "x"),
		"no names":         rename(account.Self(alice), factor.Email, device, "x"),
		"no method at all": rename(account.Self(alice), "nothing", device, "x"),
	} {
		if !errors.Is(err, factor.ErrNoMethod) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := rename(account.Self(bob), factor.TOTP, device, "mine"); !errors.Is(err, account.ErrForbidden) {
		t.Errorf("somebody else: %v", err)
	}
	if err := rename(account.Self(alice), factor.TOTP, device, strings.Repeat("x", 1000)); !errors.Is(err, account.ErrInvalid) {
		t.Errorf("a long name: %v", err)
	}
}
