package otp

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// MinNewSeed is the length of a seed that we make, in bytes: the 160 bits
	// that RFC 4226 section 4 recommends.
	MinNewSeed = 20
	// MinSeed is the shortest seed that is accepted from elsewhere, in bytes:
	// 80 bits, what widespread services hand out.
	MinSeed = 10
	// MaxSeed bounds a seed, in bytes: two blocks of the longest HMAC would
	// be hashed down anyway.
	MaxSeed = 128
	// maxSeedText bounds the written form with separators, in bytes.
	maxSeedText = 512
)

// NewSeed returns a random seed of so many bytes, at least MinNewSeed and at
// most MaxSeed.
func NewSeed(bytes int) []byte {
	seed := make([]byte, min(max(bytes, MinNewSeed), MaxSeed))
	_, _ = rand.Read(seed) // never fails: the program ends instead
	return seed
}

// FormatSeed returns a seed in upper-case base32 without padding, the form
// that otpauth URIs carry and people type.
func FormatSeed(seed []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed)
}

// ParseSeed reads base32 as people copy it: any case, spaces and hyphens
// dropped, padding optional. Seeds have MinSeed to MaxSeed bytes. The errors
// never repeat the text.
func ParseSeed(text string) ([]byte, error) {
	if len(text) > maxSeedText {
		return nil, fmt.Errorf("the seed is too long: at most %d bytes, written in base32", MaxSeed)
	}
	text = strings.TrimRight(strings.NewReplacer(" ", "", "-", "").Replace(text), "=")
	if strings.ContainsAny(text, "\r\n") { // base32 would skip them
		return nil, errors.New("the seed has a line break: letters A to Z and digits 2 to 7 are allowed")
	}
	text = upper(text)
	if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return nil, errors.New("the seed is not base32: letters A to Z and digits 2 to 7 are allowed")
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil || slices.Contains([]int{1, 3, 6}, len(text)%8) {
		return nil, errors.New("the seed lacks a character or has one too many")
	}
	if len(seed) < MinSeed || len(seed) > MaxSeed {
		return nil, fmt.Errorf("the seed has %d bytes: %d to %d are allowed", len(seed), MinSeed, MaxSeed)
	}
	return seed, nil
}

// upper is ASCII only: strings.ToUpper would turn ı into I.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
