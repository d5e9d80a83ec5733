package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// State is what outlives a configuration: the open, sealed store of one directory
// or database, the sessions in front of it, the log of events, the slots for
// password hashing, and what is counted. One per place and process. Safe for
// concurrent use.
type State struct {
	Dir      string // empty: in a database
	Place    string // the directory or the database, for people
	Store    *store.SealedStore
	Audit    *audit.Log
	Sessions *session.Registry // under the store's own issuer: see session.Registry.As

	engine  store.Store
	outbox  *notify.Outbox
	metrics *metrics
	refused atomic.Uint64 // hashings that found no slot

	foreign   chan struct{} // holds one: dearer hashes came in; see followForeign
	floor     sync.WaitGroup
	stopFloor func()

	mu      sync.Mutex
	hasher  *secret.Hasher
	hashing secret.HasherOptions // of hasher
}

// StateOptions say how to open a State.
type StateOptions struct {
	Dir       string // absolute; empty: in Database
	Database  string // URL of a PostgreSQL database; needs a MasterKey
	Place     string // of the two, for people: no password; equal for what is the same place
	Existing  bool   // an empty database is refused; directories are looked at before
	MasterKey string // empty: master.key in Dir
	MinFree   uint64 // bytes kept free on the disk; 0: the engine's default
	Clock     func() time.Time
	Version   string // of the program, for Collectors
	TestClock bool   // Clock is not the real one: the engine removes nothing by itself
	Logger    *slog.Logger
}

// OpenState opens the state directory or the database, making what is missing.
// Errors name the place and the way out; nothing is overwritten: store.ErrLocked,
// ErrForeign, ErrNoSpace, ErrWrongKey.
func OpenState(ctx context.Context, o StateOptions) (*State, error) {
	if o.Place == "" {
		o.Place = o.Dir
	}
	engine, err := openEngine(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &State{Dir: o.Dir, Place: o.Place, engine: engine, metrics: newMetrics(), Audit: audit.New(audit.Options{Logger: o.Logger, Clock: o.Clock})}
	if err := s.unseal(ctx, o); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	s.Sessions, err = session.New(session.Options{
		Store: s.Store, Derive: s.Store.Derive, Directory: account.New(account.Options{}), Audit: s.Audit, Clock: o.Clock, Logger: o.Logger,
	})
	if err != nil {
		return nil, errors.Join(err, s.Store.Close())
	}
	s.outbox = notify.New(notify.Options{Store: s.Store, Derive: s.Store.Derive, Clock: o.Clock, Logger: o.Logger, Observe: s.metrics.message})
	s.watch(o.Version)
	return s, nil
}

// newHasher returns what hashes passwords in one configuration. One with the same
// number of slots as the configuration in force shares them, so that the old and the
// new one of a reload do not hash twice as much together.
func (s *State) newHasher(o secret.HasherOptions) *secret.Hasher {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Refused = &s.refused
	had := s.hashing
	had.Params = o.Params
	if s.hasher != nil && had == o {
		return s.hasher.With(o.Params)
	}
	return secret.NewHasher(o)
}

// adopt takes the hasher of the configuration that comes into force.
func (s *State) adopt(h *secret.Hasher, o secret.HasherOptions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Refused = &s.refused
	s.hasher, s.hashing = h, o
}

func (s *State) unseal(ctx context.Context, o StateOptions) error {
	key, err := s.masterKey(ctx, o)
	if err != nil {
		return err
	}
	ring, err := secret.KeyringOf(key)
	if err != nil {
		return err
	}
	s.Store, err = store.OpenSealed(ctx, s.engine, store.SealedOptions{Keyring: ring, Clock: o.Clock, Logger: o.Logger, NoTTL: o.TestClock, Observe: s.metrics.observe})
	if errors.Is(err, store.ErrWrongKey) {
		other := "another directory with --state or storage"
		if s.Dir == "" {
			other = "another database in storage"
		}
		return wrongKey(fmt.Sprintf("the state in %s was sealed with another master key: bring that key back, or name %s (nothing was changed)", s.Place, other))
	}
	return err
}

// masterKey finds the key, and makes one only when the store is empty: a new
// key over old records would look like a loss of everything.
func (s *State) masterKey(ctx context.Context, o StateOptions) (secret.Key, error) {
	if o.MasterKey != "" {
		key, err := secret.ParseMasterKey([]byte(o.MasterKey))
		if err != nil {
			return key, fmt.Errorf("master_key %s", keyFault(err))
		}
		return key, nil
	}
	if s.Dir == "" {
		return secret.Key{}, errors.New("a state in a database needs a master_key")
	}
	key, err := readKey(s.Dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	empty, err := s.empty(ctx)
	if err != nil {
		return key, err
	}
	if !empty {
		return key, wrongKey(fmt.Sprintf("the master key %s is missing, and the state cannot be read without it: bring the file back from a backup, or name the --config that holds master_key (nothing was changed)",
			filepath.Join(s.Dir, keyName)))
	}
	return makeKey(s.Dir)
}

func (s *State) empty(ctx context.Context) (bool, error) {
	empty := true
	err := s.engine.View(ctx, func(tx store.Tx) error {
		for _, err := range tx.Scan(nil, nil) {
			empty = false
			return err
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look into the store in %s: %w", s.Dir, err)
	}
	return empty, nil
}

// Close lets messages that are on their way arrive, writes what waits to be written
// and closes the store.
func (s *State) Close() error {
	s.mu.Lock()
	stop := s.stopFloor
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.outbox.Stop()
	return errors.Join(s.Sessions.Close(), s.Store.Close())
}
