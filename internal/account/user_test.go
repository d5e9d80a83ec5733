package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// A life: created, found, changed, disabled, enabled, deleted, and born again as
// somebody else.
func TestLifeOfAUser(t *testing.T) {
	d := newDirectory(t, nil)
	alice := d.create(account.NewUser{
		Ref: principal.Ref{Name: "Alice", Realm: "USERS"}, Email: "Alice@Example.com", FullName: " Alice Liddell ",
		Phone: "+43 (1) 234-567", Groups: []string{"ops", "dev", "ops"}, PasswordHash: hash("one"),
	})
	got := fmt.Sprintln(alice.Ref(), alice.Email, alice.FullName, alice.Phone, alice.Groups, alice.Number, alice.Version, alice.Epoch)
	if got != "alice@users alice@example.com Alice Liddell +431234567 [dev ops] 1 1 1\n" {
		t.Errorf("created %s", got)
	}
	if alice.ID.IsZero() || alice.CreatedAt != d.clock.Now() || !alice.InvitedAt.IsZero() || alice.PasswordAt != d.clock.Now() {
		t.Errorf("created %+v", alice.Identity())
	}
	for _, login := range []string{"alice", "ALICE", "ａｌｉｃｅ", "alice@users", "Alice@Users", "alice@example.com", "ALICE@EXAMPLE.COM"} {
		d.must(func(tx store.Tx) error {
			u, err := d.Resolve(tx, login, "")
			if err != nil || u.ID != alice.ID {
				t.Errorf("%s: %v", login, err)
			}
			return nil
		})
	}
	d.must(func(tx store.Tx) error {
		_, err := d.Update(tx, account.Local(), alice.ID, account.Change{Email: text("alice@wonder.land"), IfVersion: 1})
		return err
	})
	d.want(account.ErrVersion, "an old version", func(tx store.Tx) error {
		_, err := d.Update(tx, account.Local(), alice.ID, account.Change{FullName: text("A"), IfVersion: 1})
		return err
	})
	d.want(account.ErrUnknownUser, "the old address", func(tx store.Tx) error {
		_, err := d.Resolve(tx, "alice@example.com", "")
		return err
	})
	d.must(func(tx store.Tx) error {
		if u, err := d.SetPassword(tx, account.Self(alice.ID), alice.ID, hash("two")); err != nil || u.Epoch != 2 {
			t.Errorf("a new password: epoch %v, %v", u, err)
		}
		return nil
	})
	d.must(func(tx store.Tx) error {
		if u, err := d.SetDisabled(tx, account.Local(), alice.ID, true); err != nil || u.Epoch != 3 || u.Identity().Enabled {
			t.Errorf("disabled: %v", err)
		}
		_, err := d.SetDisabled(tx, account.Local(), alice.ID, true) // again: nothing happens
		return err
	})
	d.must(func(tx store.Tx) error {
		u, err := d.SetDisabled(tx, account.Local(), alice.ID, false)
		if err == nil && (u.Epoch != 3 || !u.Identity().Enabled) {
			t.Errorf("enabled: epoch %d", u.Epoch)
		}
		return err
	})
	hooked := 0
	d.OnDelete(func(tx store.Tx, u *account.User) error { hooked++; _, err := d.ByID(tx, u.ID); return err })
	d.must(func(tx store.Tx) error { return d.Delete(tx, account.Local(), alice.ID) })
	if hooked != 1 {
		t.Errorf("the deletion told %d others", hooked)
	}
	d.wantEvents(audit.KindUserCreate, audit.KindUserUpdate, audit.KindPasswordChange, audit.KindUserDisable, audit.KindUserEnable, audit.KindUserDelete)

	again := d.create(account.NewUser{Ref: ref("alice"), Email: "alice@wonder.land"})
	if again.ID == alice.ID || again.Number != 2 {
		t.Errorf("a new alice is the old one: number %d", again.Number)
	}
}

