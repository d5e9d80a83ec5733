package gateway

import "github.com/sallyport-auth/sallyport/internal/guard"

// CounterForTest is what the guarded traffic counts its decisions with.
func (g *Gateway) CounterForTest(rules []guard.Rule) func(*guard.Decision) { return g.counter(rules) }
