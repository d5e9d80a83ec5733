package pyjson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a text from its opening quote. The value is a string.
func (s *scanner) str() (any, error) {
	begin := s.at
	var b []byte
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return string(b), nil
		case c < ' ':
			return nil, s.fail("Invalid control character at", s.at)
		case c == '\\' && s.at+1 == len(s.text): // nothing follows
		case c == '\\':
			r, err := s.escape()
			if err != nil {
				return nil, err
			}
			b = s.append(b, r)
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return nil, s.fail("Unterminated string starting at", begin)
}

const (
	escapes = `"\/bfnrt`
	escaped = "\"\\/\b\f\n\r\t"
)

// escape reads from a backslash, which is not the last character, to the last
// character of what it begins.
func (s *scanner) escape() (rune, error) {
	slash := s.at
	s.at++
	if c := s.text[s.at]; c != 'u' {
		i := strings.IndexRune(escapes, c)
		if i < 0 {
			return 0, s.fail(`Invalid \escape`, slash)
		}
		return rune(escaped[i]), nil
	}
	first, ok := s.unit(s.at)
	if !ok {
		return 0, s.fail(`Invalid \uXXXX escape`, s.at)
	}
	s.at += 4
	if s.at+2 < len(s.text) && s.text[s.at+1] == '\\' && s.text[s.at+2] == 'u' {
		if second, ok := s.unit(s.at + 2); ok {
			if both := utf16.DecodeRune(first, second); both != utf8.RuneError {
				s.at += 6
				return both, nil
			}
		}
	}
	return first, nil
}

// unit reads the four digits behind the u at a place. Something must follow them.
func (s *scanner) unit(u int) (rune, bool) {
	if u+5 >= len(s.text) {
		return 0, false
	}
	n := rune(0)
	for _, c := range s.text[u+1 : u+5] {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 + (c - '0')
		case c >= 'a' && c <= 'f':
			n = n<<4 + (c - 'a' + 10)
		case c >= 'A' && c <= 'F':
			n = n<<4 + (c - 'A' + 10)
		default:
			return 0, false
		}
	}
	return n, true
}

func (s *scanner) append(b []byte, r rune) []byte {
	if s.Halves && utf16.IsSurrogate(r) {
		return append(b, byte(0xe0|r>>12), byte(0x80|r>>6&0x3f), byte(0x80|r&0x3f))
	}
	return utf8.AppendRune(b, r)
}

// Half finds the first half of a surrogate pair in a text that was read with
// Reader.Halves.
func Half(s string) (r rune, found bool) {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			if i+2 < len(s) {
				return rune(s[i]&0x0f)<<12 | rune(s[i+1]&0x3f)<<6 | rune(s[i+2]&0x3f), true
			}
			return utf8.RuneError, true
		}
		i += size
	}
	return 0, false
}
