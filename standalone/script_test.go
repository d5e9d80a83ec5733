package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// The command line as a shell script uses it: the real binary, real
// directories, exit codes. The commands themselves are tested more closely in
// internal/command.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script") }

// The same with the state in a database, $DATABASE_URL.
func TestDatabaseScripts(t *testing.T) { runScripts(t, "testdata/postgres") }

func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(plain)+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("PORT", freePort(t))
			if dir == "testdata/postgres" {
				env.Setenv("DATABASE_URL", pgtest.URL(t))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"waitfor": waitFor,
		},
	})
}

// exits CODE COMMAND…: the command ends with exactly this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	quoted := make([]string, len(args)-1)
	for i, a := range args[1:] {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	script := strings.Join(quoted, " ") + "; code=$?; [ $code = " + args[0] + " ] || { echo \"exit code $code\" >&2; exit 1; }"
	if err := ts.Exec("sh", "-c", script); err != nil {
		ts.Fatalf("want exit code %s: %v", args[0], err)
	}
}

// waitfor FILE: wait until the file (or socket) exists.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	for range 1500 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		pause()
	}
	ts.Fatalf("%s did not appear", args[0])
}
