package command

import (
	"fmt"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/skip2/go-qrcode"
	"github.com/spf13/cobra"
)

// newUser is the body of POST /users.
type newUser struct {
	Realm    string   `json:"realm"`
	Name     string   `json:"name"`
	Password string   `json:"password,omitempty"`
	Email    string   `json:"email,omitempty"`
	FullName string   `json:"full_name,omitempty"`
	Phone    string   `json:"phone,omitempty"`
	Groups   []string `json:"groups,omitempty"`
}

// added is what `user add` prints. Scripts depend on it.
type added struct {
	Realm         string   `json:"realm"`
	Name          string   `json:"name"`
	Secret        string   `json:"secret,omitempty"`
	OTPAuthURI    string   `json:"otpauth_uri,omitempty"`
	RecoveryCodes []string `json:"recovery_codes,omitempty"`
	InviteURL     string   `json:"invite_url,omitempty"`
	SentTo        string   `json:"sent_to,omitempty"`
}

type addFlags struct {
	details
	passwordStdin, invite, mail, totp, qr, asJSON bool
}

func (l *line) userAdd() *cobra.Command {
	var flags addFlags
	cmd := &cobra.Command{
		Use:   "add NAME[@REALM]",
		Short: "Add a user, and the realm where it is missing",
		Long: "Add a user. A missing realm is made, without capabilities.\n\n" +
			"On a terminal the password is asked for. With --password-stdin it is read from\n" +
			"standard input, which is not looked at otherwise. With --invite the user chooses\n" +
			"it. Without any of these the user has none, and cannot sign in until you set one\n" +
			"with `user reset-password` or print a link with `user invite`.\n\n" +
			"With --totp the user has a second factor at once; its secret and recovery codes\n" +
			"are printed once. --invite needs a portal in the configuration; with --mail the\n" +
			"link is mailed to --email, and shown to nobody.\n" +
			"Administrators (NAME@admin) need --totp or --invite.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case flags.passwordStdin && flags.invite:
				return usage("--password-stdin and --invite exclude each other: an invited user chooses the password")
			case flags.mail && (!flags.invite || flags.email == ""):
				return usage("--mail sends the link of --invite to --email: name all three")
			case flags.qr && !flags.totp:
				return usage("--qr shows the secret of --totp: name both")
			case flags.qr && flags.asJSON:
				return usage("--qr and --json exclude each other")
			}
			return l.withNew(cmd.Context(), func(c *client) error { return c.addUser(cmd, args[0], &flags) })
		},
	}
	flags.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&flags.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.BoolVar(&flags.invite, "invite", false, "print a link with which the user chooses a password")
	f.BoolVar(&flags.mail, "mail", false, "mail the link of --invite, and show it to nobody")
	f.BoolVar(&flags.totp, "totp", false, "give the user a TOTP secret and recovery codes, active at once")
	f.BoolVar(&flags.qr, "qr", false, "show the TOTP secret as a QR code")
	jsonFlag(cmd, &flags.asJSON)
	return cmd
}

func (c *client) addUser(cmd *cobra.Command, name string, flags *addFlags) error {
	ref, err := c.ref(name)
	if err != nil {
		return err
	}
	if ref.Realm == adminRealm && !flags.totp && !flags.invite {
		return usage("an administrator needs a second factor: add --totp (printed here) or --invite (enrolled by the user)")
	}
	body := newUser{Realm: ref.Realm, Name: ref.Name, Email: flags.email, FullName: flags.fullName, Phone: flags.phone, Groups: flags.groups}
	if !flags.invite {
		body.Password, err = newPassword(cmd, flags.passwordStdin, "Password for "+called(ref)+" (empty: none yet): ")
		if err != nil {
			return err
		}
	}
	var made user
	if err := c.call(http.MethodPost, "/users", body, &made); err != nil {
		return err
	}
	record := ref
	if !principal.InPath(ref.Name) {
		record.Name = made.ID
	}
	result, err := c.equip(ref, record, flags)
	if err != nil {
		return err
	}
	if flags.asJSON {
		err = document(cmd.OutOrStdout(), result)
	} else {
		err = printAdded(cmd, result, flags.qr)
	}
	if body.Password == "" && !flags.invite {
		hint := ""
		if _, person := terminal(cmd); !person {
			hint = " (standard input is read with --password-stdin alone)"
		}
		say(cmd, "Added %s, without a password%s: nobody can sign in as %s until you set one with `user reset-password` or print a link with `user invite`.", called(ref), hint, shown(ref.Name))
	}
	return err
}

// equip gives the new user what the flags ask for. Where that fails the user
// is taken away again: half a user would refuse the next try as existing.
//
// record is ref, or names the user by the id.
func (c *client) equip(ref, record principal.Ref, flags *addFlags) (added, error) {
	result := added{Realm: ref.Realm, Name: ref.Name}
	err := func() error {
		if flags.totp {
			if err := c.call(http.MethodPost, userPath(record)+"/totp", struct{}{}, &result); err != nil {
				return err
			}
		}
		if flags.invite {
			link, err := c.invite(record, flags.mail)
			result.InviteURL, result.SentTo = link.InviteURL, link.SentTo
			return err
		}
		return nil
	}()
	if err == nil {
		return result, nil
	}
	if undo := c.call(http.MethodDelete, userPath(record), nil, nil); undo != nil {
		return added{}, fmt.Errorf("%w; the user %s exists without it: delete it and try again", err, called(ref))
	}
	return added{}, fmt.Errorf("%w; no user was added", err)
}

func printAdded(cmd *cobra.Command, a added, qr bool) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Added %s.\n", named(a.Name, a.Realm))
	if a.OTPAuthURI != "" {
		fmt.Fprintf(out, "\nThese are shown once.\nSecret:  %s\nURI:     %s\n", clean(a.Secret), clean(a.OTPAuthURI))
	}
	if qr {
		code, err := qrcode.New(a.OTPAuthURI, qrcode.Medium)
		if err != nil {
			return fmt.Errorf("draw the QR code: %w", err)
		}
		fmt.Fprint(out, "\n"+code.ToSmallString(false))
	}
	if len(a.RecoveryCodes) > 0 {
		fmt.Fprintln(out, "\nRecovery codes, each good once:")
		for _, code := range a.RecoveryCodes {
			fmt.Fprintln(out, "  "+clean(code))
		}
	}
	if a.SentTo != "" {
		fmt.Fprintf(out, "\nAn invitation is on its way to %s.\n", clean(a.SentTo))
	}
	if a.InviteURL != "" {
		fmt.Fprintf(out, "\nInvitation, for the user alone:\n%s\n", clean(a.InviteURL))
	}
	return nil
}
