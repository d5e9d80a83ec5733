package api_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documented are the codes of the table in docs/api.md.
func documented(t testing.TB) map[string]bool {
	t.Helper()
	manual, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "api.md"))
	must(t, err)
	codes := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [45]").FindAllStringSubmatch(string(manual), -1) {
		if codes[m[1]] {
			t.Errorf("docs/api.md has the code %s twice", m[1])
		}
		codes[m[1]] = true
	}
	return codes
}

// The manual lists every code that the source has, and no other.
func TestManualListsEveryCode(t *testing.T) {
	listed, written := documented(t), map[string]bool{}
	files, err := filepath.Glob("*.go")
	must(t, err)
	// Where codes stand: problem(status, code, …), the table and the cases of
	// web.Answer, codeOf, and what is assigned to code.
	forms := regexp.MustCompile(`(?:problem\([\w.]+, |, [45]\d\d, |http\.Status\w+, |code = http\.Status\w+, |return |code := http\.Status\w+, )"([a-z_]+)"`)
	for _, file := range append(files, filepath.Join("..", "answer.go")) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		must(t, err)
		text := string(source)
		if filepath.Base(file) != "problem.go" { // codeOf returns codes; elsewhere words are returned
			text = strings.ReplaceAll(text, "return \"", "return  \"")
		}
		for _, m := range forms.FindAllStringSubmatch(text, -1) {
			written[m[1]] = true
		}
	}
	if len(written) < 40 {
		t.Fatalf("only %d codes found in the source", len(written))
	}
	for code := range written {
		if !listed[code] {
			t.Errorf("docs/api.md does not list the code %s", code)
		}
	}
	for code := range listed {
		if !written[code] {
			t.Errorf("docs/api.md lists the code %s, and nothing answers it", code)
		}
	}
}
