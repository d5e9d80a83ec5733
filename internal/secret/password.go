package secret

import (
	"fmt"
	"strings"
	"unicode/utf8"

	zxcvbn "github.com/nbutton23/zxcvbn-go"
	"github.com/nbutton23/zxcvbn-go/matching"
	"golang.org/x/text/secure/precis"
)

// WeakPassword refuses a new password. Reason is a sentence for its owner that
// says what to do, and never repeats the password.
type WeakPassword struct{ Reason string }

func (w *WeakPassword) Error() string { return w.Reason }

// normalise returns the PRECIS OpaqueString form of a password, and whether it
// is one at all: not empty, at most MaxPassword bytes, UTF-8 without control
// characters.
func normalise(password string) ([]byte, bool) {
	if password == "" || len(password) > MaxPassword || !utf8.ValidString(password) {
		return nil, false
	}
	text, err := precis.OpaqueString.String(password)
	if err != nil || text == "" || len(text) > 2*MaxPassword || strings.ContainsRune(text, 0) {
		return nil, false
	}
	return []byte(text), true
}

func unacceptable(password string) error {
	switch {
	case password == "":
		return &WeakPassword{Reason: "The password is empty. Choose one."}
	case len(password) > MaxPassword:
		return &WeakPassword{Reason: "The password is too long. At most 1024 bytes are allowed."}
	}
	return &WeakPassword{Reason: "The password contains characters that cannot be typed. Use letters, digits, punctuation and spaces."}
}

// PasswordPolicy says which new passwords are good enough.
type PasswordPolicy struct {
	MinLength int // characters that make a password good by length; 0 means 12
}

const (
	defaultMinLength = 12
	// minStrong is the least length of a password that is good by strength.
	minStrong = 8
	// goodScore is zxcvbn's 3 of 4: more than 10^8 guesses (34 bits).
	goodScore = 3
	// zxcvbnInput bounds what the estimator reads, in characters: its time
	// grows faster than the square of the length.
	zxcvbnInput = 64
	// maxWords and maxWord bound what it knows about the owner.
	maxWords, maxWord = 16, 64
)

// CheckPassword refuses a weak new password with a *WeakPassword. Good is one
// of at least MinLength characters, or of at least 8 whose strength zxcvbn
// estimates at 3 or 4. Whatever their length, refused are the commonest
// passwords, repetitions, keyboard runs, and words (what others know about the
// owner: name, address, the site's name), also with digits and punctuation
// around them or look-alikes in them. There are no composition rules.
func CheckPassword(p PasswordPolicy, password string, words ...string) error {
	text, ok := normalise(password)
	if !ok {
		return unacceptable(password)
	}
	if p.MinLength <= 0 {
		p.MinLength = defaultMinLength
	}
	password = string(text)
	words = knownWords(words)
	length := utf8.RuneCountInString(password)
	switch {
	case ownWord(password, words):
		return &WeakPassword{Reason: "The password is made of your name or address. Choose something that others do not know, such as four random words."}
	case common(password):
		return &WeakPassword{Reason: "The password is one of the commonest, which are tried first. Choose something unusual, such as four random words."}
	case monotonous(password):
		return &WeakPassword{Reason: "The password is a repetition or a run of keys. Choose something less regular, such as four random words."}
	}
	score := strength(password, words)
	switch {
	case length >= p.MinLength && score > 0, length >= minStrong && score >= goodScore:
		return nil
	case length >= p.MinLength:
		return &WeakPassword{Reason: "The password is too easy to guess. Choose something unusual, such as four random words."}
	}
	return &WeakPassword{Reason: fmt.Sprintf("The password is too short to be safe. Use at least %d characters, such as four random words.", p.MinLength)}
}

// strength is zxcvbn's score of the beginning, 0 to 4, the lower one of the
// password as it is and with look-alikes undone. The estimator's own search
// for look-alikes is off: its time is exponential in their kinds.
func strength(password string, words []string) int {
	score := 4
	for _, s := range []string{password, lookAlikes(strings.ToLower(password))} {
		score = min(score, zxcvbn.PasswordStrength(estimable(s), words, matching.FilterL33tMatcher).Score)
	}
	return score
}

// estimable returns the beginning of a password for the estimator, which mixes
// up bytes and characters beyond ASCII: those are replaced, equal by equal.
func estimable(password string) string {
	ascii := make([]byte, 0, zxcvbnInput)
	for _, r := range password {
		if len(ascii) == zxcvbnInput {
			break
		}
		if r > '~' {
			r = '!' + r%('~'-'!')
		}
		ascii = append(ascii, byte(r))
	}
	return string(ascii)
}
