package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

// CompileOptions is what rules are read against.
type CompileOptions struct {
	// Realms that exist. A rule that names another is an error, unless Realms
	// is empty.
	Realms []string
	// DefaultRealms: a bare name in Users, and Groups of a rule without
	// Realms, are of these; the first is the one for names. Default: users.
	DefaultRealms []string
}

// Error is what Compile says about a rule: which one, which field, and what
// was expected there.
type Error struct {
	Rule  int // from 1
	Field string
	Item  int // of a list, from 1; 0: the field as a whole
	Text  string
}

func (e *Error) Error() string { return fmt.Sprintf("rule %d: %s: %s", e.Rule, e.Field, e.Text) }

// Rules is a compiled list. The zero Rules denies everything. It never
// changes, so it is safe for concurrent use.
type Rules struct {
	list     []compiled
	exact    map[string]*hostRules // a host that a rule names
	suffixes map[string]*hostRules // "example.com" of *.example.com
	any      *hostRules            // all other hosts; nil in the zero Rules alone
	realms   []string
}

// compiled is one rule, ready to be asked.
type compiled struct {
	number    int
	name      string
	hosts     []hostPattern
	paths     []pathPattern
	methods   []string
	networks  []netip.Prefix
	realms    []string
	first     string // the realm whose users have a bare name
	groups    []string
	users     []principal.Ref
	services  []principal.Ref
	factors   int
	fresh     time.Duration
	deny      bool
	nobody    bool
	preset    string
	assertion Assertion
	preflight bool
	bare      bool
	anywhere  bool // no methods and no networks
}

// hostRules are the rules that one host may select, in order.
type hostRules struct {
	rules                   []*compiled
	paths, methods, network bool // some rule looks at it
	capitals                bool // some path pattern has a capital or is a regex
}

// hostPattern: name is canonical. below: labels below name, not name itself;
// an empty name with below is "*".
type hostPattern struct {
	name  string
	below bool
}

func (h hostPattern) match(host string) bool {
	if !h.below {
		return host == h.name
	}
	return h.name == "" || len(host) > len(h.name)+1 && strings.HasSuffix(host, h.name) && host[len(host)-len(h.name)-1] == '.'
}

// Compile reads rules. An error is an *Error that names rule, field and what
// was expected.
func Compile(rules []Rule, o CompileOptions) (*Rules, error) {
	if len(o.DefaultRealms) == 0 {
		o.DefaultRealms = []string{account.DefaultRealm}
	}
	r := &Rules{list: make([]compiled, len(rules)), realms: slices.Clone(o.Realms)}
	for i := range rules {
		c, err := compileRule(&rules[i], i+1, &o)
		if err != nil {
			return nil, err
		}
		r.list[i] = *c
		for _, realm := range c.realms {
			if !slices.Contains(r.realms, realm) {
				r.realms = append(r.realms, realm)
			}
		}
		for _, s := range c.services {
			if !slices.Contains(r.realms, s.Realm) {
				r.realms = append(r.realms, s.Realm)
			}
		}
	}
	r.index()
	return r, nil
}

func compileRule(rule *Rule, number int, o *CompileOptions) (*compiled, error) {
	c := &compiled{number: number, name: rule.Name, factors: 2, fresh: time.Duration(rule.Fresh), deny: rule.Deny, assertion: rule.Assertion}
	fail := func(field, format string, args ...any) error {
		return &Error{Rule: number, Field: field, Text: fmt.Sprintf(format, args...)}
	}
	for _, step := range []func(*Rule, *compiled, *CompileOptions, failure) error{compileWhere, compileWho, compileHow} {
		if err := step(rule, c, o, fail); err != nil {
			return nil, err
		}
	}
	return c, nil
}

type failure func(field, format string, args ...any) error

// item is fail about one member of a list.
func (fail failure) item(i int, field, format string, args ...any) error {
	err := fail(field, format, args...)
	var e *Error
	if errors.As(err, &e) {
		e.Item = i + 1
	}
	return err
}

// compileWhere reads what selects a rule.
func compileWhere(rule *Rule, c *compiled, _ *CompileOptions, fail failure) error {
	for i, text := range rule.Hosts {
		h, err := parseHost(text)
		if err != nil {
			return fail.item(i, "hosts", "%+q: expected a host name without a port, *.example.com or *", text)
		}
		c.hosts = append(c.hosts, h)
	}
	if len(rule.Hosts) == 0 {
		c.hosts = []hostPattern{{below: true}}
	}
	for i, text := range rule.Paths {
		p, err := parsePath(text)
		if err != nil {
			return fail.item(i, "paths", "%+q: %v", text, err)
		}
		c.paths = append(c.paths, p)
	}
	for i, m := range rule.Methods {
		if !upperToken(m) || m == "CONNECT" || m == "TRACE" {
			return fail.item(i, "methods", "%+q: expected a method in upper case such as GET, other than CONNECT and TRACE", m)
		}
		c.methods = append(c.methods, m)
	}
	for i, text := range rule.Networks {
		p, err := parseNetwork(text)
		if err != nil {
			return fail.item(i, "networks", "%+q: expected an address or a prefix such as 10.0.0.0/8", text)
		}
		c.networks = append(c.networks, p)
	}
	return nil
}

// compileWho reads whom a rule admits.
func compileWho(rule *Rule, c *compiled, o *CompileOptions, fail failure) error {
	for i, text := range rule.Realms {
		realm, err := principal.CanonicalRealm(text)
		if err != nil {
			return fail.item(i, "realms", "%v", err)
		}
		if !known(realm, o) {
			return fail.item(i, "realms", "%+q: expected a realm that exists%s", text, list(o.Realms))
		}
		c.realms = append(c.realms, realm)
	}
	for i, text := range rule.Groups {
		group, err := principal.CanonicalGroup(text)
		if err != nil {
			return fail.item(i, "groups", "%v", err)
		}
		c.groups = append(c.groups, group)
	}
	c.first = o.DefaultRealms[0]
	if len(c.realms) > 0 {
		c.first = c.realms[0]
	}
	for i, text := range rule.Users {
		ref, err := principal.ParseRef(text, c.first)
		if err != nil {
			return fail.item(i, "users", "%v", err)
		}
		if !known(ref.Realm, o) {
			return fail.item(i, "users", "%+q: expected name@realm of a realm that exists%s", text, list(o.Realms))
		}
		if len(c.realms) > 0 && !slices.Contains(c.realms, ref.Realm) {
			return fail.item(i, "users", "%+q: expected a user of the rule's own realms%s", text, list(c.realms))
		}
		c.users = append(c.users, ref)
	}
	for i, text := range rule.Services {
		ref, err := parseService(text)
		if err != nil {
			return fail.item(i, "services", "%+q: expected name@realm, or @realm for all services of a realm", text)
		}
		if strings.Contains(ref.Name, "*") { // no pattern: it would be a service of that very name
			return fail.item(i, "services", "%+q: expected name@realm without *; %+q names all services of that realm", text, "@"+ref.Realm)
		}
		if !known(ref.Realm, o) {
			return fail.item(i, "services", "%+q: expected name@realm of a realm that exists%s", text, list(o.Realms))
		}
		c.services = append(c.services, ref)
	}
	if len(c.realms) == 0 && len(c.groups) > 0 {
		for _, realm := range o.DefaultRealms {
			canonical, err := principal.CanonicalRealm(realm)
			if err != nil {
				return fail("realms", "%v", err)
			}
			c.realms = append(c.realms, canonical)
		}
		for _, u := range c.users {
			if !slices.Contains(c.realms, u.Realm) {
				c.realms = append(c.realms, u.Realm)
			}
		}
	}
	return nil
}

// parseService reads name@realm, or @realm: then the name is empty.
func parseService(text string) (principal.Ref, error) {
	if realm, all := strings.CutPrefix(text, "@"); all {
		canonical, err := principal.CanonicalRealm(realm)
		return principal.Ref{Realm: canonical}, err
	}
	ref, err := principal.ParseRef(text, "")
	if err == nil && strings.ContainsAny(text, ":%+") { // no service has such a name
		err = principal.ErrName
	}
	return ref, err
}

// compileHow reads how much is asked and what the upstream gets.
func compileHow(rule *Rule, c *compiled, _ *CompileOptions, fail failure) error {
	if rule.Factors != nil {
		c.factors = *rule.Factors
	}
	switch {
	case c.factors < 0 || c.factors > 2:
		return fail("factors", "%d: expected 0, 1 or 2", c.factors)
	case c.fresh < 0:
		return fail("fresh", "%v: expected a positive duration such as 15m", c.fresh)
	case c.fresh > 0 && c.factors < 2:
		return fail("fresh", "only a second factor can be fresh: expected factors 2, not %d", c.factors)
	case c.factors == 0 && (len(c.groups) > 0 || len(c.users) > 0):
		return fail("factors", "0 admits everybody: expected no users and no groups beside it")
	case c.deny && (len(rule.Realms)+len(rule.Groups)+len(rule.Users)+len(rule.Services) > 0 || rule.Factors != nil || c.fresh > 0):
		return fail("deny", "refuses whoever it is: expected no realms, groups, users, services, factors or fresh beside it")
	}
	c.nobody = !c.deny && c.factors > 0 && len(c.realms)+len(c.users)+len(c.services) == 0
	switch rule.Headers {
	case "", HeadersRemote:
	case HeadersForwarded, HeadersAuthRequest, HeadersAuthentik:
		c.preset = rule.Headers
	default:
		return fail("headers", "%+q: expected remote, x-forwarded, x-auth-request or authentik", rule.Headers)
	}
	switch c.assertion {
	case AssertionNone, AssertionEdDSA, AssertionES256:
	default:
		return fail("assertion", "%+q: expected on, off or es256", string(c.assertion))
	}
	switch rule.Preflight {
	case "", PreflightJudge:
	case PreflightPass:
		c.preflight = !c.deny
	default:
		return fail("preflight", "%+q: expected pass", rule.Preflight)
	}
	switch rule.UserHeader {
	case "", UserHeaderQualified:
	case UserHeaderBare:
		c.bare = true
	default:
		return fail("user_header", "%+q: expected bare", rule.UserHeader)
	}
	return nil
}

func known(realm string, o *CompileOptions) bool {
	return len(o.Realms) == 0 || slices.Contains(o.Realms, realm)
}

func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

func parseHost(text string) (hostPattern, error) {
	if text == "*" {
		return hostPattern{below: true}, nil
	}
	name, below := strings.CutPrefix(text, "*.")
	if ip, err := netip.ParseAddr(name); err == nil {
		if below || ip.Zone() != "" {
			return hostPattern{}, ErrHost
		}
		if ip.Is6() {
			name = "[" + name + "]"
		}
	} else if strings.Contains(name, ":") && !strings.HasSuffix(name, "]") {
		return hostPattern{}, ErrHost // a rule names hosts, whatever the port
	}
	host, err := CanonicalHost(name)
	if err != nil || below && host[0] == '[' {
		return hostPattern{}, ErrHost
	}
	return hostPattern{name: host, below: below}, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.Addr().Is4In6() { // clients are compared as IPv4: it would never match
			return netip.Prefix{}, fmt.Errorf("an IPv4 network in IPv6 form")
		}
		return p.Masked(), nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("not a network")
	}
	ip = ip.Unmap()
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}

// upperToken reports whether m is a method: a token (RFC 9110 section 5.6.2)
// without lower-case letters.
func upperToken(m string) bool {
	if m == "" || len(m) > 32 {
		return false
	}
	for i := 0; i < len(m); i++ {
		c := m[i]
		if 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return false
	}
	return true
}

// pathPattern is one word of Paths. fold* are for readings in lower case.
type pathPattern struct {
	text, fold         string // exact, or the prefix with its last slash
	prefix             bool
	regex, foldedRegex *regexp.Regexp
}

const regexPrefix = "regex:"

func parsePath(text string) (pathPattern, error) {
	if source, ok := strings.CutPrefix(text, regexPrefix); ok {
		whole := `\A(?:` + source + `)\z`
		if _, err := regexp.Compile(source); err != nil { // so that ")(" stays an error
			return pathPattern{}, fmt.Errorf("expected a regular expression: %w", err)
		}
		regex, err := regexp.Compile(whole)
		if err != nil {
			return pathPattern{}, fmt.Errorf("expected a regular expression: %w", err)
		}
		return pathPattern{regex: regex, foldedRegex: regexp.MustCompile(`(?i)` + whole)}, nil
	}
	body, prefix := strings.CutSuffix(text, "/*")
	switch {
	case prefix && body == "", text == "/":
	case !strings.HasPrefix(text, "/") || strings.ContainsAny(body, "*?#"):
		return pathPattern{}, fmt.Errorf("expected /exact, /prefix/* or regex:…, without a query")
	}
	if all, err := readings(orRoot(body)); err != nil || slices.ContainsFunc(all, func(v string) bool { return v != orRoot(body) }) {
		return pathPattern{}, fmt.Errorf(`expected a clean path: no space, no %% \ ; // and no dot segments (write the decoded path)`)
	}
	if prefix {
		body += "/"
	}
	return pathPattern{text: body, fold: strings.ToLower(body), prefix: prefix}, nil
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// match reports whether a reading is under the pattern; folded compares
// without case.
func (p *pathPattern) match(path string, folded bool) bool {
	text, regex := p.text, p.regex
	if folded {
		text, regex = p.fold, p.foldedRegex
	}
	switch {
	case regex != nil:
		return regex.MatchString(path)
	case p.prefix:
		return strings.HasPrefix(path, text) || path == text[:len(text)-1]
	}
	return path == text
}

func (p *pathPattern) capitals() bool { return p.regex != nil || p.text != p.fold }
