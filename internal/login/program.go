package login

import (
	"cmp"
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
		stored, noRealm := p.dir.Stored(tx, ref.Realm) // read for whoever is named: each is a round trip to a database
		if err = cmp.Or(err, noRealm); err == nil {
			who = p.accepted.find(s, stored.Version, token, client, tx.Now())
		}
		return err
	})
	switch {
	case err == nil && who != nil && who.MayCallFrom(client):
		return who, nil
	case err != nil && !errors.Is(err, account.ErrUnknownService) && !errors.Is(err, account.ErrUnknownRealm):
		return nil, err
	}
	return p.first(ctx, ref, token, client)
}

// first judges a token that is not remembered.
func (p *Programs) first(ctx context.Context, ref principal.Ref, token string, client netip.Addr) (*account.Identity, error) {
	var a attempt
	err := p.store.Update(ctx, func(tx store.Tx) (err error) {
		a, err = p.attempt(tx, ref, client)
		if err != nil || a.throttled != nil {
			return err
		}
		return p.judge(tx, &a, token)
	})
	switch {
	case err != nil:
		return nil, err
	case a.throttled != nil:
		p.audit.Note(a.event(p.clock(), audit.KindThrottled, a.throttled.Cause, "token"))
		return nil, a.throttled
	case a.cause != "":
		return nil, ErrDenied
	}
	return p.accepted.put(&a), nil
}

// attempt is one try of a service.
type attempt struct {
	tokenVerdict
	name      string // for events
	client    netip.Addr
	origin    throttle.Origin
	try       throttle.Try
	throttled *throttle.Throttled
	realm     account.Realm
}

// attempt finds who is named and counts the try. A service that is bound to networks
// is nobody elsewhere: what strangers try there does not shut it out.
func (p *Programs) attempt(tx store.Tx, ref principal.Ref, client netip.Addr) (a attempt, err error) {
	a.client, a.origin = client, originOfProgram(client)
	if a.realm, err = p.dir.Realm(tx, ref.Realm); err != nil && !errors.Is(err, account.ErrUnknownRealm) {
		return a, err
	}
	s, err := p.named(tx, ref, a.realm)
	if err != nil {
		return a, err
	}
	a.service, a.name = s, p.nameOf(s, ref)
	subject := p.subjectOf(s, ref)
	if who := s.Identity(); !who.MayCallFrom(client) {
		subject = p.throttle.Unknown(ref.Realm, ref.Name)
	}
	a.try, err = p.throttle.Count(tx, subject, throttle.Token, a.origin)
	if wait, ok := errors.AsType[*throttle.Throttled](err); ok {
		a.throttled, err = wait, nil
	}
	return a, err
}

// originOfProgram is the place that the throttle judges by. Programs on this machine
// are a place of their own; its address is no network that others share.
func originOfProgram(client netip.Addr) throttle.Origin {
	o := throttle.Origin{Client: client, Exempt: !client.IsValid() || client.IsLoopback()}
	if client.IsLoopback() {
		o.Browser = []byte("this machine")
	}
	return o
}

// judge decides a counted try.
func (p *Programs) judge(tx store.Tx, a *attempt, token string) error {
	a.tokenVerdict = match(a.service, token, tx.Now(), skewOf(a.realm), nil)
	if a.cause == "" {
		a.cause = obstacle(a.service, a.client)
		if a.cause != "" && a.cause != causeNetwork { // it is no guess
			if err := p.throttle.Uncount(tx, a.try); err != nil {
				return err
			}
			return p.recordRefused(tx, a)
		}
	}
	if a.cause != "" {
		return p.audit.Record(tx, a.event(tx.Now(), audit.KindToken, a.cause, ""))
	}
	if err := p.throttle.Good(tx, a.try); err != nil {
		return err
	}
	return p.saw(tx, a.service, a.origin)
}

// event is what is said of a try that was refused.
func (a *attempt) event(at time.Time, kind audit.Kind, cause, method string) audit.Event {
	return audit.Event{Time: at, Kind: kind, Outcome: audit.Denied, Cause: cause, Principal: a.service.ID, Name: a.name, Client: a.client, Method: method}
}

