package portal

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/store"
)

type startBody struct {
	Name   string
	Portal bool // this cookie opens the account
}

// start says where one is.
func start(x *exchange) error {
	v := view{Title: x.p.say("start.title"), Body: startBody{Name: x.name(), Portal: x.live.Portal}}
	switch m := x.query["m"]; {
	case m == "target" && x.live.Identity != nil:
		v.Notice = x.p.say("start.target")
	case m == "signedout" && x.live.Identity == nil:
		v.Notice = x.p.say("start.signedout")
	case strings.HasPrefix(m, "recovery-"):
		if n, err := strconv.ParseUint(strings.TrimPrefix(m, "recovery-"), 10, 8); err == nil && x.live.Identity != nil {
			v.Notice = x.p.say("recovery.left", n)
		}
	}
	return x.page(http.StatusOK, "start", v)
}

type logoutBody struct{ Name string }

func logoutPage(x *exchange) error {
	x.leave()
	return x.page(http.StatusOK, "logout", view{Title: x.p.say("logout.title"), Body: logoutBody{Name: x.name()}})
}

// logoutSubmit ends the session and everything that hangs on it, and goes on
// to the page that the form named, if it is allowed: the login page for
// another account, usually.
func logoutSubmit(x *exchange) error {
	target, given := x.target()
	if x.live.Identity != nil {
		if err := x.p.doors.Logout(x.context(), x.live); err != nil && !denied(err) {
			return err
		}
	}
	x.p.cookies.ClearSession(x.w, x.scheme)
	for id := range x.pendings() {
		x.clear(x.pendingPrefix() + id)
	}
	if given && target != "" {
		return x.see(target)
	}
	if x.guarded {
		return x.see(x.p.portal + "/sallyport/?m=signedout")
	}
	return x.see("/sallyport/?m=signedout")
}

// healthz says that the process answers.
func healthz(x *exchange) error { return x.plain(http.StatusOK, "ok\n") }

// readyz says whether the store answers.
func readyz(x *exchange) error {
	err := x.p.store.View(x.context(), func(tx store.Tx) error {
		_, err := tx.Get(store.K(store.PrefixMeta, "ready"))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		x.p.logger.Error("readiness: the store does not answer", "error", err)
		return x.plain(http.StatusServiceUnavailable, "the store does not answer\n")
	}
	return x.plain(http.StatusOK, "ok\n")
}

// jwks is the public half of the signing keys (RFC 7517).
func jwks(x *exchange) error {
	keys, err := x.p.sessions.JWKS()
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(keys)
	}
	return nil
}
