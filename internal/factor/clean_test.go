package factor

import (
	"strings"
	"testing"
)

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
