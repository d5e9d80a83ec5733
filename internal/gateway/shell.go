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

func (m management) stateOf(g command.Global) (storage, error) {
	cfg, err := m.load(g)
	if err != nil {
		return storage{}, err
	}
	s, err := cfg.storage(g.State)
	return s, cfg.inserted.hide(err)
}

func (m management) dial(ctx context.Context, g command.Global) (http.RoundTripper, error) {
	s, err := m.stateOf(g)
	if err != nil || s.dir == "" { // a database is open to all at once: no server is in the way
		return nil, err
	}
	return DialAdmin(ctx, s.dir)
}

func (m management) hasState(ctx context.Context, g command.Global) bool {
	s, err := m.stateOf(g)
	return err == nil && s.there(ctx)
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
	s, err := cfg.storage(g.State)
	if err != nil {
		return nil, nil, cfg.inserted.hide(err)
	}
	if _, err := os.Stat(s.dir); s.dir != "" && errors.Is(err, fs.ErrNotExist) && !s.named {
		return nil, nil, fmt.Errorf("there is no state in %s: start %s here first, or name the directory with --state", s.place, m.start)
	}
	none := fmt.Errorf("there is no state in %s: start %s, or add somebody with `user add`", s.place, m.start)
	if !g.Create && s.absent() {
		return nil, nil, none
	}
	o := m.options
	o.StateDir, o.Existing, o.Offline, o.Logger = g.State, !g.Create, true, quiet(g.Logger)
	gw, err := Open(ctx, cfg, o)
	if errors.Is(err, errNoState) {
		return nil, nil, none
	}
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
