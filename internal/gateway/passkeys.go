package gateway

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// planPasskeys finds the host that passkeys are bound to: the portal's, or localhost for
// a server that this machine alone reaches. With several portals it is the first one's:
// a browser lets no page of another host use them. Where there is none, no passkeys are
// offered, and check says why.
func (c *Config) planPasskeys(p *plan, s shell) error {
	var origin string
	if origin, p.noPasskeys = c.passkeySite(p, s); p.noPasskeys != "" {
		p.hints = append(p.hints, "passkeys are not offered: they need "+p.noPasskeys)
		return nil
	}
	page, err := url.Parse(origin)
	if err != nil {
		return err
	}
	site := &factor.Passkeys{RPID: page.Hostname(), Name: cmp.Or(c.Name, "Sallyport"), Origins: []string{origin}}
	if site.Check() != nil {
		p.noPasskeys = "a portal whose host a browser takes for a domain, such as auth.example.com"
		p.hints = append(p.hints, "passkeys are not offered: they need "+p.noPasskeys)
		return nil
	}
	p.passkeys = site
	return nil
}

// passkeySite is the origin of the pages that may use passkeys, as a browser writes it;
// none: what is missing. Browsers offer passkeys in secure contexts alone, and never for
// an address.
func (c *Config) passkeySite(p *plan, s shell) (origin, missing string) {
	if text := p.sites[0].portal; text != "" {
		return originOf(text)
	}
	if s.routes {
		return "", "a portal"
	}
	host, port, err := net.SplitHostPort(c.ListenAddress())
	if err != nil || !loopback(host) {
		return "", "a portal, or a server that listens on this machine alone"
	}
	return "http://localhost:" + port, ""
}

func originOf(portal string) (origin, missing string) {
	page, err := url.Parse(portal)
	if err != nil {
		return "", "a portal"
	}
	host, err := guard.CanonicalHost(page.Host)
	_, address := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case err != nil || address == nil:
		return "", "a portal with a host name in place of an address"
	case page.Scheme != "https" && !loopback(host):
		return "", "a portal on https"
	}
	if port := page.Port(); port != "" && port != map[string]string{"https": "443", "http": "80"}[page.Scheme] {
		host += ":" + port
	}
	return page.Scheme + "://" + host, ""
}
