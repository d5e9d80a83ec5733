package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// ChangePassword gives somebody who is signed in a new password. The current
// one is asked for, and counted like one at the first door; a fresh code too
// where there is a factor. The epoch rises: all other sessions and half logins
// end, this session goes on.
//
// Errors: ErrDenied (current password or code wrong, or changed meanwhile),
// ErrCodeNeeded, *secret.WeakPassword, *throttle.Throttled, *secret.Busy.
func (d *Doors) ChangePassword(ctx context.Context, live session.Live, current, next, code string, c Client) error {
	who, try, err := d.countCurrent(ctx, live, next, code, c)
	if err != nil {
		return err
	}
	good, _, err := d.compare(ctx, current, who)
	if err != nil {
		return d.takeBack(ctx, try, err)
	}
	foreign, err := d.foreignOf(ctx, live, code, c)
	if err != nil {
		return d.takeBack(ctx, try, err)
	}
	var digest string
	if good {
		if digest, err = d.hasher.Hash(ctx, next); err != nil {
			return d.takeBack(ctx, try, err)
		}
	}
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		if cause := notThis(u, who, good); cause != "" {
			return nil, d.denyCurrent(tx, who, try, cause, c, live.ID)
		}
		if err := d.throttle.Good(tx, try); err != nil {
			return nil, err
		}
		if u.Factors() > 0 {
			if err := d.fresh(tx, u, code, foreign, c, live.ID); err != nil {
				return nil, err
			}
		}
		return nil, d.setPassword(tx, u, digest, c, live.ID)
	})
	d.noteThrottled(err, who.id, who.name, c, "password_change")
	return err
}

// countCurrent is the first Update: what can be refused without a hash is, and
// the try is counted.
func (d *Doors) countCurrent(ctx context.Context, live session.Live, next, code string, c Client) (candidate, throttle.Try, error) {
	var who candidate
	var try throttle.Try
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		if u.Factors() > 0 && code == "" {
			return nil, ErrCodeNeeded
		}
		if err := d.strong(u, next); err != nil {
			return nil, err
		}
		who = candidate{
			subject: throttle.Of(u.ID), id: u.ID, name: u.Ref().String(), known: true,
			able: u.Password != "", digest: u.Password, epoch: u.Epoch,
		}
		try, err = d.throttle.Count(tx, who.subject, throttle.Password, d.originOf(c))
		return nil, err
	})
	d.noteThrottled(err, who.id, who.name, c, "password_change")
	return who, try, err
}

// strong refuses a new password that others would guess.
func (d *Doors) strong(u *account.User, password string) error {
	return secret.CheckPassword(d.dir.Passwords(), password, u.Name, u.Realm, u.Email, u.FullName, "sallyport")
}

// notThis is why a password that was compared outside does not count, in one
// word; "": it counts.
func notThis(u *account.User, who candidate, good bool) string {
	switch {
	case u.Epoch != who.epoch || u.Password != who.digest:
		return "changed"
	case !good:
		return "wrong"
	}
	return ""
}

func (d *Doors) denyCurrent(tx store.Tx, who candidate, try throttle.Try, cause string, c Client, sessionID string) error {
	if err := d.throttle.Wrong(tx, try); err != nil {
		return err
	}
	return denied(d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindPasswordChange, Outcome: audit.Denied, Cause: cause, Principal: who.id,
		Name: who.name, Client: c.Addr, Session: sessionID,
	}))
}

// setPassword stores a new digest and ends everything that the old one opened,
// but the session that made the change.
func (d *Doors) setPassword(tx store.Tx, u *account.User, digest string, c Client, keep string) error {
	changed, err := d.dir.SetPassword(tx, account.Self(u.ID).From(c.Addr, keep), u.ID, digest)
	if err != nil {
		return err
	}
	if err := burnAll(tx, u.ID); err != nil {
		return err
	}
	if _, err := d.sessions.RevokeAll(tx, u.ID, keep); err != nil || keep == "" {
		return err
	}
	err = d.sessions.Raise(tx, keep, changed.Epoch)
	if errors.Is(err, session.ErrNone) {
		return nil // it ended in this very moment: then nothing goes on
	}
	return err
}
