package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Options of a Registry.
type Options struct {
	Store     store.Store                 // required
	Derive    func(purpose string) []byte // required: 32 secret bytes per purpose, as SealedStore.Derive
	Directory *account.Directory          // required
	Audit     *audit.Log                  // required
	Clock     func() time.Time            // nil: time.Now
	Logger    *slog.Logger                // nil: silent

	// Issuer is claim iss of access tokens and assertions: the portal's origin,
	// "https://auth.example.com". Empty, where there is no portal: a URN that is
	// derived from the store, so that no Host header decides who signs.
	Issuer string
}

// Registry opens, finds and ends sessions. It is safe for concurrent use; one
// process needs one over one store. A configuration that says who the issuer is
// gets the same one under its own issuer, by As.
type Registry struct {
	*shared
	issuer string
}

// shared is what all issuers over one store have in common: everything but the
// name that tokens carry.
type shared struct {
	store     store.Store
	directory *account.Directory
	audit     *audit.Log
	clock     func() time.Time
	log       *slog.Logger

	cookieKey []byte // MAC of cookies
	familyKey []byte // derives a refresh token from the one before
	urn       string

	index      *index
	people     *people
	behind     behind
	ends       *ends
	keys       *keys
	assertions assertions
	programs   programs
	latest     atomic.Uint32 // the latest second seen, see instant

	unwatch []func()
	stop    chan struct{}
	stopped sync.WaitGroup
	closing sync.Once
	closed  error
}

// New follows the store's commits from here on and loads nothing: the index fills
// as cookies arrive. Close before the store is closed.
func New(o Options) (*Registry, error) {
	if o.Store == nil || o.Derive == nil || o.Directory == nil || o.Audit == nil {
		return nil, errors.New("session registry: store, derive, directory and audit are required")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := newPeople()
	r := &Registry{shared: &shared{
		store: o.Store, directory: o.Directory, audit: o.Audit, clock: o.Clock, log: o.Logger,
		cookieKey: o.Derive("session cookie"), familyKey: o.Derive("session refresh"),
		urn:    urn(o.Derive("session issuer")),
		people: p, index: &index{people: p}, keys: &keys{store: o.Store, audit: o.Audit},
		stop: make(chan struct{}),
	}}
	r.issuer = r.named(o.Issuer)
	r.ends = newEnds(r)
	r.unwatch = []func(){
		o.Store.Watch(sessionPrefix(), r.sessionChanged),
		o.Store.Watch(domainPrefix(), r.domainChanged),
		o.Store.Watch(account.UserKeyPrefix(), r.userChanged),
		o.Store.Watch(account.ServiceKeyPrefix(), r.programs.changed),
		o.Store.Watch([]byte(store.PrefixKeys), func(store.Change) { r.keys.forget() }),
	}
	r.stopped.Go(r.run)
	r.stopped.Go(r.ends.run)
	return r, nil
}

// Close writes the slides of idle limits that wait to be written, and stops.
// Subscribers are told that their sessions have ended: here nobody would tell them
// later.
func (r *Registry) Close() error {
	r.closing.Do(func() {
		close(r.stop)
		r.stopped.Wait()
		r.ends.close()
		r.programs.close()
		for _, unwatch := range r.unwatch {
			unwatch()
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		defer cancel()
		r.closed = r.flush(ctx)
	})
	return r.closed
}

// closeWait bounds how long a shutdown waits for a store that does not answer.
const closeWait = 5 * time.Second

func urn(secret []byte) string {
	public := sha256.Sum256(secret)
	return "urn:sallyport:" + hex.EncodeToString(public[:8])
}

// Indexed is how many session tokens are known in memory. A session of a cookie
// domain has two; one whose cookie did not come since the start has none.
func (r *Registry) Indexed() int { return r.index.len() }

// Issuer is claim iss of our tokens.
func (r *Registry) Issuer() string { return r.issuer }

// As returns the same registry under another issuer ("": the URN of the store),
// for shells that reload: the old configuration and the new one share sessions,
// index and background, and each signs and accepts its own access tokens. Close
// one of them closes all.
func (r *Registry) As(issuer string) *Registry {
	return &Registry{shared: r.shared, issuer: r.named(issuer)}
}

func (s *shared) named(issuer string) string {
	if issuer == "" {
		return s.urn
	}
	return issuer
}

// backwards is how far a clock that was set back is not believed: what ended does
// not live again. A clock that jumped further was wrong before.
const backwards = time.Hour

// instant is now in seconds, but not before what this process has already seen.
func (r *Registry) instant(now time.Time) second {
	at := uint32(secondOf(now))
	for {
		latest := r.latest.Load()
		switch {
		case at == latest:
			return second(at)
		case at < latest && latest-at <= uint32(backwards/time.Second):
			return second(latest)
		case r.latest.CompareAndSwap(latest, at):
			return second(at)
		}
	}
}

// The three functions below run inside Update, after the commit and before it
// returns: what they forget is refused before anybody hears of it.

func (r *Registry) sessionChanged(c store.Change) {
	if c.All {
		r.missed()
		return
	}
	id, ok := keyName(c.Key)
	if !ok {
		return
	}
	if c.Deleted {
		r.index.forget(id)
		r.ends.session(id)
		return
	}
	rec, err := store.Decode[record](c.Value)
	if err != nil {
		r.log.Error("a session record cannot be read", "error", err)
		r.index.forget(id)
		r.ends.session(id)
		return
	}
	r.index.change(id, rec.fill)
	if rec.Domain != nil {
		r.index.change(nameOf(rec.Domain), rec.fill)
	}
}

func (r *Registry) domainChanged(c store.Change) {
	if c.All {
		r.missed()
		return
	}
	if key, ok := keyName(c.Key); ok && c.Deleted {
		r.index.forget(key)
	}
}

func (r *Registry) userChanged(c store.Change) {
	if c.All {
		r.missed()
		return
	}
	id, ok := userID(c.Key)
	if !ok {
		return
	}
	var who *account.Identity // nil: the store is asked, and says no
	if !c.Deleted {
		identity, err := account.DecodeIdentity(c.Value)
		switch {
		case err != nil:
			r.log.Error("a user record cannot be read", "error", err)
		case identity.ID == id:
			who = &identity
		}
	}
	if r.people.changed(id, who) {
		r.ends.person(id)
	}
}

// userID is the last part of a user's key.
func userID(key []byte) (id principal.ID, ok bool) {
	parts, ok := store.Parts(store.PrefixAccount, key)
	if !ok || len(parts) == 0 || len(parts[len(parts)-1]) != len(id) {
		return id, false
	}
	copy(id[:], parts[len(parts)-1])
	return id, true
}
