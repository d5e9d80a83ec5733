package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	thisModule  = "github.com/sallyport-auth/sallyport"
	caddyModule = "github.com/caddyserver/caddy/v2"
)

// xcaddy.json says which Caddy is built; go.mod says which one was tested. They are
// the same, and nothing stands in the file that xcaddy would not read.
func TestXcaddyFileAgreesWithGoMod(t *testing.T) {
	text, err := os.ReadFile("../xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	var build struct {
		CaddyVersion string `json:"caddy_version"`
		Plugins      []struct {
			Path    string `json:"module_path"`
			Version string `json:"version"`
		} `json:"plugins"`
		Replacements []struct{ Old, New string } `json:"replacements"`
		BuildFlags   string                      `json:"build_flags"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&build); err != nil {
		t.Fatal(err)
	}
	version := run(t, "go", "list", "-m", "-f", "{{.Version}}", caddyModule)
	if build.CaddyVersion != strings.TrimSpace(version) {
		t.Errorf("xcaddy.json builds Caddy %s, go.mod has %s", build.CaddyVersion, version)
	}
	if len(build.Plugins) != 1 || build.Plugins[0].Path != thisModule+"/caddymodule" || build.Plugins[0].Version != "" {
		t.Errorf("plugins: %+v", build.Plugins)
	}
	if len(build.Replacements) != 1 || build.Replacements[0].Old != thisModule || build.Replacements[0].New != "." {
		t.Errorf("replacements: %+v", build.Replacements)
	}
}

// What a newcomer types: `make caddy`, and the example as it is (but for ports that
// may be taken here).
func TestMakeCaddyRunsTheExample(t *testing.T) {
	dir := t.TempDir()
	run(t, "make", "-C", "..", "caddy", "BIN="+dir)
	binary := filepath.Join(dir, "caddy")
	modules := run(t, binary, "list-modules")
	for _, module := range []string{"sallyport", "http.handlers.sallyport"} {
		if !strings.Contains("\n"+modules, "\n"+module+"\n") {
			t.Errorf("list-modules does not name %s", module)
		}
	}
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	front, back := free(t), free(t)
	text := strings.NewReplacer("localhost:2019", "localhost:"+free(t), "8080", front, "8081", back, "8443", free(t)).Replace(string(example))
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, binary, "run", "--config", file)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	get := func(url string) (int, string, string) {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		resp, err := client.Do(req)
		if err != nil {
			return 0, "", ""
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header.Get("Location"), string(body)
	}
	deadline := time.Now().Add(patience)
	for {
		if status, _, _ := get("http://localhost:" + front + "/sallyport/readyz"); status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the example was not ready in %v:\n%s", patience, log.String())
		}
		<-time.After(50 * time.Millisecond)
	}
	if status, location, body := get("http://localhost:" + front + "/"); status != http.StatusFound || !strings.HasPrefix(location, "/sallyport/login") {
		t.Errorf("without a session: %d %q %q", status, location, body)
	}
	if _, _, body := get("http://localhost:" + back + "/"); !strings.Contains(body, "You are  of realm") {
		t.Errorf("the stand-in: %q", body)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		stderr := ""
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = string(exit.Stderr)
		}
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr)
	}
	return string(out)
}

func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
