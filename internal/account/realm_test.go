package account_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

func (d *directory) realm(name string) (r account.Realm) {
	d.t.Helper()
	d.must(func(tx store.Tx) (err error) { r, err = d.Realm(tx, name); return err })
	return r
}

// On an empty store there are three realms with the capabilities of the table.
func TestReservedRealms(t *testing.T) {
	d := newDirectory(t, map[string]account.Settings{"staff": {}})
	if err := d.EnsureReserved(t.Context(), d.store); err != nil { // again: nothing happens
		t.Fatal(err)
	}
	var got []string
	d.must(func(tx store.Tx) error {
		realms, err := d.Realms(tx)
		for _, r := range realms {
			got = append(got, fmt.Sprintf("%s %v %d %d %s", r.Name, r.Grants, r.Version, *r.Factors, r.Enrollment))
		}
		return err
	})
	want := []string{
		"admin [{authenticate []} {create []} {delete []} {list []} {update []}] 1 2 invitation",
		"auth [{authenticate []}] 1 2 first-login",
		"staff [] 1 2 first-login",
		"users [] 1 2 first-login",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for _, name := range []string{"admin", "auth", "users"} {
		d.want(account.ErrReserved, name, func(tx store.Tx) error { return d.DeleteRealm(tx, account.Local(), name) })
	}
	d.want(account.ErrConfigured, "a configured realm", func(tx store.Tx) error { return d.DeleteRealm(tx, account.Local(), "staff") })
	d.want(account.ErrUnknownRealm, "no realm", func(tx store.Tx) error { return d.DeleteRealm(tx, account.Local(), "nowhere") })
	if s := d.realm("admin").Session; s.Idle != 30*time.Minute || s.Absolute != 8*time.Hour || s.Remember != 0 {
		t.Errorf("sessions of admin: %+v", s)
	}
	if s := d.realm("Users").Session; s.Idle != 8*time.Hour || s.Absolute != 168*time.Hour || s.Remember != 720*time.Hour {
		t.Errorf("sessions of users: %+v", s)
	}
}

// Defaults, over them what is stored, over that the configuration; and what the
// configuration says, nobody changes elsewhere.
func TestSettingsInLayers(t *testing.T) {
	d := newDirectory(t, map[string]account.Settings{"users": {Factors: number(1), Methods: []string{"totp"}}})
	eight := otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}
	d.must(func(tx store.Tx) error {
		r, err := d.SetRealm(tx, account.Local(), "users", account.Settings{OTP: &eight, Factors: number(1)}, nil, 1)
		if err == nil && (*r.OTP != eight || *r.Factors != 1 || *r.Skew != 1 || r.Replay != "deny" || r.Methods[0] != "totp" || r.Version != 2) {
			t.Errorf("effective: %+v", r)
		}
		return err
	})
	err := d.do(func(tx store.Tx) error {
		_, err := d.SetRealm(tx, account.Local(), "users", account.Settings{Factors: number(2)}, nil, 0)
		return err
	})
	if !errors.Is(err, account.ErrConfigured) || !strings.Contains(err.Error(), "factors") {
		t.Errorf("a configured field: %v", err)
	}
	d.want(account.ErrVersion, "an old version", func(tx store.Tx) error {
		_, err := d.SetRealm(tx, account.Local(), "users", account.Settings{}, nil, 1)
		return err
	})
	d.must(func(tx store.Tx) error {
		_, err := d.SetRealm(tx, account.Local(), "users", account.Settings{}, nil, 2)
		return err
	})
	if r := d.realm("users"); *r.OTP != otp.Default() || *r.Factors != 1 {
		t.Errorf("what is not set returns to its default: %+v", *r.OTP)
	}
	// What Realm returns is the caller's: changing it changes no one else's.
	*d.realm("users").Factors, d.realm("users").Methods[0] = 2, "none"
	if r := d.realm("users"); *r.Factors != 1 || r.Methods[0] != "totp" {
		t.Error("the configuration was changed through an answer")
	}
}

