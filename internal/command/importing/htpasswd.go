package importing

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// htpasswd reads name:hash, a line each (Apache's mod_authn_file). Empty lines
// and comments say nothing.
func (r *Reader) htpasswd(yield func(Entry, error) bool) {
	for l, err := range lines(r.in) {
		if err != nil {
			yield(Entry{}, err)
			return
		}
		text := bytes.TrimSpace(l.text)
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		e := Entry{Place: l.place()}
		if e.Refused = readable(l); e.Refused == nil {
			e.htpasswd(string(text))
		}
		if !yield(e, nil) {
			return
		}
	}
}

// readable refuses a line of which nothing may be read.
func readable(l line) *Refusal {
	switch {
	case l.long:
		return tooLong()
	case !utf8.Valid(l.text):
		return refuse("not_utf8", "this is not UTF-8: convert the file first, such as with `iconv -f latin1 -t utf-8`")
	}
	return nil
}

func (e *Entry) htpasswd(text string) {
	name, rest, ok := strings.Cut(text, ":")
	if !ok {
		e.Refused = refuse("malformed", "a name, a colon and a hash are expected")
		return
	}
	hash, more, _ := strings.Cut(rest, ":") // what follows a second colon is a comment
	if secret.Kind(hash) == "" && len(more) == 32 && strings.Trim(more, "0123456789abcdef") == "" {
		e.Refused = refuse("malformed", "this is a line of htdigest, whose hashes are good for HTTP digest alone: give the user a new password")
		return
	}
	e.Name, e.PasswordHash, e.Refused = name, secret.NewText(hash), hashRefusal(hash)
}

// hashRefusal says what is wrong with a hash that nobody can log in with; nil:
// nothing. It never repeats it.
func hashRefusal(hash string) *Refusal {
	switch {
	case hash == "":
		return refuse("no_hash", "the password hash is missing")
	case secret.Kind(hash) != "":
		if err := secret.CheckDigest(hash); err != nil {
			return refuse("password_hash", "%v", err)
		}
		return nil
	case len(hash) == 13 && strings.Trim(hash, "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == "":
		return refuse("des_crypt", "this has the form of DES crypt, which reads 8 characters of a password and is guessed in hours (or it is a password in clear): give the user a new password")
	case strings.HasPrefix(hash, "$") || strings.HasPrefix(hash, "{"):
		return refuse("password_hash", "%v", secret.CheckDigest(hash))
	}
	return refuse("not_hashed", "this is no password hash, perhaps a password in clear: hash it first, such as with `htpasswd -B`, or import it as JSON lines with the field password")
}
