package login

import (
	"errors"
	"net/netip"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Asking is a question of one program about another's token.
type Asking struct {
	Caller string        // immutable: whose question it is, for the counter
	Actor  string        // name@realm of the caller, for the event
	Client netip.Addr    // where the caller is
	Ref    principal.Ref // about whom, canonical as far as it can be
	Token  string
	Facade *FacadeRules // nil: asked at a door of our own

	person *account.User // Nobody
	cause  string        // likewise
}

// FacadeRules are what a facade's callers expect of the tokens that they ask about.
type FacadeRules struct {
	Replay string // account.ReplayDeny or ReplayAllow, whatever the realm says
	Skew   int    // steps on either side of now; less than the realm's: the realm's
}

// Verify answers whether a service's token is good, and burns its step for all who
// ask (not for the service itself), unless the realm's setting replay says allow.
// That the caller may ask, the caller of Verify has checked in tx.
//
// Unknown, disabled, wrong, replayed, out of its window and asked too often are the
// same answer after one commit each; the event tells them apart. A realm with
// capabilities answers no to everything: to ask would be to try its keys. Wrong tries
// count per caller and subject. Errors mean that the store failed.
func (p *Programs) Verify(tx store.Tx, q Asking) (good bool, err error) {
	realm, err := p.dir.Realm(tx, q.Ref.Realm)
	if err != nil && !errors.Is(err, account.ErrUnknownRealm) {
		return false, err
	}
	s, err := p.named(tx, q.Ref, realm)
	if err != nil {
		return false, err
	}
	return p.verify(tx, q, s, realm)
}

// Nobody is Verify for a name that nobody has, or for a person who is not to be asked
// about (u; the event says why): it answers no, for the same work.
func (p *Programs) Nobody(tx store.Tx, q Asking, u *account.User, cause string) error {
	realm, err := p.dir.Realm(tx, q.Ref.Realm)
	if err != nil && !errors.Is(err, account.ErrUnknownRealm) {
		return err
	}
	q.person, q.cause = u, cause
	q.Ref.Name += "\x00" // which is no name
	s, err := p.named(tx, q.Ref, realm)
	if err != nil {
		return err
	}
	_, err = p.verify(tx, q, s, realm)
	return err
}

func (p *Programs) verify(tx store.Tx, q Asking, s *account.Service, realm account.Realm) (good bool, err error) {
	subject := p.throttle.Between(q.Caller, s.ID)
	if s.ID.IsZero() {
		subject = p.throttle.BetweenUnknown(q.Caller, q.Ref.Realm, q.Ref.Name)
	}
	e := audit.Event{Time: tx.Now(), Kind: audit.KindVerify, Outcome: audit.Denied, Principal: s.ID, Name: p.nameOf(s, q.Ref), Client: q.Client, Actor: q.Actor}
	try, err := p.throttle.Count(tx, subject, throttle.Token, throttle.Origin{})
	if _, ok := errors.AsType[*throttle.Throttled](err); ok {
		e.Cause = causeThrottle
		tx.After(func() { p.audit.Note(e) })
		return false, p.throttle.Refused(tx, subject, throttle.Token, throttle.Origin{})
	}
	if err != nil {
		return false, err
	}
	state, err := p.dir.ServiceState(tx, s.ID)
	if err != nil {
		return false, err
	}
	replay, skew := realm.Replay, skewOf(realm)
	if q.Facade != nil {
		replay, skew = q.Facade.Replay, max(skew, q.Facade.Skew)
	}
	burned := state.BurnedStep
	if replay == account.ReplayAllow {
		burned = nil
	}
	v := match(s, q.Token, tx.Now(), skew, burned)
	if v.cause == "" {
		v.cause = p.refusedSubject(s, realm, q.Facade != nil)
	}
	if e.Cause = v.cause; q.person != nil {
		e.Cause, e.Principal, e.Name = q.cause, q.person.ID, q.person.Ref().String()
	}
	switch v.cause {
	case "":
		return true, p.burn(tx, e, try, v, state, burned != nil)
	case causeReplay:
		return false, p.replayed(tx, e, try, state)
	}
	return false, p.audit.Record(tx, e)
}

// burn settles a good token. Good ones come thousands in a second: they are counted,
// and neither stored as events nor logged.
func (p *Programs) burn(tx store.Tx, e audit.Event, try throttle.Try, v tokenVerdict, state *account.ServiceState, once bool) error {
	e.Outcome = audit.OK
	tx.After(func() { p.audit.Count(e) })
	if err := p.throttle.Good(tx, try); err != nil || !once {
		return err
	}
	state.Burn(v.service.Seeds, v.seed.ID, v.step)
	return p.dir.SaveServiceState(tx, v.service.ID, state)
}

// replayed settles a token that was burned. It is no guess, and counts for nothing:
// so that repeating it does not fill the store, one event of it is kept.
func (p *Programs) replayed(tx store.Tx, e audit.Event, try throttle.Try, state *account.ServiceState) error {
	if err := p.throttle.Uncount(tx, try); err != nil {
		return err
	}
	last := int64(0)
	for _, step := range state.Burned {
		last = max(last, step)
	}
	if state.Replayed != last {
		state.Replayed = last
		if err := p.audit.Record(tx, e); err != nil {
			return err
		}
	} else {
		tx.After(func() { p.audit.Note(e) })
	}
	return p.dir.SaveServiceState(tx, e.Principal, state) // as much work as a wrong one
}

// refusedSubject says why a good token is no proof to others, "" for nothing.
func (p *Programs) refusedSubject(s *account.Service, realm account.Realm, facade bool) string {
	switch {
	case s.Disabled:
		return causeDisabled
	case s.Use == account.UseCaller:
		return causeUse
	case len(realm.Grants) > 0 || !facade && p.dir.KeyOfFacade(s):
		return causeCapable
	}
	return ""
}
