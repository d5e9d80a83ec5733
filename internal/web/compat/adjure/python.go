package adjure

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/web/compat/pyjson"
)

// Values of a JSON body as the original sees them: nil, bool, number, string, list
// and dict.
type (
	number string // as it was written
	list   []any
	// literal is text that stands in a dump as it is.
	literal string
	// dict is an object. A name that comes twice keeps its first place and its last
	// value.
	dict struct {
		keys   []string
		values map[string]any
	}
)

func newDict() *dict { return &dict{values: map[string]any{}} }

func (d *dict) set(key string, v any) *dict {
	if _, twice := d.values[key]; !twice {
		d.keys = append(d.keys, key)
	}
	d.values[key] = v
	return d
}

// whole reports whether a number is written without a fraction and an exponent.
func (n number) whole() bool { return !strings.ContainsAny(string(n), ".eE") }

// float is the number's value; what is too large is infinite.
func (n number) float() float64 {
	f, _ := strconv.ParseFloat(string(n), 64)
	return f
}

// repr writes a value as Python does: the original's error messages hold it.
func repr(v any) string { return represent(v, false) }

func represent(v any, sorted bool) string {
	switch v := v.(type) {
	case nil, bool:
		return pyjson.Str(v)
	case number:
		return v.repr()
	case string:
		return quoted(v)
	case literal:
		return string(v)
	case list:
		texts := make([]string, len(v))
		for i := range v {
			texts[i] = represent(v[i], sorted)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case *dict:
		texts := make([]string, 0, len(v.keys))
		for _, key := range v.order(sorted) {
			texts = append(texts, quoted(key)+": "+represent(v.values[key], sorted))
		}
		return "{" + strings.Join(texts, ", ") + "}"
	}
	return "?"
}

func (d *dict) order(sorted bool) []string {
	if !sorted {
		return d.keys
	}
	return slices.Sorted(slices.Values(d.keys))
}

func (n number) repr() string {
	if n.whole() {
		if n == "-0" {
			return "0"
		}
		return string(n)
	}
	return pyjson.Float(n.float())
}

// quoted is a Python string: in single quotes, unless it has those and no double ones.
func quoted(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b := []byte{quote}
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r <= 0xff:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r <= 0xffff:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return string(append(b, quote))
}

// dumpWidth is where the original's dumps break lines, in characters.
const dumpWidth = 72

// dump writes a value over as many lines as it needs, keys in order, as Python's
// pprint does, each line indented by four.
func dump(v any) string {
	return "    " + strings.ReplaceAll(broken(v, 0, 0), "\n", "\n    ")
}

// broken is a value that begins at a column, with so many characters behind it.
func broken(v any, column, behind int) string {
	flat := represent(v, true)
	if utf8.RuneCountInString(flat) <= dumpWidth-column-behind {
		return flat
	}
	column++
	var items []string
	switch v := v.(type) {
	case *dict:
		for i, key := range v.order(true) {
			head := quoted(key) + ": "
			items = append(items, head+broken(v.values[key], column+utf8.RuneCountInString(head), rest(i, len(v.keys), behind)))
		}
		return "{" + strings.Join(items, ",\n"+strings.Repeat(" ", column)) + "}"
	case list:
		for i := range v {
			items = append(items, broken(v[i], column, rest(i, len(v), behind)))
		}
		return "[" + strings.Join(items, ",\n"+strings.Repeat(" ", column)) + "]"
	}
	return flat
}

// rest is how many characters stand behind an item: a comma, or all that closes.
func rest(i, length, behind int) int {
	if i < length-1 {
		return 1
	}
	return behind + 1
}
