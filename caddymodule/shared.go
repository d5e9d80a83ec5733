package caddymodule

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// pool holds one *shared per state, keyed by the absolute path of its directory, or
// by server and name of its database: a reload
// provisions the new configuration before it drops the old one, and both must have
// the same open store.
var pool = caddy.NewUsagePool()

// shared is what outlives a reload: the open state with its sessions and hash
// slots, and the admin socket of a directory. It answers for the newest started
// configuration.
type shared struct {
	place  string
	key    [sha256.Size]byte // of the configured master key: to tell another one by
	url    [sha256.Size]byte // of the database, with its password
	state  *gateway.State
	log    *relay
	server *http.Server // on the admin socket; nil: a database is open to commands as it is

	mu        sync.Mutex
	started   []*App // in the order of Start; the last one is in force
	announced bool
}

// acquire opens the state of a configuration, or shares the one that is open. Each
// success needs one release of the same place.
func acquire(ctx context.Context, o gateway.StateOptions, log *slog.Logger) (*shared, error) {
	value, loaded, err := pool.LoadOrNew(o.Place, func() (caddy.Destructor, error) { return open(ctx, o, log) })
	if err != nil {
		return nil, err
	}
	s := value.(*shared)
	differs := ""
	if key := sha256.Sum256([]byte(o.MasterKey)); subtle.ConstantTimeCompare(s.key[:], key[:]) == 0 {
		differs = "another master_key"
	} else if url := sha256.Sum256([]byte(o.Database)); subtle.ConstantTimeCompare(s.url[:], url[:]) == 0 {
		differs = "another user, password or parameter in the URL"
	}
	if loaded && differs != "" {
		return nil, errors.Join(fmt.Errorf("the state in %s is open with %s: stop and start Caddy to change it, a reload cannot", o.Place, differs), release(o.Place))
	}
	return s, nil
}

func release(place string) error {
	_, err := pool.Delete(place)
	return err
}

func open(ctx context.Context, o gateway.StateOptions, log *slog.Logger) (caddy.Destructor, error) {
	s := &shared{place: o.Place, key: sha256.Sum256([]byte(o.MasterKey)), url: sha256.Sum256([]byte(o.Database)), log: newRelay()}
	s.log.to.Store(log)
	o.Logger = slog.New(s.log)
	var err error
	if s.state, err = gateway.OpenState(ctx, o); err != nil {
		if errors.Is(err, store.ErrLocked) {
			err = fmt.Errorf("%w. If that is a running Caddy, hand this configuration to it with `caddy reload`; to look at a configuration beside it use `caddy adapt` or `caddy sallyport check`. A second Caddy needs a directory of its own (storage badger DIRECTORY)", err)
		}
		return nil, err
	}
	if o.Dir == "" {
		return s, nil
	}
	admin, err := gateway.ListenAdmin(o.Dir)
	if err != nil {
		return nil, errors.Join(err, s.state.Close())
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.New(s.log).Handler(), slog.LevelDebug)}
	go func() { _ = s.server.Serve(admin) }()
	return s, nil
}

// Destruct is the pool's: nobody holds the state any more.
func (s *shared) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if s.server != nil && s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	return s.state.Close()
}

// ServeHTTP answers on the admin socket.
func (s *shared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app := s.current()
	if app == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Caddy is starting or stopping: try again in a moment", http.StatusServiceUnavailable)
		return
	}
	app.gateway.AdminHandler().ServeHTTP(w, r)
}

func (s *shared) current() *App {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.started) == 0 {
		return nil
	}
	return s.started[len(s.started)-1]
}

// use puts a configuration in force. first: the process has just begun to serve
// this state.
func (s *shared) use(a *App) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = append(s.started, a)
	s.log.to.Store(a.log)
	first, s.announced = !s.announced, true
	return first
}

// drop takes a configuration out of force. Where it was the newest, because what
// was started with it failed, the one before is in force again, and finds the state
// as it left it.
func (s *shared) drop(a *App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.started)
	newest := n > 0 && s.started[n-1] == a
	s.started = slices.DeleteFunc(s.started, func(other *App) bool { return other == a })
	if n = len(s.started); n == 0 {
		return
	}
	before := s.started[n-1]
	s.log.to.Store(before.log)
	if !newest {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := errors.Join(a.gateway.Retract(ctx), before.gateway.Begin(ctx)); err != nil {
		before.log.Error("take back what a refused configuration began", "error", err)
	}
}
