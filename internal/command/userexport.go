package command

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"
)

// exportPage is how many users are asked for at once.
const exportPage = "200"

func (l *line) userExport() *cobra.Command {
	var realm string
	var hashes bool
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write users as JSON lines, as `user import` reads them",
		Long: "Write users, one JSON object a line, to standard output or to a new file that\n" +
			"only you can read. Without --with-hashes nothing secret is written. With it the\n" +
			"hashes of passwords are: whoever has them can guess passwords without being\n" +
			"counted, so keep the file like the passwords themselves.\n\n" +
			"Seeds of second factors and recovery codes never leave: where users go to\n" +
			"another server, they set up their second factor anew.",
		Example: "  sallyport user export --realm staff\n" +
			"  sallyport user export --with-hashes users.jsonl",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"limit": {exportPage}}
			if realm != "" {
				query.Set("realm", realm)
			}
			if hashes {
				query.Set("hashes", "true")
			}
			return l.with(cmd.Context(), func(c *client) error {
				if len(args) == 0 || args[0] == "-" {
					_, err := c.export(query, cmd.OutOrStdout())
					return err
				}
				n, err := c.exportFile(query, args[0])
				if err == nil {
					say(cmd, "Exported %d users to %s.", n, args[0])
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&realm, "realm", "", "only users of this `realm`")
	cmd.Flags().BoolVar(&hashes, "with-hashes", false, "with the hashes of passwords")
	return cmd
}

// exportFile writes a new file, whole or not at all.
func (c *client) exportFile(query url.Values, path string) (n int, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%s exists already: nothing was written, choose another name", path)
	}
	if err != nil {
		return 0, err
	}
	n, err = c.export(query, f)
	if err == nil {
		err = f.Sync()
	}
	if err = firstOf(err, f.Close()); err != nil {
		return 0, errors.Join(err, os.Remove(path))
	}
	return n, nil
}

// export writes page by page and counts.
func (c *client) export(query url.Values, to io.Writer) (n int, err error) {
	out := bufio.NewWriter(to)
	for {
		var page struct {
			Users      []json.RawMessage `json:"users"`
			NextCursor string            `json:"next_cursor"`
		}
		if err := c.call(http.MethodGet, "/users/export?"+query.Encode(), nil, &page); err != nil {
			return n, err
		}
		for _, user := range page.Users {
			var text bytes.Buffer
			if err := json.Compact(&text, user); err != nil {
				return n, err
			}
			text.WriteByte('\n')
			if _, err := out.Write(text.Bytes()); err != nil {
				return n, fmt.Errorf("write users: %w", err)
			}
			n++
		}
		if page.NextCursor == "" {
			return n, out.Flush()
		}
		query.Set("cursor", page.NextCursor)
	}
}
