package factor

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
)

// Whatever settings say that nobody validated, a code has 6 characters and 19 bits,
// and letters that differ in case alone count once.
func TestRecoveryShapeHasAFloor(t *testing.T) {
	for alphabet, want := range map[string]struct {
		length int
		kept   string
	}{"01": {19, "01"}, "aAbB": {19, "ab"}, "BbA": {19, "BA"}, "0123456789": {6, "0123456789"}, recoveryAlphabet: {6, recoveryAlphabet}, "a": {6, recoveryAlphabet}} {
		count, length, kept := recoveryShape(&account.RecoverySettings{Count: 1000, Length: 1, Alphabet: alphabet})
		if count != maxRecoveryCount || length != want.length || kept != want.kept {
			t.Errorf("%q: %d codes of %d characters out of %q, want %d out of %q", alphabet, count, length, kept, want.length, want.kept)
		}
	}
}

// What is left of a typed recovery code is ASCII letters and digits in one case,
// cleaning it again changes nothing, and separators never make it another code.
func FuzzCleanRecovery(f *testing.F) {
	for _, seed := range []string{"", "abcd-efgh-jkmn-pqrs", "ABCD EFGH", " - ", "ａbcd", "abcd\tefgh", "abcd\x00", "a\u200bb", strings.Repeat("z", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean, ok := cleanRecovery(text)
		if !ok {
			if clean != "" {
				t.Errorf("%q is refused and still cleaned to %q", text, clean)
			}
			return
		}
		for i := range len(clean) {
			if !letterOrDigit(clean[i]) {
				t.Errorf("%q cleans to %q", text, clean)
			}
		}
		again, ok := cleanRecovery(clean)
		grouped, groupedOK := cleanRecovery(grouped(clean))
		if !ok || again != clean || groupedOK && grouped != clean {
			t.Errorf("%q cleans to %q, then %q, %q", text, clean, again, grouped)
		}
	})
}
