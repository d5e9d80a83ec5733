package web

import (
	"net/http"
	"strings"
	"time"
)

// Names of our cookies. On https they carry a __Host- or __Secure- prefix, see
// Cookies.
const (
	SessionCookie = "sallyport_session"
	PortalCookie  = "sallyport_portal"  // with a cookie domain: account, admin and API
	BrowserCookie = "sallyport_browser" // a known browser: no prefix, no proof of anything
	TrustedCookie = "sallyport_trusted" // a trusted browser, on the portal's host: stands for the second factor, after the password alone
)

// Cookies knows the names of our cookies, and sets and reads them. The zero
// Cookies is right without portal and cookie domain.
type Cookies struct {
	// Scheme of the portal, "" without one: the request's decides.
	Scheme string
	// Domain is the cookie domain, "" for host cookies.
	Domain string
}

func (c Cookies) https(scheme string) bool {
	if c.Scheme != "" {
		scheme = c.Scheme
	}
	return scheme == "https"
}

// GuardName is the one name that the guard reads. scheme is the request's.
func (c Cookies) GuardName(scheme string) string {
	switch {
	case !c.https(scheme):
		return SessionCookie
	case c.Domain != "":
		return "__Secure-" + SessionCookie
	}
	return "__Host-" + SessionCookie
}

// PortalName is the one name that account, admin and API read.
func (c Cookies) PortalName(scheme string) string {
	if c.Domain == "" {
		return c.GuardName(scheme)
	}
	return c.HostName(PortalCookie, scheme)
}

// HostName is the name of a cookie of the portal's host alone.
func (c Cookies) HostName(name, scheme string) string {
	if c.https(scheme) {
		return "__Host-" + name
	}
	return name
}

// Guard returns the token that the guard judges, "" for none or two.
func (c Cookies) Guard(h http.Header, scheme string) string { return Cookie(h, c.GuardName(scheme)) }

// Ambiguous reports whether a request has several cookies of the name that the
// guard reads, so that it reads none.
func (c Cookies) Ambiguous(h http.Header, scheme string) bool {
	return countCookie(h, c.GuardName(scheme)) > 1
}

// Portal returns the token that account, admin and API judge, "" for none or
// two.
func (c Cookies) Portal(h http.Header, scheme string) string {
	return Cookie(h, c.PortalName(scheme))
}

// SetSession sets the cookies of a session. portal is for the portal's or only
// host, domain for the cookie domain ("" if there is none). until is zero for
// cookies that end with the browser.
func (c Cookies) SetSession(w http.ResponseWriter, scheme, portal, domain string, until time.Time) {
	c.set(w, scheme, c.PortalName(scheme), portal, "", until)
	if c.Domain != "" && domain != "" {
		c.set(w, scheme, c.GuardName(scheme), domain, c.Domain, until)
	}
}

// ClearSession clears the session cookies under every name that we ever set
// on this scheme, so that a stale one does not stay.
func (c Cookies) ClearSession(w http.ResponseWriter, scheme string) {
	c.ClearForeign(w, scheme)
	c.set(w, scheme, c.PortalName(scheme), "", "", cleared)
	if c.Domain != "" {
		c.set(w, scheme, c.GuardName(scheme), "", c.Domain, cleared)
	}
}

// ClearForeign clears session cookies under names that are not read here:
// those of another configuration, or those that somebody planted.
func (c Cookies) ClearForeign(w http.ResponseWriter, scheme string) {
	names := []string{SessionCookie, PortalCookie}
	if c.https(scheme) {
		names = append(names, "__Host-"+SessionCookie, "__Secure-"+SessionCookie, "__Host-"+PortalCookie)
	}
	for _, name := range names {
		if name == c.PortalName(scheme) {
			continue
		}
		if name != c.GuardName(scheme) {
			if c.Domain != "" && !strings.HasPrefix(name, "__Host-") {
				c.set(w, scheme, name, "", c.Domain, cleared)
			}
		}
		// With a cookie domain a host cookie of the domain's name shadows it.
		c.set(w, scheme, name, "", "", cleared)
	}
}

