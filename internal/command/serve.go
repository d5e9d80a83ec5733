package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/spf13/cobra"
)

func (l *line) serve() *cobra.Command {
	if l.shell.Serve == nil {
		return nil
	}
	var flags ServeFlags
	cmd := &cobra.Command{
		Use:   "serve [--listen ADDR] [--upstream URL] [--demo]",
		Short: "Run the gateway",
		Long: "Run the gateway until SIGINT or SIGTERM. Without any configuration it listens\n" +
			"on 127.0.0.1:9091, keeps its state in $XDG_STATE_HOME/sallyport or\n" +
			"./sallyport-data, and prints a link to create the first administrator.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.Demo && flags.Upstream != "" {
				return usage("--demo and --upstream exclude each other: the demo page is the upstream")
			}
			if err := flags.check(); err != nil {
				return err
			}
			return l.shell.Serve(cmd.Context(), l.global, flags)
		},
	}
	cmd.Flags().StringVar(&flags.Listen, "listen", "", "listen on `address` host:port or unix:PATH")
	cmd.Flags().StringVar(&flags.Upstream, "upstream", "", "guard the site at this `URL` as its reverse proxy")
	cmd.Flags().BoolVar(&flags.Demo, "demo", false, "guard a built-in page that shows which identity headers arrived")
	return cmd
}

func (l *line) check() *cobra.Command {
	if l.shell.Check == nil {
		return nil
	}
	var asJSON bool
	var proxy, out string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and explain each rule",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch to := cmd.Flags().Changed("out"); {
			case to && !cmd.Flags().Changed("proxy"):
				return usage("--out is where the files of a proxy are written: name it with --proxy")
			case to && out == "":
				return usage("--out: a directory is expected")
			case to && asJSON:
				return usage("--out and --json exclude each other: one writes the files, the other prints them")
			case cmd.Flags().Changed("proxy"):
				return l.proxy(cmd, proxy, out, asJSON)
			}
			report, err := l.shell.Check(cmd.Context(), l.global)
			if err != nil {
				return err
			}
			if asJSON {
				return document(cmd.OutOrStdout(), report)
			}
			return printReport(cmd, report)
		},
	}
	if l.shell.Proxy != nil {
		cmd.Flags().StringVar(&proxy, "proxy", "", "print the files that this `proxy` needs: "+strings.Join(l.shell.Proxies, ", "))
		cmd.Flags().StringVar(&out, "out", "", "with --proxy: write the files below this `directory`, each at its own path")
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// proxy prints what a proxy needs, ready to paste, or writes it below a directory.
func (l *line) proxy(cmd *cobra.Command, name, out string, asJSON bool) error {
	if !slices.Contains(l.shell.Proxies, name) {
		return usage("unknown proxy: expected %s", strings.Join(l.shell.Proxies, ", "))
	}
	setup, err := l.shell.Proxy(cmd.Context(), l.global, name)
	if err != nil {
		return err
	}
	if asJSON {
		return document(cmd.OutOrStdout(), setup)
	}
	for _, warning := range setup.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+clean(warning))
	}
	if out != "" {
		return writeFiles(cmd, out, setup.Files)
	}
	for i, f := range setup.Files {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		comment := "#"
		if strings.HasSuffix(f.Path, ".lua") {
			comment = "--"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s ==== %s ====\n%s", comment, f.Path, f.Text)
	}
	return nil
}

func printReport(cmd *cobra.Command, report Report) error {
	out := cmd.OutOrStdout()
	for _, warning := range report.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+clean(warning))
	}
	if err := printRules(out, report.Rules); err != nil {
		return err
	}
	for _, facade := range report.Facades {
		fmt.Fprintln(out, clean(facade))
	}
	return nil
}

func printRules(out io.Writer, rules []RuleReport) error {
	if len(rules) == 0 {
		fmt.Fprintln(out, "The configuration is good, but it has no rules: every request is denied.")
		return nil
	}
	fmt.Fprintln(out, "The configuration is good. The first rule that matches decides; if none does, the answer is deny.")
	rows := [][]string{{"RULE", "NAME", "MEANING"}}
	for _, rule := range rules {
		rows = append(rows, []string{strconv.Itoa(rule.Number), rule.Name, rule.Text})
	}
	return table(out, rows)
}

