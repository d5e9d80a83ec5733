package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// TokenKind is the prefix of a token's text. One kind is never accepted for
// another.
type TokenKind string

const (
	Session   TokenKind = "sps_" // session cookie; see SessionToken
	Ephemeral TokenKind = "spe_" // proof that the first door was passed
	Refresh   TokenKind = "spr_" // refresh token of the API
	Link      TokenKind = "spi_" // setup, invitation and reset links
	Device    TokenKind = "spd_" // trusted browser: satisfies a second factor
	Browser   TokenKind = "spb_" // known browser: a place for the throttle
)

const (
	tokenBytes   = 32 // 256 random bits: never guessed, never the same twice
	macBytes     = 8  // 64 bits: a stranger's random cookie never reaches the store
	prefixLength = 4
	tokenText    = 43 // base64 of tokenBytes without padding
	sessionText  = 54 // base64 of tokenBytes+macBytes without padding
)

// ErrToken is the refusal of a text that is not a token of the kind asked for.
// It says nothing about whether a token is known.
var ErrToken = errors.New("not a token of this kind")

// canonical refuses trailing bits: otherwise several texts would be one token.
var canonical = base64.RawURLEncoding.Strict()

// Token is an opaque bearer secret of 256 random bits. It prints [secret];
// only Hash is stored. The zero Token is invalid.
//
// Tokens and keys are plain arrays, so that parsing does not allocate. fmt
// reads those itself in two cases: for the verbs %p and %w (which vet refuses
// here), and in the unexported fields of a struct that is printed whole. Do not print
// structs that hold tokens.
type Token struct {
	kind TokenKind
	raw  [tokenBytes]byte
}

// NewToken returns a random token. Sessions have a type of their own
// (NewSessionToken): asking for one here, or for an unknown kind, is a
// programming error and panics.
func NewToken(k TokenKind) Token {
	if !k.plain() {
		panic("secret: no plain token of kind " + string(k))
	}
	t := Token{kind: k}
	_, _ = rand.Read(t.raw[:]) // never fails: the program ends instead
	return t
}

func (k TokenKind) plain() bool {
	switch k {
	case Ephemeral, Refresh, Link, Device, Browser:
		return true
	}
	return false
}

// ParseToken reads the text of a token of this kind: exact prefix, exact
// length, canonical base64. Errors: ErrToken. It does not allocate.
func ParseToken(k TokenKind, s string) (Token, error) {
	t := Token{kind: k}
	if !k.plain() || len(s) != prefixLength+tokenText || s[:prefixLength] != string(k) {
		return Token{}, ErrToken
	}
	var text [tokenText]byte
	copy(text[:], s[prefixLength:])
	if n, err := canonical.Decode(t.raw[:], text[:]); err != nil || n != tokenBytes {
		return Token{}, ErrToken
	}
	return t, nil
}

// Reveal returns the text: prefix and base64url without padding.
func (t Token) Reveal() string {
	return string(t.kind) + canonical.EncodeToString(t.raw[:])
}

// Kind returns the token's kind.
func (t Token) Kind() TokenKind { return t.kind }

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t.kind == "" }

// Hash returns the SHA-256 of the raw bytes: what the store knows. The raw
// bytes have 256 bits of entropy, so no salt is needed.
func (t Token) Hash() [32]byte { return sha256.Sum256(t.raw[:]) }

func (t Token) String() string               { return redacted }
func (t Token) GoString() string             { return redacted }
func (t Token) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (t Token) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SessionToken is a Token of kind Session with a 64-bit MAC behind it, so that
// a text that we never made is told from a session that the index forgot
// without asking the store. The MAC proves origin, not validity. It prints
// [secret]. The zero SessionToken is invalid.
type SessionToken struct {
	raw [tokenBytes]byte
	mac [macBytes]byte
}

// NewSessionToken returns a random token with its MAC under key.
func NewSessionToken(key []byte) SessionToken {
	var t SessionToken
	_, _ = rand.Read(t.raw[:]) // never fails: the program ends instead
	copy(t.mac[:], t.sum(key))
	return t
}

// ParseSessionToken reads the text of a session token: exact prefix, exact
// length, canonical base64. The MAC is not checked here. Errors: ErrToken.
// It does not allocate: it runs for every request.
func ParseSessionToken(s string) (SessionToken, error) {
	if len(s) != prefixLength+sessionText || s[:prefixLength] != string(Session) {
		return SessionToken{}, ErrToken
	}
	var text [sessionText]byte
	var both [tokenBytes + macBytes]byte
	copy(text[:], s[prefixLength:])
	if n, err := canonical.Decode(both[:], text[:]); err != nil || n != len(both) {
		return SessionToken{}, ErrToken
	}
	var t SessionToken
	copy(t.raw[:], both[:tokenBytes])
	copy(t.mac[:], both[tokenBytes:])
	return t, nil
}

// CheckMAC reports whether the token was made under key, in constant time.
func (t SessionToken) CheckMAC(key []byte) bool {
	return hmac.Equal(t.mac[:], t.sum(key))
}

func (t SessionToken) sum(key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(Session))
	h.Write(t.raw[:])
	return h.Sum(nil)[:macBytes]
}

// Reveal returns the text: prefix and base64url without padding.
func (t SessionToken) Reveal() string {
	return string(Session) + canonical.EncodeToString(append(t.raw[:len(t.raw):len(t.raw)], t.mac[:]...))
}

// Hash returns the SHA-256 of the 32 random bytes (without the MAC): what the
// store and the index know.
func (t SessionToken) Hash() [32]byte { return sha256.Sum256(t.raw[:]) }

// IsZero reports whether there is no token.
func (t SessionToken) IsZero() bool { return t.raw == [tokenBytes]byte{} }

func (t SessionToken) String() string               { return redacted }
func (t SessionToken) GoString() string             { return redacted }
func (t SessionToken) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (t SessionToken) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (t SessionToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }
