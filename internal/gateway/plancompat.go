package gateway

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// facade is one block below compat that was understood.
type facade struct {
	compat.Common
	access compat.Access // as written
	realms []ownRealm
	nearby bool // it answers under loopback hosts too, besides the portal's
}

// ownRealm is a realm of a facade, and what holds there where the configuration
// says nothing else.
type ownRealm struct {
	word, name string
	defaults   account.Settings
}

// at is where a word of the facade stands.
func (f *facade) at(word string) string { return "/compat/" + f.Facade + "/" + word }

// planCompat understands the facades and fills in their defaults.
func (c *Config) planCompat(p *plan, s shell) error {
	if c.Compat == (compat.Config{}) {
		return nil
	}
	if s.routes && len(portalsOf(p.sites)) == 0 {
		return c.At("/compat", "compat: facades answer on the portal's host: set portal")
	}
	p.facades = c.facades(p)
	nearby := !s.routes && !s.demo && p.upstream == nil && len(portalsOf(p.sites)) > 0
	for i := range p.facades {
		p.facades[i].nearby = nearby
		if err := c.planFacade(&p.facades[i]); err != nil {
			return err
		}
	}
	if t := p.compat.Trench; t != nil && !compat.CleanPrefix(string(t.Prefix)) {
		return c.At("/compat/trench/prefix", "prefix: expected a path such as /auth, without a slash at its end, that nothing of ours has (%s)", compat.Taken())
	}
	return c.planOwnRealms(p)
}

// facades are those that are on, with their defaults.
func (c *Config) facades(p *plan) (all []facade) {
	if c.Compat.Adjure != nil {
		a := *c.Compat.Adjure
		a.Realm = cmp.Or(a.Realm, "adjure")
		p.compat.Adjure = &a
		all = append(all, personal("adjure", string(a.Realm), a.Access, adjureRealm()))
	}
	if c.Compat.Ungleich != nil {
		u := *c.Compat.Ungleich
		u.AdminRealm, u.AuthRealm, u.AppRealm = cmp.Or(u.AdminRealm, "ungleich-admin"), cmp.Or(u.AuthRealm, "ungleich-auth"), cmp.Or(u.AppRealm, "ungleich-apps")
		u.Replay = cmp.Or(u.Replay, account.ReplayAllow)
		p.compat.Ungleich = &u
		f := facade{Common: compat.Common{Facade: "ungleich"}, access: u.Access}
		for _, r := range []ownRealm{{word: "admin_realm", name: string(u.AdminRealm)}, {word: "auth_realm", name: string(u.AuthRealm)}, {word: "app_realm", name: string(u.AppRealm)}} {
			r.defaults = ungleichRealm()
			f.realms = append(f.realms, r)
		}
		all = append(all, f)
	}
	if c.Compat.Fastapi2FA != nil {
		a := *c.Compat.Fastapi2FA
		a.Realm = cmp.Or(a.Realm, "fastapi2fa")
		p.compat.Fastapi2FA = &a
		all = append(all, personal("fastapi2fa", string(a.Realm), a.Access, fastapiRealm()))
	}
	if c.Compat.Trench != nil {
		t := *c.Compat.Trench
		t.Realm, t.Prefix, t.Dialect = cmp.Or(t.Realm, "trench"), cmp.Or(t.Prefix, "/auth"), cmp.Or(t.Dialect, compat.Dialect03)
		p.compat.Trench = &t
		all = append(all, personal("trench", string(t.Realm), t.Access, trenchRealm(t.Dialect)))
	}
	return all
}

// personal is a facade with one realm, of people.
func personal(name, realm string, access compat.Access, defaults account.Settings) facade {
	return facade{Common: compat.Common{Facade: name, Realm: realm}, access: access, realms: []ownRealm{{"realm", realm, defaults}}}
}

// What holds in a facade's realm is what its original does.

func adjureRealm() account.Settings {
	return account.Settings{
		Factors: new(2), Enrollment: account.EnrollOff, Skew: new(1), Names: account.NamesExact,
		OTP:           &otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30},
		RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 32, Alphabet: "0123456789abcdef", Plain: true},
	}
}

func ungleichRealm() account.Settings {
	return account.Settings{Skew: new(3), Replay: account.ReplayAllow, Names: account.NamesExact, OTP: &otp.Params{Algorithm: otp.SHA1, Digits: 6, Period: 30}}
}

