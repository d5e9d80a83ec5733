package login_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// secretWords is a password that is good enough, and wrongWords one that is not hers.
const (
	secretWords = "quartz lantern otter velvet"
	wrongWords  = "incorrect pony accumulator pin"
)

// cheap parameters: what is tested here is what is compared, not what it costs.
var cheap = secret.HashParams{MemoryKiB: 64, Time: 1, Threads: 1}

// countedStore counts Updates and calls before each one what a test has to do
// just then.
type countedStore struct {
	store.Store
	updates atomic.Int64
	puts    atomic.Int64 // records that Updates wrote
	mu      sync.Mutex
	before  func(n int64)
}

func (s *countedStore) Update(ctx context.Context, fn func(store.Tx) error) error {
	n := s.updates.Add(1)
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(n)
	}
	return s.Store.Update(ctx, func(tx store.Tx) error { return fn(countedTx{tx, s}) })
}

type countedTx struct {
	store.Tx
	s *countedStore
}

func (c countedTx) Put(key, value []byte, expires time.Time) error {
	c.s.puts.Add(1)
	return c.Tx.Put(key, value, expires)
}

// beforeUpdate calls fn once, before the nth Update from now (1: the next).
func (s *countedStore) beforeUpdate(nth int64, fn func()) {
	at := s.updates.Load() + nth
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = func(n int64) {
		if n == at {
			fn()
		}
	}
}

// house is everything that a login needs, over a store in memory.
type house struct {
	*testing.T
	clock    *storetest.Clock
	sealed   *store.SealedStore
	store    *countedStore
	dir      *account.Directory
	audit    *audit.Log
	factors  *factor.Factors
	sessions *session.Registry
	throttle *throttle.Throttle
	hasher   *secret.Hasher
	doors    *login.Doors
	mail     *mailtest.Mail

	mu     sync.Mutex
	events []audit.Event
}

type setting struct {
	store  *store.SealedStore
	clock  *storetest.Clock
	hasher secret.HasherOptions
	realms map[string]account.Settings
	floor  func() time.Duration
	policy *throttle.Policy
	origin string                          // of the pages, for passkeys; "": none are offered
	post   *post                           // what sends; nil: nothing does
	mail   func(testing.TB) *mailtest.Mail // nil: mailtest.New
}

func newHouse(t *testing.T, s setting) *house {
	t.Helper()
	h := &house{T: t, clock: s.clock, sealed: s.store}
	if h.clock == nil {
		h.clock = storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 5, 0, time.UTC))
	}
	if h.sealed == nil {
		h.sealed = storetest.Open(t, h.clock.Now)
	}
	h.store = &countedStore{Store: h.sealed}
	h.audit = audit.New(audit.Options{Clock: h.clock.Now})
	h.audit.Subscribe(func(e audit.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	})
	h.dir = account.New(account.Options{Audit: h.audit, Realms: s.realms})
	must(t, h.dir.EnsureReserved(t.Context(), h.sealed))
	factors := factor.Options{Directory: h.dir, Audit: h.audit, Derive: h.sealed.Derive}
	if s.origin != "" {
		page, err := url.Parse(s.origin)
		must(t, err)
		factors.Passkeys = &factor.Passkeys{RPID: page.Hostname(), Name: "Sallyport", Origins: []string{s.origin}}
		must(t, factors.Passkeys.Check())
	}
	if s.post != nil {
		factors.Sender = s.post
	}
	h.factors = factor.New(factors)
	sessions, err := session.New(session.Options{
		Store: h.sealed, Derive: h.sealed.Derive, Directory: h.dir, Audit: h.audit, Clock: h.clock.Now,
	})
	must(t, err)
	t.Cleanup(func() { must(t, sessions.Close()) })
	h.sessions = sessions
	h.dir.SetLiving(sessions)
	policy := throttle.DefaultPolicy()
	if s.policy != nil {
		policy = *s.policy
	}
	h.throttle = throttle.New(policy, h.sealed.Derive("throttle"))
	if s.hasher.Params == (secret.HashParams{}) {
		s.hasher.Params = cheap
	}
	if s.hasher.Queue == 0 {
		s.hasher.Queue = 4096
	}
	h.hasher = secret.NewHasher(s.hasher)
	if s.floor == nil {
		s.floor = func() time.Duration { return 0 }
	}
	if s.mail == nil {
		s.mail = mailtest.New
	}
	h.mail = s.mail(t)
	h.doors = login.New(login.Options{
		Mail:  h.mail,
		Store: h.store, Directory: h.dir, Factors: h.factors, Sessions: h.sessions, Throttle: h.throttle, Hasher: h.hasher,
		Audit: h.audit, Derive: h.sealed.Derive, Clock: h.clock.Now, Logger: slog.New(slog.DiscardHandler), Floor: s.floor,
	})
	t.Cleanup(h.audit.Within(h.doors.Notify))
	h.dir.OnDelete(func(tx store.Tx, u *account.User) error {
		return errors.Join(h.doors.Forget(tx, u.ID), h.factors.Forget(tx, u.ID))
	})
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) update(fn func(store.Tx) error) {
	h.Helper()
	must(h, h.sealed.Update(h.Context(), fn))
}

// person is somebody with what they remember and carry.
type person struct {
	h        *house
	id       principal.ID
	name     string
	password string
	seed     []byte
	codes    []string // recovery codes
	client   login.Client
}

