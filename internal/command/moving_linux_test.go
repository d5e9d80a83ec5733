package command_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
)

// The Fernet key is typed at a prompt that shows nothing of it.
func TestTheFernetKeyIsAskedFor(t *testing.T) {
	m := newMachine(t)
	person, tty := openTerminals(t)
	file := filepath.Join(t.TempDir(), "rows")
	row := `{"id":1,"email":"bob@example.com","full_name":null,"hashed_password":"` + oldBcrypt + `","tfa_enabled":true,"device_type":"CODE_GENERATOR","key":"` + oldToken + `","backup_tokens":[]}`
	if err := os.WriteFile(file, []byte(row), 0o600); err != nil {
		t.Fatal(err)
	}
	exit := make(chan int, 1)
	var stdout, stderr bytes.Buffer
	go func() {
		exit <- command.Run(t.Context(), m.shell(&stdout, &stderr), []string{"user", "import", "--from", "fastapi2fa", file}, tty, &stdout, &stderr)
	}()
	for echoes(t, tty) { // until the prompt has switched it off
		runtime.Gosched()
	}
	if _, err := person.WriteString(fernetKey + "\n"); err != nil {
		t.Fatal(err)
	}
	if code := <-exit; code != command.ExitDone || !strings.HasPrefix(stderr.String(), "Fernet key (") || strings.Contains(stderr.String(), fernetKey) || !strings.Contains(stdout.String(), "created") {
		t.Errorf("exit code %d, stdout %s, stderr %s", code, &stdout, &stderr)
	}
}
