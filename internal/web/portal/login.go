package portal

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// loginForm is the body of the first door's page.
type loginForm struct {
	Host           string // of the target, or this one
	Way            way
	Target         string
	Signature      string
	SignatureField string
	Tighten        map[string]string // as it came, to come back with the form
	Name           string
	Remember       bool
	Unsent         bool   // a form was on its way when this was asked for
	Passkey        string // where a passkey signs in; "": not offered
	Forgot         bool   // links for a new password can be sent
	Register       bool   // people make their own accounts
}

// strayed is where a login goes whose target was refused: the start page,
// with a sentence.
const strayed = "/sallyport/?m=target"

// target returns where the request wants to go on to. given says that it
// wants anything; an empty target with given was refused.
func (x *exchange) target() (target string, given bool) {
	for _, name := range [...]string{"rd", "redirect_uri", "url"} {
		if raw := x.param(name); raw != "" {
			target, ok := x.p.targets.Allowed(raw, x.param(signatureField), x.now)
			if !ok {
				return "", true
			}
			return target, true
		}
	}
	return "", false
}

// tighten reads what a challenge asked beyond the rule: a forward-auth check
// may demand more than the rule does, and only the challenge knows. Whoever
// makes these parameters up makes the own login harder, never easier.
func (x *exchange) tighten() guard.Demand {
	d := guard.Demand{Realm: x.param("realm")}
	if x.param("factors") == "1" || x.param("factors") == "2" {
		d.Factors = int(x.param("factors")[0] - '0')
	}
	if fresh, err := time.ParseDuration(x.param("fresh")); err == nil && fresh > 0 {
		d.Fresh = fresh
	}
	return d
}

// judge asks the guard what it would say to this browser at a target.
func (x *exchange) judge(target string) guard.Decision {
	u, err := url.Parse(target)
	if err != nil {
		return guard.Decision{}
	}
	host, scheme := u.Host, u.Scheme
	if host == "" {
		host, scheme = x.r.Host, x.scheme
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return x.p.guard.Check(x.context(), &guard.Request{
		Method: http.MethodGet, Scheme: scheme, Host: host, Path: path,
		Client: x.p.client(x.r), Cookie: x.p.cookies.Guard(x.r.Header, x.scheme), Navigation: true, CookieOnly: true,
		Tighten: x.tighten(),
	})
}

// ours reports whether a target is one of this package's own pages, which no
// rule guards.
func ours(target string) bool {
	u, err := url.Parse(target)
	return err == nil && u.Host == "" && reserved(u.Path)
}

// loginPage shows the first door, or sends on whoever has passed it already.
func loginPage(x *exchange) error {
	target, given := x.target()
	if x.live.Identity != nil && x.live.Portal {
		done, err := x.passed(target, given)
		if done || err != nil {
			return err
		}
	}
	v := view{Title: x.p.say("login.title")}
	switch {
	case given && target == "":
		v.Notice = x.p.say("login.target-refused")
	case x.query[web.MessageParam] == web.Stranger:
		v.Notice = x.p.say("login.stranger")
	case x.query["m"] == "signedout":
		v.Notice = x.p.say("start.left")
	}
	return x.first(http.StatusOK, v, loginForm{Target: target})
}

// passed sends on somebody who is signed in: to the target if the guard has
// nothing to ask, to the second door if it asks for more. It reports whether
// it answered; it did not where only a whole new login helps.
func (x *exchange) passed(target string, given bool) (bool, error) {
	switch {
	case given && target == "":
		return true, x.see(strayed)
	case !given:
		return true, x.see("/sallyport/")
	case ours(target):
		return true, x.see(target)
	}
	if known, err := x.carries(); !known || err != nil {
		return false, err
	}
	d := x.judge(target)
	if d.Outcome == guard.Unavailable {
		return true, errUnavailable(d.Err, d.RetryAfter)
	}
	lacks := d.Reason
	if d.Outcome != guard.Challenge {
		// Who challenged may have rules that this page does not know (a route of a
		// shell), and said what they demand: not asking for it would send the
		// browser to and fro for ever.
		demand := x.tighten()
		if lacks = demand.Lacks(&x.live, x.p.clock); lacks == "" {
			return true, x.see(target)
		}
	}
	if lacks != guard.ReasonFactors && lacks != guard.ReasonFresh {
		return false, nil
	}
	if x.r.Method == http.MethodHead {
		return true, x.plain(http.StatusOK, "")
	}
	next, err := x.p.doors.StepUp(x.context(), x.live, x.caller(), target)
	if denied(err) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return true, x.advance(next)
}

// carries reports whether the guard knows this browser as who it is here. With a
// cookie domain the guard reads a cookie of its own, which may be lost, or be
// somebody else's: whoever were sent on with it would come back at once, for ever.
func (x *exchange) carries() (bool, error) {
	if x.query[web.MessageParam] == web.Stranger {
		return false, nil
	}
	if x.p.cookies.Domain == "" {
		return true, nil
	}
	live, err := x.p.sessions.Live(x.context(), x.p.cookies.Guard(x.r.Header, x.scheme), x.now)
	if errors.Is(err, session.ErrNone) {
		return false, nil
	}
	return live.ID == x.live.ID, err
}

// first renders the first door.
func (x *exchange) first(status int, v view, f loginForm) error {
	if f.Target != "" {
		f.SignatureField = signatureField
		f.Signature = x.param(signatureField)
		f.Tighten = map[string]string{}
		for _, name := range [...]string{"realm", "factors", "fresh"} {
			if v := x.param(name); v != "" {
				f.Tighten[name] = v
			}
		}
	}
	f.Unsent, v.Notice = x.unsent(), x.unsentNotice(v.Notice)
	f.Host, f.Way = x.siteOf(f.Target), x.way(f.Target)
	f.Forgot = x.p.doors.MailsLinks()
	f.Register, _ = x.registers("") // the first door stands where the store does not
	if x.p.factors.Available(factor.Passkey) {
		f.Passkey = passkeyLogin(f)
	}
	if v.Title == "" {
		v.Title = x.p.say("login.title")
	}
	v.Body = f
	x.leave()
	return x.page(status, "login", v)
}

// siteOf is the host that a target is on, for the person who is about to type
// a password: this one for a local target and for none.
func (x *exchange) siteOf(target string) string {
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		return u.Host
	}
	return x.host()
}

