package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes. Scripts depend on them.
const (
	ExitDone   = 0
	ExitFailed = 1 // refused, or failed
	ExitUsage  = 2 // the command line itself is wrong
)

// usageError is a wrong command line: exit code 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// ExitCode says how the program ends after the error of a command; nil is 0.
func ExitCode(err error) int {
	var u *usageError
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &u):
		return ExitUsage
	}
	return ExitFailed
}

// Run executes one command line (without the program's name) and returns the
// exit code. The error, if any, is one line on stderr.
func Run(ctx context.Context, shell Shell, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := New(shell)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	completion(root)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), clean(err.Error()))
	}
	return ExitCode(err)
}

// line is the state of one command line: what the shell gave, and the flags
// that stand before the command.
type line struct {
	shell  Shell
	global Global
	stderr io.Writer
}

// New returns the command line. It prints no errors by itself (Run does, or
// the shell that hangs it below a command of its own, with ExitCode).
func New(shell Shell) *cobra.Command {
	l := &line{shell: shell}
	if shell.Use == "" {
		shell.Use = "sallyport"
	}
	root := group(&cobra.Command{
		Use:     shell.Use,
		Version: shell.Version,
		Short:   "An authentication gateway with two doors",
		Long: "Sallyport guards upstreams that know nothing of logins: a password, then a\n" +
			"one-time code, then the upstream.\n\n" +
			"Commands that manage users, services, realms and sessions talk to the running\n" +
			"server through its admin socket, and open the state directory themselves when no\n" +
			"server runs.",
	})
	root.SetVersionTemplate("sallyport {{.Version}}\n") // as `version` prints it
	flags := root.PersistentFlags()
	flags.StringVar(&l.global.State, "state", os.Getenv("SALLYPORT_STATE"), "state `directory` (SALLYPORT_STATE)")
	flags.StringVar(&l.global.Config, "config", os.Getenv("SALLYPORT_CONFIG"), "configuration `file` (SALLYPORT_CONFIG)")
	// What the environment said is not the default, and may be private.
	flags.Lookup("state").DefValue = ""
	flags.Lookup("config").DefValue = ""
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		l.stderr = cmd.ErrOrStderr()
		l.global.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	}
	for _, add := range []func() *cobra.Command{l.serve, l.check, l.explain} {
		if cmd := add(); cmd != nil {
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(l.setupLink(), l.user(), l.service(), l.realm(), l.session(), l.yubikey(), l.outbox(), l.token(), l.verify(), l.version())
	strict(root)
	return root
}

// completion adds cobra's command, which remembers where root writes.
func completion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			strict(group(cmd))
		}
	}
}

// noArgs refuses arguments without repeating them: where somebody typed a
// secret in the wrong place it does not go on into a log.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("no argument is expected here")
	}
	return nil
}

// group makes a command that only has commands below it: alone or with an
// unknown word it is a wrong command line.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = ", did you mean " + strings.Join(near, " or ") + "?"
			}
			return usage("unknown command %q%s (see %s --help)", args[0], hint, cmd.CommandPath())
		}
		cmd.SetOut(cmd.ErrOrStderr())
		if err := cmd.Help(); err != nil {
			return err
		}
		return usage("a command is missing")
	}
	return cmd
}

// strict makes every wrong flag and every wrong number of arguments a usage
// error, here and below.
func strict(cmd *cobra.Command) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SuggestionsMinimumDistance = 2
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%s (see %s --help)", err, cmd.CommandPath())
	})
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%s (see %s --help)", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, below := range cmd.Commands() {
		strict(below)
	}
}
