package account_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// hash is a password's hash of the right form; its middle is a canary.
func hash(canary string) string {
	b64 := base64.RawStdEncoding
	salt, sum := make([]byte, 16), make([]byte, 32)
	copy(salt, canary)
	copy(sum, canary)
	return "$argon2id$v=19$m=19456,t=2,p=1$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(sum)
}

// directory is an account.Directory over a store in memory.
type directory struct {
	*account.Directory
	t      *testing.T
	store  store.Store
	clock  *storetest.Clock
	mu     sync.Mutex
	events []audit.Event
}

func newDirectory(t *testing.T, realms map[string]account.Settings) *directory {
	t.Helper()
	clock := storetest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	log := audit.New(audit.Options{Clock: clock.Now})
	d := &directory{t: t, store: storetest.Open(t, clock.Now), clock: clock}
	d.Directory = account.New(account.Options{Audit: log, Realms: realms})
	log.Subscribe(func(e audit.Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.events = append(d.events, e)
	})
	if err := d.EnsureReserved(t.Context(), d.store); err != nil {
		t.Fatal(err)
	}
	return d
}

// do runs fn in a transaction and returns its error.
func (d *directory) do(fn func(tx store.Tx) error) error {
	return d.store.Update(d.t.Context(), fn)
}

func (d *directory) must(fn func(tx store.Tx) error) {
	d.t.Helper()
	if err := d.do(fn); err != nil {
		d.t.Fatal(err)
	}
}

// want runs fn and demands the error.
func (d *directory) want(want error, what string, fn func(tx store.Tx) error) {
	d.t.Helper()
	if err := d.do(fn); !errors.Is(err, want) {
		d.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func ref(s string) principal.Ref {
	r, err := principal.ParseRef(s, "users")
	if err != nil {
		panic(err)
	}
	return r
}

// add makes a user as the command line does.
func (d *directory) add(name string, groups ...string) *account.User {
	d.t.Helper()
	return d.create(account.NewUser{Ref: ref(name), Groups: groups, PasswordHash: hash(name), MakeRealm: true})
}

func (d *directory) create(n account.NewUser) (u *account.User) {
	d.t.Helper()
	d.must(func(tx store.Tx) (err error) {
		u, err = d.Create(tx, account.Local(), n)
		return err
	})
	return u
}

// enrol gives a user a confirmed factor.
func (d *directory) enrol(u *account.User) *account.User {
	d.t.Helper()
	d.must(func(tx store.Tx) (err error) {
		u, err = d.SetMethods(tx, account.Self(u.ID), u.ID, []account.Method{{Name: "totp", Primary: true, AddedAt: tx.Now()}}, true)
		return err
	})
	return u
}

// signedIn is a person who has just proved two factors.
func (d *directory) signedIn(u *account.User) account.Actor {
	return account.Person(u.ID, 2, d.clock.Now())
}

func (d *directory) user(id principal.ID) (u *account.User) {
	d.t.Helper()
	d.must(func(tx store.Tx) (err error) {
		u, err = d.ByID(tx, id)
		return err
	})
	return u
}

func (d *directory) setRealm(name string, s account.Settings, grants ...account.Grant) {
	d.t.Helper()
	d.must(func(tx store.Tx) error {
		_, err := d.SetRealm(tx, account.Local(), name, s, &grants, 0)
		return err
	})
}

func (d *directory) kinds() (kinds []audit.Kind) {
	for _, e := range d.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (d *directory) wantEvents(want ...audit.Kind) {
	d.t.Helper()
	if got := d.kinds(); !slices.Equal(got, want) {
		d.t.Errorf("events %v, want %v", got, want)
	}
}

func text(s string) *string { return &s }
func number(n int) *int     { return &n }
