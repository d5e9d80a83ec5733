package portal

import (
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// sessionToken is the one session cookie that counts on this host: the
// portal's own opens everything; on a guarded host there is only the one that
// the guard reads.
func (x *exchange) sessionToken() string {
	if x.guarded {
		return x.p.cookies.Guard(x.r.Header, x.scheme)
	}
	return x.p.cookies.Portal(x.r.Header, x.scheme)
}

// openSession sets the cookies of a new session.
func (x *exchange) openSession(next *login.Next) {
	x.p.cookies.SetLogin(x.w, x.scheme, next, x.now)
}

// caller is who is at the door.
func (x *exchange) caller() login.Client { return web.Caller(x.r, x.p.client(x.r)) }
