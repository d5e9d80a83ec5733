package account_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// help builds a help desk: its realm may create, list and update in the realm
// staff, and list everywhere.
func help(t *testing.T) (d *directory, desk *account.User, alice *account.User) {
	d = newDirectory(t, nil)
	d.setRealm("desk", account.Settings{},
		account.Grant{Capability: account.Create, Realms: []string{"staff"}},
		account.Grant{Capability: account.Update, Realms: []string{"Staff", "staff"}},
		account.Grant{Capability: account.List})
	desk = d.enrol(d.add("desk@desk", "ops"))
	return d, desk, d.add("alice@staff")
}

// Attack (S12): a delegate of one realm reaches into another, or gives itself or
// others more than it has. Before, a limited key could touch every realm.
func TestS12DelegatesStayWithinTheirGrant(t *testing.T) {
	d, desk, alice := help(t)
	bob, root := d.add("bob"), d.enrol(d.add("root@admin"))
	a := d.signedIn(desk)

	d.must(func(tx store.Tx) error { // what the grant allows
		if _, err := d.SetPassword(tx, a, alice.ID, hash("new")); err != nil {
			return err
		}
		if _, err := d.SetMethods(tx, a, alice.ID, nil, true); err != nil {
			return err
		}
		if err := d.Allowed(tx, a, account.List, "users"); err != nil {
			return err
		}
		_, err := d.Create(tx, a, account.NewUser{Ref: ref("carol@staff"), Groups: []string{"ops"}})
		return err
	})
	for what, fn := range map[string]func(tx store.Tx) error{
		"another realm's user": func(tx store.Tx) error { _, err := d.SetPassword(tx, a, bob.ID, hash("x")); return err },
		"another realm":        func(tx store.Tx) error { _, err := d.Create(tx, a, account.NewUser{Ref: ref("eve")}); return err },
		"a colleague":          func(tx store.Tx) error { _, err := d.SetDisabled(tx, a, desk.ID, true); return err },
		"a missing capability": func(tx store.Tx) error { return d.Delete(tx, a, alice.ID) },
		"asking about tokens":  func(tx store.Tx) error { return d.Allowed(tx, a, account.Authenticate, "staff") },
		"an administrator": func(tx store.Tx) error {
			_, err := d.SetMethods(tx, a, root.ID, nil, true)
			return err
		},
		"a new administrator": func(tx store.Tx) error { _, err := d.Create(tx, a, account.NewUser{Ref: ref("eve@admin")}); return err },
		"what a realm demands": func(tx store.Tx) error {
			_, err := d.SetRealm(tx, a, "staff", account.Settings{Skew: number(2)}, nil, 0)
			return err
		},
		"a realm": func(tx store.Tx) error { return d.DeleteRealm(tx, a, "staff") },
		"a new realm": func(tx store.Tx) error {
			_, err := d.Create(tx, a, account.NewUser{Ref: ref("eve@new"), MakeRealm: true})
			return err
		},
		"its own capabilities": func(tx store.Tx) error {
			_, err := d.SetRealm(tx, a, "desk", account.Settings{}, &[]account.Grant{{Capability: account.Update}}, 0)
			return err
		},
		"another's capabilities": func(tx store.Tx) error {
			_, err := d.SetRealm(tx, a, "staff", account.Settings{}, &[]account.Grant{{Capability: account.List}}, 0)
			return err
		},
		"a group that it is not in": func(tx store.Tx) error {
			_, err := d.Update(tx, a, alice.ID, account.Change{Groups: &[]string{"ops", "admins"}})
			return err
		},
		"a new user in such a group": func(tx store.Tx) error {
			_, err := d.Create(tx, a, account.NewUser{Ref: ref("eve@staff"), Groups: []string{"admins"}})
			return err
		},
	} {
		d.want(account.ErrForbidden, what, fn)
	}
}

// A delegate may leave groups that others gave, and take them away.
func TestDelegatesMayKeepAndTakeGroups(t *testing.T) {
	d, desk, alice := help(t)
	a := d.signedIn(desk)
	set := func(actor account.Actor, groups ...string) func(tx store.Tx) error {
		return func(tx store.Tx) error {
			_, err := d.Update(tx, actor, alice.ID, account.Change{Groups: &groups})
			return err
		}
	}
	d.must(set(d.signedIn(d.enrol(d.add("root@admin"))), "admins"))
	d.must(set(a, "admins", "ops"))
	d.must(set(a, "ops"))
	d.want(account.ErrForbidden, "giving back what was taken", set(a, "admins", "ops"))
}

