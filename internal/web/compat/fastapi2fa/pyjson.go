package fastapi2fa

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxDepth bounds the nesting of a body: far more than any call needs, and less
	// than at what the original gave up.
	maxDepth = 500
	// maxDigits bounds a whole number, as Python does.
	maxDigits = 4300
)

// pyInt is a whole number of any length, as Python prints it.
type pyInt string

// notJSON says where a text stops being JSON. Positions count characters.
type notJSON struct {
	Msg    string `json:"msg"`
	Pos    int    `json:"pos"`
	Lineno int    `json:"lineno"`
	Colno  int    `json:"colno"`
}

// found is what FastAPI answers. The original repeats the whole body in ctx.doc: it
// holds passwords, so it is left out.
func (e *notJSON) found() invalid {
	return invalid{
		Loc: []any{"body", e.Pos}, Type: "value_error.jsondecode", Ctx: e,
		Msg: fmt.Sprintf("%s: line %d column %d (char %d)", e.Msg, e.Lineno, e.Colno, e.Pos),
	}
}

// pyScanner reads JSON as Python's json module does: NaN and Infinity are numbers,
// the last of equal keys counts, and errors are named and placed alike.
type pyScanner struct {
	text  []rune
	at    int
	depth int
}

// scanStop ends a scan: bad is nil where the text is not to be read at all.
type scanStop struct{ bad *notJSON }

// pyDecode returns nil, bool, pyInt, float64, string, []any and map[string]any.
// Errors: a reply.
func pyDecode(body []byte) (v any, err error) {
	text := strings.TrimPrefix(string(body), "\ufeff")
	if !utf8.ValidString(text) || strings.IndexByte(text[:min(len(text), 2)], 0) >= 0 { // UTF-16
		return nil, errBody()
	}
	s := &pyScanner{text: []rune(text)}
	defer func() {
		stop, ok := recover().(scanStop)
		switch {
		case !ok: // done
		case stop.bad == nil:
			v, err = nil, errBody()
		default:
			v, err = nil, unprocessable(stop.bad.found())
		}
	}()
	return s.document(), nil
}

func (s *pyScanner) document() any {
	s.space()
	v := s.value()
	s.space()
	if s.at < len(s.text) {
		s.fail("Extra data", s.at)
	}
	return v
}

func (s *pyScanner) fail(msg string, at int) {
	bad := &notJSON{Msg: msg, Pos: at, Lineno: 1, Colno: at + 1}
	for i, c := range s.text[:at] {
		if c == '\n' {
			bad.Lineno, bad.Colno = bad.Lineno+1, at-i
		}
	}
	panic(scanStop{bad})
}

// peek is the character here; -1: the end.
func (s *pyScanner) peek() rune {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return -1
}

func (s *pyScanner) space() {
	for c := s.peek(); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = s.peek() {
		s.at++
	}
}

func (s *pyScanner) value() any {
	if s.depth++; s.depth > maxDepth {
		panic(scanStop{})
	}
	defer func() { s.depth-- }()
	switch s.peek() {
	case '"':
		return s.str()
	case '{':
		return s.object()
	case '[':
		return s.array()
	}
	for _, word := range pyWords() {
		if s.word(word.text) {
			return word.value
		}
	}
	return s.number()
}

type pyWord struct {
	text  string
	value any
}

func pyWords() []pyWord {
	return []pyWord{{"null", nil}, {"true", true}, {"false", false}, {"NaN", math.NaN()}, {"Infinity", math.Inf(1)}, {"-Infinity", math.Inf(-1)}}
}

func (s *pyScanner) word(text string) bool {
	end := s.at + len(text)
	if end > len(s.text) || string(s.text[s.at:end]) != text {
		return false
	}
	s.at = end
	return true
}

func (s *pyScanner) object() any {
	all := map[string]any{}
	s.at++
	s.space()
	if s.peek() == '}' {
		s.at++
		return all
	}
	for {
		if s.peek() != '"' {
			s.fail("Expecting property name enclosed in double quotes", s.at)
		}
		name := s.str()
		s.space()
		if s.peek() != ':' {
			s.fail("Expecting ':' delimiter", s.at)
		}
		s.at++
		s.space()
		all[name] = s.value()
		if s.next('}') {
			return all
		}
	}
}

