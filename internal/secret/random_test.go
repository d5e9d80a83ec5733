package secret_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestE4NothingDrawsFromMathRand: one-time tokens came from a generator whose
// next value could be computed from the last ones. No file of ours outside of
// tests may import one.
func TestE4NothingDrawsFromMathRand(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the module's root is not where this test looks: %v", err)
	}
	looked := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		looked++
		return drawsOnlyFromCryptoRand(t, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 10 {
		t.Errorf("only %d files were looked at", looked)
	}
}

func drawsOnlyFromCryptoRand(t *testing.T, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, spec := range file.Imports {
		switch name := strings.Trim(spec.Path.Value, `"`); name {
		case "math/rand", "math/rand/v2", "golang.org/x/exp/rand":
			t.Errorf("%s imports %s: draw from crypto/rand", path, name)
		}
	}
	return nil
}
