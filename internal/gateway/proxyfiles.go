package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/deploy"
	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// ProxyFiles makes the files by which a proxy asks this server: those of package
// deploy, with the configuration's portal, hosts and address in them. Errors:
// what cannot work, and what to do about it.
func ProxyFiles(_ context.Context, g command.Global, proxy string) (command.ProxySetup, error) {
	c, err := LoadFor(g)
	if err != nil {
		return command.ProxySetup{}, err
	}
	p, err := c.plan(shell{})
	if err != nil {
		return command.ProxySetup{}, err
	}
	switch {
	case c.Upstream != "":
		return command.ProxySetup{}, c.At("/upstream", "upstream: with one this server is the proxy by itself, and answers no other: leave it out, and name the application in the proxy's files")
	case len(p.written) == 0:
		return command.ProxySetup{}, errors.New("there are no rules, so every question of a proxy is answered with 403: write `rules` first (docs/configuration.md)")
	}
	site, warnings := c.proxySite(p, proxy)
	files, err := deploy.Files(proxy, site)
	if errors.Is(err, deploy.ErrUnix) {
		return command.ProxySetup{}, c.At("/listen", "listen: %s cannot ask over a unix socket: listen on an address such as %s", proxy, DefaultListen)
	}
	if err != nil {
		return command.ProxySetup{}, fmt.Errorf("fit the files for %s: %w", proxy, err)
	}
	setup := command.ProxySetup{Proxy: proxy, Warnings: warnings}
	for _, f := range files {
		setup.Files = append(setup.Files, command.ProxyFile(f))
	}
	return setup, nil
}

// proxySite reads from a plan what a proxy's files have to name.
func (c *Config) proxySite(p *plan, proxy string) (deploy.Site, []string) {
	s := deploy.Site{}
	warnings := []string{}
	portal := p.sites[0].portal
	if len(p.sites) > 1 {
		warnings = append(warnings, fmt.Sprintf("there are %d portals: the files name %s; repeat the portal's part for the others", len(p.sites), portal))
	}
	if u, err := url.Parse(portal); err == nil && portal != "" {
		s.Scheme, s.Portal, s.Port = u.Scheme, u.Hostname(), u.Port()
	}
	switch {
	case portal == "":
		warnings = append(warnings, "there is no portal: each guarded host has login pages of its own below /sallyport/, and its application shares their origin, so it must be trusted")
	case p.sites[0].domain == "":
		warnings = append(warnings, "there is no cookie_domain: browsers send the portal's cookie to the portal alone, so nobody is signed in on a guarded host: name the domain that they share")
	}
	s.Hosts = guardedHosts(p, s.Portal)
	if len(s.Hosts) == 0 {
		warnings = append(warnings, "no rule names a host: the files say app.example.com, write yours there")
	}
	if proxy == "caddy" && slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.HasPrefix(h, "*.") }) {
		warnings = append(warnings, "Caddy's *.example.com is one label only, and its certificate needs the DNS challenge: name the hosts one by one if you can")
	}
	var far string
	s.Gateway, far = c.reachable()
	warnings = append(warnings, c.peerWarnings(p, s.Gateway, far)...)
	return s, warnings
}

// guardedHosts are those that rules name, in their order, without the portal and
// without those that are closed to everybody.
func guardedHosts(p *plan, portal string) []string {
	var hosts []string
	for i := range p.written {
		if p.written[i].Deny {
			continue
		}
		for _, pattern := range p.written[i].Hosts {
			h := strings.ToLower(pattern)
			if canonical, err := guard.CanonicalHost(strings.TrimPrefix(h, "*.")); err == nil {
				if strings.HasPrefix(h, "*.") {
					canonical = "*." + canonical
				}
				h = canonical
			}
			if h != portal && h != "*" && !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// reachable is where a proxy on this machine reaches the server. far is the
// address that other machines use, empty where there is none.
func (c *Config) reachable() (address, far string) {
	address = c.ListenAddress()
	if strings.HasPrefix(address, "unix:") {
		return address, ""
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, ""
	}
	if loopback(host) {
		if strings.EqualFold(host, "localhost") { // proxies that know no names at start
			address = net.JoinHostPort("127.0.0.1", port)
		}
		return address, ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port), address
	}
	return address, address
}

// peerWarnings say where a proxy would ask in vain, because it is not trusted. A
// proxy on this machine comes from the loopback address that it asks.
func (c *Config) peerWarnings(p *plan, gateway, far string) []string {
	if far != "" && c.TrustedProxies == nil {
		return []string{"listen: only a proxy on this machine is trusted; if yours is another one, write its address into trusted_proxies, and this server's address into the proxy's files"}
	}
	at, err := netip.ParseAddrPort(gateway)
	if far != "" || err != nil || p.trusted.Contains(at.Addr()) {
		return nil
	}
	return []string{fmt.Sprintf("trusted_proxies: the proxy comes from %s, which is not among them, so every question is answered with 403: add it", at.Addr())}
}
