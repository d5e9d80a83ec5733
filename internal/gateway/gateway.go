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
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/api"
	"github.com/sallyport-auth/sallyport/internal/web/authz"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/portal"
	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// Options are what a shell knows besides the configuration.
type Options struct {
	StateDir string        // named on the command line; wins over a directory in Config.Storage
	Existing bool          // make no state in an empty database
	Demo     bool          // guard the built-in demo page
	Routes   bool          // a server of somebody else's, with routes that Gateway.Route guards
	Offline  bool          // only AdminHandler will be used: nobody logs in here
	MinFree  uint64        // bytes kept free on the disk; 0: the engine's default
	BodyTime time.Duration // for the body of a request to us to arrive; 0: 30 s
	Version  string
	Clock    func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: silent

	// Client and Scheme say who is asking and by which scheme, for a server that
	// knows. Nil: the peer, past trusted_proxies.
	Client func(*http.Request) netip.Addr
	Scheme func(*http.Request) string
	// Base is where people find the pages ("https://app.example.com"), "" while
	// nobody knows; asked where there is no portal. Nil: the listen address.
	Base func() string
}

func (o Options) shell() shell { return shell{demo: o.Demo, routes: o.Routes} }

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
	base     func() string
	client   func(*http.Request) netip.Addr // who is asking, past trusted proxies
	scheme   func(*http.Request) string     // the public scheme of a request
	state    *State
	owned    bool     // state is closed with this gateway
	made     []string // realms that Begin made
	hasher   *secret.Hasher
	letters  *letters // to people
	audit    *audit.Log
	accounts *account.Directory
	throttle *throttle.Throttle
	factors  *factor.Factors
	sessions *session.Registry
	programs *login.Programs
	guard    *guard.Guard
	sites    []*site
	admitted sync.Map // realms whose programs rules let in, those of routes too
	facades  []compat.Facade
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
	p, err := cfg.plan(o.shell())
	if err != nil {
		return nil, err
	}
	so, err := cfg.StateOptions(o)
	if err != nil {
		return nil, err
	}
	state, err := OpenState(ctx, so)
	if err != nil {
		return nil, err
	}
	g, err := build(ctx, cfg, p, state, o)
	if err == nil {
		err = g.Begin(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, state.Close())
	}
	g.owned = true
	return g, nil
}

// OpenOn is Open over a state that is open already and stays so: for shells that
// reload, where the new configuration begins before the old one ends. Only the
// state's own options must be those it was opened with (StateOptions). It changes
// nothing in the state: Begin does, when the configuration comes into force.
func OpenOn(ctx context.Context, cfg Config, state *State, o Options) (*Gateway, error) {
	p, err := cfg.plan(o.shell())
	if err != nil {
		return nil, err
	}
	return build(ctx, cfg, p, state, o)
}

// Begin puts the configuration in force: the realms that it names exist from then
// on, its hash slots are those that count, messages leave as it says, and it is the
// one that sends notices. Again is harmless.
func (g *Gateway) Begin(ctx context.Context) error {
	made, err := g.accounts.Reserve(ctx, g.state.Store)
	if err != nil {
		return err
	}
	g.made = append(g.made, made...)
	g.state.adopt(g.hasher, g.plan.hasher)
	g.audit.Within(g.sites[0].doors.Notify)
	g.state.outbox.Use(g.settings())
	if !g.offline {
		g.state.followForeign()
		g.state.outbox.Start()
	}
	return nil
}

// Retract takes back what Begin changed, where something else refused the
// configuration after it had begun.
func (g *Gateway) Retract(ctx context.Context) error {
	made := g.made
	g.made = nil
	return account.Retract(ctx, g.state.Store, made)
}

// StateOptions is how the state of a configuration is opened.
func (c *Config) StateOptions(o Options) (StateOptions, error) {
	s, err := c.storage(o.StateDir)
	if err != nil {
		return StateOptions{}, err
	}
	own := o.Clock != nil
	o = o.defaults()
	return StateOptions{Dir: s.dir, Database: s.database, Place: s.place, Existing: o.Existing, MasterKey: c.MasterKey, MinFree: o.MinFree, Clock: o.Clock, TestClock: own, Version: o.Version, Logger: o.Logger}, nil
}

func (o Options) defaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BodyTime == 0 {
		o.BodyTime = defaultBodyTime
	}
	return o
}

func build(ctx context.Context, cfg Config, p *plan, state *State, o Options) (*Gateway, error) {
	o = o.defaults()
	g := &Gateway{
		cfg: cfg, plan: p, log: o.Logger, clock: o.Clock, offline: o.Offline, bodyTime: o.BodyTime, version: o.Version, demo: o.Demo,
		state: state, hasher: state.newHasher(p.hasher), audit: state.Audit, sessions: state.Sessions.As(p.sites[0].portal),
	}
	g.base, g.client, g.scheme = o.Base, o.Client, o.Scheme
	if g.client == nil {
		g.client = p.trusted.Client
	}
	if g.scheme == nil {
		g.scheme = p.trusted.Scheme
	}
	if !o.Offline && !g.hasher.Measured() {
		g.hasher.Measure(ctx) // the floor of a login's answer
	}
	if err := g.wire(ctx); err != nil {
		return nil, err
	}
	for _, w := range p.warnings {
		if !o.Demo {
			o.Logger.Warn(w)
		}
	}
	return g, nil
}

