package secret

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Sample returns a digest of the same format and cost that is nobody's: salt and
// hash are zeros of the same length. It is what MeasureForeign is given, so that
// no person's digest has to be kept for it. cost compares digests of one Kind: the
// greater one takes longer. Errors: ErrDigest, also for a digest of our own kind
// that is no dearer than our default: Measure knows what that costs.
func Sample(digest string) (sample string, cost uint64, err error) {
	parsed, err := parseDigest(digest)
	if err != nil {
		return "", 0, err
	}
	fields := strings.Split(digest, "$")
	raw := func(b []byte) string { return base64.RawStdEncoding.EncodeToString(make([]byte, len(b))) }
	padded := func(b []byte) string { return base64.StdEncoding.EncodeToString(make([]byte, len(b))) }
	zeros := func(b []byte) string { return strings.Repeat("0", len(b)) }
	switch d := parsed.(type) {
	case *argon2id:
		if cost = d.params.work(); cost <= DefaultHashParams().work() {
			break
		}
		return fmt.Sprintf("$argon2id$%s$%s$%s$%s", fields[2], fields[3], raw(d.salt), raw(d.hash)), cost, nil
	case djangoArgon2:
		return fmt.Sprintf("argon2$argon2id$%s$%s$%s$%s", fields[2], fields[3], raw(d.inner.salt), raw(d.inner.hash)), d.inner.params.work(), nil
	case bcryptDigest, djangoBcrypt:
		return sampleBcrypt(digest)
	case scryptDigest:
		cost = uint64(d.n) * uint64(d.r) * uint64(d.p)
		if fields[0] != "" { // Django's
			return fmt.Sprintf("scrypt$%s$%s$%s$%s$%s", fields[1], zeros(d.salt), fields[3], fields[4], padded(d.hash)), cost, nil
		}
		return fmt.Sprintf("$scrypt$%s$%s$%s", fields[2], raw(d.salt), raw(d.hash)), cost, nil
	case pbkdf2Digest:
		cost = uint64(d.iterations)
		if fields[0] != "" { // Django's
			return fmt.Sprintf("%s$%s$%s$%s", fields[0], fields[1], zeros(d.salt), padded(d.hash)), cost, nil
		}
		return fmt.Sprintf("$%s$%s$%s$%s", fields[1], fields[2], raw(d.salt), raw(d.hash)), cost, nil
	case sha512Crypt:
		return sampleSHA512Crypt(fields)
	case apr1Digest:
		return apr1Magic + strings.Repeat(".", len(d.salt)) + "$" + strings.Repeat(".", apr1Hash), apr1Rounds, nil
	case sha1Digest:
		return sha1Magic + padded(d.hash), 1, nil
	}
	return "", 0, badDigest("it is no foreign one")
}

// work compares what argon2id computes: blocks of a KiB over all passes.
func (p HashParams) work() uint64 { return uint64(p.MemoryKiB) * uint64(p.Time) }

// sampleBcrypt keeps what stands before the salt and hash of 53 characters.
func sampleBcrypt(digest string) (sample string, cost uint64, err error) {
	head := digest[:len(digest)-53]
	n, err := strconv.Atoi(head[len(head)-3 : len(head)-1])
	if err != nil {
		return "", 0, badDigest("its cost cannot be read")
	}
	return head + strings.Repeat(".", 53), 1 << n, nil
}

func sampleSHA512Crypt(fields []string) (sample string, cost uint64, err error) {
	cost = 5000 // crypt(5), where no rounds are written
	last := len(fields) - 1
	if count, ok := strings.CutPrefix(fields[2], "rounds="); ok && last == 4 {
		if cost, err = strconv.ParseUint(count, 10, 32); err != nil {
			return "", 0, badDigest("its rounds cannot be read")
		}
	}
	fields[last-1], fields[last] = strings.Repeat(".", len(fields[last-1])), strings.Repeat(".", len(fields[last]))
	return strings.Join(fields, "$"), cost, nil
}