// The realm admin never asks for less than two factors and an invitation, whoever
// says so and wherever.
func TestAdminIsNeverLoosened(t *testing.T) {
	for what, s := range map[string]account.Settings{
		"factors": {Factors: number(1)}, "enrollment": {Enrollment: account.EnrollFirstLogin},
	} {
		d := newDirectory(t, nil)
		d.want(account.ErrInvalid, what+" stored", func(tx store.Tx) error {
			_, err := d.SetRealm(tx, account.Local(), "admin", s, nil, 0)
			return err
		})
		configured := account.New(account.Options{Realms: map[string]account.Settings{"admin": s}})
		if err := configured.EnsureReserved(t.Context(), d.store); !errors.Is(err, account.ErrInvalid) || !strings.Contains(err.Error(), "admin") {
			t.Errorf("%s configured: %v", what, err)
		}
	}
	d := newDirectory(t, nil)
	d.want(account.ErrReserved, "fewer capabilities", func(tx store.Tx) error {
		_, err := d.SetRealm(tx, account.Local(), "admin", account.Settings{}, &[]account.Grant{{Capability: account.List}}, 0)
		return err
	})
	grants := d.realm("admin").Grants
	d.must(func(tx store.Tx) error { // the same ones, as a client that read them sends them back
		_, err := d.SetRealm(tx, account.Local(), "admin", account.Settings{}, &grants, 0)
		return err
	})
}

func TestBadSettingsAreRefused(t *testing.T) {
	d := newDirectory(t, nil)
	for what, s := range map[string]account.Settings{
		"no factors":        {Factors: number(0)},
		"three factors":     {Factors: number(3)},
		"enrollment":        {Enrollment: "always"},
		"replay":            {Replay: "maybe"},
		"names":             {Names: "any"},
		"digits":            {OTP: &otp.Params{Algorithm: otp.SHA1, Digits: 4, Period: 30}},
		"an odd period":     {OTP: &otp.Params{Algorithm: otp.SHA1, Digits: 6, Period: 301}},
		"skew":              {Skew: number(11)},
		"a method":          {Methods: []string{"TOTP; rm"}},
		"a method twice":    {Methods: []string{"totp", "totp"}},
		"short codes":       {RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 5, Alphabet: "abcdefghjkmnpqrstuvwxyz23456789"}},
		"few bits":          {RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 6, Alphabet: "01234567"}},
		"few bits, folded":  {RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 6, Alphabet: "abcdefghABCDEFGH"}},
		"long codes":        {RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 65, Alphabet: "0123456789"}},
		"a sign":            {RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 16, Alphabet: "0123456789@"}},
		"a control sign":    {RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 16, Alphabet: "0123456789\x10"}},
		"one letter":        {RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 64, Alphabet: "a"}},
		"a letter twice":    {RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 64, Alphabet: "aab"}},
		"no codes":          {RecoveryCodes: &account.RecoverySettings{Count: 0, Length: 64, Alphabet: "ab"}},
		"idle for ever":     {Session: &account.Lifetimes{Idle: 0, Absolute: time.Hour}},
		"absolute too long": {Session: &account.Lifetimes{Idle: time.Hour, Absolute: 9000 * time.Hour}},
		"remember shorter":  {Session: &account.Lifetimes{Idle: time.Hour, Absolute: 2 * time.Hour, Remember: time.Hour}},
	} {
		d.want(account.ErrInvalid, what, func(tx store.Tx) error {
			_, err := d.SetRealm(tx, account.Local(), "staff", s, nil, 0)
			return err
		})
	}
	d.want(account.ErrInvalid, "a capability", func(tx store.Tx) error {
		_, err := d.SetRealm(tx, account.Local(), "staff", account.Settings{}, &[]account.Grant{{Capability: "root"}}, 0)
		return err
	})
	d.want(account.ErrUnknownRealm, "nothing was made", func(tx store.Tx) error { _, err := d.Realm(tx, "staff"); return err })
	if err := account.New(account.Options{Realms: map[string]account.Settings{"a.b": {}}}).EnsureReserved(t.Context(), d.store); err == nil {
		t.Error("a realm with a dot is configured")
	}
	if err := account.New(account.Options{DefaultRealm: "a@b"}).EnsureReserved(t.Context(), d.store); err == nil {
		t.Error("a default realm with an @ is configured")
	}
}

// A realm goes only when it is empty, also while somebody is being added to it.
func TestOnlyEmptyRealmsAreDeleted(t *testing.T) {
	for range 20 {
		d := newDirectory(t, nil)
		d.setRealm("staff", account.Settings{})
		var created, deleted error
		var wg sync.WaitGroup
		wg.Go(func() {
			created = d.store.Update(t.Context(), func(tx store.Tx) error {
				_, err := d.Create(tx, account.Local(), account.NewUser{Ref: ref("alice@staff")})
				return err
			})
		})
		wg.Go(func() {
			deleted = d.store.Update(t.Context(), func(tx store.Tx) error { return d.DeleteRealm(tx, account.Local(), "staff") })
		})
		wg.Wait()
		switch {
		case created == nil && errors.Is(deleted, account.ErrNotEmpty):
		case errors.Is(created, account.ErrUnknownRealm) && deleted == nil:
		default:
			t.Fatalf("created: %v; deleted: %v", created, deleted)
		}
	}
	d := newDirectory(t, nil)
	alice := d.add("alice@staff")
	d.want(account.ErrNotEmpty, "a member is left", func(tx store.Tx) error { return d.DeleteRealm(tx, account.Local(), "staff") })
	d.must(func(tx store.Tx) error { return d.Delete(tx, account.Local(), alice.ID) })
	d.must(func(tx store.Tx) error { return d.DeleteRealm(tx, account.Local(), "staff") })
	d.wantEvents(audit.KindRealmSet, audit.KindUserCreate, audit.KindUserDelete, audit.KindRealmDelete)
	if e := d.events[0]; e.Name != "@staff" || e.Actor != "local" {
		t.Errorf("the event of a realm: %+v", e)
	}
}