func (l *line) explain() *cobra.Command {
	if l.shell.Explain == nil {
		return nil
	}
	var q Question
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "explain METHOD URL",
		Short:   "Say which rule decides a request, and why",
		Example: "  sallyport explain GET https://app.example.com/x --as alice@users --factors 2 --json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Factors < 0 || q.Factors > 2 {
				return usage("--factors is 0, 1 or 2")
			}
			if q.As == "" && (q.Factors > 0 || len(q.Groups) > 0 || q.Service) {
				return usage("--factors, --groups and --service say something about somebody: name them with --as NAME@REALM")
			}
			if q.Service && (len(q.Groups) > 0 || q.Factors > 0) {
				return usage("--service goes with neither --groups nor --factors: a service has none")
			}
			q.Method, q.URL = args[0], args[1]
			if q.As != "" && !q.Service && !cmd.Flags().Changed("groups") {
				if err := l.lookUp(cmd.Context(), &q); err != nil {
					return err
				}
			}
			answer, err := l.shell.Explain(cmd.Context(), l.global, q)
			if err != nil {
				return err
			}
			if asJSON {
				return document(cmd.OutOrStdout(), answer)
			}
			return printExplanation(cmd, answer)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.As, "as", "", "ask as this user or service, `name@realm` (default: a stranger)")
	f.StringSliceVar(&q.Groups, "groups", nil, "suppose such a user, in these `groups` (default: what the state says)")
	f.BoolVar(&q.Service, "service", false, "suppose such a service (default: what the state says)")
	f.IntVar(&q.Factors, "factors", 0, "take the session to have so many `factors`: 0, 1 or 2")
	f.StringVar(&q.Client, "client", "", "ask from this client `address`")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// lookUp asks the running server, or the state that is there, for the user, and
// where there is none for the service of that name. Where neither server nor state
// is, everything about the user is supposed.
func (l *line) lookUp(ctx context.Context, q *Question) error {
	c, err := l.dial(ctx)
	if err != nil {
		return err
	}
	if c == nil && (l.shell.HasState == nil || !l.shell.HasState(ctx, l.global)) {
		return nil
	}
	return l.with(ctx, func(c *client) error {
		ref, err := c.ref(q.As)
		if err != nil {
			return fmt.Errorf("--as: %w", err)
		}
		q.As = ref.String() // in the realm that a bare name has there
		var found struct {
			Groups   []string `json:"groups"`
			Disabled bool     `json:"disabled"`
		}
		err = c.call(http.MethodGet, userPath(ref), nil, &found)
		if refused(err, "unknown_user") {
			return c.lookUpService(ref, q)
		}
		if refused(err, "unknown_realm") {
			q.Unknown = true
			return nil
		}
		q.Groups, q.Disabled = found.Groups, found.Disabled
		return err
	})
}

func (c *client) lookUpService(ref principal.Ref, q *Question) error {
	var found service
	err := c.call(http.MethodGet, servicePath(ref), nil, &found)
	if refused(err, "unknown_service") {
		q.Unknown = true
		return nil
	}
	q.Service, q.Disabled, q.AllowFrom = true, found.Disabled, found.AllowFrom
	q.SubjectOnly = found.Use == "subject"
	return err
}

func printExplanation(cmd *cobra.Command, e Explanation) error {
	out := cmd.OutOrStdout()
	which := ""
	if e.Rule > 0 {
		which = "rule " + strconv.Itoa(e.Rule)
		if e.RuleName != "" {
			which += " (" + clean(e.RuleName) + ")"
		}
		which += ": "
	}
	fmt.Fprintf(out, "%s: %s%s\n", clean(e.Decision), which, clean(e.Reason))
	for _, step := range e.Trace {
		fmt.Fprintln(out, "  "+clean(step))
	}
	return nil
}

// setupLink needs the running server: the link dies with the process that made it.
func (l *line) setupLink() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "setup-link",
		Short: "Print a link to create the first administrator",
		Long: "Print a one-time link to create the first administrator, good for an hour or\n" +
			"until the server restarts. It works only while there is no administrator.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.dial(cmd.Context())
			if err != nil {
				return err
			}
			if c == nil {
				return errors.New("no server runs on this state directory: start `sallyport serve`, which prints the link, or name the directory with --state (with a database there is no directory: restart the server, which prints a link)")
			}
			var link struct {
				URL       string `json:"url"`
				ExpiresIn int    `json:"expires_in"`
			}
			if err := c.call(http.MethodPost, "/setup-link", nil, &link); err != nil {
				return err
			}
			if asJSON {
				return document(cmd.OutOrStdout(), link)
			}
			fmt.Fprintln(cmd.OutOrStdout(), clean(link.URL))
			fmt.Fprintf(cmd.ErrOrStderr(), "The link works once, for %s.\n", seconds(link.ExpiresIn))
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (l *line) version() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return document(cmd.OutOrStdout(), map[string]string{"version": l.shell.Version})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "sallyport "+l.shell.Version)
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON document")
}

// seconds writes a number of seconds for people.
func seconds(n int) string {
	return strings.TrimSuffix(strings.TrimSuffix((time.Duration(n)*time.Second).String(), "0s"), "0m")
}
