package guard

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// errViews: the readings of a path select different rules.
var errViews = errors.New("the readings of the path select different rules")

// maxAuthorization bounds a credential that is looked at, in bytes.
const maxAuthorization = 8192

// Check decides on one request. It is called for every request to every app,
// takes no lock of its own and does not allocate for a living session.
func (g *Guard) Check(ctx context.Context, req *Request) (d Decision) {
	if g.rules == nil {
		d.Reason = ReasonNoRule
		return d
	}
	rule := g.rules.find(req, &d)
	if rule == nil || d.Outcome != Allow {
		return d
	}
	if rule.preflight && req.Preflight && req.Method == "OPTIONS" && !req.Tighten.asks() {
		d.Reason, d.MethodAware = ReasonPreflight, true // its method is all that was looked at
		return d
	}
	who, failed := g.identify(ctx, req, rule, &d)
	if failed {
		return d
	}
	rule.judge(req, who, g.clock, &d)
	return d
}

// find selects the rule, nil if there is none. d.Outcome is Allow where the
// caller has to be looked at, and final otherwise.
func (r *Rules) find(req *Request, d *Decision) *compiled {
	rules, named := r.exact[req.Host] // its keys are canonical
	if !named {
		host, err := RequestHost(req.Host)
		if err != nil {
			d.Outcome, d.Reason = BadRequest, ReasonHost
			return nil
		}
		rules = r.host(host)
	}
	switch {
	case req.Method == "CONNECT" || req.Method == "TRACE":
		d.Outcome, d.Reason = MethodNotAllowed, ReasonMethodClosed
		return nil
	case !knownMethod(req.Method) && !upperToken(req.Method):
		d.Outcome, d.Reason = BadRequest, ReasonMethod
		return nil
	}
	rule, err := rules.choose(req.Method, req.Path, req.Client)
	d.MethodAware, d.PathAware, d.NetworkAware = rules.methods, rules.paths, rules.network
	switch {
	case err == nil && rule != nil:
		rule.describe(req, d)
	case err == nil:
		d.Reason = ReasonNoRule
	case errors.Is(err, errViews):
		d.Outcome, d.Reason = BadRequest, ReasonViews
	default:
		d.Outcome, d.Reason = BadRequest, ReasonPath
	}
	return rule
}

// GoesOn reports whether a service that was let in would be let in now, apart from
// its token, which is good for a short time only: for those who serve it a stream.
// An error means that the store failed, and nobody knows.
func (g *Guard) GoesOn(ctx context.Context, req *Request, live session.Live) (bool, error) {
	live, err := g.sessions.Again(ctx, live)
	if errors.Is(err, session.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	d := Decision{}
	rule := g.rules.find(req, &d)
	if rule == nil || d.Outcome != Allow || !live.Identity.MayCallFrom(req.Client) {
		return false, nil
	}
	d.Live = live
	rule.judge(req, live.Identity, g.clock, &d)
	return d.Outcome == Allow, nil
}

// Selects reports whether a request with another path would surely be decided by
// the same rule, in whatever way that path is read.
func (g *Guard) Selects(req *Request, path string, rule int) bool {
	other, d := *req, Decision{}
	other.Path = path
	g.rules.find(&other, &d)
	return d.Rule == rule && d.Rule > 0
}

// knownMethod spares the common methods a look at each letter.
func knownMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return true
	}
	return false
}

func (c *compiled) describe(req *Request, d *Decision) {
	d.Rule, d.RuleName = c.number, c.name
	d.Headers, d.Assertion = c.preset, c.assertion
	d.Services = len(c.services) > 0
	switch {
	case c.deny:
		d.Reason = ReasonDenyRule
	case c.nobody:
		d.Reason = ReasonNobody
	default:
		d.Outcome, d.Reason = Allow, ReasonPublic
		d.Demand = c.demand(&req.Tighten)
	}
}

// demand is what the rule asks, and more where t says so.
func (c *compiled) demand(t *Demand) Demand {
	d := Demand{Factors: max(c.factors, t.Factors), Fresh: c.fresh, Realm: t.Realm, Groups: t.Groups}
	if t.Fresh > 0 && (d.Fresh == 0 || t.Fresh < d.Fresh) {
		d.Fresh = t.Fresh
	}
	if d.Fresh > 0 {
		d.Factors = 2
	}
	if d.Factors == 0 && (d.Realm != "" || len(d.Groups) > 0) {
		d.Factors = 1
	}
	if d.Realm == "" && len(c.realms) > 0 {
		d.Realm = c.realms[0]
	}
	return d
}

// asks reports whether t adds anything to a rule.
func (t *Demand) asks() bool {
	return t.Realm != "" || len(t.Groups) > 0 || t.Factors > 0 || t.Fresh > 0
}

