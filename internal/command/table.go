package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/sallyport-auth/sallyport/internal/principal"
)

// clean makes a text safe for a terminal: control characters (which move the
// cursor or rewrite what stands above), invisible and direction-changing ones
// become visible escapes. What people chose, names and user agents, passes
// through here before it is printed for people.
func clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			fmt.Fprintf(&b, "\\u{%x}", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// shown is a name for people: as it is, or in quotes where it could be taken for
// something else, such as for the columns beside it. Realms of exact names hold any.
func shown(name string) string {
	doubtful := func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '@' }
	if name == "" || strings.ContainsFunc(name, doubtful) || clean(name) != name {
		return strconv.Quote(name)
	}
	return name
}

// named is name@realm for people.
func named(name, realm string) string { return shown(name) + "@" + realm }

// called is named for a name that was typed.
func called(ref principal.Ref) string { return named(ref.Name, ref.Realm) }

// told is a text that people chose, such as a full name, for a cell: in quotes where
// it could be taken for more than one.
func told(text string) string {
	if strings.TrimSpace(text) != text || strings.Contains(text, "  ") || strings.HasPrefix(text, `"`) {
		return strconv.Quote(text)
	}
	return text
}

// table prints rows for people, aligned; the first row is the heading.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = clean(cell); cells[i] == "" {
				cells[i] = "-"
			}
		}
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// document prints v as the one JSON document of standard output.
func document(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// when writes a time for people, to the second; the zero time is empty.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
