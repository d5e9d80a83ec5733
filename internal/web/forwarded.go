package web

import (
	"context"
	"net/http"
)

// forwardingFamilies and forwardingNames say where a request came from, as
// letters; what an untrusted peer wrote there is no better than a guess.
var (
	forwardingFamilies = [...]string{"xforwarded", "xoriginal"}
	forwardingNames    = [...]string{"forwarded", "xrealip", "xclientip", "xclusterclientip", "trueclientip"}
)

// StripForwarded removes every header that says where a request came from or
// how it looked before, in every spelling.
func StripForwarded(h http.Header) {
	for name := range h {
		if forwarding(name) {
			delete(h, name)
		}
	}
}

func forwarding(name string) bool {
	switch first(name) {
	case 'x', 'f', 't':
	default:
		return false
	}
	for _, f := range forwardingFamilies {
		if beginsWithLetters(name, f) {
			return true
		}
	}
	for _, n := range forwardingNames {
		if sameLetters(name, n) {
			return true
		}
	}
	return false
}

// Forwarded reports whether a request carries any such header: it is then
// never "from this host".
func Forwarded(h http.Header) bool {
	for name := range h {
		if forwarding(name) || name == "Via" {
			return true
		}
	}
	return false
}

type forwardedKey struct{}

// MarkForwarded remembers that a request came forwarded, before Strip takes away
// what tells so: some of those headers are identity too.
func MarkForwarded(r *http.Request) *http.Request {
	if !Forwarded(r.Header) {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), forwardedKey{}, true))
}

// WasForwarded is Forwarded, also after Strip.
func WasForwarded(r *http.Request) bool {
	return r.Context().Value(forwardedKey{}) != nil || Forwarded(r.Header)
}

// OurCookie reports whether a Cookie pair or a Set-Cookie line names a cookie
// of ours.
func OurCookie(line string) bool { return ourPair(line) }
