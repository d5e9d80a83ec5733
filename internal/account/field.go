package account

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// Limits of a user's fields.
const (
	maxFullName = 256 // bytes: it is sent in a header
	maxLabel    = 128 // bytes
	maxGroups   = 128 // so that all of them fit a header beside others
	minPhone    = 5   // digits
	maxPhone    = 15  // digits (ITU-T E.164)
)

// canonicalName is the one spelling of a name in a realm.
func canonicalName(r Realm, name string) (string, error) {
	spell := principal.CanonicalName
	if r.Names == NamesExact {
		spell = principal.ExactName
	}
	canonical, err := spell(name)
	if err != nil {
		return "", refuse(ErrInvalid, "%v", err)
	}
	return canonical, nil
}

func canonicalEmail(email string) (string, error) {
	if email == "" {
		return "", nil
	}
	canonical, err := principal.CanonicalAddress(email)
	if err != nil {
		return "", refuse(ErrInvalid, "%v", err)
	}
	return canonical, nil
}

func validFullName(name string) (string, error) { return validText("full_name", name, maxFullName) }

// validText trims and refuses what would break a header, a page or a terminal.
func validText(field, text string, limit int) (string, error) {
	text = strings.TrimSpace(text)
	if len(text) > limit {
		return "", refuse(ErrInvalid, "%s has at most %d bytes", field, limit)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", refuse(ErrInvalid, "%s holds characters that cannot be printed", field)
	}
	return text, nil
}

// canonicalPhone returns + and digits (E.164); spaces, hyphens, dots and
// parentheses are dropped.
func canonicalPhone(phone string) (string, error) {
	if phone == "" {
		return "", nil
	}
	bad := refuse(ErrInvalid, "phone begins with + and the country code and has %d to %d digits", minPhone, maxPhone)
	if len(phone) > 64 || phone[0] != '+' {
		return "", bad
	}
	digits := []byte{'+'}
	for _, c := range []byte(phone[1:]) {
		switch {
		case c >= '0' && c <= '9':
			digits = append(digits, c)
		case !strings.ContainsRune(" -.()", rune(c)):
			return "", bad
		}
	}
	if n := len(digits) - 1; n < minPhone || n > maxPhone || digits[1] == '0' {
		return "", bad
	}
	return string(digits), nil
}

// canonicalGroups returns the groups in order, each once.
func canonicalGroups(groups []string) ([]string, error) {
	var canonical []string
	for _, g := range groups {
		c, err := principal.CanonicalGroup(g)
		if err != nil {
			return nil, refuse(ErrInvalid, "%v", err)
		}
		canonical = append(canonical, c)
	}
	slices.Sort(canonical)
	canonical = slices.Compact(canonical)
	if len(canonical) > maxGroups {
		return nil, refuse(ErrInvalid, "a user has at most %d groups", maxGroups)
	}
	return canonical, nil
}

// validHash refuses what is no hash, above all a password that somebody forgot to
// hash. The error never repeats it.
func validHash(hash string) error {
	if secret.CheckDigest(hash) != nil {
		return refuse(ErrInvalid, "the password is not hashed in a form that is known here")
	}
	return nil
}
