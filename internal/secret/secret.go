// Package secret owns what must not be known: types that never print, random
// tokens, sealing at rest, and the hashing and judging of passwords. It is
// pure: no store, no logger; the only clock it reads measures what a hash costs.
//
// Secrets leave a value of this package through Reveal alone, so that every
// place where one may escape can be found by searching for that word. They
// are compared by Equal and its kin, never by ==.
package secret

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every secret prints, through every route.
const redacted = "[secret]"

// Text is a string that does not print: fmt with any verb, slog, JSON and
// other text encodings show [secret]. Decoding reads it. The zero Text is
// empty. What must keep the value writes Reveal() explicitly.
type Text struct {
	// A pointer, because fmt walks unexported fields of foreign structs
	// without calling methods, and there shows an address, not the text.
	text *string
}

// NewText wraps a string.
func NewText(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{text: &s}
}

// Reveal returns the string.
func (t Text) Reveal() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// IsZero reports whether the text is empty.
func (t Text) IsZero() bool { return t.text == nil || *t.text == "" }

// Equal compares in a time that depends on the lengths only.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

func (t Text) String() string               { return redacted }
func (t Text) GoString() string             { return redacted }
func (t Text) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (t Text) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnmarshalText keeps a copy of the text.
func (t *Text) UnmarshalText(text []byte) error {
	*t = NewText(string(text))
	return nil
}

// UnmarshalJSON reads a JSON string. The error never repeats the input.
func (t *Text) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) != nil {
		return fmt.Errorf("a string is expected")
	}
	*t = NewText(s)
	return nil
}

// Bytes is a byte string that does not print, as Text. In JSON it is read as
// base64, like any []byte.
type Bytes struct {
	// A pointer to a string, because fmt follows one to a slice.
	bytes *string
}

// NewBytes keeps a copy of b.
func NewBytes(b []byte) Bytes {
	if len(b) == 0 {
		return Bytes{}
	}
	s := string(b)
	return Bytes{bytes: &s}
}

// Reveal returns a copy of the bytes.
func (b Bytes) Reveal() []byte {
	if b.bytes == nil {
		return nil
	}
	return []byte(*b.bytes)
}

// IsZero reports whether there are no bytes.
func (b Bytes) IsZero() bool { return b.bytes == nil || *b.bytes == "" }

// Equal compares in a time that depends on the lengths only.
func (b Bytes) Equal(other Bytes) bool {
	return subtle.ConstantTimeCompare(b.Reveal(), other.Reveal()) == 1
}

func (b Bytes) String() string               { return redacted }
func (b Bytes) GoString() string             { return redacted }
func (b Bytes) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (b Bytes) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (b Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (b Bytes) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnmarshalText keeps a copy of the raw text.
func (b *Bytes) UnmarshalText(text []byte) error {
	*b = NewBytes(text)
	return nil
}

// UnmarshalJSON reads a base64 JSON string. The error never repeats the input.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	var raw []byte
	if json.Unmarshal(data, &raw) != nil {
		return fmt.Errorf("a string in base64 is expected")
	}
	*b = NewBytes(raw)
	return nil
}
