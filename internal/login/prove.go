package login

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Prove judges a person's code for an application that asks by itself who somebody is
// and opens nothing here (compat.adjure). The code is burned, and a wrong one counts at
// the person as at the second door; the network is the application's, and is not
// counted. actor must have the capability authenticate over the realm; name is how
// events call it.
//
// Errors: account.ErrUnknownUser, account.ErrForbidden, ErrDenied (wrong, replayed,
// disabled), *throttle.Throttled.
func (d *Doors) Prove(ctx context.Context, ref principal.Ref, method factor.Name, code string, c Client, actor account.Actor, name string) error {
	c.Exempt = true
	find := func(tx store.Tx) (*account.User, error) {
		if err := d.dir.Allowed(tx, actor, account.Authenticate, ref.Realm); err != nil {
			return nil, err
		}
		return d.dir.ByRef(tx, ref)
	}
	foreign, err := d.foreign(ctx, method, code, c, find)
	if err != nil {
		return err
	}
	var id principal.ID
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := find(tx)
		if err != nil {
			return nil, err
		}
		id = u.ID
		v, err := d.judge(tx, u, asked{method: method, code: code, foreign: foreign}, c)
		if err != nil {
			return nil, err
		}
		e := audit.Event{Time: tx.Now(), Kind: audit.KindFactorVerify, Outcome: audit.OK, Principal: u.ID, Name: ref.String(), Client: c.Addr, Actor: name, Method: string(v.method)}
		switch {
		case v.result != factor.Good:
			e.Outcome, e.Cause = audit.Denied, v.result.String()
		case u.Disabled:
			e.Outcome, e.Cause = audit.Denied, "disabled"
		}
		if e.Outcome == audit.Denied {
			if v.result == factor.Replayed { // no guess: repeating it does not fill the store
				tx.After(func() { d.audit.Note(e) })
				return nil, ErrDenied
			}
			return nil, denied(d.audit.Record(tx, e))
		}
		return nil, d.audit.Record(tx, e)
	})
	d.noteThrottled(err, id, ref.String(), c, string(method))
	return err
}
