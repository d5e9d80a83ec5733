package fastapi2fa

import (
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// reach says who may make a call.
type reach uint8

const (
	byItself  reach = iota // the call proves who calls by what it brings, or tells nothing
	byToken                // likewise, by Authorization
	byNetwork              // it authenticates nobody: this host, or everybody where signup is open
	byLister               // likewise, but beyond this host for the service of `require` alone
)

// route is one call.
type route struct {
	method, path string
	reach        reach
	handle       func(*exchange) error
}

// allow are the methods that a route answers, as Allow names them. The description is
// a route of Starlette, which answers HEAD with GET; FastAPI's own do not.
func (r *route) allow() string {
	if r.path == describing {
		return "GET, HEAD"
	}
	return r.method
}

func (r *route) answers(method string) bool {
	return method == r.method || method == http.MethodHead && r.path == describing
}

// describing is the path of the description.
const describing = "/openapi.json"

// routeOf finds the route of a path, raw as it stands in the request line; nil: none.
func routeOf(path string) *route {
	all := routes()
	for i := range all {
		if prefix+all[i].path == path {
			return &all[i]
		}
	}
	return nil
}

// routes are all calls.
func routes() []route {
	return []route{
		{http.MethodGet, describing, byItself, (*exchange).openAPI},
		{http.MethodPost, "/auth/signup", byNetwork, (*exchange).signup},
		{http.MethodPost, "/auth/login", byItself, (*exchange).login},
		{http.MethodGet, "/auth/test-token", byToken, (*exchange).testToken},
		{http.MethodPost, "/auth/refresh", byItself, (*exchange).refreshTokens},
		{http.MethodPost, "/tfa/login_tfa", byToken, (*exchange).loginTFA},
		{http.MethodPost, "/tfa/recover_tfa", byToken, (*exchange).recoverTFA},
		{http.MethodGet, "/tfa/get_my_qrcode", byToken, (*exchange).myQRCode},
		{http.MethodPut, "/tfa/enable_tfa", byToken, (*exchange).enableTFA},
		{http.MethodGet, "/users/users", byLister, (*exchange).users},
		{http.MethodGet, "/tasks/test-celery", byLister, (*exchange).testCelery},
		{http.MethodGet, "/tasks/taskstatus", byLister, (*exchange).taskStatus},
	}
}

// admit asks the gate, before anything else is looked at.
func (x *exchange) admit() error {
	var call compat.Call
	open := false
	if x.route != nil {
		open = x.route.reach == byNetwork || x.route.reach == byLister
		call = compat.Call{
			Open: open, Loopback: open && !x.o.Signup, Listed: x.route.reach == byNetwork && x.o.Signup,
			Authorization: x.route.reach == byToken,
		}
	}
	client, refused := x.gate.Admit(x.r, call)
	if refused != nil {
		return &reply{status: refused.Status, detail: refused.Text, challenge: refused.Challenge, wait: refused.Wait}
	}
	x.client = client
	if !open || x.here() {
		return nil
	}
	if !x.o.Signup { // allow_from alone does not open these
		return detail(http.StatusForbidden, textSignup)
	}
	// The gate has checked the service of `require`. A person's token would be no
	// proof: where signup is open anybody makes one.
	if x.route.reach == byLister && x.o.Require.IsZero() {
		return detail(http.StatusForbidden, textLists)
	}
	return nil
}

// here reports whether this host itself calls: see compat.Gate.Admit. Where allow_from
// names it, it is believed on its address.
func (x *exchange) here() bool {
	if x.o.AllowFrom != nil {
		return x.client.Addr.IsLoopback() && !web.WasForwarded(x.r)
	}
	return compat.Here(x.r, x.client.Addr)
}

// redirect sends to the same call without the slashes at its end.
func (x *exchange) redirect(path string) {
	to := path
	if x.r.URL.RawQuery != "" {
		to += "?" + x.r.URL.RawQuery
	}
	if _, err := guard.RequestHost(x.r.Host); err == nil {
		scheme := web.Scheme(x.r)
		if x.o.Scheme != nil {
			scheme = x.o.Scheme(x.r)
		}
		to = scheme + "://" + x.r.Host + to
	}
	x.w.Header().Set("Location", quoted(to))
	x.w.WriteHeader(http.StatusTemporaryRedirect)
}

// quoted percent-encodes what a Location must not hold.
func quoted(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if letter || strings.IndexByte("_.-~:/%#?=@[]!$&'()*+,;", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + hex[c>>4:c>>4+1] + hex[c&15:c&15+1])
	}
	return b.String()
}