// Attack (S12): a delegate with update over all realms sets the password of
// somebody whose realm may do more, and logs in as them.
func TestS12NobodyBecomesSomebodyMightier(t *testing.T) {
	d := newDirectory(t, nil)
	d.setRealm("desk", account.Settings{}, account.Grant{Capability: account.Update}, account.Grant{Capability: account.Create})
	d.setRealm("mighty", account.Settings{}, account.Grant{Capability: account.Update}, account.Grant{Capability: account.Delete, Realms: []string{"staff"}})
	desk := d.enrol(d.add("desk@desk"))
	root, mighty, peer, asker := d.enrol(d.add("root@admin")), d.add("m@mighty"), d.add("peer@desk"), d.add("asker@auth")
	a := d.signedIn(desk)
	for _, u := range []*account.User{root, mighty, asker} {
		d.want(account.ErrForbidden, "the password of "+u.Ref().String(), func(tx store.Tx) error {
			_, err := d.SetPassword(tx, a, u.ID, hash("x"))
			return err
		})
		d.want(account.ErrForbidden, "a new user of "+u.Realm, func(tx store.Tx) error {
			_, err := d.Create(tx, a, account.NewUser{Ref: ref("eve@" + u.Realm)})
			return err
		})
	}
	d.must(func(tx store.Tx) error { _, err := d.SetPassword(tx, a, peer.ID, hash("x")); return err })

	set := func(grants ...account.Grant) error {
		return d.do(func(tx store.Tx) error {
			_, err := d.SetRealm(tx, a, "helpers", account.Settings{}, &grants, 0)
			return err
		})
	}
	if err := set(account.Grant{Capability: account.Update, Realms: []string{"staff"}}, account.Grant{Capability: account.Create}); err != nil {
		t.Errorf("a part of the own capabilities: %v", err)
	}
	for _, more := range []account.Grant{{Capability: account.Delete}, {Capability: account.Delete, Realms: []string{"staff"}}, {Capability: account.Authenticate}} {
		if err := set(more); !errors.Is(err, account.ErrForbidden) {
			t.Errorf("giving %v: %v", more, err)
		}
	}
	d.must(func(tx store.Tx) error { // an administrator gives anything
		_, err := d.SetRealm(tx, d.signedIn(root), "helpers", account.Settings{}, &[]account.Grant{{Capability: account.Delete}}, 0)
		return err
	})
}

// Grants have one form: one per capability, realms in order, "all" swallows some.
func TestGrantsAreCanonical(t *testing.T) {
	d := newDirectory(t, nil)
	d.setRealm("desk", account.Settings{},
		account.Grant{Capability: account.Update, Realms: []string{"b", "A"}},
		account.Grant{Capability: account.List, Realms: []string{"a"}},
		account.Grant{Capability: account.Update, Realms: []string{"a"}},
		account.Grant{Capability: account.List})
	grants := d.realm("desk").Grants
	if len(grants) != 2 || grants[0].Capability != account.List || len(grants[0].Realms) != 0 ||
		grants[1].Capability != account.Update || len(grants[1].Realms) != 2 || grants[1].Realms[0] != "a" {
		t.Errorf("got %v", grants)
	}
}

// everySession lives.
type everySession struct{}

func (everySession) Alive(store.Tx, string) error { return nil }

// Events say who did it, and from where.
func TestEventsNameTheActor(t *testing.T) {
	d, desk, alice := help(t)
	d.events = nil
	from := d.signedIn(desk).From(netip.MustParseAddr("192.0.2.1"), "session-1")
	d.must(func(tx store.Tx) error { // nobody can say whether the session lives: no change
		if _, err := d.SetPassword(tx, from, alice.ID, hash("x")); err == nil {
			t.Error("a change was made for a session that nobody knows")
		}
		return nil
	})
	d.SetLiving(everySession{})
	d.must(func(tx store.Tx) error {
		_, err := d.SetPassword(tx, d.signedIn(desk).From(netip.MustParseAddr("192.0.2.1"), "session-1"), alice.ID, hash("x"))
		return err
	})
	d.must(func(tx store.Tx) error {
		_, err := d.SetPassword(tx, account.Self(alice.ID), alice.ID, hash("y"))
		return err
	})
	d.must(func(tx store.Tx) error { _, err := d.SetPassword(tx, account.Local(), alice.ID, hash("z")); return err })
	want := []string{"desk@desk", "", "local"}
	for i, e := range d.events {
		if e.Actor != want[i] || e.Name != "alice@staff" || e.Principal != alice.ID || e.Outcome != "ok" {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if e := d.events[0]; e.Client.String() != "192.0.2.1" || e.Session != "session-1" {
		t.Errorf("where from: %+v", e)
	}
}
