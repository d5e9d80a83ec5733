package command

import (
	"strings"
	"testing"
	"time"
)

// RFC 6238 appendix B: the parameters of the URI count.
func TestCurrentCode(t *testing.T) {
	const seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for _, c := range []struct {
		text string
		at   int64
		want string
	}{
		{seed, 59, "287082"},
		{strings.ToLower(seed), 1111111109, "081804"},
		{"otpauth://totp/x?secret=" + seed + "&digits=8", 59, "94287082"},
		{"OTPAUTH://totp/x?secret=" + seed + "&digits=8&period=60", 59 * 2, "94287082"},
	} {
		got, err := currentCode(c.text+"\n", time.Unix(c.at, 0))
		if err != nil || got != c.want {
			t.Errorf("%.30s at %d: %q %v, want %q", c.text, c.at, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "0189", seed + "!", "otpauth://totp/x", "otpauth://totp/x?secret=" + seed + "&digits=7", "https://example.com/" + seed} {
		if got, err := currentCode(bad, time.Unix(59, 0)); err == nil || strings.Contains(err.Error(), seed) {
			t.Errorf("%q: %q %v", bad, got, err)
		}
	}
}

// Attack: a full name or a user agent with escape sequences rewrites what the
// administrator sees on the terminal.
func TestCleanLeavesNothingForTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"Zoë 42 – «é»":     "Zoë 42 – «é»",
		"a\x1b[2Jb":        `a\u{1b}[2Jb`,
		"a\nb\tc\r":        `a\u{a}b\u{9}c\u{d}`,
		"a\u202eb\u200bc":  `a\u{202e}b\u{200b}c`,
		"\u009b31m\u2028x": `\u{9b}31m\u{2028}x`,
		"a\xffb":           `a\u{fffd}b`,
	} {
		if got := clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
}
