package login

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Challenge sends a code of one of the person's methods to somebody who stands
// between the doors; the older one is dead. It goes to where the account says.
// Next.Sent says where, masked; the ephemeral token stays what it is.
// Errors: ErrDenied (the token is dead), factor.ErrNoMethod (the person has no such
// method), factor.ErrSendsNothing, factor.ErrCannotSend, factor.ErrNoTarget,
// *throttle.Throttled (enough were sent).
func (d *Doors) Challenge(ctx context.Context, token string, door Door, method factor.Name, c Client) (*Next, error) {
	var id principal.ID
	var name string
	next, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		t, u, err := d.challenged(tx, token, door, method)
		if err != nil {
			return nil, err
		}
		id, name = u.ID, u.Ref().String()
		to, err := d.sendCode(tx, u, method, c)
		if err != nil {
			return nil, err
		}
		return &Next{Status: t.State, Method: method, Target: t.Target, Sent: to, ExpiresIn: t.Expires.Sub(tx.Now())}, nil
	})
	d.noteThrottled(err, id, name, c, string(method))
	return next, err
}

// challenged reads who asks for a code: at the second door, or with a link for a new
// password, where mail proves nothing.
func (d *Doors) challenged(tx store.Tx, token string, door Door, method factor.Name) (ticket, *account.User, error) {
	t, err := ticketOf(tx, token, door, SecondFactor, Resetting)
	if err != nil {
		return t, nil, err
	}
	if t.State == Resetting {
		_, u, _, err := d.resetting(tx, ResetAttempt{Door: door, Token: token})
		if err == nil && method == byMail {
			err = factor.ErrNoMethod
		}
		return t, u, err
	}
	u, err := d.owner(tx, t)
	if errors.Is(err, ErrDenied) {
		err = denied(t.burn(tx))
	}
	return t, u, err
}

// ChallengeReset is Challenge for the API, which holds the token of a link for a new
// password. It returns where the code goes, masked. Errors: as Challenge.
func (d *Doors) ChallengeReset(ctx context.Context, token string, method factor.Name, c Client) (to string, err error) {
	var id principal.ID
	var name string
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		_, u, _, err := d.resetting(tx, ResetAttempt{Door: API, Token: token})
		if err != nil {
			return nil, err
		}
		if method == byMail {
			return nil, factor.ErrNoMethod
		}
		id, name = u.ID, u.Ref().String()
		to, err = d.sendCode(tx, u, method, c)
		return nil, err
	})
	d.noteThrottled(err, id, name, c, string(method))
	return to, err
}

// ChallengeOwn sends a code of an own method to somebody who is signed in, for a
// change that asks for one. It returns where it goes, masked.
// Errors: as Challenge.
func (d *Doors) ChallengeOwn(ctx context.Context, live session.Live, method factor.Name, c Client) (to string, err error) {
	var u *account.User
	_, err = d.decide(ctx, func(tx store.Tx) (_ *Next, err error) {
		if u, err = d.self(tx, live); err != nil {
			return nil, err
		}
		to, err = d.sendCode(tx, u, method, c)
		return nil, err
	})
	if u != nil {
		d.noteThrottled(err, u.ID, u.Ref().String(), c, string(method))
	}
	return to, err
}

// sendCode counts, makes a code of a confirmed method, queues it and writes it down.
func (d *Doors) sendCode(tx store.Tx, u *account.User, method factor.Name, c Client) (to string, err error) {
	if !factor.Sendable(method) {
		return "", factor.ErrSendsNothing
	}
	if !slices.ContainsFunc(u.Methods, func(m account.Method) bool { return m.Name == string(method) }) {
		return "", factor.ErrNoMethod
	}
	if err := d.maySend(tx, u, method, c); err != nil {
		return "", err
	}
	if to, err = d.factors.Send(tx, u.ID, method); err != nil {
		return "", err
	}
	return to, d.recordSent(tx, u, method, c)
}

// maySend counts a sending, where a method sends.
func (d *Doors) maySend(tx store.Tx, u *account.User, method factor.Name, c Client) error {
	if method == "" || !factor.Sendable(method) {
		return nil
	}
	return d.throttle.Send(tx, throttle.Of(u.ID), d.originOf(c))
}

func (d *Doors) recordSent(tx store.Tx, u *account.User, method factor.Name, c Client) error {
	return d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindCodeSent, Outcome: audit.OK, Principal: u.ID, Name: u.Ref().String(),
		Client: c.Addr, Method: string(method),
	})
}

// firstCode sends the code of a primary method that sends. Where that is not possible
// now, the login goes on: there are other ways, and the page says that nothing is on
// its way.
func (d *Doors) firstCode(tx store.Tx, u *account.User, method factor.Name, c Client) (to string, err error) {
	if !factor.Sendable(method) {
		return "", nil
	}
	to, err = d.sendCode(tx, u, method, c)
	if errors.Is(err, factor.ErrCannotSend) || errors.Is(err, factor.ErrNoTarget) || waits(err) {
		return "", nil
	}
	return to, err
}
