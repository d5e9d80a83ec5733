package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// keySize is the length of a signing key, in bytes (RFC 7518 section 3.2).
const keySize = 32

// maxToken bounds what is looked at, in bytes: ours are shorter.
const maxToken = 4096

var (
	// ErrToken: this is no token of this kind that we made.
	ErrToken = errors.New("the token is not good")
	// ErrExpired: we made this token, and its time is over.
	ErrExpired = errors.New("the token has expired")
)

// Signer makes and reads the tokens of one kind of one facade: JWTs with HS256 (RFC
// 7519), because that is what the older clients hold. The key is what tells one kind
// from another, so each kind has its own. It is safe for concurrent use.
type Signer struct {
	key    []byte
	now    func() time.Time
	parser *jwt.Parser
}

// NewSigner returns a Signer. The key has 32 bytes, from Rooms.Derive with a purpose
// that names facade and kind; with a key of another length nothing is signed and no
// token is good.
func NewSigner(key []byte, now func() time.Time) *Signer {
	return &Signer{key: bytes.Clone(key), now: now, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(), jwt.WithJSONNumber(), jwt.WithTimeFunc(now),
	)}
}

// Sign makes a token of claims, a map or a struct with JSON names. They must hold
// `exp`, in seconds since 1970.
func (s *Signer) Sign(claims any) (string, error) {
	if len(s.key) != keySize {
		return "", fmt.Errorf("sign a token: the key has %d bytes, not %d", len(s.key), keySize)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	all := jwt.MapClaims{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&all); err != nil {
		return "", fmt.Errorf("sign a token: the claims are no JSON object: %w", err)
	}
	if exp, err := all.GetExpirationTime(); err != nil || exp == nil {
		return "", errors.New("sign a token: a token without exp would be good for ever")
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString(s.key)
}

// Parse returns the claims of a token that Sign made with this key and whose time is
// not over. Numbers are int64. Nothing else is looked at: whether the session that
// the claims name still lives, the caller asks. Errors: ErrExpired, ErrToken.
func (s *Signer) Parse(token string) (map[string]any, error) {
	if len(token) > maxToken || len(s.key) != keySize || strings.ContainsFunc(token, odd) {
		return nil, ErrToken
	}
	claims := jwt.MapClaims{}
	parsed, err := s.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if len(t.Header) != 2 || t.Header["alg"] != jwt.SigningMethodHS256.Alg() || t.Header["typ"] != "JWT" {
			return nil, ErrToken
		}
		return s.key, nil
	})
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, ErrToken
	case errors.Is(err, jwt.ErrTokenExpired): // only looked at once the signature is good
		return nil, ErrExpired
	case err != nil || !parsed.Valid:
		return nil, ErrToken
	}
	for name, value := range claims {
		if claims[name], err = whole(value); err != nil {
			return nil, ErrToken
		}
	}
	return claims, nil
}

// odd reports what no token has. Go's base64 decoder would read past line breaks, and
// one token would have many spellings.
func odd(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// whole turns JSON's numbers into whole ones, however deep they stand.
func whole(value any) (any, error) {
	var err error
	switch v := value.(type) {
	case json.Number:
		return v.Int64()
	case []any:
		for i := range v {
			if v[i], err = whole(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = whole(v[name]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}
