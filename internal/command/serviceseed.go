package command

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/skip2/go-qrcode"
	"github.com/spf13/cobra"
)

// newService is the body of POST /services.
type newService struct {
	Realm       string   `json:"realm"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Seed        string   `json:"seed,omitempty"`
	SeedBytes   int      `json:"seed_bytes,omitempty"`
	Digits      int      `json:"digits,omitempty"`
	Period      int      `json:"period,omitempty"`
	Algorithm   string   `json:"algorithm,omitempty"`
	Use         string   `json:"use,omitempty"`
	AllowFrom   []string `json:"allow_from,omitempty"`
	Owner       string   `json:"owner,omitempty"`
	Trusted     bool     `json:"trusted,omitempty"`
}

// take fills in what a seed's URI says and no flag does.
func (n *newService) take(p *otp.Params) {
	if p == nil {
		return
	}
	n.Digits, n.Period = cmp.Or(n.Digits, p.Digits), cmp.Or(n.Period, p.Period)
	n.Algorithm = cmp.Or(n.Algorithm, string(p.Algorithm))
}

// newSeed is what `service add` and `service rotate` print. Scripts depend on it.
// With --seed-file the file stands in for the seed.
type newSeed struct {
	Realm        string    `json:"realm"`
	Name         string    `json:"name"`
	Seed         string    `json:"seed,omitempty"`
	OTPAuthURI   string    `json:"otpauth_uri,omitempty"`
	SeedFile     string    `json:"seed_file,omitempty"`
	OldSeedUntil time.Time `json:"old_seed_until,omitzero"`
}

// seedFlags say where a seed comes from and where it goes.
type seedFlags struct {
	stdin, qr, asJSON bool
	bytes             int
	file              string
}

func (s *seedFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&s.stdin, "seed-stdin", false, "take a seed from standard input, in base32 or as an otpauth:// URI")
	f.IntVar(&s.bytes, "seed-bytes", 0, "`length` of a new seed in bytes, 20 to 128 (default 20)")
	f.StringVar(&s.file, "seed-file", "", "write the seed to this new `file` (mode 0600) instead of printing it; token --seed-file reads it")
	f.BoolVar(&s.qr, "qr", false, "show the seed as a QR code")
	jsonFlag(cmd, &s.asJSON)
}

func (s *seedFlags) check(cmd *cobra.Command) error {
	switch changed := cmd.Flags().Changed; {
	case s.stdin && changed("seed-bytes"):
		return usage("--seed-stdin and --seed-bytes exclude each other: a seed that is given has its own length")
	case changed("seed-bytes") && (s.bytes < otp.MinNewSeed || s.bytes > otp.MaxSeed):
		return usage("--seed-bytes is %d to %d", otp.MinNewSeed, otp.MaxSeed)
	case changed("seed-file") && s.file == "":
		return usage("--seed-file: a file is expected")
	case s.qr && (s.asJSON || s.file != ""):
		return usage("--qr shows the seed: it goes with neither --json nor --seed-file")
	}
	return nil
}

// given is the seed on standard input in base32, "" without --seed-stdin. What
// --seed-file writes is read again: an otpauth URI says its parameters too.
func (s *seedFlags) given(cmd *cobra.Command) (seed string, params *otp.Params, err error) {
	if !s.stdin {
		return "", nil, nil
	}
	text, err := readSecret(cmd.Context(), cmd.InOrStdin(), "standard input")
	if err == nil && text == "" {
		err = errors.New("there is no seed on standard input")
	}
	if err != nil {
		return "", nil, err
	}
	secret, read, err := parseSeed(text)
	if err != nil {
		return "", nil, err
	}
	if strings.Contains(text, "://") {
		params = &read
	}
	return otp.FormatSeed(secret), params, nil
}

func (l *line) serviceAdd() *cobra.Command {
	var seed seedFlags
	var d serviceDetails
	var body newService
	cmd := &cobra.Command{
		Use:   "add NAME@REALM",
		Short: "Add a service, and the realm where it is missing",
		Long: "Add a service and print its seed, once. A missing realm is made, without\n" +
			"capabilities. The seed is new, or comes on standard input with --seed-stdin.\n" +
			"With --seed-file it is written to a new file and not printed: in base32, or as an\n" +
			"otpauth:// URI where digits, period or algorithm are not the usual ones.",
		Example: "  sallyport service add deploy@robots --seed-file deploy.seed\n" +
			"  curl -u \"deploy@robots:$(sallyport token --seed-file deploy.seed)\" https://app.example.com/",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := serviceRef(args[0])
			if err != nil {
				return err
			}
			if err := d.check(); err != nil {
				return err
			}
			if err := seed.check(cmd); err != nil {
				return err
			}
			var params *otp.Params
			if body.Seed, params, err = seed.given(cmd); err != nil {
				return err
			}
			body.take(params)
			body.Realm, body.Name, body.SeedBytes = ref.Realm, ref.Name, seed.bytes
			body.Description, body.Use, body.AllowFrom = d.description, d.use, d.allowFrom
			body.Owner, body.Trusted = d.owner, d.trusted
			return l.withNew(cmd.Context(), func(c *client) error { return c.addService(cmd, ref, body, &seed) })
		},
	}
	seed.flags(cmd)
	d.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&body.Digits, "digits", 0, "`number` of digits of a token: 6 or 8 (default: the realm's)")
	f.IntVar(&body.Period, "period", 0, "`seconds` of a token, 15 to 300 (default: the realm's)")
	f.StringVar(&body.Algorithm, "algorithm", "", "SHA1, `SHA256` or SHA512 (default: the realm's)")
	return cmd
}

func (c *client) addService(cmd *cobra.Command, ref principal.Ref, body newService, flags *seedFlags) error {
	return flags.deliver(cmd, "Added", func() (made newSeed, err error) {
		return made, c.call(http.MethodPost, "/services", body, &made)
	}, func(cause error) error {
		if undo := c.call(http.MethodDelete, servicePath(ref), nil, nil); undo != nil {
			return fmt.Errorf("%w; the service %s exists, and nobody knows its seed: delete it and try again", cause, called(ref))
		}
		return fmt.Errorf("%w; no service was added", cause)
	})
}

func (l *line) serviceRotate() *cobra.Command {
	var seed seedFlags
	var overlap time.Duration
	cmd := &cobra.Command{
		Use:   "rotate NAME@REALM",
		Short: "Give a service a new seed; the old one works on for a while",
		Long: "Give a service a new seed and print it, once. The old seed works on for the\n" +
			"overlap; an older one no longer. Access tokens and streams end at once: the\n" +
			"service fetches another token with either seed. After a leak: --overlap 0.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := serviceRef(args[0])
			if err != nil {
				return err
			}
			if err := seed.check(cmd); err != nil {
				return err
			}
			if overlap < 0 || overlap%time.Second != 0 {
				return usage("--overlap is a length of time in whole seconds, such as 24h or 0")
			}
			body := struct {
				Overlap   int    `json:"overlap"`
				Seed      string `json:"seed,omitempty"`
				SeedBytes int    `json:"seed_bytes,omitempty"`
			}{Overlap: int(overlap / time.Second), SeedBytes: seed.bytes}
			var params *otp.Params
			if body.Seed, params, err = seed.given(cmd); err != nil {
				return err
			}
			return l.with(cmd.Context(), func(c *client) error {
				if err := c.sameParams(ref, params); err != nil {
					return err
				}
				return seed.deliver(cmd, "Rotated", func() (made newSeed, err error) {
					return made, c.call(http.MethodPost, servicePath(ref)+"/rotate", body, &made)
				}, func(cause error) error {
					return fmt.Errorf("%w; %s has a new seed that nobody knows: rotate again, with another file", cause, called(ref))
				})
			})
		},
	}
	seed.flags(cmd)
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how `long` the old seed works on, at most 720h")
	return cmd
}

// deliver makes a seed and hands it over: printed, or in the file. The file is
// opened before the seed is made, so that a wrong name costs nothing; lost is asked
// for the error where it cannot be written after that.
func (s *seedFlags) deliver(cmd *cobra.Command, done string, create func() (newSeed, error), lost func(error) error) error {
	var file *os.File
	if s.file != "" {
		var err error
		// O_EXCL: never over another service's seed, and never through a link.
		file, err = os.OpenFile(s.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("the seed file %s exists already: name another, or move it away", s.file)
		}
		if err != nil {
			return fmt.Errorf("make the seed file: %w", err)
		}
	}
	made, err := create()
	if file != nil {
		if err == nil {
			if err = writeSeed(file, made); err != nil {
				err = lost(err)
			}
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return errors.Join(err, os.Remove(s.file))
		}
		made.Seed, made.OTPAuthURI, made.SeedFile = "", "", s.file
	}
	if err != nil {
		return err
	}
	if s.asJSON {
		return document(cmd.OutOrStdout(), made)
	}
	return printSeed(cmd, done, made, s.qr)
}

// writeSeed writes what `token` and other programs read: base32, or the URI where
// the parameters are not those that base32 alone means.
func writeSeed(file *os.File, made newSeed) error {
	text := made.OTPAuthURI
	if _, _, params, err := otp.ParseURI(made.OTPAuthURI); err == nil && params == otp.Default() {
		text = made.Seed
	}
	_, err := file.WriteString(text + "\n")
	if err = errors.Join(err, file.Sync()); err != nil {
		return fmt.Errorf("write the seed file: %w", err)
	}
	return nil
}

func printSeed(cmd *cobra.Command, done string, s newSeed, qr bool) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s %s.\n", done, named(s.Name, s.Realm))
	if s.SeedFile != "" {
		fmt.Fprintf(out, "Its seed is in %s.\n", clean(s.SeedFile))
	} else {
		fmt.Fprintf(out, "\nThese are shown once.\nSeed:  %s\nURI:   %s\n", clean(s.Seed), clean(s.OTPAuthURI))
	}
	if qr {
		code, err := qrcode.New(s.OTPAuthURI, qrcode.Medium)
		if err != nil {
			return fmt.Errorf("draw the QR code: %w", err)
		}
		fmt.Fprint(out, "\n"+code.ToSmallString(false))
	}
	if !s.OldSeedUntil.IsZero() {
		say(cmd, "The old seed works until %s.", when(s.OldSeedUntil))
	}
	return nil
}

// sameParams refuses a seed whose URI says other parameters than its service has: a
// rotation keeps them, and no token would ever fit.
func (c *client) sameParams(ref principal.Ref, p *otp.Params) error {
	if p == nil {
		return nil
	}
	var has struct {
		Algorithm string `json:"algorithm"`
		Digits    int    `json:"digits"`
		Period    int    `json:"period"`
	}
	if err := c.call(http.MethodGet, servicePath(ref), nil, &has); err != nil {
		return err
	}
	if has.Algorithm != string(p.Algorithm) || has.Digits != p.Digits || has.Period != p.Period {
		return fmt.Errorf("the seed on standard input is for %s, %d digits and %d s, and %s has %s, %d digits and %d s, which a rotation keeps: delete the service and add it anew, or give another seed",
			p.Algorithm, p.Digits, p.Period, called(ref), has.Algorithm, has.Digits, has.Period)
	}
	return nil
}
