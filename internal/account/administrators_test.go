package account_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
)

func (d *directory) wantAdministrators(want int) {
	d.t.Helper()
	d.must(func(tx store.Tx) error {
		n, err := d.Administrators(tx)
		if n != want {
			d.t.Errorf("%d administrators, want %d", n, want)
		}
		return err
	})
}

// An administrator is an enabled person of admin with a confirmed factor.
func TestAdministratorsAreCounted(t *testing.T) {
	d := newDirectory(t, nil)
	root := d.add("root@admin")
	d.wantAdministrators(0) // no factor yet: the setup link still works
	d.must(func(tx store.Tx) error {
		_, err := d.SetMethods(tx, account.Local(), root.ID, []account.Method{{Name: "recovery_code"}}, false)
		return err
	})
	d.wantAdministrators(0) // recovery codes are no factor
	d.enrol(root)
	d.enrol(d.add("alice"))
	d.wantAdministrators(1)
	eve := d.enrol(d.add("eve@admin"))
	d.wantAdministrators(2)
	d.must(func(tx store.Tx) error { _, err := d.SetDisabled(tx, d.signedIn(root), eve.ID, true); return err })
	d.wantAdministrators(1)
	d.must(func(tx store.Tx) error { _, err := d.SetDisabled(tx, d.signedIn(root), eve.ID, false); return err })
	d.wantAdministrators(2)
	d.must(func(tx store.Tx) error { return d.Delete(tx, d.signedIn(root), eve.ID) })
	d.wantAdministrators(1)
}

