package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// realm is what is printed of a realm's record.
type realm struct {
	Realm        string   `json:"realm,omitempty"`
	Default      bool     `json:"default,omitempty"`
	Factors      *int     `json:"factors,omitempty"`
	Methods      []string `json:"methods,omitempty"`
	Enrollment   string   `json:"enrollment,omitempty"`
	Names        string   `json:"names,omitempty"`
	OTP          *otpPart `json:"otp,omitempty"`
	Capabilities *[]grant `json:"capabilities,omitempty"`
}

// otpPart is what is needed here of the codes of a realm's new authenticators.
type otpPart struct {
	Period int `json:"period,omitempty"` // seconds
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
	var capabilities, registration []string
	var asJSON bool
	var set realmFlags
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
			if changed("factors") && set.factors != 1 && set.factors != 2 {
				return usage("--factors is 1 or 2")
			}
			values, err := set.values()
			if err != nil {
				return err
			}
			return l.withNew(cmd.Context(), func(c *client) error {
				// stored=true: what was set, without the defaults that would
				// otherwise be nailed down by writing them back.
				r := map[string]any{}
				err := c.call(http.MethodGet, path+"?stored=true", nil, &r)
				if err != nil && !refused(err, "unknown_realm") {
					return err
				}
				for _, key := range []string{"realm", "default", "capabilities"} { // those stay unless they are named
					delete(r, key)
				}
				for flag, value := range values {
					if changed(flag) {
						r[strings.ReplaceAll(flag, "-", "_")] = value
					}
				}
				if changed("registration") {
					setRegistration(r, registration)
				}
				if changed("capabilities") {
					r["capabilities"] = parseGrants(capabilities)
				}
				var done json.RawMessage
				if err := c.call(http.MethodPut, path, r, &done); err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), done)
				}
				return printRealms(cmd, done)
			})
		},
	}
	f := cmd.Flags()
	set.add(f)
	f.StringSliceVar(&capabilities, "capabilities", nil, "what its members may do: `list,create:staff+users`, or nothing: \"\"")
	f.StringSliceVar(&registration, "registration", nil, "let people make their own accounts with addresses of `example.com,example.org`, of any: \"*\", or no longer: \"\"")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// setRegistration writes into a realm's record whose readers of mail may register.
func setRegistration(record map[string]any, domains []string) {
	domains = slices.DeleteFunc(domains, func(d string) bool { return d == "" })
	switch {
	case len(domains) == 0:
		delete(record, "registration")
	case len(domains) == 1 && domains[0] == "*":
		record["registration"] = map[string]any{"domains": []string{}}
	default:
		record["registration"] = map[string]any{"domains": domains}
	}
}

// realmFlags are the settings of a realm that have one value. A flag's name is that of
// the API's field, with hyphens.
type realmFlags struct {
	factors, skew, secretLength                        int
	methods                                            []string
	enrollment, replay, names, issuer                  string
	confirmDisable, confirmRegenerate, allowRegenerate bool
	codeLife                                           map[string]string
	trustedBrowsers                                    time.Duration
}

func (r *realmFlags) add(f *pflag.FlagSet) {
	f.IntVar(&r.factors, "factors", 0, "`number` of factors that are demanded: 1 or 2")
	f.StringSliceVar(&r.methods, "methods", nil, "second factors that are allowed, such as `totp`")
	f.StringVar(&r.enrollment, "enrollment", "", "who may enrol a first factor: `first-login`, invitation, off, or with one factor open")
	f.IntVar(&r.skew, "skew", 0, "`steps` that are accepted on either side of now")
	f.StringVar(&r.replay, "replay", "", "whether /verify takes a token twice: `deny` or allow")
	f.StringVar(&r.names, "names", "", "how names are spelled: `precis` or exact, while there are no members")
	f.StringVar(&r.issuer, "issuer", "", "what authenticator apps show as the `name` of the service")
	f.IntVar(&r.secretLength, "secret-length", 0, "base32 `characters` of a new authenticator's seed")
	f.StringToStringVar(&r.codeLife, "code-life", nil, "how long codes that are sent are good, by method: `email=5m,sms=2m`")
	f.DurationVar(&r.trustedBrowsers, "trusted-browsers", 0, "how long a browser stays trusted, such as `720h`; 0: not offered")
	f.BoolVar(&r.allowRegenerate, "allow-regenerate", true, "people may make themselves new recovery codes")
	f.BoolVar(&r.confirmRegenerate, "confirm-regenerate", true, "compat.trench: for a code alone")
	f.BoolVar(&r.confirmDisable, "confirm-disable", true, "compat.trench: a method is switched off for a code alone")
}

// values are all of them, by flag.
func (r *realmFlags) values() (map[string]any, error) {
	lives := map[string]int64{}
	for method, text := range r.codeLife {
		life, err := time.ParseDuration(text)
		if err != nil || life < time.Second {
			return nil, usage("--code-life is a method and a length of time, such as email=5m")
		}
		lives[method] = int64(life / time.Second)
	}
	return map[string]any{
		"code-life": lives, "trusted-browsers": int64(r.trustedBrowsers / time.Second),
		"factors": r.factors, "methods": r.methods, "enrollment": r.enrollment, "skew": r.skew, "replay": r.replay, "names": r.names,
		"issuer": r.issuer, "secret-length": r.secretLength, "allow-regenerate": r.allowRegenerate,
		"confirm-regenerate": r.confirmRegenerate, "confirm-disable": r.confirmDisable,
	}, nil
}

func (l *line) realmList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the realms",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				var list struct {
					Realms []json.RawMessage `json:"realms"`
				}
				if err := c.call(http.MethodGet, "/realms", nil, &list); err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), list.Realms)
				}
				return printRealms(cmd, list.Realms...)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printRealms(cmd *cobra.Command, realms ...json.RawMessage) error {
	rows := [][]string{{"REALM", "FACTORS", "METHODS", "ENROLLMENT", "CAPABILITIES"}}
	for _, text := range realms {
		var r realm
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("read a realm: %w", err)
		}
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
