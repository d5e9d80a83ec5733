package deploy_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// Where the gateways of the tests have their states: each in a directory, or, in the
// second pass of scripts/test.sh, in a database.

func (w *world) config() string { return filepath.Join(w.dir, "gateway.yaml") }

// flags are what a command of this world's gateway is given.
func (w *world) flags(args ...string) []string {
	flags := []string{"--config", w.config()}
	if w.state != "" {
		flags = append(flags, "--state", w.state)
	}
	return append(flags, args...)
}

// manage finds the way to the API, as the command line does: the admin socket, or
// the database, opened in this process.
func (w *world) manage() error {
	if w.state != "" {
		w.api = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.state, "admin.sock"))
		}}
		return nil
	}
	h, end, err := gateway.CommandShell("test").OpenDirect(context.Background(), command.Global{Config: w.config(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	w.api = command.InProcess{Handler: h}
	w.stop = append(w.stop, func() {
		if err := end(); err != nil {
			fmt.Fprintln(os.Stderr, "close the database:", err)
		}
	})
	return nil
}

// closes demands that a change of admin ends a permission: with the next request
// where it went through the gateway, and where it went by, within a second, or a
// few on a machine that is busy with other tests.
func (w *world) closes(t *testing.T, what string, passes func() bool) {
	t.Helper()
	changed, limit := time.Now(), time.Duration(0)
	if w.state == "" {
		limit = 10 * time.Second
	}
	for passes() {
		if took := time.Since(changed); took > limit {
			t.Errorf("%v after %s", took, what)
			return
		}
		pause()
	}
}
