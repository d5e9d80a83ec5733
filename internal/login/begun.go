package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Pages ask for a fresh code in the request that begins a change, whatever the session
// proved before: see WithFresh. What was begun so is ended by the same session with the
// first code alone. That the request comes from a page of ours is the caller's question.

// FinishMethod is ConfirmMethod for what a page began with a fresh code.
// Errors: ErrDenied (the session is over), factor.ErrDenied, factor.ErrReplay,
// factor.ErrNoPending, factor.ErrUnchecked, account.ErrAddressTaken, ErrEnrollmentClosed.
func (d *Doors) FinishMethod(ctx context.Context, live session.Live, method factor.Name, code string, c Client) (codes []string, err error) {
	proof, err := d.firstProof(ctx, code, func(tx store.Tx) (*factor.Draft, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		return d.factors.Waiting(tx, u.ID, method)
	})
	if err != nil {
		return nil, err
	}
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		codes, err = d.Confirm(tx, u, live, method, proof, c)
		return nil, err
	})
	d.noteClosed(err, live, c, method)
	return codes, err
}

// Resend sends another first code of what waits for one, to where the one before went.
// Errors: ErrDenied (the session is over), factor.ErrNoPending, factor.ErrSendsNothing,
// *throttle.Throttled (enough were sent), and those of factor.Enroll.
func (d *Doors) Resend(ctx context.Context, live session.Live, method factor.Name, c Client) error {
	if !factor.Sendable(method) {
		return factor.ErrSendsNothing
	}
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		w, err := d.factors.Waiting(tx, u.ID, method)
		if err != nil {
			return nil, err
		}
		if w == nil || w.Sent == nil {
			return nil, factor.ErrNoPending
		}
		o := factor.EnrollOptions{Method: method, Beside: w.Beside, Name: w.Name}
		if w.Own {
			o.Target = w.Sent.To
		}
		_, err = d.Begin(tx, u, live, o, c)
		return nil, err
	})
	return err
}

// BeginTarget is ChangeTarget in the caller's transaction, who has asked for a proof.
// Errors: account.ErrInvalid, factor.ErrCannotSend, factor.ErrLastFactor,
// *throttle.Throttled (enough were sent).
func (d *Doors) BeginTarget(tx store.Tx, u *account.User, live session.Live, field account.Field, value string, c Client) (to string, err error) {
	if value == "" {
		if err := d.factors.DropTarget(tx, account.Self(u.ID).From(c.Addr, live.ID), u.ID, field); err != nil {
			return "", err
		}
		return "", d.GoOn(tx, u, live)
	}
	if err := d.throttle.Send(tx, throttle.Of(u.ID), d.originOf(c)); err != nil {
		return "", err
	}
	return d.factors.NewTarget(tx, u.ID, field, value)
}

// FinishTarget is ConfirmTarget for what a page began with a fresh code. A change of
// password or factors since then has ended it.
// Errors: ErrDenied (the session is over), factor.ErrDenied, factor.ErrNoPending,
// account.ErrAddressTaken.
func (d *Doors) FinishTarget(ctx context.Context, live session.Live, field account.Field, code string, c Client) error {
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		return nil, d.confirmTarget(tx, u, live, field, code, c)
	})
	if errors.Is(err, session.ErrNone) {
		return ErrDenied
	}
	return err
}

func (d *Doors) confirmTarget(tx store.Tx, u *account.User, live session.Live, field account.Field, code string, c Client) error {
	if err := d.factors.ConfirmTarget(tx, account.Self(u.ID).From(c.Addr, live.ID), u.ID, field, code); err != nil {
		return err
	}
	return d.GoOn(tx, u, live)
}
