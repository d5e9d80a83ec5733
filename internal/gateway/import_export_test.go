package gateway

import (
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// FloorForTest is the time that every answer of the first door takes at least.
func (g *Gateway) FloorForTest() time.Duration { return g.hasher.Floor(true) }

// StoreForTest is what another process writes to.
func (g *Gateway) StoreForTest() store.Store { return g.state.Store }
