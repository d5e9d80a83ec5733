package principal

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

const (
	// MaxName bounds a canonical name or group, in bytes: long enough for
	// people, short enough for a store's key and a header.
	MaxName = 128
	// MaxRealm bounds a canonical realm, in bytes.
	MaxRealm = 64
	// maxInput bounds what is given to the Unicode tables at all, in bytes.
	// Mapping may shorten a text (full-width letters), so it is above MaxName.
	maxInput = 512
	// maxQuoted bounds how much of a refused text an error repeats, in bytes.
	maxQuoted = 40
)

// ErrName is what every refusal of this package is: errors.Is(err, ErrName).
// The error's text is a sentence for the person who typed the name.
var ErrName = errors.New("not a valid name")

type nameError struct{ text string }

func (e *nameError) Error() string        { return e.text }
func (e *nameError) Is(target error) bool { return target == ErrName }

func refuse(format string, args ...any) error {
	return &nameError{text: fmt.Sprintf(format, args...)}
}

// quote repeats a text with every control and non-ASCII character escaped and
// never more of it than fits a line: errors reach terminals and logs.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%+q…", s[:maxQuoted])
	}
	return fmt.Sprintf("%+q", s)
}

// CanonicalName returns the one spelling of a principal's name: PRECIS
// UsernameCaseMapped (RFC 8265 section 3.3), so lower case, full-width letters
// made narrow, NFC. Refused are the empty name, white space, control
// characters, comma, @ and /, the names "." and ".." (they vanish from URLs),
// more than MaxName bytes, and a name whose canonical form is not stable.
// CanonicalName(CanonicalName(s)) == CanonicalName(s). Errors: ErrName.
func CanonicalName(s string) (string, error) {
	return canonical("name", s, precis.UsernameCaseMapped, MaxName)
}

// ExactName checks the name of a realm whose setting names is exact: at most MaxName
// bytes of UTF-8 without control characters, taken letter for letter. It may be empty
// and may hold what separates names elsewhere; a realm's name never does, so that
// name@realm, split at the last @, still has one reading. Errors: ErrName.
func ExactName(s string) (string, error) {
	switch {
	case len(s) > MaxName:
		return "", refuse("this name has %d bytes, at most %d are allowed", len(s), MaxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "", refuse("the name %s has control characters or is not valid UTF-8", quote(s))
	}
	return s, nil
}

// CanonicalRealm is CanonicalName for realms: additionally no dot (so that no
// realm is ever the domain of an address) and at most MaxRealm bytes.
// Errors: ErrName.
func CanonicalRealm(s string) (string, error) {
	realm, err := canonical("realm", s, precis.UsernameCaseMapped, MaxRealm)
	if err == nil && strings.Contains(realm, ".") {
		return "", refuse("the realm %s must not contain a dot", quote(realm))
	}
	if err != nil {
		return "", err
	}
	return realm, nil
}

// CanonicalGroup returns the one spelling of a group. Groups are compared
// exactly, so case is kept (PRECIS UsernameCasePreserved, RFC 8265 section
// 3.4); single spaces inside are allowed ("Domain Admins"). Otherwise as
// CanonicalName. Errors: ErrName.
func CanonicalGroup(s string) (string, error) {
	if len(s) > maxInput {
		return "", refuse("this group has %d bytes, at most %d are allowed", len(s), MaxName)
	}
	words := strings.Split(s, " ")
	for i, word := range words {
		if word == "" && len(words) > 1 {
			return "", refuse("the group %s begins or ends with a space or has two in a row", quote(s))
		}
		mapped, err := canonical("group", word, precis.UsernameCasePreserved, MaxName)
		if err != nil {
			return "", err
		}
		words[i] = mapped
	}
	group := strings.Join(words, " ")
	if len(group) > MaxName {
		return "", refuse("this group has %d bytes, at most %d are allowed", len(group), MaxName)
	}
	return group, nil
}

func canonical(what, s string, profile *precis.Profile, limit int) (string, error) {
	if s == "" {
		return "", refuse("the %s is empty", what)
	}
	if len(s) > maxInput {
		return "", refuse("this %s has %d bytes, at most %d are allowed", what, len(s), limit)
	}
	if !utf8.ValidString(s) {
		return "", refuse("the %s %s is not valid UTF-8", what, quote(s))
	}
	mapped, err := stable(profile, s)
	if err != nil {
		return "", refuse("the %s %s has characters that are not allowed: letters, digits and punctuation without spaces are", what, quote(s))
	}
	if len(mapped) > limit {
		return "", refuse("this %s has %d bytes, at most %d are allowed", what, len(mapped), limit)
	}
	if i := strings.IndexFunc(mapped, excluded); i >= 0 {
		return "", refuse("the %s %s contains %+q: comma, @, / and control characters are not allowed", what, quote(s), mapped[i:i+1])
	}
	if mapped == "." || mapped == ".." {
		return "", refuse("%q is not a %s", mapped, what)
	}
	return mapped, nil
}

// stable maps s and refuses what a second mapping would change again: a name
// that is one user at one door and another at the next.
func stable(profile *precis.Profile, s string) (string, error) {
	once, err := profile.String(s)
	if err != nil {
		return "", err
	}
	twice, err := profile.String(once)
	if err != nil {
		return "", err
	}
	if once != twice {
		return "", ErrName
	}
	return once, nil
}

// excluded tells the characters that separate names elsewhere: in lists,
// in name@realm, in paths and in headers.
func excluded(r rune) bool {
	return r == ',' || r == '@' || r == '/' || unicode.IsControl(r) || unicode.IsSpace(r)
}

// InPath reports whether a name is one part of a path that comes through every server
// as it was sent, with its slashes escaped: it is not empty, and cleaning the path
// leaves it as it is. Every name of CanonicalName is, some of ExactName are not.
func InPath(name string) bool { return name != "" && path.Clean("/"+name) == "/"+name }
