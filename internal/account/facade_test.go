package account_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

var everything = []account.Grant{{Capability: account.Authenticate}, {Capability: account.Create}, {Capability: account.Delete}, {Capability: account.List}, {Capability: account.Update}}

// Attack: an administrator of an older system makes itself a program of the realm
// admin, and is administrator here.
func TestAFacadeHandsOutNoCapabilities(t *testing.T) {
	d := newDirectory(t, nil)
	at := func(name, realm string) principal.Ref { return principal.Ref{Name: name, Realm: realm} }
	facade := account.Facade("ungleich", everything...)
	for _, realm := range []string{"admin", "delegates"} {
		d.must(func(tx store.Tx) error {
			_, err := d.CreateService(tx, account.Local(), account.NewService{Ref: at("old", realm), MakeRealm: true})
			return err
		})
	}
	d.must(func(tx store.Tx) error {
		grants := []account.Grant{{Capability: account.List}}
		_, err := d.SetRealm(tx, account.Local(), "delegates", account.Settings{}, &grants, 0)
		return err
	})
	for _, realm := range []string{"admin", "delegates", "auth"} {
		if realm == "auth" {
			d.must(func(tx store.Tx) error {
				_, err := d.CreateService(tx, account.Local(), account.NewService{Ref: at("old", realm)})
				return err
			})
		}
		d.want(account.ErrForbidden, "making one of "+realm, func(tx store.Tx) error {
			_, err := d.CreateService(tx, facade, account.NewService{Ref: at("new", realm)})
			return err
		})
		d.want(account.ErrForbidden, "deleting one of "+realm, func(tx store.Tx) error { return d.DeleteService(tx, facade, at("old", realm)) })
	}
	facade = facade.As(at("chief", "auth"))
	d.must(func(tx store.Tx) error { // a caller of that realm, and only what was made through the facade
		s, err := d.CreateService(tx, facade, account.NewService{Ref: at("new", "auth")})
		if err != nil {
			return err
		}
		if s.Via != "ungleich" {
			t.Errorf("it came via %q", s.Via)
		}
		return d.DeleteService(tx, facade, s.Ref())
	})
	d.want(account.ErrForbidden, "deleting what it did not make", func(tx store.Tx) error { return d.DeleteService(tx, facade, at("old", "auth")) })
	d.want(account.ErrForbidden, "reading beyond its grants", func(tx store.Tx) error {
		return d.Allowed(tx, account.Facade("adjure", account.Grant{Capability: account.Create, Realms: []string{"adjure"}}), account.Create, "users")
	})
}

// A service that is renamed stays the same one: its number, its seed, and what was
// burned of it. Nobody is found under the old name.
func TestRenameService(t *testing.T) {
	d := newDirectory(t, nil)
	from, to := principal.Ref{Name: "a", Realm: "robots"}, principal.Ref{Name: "b", Realm: "robots"}
	var before, after *account.Service
	d.must(func(tx store.Tx) (err error) {
		if before, err = d.CreateService(tx, account.Local(), account.NewService{Ref: from, MakeRealm: true}); err != nil {
			return err
		}
		if _, err = d.CreateService(tx, account.Local(), account.NewService{Ref: principal.Ref{Name: "c", Realm: "robots"}}); err != nil {
			return err
		}
		after, err = d.RenameService(tx, account.Local(), from, to)
		return err
	})
	if after.ID != before.ID || after.Number != before.Number || after.Epoch == before.Epoch || len(after.Seeds) != 1 {
		t.Errorf("it became another one: %v %v", before, after)
	}
	d.must(func(tx store.Tx) error {
		s, err := d.ServiceByNumber(tx, before.Number)
		if err == nil && s.Ref() != to {
			t.Errorf("its number leads to %s", s.Ref())
		}
		return err
	})
	d.want(account.ErrUnknownService, "the old name", func(tx store.Tx) error { _, err := d.ServiceByRef(tx, from); return err })
	d.want(account.ErrExists, "a name that is taken", func(tx store.Tx) error {
		_, err := d.RenameService(tx, account.Local(), to, principal.Ref{Name: "c", Realm: "robots"})
		return err
	})
	d.must(func(tx store.Tx) error { return d.DeleteService(tx, account.Local(), to) })
	d.want(account.ErrUnknownService, "the number of what was deleted", func(tx store.Tx) error { _, err := d.ServiceByNumber(tx, before.Number); return err })
}

