package portal

import (
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// way says to a person who is about to type a password, or a code, where that
// leads: what the address bar will say next.
type way struct {
	Where   []string // host and path of the target, in pieces between which a line may break
	Start   bool     // no target: the start page
	Account bool     // the own account
}

// maxWhere is how many characters of an address are shown: enough to know the
// place, not a screen full of what a stranger wrote into a link.
const maxWhere = 120

// way describes a target that was allowed before. A query is left out: it says
// little to a person, and may hold what neighbours should not read.
func (x *exchange) way(target string) way {
	if target == "" || strings.HasPrefix(target, "/sallyport/?") || target == "/sallyport/" {
		return way{Start: true}
	}
	u, err := url.Parse(target)
	if err != nil {
		return way{}
	}
	if _, ok := x.p.find(u.EscapedPath(), x.guarded); ok && u.Host == "" && strings.HasPrefix(u.Path, "/sallyport/account/") {
		return way{Account: true}
	}
	host := u.Host
	if host == "" {
		host = x.host()
	}
	where := host + strings.TrimSuffix(u.EscapedPath(), "/")
	if len(where) > maxWhere {
		where = where[:maxWhere] + "…"
	}
	return way{Where: strings.SplitAfter(where, "/")}
}

// host is the one that the request came to, "" where it is none.
func (x *exchange) host() string {
	host, err := guard.CanonicalHost(x.r.Host)
	if err != nil {
		return ""
	}
	return host
}