// SetHost sets a cookie of the portal's host alone, by its plain name. It
// counts by the browser's clock from when it arrives, so that a clock that is
// wrong does not end it.
func (c Cookies) SetHost(w http.ResponseWriter, scheme, name, value string, life time.Duration) {
	cookie := c.cookie(scheme, c.HostName(name, scheme), value, "")
	cookie.MaxAge = max(1, int(life.Seconds()))
	http.SetCookie(w, &cookie)
}

// ClearHost clears it.
func (c Cookies) ClearHost(w http.ResponseWriter, scheme, name string) {
	c.set(w, scheme, c.HostName(name, scheme), "", "", cleared)
}

// Host returns the value of a cookie of the portal's host, "" for none or two.
func (c Cookies) Host(h http.Header, scheme, name string) string {
	return Cookie(h, c.HostName(name, scheme))
}

// SetBrowser sets the cookie of a known browser. It opens nothing.
func (c Cookies) SetBrowser(w http.ResponseWriter, scheme, value string, until time.Time) {
	c.set(w, scheme, BrowserCookie, value, "", until)
}

// cleared is an expiry in the past.
var cleared = time.Unix(1, 0)

func (c Cookies) set(w http.ResponseWriter, scheme, name, value, domain string, until time.Time) {
	cookie := c.cookie(scheme, name, value, domain)
	cookie.Expires = until
	if until.Equal(cleared) {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, &cookie)
}

// cookie is what all of ours have in common. SameSite is Lax, not Strict: who
// comes from a link in a mail, or is sent here by the site that he wanted,
// arrives from elsewhere. What changes anything is a POST, and those are checked
// for their origin.
func (c Cookies) cookie(scheme, name, value, domain string) http.Cookie {
	return http.Cookie{
		Name: name, Value: value, Domain: domain, Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.https(scheme),
	}
}

// Cookie returns the value of the one cookie of this exact name, "" where
// there is none, or two: whoever planted the second one does not choose.
func Cookie(h http.Header, name string) string {
	value, found := "", false
	for _, line := range h["Cookie"] {
		for rest, more := line, true; more; {
			var pair string
			pair, rest, more = strings.Cut(rest, ";")
			pair = strings.TrimLeft(pair, " \t")
			if len(pair) <= len(name) || pair[len(name)] != '=' || pair[:len(name)] != name {
				continue
			}
			if found {
				return ""
			}
			value, found = strings.TrimRight(pair[len(name)+1:], " \t"), true
		}
	}
	return value
}

func countCookie(h http.Header, name string) (n int) {
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimLeft(pair, " \t")
			if len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
				n++
			}
		}
	}
	return n
}

// StripCookies removes every cookie of ours from Cookie headers and leaves the
// others byte for byte as they are. It reports whether it removed any.
func StripCookies(h http.Header) bool {
	lines := h["Cookie"]
	removed := false
	for _, line := range lines {
		removed = removed || hasOurs(line)
	}
	if !removed {
		return false
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = withoutOurs(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
	} else {
		h["Cookie"] = kept
	}
	return true
}

// CookieWithoutOurs returns the Cookie headers of a request as one value,
// without ours.
func CookieWithoutOurs(h http.Header) string {
	lines := h["Cookie"]
	if len(lines) == 1 {
		return withoutOurs(lines[0])
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = withoutOurs(line); line != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "; ")
}

func withoutOurs(line string) string {
	if !hasOurs(line) {
		return line
	}
	var out strings.Builder
	for rest, more := line, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, ";")
		if ourPair(pair) {
			continue
		}
		if out.Len() > 0 {
			out.WriteByte(';')
		} else {
			pair = strings.TrimLeft(pair, " ")
		}
		out.WriteString(pair)
	}
	return strings.TrimRight(out.String(), " ;")
}

func hasOurs(line string) bool {
	for rest, more := line, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, ";")
		if ourPair(pair) {
			return true
		}
	}
	return false
}

// ourPair tells our cookies by their name, in any case and with any prefix.
func ourPair(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	name = strings.Trim(name, " \t\"")
	if p := "__Host-"; len(name) > len(p) && strings.EqualFold(name[:len(p)], p) {
		name = name[len(p):]
	} else if p := "__Secure-"; len(name) > len(p) && strings.EqualFold(name[:len(p)], p) {
		name = name[len(p):]
	}
	const own = "sallyport_"
	return len(name) >= len(own) && strings.EqualFold(name[:len(own)], own)
}
