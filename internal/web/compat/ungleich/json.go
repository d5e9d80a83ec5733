package ungleich

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The original reads JSON by Python's json module and answers with its errors. What
// that module takes and what it says is written again here, from its documentation
// and its behaviour: the last of two keys wins, and errors count characters.

// maxDepth bounds nested arrays and objects.
const maxDepth = 900

// scanner reads one JSON text. Every error is a sentence of the original's.
type scanner struct {
	text []rune
	at   int
}

type jsonError struct{ text string }

func (e *jsonError) Error() string { return e.text }

func (s *scanner) fail(what string, at int) error {
	before := s.text[:min(at, len(s.text))]
	line, column := 1, at+1
	for i, c := range before {
		if c == '\n' {
			line++
			column = at - i
		}
	}
	return &jsonError{fmt.Sprintf("%s: line %d column %d (char %d)", what, line, column, at)}
}

// parseJSON reads a text. What is no object has no fields.
func parseJSON(body []byte) (found fields, object bool, err error) {
	if err := validUTF8(body); err != nil {
		return nil, false, err
	}
	s := &scanner{text: []rune(string(body))}
	if len(s.text) > 0 && s.text[0] == '\ufeff' {
		return nil, false, s.fail("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)
	}
	s.space()
	object = s.is('{')
	found = fields{}
	if object {
		err = s.object(found, 0)
	} else {
		_, err = s.value(0)
	}
	if err != nil {
		return nil, false, err
	}
	if s.space(); s.at != len(s.text) {
		return nil, false, s.fail("Extra data", s.at)
	}
	return found, object, nil
}

func validUTF8(body []byte) error {
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			why := "invalid continuation byte"
			switch b := body[i]; {
			case b < 0xC2 || b > 0xF4:
				why = "invalid start byte"
			case !utf8.FullRune(body[i:]):
				why = "unexpected end of data"
			}
			return &jsonError{fmt.Sprintf("'utf-8' codec can't decode byte 0x%02x in position %d: %s", body[i], i, why)}
		}
		i += size
	}
	return nil
}

func (s *scanner) is(c rune) bool { return s.at < len(s.text) && s.text[s.at] == c }

func (s *scanner) space() {
	for s.at < len(s.text) && strings.ContainsRune(" \t\n\r", s.text[s.at]) {
		s.at++
	}
}

// object reads an object into found; nil: its members are not wanted.
func (s *scanner) object(found fields, depth int) error {
	if depth > maxDepth {
		return &jsonError{"maximum recursion depth exceeded"}
	}
	s.at++
	if s.space(); s.is('}') {
		s.at++
		return nil
	}
	for {
		if !s.is('"') {
			return s.fail("Expecting property name enclosed in double quotes", s.at)
		}
		name, err := s.string()
		if err != nil {
			return err
		}
		if s.space(); !s.is(':') {
			return s.fail("Expecting ':' delimiter", s.at)
		}
		s.at++
		s.space()
		v, err := s.value(depth + 1)
		if err != nil {
			return err
		}
		if found != nil {
			found[name] = v
		}
		if s.space(); s.is('}') {
			s.at++
			return nil
		}
		if !s.is(',') {
			return s.fail("Expecting ',' delimiter", s.at)
		}
		s.at++
		s.space()
	}
}

func (s *scanner) array(depth int) error {
	if depth > maxDepth {
		return &jsonError{"maximum recursion depth exceeded"}
	}
	s.at++
	if s.space(); s.is(']') {
		s.at++
		return nil
	}
	for {
		if _, err := s.value(depth + 1); err != nil {
			return err
		}
		if s.space(); s.is(']') {
			s.at++
			return nil
		}
		if !s.is(',') {
			return s.fail("Expecting ',' delimiter", s.at)
		}
		s.at++
		s.space()
	}
}

