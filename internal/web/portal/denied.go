package portal

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

type deniedBody struct {
	Name, Host string
	Target     string // to come back to after the sign-out
}

// Denied answers 403 to a person whom no login as the same person helps, for
// shells that proxy by themselves. It says which host, and offers another
// account to whoever is signed in: signing out comes back to the same address,
// and the guard then asks who is there. Who is signed in stands in d, or else
// in the request's cookie. The body of the request is not read.
func (p *Portal) Denied(w http.ResponseWriter, r *http.Request, d guard.Decision) {
	x := p.exchange(w, r)
	b := deniedBody{Host: x.host()}
	if d.Identity != nil {
		b.Name = d.Identity.Name + "@" + d.Identity.Realm
	} else if err := x.recognise(); err != nil {
		x.log(err)
	} else {
		b.Name = x.name()
	}
	if target, ok := p.targets.Local(r.URL.RequestURI()); ok {
		b.Target = target
	}
	x.leave()
	x.finish(x.page(http.StatusForbidden, "denied", view{Title: p.say("denied.title"), Body: b}))
}

// Refuse answers with the page of a bare status, for shells that proxy by
// themselves. A Retry-After that is set already is said in words; a 429
// without one is a place where no waiting helps.
func (p *Portal) Refuse(w http.ResponseWriter, r *http.Request, status int) {
	x := p.exchange(w, r)
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after := retryAfter
		if n, err := strconv.Atoi(w.Header().Get("Retry-After")); err == nil && n > 0 {
			after = time.Duration(n) * time.Second
		} else if status == http.StatusTooManyRequests {
			x.finish(x.closed())
			return
		}
		x.finish(x.wait(status, after))
		return
	}
	if _, ok := p.texts["error."+strconv.Itoa(status)]; !ok {
		status = http.StatusInternalServerError
	}
	x.finish(x.status(status))
}
