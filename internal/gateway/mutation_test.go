package gateway_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// verifying are the functions that decide whether a code, a recovery code or an
// ephemeral token is good, and the room whose tests have to notice.
var verifying = []struct {
	file, room string
	functions  []string
}{
	{"otp/otp.go", "otp", []string{"Clean", "Match"}},
	{"otp/yubikey.go", "otp", []string{"ParseYubiKey", "Open", "Modhex"}},
	{"factor/yubico/yubico.go", "factor/yubico", []string{"Validate", "ask", "judge", "parse", "server"}},
	{"factor/yubikey.go", "factor", []string{"judge", "check", "try", "find", "AsksYubico"}},
	{"factor/totp.go", "factor", []string{"burn", "try", "Again", "again", "confirmed"}},
	{"factor/verify.go", "factor", []string{"Try", "Verify", "tryMethods", "tryMethod", "tryAny"}},
	{"factor/sent.go", "factor", []string{"match", "check", "try"}},
	{"factor/target.go", "factor", []string{"ConfirmTarget"}},
	{"factor/ceremony.go", "factor", []string{"living", "created", "fits", "signed", "named"}},
	{"factor/passkey.go", "factor", []string{"find", "check", "try", "WhoLogsIn", "BeginAssertion"}},
	{"factor/enroll.go", "factor", []string{"Confirm", "mayBegin"}},
	{"factor/recovery.go", "factor", []string{"tryRecovery", "cleanRecovery"}},
	{"login/ephemeral.go", "login", []string{"ticketOf", "owner", "wrong"}},
	{"login/second.go", "login", []string{"passSecond", "judge"}},
	{"login/trusted.go", "login", []string{"trusts", "trust"}},
	{"login/pass.go", "login", []string{"ProvePasskey", "spendPass"}},
	{"login/again.go", "login", []string{"onceMore", "openedBy"}},
	{"login/prove.go", "login", []string{"Prove"}},
	{"session/facade.go", "session", []string{"FacadeSession"}},
	{"web/compat/gate.go", "web/compat", []string{"from", "page", "required"}},
}

// A condition in the verifier is the wrong way round, and no test says so: any
// six digits pass (GHSA-jhmr-57cj-q6g9). So every condition of every function
// that decides on a proof is inverted, one at a time, and the tests of its room
// must fail each time. Conditions that only pass an error on are left alone.
func TestM4EveryInvertedConditionIsNoticed(t *testing.T) {
	var killed atomic.Int32
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0)+1)
	defer func() { t.Logf("%d inverted conditions were noticed", killed.Load()) }()
	defer group.Wait()
	for _, v := range verifying {
		path, err := filepath.Abs(filepath.Join("..", v.file))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		conditions := conditionsOf(t, path, v.functions)
		if len(conditions) < len(v.functions) {
			t.Fatalf("%s: %d conditions in %v", v.file, len(conditions), v.functions)
		}
		group.Go(func() {
			slots <- struct{}{}
			program := buildMutants(t, path, text, v.room, conditions)
			noticed, out := notices(t, program, v.room, 0)
			<-slots
			if program == "" {
				return
			}
			if noticed {
				t.Errorf("%s: the tests fail though nothing is inverted: %s", v.file, out)
				return
			}
			for i, c := range conditions {
				group.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					noticed, out := notices(t, program, v.room, i+1)
					switch {
					case !noticed:
						t.Errorf("%s: %s passes all tests of %s when it is inverted (line %d)", v.file, text[c.from:c.to], v.room, c.line)
					case !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic:"):
						t.Errorf("%s:%d: no test failed, but something did: %s", v.file, c.line, out)
					default:
						killed.Add(1)
					}
				})
			}
		})
	}
}

type condition struct{ from, to, line int }

// conditionsOf finds the conditions in some functions of a file: of ifs and of
// switches without a subject, and each part of an and or an or.
func conditionsOf(t *testing.T, path string, functions []string) []condition {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []condition
	var add func(e ast.Expr)
	add = func(e ast.Expr) {
		if b, ok := e.(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR) {
			add(b.X)
			add(b.Y)
			return
		}
		if b, ok := e.(*ast.BinaryExpr); ok {
			if x, ok := b.X.(*ast.Ident); ok && x.Name == "err" {
				return
			}
		}
		list = append(list, condition{set.Position(e.Pos()).Offset, set.Position(e.End()).Offset, set.Position(e.Pos()).Line})
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || !slices.Contains(functions, f.Name.Name) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.IfStmt:
				add(n.Cond)
			case *ast.SwitchStmt:
				if n.Tag == nil {
					for _, s := range n.Body.List {
						for _, e := range s.(*ast.CaseClause).List {
							add(e)
						}
					}
				}
			}
			return true
		})
	}
	return list
}

// buildMutants builds the tests of a room with a file in which each condition is inverted
// where the environment names its number: one build for all mutants of a file. It returns
// the program; "": it does not build.
func buildMutants(t *testing.T, path string, text []byte, room string, conditions []condition) string {
	t.Helper()
	dir := t.TempDir()
	var changed strings.Builder
	at := 0
	for i, c := range conditions {
		fmt.Fprintf(&changed, "%s((%s) != (mutantOfTest == %d))", text[at:c.from], text[c.from:c.to], i+1)
		at = c.to
	}
	changed.Write(text[at:])
	pkg := regexp.MustCompile(`(?m)^package (\w+)`).FindSubmatch(text)
	extra := fmt.Sprintf("package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar mutantOfTest, _ = strconv.Atoi(os.Getenv(\"SALLYPORT_MUTANT\"))\n", pkg[1])
	files := map[string]string{filepath.Join(dir, "changed.go"): changed.String(), filepath.Join(dir, "extra.go"): extra}
	for name, body := range files {
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			t.Error(err)
			return ""
		}
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {
		path: filepath.Join(dir, "changed.go"), filepath.Join(filepath.Dir(path), "mutant_of_test.go"): filepath.Join(dir, "extra.go"),
	}})
	if err != nil {
		t.Error(err)
		return ""
	}
	overlay, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "room.test")
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Error(err)
		return ""
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay="+overlay, "-o", program, "../"+room).CombinedOutput()
	if err != nil {
		t.Errorf("%s: the mutants do not build: %s", path, out)
		return ""
	}
	return program
}

// notices runs the tests of a room with one condition inverted (0: none), and reports
// whether any fails. Times are not judged here.
func notices(t *testing.T, program, room string, mutant int) (bool, string) {
	t.Helper()
	if program == "" {
		return false, ""
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.failfast", "-test.timeout=3m", "-test.skip=TestE1")
	cmd.Dir = filepath.Join("..", room)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SALLYPORT_MUTANT=%d", mutant))
	out, err := cmd.CombinedOutput()
	return err != nil, string(out)
}