// Deletion leaves no record of the user behind: what was there before the user is
// there afterwards, and the sequence.
func TestDeletionRemovesEveryRecord(t *testing.T) {
	d := newDirectory(t, nil)
	mine := func() (keys []string) {
		d.must(func(tx store.Tx) error {
			keys = nil
			for item, err := range tx.Scan(store.KPrefix(store.PrefixAccount), nil) {
				if err != nil {
					return err
				}
				keys = append(keys, fmt.Sprintf("%q", item.Key))
			}
			return nil
		})
		return keys
	}
	d.create(account.NewUser{Ref: ref("first")})
	before := mine()
	u := d.create(account.NewUser{Ref: ref("second"), Email: "b@example.com", PasswordHash: hash("x")})
	if len(mine()) != len(before)+3 {
		t.Fatalf("a user has %d records, want the user and two indexes", len(mine())-len(before))
	}
	d.must(func(tx store.Tx) error { return d.Delete(tx, account.Local(), u.ID) })
	if after := mine(); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("left: %v", after)
	}
	failed := errors.New("a room could not clean up")
	d.OnDelete(func(store.Tx, *account.User) error { return failed })
	u = d.create(account.NewUser{Ref: ref("second")})
	d.want(failed, "a room that fails", func(tx store.Tx) error { return d.Delete(tx, account.Local(), u.ID) })
	d.user(u.ID) // is still there
}

// Attack: two accounts with one address, to receive the other's reset mails. Two
// transactions at once see each other's claim.
func TestOneAddressOneUserInParallel(t *testing.T) {
	d := newDirectory(t, nil)
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for n := range 32 {
		wg.Go(func() {
			err := d.store.Update(t.Context(), func(tx store.Tx) error {
				_, err := d.Create(tx, account.Local(), account.NewUser{Ref: ref(fmt.Sprintf("user%d", n)), Email: "One@example.com"})
				return err
			})
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, account.ErrAddressTaken):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 31 {
		t.Fatalf("%d have the address", won.Load())
	}
	other := d.create(account.NewUser{Ref: ref("other@staff"), Email: "one@example.com", MakeRealm: true}) // another realm
	mine := d.add("mine")
	d.want(account.ErrAddressTaken, "moving to a taken address", func(tx store.Tx) error {
		_, err := d.Update(tx, account.Local(), mine.ID, account.Change{Email: text("ONE@EXAMPLE.COM")})
		return err
	})
	d.must(func(tx store.Tx) error { // to the own address, in another spelling
		_, err := d.Update(tx, account.Local(), other.ID, account.Change{Email: text("ONE@example.COM")})
		return err
	})
	d.want(account.ErrExists, "the same name twice", func(tx store.Tx) error {
		_, err := d.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: "MINE", Realm: "users"}})
		return err
	})
}

// Numbers are given once, in parallel too.
func TestNumbersAreUnique(t *testing.T) {
	d := newDirectory(t, nil)
	var numbers sync.Map
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			var u *account.User
			err := d.store.Update(t.Context(), func(tx store.Tx) (err error) {
				u, err = d.Create(tx, account.System("import"), account.NewUser{Ref: ref(fmt.Sprintf("u%d", n))})
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
			if _, twice := numbers.LoadOrStore(u.Number, true); twice {
				t.Errorf("number %d was given twice", u.Number)
			}
		})
	}
	wg.Wait()
}

// A person changes the own full name, and nothing that others rely on: an address
// that nobody confirmed would reach upstreams and receive reset mails.
func TestSelfChangesTheFullNameAlone(t *testing.T) {
	d := newDirectory(t, nil)
	alice, bob := d.add("alice"), d.add("bob")
	d.must(func(tx store.Tx) error {
		_, err := d.Update(tx, account.Self(alice.ID), alice.ID, account.Change{FullName: text("Alice")})
		return err
	})
	for what, c := range map[string]account.Change{
		"email": {Email: text("a@example.com")}, "phone": {Phone: text("+431234567")}, "groups": {Groups: &[]string{"admins"}},
	} {
		d.want(account.ErrForbidden, what, func(tx store.Tx) error {
			_, err := d.Update(tx, account.Self(alice.ID), alice.ID, c)
			return err
		})
	}
	self := account.Self(alice.ID)
	for what, fn := range map[string]func(tx store.Tx) error{
		"another's name": func(tx store.Tx) error {
			_, err := d.Update(tx, self, bob.ID, account.Change{FullName: text("x")})
			return err
		},
		"another's password": func(tx store.Tx) error { _, err := d.SetPassword(tx, self, bob.ID, hash("x")); return err },
		"another's factors":  func(tx store.Tx) error { _, err := d.SetMethods(tx, self, bob.ID, nil, true); return err },
		"own deletion":       func(tx store.Tx) error { return d.Delete(tx, self, alice.ID) },
		"own enabling":       func(tx store.Tx) error { _, err := d.SetDisabled(tx, self, alice.ID, false); return err },
		"own invitation":     func(tx store.Tx) error { _, err := d.SetInvited(tx, self, alice.ID); return err },
		"a new user":         func(tx store.Tx) error { _, err := d.Create(tx, self, account.NewUser{Ref: ref("eve")}); return err },
		"a realm":            func(tx store.Tx) error { _, err := d.SetRealm(tx, self, "eve", account.Settings{}, nil, 0); return err },
		"nobody":             func(tx store.Tx) error { _, err := d.SetPassword(tx, account.Actor{}, alice.ID, hash("x")); return err },
	} {
		d.want(account.ErrForbidden, what, fn)
	}
	d.must(func(tx store.Tx) error { _, err := d.SetDisabled(tx, account.Local(), alice.ID, true); return err })
	d.want(account.ErrForbidden, "S6: a disabled person's own record", func(tx store.Tx) error {
		_, err := d.SetPassword(tx, self, alice.ID, hash("x"))
		return err
	})
}

