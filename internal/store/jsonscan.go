package store

import (
	"encoding/json"
	"errors"
	"strings"
)

var errNotObject = errors.New("not a JSON object")

// unknownFields returns the fields of a JSON object, already found valid, whose
// names are not known. It walks the bytes once and allocates only for what it keeps.
func unknownFields(value []byte, known map[string]struct{}) ([]unknownField, error) {
	s := scanner{rest: value}
	if !s.take('{') {
		return nil, errNotObject
	}
	var unknown []unknownField
	for !s.take('}') {
		s.take(',')
		name := s.value()
		if len(name) == 0 || name[0] != '"' || !s.take(':') {
			return nil, errNotObject
		}
		field := s.value()
		if len(field) == 0 {
			return nil, errNotObject
		}
		if isKnown(name, known) {
			continue
		}
		unknown = append(unknown, unknownField{name: append([]byte(nil), name...), value: append([]byte(nil), field...)})
	}
	return unknown, nil
}

func isKnown(quoted []byte, known map[string]struct{}) bool {
	if _, ok := known[string(quoted[1:len(quoted)-1])]; ok {
		return true
	}
	var name string
	if json.Unmarshal(quoted, &name) != nil {
		return false
	}
	_, ok := known[strings.ToLower(name)]
	return ok
}

// scanner walks over valid JSON.
type scanner struct{ rest []byte }

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t' || s.rest[0] == '\n' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// value takes the next value: a string, or everything up to the comma, colon or
// bracket that ends it at its own depth.
func (s *scanner) value() []byte {
	s.space()
	depth, quoted := 0, false
	for i := 0; i < len(s.rest); i++ {
		c := s.rest[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
			if !quoted && depth == 0 {
				return s.cut(i + 1)
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			if depth--; depth == 0 {
				return s.cut(i + 1)
			}
		case depth == 0 && (c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return s.cut(i)
		}
	}
	return s.cut(len(s.rest))
}

func (s *scanner) cut(n int) []byte {
	v := s.rest[:n]
	s.rest = s.rest[n:]
	return v
}