// judge compares who is calling with what the rule asks.
func (c *compiled) judge(req *Request, who *account.Identity, clock func() time.Time, d *Decision) {
	switch {
	case who == nil && d.Demand.Factors == 0:
		return // anonymous, Allow, ReasonPublic
	case who == nil:
		d.Outcome, d.Reason = Challenge, ReasonAnonymous
		if d.BadProof {
			d.Reason = ReasonBadProof
		}
		return
	}
	d.Identity = who
	d.BareUser = c.bare || who.Kind == principal.User && who.Realm == c.first
	if !c.admits(who) || !req.Tighten.admits(who) {
		d.Outcome, d.Reason = Deny, ReasonNotAdmitted
		return
	}
	d.Reason = ReasonAdmitted
	if d.Demand.Factors == 0 {
		d.Reason = ReasonPublic
	}
	if who.Kind == principal.Service {
		return // its token is all that a program can prove, each time anew
	}
	if lacks := d.Demand.Lacks(&d.Live, clock); lacks != "" {
		d.Outcome, d.Reason = Challenge, lacks
	}
}

// Lacks says what a session must still prove to meet a demand: ReasonFactors,
// ReasonFresh, or "" for nothing. Whom the demand admits is another question.
func (t *Demand) Lacks(l *session.Live, clock func() time.Time) string {
	switch {
	case factors(l.Proof, l.Identity) < t.Factors:
		return ReasonFactors
	case t.Fresh > 0 && !l.Proof.Fresh(clock(), t.Fresh):
		return ReasonFresh
	}
	return ""
}

// factors is how many factors a proof is worth: a trusted browser is the
// second one, but never for an administrator.
func factors(p session.Proof, who *account.Identity) int {
	if who.Realm == account.AdminRealm {
		return p.AMR.RealFactors()
	}
	return p.AMR.Factors()
}

// admits reports whether the rule's lists let this principal in.
func (c *compiled) admits(who *account.Identity) bool {
	if c.factors == 0 {
		return true
	}
	if who.Kind == principal.Service {
		return c.names(principal.Ref{Name: who.Name, Realm: who.Realm})
	}
	if who.Kind != principal.User {
		return false
	}
	if len(c.realms) > 0 && !slices.Contains(c.realms, who.Realm) {
		return false
	}
	if len(c.groups) == 0 && len(c.users) == 0 {
		return len(c.realms) > 0
	}
	return contains(c.users, who) || overlap(c.groups, who.Groups)
}

// names reports whether a service is on the rule's list, by its name or with all
// services of its realm.
func (c *compiled) names(ref principal.Ref) bool {
	return slices.Contains(c.services, ref) || slices.Contains(c.services, principal.Ref{Realm: ref.Realm})
}

func (t *Demand) admits(who *account.Identity) bool {
	return (t.Realm == "" || t.Realm == who.Realm) && (len(t.Groups) == 0 || overlap(t.Groups, who.Groups))
}

func contains(refs []principal.Ref, who *account.Identity) bool {
	for i := range refs {
		if refs[i].Name == who.Name && refs[i].Realm == who.Realm {
			return true
		}
	}
	return false
}

func overlap(a, b []string) bool {
	for _, s := range a {
		if slices.Contains(b, s) {
			return true
		}
	}
	return false
}

// identify finds out who is calling: the session cookie first; without a good
// one a proof of ours in Authorization. failed: d is final.
func (g *Guard) identify(ctx context.Context, req *Request, rule *compiled, d *Decision) (who *account.Identity, failed bool) {
	if req.Cookie != "" {
		live, err := g.sessions.Live(ctx, req.Cookie, g.clock())
		switch {
		case err == nil && live.Identity != nil:
			d.Live = live
			return live.Identity, false
		case err != nil && !errors.Is(err, session.ErrNone):
			return nil, d.fail(err)
		}
	}
	if req.Authorization == "" || req.CookieOnly {
		return nil, false
	}
	if len(req.Authorization) > maxAuthorization {
		return nil, false
	}
	scheme, credential, _ := strings.Cut(req.Authorization, " ")
	credential = strings.Trim(credential, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return g.bearer(ctx, credential, req, d)
	case strings.EqualFold(scheme, "Basic") && len(rule.services) > 0:
		return g.basic(ctx, credential, req, rule, d)
	}
	return nil, false
}

func (g *Guard) bearer(ctx context.Context, jwt string, req *Request, d *Decision) (*account.Identity, bool) {
	if !g.ours(jwt) {
		return nil, false
	}
	d.Judged = true
	live, err := g.sessions.VerifyAccess(ctx, jwt)
	switch {
	case err == nil && live.Identity != nil && live.Identity.MayCallFrom(req.Client):
		d.Live = live
		d.bound(live.Identity)
		return live.Identity, false
	case err == nil && live.Identity != nil && g.refused != nil:
		g.refused(live.Identity, req.Client, "network")
	case err != nil && !errors.Is(err, session.ErrNone):
		return nil, d.fail(err)
	}
	d.BadProof = true
	return nil, false
}

