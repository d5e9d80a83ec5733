package secret

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrDigest is the refusal of a stored password hash: malformed, of a format
// that is not allowed, or too expensive to be verified. The error's text names
// the reason and never repeats salt or hash.
var ErrDigest = errors.New("password hash refused")

// Bounds of what a digest may cost. A digest may come from an import, and
// whoever writes one decides how long each login computes: it is bounded
// before anything is computed.
const (
	// maxDigest bounds the text of a digest, in bytes.
	maxDigest = 512
	// minSalt and maxSalt bound a decoded salt, in bytes.
	minSalt, maxSalt = 8, 64
	// minHash and maxHash bound a decoded hash, in bytes: 128 bits are not
	// guessed; a longer pbkdf2 output costs its owner again for each block.
	minHash, maxHash = 16, 64

	// 256 MiB: four times the dearest OWASP recommendation.
	maxArgon2MemoryKiB = 256 * 1024
	// RFC 9106 section 3.1: at least 8 KiB for each lane.
	minArgon2PerLane = 8
	// 10 passes over 256 MiB are about 2 s.
	maxArgon2Time = 10
	// 8 lanes: one caller never gets more cores.
	maxArgon2Threads = 8

	// bcrypt doubles with each step: 15 is about 2 s, 31 is a day.
	minBcryptCost, maxBcryptCost = 4, 15

	// 128 MiB for N·r·p·128 bytes: ln=17, r=8, p=1, the OWASP recommendation.
	maxScryptBytes = 128 << 20
	// Below ln=10 scrypt is faster to try than plain SHA-256 with a salt is to
	// excuse.
	minScryptLog = 10

	// Three times the OWASP recommendation for SHA-256; Django 5 has 870,000.
	minPBKDF2, maxPBKDF2 = 1_000, 2_000_000

	// sha512-crypt: its specification's minimum and default are 1,000 and
	// 5,000; 500,000 are about 1 s.
	minSHA512Rounds, maxSHA512Rounds, defaultSHA512Rounds = 1_000, 500_000, 5_000
)

// digest is a parsed password hash within its bounds.
type digest interface {
	// verify computes and compares in constant time.
	verify(password []byte) bool
	// outdated tells whether a new hash should replace this one, now that
	// password proved right.
	outdated(configured HashParams, password []byte) bool
}

// Kind returns the format of a digest: "argon2id", "bcrypt", "scrypt",
// "pbkdf2-sha256", "pbkdf2-sha512", "django-pbkdf2-sha256",
// "django-pbkdf2-sha1", "django-argon2", "django-bcrypt", "django-scrypt",
// "sha512-crypt", "apr1", "sha1", or "" for every other format. It looks at the
// prefix alone.
func Kind(digest string) string {
	for _, format := range []struct{ prefix, kind string }{
		{"$argon2id$", "argon2id"},
		{"$2a$", "bcrypt"},
		{"$2b$", "bcrypt"},
		{"$2y$", "bcrypt"},
		{"$scrypt$", "scrypt"},
		{"$pbkdf2-sha256$", "pbkdf2-sha256"},
		{"$pbkdf2-sha512$", "pbkdf2-sha512"},
		{"pbkdf2_sha256$", "django-pbkdf2-sha256"},
		{"pbkdf2_sha1$", "django-pbkdf2-sha1"},
		{"argon2$", "django-argon2"},
		{"bcrypt_sha256$", "django-bcrypt"},
		{"bcrypt$", "django-bcrypt"},
		{"scrypt$", "django-scrypt"},
		{"$6$", "sha512-crypt"},
		{apr1Magic, "apr1"},
		{sha1Magic, "sha1"},
	} {
		if strings.HasPrefix(digest, format.prefix) {
			return format.kind
		}
	}
	return ""
}

// CheckDigest reports whether a digest can be verified: its format is one that
// Kind names, it is well formed, and its cost is within bounds. Nothing is
// computed. Errors: ErrDigest.
func CheckDigest(digest string) error {
	_, err := parseDigest(digest)
	return err
}

func parseDigest(text string) (digest, error) {
	if len(text) > maxDigest {
		return nil, badDigest("it is longer than %d bytes", maxDigest)
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return nil, badDigest("it contains white space or characters beyond ASCII")
		}
	}
	kind := Kind(text)
	fields := strings.Split(text, "$")
	switch kind {
	case "argon2id":
		return parseArgon2id(fields)
	case "bcrypt":
		return parseBcrypt(text)
	case "scrypt":
		return parseScrypt(fields)
	case "pbkdf2-sha256", "pbkdf2-sha512":
		return parsePBKDF2(kind, fields)
	case "django-pbkdf2-sha256":
		return parseDjango(fields)
	case "django-pbkdf2-sha1":
		return parseDjangoSHA1(fields)
	case "django-argon2":
		return parseDjangoArgon2(text)
	case "django-bcrypt":
		return parseDjangoBcrypt(text)
	case "django-scrypt":
		return parseDjangoScrypt(fields)
	case "sha512-crypt":
		return parseSHA512Crypt(text, fields)
	case "apr1":
		return parseAPR1(fields)
	case "sha1":
		return parseSHA1(text)
	}
	return nil, badDigest("its format is not allowed: argon2id, bcrypt, scrypt, PBKDF2 (SHA-256, SHA-512), sha512-crypt ($6$), $apr1$, {SHA} and Django's pbkdf2, argon2, bcrypt and scrypt are")
}

func badDigest(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDigest, fmt.Sprintf(format, args...))
}

// number reads a decimal number without sign or leading zeros within bounds.
func number(name, text string, low, high uint64) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, badDigest("%s is not a number", name)
	}
	if n < low || n > high {
		return 0, badDigest("%s is %d: %d to %d are allowed", name, n, low, high)
	}
	return n, nil
}

// pairs reads "m=19456,t=2,p=1": exactly these names in this order.
func pairs(text string, names ...string) ([]string, error) {
	parts := strings.Split(text, ",")
	if len(parts) != len(names) {
		return nil, badDigest("its parameters are not %s", strings.Join(names, ", "))
	}
	values := make([]string, len(names))
	for i, part := range parts {
		value, ok := strings.CutPrefix(part, names[i]+"=")
		if !ok {
			return nil, badDigest("its parameters are not %s", strings.Join(names, ", "))
		}
		values[i] = value
	}
	return values, nil
}

// sized refuses a salt or hash whose decoded length is out of bounds.
func sized(name string, b []byte, err error, low, high int) ([]byte, error) {
	if err != nil {
		return nil, badDigest("its %s is not in the format's base64", name)
	}
	if len(b) < low || len(b) > high {
		return nil, badDigest("its %s has %d bytes: %d to %d are allowed", name, len(b), low, high)
	}
	return b, nil
}
