package factor

import (
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// recoveryAlphabet is what a person reads from paper and types without
	// doubt: lower case, no 0 o, no 1 i l.
	recoveryAlphabet = "23456789abcdefghjkmnpqrstuvwxyz"
	// recoveryCount is the number of codes in a set.
	recoveryCount = 10
	// recoveryLength is the number of characters of a code: 79 bits of the
	// alphabet above.
	recoveryLength = 16
	// minRecoveryBits is the least entropy of a code, whatever the settings
	// say: they are stored as a MAC, but there are ten of them.
	minRecoveryBits = 64
	// recoveryGroup characters stand between hyphens.
	recoveryGroup = 4
	// maxRecoveryText bounds a typed code with its separators, in bytes.
	maxRecoveryText = 128
)

// recoveryRecord holds the MACs of the codes that are still good.
type recoveryRecord struct {
	store.Meta
	Codes  [][]byte  `json:"codes"`
	Total  int       `json:"total"`
	MadeAt time.Time `json:"made_at"`
}

// VerifyRecovery checks a recovery code of this person, burns it if it is
// good, and returns how many are left. A code of somebody else is Wrong and is
// not consumed: the MAC binds it to its owner.
func (f *Factors) VerifyRecovery(tx store.Tx, id principal.ID, code string) (Result, int, error) {
	rec, err := loadRecovery(tx, id)
	if err != nil {
		return Wrong, 0, err
	}
	clean, ok := cleanRecovery(code)
	if !ok {
		return Wrong, len(rec.Codes), nil
	}
	sum := f.recoveryMAC(id, clean)
	found := -1
	for i, known := range rec.Codes { // all of them, so the time tells nothing
		if hmac.Equal(known, sum) {
			found = i
		}
	}
	if found < 0 {
		return Wrong, len(rec.Codes), nil
	}
	rec.Codes = append(rec.Codes[:found:found], rec.Codes[found+1:]...)
	if err := store.Save(tx, recoveryKey(id), rec, time.Time{}); err != nil {
		return Wrong, 0, err
	}
	return Good, len(rec.Codes), nil
}

// RecoveryLeft returns how many recovery codes are still good.
func (f *Factors) RecoveryLeft(tx store.Tx, id principal.ID) (int, error) {
	rec, err := loadRecovery(tx, id)
	if err != nil {
		return 0, err
	}
	return len(rec.Codes), nil
}

// NewRecoveryCodes makes a fresh set; the old one is dead. Whoever has no
// factor has nothing to recover: ErrNoMethod. A fresh proof is the caller's
// question. Errors also: those of account.
func (f *Factors) NewRecoveryCodes(tx store.Tx, actor account.Actor, id principal.ID) ([]string, error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	if err := f.authorize(tx, actor, u); err != nil {
		return nil, err
	}
	if u.Factors() == 0 {
		return nil, ErrNoMethod
	}
	codes, err := f.freshCodes(tx, u)
	if err != nil {
		return nil, err
	}
	return codes, f.record(tx, u, actor, audit.KindRecoveryNew, RecoveryCode)
}

func (f *Factors) freshCodes(tx store.Tx, u *account.User) ([]string, error) {
	realm, err := f.dir.Realm(tx, u.Realm)
	if err != nil {
		return nil, err
	}
	count, length, alphabet := recoveryShape(realm.RecoveryCodes)
	rec := &recoveryRecord{Total: count, MadeAt: tx.Now()}
	codes := make([]string, count)
	for i := range codes {
		plain := randomText(alphabet, length)
		codes[i] = grouped(plain)
		clean, _ := cleanRecovery(plain)
		rec.Codes = append(rec.Codes, f.recoveryMAC(u.ID, clean))
	}
	if err := store.Save(tx, recoveryKey(u.ID), rec, time.Time{}); err != nil {
		return nil, fmt.Errorf("store recovery codes: %w", err)
	}
	return codes, nil
}

// recoveryShape fills in defaults and makes codes long enough for
// minRecoveryBits. Letters count once: case is ignored when codes are typed.
func recoveryShape(s *account.RecoverySettings) (count, length int, alphabet string) {
	count, length, alphabet = recoveryCount, recoveryLength, recoveryAlphabet
	if s == nil {
		return count, length, alphabet
	}
	if s.Count > 0 {
		count = min(s.Count, 100)
	}
	if own := distinct(s.Alphabet); len(own) >= 2 {
		alphabet = own
	}
	if s.Length > 0 {
		length = s.Length
	}
	least := int(math.Ceil(minRecoveryBits / math.Log2(float64(len(alphabet)))))
	return count, min(max(length, least), maxRecoveryText/2), alphabet
}

// distinct keeps each ASCII letter and digit of an alphabet once, whatever its
// case.
func distinct(alphabet string) string {
	var kept []byte
	seen := map[byte]bool{}
	for i := range len(alphabet) {
		c := alphabet[i]
		folded := fold(c)
		if letterOrDigit(folded) && !seen[folded] {
			seen[folded] = true
			kept = append(kept, c)
		}
	}
	return string(kept)
}

func fold(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c - 'A' + 'a'
	}
	return c
}

func letterOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// randomText draws each character with the same probability.
func randomText(alphabet string, length int) string {
	limit := 256 - 256%len(alphabet) // bytes above would favour the first characters
	text := make([]byte, 0, length)
	var random [64]byte
	for {
		_, _ = rand.Read(random[:]) // never fails: the program ends instead
		for _, b := range random {
			if int(b) >= limit {
				continue
			}
			if text = append(text, alphabet[int(b)%len(alphabet)]); len(text) == length {
				return string(text)
			}
		}
	}
}

func grouped(code string) string {
	var b strings.Builder
	for i := range len(code) {
		if i > 0 && i%recoveryGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(code[i])
	}
	return b.String()
}

// cleanRecovery drops spaces and hyphens and folds ASCII case. Anything but
// ASCII letters and digits is refused.
func cleanRecovery(text string) (string, bool) {
	if len(text) > maxRecoveryText {
		return "", false
	}
	clean := make([]byte, 0, len(text))
	for i := range len(text) {
		switch c := fold(text[i]); {
		case c == ' ' || c == '-':
		case letterOrDigit(c):
			clean = append(clean, c)
		default:
			return "", false
		}
	}
	return string(clean), len(clean) > 0
}

func (f *Factors) recoveryMAC(id principal.ID, clean string) []byte {
	sum := secret.MAC(f.key, id[:], []byte(clean))
	return sum[:]
}

func loadRecovery(tx store.Tx, id principal.ID) (*recoveryRecord, error) {
	rec, err := store.Load[recoveryRecord](tx, recoveryKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return &recoveryRecord{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load recovery codes: %w", err)
	}
	return rec, nil
}
