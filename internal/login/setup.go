package login

import (
	"context"
	"crypto/hmac"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// SetupLink makes the token of the link that creates the first administrator.
// It may be opened for SetupLife, and the next call makes it worthless: a server
// calls at each start, so a link dies with the process that printed it.
// Errors: ErrSetupDone.
func (d *Doors) SetupLink(ctx context.Context) (secret.Token, error) {
	var token secret.Token
	_, err := d.decide(ctx, func(tx store.Tx) (_ *Next, err error) {
		if err := d.noAdministrator(tx); err != nil {
			return nil, err
		}
		if err := burnAll(tx, principal.ID{}); err != nil {
			return nil, err
		}
		token, err = saveLink(tx, setupKey(), &link{}, SetupLife)
		return nil, err
	})
	if err != nil {
		return secret.Token{}, err
	}
	return token, nil
}

func (d *Doors) noAdministrator(tx store.Tx) error {
	n, err := d.dir.Administrators(tx)
	if err == nil && n > 0 {
		return ErrSetupDone
	}
	return err
}

// TradeSetup trades the token of a setup link for an ephemeral token of the
// portal in state Setup, good for LinkCookieLife. The link is not burned.
// Errors: ErrDenied, ErrSetupDone.
func (d *Doors) TradeSetup(ctx context.Context, token string) (cookie secret.Token, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		hash, err := linkHash(token)
		if err != nil {
			return nil, err
		}
		l, err := loadLink(tx, setupKey())
		if err != nil {
			return nil, err
		}
		if !hmac.Equal(l.Hash, hash) || !tx.Now().Before(l.Expires) {
			return nil, ErrDenied
		}
		if err := d.noAdministrator(tx); err != nil {
			return nil, err
		}
		cookie, err = issue(tx, &ephemeral{State: Setup, Door: Portal, Link: l.Hash}, LinkCookieLife)
		return nil, err
	})
	if err != nil {
		return secret.Token{}, err
	}
	return cookie, nil
}

func linkHash(token string) ([]byte, error) {
	parsed, err := secret.ParseToken(secret.Link, token)
	if err != nil {
		return nil, ErrDenied
	}
	hash := parsed.Hash()
	return hash[:], nil
}

// setupOpen answers ErrDenied unless the cookie's link is still the newest, and
// ErrSetupDone where an administrator exists.
func (d *Doors) setupOpen(tx store.Tx, t ticket) error {
	if err := d.noAdministrator(tx); err != nil {
		return err
	}
	l, err := loadLink(tx, setupKey())
	if err == nil && !hmac.Equal(l.Hash, t.Link) {
		err = ErrDenied
	}
	return err
}

// SetupBegin takes name and password of the first administrator and answers
// with the authenticator to set up. All of it waits in the record of the
// cookie, whose LinkCookieLife begins anew; nobody exists before the first good
// code. It may be called again, with another name or for another seed.
//
// Errors: ErrDenied, ErrSetupDone, principal.ErrName and *secret.WeakPassword
// (sentences for the person), account.ErrExists, *secret.Busy.
func (d *Doors) SetupBegin(ctx context.Context, cookie, name, password string, _ Client) (*factor.Enrollment, error) {
	err := d.store.View(ctx, func(tx store.Tx) error { // strangers do not reach the hash
		_, err := d.settingUp(tx, cookie)
		return err
	})
	if err != nil {
		return nil, err
	}
	canonical, err := principal.CanonicalName(name)
	if err != nil {
		return nil, err
	}
	if err := secret.CheckPassword(d.dir.Passwords(), password, canonical, "sallyport"); err != nil {
		return nil, err
	}
	digest, err := d.hasher.Hash(ctx, password)
	if err != nil {
		return nil, err
	}
	ref := principal.Ref{Name: canonical, Realm: account.AdminRealm}
	var enrollment *factor.Enrollment
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		t, err := d.settingUp(tx, cookie)
		if err != nil {
			return nil, err
		}
		if err := d.free(tx, ref); err != nil {
			return nil, err
		}
		if t.Draft, err = d.factors.Draft(tx, ref, factor.EnrollOptions{}); err != nil {
			return nil, err
		}
		t.Name, t.Hash, t.ProvedAt = canonical, digest, tx.Now()
		t.Expires = tx.Now().Add(LinkCookieLife)
		enrollment = t.Draft.Enrollment()
		return nil, t.renew(tx)
	})
	if err != nil {
		return nil, err
	}
	return enrollment, nil
}

