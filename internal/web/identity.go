package web

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// AssertionHeader carries the signed assertion to an upstream.
const AssertionHeader = "Sallyport-Assertion"

// IdentityNames are the header names of one preset, in canonical form.
type IdentityNames struct {
	User, Name, Email, Groups, Realm string
	// Preferred is the bare name, "" where the preset has no such header.
	Preferred string
}

var (
	remoteNames      = IdentityNames{User: "Remote-User", Name: "Remote-Name", Email: "Remote-Email", Groups: "Remote-Groups", Realm: "Remote-Realm"}
	forwardedNames   = IdentityNames{User: "X-Forwarded-User", Name: "X-Forwarded-Name", Email: "X-Forwarded-Email", Groups: "X-Forwarded-Groups", Realm: "X-Forwarded-Realm", Preferred: "X-Forwarded-Preferred-Username"}
	authRequestNames = IdentityNames{User: "X-Auth-Request-User", Name: "X-Auth-Request-Name", Email: "X-Auth-Request-Email", Groups: "X-Auth-Request-Groups", Realm: "X-Auth-Request-Realm", Preferred: "X-Auth-Request-Preferred-Username"}
	authentikNames   = IdentityNames{User: "X-Authentik-Username", Name: "X-Authentik-Name", Email: "X-Authentik-Email", Groups: "X-Authentik-Groups", Realm: "X-Authentik-Realm"}
)

// Names returns the header names of a preset; an unknown one is the default,
// Remote-User and its siblings.
func Names(preset string) *IdentityNames {
	switch preset {
	case guard.HeadersForwarded:
		return &forwardedNames
	case guard.HeadersAuthRequest:
		return &authRequestNames
	case guard.HeadersAuthentik:
		return &authentikNames
	}
	return &remoteNames
}

// SetIdentity sets all identity headers of the decision's preset, empty where
// nothing is known, and the assertion where the rule asks for one. Values are
// UTF-8 without control characters, as they are in the store: HTTP takes bytes
// above 0x7f as they come (RFC 9110 section 5.5), and no decoding is needed
// behind us.
func SetIdentity(h http.Header, d *guard.Decision, assertion string) {
	names := Names(d.Headers)
	values := new([7]string)
	if who := d.Identity; who != nil && d.Outcome == guard.Allow {
		values[0] = who.Name
		if !d.BareUser {
			values[0] = who.Name + "@" + who.Realm
		}
		values[0] = HeaderText(values[0])
		values[1], values[2] = HeaderText(who.FullName), HeaderText(who.Email)
		values[3], values[4], values[5] = HeaderText(groups(who.Groups)), HeaderText(who.Realm), HeaderText(who.Name)
	}
	h[names.User], h[names.Name], h[names.Email] = values[0:1:1], values[1:2:2], values[2:3:3]
	h[names.Groups], h[names.Realm] = values[3:4:4], values[4:5:5]
	if names.Preferred != "" {
		h[names.Preferred] = values[5:6:6]
	}
	if d.Assertion != guard.AssertionNone {
		values[6] = assertion
		h[AssertionHeader] = values[6:7:7]
	}
}

func groups(list []string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0]
	}
	return strings.Join(list, ",")
}

// HeaderText returns s as it may stand in a header: valid UTF-8, without
// control, format and line-separating characters, without white space at the
// ends. Plain ASCII comes back as it is.
func HeaderText(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f {
			plain = false
			break
		}
	}
	if !plain {
		s = strings.Map(func(r rune) rune {
			if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
				return -1
			}
			return r
		}, strings.ToValidUTF8(s, ""))
	}
	return strings.TrimSpace(s)
}
