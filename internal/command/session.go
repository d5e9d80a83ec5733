package command

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// session is a session on the wire. It holds no secret: the id is public.
type session struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Realm     string    `json:"realm"`
	Kind      string    `json:"kind"`
	AMR       []string  `json:"amr"`
	Client    string    `json:"client"`
	UserAgent string    `json:"user_agent"`
	CreatedAt time.Time `json:"created_at"`
	LastSeen  time.Time `json:"last_seen_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

type sessionPage struct {
	Sessions   []session `json:"sessions"`
	NextCursor string    `json:"next_cursor"`
}

func (l *line) session() *cobra.Command {
	cmd := group(&cobra.Command{Use: "session", Short: "Manage sessions"})
	cmd.AddCommand(l.sessionList(), l.sessionRevoke())
	return cmd
}

func (l *line) sessionList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [NAME[@REALM]]",
		Short: "List living sessions, of one user or of all",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				query := url.Values{"limit": {pageSize}}
				if len(args) == 1 {
					ref, err := c.ref(args[0])
					if err != nil {
						return err
					}
					query.Set("realm", ref.Realm)
					query.Set("name", ref.Name)
				}
				sessions, err := c.sessions(query)
				if err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), sessions)
				}
				return printSessions(cmd, sessions)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (c *client) sessions(query url.Values) ([]session, error) {
	return pages(query, func() ([]session, string, error) {
		var page sessionPage
		err := c.call(http.MethodGet, "/sessions?"+query.Encode(), nil, &page)
		return page.Sessions, page.NextCursor, err
	})
}

func printSessions(cmd *cobra.Command, sessions []session) error {
	rows := [][]string{{"ID", "USER", "PROVED", "CLIENT", "SINCE", "LAST SEEN", "UNTIL"}}
	for _, s := range sessions {
		rows = append(rows, []string{s.ID, named(s.Name, s.Realm), strings.Join(s.AMR, ","), s.Client, when(s.CreatedAt), when(s.LastSeen), when(s.ExpiresAt)})
	}
	return table(cmd.OutOrStdout(), rows)
}

func (l *line) sessionRevoke() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "revoke (ID | --user NAME[@REALM])",
		Short: "End a session, or all sessions of a user",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (user != "") {
				return usage("say which: the ID of a session (see session list), or --user NAME@REALM for all of a user")
			}
			return l.with(cmd.Context(), func(c *client) error {
				if user == "" {
					if err := c.call(http.MethodDelete, "/sessions/"+url.PathEscape(args[0]), nil, nil); err != nil {
						return err
					}
					fmt.Fprintln(cmd.ErrOrStderr(), "Ended the session.")
					return nil
				}
				ref, err := c.userRef(user)
				if err != nil {
					return err
				}
				if err := c.call(http.MethodDelete, userPath(ref)+"/sessions", nil, nil); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "Ended all sessions of %s.\n", called(ref))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "end all sessions of this `user`")
	return cmd
}
