package api_test

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/api"
)

// tool runs a program of tools/go.mod.
func tool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	mod, err := filepath.Abs("../../../tools/go.mod")
	must(t, err)
	return goRun(t, ".", append([]string{"tool", "-modfile=" + mod}, args...)...)
}

func goRun(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// description leaves the served document in a file.
func (w *world) description() string {
	w.Helper()
	a := w.serve(w.api, httptest.NewRequest("GET", "https://auth.example.com"+api.DescriptionPath, nil)).want(200)
	file := filepath.Join(w.TempDir(), "openapi.json")
	must(w, os.WriteFile(file, []byte(a.body), 0o600))
	return file
}

// A judge that is not ours finds the description valid, and would tell.
func TestDescriptionIsValid(t *testing.T) {
	file := newWorld(t, worldOptions{}).description()
	if out, err := tool(t, "validate", file); err != nil {
		t.Errorf("not valid OpenAPI: %s", out)
	}
	text, err := os.ReadFile(file)
	must(t, err)
	for _, harm := range [][2]string{{`"type":"integer"`, `"type":"intger"`}, {`"#/components/schemas/User"`, `"#/components/schemas/Usr"`}, {`"description":"Created"`, `"x":"Created"`}} {
		bad := filepath.Join(t.TempDir(), "bad.json")
		must(t, os.WriteFile(bad, bytes.Replace(text, []byte(harm[0]), []byte(harm[1]), 1), 0o600))
		if out, err := tool(t, "validate", bad); err == nil {
			t.Errorf("the judge does not see %s: %s", harm[1], out)
		}
	}
}

// A client that a generator made from the served description compiles, and
// makes, reads, changes and deletes a user.
func TestGeneratedClientWorks(t *testing.T) {
	w := newWorld(t, worldOptions{})
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join("testdata", "client", name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "sallyport"), 0o700))
	out, err := tool(t, "oapi-codegen", "-generate", "types,client", "-package", "sallyport",
		"-o", filepath.Join(dir, "sallyport", "client.go"), w.description())
	if err != nil {
		t.Fatalf("generate: %s", out)
	}
	if out, err := goRun(t, dir, "build", "-o", "client", "."); err != nil {
		t.Fatalf("compile: %s", out)
	}
	server := httptest.NewServer(w.api)
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "client"))
	cmd.Env = append(os.Environ(), "SALLYPORT_API="+server.URL+api.Prefix, "SALLYPORT_TOKEN="+w.member("root@admin").visit().token)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("run: %s", out)
	}
}
