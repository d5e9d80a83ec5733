package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// Who says who may call a route. The zero Who is nobody.
type Who uint8

const (
	// Anyone needs no proof; what the body proves is the call's own business.
	Anyone Who = iota + 1
	// Owner is a signed-in person, for the own record.
	Owner
	// OwnerChange is a signed-in person who proved every factor there is, for
	// changes of the own record: a trusted browser is not enough.
	OwnerChange
	// OwnerOrEnrolling is Owner, or whoever holds the ephemeral token of a login
	// that must set up a factor first. The call asks caller.prove unless the
	// body holds that token.
	OwnerOrEnrolling
	// OwnerOrCapable is Owner for the own record, and Capable for others'.
	OwnerOrCapable
	// Capable is a person whose realm has a capability, in a session with two
	// real factors, or a service of such a realm, or the local administrator.
	// Which capability, and over which realm, is checked in the call's
	// transaction.
	Capable
	// LocalOnly is the local administrator.
	LocalOnly
)

// String names the level, for tests and the description.
func (w Who) String() string {
	names := [...]string{"nobody", "anyone", "owner", "owner with every factor", "owner or an enrolling login", "owner or capability", "capability", "local administrator"}
	if int(w) < len(names) {
		return names[w]
	}
	return names[0]
}

// caller is who sent a request.
type caller struct {
	local  bool
	cookie bool // proved by the session cookie, which browsers send by themselves
	live   session.Live
	client login.Client
	prove  func() error // for OwnerOrEnrolling: finds out who it is
	match  condition    // Route.Match
	once   *request     // Route.Once, with an Idempotency-Key
	w      http.ResponseWriter
	r      *http.Request
}

// actor is the caller for rooms that check capabilities.
func (c *caller) actor() account.Actor {
	if c.local {
		return account.Local()
	}
	if c.live.Identity == nil {
		return account.Actor{} // nobody, who may do nothing
	}
	if c.program() {
		return account.Program(c.live.Identity).From(c.client.Addr, "")
	}
	return account.Person(c.live.Identity.ID, c.live.Proof.AMR.RealFactors(), c.live.Proof.FactorAt).From(c.client.Addr, c.live.ID)
}

// self is the caller as the owner of a record. Only routes for owners call it.
func (c *caller) self() account.Actor {
	return account.Self(c.live.Identity.ID).From(c.client.Addr, c.live.ID)
}

// program reports whether a service is calling.
func (c *caller) program() bool {
	return c.live.Identity != nil && c.live.Identity.Kind == principal.Service
}

type callerKey struct{}

func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// admit finds out who is calling and whether the route is for them; the error
// says why not.
func (a *API) admit(w http.ResponseWriter, r *http.Request, route Route) (*caller, error) {
	c := &caller{w: w, r: r, local: a.Local}
	if a.Local {
		if r.Header["Origin"] != nil || web.SecFetch(r.Header) {
			return nil, problem(http.StatusForbidden, "foreign_origin", "Browsers have no business here.")
		}
		switch route.Who {
		case Anyone: // the doors: management alone is spoken here
			return nil, notFound()
		case Owner, OwnerChange, OwnerOrEnrolling:
			return nil, problem(http.StatusForbidden, "forbidden", "The local administrator has no record of their own here.")
		}
		return c, nil
	}
	c.client = web.Caller(r, a.Client(r))
	origin := a.origin(r)
	if origin == foreign {
		return nil, problem(http.StatusForbidden, "foreign_origin", "Pages of other sites may not call this.")
	}
	if route.Who == Anyone {
		return c, nil
	}
	prove := func() error {
		if err := a.identify(c, r, origin, route); err != nil {
			return err
		}
		if err := mayCall(c, route.Who); err != nil || route.Who != Capable {
			return err
		}
		return a.someCapability(r.Context(), c)
	}
	if route.Who == OwnerOrEnrolling {
		c.prove = prove
		return c, nil
	}
	err := prove()
	if p := (*Problem)(nil); errors.As(err, &p) && p.Status == http.StatusUnauthorized && route.Who == Capable && !web.SecFetch(r.Header) {
		// A browser would ask for a password, which is none of a person's proofs here.
		p.with("WWW-Authenticate", "Bearer, "+web.BasicChallenge)
	}
	return c, err
}

