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

// CommandShell is what both shells give to the command line; a shell adds
// Serve where it serves by itself.
func CommandShell(version string) command.Shell {
	return command.Shell{
		Version: version,
		Check:   Check,
		Proxies: deploy.Proxies(),
		Proxy:   ProxyFiles,
		Explain: Explain,
		AdminDial: func(ctx context.Context, g command.Global) (http.RoundTripper, error) {
			dir, err := stateOf(g)
			if err != nil {
				return nil, err
			}
			return DialAdmin(ctx, dir)
		},
		HasState: func(g command.Global) bool {
			dir, err := stateOf(g)
			if err != nil {
				return false
			}
			_, err = os.Stat(filepath.Join(dir, dbName))
			return err == nil
		},
		OpenDirect: func(ctx context.Context, g command.Global) (http.Handler, func() error, error) {
			return openDirect(ctx, g, version)
		},
	}
}

func stateOf(g command.Global) (string, error) {
	cfg, err := LoadFor(g)
	if err != nil {
		return "", err
	}
	dir, _, err := cfg.StateDir(g.State)
	return dir, err
}

// openDirect opens the state in this process. It makes a directory only where
// one was named: a command in the wrong place should not leave a store behind.
func openDirect(ctx context.Context, g command.Global, version string) (http.Handler, func() error, error) {
	cfg, err := LoadFor(g)
	if err != nil {
		return nil, nil, err
	}
	dir, named, err := cfg.StateDir(g.State)
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil, fmt.Errorf("there is no state in %s: start `sallyport serve` here first, or name the directory with --state", dir)
	}
	gw, err := Open(ctx, cfg, Options{StateDir: g.State, Offline: true, Version: version, Logger: quiet(g.Logger)})
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
