package account_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Attack: a service proves itself, is disabled or replaced, and its call goes on.
func TestStill(t *testing.T) {
	d := newDirectory(t, nil)
	ref := principal.Ref{Name: "a", Realm: "robots"}
	var who account.Identity
	make := func(tx store.Tx) error {
		s, err := d.CreateService(tx, account.Local(), account.NewService{Ref: ref, MakeRealm: true})
		if err == nil {
			who = s.Identity()
		}
		return err
	}
	still := func(tx store.Tx) error { _, err := d.Still(tx, &who); return err }
	d.must(make)
	d.must(still)
	yes, no := true, false
	d.must(func(tx store.Tx) error {
		_, err := d.UpdateService(tx, account.Local(), ref, account.ServiceChange{Disabled: &yes})
		return err
	})
	d.want(account.ErrForbidden, "a disabled one", still)
	d.must(func(tx store.Tx) error {
		_, err := d.UpdateService(tx, account.Local(), ref, account.ServiceChange{Disabled: &no})
		return err
	})
	d.want(account.ErrForbidden, "one that was disabled meanwhile", still)
	d.must(func(tx store.Tx) error { return d.DeleteService(tx, account.Local(), ref) })
	d.want(account.ErrForbidden, "a deleted one", still)
	old := who
	d.must(make)
	who = old
	d.want(account.ErrForbidden, "another of the same name", still)
	d.want(account.ErrForbidden, "nobody", func(tx store.Tx) error { _, err := d.Still(tx, nil); return err })
}
