package importing_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command/importing"
)

const (
	// specKey and specToken are the example of the Fernet specification.
	specKey   = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
	specToken = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
	// pythonKey and its tokens were made with the Python library cryptography 48.
	pythonKey  = "fv92f2Ie-WNiWiMjEEggleQ2RXOjOy6Q3n8T6tczdHc="
	pythonSeed = "gAAAAABrCRFpQhFKhQ4hrVU6J6t_rFnBQ__SWjmjOi1IGTwpdxi14nyAXoWynC6y3fBBjtr1q_maygnjTbRTR-prBs0G2XhRd1d63Y0QWGYSWeoXlF04yOxf3mVXtHyb_HBZld2wfhCu"
)

func fernet(t testing.TB, key string) *importing.Fernet {
	t.Helper()
	k, err := importing.ParseFernet(key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What the specification's and the Python library's tokens hold.
func TestFernet(t *testing.T) {
	for _, c := range []struct{ key, token, want string }{
		{specKey, specToken, "hello"},
		{specKey + "\n", strings.TrimRight(specToken, "="), "hello"},
		{pythonKey, "gAAAAABrCRFpholm61DrJVcOgIq_Agca4sjDRfpzQGvmtWZitdrae8Fcw1cV14SoEqONRTWOXjHrnzu13vVGTUT0M_uodsFwyg==", ""},
		{pythonKey, "gAAAAABrCRFpU6HQh8YA1BbiFLsLzziVZXImi9z38T5OL5lfvh41i7UXxVm23wX1mvYBuNpGUwF425qvyWuK788cJjx-G5UcTQ==", strings.Repeat("x", 15)},
		{pythonKey, "gAAAAABrCRFp1PP2KAHTO7hFpdXgawFPKuBcyANnfKP4h5KzrimCuqXcj4u4TLE1inBbwPK1A9FeukZb4_tgXviU4i9uYMI8l2XUM6jhDzhUoFKQtdMiULo=", strings.Repeat("x", 16)},
		{pythonKey, "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0OD-VEOia_rq5jRXREgHrYsDnw3zSnl671vXPvxFu5fgxMouBaC40T8WbJc4SFzHAcWg==", "hello"},
		{pythonKey, pythonSeed, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"},
	} {
		if got, err := fernet(t, c.key).Open(c.token); err != nil || string(got) != c.want {
			t.Errorf("%.20s: %q, %v, want %q", c.token, got, err, c.want)
		}
	}
}

// Tokens of another key, damaged anywhere, cut short, and with a good MAC over a
// wrong version or padding.
func TestFernetOpensNothingElse(t *testing.T) {
	k := fernet(t, pythonKey)
	bad := map[string]string{
		"empty": "", "another key": specToken, "no base64": strings.Repeat("%", 120), "a line break": pythonSeed[:20] + "\n" + pythonSeed[20:],
		"short": pythonSeed[:96], "half a block": pythonSeed[:130],
		"padding 0":     "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0OD_-B7FB3F92Hi8D0qX1swa5sfJgPPD36f6P6RZky-bF6oYb3Ukd9-FB-4cUoVeYbdg==",
		"padding 17":    "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODyXkGcs_Vbm0ytwtfziE6Uxr0VovH57LX1cj-SP9FUApM021GFJ-JkFRJVH2YQm7FA==",
		"padding mixed": "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0OD73WktQ05FxAjuulXZdbcAv6ihCA5DikMKlyB9jG0yad00WR5x8-I2ULfbZmmu5SMA==",
		"version":       "gQAAAAAdwJ6wAAECAwQFBgcICQoLDA0OD-VEOia_rq5jRXREgHrYsDlsrRyeIow4m7RSqmAPjQMJh0Za9t5G73-FEW_9ZGhuQw==",
	}
	for at := 0; at < len(pythonSeed); at += 7 {
		damaged := []byte(pythonSeed)
		if damaged[at] = 'A'; pythonSeed[at] == 'A' {
			damaged[at] = 'B'
		}
		bad[fmt.Sprint("damaged at ", at)] = string(damaged)
	}
	for name, token := range bad {
		if got, err := k.Open(token); err == nil {
			t.Errorf("%s: opened, and held %q", name, got)
		}
	}
	if _, err := (*importing.Fernet)(nil).Open(pythonSeed); err == nil {
		t.Error("no key opened a token")
	}
	for _, key := range []string{"", "x", specKey[:40], specKey + "AAAA", specToken} {
		if _, err := importing.ParseFernet(key); err == nil || key != "" && len(key) > 1 && strings.Contains(err.Error(), key) {
			t.Errorf("the key %q: %v", key, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", *k, k, k); strings.Contains(text, "fv92f2Ie") || strings.Contains(text, "~\xff") {
		t.Errorf("a key prints: %s", text)
	}
}
