package gateway

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/adjure"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
	"github.com/sallyport-auth/sallyport/internal/web/compat/trench"
	"github.com/sallyport-auth/sallyport/internal/web/compat/ungleich"
)

// newFacades makes the facades that the configuration switches on.
func (g *Gateway) newFacades() ([]compat.Facade, error) {
	var all []compat.Facade
	var failed []error
	on := func(f compat.Facade, err error) {
		all, failed = append(all, f), append(failed, err)
	}
	rooms, c := g.compatRooms(), g.plan.compat
	if c.Adjure != nil {
		on(adjure.New(adjure.Options{Rooms: rooms, Common: g.compatCommon("adjure"), CodeOracle: c.Adjure.CodeOracle}))
	}
	if u := c.Ungleich; u != nil {
		on(ungleich.New(ungleich.Options{
			Rooms: rooms, Common: g.compatCommon("ungleich"), AdminRealm: string(u.AdminRealm), AuthRealm: string(u.AuthRealm), AppRealm: string(u.AppRealm),
			ShowSeeds: u.ShowSeeds, Replay: string(u.Replay), Skew: u.Skew, Closed: g.closedRealm,
		}))
	}
	if c.Fastapi2FA != nil {
		on(fastapi2fa.New(fastapi2fa.Options{Rooms: rooms, Common: g.compatCommon("fastapi2fa"), Signup: c.Fastapi2FA.Signup, Messages: g.letters}))
	}
	if c.Trench != nil {
		on(trench.New(trench.Options{Rooms: rooms, Common: g.compatCommon("trench"), Prefix: string(c.Trench.Prefix), Dialect: c.Trench.Dialect, SMS: g.trenchSMS()}))
	}
	return all, errors.Join(failed...)
}

// trenchSMS is what clients of django-trench call SMS: by who sends them.
func (g *Gateway) trenchSMS() string {
	if s := g.cfg.SMS; s != nil && s.SMSAPI != nil {
		return "sms_api"
	}
	return "sms_twilio"
}

// closedRealm reports whether members of a realm pass a rule as programs, or prove
// themselves for another facade, or are another facade's people: what ungleich's
// administrators make must not be one of them.
func (g *Gateway) closedRealm(realm string) bool {
	for i := range g.plan.facades {
		f := &g.plan.facades[i]
		if f.Require.Realm == realm || f.Realm == realm {
			return true
		}
	}
	admitted, _ := g.admitted.Load(realm)
	return admitted != nil
}

// admits remembers the realms whose programs some rules let in.
func (g *Gateway) admits(rules []guard.Rule) {
	for i := range rules {
		for _, text := range rules[i].Services {
			if realm, err := principal.CanonicalRealm(text[strings.LastIndexByte(text, '@')+1:]); err == nil && !rules[i].Deny {
				g.admitted.Store(realm, true)
			}
		}
	}
}

// compatRooms are what the facades are made of.
func (g *Gateway) compatRooms() compat.Rooms {
	st := g.state.Store
	return compat.Rooms{
		Store: st, Directory: g.accounts, Factors: g.factors, Sessions: g.sessions, Doors: g.sites[0].doors, Programs: g.programs,
		Throttle: g.throttle, Hasher: g.hasher, Audit: g.audit, Derive: st.Derive, Clock: g.clock, Logger: g.log, Client: g.client,
		Name: cmp.Or(g.cfg.Name, "Sallyport"),
	}
}

// compatCommon is what the configuration says of every facade. A facade that is off
// has the zero one, with nothing in it that opens a door.
func (g *Gateway) compatCommon(name string) compat.Common {
	for i := range g.plan.facades {
		if f := &g.plan.facades[i]; f.Facade == name {
			common := f.Common
			common.OwnHost, common.Scheme = g.ownHost, g.scheme
			return common
		}
	}
	return compat.Common{Facade: name, AllowFrom: []netip.Prefix{}}
}

// ownHost reports whether a canonical host is a portal's, or the address on which
// the standalone server listens: a name that the configuration does not hold may be
// one that somebody else made point to us.
func (g *Gateway) ownHost(host string) bool {
	for _, s := range g.sites {
		if s.host == host && host != "" {
			return true
		}
	}
	listen, _, err := net.SplitHostPort(g.cfg.ListenAddress())
	if err != nil || listen == "" {
		return false
	}
	if strings.Contains(listen, ":") {
		listen = "[" + listen + "]"
	}
	listen, err = guard.CanonicalHost(listen)
	return err == nil && listen == host && !anywhere(strings.Trim(listen, "[]"))
}

