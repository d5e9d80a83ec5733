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
		warnings = append(warnings, c.softSecond(i+1, &written[i])...)
	}
	return slices.Concat(rules.Warnings(), c.openToAll(written), warnings), hints
}

// ungleichReaches says that a rule admits services of compat.ungleich's own realms,
// which its administrators make and delete. Other realms that rules admit are closed
// to them (Gateway.closedRealm).
func (c *Config) ungleichReaches(number int, r *guard.Rule) (hints []string) {
	u := c.Compat.Ungleich
	if u == nil || r.Deny {
		return nil
	}
	admin := cmp.Or(u.AdminRealm, "ungleich-admin")
	own := []string{string(admin), string(cmp.Or(u.AuthRealm, "ungleich-auth")), string(cmp.Or(u.AppRealm, "ungleich-apps"))}
	said := map[string]bool{}
	for _, text := range r.Services {
		realm, err := principal.CanonicalRealm(text[strings.LastIndexByte(text, '@')+1:])
		if err == nil && slices.Contains(own, realm) && !said[realm] {
			said[realm] = true
			hints = append(hints, fmt.Sprintf("rule %d: services of the realm %s can make and delete services of the realm %s through compat.ungleich, so what this rule guards is theirs too", number, admin, realm))
		}
	}
	return hints
}

// peopleOf are the realms whose people a rule admits.
func (c *Config) peopleOf(r *guard.Rule) (realms []string) {
	add := func(text string) {
		if realm, err := principal.CanonicalRealm(text); err == nil && !slices.Contains(realms, realm) {
			realms = append(realms, realm)
		}
	}
	for _, realm := range r.Realms {
		add(realm)
	}
	if len(r.Realms) == 0 && len(r.Groups) > 0 {
		add(c.defaultRealm())
	}
	for _, text := range r.Users {
		switch at := strings.LastIndexByte(text, '@'); {
		case at >= 0:
			add(text[at+1:])
		case len(r.Realms) == 0:
			add(c.defaultRealm())
		}
	}
	return realms
}

// openToAll warns of rules that admit a realm in which anybody may sign up.
func (c *Config) openToAll(written []guard.Rule) (warnings []string) {
	f := c.Compat.Fastapi2FA
	if f == nil || !f.Signup {
		return nil
	}
	realm := string(cmp.Or(f.Realm, "fastapi2fa"))
	for i := range written {
		if slices.Contains(c.peopleOf(&written[i]), realm) && !written[i].Deny && len(written[i].Groups)+len(written[i].Users) == 0 {
			warnings = append(warnings, fmt.Sprintf("rule %d: anybody may sign up in the realm %s (compat.fastapi2fa has signup), so it admits everybody who does", i+1, realm))
		}
	}
	return warnings
}

// softSecond warns of a rule that demands a second factor in a realm where it says less
// than the rule's author thinks: it may be of whoever has the password, or be replaced
// by whoever stole a session.
func (c *Config) softSecond(number int, r *guard.Rule) (warnings []string) {
	if r.Deny || r.Factors != nil && *r.Factors < 2 {
		return nil
	}
	for _, realm := range c.peopleOf(r) {
		facade := (&plan{facades: c.facades(&plan{})}).facadeRealm(realm)
		s := filled(c.Realms[realm].settings(realm, account.Lifetimes{}, facade), facade)
		if s.Enrollment == account.EnrollOpen {
			warnings = append(warnings, fmt.Sprintf("rule %d: whoever has a password of the realm %s and nothing more may set up the second factor that it demands: set enrollment of that realm to invitation", number, realm))
		}
		one := s.Factors != nil && *s.Factors == 1 // where two are demanded a code is needed anyway
		if t := c.Compat.Trench; one && t != nil && realm == string(cmp.Or(t.Realm, "trench")) && s.ConfirmDisable != nil && !*s.ConfirmDisable {
			warnings = append(warnings, fmt.Sprintf("rule %d: whoever steals a session of the realm %s may take away the second factor that it demands: set confirm_disable of that realm to true", number, realm))
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
