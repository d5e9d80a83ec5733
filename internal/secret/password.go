package secret

import (
	"strings"
	"unicode/utf8"

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

// CheckPassword refuses a weak new password with a *WeakPassword. words are
// what others know about its owner: name, address, the site's name.
func CheckPassword(p PasswordPolicy, password string, words ...string) error {
	if _, ok := normalise(password); !ok {
		return unacceptable(password)
	}
	return nil
}
