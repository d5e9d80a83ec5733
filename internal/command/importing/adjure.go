package importing

import (
	"encoding/base32"
	"encoding/hex"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// adjureRow is a user of Adjure. Its secret is hexadecimal.
type adjureRow struct {
	UserID        *string  `json:"user_id"`
	Secret        string   `json:"secret"`
	KeyLength     *float64 `json:"key_length"`
	KeyDuration   *float64 `json:"key_valid_duration"`
	HashAlgorithm string   `json:"hash_algorithm"`
	RecoveryCodes []string `json:"recovery_codes"` // that were not used
}

const adjureFields = "user_id, secret, key_length, key_valid_duration, hash_algorithm, recovery_codes"

func (e *Entry) adjure(row *adjureRow) (*Refusal, error) {
	if row.UserID == nil {
		return missing("user_id"), nil
	}
	e.Name = *row.UserID
	seed, err := hex.DecodeString(row.Secret)
	if err != nil || len(seed) == 0 {
		return refuse("totp", "the secret is no hexadecimal number"), nil
	}
	totp, refused := totpWith(row.KeyLength, row.KeyDuration, row.HashAlgorithm)
	if refused != nil {
		return refused, nil
	}
	totp.Secret = secret.NewText(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed))
	e.TOTP, e.RecoveryCodes = totp, texts(row.RecoveryCodes)
	return nil, nil
}
