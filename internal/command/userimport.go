package command

import (
	"cmp"
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
	format, from, realm, onConflict string
	fernetKeyFile                   string
	leaveOut                        []string // methods of an older system
	totpPeriod                      int      // seconds; 0: not said
	dryRun, asJSON                  bool
}

// check refuses flags that cannot be, before anything is opened.
// periodSet: the flag --totp-period was given.
func (f *importFlags) check(periodSet bool) error {
	if f.format != "" && !slices.Contains(importing.Formats(), f.format) {
		return usage("--format: expected %s", strings.Join(importing.Formats(), ", "))
	}
	switch {
	case f.from != "" && !slices.Contains(importing.Systems(), f.from):
		return usage("--from: expected %s", strings.Join(importing.Systems(), ", "))
	case f.from != "" && f.format != "":
		return usage("--from and --format exclude each other: --from is the format of an older system")
	case f.fernetKeyFile != "" && f.from != importing.FastAPI2FA:
		return usage("--fernet-key-file goes with --from %s", importing.FastAPI2FA)
	case periodSet && f.from != importing.Trench:
		return usage("--totp-period goes with --from %s: other files say it themselves, or have 30 seconds", importing.Trench)
	case periodSet && (f.totpPeriod < 1 || f.totpPeriod > importing.MaxPeriod):
		return usage("--totp-period: 1 to %d seconds are expected", importing.MaxPeriod)
	}
	if len(f.leaveOut) > 0 && f.from != importing.Trench && f.from != importing.FastAPI2FA {
		return usage("--leave-out goes with --from %s or %s: other files have no such methods", importing.Trench, importing.FastAPI2FA)
	}
	for _, word := range f.leaveOut {
		if !slices.Contains(importing.LeftOut(), word) {
			return usage("--leave-out: expected %s", strings.Join(importing.LeftOut(), ", "))
		}
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
			"With --from NAME it is what one query of an older system's database prints, a\n" +
			"JSON object a line; docs/compat.md has the query of each:\n\n" +
			"  adjure      users with authenticator and recovery codes\n" +
			"  ungleich    services of ungleich-otp, in their own realms, and its apps\n" +
			"  fastapi2fa  users of fastapi_2fa; its Fernet key is asked for\n" +
			"  trench      Django's users with the methods of django-trench\n\n" +
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
			"  sallyport user import --from trench --dry-run trench.jsonl\n" +
			"  sallyport user export --with-hashes | ssh new sallyport user import -",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd.Flags().Changed("totp-period")); err != nil {
				return err
			}
			return l.importFile(cmd, args[0], flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.format, "format", "", "`format` of the file: htpasswd, authelia, django or jsonl (default: guessed)")
	f.StringVar(&flags.from, "from", "", "older `system` whose query printed the file: adjure, ungleich, fastapi2fa or trench")
	f.StringVar(&flags.fernetKeyFile, "fernet-key-file", "", "`file` with the Fernet key of fastapi2fa (default: asked for)")
	f.IntVar(&flags.totpPeriod, "totp-period", 0, "`seconds` for which trench's codes live (default: as the realm's otp says, else 30)")
	f.StringSliceVar(&flags.leaveOut, "leave-out", nil, "`methods` of trench or fastapi2fa that do not come along: email, sms, yubikey, own")
	f.StringVar(&flags.realm, "realm", "", "`realm` of users for whom the file names none (default: the server's); with --from of all (default: the system's)")
	f.StringVar(&flags.onConflict, "on-conflict", conflictSkip, "`what` to do with users who exist: skip, update or refuse")
	f.BoolVar(&flags.dryRun, "dry-run", false, "say what would happen, and change nothing")
	jsonFlag(cmd, &flags.asJSON)
	return cmd
}

// importFile imports one file and says what became of it.
func (l *line) importFile(cmd *cobra.Command, path string, flags importFlags) error {
	key, err := flags.fernet(cmd)
	if err != nil {
		return err
	}
	source, closeFile, err := openSource(cmd, path)
	if err != nil {
		return err
	}
	defer closeFile()
	var reader *importing.Reader
	if flags.from == "" {
		reader, err = importing.Open(source, flags.format)
	} else {
		reader, err = importing.From(source, flags.from, key)
	}
	if errors.Is(err, errInterrupted) {
		return errInterrupted
	}
	if err != nil {
		return fmt.Errorf("%s: %w", nameOf(path), err)
	}
	if flags.format == "" && flags.from == "" {
		say(cmd, "Format: %s (guessed; --format names another).", reader.Format())
	}
	open := l.withNew
	if flags.dryRun {
		open = l.with
	}
	return open(cmd.Context(), func(c *client) error {
		i := newImporter(cmd, c, flags)
		if err := i.look(); err != nil {
			return err
		}
		reader.LeaveOut(flags.leaveOut)
		reader.SetPeriod(cmp.Or(flags.totpPeriod, i.periods[i.realm]))
		err := i.run(reader)
		if printed := i.print(cmd, reader); err == nil {
			err = printed
		}
		if err != nil {
			return err
		}
		if i.report.Refused > 0 {
			return fmt.Errorf("%d of %d %ss were refused", i.report.Refused, i.report.total(), kindOf(i.services()))
		}
		return nil
	})
}

// fernet reads the key of fastapi2fa from a file or from the person at the terminal:
// an argument would stand in the list of processes. nil: it is not needed.
func (f *importFlags) fernet(cmd *cobra.Command) (*importing.Fernet, error) {
	if f.from != importing.FastAPI2FA {
		return nil, nil
	}
	text, err := "", error(nil)
	if f.fernetKeyFile != "" {
		text, err = secretFile(cmd, f.fernetKeyFile)
	} else {
		fd, ok := terminal(cmd)
		if !ok {
			return nil, usage("the Fernet key of fastapi2fa (FERNET_KEY_TFA_TOKEN) is needed, and nobody sits at a terminal: give it with --fernet-key-file")
		}
		text, err = ask(cmd, fd, "Fernet key (FERNET_KEY_TFA_TOKEN of fastapi_2fa): ")
	}
	if err != nil {
		return nil, err
	}
	return importing.ParseFernet(text)
}

// secretFile reads the one line of a file.
func secretFile(cmd *cobra.Command, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err // "open FILE: no such file or directory"
	}
	defer func() { _ = file.Close() }() // only read
	return readSecret(cmd.Context(), file, path)
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
	r.DryRun, r.Notes = i.flags.dryRun, append(append([]string{}, r.Notes...), reader.Notes()...)
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
