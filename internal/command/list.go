package command

import (
	"net/url"

	"github.com/spf13/cobra"
)

// listing is a command that lists members of realms: users, or services. prefix says
// of what --query is the beginning.
func listing[T any](l *line, members, prefix string, find func(c *client, realm, q string) ([]T, error), print func(*cobra.Command, []T) error) *cobra.Command {
	var realm, q string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [--realm REALM] [--query PREFIX]",
		Short: "List " + members,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				found, err := find(c, realm, q)
				if err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), found)
				}
				return print(cmd, found)
			})
		},
	}
	cmd.Flags().StringVar(&realm, "realm", "", "only "+members+" of this `realm`")
	cmd.Flags().StringVar(&q, "query", "", "only "+members+" whose "+prefix+" starts with this `prefix`")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// memberQuery asks for members of a realm ("": of all) whose name begins so.
func memberQuery(realm, q string) url.Values {
	query := url.Values{"limit": {pageSize}}
	if realm != "" {
		query.Set("realm", realm)
	}
	if q != "" {
		query.Set("q", q)
	}
	return query
}
