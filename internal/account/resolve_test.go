package account_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// What a login means: a realm after the last @ makes it a name of that realm,
// anything else there an address of the realm that the door says.
func TestResolve(t *testing.T) {
	d := newDirectory(t, nil)
	alice := d.create(account.NewUser{Ref: ref("alice"), Email: "a@staff.example"})
	other := d.create(account.NewUser{Ref: ref("alice@staff"), Email: "a@staff.example", MakeRealm: true})
	local := d.create(account.NewUser{Ref: ref("bob"), Email: "bob@staff"}) // an address that a realm shadows
	for _, c := range []struct {
		login, realm string
		want         *account.User
	}{
		{"alice", "", alice}, {"alice", "users", alice}, {"alice", "staff", other}, {"alice", "STAFF", other},
		{"alice@staff", "", other}, {"alice@staff", "users", other}, {"alice@users", "staff", alice},
		{"a@staff.example", "", alice}, {"a@STAFF.example", "staff", other},
		{"bob@staff", "", nil}, {"bob", "", local},
		{"", "", nil}, {"@", "", nil}, {"@users", "", nil}, {"alice@", "", nil}, {"alice@nowhere", "", nil}, {"alice", "nowhere", nil},
		{"alice", "a.b", nil}, {" alice", "", nil}, {"alice\x00", "", nil}, {"alice@evil@users", "", nil},
		{"a@evil@staff.example", "", nil}, // R10
		{"a@staff.example@evil.com", "", nil}, {"\xff", "", nil}, {strings.Repeat("a", 1<<16), "", nil}, {strings.Repeat("a", 1<<16) + "@users", "", nil},
		{"alice@staff", strings.Repeat("x", 1<<16), other},
	} {
		var got *account.User
		err := d.do(func(tx store.Tx) (err error) { got, err = d.Resolve(tx, c.login, c.realm); return err })
		switch {
		case c.want == nil && !errors.Is(err, account.ErrUnknownUser):
			t.Errorf("%.20q in %.10q: %v, %v", c.login, c.realm, got, err)
		case c.want != nil && (err != nil || got.ID != c.want.ID):
			t.Errorf("%.20q in %.10q: %v, %v", c.login, c.realm, got, err)
		}
	}
	if err := d.do(func(tx store.Tx) error {
		_, err := d.ByRef(tx, principal.Ref{Name: strings.Repeat("a", 2000)})
		return err
	}); !errors.Is(err, account.ErrUnknownUser) {
		t.Errorf("a name that fits no key: %v", err)
	}
}

// Attack (O7): the attacker spells one name in many ways and has the free tries of
// each. Before, name and address, upper and lower case had counters of their own.
func TestO7OneSpellingForAllAliases(t *testing.T) {
	d := newDirectory(t, nil)
	d.create(account.NewUser{Ref: ref("alice"), Email: "alice@example.com"})
	for want, logins := range map[string][]string{
		"alice users":         {"alice", "ALICE", "ａｌｉｃｅ", "alice@users", "Alice@USERS", "alice@example.com", "ALICE@Example.COM"},
		"mallory users":       {"mallory", "Mallory", "ｍallory", "mallory@users", "MALLORY@Users"},
		"m@example.com users": {"m@example.com", "M@EXAMPLE.com", "m@ｅxample.com"},
		"mallory nowhere":     nil,
	} {
		for _, login := range logins {
			d.must(func(tx store.Tx) error {
				r, err := d.Canonical(tx, login, "")
				if got := r.Name + " " + r.Realm; got != want {
					t.Errorf("%s: %q, want %q", login, got, want)
				}
				return err
			})
		}
	}
	// What can be no name has a spelling too, always the same, and never that of a user.
	for _, login := range []string{"", "@", "a b", "\xff\xfe", "alice\x00", strings.Repeat("x", 1<<16), "alice@nowhere"} {
		d.must(func(tx store.Tx) error {
			a, err := d.Canonical(tx, login, "Nowhere")
			if err != nil {
				return err
			}
			b, err := d.Canonical(tx, login, "nowhere")
			if a != b || fmt.Sprint(a) == "alice@users" || len(a.Name) > 1024 {
				t.Errorf("%.20q: %.40q and %.40q", login, a, b)
			}
			return err
		})
	}
}

// Attack: a realm keeps names exact, so Bob and bob are two there; a door that folds
// names would do to bob what was meant for Bob.
func TestNamesAreSpelledAsTheRealmHasThem(t *testing.T) {
	d := newDirectory(t, map[string]account.Settings{"adjure": {Names: account.NamesExact}})
	upper := d.create(account.NewUser{Ref: principal.Ref{Name: "Bob", Realm: "adjure"}})
	lower := d.create(account.NewUser{Ref: principal.Ref{Name: "bob", Realm: "adjure"}})
	odd := d.create(account.NewUser{Ref: principal.Ref{Name: "a b/c,d@example.com", Realm: "adjure"}})
	none := d.create(account.NewUser{Ref: principal.Ref{Name: "", Realm: "adjure"}})
	for name, want := range map[string]principal.ID{"Bob": upper.ID, "bob": lower.ID, "a b/c,d@example.com": odd.ID, "": none.ID} {
		d.must(func(tx store.Tx) error {
			ref, err := d.Ref(tx, name, "adjure")
			if err != nil {
				return err
			}
			u, err := d.ByRef(tx, ref)
			if err == nil && u.ID != want {
				t.Errorf("%q is somebody else", name)
			}
			return err
		})
	}
	for _, name := range []string{"a\nb", "a\x00", "\xff", strings.Repeat("x", 129)} {
		d.want(account.ErrInvalid, fmt.Sprintf("the name %q", name), func(tx store.Tx) error {
			_, err := d.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: name, Realm: "adjure"}})
			return err
		})
	}
	d.must(func(tx store.Tx) error { // the empty name does not end a list, nor begin it again
		cursor, seen := "", []string{}
		for range 10 {
			page, next, err := d.List(tx, "adjure", "", cursor, 1)
			if err != nil {
				return err
			}
			for _, u := range page {
				seen = append(seen, u.Name)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if len(seen) != 4 || seen[0] != "" {
			t.Errorf("the list has %q", seen)
		}
		return nil
	})
	d.want(account.ErrNotEmpty, "folding names of two members into one", func(tx store.Tx) error {
		_, err := d.SetRealm(tx, account.Local(), "users", account.Settings{Names: account.NamesExact}, nil, 0)
		if err != nil {
			return err
		}
		if _, err := d.Create(tx, account.Local(), account.NewUser{Ref: ref("Eve")}); err != nil {
			return err
		}
		_, err = d.SetRealm(tx, account.Local(), "users", account.Settings{}, nil, 0)
		return err
	})
}

// Attack (R10): an address with two @, of which one reader checks the last domain
// and another sends to the first. It is nobody's, and nobody can have it.
func TestR10TwoAtsAreNobody(t *testing.T) {
	d := newDirectory(t, nil)
	alice := d.create(account.NewUser{Ref: ref("alice"), Email: "a@corp.example"})
	for _, address := range []string{"a@evil@corp.example", "a@corp.example@evil.example", "\"a@evil\"@corp.example"} {
		d.want(account.ErrUnknownUser, "login as "+address, func(tx store.Tx) error { _, err := d.Resolve(tx, address, ""); return err })
		d.want(account.ErrInvalid, "having "+address, func(tx store.Tx) error {
			_, err := d.Update(tx, account.Local(), alice.ID, account.Change{Email: &address})
			return err
		})
	}
}