func (g *Guard) basic(ctx context.Context, credential string, req *Request, rule *compiled, d *Decision) (*account.Identity, bool) {
	ref, token, ours, err := g.basicName(ctx, credential)
	if err != nil {
		return nil, d.fail(err)
	}
	if !ours {
		return nil, false
	}
	d.Judged = true
	if g.programs == nil {
		d.BadProof = true
		return nil, false
	}
	// Who is not on the list is judged all the same, and refused whatever it is: a rule
	// is no oracle for tokens, nor for whom it names. A caller's token is not burned.
	who, err := g.programs.Program(ctx, ref, token, req.Client)
	var throttled *throttle.Throttled
	var busy *secret.Busy
	switch {
	case err == nil && rule.names(ref) && who != nil && who.Enabled && who.Kind == principal.Service && who.Name == ref.Name && who.Realm == ref.Realm:
		d.Live = session.Live{Identity: who, Epoch: who.Epoch}
		d.bound(who)
		return who, false
	case err == nil && who != nil && g.refused != nil:
		g.refused(who, req.Client, "not_admitted")
		d.BadProof = true
		return nil, false
	case err == nil, errors.Is(err, ErrDenied):
		d.BadProof = true
		return nil, false
	case errors.As(err, &throttled) && d.Demand.Factors == 0: // whoever it is, the page is public
		d.BadProof = true
		return nil, false
	case errors.As(err, &throttled):
		d.Outcome, d.Reason, d.RetryAfter = Throttled, ReasonThrottled, throttled.RetryAfter
		return nil, true
	case errors.As(err, &busy):
		d.RetryAfter = busy.RetryAfter
	}
	return nil, d.fail(err)
}

// bound notes that a principal is bound to networks: early data, which anybody can
// replay from elsewhere, must not pass for it.
func (d *Decision) bound(who *account.Identity) {
	d.NetworkAware = d.NetworkAware || len(who.AllowFrom) > 0
}

// basicName reads name@realm:token. ours: the realm exists.
func (g *Guard) basicName(ctx context.Context, credential string) (ref principal.Ref, token string, ours bool, err error) {
	plain, err := base64.StdEncoding.DecodeString(credential)
	if err != nil {
		return principal.Ref{}, "", false, nil
	}
	name, token, ok := strings.Cut(string(plain), ":")
	if !ok || !strings.Contains(name, "@") {
		return principal.Ref{}, "", false, nil
	}
	realm, err := principal.CanonicalRealm(name[strings.LastIndexByte(name, '@')+1:])
	if err != nil {
		return principal.Ref{}, "", false, nil
	}
	exists, err := g.realm(ctx, realm)
	if err != nil || !exists {
		return principal.Ref{}, "", false, err
	}
	ref, err = principal.ParseRef(name, "")
	if err != nil { // a name that cannot exist, in a realm of ours: a bad proof
		return principal.Ref{Realm: realm}, token, true, nil
	}
	return ref, token, true, nil
}

// Ours reports whether an Authorization value is a credential of ours, good or
// bad, so that a shell that proxies takes it out before the upstream. Where
// that cannot be told it is ours.
func (g *Guard) Ours(ctx context.Context, authorization string) bool {
	end := max(strings.IndexAny(authorization, " \t"), 0) // some upstreams part at a tab too
	scheme, credential := authorization[:end], strings.Trim(authorization[end:], " \t")
	bearer, basic := strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "Basic")
	switch {
	case !bearer && !basic:
		return false
	case len(authorization) > maxAuthorization: // not looked at, however much of it is padding
		return true
	case bearer:
		return g.ours(credential)
	}
	return g.looksOurs(ctx, credential)
}

// maxReadings bounds the realms that looksOurs asks for: a text with more readings is
// not read.
const maxReadings = 4

// looksOurs reads a Basic credential in every way in which an upstream might: in both
// alphabets, padded or not, and with the name's end at any colon. What cannot be told
// in a few readings is ours.
func (g *Guard) looksOurs(ctx context.Context, credential string) bool {
	credential = strings.TrimRight(credential, "=")
	var spellings, realms []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		plain, err := encoding.DecodeString(credential)
		if err != nil {
			continue
		}
		at := -1 // the last @ so far: what stands behind it may be a realm
		for i, c := range plain {
			switch {
			case c == '@':
				at = i
			case c == ':' && at >= 0 && !slices.Contains(spellings, string(plain[at+1:i])):
				if len(spellings) > 16*maxReadings {
					return true
				}
				spelling := string(plain[at+1 : i])
				spellings = append(spellings, spelling)
				if realm, err := principal.CanonicalRealm(spelling); err == nil && !slices.Contains(realms, realm) {
					realms = append(realms, realm)
				}
			}
		}
	}
	if len(realms) > maxReadings {
		return true
	}
	for _, realm := range realms {
		if ours, err := g.realm(ctx, realm); ours || err != nil {
			return true
		}
	}
	return false
}

// fail makes d the answer to a failure of the store.
func (d *Decision) fail(err error) bool {
	d.Outcome, d.Reason, d.Err = Unavailable, ReasonUnavailable, err
	return true
}
