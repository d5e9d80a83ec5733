package factor

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"slices"
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
	// say: six digits. Only the throttle and the key of the MAC protect those.
	minRecoveryBits = 19
	// minRecoveryLength is the least number of characters of a code.
	minRecoveryLength = 6
	// maxRecoveryLength bounds it.
	maxRecoveryLength = 64
	// maxRecoveryCount bounds a set, made here or brought.
	maxRecoveryCount = 100
	// recoveryGroup characters stand between hyphens.
	recoveryGroup = 4
	// maxRecoveryText bounds a typed code with its separators, in bytes.
	maxRecoveryText = 128
)

// recoveryRecord holds the codes that are still good: as MACs, and as password
// digests those that an older system had in no other form.
type recoveryRecord struct {
	store.Meta
	Codes   [][]byte  `json:"codes"`
	Foreign []string  `json:"foreign,omitempty"`
	Total   int       `json:"total"`
	MadeAt  time.Time `json:"made_at"`
	Mailed  bool      `json:"mailed,omitempty"` // they lie in the person's mailbox
}

// left is how many codes are still good.
func (r *recoveryRecord) left() int { return len(r.Codes) + len(r.Foreign) }

// take removes the code whose MAC is sum, and the one whose digest is foreign:
// a code that came in both forms is still good once. Empty: none. All are
// compared, so the time tells nothing.
func (r *recoveryRecord) take(sum []byte, foreign string) bool {
	before := r.left()
	r.Codes = slices.DeleteFunc(r.Codes, func(known []byte) bool { return hmac.Equal(known, sum) })
	r.Foreign = slices.DeleteFunc(r.Foreign, func(known string) bool {
		return foreign != "" && subtle.ConstantTimeCompare([]byte(known), []byte(foreign)) == 1
	})
	return r.left() < before
}

// tryRecovery checks a recovery code of this person and burns it if it is good.
// A code of somebody else is Wrong and is not consumed: the MAC binds it to its
// owner, and so does the record that a digest stands in.
func (f *Factors) tryRecovery(tx store.Tx, id principal.ID, p Proof) (Checked, error) {
	rec, err := loadRecovery(tx, id)
	if err != nil {
		return refused(RecoveryCode), err
	}
	var sum []byte
	if clean, ok := cleanRecovery(p.Code); ok {
		sum = f.recoveryMAC(id, clean)
	}
	c := refused(RecoveryCode)
	if rec.take(sum, p.Digest) {
		if err := store.Save(tx, recoveryKey(id), rec, time.Time{}); err != nil {
			return c, err
		}
		c.Result = Good
	}
	c.Left = rec.left()
	return c, nil
}

// ForeignRecovery returns the person's recovery codes that came from an older
// system as password digests. Verifying one is as dear as a password, so it is
// never done in a transaction: the caller reads the digests here, finds the one
// that the typed code matches (all of them are tried, within the hash slots),
// and names it to Try. None: an empty list.
func (f *Factors) ForeignRecovery(tx store.Tx, id principal.ID) ([]string, error) {
	rec, err := loadRecovery(tx, id)
	if err != nil {
		return nil, err
	}
	return rec.Foreign, nil
}

// RecoveryLeft returns how many recovery codes are still good, of either form.
func (f *Factors) RecoveryLeft(tx store.Tx, id principal.ID) (int, error) {
	rec, err := loadRecovery(tx, id)
	if err != nil {
		return 0, err
	}
	return rec.left(), nil
}

// Mailed notes that the person's recovery codes went out by mail, as an older system
// sent them: whoever reads the mailbox has them, so they prove nothing where the mailbox
// is the other proof. The next set is another one. No codes: nothing is noted.
func (f *Factors) Mailed(tx store.Tx, id principal.ID) error {
	rec, err := loadRecovery(tx, id)
	if err != nil || rec.left() == 0 {
		return err
	}
	rec.Mailed = true
	return store.Save(tx, recoveryKey(id), rec, time.Time{})
}

// RecoveryMailed reports whether the recovery codes that the person has were mailed.
func (f *Factors) RecoveryMailed(tx store.Tx, id principal.ID) (bool, error) {
	rec, err := loadRecovery(tx, id)
	return err == nil && rec.Mailed, err
}

// NewRecoveryCodes makes a fresh set; the old one is dead, whatever its form.
// Whoever has no factor has nothing to recover: ErrNoMethod. Whoever makes it for
// himself where the realm leaves that to administrators: ErrNoRegeneration. A
// fresh proof is the caller's question. Errors also: those of account.
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
	if actor.Is(id) {
		if err := f.mayRegenerate(tx, u); err != nil {
			return nil, err
		}
	}
	codes, err := f.freshCodes(tx, u)
	if err != nil {
		return nil, err
	}
	return codes, f.record(tx, u, actor, audit.KindRecoveryNew, RecoveryCode)
}

func (f *Factors) mayRegenerate(tx store.Tx, u *account.User) error {
	realm, err := f.dir.Realm(tx, u.Realm)
	if err == nil && realm.AllowRegenerate != nil && !*realm.AllowRegenerate {
		err = ErrNoRegeneration
	}
	return err
}

func (f *Factors) freshCodes(tx store.Tx, u *account.User) ([]string, error) {
	realm, err := f.dir.Realm(tx, u.Realm)
	if err != nil {
		return nil, err
	}
	count, length, alphabet := recoveryShape(realm.RecoveryCodes)
	codes := differentTexts(alphabet, length, count)
	rec := &recoveryRecord{Total: count, MadeAt: tx.Now()}
	for i, code := range codes {
		clean, _ := cleanRecovery(code)
		rec.Codes = append(rec.Codes, f.recoveryMAC(u.ID, clean))
		if realm.RecoveryCodes == nil || !realm.RecoveryCodes.Plain {
			codes[i] = grouped(code)
		}
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
		count = min(s.Count, maxRecoveryCount)
	}
	if own := distinct(s.Alphabet); len(own) >= 2 {
		alphabet = own
	}
	if s.Length > 0 {
		length = s.Length
	}
	least := int(math.Ceil(minRecoveryBits / math.Log2(float64(len(alphabet)))))
	return count, min(max(length, least, minRecoveryLength), maxRecoveryLength), alphabet
}

// distinct keeps each ASCII letter and digit of an alphabet once, in the case in
// which it stands there first.
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

// differentTexts draws so many texts, each once: of two that are alike one
// would be a code that is not there. alphabet and length leave more than half a
// million.
func differentTexts(alphabet string, length, count int) []string {
	texts := make([]string, 0, count)
	for len(texts) < count {
		if text := randomText(alphabet, length); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

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
