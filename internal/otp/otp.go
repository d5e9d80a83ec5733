// Package otp owns the mathematics of one-time codes: HOTP (RFC 4226), TOTP
// (RFC 6238), seeds and otpauth URIs. It is pure: time is an argument, and
// nothing is remembered.
//
// Who accepts a code must burn its step, or it works twice: call Match with
// the last accepted step, and store the step that it returns in the same
// transaction. The step is burned, never the text, because one step has many
// texts ("123456", "123 456").
package otp

import (
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"time"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Algorithm is the hash of the HMAC, written as in an otpauth URI.
type Algorithm string

const (
	// SHA1 is what every authenticator app knows. The collisions of SHA-1 do
	// not concern HMAC.
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

const (
	// MinPeriod and MaxPeriod bound a step, in seconds: what older systems hand
	// out.
	MinPeriod = 1
	MaxPeriod = 3600
	// minUsual and maxUsual bound a step that we hand out ourselves, in seconds:
	// below, people cannot type fast enough; above, an overseen code is good for
	// too long.
	minUsual = 15
	maxUsual = 300
	// MaxSkew bounds the steps that Match accepts on either side of now. Each
	// one is one more code that a guess may hit.
	MaxSkew = 10
)

// Params says how codes are made from a seed. The zero Params is invalid.
type Params struct {
	Algorithm Algorithm `json:"algorithm"`
	Digits    int       `json:"digits"` // 6 or 8
	Period    int       `json:"period"` // seconds, MinPeriod to MaxPeriod
}

// Default returns SHA1, 6 digits, 30 seconds: the only values that all
// authenticator apps honour.
func Default() Params { return Params{Algorithm: SHA1, Digits: 6, Period: 30} }

// Validate returns an error that names the first value out of range: with which
// codes cannot be computed, or compared.
func (p Params) Validate() error { return p.within(MinPeriod, MaxPeriod) }

// Usual is Validate with the narrower bounds of what people and programs may
// ask for here: a period of 15 to 300 seconds. What comes from an older system
// need not keep them.
func (p Params) Usual() error {
	return p.within(minUsual, maxUsual)
}

func (p Params) within(least, most int) error {
	if _, err := p.Algorithm.hash(); err != nil {
		return err
	}
	if p.Digits != 6 && p.Digits != 8 {
		return fmt.Errorf("codes have 6 or 8 digits, not %d", p.Digits)
	}
	if p.Period < least || p.Period > most {
		return fmt.Errorf("a period is %d to %d seconds, not %d", least, most, p.Period)
	}
	return nil
}

func (a Algorithm) hash() (pquerna.Algorithm, error) {
	switch a {
	case SHA1:
		return pquerna.AlgorithmSHA1, nil
	case SHA256:
		return pquerna.AlgorithmSHA256, nil
	case SHA512:
		return pquerna.AlgorithmSHA512, nil
	}
	return 0, fmt.Errorf("the algorithm is SHA1, SHA256 or SHA512, not %.20q", string(a))
}

// Step returns the number of whole periods from the epoch to at (RFC 6238
// section 4.2, T0 = 0), rounded down, so negative before the epoch. The
// Period must be valid.
func (p Params) Step(at time.Time) int64 {
	unix, period := at.Unix(), int64(p.Period)
	step := unix / period
	if unix%period < 0 {
		step--
	}
	return step
}

// Start returns the instant at which a step begins. The next one begins a
// Period later.
func (p Params) Start(step int64) time.Time {
	return time.Unix(step*int64(p.Period), 0)
}

// Code returns the code of one step, which must not be negative.
func (p Params) Code(seed []byte, step int64) (string, error) {
	if err := p.Validate(); err != nil {
		return "", err
	}
	if step < 0 {
		return "", fmt.Errorf("there are no codes before 1970")
	}
	return HOTP(seed, uint64(step), p.Digits, p.Algorithm)
}

// HOTP returns the code of a counter (RFC 4226 section 5.3): digits (6 to 8)
// ASCII digits. An empty seed is an error.
func HOTP(seed []byte, counter uint64, digits int, alg Algorithm) (string, error) {
	if len(seed) == 0 {
		return "", fmt.Errorf("the seed is empty")
	}
	if digits < 6 || digits > 8 {
		return "", fmt.Errorf("codes have 6 to 8 digits, not %d", digits)
	}
	hash, err := alg.hash()
	if err != nil {
		return "", err
	}
	code, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), counter,
		hotp.ValidateOpts{Digits: pquerna.Digits(digits), Algorithm: hash})
	if err != nil {
		return "", fmt.Errorf("compute code: %w", err)
	}
	return code, nil
}

// Clean returns what a person typed without its spaces and hyphens, and
// whether the rest is exactly digits ASCII digits. Everything else is refused,
// tabs, line breaks, NUL and the digits of other scripts too: a verifier must
// not be more generous than the memory of used codes.
func Clean(text string, digits int) (string, bool) {
	const maxTyped = 64 // bytes; no code with its separators is longer
	if len(text) > maxTyped {
		return "", false
	}
	code := make([]byte, 0, digits)
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ' || c == '-':
		case c >= '0' && c <= '9' && len(code) < digits:
			code = append(code, c)
		default:
			return "", false
		}
	}
	if digits == 0 || len(code) != digits {
		return "", false
	}
	return string(code), true
}

// Result is the outcome of Match. The zero Result is a refusal.
type Result int

const (
	// NoMatch: the code belongs to no step of the window. A wrong try.
	NoMatch Result = iota
	// Matched: the code is good; burn the step.
	Matched
	// Replayed: the code was good, but its step is burned. Refuse it; it is
	// no guess, so it need not count as a wrong try.
	Replayed
)

// String returns the word that stands in logs.
func (r Result) String() string {
	switch r {
	case Matched:
		return "matched"
	case Replayed:
		return "replayed"
	}
	return "no match"
}

// Match compares a code that Clean returned with the codes of the steps
// now-skew..now+skew (RFC 6238 section 5.2) and returns the step to burn;
// where the code is Replayed, its step, which is burned; else 0.
//
// after is the last burned step, -1 if none is: steps up to it are burned, for
// ever, whatever the clock says now. A code that equals one of theirs is
// Replayed, even if by chance it is that of a later step as well. Of several
// steps with one code the first is returned. Steps before
// the epoch never match. skew is bounded to 0..MaxSkew. All steps are compared
// in constant time and none is left out, so the time tells nothing. Invalid
// Params and an empty seed never match.
func Match(seed []byte, p Params, code string, at time.Time, skew int, after int64) (int64, Result) {
	if p.Validate() != nil || len(seed) == 0 || len(code) != p.Digits {
		return 0, NoMatch
	}
	skew = min(max(skew, 0), MaxSkew)
	now := p.Step(at)
	matched, replayed := int64(-1), int64(-1)
	for step := now + int64(skew); step >= now-int64(skew); step-- {
		want, err := p.Code(seed, max(step, 0))
		if err != nil {
			return 0, NoMatch
		}
		equal := subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1
		switch {
		case !equal || step < 0:
		case step <= after:
			replayed = step
		default:
			matched = step
		}
	}
	switch {
	case replayed >= 0:
		return replayed, Replayed
	case matched >= 0:
		return matched, Matched
	}
	return 0, NoMatch
}
