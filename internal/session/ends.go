package session

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/sallyport-auth/sallyport/internal/principal"
)

// ends tells those who serve a stream that its session ended or its principal
// changed. Commits only put streams into a queue; one goroutine asks whether their
// sessions live and calls.
type ends struct {
	registry *Registry
	wake     chan struct{} // holds one

	mu       sync.Mutex
	byID     map[name]map[*stream]struct{}
	byPerson map[principal.ID]map[*stream]struct{}
	queue    []*stream
	closed   bool
}

type stream struct {
	id      name
	person  principal.ID // zero until known
	fn      func(ended bool)
	queued  bool
	changed bool // tell, even if the session lives
	done    bool
}

func newEnds(r *Registry) *ends {
	return &ends{
		registry: r, wake: make(chan struct{}, 1),
		byID: map[name]map[*stream]struct{}{}, byPerson: map[principal.ID]map[*stream]struct{}{},
	}
}

// Subscribe calls fn(true), once, within 5 seconds after the session of this id
// has ended (at once if it has), and before that fn(false) whenever its principal
// changed, so that the guard can be asked again; and once soon after Subscribe,
// because what the stream's decision was based on may have changed since. Close of
// the registry counts as the end of all. Calls come one after another: fn must not
// block. After stop returns no new call begins. It costs a few hundred bytes per
// stream.
func (r *Registry) Subscribe(id string, fn func(ended bool)) (stop func()) {
	n, _ := parseID(id) // no id: no session of that name lives
	s := &stream{id: n, fn: fn}
	e := r.ends
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		fn(true)
		return func() {}
	}
	add(e.byID, n, s)
	e.enqueue(s, false)
	e.mu.Unlock()
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.drop(s)
	}
}

func add[K comparable](m map[K]map[*stream]struct{}, key K, s *stream) {
	if m[key] == nil {
		m[key] = map[*stream]struct{}{}
	}
	m[key][s] = struct{}{}
}

func without[K comparable](m map[K]map[*stream]struct{}, key K, s *stream) {
	delete(m[key], s)
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// drop forgets a stream. The caller holds the lock.
func (e *ends) drop(s *stream) {
	s.done = true
	without(e.byID, s.id, s)
	without(e.byPerson, s.person, s)
}

// enqueue has a stream looked at. The caller holds the lock.
func (e *ends) enqueue(s *stream, changed bool) {
	s.changed = s.changed || changed
	if s.queued || s.done {
		return
	}
	s.queued = true
	e.queue = append(e.queue, s)
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// session: a commit deleted this session.
func (e *ends) session(id name) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.byID[id] {
		e.enqueue(s, false)
	}
}

// person: a commit changed this principal.
func (e *ends) person(id principal.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.byPerson[id] {
		e.enqueue(s, true)
	}
}

// look finds the streams whose sessions have expired.
func (e *ends) look(ctx context.Context, at second) {
	e.mu.Lock()
	ids := make([]name, 0, len(e.byID))
	for id, streams := range e.byID {
		ids = append(ids, id)
		for s := range streams {
			if s.changed || s.person.IsZero() { // the store failed last time
				e.enqueue(s, false)
			}
		}
	}
	e.mu.Unlock()
	for _, id := range ids {
		if _, err := e.registry.byID(ctx, id, at, false); errors.Is(err, ErrNone) {
			e.session(id)
		}
	}
}

func (e *ends) run() {
	for {
		select {
		case <-e.registry.stop:
			return
		case <-e.wake:
		}
		for s := e.take(); s != nil; s = e.take() {
			e.tell(s)
		}
	}
}

// close ends all streams that are left. In a process that goes on (a shell that
// was given another state) they would live for ever: nobody hears any longer that
// their sessions end.
func (e *ends) close() {
	e.mu.Lock()
	e.closed = true
	var left []*stream
	for _, streams := range e.byID {
		left = slices.AppendSeq(left, maps.Keys(streams))
	}
	for _, s := range left {
		e.drop(s)
	}
	e.mu.Unlock()
	for _, s := range left {
		s.fn(true)
	}
}

func (e *ends) take() *stream {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.registry.stop:
		return nil
	default:
	}
	if len(e.queue) == 0 {
		return nil
	}
	s := e.queue[0]
	e.queue = e.queue[1:]
	s.queued = false
	return s
}

// tell decides what a stream must hear. If the store fails nothing is known; the
// next beat looks again.
func (e *ends) tell(s *stream) {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	l, err := e.registry.byID(ctx, s.id, e.registry.instant(e.registry.clock()), false)
	ended := errors.Is(err, ErrNone)

	e.mu.Lock()
	call := !s.done && (ended || s.changed)
	switch {
	case s.done:
	case ended:
		e.drop(s)
	case err == nil && s.person.IsZero():
		s.person = l.Identity.ID
		add(e.byPerson, s.person, s)
		e.enqueue(s, true) // a change between the answer and this line was not heard
		call = false
	}
	if call {
		s.changed = false
	}
	e.mu.Unlock()
	if call {
		s.fn(ended)
	}
}
