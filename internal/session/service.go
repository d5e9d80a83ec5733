package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// service finds the service of an access token without a session.
func (r *Registry) service(ctx context.Context, c *claims) (Live, error) {
	if c.Epoch == nil || c.ClientID != c.Name+"@"+c.Realm {
		return Live{}, ErrNone
	}
	who, err := r.serviceNow(ctx, principal.Ref{Name: c.Name, Realm: c.Realm})
	if err != nil {
		return Live{}, err
	}
	if who.ID.String() != c.Subject || who.Epoch != *c.Epoch {
		return Live{}, ErrNone
	}
	return Live{Identity: who, Epoch: who.Epoch, Until: time.Unix(c.Expires, 0)}, nil
}

// serviceNow is an enabled service as the store has it. Errors: ErrNone.
func (r *Registry) serviceNow(ctx context.Context, ref principal.Ref) (*account.Identity, error) {
	var who account.Identity
	err := r.store.View(ctx, func(tx store.Tx) error {
		s, err := r.directory.ServiceByRef(tx, ref)
		if err == nil {
			who = s.Identity()
		}
		return err
	})
	switch {
	case errors.Is(err, account.ErrUnknownService) || err == nil && !who.Enabled:
		return nil, ErrNone
	case err != nil:
		return nil, fmt.Errorf("find service: %w", err)
	}
	return r.programs.shared(&who), nil
}

// Again finds the service of a Live anew: it is the same one, enabled, and its seed
// unrotated. For those who serve a stream and cannot ask for another token.
// Errors: ErrNone; others: the store failed.
func (r *Registry) Again(ctx context.Context, l Live) (Live, error) {
	if l.Identity == nil || l.Identity.Kind != principal.Service {
		return Live{}, ErrNone
	}
	who, err := r.serviceNow(ctx, principal.Ref{Name: l.Identity.Name, Realm: l.Identity.Realm})
	if err != nil {
		return Live{}, err
	}
	if who.ID != l.Identity.ID || who.Epoch != l.Epoch {
		return Live{}, ErrNone
	}
	l.Identity = who
	return l, nil
}

// Follow is Subscribe for a session, SubscribeService for a service without one.
func (r *Registry) Follow(l Live, fn func(ended bool)) (stop func()) {
	if l.ID == "" && l.Identity != nil {
		return r.SubscribeService(principal.Ref{Name: l.Identity.Name, Realm: l.Identity.Realm}, fn)
	}
	return r.Subscribe(l.ID, fn)
}

// SubscribeService calls fn whenever the service of this name changed, so that
// Again can be asked, and fn(true) when it was deleted or the registry closes. fn
// runs inside the commit: it must not block and opens no transaction. After stop
// returns no new call begins.
func (r *Registry) SubscribeService(ref principal.Ref, fn func(ended bool)) (stop func()) {
	return r.programs.subscribe(ref, fn)
}

// programs follows the records of services.
type programs struct {
	mu      sync.Mutex
	next    uint64
	streams map[principal.Ref]map[uint64]func(bool)
	last    map[principal.Ref]*account.Identity // one pointer for one version, so that assertions are found again
	closed  bool
}

// maxIdentities bounds the identities that are remembered.
const maxIdentities = 1 << 14

// shared returns the identity that was returned before, if it says the same.
func (p *programs) shared(who *account.Identity) *account.Identity {
	ref := principal.Ref{Name: who.Name, Realm: who.Realm}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.last[ref]; old != nil && same(old, who) {
		return old
	}
	if p.last == nil || len(p.last) >= maxIdentities {
		p.last = map[principal.Ref]*account.Identity{}
	}
	p.last[ref] = who
	return who
}

func (p *programs) subscribe(ref principal.Ref, fn func(bool)) (stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		go fn(true)
		return func() {}
	}
	if p.streams == nil {
		p.streams = map[principal.Ref]map[uint64]func(bool){}
	}
	if p.streams[ref] == nil {
		p.streams[ref] = map[uint64]func(bool){}
	}
	id := p.next
	p.next++
	p.streams[ref][id] = fn
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.streams[ref], id)
		if len(p.streams[ref]) == 0 {
			delete(p.streams, ref)
		}
	}
}

// changed runs inside Update, after the commit.
func (p *programs) changed(c store.Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.All { // some may have changed, and nobody knows which
		p.last = nil
		for _, streams := range p.streams {
			for _, fn := range streams {
				fn(false)
			}
		}
		return
	}
	ref, ok := account.ServiceKey(c.Key)
	if !ok {
		return
	}
	if c.Deleted {
		delete(p.last, ref)
	}
	for _, fn := range p.streams[ref] {
		fn(c.Deleted)
	}
}

// close ends all streams that are left.
func (p *programs) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, streams := range p.streams {
		for _, fn := range streams {
			fn(true)
		}
	}
	p.streams = nil
}
