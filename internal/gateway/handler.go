package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/api"
	"github.com/sallyport-auth/sallyport/internal/web/authz"
)

// defaultBodyTime is how long the body of a request to us may take to arrive. Longer
// than the queue for a password hash, because its end also ends the request.
const defaultBodyTime = 30 * time.Second

// Handler answers the network. It looks at the raw request target before any
// mux, because a mux cleans paths and redirects.
func (g *Gateway) Handler() http.Handler { return http.HandlerFunc(g.serve) }

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// Also of a request that is refused: net/http reads what is left of
		// the body before it sends the answer. The proxy lifts it for what it
		// passes on.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.bodyTime))
	}
	facade := g.facadeOf(r)
	switch {
	case authz.Owns(r.RequestURI) && g.ownsAuthz(r):
		g.authz.ServeHTTP(w, r)
	case facade != nil:
		serveFacade(w, r, facade)
	case Owns(r.RequestURI):
		g.own(w, r)
	case g.proxy != nil:
		g.proxy.ServeHTTP(w, r)
	case r.RequestURI == "/" && web.Navigation(r.Header):
		http.Redirect(w, r, web.Prefix, http.StatusFound)
	default:
		web.WriteProblem(w, http.StatusNotFound, "not_found", "This server guards nothing by itself: it answers below /sallyport/.", 0)
	}
}

// ownsAuthz says whether an authz path is ours on this host. Those below
// /sallyport/ always are; /api/authz/* may be the upstream's on a guarded host.
func (g *Gateway) ownsAuthz(r *http.Request) bool {
	if strings.HasPrefix(r.RequestURI, web.Prefix) || g.proxy == nil {
		return true
	}
	s, guarded := g.site(r.Host)
	return s.Portal == "" || !guarded
}

// own answers below /sallyport/.
func (g *Gateway) own(w http.ResponseWriter, r *http.Request) {
	web.Strip(r.Header)
	s, guarded := g.site(r.Host)
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == api.DescriptionPath || api.OwnsDocs(path) || strings.HasPrefix(path, api.Prefix+"/") || path == api.Prefix {
		if guarded {
			web.WriteProblem(w, http.StatusNotFound, "not_found", "The API is on the portal's host.", 0)
			return
		}
		s.api.ServeHTTP(w, r)
		return
	}
	s.pages.ServeHTTP(w, r)
}

// site finds the site of a host: the one whose portal it is, else the one whose
// cookie domain it is below, else the first. guarded: the host is no portal.
func (g *Gateway) site(host string) (s *site, guarded bool) {
	if len(g.sites) == 1 && g.sites[0].Portal == "" {
		return g.sites[0], false
	}
	name, err := guard.RequestHost(host)
	if err != nil {
		return g.sites[0], true
	}
	best, longest := g.sites[0], 0
	for _, s := range g.sites {
		if s.host == name {
			return s, false
		}
		if s.domain != "" && (name == s.domain || strings.HasSuffix(name, "."+s.domain)) && len(s.domain) > longest {
			best, longest = s, len(s.domain)
		}
	}
	return best, true
}

// errorPage is how the proxy says to a person what it says to a program as a
// problem document.
func (g *Gateway) errorPage(w http.ResponseWriter, r *http.Request, status int, text string) {
	s, _ := g.site(r.Host)
	if status == http.StatusForbidden {
		s.pages.Denied(w, r, guard.Decision{})
		return
	}
	s.pages.Refuse(w, r, status)
}
