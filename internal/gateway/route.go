package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// RouteOptions is one guarded route of a server that is not ours.
type RouteOptions struct {
	// Rules decide on this route alone. None: the rule of a site that says nothing
	// more, which is realms users and admin with two factors.
	Rules []guard.Rule
	// Target is proxy.Options.Target.
	Target func(*http.Request) (path, original string, ok bool)
	// WebSocket is proxy.Options.WebSocket.
	WebSocket func(*http.Request) bool
}

// Route guards a route by rules of its own. Its login pages are those of this
// gateway; the configuration's own rules are for forward-auth and have no say
// here. Errors name rule, field and what was expected (*guard.Error).
func (g *Gateway) Route(o RouteOptions) (*proxy.Handler, error) {
	if len(o.Rules) == 0 {
		o.Rules = g.cfg.implied()
	}
	rules, err := guard.Compile(o.Rules, g.cfg.compileOptions())
	if err != nil {
		return nil, err
	}
	if bad := g.cfg.facadeInRules(o.Rules); bad != nil {
		return nil, bad
	}
	for _, w := range rules.Warnings() {
		g.log.Warn(w)
	}
	g.admits(o.Rules)
	check, err := guard.New(guard.Options{
		Rules: rules, Sessions: g.sessions, Programs: programs{g.programs}, Refused: g.refusedProof, RealmExists: g.realmExists, OurToken: g.sessions.IsOurs, Clock: g.clock,
	})
	if err != nil {
		return nil, err
	}
	return proxy.New(proxy.Options{
		Guard: check, Site: g.loginSite, Client: g.client, Scheme: g.scheme, Target: o.Target, WebSocket: o.WebSocket, KeepForwarded: true, Demands: true,
		Assertion: g.sessions.Assertion, Subscribe: g.sessions.Follow, ErrorPage: g.errorPage, OnDecision: g.counter(o.Rules), Logger: g.log, Clock: g.clock,
	})
}

// CheckRules looks at the rules of a route without a gateway: whole sentences about
// what is allowed and probably not meant, or an error as Route gives it.
func (c *Config) CheckRules(written []guard.Rule) (remarks []string, err error) {
	rules, err := guard.Compile(written, c.compileOptions())
	if err != nil {
		return nil, err
	}
	if bad := c.facadeInRules(written); bad != nil {
		return nil, bad
	}
	warnings, hints := c.ruleRemarks(written, rules)
	return append(warnings, hints...), nil
}

// Owns reports whether a request target is below /sallyport/, where the gateway
// answers by itself (Handler) on every guarded host. It looks at the raw target.
func Owns(target string) bool {
	return strings.HasPrefix(target, web.Prefix) || target == "/sallyport" || strings.HasPrefix(target, "/sallyport?")
}

// Portals are where the login pages are, none where each host has its own.
func (c *Config) Portals() (portals []Portal) {
	p := &plan{}
	if c.planSites(p, shell{}) != nil {
		return nil
	}
	return portalsOf(p.sites)
}

func portalsOf(sites []siteplan) (portals []Portal) {
	for _, s := range sites {
		if u, err := url.Parse(s.portal); err == nil && s.portal != "" {
			host, _ := guard.CanonicalHost(u.Host)
			portals = append(portals, Portal{Origin: s.portal, Host: host, Domain: s.domain})
		}
	}
	return portals
}

// Portal is a host of login pages. Domain is its cookie domain, "" for none.
type Portal struct{ Origin, Host, Domain string }

// Serves reports whether a login at this portal reaches a host.
func (p Portal) Serves(host string) bool {
	return host == p.Host || p.Domain != "" && (host == p.Domain || strings.HasSuffix(host, "."+p.Domain))
}

// servesSome reports whether a login at this portal reaches a host that a rule's
// pattern matches. The portal alone is not enough for *.suffix: who writes that
// means others.
func (p Portal) servesSome(pattern string) bool {
	if pattern == "*" {
		return true
	}
	suffix, below := strings.CutPrefix(pattern, "*.")
	host, err := guard.CanonicalHost(suffix)
	switch {
	case err != nil:
		return true // the rule says what is wrong with it
	case !below:
		return p.Serves(host)
	}
	return p.Domain != "" && (host == p.Domain || strings.HasSuffix(host, "."+p.Domain) || strings.HasSuffix(p.Domain, "."+host))
}

// Validate finds what is wrong with a configuration without opening anything.
// routes: a server with routes of its own carries it.
func (c *Config) Validate(routes bool) error {
	_, err := c.plan(shell{routes: routes})
	return err
}
