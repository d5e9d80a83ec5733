package web

import (
	"net/http"
	"strings"
)

// Header names are equal when their letters and digits are, in any case: CGI,
// WSGI, FastCGI and PHP turn X_Forwarded_User, x.forwarded.user and
// X-Forwarded-User into one variable. "Letters" below is that form: lower-case
// letters and digits alone.

// families are the beginnings, as letters, of names that are identity whatever
// follows.
var families = [...]string{"remote", "xauthrequest", "xauthentik", "sallyport"}

// single reports whether letters are one of the other names of all presets and
// of their cousins in other gateways.
func single(letters []byte) bool {
	switch string(letters) {
	case "xforwardeduser", "xforwardedname", "xforwardedemail", "xforwardedgroups", "xforwardedrealm",
		"xforwardedpreferredusername", "xforwardedaccesstoken", "xforwardeduserid", "xforwardedgroup", "xforwardedmail",
		"xforwardedusername", "xforwardedlogin", "xforwardedroles", "xforwardedtokensubject", "xforwardeduserinfo",
		"xremoteuser", "xremotename", "xremoteemail", "xremotegroups", "xremoterealm", "xremoteuserid",
		"xremoteusername", "xremotegroup":
		return true
	}
	return false
}

// everyday reports whether a name is, letter for letter, one that most requests
// carry, is no identity and is no other spelling of anything.
func everyday(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Accept-Language", "Cookie", "User-Agent", "Referer", "Connection", "Content-Length", "Content-Type", "Host",
		"Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-Fetch-User", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Upgrade-Insecure-Requests",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Port", "X-Forwarded-Server",
		"X-Original-Url", "X-Original-Method", "X-Real-Ip", "X-Request-Id", "X-Requested-With":
		return true
	}
	return false
}

// Stripper removes identity headers. It never changes after NewStripper, so it
// is safe for concurrent use. The zero Stripper removes those of all presets.
type Stripper struct{ configured []string }

// NewStripper returns a Stripper that also removes the configured names.
func NewStripper(configured ...string) *Stripper {
	s := &Stripper{}
	for _, name := range configured {
		if l := letters(name); l != "" {
			s.configured = append(s.configured, l[:min(len(l), maxLetters)])
		}
	}
	return s
}

// Strip is NewStripper().Strip.
func Strip(h http.Header) { (&Stripper{}).Strip(h) }

// Strip removes every identity header in every spelling, and from Connection
// all that would make the next hop remove a header of ours. It is the first
// thing on every route, and runs over trailers too (a Trailer header that
// announces such a name loses it). One pass; nothing is allocated where
// nothing is removed.
func (s *Stripper) Strip(h http.Header) {
	for name := range h {
		if s.identity(name) {
			delete(h, name)
		}
	}
	if values, ok := h["Connection"]; ok {
		cleanList(h, "Connection", values, func(token string) bool {
			switch strings.ToLower(token) {
			case "close", "keep-alive", "upgrade", "te":
				return true
			}
			return false
		})
	}
	if values, ok := h["Trailer"]; ok {
		cleanList(h, "Trailer", values, func(token string) bool { return !s.identity(token) })
	}
}

// Alias returns the first header that is identity, or that spells one of the
// exact names, otherwise than with hyphens: what a forward-auth endpoint cannot
// take away from the request of the proxy that asks. "" if there is none.
func (s *Stripper) Alias(h http.Header) string {
	for name := range h {
		if s.identity(name) && !hyphenated(name) {
			return name
		}
	}
	return ""
}

// maxLetters is more than any name of ours has; of longer names the beginning
// decides.
const maxLetters = 64

