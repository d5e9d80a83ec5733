package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ChangeTarget sends a code to an address or number that somebody who is signed in wants
// to have: it is theirs once ConfirmTarget saw it. As for a factor, a fresh proof is
// asked for: codes, and links for a new password, go there. "" takes the address or
// number away at once; then to is "".
// Errors: ErrDenied (the session is over), account.ErrNotFresh, ErrPasswordNotFresh,
// account.ErrInvalid, factor.ErrCannotSend, *throttle.Throttled (enough were sent),
// factor.ErrLastFactor (codes go there, and no other factor is left).
func (d *Doors) ChangeTarget(ctx context.Context, live session.Live, field account.Field, value string, c Client) (to string, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		if err := d.recently(tx, u, live, true); err != nil {
			return nil, err
		}
		to, err = d.BeginTarget(tx, u, live, field, value, c)
		return nil, err
	})
	return to, err
}

// ConfirmTarget checks the code that ChangeTarget sent.
// Errors: ErrDenied (the session is over), factor.ErrDenied, factor.ErrNoPending,
// account.ErrAddressTaken, account.ErrNotFresh, ErrPasswordNotFresh.
func (d *Doors) ConfirmTarget(ctx context.Context, live session.Live, field account.Field, code string, c Client) error {
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		if err := d.recently(tx, u, live, true); err != nil {
			return nil, err
		}
		return nil, d.confirmTarget(tx, u, live, field, code, c)
	})
	if errors.Is(err, session.ErrNone) {
		return ErrDenied
	}
	return err
}
