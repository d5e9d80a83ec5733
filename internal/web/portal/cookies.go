package portal

import (
	"time"

	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// browserLife is how long a browser stays a known place: the most that
// browsers keep a cookie. The throttle forgets it earlier.
const browserLife = 400 * 24 * time.Hour

// sessionToken is the one session cookie that counts on this host: the
// portal's own opens everything; on a guarded host there is only the one that
// the guard reads.
func (x *exchange) sessionToken() string {
	if x.guarded {
		return x.p.cookies.Guard(x.r.Header, x.scheme)
	}
	return x.p.cookies.Portal(x.r.Header, x.scheme)
}

// openSession sets the cookies of a new session. Whatever stood under their
// names is replaced, and what stands under other names is cleared, so that a
// token that somebody planted before the login is worth nothing after it.
func (x *exchange) openSession(next *login.Next) {
	var until time.Time // zero: until the browser closes
	if next.Remember {
		until = next.Opened.Expires
	}
	domain := ""
	if next.Opened.DomainCookie != nil {
		domain = next.Opened.DomainCookie.Reveal()
	}
	x.p.cookies.ClearForeign(x.w, x.scheme)
	x.p.cookies.SetSession(x.w, x.scheme, next.Opened.Cookie.Reveal(), domain, until)
	if !next.Browser.IsZero() {
		x.p.cookies.SetBrowser(x.w, x.scheme, next.Browser.Reveal(), x.now.Add(browserLife))
	}
}

// caller is who is at the door, as far as the network tells. Where everybody
// seems to be this host, a proxy that is not trusted stands in front, and a
// limit per network would shut all out together.
func (x *exchange) caller() login.Client {
	addr := x.p.client(x.r)
	return login.Client{
		Addr: addr, Exempt: !addr.IsValid() || addr.IsLoopback(), UserAgent: x.r.UserAgent(),
		Browser: web.Cookie(x.r.Header, web.BrowserCookie),
	}
}
