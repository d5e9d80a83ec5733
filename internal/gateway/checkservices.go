package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

// programsOf says which services a rule admits, in words.
func programsOf(r *guard.Rule) (words []string) {
	var names, realms []string
	for _, s := range r.Services {
		if realm, all := strings.CutPrefix(s, "@"); all {
			realms = append(realms, realm)
		} else {
			names = append(names, s)
		}
	}
	if len(names) > 0 {
		words = append(words, "service "+either(names))
	}
	if len(realms) > 0 {
		words = append(words, "all services of realm "+either(realms))
	}
	return words
}

// outsideServices says which services a rule admits to one that it does not. By
// Basic such a service is not even asked for its token: it stays a stranger.
func outsideServices(r *guard.Rule) string {
	const status = " (403 to an access token, 401 to Basic)"
	words := programsOf(r)
	if len(words) == 0 {
		return "the rule admits no service" + status
	}
	return "the rule admits " + strings.Join(words, ", and ") + ", and no other service" + status
}

// becauseService is the reason where a service is asked about, "" for the guard's own.
func becauseService(d *guard.Decision, q *command.Question) string {
	refused := ""
	switch {
	case q.Disabled:
		refused = "the service is disabled, so its token is refused"
	case q.SubjectOnly:
		refused = "the service is for `verify` alone (--use subject), so its token opens nothing"
	case d.Identity == nil:
		refused = "the service may call from " + either(q.AllowFrom) + " alone, so its token is refused from elsewhere"
	}
	switch {
	case d.Reason == guard.ReasonAnonymous && refused != "":
		return refused
	case d.Reason == guard.ReasonPublic && refused != "":
		return d.Reason + " (" + refused + ")"
	case d.Reason == guard.ReasonAdmitted && len(q.AllowFrom) > 0 && q.Client == "":
		return d.Reason + ", from " + either(q.AllowFrom) + " alone (see --client)"
	}
	return ""
}

// askedService makes the identity of a service that is asked about.
func askedService(ref principal.Ref, from []string) (*account.Identity, error) {
	who := &account.Identity{Kind: principal.Service, Name: ref.Name, Realm: ref.Realm, Enabled: true}
	for _, text := range from {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, errors.New("read the networks of the service: the server's answer is not what this version expects")
		}
		who.AllowFrom = append(who.AllowFrom, network)
	}
	return who, nil
}

// unknownServiceRealms are hints at rules that name services of a realm of which
// the configuration knows nothing.
func (c *Config) unknownServiceRealms(number int, r *guard.Rule) (hints []string) {
	said := map[string]bool{}
	for _, s := range r.Services {
		realm := s[strings.LastIndexByte(s, '@')+1:]
		if !said[realm] && !c.knows(realm) {
			said[realm] = true
			hints = append(hints, fmt.Sprintf("rule %d: the realm %.64s of services is not configured here: until `service add` or `realm set` makes it, it admits none of them", number, realm))
		}
	}
	return hints
}