// loginSubmit tries the first door.
func loginSubmit(x *exchange) error {
	target, given := x.target()
	f := loginForm{Target: target, Name: x.form["username"], Remember: x.form["remember"] != ""}
	refuse := func() error {
		return x.first(http.StatusUnauthorized, view{Alert: x.p.say("login.denied")}, f)
	}
	if f.Name == "" || x.form["password"] == "" {
		return refuse()
	}
	a := login.Attempt{
		Login: f.Name, Password: x.form["password"], Door: login.Portal, Client: x.caller(),
		Remember: f.Remember, Target: target, ReplaceSession: x.live.ID, Trusted: x.trustedToken(),
	}
	if given && target == "" {
		a.Target = strayed
	}
	if target != "" && !ours(target) {
		demand, told := x.judge(target).Demand, x.tighten()
		a.Realm, a.Demand = cmp.Or(demand.Realm, told.Realm), max(demand.Factors, told.Factors)
		a.Fresh = demand.Fresh > 0 || told.Fresh > 0
	}
	next, err := x.p.doors.Password(x.context(), a)
	switch {
	case denied(err):
		return refuse()
	case err != nil:
		return err
	}
	return x.advance(next)
}

// advance goes where a door led: to the next door, or in.
func (x *exchange) advance(next *login.Next) error {
	x.end()
	switch next.Status {
	case login.Done:
		return x.arrive(next)
	case login.SecondFactor:
		id := x.begin(next.Ephemeral.Reveal(), next.ExpiresIn)
		return x.see(x.doorAt(id, next))
	case login.Enroll:
		id := x.begin(next.Ephemeral.Reveal(), next.ExpiresIn)
		return x.see(at(enrollAt(next.Others), "l", id))
	}
	return errors.New("a door led nowhere")
}

// doorAt is the second door of a login that has just come to it.
func (x *exchange) doorAt(id string, next *login.Next) string {
	words := map[string]string{}
	if next.Sent != "" {
		words["sent"] = string(next.Method)
	}
	if x.unsent() {
		words[web.UnsentParam] = web.Unsent
	}
	if next.Method == factor.Passkey {
		return halfwayAt("/sallyport/login/passkey-code", id, words)
	}
	return halfwayAt("/sallyport/login/code", id, words)
}

// arrive ends a login: the session's cookies replace whatever the browser
// had, and it goes on to the target that the login carried.
func (x *exchange) arrive(next *login.Next) error {
	x.openSession(next)
	x.keepTrust(next)
	target := next.Target
	if target == "" {
		target = "/sallyport/"
	}
	if len(next.RecoveryCodes) > 0 {
		name := next.User.Name + "@" + next.User.Realm
		return x.showCodes(name, next.RecoveryCodes, target)
	}
	if next.RecoveryLeft > 0 && next.Target == "" {
		target = recoveryLeft(next.RecoveryLeft)
	}
	return x.see(target)
}
