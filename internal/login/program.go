package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Causes of events about programs' tokens: outside they all look the same.
const (
	causeUnknown  = "unknown"
	causeDisabled = "disabled"
	causeWrong    = "wrong"
	causeWindow   = "out_of_window" // good once, or soon
	causeRotated  = "rotated"       // of a seed that works no longer
	causeNetwork  = "network"       // not from where the service is bound to
	causeUse      = "use"           // the service is for the other side alone
	causeReplay   = "replay"
	causeCapable  = "capable_realm" // of a realm with capabilities
	causeThrottle = "throttled"
)

// wide is how many steps on either side of now tell a token that is too old or too
// early from a wrong one, for the log alone.
const wide = 10

// seenStep is how often at most it is noted that a service was seen.
const seenStep = time.Minute

// ProgramOptions configure Programs. All but Clock are required.
type ProgramOptions struct {
	Store     store.Store
	Directory *account.Directory
	Throttle  *throttle.Throttle
	Audit     *audit.Log
	Derive    func(purpose string) []byte // keys that survive a restart
	Clock     func() time.Time            // nil: time.Now
}

// Programs judges the tokens of services: their own proofs, and what others ask
// about them. It is safe for concurrent use.
//
// A service's own token is good for its whole window: services call many times in
// 30 seconds. The first use of a token is judged and counted in an Update; what was
// good then is remembered in memory until its window ends, and each later use costs
// one look at the service's record, so that a service that was disabled, rotated or
// bound to another network is refused at once.
type Programs struct {
	store      store.Store
	dir        *account.Directory
	throttle   *throttle.Throttle
	audit      *audit.Log
	clock      func() time.Time
	unknownKey []byte
	dummy      []byte // a seed that nobody has: what is unknown costs what is known
	accepted   accepted
}

// NewPrograms returns Programs.
func NewPrograms(o ProgramOptions) *Programs {
	p := &Programs{
		store: o.Store, dir: o.Directory, throttle: o.Throttle, audit: o.Audit, clock: o.Clock,
		unknownKey: o.Derive("login unknown names"), dummy: o.Derive("login unknown services"),
	}
	if p.clock == nil {
		p.clock = time.Now
	}
	return p
}

// Program says whether a service's token is good now, and from this address.
// Nothing is burned. A wrong one counts (throttle.Token). The identity is shared:
// read only. Errors: ErrDenied (unknown, disabled, wrong, out of its window, from a
// network that it is not bound to: the same answer), *throttle.Throttled; anything
// else means that the store failed.
func (p *Programs) Program(ctx context.Context, ref principal.Ref, token string, client netip.Addr) (*account.Identity, error) {
	var who *account.Identity
	err := p.store.View(ctx, func(tx store.Tx) error {
		s, err := p.dir.ServiceByRef(tx, ref)
		if err != nil {
			return err
		}
		who = p.accepted.find(s, token, tx.Now())
		return nil
	})
	switch {
	case err == nil && who != nil && who.MayCallFrom(client):
		return who, nil
	case err != nil && !errors.Is(err, account.ErrUnknownService):
		return nil, err
	}
	return p.first(ctx, ref, token, client)
}

// first judges a token that is not remembered.
func (p *Programs) first(ctx context.Context, ref principal.Ref, token string, client netip.Addr) (*account.Identity, error) {
	var v tokenVerdict
	var name string
	var id principal.ID
	err := p.store.Update(ctx, func(tx store.Tx) error {
		v, name, id = tokenVerdict{}, "", principal.ID{}
		s, err := p.named(tx, ref)
		if err != nil {
			return err
		}
		name, id = p.nameOf(s, ref), s.ID
		origin := throttle.Origin{Client: client, Exempt: !client.IsValid() || client.IsLoopback()}
		try, err := p.throttle.Count(tx, p.subjectOf(s, ref), throttle.Token, origin)
		if wait, ok := errors.AsType[*throttle.Throttled](err); ok {
			v.throttled = wait
			return nil
		}
		if err != nil {
			return err
		}
		realm, err := p.dir.Realm(tx, s.Realm)
		if err != nil && !errors.Is(err, account.ErrUnknownRealm) {
			return err
		}
		v = match(s, token, tx.Now(), skewOf(realm), nil)
		if v.cause == "" {
			v.cause = obstacle(s, client)
		}
		if v.cause != "" {
			return p.recordToken(tx, s, name, audit.KindToken, v.cause, client, "")
		}
		if err := p.throttle.Good(tx, try); err != nil {
			return err
		}
		return p.saw(tx, s, origin)
	})
	switch {
	case err != nil:
		return nil, err
	case v.throttled != nil:
		p.audit.Note(audit.Event{Time: p.clock(), Kind: audit.KindThrottled, Outcome: audit.Denied, Cause: v.throttled.Cause,
			Principal: id, Name: name, Client: client, Method: "token"})
		return nil, v.throttled
	case v.cause != "":
		return nil, ErrDenied
	}
	return p.accepted.put(v), nil
}

// obstacle says why a service with a good token may not call, "" for nothing.
func obstacle(s *account.Service, client netip.Addr) string {
	who := s.Identity()
	switch {
	case s.Disabled:
		return causeDisabled
	case !who.Enabled:
		return causeUse
	case !who.MayCallFrom(client):
		return causeNetwork
	}
	return ""
}