// someone makes a user with a password, without a factor.
func (h *house) someone(ref string) *person {
	h.Helper()
	digest, err := h.hasher.Hash(h.Context(), secretWords)
	must(h, err)
	return h.withDigest(ref, digest)
}

func (h *house) withDigest(ref, digest string) *person {
	h.Helper()
	parsed, err := principal.ParseRef(ref, "users")
	must(h, err)
	p := &person{h: h, name: parsed.String(), password: secretWords, client: from("192.0.2.1")}
	h.update(func(tx store.Tx) error {
		u, err := h.dir.Create(tx, account.Local(), account.NewUser{
			Ref: parsed, PasswordHash: digest, Email: parsed.Name + "@example.com", MakeRealm: true,
		})
		if err == nil {
			p.id = u.ID
		}
		return err
	})
	return p
}

// member makes a user with a password and an authenticator.
func (h *house) member(ref string) *person {
	h.Helper()
	p := h.someone(ref)
	p.provision()
	return p
}

// provision gives the person an authenticator that is active at once.
func (p *person) provision() {
	p.h.Helper()
	p.h.update(func(tx store.Tx) error {
		e, err := p.h.factors.Enroll(tx, account.Local(), p.id, factor.EnrollOptions{Confirmed: true})
		if err == nil {
			p.seed, p.codes = e.Seed.Reveal(), e.RecoveryCodes
		}
		return err
	})
}

func from(addr string) login.Client { return login.Client{Addr: netip.MustParseAddr(addr)} }

// code is what the authenticator shows now.
func (p *person) code() string { return codeAt(p.h, p.seed, p.h.clock.Now()) }

func codeAt(t testing.TB, seed []byte, at time.Time) string {
	t.Helper()
	code, err := otp.Default().Code(seed, otp.Default().Step(at))
	must(t, err)
	return code
}

// wrongCode is none of the window's codes.
func (p *person) wrongCode() string {
	now := p.h.clock.Now()
	for n := range 10 {
		code := fmt.Sprintf("%06d", 111_111*n)
		clash := false
		for _, off := range []time.Duration{-60, -30, 0, 30, 60} {
			clash = clash || code == codeAt(p.h, p.seed, now.Add(off*time.Second))
		}
		if !clash {
			return code
		}
	}
	p.h.Fatal("ten codes cannot all be good")
	return ""
}

// next takes the clock to the next step, so that the authenticator shows a new code.
func (h *house) next() { h.clock.Advance(30 * time.Second) }

func (p *person) attempt() login.Attempt {
	return login.Attempt{Login: p.name, Password: p.password, Door: login.Portal, Client: p.client}
}

// first passes the first door.
func (p *person) first() *login.Next {
	p.h.Helper()
	return p.firstAt(login.Portal)
}

func (p *person) firstAt(door login.Door) *login.Next {
	p.h.Helper()
	a := p.attempt()
	a.Door = door
	next, err := p.h.doors.Password(p.h.Context(), a)
	if err != nil {
		p.h.Fatalf("the right password of %s: %v", p.name, err)
	}
	return next
}

func (p *person) second(next *login.Next, code string) login.Second {
	return login.Second{Ephemeral: next.Ephemeral.Reveal(), Code: code, Door: login.Portal, Client: p.client}
}

// login passes both doors.
func (p *person) login() *login.Next {
	p.h.Helper()
	next, err := p.h.doors.Code(p.h.Context(), p.second(p.first(), p.code()))
	if err != nil {
		p.h.Fatalf("the right code of %s: %v", p.name, err)
	}
	p.client.Browser = next.Browser.Reveal()
	return next
}

// live is the session of a finished login, as the guard sees it.
func (h *house) live(next *login.Next) (session.Live, error) {
	return h.sessions.Live(h.Context(), next.Opened.Cookie.Reveal(), h.clock.Now())
}

func (h *house) mustLive(next *login.Next) session.Live {
	h.Helper()
	live, err := h.live(next)
	if err != nil {
		h.Fatalf("the session does not live: %v", err)
	}
	return live
}

func (h *house) mustBeDead(next *login.Next, why string) {
	h.Helper()
	if _, err := h.live(next); !errors.Is(err, session.ErrNone) {
		h.Errorf("a session lives on after %s: %v", why, err)
	}
}

func (h *house) wantDenied(err error, what string) {
	h.Helper()
	if !errors.Is(err, login.ErrDenied) {
		h.Errorf("%s: got %v, want ErrDenied", what, err)
	}
}

func throttled(err error) bool {
	_, ok := errors.AsType[*throttle.Throttled](err)
	return ok
}

// fresh proves a code for a change that changes nothing.
func (h *house) fresh(live session.Live, code string, c login.Client) error {
	return h.doors.WithFresh(h.Context(), live, code, c, func(store.Tx, *account.User) error { return nil })
}

// count says how many events of a kind, outcome and cause were told.
func (h *house) count(kind audit.Kind, outcome audit.Outcome, cause string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, e := range h.events {
		if e.Kind == kind && e.Outcome == outcome && (cause == "" || e.Cause == cause) {
			n++
		}
	}
	return n
}

// parallel runs fn n times at once and returns what each run said.
func parallel(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wait.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wait.Wait()
	return errs
}
