package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

// planRules compiles the rules, or implies the one of a single site.
func (c *Config) planRules(p *plan, s shell) error {
	p.written = c.Rules
	if c.Rules == nil && (s.demo || p.upstream != nil) {
		p.written = c.implied()
	}
	rules, err := guard.Compile(p.written, c.compileOptions())
	var bad *guard.Error
	if errors.As(err, &bad) {
		return c.At(rulePointer(bad), "rule %d: %s: %s", bad.Rule, bad.Field, bad.Text)
	}
	if err != nil {
		return c.At("/rules", "rules: %v", err)
	}
	p.rules = rules
	if len(p.written) == 0 && s.routes { // routes bring rules of their own
		return nil
	}
	if len(p.written) == 0 {
		p.warnings = append(p.warnings, "there are no rules: every request is denied; write rules, or name an upstream (`serve --upstream` does), which implies one")
		return nil
	}
	warnings, hints := c.ruleRemarks(p.written, rules)
	p.warnings, p.hints = append(p.warnings, warnings...), append(p.hints, hints...)
	return nil
}

// planReach warns of hosts that no login reaches: a browser brings the portal's
// cookie to the portal and to what lies below a cookie domain, and nowhere else.
func (c *Config) planReach(p *plan, _ shell) error {
	portals := portalsOf(p.sites)
	if len(portals) == 0 { // each host has pages of its own
		return nil
	}
	for i := range p.written {
		r := &p.written[i]
		if r.Deny || r.Factors != nil && *r.Factors == 0 || len(r.Realms)+len(r.Groups)+len(r.Users) == 0 { // services do not log in
			continue
		}
		for _, host := range r.Hosts {
			if slices.ContainsFunc(portals, func(p Portal) bool { return p.servesSome(host) }) {
				continue
			}
			which := "this host is"
			if strings.HasPrefix(host, "*") {
				which = "these hosts are"
			}
			p.warnings = append(p.warnings, fmt.Sprintf("rule %d: %s: %s not below a cookie_domain, so no login at the portal ever reaches it and nobody gets in", i+1, host, which))
		}
	}
	return nil
}

// rulePointer is where the mistake in a rule stands below a list of rules.
func rulePointer(e *guard.Error) string {
	at := fmt.Sprintf("/rules/%d/%s", e.Rule-1, e.Field)
	if e.Item > 0 {
		at += fmt.Sprintf("/%d", e.Item-1)
	}
	return at
}

// ruleRemarks are whole sentences about rules that are allowed and probably not
// meant: warnings, and hints at what only the state could tell.
func (c *Config) ruleRemarks(written []guard.Rule, rules *guard.Rules) (warnings, hints []string) {
	for i := range written {
		for _, realm := range written[i].Realms {
			if !c.knows(realm) {
				hints = append(hints, fmt.Sprintf("rule %d: the realm %.64s is not configured here: until `realm set` or `user add` makes it, it admits nobody", i+1, realm))
			}
		}
		hints = append(hints, c.unknownServiceRealms(i+1, &written[i])...)
		hints = append(hints, c.ungleichReaches(i+1, &written[i])...)
	}
	return append(rules.Warnings(), c.openToAll(written)...), hints
}

// ungleichReaches says that administrators of compat.ungleich can make services that a
// rule admits: there they manage every realm without capabilities.
func (c *Config) ungleichReaches(number int, r *guard.Rule) []string {
	u := c.Compat.Ungleich
	if u == nil || len(r.Services) == 0 || r.Deny {
		return nil
	}
	return []string{fmt.Sprintf("rule %d: services of the realm %s can make and delete services of other realms through compat.ungleich, so what this rule guards is theirs too",
		number, cmp.Or(u.AdminRealm, "ungleich-admin"))}
}

// openToAll warns of rules that admit a realm in which anybody may sign up.
func (c *Config) openToAll(written []guard.Rule) (warnings []string) {
	f := c.Compat.Fastapi2FA
	if f == nil || !f.Signup {
		return nil
	}
	realm := cmp.Or(f.Realm, "fastapi2fa")
	for i := range written {
		if slices.Contains(written[i].Realms, realm) && !written[i].Deny && len(written[i].Groups)+len(written[i].Users) == 0 {
			warnings = append(warnings, fmt.Sprintf("rule %d: anybody may sign up in the realm %s (compat.fastapi2fa has signup), so it admits everybody who does", i+1, realm))
		}
	}
	return warnings
}

// implied is the rule of a site that says nothing more.
func (c *Config) implied() []guard.Rule {
	factors := 2
	return []guard.Rule{{Name: "implied", Realms: []string{c.defaultRealm(), account.AdminRealm}, Factors: &factors}}
}

func (c *Config) compileOptions() guard.CompileOptions {
	return guard.CompileOptions{DefaultRealms: []string{c.defaultRealm()}}
}

// knows reports whether a realm exists without a look into the state.
func (c *Config) knows(realm string) bool {
	realm, err := principal.CanonicalRealm(realm)
	_, configured := c.Realms[realm]
	return err != nil || configured || slices.Contains(c.facadeRealms(), realm) || slices.Contains([]string{c.defaultRealm(), account.AdminRealm, account.AuthRealm}, realm)
}