// saw notes, at most once a minute, that a service was there and from where.
func (p *Programs) saw(tx store.Tx, s *account.Service, origin throttle.Origin) error {
	state, err := p.dir.ServiceState(tx, s.ID)
	if err != nil {
		return err
	}
	if since := tx.Now().Sub(state.SeenAt); since >= 0 && since < seenStep {
		return nil
	}
	state.SeenAt = tx.Now()
	if err := p.dir.SaveServiceState(tx, s.ID, state); err != nil {
		return err
	}
	return p.throttle.Succeeded(tx, throttle.Of(s.ID), origin)
}

// named finds a service. Of what is unknown it returns one without an id, whose
// seed nobody has.
func (p *Programs) named(tx store.Tx, ref principal.Ref) (*account.Service, error) {
	s, err := p.dir.ServiceByRef(tx, ref)
	if !errors.Is(err, account.ErrUnknownService) {
		return s, err
	}
	return &account.Service{Name: ref.Name, Realm: ref.Realm, Seeds: []account.Seed{{ID: 1, Secret: p.dummy, Params: otp.Default()}}}, nil
}

func (p *Programs) subjectOf(s *account.Service, ref principal.Ref) throttle.Subject {
	if s.ID.IsZero() {
		return p.throttle.Unknown(ref.Realm, ref.Name)
	}
	return throttle.Of(s.ID)
}

// nameOf is the name for events: of what nobody is called, a MAC.
func (p *Programs) nameOf(s *account.Service, ref principal.Ref) string {
	if !s.ID.IsZero() {
		return s.Ref().String()
	}
	mac := secret.MAC(p.unknownKey, []byte(ref.Realm), []byte(ref.Name))
	return audit.Unknown(mac[:])
}

// tokenVerdict is what a token was: good where cause is empty.
type tokenVerdict struct {
	cause     string
	throttled *throttle.Throttled
	service   *account.Service
	seed      account.Seed
	step      int64
	code      string
	from      time.Time // the token's window
	until     time.Time
}

// match compares a token with all seeds that work, and for the log with those that
// do not. burned says which step of a seed is burned; nil: none is.
func match(s *account.Service, token string, now time.Time, skew int, burned func(seed uint64) int64) tokenVerdict {
	v := tokenVerdict{cause: causeWrong, service: s}
	working := s.Working(now)
	for _, seed := range s.Seeds {
		code, ok := otp.Clean(token, seed.Params.Digits)
		if !ok {
			continue
		}
		after := int64(-1)
		if burned != nil {
			after = burned(seed.ID)
		}
		step, result := otp.Match(seed.Secret, seed.Params, code, now, skew, after)
		works := slices.ContainsFunc(working, func(w account.Seed) bool { return w.ID == seed.ID })
		switch {
		case result == otp.Matched && works && v.cause != "":
			until := seed.Params.Start(step + 1 + int64(skew))
			if !seed.Until.IsZero() && seed.Until.Before(until) {
				until = seed.Until
			}
			v.cause, v.seed, v.step, v.code = "", seed, step, code
			v.from, v.until = seed.Params.Start(step-int64(skew)), until
		case v.cause != causeWrong:
		case result == otp.Replayed:
			v.cause = causeReplay
		case result == otp.Matched:
			v.cause = causeRotated
		default:
			if _, near := otp.Match(seed.Secret, seed.Params, code, now, wide, -1); near == otp.Matched {
				v.cause = causeWindow
			}
		}
	}
	if s.ID.IsZero() {
		v.cause = causeUnknown
	}
	return v
}

// skewOf is how many steps a realm accepts on either side of now. A realm that is
// not there has the default, so that it costs what others cost.
func skewOf(r account.Realm) int {
	if r.Skew == nil {
		return 1
	}
	return *r.Skew
}

// recordToken writes down why a token was refused.
func (p *Programs) recordToken(tx store.Tx, s *account.Service, name string, kind audit.Kind, cause string, client netip.Addr, actor string) error {
	return p.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: kind, Outcome: audit.Denied, Cause: cause, Principal: s.ID, Name: name, Client: client, Actor: actor,
	})
}

// maxAccepted bounds the tokens that are remembered. A service has three at a time,
// and six during an overlap.
const maxAccepted = 1 << 16

// accepted remembers tokens that were good, until their windows end.
type accepted struct {
	mu   sync.RWMutex
	all  map[principal.ID][]acceptedToken
	size int
}

type acceptedToken struct {
	version uint64 // of the service's record
	code    string
	from    time.Time
	until   time.Time
	who     *account.Identity
}

// find returns the identity for a token that was good, nil for any other.
func (a *accepted) find(s *account.Service, token string, now time.Time) *account.Identity {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var who *account.Identity
	for _, t := range a.all[s.ID] {
		code, ok := otp.Clean(token, len(t.code))
		equal := ok && subtle.ConstantTimeCompare([]byte(code), []byte(t.code)) == 1
		if equal && t.version == s.Version && now.Before(t.until) && !now.Before(t.from) {
			who = t.who
		}
	}
	return who
}

// put remembers a token and returns the identity.
func (a *accepted) put(v tokenVerdict) *account.Identity {
	identity := v.service.Identity()
	t := acceptedToken{version: v.service.Version, code: v.code, from: v.from, until: v.until, who: &identity}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil || a.size >= maxAccepted {
		a.all, a.size = map[principal.ID][]acceptedToken{}, 0
	}
	old := a.all[identity.ID]
	kept := slices.DeleteFunc(slices.Clone(old), func(o acceptedToken) bool {
		return o.version != t.version || o.until.Before(t.from) || subtle.ConstantTimeCompare([]byte(o.code), []byte(t.code)) == 1
	})
	for _, o := range kept { // one identity for one version, so that assertions are found again
		t.who = o.who
	}
	a.all[identity.ID] = append(kept, t)
	a.size += len(kept) + 1 - len(old)
	return t.who
}
