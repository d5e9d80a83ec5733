package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/internal/command/importing"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

// Values of --on-conflict.
const (
	conflictSkip   = "skip"
	conflictUpdate = "update"
	conflictRefuse = "refuse"
)

type importFlags struct {
	format, realm, onConflict string
	dryRun, asJSON            bool
}

// check refuses flags that cannot be, before anything is opened.
func (f *importFlags) check() error {
	if f.format != "" && !slices.Contains(importing.Formats(), f.format) {
		return usage("--format: expected %s", strings.Join(importing.Formats(), ", "))
	}
	if conflicts := []string{conflictSkip, conflictUpdate, conflictRefuse}; !slices.Contains(conflicts, f.onConflict) {
		return usage("--on-conflict: expected %s", strings.Join(conflicts, ", "))
	}
	if f.realm == "" {
		return nil
	}
	realm, err := principal.CanonicalRealm(f.realm)
	if err != nil {
		return usage("--realm: %v", err)
	}
	f.realm = realm
	return nil
}

func (l *line) userImport() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Add many users from a file of another program, with their password hashes",
		Long: "Add the users of a file; - is standard input. The passwords stay as they are:\n" +
			"who can sign in there can sign in here.\n\n" +
			"  htpasswd   name:hash, a line each (Apache, nginx)\n" +
			"  authelia   the YAML file of Authelia's file backend\n" +
			"  django     the JSON of `manage.py dumpdata auth.user auth.group`\n" +
			"  jsonl      JSON lines, as `user export` writes them\n\n" +
			"The format is guessed unless it is named. Each user comes whole or not at all.\n" +
			"One that is refused is reported with its place and stops nobody else; the exit\n" +
			"code is then 1. Run it with --dry-run first: it counts exactly what the import\n" +
			"would do, and changes nothing.\n\n" +
			"Who exists already is left alone, so a second run does no harm. With\n" +
			"--on-conflict update they get the address, full name, phone, groups and state\n" +
			"that the file names, never a password or a factor; with --on-conflict refuse\n" +
			"they are refusals.",
		Example: "  sallyport user import --dry-run /etc/nginx/htpasswd\n" +
			"  sallyport user import --realm staff users_database.yml\n" +
			"  manage.py dumpdata auth.user auth.group | sallyport user import -\n" +
			"  sallyport user export --with-hashes | ssh new sallyport user import -",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(); err != nil {
				return err
			}
			return l.importFile(cmd, args[0], flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.format, "format", "", "`format` of the file: htpasswd, authelia, django or jsonl (default: guessed)")
	f.StringVar(&flags.realm, "realm", "", "`realm` of users for whom the file names none (default: the server's)")
	f.StringVar(&flags.onConflict, "on-conflict", conflictSkip, "`what` to do with users who exist: skip, update or refuse")
	f.BoolVar(&flags.dryRun, "dry-run", false, "say what would happen, and change nothing")
	jsonFlag(cmd, &flags.asJSON)
	return cmd
}

// importFile imports one file and says what became of it.
func (l *line) importFile(cmd *cobra.Command, path string, flags importFlags) error {
	source, closeFile, err := openSource(cmd, path)
	if err != nil {
		return err
	}
	defer closeFile()
	reader, err := importing.Open(source, flags.format)
	if errors.Is(err, errInterrupted) {
		return errInterrupted
	}
	if err != nil {
		return fmt.Errorf("%s: %w", nameOf(path), err)
	}
	if flags.format == "" {
		say(cmd, "Format: %s (guessed; --format names another).", reader.Format())
	}
	open := l.withNew
	if flags.dryRun {
		open = l.with
	}
	return open(cmd.Context(), func(c *client) error {
		i, err := newImporter(cmd, c, flags)
		if err != nil {
			return err
		}
		err = i.run(reader)
		if printed := i.print(cmd, reader); err == nil {
			err = printed
		}
		if err != nil {
			return err
		}
		if i.report.Refused > 0 {
			return fmt.Errorf("%d of %d users were refused", i.report.Refused, i.report.total())
		}
		return nil
	})
}

func nameOf(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

// openSource opens a file, or standard input for "-".
func openSource(cmd *cobra.Command, path string) (io.Reader, func(), error) {
	if path == "-" {
		return &patient{cmd.Context(), cmd.InOrStdin()}, func() {}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err // "open FILE: no such file or directory"
	}
	return &patient{cmd.Context(), f}, func() { _ = f.Close() }, nil // only read
}

// patient is a Reader that can be interrupted: see interruptible.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (p *patient) Read(buf []byte) (int, error) {
	text, err := interruptible(p.ctx, func() ([]byte, error) {
		own := make([]byte, len(buf)) // the reader may be left behind
		n, err := p.r.Read(own)
		return own[:n], err
	})
	return copy(buf, text), err
}

// print says what was done: for people counts, for programs one document.
func (i *importer) print(cmd *cobra.Command, reader *importing.Reader) error {
	r := &i.report
	r.DryRun, r.Notes = i.flags.dryRun, append([]string{}, reader.Notes()...)
	if i.flags.asJSON {
		return document(cmd.OutOrStdout(), r)
	}
	for _, note := range r.Notes {
		say(cmd, "Note: %s.", note)
	}
	headline := "Imported:"
	if r.DryRun {
		headline = "Dry run, nothing was changed. The import would give:"
	}
	fmt.Fprintln(cmd.OutOrStdout(), headline)
	rows := [][]string{{"created", fmt.Sprint(r.Created)}}
	if i.flags.onConflict == conflictUpdate {
		rows = append(rows, []string{"updated", fmt.Sprint(r.Updated)})
	}
	rows = append(rows, []string{"unchanged, exist already", fmt.Sprint(r.Exists)}, []string{"refused", fmt.Sprint(r.Refused)})
	for _, code := range r.codes() {
		rows = append(rows, []string{"  " + code, fmt.Sprint(r.Reasons[code])})
	}
	return table(cmd.OutOrStdout(), rows)
}
