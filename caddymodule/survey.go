package caddymodule

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// loginPath stands for all that the gateway answers by itself.
const loginPath = "/sallyport/login"

// site is one handler of ours and the hosts whose requests come to it.
type site struct {
	server  string
	https   bool
	port    string
	hosts   []string // none: every host
	handler *Handler
	routes  caddyhttp.RouteList // of the server
}

// origin is where a browser finds the site; one of its hosts stands for all.
func (s *site) origin() string {
	host := "localhost"
	for _, h := range s.hosts {
		if !strings.ContainsAny(h, "*{") {
			host = h
			break
		}
	}
	scheme, standard := "http", "80"
	if s.https {
		scheme, standard = "https", "443"
	}
	if s.port == standard || s.port == "" {
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, s.port)
}

// sitesOf finds every handler of ours in a server, with the hosts that the
// matchers above it name.
func sitesOf(name string, server *caddyhttp.Server) []site {
	s := site{server: name, https: len(server.TLSConnPolicies) > 0, routes: resolved(server.Routes, server.NamedRoutes, 0)}
	for _, address := range server.Listen {
		if parsed, err := caddy.ParseNetworkAddress(address); err == nil && !parsed.IsUnixNetwork() {
			s.port = strconv.Itoa(int(parsed.StartPort))
			break
		}
	}
	return below(s.routes, nil, s)
}

// maxInvoked bounds how deep named routes invoke each other.
const maxInvoked = 8

// resolved puts named routes in the place of what invokes them.
func resolved(routes caddyhttp.RouteList, named map[string]*caddyhttp.Route, depth int) caddyhttp.RouteList {
	if len(named) == 0 || depth > maxInvoked {
		return routes
	}
	all := slices.Clone(routes)
	for i := range all {
		handlers := slices.Clone(all[i].Handlers)
		for j, handler := range handlers {
			switch handler := handler.(type) {
			case *caddyhttp.Invoke:
				if route := named[handler.Name]; route != nil {
					handlers[j] = &caddyhttp.Subroute{Routes: resolved(caddyhttp.RouteList{*route}, named, depth+1)}
				}
			case *caddyhttp.Subroute:
				handlers[j] = &caddyhttp.Subroute{Routes: resolved(handler.Routes, named, depth)}
			}
		}
		all[i].Handlers = handlers
	}
	return all
}

func below(routes caddyhttp.RouteList, hosts []string, s site) (found []site) {
	for i := range routes {
		here := hosts
		if named := hostsOf(routes[i].MatcherSets); len(named) > 0 {
			here = named
		}
		for _, handler := range routes[i].Handlers {
			switch handler := handler.(type) {
			case *Handler:
				s.hosts, s.handler = here, handler
				found = append(found, s)
			case *caddyhttp.Subroute:
				found = append(found, below(handler.Routes, here, s)...)
			}
		}
	}
	return found
}

func hostsOf(sets caddyhttp.MatcherSets) (hosts []string) {
	for _, set := range sets {
		for _, matcher := range set {
			switch m := matcher.(type) {
			case *caddyhttp.MatchHost:
				hosts = append(hosts, *m...)
			case caddyhttp.MatchHost:
				hosts = append(hosts, m...)
			}
		}
	}
	return hosts
}

// asks is a request as a browser would send it, for matchers to look at.
func asks(method, scheme, host, target string) (*http.Request, error) {
	r, err := http.NewRequest(method, scheme+"://"+host+target, nil)
	if err != nil {
		return nil, err
	}
	r.RequestURI, r.RemoteAddr = target, "192.0.2.1:1"
	if scheme == "https" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: host}
	}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), nil), nil
}

// first is the first handler of ours that a request would come to, nil if it would
// come to none. The request is rewritten as it would be on the way.
func first(routes caddyhttp.RouteList, r *http.Request) *Handler {
	groups := map[string]bool{}
	for i := range routes {
		if routes[i].Group != "" && groups[routes[i].Group] {
			continue
		}
		match, err := routes[i].MatcherSets.AnyMatchWithError(r)
		if err != nil || !match {
			continue
		}
		groups[routes[i].Group] = true
		for _, handler := range routes[i].Handlers {
			switch handler := handler.(type) {
			case *Handler:
				return handler
			case *rewrite.Rewrite:
				if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
					handler.Rewrite(r, repl)
				}
			case *caddyhttp.Subroute:
				if h := first(handler.Routes, r); h != nil {
					return h
				}
			}
		}
		if routes[i].Terminal {
			return nil
		}
	}
	return nil
}

