package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// Limits of the listener for metrics, where nobody streams.
const (
	scrapeRead    = 10 * time.Second
	scrapeWrite   = 30 * time.Second
	scrapesAtOnce = 4 // more are answered 503
)

// listenMetrics opens the listener that the word metrics asks for; nil: none is
// wanted. Errors name the word and the way out.
func listenMetrics(cfg *gateway.Config) (net.Listener, error) {
	if cfg.Metrics == "" {
		return nil, nil
	}
	ln, err := listen(cfg.Metrics, "choose another address for metrics, or leave the word out")
	if err != nil {
		return nil, cfg.At("/metrics", "metrics: %v", err)
	}
	return ln, nil
}

// metricsServer answers GET /metrics and nothing else. It has a listener of its
// own, so that no rule, proxy or login page is ever asked who may read it: the
// address decides.
func metricsServer(base context.Context, gw *gateway.Gateway, log *slog.Logger) (*http.Server, error) {
	registry := prometheus.NewRegistry()
	all := append(gw.Collectors(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	s := newServer(base, onlyMetrics(promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), MaxRequestsInFlight: scrapesAtOnce,
	})), log)
	s.ReadTimeout, s.WriteTimeout = scrapeRead, scrapeWrite
	return s, nil
}

func onlyMetrics(metrics http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		metrics.ServeHTTP(w, r)
	})
}