// identity reports whether a header name is identity in any spelling.
func (s *Stripper) identity(name string) bool {
	if len(s.configured) == 0 {
		if everyday(name) {
			return false
		}
		switch first(name) {
		case 'r', 'x', 's':
		default:
			return false
		}
	}
	var buffer [maxLetters]byte
	l := lettersInto(&buffer, name)
	for _, f := range families {
		if len(l) >= len(f) && string(l[:len(f)]) == f {
			return true
		}
	}
	if single(l) {
		return true
	}
	for _, c := range s.configured {
		if string(l) == c {
			return true
		}
	}
	return false
}

func lettersInto(buffer *[maxLetters]byte, name string) []byte {
	n := 0
	for i := 0; i < len(name) && n < len(buffer); i++ {
		if c, ok := letter(name[i]); ok {
			buffer[n] = c
			n++
		}
	}
	return buffer[:n]
}

// hyphenated reports whether a name has the spelling that proxies set and
// overwrite: words of letters and digits between single hyphens.
func hyphenated(name string) bool {
	if name == "" || name[0] == '-' || name[len(name)-1] == '-' || strings.Contains(name, "--") {
		return false
	}
	for i := 0; i < len(name); i++ {
		if _, ok := letter(name[i]); !ok && name[i] != '-' {
			return false
		}
	}
	return hyphenPlaces(name)
}

// exactNames are the spellings that proxies know, one per letters.
var exactNames = [...]string{
	"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Realm",
	"X-Forwarded-User", "X-Forwarded-Name", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Realm", "X-Forwarded-Preferred-Username",
	"X-Auth-Request-User", "X-Auth-Request-Name", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Realm", "X-Auth-Request-Preferred-Username",
	"X-Authentik-Username", "X-Authentik-Name", "X-Authentik-Email", "X-Authentik-Groups", "X-Authentik-Realm", "X-Authentik-Uid",
	"Sallyport-Assertion",
}

// hyphenPlaces refuses RemoteUser and Remote-Us-Er: letters of a name that
// proxies overwrite, with the hyphens elsewhere.
func hyphenPlaces(name string) bool {
	for _, exact := range exactNames {
		if strings.EqualFold(name, exact) {
			return true
		}
	}
	for _, exact := range exactNames {
		if sameLetters(name, letters(exact)) {
			return false
		}
	}
	return true
}

// cleanList keeps the tokens of a comma list that keep allows. The header goes
// where none is left.
func cleanList(h http.Header, name string, values []string, keep func(string) bool) {
	clean := true
	for _, v := range values {
		for token := range strings.SplitSeq(v, ",") {
			clean = clean && keep(strings.TrimSpace(token))
		}
	}
	if clean && len(values) > 0 {
		return
	}
	var kept []string
	for _, v := range values {
		for token := range strings.SplitSeq(v, ",") {
			if token = strings.TrimSpace(token); keep(token) && token != "" {
				kept = append(kept, token)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, name)
		return
	}
	h[name] = []string{strings.Join(kept, ", ")}
}

// letter returns the lower-case form of a letter or digit.
func letter(c byte) (byte, bool) {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c, true
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A', true
	}
	return 0, false
}

func letters(name string) string {
	out := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		if c, ok := letter(name[i]); ok {
			out = append(out, c)
		}
	}
	return string(out)
}

// first returns the first letter of a name, 0 if it has none.
func first(name string) byte {
	for i := 0; i < len(name); i++ {
		if c, ok := letter(name[i]); ok {
			return c
		}
	}
	return 0
}

// sameLetters reports whether the letters of name are want.
func sameLetters(name, want string) bool {
	rest, ok := afterLetters(name, want)
	if !ok {
		return false
	}
	return first(rest) == 0
}

func beginsWithLetters(name, want string) bool {
	_, ok := afterLetters(name, want)
	return ok
}

func afterLetters(name, want string) (rest string, ok bool) {
	n := 0
	for i := 0; i < len(name); i++ {
		if n == len(want) {
			return name[i:], true
		}
		c, is := letter(name[i])
		if !is {
			continue
		}
		if c != want[n] {
			return "", false
		}
		n++
	}
	return "", n == len(want)
}
