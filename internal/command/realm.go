package command

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/spf13/cobra"
)

// realm is a realm's record on the wire. What is not set is not sent, and the
// server's default stands.
type realm struct {
	Realm        string   `json:"realm,omitempty"`
	Default      bool     `json:"default,omitempty"`
	Factors      *int     `json:"factors,omitempty"`
	Methods      []string `json:"methods,omitempty"`
	Enrollment   string   `json:"enrollment,omitempty"`
	Capabilities *[]grant `json:"capabilities,omitempty"`
	// Kept as they are when a realm is changed.
	OTP           any `json:"otp,omitempty"`
	Skew          any `json:"skew,omitempty"`
	RecoveryCodes any `json:"recovery_codes,omitempty"`
	Session       any `json:"session,omitempty"`
	Replay        any `json:"replay,omitempty"`
	Names         any `json:"names,omitempty"`
}

type grant struct {
	Capability string   `json:"capability"`
	Realms     []string `json:"realms,omitempty"`
}

type realmList struct {
	Realms []realm `json:"realms"`
}

func (g grant) String() string {
	if len(g.Realms) == 0 {
		return g.Capability
	}
	return g.Capability + ":" + strings.Join(g.Realms, "+")
}

// parseGrant reads CAPABILITY or CAPABILITY:REALM+REALM.
func parseGrant(text string) grant {
	capability, realms, limited := strings.Cut(text, ":")
	g := grant{Capability: capability}
	if limited {
		g.Realms = strings.Split(realms, "+")
	}
	return g
}

func parseGrants(texts []string) *[]grant {
	grants := []grant{}
	for _, text := range texts {
		if text != "" {
			grants = append(grants, parseGrant(text))
		}
	}
	return &grants
}

func (l *line) realm() *cobra.Command {
	cmd := group(&cobra.Command{Use: "realm", Short: "Manage realms"})
	cmd.AddCommand(l.realmSet(), l.realmList(), l.realmDelete())
	return cmd
}

func realmPath(name string) (string, error) {
	canonical, err := principal.CanonicalRealm(name)
	return "/realms/" + url.PathEscape(canonical), err
}

func (l *line) realmSet() *cobra.Command {
	var factors int
	var methods, capabilities []string
	var enrollment string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "set REALM",
		Short: "Make a realm, or change what is named",
		Long: "Make a realm, or change what is named. Capabilities say what its members, people\n" +
			"and services, may do to others: authenticate (ask whether a token is good),\n" +
			"create, delete, list, update; each over all realms, or over those behind a colon.\n" +
			"Nobody may give more than their own realm has. Those of admin and auth are fixed.",
		Example: "  sallyport realm set staff --factors 2 --methods totp\n" +
			"  sallyport realm set helpdesk --capabilities list,update:staff+users",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := realmPath(args[0])
			if err != nil {
				return err
			}
			changed := cmd.Flags().Changed
			if changed("factors") && factors != 1 && factors != 2 {
				return usage("--factors is 1 or 2")
			}
			return l.withNew(cmd.Context(), func(c *client) error {
				var r realm
				// stored=true: what was set, without the defaults that would
				// otherwise be nailed down by writing them back.
				err := c.call(http.MethodGet, path+"?stored=true", nil, &r)
				if err != nil && !refused(err, "unknown_realm") {
					return err
				}
				r.Realm, r.Default, r.Capabilities = "", false, nil // those stay unless they are named
				if changed("factors") {
					r.Factors = &factors
				}
				if changed("methods") {
					r.Methods = methods
				}
				if changed("enrollment") {
					r.Enrollment = enrollment
				}
				if changed("capabilities") {
					r.Capabilities = parseGrants(capabilities)
				}
				var done realm
				if err := c.call(http.MethodPut, path, r, &done); err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), done)
				}
				return printRealms(cmd, []realm{done})
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&factors, "factors", 0, "`number` of factors that are demanded: 1 or 2")
	f.StringSliceVar(&methods, "methods", nil, "second factors that are allowed, such as `totp`")
	f.StringVar(&enrollment, "enrollment", "", "who may enrol a first factor: `first-login`, invitation or off")
	f.StringSliceVar(&capabilities, "capabilities", nil, "what its members may do: `list,create:staff+users`, or nothing: \"\"")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (l *line) realmList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the realms",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				var list realmList
				if err := c.call(http.MethodGet, "/realms", nil, &list); err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), list.Realms)
				}
				return printRealms(cmd, list.Realms)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printRealms(cmd *cobra.Command, realms []realm) error {
	rows := [][]string{{"REALM", "FACTORS", "METHODS", "ENROLLMENT", "CAPABILITIES"}}
	for _, r := range realms {
		factors := ""
		if r.Factors != nil {
			factors = strconv.Itoa(*r.Factors)
		}
		var grants []string
		if r.Capabilities != nil {
			for _, g := range *r.Capabilities {
				grants = append(grants, g.String())
			}
			slices.Sort(grants)
		}
		rows = append(rows, []string{r.Realm, factors, strings.Join(r.Methods, ","), r.Enrollment, strings.Join(grants, ",")})
	}
	return table(cmd.OutOrStdout(), rows)
}

func (l *line) realmDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete REALM",
		Short: "Delete an empty realm",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := realmPath(args[0])
			if err != nil {
				return err
			}
			return l.with(cmd.Context(), func(c *client) error {
				if err := c.call(http.MethodDelete, path, nil, nil); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "Deleted the realm %s.\n", clean(args[0]))
				return nil
			})
		},
	}
}
