package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxSecret bounds a secret on standard input or in a file, in bytes.
const maxSecret = 4096

// terminal returns the descriptor of standard input when a person sits there.
func terminal(cmd *cobra.Command) (int, bool) {
	f, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// newPassword reads a new password: from standard input where fromStdin, else
// twice from the person at the terminal. Without a terminal it is empty.
func newPassword(cmd *cobra.Command, fromStdin bool, prompt string) (string, error) {
	if fromStdin {
		password, err := readSecret(cmd.Context(), cmd.InOrStdin(), "standard input")
		if err == nil && password == "" {
			err = errors.New("there is no password on standard input")
		}
		return password, err
	}
	fd, ok := terminal(cmd)
	if !ok {
		return "", nil
	}
	first, err := ask(cmd, fd, prompt)
	if err != nil || first == "" {
		return "", err
	}
	second, err := ask(cmd, fd, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != second { // both were typed here: there is nobody to time this
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// ask prompts on standard error and reads a line without echo.
func ask(cmd *cobra.Command, fd int, prompt string) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("look at the terminal: %w", err)
	}
	fmt.Fprint(cmd.ErrOrStderr(), prompt)
	text, err := interruptible(cmd.Context(), func() ([]byte, error) { return term.ReadPassword(fd) })
	fmt.Fprintln(cmd.ErrOrStderr())
	switch {
	case errors.Is(err, errInterrupted): // the reader still holds the terminal without echo
		return "", errors.Join(err, term.Restore(fd, before))
	case err != nil:
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	return string(text), nil
}

var errInterrupted = errors.New("interrupted")

// interruptible reads until ctx ends: a read from a terminal or a pipe knows no
// context, and would swallow the signal. The reader is left behind, and ends
// with the program.
func interruptible(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	type answer struct {
		text []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return nil, errInterrupted
	}
}

// readSecret reads all of r, without the line break at its end.
func readSecret(ctx context.Context, r io.Reader, from string) (string, error) {
	text, err := interruptible(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxSecret+1)) })
	if errors.Is(err, errInterrupted) {
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("read the secret from %s: %w", from, err)
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("the secret in %s is longer than %d bytes", from, maxSecret)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if strings.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("the secret in %s has more than one line", from)
	}
	return secret, nil
}
