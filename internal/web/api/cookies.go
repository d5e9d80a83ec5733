package api

import (
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// Cookies reads and writes the cookies of a host.
type Cookies interface {
	// Session returns the one cookie that opens the account on this host, ""
	// where there is none or where it came twice.
	Session(r *http.Request) string
	// SetSession sets the cookies of a finished login.
	SetSession(w http.ResponseWriter, r *http.Request, next *login.Next)
	// ClearSession removes them.
	ClearSession(w http.ResponseWriter, r *http.Request)
}

// browserLife is how long a browser stays a known place: the most that
// browsers keep a cookie. The throttle forgets it earlier.
const browserLife = 400 * 24 * time.Hour

// HostCookies are the Cookies of a host with these names.
type HostCookies struct {
	Names  web.Cookies                // must agree with Options.Portal
	Scheme func(*http.Request) string // nil: what this process was reached by
	Clock  func() time.Time           // nil: time.Now
}

func (c HostCookies) scheme(r *http.Request) string {
	if c.Scheme == nil {
		return web.Scheme(r)
	}
	return c.Scheme(r)
}

// Session implements Cookies.
func (c HostCookies) Session(r *http.Request) string { return c.Names.Portal(r.Header, c.scheme(r)) }

// SetSession implements Cookies. Whatever stood under the names of ours is
// replaced or cleared, so that what somebody planted before the login is worth
// nothing after it.
func (c HostCookies) SetSession(w http.ResponseWriter, r *http.Request, next *login.Next) {
	now, scheme, domain := time.Now, c.scheme(r), ""
	if c.Clock != nil {
		now = c.Clock
	}
	if next.Opened.DomainCookie != nil {
		domain = next.Opened.DomainCookie.Reveal()
	}
	c.Names.ClearForeign(w, scheme)
	c.Names.SetSession(w, scheme, next.Opened.Cookie.Reveal(), domain, time.Time{})
	if !next.Browser.IsZero() {
		c.Names.SetBrowser(w, scheme, next.Browser.Reveal(), now().Add(browserLife))
	}
}

// ClearSession implements Cookies.
func (c HostCookies) ClearSession(w http.ResponseWriter, r *http.Request) {
	c.Names.ClearSession(w, c.scheme(r))
}
