package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// register gives the counters to the registry of a configuration, which is new at
// each reload. They belong to the state, so that they go on where they were.
func register(ctx caddy.Context, gw *gateway.Gateway) error {
	registry := ctx.GetMetricsRegistry()
	for _, c := range gw.Collectors() {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}
