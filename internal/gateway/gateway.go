// Package gateway owns the configuration of both shells and the assembly of
// all rooms below: it opens the state, wires the rooms, and hands out two
// handlers, one for the network and one for the admin socket.
//
// A shell gives a Config, listens, and closes what it opened:
//
//	gw, err := gateway.Open(ctx, cfg, gateway.Options{…})
//	… serve gw.Handler() and gw.AdminHandler() …
//	err = gw.Close()
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/api"
	"github.com/sallyport-auth/sallyport/internal/web/authz"
	"github.com/sallyport-auth/sallyport/internal/web/portal"
	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// Options are what a shell knows besides the configuration.
type Options struct {
	StateDir string        // named on the command line; wins over Config.Storage
	Demo     bool          // guard the built-in demo page
	Offline  bool          // only AdminHandler will be used: nobody logs in here
	MinFree  uint64        // bytes kept free on the disk; 0: the engine's default
	BodyTime time.Duration // for the body of a request to us to arrive; 0: 30 s
	Version  string
	Clock    func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: silent
}

// Gateway is an open gateway. It is safe for concurrent use.
type Gateway struct {
	cfg      Config
	plan     *plan
	log      *slog.Logger
	clock    func() time.Time
	version  string
	demo     bool
	offline  bool
	bodyTime time.Duration
	state    *State
	audit    *audit.Log
	accounts *account.Directory
	throttle *throttle.Throttle
	factors  *factor.Factors
	sessions *session.Registry
	guard    *guard.Guard
	sites    []*site
	authz    http.Handler
	proxy    http.Handler
	admin    http.Handler
}

// site is one portal with its pages and API, or, without a portal, the pages
// and API of every host.
type site struct {
	web.LoginSite
	domain string // of the cookies; empty: each host has its own
	host   string // of the portal, canonical; empty: every host
	doors  *login.Doors
	pages  *portal.Portal
	api    *api.API
}