func (g *Gateway) wire(ctx context.Context) error {
	if err := g.wireRooms(); err != nil {
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
	g.admits(g.plan.written)
	facades, err := g.newFacades()
	if err != nil {
		return err
	}
	management, err := g.newAPI(g.sites[0], true)
	g.admin, g.facades = management, facades
	return err
}

func (g *Gateway) wireRooms() (err error) {
	st := g.state.Store
	g.accounts = account.New(account.Options{
		Audit: g.audit, Realms: g.plan.realms, DefaultRealm: g.cfg.DefaultRealm, Passwords: g.plan.passwords, Session: &g.plan.base, Capable: g.plan.capable(), Apps: g.plan.apps(),
	})
	if err := g.accounts.Check(); err != nil {
		return err
	}
	g.throttle = throttle.New(g.plan.throttle, st.Derive("throttle"))
	g.accounts.SetLiving(g.sessions)
	g.letters = g.newLetters()
	g.factors = factor.New(factor.Options{
		Directory: g.accounts, Audit: g.audit, Derive: st.Derive, Issuer: g.cfg.Name, Sender: g.letters, Own: g.ownMethods(), YubiKeys: g.plan.yubikeys,
		Passkeys: g.plan.passkeys,
	})
	g.accounts.OnDelete(func(tx store.Tx, u *account.User) error {
		_, err := g.sessions.RevokeAll(tx, u.ID, "")
		return errors.Join(err, g.factors.Forget(tx, u.ID), g.throttle.Forget(tx, u.ID), g.sites[0].doors.Forget(tx, u.ID), g.state.outbox.Forget(tx, u.ID))
	})
	g.programs = login.NewPrograms(login.ProgramOptions{
		Store: st, Directory: g.accounts, Throttle: g.throttle, Audit: g.audit, Derive: st.Derive, Clock: g.clock,
	})
	g.accounts.OnDeleteService(func(tx store.Tx, s *account.Service) error { return g.throttle.Forget(tx, s.ID) })
	g.guard, err = guard.New(guard.Options{
		Rules: g.plan.rules, Sessions: g.sessions, Programs: programs{g.programs}, Refused: g.refusedProof, RealmExists: g.realmExists, OurToken: g.sessions.IsOurs, Clock: g.clock,
	})
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
		Store: st, Directory: g.accounts, Factors: g.factors, Sessions: g.sessions, Throttle: g.throttle, Hasher: g.hasher,
		Audit: g.audit, Derive: st.Derive, Clock: g.clock, Logger: g.log, CookieDomain: p.domain != "", Mail: g.letters,
	})
	s.pages, err = portal.New(portal.Options{
		Doors: s.doors, Sessions: g.sessions, Directory: g.accounts, Factors: g.factors, Guard: g.guard, Targets: s.Targets,
		Store: st, Audit: g.audit, Derive: st.Derive, Portal: p.portal, Domain: p.domain,
		Client: g.client, Scheme: g.scheme, Labels: g.letters.labels, Site: g.cfg.Name, Logo: g.plan.logo, Clock: g.clock, Logger: g.log,
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
	decided := g.counter(g.plan.written)
	g.authz, err = authz.New(authz.Options{
		Guard: g.guard, Site: g.loginSite, Trusted: g.plan.trusted, OnDecision: func(_ string, d *guard.Decision) { decided(d) },
		Credentials: g.cfg.Credentials, Assertion: g.sessions.Assertion, Logger: g.log, Clock: g.clock,
	})
	if err != nil || g.plan.upstream == nil && !g.demo {
		return err
	}
	o := proxy.Options{
		Guard: g.guard, Site: g.loginSite, Trusted: g.plan.trusted, Upstream: g.plan.upstream,
		Assertion: g.sessions.Assertion, Subscribe: g.sessions.Follow, ErrorPage: g.errorPage, OnDecision: decided, Logger: g.log, Clock: g.clock,
	}
	if g.demo {
		o.Next = proxy.Demo()
	}
	g.proxy, err = proxy.New(o)
	return err
}

func (g *Gateway) loginSite(host string) *web.LoginSite {
	s, _ := g.site(host)
	return &s.LoginSite
}

func (g *Gateway) newAPI(s *site, local bool) (*api.API, error) {
	return api.New(api.Options{
		Store: g.state.Store, Directory: g.accounts, Factors: g.factors, Sessions: g.sessions, Throttle: g.throttle, Doors: s.doors, Programs: g.programs,
		Hasher: g.hasher, Audit: g.audit, Outbox: g.state.outbox, Derive: g.state.Store.Derive, Clock: g.clock, Logger: g.log, Local: local,
		Cookies: s.Cookies, Client: g.client, Scheme: g.scheme,
		Portal: s.Portal, SetupBase: g.setupBase, AllowOrigins: g.cfg.CORS.AllowOrigins, Version: g.version, Look: s.pages.Look(),
	})
}

// setupBase is where the setup link starts: the portal, else this server on
// localhost, which is what passkeys need instead of an address.
func (g *Gateway) setupBase() string {
	if g.plan.sites[0].portal != "" {
		return g.plan.sites[0].portal
	}
	if g.base != nil {
		return g.base()
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

// StateDir is the directory of the open state; empty: a database holds it.
func (g *Gateway) StateDir() string { return g.state.Dir }

// AdminHandler answers on the admin socket: management alone, actor local.
func (g *Gateway) AdminHandler() http.Handler { return g.admin }

// Close releases everything that Open opened; after OpenOn there is nothing.
func (g *Gateway) Close() error {
	if !g.owned {
		return nil
	}
	return g.state.Close()
}
