package secret

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"

	"golang.org/x/crypto/argon2"
)

const (
	argon2Salt = 16 // bytes, RFC 9106 section 3.1
	argon2Hash = 32 // bytes
)

// argon2id is the native format, a PHC string:
// $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
type argon2id struct {
	params     HashParams
	salt, hash []byte
}

func newArgon2id(p HashParams, password []byte) *argon2id {
	d := &argon2id{params: p, salt: make([]byte, argon2Salt)}
	_, _ = rand.Read(d.salt) // never fails: the program ends instead
	d.hash = d.compute(password, argon2Hash)
	return d
}

// nobody is a digest that no password has; verifying costs the same.
func nobody(p HashParams) *argon2id {
	d := &argon2id{params: p, salt: make([]byte, argon2Salt), hash: make([]byte, argon2Hash)}
	_, _ = rand.Read(d.salt)
	_, _ = rand.Read(d.hash)
	return d
}

func (d *argon2id) compute(password []byte, size uint32) []byte {
	return argon2.IDKey(password, d.salt, d.params.Time, d.params.MemoryKiB, d.params.Threads, size)
}

func (d *argon2id) verify(password []byte) bool {
	return subtle.ConstantTimeCompare(d.compute(password, uint32(len(d.hash))), d.hash) == 1
}

func (d *argon2id) outdated(configured HashParams, _ []byte) bool {
	return d.params != configured || len(d.salt) < argon2Salt || len(d.hash) < argon2Hash
}

// String returns the PHC string.
func (d *argon2id) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, d.params.MemoryKiB,
		d.params.Time, d.params.Threads, b64.EncodeToString(d.salt), b64.EncodeToString(d.hash))
}

func checkArgon2(p HashParams) error {
	switch {
	case p.Threads < 1 || p.Threads > maxArgon2Threads:
		return badDigest("argon2id p is %d: 1 to %d are allowed", p.Threads, maxArgon2Threads)
	case p.Time < 1 || p.Time > maxArgon2Time:
		return badDigest("argon2id t is %d: 1 to %d are allowed", p.Time, maxArgon2Time)
	case p.MemoryKiB < minArgon2PerLane*uint32(p.Threads) || p.MemoryKiB > maxArgon2MemoryKiB:
		return badDigest("argon2id m is %d KiB: %d to %d are allowed", p.MemoryKiB, minArgon2PerLane*uint32(p.Threads), maxArgon2MemoryKiB)
	}
	return nil
}

func parseArgon2id(fields []string) (digest, error) {
	if len(fields) != 6 {
		return nil, badDigest("argon2id has the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")
	}
	if fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, badDigest("argon2id has version 19")
	}
	values, err := pairs(fields[3], "m", "t", "p")
	if err != nil {
		return nil, err
	}
	m, err := number("argon2id m", values[0], minArgon2PerLane, maxArgon2MemoryKiB)
	if err != nil {
		return nil, err
	}
	t, err := number("argon2id t", values[1], 1, maxArgon2Time)
	if err != nil {
		return nil, err
	}
	p, err := number("argon2id p", values[2], 1, maxArgon2Threads)
	if err != nil {
		return nil, err
	}
	d := &argon2id{params: HashParams{MemoryKiB: uint32(m), Time: uint32(t), Threads: uint8(p)}}
	if err := checkArgon2(d.params); err != nil {
		return nil, err
	}
	raw, err := base64.RawStdEncoding.Strict().DecodeString(fields[4])
	if d.salt, err = sized("salt", raw, err, minSalt, maxSalt); err != nil {
		return nil, err
	}
	raw, err = base64.RawStdEncoding.Strict().DecodeString(fields[5])
	if d.hash, err = sized("hash", raw, err, minHash, maxHash); err != nil {
		return nil, err
	}
	return d, nil
}