// renew saves a record whose life was prolonged.
func (t ticket) renew(tx store.Tx) error {
	if err := t.burn(tx); err != nil {
		return err
	}
	list, err := loadHeld(tx, t.Principal)
	if err != nil {
		return err
	}
	list.Tokens = append(list.Tokens, heldToken{Hash: t.hash, Expires: t.Expires})
	if err := saveHeld(tx, t.Principal, list); err != nil {
		return err
	}
	return t.save(tx)
}

func (d *Doors) settingUp(tx store.Tx, cookie string) (ticket, error) {
	t, err := ticketOf(tx, cookie, Portal, Setup)
	if err != nil {
		return ticket{}, err
	}
	return t, d.setupOpen(tx, t)
}

// free tells whether the first administrator may have this name. Whoever lost
// phone and codes, and had the factors reset on this machine, takes the own name
// again: a name in realm admin without a factor opens nothing by itself.
func (d *Doors) free(tx store.Tx, ref principal.Ref) error {
	u, err := d.dir.ByRef(tx, ref)
	if err == nil && u.Factors() > 0 {
		return account.ErrExists
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, account.ErrUnknownUser) {
		return nil
	}
	return err
}

// SetupFinish checks the first code of what SetupBegin made. In one Update: no
// administrator exists, the link is the newest, the code is good; then the
// administrator exists, with a factor and recovery codes, is signed in, and
// link and cookie are burned. Of several at once one succeeds.
// Errors: ErrDenied (SetupTries wrong codes burn the cookie), ErrSetupDone,
// account.ErrExists.
func (d *Doors) SetupFinish(ctx context.Context, cookie, code string, c Client) (*Next, error) {
	return d.decide(ctx, func(tx store.Tx) (*Next, error) {
		t, err := d.settingUp(tx, cookie)
		if err != nil {
			return nil, err
		}
		if t.Draft == nil { // a step was skipped
			return nil, ErrDenied
		}
		ref := principal.Ref{Name: t.Name, Realm: account.AdminRealm}
		checked, err := d.factors.Check(tx, principal.ID{}, t.Draft, factor.Proof{Code: code})
		if err != nil {
			return nil, err
		}
		if checked.Result != factor.Good {
			if err := t.wrong(tx); err != nil {
				return nil, err
			}
			return nil, denied(d.recordSetup(tx, audit.Event{Outcome: audit.Denied, Cause: "wrong", Name: ref.String(), Client: c.Addr}))
		}
		return d.firstAdministrator(tx, t, ref, checked.Step, c)
	})
}

func (d *Doors) firstAdministrator(tx store.Tx, t ticket, ref principal.Ref, step int64, c Client) (*Next, error) {
	actor := account.System("setup").From(c.Addr, "")
	u, err := d.adminNamed(tx, actor, ref, t.Hash)
	if err != nil {
		return nil, err
	}
	codes, err := d.factors.Adopt(tx, actor, u.ID, t.Draft, step)
	if err != nil {
		return nil, err
	}
	if err := burnAll(tx, principal.ID{}); err != nil {
		return nil, err
	}
	if err := tx.Delete(setupKey()); err != nil {
		return nil, err
	}
	if u, err = d.dir.ByID(tx, u.ID); err != nil {
		return nil, err
	}
	next, err := d.open(tx, u, passage{
		door: Portal, client: c, provedAt: t.ProvedAt, amr: session.OTP, factorAt: tx.Now(),
		kind: audit.KindLogin, method: factor.TOTP,
	})
	if err != nil {
		return nil, err
	}
	next.RecoveryCodes = codes
	return next, d.recordSetup(tx, audit.Event{
		Outcome: audit.OK, Principal: u.ID, Name: ref.String(), Client: c.Addr, Session: next.Opened.ID,
	})
}

// adminNamed makes the first administrator, or takes the factorless one of that
// name, with a new password: the sessions that it had end.
func (d *Doors) adminNamed(tx store.Tx, actor account.Actor, ref principal.Ref, hash string) (*account.User, error) {
	u, err := d.dir.ByRef(tx, ref)
	switch {
	case errors.Is(err, account.ErrUnknownUser):
		return d.dir.Create(tx, actor, account.NewUser{Ref: ref, PasswordHash: hash})
	case err != nil:
		return nil, err
	case u.Factors() > 0:
		return nil, account.ErrExists
	}
	if u.Disabled {
		if u, err = d.dir.SetDisabled(tx, actor, u.ID, false); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(burnAll(tx, u.ID), dropInvitation(tx, u.ID)); err != nil {
		return nil, err
	}
	return d.dir.SetPassword(tx, actor, u.ID, hash)
}

func (d *Doors) recordSetup(tx store.Tx, e audit.Event) error {
	e.Time, e.Kind = tx.Now(), audit.KindSetup
	return d.audit.Record(tx, e)
}