// One place says how many factors a realm demands: unset is two, and admin's are
// two whatever a record says.
func TestDemanded(t *testing.T) {
	for _, c := range []struct {
		realm account.Realm
		want  int
	}{
		{account.Realm{}, 2},
		{account.Realm{Name: "users", Settings: account.Settings{Factors: number(1)}}, 1},
		{account.Realm{Name: "users", Settings: account.Settings{Factors: number(2)}}, 2},
		{account.Realm{Name: "admin", Settings: account.Settings{Factors: number(1)}}, 2},
	} {
		if got := c.realm.Demanded(); got != c.want {
			t.Errorf("%s %v: %d", c.realm.Name, c.realm.Settings, got)
		}
	}
}

// The default realm is a word of the configuration, and reserved under it.
func TestDefaultRealmMayBeNamedOtherwise(t *testing.T) {
	s := storetest.Open(t, nil)
	d := account.New(account.Options{DefaultRealm: "People", Passwords: secret.PasswordPolicy{MinLength: 20}})
	if err := d.EnsureReserved(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if d.DefaultRealm() != "people" || d.Passwords().MinLength != 20 {
		t.Errorf("default realm %s", d.DefaultRealm())
	}
	err := s.Update(t.Context(), func(tx store.Tx) error {
		if err := d.DeleteRealm(tx, account.Local(), "people"); !errors.Is(err, account.ErrReserved) {
			t.Errorf("the default realm: %v", err)
		}
		u, err := d.Create(tx, account.Local(), account.NewUser{Ref: ref("alice@people")})
		if err != nil {
			return err
		}
		if got, err := d.Resolve(tx, "alice", ""); err != nil || got.ID != u.ID {
			t.Errorf("a login without a realm: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Recovery codes may look as those of older systems do: six digits, upper case,
// both cases.
func TestRecoveryCodesOfOlderSystems(t *testing.T) {
	for _, r := range []account.RecoverySettings{
		{Count: 5, Length: 6, Alphabet: "0123456789", Plain: true},
		{Count: 10, Length: 32, Alphabet: "0123456789ABCDEF"},
		{Count: 5, Length: 12, Alphabet: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"},
	} {
		if err := (account.Settings{RecoveryCodes: &r}).Validate("staff"); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// What a realm answers is the caller's own: writing into it changes nobody else's.
func TestARealmsLabelsAreItsOwn(t *testing.T) {
	d := newDirectory(t, nil)
	length := 52
	d.must(func(tx store.Tx) error {
		_, err := d.SetRealm(tx, account.Local(), "staff", account.Settings{SecretLength: &length, MethodLabels: map[string]string{"totp": "App"}}, nil, 0)
		return err
	})
	configured := account.New(account.Options{Realms: map[string]account.Settings{"staff": {Issuer: "Example", MethodLabels: map[string]string{"totp": "Phone"}}, "other": {MethodLabels: map[string]string{}}}})
	for range 2 {
		d.must(func(tx store.Tx) error {
			r, err := configured.Realm(tx, "staff")
			if err != nil || r.MethodLabels["totp"] != "Phone" || r.Issuer != "Example" || *r.SecretLength != 52 {
				t.Errorf("%+v: %v", r.Settings, err)
			}
			r.MethodLabels["totp"], *r.SecretLength = "mine", 33
			return err
		})
	}
	d.must(func(tx store.Tx) error { // an empty map sets nothing, so it is not in the way either
		if _, err := d.SetRealm(tx, account.Local(), "other", account.Settings{MethodLabels: map[string]string{"totp": "App"}}, nil, 0); err != nil {
			return err
		}
		r, err := configured.Realm(tx, "other")
		if r.MethodLabels["totp"] != "App" {
			t.Errorf("an empty map took the place of %v", r.MethodLabels)
		}
		return err
	})
}
