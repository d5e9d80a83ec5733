package pyjson

import "math"

// scanner stands at a character of a text.
type scanner struct {
	Reader
	text  []rune
	at    int
	depth int // how many values are begun
}

func (s *scanner) fail(msg string, at int) error {
	bad := &SyntaxError{Msg: msg, Line: 1, Column: at + 1, Char: at}
	for i, c := range s.text[:at] {
		if c == '\n' {
			bad.Line, bad.Column = bad.Line+1, at-i
		}
	}
	return bad
}

// is reports whether a character stands here, which may be behind the end.
func (s *scanner) is(c rune) bool { return s.at < len(s.text) && s.text[s.at] == c }

// take goes past a character, if it stands here.
func (s *scanner) take(c rune) bool {
	if !s.is(c) {
		return false
	}
	s.at++
	return true
}

func (s *scanner) space() {
	for s.is(' ') || s.is('\t') || s.is('\n') || s.is('\r') {
		s.at++
	}
}

func (s *scanner) value() (any, error) {
	s.depth++
	defer func() { s.depth-- }()
	if s.depth > s.Depth && (s.Leaves || s.is('{') || s.is('[')) {
		return nil, ErrDepth
	}
	switch {
	case s.is('"'):
		return s.str()
	case s.take('{'):
		return s.object()
	case s.take('['):
		return s.array()
	case s.word("null"):
		return nil, nil
	case s.word("true"):
		return true, nil
	case s.word("false"):
		return false, nil
	}
	for _, word := range [...]string{"NaN", "Infinity", "-Infinity"} {
		if s.word(word) {
			return s.constant(word)
		}
	}
	return s.number()
}

func (s *scanner) constant(word string) (any, error) {
	switch {
	case s.Constant != nil:
		return s.Constant(word)
	case word == "NaN":
		return math.NaN(), nil
	case word == "Infinity":
		return math.Inf(1), nil
	}
	return math.Inf(-1), nil
}

// word goes past a word, if it stands here.
func (s *scanner) word(word string) bool {
	end := s.at + len(word)
	if end > len(s.text) || string(s.text[s.at:end]) != word {
		return false
	}
	s.at = end
	return true
}

// object reads behind the opening brace.
func (s *scanner) object() (any, error) {
	all := map[string]any{}
	if s.space(); s.take('}') {
		return all, nil
	}
	for {
		if !s.is('"') {
			return nil, s.fail("Expecting property name enclosed in double quotes", s.at)
		}
		name, err := s.str()
		if err != nil {
			return nil, err
		}
		if s.space(); !s.take(':') {
			return nil, s.fail("Expecting ':' delimiter", s.at)
		}
		s.space()
		v, err := s.value()
		if err != nil {
			return nil, err
		}
		all[name.(string)] = v
		if done, err := s.next('}'); done || err != nil {
			return all, err
		}
	}
}

// array reads behind the opening bracket.
func (s *scanner) array() (any, error) {
	all := []any{}
	if s.space(); s.take(']') {
		return all, nil
	}
	for {
		v, err := s.value()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
		if done, err := s.next(']'); done || err != nil {
			return all, err
		}
	}
}

// next goes to the next member, or past the end.
func (s *scanner) next(end rune) (done bool, err error) {
	s.space()
	switch {
	case s.take(end):
		return true, nil
	case s.take(','):
		s.space()
		return false, nil
	}
	return false, s.fail("Expecting ',' delimiter", s.at)
}
