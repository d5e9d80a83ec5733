package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// LoginPath is the first door.
const LoginPath = "/sallyport/login"

// maxLocation bounds a Location, in bytes: proxies read an answer's head into
// buffers of 4 KiB. A longer way back is left out.
const maxLocation = 3 << 10

// LoginSite is what guarded hosts have in common that share a login: the portal,
// the cookies, the function that decides on redirect targets.
type LoginSite struct {
	Portal  string // origin of the login pages; empty: they are on each host
	Cookies Cookies
	Targets *guard.Targets
}

// LoginLocation is where a challenge sends to: the site's login page with the
// original request as signed target. origin is that of the original request
// (OwnOrigin), uri its raw path and query. A target that Targets would not
// allow is left out. What the check demanded beyond the rule goes along, so
// that the login page asks for it too: it can only tighten there.
func (s *LoginSite) LoginLocation(origin, uri string, tighten guard.Demand, now time.Time) string {
	if s.Portal == "" || s.Portal == origin {
		login := origin + LoginPath
		location := login + "?" + guard.TargetParam + "=" + url.QueryEscape(uri) + demanded(tighten)
		if _, ok := s.Targets.Local(uri); !ok || len(location) > maxLocation {
			return login
		}
		return location
	}
	target := origin + uri
	signature := s.Targets.Sign(target, now)
	location := s.Portal + LoginPath + "?" + guard.TargetParam + "=" + url.QueryEscape(target) + "&" + guard.SignatureParam + "=" + signature + demanded(tighten)
	if _, ok := s.Targets.Allowed(target, signature, now); !ok || len(location) > maxLocation {
		return s.Portal + LoginPath
	}
	return location
}

// Stranger, as the message in the login page's address, says that the browser sent
// two session cookies, so that nobody was recognised: a hostile host below the
// cookie domain can plant a second one, which the login page does not see. It asks
// for a new login then. Who is signed in there would else be sent back, to come here
// again at once, for ever.
const (
	MessageParam = "m"
	Stranger     = "stranger"
)

// Location is LoginLocation for the answer to a request with these headers.
func (s *LoginSite) Location(h http.Header, scheme, origin, uri string, tighten guard.Demand, now time.Time) string {
	location := s.LoginLocation(origin, uri, tighten, now)
	if !s.Cookies.Ambiguous(h, scheme) {
		return location
	}
	if strings.Contains(location, "?") {
		return location + "&" + MessageParam + "=" + Stranger
	}
	return location + "?" + MessageParam + "=" + Stranger
}

// demanded writes a demand as parameters of the login page. Groups are no
// matter of a login: whoever lacks one is refused, not asked again.
func demanded(d guard.Demand) string {
	text := ""
	if d.Realm != "" {
		text += "&realm=" + url.QueryEscape(d.Realm)
	}
	if d.Factors > 0 {
		text += "&factors=" + strconv.Itoa(d.Factors)
	}
	if d.Fresh > 0 {
		text += "&fresh=" + d.Fresh.String()
	}
	return text
}

// Unauthorized sets WWW-Authenticate for a 401. basic: Basic may be offered,
// because no browser would ask a person for it; it is, where the rule admits
// services. Both stand in one line (RFC 9110 section 11.6.1): nginx before 1.23
// hands on the first line of an auth_request's answer alone.
func Unauthorized(h http.Header, d *guard.Decision, basic bool) {
	value := `Bearer realm="sallyport"`
	if d.BadProof {
		value += `, error="invalid_token"`
	}
	if basic && d.Services {
		value += `, Basic realm="sallyport", charset="UTF-8"`
	}
	h["Www-Authenticate"] = []string{value}
}

// OtherSpelling reports whether h has a header with the letters of one of
// names in another spelling (X_Forwarded_Uri).
func OtherSpelling(h http.Header, names []string) bool {
	for name := range h {
		if everyday(name) || first(name) != 'x' {
			continue
		}
		for _, n := range names {
			if name != n && sameName(name, n) {
				return true
			}
		}
	}
	return false
}

// sameName reports whether two names have the same letters.
func sameName(a, b string) bool {
	i, j := 0, 0
	for {
		var ca, cb byte
		for ca = 0; i < len(a) && ca == 0; i++ {
			ca, _ = letter(a[i])
		}
		for cb = 0; j < len(b) && cb == 0; j++ {
			cb, _ = letter(b[j])
		}
		if ca != cb {
			return false
		}
		if ca == 0 {
			return true
		}
	}
}

// UnsentParam, in the login page's address, says that the request which was challenged
// would have changed something: a form whose content does not come along. The pages of
// the doors say so. Whoever makes it up makes them say that sentence, no more.
const (
	UnsentParam = "unsent"
	Unsent      = "yes"
)

// WithUnsent adds UnsentParam to a Location, where a request with this method was
// challenged.
func WithUnsent(location, method string) string {
	if !Unsafe(method) {
		return location
	}
	if strings.Contains(location, "?") {
		return location + "&" + UnsentParam + "=" + Unsent
	}
	return location + "?" + UnsentParam + "=" + Unsent
}
