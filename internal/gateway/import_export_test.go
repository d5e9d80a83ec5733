package gateway

import "time"

// FloorForTest is the time that every answer of the first door takes at least.
func (g *Gateway) FloorForTest() time.Duration { return g.hasher.Floor(true) }
