package command

import (
	"bytes"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// A long import says how far it is, on standard error and not too often; beside
// --json it is silent.
func TestAnImportSaysHowFarItIs(t *testing.T) {
	var stdout, stderr bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	for _, flags := range []importFlags{{realm: "users", asJSON: true}, {realm: "users"}} {
		i := newImporter(cmd, nil, flags)
		i.report.Created, i.report.Refused = 41_000, 1_000
		i.progress() // too early
		if stderr.Len() > 0 {
			t.Errorf("too early: %q", &stderr)
		}
		i.last = i.last.Add(-time.Hour)
		i.progress()
	}
	if want := "42000 users so far: 41000 created, 1000 refused\n"; stderr.String() != want || stdout.Len() > 0 {
		t.Errorf("standard error %q, want %q; standard output %q", &stderr, want, &stdout)
	}
}
