package guard

import (
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
)

// Step is one line of an explanation: a rule that was looked at.
type Step struct {
	Rule    int    `json:"rule"`
	Name    string `json:"name,omitempty"`
	Matches bool   `json:"matches"`
	Why     string `json:"why"` // what did not match, or "matches"
}

// Explain decides as Check does, about somebody who proved factors factors
// just now (nil: nobody is signed in), and tells which rules were looked at.
// It asks no store.
func (r *Rules) Explain(req *Request, as *account.Identity, factors int) (Decision, []Step) {
	steps := r.trace(req)
	d := Decision{}
	rule := r.find(req, &d)
	if rule == nil || d.Outcome != Allow {
		return d, steps
	}
	if rule.preflight && req.Preflight && req.Method == "OPTIONS" && !req.Tighten.asks() {
		d.Reason, d.MethodAware = ReasonPreflight, true
		return d, steps
	}
	now := time.Unix(1, 0)
	if as != nil {
		d.Live.Identity, d.Live.Proof = as, explained(factors, now)
		if as.Kind != principal.Service && factors == 0 {
			as = nil
		}
	}
	rule.judge(req, as, func() time.Time { return now }, &d)
	return d, steps
}

func explained(factors int, now time.Time) session.Proof {
	p := session.Proof{}
	if factors > 0 {
		p.AMR, p.PasswordAt = session.PWD, now
	}
	if factors > 1 {
		p.AMR, p.FactorAt = p.AMR|session.OTP, now
	}
	return p
}

// Explain is Rules.Explain.
func (g *Guard) Explain(req *Request, as *account.Identity, factors int) (Decision, []Step) {
	if g.rules == nil {
		return Decision{Reason: ReasonNoRule}, nil
	}
	return g.rules.Explain(req, as, factors)
}

func (r *Rules) trace(req *Request) []Step {
	host, err := RequestHost(req.Host)
	if err != nil {
		return nil
	}
	steps := []Step{}
	for i := range r.list {
		c := &r.list[i]
		why := c.mismatch(host, req)
		steps = append(steps, Step{Rule: c.number, Name: c.name, Matches: why == "", Why: why})
		if why == "" {
			steps[len(steps)-1].Why = "matches"
			break
		}
	}
	return steps
}

// mismatch says in a word what keeps a rule from matching, "" if nothing.
func (c *compiled) mismatch(host string, req *Request) string {
	named := false
	for _, h := range c.hosts {
		named = named || h.match(host)
	}
	switch {
	case !named:
		return "another host"
	case !c.coversPath(req.Path, false):
		return "another path"
	case !c.covers(req.Method, netip.Addr{}) && len(c.networks) == 0:
		return "another method"
	case !c.covers(req.Method, req.Client):
		return "another method or network"
	}
	return ""
}

// Demand says what a target asks of whoever wants to see it, for the login
// that leads there: the first realm of the rule, factors and freshness. A
// target that no rule admits asks two factors.
func (g *Guard) Demand(host, path string, client netip.Addr) (realm string, factors int, fresh time.Duration) {
	if g.rules == nil {
		return "", 2, 0
	}
	d := Decision{}
	rule := g.rules.find(&Request{Method: "GET", Host: host, Path: path, Client: client}, &d)
	if rule == nil || d.Outcome != Allow {
		return "", 2, 0
	}
	return d.Demand.Realm, d.Demand.Factors, d.Demand.Fresh
}

// Looks says what the rules for a host look at.
type Looks struct{ Paths, Methods, Networks bool }

// Looks says what the rules for a host look at. An invalid host: everything.
func (r *Rules) Looks(host string) Looks {
	canonical, err := CanonicalHost(host)
	if err != nil {
		return Looks{true, true, true}
	}
	h := r.host(canonical)
	return Looks{Paths: h.paths, Methods: h.methods, Networks: h.network}
}

// names reports whether a rule that does not deny names a canonical host, by
// its name or by a suffix. "*" names no host.
func (r *Rules) names(host string) bool {
	for i := range r.list {
		if r.list[i].deny {
			continue
		}
		for _, h := range r.list[i].hosts {
			if h.name != "" && h.match(host) {
				return true
			}
		}
	}
	return false
}
