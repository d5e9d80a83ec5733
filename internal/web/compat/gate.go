package compat

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
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
	// reach it through a browser, so it takes only our own Host, literal loopback or
	// the address that was connected to, no Origin and no Sec-Fetch-Site but
	// same-origin and none.
	Open bool
	// Listed: an Open call that pages make too, those of our own origin and those of
	// origins in `cors`.
	Listed bool
	// Programs: it proves who calls, and programs make it. Pages may do so only where
	// `cors` lists their origin: else any page locks callers out with wrong tokens.
	// Without allow_from it takes the same hosts as an Open call, so that no name
	// that somebody made point here reads answers.
	Programs bool
	// Loopback: without allow_from it is for this host alone, otherwise for everybody.
	Loopback bool
	// Authorization: the call itself needs that header, so the service of `require`
	// proves itself in Proxy-Authorization.
	Authorization bool
}

var (
	elsewhere = Refusal{Status: http.StatusForbidden, Code: "network", Text: "This may not be called from there: allow_from says from where."}
	otherHost = Refusal{Status: http.StatusForbidden, Code: "host", Text: "This is not answered under that host name."}
	otherPage = Refusal{Status: http.StatusForbidden, Code: "origin", Text: "This may not be called by a web page."}
)

// Admit lets a call in, and says who is calling as far as the network tells, or
// refuses it: nil is no refusal.
//
// A request with any forwarding header is never from this host, whoever sent it: a
// proxy on this host that does not say whom it forwards for would else open what is
// for this host alone. Where nobody named this host in allow_from, [Here] looks for
// more. An address that nobody knows is in no network.
func (g *Gate) Admit(r *http.Request, c Call) (login.Client, *Refusal) {
	addr := g.rooms.Client(r).Unmap().WithZone("")
	client := web.Caller(r, addr)
	client.Browser = "" // no facade reads a cookie
	if !g.from(r, addr, c) {
		return client, new(elsewhere)
	}
	if c.Open || c.Programs {
		if refused := g.page(r, c); refused != nil {
			return client, refused
		}
	}
	return client, g.required(r, addr, c)
}

func (g *Gate) from(r *http.Request, addr netip.Addr, c Call) bool {
	if g.common.AllowFrom == nil {
		return !c.Loopback || Here(r, addr)
	}
	if addr.IsLoopback() && web.WasForwarded(r) {
		return false
	}
	return slices.ContainsFunc(g.common.AllowFrom, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// page keeps other people's pages away: a request of a foreign page, and one under a
// name that its owner made point to us.
func (g *Gate) page(r *http.Request, c Call) *Refusal {
	if (c.Open || g.common.AllowFrom == nil) && !g.ownName(r) {
		return new(otherHost)
	}
	if lines := r.Header["Origin"]; (c.Listed || c.Programs) && len(lines) == 1 && web.OneOf(lines[0], g.common.CORS) {
		return nil // whatever Sec-Fetch-Site says: it is another site by nature
	}
	var self []string
	if c.Listed {
		scheme := web.Scheme
		if g.common.Scheme != nil {
			scheme = g.common.Scheme
		}
		self = []string{web.OwnOrigin(scheme(r), r.Host)}
	}
	if web.SiteOf(r, self...) == web.SiteForeign {
		return new(otherPage)
	}
	return nil
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
	if lines := r.Header["Origin"]; len(lines) != 1 || !web.OneOf(lines[0], g.common.CORS) {
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
