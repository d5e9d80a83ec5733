package secret_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

var ownWords = []string{"alice", "Alice Liddell", "alice.liddell@wonderland.example", "Sallyport"}

func TestGoodPasswords(t *testing.T) {
	for _, password := range []string{
		"correct horse battery stable", "vTq9#xL2mW", "zebra-mosaik-laterne-17", "ich mag grüne Züge sehr", "Xk7$pQ9z!r", "a lantern over alice springs", "kq3nv8xw0pzj", "我喜欢在雨天喝热茶和看书呀",
		strings.Repeat("long enough and more ", 40),
	} {
		if err := secret.CheckPassword(secret.PasswordPolicy{}, password, ownWords...); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestWeakPasswords(t *testing.T) {
	for reason, passwords := range map[string][]string{
		"empty":       {""},
		"too long":    {strings.Repeat("zebra mosaic ", 100)},
		"typed":       {"zebra\x00mosaic-lantern", "zebra\tmosaic-lantern", "zebra\xffmosaic-lantern"},
		"too short":   {"kq3nv", "kq3nv8", "green car", "Vq9#xL2"},
		"commonest":   {"password", "Password1234", "P@ssw0rd2024!", "passwordpassword", "Passw0rdPassw0rd", "123456789012", "qwertyuiop123", "iloveyou!!!!!!", "  letmein  2024", "welcome1welcome1", "administrator1", "CorrectHorseBatteryStaple", "correct horse battery staple", "1q2w3e4r5t6y", "changeme2025!!"},
		"repetition":  {"aaaaaaaaaaaa", "abababababab", "abcabcabcabc", "1122112211221", "qwertyuiopasdf", "zxcvbnmasdfghjkl", "987654321098765", "poiuytrewqlkjhgfdsa", "abcdefghijklmnop"},
		"name or":     {"alicealicealice", "alice20241231", "Alice.Liddell1!", "alice.liddell@wonderland.example", "al1ce-l1ddell!", "!!sallyport!!!!", "liddellalice99", "wonderland-2024"},
		"four random": {"zebra1"},
	} {
		for _, password := range passwords {
			err := secret.CheckPassword(secret.PasswordPolicy{}, password, ownWords...)
			var weak *secret.WeakPassword
			if !errors.As(err, &weak) {
				t.Errorf("%.40q was accepted: %v", password, err)
				continue
			}
			if !strings.Contains(weak.Reason, reason) && reason != "typed" {
				t.Errorf("%.40q: want %q, got: %s", password, reason, weak.Reason)
			}
			if len(password) > len("password") && strings.Contains(weak.Reason, password) {
				t.Errorf("the reason repeats the password: %s", weak.Reason)
			}
		}
	}
}

func TestThePolicysLengthCounts(t *testing.T) {
	const password = "tulpe und rad" // 13 characters, no strength to speak of
	if err := secret.CheckPassword(secret.PasswordPolicy{MinLength: 13}, password); err != nil {
		t.Error(err)
	}
	err := secret.CheckPassword(secret.PasswordPolicy{MinLength: 40}, "green cars")
	if err == nil || !strings.Contains(err.Error(), "40 characters") {
		t.Errorf("got %v", err)
	}
	if err := secret.CheckPassword(secret.PasswordPolicy{MinLength: 1}, "123456"); err == nil {
		t.Error("the commonest are refused whatever the policy")
	}
}

// The estimator's time grows faster than the square of the length, and its
// search for look-alikes is exponential: one request took a second of a core.
func TestAHugePasswordIsJudgedAtOnce(t *testing.T) {
	begin := time.Now()
	for _, password := range []string{
		strings.Repeat("4@8({[<369!1|70$5+7%2", 3), "4@8({[<369!1|70$5+7%2abcdefgijlostxz4@8({[<369!1|70$5+7%2", strings.Repeat("1991", 16) + "q9z",
		strings.Repeat("a1B2", 256), strings.Repeat("password1", 113), strings.Repeat("x", 1<<20), strings.Repeat("é1", 300),
	} {
		_ = secret.CheckPassword(secret.PasswordPolicy{}, password, strings.Repeat("w", 1<<20), strings.Repeat("w ", 1000))
	}
	// under -race on a busy machine
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzCheckPassword(f *testing.F) {
	for _, s := range []string{"password", "İstanbul İstanbul", "ﬁ ﬁ ﬁ ﬁ ﬁ", "\u0130\u0130\u0130\u0130", "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂", "1/1/1991 20.12.2012", "\xff", "p4$$w0rd", "qwertyuiop[]"} {
		f.Add(s, "Alice İ")
	}
	f.Fuzz(func(t *testing.T, password, word string) {
		err := secret.CheckPassword(secret.PasswordPolicy{}, password, word, "sallyport")
		if err == nil && utf8.RuneCountInString(password) < 8 && len(password) < 24 {
			t.Fatalf("%q was accepted", password)
		}
		if lower := strings.ToLower(password); err == nil && lower == strings.ToLower(word) && len(word) >= 3 && utf8.RuneCountInString(word) >= 3 && utf8.RuneCountInString(lower) <= 64 && utf8.ValidString(word) && lower == strings.TrimSpace(lower) && !strings.ContainsAny(word, "\u00a0") && isASCII(word) {
			t.Fatalf("%q is the owner's own word", password)
		}
	})
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > '~' }) < 0 }

func BenchmarkCheckPassword(b *testing.B) {
	for b.Loop() {
		_ = secret.CheckPassword(secret.PasswordPolicy{}, strings.Repeat("correct horse battery ", 10), ownWords...)
	}
}
