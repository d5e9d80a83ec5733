package command

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command/importing"
)

// In a realm of exact names two spellings are two users; elsewhere they are one, and
// the second is a double of the first.
func TestSpellingsFollowTheRealm(t *testing.T) {
	i := &importer{exact: map[string]bool{"adjure": true}}
	for _, c := range []struct{ name, realm, want string }{
		{"Bob", "users", "bob@users"}, {"Bob", "adjure", "Bob@adjure"}, {"two words", "adjure", "two words@adjure"}, {"two words", "users", ""}, {"bob", "a.b", ""},
	} {
		if got, _ := i.spellings(&importing.Entry{Name: c.name, Realm: c.realm}); got != c.want {
			t.Errorf("%s in %s: %q, want %q", c.name, c.realm, got, c.want)
		}
	}
}
