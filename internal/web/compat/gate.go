package compat

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// Gate says who may call a facade at all, before the facade looks at what they say.
// It is safe for concurrent use.
type Gate struct {
	rooms  Rooms
	common Common
	log    *slog.Logger
}

// NewGate returns a Gate.
func NewGate(rooms Rooms, common Common) *Gate {
	g := &Gate{rooms: rooms, common: common, log: rooms.Logger}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	return g
}

// Call is what the gate must know of a call. The zero Call proves who calls by
// itself, elsewhere than in Authorization, and is open to every network.
type Call struct {
	// Open: it authenticates nobody by itself. A page of somebody else's must not
	// reach it through a browser, so it takes only our own Host or literal loopback,
	// no Origin and no Sec-Fetch-Site but same-origin and none.
	Open bool
	// Listed: being Open, it takes pages of its own origin and of the listed ones all
	// the same.
	Listed bool
	// Loopback: without allow_from it is for this host alone, otherwise for everybody.
	Loopback bool
	// Authorization: the call itself needs that header, so the service of `require`
	// proves itself in Proxy-Authorization.
	Authorization bool
}

var (
	elsewhere = Refusal{Status: http.StatusForbidden, Code: "network", Text: "This may not be called from there."}
	otherHost = Refusal{Status: http.StatusForbidden, Code: "host", Text: "This is not answered under that host name."}
	otherPage = Refusal{Status: http.StatusForbidden, Code: "origin", Text: "This may not be called by a web page."}
)

// Admit lets a call in, and says who is calling as far as the network tells, or
// refuses it: nil is no refusal.
//
// A request with any forwarding header is never from this host, whoever sent it: a
// proxy on this host that does not say whom it forwards for would else open what is
// for this host alone. An address that nobody knows is in no network.
func (g *Gate) Admit(r *http.Request, c Call) (login.Client, *Refusal) {
	addr := g.rooms.Client(r).Unmap().WithZone("")
	client := web.Caller(r, addr)
	client.Browser = "" // no facade reads a cookie
	if !g.from(r, addr, c) {
		return client, new(elsewhere)
	}
	if c.Open {
		if refused := g.page(r, c.Listed); refused != nil {
			return client, refused
		}
	}
	return client, g.required(r, addr, c)
}

func (g *Gate) from(r *http.Request, addr netip.Addr, c Call) bool {
	if addr.IsLoopback() && web.WasForwarded(r) {
		addr = netip.Addr{}
	}
	if g.common.AllowFrom == nil {
		return !c.Loopback || addr.IsLoopback()
	}
	return slices.ContainsFunc(g.common.AllowFrom, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// page keeps other people's pages away from what authenticates nobody: a request of
// a foreign page, and one under a name that its owner made point to us. Where listed
// is true, pages of our own origin and of those in the configuration are not foreign.
func (g *Gate) page(r *http.Request, listed bool) *Refusal {
	host, err := guard.RequestHost(r.Host)
	if err != nil || !LoopbackHost(host) && (g.common.OwnHost == nil || !g.common.OwnHost(host)) {
		return new(otherHost)
	}
	if listed && (g.listed(r) || web.SiteOf(r, g.ownOrigin(r)) != web.SiteForeign) {
		return nil
	}
	if _, sent := r.Header["Origin"]; sent || web.SiteOf(r) == web.SiteForeign {
		return new(otherPage)
	}
	return nil
}

// listed reports whether a request names one origin, and the configuration names it.
func (g *Gate) listed(r *http.Request) bool {
	lines := r.Header["Origin"]
	return len(lines) == 1 && web.OneOf(lines[0], g.common.CORS)
}

func (g *Gate) ownOrigin(r *http.Request) string {
	scheme := web.Scheme(r)
	if g.common.Scheme != nil {
		scheme = g.common.Scheme(r)
	}
	return web.OwnOrigin(scheme, r.Host)
}

// LoopbackHost reports whether a canonical host is localhost or a loopback address.
func LoopbackHost(host string) bool {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// required demands the service of `require`. A browser sends a Basic credential by
// itself for whatever page, so none is taken from a browser.
func (g *Gate) required(r *http.Request, addr netip.Addr, c Call) *Refusal {
	if g.common.Require.IsZero() {
		return nil
	}
	header := "Authorization"
	if c.Authorization {
		header = "Proxy-Authorization"
	}
	lines := r.Header[header]
	if len(lines) != 1 || web.SecFetch(r.Header) || r.Header["Origin"] != nil {
		return needed()
	}
	name, token, ok := web.BasicCredential(lines[0])
	if !ok {
		return needed()
	}
	ref, err := principal.ParseRef(name, "")
	if err != nil { // nobody has it, so it has no other spelling
		ref = principal.Ref{Name: name}
	}
	who, err := g.rooms.Programs.Program(r.Context(), ref, token, addr)
	if err != nil {
		return g.failed(r, err)
	}
	if who.Kind != principal.Service || who.Name != g.common.Require.Name || who.Realm != g.common.Require.Realm {
		g.noteOther(who, addr)
		return needed()
	}
	return nil
}

func needed() *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Code: "service_needed", Text: "A service must prove itself with this call.", Challenge: web.BasicChallenge}
}

// failed tells a bad credential from one that could not be judged.
func (g *Gate) failed(r *http.Request, err error) *Refusal {
	status, code, text, wait := web.Answer(err)
	switch {
	case status == http.StatusTooManyRequests:
		return &Refusal{Status: status, Code: code, Text: text, Wait: wait}
	case status < http.StatusInternalServerError:
		return needed()
	}
	if web.Failed(err) && r.Context().Err() == nil {
		g.log.Error("a service could not be judged", "facade", g.common.Facade, "error", err)
	}
	return &Refusal{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: "The gateway cannot answer at this moment.", Wait: wait}
}

// noteOther notes a good proof of a service that is not the one demanded.
func (g *Gate) noteOther(who *account.Identity, addr netip.Addr) {
	g.rooms.Audit.Note(audit.Event{Kind: audit.KindToken, Outcome: audit.Denied, Cause: "not_required", Principal: who.ID,
		Name: who.Name + "@" + who.Realm, Client: addr, Method: g.common.Facade})
}

// CORS lets scripts of the listed origins, and of no others, read the answer, and
// answers their preflights: the request is then done. Credentials of the browser's
// own are never allowed.
func (g *Gate) CORS(w http.ResponseWriter, r *http.Request) (done bool) {
	if len(g.common.CORS) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if !g.listed(r) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", r.Header["Origin"][0])
	h.Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
	if !web.Preflight(r.Method, r.Header) {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Proxy-Authorization")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
