package command

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/spf13/cobra"
)

// user is a user's record on the wire.
type user struct {
	ID          string    `json:"id"`
	Number      uint64    `json:"number"`
	Realm       string    `json:"realm"`
	Name        string    `json:"name"`
	Email       string    `json:"email"`
	FullName    string    `json:"full_name"`
	Phone       string    `json:"phone"`
	Groups      []string  `json:"groups"`
	Disabled    bool      `json:"disabled"`
	HasPassword bool      `json:"has_password"`
	Methods     []string  `json:"methods"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	InvitedAt   time.Time `json:"invited_at,omitzero"`
	LastLoginAt time.Time `json:"last_login_at,omitzero"`
}

type userPage struct {
	Users      []user `json:"users"`
	NextCursor string `json:"next_cursor"`
}

// userChange is the body of PATCH: what is nil stays.
type userChange struct {
	Email    *string   `json:"email,omitempty"`
	FullName *string   `json:"full_name,omitempty"`
	Phone    *string   `json:"phone,omitempty"`
	Groups   *[]string `json:"groups,omitempty"`
	Password *string   `json:"password,omitempty"`
	Disabled *bool     `json:"disabled,omitempty"`
}

func (l *line) user() *cobra.Command {
	cmd := group(&cobra.Command{Use: "user", Short: "Manage users"})
	cmd.AddCommand(l.userAdd(), l.userList(), l.userShow(), l.userSet(),
		l.userToggle("disable", "Disable a user and end all sessions", true),
		l.userToggle("enable", "Enable a user again", false),
		l.userDelete(), l.userInvite(), l.userResetPassword(), l.userResetFactors(), l.userRecoveryCodes(),
		l.userImport(), l.userExport())
	return cmd
}

// onUser is a command that does one thing to one named user.
func (l *line) onUser(use, short string, do func(*cobra.Command, *client, principal.Ref) error) *cobra.Command {
	return &cobra.Command{
		Use:   use + " NAME[@REALM]",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				ref, err := c.userRef(args[0])
				if err != nil {
					return err
				}
				return do(cmd, c, ref)
			})
		},
	}
}

func say(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintln(cmd.ErrOrStderr(), clean(fmt.Sprintf(format, args...)))
}

func (l *line) userList() *cobra.Command {
	return listing(l, "users", "name or address", (*client).users, printUsers)
}

func (c *client) users(realm, q string) ([]user, error) {
	query := memberQuery(realm, q)
	return pages(query, func() ([]user, string, error) {
		var page userPage
		err := c.call(http.MethodGet, "/users?"+query.Encode(), nil, &page)
		return page.Users, page.NextCursor, err
	})
}

func printUsers(cmd *cobra.Command, users []user) error {
	rows := [][]string{{"USER", "FULL NAME", "EMAIL", "GROUPS", "FACTORS", "STATE", "LAST LOGIN"}}
	for _, u := range users {
		rows = append(rows, []string{named(u.Name, u.Realm), told(u.FullName), u.Email, strings.Join(u.Groups, ","),
			strings.Join(u.Methods, ","), u.state(), when(u.LastLoginAt)})
	}
	return table(cmd.OutOrStdout(), rows)
}

func (u user) state() string {
	switch {
	case u.Disabled:
		return "disabled"
	case !u.HasPassword:
		return "no password"
	}
	return "enabled"
}

func (l *line) userShow() *cobra.Command {
	var asJSON bool
	cmd := l.onUser("show", "Show a user", func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		var u user
		if err := c.call(http.MethodGet, userPath(ref), nil, &u); err != nil {
			return err
		}
		if asJSON {
			return document(cmd.OutOrStdout(), u)
		}
		return table(cmd.OutOrStdout(), [][]string{
			{"User:", named(u.Name, u.Realm)}, {"Number:", fmt.Sprint(u.Number)}, {"Id:", u.ID},
			{"Full name:", told(u.FullName)}, {"Email:", u.Email}, {"Phone:", u.Phone},
			{"Groups:", strings.Join(u.Groups, ", ")}, {"Factors:", strings.Join(u.Methods, ", ")},
			{"State:", u.state()}, {"Created:", when(u.CreatedAt)}, {"Invited:", when(u.InvitedAt)},
			{"Last login:", when(u.LastLoginAt)},
		})
	})
	jsonFlag(cmd, &asJSON)
	return cmd
}

// details are the flags that `user add` and `user set` share.
type details struct {
	email, fullName, phone string
	groups                 []string
}

func (d *details) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.email, "email", "", "e-mail `address`")
	f.StringVar(&d.fullName, "full-name", "", "full `name`")
	f.StringVar(&d.phone, "phone", "", "telephone `number`, such as +41441234567")
	f.StringSliceVar(&d.groups, "groups", nil, "groups, such as `a,b`")
}

func (l *line) userSet() *cobra.Command {
	var d details
	var asJSON bool
	cmd := l.onUser("set", "Change a user's record", nil)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change := userChange{}
		for flag, set := range map[string]func(){
			"email":     func() { change.Email = &d.email },
			"full-name": func() { change.FullName = &d.fullName },
			"phone":     func() { change.Phone = &d.phone },
			"groups":    func() { groups := append([]string{}, d.groups...); change.Groups = &groups },
		} {
			if cmd.Flags().Changed(flag) {
				set()
			}
		}
		if change == (userChange{}) {
			return usage("say what to change: --email, --full-name, --phone or --groups (an empty value removes it)")
		}
		return l.with(cmd.Context(), func(c *client) error {
			ref, err := c.userRef(args[0])
			if err != nil {
				return err
			}
			var u user
			if err := c.call(http.MethodPatch, userPath(ref), change, &u); err != nil {
				return err
			}
			if asJSON {
				return document(cmd.OutOrStdout(), u)
			}
			return printUsers(cmd, []user{u})
		})
	}
	d.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (l *line) userToggle(use, short string, disabled bool) *cobra.Command {
	return l.onUser(use, short, func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		if err := c.call(http.MethodPatch, userPath(ref), userChange{Disabled: &disabled}, nil); err != nil {
			return err
		}
		say(cmd, "%s is %sd.", called(ref), use)
		return nil
	})
}

func (l *line) userDelete() *cobra.Command {
	return l.onUser("delete", "Delete a user, with factors and sessions", func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		if err := c.call(http.MethodDelete, userPath(ref), nil, nil); err != nil {
			return err
		}
		say(cmd, "Deleted %s.", called(ref))
		return nil
	})
}

// invitation is the answer of …/invite: a link, or where it went by mail.
type invitation struct {
	InviteURL string `json:"invite_url,omitempty"`
	SentTo    string `json:"sent_to,omitempty"`
	ExpiresIn int    `json:"expires_in"`
}

func (c *client) invite(ref principal.Ref, mail bool) (invitation, error) {
	var link invitation
	var body any
	if mail {
		body = map[string]bool{"send": true}
	}
	err := c.call(http.MethodPost, userPath(ref)+"/invite", body, &link)
	return link, err
}

func (l *line) userInvite() *cobra.Command {
	var asJSON, mail bool
	cmd := l.onUser("invite", "Print or mail a link with which a user chooses a password", func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		link, err := c.invite(ref, mail)
		if err != nil {
			return err
		}
		if asJSON {
			return document(cmd.OutOrStdout(), link)
		}
		if mail {
			say(cmd, "An invitation is on its way to %s. It works once, for %s.", link.SentTo, seconds(link.ExpiresIn))
			return nil
		}
		fmt.Fprintln(cmd.OutOrStdout(), clean(link.InviteURL))
		say(cmd, "Give this link to %s alone. It works once, for %s.", called(ref), seconds(link.ExpiresIn))
		return nil
	})
	cmd.Flags().BoolVar(&mail, "mail", false, "mail the link to the user's address, and show it to nobody")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (l *line) userResetPassword() *cobra.Command {
	var fromStdin bool
	cmd := l.onUser("reset-password", "Set a new password and end all sessions", func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		password, err := newPassword(cmd, fromStdin, "New password for "+called(ref)+": ")
		if err != nil {
			return err
		}
		if password == "" {
			return errors.New("there is no new password: type it at the prompt of a terminal, or give it on standard input with --password-stdin")
		}
		if err := c.call(http.MethodPatch, userPath(ref), userChange{Password: &password}, nil); err != nil {
			return err
		}
		say(cmd, "%s has a new password. All sessions have ended.", called(ref))
		return nil
	})
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func (l *line) userResetFactors() *cobra.Command {
	return l.onUser("reset-factors", "Remove all second factors and recovery codes, and end all sessions", func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		if err := c.call(http.MethodDelete, userPath(ref)+"/methods", nil, nil); err != nil {
			return err
		}
		say(cmd, "%s has no second factor any more. All sessions have ended.", called(ref))
		if ref.Realm == adminRealm {
			return c.adviseWithoutAdmin(cmd, ref)
		}
		return nil
	})
}

func (l *line) userRecoveryCodes() *cobra.Command {
	var asJSON bool
	cmd := l.onUser("recovery-codes", "Make a user fresh recovery codes; the old ones are dead", func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		var made struct {
			RecoveryCodes []string `json:"recovery_codes"`
		}
		if err := c.call(http.MethodPost, userPath(ref)+"/recovery-codes", nil, &made); err != nil {
			return err
		}
		if asJSON {
			return document(cmd.OutOrStdout(), made)
		}
		for _, code := range made.RecoveryCodes {
			fmt.Fprintln(cmd.OutOrStdout(), code)
		}
		say(cmd, "Each works once, in place of a code of %s's authenticator. They are not shown again.", called(ref))
		return nil
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// adminRealm is where administrators live, authRealm where programs live that ask
// about all others. What they may do is fixed.
const (
	adminRealm = "admin"
	authRealm  = "auth"
)

// adviseWithoutAdmin says what comes next where the last administrator has
// just lost the second factor, and with it the administration.
func (c *client) adviseWithoutAdmin(cmd *cobra.Command, ref principal.Ref) error {
	admins, err := c.users(adminRealm, "")
	if err != nil {
		return err
	}
	name := ref.Name
	for _, u := range admins {
		if strings.EqualFold(u.ID, ref.Name) {
			name = u.Name
		}
		if !u.Disabled && len(u.Methods) > 0 {
			return nil
		}
	}
	say(cmd, "No administrator is left. Next: `sallyport setup-link` while the server runs (or start it: it prints the link), and give the name %s again.", shown(name))
	return nil
}
