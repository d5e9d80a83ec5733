package secret

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"
)

// commonPasswords are those that every list of leaked passwords begins with,
// and the bases that people decorate, one a line, lower case.
//
//go:embed common.txt
var commonPasswords string

// keyRuns are the lines along which fingers walk.
var keyRuns = [...]string{
	"abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "azertyuiop",
	"asdfghjkl", "qsdfghjklm", "zxcvbnm", "yxcvbnm", "wxcvbn", "01234567890123456789",
	"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
	"1!2@3#4$5%6^7&8*9(0)", "!@#$%^&*()_+", "qazwsxedcrfvtgbyhnujmikolp", "147258369", "741852963",
}

// common reports whether the password is among the commonest: as it is, without
// what is put around a word, or with look-alikes undone.
func common(password string) bool {
	lower := strings.ToLower(password)
	compact := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, lower)
	for _, s := range []string{lower, compact, undecorated(lower), undecorated(lookAlikes(lower)), lookAlikes(undecorated(lower)), once(lower), undecorated(once(undecorated(lower)))} {
		if s != "" && strings.Contains(commonPasswords, "\n"+s+"\n") {
			return true
		}
	}
	return false
}

// undecorated cuts digits, punctuation and spaces from both ends.
func undecorated(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
}

// lookAlikes undoes the usual replacements of letters.
func lookAlikes(s string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "@", "a", "$", "s", "!", "i", "€", "e").Replace(s)
}

// once returns the part of which s is a repetition, or s.
func once(s string) string {
	if s == "" {
		return s
	}
	if i := strings.Index((s + s)[1:], s) + 1; i < len(s) && len(s)%i == 0 {
		return s[:i]
	}
	return s
}

// monotonous reports repetitions of at most four characters, passwords of at
// most three different characters, and those that are nothing but walks of
// three or more keys along keyRuns.
func monotonous(password string) bool {
	lower := strings.ToLower(password)
	if part := once(lower); part != lower && utf8.RuneCountInString(part) <= 4 {
		return true
	}
	different := map[rune]bool{}
	for _, r := range lower {
		different[r] = true
	}
	return len(different) <= 3 || walked(lower)
}

func walked(s string) bool {
	for len(s) > 0 {
		best := 0
		for _, run := range keyRuns {
			best = max(best, along(s, run), along(s, reversed(run)))
		}
		if best < 3 {
			return false
		}
		s = s[best:]
	}
	return true
}

// along returns how many bytes s and some place of run have in common.
func along(s, run string) int {
	best := 0
	for i := range run {
		n := 0
		for n < len(s) && i+n < len(run) && s[n] == run[i+n] {
			n++
		}
		best = max(best, n)
	}
	return best
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// knownWords returns the words in lower case with the parts of names and
// addresses behind them, the longest first, bounded in number and length.
// Parts below three characters say nothing.
func knownWords(words []string) []string {
	var known []string
	add := func(s string) {
		n := utf8.RuneCountInString(s)
		if n >= 3 && n <= maxWord && len(known) < maxWords {
			known = append(known, s)
		}
	}
	for _, word := range words {
		if len(word) > maxPasswordWord {
			continue
		}
		add(strings.ToLower(word))
	}
	for _, word := range words {
		if len(word) > maxPasswordWord {
			continue
		}
		for _, part := range strings.FieldsFunc(strings.ToLower(word), func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) {
			add(part)
		}
	}
	return known
}

// maxPasswordWord bounds a word before it is looked at, in bytes.
const maxPasswordWord = 512

// ownWord reports whether nothing but a trivial rest is left of the password
// when the words are taken out of it.
func ownWord(password string, words []string) bool {
	lower := strings.ToLower(password)
	for _, s := range []string{lower, lookAlikes(lower)} {
		rest := s
		for _, word := range words {
			rest = strings.ReplaceAll(rest, word, "")
		}
		if rest != s && trivial(rest) {
			return true
		}
	}
	return false
}

// trivial: fewer than four characters, or up to eight without a letter (a
// year, a birthday, exclamation marks).
func trivial(rest string) bool {
	n := utf8.RuneCountInString(rest)
	return n < 4 || n <= 8 && strings.IndexFunc(rest, unicode.IsLetter) < 0
}
