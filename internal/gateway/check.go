package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

// Check understands the configuration and says what each rule means. It opens
// and makes nothing.
func Check(_ context.Context, g command.Global) (command.Report, error) {
	c, err := LoadFor(g)
	if err != nil {
		return command.Report{}, err
	}
	p, err := c.plan(shell{})
	if err != nil {
		return command.Report{}, err
	}
	if _, _, err := c.StateDir(g.State); err != nil {
		return command.Report{}, err
	}
	r := command.Report{File: c.file, Rules: []command.RuleReport{}, Facades: p.facadeReports(), Warnings: slices.Concat(p.warnings, p.hints)}
	if r.Warnings == nil {
		r.Warnings = []string{}
	}
	if len(p.written) > 0 {
		r.Rules = c.RuleReports(p.written)
	}
	return r, nil
}

// RuleReports says what each rule means; of none, what the implied one does.
func (c *Config) RuleReports(rules []guard.Rule) []command.RuleReport {
	if len(rules) == 0 {
		rules = c.implied()
	}
	reports := make([]command.RuleReport, len(rules))
	for i := range rules {
		reports[i] = command.RuleReport{Number: i + 1, Name: rules[i].Name, Text: sentence(&rules[i])}
	}
	return reports
}

// FacadeReports says of each facade where it is, who may call it and what it shows,
// for a server with routes of its own.
func (c *Config) FacadeReports() ([]string, error) {
	p, err := c.plan(shell{routes: true})
	if err != nil {
		return nil, err
	}
	return p.facadeReports(), nil
}

// Remarks are whole sentences about what a good configuration allows but probably
// does not mean, for a server with routes of its own.
func (c *Config) Remarks() ([]string, error) {
	p, err := c.plan(shell{routes: true})
	if err != nil {
		return nil, err
	}
	return slices.Concat(p.warnings, p.hints), nil
}

// sentence says what a rule matches and what it demands.
func sentence(r *guard.Rule) string {
	where := "every host"
	if len(r.Hosts) > 0 {
		where = either(r.Hosts)
	}
	if len(r.Paths) > 0 {
		where += ", path " + either(r.Paths)
	}
	if len(r.Methods) > 0 {
		where += ", method " + either(r.Methods)
	}
	if len(r.Networks) > 0 {
		where += ", from " + either(r.Networks)
	}
	return where + ": " + demand(r)
}

func demand(r *guard.Rule) string {
	factors := 2
	if r.Factors != nil {
		factors = *r.Factors
	}
	switch {
	case r.Deny:
		return "nobody"
	case factors == 0:
		return "everybody, signed in or not"
	}
	var who []string
	if len(r.Realms) > 0 || len(r.Groups) > 0 || len(r.Users) > 0 {
		text := "users"
		if len(r.Realms) > 0 {
			text += " of realm " + either(r.Realms)
		}
		if len(r.Groups) > 0 {
			text += " in group " + either(r.Groups)
		}
		if len(r.Users) > 0 {
			text += " named " + either(r.Users)
		}
		text += " with " + map[int]string{1: "one factor", 2: "two factors"}[factors]
		if r.Fresh > 0 {
			text += fmt.Sprintf(", the second at most %s old", Duration(r.Fresh).text())
		}
		who = append(who, text)
	}
	who = append(who, programsOf(r)...)
	if len(who) == 0 {
		return "nobody (the rule names no realm, group, user or service)"
	}
	return strings.Join(who, "; and ")
}

func either(words []string) string { return strings.Join(words, " or ") }

// Explain says which rule decides a request, and why, without a store.
func Explain(_ context.Context, g command.Global, q command.Question) (command.Explanation, error) {
	c, err := LoadFor(g)
	if err != nil {
		return command.Explanation{}, err
	}
	return c.Explain(q)
}

// ExplainRoute is Explain for a route that brings its own rules (RouteOptions).
func (c Config) ExplainRoute(rules []guard.Rule, q command.Question) (command.Explanation, error) {
	if c.Rules = rules; len(rules) == 0 {
		c.Rules = c.implied()
	}
	return c.Explain(q)
}

// Explain answers by the configuration's own rules.
func (c *Config) Explain(q command.Question) (command.Explanation, error) {
	p, err := c.plan(shell{})
	if err != nil {
		return command.Explanation{}, err
	}
	req, err := request(q)
	if err != nil {
		return command.Explanation{}, err
	}
	who, err := c.asked(q)
	if err != nil {
		return command.Explanation{}, err
	}
	elsewhere := who != nil && req.Client.IsValid() && !who.MayCallFrom(req.Client)
	if q.Disabled || q.Unknown || q.SubjectOnly || elsewhere { // there is no session, and no token is good
		who, q.Factors = nil, 0
	}
	d, steps := p.rules.Explain(req, who, q.Factors)
	e := command.Explanation{Decision: d.Outcome.String(), Rule: d.Rule, RuleName: d.RuleName, Reason: p.because(&d, &q)}
	if d.Outcome != guard.Allow && d.Outcome != guard.Challenge {
		e.Decision = guard.Deny.String()
	}
	for _, s := range steps {
		e.Trace = append(e.Trace, step(s))
	}
	return e, nil
}

// because is the guard's reason, with what only the question and the written
// rule can add.
func (p *plan) because(d *guard.Decision, q *command.Question) string {
	nobody := fmt.Sprintf("there is no user or service %s in the state", q.As)
	switch {
	case q.Service:
		if text := becauseService(d, q); text != "" {
			return text
		}
	case !q.Unknown:
	case d.Reason == guard.ReasonAnonymous:
		return nobody + ", so nobody is signed in"
	case d.Reason == guard.ReasonPublic:
		return d.Reason + " (" + nobody + ")"
	}
	switch d.Reason {
	case guard.ReasonNoRule:
		if len(p.written) == 0 {
			return "there are no rules (`serve --upstream` would imply one: realms users and admin, two factors, every host)"
		}
	case guard.ReasonViews:
		return "the request would be refused (400): the path can be read in more ways than one, and they select different rules"
	case guard.ReasonHost, guard.ReasonPath, guard.ReasonMethod:
		return "the request would be refused (400): " + d.Reason
	case guard.ReasonMethodClosed:
		return "the request would be refused (405): " + d.Reason
	case guard.ReasonAnonymous:
		switch {
		case q.Disabled:
			return d.Reason + " (the user is disabled, so no session is open)"
		case q.As != "":
			return "0 factors (see --factors), so nobody is signed in"
		}
	case guard.ReasonFactors:
		return fmt.Sprintf("%s: the session has %d, %d are demanded", d.Reason, q.Factors, d.Demand.Factors)
	case guard.ReasonNotAdmitted:
		return d.Reason + ": " + outside(&p.written[d.Rule-1], d.Identity)
	}
	return d.Reason
}

// outside names the list of a rule that somebody is not on.
func outside(r *guard.Rule, who *account.Identity) string {
	if who.Kind == principal.Service {
		return outsideServices(r)
	}
	if len(r.Realms) > 0 && !slices.ContainsFunc(r.Realms, func(name string) bool {
		realm, err := principal.CanonicalRealm(name)
		return err == nil && realm == who.Realm
	}) {
		return "the realm is not " + either(r.Realms)
	}
	var lists []string
	if len(r.Groups) > 0 {
		lists = append(lists, "in group "+either(r.Groups))
	}
	if len(r.Users) > 0 {
		lists = append(lists, "named "+either(r.Users))
	}
	if len(lists) == 0 || len(r.Realms) == 0 && who.Realm != account.DefaultRealm {
		return "not on the rule's lists (groups without realms are those of the default realm)"
	}
	groups := "none"
	if len(who.Groups) > 0 {
		groups = strings.Join(who.Groups, ", ")
	}
	return "not " + strings.Join(lists, ", nor ") + " (groups: " + groups + ")"
}

func request(q command.Question) (*guard.Request, error) {
	u, err := url.Parse(q.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("expected a whole URL, such as https://app.example.com/x")
	}
	rest := q.URL[strings.Index(q.URL, "://")+3:]
	path := "/"
	if i := strings.IndexAny(rest, "/?#"); i >= 0 && rest[i] == '/' {
		path, _, _ = strings.Cut(rest[i:], "?")
		path, _, _ = strings.Cut(path, "#")
	}
	req := &guard.Request{Method: q.Method, Scheme: u.Scheme, Host: u.Host, Path: path, Navigation: true}
	if q.Client != "" {
		if req.Client, err = netip.ParseAddr(q.Client); err != nil {
			return nil, errors.New("--client: expected an address such as 192.0.2.1")
		}
	}
	return req, nil
}

// asked makes the identity that is asked about; nil: a stranger.
func (c *Config) asked(q command.Question) (*account.Identity, error) {
	if q.As == "" {
		return nil, nil
	}
	ref, err := principal.ParseRef(q.As, c.defaultRealm())
	if err != nil {
		return nil, fmt.Errorf("--as: %w", err)
	}
	if q.Service {
		return askedService(ref, q.AllowFrom)
	}
	return &account.Identity{Kind: principal.User, Name: ref.Name, Realm: ref.Realm, Groups: q.Groups, Enabled: true}, nil
}

func step(s guard.Step) string {
	text := fmt.Sprintf("rule %d", s.Rule)
	if s.Name != "" {
		text += " (" + s.Name + ")"
	}
	if s.Matches {
		return text + " matches"
	}
	return text + ": " + s.Why
}
