package internal_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// cases are the numbered attacks: the letter of a section and how many it has.
var cases = []struct {
	letter string
	count  int
}{{"H", 10}, {"X", 11}, {"R", 14}, {"M", 10}, {"O", 13}, {"E", 4}, {"D", 8}, {"S", 14}}

var numbered = regexp.MustCompile(`(?m)^func (?:Test|Fuzz)(?:Caddy)?((?:[HXRMOEDS][0-9]{1,2})+)([A-Z][A-Za-z0-9]*)\(`)

// Every attack has a test that names its number, or a row in docs/security.md
// that says why it cannot apply. A case that is only forgotten fails here.
func TestEveryAttackHasATestOrAReason(t *testing.T) {
	tested := map[string]bool{}
	one := regexp.MustCompile(`[HXRMOEDS][0-9]{1,2}`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range numbered.FindAllStringSubmatch(string(text), -1) {
			for _, id := range one.FindAllString(m[1], -1) {
				tested[id] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range cases {
		for n := range section.count {
			id := fmt.Sprintf("%s%d", section.letter, n+1)
			if !tested[id] && !strings.Contains(string(manual), "\n| "+id+" |") {
				t.Errorf("%s has neither a test (func Test%s…) nor a row in docs/security.md with the reason", id, id)
			}
		}
	}
}