// Open understands the configuration, opens the state and wires the rooms. A
// mistake in the configuration is found before anything is opened.
func Open(ctx context.Context, cfg Config, o Options) (*Gateway, error) {
	own := o.Clock != nil
	if !own {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BodyTime == 0 {
		o.BodyTime = defaultBodyTime
	}
	p, err := cfg.plan(o.Demo)
	if err != nil {
		return nil, err
	}
	dir, _, err := cfg.StateDir(o.StateDir)
	if err != nil {
		return nil, err
	}
	state, err := OpenState(ctx, StateOptions{Dir: dir, MasterKey: cfg.MasterKey, Hasher: p.hasher, MinFree: o.MinFree, Clock: o.Clock, TestClock: own, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	if !o.Offline {
		state.Hasher.Measure(ctx) // the floor of a login's answer
	}
	g := &Gateway{cfg: cfg, plan: p, log: o.Logger, clock: o.Clock, offline: o.Offline, bodyTime: o.BodyTime, version: o.Version, demo: o.Demo, state: state}
	if err := g.wire(ctx); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	for _, w := range p.warnings {
		if !o.Demo {
			o.Logger.Warn(w)
		}
	}
	return g, nil
}

func (g *Gateway) wire(ctx context.Context) error {
	if err := g.wireRooms(ctx); err != nil {
		return err
	}
	if err := g.measureForeign(ctx); err != nil {
		return err
	}
	for i := range g.plan.sites {
		if err := g.wireSite(g.plan.sites[i]); err != nil {
			return err
		}
	}
	if err := g.wireTraffic(); err != nil {
		return err
	}
	management, err := g.newAPI(g.sites[0], true)
	g.admin = management
	return err
}

func (g *Gateway) wireRooms(ctx context.Context) (err error) {
	st := g.state.Store
	g.audit = audit.New(audit.Options{Logger: g.log, Clock: g.clock})
	g.accounts = account.New(account.Options{
		Audit: g.audit, Realms: g.plan.realms, DefaultRealm: g.cfg.DefaultRealm, Passwords: g.plan.passwords, Session: &g.plan.base,
	})
	if err := g.accounts.EnsureReserved(ctx, st); err != nil {
		return err
	}
	g.throttle = throttle.New(g.plan.throttle, st.Derive("throttle"))
	g.sessions, err = session.New(session.Options{
		Store: st, Derive: st.Derive, Directory: g.accounts, Audit: g.audit, Clock: g.clock, Logger: g.log, Issuer: g.plan.sites[0].portal,
	})
	if err != nil {
		return err
	}
	g.accounts.SetLiving(g.sessions)
	g.factors = factor.New(factor.Options{Directory: g.accounts, Audit: g.audit, Derive: st.Derive, Issuer: g.cfg.Name})
	g.accounts.OnDelete(func(tx store.Tx, u *account.User) error {
		_, err := g.sessions.RevokeAll(tx, u.ID, "")
		return errors.Join(err, g.factors.Forget(tx, u.ID), g.throttle.Forget(tx, u.ID), g.sites[0].doors.Forget(tx, u.ID))
	})
	g.guard, err = guard.New(guard.Options{
		Rules: g.plan.rules, Sessions: g.sessions, RealmExists: g.realmExists, OurToken: g.sessions.IsOurs, Clock: g.clock,
	})
	return err
}

// measureForeign lets the floor of a login's answer cover the dearest password
// hash that ever came from elsewhere.
func (g *Gateway) measureForeign(ctx context.Context) error {
	if g.offline {
		return nil
	}
	var digests []string
	err := g.state.Store.View(ctx, func(tx store.Tx) (err error) {
		digests, err = g.accounts.ForeignDigests(tx)
		return err
	})
	for _, digest := range digests {
		if err == nil {
			_, err = g.state.Hasher.MeasureForeign(ctx, digest)
		}
	}
	return err
}

func (g *Gateway) realmExists(ctx context.Context, name string) (bool, error) {
	err := g.state.Store.View(ctx, func(tx store.Tx) error {
		_, err := g.accounts.Realm(tx, name)
		return err
	})
	if errors.Is(err, account.ErrUnknownRealm) {
		return false, nil
	}
	return err == nil, err
}

func (g *Gateway) wireSite(p siteplan) (err error) {
	s := &site{LoginSite: web.LoginSite{Portal: p.portal}, domain: p.domain}
	if p.portal != "" {
		u, err := url.Parse(p.portal)
		if err != nil {
			return err
		}
		if s.host, err = guard.CanonicalHost(u.Host); err != nil {
			return err
		}
		s.Cookies = web.Cookies{Scheme: u.Scheme, Domain: p.domain}
	}
	st := g.state.Store
	targets := guard.TargetOptions{Portal: p.portal, Rules: g.plan.rules, Ports: g.cfg.Ports, Key: st.Derive("redirect targets")}
	if p.domain != "" {
		targets.Domains = []string{p.domain}
	}
	if s.Targets, err = guard.NewTargets(targets); err != nil {
		return err
	}
	s.doors = login.New(login.Options{
		Store: st, Directory: g.accounts, Factors: g.factors, Sessions: g.sessions, Throttle: g.throttle, Hasher: g.state.Hasher,
		Audit: g.audit, Derive: st.Derive, Clock: g.clock, Logger: g.log, CookieDomain: p.domain != "",
	})
	s.pages, err = portal.New(portal.Options{
		Doors: s.doors, Sessions: g.sessions, Directory: g.accounts, Factors: g.factors, Guard: g.guard, Targets: s.Targets,
		Store: st, Audit: g.audit, Derive: st.Derive, Portal: p.portal, Domain: p.domain,
		Client: g.client, Scheme: g.scheme, Site: g.cfg.Name, Logo: g.plan.logo, Clock: g.clock, Logger: g.log,
	})
	if err != nil {
		return err
	}
	if s.api, err = g.newAPI(s, false); err != nil {
		return err
	}
	g.sites = append(g.sites, s)
	return nil
}

// wireTraffic makes the two ways in which an application is guarded: answers to
// a proxy in front of it, and being that proxy.
func (g *Gateway) wireTraffic() (err error) {
	site := func(host string) *web.LoginSite {
		s, _ := g.site(host)
		return &s.LoginSite
	}
	g.authz, err = authz.New(authz.Options{
		Guard: g.guard, Site: site, Trusted: g.plan.trusted,
		Credentials: g.cfg.Credentials, Assertion: g.sessions.Assertion, Logger: g.log, Clock: g.clock,
	})
	if err != nil || g.plan.upstream == nil && !g.demo {
		return err
	}
	o := proxy.Options{
		Guard: g.guard, Site: site, Trusted: g.plan.trusted, Upstream: g.plan.upstream,
		Assertion: g.sessions.Assertion, Subscribe: g.sessions.Subscribe, ErrorPage: g.errorPage, Logger: g.log, Clock: g.clock,
	}
	if g.demo {
		o.Next = proxy.Demo()
	}
	g.proxy, err = proxy.New(o)
	return err
}

func (g *Gateway) newAPI(s *site, local bool) (*api.API, error) {
	return api.New(api.Options{
		Store: g.state.Store, Directory: g.accounts, Factors: g.factors, Sessions: g.sessions, Throttle: g.throttle, Doors: s.doors,
		Hasher: g.state.Hasher, Audit: g.audit, Clock: g.clock, Logger: g.log, Local: local,
		Cookies: s.Cookies, Client: g.client, Scheme: g.scheme,
		Portal: s.Portal, SetupBase: g.setupBase(), AllowOrigins: g.cfg.CORS.AllowOrigins, Version: g.version,
	})
}

// setupBase is where the setup link starts: the portal, else this server on
// localhost, which is what passkeys need instead of an address.
func (g *Gateway) setupBase() string {
	if g.plan.sites[0].portal != "" {
		return g.plan.sites[0].portal
	}
	address := g.cfg.ListenAddress()
	if strings.HasPrefix(address, "unix:") {
		return ""
	}
	i := strings.LastIndexByte(address, ':')
	host, port := address[:max(i, 0)], address[i+1:]
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); host == "" || err == nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	return "http://" + host + ":" + port
}

// client is the address of whoever asks, past trusted proxies.
func (g *Gateway) client(r *http.Request) netip.Addr { return g.plan.trusted.Client(r) }

// scheme is the public scheme of a request.
func (g *Gateway) scheme(r *http.Request) string { return g.plan.trusted.Scheme(r) }

// StateDir is the directory of the open state.
func (g *Gateway) StateDir() string { return g.state.Dir }

// AdminHandler answers on the admin socket: management alone, actor local.
func (g *Gateway) AdminHandler() http.Handler { return g.admin }

// Close releases everything that Open opened.
func (g *Gateway) Close() error {
	var err error
	if g.sessions != nil {
		err = g.sessions.Close()
	}
	return errors.Join(err, g.state.Close())
}
