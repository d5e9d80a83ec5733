package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/sallyport-auth/sallyport/deploy"
	"github.com/sallyport-auth/sallyport/internal/command"
)

// CommandShell is what the standalone server gives to the command line, without
// Serve.
func CommandShell(version string) command.Shell {
	s := ManagementShell(LoadFor, Options{Version: version})
	s.Check, s.Explain = Check, Explain
	s.Proxies, s.Proxy = deploy.Proxies(), ProxyFiles
	return s
}

// ManagementShell is what both shells give to the command line: the way to the
// running server, or else to the state that load's configuration names.
func ManagementShell(load func(command.Global) (Config, error), o Options) command.Shell {
	m := management{load: load, options: o, start: "`sallyport serve`"}
	if o.Routes {
		m.start = "Caddy"
	}
	return command.Shell{Version: o.Version, AdminDial: m.dial, HasState: m.hasState, OpenDirect: m.open}
}

type management struct {
	load    func(command.Global) (Config, error)
	options Options
	start   string // how the server is started
}

func (m management) stateOf(g command.Global) (dir string, named bool, err error) {
	cfg, err := m.load(g)
	if err != nil {
		return "", false, err
	}
	return cfg.StateDir(g.State)
}

func (m management) dial(ctx context.Context, g command.Global) (http.RoundTripper, error) {
	dir, _, err := m.stateOf(g)
	if err != nil {
		return nil, err
	}
	return DialAdmin(ctx, dir)
}

func (m management) hasState(g command.Global) bool {
	dir, _, err := m.stateOf(g)
	if err != nil {
		return false
	}
	entries, err := os.ReadDir(filepath.Join(dir, dbName))
	return err == nil && len(entries) > 0
}

// noState reports whether a directory surely holds no store. A directory that
// cannot be read may hold one: who opens it finds out.
func noState(dir string) bool {
	entries, err := os.ReadDir(filepath.Join(dir, dbName))
	return errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0
}

// open opens the state in this process. It makes one only for a command that may,
// and a directory only where one was named: a command in the wrong place should
// not leave a store and its key behind.
func (m management) open(ctx context.Context, g command.Global) (http.Handler, func() error, error) {
	cfg, err := m.load(g)
	if err != nil {
		return nil, nil, err
	}
	dir, named, err := cfg.StateDir(g.State)
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil, fmt.Errorf("there is no state in %s: start %s here first, or name the directory with --state", dir, m.start)
	}
	if !g.Create && noState(dir) {
		return nil, nil, fmt.Errorf("there is no state in %s: start %s, or add somebody with `user add`", dir, m.start)
	}
	o := m.options
	o.StateDir, o.Offline, o.Logger = g.State, true, quiet(g.Logger)
	gw, err := Open(ctx, cfg, o)
	if err != nil {
		return nil, nil, err
	}
	return gw.AdminHandler(), gw.Close, nil
}

// quiet keeps warnings and errors: a command prints its own answer, and the
// events of its own work are in the store.
func quiet(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(atLeastError{log.Handler()})
}

type atLeastError struct{ slog.Handler }

func (atLeastError) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