// facadeOf finds the facade that answers a request; nil: none. Paths are the raw ones
// of the request line: what only looks like one after decoding is not a facade's, and
// neither is a target that names a host (absolute-form), as everywhere here.
func (g *Gateway) facadeOf(r *http.Request) compat.Facade {
	if len(g.facades) == 0 || !g.facadesOn(r.Host) {
		return nil
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	for _, f := range g.facades {
		if f.Owns(path) {
			return f
		}
	}
	return nil
}

// facadesOn reports whether facades answer on a host: on the portal's, and on every
// one where there is no portal. On guarded hosts their paths are the upstream's. A
// server that passes nothing on guards no loopback host, so there they answer too:
// that is how programs on this machine reach what is for them alone.
func (g *Gateway) facadesOn(host string) bool {
	if _, guarded := g.site(host); !guarded {
		return true
	}
	name, err := guard.RequestHost(host)
	return err == nil && g.proxy == nil && compat.LoopbackHost(name)
}

// serveFacade takes from a request what no facade may see, and sets what every answer
// of one carries. No more than that: their clients are older than other headers.
func serveFacade(w http.ResponseWriter, r *http.Request, f compat.Facade) {
	r = web.MarkForwarded(r)
	web.Strip(r.Header)
	delete(r.Header, "Cookie")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	f.ServeHTTP(w, r)
}

// facadeReports are one sentence for each facade.
func (p *plan) facadeReports() (texts []string) {
	where := "every host of this listener"
	if portals := portalsOf(p.sites); len(portals) > 0 {
		origins := make([]string, len(portals))
		for i := range portals {
			origins[i] = portals[i].Origin
		}
		where = strings.Join(origins, " and ")
	}
	for i := range p.facades {
		f := &p.facades[i]
		paths, from, shows := p.facadeWords(f)
		on := where
		if f.nearby {
			on += ", and on loopback hosts"
		}
		if !f.Require.IsZero() {
			from += ", always with the token of the service " + f.Require.String()
		}
		texts = append(texts, "compat."+f.Facade+" answers "+paths+" on "+on+"; it may be called "+from+"; "+shows+".")
	}
	return texts
}

// facadeWords says which paths a facade has, from where it may be called, and what it
// shows.
func (p *plan) facadeWords(f *facade) (paths, from, shows string) {
	here, everywhere := "from this machine alone", "from everywhere"
	if f.AllowFrom != nil {
		here = "from " + either(f.access.AllowFrom)
		everywhere = here
	}
	switch f.Facade {
	case "adjure":
		if p.compat.Adjure.CodeOracle {
			return "/user/* and /healthcheck", here, "whoever calls it can read users' codes and seeds (code_oracle)"
		}
		return "/user/* and /healthcheck", here, "a user's seed is shown until its first good code, and codes never"
	case "ungleich":
		shows = "seeds are never shown again"
		if p.compat.Ungleich.ShowSeeds {
			shows = "seeds are shown to its administrators and to their owners (show_seeds)"
		}
		return "/verify, /register, /app/* and /ungleichotp/*", here, shows
	case "fastapi2fa":
		return "/api/v1/*", everywhere + p.signupWords(f), "a user's seed is shown to himself alone, after a fresh factor"
	}
	return string(p.compat.Trench.Prefix) + "/*, dialect " + string(p.compat.Trench.Dialect), everywhere, "a user's seed is shown to himself alone, until its first good code"
}

// signupWords say who may make the calls of fastapi2fa that authenticate nobody.
// Without signup they are this machine's, and allow_from may leave it out.
func (p *plan) signupWords(f *facade) string {
	switch {
	case p.compat.Fastapi2FA.Signup && f.AllowFrom == nil:
		return ", and anybody may sign up (signup)"
	case p.compat.Fastapi2FA.Signup:
		return ", and anybody there may sign up (signup)"
	case f.AllowFrom == nil || slices.ContainsFunc(f.AllowFrom, holdsLoopback):
		return ", but for signup, users and tasks, which are for this machine alone"
	}
	return ", but for signup, users and tasks, which are for this machine alone, and allow_from leaves it out: nobody may call them"
}

// holdsLoopback reports whether a network has addresses of this machine to itself.
func holdsLoopback(n netip.Prefix) bool {
	return n.Overlaps(netip.MustParsePrefix("127.0.0.0/8")) || n.Contains(netip.IPv6Loopback())
}
