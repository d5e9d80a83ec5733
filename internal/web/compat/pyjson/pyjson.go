// Package pyjson reads JSON as Python's json module does, and says what is wrong in
// that module's words, which the clients of older systems read. Written after its
// documentation and its behaviour:
//
//   - whole numbers have any length, and NaN and Infinity are numbers;
//   - of equal names the last one counts;
//   - half a surrogate pair is a character;
//   - errors have line, column and place, which count characters.
//
// The systems differ in what stands around that module: [Reader] has the differences.
//
// Values are nil, bool, [Int], float64, string, []any and map[string]any. Reading
// never panics, and takes no more stack than Reader.Depth allows.
package pyjson

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Int is a whole number of any length, as Python prints it.
type Int string

// Reader says how a text is read. The zero Reader reads no arrays and objects. It is
// safe for concurrent use.
type Reader struct {
	// Depth bounds how deep arrays and objects nest: with 1, they hold none.
	Depth int
	// Leaves lets what is in them count for Depth too, so that with 1 they are empty.
	Leaves bool
	// Digits bounds whole numbers, in characters; 0: they have any length.
	Digits int
	// BOM passes over a byte order mark, which is an error otherwise.
	BOM bool
	// Tail passes over a character of which the end is missing at the end of the text,
	// as Python's codecs.StreamReader does.
	Tail bool
	// Halves keeps half a surrogate pair as the three bytes that UTF-8 forbids, for
	// [Half] to find. Otherwise it becomes U+FFFD.
	Halves bool
	// Constant reads NaN, Infinity and -Infinity; nil: they are numbers. Its errors
	// are Decode's.
	Constant func(word string) (any, error)
}

// SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	Msg          string
	Line, Column int // from 1
	Char         int // from 0
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s: line %d column %d (char %d)", e.Msg, e.Line, e.Column, e.Char)
}

// EncodingError says where a text stops being UTF-8.
type EncodingError struct {
	Byte   byte
	At     int // in bytes, from 0
	Size   int // of what began well, in bytes, at least 1
	Reason string
}

func (e *EncodingError) Error() string {
	if e.Size > 1 {
		return fmt.Sprintf("'utf-8' codec can't decode bytes in position %d-%d: %s", e.At, e.At+e.Size-1, e.Reason)
	}
	return fmt.Sprintf("'utf-8' codec can't decode byte 0x%02x in position %d: %s", e.Byte, e.At, e.Reason)
}

// What is beyond the bounds of a Reader.
var (
	ErrDepth  = errors.New("maximum recursion depth exceeded")
	ErrDigits = errors.New("a whole number has too many digits")
)

// Decode reads a whole text. Errors: *SyntaxError, *EncodingError, ErrDepth, ErrDigits,
// those of Constant.
func (r Reader) Decode(body []byte) (any, error) {
	if r.Tail {
		body = whole(body)
	}
	if err := valid(body); err != nil {
		return nil, err
	}
	s := &scanner{Reader: r, text: []rune(string(body))}
	if s.is('\ufeff') {
		if !r.BOM {
			return nil, s.fail("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)
		}
		s.text = s.text[1:]
	}
	s.space()
	v, err := s.value()
	if err != nil {
		return nil, err
	}
	if s.space(); s.at != len(s.text) {
		return nil, s.fail("Extra data", s.at)
	}
	return v, nil
}

// whole is a text without the beginning of a character at its end.
func whole(body []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(body); n++ {
		if last := len(body) - n; utf8.RuneStart(body[last]) {
			if !utf8.FullRune(body[last:]) {
				return body[:last]
			}
			break
		}
	}
	return body
}

// valid wants UTF-8.
func valid(body []byte) error {
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			return invalid(body, i)
		}
		i += size
	}
	return nil
}

// invalid says why there is no character at a place.
func invalid(body []byte, at int) error {
	bad := &EncodingError{Byte: body[at], At: at, Size: 1, Reason: "invalid continuation byte"}
	if bad.Byte < 0xc2 || bad.Byte > 0xf4 {
		bad.Reason = "invalid start byte"
		return bad
	}
	for rest := body[at:]; bad.Size <= len(rest) && !utf8.FullRune(rest[:bad.Size]); {
		if bad.Size == len(rest) {
			bad.Reason = "unexpected end of data"
			return bad
		}
		bad.Size++
	}
	bad.Size-- // the last one was wrong
	return bad
}
