package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// secretive are names of things that prove something to whoever knows them.
var secretive = regexp.MustCompile(`(?i)(secret|seed|token|passw|hash|digest|mac$|^mac|hmac|signature|^sig$|cookie|recovery|nonce|otp|^code$|codes$|proof|credential|bearer|refresh|ephemeral)`)

// compared are comparisons of such names that give nothing away, with the
// reason. Whoever adds a line here says why.
var compared = map[string]string{
	"command/client.go: r.Code == code":                             "the stable word of a problem document",
	"web/compat/trench/login.go: clean != code":                     "what somebody typed and the same text cleaned: nothing of ours",
	"web/compat/trench/opaque.go: hex.EncodeToString(raw) != token": "what somebody sent and the same in small letters: nothing of ours",
	"login/change.go: u.Password != who.digest":                     "two readings of the same record: nothing that anybody sent",
	"login/password.go: u.Password != who.digest":                   "two readings of the same record: nothing that anybody sent",
	"login/ephemeral.go: bytes.Equal(h.Hash, t.hash)":               "the person's list of tokens and the record that was found by its hash: both ours",
}

// A secret is compared by a function that stops at the first wrong byte, and an
// attacker on the same network measures how far he got. Gained before: a secret
// guessed byte by byte. So: no ==, !=, bytes.Equal, strings.Compare, EqualFold,
// HasPrefix, slices.Equal, reflect.DeepEqual, switch and map key over anything
// that is named like a secret, unless the other side is a constant (whether
// there is one at all, which kind it is).
func TestE3SecretsAreComparedInConstantTimeAlone(t *testing.T) {
	constants := constantsByRoom(t)
	files, constant, excused := 0, 0, map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") || strings.Contains(path, "compattest") {
			return err
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		place := strings.TrimPrefix(filepath.ToSlash(path), "../")
		known := constants[filepath.Dir(path)]
		fixed := func(e ast.Expr) bool { return fixed(e, known) }
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if (n.Op == token.EQL || n.Op == token.NEQ) && (secretLike(n.X) || secretLike(n.Y)) && !fixed(n.X) && !fixed(n.Y) {
					text := place + ": " + source(n.X) + " " + n.Op.String() + " " + source(n.Y)
					if excused[text] = true; compared[text] == "" {
						t.Errorf("%s: %s: use crypto/subtle or hmac.Equal, or say in this test why not", set.Position(n.Pos()), text)
					}
				}
			case *ast.CallExpr:
				name := source(n.Fun)
				switch name {
				case "subtle.ConstantTimeCompare", "hmac.Equal":
					constant++
				case "bytes.Equal", "bytes.Compare", "strings.Compare", "strings.EqualFold", "slices.Equal", "reflect.DeepEqual", "bytes.HasPrefix", "slices.Contains":
					if slices.ContainsFunc(n.Args, secretLike) && !slices.ContainsFunc(n.Args, fixed) {
						text := place + ": " + name + "(" + sources(n.Args) + ")"
						if excused[text] = true; compared[text] == "" {
							t.Errorf("%s: %s: use crypto/subtle or hmac.Equal, or say in this test why not", set.Position(n.Pos()), text)
						}
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for text := range compared {
		if !excused[text] {
			t.Errorf("%s stands here as an exception, and nowhere in the source", text)
		}
	}
	if files < 100 || constant < 3 {
		t.Errorf("looked at %d files with %d comparisons in constant time: this test looks at the wrong place", files, constant)
	}
	t.Logf("%d files, %d comparisons in constant time", files, constant)
}

// secretLike reports whether an expression is named like a secret.
func secretLike(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretive.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretive.MatchString(e.Sel.Name) && !packages[source(e.X)]
	case *ast.ParenExpr:
		return secretLike(e.X)
	case *ast.SliceExpr:
		return secretLike(e.X)
	case *ast.IndexExpr:
		return false // one letter of a text that is being read
	case *ast.StarExpr:
		return secretLike(e.X)
	case *ast.CallExpr: // string(token), token.Reveal(), h.Get("Cookie")
		if sel, ok := e.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Reveal" || sel.Sel.Name == "Hash" || sel.Sel.Name == "Sum") {
			return true
		}
		if fun, ok := e.Fun.(*ast.Ident); ok && fun.Name == "string" && len(e.Args) == 1 {
			return secretLike(e.Args[0])
		}
	}
	return false
}

// packages whose names of errors, kinds and constants hold such words.
var packages = map[string]bool{
	"secret": true, "factor": true, "login": true, "session": true, "throttle": true, "otp": true, "web": true, "audit": true, "guard": true, "account": true, "token": true, "http": true,
}

// constantsByRoom are the names of the constants of each directory.
func constantsByRoom(t *testing.T) map[string]map[string]bool {
	t.Helper()
	rooms := map[string]map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		if rooms[dir] == nil {
			rooms[dir] = map[string]bool{}
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					rooms[dir][name.Name] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rooms
}

// fixed reports whether an expression is the same for everybody: a literal, nil,
// a constant, a length.
func fixed(e ast.Expr, constants map[string]bool) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "true" || e.Name == "false" || constants[e.Name]
	case *ast.SelectorExpr:
		return packages[source(e.X)]
	case *ast.CompositeLit:
		return len(e.Elts) == 0
	case *ast.ParenExpr:
		return fixed(e.X, constants)
	case *ast.CallExpr: // a length, or a conversion of something fixed
		return source(e.Fun) == "len" || len(e.Args) == 1 && fixed(e.Args[0], constants)
	case *ast.UnaryExpr:
		return fixed(e.X, constants)
	}
	return false
}

// source writes simple expressions as they stand.
func source(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.BasicLit:
		return e.Value
	case *ast.SelectorExpr:
		return source(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return source(e.Fun) + "(" + sources(e.Args) + ")"
	case *ast.IndexExpr:
		return source(e.X) + "[" + source(e.Index) + "]"
	case *ast.SliceExpr:
		return source(e.X) + "[:]"
	case *ast.StarExpr:
		return "*" + source(e.X)
	case *ast.ParenExpr:
		return source(e.X)
	}
	return "…"
}

func sources(list []ast.Expr) string {
	var texts []string
	for _, e := range list {
		texts = append(texts, source(e))
	}
	return strings.Join(texts, ", ")
}
