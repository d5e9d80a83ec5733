package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// trustedToken is what the browser holds if it is a trusted one.
func (x *exchange) trustedToken() string {
	return x.p.cookies.Host(x.r.Header, x.scheme, web.TrustedCookie)
}

// keepTrust gives the browser the token of a trust that begins.
func (x *exchange) keepTrust(next *login.Next) {
	if !next.Trusted.IsZero() {
		x.p.cookies.SetHost(x.w, x.scheme, web.TrustedCookie, next.Trusted.Reveal(), next.TrustedFor)
	}
}

// dropTrust takes the token away.
func (x *exchange) dropTrust() {
	if x.trustedToken() != "" {
		x.p.cookies.ClearHost(x.w, x.scheme, web.TrustedCookie)
	}
}

// trustFor says for how long this browser could be trusted, "" where it cannot.
func (x *exchange) trustFor() string {
	const day = 24 * time.Hour
	switch life := x.state.TrustFor; {
	case life == 0:
		return ""
	case life >= 2*day:
		return x.p.say("time.days", int(life/day))
	default:
		return x.p.wait(life)
	}
}

type trustedLine struct {
	ID, Agent, Client, Created, Used, Until string
	This                                    bool
}

type trustedBody struct{ Browsers []trustedLine }

// trustedPage lists the browsers that sign in without a code. Ending one asks for no
// code, as for sessions: it takes something away and gives nothing.
func trustedPage(x *exchange) error {
	var all []login.TrustedBrowser
	err := x.p.store.View(x.context(), func(tx store.Tx) error {
		u, err := x.p.directory.ByID(tx, x.live.Identity.ID)
		if err == nil {
			all, err = x.p.doors.TrustedBrowsers(tx, u, x.trustedToken())
		}
		return err
	})
	if err != nil {
		return err
	}
	lines := make([]trustedLine, 0, len(all))
	for _, b := range all {
		line := trustedLine{
			ID: b.ID, Agent: x.p.agent(b.Origin.UserAgent), Client: x.p.say("sessions.nowhere"), This: b.Current,
			Created: x.p.moment(b.Created), Used: x.p.say("trusted.unused"), Until: x.p.moment(b.Expires),
		}
		if !b.LastUsed.IsZero() {
			line.Used = x.p.say("trusted.used", x.p.moment(b.LastUsed))
		}
		if b.Origin.Client.IsValid() {
			line.Client = b.Origin.Client.String()
		}
		lines = append(lines, line)
	}
	notices := map[string]string{"ended": "trusted.ended", "all": "trusted.all-gone"}
	v := view{Title: x.p.say("trusted.title"), Body: trustedBody{Browsers: lines}}
	if key, ok := notices[x.query["m"]]; ok {
		v.Notice = x.p.say(key)
	}
	return x.page(http.StatusOK, "trusted", v)
}

// trustedEnd ends the trust in one browser. An id of somebody else's is answered like
// one that does not exist.
func trustedEnd(x *exchange) error {
	this := false
	err := x.change(func(tx store.Tx) error {
		u, err := x.p.directory.ByID(tx, x.live.Identity.ID)
		if err != nil {
			return err
		}
		this, err = x.holds(tx, u, x.form["id"])
		if err != nil {
			return err
		}
		return x.p.doors.Distrust(tx, x.self(), u, x.form["id"])
	})
	if errors.Is(err, login.ErrNotTrusted) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	if this {
		x.dropTrust()
	}
	return x.see("/sallyport/account/trusted-browsers?m=ended")
}

// holds reports whether a trusted browser is the one that asks.
func (x *exchange) holds(tx store.Tx, u *account.User, id string) (bool, error) {
	all, err := x.p.doors.TrustedBrowsers(tx, u, x.trustedToken())
	for _, b := range all {
		if b.ID == id {
			return b.Current, err
		}
	}
	return false, err
}

// trustedEndAll ends the trust in all of the person's browsers.
func trustedEndAll(x *exchange) error {
	if err := x.change(x.distrustAll); err != nil {
		return err
	}
	x.dropTrust()
	return x.see("/sallyport/account/trusted-browsers?m=all")
}

func (x *exchange) distrustAll(tx store.Tx) error {
	u, err := x.p.directory.ByID(tx, x.live.Identity.ID)
	if err == nil {
		_, err = x.p.doors.DistrustAll(tx, x.self(), u)
	}
	return err
}
