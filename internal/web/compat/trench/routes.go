package trench

import (
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// who says who may call a route.
type who uint8

const (
	anyone    who = iota + 1 // what the body proves is the call's own business
	owner                    // whoever has a session
	enrolling                // owner, or whoever must set up a factor first
)

// route is one path below the prefix, without the slash at its end. A segment {m} is
// the name of a second factor.
type route struct {
	path   string
	method string // GET answers HEAD too
	who    who
	handle func(*Facade, *call) (*answer, error)
}

// routes are all calls. The first that fits counts.
var routes = [...]route{
	{"login", "POST", anyone, (*Facade).login},
	{"login/code", "POST", anyone, (*Facade).loginCode},
	{"jwt/login", "POST", anyone, (*Facade).login},
	{"jwt/login/code", "POST", anyone, (*Facade).loginCode},
	{"jwt/refresh", "POST", anyone, (*Facade).refresh},
	{"jwt/verify", "POST", anyone, (*Facade).verify},
	{"token/login", "POST", anyone, (*Facade).login},
	{"token/login/code", "POST", anyone, (*Facade).loginCode},
	{"token/logout", "POST", owner, (*Facade).logout},
	{"logout", "POST", owner, (*Facade).logout},
	{"code/request", "POST", owner, (*Facade).requestCode},
	{"mfa/config", "GET", anyone, (*Facade).config},
	{"mfa/user-active-methods", "GET", owner, (*Facade).activeMethods},
	{"mfa/change-primary-method", "POST", owner, (*Facade).changePrimary},
	{"mfa/codes/regenerate", "POST", owner, (*Facade).regenerateNamed},
	{"{m}/activate", "POST", enrolling, (*Facade).activate},
	{"{m}/activate/confirm", "POST", enrolling, (*Facade).confirm},
	{"{m}/deactivate", "POST", owner, (*Facade).deactivate},
	{"{m}/codes/regenerate", "POST", owner, (*Facade).regenerate},
}

// find is the route of a path, and the second factor that it names, whether it is one
// or not.
func (f *Facade) find(path string) (*route, string) {
	rest, found := strings.CutPrefix(path, f.prefix+"/")
	if !found {
		return nil, ""
	}
	rest, found = strings.CutSuffix(rest, "/")
	if !found {
		return nil, ""
	}
	for i := range routes {
		method, tail, named := "", rest, strings.HasPrefix(routes[i].path, "{m}")
		if named {
			if method, tail, found = strings.Cut(rest, "/"); !found || method == "" {
				continue
			}
			tail = "{m}/" + tail
		}
		if tail != routes[i].path {
			continue
		}
		return &routes[i], method
	}
	return nil, ""
}

// unlisted reports that a path names a second factor that is not offered: in 0.2 the
// names of methods stand in the table of paths.
func (f *Facade) unlisted(n names, method string) bool {
	return f.old && method != "" && !n.offers(method)
}

// astray answers where no path fits: with the one that has a slash more, if there is
// one, as Django does.
func (f *Facade) astray(r *http.Request, n names) *answer {
	if strings.HasSuffix(r.URL.Path, "/") {
		return noPath()
	}
	if to, method := f.find(r.URL.Path + "/"); to == nil || f.unlisted(n, method) {
		return noPath()
	}
	return &answer{status: http.StatusMovedPermanently, location: drf.Slashed(r.URL.EscapedPath(), r.URL.RawQuery)}
}

// allows refuses what a route does not answer.
func (r *route) allows(method string) *answer {
	if method == r.method || method == http.MethodHead && r.method == http.MethodGet {
		return nil
	}
	a := detail(http.StatusMethodNotAllowed, drf.MethodNotAllowed(strings.ToValidUTF8(method, "�")))
	a.allow = r.method
	if r.method == http.MethodGet {
		a.allow = "GET, HEAD"
	}
	return a
}