// A hash is renewed at login only while it is still the one that was verified, and
// nobody is signed out by it.
func TestRehashReplacesOnlyWhatWasVerified(t *testing.T) {
	d := newDirectory(t, nil)
	alice := d.add("alice")
	d.must(func(tx store.Tx) error { return d.Rehash(tx, alice.ID, alice.Password, hash("new")) })
	u := d.user(alice.ID)
	if u.Password != hash("new") || u.Epoch != alice.Epoch || u.Version != alice.Version || !u.PasswordAt.Equal(alice.PasswordAt) {
		t.Errorf("rehashed: %+v", u.Identity())
	}
	d.must(func(tx store.Tx) error { return d.Rehash(tx, alice.ID, alice.Password, hash("late")) })
	if d.user(alice.ID).Password != hash("new") {
		t.Error("a password that was changed meanwhile came back")
	}
	d.want(account.ErrInvalid, "clear text", func(tx store.Tx) error {
		return d.Rehash(tx, alice.ID, hash("new"), "correct horse battery staple")
	})
	d.must(func(tx store.Tx) error { return d.Touch(tx, alice.ID, d.clock.Now()) })
	d.must(func(tx store.Tx) error { return d.Touch(tx, alice.ID, d.clock.Now().Add(-time.Hour)) })
	if u := d.user(alice.ID); !u.LastLoginAt.Equal(d.clock.Now()) || u.Version != alice.Version {
		t.Errorf("last login %v, version %d", u.LastLoginAt, u.Version)
	}
}

func TestRaiseEpoch(t *testing.T) {
	d := newDirectory(t, nil)
	alice := d.add("alice")
	d.must(func(tx store.Tx) error { _, err := d.RaiseEpoch(tx, alice.ID); return err })
	if u := d.user(alice.ID); u.Epoch != alice.Epoch+1 {
		t.Errorf("epoch %d", u.Epoch)
	}
}

