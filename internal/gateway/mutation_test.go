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
		for _, c := range conditions {
			what := v.file + ": " + string(text[c.from:c.to])
			mutant := string(text[:c.from]) + "!(" + string(text[c.from:c.to]) + ")" + string(text[c.to:])
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				noticed, out := notices(t, path, mutant, v.room)
				switch {
				case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
					t.Errorf("%s:%d: the mutant does not build: %s", v.file, c.line, out)
				case !noticed:
					t.Errorf("%s passes all tests of %s when it is inverted (line %d)", what, v.room, c.line)
				case !strings.Contains(out, "--- FAIL"):
					t.Errorf("%s:%d: no test failed, but something did: %s", v.file, c.line, out)
				default:
					killed.Add(1)
				}
			})
		}
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

// notices runs the tests of a room over a changed file and reports whether they
// fail. Those that measure time for seconds have no say in what is good.
func notices(t *testing.T, path, text, room string) (bool, string) {
	t.Helper()
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-failfast", "-vet=off", "-timeout=2m", "-skip=TestE1", "-overlay="+overlay, fmt.Sprintf("../%s", room))
	out, err := cmd.CombinedOutput()
	return err != nil, string(out)
}
