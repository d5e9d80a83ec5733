package caddymodule

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// relay is a slog.Handler that gives each record to the newest configuration's
// logger: what outlives a reload must not write into a log that was closed with
// the configuration that opened it.
type relay struct {
	to   *atomic.Pointer[slog.Logger]
	with []func(slog.Handler) slog.Handler
}

func newRelay() *relay { return &relay{to: new(atomic.Pointer[slog.Logger])} }

func (r *relay) handler() slog.Handler {
	log := r.to.Load()
	if log == nil {
		return slog.DiscardHandler
	}
	h := log.Handler()
	for _, with := range r.with {
		h = with(h)
	}
	return h
}

func (r *relay) Enabled(ctx context.Context, l slog.Level) bool { return r.handler().Enabled(ctx, l) }

func (r *relay) Handle(ctx context.Context, rec slog.Record) error {
	return r.handler().Handle(ctx, rec)
}

func (r *relay) WithAttrs(attrs []slog.Attr) slog.Handler {
	return r.and(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (r *relay) WithGroup(name string) slog.Handler {
	return r.and(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (r *relay) and(with func(slog.Handler) slog.Handler) slog.Handler {
	return &relay{to: r.to, with: append(r.with[:len(r.with):len(r.with)], with)}
}
