package command_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport-auth/sallyport/internal/command"
)

// TestCtrlCAtAPromptIsHeeded: a person who thinks better of it at the password
// prompt presses Ctrl-C. The program used to wait on, with a terminal that no
// longer echoed.
func TestCtrlCAtAPromptIsHeeded(t *testing.T) {
	m := newMachine(t)
	tty := openTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	exit := make(chan int, 1)
	var stdout, stderr bytes.Buffer
	go func() {
		exit <- command.Run(ctx, m.shell(&stdout, &stderr), []string{"user", "add", "alice"}, tty, &stdout, &stderr)
	}()
	for echoes(t, tty) { // until the prompt has switched it off
		runtime.Gosched()
	}
	interrupt()
	if code := <-exit; code != command.ExitFailed {
		t.Errorf("exit code %d, want %d", code, command.ExitFailed)
	}
	if want := "Password for alice@users (empty: none yet): \nsallyport: interrupted\n"; stderr.String() != want || stdout.Len() > 0 {
		t.Errorf("stdout %q, stderr %q, want %q", &stdout, &stderr, want)
	}
	if !echoes(t, tty) {
		t.Error("the terminal no longer echoes what is typed")
	}
	stderr.Reset()
	if code := command.Run(t.Context(), m.shell(&stdout, &stderr), []string{"user", "show", "alice"}, tty, &stdout, &stderr); code != command.ExitFailed {
		t.Errorf("the user was added all the same: exit code %d", code)
	}
}

// The same where a pipe never ends, or a person types at --password-stdin.
func TestCtrlCEndsReadingStandardInput(t *testing.T) {
	m := newMachine(t)
	r, w := io.Pipe()
	defer w.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	exit := make(chan int, 1)
	go func() {
		exit <- command.Run(ctx, m.shell(&stdout, &stderr), []string{"user", "add", "alice", "--password-stdin"}, r, &stdout, &stderr)
	}()
	if _, err := w.Write([]byte("velvet otter")); err != nil { // returns when it was read
		t.Fatal(err)
	}
	interrupt()
	if code := <-exit; code != command.ExitFailed || stderr.String() != "sallyport: interrupted\n" {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
}

// openTerminal returns the program's side of a pseudo-terminal.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	_, tty := openTerminals(t)
	return tty
}

// openTerminals returns both sides: the person's, and the program's.
func openTerminals(t *testing.T) (person, tty *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() }) // ends the reader that was left behind
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}
