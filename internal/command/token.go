package command

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/spf13/cobra"
)

// token prints the current code of a seed. It needs no server and no state.
func (l *line) token() *cobra.Command {
	var file string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "token (--seed-file FILE | --seed-stdin)",
		Short: "Print the current TOTP token of a seed",
		Long: "Print the current TOTP token, the digits alone on a line. The seed is base32\n" +
			"(then SHA1, 6 digits, 30 seconds) or an otpauth:// URI, whose parameters count.",
		Example: "  curl -u \"backup@robots:$(sallyport token --seed-file /etc/backup.seed)\" https://app.example.com/",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (file == "") == !stdin {
				return usage("say where the seed is: --seed-file FILE or --seed-stdin")
			}
			text, err := seedText(cmd, file)
			if err != nil {
				return err
			}
			code, err := currentCode(text, time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), code)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "seed-file", "", "read the seed from this `file`")
	cmd.Flags().BoolVar(&stdin, "seed-stdin", false, "read the seed from standard input")
	return cmd
}

func seedText(cmd *cobra.Command, file string) (string, error) {
	if file == "" {
		return readSecret(cmd.Context(), cmd.InOrStdin(), "standard input")
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("open the seed file: %w", err)
	}
	defer f.Close()
	return readSecret(cmd.Context(), f, file)
}

// currentCode returns the code of this moment. Errors never repeat the seed.
func currentCode(text string, at time.Time) (string, error) {
	seed, params, err := parseSeed(text)
	if err != nil {
		return "", err
	}
	return params.Code(seed, params.Step(at))
}

// parseSeed reads base32, with the usual parameters, or an otpauth:// URI.
func parseSeed(text string) (seed []byte, params otp.Params, err error) {
	text = strings.TrimSpace(text)
	params = otp.Default()
	if scheme, _, found := strings.Cut(text, "://"); found && strings.EqualFold(scheme, "otpauth") {
		_, seed, params, err = otp.ParseURI(text)
	} else {
		seed, err = otp.ParseSeed(text)
	}
	if err != nil {
		return nil, params, fmt.Errorf("a seed in base32 or an otpauth://totp/ URI is expected: %w", err)
	}
	return seed, params, nil
}
