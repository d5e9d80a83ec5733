package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// self reads the person of a living session, again: what the caller holds may
// be old. Errors: ErrDenied.
func (d *Doors) self(tx store.Tx, live session.Live) (*account.User, error) {
	if live.Identity == nil || live.Identity.Kind != principal.User || live.ID == "" {
		return nil, ErrDenied
	}
	u, err := d.dir.ByID(tx, live.Identity.ID)
	if errors.Is(err, account.ErrUnknownUser) || err == nil && u.Disabled {
		return nil, ErrDenied
	}
	if err != nil {
		return nil, err
	}
	return u, d.living(tx, live.ID, u.ID)
}

// StepUp leads somebody who is signed in, but with too few factors or too old a
// one, to the second door alone (or to enrolment, where there is no factor).
// The ephemeral token is the portal's and is bound to the session; what it
// opens replaces the session, keeps its remember-me and its end, and carries
// the time of its password. Errors: ErrDenied (the session is over),
// ErrEnrollmentClosed.
func (d *Doors) StepUp(ctx context.Context, live session.Live, c Client, target string) (*Next, error) {
	return d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		old, err := d.sessions.Get(tx, live.ID)
		if err != nil {
			return nil, err
		}
		rec := &ephemeral{
			State: SecondFactor, Door: Portal, Principal: u.ID, Epoch: u.Epoch, Target: target, Remember: old.Remember,
			AMR: old.Proof.AMR & session.PWD, ProvedAt: old.Proof.PasswordAt,
			Replaces: old.ID, StepUp: true, Until: old.Until,
		}
		if rec.AMR == 0 { // no password was given: it stays the session of a passkey
			rec.AMR = old.Proof.AMR & (session.MFA | session.HWK | session.SWK)
		}
		if u.Factors() == 0 {
			if err := d.mayEnroll(tx, u, c, Portal); err != nil {
				return nil, err
			}
			rec.State = Enroll
		}
		return d.between(tx, u, rec, c)
	})
}

// fresh judges a code in the caller's transaction, which commits in any case.
func (d *Doors) fresh(tx store.Tx, u *account.User, code string, foreign foreignCode, c Client, sessionID string) error {
	if code == "" {
		return ErrCodeNeeded
	}
	if isPass(code) {
		return d.spendPass(tx, u, code, c, sessionID)
	}
	v, err := d.judge(tx, u, asked{method: factor.Any, code: code, foreign: foreign}, c)
	if err != nil {
		return err
	}
	return d.proved(tx, u, v, c, sessionID)
}

// proved writes down what a code was that somebody who is signed in sent.
func (d *Doors) proved(tx store.Tx, u *account.User, v verdict, c Client, sessionID string) error {
	if err := d.recordCode(tx, u, v, c, sessionID); err != nil {
		return err
	}
	if v.result != factor.Good {
		return ErrDenied
	}
	return nil
}

// Logout ends a session. One that has ended already is no error.
func (d *Doors) Logout(ctx context.Context, live session.Live) error {
	if live.ID == "" || live.Identity == nil {
		return nil
	}
	return d.store.Update(ctx, func(tx store.Tx) error {
		err := d.sessions.Revoke(tx, live.ID)
		if errors.Is(err, session.ErrNone) {
			return nil
		}
		if err != nil {
			return err
		}
		name := principal.Ref{Name: live.Identity.Name, Realm: live.Identity.Realm}
		return d.audit.Record(tx, audit.Event{
			Time: tx.Now(), Kind: audit.KindLogout, Outcome: audit.OK, Principal: live.Identity.ID,
			Name: name.String(), Session: live.ID,
		})
	})
}