func fastapiRealm() account.Settings {
	return account.Settings{
		Factors: new(1), Enrollment: account.EnrollOpen, Skew: new(2), Session: refreshing(), Methods: []string{"totp", "email"},
		RecoveryCodes: &account.RecoverySettings{Count: 5, Length: 6, Alphabet: "0123456789", Plain: true},
	}
}

func trenchRealm(d compat.Dialect) account.Settings {
	skew := 0
	if d == compat.Dialect02 {
		skew = 1
	}
	return account.Settings{
		Factors: new(1), Enrollment: account.EnrollOpen, Skew: &skew, Session: refreshing(), Methods: []string{"totp", "email", "sms"},
		ConfirmDisable: new(false), ConfirmRegenerate: new(true), AllowRegenerate: new(true),
		RecoveryCodes: &account.RecoverySettings{Count: 5, Length: 12, Plain: true,
			Alphabet: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"},
	}
}

// apps is the realm of ungleich's applications; "" without it.
func (p *plan) apps() string {
	if u := p.compat.Ungleich; u != nil {
		return string(u.AppRealm)
	}
	return ""
}

// refreshing are the lives of sessions whose refresh tokens are good for a day: they
// slide with each refresh, in steps of minutes.
func refreshing() *account.Lifetimes {
	return &account.Lifetimes{Idle: 25 * time.Hour, Absolute: 7 * 24 * time.Hour}
}

// planFacade understands what all facades have.
func (c *Config) planFacade(f *facade) error {
	if f.access.AllowFrom != nil {
		networks, i, err := prefixes(f.access.AllowFrom)
		if err != nil {
			return c.At(fmt.Sprintf("%s/%d", f.at("allow_from"), i), "allow_from: %v", err)
		}
		if len(networks) == 0 {
			return c.At(f.at("allow_from"), "allow_from: nobody could call: name a network, or leave it out")
		}
		f.AllowFrom = networks
	}
	if text := string(f.access.Require); text != "" {
		ref, err := principal.ParseRef(text, "")
		if err != nil {
			return c.At(f.at("require"), "require: expected a service, as name@realm")
		}
		if ref.String() != text {
			return c.At(f.at("require"), "require: a service has one spelling, in small letters: write %s", ref)
		}
		f.Require = ref
	}
	if n := f.access.Skew; n != nil && (*n < 0 || *n > otp.MaxSkew) {
		return c.At(f.at("skew"), "skew: expected 0 to %d steps", otp.MaxSkew)
	}
	switch replay := f.access.Replay; {
	case replay == "" || replay == account.ReplayDeny || replay == account.ReplayAllow && f.Facade == "ungleich":
	case f.Facade == "ungleich":
		return c.At(f.at("replay"), "replay: expected allow or deny")
	default:
		return c.At(f.at("replay"), "replay: people's codes are good once: expected deny")
	}
	f.CORS = f.access.CORS
	return c.exactOrigins(f.at("cors"), "cors", f.CORS)
}

// planOwnRealms finds realms that two would share, and says skew and replay for
// those that the configuration says nothing else about.
func (c *Config) planOwnRealms(p *plan) error {
	owner := map[string]string{}
	for i := range p.facades {
		f := &p.facades[i]
		for j := range f.realms {
			r := &f.realms[j]
			if name, err := principal.CanonicalRealm(r.name); err != nil || name != r.name {
				return c.At(f.at(r.word), "%s: expected a realm's name in small letters, without dot, comma, @ or /", r.word)
			}
			if c.reservedRealm(r.name) && (r.name == c.defaultRealm() || r.word != "admin_realm" && r.word != "auth_realm") {
				return c.At(f.at(r.word), "%s: the realm %s is for other doors too: name one of this facade's own", r.word, r.name)
			}
			if other := owner[r.name]; other != "" {
				return c.At(f.at(r.word), "%s: compat.%s has the realm %s already: name another one", r.word, other, r.name)
			}
			if f.Facade == "ungleich" {
				if err := c.planRequired(p, r); err != nil {
					return err
				}
			}
			owner[r.name] = f.Facade
			if err := c.planOwnRealm(f, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// planRequired refuses a service of `require` that administrators of ungleich could
// make, or delete.
func (c *Config) planRequired(p *plan, r *ownRealm) error {
	for i := range p.facades {
		if other := &p.facades[i]; other.Facade != "ungleich" && other.Require.Realm == r.name {
			return c.At(other.at("require"), "require: services of %s are made by the administrators of compat.ungleich, who could then call: name one of another realm", r.name)
		}
	}
	return nil
}

// planOwnRealm puts skew and replay of the facade over its defaults. The realms admin
// and auth keep what they have: people sign in there.
func (c *Config) planOwnRealm(f *facade, r *ownRealm) error {
	if c.reservedRealm(r.name) {
		r.defaults = account.Settings{}
		return nil
	}
	said := c.Realms[r.name]
	if n := f.access.Skew; n != nil {
		if said.Skew != nil && *said.Skew != *n {
			return c.At(f.at("skew"), "skew: realms says otherwise for %s: leave one of the two out", r.name)
		}
		r.defaults.Skew = n
	}
	if written := c.replayWritten(f); written != "" {
		if said.Replay != "" && said.Replay != written {
			return c.At(f.at("replay"), "replay: realms says otherwise for %s: leave one of the two out", r.name)
		}
		r.defaults.Replay = written
	}
	return nil
}

// replayWritten is what the configuration itself says, without a default.
func (c *Config) replayWritten(f *facade) string {
	if f.Facade == "ungleich" {
		return string(c.Compat.Ungleich.Replay)
	}
	return string(f.access.Replay)
}

func (c *Config) reservedRealm(name string) bool {
	return name == account.AdminRealm || name == account.AuthRealm || name == c.defaultRealm()
}

// facadeRealm is what a facade says about a realm; nothing about others.
func (p *plan) facadeRealm(name string) account.Settings {
	for i := range p.facades {
		for _, r := range p.facades[i].realms {
			if r.name == name {
				return r.defaults
			}
		}
	}
	return account.Settings{}
}

// planCompatRealms makes the facades' realms part of the configuration, and warns of
// what is allowed and probably not meant.
func (c *Config) planCompatRealms(p *plan, _ shell) error {
	for i := range p.facades {
		f := &p.facades[i]
		for _, r := range f.realms {
			if _, said := p.realms[r.name]; !said && !c.reservedRealm(r.name) {
				if err := r.defaults.Validate(r.name); err != nil {
					return c.At(f.at(r.word), "realm %s: %v", r.name, err)
				}
				p.realms[r.name] = r.defaults
			}
			if one := r.defaults.Factors; one != nil && *one == 1 && *p.realms[r.name].Factors != 1 {
				p.warnings = append(p.warnings, fmt.Sprintf("realm %s: factors must be 1: the clients of compat.%s know no forced enrolment, so who has no second factor yet cannot sign in through it", r.name, f.Facade))
			}
		}
		c.compatHints(p, f)
		if !f.Require.IsZero() && !c.knows(f.Require.Realm) {
			p.hints = append(p.hints, fmt.Sprintf("compat.%s: the realm %.64s of require is not configured here: until `service add` or `realm set` makes it, nobody may call", f.Facade, f.Require.Realm))
		}
	}
	if a := p.compat.Adjure; a != nil && p.facades[0].Require.IsZero() && slices.ContainsFunc(p.facades[0].AllowFrom, beyondLoopback) {
		may := "make users and try codes"
		if a.CodeOracle {
			may = "read the code of every user"
		}
		p.warnings = append(p.warnings, "compat.adjure: everybody in the networks of allow_from can "+may+" without a login: set require, or leave allow_from out")
	}
	return nil
}

// refreshLife is what the refresh tokens of facades say of themselves.
const refreshLife = 24 * time.Hour

// compatHints add what is allowed, and does less than its reader may think.
func (c *Config) compatHints(p *plan, f *facade) {
	hint := func(format string, args ...any) { p.hints = append(p.hints, fmt.Sprintf(format, args...)) }
	if p.openBeyond(f) && len(portalsOf(p.sites)) == 0 {
		hint("compat.%s: there is no portal, so what authenticates nobody is answered under this machine's addresses alone, and under no name: set portal", f.Facade)
	}
	for _, r := range f.realms {
		s := p.realms[r.name]
		if r.defaults.Session != nil && s.Session != nil && s.Session.Idle < refreshLife {
			hint("realm %s: session.idle is below 24h: refresh tokens of compat.%s die earlier than they say", r.name, f.Facade)
		}
		if f.Facade == "fastapi2fa" && s.Enrollment == account.EnrollOff {
			hint("realm %s: enrollment is off, so enable_tfa of compat.fastapi2fa refuses everybody", r.name)
		}
	}
}

// openBeyond reports whether other machines may make calls of a facade that
// authenticate nobody.
func (p *plan) openBeyond(f *facade) bool {
	beyond := slices.ContainsFunc(f.AllowFrom, beyondLoopback)
	return f.Facade == "adjure" && beyond || f.Facade == "fastapi2fa" && p.compat.Fastapi2FA.Signup && (f.AllowFrom == nil || beyond)
}

// capable says what services of the realms of ungleich may do within it. Of
// applications those that are trusted may ask, and which are can be changed.
func (p *plan) capable() map[string][]account.Grant {
	u := p.compat.Ungleich
	if u == nil {
		return nil
	}
	ask := account.Grant{Capability: account.Authenticate}
	return map[string][]account.Grant{
		string(u.AdminRealm): {ask, {Capability: account.Create}, {Capability: account.Delete}, {Capability: account.List}, {Capability: account.Update}},
		string(u.AuthRealm):  {ask}, string(u.AppRealm): {ask},
	}
}

func beyondLoopback(n netip.Prefix) bool {
	return n != netip.MustParsePrefix("::1/128") && !(n.Bits() >= 8 && netip.MustParsePrefix("127.0.0.0/8").Contains(n.Addr()))
}

// filled returns s with the fields of defaults that s leaves open.
func filled(s, defaults account.Settings) account.Settings {
	if s.Factors != nil && *s.Factors > 1 && defaults.Enrollment == account.EnrollOpen {
		defaults.Enrollment = "" // nobody sets up a second factor at any time where it is demanded
	}
	to, from := reflect.ValueOf(&s).Elem(), reflect.ValueOf(defaults)
	for i := range from.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return s
}

// planCompatRules refuses rules that admit people whom a facade does not authenticate.
func (c *Config) planCompatRules(p *plan, _ shell) error {
	if bad := c.facadeInRules(p.written); bad != nil {
		return c.At(rulePointer(bad), "rule %d: %s: %s", bad.Rule, bad.Field, bad.Text)
	}
	return nil
}

// facadeInRules finds a rule that admits whom a facade makes without asking who it
// is. nil: there is none.
func (c *Config) facadeInRules(rules []guard.Rule) *guard.Error {
	for i := range rules {
		if rules[i].Deny {
			continue
		}
		for _, find := range []func(*guard.Rule) *guard.Error{c.admitsAdjure, c.namesWhoSignsUp} {
			if bad := find(&rules[i]); bad != nil {
				bad.Rule = i + 1
				return bad
			}
		}
	}
	return nil
}

// admitsAdjure finds the realm of adjure. Whoever may call that facade makes users
// there and reads their codes, so being one of them proves nothing.
func (c *Config) admitsAdjure(r *guard.Rule) *guard.Error {
	if c.Compat.Adjure == nil {
		return nil
	}
	realm := string(cmp.Or(c.Compat.Adjure.Realm, "adjure"))
	for _, list := range []struct {
		field string
		texts []string
	}{{"realms", r.Realms}, {"users", r.Users}, {"services", r.Services}} {
		for j, text := range list.texts {
			named, err := principal.CanonicalRealm(text[strings.LastIndexByte(text, '@')+1:])
			if err == nil && named == realm && (list.field == "realms" || strings.Contains(text, "@")) {
				return &guard.Error{Field: list.field, Item: j + 1,
					Text: "the realm " + realm + " is compat.adjure's, which authenticates nobody: a rule may not admit it"}
			}
		}
	}
	return nil
}

// namesWhoSignsUp finds a user of a realm in which anybody may sign up: under that
// name too, as long as nobody has it.
func (c *Config) namesWhoSignsUp(r *guard.Rule) *guard.Error {
	f := c.Compat.Fastapi2FA
	if f == nil || !f.Signup {
		return nil
	}
	realm, first := string(cmp.Or(f.Realm, "fastapi2fa")), c.defaultRealm()
	if len(r.Realms) > 0 {
		first = r.Realms[0]
	}
	for j, text := range r.Users {
		ref, err := principal.ParseRef(text, first)
		if err == nil && ref.Realm == realm {
			return &guard.Error{Field: "users", Item: j + 1,
				Text: "anybody may sign up in the realm " + realm + " (compat.fastapi2fa has signup), and under this name too: let the rule ask for a group, or leave signup out"}
		}
	}
	return nil
}

// facadeRealms are the names of all realms of facades, for those who look for a
// realm that is not configured.
func (c *Config) facadeRealms() (names []string) {
	for _, f := range c.facades(&plan{}) {
		for _, r := range f.realms {
			names = append(names, r.name)
		}
	}
	return names
}