func TestBadFieldsAreRefused(t *testing.T) {
	d := newDirectory(t, nil)
	long := strings.Repeat("x", 300)
	groups := make([]string, 129)
	for i := range groups {
		groups[i] = fmt.Sprint("g", i)
	}
	for what, n := range map[string]account.NewUser{
		"empty name":            {Ref: principal.Ref{Realm: "users"}},
		"name with @":           {Ref: principal.Ref{Name: "a@b", Realm: "users"}},
		"realm with dot":        {Ref: principal.Ref{Name: "a", Realm: "a.b"}},
		"R10: two @":            {Ref: ref("a"), Email: "a@evil@corp.com"},
		"address of two lines":  {Ref: ref("a"), Email: "a@example.com\nBcc: b@example.com"},
		"full name of two":      {Ref: ref("a"), FullName: "A\r\nRemote-Groups: admins"},
		"long full name":        {Ref: ref("a"), FullName: long},
		"full name, bad UTF-8":  {Ref: ref("a"), FullName: "a\xff"},
		"phone without country": {Ref: ref("a"), Phone: "01 234567"},
		"phone with letters":    {Ref: ref("a"), Phone: "+43 CALL"},
		"long phone":            {Ref: ref("a"), Phone: "+1234567890123456"},
		"group with comma":      {Ref: ref("a"), Groups: []string{"dev,admins"}},
		"many groups":           {Ref: ref("a"), Groups: groups},
		"password in clear":     {Ref: ref("a"), PasswordHash: "hunter2"},
	} {
		err := d.do(func(tx store.Tx) error { _, err := d.Create(tx, account.Local(), n); return err })
		if !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
	d.want(account.ErrUnknownRealm, "a missing realm", func(tx store.Tx) error {
		_, err := d.Create(tx, account.Local(), account.NewUser{Ref: ref("a@nowhere")})
		return err
	})
	alice := d.add("alice")
	for what, methods := range map[string][]account.Method{
		"two primaries": {{Name: "totp", Primary: true}, {Name: "email", Primary: true}},
		"no name":       {{}},
		"long label":    {{Name: "totp", Label: long}},
	} {
		d.want(account.ErrInvalid, what, func(tx store.Tx) error {
			_, err := d.SetMethods(tx, account.Local(), alice.ID, methods, true)
			return err
		})
	}
	d.want(account.ErrInvalid, "a person removes the own password", func(tx store.Tx) error {
		_, err := d.SetPassword(tx, account.Self(alice.ID), alice.ID, "")
		return err
	})
}

// Canaries (S8): no hash, address or number stands in an event, a log line, or
// whatever prints a user.
func TestS8NothingSecretInEventsAndPrints(t *testing.T) {
	d := newDirectory(t, nil)
	const canary = "canary"
	u := d.create(account.NewUser{Ref: ref("alice"), Email: canary + "@example.com", Phone: "+43123456789", FullName: canary, PasswordHash: hash(canary)})
	d.must(func(tx store.Tx) error {
		if _, err := d.SetPassword(tx, account.Local(), u.ID, hash(canary+"2")); err != nil {
			return err
		}
		_, err := d.Update(tx, account.Local(), u.ID, account.Change{Email: text(canary + "2@example.com"), FullName: text(canary), Phone: text("+43123456780")})
		return err
	})
	d.want(account.ErrExists, "taken", func(tx store.Tx) error {
		_, err := d.Create(tx, account.Local(), account.NewUser{Ref: ref("alice")})
		return err
	})
	d.must(func(tx store.Tx) error { return d.Delete(tx, account.Local(), u.ID) })
	events, err := json.Marshal(d.events)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("user", "u", u, "v", *u)
	for where, out := range map[string]string{
		"events": string(events), "log": log.String(), "print": fmt.Sprintf("%v %+v %#v %s %v", u, u, u, *u, []account.User{*u}),
	} {
		for _, secret := range []string{canary, "argon2id", hash(canary), "+4312345678"} {
			if strings.Contains(out, secret) {
				t.Errorf("%s: %q in %s", where, secret, out)
			}
		}
	}
	if !strings.Contains(string(events), `"fields":"email,phone"`) {
		t.Errorf("the event does not say what changed: %s", events)
	}
}

// What the index of sessions reads out of a record is what the record says.
func TestDecodeIdentity(t *testing.T) {
	d := newDirectory(t, nil)
	want := d.enrol(d.create(account.NewUser{Ref: ref("alice"), Email: "a@example.com", FullName: "A", Groups: []string{"ops"}})).Identity()
	d.must(func(tx store.Tx) error {
		n := 0
		for item, err := range tx.Scan(account.UserKeyPrefix(), nil) {
			if err != nil {
				return err
			}
			n++
			got, err := account.DecodeIdentity(item.Value)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || got.Methods != 1 || got.Kind != principal.User {
				t.Errorf("got %+v, want %+v, %v", got, want, err)
			}
		}
		if n != 1 {
			t.Errorf("%d records of users", n)
		}
		return nil
	})
	for _, bad := range []string{"", "{}", "[]", `{"id":"x"}`, `{"id":"00000000-0000-0000-0000-000000000000","name":"a","realm":"b"}`} {
		if _, err := account.DecodeIdentity([]byte(bad)); err == nil {
			t.Errorf("%q is an identity", bad)
		}
	}
}

// Attack: somebody signs up with another person's address, and upstreams take the
// address of the identity for a fact.
func TestAnAddressThatNobodyConfirmedIsNoIdentity(t *testing.T) {
	d := newDirectory(t, nil)
	u := d.create(account.NewUser{Ref: ref("mallory"), Email: "boss@corp.example", Unconfirmed: true})
	if who := u.Identity(); who.Email != "" || who.Address != "boss@corp.example" {
		t.Errorf("identity: %q %q", who.Email, who.Address)
	}
	d.must(func(tx store.Tx) error {
		if found, err := d.Resolve(tx, "boss@corp.example", "users"); err != nil || found.ID != u.ID {
			t.Errorf("it is no login: %v", err)
		}
		same := "boss@corp.example"
		changed, err := d.Update(tx, account.Local(), u.ID, account.Change{Email: &same})
		if err == nil && changed.Identity().Email != same {
			t.Error("an administrator's word is not taken")
		}
		return err
	})
}
