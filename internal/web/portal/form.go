package portal

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/web"
)

const (
	maxForm  = 16 << 10 // bytes of a body: ten times what any page here sends
	maxQuery = 8 << 10  // bytes: an address to return to, and little else
)

// limit is the most bytes that a field may hold. What is not named here is
// ignored; nothing is stored or shown before it was measured.
func limit(name string) (most int, known bool) {
	switch name {
	case "credential":
		return 8192, true // a passkey's answer: some 2000 characters
	case "full_name":
		return 512, true // twice what a record holds
	case "username", "target":
		return 320, true // 64 + @ + 255: the longest address
	case "password", "new_password", "again":
		return 1024, true // the hasher's own limit is lower or equal
	case "rd", "redirect_uri", "url":
		return 4096, true // guard.Targets' own limit
	case "label":
		return 512, true // 128 characters
	case "rs":
		return 256, true // a signature has 54 characters
	case "recovery_code", "token":
		return 128, true
	case "code", "id", "k", "realm":
		return 64, true
	case "l", "m", "fresh", "send", "method":
		return 32, true
	case "way", "sent":
		return 64, true // the name of a method
	case "remember", "factors", "trust", "unsent", "replace", "remove":
		return 8, true
	}
	return 0, false
}

var (
	errMalformed = errors.New("malformed form")
	errTooLarge  = errors.New("form too large")
	errNotForm   = errors.New("not a form")
)

// fields is a form or a query, each name once.
type fields map[string]string

// readForm reads the body of a POST. The fields named in many may come
// several times and are returned beside the others, in order.
// Errors: errNotForm, errTooLarge, errMalformed.
func readForm(w http.ResponseWriter, r *http.Request, many string) (fields, []string, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, nil, errNotForm
	}
	body, err := web.ReadBody(w, r, maxForm)
	if err != nil {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return nil, nil, errTooLarge
		}
		return nil, nil, errMalformed
	}
	return parse(string(body), many)
}

// parse reads an urlencoded text strictly: a bad escape, a field that comes
// twice, bytes that are not UTF-8 and a field that is too long are malformed.
// Of two values one would be judged and perhaps the other used.
func parse(text, many string) (fields, []string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, nil, errMalformed
	}
	f, list := fields{}, []string(nil)
	for name, all := range values {
		most, known := limit(name)
		if !known {
			continue
		}
		for _, v := range all {
			if len(v) > most || !utf8.ValidString(v) {
				return nil, nil, errMalformed
			}
		}
		switch {
		case many != "" && name == many:
			list = all
		case len(all) == 1:
			f[name] = all[0]
		default:
			return nil, nil, errMalformed
		}
	}
	return f, list, nil
}

// query reads the request's query by the same rules.
func query(r *http.Request) (fields, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, errMalformed
	}
	f, _, err := parse(r.URL.RawQuery, "")
	return f, err
}
