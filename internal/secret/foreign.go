package secret

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// foreign is embedded by the formats that are read and never written.
type foreign struct{}

func (foreign) outdated(HashParams, []byte) bool { return true }

// bcryptInput is what bcrypt reads of a password, in bytes. The programs that
// these digests come from cut silently, so we do too.
const bcryptInput = 72

type bcryptDigest struct{ text []byte }

func (d bcryptDigest) verify(password []byte) bool {
	return bcrypt.CompareHashAndPassword(d.text, password[:min(len(password), bcryptInput)]) == nil
}

// outdated: a longer password proved its first 72 bytes only. To store all of
// it would make a mistyped tail the new truth.
func (d bcryptDigest) outdated(_ HashParams, password []byte) bool {
	return len(password) <= bcryptInput
}

// parseBcrypt reads $2b$cost$ and 22 + 31 characters of bcrypt's base64. The
// variants 2a, 2b and 2y differ in bugs of old programs beyond ASCII; 2x is
// one of the bugs and refused.
func parseBcrypt(text string) (digest, error) {
	const form = "bcrypt has the form $2b$12$ and 53 characters"
	if len(text) != 60 || text[6] != '$' {
		return nil, badDigest(form)
	}
	if _, err := number("bcrypt cost", strings.TrimPrefix(text[4:6], "0"), minBcryptCost, maxBcryptCost); err != nil {
		return nil, err
	}
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b64 := base64.NewEncoding(alphabet).WithPadding(base64.NoPadding)
	if _, err := b64.DecodeString(text[7:29]); err != nil {
		return nil, badDigest(form)
	}
	if _, err := b64.DecodeString(text[29:]); err != nil {
		return nil, badDigest(form)
	}
	return bcryptDigest{text: []byte(text)}, nil
}

type scryptDigest struct {
	foreign
	n, r, p    int
	salt, hash []byte
}

func (d scryptDigest) verify(password []byte) bool {
	key, err := scrypt.Key(password, d.salt, d.n, d.r, d.p, len(d.hash))
	return err == nil && subtle.ConstantTimeCompare(key, d.hash) == 1
}

// parseScrypt reads $scrypt$ln=16,r=8,p=1$salt$hash.
func parseScrypt(fields []string) (digest, error) {
	if len(fields) != 5 {
		return nil, badDigest("scrypt has the form $scrypt$ln=…,r=…,p=…$salt$hash")
	}
	values, err := pairs(fields[2], "ln", "r", "p")
	if err != nil {
		return nil, err
	}
	ln, err := number("scrypt ln", values[0], minScryptLog, 20)
	if err != nil {
		return nil, err
	}
	r, err := number("scrypt r", values[1], 1, 64)
	if err != nil {
		return nil, err
	}
	p, err := number("scrypt p", values[2], 1, 64)
	if err != nil {
		return nil, err
	}
	if uint64(128)<<ln*r*p > maxScryptBytes { // at most 2^7 · 2^20 · 2^12: no overflow
		return nil, badDigest("scrypt ln=%d,r=%d,p=%d needs more than %d MiB", ln, r, p, maxScryptBytes>>20)
	}
	d := scryptDigest{n: 1 << ln, r: int(r), p: int(p)}
	raw, err := adaptedBase64(fields[3])
	if d.salt, err = sized("salt", raw, err, minSalt, maxSalt); err != nil {
		return nil, err
	}
	raw, err = adaptedBase64(fields[4])
	if d.hash, err = sized("hash", raw, err, minHash, maxHash); err != nil {
		return nil, err
	}
	return d, nil
}

type pbkdf2Digest struct {
	foreign
	hashing    func() hash.Hash
	iterations int
	salt, hash []byte
}

func (d pbkdf2Digest) verify(password []byte) bool {
	key, err := pbkdf2.Key(d.hashing, string(password), d.salt, d.iterations, len(d.hash))
	return err == nil && subtle.ConstantTimeCompare(key, d.hash) == 1
}

