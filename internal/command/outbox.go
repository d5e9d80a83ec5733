package command

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// message is a message of the outbox on the wire, without its text.
type message struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Method   string     `json:"method"`
	To       string     `json:"to"`
	Realm    string     `json:"realm,omitempty"`
	User     string     `json:"user,omitempty"`
	State    string     `json:"state"`
	Tries    int        `json:"tries"`
	QueuedAt time.Time  `json:"queued_at"`
	Expires  *time.Time `json:"expires_at,omitempty"`
	TriedAt  *time.Time `json:"tried_at,omitempty"`
	NextAt   *time.Time `json:"next_at,omitempty"`
	DoneAt   *time.Time `json:"done_at,omitempty"`
	Error    string     `json:"error,omitempty"`
}

type messagePage struct {
	Messages   []message `json:"messages"`
	NextCursor string    `json:"next_cursor"`
}

func (l *line) outbox() *cobra.Command {
	cmd := group(&cobra.Command{Use: "outbox", Short: "See what became of messages to people"})
	cmd.AddCommand(l.outboxList(), l.outboxRetry(), l.outboxDelete())
	return cmd
}

func (l *line) outboxList() *cobra.Command {
	var asJSON bool
	var state, realm string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List messages, newest first, without their texts",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				query := url.Values{"limit": {pageSize}}
				if state != "" {
					query.Set("state", state)
				}
				if realm != "" {
					query.Set("realm", realm)
				}
				messages, err := pages(query, func() ([]message, string, error) {
					var page messagePage
					err := c.call(http.MethodGet, "/outbox?"+query.Encode(), nil, &page)
					return page.Messages, page.NextCursor, err
				})
				if err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), messages)
				}
				return printMessages(cmd, messages)
			})
		},
	}
	cmd.Flags().StringVar(&state, "only", "", "only messages in this `state`: waiting, sent, dead, expired or superseded")
	cmd.Flags().StringVar(&realm, "realm", "", "only messages to people of this `realm`")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printMessages(cmd *cobra.Command, messages []message) error {
	rows := [][]string{{"ID", "KIND", "METHOD", "TO", "QUEUED", "STATE", "TRIES", "NEXT TRY", "ERROR"}}
	for _, m := range messages {
		next := ""
		if m.NextAt != nil {
			next = when(*m.NextAt)
		}
		rows = append(rows, []string{m.ID, m.Kind, m.Method, told(m.To), when(m.QueuedAt), m.State, strconv.Itoa(m.Tries), next, m.Error})
	}
	return table(cmd.OutOrStdout(), rows)
}

func (l *line) outboxRetry() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Try to send a message again that was given up, or at once one that waits",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				var m message
				if err := c.call(http.MethodPost, "/outbox/"+url.PathEscape(args[0])+"/retry", nil, &m); err != nil {
					return err
				}
				if asJSON {
					return document(cmd.OutOrStdout(), m)
				}
				fmt.Fprintln(cmd.ErrOrStderr(), "The server tries again (see outbox list).")
				return nil
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (l *line) outboxDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Delete a message; it is not sent any more",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.with(cmd.Context(), func(c *client) error {
				if err := c.call(http.MethodDelete, "/outbox/"+url.PathEscape(args[0]), nil, nil); err != nil {
					return err
				}
				fmt.Fprintln(cmd.ErrOrStderr(), "Deleted the message.")
				return nil
			})
		},
	}
}
