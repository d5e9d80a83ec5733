package secret

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// The formats here are what people find in the files of other programs. The
// first two are quickly guessed by whoever has the file: they are accepted
// because everybody would otherwise need a new password, and the first login
// replaces them.

const (
	apr1Magic   = "$apr1$"
	apr1Rounds  = 1000 // fixed by the format
	apr1MaxSalt = 8    // characters
	apr1Hash    = 22   // characters
	sha1Magic   = "{SHA}"

	// itoa64 is the alphabet of crypt(3), 6 bits a character.
	itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// sha1Digest is {SHA} of htpasswd -s: one SHA-1, without a salt.
type sha1Digest struct {
	foreign
	hash []byte
}

func (d sha1Digest) verify(password []byte) bool {
	sum := sha1.Sum(password)
	return subtle.ConstantTimeCompare(sum[:], d.hash) == 1
}

func parseSHA1(text string) (digest, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(text, sha1Magic))
	hash, err := sized("hash", raw, err, sha1.Size, sha1.Size)
	if err != nil {
		return nil, err
	}
	return sha1Digest{hash: hash}, nil
}

// apr1Digest is $apr1$salt$hash, MD5 crypt as Apache's htpasswd writes it.
type apr1Digest struct {
	foreign
	salt, hash string
}

func (d apr1Digest) verify(password []byte) bool {
	return subtle.ConstantTimeCompare([]byte(apr1(password, []byte(d.salt))), []byte(d.hash)) == 1
}

func parseAPR1(fields []string) (digest, error) {
	if len(fields) != 4 || len(fields[2]) > apr1MaxSalt || len(fields[3]) != apr1Hash || strings.Trim(fields[2]+fields[3], itoa64) != "" {
		return nil, badDigest("apr1 has the form $apr1$salt$hash with at most 8 and 22 characters")
	}
	return apr1Digest{salt: fields[2], hash: fields[3]}, nil
}

// apr1 computes the 22 characters. There is no specification but the sources of
// Apache (apr_md5_encode), which are those of FreeBSD's crypt with other magic.
func apr1(password, salt []byte) string {
	inner := md5.Sum(bytes.Join([][]byte{password, salt, password}, nil))
	text := bytes.Join([][]byte{password, []byte(apr1Magic), salt}, nil)
	for n := len(password); n > 0; n -= md5.Size {
		text = append(text, inner[:min(n, md5.Size)]...)
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 == 1 {
			text = append(text, 0)
		} else {
			text = append(text, password[0])
		}
	}
	sum := md5.Sum(text)
	for i := range apr1Rounds {
		text = text[:0]
		if i&1 == 1 {
			text = append(text, password...)
		} else {
			text = append(text, sum[:]...)
		}
		if i%3 != 0 {
			text = append(text, salt...)
		}
		if i%7 != 0 {
			text = append(text, password...)
		}
		if i&1 == 1 {
			text = append(text, sum[:]...)
		} else {
			text = append(text, password...)
		}
		sum = md5.Sum(text)
	}
	return apr1Text(sum)
}

// apr1Text writes a sum in crypt's order of bytes.
func apr1Text(sum [md5.Size]byte) string {
	var text []byte
	put := func(v uint32, characters int) {
		for range characters {
			text = append(text, itoa64[v&63])
			v >>= 6
		}
	}
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		put(uint32(sum[i])<<16|uint32(sum[i+6])<<8|uint32(sum[last]), 4)
	}
	put(uint32(sum[11]), 2)
	return string(text)
}

// parseDjangoSHA1 reads pbkdf2_sha1$iterations$salt$hash.
func parseDjangoSHA1(fields []string) (digest, error) {
	if len(fields) != 4 {
		return nil, badDigest("Django's format is pbkdf2_sha1$iterations$salt$hash")
	}
	iterations, err := number("pbkdf2 iterations", fields[1], minPBKDF2, maxPBKDF2)
	if err != nil {
		return nil, err
	}
	d := pbkdf2Digest{hashing: sha1.New, iterations: int(iterations)}
	if d.salt, err = sized("salt", []byte(fields[2]), nil, minSalt, maxSalt); err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(fields[3])
	if d.hash, err = sized("hash", raw, err, sha1.Size, sha1.Size); err != nil {
		return nil, err
	}
	return d, nil
}

// djangoArgon2 is argon2 and a PHC string. Django gives argon2 the password as
// it was typed.
type djangoArgon2 struct {
	foreign
	inner *argon2id
}

func (d djangoArgon2) verify(password []byte) bool { return d.inner.verify(password) }

func parseDjangoArgon2(text string) (digest, error) {
	phc := strings.TrimPrefix(text, "argon2")
	if Kind(phc) != "argon2id" {
		return nil, badDigest("of Django's argon2 only argon2id is allowed")
	}
	inner, err := parseArgon2id(strings.Split(phc, "$"))
	if err != nil {
		return nil, err
	}
	return djangoArgon2{inner: inner.(*argon2id)}, nil
}

// djangoBcrypt is bcrypt_sha256$ and a bcrypt hash of the password's SHA-256 in
// hexadecimal, so that no tail is cut; or bcrypt$ and a plain one.
type djangoBcrypt struct {
	foreign
	text []byte
}

func (d djangoBcrypt) verify(password []byte) bool {
	sum := sha256.Sum256(password)
	return bcrypt.CompareHashAndPassword(d.text, []byte(hex.EncodeToString(sum[:]))) == nil
}

func parseDjangoBcrypt(text string) (digest, error) {
	if plain, ok := strings.CutPrefix(text, "bcrypt$"); ok {
		return parseInnerBcrypt(plain)
	}
	plain := strings.TrimPrefix(text, "bcrypt_sha256$")
	if _, err := parseInnerBcrypt(plain); err != nil {
		return nil, err
	}
	return djangoBcrypt{text: []byte(plain)}, nil
}

func parseInnerBcrypt(text string) (digest, error) {
	if Kind(text) != "bcrypt" {
		return nil, badDigest("Django's format is bcrypt_sha256$$2b$12$ and 53 characters")
	}
	return parseBcrypt(text)
}

// parseDjangoScrypt reads scrypt$N$salt$r$p$hash, as Django 4 and later write
// it: the salt is used as it is written, N is a power of two.
func parseDjangoScrypt(fields []string) (digest, error) {
	if len(fields) != 6 {
		return nil, badDigest("Django's format is scrypt$N$salt$r$p$hash")
	}
	n, err := number("scrypt N", fields[1], 1<<minScryptLog, 1<<20)
	if err != nil {
		return nil, err
	}
	r, err := number("scrypt r", fields[3], 1, 64)
	if err != nil {
		return nil, err
	}
	p, err := number("scrypt p", fields[4], 1, 64)
	if err != nil {
		return nil, err
	}
	if n&(n-1) != 0 {
		return nil, badDigest("scrypt N is no power of two")
	}
	if 128*n*r*p > maxScryptBytes { // at most 2^7 · 2^20 · 2^12: no overflow
		return nil, badDigest("scrypt N=%d, r=%d, p=%d needs more than %d MiB", n, r, p, maxScryptBytes>>20)
	}
	d := scryptDigest{n: int(n), r: int(r), p: int(p)}
	if d.salt, err = sized("salt", []byte(fields[2]), nil, minSalt, maxSalt); err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(fields[5])
	if d.hash, err = sized("hash", raw, err, minHash, maxHash); err != nil {
		return nil, err
	}
	return d, nil
}
