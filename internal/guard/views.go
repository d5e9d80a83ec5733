package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrPath is the refusal of a path that no two readers would read alike:
// %00, a control character, an invalid or overlong escape, too many readings.
var ErrPath = errors.New("not a valid path")

const (
	// maxViews bounds the readings of one path. Honest paths have a handful;
	// a path beyond it is refused.
	maxViews = 48
	// maxViewedPath bounds the length of a path that has more than one
	// reading, in bytes.
	maxViewedPath = 4096
)

// Views returns the readings that upstreams have of a raw path (without the
// query), the path itself first: as it stands, decoded once and decoded twice;
// each with dot segments resolved, slashes merged, \ turned to /, parameters
// behind ; cut, what follows a decoded ? or # cut, in lower case, and every
// combination of these in every order, since upstreams differ in what they do
// first. A path without % \ ; # ? // /. control characters and capitals has
// one reading and is found so in one pass. Errors: ErrPath.
func Views(raw string) ([]string, error) {
	views, err := readings(raw)
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		if lower := strings.ToLower(v); lower != v {
			views = appendNew(views, lower)
		}
	}
	return views, nil
}

// Below reports whether some reading of a raw path is prefix (which ends in a
// slash) without its slash, or below it. Errors: ErrPath, where that cannot be
// told. A path with one reading is told without allocating.
func Below(raw, prefix string) (bool, error) {
	below := func(v string) bool { return v == prefix[:len(prefix)-1] || strings.HasPrefix(v, prefix) }
	if ok, capitals := simple(raw); ok && !capitals && raw != "" && raw[0] == '/' {
		return below(raw), nil
	}
	views, err := Views(raw)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(views, below), nil
}

// simple reports in one pass whether a path has one reading, but for case.
// capitals says whether case matters.
func simple(path string) (ok, capitals bool) {
	previous := byte(0)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c >= 0x7f || c < 0x21:
			return false, true
		case c == '%' || c == '\\' || c == ';' || c == '#' || c == '?':
			return false, true
		case previous == '/' && (c == '/' || c == '.'):
			return false, true
		case 'A' <= c && c <= 'Z':
			capitals = true
		}
		previous = c
	}
	return true, capitals
}

// readings is Views without lower case.
func readings(raw string) ([]string, error) {
	if raw == "" || raw[0] != '/' {
		return nil, ErrPath
	}
	if ok, _ := simple(raw); ok {
		return []string{raw}, nil
	}
	if len(raw) > maxViewedPath || strings.IndexByte(raw, ' ') >= 0 { // a raw space ends the target of a request line
		return nil, ErrPath
	}
	if err := printable(raw); err != nil {
		return nil, err
	}
	once, err := decode(raw)
	if err != nil {
		return nil, err
	}
	views, err := closure([]string{raw}, nil)
	if err != nil || once == raw {
		return views, err
	}
	// What an upstream makes of the path before it decodes is decoded too.
	// An escape that only appears by decoding may be broken (100%25 is an
	// honest name): it then stands for itself.
	if views, err = closure(views, decodeStrict); err != nil {
		return nil, err
	}
	return closure(views, decodeLoose)
}

// closure adds to views, after one decoding of each of them, all that the
// rewritings make of them.
func closure(views []string, decoding func(string) (string, error)) ([]string, error) {
	if decoding != nil {
		for _, v := range views[:len(views):len(views)] {
			decoded, err := decoding(v)
			if err != nil {
				return nil, err
			}
			views = appendNew(views, decoded)
		}
	}
	for i := 0; i < len(views); i++ {
		for _, rewrite := range rewritings {
			views = appendNew(views, rewrite(views[i]))
		}
		if len(views) > maxViews {
			return nil, ErrPath
		}
	}
	return views, nil
}

func appendNew(views []string, v string) []string {
	for _, known := range views {
		if known == v {
			return views
		}
	}
	return append(views, v)
}

// rewritings are what servers are known to do with a path, each alone.
var rewritings = [...]func(string) string{
	resolveDots, mergeSlashes, slashes, cutParameters, cutFromParameter, cutQuery,
}

func decodeStrict(s string) (string, error) { return decode(s) }

// decodeLoose decodes where it can and leaves what it cannot.
func decodeLoose(s string) (string, error) {
	decoded, err := decode(s)
	if errors.Is(err, errEscape) {
		return s, nil
	}
	return decoded, err
}

// errEscape is the part of ErrPath that a second decoding forgives.
var errEscape = fmt.Errorf("%w: an invalid escape", ErrPath)

// decode resolves %XX once. What comes out must be printable.
func decode(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) || !hexDigit(s[i+1]) || !hexDigit(s[i+2]) {
			return "", errEscape
		}
		out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
		i += 2
	}
	decoded := string(out)
	return decoded, printable(decoded)
}

// printable refuses control characters and overlong UTF-8, which old decoders
// take for / and the dot. Other bytes that are not UTF-8 are somebody's
// Latin-1 file names.
func printable(s string) error {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 || c == 0x7f {
			return ErrPath
		}
		if c < 0xc0 || i+1 == len(s) || s[i+1]&0xc0 != 0x80 {
			continue
		}
		if next := s[i+1]; c <= 0xc1 || c == 0xe0 && next < 0xa0 || c == 0xf0 && next < 0x90 {
			return ErrPath
		}
	}
	return nil
}

// resolveDots is RFC 3986 section 5.2.4: an empty segment is a segment.
func resolveDots(s string) string {
	if !strings.Contains(s, "/.") {
		return s
	}
	segments := strings.Split(s, "/")
	out := segments[:1]
	for i, segment := range segments[1:] {
		last := i == len(segments)-2
		switch segment {
		case ".":
		case "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, segment)
			continue
		}
		if last {
			out = append(out, "")
		}
	}
	if len(out) == 1 {
		return "/"
	}
	return strings.Join(out, "/")
}

func mergeSlashes(s string) string {
	if !strings.Contains(s, "//") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '/' && i > 0 && s[i-1] == '/' {
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func slashes(s string) string { return strings.ReplaceAll(s, `\`, "/") }

// cutParameters cuts ;… from each segment, as servlet containers do.
func cutParameters(s string) string {
	if !strings.Contains(s, ";") {
		return s
	}
	out := make([]byte, 0, len(s))
	parameter := false
	for i := 0; i < len(s); i++ {
		if s[i] == '/' {
			parameter = false
		} else if s[i] == ';' {
			parameter = true
		}
		if !parameter {
			out = append(out, s[i])
		}
	}
	return string(out)
}

// cutFromParameter cuts from the first ; to the end, as some frameworks do.
func cutFromParameter(s string) string {
	before, _, _ := strings.Cut(s, ";")
	return before
}

// cutQuery cuts what a second parser takes for a query or a fragment.
func cutQuery(s string) string {
	if i := strings.IndexAny(s, "?#"); i > 0 {
		return s[:i]
	}
	return s
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
