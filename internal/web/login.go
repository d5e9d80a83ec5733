package web

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/login"
)

// browserLife is how long a browser stays a known place: the most that
// browsers keep a cookie. The throttle forgets it earlier.
const browserLife = 400 * 24 * time.Hour

// Caller is who is at a door, as far as the network tells; addr is the client's
// address past trusted proxies. Where everybody seems to be this host, a proxy
// that is not trusted stands in front, and a limit per network would shut all
// out together.
func Caller(r *http.Request, addr netip.Addr) login.Client {
	return login.Client{
		Addr: addr, Exempt: !addr.IsValid() || addr.IsLoopback(), UserAgent: r.UserAgent(),
		Browser: Cookie(r.Header, BrowserCookie),
	}
}

// SetLogin sets the cookies of a finished login, at every door. Whatever stood
// under their names is replaced, and what stands under other names is cleared,
// so that a token that somebody planted before the login is worth nothing after
// it.
func (c Cookies) SetLogin(w http.ResponseWriter, scheme string, next *login.Next, now time.Time) {
	var until time.Time // zero: until the browser closes
	if next.Remember {
		until = next.Opened.Expires
	}
	domain := ""
	if next.Opened.DomainCookie != nil {
		domain = next.Opened.DomainCookie.Reveal()
	}
	c.ClearForeign(w, scheme)
	c.SetSession(w, scheme, next.Opened.Cookie.Reveal(), domain, until)
	if !next.Browser.IsZero() {
		c.SetBrowser(w, scheme, next.Browser.Reveal(), now.Add(browserLife))
	}
}