func (s *pyScanner) array() any {
	all := []any{}
	s.at++
	s.space()
	if s.peek() == ']' {
		s.at++
		return all
	}
	for {
		all = append(all, s.value())
		if s.next(']') {
			return all
		}
	}
}

// next goes to the next member, or past the end.
func (s *pyScanner) next(end rune) (done bool) {
	s.space()
	switch s.peek() {
	case end:
		s.at++
		return true
	case ',':
		s.at++
		s.space()
		return false
	}
	s.fail("Expecting ',' delimiter", s.at)
	return true
}

func (s *pyScanner) str() string {
	begin := s.at
	var b strings.Builder
	for s.at++; ; s.at++ {
		switch c := s.peek(); {
		case c == -1:
			s.fail("Unterminated string starting at", begin)
		case c == '"':
			s.at++
			return b.String()
		case c < ' ':
			s.fail("Invalid control character at", s.at)
		case c == '\\':
			b.WriteRune(s.escape(begin))
		default:
			b.WriteRune(c)
		}
	}
}

// escape reads what stands behind a backslash and leaves at its last character. Half
// of a pair alone is no character and becomes U+FFFD.
func (s *pyScanner) escape(begin int) rune {
	s.at++
	c := s.peek()
	if c == -1 {
		s.fail("Unterminated string starting at", begin)
	}
	if c != 'u' {
		i := strings.IndexRune(`"\/bfnrt`, c)
		if i < 0 {
			s.fail(`Invalid \escape`, s.at-1)
		}
		return rune("\"\\/\b\f\n\r\t"[i])
	}
	first := s.unit(s.at)
	s.at += 4
	if utf16.IsSurrogate(first) && s.at+2 < len(s.text) && s.text[s.at+1] == '\\' && s.text[s.at+2] == 'u' {
		if both := utf16.DecodeRune(first, s.unit(s.at+2)); both != utf8.RuneError {
			s.at += 6
			return both
		}
	}
	return first
}

// unit reads the four digits behind the u at a place.
func (s *pyScanner) unit(u int) rune {
	if u+5 >= len(s.text) {
		s.fail(`Invalid \uXXXX escape`, u)
	}
	n := rune(0)
	for _, c := range s.text[u+1 : u+5] {
		d, err := strconv.ParseUint(string(c), 16, 8)
		if err != nil {
			s.fail(`Invalid \uXXXX escape`, u)
		}
		n = n<<4 | rune(d)
	}
	return n
}

func (s *pyScanner) number() any {
	begin := s.at
	if s.peek() == '-' {
		s.at++
	}
	whole := s.digits()
	if whole == 0 {
		s.fail("Expecting value", begin)
	}
	if s.text[s.at-whole] == '0' && whole > 1 { // 01 is 0 and something behind it
		s.at -= whole - 1
	}
	float := s.part(".", "")
	if s.at < len(s.text) && (s.text[s.at] == 'e' || s.text[s.at] == 'E') {
		float = s.part("eE", "+-") || float
	}
	text := string(s.text[begin:s.at])
	if float {
		f, _ := strconv.ParseFloat(text, 64) // out of range: infinite, as in Python
		return f
	}
	if len(text) > maxDigits {
		panic(scanStop{})
	}
	if text == "-0" {
		text = "0"
	}
	return pyInt(text)
}

func (s *pyScanner) digits() int {
	begin := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at - begin
}

// part reads a mark, perhaps a sign, and digits; without digits nothing is read.
func (s *pyScanner) part(marks, signs string) bool {
	begin := s.at
	if c := s.peek(); c == -1 || !strings.ContainsRune(marks, c) {
		return false
	}
	s.at++
	if c := s.peek(); c != -1 && strings.ContainsRune(signs, c) {
		s.at++
	}
	if s.digits() == 0 {
		s.at = begin
		return false
	}
	return true
}

// pyFloat prints a number as Python's str does.
func pyFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
