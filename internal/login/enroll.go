package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// EnrollStart makes the device that somebody without a factor sets up
// between the doors. It waits in the record of this ephemeral token alone: who
// shares the password cannot slip in a seed of their own. Each call makes a new
// one. A code that is sent goes to where the account says, whatever the request says.
// Errors: ErrDenied, factor.ErrUnknownMethod, factor.ErrNoTarget, factor.ErrCannotSend,
// *throttle.Throttled (too many were sent).
func (d *Doors) EnrollStart(ctx context.Context, token string, door Door, method factor.Name, c Client) (*factor.Enrollment, error) {
	var enrollment *factor.Enrollment
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		t, u, err := d.enrolling(tx, token, door)
		if err != nil {
			return nil, err
		}
		if err := d.maySend(tx, u, method, c); err != nil {
			return nil, err
		}
		if t.Draft, err = d.factors.Draft(tx, u.Ref(), factor.EnrollOptions{Method: method}); err != nil {
			return nil, err
		}
		enrollment = t.Draft.Enrollment()
		return nil, t.save(tx)
	})
	if err != nil {
		return nil, err
	}
	return enrollment, nil
}

// enrolling reads a token in state Enroll, whose owner has no factor yet.
func (d *Doors) enrolling(tx store.Tx, token string, door Door) (ticket, *account.User, error) {
	t, err := ticketOf(tx, token, door, Enroll)
	if err != nil {
		return ticket{}, nil, err
	}
	u, err := d.owner(tx, t)
	if err == nil && u.Factors() > 0 {
		err = ErrDenied
	}
	if errors.Is(err, ErrDenied) {
		err = denied(t.burn(tx))
	}
	return t, u, err
}

// EnrollConfirm checks the first code of what EnrollStart made and, if it is
// good, makes it the person's factor, burns token and step, and opens a
// session. The answer holds the recovery codes. All older half logins and
// sessions of the person end. Errors: ErrDenied; the fifth burns the token.
func (d *Doors) EnrollConfirm(ctx context.Context, s Second) (*Next, error) {
	proof, err := d.firstProof(ctx, s.Code, func(tx store.Tx) (*factor.Draft, error) {
		t, _, err := d.enrolling(tx, s.Ephemeral, s.Door)
		if err != nil {
			return nil, err
		}
		return t.Draft, nil
	})
	if err != nil {
		return nil, err
	}
	proof.Response = s.Response
	return d.decide(ctx, func(tx store.Tx) (*Next, error) {
		t, u, err := d.enrolling(tx, s.Ephemeral, s.Door)
		if err != nil {
			return nil, err
		}
		if t.Draft == nil { // a step was skipped
			return nil, ErrDenied
		}
		checked, err := d.factors.Check(tx, u.ID, t.Draft, proof)
		if err != nil {
			return nil, err
		}
		if checked.Result != factor.Good {
			if err := t.wrong(tx); err != nil {
				return nil, err
			}
			return nil, denied(d.recordEnrollment(tx, u, s.Client, checked.Method))
		}
		return d.enrolled(tx, t, u, s, checked)
	})
}

// firstProof has Yubico's servers judge what a YubiKey typed as the first code of a
// draft. Whose token it is, and that it lives, was looked at, so that strangers reach no
// server; the try counts at the token.
func (d *Doors) firstProof(ctx context.Context, code string, find func(store.Tx) (*factor.Draft, error)) (factor.Proof, error) {
	proof := factor.Proof{Code: code}
	if factor.NameOf(code) != factor.YubiKey {
		return proof, nil
	}
	var draft *factor.Draft
	var known bool
	err := d.store.View(ctx, func(tx store.Tx) (err error) {
		if draft, err = find(tx); err == nil {
			known, err = d.factors.KnowsYubiKey(tx, code)
		}
		return err
	})
	if isAnswer(err) || err == nil && (draft == nil || draft.Method != factor.YubiKey || known) {
		return proof, nil // who decides says so
	}
	if err != nil {
		return proof, err
	}
	good, err := d.factors.AskYubico(ctx, code)
	if good {
		proof.YubiKey = code
	}
	return proof, err
}

// enrolled takes the factor over and opens the session at the new epoch.
func (d *Doors) enrolled(tx store.Tx, t ticket, u *account.User, s Second, by factor.Checked) (*Next, error) {
	actor := account.Self(u.ID).From(s.Client.Addr, "")
	codes, err := d.factors.Adopt(tx, actor, u.ID, t.Draft, by.Step)
	if err != nil {
		return nil, err
	}
	if err := burnAll(tx, u.ID); err != nil { // this one, and those of the older epoch
		return nil, err
	}
	if _, err := d.sessions.RevokeAll(tx, u.ID, t.Replaces); err != nil {
		return nil, err
	}
	if u, err = d.dir.ByID(tx, u.ID); err != nil {
		return nil, err
	}
	p := t.passage(s.Client)
	p.amr, p.factorAt, p.method = amrOf(by.Method, by.Synced), tx.Now(), by.Method
	next, err := d.open(tx, u, p)
	if err != nil {
		return nil, err
	}
	next.RecoveryCodes = codes
	return next, nil
}

func (d *Doors) recordEnrollment(tx store.Tx, u *account.User, c Client, method factor.Name) error {
	return d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindFactorAdd, Outcome: audit.Denied, Cause: "wrong", Principal: u.ID,
		Name: u.Ref().String(), Client: c.Addr, Method: string(method),
	})
}