// recordRefused writes down that a good token was refused: once a minute, since
// such a service keeps calling.
func (p *Programs) recordRefused(tx store.Tx, a *attempt) error {
	state, err := p.dir.ServiceState(tx, a.service.ID)
	if err != nil {
		return err
	}
	e := a.event(tx.Now(), audit.KindToken, a.cause, "")
	if since := tx.Now().Sub(state.RefusedAt); since >= 0 && since < seenStep {
		tx.After(func() { p.audit.Note(e) })
		return nil
	}
	state.RefusedAt = tx.Now()
	if err := p.dir.SaveServiceState(tx, a.service.ID, state); err != nil {
		return err
	}
	return p.audit.Record(tx, e)
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

// saw notes, at most once a minute, that a service was there, and from where at once
// if it was never seen there.
func (p *Programs) saw(tx store.Tx, s *account.Service, origin throttle.Origin) error {
	subject := throttle.Of(s.ID)
	known, err := p.throttle.Known(tx, subject, origin)
	if err != nil {
		return err
	}
	state, err := p.dir.ServiceState(tx, s.ID)
	if err != nil {
		return err
	}
	if since := tx.Now().Sub(state.SeenAt); since >= 0 && since < seenStep {
		if known {
			return nil
		}
		return p.throttle.Succeeded(tx, subject, origin)
	}
	state.SeenAt = tx.Now()
	if err := p.dir.SaveServiceState(tx, s.ID, state); err != nil {
		return err
	}
	return p.throttle.Succeeded(tx, subject, origin)
}

// named finds a service. Of what is unknown it returns one without an id, whose
// seed nobody has and whose tokens look like those of the realm.
func (p *Programs) named(tx store.Tx, ref principal.Ref, realm account.Realm) (*account.Service, error) {
	s, err := p.dir.ServiceByRef(tx, ref)
	if !errors.Is(err, account.ErrUnknownService) {
		return s, err
	}
	params := otp.Default()
	if realm.OTP != nil {
		params = *realm.OTP
	}
	return &account.Service{Name: ref.Name, Realm: ref.Realm, Seeds: []account.Seed{{ID: 1, Secret: p.dummy, Params: params}}}, nil
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
	cause   string
	service *account.Service
	seed    account.Seed
	step    int64
	code    string
	from    time.Time // the token's window
	until   time.Time
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

// maxAccepted bounds the tokens that are remembered, of all services in all places;
// maxOfOne those of one service.
const (
	maxAccepted = 1 << 16
	maxOfOne    = 256
)

// accepted remembers tokens that were good, until their windows end.
type accepted struct {
	mu   sync.RWMutex
	all  map[principal.ID][]acceptedToken
	size int
}

type acceptedToken struct {
	version uint64 // of the service's record
	realm   uint64 // the version of its realm's
	place   netip.Prefix
	code    string
	from    time.Time
	until   time.Time
	who     *account.Identity
}

// find returns the identity for a token that was good, nil for any other.
func (a *accepted) find(s *account.Service, realm uint64, token string, client netip.Addr, now time.Time) *account.Identity {
	place := placeOf(client)
	a.mu.RLock()
	defer a.mu.RUnlock()
	var who *account.Identity
	for _, t := range a.all[s.ID] {
		code, ok := otp.Clean(token, len(t.code))
		equal := ok && subtle.ConstantTimeCompare([]byte(code), []byte(t.code)) == 1
		if equal && t.version == s.Version && t.realm == realm && t.place == place && now.Before(t.until) && !now.Before(t.from) {
			who = t.who
		}
	}
	return who
}

// placeOf is the network of a client, as the throttle knows places: a token that was
// good at one is looked at anew at another.
func placeOf(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	bits := 32
	if client.Is6() {
		bits = 64
	}
	place, _ := client.Prefix(bits) // the zero Prefix for nobody's address
	return place
}

// put remembers a token and returns the identity.
func (a *accepted) put(v *attempt) *account.Identity {
	identity := v.service.Identity()
	t := acceptedToken{version: v.service.Version, realm: v.realm.Version, place: placeOf(v.client), code: v.code, from: v.from, until: v.until, who: &identity}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil || a.size >= maxAccepted {
		a.all, a.size = map[principal.ID][]acceptedToken{}, 0
	}
	old := a.all[identity.ID]
	kept := slices.DeleteFunc(slices.Clone(old), func(o acceptedToken) bool {
		same := o.place == t.place && subtle.ConstantTimeCompare([]byte(o.code), []byte(t.code)) == 1
		return o.version != t.version || o.realm != t.realm || o.until.Before(t.from) || same
	})
	if len(kept) >= maxOfOne {
		kept = kept[:0]
	}
	for _, o := range kept { // one identity for one version, so that assertions are found again
		t.who = o.who
	}
	a.all[identity.ID] = append(kept, t)
	a.size += len(kept) + 1 - len(old)
	return t.who
}
