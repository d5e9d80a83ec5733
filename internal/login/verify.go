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
}

// Verify answers whether a service's token is good, and burns its step for all who
// ask (not for the service itself), unless the realm's setting replay says allow.
// That the caller may ask, the caller of Verify has checked in tx.
//
// Unknown, disabled, wrong, replayed and out of its window are the same answer, for
// the same work; the event tells them apart. A realm with capabilities answers no to
// everything: to ask would be to try its keys. Wrong tries count per caller and
// subject, and whoever asks too often hears no. Errors mean that the store failed.
func (p *Programs) Verify(tx store.Tx, q Asking) (good bool, err error) {
	s, err := p.named(tx, q.Ref)
	if err != nil {
		return false, err
	}
	name := p.nameOf(s, q.Ref)
	subject := p.throttle.Between(q.Caller, s.ID)
	if s.ID.IsZero() {
		subject = p.throttle.BetweenUnknown(q.Caller, q.Ref.Realm, q.Ref.Name)
	}
	try, err := p.throttle.Count(tx, subject, throttle.Token, throttle.Origin{})
	if _, ok := errors.AsType[*throttle.Throttled](err); ok {
		e := audit.Event{Time: tx.Now(), Kind: audit.KindVerify, Outcome: audit.Denied, Cause: causeThrottle, Principal: s.ID, Name: name,
			Client: q.Client, Actor: q.Actor}
		tx.After(func() { p.audit.Note(e) })
		return false, nil
	}
	if err != nil {
		return false, err
	}
	state, err := p.dir.ServiceState(tx, s.ID)
	if err != nil {
		return false, err
	}
	realm, err := p.dir.Realm(tx, s.Realm)
	if err != nil && !errors.Is(err, account.ErrUnknownRealm) {
		return false, err
	}
	burned := state.BurnedStep
	if realm.Replay == account.ReplayAllow {
		burned = nil
	}
	v := match(s, q.Token, tx.Now(), skewOf(realm), burned)
	if v.cause == "" {
		v.cause = refusedSubject(s, realm)
	}
	if v.cause != "" {
		if v.cause == causeReplay {
			if err := p.throttle.Uncount(tx, try); err != nil {
				return false, err
			}
		}
		return false, p.recordToken(tx, s, name, audit.KindVerify, v.cause, q.Client, q.Actor)
	}
	if err := p.throttle.Good(tx, try); err != nil {
		return false, err
	}
	if burned != nil {
		state.Burn(s.Working(tx.Now()), v.seed.ID, v.step)
		if err := p.dir.SaveServiceState(tx, s.ID, state); err != nil {
			return false, err
		}
	}
	e := audit.Event{Time: tx.Now(), Kind: audit.KindVerify, Outcome: audit.OK, Principal: s.ID, Name: name, Client: q.Client, Actor: q.Actor}
	tx.After(func() { p.audit.Count(e) })
	return true, nil
}

// refusedSubject says why a good token is no proof to others, "" for nothing.
func refusedSubject(s *account.Service, realm account.Realm) string {
	switch {
	case s.Disabled:
		return causeDisabled
	case s.Use == account.UseCaller:
		return causeUse
	case len(realm.Grants) > 0:
		return causeCapable
	}
	return ""
}
