package command

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/spf13/cobra"
)

// service is a program's record on the wire. It holds no seed.
type service struct {
	ID           string    `json:"id"`
	Number       uint64    `json:"number"`
	Realm        string    `json:"realm"`
	Name         string    `json:"name"`
	Description  string    `json:"description"`
	Disabled     bool      `json:"disabled"`
	Use          string    `json:"use"`
	AllowFrom    []string  `json:"allow_from"`
	Algorithm    string    `json:"algorithm"`
	Digits       int       `json:"digits"`
	Period       int       `json:"period"`
	Owner        string    `json:"owner,omitempty"`
	Trusted      bool      `json:"trusted,omitempty"`
	CreatedAt    time.Time `json:"created_at,omitzero"`
	RotatedAt    time.Time `json:"rotated_at,omitzero"`
	OldSeedUntil time.Time `json:"old_seed_until,omitzero"`
	LastSeenAt   time.Time `json:"last_seen_at,omitzero"`
}

type servicePage struct {
	Services   []service `json:"services"`
	NextCursor string    `json:"next_cursor"`
}

// serviceChange is the body of PATCH: what is nil stays.
type serviceChange struct {
	Description *string   `json:"description,omitempty"`
	Use         *string   `json:"use,omitempty"`
	AllowFrom   *[]string `json:"allow_from,omitempty"`
	Owner       *string   `json:"owner,omitempty"`
	Trusted     *bool     `json:"trusted,omitempty"`
	Disabled    *bool     `json:"disabled,omitempty"`
}

func (l *line) service() *cobra.Command {
	cmd := group(&cobra.Command{Use: "service", Short: "Manage services: programs that prove themselves with tokens"})
	cmd.AddCommand(l.serviceAdd(), l.serviceList(), l.serviceShow(), l.serviceSet(),
		l.serviceToggle("disable", "Disable a service and end its access tokens and streams", true),
		l.serviceToggle("enable", "Enable a service again", false),
		l.serviceRotate(), l.serviceDelete())
	return cmd
}

// serviceRef reads NAME@REALM. Services have no default realm: which one a bare
// name means would be a guess about what it may do.
func serviceRef(text string) (principal.Ref, error) {
	if !strings.Contains(text, "@") {
		return principal.Ref{}, usage("NAME@REALM is expected: services have no default realm")
	}
	ref, err := typed(text, "")
	if err != nil {
		return principal.Ref{}, usage("NAME@REALM is expected: %v", err)
	}
	return ref, nil
}

// servicePath is the path of a service's record.
func servicePath(ref principal.Ref) string {
	return "/services/" + url.PathEscape(ref.Realm) + "/" + url.PathEscape(ref.Name)
}

// onService is a command that does one thing to one named service.
func (l *line) onService(use, short string, do func(*cobra.Command, *client, principal.Ref) error) *cobra.Command {
	return &cobra.Command{
		Use:   use + " NAME@REALM",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := serviceRef(args[0])
			if err != nil {
				return err
			}
			return l.with(cmd.Context(), func(c *client) error { return do(cmd, c, ref) })
		},
	}
}

func (l *line) serviceList() *cobra.Command {
	return listing(l, "services", "name", (*client).services, printServices)
}

func (c *client) services(realm, q string) ([]service, error) {
	query := memberQuery(realm, q)
	return pages(query, func() ([]service, string, error) {
		var page servicePage
		err := c.call(http.MethodGet, "/services?"+query.Encode(), nil, &page)
		return page.Services, page.NextCursor, err
	})
}

func printServices(cmd *cobra.Command, services []service) error {
	rows := [][]string{{"SERVICE", "DESCRIPTION", "USE", "FROM", "STATE", "LAST SEEN"}}
	for _, s := range services {
		rows = append(rows, []string{named(s.Name, s.Realm), told(s.Description), s.Use, s.from(), s.state(), when(s.LastSeenAt)})
	}
	return table(cmd.OutOrStdout(), rows)
}

func (s service) state() string {
	if s.Disabled {
		return "disabled"
	}
	return "enabled"
}

func (s service) from() string {
	if len(s.AllowFrom) == 0 {
		return "everywhere"
	}
	return strings.Join(s.AllowFrom, ",")
}