// survey looks at the whole configuration once it has started: where people find
// the pages, and what is allowed but cannot work.
func (a *App) survey() {
	server, err := a.http()
	if err != nil {
		return // no http app: nothing is guarded
	}
	var sites []site
	for name, s := range server.Servers {
		sites = append(sites, sitesOf(name, s)...)
	}
	slices.SortStableFunc(sites, func(a, b site) int { return strings.Compare(a.server, b.server) })
	for i := range sites {
		if origin := sites[i].origin(); a.base.Load() == nil && !sites[i].handler.Portal {
			a.base.Store(&origin)
		}
	}
	for _, text := range remarks(sites, a.Config.Portals()) {
		a.log.Warn(text)
	}
	pool.Range(func(dir, value any) bool {
		if dir != a.shared.place && value.(*shared).current() != nil {
			a.log.Warn("storage is another one after this reload: who is signed in with the old one is not signed in here", "old", dir, "new", a.shared.place)
		}
		return true
	})
}

// remarks are whole sentences about what cannot work as it is configured.
func remarks(sites []site, portals []gateway.Portal) (texts []string) {
	say := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	for _, p := range portals {
		if !answers(sites, p.Host) {
			say("portal %s: no site of this Caddy answers there: add a site with `sallyport portal`, unless another server has it", p.Origin)
		}
	}
	for i := range sites {
		s := &sites[i]
		for _, host := range s.names() {
			switch {
			case s.handler.Portal && len(portals) == 0:
				say("%s: `sallyport portal` without the option `portal` is a host of login pages for itself alone: name it among the global options (portal %s)", host, s.origin())
			case len(portals) > 0 && !s.handler.Portal && !slices.ContainsFunc(portals, func(p gateway.Portal) bool { return p.Serves(host) }):
				say("%s: this host is not below a cookie_domain, so no login at the portal ever reaches it and nobody gets in", host)
			case len(portals) == 0 && !s.handler.Portal && !reaches(s, host):
				say("%s: sallyport guards a part of this site that /sallyport/* does not come to, so nobody can reach the login pages: guard the whole site and say in rules which paths ask for what, or set a portal", host)
			}
			if open := s.open(host); open != "" && !s.handler.Portal {
				say("%s: sallyport stands behind a matcher here, and %s comes to none, so it passes without a login: guard the whole site and say in rules which paths ask for what", host, open)
			}
		}
	}
	return texts
}

// names are the hosts that can be asked about.
func (s *site) names() []string {
	names := slices.DeleteFunc(slices.Clone(s.hosts), func(h string) bool { return strings.Contains(h, "{") })
	for i, name := range names {
		names[i] = strings.ToLower(strings.ReplaceAll(name, "*", "any"))
	}
	if len(s.hosts) == 0 {
		names = []string{"localhost"}
	}
	return names
}

// open is a path of the site that comes to no handler of ours, "" where none was
// found.
func (s *site) open(host string) string {
	for _, path := range [...]string{"/", "/a-path-that-no-matcher-names"} {
		if r, err := asks(http.MethodGet, s.scheme(), host, path); err == nil && first(s.routes, r) == nil {
			return path
		}
	}
	return ""
}

func (s *site) scheme() string {
	if s.https {
		return "https"
	}
	return "http"
}

func answers(sites []site, host string) bool {
	return slices.ContainsFunc(sites, func(s site) bool { return reaches(&s, host) })
}

// reaches reports whether a browser that asks a host for the login page comes to a
// handler of ours.
func reaches(s *site, host string) bool {
	r, err := asks(http.MethodGet, s.scheme(), host, loginPath)
	return err == nil && first(s.routes, r) != nil
}