// The last administrator cannot vanish by any way, not even by the own hand. Only
// the command line on the server can do it: there a setup link makes another one.
func TestTheLastAdministratorStays(t *testing.T) {
	d := newDirectory(t, nil)
	root := d.enrol(d.add("root@admin"))
	d.add("half@admin") // has no factor: cannot log in
	for name, actor := range map[string]account.Actor{
		"a person": d.signedIn(root), "the own hand": account.Self(root.ID), "the program": account.System("cleaner"),
	} {
		for what, fn := range map[string]func(tx store.Tx) error{
			"disable": func(tx store.Tx) error { _, err := d.SetDisabled(tx, actor, root.ID, true); return err },
			"delete":  func(tx store.Tx) error { return d.Delete(tx, actor, root.ID) },
			"reset":   func(tx store.Tx) error { _, err := d.SetMethods(tx, actor, root.ID, nil, true); return err },
		} {
			err := d.do(fn)
			forbidden := name == "the own hand" && what != "reset" && errors.Is(err, account.ErrForbidden)
			if !errors.Is(err, account.ErrLastAdministrator) && !forbidden {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
	}
	d.wantAdministrators(1)
	d.must(func(tx store.Tx) error { _, err := d.SetMethods(tx, account.Local(), root.ID, nil, true); return err })
	d.wantAdministrators(0)
}

// Attack on the invariant (write skew): two administrators disable each other at
// the same time. Each transaction alone leaves one; together they would leave none.
func TestTwoAdministratorsDisableEachOther(t *testing.T) {
	for range 20 {
		d := newDirectory(t, nil)
		a, b := d.enrol(d.add("a@admin")), d.enrol(d.add("b@admin"))
		actorA, actorB := d.signedIn(a), d.signedIn(b)
		var done, refused atomic.Int32
		var wg sync.WaitGroup
		disable := func(actor account.Actor, u *account.User) {
			err := d.store.Update(t.Context(), func(tx store.Tx) error {
				_, err := d.SetDisabled(tx, actor, u.ID, true)
				return err
			})
			switch {
			case err == nil:
				done.Add(1)
			case errors.Is(err, account.ErrLastAdministrator), errors.Is(err, account.ErrForbidden): // the second is disabled by then
				refused.Add(1)
			default:
				t.Error(err)
			}
		}
		wg.Go(func() { disable(actorA, b) })
		wg.Go(func() { disable(actorB, a) })
		wg.Wait()
		if done.Load() != 1 || refused.Load() != 1 {
			t.Fatalf("%d done, %d refused", done.Load(), refused.Load())
		}
		d.wantAdministrators(1)
	}
	// The same by two programs, whose right does not vanish meanwhile.
	d := newDirectory(t, nil)
	a, b := d.enrol(d.add("a@admin")), d.enrol(d.add("b@admin"))
	var last atomic.Int32
	var wg sync.WaitGroup
	for _, u := range []*account.User{a, b} {
		wg.Go(func() {
			err := d.store.Update(t.Context(), func(tx store.Tx) error { return d.Delete(tx, account.System("sync"), u.ID) })
			if errors.Is(err, account.ErrLastAdministrator) {
				last.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if last.Load() != 1 {
		t.Errorf("%d deletions were refused, want one", last.Load())
	}
	d.wantAdministrators(1)
}

// A person's capabilities count only with two real factors, and changes only while
// the second is at most 15 minutes old.
func TestCapabilitiesNeedTwoFactorsAndChangesAFreshOne(t *testing.T) {
	d := newDirectory(t, nil)
	root, alice := d.enrol(d.add("root@admin")), d.add("alice")
	now := d.clock.Now()
	change := func(a account.Actor) func(store.Tx) error {
		return func(tx store.Tx) error { _, err := d.SetPassword(tx, a, alice.ID, hash("x")); return err }
	}
	list := func(a account.Actor) func(store.Tx) error {
		return func(tx store.Tx) error { return d.Allowed(tx, a, account.List, "users") }
	}
	for what, a := range map[string]account.Actor{
		"one factor":        account.Person(root.ID, 1, now),
		"a trusted browser": account.Person(root.ID, 2, time.Time{}),
	} {
		d.want(account.ErrNotFresh, what+" changes", change(a))
		d.want(account.ErrNotFresh, what+" lists", list(a))
	}
	d.must(change(account.Person(root.ID, 2, now.Add(-15*time.Minute))))
	old := account.Person(root.ID, 2, now.Add(-15*time.Minute-time.Nanosecond))
	d.want(account.ErrNotFresh, "16 minutes", change(old))
	d.must(list(old))
	d.want(account.ErrNotFresh, "a clock that was set back an hour", change(account.Person(root.ID, 2, now.Add(time.Hour))))
	d.must(func(tx store.Tx) error { _, err := d.SetDisabled(tx, account.Local(), root.ID, true); return err })
	d.want(account.ErrForbidden, "S6: a disabled administrator", change(d.signedIn(root)))
	d.want(account.ErrForbidden, "S6: a disabled administrator lists", list(d.signedIn(root)))
}

// Who may enrol a first factor with a password alone.
func TestMayEnroll(t *testing.T) {
	d := newDirectory(t, map[string]account.Settings{"closed": {Enrollment: account.EnrollOff}, "guests": {Enrollment: account.EnrollInvitation}})
	may := func(u *account.User) (answer string) {
		d.must(func(tx store.Tx) error {
			ok, reason, err := d.MayEnroll(tx, u)
			if answer = reason; ok {
				answer = "yes"
			}
			return err
		})
		return answer
	}
	invite := func(u *account.User) *account.User {
		d.must(func(tx store.Tx) (err error) { u, err = d.SetInvited(tx, account.Local(), u.ID); return err })
		return u
	}
	alice, guest, root, off := d.add("alice"), d.add("bob@guests"), d.add("root@admin"), d.add("x@closed")
	check := func(when string, want ...string) {
		t.Helper()
		for i, u := range []*account.User{alice, guest, root, off} {
			if got := may(u); got != want[i] {
				t.Errorf("%s: %s: %s, want %s", when, u, got, want[i])
			}
		}
	}
	check("created", "yes", "needs_invitation", "needs_invitation", "enrollment_off")
	d.clock.Advance(14*24*time.Hour - time.Second)
	check("in the last second", "yes", "needs_invitation", "needs_invitation", "enrollment_off")
	d.clock.Advance(time.Second)
	check("after 14 days", "too_late", "needs_invitation", "needs_invitation", "enrollment_off")
	alice, guest, root, off = invite(alice), invite(guest), invite(root), invite(off)
	check("invited", "yes", "yes", "yes", "enrollment_off")
	d.clock.Advance(72 * time.Hour)
	check("72 hours later", "yes", "needs_invitation", "needs_invitation", "enrollment_off")
	alice = d.enrol(alice)
	if got := may(alice); got != "has_factor" || alice.EnrolledAt.IsZero() {
		t.Errorf("who has a factor: %s", got)
	}
}

// Attack (S6): somebody who was disabled goes on with what is still open. The epoch
// is raised, the capabilities are gone, the own record is closed; enabling again
// revives nothing that was open before.
func TestS6DisablingClosesAllDoorsOfAccount(t *testing.T) {
	d := newDirectory(t, nil)
	d.enrol(d.add("other@admin"))
	root, alice := d.enrol(d.add("root@admin")), d.add("alice")
	before := root.Epoch
	d.must(func(tx store.Tx) error { _, err := d.SetDisabled(tx, account.Local(), root.ID, true); return err })
	for what, fn := range map[string]func(tx store.Tx) error{
		"as a person": func(tx store.Tx) error { return d.Delete(tx, d.signedIn(root), alice.ID) },
		"as a reader": func(tx store.Tx) error { return d.Allowed(tx, d.signedIn(root), account.List, "users") },
		"as oneself": func(tx store.Tx) error {
			_, err := d.SetPassword(tx, account.Self(root.ID), root.ID, hash("x"))
			return err
		},
	} {
		d.want(account.ErrForbidden, what, fn)
	}
	d.must(func(tx store.Tx) error { _, err := d.SetDisabled(tx, account.Local(), root.ID, false); return err })
	if u := d.user(root.ID); u.Epoch <= before {
		t.Errorf("epoch %d after disabling and enabling, was %d", u.Epoch, before)
	}
}