func (l *line) serviceShow() *cobra.Command {
	var asJSON bool
	cmd := l.onService("show", "Show a service", func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		var s service
		if err := c.call(http.MethodGet, servicePath(ref), nil, &s); err != nil {
			return err
		}
		if asJSON {
			return document(cmd.OutOrStdout(), s)
		}
		rows := [][]string{
			{"Service:", named(s.Name, s.Realm)}, {"Number:", fmt.Sprint(s.Number)}, {"Id:", s.ID},
			{"Description:", told(s.Description)}, {"Use:", s.Use}, {"From:", s.from()}, {"State:", s.state()},
			{"Tokens:", fmt.Sprintf("%d digits, %d s, %s", s.Digits, s.Period, s.Algorithm)},
			{"Created:", when(s.CreatedAt)}, {"Rotated:", when(s.RotatedAt)}, {"Old seed until:", when(s.OldSeedUntil)},
			{"Last seen:", when(s.LastSeenAt)},
		}
		if s.Owner != "" || s.Trusted {
			rows = append(rows, []string{"Owner:", told(s.Owner)}, []string{"Trusted:", strconv.FormatBool(s.Trusted)})
		}
		return table(cmd.OutOrStdout(), rows)
	})
	jsonFlag(cmd, &asJSON)
	return cmd
}

// serviceDetails are the flags that `service add` and `service set` share.
type serviceDetails struct {
	description, use, owner string
	allowFrom               []string
	trusted                 bool
}

func (d *serviceDetails) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.description, "description", "", "what the service is, in a few `words`")
	f.StringVar(&d.use, "use", "both", "`caller`: it calls, and nobody may ask about its tokens; subject: others ask, and its tokens open nothing; both")
	f.StringSliceVar(&d.allowFrom, "allow-from", nil, "networks that it may call from, such as `10.0.0.0/8,192.0.2.1`; \"\": everywhere")
	f.StringVar(&d.owner, "owner", "", "of an application of compat.ungleich: the `user` whom it belongs to")
	f.BoolVar(&d.trusted, "trusted", false, "of an application of compat.ungleich: it may ask about others, and register applications for anybody")
}

// check refuses a use that cannot be, before a state is opened or made.
func (d *serviceDetails) check() error {
	switch d.use {
	case "both", "caller", "subject":
		return nil
	}
	return usage("--use is caller, subject or both")
}

func (l *line) serviceSet() *cobra.Command {
	var d serviceDetails
	var asJSON bool
	cmd := l.onService("set", "Change a service's record", nil)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ref, err := serviceRef(args[0])
		if err != nil {
			return err
		}
		if err := d.check(); err != nil {
			return err
		}
		change := serviceChange{}
		for flag, set := range map[string]func(){
			"description": func() { change.Description = &d.description },
			"use":         func() { change.Use = &d.use },
			"allow-from":  func() { networks := append([]string{}, d.allowFrom...); change.AllowFrom = &networks },
			"owner":       func() { change.Owner = &d.owner },
			"trusted":     func() { change.Trusted = &d.trusted },
		} {
			if cmd.Flags().Changed(flag) {
				set()
			}
		}
		if change == (serviceChange{}) {
			return usage("say what to change: --description, --use, --allow-from, --owner or --trusted (an empty value removes it)")
		}
		return l.with(cmd.Context(), func(c *client) error {
			var s service
			if err := c.call(http.MethodPatch, servicePath(ref), change, &s); err != nil {
				return err
			}
			if asJSON {
				return document(cmd.OutOrStdout(), s)
			}
			return printServices(cmd, []service{s})
		})
	}
	d.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (l *line) serviceToggle(use, short string, disabled bool) *cobra.Command {
	return l.onService(use, short, func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		if err := c.call(http.MethodPatch, servicePath(ref), serviceChange{Disabled: &disabled}, nil); err != nil {
			return err
		}
		say(cmd, "%s is %sd.", called(ref), use)
		return nil
	})
}

func (l *line) serviceDelete() *cobra.Command {
	return l.onService("delete", "Delete a service and end its access tokens and streams", func(cmd *cobra.Command, c *client, ref principal.Ref) error {
		if err := c.call(http.MethodDelete, servicePath(ref), nil, nil); err != nil {
			return err
		}
		say(cmd, "Deleted %s.", called(ref))
		return nil
	})
}