// Attack: whose name a rule lets in is made by a rename, where making it is refused; and
// who may not delete makes somebody vanish by it.
func TestARenameIsADeletionAndACreation(t *testing.T) {
	d := newDirectory(t, nil)
	ref := principal.Ref{Name: "plain", Realm: "robots"}
	to := principal.Ref{Name: "root", Realm: "robots"}
	d.must(func(tx store.Tx) error {
		_, _, err := d.ImportService(tx, account.Local(), account.NewService{Ref: ref, Seed: make([]byte, 20), MakeRealm: true, Via: account.ViaUngleich}, nil, false)
		return err
	})
	rename := func(a account.Actor) func(store.Tx) error {
		return func(tx store.Tx) error { _, err := d.RenameService(tx, a, ref, to); return err }
	}
	closed := account.Facade(account.ViaUngleich, everything...).Closed(func(realm string) bool { return realm == "robots" })
	d.want(account.ErrForbidden, "in a realm that a rule admits", rename(closed))
	for _, missing := range []account.Capability{account.Create, account.Delete} {
		var some []account.Grant
		for _, g := range everything {
			if g.Capability != missing {
				some = append(some, g)
			}
		}
		d.want(account.ErrForbidden, "without "+string(missing), rename(account.Facade(account.ViaUngleich, some...)))
	}
	d.must(rename(account.Facade(account.ViaUngleich, everything...)))
}

// Attack: a helpdesk that may create makes itself an administrator of an older system,
// or trusts an application of its own, and deletes with it what it may not.
func TestKeysOfAFacadeAreNoDelegates(t *testing.T) {
	d := newDirectory(t, nil)
	d.Directory = account.New(account.Options{Capable: map[string][]account.Grant{"ungleich-admin": everything, "ungleich-apps": {{Capability: account.Authenticate}}}})
	at := func(name, realm string) principal.Ref { return principal.Ref{Name: name, Realm: realm} }
	var desk account.Actor
	d.must(func(tx store.Tx) error {
		grants := []account.Grant{{Capability: account.Create}, {Capability: account.Update}}
		if _, err := d.SetRealm(tx, account.Local(), "desk", account.Settings{}, &grants, 0); err != nil {
			return err
		}
		s, err := d.CreateService(tx, account.Local(), account.NewService{Ref: at("d", "desk")})
		if err != nil {
			return err
		}
		who := s.Identity()
		desk = account.Program(&who)
		for _, realm := range []string{"ungleich-admin", "ungleich-apps", "plain"} {
			if _, err := d.CreateService(tx, account.Local(), account.NewService{Ref: at("root", realm), MakeRealm: true}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, realm := range []string{"ungleich-admin", "ungleich-apps"} {
		d.want(account.ErrForbidden, "making one of "+realm, func(tx store.Tx) error {
			_, err := d.CreateService(tx, desk, account.NewService{Ref: at("evil", realm)})
			return err
		})
		d.want(account.ErrForbidden, "rotating one of "+realm, func(tx store.Tx) error {
			_, err := d.RotateService(tx, desk, at("root", realm), nil, 0, 0)
			return err
		})
	}
	d.must(func(tx store.Tx) error {
		_, err := d.RotateService(tx, desk, at("root", "plain"), nil, 0, 0)
		return err
	})
}

// Attack: whoever may make programs says that one came through a facade, and so hands
// it to that facade's administrators. Nobody but the command line can.
func TestOnlyTheCommandLineSaysVia(t *testing.T) {
	d := newDirectory(t, nil)
	n := account.NewService{Ref: principal.Ref{Name: "old", Realm: "robots"}, Seed: make([]byte, 20), MakeRealm: true, Via: account.ViaUngleich}
	d.want(account.ErrForbidden, "a facade", func(tx store.Tx) error {
		_, _, err := d.ImportService(tx, account.Facade("adjure", everything...), n, nil, false)
		return err
	})
	d.must(func(tx store.Tx) error {
		s, err := d.CreateService(tx, account.Local(), n)
		if err == nil && s.Via != "" {
			t.Errorf("a native service came via %q", s.Via)
		}
		return err
	})
	n.Ref.Name = "new"
	d.must(func(tx store.Tx) error {
		s, _, err := d.ImportService(tx, account.Local(), n, nil, false)
		if err == nil && s.Via != account.ViaUngleich {
			t.Errorf("it came via %q", s.Via)
		}
		return err
	})
}
