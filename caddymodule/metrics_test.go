package caddymodule

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/sallyport-auth/sallyport/internal/audit"
)

// provisioned is one configuration over a state directory, and how its registry
// counts logins.
func provisioned(t *testing.T, dir string) (a *App, logins func() float64) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	a = new(App)
	if err := json.Unmarshal(fmt.Appendf(nil, `{"storage": %q}`, "badger:"+dir), a); err != nil {
		t.Fatal(err)
	}
	if err := a.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return a, func() float64 {
		t.Helper()
		families, err := ctx.GetMetricsRegistry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		total := 0.0
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "sallyport_logins_total" {
					total += m.GetCounter().GetValue()
				}
			}
		}
		return total
	}
}

// Caddy makes a new registry at each reload. What was counted before it, and what
// the old configuration counts while it ends, stands in the new one too.
func TestMetricsGoOnOverAReload(t *testing.T) {
	dir := t.TempDir()
	login := audit.Event{Kind: audit.KindLogin, Outcome: audit.OK, Detail: map[string]string{"door": "portal"}}
	older, before := provisioned(t, dir)
	older.shared.state.Audit.Note(login)
	newer, after := provisioned(t, dir)
	newer.shared.state.Audit.Note(login)
	if before() != 2 || after() != 2 {
		t.Errorf("the old registry has %v logins, the new one %v, want 2", before(), after())
	}
	if err := older.Cleanup(); err != nil {
		t.Fatal(err)
	}
	newer.shared.state.Audit.Note(login)
	if after() != 3 {
		t.Errorf("%v logins after the old configuration has gone, want 3", after())
	}
	if err := newer.Cleanup(); err != nil {
		t.Fatal(err)
	}
}
