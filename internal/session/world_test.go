package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

const issuer = "https://auth.example.com"

// phc is the form of a hash; nobody's password.
const phc = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A"

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a store, its people and a registry under a clock that the test owns.
type world struct {
	testing.TB
	clock *storetest.Clock
	store store.Store
	base  *store.SealedStore
	dir   *account.Directory
	audit *audit.Log
	*session.Registry

	mu     sync.Mutex
	events []audit.Event
}

func newWorld(t testing.TB) *world {
	return newWorldOver(t, func(s store.Store) store.Store { return s })
}

func newWorldOver(t testing.TB, wrap func(store.Store) store.Store) *world {
	t.Helper()
	w := &world{TB: t, clock: storetest.NewClock(start)}
	w.base = storetest.Open(t, w.clock.Now)
	w.store = wrap(w.base)
	w.audit = audit.New(audit.Options{Clock: w.clock.Now})
	w.audit.Subscribe(func(e audit.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	})
	w.dir = account.New(account.Options{Audit: w.audit})
	if err := w.dir.EnsureReserved(t.Context(), w.store); err != nil {
		t.Fatal(err)
	}
	w.Registry = w.registry()
	w.dir.OnDelete(func(tx store.Tx, u *account.User) error {
		_, err := w.RevokeAll(tx, u.ID, "")
		return err
	})
	return w
}

func (w *world) registry() *session.Registry {
	w.Helper()
	r, err := session.New(session.Options{
		Store: w.store, Derive: w.base.Derive, Directory: w.dir, Audit: w.audit, Clock: w.clock.Now, Issuer: issuer,
	})
	w.must(err)
	w.Cleanup(func() { w.must(r.Close()) })
	return r
}

// restart closes the registry and opens one that knows nothing but the store.
func (w *world) restart() {
	w.Helper()
	w.must(w.Close())
	w.Registry = w.registry()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) update(fn func(store.Tx) error) {
	w.Helper()
	w.must(w.store.Update(context.Background(), fn))
}

func (w *world) user(name string) *account.User {
	w.Helper()
	return w.userIn(name, "users")
}

func (w *world) userIn(name, realm string) (u *account.User) {
	w.Helper()
	w.update(func(tx store.Tx) (err error) {
		u, err = w.dir.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: name, Realm: realm}, Email: name + "@" + realm + ".example.com"})
		return err
	})
	return u
}

// twoDoors is the proof of a login just now.
func (w *world) twoDoors() session.Proof {
	now := w.clock.Now()
	return session.Proof{AMR: session.PWD | session.OTP, PasswordAt: now, FactorAt: now}
}

func (w *world) open(u *account.User, with ...func(*session.Opening)) (o *session.Opened) {
	w.Helper()
	opening := session.Opening{Proof: w.twoDoors(), Kind: session.Browser}
	for _, fn := range with {
		fn(&opening)
	}
	w.update(func(tx store.Tx) (err error) {
		if opening.User, err = w.dir.ByID(tx, u.ID); err != nil {
			return err
		}
		o, err = w.Open(tx, opening)
		return err
	})
	return o
}

func domain(o *session.Opening)  { o.Domain = true }
func refresh(o *session.Opening) { o.Refresh, o.Kind = true, session.API }

func lifetimes(l account.Lifetimes) func(*session.Opening) {
	return func(o *session.Opening) { o.Lifetimes = l }
}

func (w *world) live(cookie string) (session.Live, error) {
	return w.Live(context.Background(), cookie, w.clock.Now())
}

// passes demands that a cookie opens a session.
func (w *world) passes(cookie string) session.Live {
	w.Helper()
	l, err := w.live(cookie)
	if err != nil {
		w.Fatalf("a good cookie was refused: %v", err)
	}
	return l
}

// refused demands that a cookie opens nothing.
func (w *world) refused(cookie string) {
	w.Helper()
	if l, err := w.live(cookie); !errors.Is(err, session.ErrNone) || l != (session.Live{}) {
		w.Fatalf("got %+v, %v; want ErrNone", l, err)
	}
}

func (w *world) access(l session.Live) string {
	w.Helper()
	text, _, err := w.Access(context.Background(), l)
	w.must(err)
	return text
}

func (w *world) tokenRefused(token string) {
	w.Helper()
	if l, err := w.VerifyAccess(context.Background(), token); !errors.Is(err, session.ErrNone) || l != (session.Live{}) {
		w.Fatalf("got %+v, %v; want ErrNone", l, err)
	}
}

// caused counts the events of a cause.
func (w *world) caused(kind audit.Kind, cause string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind && e.Cause == cause {
			n++
		}
	}
	return n
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("person%d", i)
	}
	return all
}
