package trench

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep a body may nest. The original fails at about a thousand.
const maxDepth = 64

// integer and float are JSON's numbers as the original's clients see them again: in
// the writing of Python.
type (
	integer string
	float   float64
)

// syntaxError is what is wrong with a JSON text, in the words of the original's
// parser, the json of Python, which its clients read.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

// pyJSON reads JSON (RFC 8259) and says what is wrong in Python's words. Like the
// original it takes the last of doubled names, and half surrogate pairs, which become
// the three bytes that UTF-8 forbids: who reads the text sees that it is not valid.
type pyJSON struct {
	text  []rune
	depth int
}

// decodeJSON reads a whole body. Values are nil, bool, string, integer, float, []any
// and map[string]any. Errors: syntaxError.
func decodeJSON(body []byte) (any, error) {
	if at := invalidUTF8(body); at >= 0 {
		reason := "invalid start byte"
		if body[at] >= 0xc2 && body[at] <= 0xf4 {
			reason = "invalid continuation byte"
		}
		return nil, syntaxError(fmt.Sprintf("'utf-8' codec can't decode byte 0x%02x in position %d: %s", body[at], at, reason))
	}
	p := &pyJSON{text: []rune(string(body))}
	if len(p.text) > 0 && p.text[0] == '\ufeff' {
		return nil, p.wrong("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)
	}
	value, at, err := p.value(p.space(0))
	if err != nil {
		return nil, err
	}
	if at = p.space(at); at != len(p.text) {
		return nil, p.wrong("Extra data", at)
	}
	return value, nil
}

func invalidUTF8(body []byte) int {
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func (p *pyJSON) wrong(what string, at int) error {
	line, column := 1, at+1
	for i, r := range p.text[:min(at, len(p.text))] {
		if r == '\n' {
			line, column = line+1, at-i
		}
	}
	return syntaxError(fmt.Sprintf("%s: line %d column %d (char %d)", what, line, column, at))
}

// is reports whether a character stands at a place, which may be behind the end.
func (p *pyJSON) is(at int, r rune) bool { return at < len(p.text) && p.text[at] == r }

func (p *pyJSON) space(at int) int {
	for p.is(at, ' ') || p.is(at, '\t') || p.is(at, '\n') || p.is(at, '\r') {
		at++
	}
	return at
}

var constants = map[string]any{"null": nil, "true": true, "false": false}

func (p *pyJSON) value(at int) (any, int, error) {
	if at >= len(p.text) {
		return nil, 0, p.wrong("Expecting value", at)
	}
	switch p.text[at] {
	case '"':
		return p.str(at + 1)
	case '{', '[':
		if p.depth++; p.depth > maxDepth {
			return nil, 0, syntaxError("maximum recursion depth exceeded")
		}
		defer func() { p.depth-- }()
		if p.text[at] == '{' {
			return p.object(at + 1)
		}
		return p.array(at + 1)
	}
	for word, value := range constants {
		if p.word(at, word) {
			return value, at + len(word), nil
		}
	}
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if p.word(at, word) {
			return nil, 0, syntaxError("Out of range float values are not JSON compliant: '" + word + "'")
		}
	}
	return p.number(at)
}

func (p *pyJSON) word(at int, word string) bool {
	return at+len(word) <= len(p.text) && string(p.text[at:at+len(word)]) == word
}

func (p *pyJSON) digits(at int) int {
	for at < len(p.text) && p.text[at] >= '0' && p.text[at] <= '9' {
		at++
	}
	return at
}

func (p *pyJSON) number(start int) (any, int, error) {
	at := start
	if p.is(at, '-') {
		at++
	}
	switch end := p.digits(at); {
	case end == at:
		return nil, 0, p.wrong("Expecting value", start)
	case p.text[at] == '0':
		at++
	default:
		at = end
	}
	whole := true
	if end := p.digits(at + 1); p.is(at, '.') && end > at+1 {
		at, whole = end, false
	}
	if p.is(at, 'e') || p.is(at, 'E') {
		digits := at + 1
		if p.is(digits, '+') || p.is(digits, '-') {
			digits++
		}
		if end := p.digits(digits); end > digits {
			at, whole = end, false
		}
	}
	text := string(p.text[start:at])
	if whole {
		if text == "-0" {
			text = "0"
		}
		return integer(text), at, nil
	}
	f, _ := strconv.ParseFloat(text, 64) // out of range: infinite, as in the original
	return float(f), at, nil
}

func (p *pyJSON) object(at int) (any, int, error) {
	object := map[string]any{}
	if at = p.space(at); p.is(at, '}') {
		return object, at + 1, nil
	}
	for {
		if !p.is(at, '"') {
			return nil, 0, p.wrong("Expecting property name enclosed in double quotes", at)
		}
		name, next, err := p.str(at + 1)
		if err != nil {
			return nil, 0, err
		}
		if at = p.space(next); !p.is(at, ':') {
			return nil, 0, p.wrong("Expecting ':' delimiter", at)
		}
		value, next, err := p.value(p.space(at + 1))
		if err != nil {
			return nil, 0, err
		}
		object[name.(string)] = value
		if at = p.space(next); p.is(at, '}') {
			return object, at + 1, nil
		}
		if !p.is(at, ',') {
			return nil, 0, p.wrong("Expecting ',' delimiter", at)
		}
		at = p.space(at + 1)
	}
}

func (p *pyJSON) array(at int) (any, int, error) {
	array := []any{}
	if at = p.space(at); p.is(at, ']') {
		return array, at + 1, nil
	}
	for {
		value, next, err := p.value(at)
		if err != nil {
			return nil, 0, err
		}
		array = append(array, value)
		if at = p.space(next); p.is(at, ']') {
			return array, at + 1, nil
		}
		if !p.is(at, ',') {
			return nil, 0, p.wrong("Expecting ',' delimiter", at)
		}
		at = p.space(at + 1)
	}
}

// str reads a text behind its opening quote.
func (p *pyJSON) str(start int) (any, int, error) {
	var b []byte
	for at := start; at < len(p.text); {
		switch c := p.text[at]; {
		case c == '"':
			return string(b), at + 1, nil
		case c < 0x20:
			return nil, 0, p.wrong("Invalid control character at", at)
		case c != '\\':
			b = utf8.AppendRune(b, c)
			at++
		default:
			r, next, err := p.escape(at)
			if err != nil {
				return nil, 0, err
			}
			if next == 0 {
				return nil, 0, p.wrong("Unterminated string starting at", start-1)
			}
			b, at = appendWTF8(b, r), next
		}
	}
	return nil, 0, p.wrong("Unterminated string starting at", start-1)
}

const (
	escapes = `"\/bfnrt`
	escaped = "\"\\/\b\f\n\r\t"
)

// escape reads what a backslash begins; next 0: the text ends before.
func (p *pyJSON) escape(at int) (r rune, next int, err error) {
	if at+1 >= len(p.text) {
		return 0, 0, nil
	}
	c := p.text[at+1]
	if i := strings.IndexRune(escapes, c); i >= 0 {
		return rune(escaped[i]), at + 2, nil
	}
	if c != 'u' {
		return 0, 0, p.wrong(`Invalid \escape`, at)
	}
	r, ok := p.hex(at + 2)
	if !ok {
		return 0, 0, p.wrong(`Invalid \uXXXX escape`, at+1)
	}
	next = at + 6
	if p.is(next, '\\') && p.is(next+1, 'u') {
		if low, ok := p.hex(next + 2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, next + 6, nil
			}
		}
	}
	return r, next, nil
}

// hex reads four digits, behind which something must stand.
func (p *pyJSON) hex(at int) (rune, bool) {
	if at+4 >= len(p.text) {
		return 0, false
	}
	for _, c := range p.text[at : at+4] {
		if !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(p.text[at:at+4]), 16, 16)
	return rune(n), err == nil
}

// appendWTF8 appends a character; half a surrogate pair as its three bytes.
func appendWTF8(b []byte, r rune) []byte {
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(b, r)
	}
	return append(b, byte(0xe0|r>>12), byte(0x80|r>>6&0x3f), byte(0x80|r&0x3f))
}
