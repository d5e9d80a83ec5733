package account_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// records are all keys of the room, with the numbers of their changes.
func (d *directory) records() (keys []string) {
	d.must(func(tx store.Tx) error {
		keys = nil
		for item, err := range tx.Scan(store.KPrefix(store.PrefixAccount), nil) {
			if err != nil {
				return err
			}
			keys = append(keys, string(item.Key)+string(item.Value))
		}
		return nil
	})
	return keys
}

func (d *directory) bring(n account.Imported, update bool) (u *account.User, outcome account.Outcome, err error) {
	err = d.do(func(tx store.Tx) (err error) {
		u, outcome, err = d.Import(tx, account.Local(), n, update)
		return err
	})
	return u, outcome, err
}

func TestImportMakesAUserWhole(t *testing.T) {
	d := newDirectory(t, nil)
	yes, groups := true, []string{"ops", "dev", "ops"}
	crypt := "$apr1$abcdefgh$5MT.bUwCwhCf2blpqTwiG/"
	u, outcome, err := d.bring(account.Imported{Ref: principal.Ref{Name: "ALICE", Realm: "Staff"}, Email: "Alice@Example.com", FullName: " Alice ",
		Phone: "+41 44 123 45 67", Groups: &groups, Disabled: &yes, PasswordHash: crypt}, false)
	if err != nil || outcome != account.Created {
		t.Fatal(outcome, err)
	}
	if u = d.user(u.ID); u.Ref() != ref("alice@staff") || u.Email != "alice@example.com" || u.FullName != "Alice" || u.Phone != "+41441234567" ||
		!slices.Equal(u.Groups, []string{"dev", "ops"}) || !u.Disabled || u.Password != crypt || u.Number == 0 {
		t.Errorf("%#v", *u)
	}
	d.must(func(tx store.Tx) error {
		digests, err := d.ForeignDigests(tx)
		if len(digests) != 1 {
			t.Errorf("the foreign hash is not remembered: %v", digests)
		}
		return err
	})

	// Again: nothing happens, whatever the file says now.
	before := d.records()
	if _, outcome, err := d.bring(account.Imported{Ref: ref("alice@staff"), FullName: "Mallory", PasswordHash: hash("other")}, false); outcome != account.Existed || err != nil {
		t.Errorf("again: %v, %v", outcome, err)
	}
	if !slices.Equal(before, d.records()) {
		t.Error("who existed was changed")
	}

	// With update: what is named, and no password.
	no := false
	u, outcome, err = d.bring(account.Imported{Ref: ref("alice@staff"), Email: "a@example.com", Disabled: &no, PasswordHash: hash("other")}, true)
	if outcome != account.Updated || err != nil || u.Email != "a@example.com" || u.FullName != "Alice" || len(u.Groups) != 2 || u.Disabled || u.Password != crypt {
		t.Errorf("update: %v, %v, %#v", outcome, err, u)
	}
	before = d.records()
	if _, outcome, err := d.bring(account.Imported{Ref: ref("alice@staff"), Email: "a@example.com"}, true); outcome != account.Existed || err != nil || !slices.Equal(before, d.records()) {
		t.Errorf("update to what is: %v, %v", outcome, err)
	}
}

// A batch goes on after a refusal, in the same transaction. So whoever is
// refused must have left nothing: no name, no index, no realm, no note of a hash.
func TestRefusedImportWritesNothing(t *testing.T) {
	d := newDirectory(t, nil)
	d.create(account.NewUser{Ref: ref("owner"), Email: "owner@example.com"})
	d.create(account.NewUser{Ref: ref("other"), Email: "other@example.com"})
	d.must(func(tx store.Tx) error {
		_, err := d.CreateService(tx, account.Local(), account.NewService{Ref: ref("robot")})
		return err
	})
	many := make([]string, 129)
	for i := range many {
		many[i] = "group" + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	crypt := "$apr1$abcdefgh$5MT.bUwCwhCf2blpqTwiG/"
	before := d.records()
	for _, c := range []struct {
		what   string
		n      account.Imported
		update bool
		want   error
	}{
		{"name", account.Imported{Ref: principal.Ref{Name: "a b", Realm: "new"}, PasswordHash: crypt}, false, account.ErrInvalid},
		{"realm", account.Imported{Ref: principal.Ref{Name: "a", Realm: "new.realm"}, PasswordHash: crypt}, false, account.ErrInvalid},
		{"address", account.Imported{Ref: ref("a@new"), Email: "x", PasswordHash: crypt}, false, account.ErrInvalid},
		{"phone", account.Imported{Ref: ref("a@new"), Phone: "044", PasswordHash: crypt}, false, account.ErrInvalid},
		{"full name", account.Imported{Ref: ref("a@new"), FullName: "a\nb", PasswordHash: crypt}, false, account.ErrInvalid},
		{"groups", account.Imported{Ref: ref("a@new"), Groups: &many, PasswordHash: crypt}, false, account.ErrInvalid},
		{"hash", account.Imported{Ref: ref("a@new"), PasswordHash: "canary"}, false, account.ErrInvalid},
		{"address taken", account.Imported{Ref: ref("a"), Email: "Owner@example.com", PasswordHash: crypt}, false, account.ErrAddressTaken},
		{"address taken, update", account.Imported{Ref: ref("other"), Email: "owner@example.com", FullName: "New"}, true, account.ErrAddressTaken},
		{"phone, update", account.Imported{Ref: ref("other"), Email: "new@example.com", Phone: "044"}, true, account.ErrInvalid},
		{"a service's name", account.Imported{Ref: ref("Robot"), PasswordHash: crypt}, false, account.ErrExists},
		{"a service's name, update", account.Imported{Ref: ref("robot"), PasswordHash: crypt}, true, account.ErrExists},
		{"administrator", account.Imported{Ref: ref("a@admin"), PasswordHash: crypt}, false, account.ErrNeedsFactor},
	} {
		d.must(func(tx store.Tx) error {
			if _, _, err := d.Import(tx, account.Local(), c.n, c.update); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.what, err, c.want)
			}
			return nil // and commits
		})
		if !slices.Equal(before, d.records()) {
			t.Errorf("%s: something was written", c.what)
		}
	}
	d.want(account.ErrForbidden, "nobody", func(tx store.Tx) error {
		_, _, err := d.Import(tx, account.Actor{}, account.Imported{Ref: ref("a")}, false)
		return err
	})
}
