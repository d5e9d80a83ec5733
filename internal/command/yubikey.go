package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// registeredKey is a YubiKey on the wire. It holds no secret.
type registeredKey struct {
	PublicID string    `json:"public_id"`
	AddedAt  time.Time `json:"added_at"`
}

func (l *line) yubikey() *cobra.Command {
	cmd := group(&cobra.Command{Use: "yubikey", Short: "Manage YubiKeys that are judged here, without Yubico's servers"})
	cmd.AddCommand(l.yubikeyAdd(), l.yubikeyList(), l.yubikeyDelete())
	return cmd
}

func (l *line) yubikeyAdd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add PUBLIC-ID",
		Short: "Register the secret of a YubiKey",
		Long: "Register the secret of a YubiKey, so that its one-time passwords are judged here. PUBLIC-ID is\n" +
			"what the key types without the last 32 characters. Private identity and AES key, 12 and 32\n" +
			"hexadecimal digits, are asked for, or read from standard input: one line, a space between.\n" +
			"It makes nobody a factor: people set the key up as their own, under their account.",
		Example: "  sallyport yubikey add cccccbchvthj\n  sallyport yubikey add cccccbchvthj < secret",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, key, err := yubikeySecret(cmd)
			if err != nil {
				return err
			}
			return l.withNew(cmd.Context(), func(c *client) error {
				var done json.RawMessage
				body := map[string]string{"public_id": args[0], "private_id": private, "key": key}
				if err := c.call(http.MethodPost, "/yubikeys", body, &done); err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), done)
				}
				fmt.Fprintln(cmd.ErrOrStderr(), "Registered the YubiKey. People set it up under their account, where the realm's methods have yubikey.")
				return nil
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// yubikeySecret reads private identity and AES key: never from an argument, which every
// process of the machine can read.
func yubikeySecret(cmd *cobra.Command) (private, key string, err error) {
	if fd, ok := terminal(cmd); ok {
		if private, err = ask(cmd, fd, "Private identity (12 hexadecimal digits): "); err != nil {
			return "", "", err
		}
		key, err = ask(cmd, fd, "AES key (32 hexadecimal digits): ")
		return strings.ReplaceAll(private, " ", ""), strings.ReplaceAll(key, " ", ""), err
	}
	text, err := readSecret(cmd.Context(), cmd.InOrStdin(), "standard input")
	if err != nil {
		return "", "", err
	}
	words := strings.Fields(text)
	if len(words) != 2 {
		return "", "", errors.New("standard input: one line with the private identity, a space, and the AES key is expected")
	}
	return words[0], words[1], nil
}

func (l *line) yubikeyList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the YubiKeys whose secrets are registered",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				var list struct {
					YubiKeys []registeredKey `json:"yubikeys"`
				}
				if err := c.call(http.MethodGet, "/yubikeys", nil, &list); err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), list.YubiKeys)
				}
				rows := [][]string{{"PUBLIC ID", "ADDED"}}
				for _, k := range list.YubiKeys {
					rows = append(rows, []string{k.PublicID, when(k.AddedAt)})
				}
				return table(cmd.OutOrStdout(), rows)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (l *line) yubikeyDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete PUBLIC-ID",
		Short: "Forget the secret of a YubiKey",
		Long:  "Forget the secret of a YubiKey. Who has it as a factor keeps it; Yubico's servers judge it\nfrom then on, where they are configured.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				if err := c.call(http.MethodDelete, "/yubikeys/"+url.PathEscape(args[0]), nil, nil); err != nil {
					return err
				}
				fmt.Fprintln(cmd.ErrOrStderr(), "Forgot the YubiKey's secret.")
				return nil
			})
		},
	}
}
