package web

import "net/http"

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

// OurCookie reports whether a Cookie pair or a Set-Cookie line names a cookie
// of ours.
func OurCookie(line string) bool { return ourPair(line) }
