package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// errUndone rolls back an Update whose change failed.
var errUndone = errors.New("the change failed")

// WithFresh makes a change of somebody who is signed in, for a fresh code in
// the same request. That the session lives, that the code is good, and the
// change are decided in one Update: a change that is on its way when the session
// is revoked, or while another post spends the same code, is not made.
//
// It takes a one-time code or a recovery code, and burns it together with the
// change. A wrong one counts as at the second door. Where change answers an
// error nothing has happened, and the code stays good; that error is returned as
// it is. change may run more than once, and u is read in its transaction.
//
// Errors: ErrDenied (the code is not good, or the session is over),
// *throttle.Throttled, ErrCodeNeeded (code is empty; nothing is counted),
// ErrNoFactor, and those of change.
func (d *Doors) WithFresh(ctx context.Context, live session.Live, code string, c Client, change func(tx store.Tx, u *account.User) error) error {
	foreign, err := d.foreignOf(ctx, live, code, c)
	if err != nil {
		return err
	}
	return d.withProof(ctx, live, code, foreign, c, func(tx store.Tx, u *account.User) error {
		return d.fresh(tx, u, code, foreign, c, live.ID)
	}, change)
}

// foreignOf is foreign for the code of somebody who is signed in.
func (d *Doors) foreignOf(ctx context.Context, live session.Live, code string, c Client) (foreignCode, error) {
	return d.foreign(ctx, factor.Any, code, c, func(tx store.Tx) (*account.User, error) { return d.self(tx, live) })
}

// withProof makes a change after prove, in one Update.
func (d *Doors) withProof(ctx context.Context, live session.Live, code string, foreign foreignCode, c Client, prove, change func(tx store.Tx, u *account.User) error) error {
	var who principal.ID
	var name string
	var undone error
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		who, name = u.ID, u.Ref().String()
		if u.Factors() == 0 {
			return nil, ErrNoFactor
		}
		if code == "" {
			return nil, ErrCodeNeeded
		}
		if err := prove(tx, u); err != nil {
			return nil, err
		}
		// Under its own name an error of change could pass for a verdict on the
		// code, which is committed.
		if undone = change(tx, u); undone != nil {
			return nil, errUndone
		}
		return nil, nil
	})
	if errors.Is(err, errUndone) {
		if foreign.try != nil { // it was counted apart, and nothing has happened
			return d.takeBack(ctx, *foreign.try, undone)
		}
		return undone
	}
	d.noteThrottled(err, who, name, c, "fresh")
	return err
}
