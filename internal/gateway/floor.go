package gateway

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// askAgain is how long a floor waits for a hash slot before it asks anew.
const askAgain = time.Second

// followForeign raises the floor of logins when dearer password hashes come in, from
// wherever: a command beside this server, or another server of the same database.
// Once per state; Close ends it.
func (s *State) followForeign() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.foreign != nil {
		s.wakeFloor() // what came in since the start of this configuration, and other slots
		return
	}
	s.foreign = make(chan struct{}, 1)
	s.wakeFloor() // what came in before anybody watched
	ctx, cancel := context.WithCancel(context.Background())
	unwatch := s.Store.Watch(account.ForeignKey(), func(store.Change) { s.wakeFloor() })
	s.stopFloor = func() {
		unwatch()
		cancel()
		s.floor.Wait()
	}
	s.floor.Go(func() { s.keepFloor(ctx) })
}

// keepFloor measures whenever it is woken, and asks again where no slot was free or
// the store did not answer: the floor must not be forgotten.
func (s *State) keepFloor(ctx context.Context) {
	retry := time.NewTimer(askAgain)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.foreign:
		case <-retry.C:
		}
		s.mu.Lock()
		hasher := s.hasher
		s.mu.Unlock()
		if err := s.measureForeign(ctx, hasher); err != nil {
			retry.Reset(askAgain)
		} else {
			retry.Stop()
		}
	}
}

func (s *State) wakeFloor() {
	select {
	case s.foreign <- struct{}{}:
	default:
	}
}

// measureForeign lets the floor of a login's answer cover the dearest password
// hash that ever came from elsewhere. Errors: *secret.Busy, and those of the store.
func (s *State) measureForeign(ctx context.Context, hasher *secret.Hasher) error {
	var digests []string
	directory := account.New(account.Options{})
	err := s.Store.View(ctx, func(tx store.Tx) (err error) {
		digests, err = directory.ForeignDigests(tx)
		return err
	})
	for _, digest := range digests {
		_, failed := hasher.MeasureForeign(ctx, digest)
		if !errors.Is(failed, secret.ErrDigest) { // one that an older version wrote and this one cannot read
			err = cmp.Or(err, failed)
		}
	}
	return err
}

// measureForeign is State's, at a start: a flood of logins must not refuse a reload,
// what is known stays.
func (g *Gateway) measureForeign(ctx context.Context) error {
	if g.offline {
		return nil
	}
	err := g.state.measureForeign(ctx, g.hasher)
	var busy *secret.Busy
	if errors.As(err, &busy) {
		return nil
	}
	return err
}