// value reads any value. Of arrays and objects only that they are there is kept.
func (s *scanner) value(depth int) (value, error) {
	switch {
	case s.is('"'):
		text, err := s.string()
		return value{isText, text}, err
	case s.is('{'):
		return value{kind: isOther}, s.object(nil, depth)
	case s.is('['):
		return value{kind: isOther}, s.array(depth)
	}
	for _, word := range []string{"null", "true", "false"} {
		if s.word(word) {
			if word == "null" {
				return value{kind: isNull}, nil
			}
			return value{kind: isOther}, nil
		}
	}
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if s.word(word) {
			return value{}, &jsonError{"Out of range float values are not JSON compliant: '" + word + "'"}
		}
	}
	if text, ok := s.number(); ok {
		return value{isNumber, text}, nil
	}
	return value{}, s.fail("Expecting value", s.at)
}

func (s *scanner) word(word string) bool {
	end := s.at + len(word)
	if end > len(s.text) || !slices.Equal(s.text[s.at:end], []rune(word)) {
		return false
	}
	s.at = end
	return true
}

// number reads a number and returns it as the original turns it into a text.
func (s *scanner) number() (string, bool) {
	start := s.at
	if s.is('-') {
		s.at++
	}
	whole := s.digits()
	if whole == 0 {
		s.at = start
		return "", false
	}
	if first := s.at - whole; s.text[first] == '0' {
		s.at = first + 1
	}
	end := s.at
	if s.is('.') {
		s.at++
		if s.digits() > 0 {
			end = s.at
		}
	}
	s.at = end
	if s.is('e') || s.is('E') {
		s.at++
		if s.is('+') || s.is('-') {
			s.at++
		}
		if s.digits() > 0 {
			end = s.at
		}
	}
	s.at = end
	return numberText(string(s.text[start:end])), true
}

func (s *scanner) digits() (n int) {
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
		n++
	}
	return n
}

// numberText writes a number as Python's str does.
func numberText(text string) string {
	if text == "-0" {
		return "0"
	}
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil { // out of range
		return "inf"
	}
	short := strconv.FormatFloat(n, 'e', -1, 64)
	_, exponent, _ := strings.Cut(short, "e")
	if e, err := strconv.Atoi(exponent); err != nil || e < -4 || e >= 16 {
		return short
	}
	long := strconv.FormatFloat(n, 'f', -1, 64)
	if !strings.Contains(long, ".") {
		long += ".0"
	}
	return long
}

// string reads a string from its first quote.
func (s *scanner) string() (string, error) {
	begin := s.at
	var b strings.Builder
	for s.at++; ; s.at++ {
		if s.at >= len(s.text) {
			return "", s.fail("Unterminated string starting at", begin)
		}
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return b.String(), nil
		case c == '\\':
			r, err := s.escape(begin)
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		case c <= 0x1f:
			return "", s.fail("Invalid control character at", s.at)
		default:
			b.WriteRune(c)
		}
	}
}

var escapes = map[rune]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads an escape from its backslash to its last character.
func (s *scanner) escape(begin int) (rune, error) {
	slash := s.at
	if s.at++; s.at >= len(s.text) {
		return 0, s.fail("Unterminated string starting at", begin)
	}
	if s.text[s.at] != 'u' {
		r, ok := escapes[s.text[s.at]]
		if !ok {
			return 0, s.fail("Invalid \\escape", slash)
		}
		return r, nil
	}
	r, ok := s.hex(s.at + 1)
	if !ok || s.at+5 >= len(s.text) { // at the end even a good one is no escape
		return 0, s.fail("Invalid \\uXXXX escape", s.at)
	}
	s.at += 4
	if utf16.IsSurrogate(r) && s.at+7 < len(s.text) && s.text[s.at+1] == '\\' && s.text[s.at+2] == 'u' {
		if low, ok := s.hex(s.at + 3); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				s.at += 6
				return pair, nil
			}
		}
	}
	return r, nil // one of a pair alone is written as U+FFFD
}

func (s *scanner) hex(from int) (rune, bool) {
	if from+4 > len(s.text) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s.text[from:from+4]), 16, 16)
	return rune(n), err == nil && !strings.ContainsAny(string(s.text[from:from+4]), "+-_")
}
