package audit_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/audit"
)

// A kind that Known forgets would be counted as "other", and an alert on it would
// stay silent.
func TestEveryKindIsKnown(t *testing.T) {
	source, err := os.ReadFile("kind.go")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^\tKind\w+ +Kind = "([a-z_.]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(all) < 25 {
		t.Fatalf("found only %d kinds", len(all))
	}
	for _, m := range all {
		if !audit.Kind(m[1]).Known() {
			t.Errorf("%s is not known", m[1])
		}
	}
	for _, k := range []audit.Kind{"", "Login", "login.", "alice@users"} {
		if k.Known() {
			t.Errorf("%q is known", k)
		}
	}
}
