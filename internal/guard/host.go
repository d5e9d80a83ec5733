package guard

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// ErrHost is the refusal of a text that is not a host.
var ErrHost = errors.New("not a valid host")

const (
	maxHost  = 253 // bytes of a name, RFC 1035 section 2.3.4
	maxLabel = 63
)

// CanonicalHost returns the one spelling of a Host header: lower case, ASCII
// (IDNA), without port and trailing dot; an IPv6 address in brackets and in
// its shortest form. Underscores are taken, since container names have them.
// Everything else is ErrHost: user information, escapes, spaces, empty labels,
// numbers that only some readers take for an IPv4 address.
// A host that is canonical already is returned without allocating.
func CanonicalHost(s string) (string, error) {
	if strings.HasPrefix(s, "[") {
		return bracketed(s)
	}
	host, plain, err := withoutPort(s)
	if err != nil {
		return "", err
	}
	if !plain {
		if host, err = hostProfile.ToASCII(strings.TrimSuffix(host, ".")); err != nil {
			return "", ErrHost
		}
		if !plainHost(host) {
			return "", ErrHost
		}
	}
	if lastLabelNumeric(host) {
		ip, err := netip.ParseAddr(host)
		if err != nil || !ip.Is4() {
			return "", ErrHost
		}
	}
	return host, nil
}

// RequestHost is CanonicalHost for what a request says. A name beyond ASCII must
// be spelled as IDNA writes it, but for capitals: what needs more mapping (wide
// letters, a soft hyphen, an ideographic full stop) would be mapped by us and not
// by the next server, which then chooses another site. Errors: ErrHost.
func RequestHost(s string) (string, error) {
	host, err := CanonicalHost(s)
	if err != nil || isASCII(s) {
		return host, err
	}
	name, _, _ := strings.Cut(s, ":")
	unicode, err := hostProfile.ToUnicode(host)
	if err != nil || unicode != strings.ToLower(strings.TrimSuffix(name, ".")) {
		return "", ErrHost
	}
	return host, nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// hostProfile maps case and width as browsers do. It does not use the STD3
// rules (they refuse underscores); plainHost looks at the result instead.
var hostProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false), idna.VerifyDNSLength(true))

// withoutPort cuts a port off and says whether what is left needs no mapping.
func withoutPort(s string) (host string, plain bool, err error) {
	host = s
	if i := strings.IndexByte(s, ':'); i >= 0 {
		if !validPort(s[i+1:]) {
			return "", false, ErrHost
		}
		host = s[:i]
	}
	if host == "" || len(host) > 4*maxHost {
		return "", false, ErrHost
	}
	return host, plainHost(host), nil
}

// plainHost reports whether s is canonical as it stands: one pass.
func plainHost(s string) bool {
	if s == "" || len(s) > maxHost {
		return false
	}
	label, twoHyphens := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_':
			label++
		case c == '-':
			// xn-- labels are looked at by the IDNA tables, unless they
			// have just been (see punycode).
			if label == 0 {
				return false
			}
			twoHyphens = twoHyphens || s[i-1] == '-'
			label++
		case c == '.':
			if label == 0 || s[i-1] == '-' {
				return false
			}
			label = 0
		default:
			return false
		}
		if label > maxLabel {
			return false
		}
	}
	return label > 0 && s[len(s)-1] != '-' && !(twoHyphens && badPunycode(s))
}

// badPunycode reports whether a label begins with xn-- and is not what its
// own decoding encodes to.
func badPunycode(s string) bool {
	if !strings.Contains(s, "xn--") {
		return false
	}
	again, err := hostProfile.ToASCII(s)
	return err != nil || again != s
}

func bracketed(s string) (string, error) {
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return "", ErrHost
	}
	if rest := s[end+1:]; rest != "" && (rest[0] != ':' || !validPort(rest[1:])) {
		return "", ErrHost
	}
	ip, err := netip.ParseAddr(s[1:end])
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", ErrHost
	}
	return "[" + ip.String() + "]", nil
}

func validPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n > 0 && n <= 65535
}

// lastLabelNumeric tells what browsers take for an IPv4 address: a last label
// of digits, or 0x and hexadecimal digits.
func lastLabelNumeric(s string) bool {
	label := s[strings.LastIndexByte(s, '.')+1:]
	if label != "" && label[0] > '9' { // most hosts end in letters
		return false
	}
	if strings.HasPrefix(label, "0x") {
		return strings.Trim(label[2:], "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
