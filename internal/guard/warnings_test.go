package guard_test

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

func TestWarnings(t *testing.T) {
	compiled, err := guard.Compile([]guard.Rule{
		{Hosts: []string{"a.example.com"}, Paths: []string{"regex:/x.*"}, Factors: num(0)},
		{Hosts: []string{"*.example.com"}, Realms: []string{"users"}},
		{Hosts: []string{"old.example.com", "x.y.example.com"}, Deny: true},
		{Hosts: []string{"example.com"}},
		{Hosts: []string{"*.other.test"}, Methods: []string{"GET"}, Realms: []string{"users"}},
		{Hosts: []string{"a.other.test"}, Realms: []string{"users"}},
	}, guard.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(compiled.Warnings(), "\n")
	for _, want := range []string{"rule 1: paths: a regular expression", "rule 3: never decides: rule 2", "rule 4: admits nobody"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") != 2 {
		t.Errorf("more than was meant:\n%s", got)
	}
	if w := new(guard.Rules).Warnings(); len(w) != 1 {
		t.Errorf("no rules: %q", w)
	}
}