// identify takes the access token or else the session cookie.
func (a *API) identify(c *caller, r *http.Request, origin origin, route Route) error {
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		scheme, token, _ := strings.Cut(values[0], " ")
		if len(values) == 1 && strings.EqualFold(scheme, "Basic") {
			return a.identifyProgram(c, r, values[0])
		}
		if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return unauthenticated()
		}
		live, err := a.Sessions.VerifyAccess(r.Context(), strings.TrimSpace(token))
		if err == nil && !live.Identity.MayCallFrom(c.client.Addr) {
			// Probably stolen.
			a.Audit.Note(audit.Event{Time: a.Clock(), Kind: audit.KindToken, Outcome: audit.Denied, Cause: "network", Principal: live.Identity.ID,
				Name: nameOf(live.Identity), Client: c.client.Addr, Method: "access_token"})
			return unauthenticated()
		}
		return c.settle(live, err)
	}
	if origin == listed {
		return unauthenticated() // a foreign page never acts by a cookie
	}
	cookie := a.Cookies.Portal(r.Header, a.Scheme(r))
	if cookie == "" {
		return unauthenticated()
	}
	// Without a portal an upstream's scripts share our origin and look like us.
	if a.Portal == "" && !route.SharedCookie {
		return problem(http.StatusForbidden, "token_needed", "On a host that is shared with an upstream the cookie does not open this: send an access token.")
	}
	if web.Unsafe(r.Method) && origin != own {
		return problem(http.StatusForbidden, "origin_needed", "With a cookie, changes need the header Origin or Sec-Fetch-Site of this site.")
	}
	live, err := a.Sessions.Live(r.Context(), cookie, a.Clock())
	c.cookie = true
	if err == nil && !live.Portal {
		return unauthenticated() // the domain's cookie is for the guard alone
	}
	return c.settle(live, err)
}

func (c *caller) settle(live session.Live, err error) error {
	if errors.Is(err, session.ErrNone) {
		return unauthenticated()
	}
	if err != nil {
		return err
	}
	if live.Identity == nil || live.ID == "" && live.Identity.Kind != principal.Service {
		return unauthenticated()
	}
	c.live = live
	return nil
}

// identifyProgram takes a service's Basic credential. Basic names services only: a
// person is refused like an unknown name. A browser that was told one sends it by
// itself, for whatever page, so none is taken from a browser.
func (a *API) identifyProgram(c *caller, r *http.Request, credential string) error {
	name, token, ok := web.BasicCredential(credential)
	if !ok || web.SecFetch(r.Header) || r.Header["Origin"] != nil {
		return unauthenticated()
	}
	who, err := a.program(r.Context(), c, name, token)
	if errors.Is(err, login.ErrDenied) {
		return denied()
	}
	if err != nil {
		return err
	}
	c.live = session.Live{Identity: who, Epoch: who.Epoch}
	return nil
}

// program judges a service's name@realm and its token. Errors: those of
// login.Programs.Program.
func (a *API) program(ctx context.Context, c *caller, name, token string) (*account.Identity, error) {
	ref, err := principal.ParseRef(name, "")
	if err != nil { // nobody has it, so it has no other spelling
		ref = principal.Ref{Name: name}
	}
	return a.Programs.Program(ctx, ref, token, c.client.Addr)
}

// mayCall compares what was proved with what the route asks for. Capabilities
// are checked later, over the realm that the call names.
func mayCall(c *caller, who Who) error {
	if c.program() { // it has no record of its own here; what it may do to others its realm says
		if who == Capable || who == OwnerOrCapable {
			return nil
		}
		return forbidden()
	}
	real := c.live.Proof.AMR.RealFactors()
	switch who {
	case Owner, OwnerOrEnrolling, OwnerOrCapable:
		return nil
	case OwnerChange:
		if real < min(2, 1+c.live.Identity.Methods) {
			return problem(http.StatusForbidden, "not_fresh", "Sign in again with your second factor: a trusted browser does not open this.")
		}
		return nil
	case Capable:
		if real < 2 {
			return problem(http.StatusForbidden, "forbidden", "This needs a session with two factors.")
		}
		return nil
	}
	return forbidden()
}

// someCapability refuses whoever may do nothing to anybody, before a body is
// read. Which capability a call needs, and over which realm, it checks itself.
func (a *API) someCapability(ctx context.Context, c *caller) error {
	return a.Store.View(ctx, func(tx store.Tx) error {
		realm, err := a.Directory.Stored(tx, c.live.Identity.Realm)
		if errors.Is(err, account.ErrUnknownRealm) || err == nil && len(realm.Grants) == 0 {
			return forbidden()
		}
		return err
	})
}

// origin says what a browser tells about the page that sent a request.
type origin uint8

const (
	untold  origin = iota // neither header: a program, or an old browser
	own                   // a page of this site, or typed by a person
	listed                // a foreign page that the configuration names
	foreign               // any other page
)

// origin tells pages of this site from those that the configuration lists and
// from all others.
func (a *API) origin(r *http.Request) origin {
	switch web.SiteOf(r, a.ownOrigin(r)) {
	case web.SiteUnknown:
		return untold
	case web.SiteSame:
		return own
	}
	if values := r.Header.Values("Origin"); len(values) == 1 && web.OneOf(values[0], a.AllowOrigins) {
		return listed
	}
	return foreign
}

// ownOrigin is the origin of the pages of this site, as a browser writes it.
func (a *API) ownOrigin(r *http.Request) string {
	if a.Portal != "" {
		return a.Portal
	}
	return web.OwnOrigin(a.Scheme(r), r.Host)
}

// preflight answers CORS preflights of listed origins, and adds what lets
// their pages read our answers. It reports whether the request is done.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) bool {
	if a.Local || len(a.AllowOrigins) == 0 {
		return false
	}
	w.Header().Add("Vary", "Origin")
	if a.origin(r) != listed {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Expose-Headers", "ETag, Idempotency-Replayed, Retry-After, WWW-Authenticate")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
