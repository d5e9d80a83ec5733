package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// Limits of the listener. docs/operating.md states them.
const (
	headerTimeout = 10 * time.Second // to read a request's header
	idleTimeout   = 2 * time.Minute  // between two requests of a connection
	maxHeader     = 32 << 10         // bytes of a request's line and header; net/http adds 4 KiB of slack
	drain         = 10 * time.Second // for open requests at a graceful stop
	socketMode    = 0o660            // of a unix socket in listen
)

// serve runs the gateway until ctx ends. A second signal during the graceful
// stop ends it at once, because main's handler is gone by then.
func serve(ctx context.Context, g command.Global, f command.ServeFlags) error {
	cfg, err := gateway.LoadFor(g)
	if err != nil {
		return err
	}
	if f.Listen != "" {
		cfg.Listen = f.Listen
	}
	if f.Upstream != "" {
		cfg.Upstream = f.Upstream
	}
	log, err := cfg.Logger(os.Stderr)
	if err != nil {
		return err
	}
	var ln net.Listener
	if strings.HasSuffix(cfg.ListenAddress(), ":0") { // the port that the kernel chooses stands in links
		if ln, err = listen(cfg.ListenAddress(), listenHint); err != nil {
			return err
		}
		defer ln.Close()
		cfg.Listen = ln.Addr().String()
	}
	gw, err := gateway.Open(ctx, cfg, gateway.Options{StateDir: g.State, Demo: f.Demo, Logger: log, Version: versionText()})
	if err != nil {
		return err
	}
	if ln == nil {
		if ln, err = listen(cfg.ListenAddress(), listenHint); err != nil {
			return errors.Join(err, gw.Close())
		}
		defer ln.Close()
	}
	metrics, err := listenMetrics(&cfg)
	if err != nil {
		return errors.Join(err, gw.Close())
	}
	return errors.Join(serveOn(ctx, gw, ln, metrics, log), gw.Close())
}

// serveOn answers on all sockets until ctx ends. metrics may be nil.
func serveOn(ctx context.Context, gw *gateway.Gateway, ln, metrics net.Listener, log *slog.Logger) error {
	if metrics != nil {
		defer metrics.Close()
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel() // ends what a graceful stop did not: streams and WebSockets
	front := newServer(base, gw.Handler(), log)
	servers := []*http.Server{front}
	failed := make(chan error, 3)
	if dir := gw.StateDir(); dir != "" { // a database is open to commands as it is
		admin, err := gateway.ListenAdmin(dir)
		if err != nil {
			return err
		}
		defer admin.Close()
		management := newServer(base, gw.AdminHandler(), log)
		servers = append(servers, management)
		go func() { failed <- management.Serve(admin) }()
	}
	if metrics != nil {
		counters, err := metricsServer(base, gw, log)
		if err != nil {
			return err
		}
		servers = append(servers, counters)
		go func() { failed <- counters.Serve(metrics) }()
		log.Info("metrics are served", "address", metrics.Addr().String())
	}
	go func() { failed <- front.Serve(ln) }()
	gw.Announce(ctx, os.Stderr, ln.Addr())
	select {
	case <-ctx.Done():
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	}
	log.Info("stopping", "drain", drain)
	return stop(servers...)
}

// stop lets open requests end, and gives up after drain.
func stop(servers ...*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			_ = s.Close()
		}
	}
	return nil
}

func newServer(base context.Context, h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:                      h,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // else net/http answers OPTIONS * with 200 before we see it
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Protocols:                    new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true) // behind a proxy that speaks h2c
	return s
}

// listenHint is the way out when listen is in use.
const listenHint = "choose another address with --listen"

// listen opens host:port or unix:PATH. hint is the way out of an error.
func listen(address, hint string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w (%s)", address, err, hint)
		}
		return ln, nil
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", address, err), ln.Close())
	}
	return ln, nil
}

// removeStale removes a socket that nobody listens on. Anything else at the
// path stays, and is an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen on unix:%s: %w", path, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen on unix:%s: the path exists and is no socket", path)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return fmt.Errorf("listen on unix:%s: another process listens there", path)
	}
	return os.Remove(path)
}
