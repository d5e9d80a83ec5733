package badger_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// nobody has no rights that root did not give.
const nobody = 65534

// The state directory was made by root, and the service runs as somebody else.
func TestUnreadableDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test gives up root's rights in a child process: run it as root, or in a container")
	}
	home := t.TempDir()
	for _, d := range []string{home, filepath.Dir(home)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	locked := filepath.Join(home, "db")
	if err := os.Mkdir(locked, 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(home, "program") // the test's own lies where only root reads
	copyProgram(t, program)
	for _, dir := range []string{locked, filepath.Join(locked, "below"), filepath.Join(home, "new")} {
		victim := exec.Command(program)
		victim.Env = []string{victimDir + "=" + dir, victimKey + "=" + strings.TrimSpace(secret.NewMasterKeyText()), victimStart + "=0"}
		victim.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := victim.CombinedOutput()
		if err == nil {
			t.Fatalf("opened %s", dir)
		}
		for _, want := range []string{"permission denied", dir, "uid 65534"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%q does not say %q", out, want)
			}
		}
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, from); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
