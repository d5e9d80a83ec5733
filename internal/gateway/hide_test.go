package gateway

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// S8. A secret in the wrong place: a placeholder stands where a realm's name is
// expected, and the warning about an unknown realm would carry it into the log.
func TestWarningsHoldNothingThatAPlaceholderStoodFor(t *testing.T) {
	const canary = "canary-in-a-coal-mine"
	c := Config{Rules: []guard.Rule{{Realms: []string{canary}}}, inserted: inserted{canary}}
	p, err := c.plan(shell{})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(append(p.warnings, p.hints...), "\n")
	if strings.Contains(all, canary) || !strings.Contains(all, "what a placeholder stands for") {
		t.Errorf("warnings:\n%s", all)
	}
	c.inserted = nil
	if p, err = c.plan(shell{}); err != nil || !strings.Contains(strings.Join(append(p.warnings, p.hints...), "\n"), canary) {
		t.Errorf("a name that no placeholder stood for is named no more: %v %v", p.warnings, err)
	}
}
