// Package engine holds what engines of the store have in common: the gate that
// closing waits at, those who watch, and what transactions wrote before the engine
// has it. An engine may run Updates of its process one after another over what the
// earlier ones wrote and commit them together; see store/badger and store/postgres.
package engine

import "sync"

// Gate counts running transactions and lets none in once it is closed. The zero
// Gate is open. It is safe for concurrent use.
type Gate struct {
	mu     sync.Mutex
	idle   sync.Cond
	inside int
	closed bool
}

// Enter answers false when the gate is closed. Each true needs one Leave.
func (g *Gate) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

// Leave ends what Enter began.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.closed {
		g.idle.Broadcast()
	}
}

// Close waits until nobody is inside; it answers false to all but the first.
func (g *Gate) Close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.closed = true
	g.idle.L = &g.mu
	for g.inside > 0 {
		g.idle.Wait()
	}
	return true
}
