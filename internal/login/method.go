package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ErrPasswordNotFresh: somebody without a factor wants one, and the session's password
// is older than account.Fresh.
var ErrPasswordNotFresh = errors.New("sign in again: a first factor needs a password that is at most 15 minutes old")

// Activate begins the enrolment of a device of somebody who is signed in. Whoever has
// a factor must have proved it within account.Fresh, otherwise a stolen session makes
// itself a factor of its own; whoever has none, the password. A method that sends has
// sent its first code.
// Errors: ErrDenied (the session is over), account.ErrNotFresh, ErrPasswordNotFresh,
// *throttle.Throttled (enough were sent), and those of factor.Enroll.
func (d *Doors) Activate(ctx context.Context, live session.Live, o factor.EnrollOptions, c Client) (*factor.Enrollment, error) {
	var e *factor.Enrollment
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		if err := d.recently(tx, u, live, o.Target != ""); err != nil {
			return nil, err
		}
		e, err = d.Begin(tx, u, live, o, c)
		return nil, err
	})
	d.noteClosed(err, live, c, o.Method)
	return e, err
}

// recently demands a fresh proof of the session: of a factor, or of the password of
// whoever has none. Clients of older systems know no password that is too old, but an
// address or number goes for a fresh one alone: codes go there.
func (d *Doors) recently(tx store.Tx, u *account.User, live session.Live, target bool) error {
	s, err := d.sessions.Get(tx, live.ID)
	if err != nil {
		return err
	}
	switch age := tx.Now().Sub(s.Proof.PasswordAt); {
	case u.Factors() > 0 && !s.Proof.Fresh(tx.Now(), account.Fresh):
		return account.ErrNotFresh
	case u.Factors() == 0 && (target || !facadeSession(live)) && (age > account.Fresh || -age > account.Fresh):
		return ErrPasswordNotFresh
	}
	return nil
}

// facadeSession reports whether an older system's client holds the session.
func facadeSession(live session.Live) bool {
	return live.Kind == session.FastAPI2FA || live.Kind == session.Trench
}

// Begin is Activate in the caller's transaction, who has asked for a proof.
func (d *Doors) Begin(tx store.Tx, u *account.User, live session.Live, o factor.EnrollOptions, c Client) (*factor.Enrollment, error) {
	if err := d.maySend(tx, u, o.Method, c); err != nil {
		return nil, err
	}
	return d.factors.Enroll(tx, account.Self(u.ID).From(c.Addr, live.ID), u.ID, o)
}

// ConfirmMethod checks the first code of what Activate began. The epoch rises: all
// other sessions end, this one goes on. With the first factor come recovery codes.
// Errors: ErrDenied (the session is over), factor.ErrDenied, factor.ErrReplay and
// factor.ErrNoPending, account.ErrNotFresh, ErrPasswordNotFresh, ErrEnrollmentClosed.
func (d *Doors) ConfirmMethod(ctx context.Context, live session.Live, method factor.Name, code string, c Client) (codes []string, err error) {
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
		if err := d.recently(tx, u, live, false); err != nil {
			return nil, err
		}
		codes, err = d.Confirm(tx, u, live, method, proof, c)
		return nil, err
	})
	d.noteClosed(err, live, c, method)
	return codes, err
}

// Confirm is ConfirmMethod in the caller's transaction, who has asked for a proof.
func (d *Doors) Confirm(tx store.Tx, u *account.User, live session.Live, method factor.Name, p factor.Proof, c Client) ([]string, error) {
	codes, err := d.factors.Confirm(tx, account.Self(u.ID).From(c.Addr, live.ID), u.ID, method, p)
	if err != nil {
		return nil, err
	}
	return codes, d.GoOn(tx, u, live)
}

// GoOn follows a change of the own factors, which raised the epoch: all half logins and
// other sessions end with it, the one that made it goes on.
func (d *Doors) GoOn(tx store.Tx, u *account.User, live session.Live) error {
	now, err := d.dir.ByID(tx, u.ID)
	if err != nil {
		return err
	}
	return d.sessions.Raise(tx, live.ID, now.Epoch)
}

// noteClosed notes that somebody with a password alone tried to set up a first
// factor where the realm does not let them.
func (d *Doors) noteClosed(err error, live session.Live, c Client, method factor.Name) {
	if !errors.Is(err, factor.ErrEnrollmentClosed) || live.Identity == nil {
		return
	}
	who := live.Identity
	d.audit.Note(audit.Event{
		Time: d.clock(), Kind: audit.KindFactorAdd, Outcome: audit.Denied, Cause: "enrollment_closed", Principal: who.ID,
		Name: who.Name + "@" + who.Realm, Client: c.Addr, Session: live.ID, Method: string(method),
	})
}
