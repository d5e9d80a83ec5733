package account_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Attack: an administrator opens registration in a realm whose members may do something
// to others, or a configuration does, and strangers register as administrators.
func TestRegistrationIsNotForTheCapable(t *testing.T) {
	open := account.Settings{Registration: &account.Registration{}}
	for name, realms := range map[string]map[string]account.Settings{
		"admin":        {"admin": open},
		"auth":         {"auth": open},
		"a wildcard":   {"users": {Registration: &account.Registration{Domains: []string{"*"}}}},
		"twice":        {"users": {Registration: &account.Registration{Domains: []string{"example.com", "example.com"}}}},
		"nobody signs": {"users": {Registration: &account.Registration{}, Enrollment: account.EnrollOff}},
		"many":         {"users": {Registration: &account.Registration{Domains: slices.Repeat([]string{"example.com"}, 65)}}},
	} {
		if err := account.New(account.Options{Realms: realms}).Check(); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	one := 1
	fine := map[string]account.Settings{"users": {Registration: &account.Registration{}, Enrollment: account.EnrollOff, Factors: &one}}
	if err := account.New(account.Options{Realms: fine}).Check(); err != nil {
		t.Errorf("one factor is enough: %v", err)
	}
	facade := account.Options{Realms: map[string]account.Settings{"ungleich": open}, Capable: map[string][]account.Grant{"ungleich": {{Capability: account.List}}}}
	if err := account.New(facade).Check(); !errors.Is(err, account.ErrInvalid) {
		t.Errorf("a realm that is capable within a facade: %v", err)
	}
}

// Settings that a caller holds are a copy: nobody opens a realm by writing into them.
func TestRegistrationIsCopied(t *testing.T) {
	d := newDirectory(t, map[string]account.Settings{"users": {Registration: &account.Registration{Domains: []string{"example.com"}}}})
	d.must(func(tx store.Tx) error {
		r, err := d.Realm(tx, "users")
		if err != nil {
			return err
		}
		r.Registration.Domains[0] = "evil.example"
		d.Configured("users").Registration.Domains[0] = "evil.example"
		if _, _, err := d.MayRegister(tx, "users", "x@evil.example"); !errors.Is(err, account.ErrDomain) {
			t.Errorf("x@evil.example: %v", err)
		}
		realm, address, err := d.MayRegister(tx, "", "X@Example.COM")
		if err != nil || realm != "users" || address != "x@example.com" {
			t.Errorf("%s, %s, %v", realm, address, err)
		}
		return nil
	})
}
