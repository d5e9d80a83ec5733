package portal

import (
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

type deniedBody struct {
	Name, Host string
	Target     string // to come back to after the sign-out
}

// Denied answers 403 to a person who is signed in but not admitted, for
// shells that proxy by themselves. It says which host, and offers another
// account: signing out comes back to the same address, and the guard then
// asks who is there. Identity headers have nothing to do with it: the page is
// the gateway's.
func (p *Portal) Denied(w http.ResponseWriter, r *http.Request, d guard.Decision) {
	x := p.exchange(w, r)
	b := deniedBody{Host: r.Host}
	if d.Identity != nil {
		b.Name = d.Identity.Name + "@" + d.Identity.Realm
	}
	if host, err := guard.CanonicalHost(r.Host); err == nil {
		b.Host = host
	}
	if target, ok := p.targets.Local(r.URL.RequestURI()); ok {
		b.Target = target
	}
	x.leave()
	x.finish(x.page(http.StatusForbidden, "denied", view{Title: p.say("denied.title"), Body: b}))
}

// Refuse answers with the page of a bare status (400, 403, 404, 405, 500), for
// shells that proxy by themselves.
func (p *Portal) Refuse(w http.ResponseWriter, r *http.Request, status int) {
	x := p.exchange(w, r)
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
	default:
		status = http.StatusInternalServerError
	}
	x.finish(x.status(status))
}
