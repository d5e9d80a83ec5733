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
// greater one takes longer. Errors: ErrDigest, also for a digest of our own kind.
func Sample(digest string) (sample string, cost uint64, err error) {
	parsed, err := parseDigest(digest)
	if err != nil {
		return "", 0, err
	}
	fields := strings.Split(digest, "$")
	raw := func(b []byte) string { return base64.RawStdEncoding.EncodeToString(make([]byte, len(b))) }
	switch d := parsed.(type) {
	case bcryptDigest:
		n, err := strconv.Atoi(digest[4:6])
		if err != nil {
			return "", 0, badDigest("its cost cannot be read")
		}
		return digest[:7] + strings.Repeat(".", len(digest)-7), 1 << n, nil
	case scryptDigest:
		return fmt.Sprintf("$scrypt$%s$%s$%s", fields[2], raw(d.salt), raw(d.hash)), uint64(d.n) * uint64(d.r) * uint64(d.p), nil
	case pbkdf2Digest:
		cost = uint64(d.iterations)
		if fields[0] != "" { // Django's
			return fmt.Sprintf("%s$%s$%s$%s", fields[0], fields[1], strings.Repeat("0", len(d.salt)), base64.StdEncoding.EncodeToString(make([]byte, len(d.hash)))), cost, nil
		}
		return fmt.Sprintf("$%s$%s$%s$%s", fields[1], fields[2], raw(d.salt), raw(d.hash)), cost, nil
	case sha512Crypt:
		return sampleSHA512Crypt(fields)
	}
	return "", 0, badDigest("it is no foreign one")
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