// parsePBKDF2 reads $pbkdf2-sha256$29000$salt$hash; the iterations may be
// written i=29000, with or without the length l=32 behind them.
func parsePBKDF2(kind string, fields []string) (digest, error) {
	if len(fields) != 5 {
		return nil, badDigest("%s has the form $%s$iterations$salt$hash", kind, kind)
	}
	d := pbkdf2Digest{hashing: sha256.New}
	size := sha256.Size
	if kind == "pbkdf2-sha512" {
		d.hashing, size = sha512.New, sha512.Size
	}
	count, length, _ := strings.Cut(strings.TrimPrefix(fields[2], "i="), ",l=")
	iterations, err := number("pbkdf2 iterations", count, minPBKDF2, maxPBKDF2)
	if err != nil {
		return nil, err
	}
	d.iterations = int(iterations)
	raw, err := adaptedBase64(fields[3])
	if d.salt, err = sized("salt", raw, err, minSalt, maxSalt); err != nil {
		return nil, err
	}
	raw, err = adaptedBase64(fields[4])
	if d.hash, err = sized("hash", raw, err, minHash, size); err != nil {
		return nil, err
	}
	if length != "" && length != strconv.Itoa(len(d.hash)) {
		return nil, badDigest("its hash has another length than l says")
	}
	return d, nil
}

// parseDjango reads pbkdf2_sha256$iterations$salt$hash: the salt is used as it
// is written, the hash is in padded base64.
func parseDjango(fields []string) (digest, error) {
	if len(fields) != 4 {
		return nil, badDigest("Django's format is pbkdf2_sha256$iterations$salt$hash")
	}
	iterations, err := number("pbkdf2 iterations", fields[1], minPBKDF2, maxPBKDF2)
	if err != nil {
		return nil, err
	}
	d := pbkdf2Digest{hashing: sha256.New, iterations: int(iterations)}
	if d.salt, err = sized("salt", []byte(fields[2]), nil, minSalt, maxSalt); err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(fields[3])
	if d.hash, err = sized("hash", raw, err, sha256.Size, sha256.Size); err != nil {
		return nil, err
	}
	return d, nil
}

type sha512Crypt struct {
	foreign
	text string
}

func (d sha512Crypt) verify(password []byte) bool {
	decoded, err := shacrypt.Decode(d.text)
	if err != nil {
		return false
	}
	ok, err := decoded.MatchBytesAdvanced(password)
	return err == nil && ok
}

// parseSHA512Crypt reads $6$salt$hash and $6$rounds=5000$salt$hash (crypt(5)).
func parseSHA512Crypt(text string, fields []string) (digest, error) {
	rest := fields[2:]
	if len(rest) == 3 {
		count, ok := strings.CutPrefix(rest[0], "rounds=")
		if !ok {
			return nil, badDigest("sha512-crypt has the form $6$rounds=…$salt$hash")
		}
		if _, err := number("sha512-crypt rounds", count, minSHA512Rounds, maxSHA512Rounds); err != nil {
			return nil, err
		}
		rest = rest[1:]
	}
	if len(rest) != 2 || len(rest[1]) != 86 || len(rest[0]) < 1 || len(rest[0]) > 16 {
		return nil, badDigest("sha512-crypt has the form $6$salt$hash with 1 to 16 and 86 characters")
	}
	if strings.Trim(rest[0]+rest[1], "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
		return nil, badDigest("sha512-crypt has letters, digits, dots and slashes only")
	}
	if _, err := shacrypt.Decode(text); err != nil {
		return nil, badDigest("sha512-crypt cannot be read")
	}
	return sha512Crypt{text: text}, nil
}

// adaptedBase64 reads the base64 of PHC strings without padding, and its
// variant with a dot for the plus that Python's passlib writes.
func adaptedBase64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.ReplaceAll(s, ".", "+"))
}
