package factor

import (
	"errors"
	"fmt"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// maxBrought bounds the recovery codes that somebody brings along.
const maxBrought = 100

// Settle gives recovery codes their one spelling, each once: what stands in a record
// twice would be good twice. It refuses, before anything was written, what Bring
// could not take; the error is a sentence that repeats no code.
func (b *Brought) Settle() error {
	if len(b.RecoveryCodes)+len(b.RecoveryDigests) > maxBrought {
		return fmt.Errorf("a user brings at most %d recovery codes", maxBrought)
	}
	codes, err := onlyOnce(b.RecoveryCodes, func(code string) (string, error) {
		clean, ok := cleanRecovery(code)
		if !ok {
			return "", errors.New("a recovery code holds letters a to z and digits alone, beside spaces and hyphens")
		}
		return clean, nil
	})
	if err != nil {
		return err
	}
	digests, err := onlyOnce(b.RecoveryDigests, func(digest string) (string, error) {
		if err := secret.CheckDigest(digest); err != nil {
			return "", fmt.Errorf("a recovery code's hash: %w", err)
		}
		return digest, nil
	})
	if err != nil {
		return err
	}
	b.RecoveryCodes, b.RecoveryDigests = codes, digests
	return nil
}

func onlyOnce(texts []string, spell func(string) (string, error)) (kept []string, err error) {
	seen := map[string]bool{}
	for _, text := range texts {
		if text, err = spell(text); err != nil {
			return nil, err
		}
		if !seen[text] {
			seen[text] = true
			kept = append(kept, text)
		}
	}
	return kept, nil
}
