package login

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Invite makes the token of a link by which a person sets the own password. It
// may be opened for account.Invitation; an older one is dead, and a change of
// password or factors kills it. The actor's right is checked. A factor that the
// person has stays, and is asked for afterwards.
// Errors: account.ErrInvalid (disabled), and those of account.
func (d *Doors) Invite(tx store.Tx, actor account.Actor, id principal.ID) (secret.Token, error) {
	u, err := d.inviting(tx, actor, id)
	if err != nil {
		return secret.Token{}, err
	}
	return saveMailed(tx, invitationKey(id), invitationIndex, &link{Principal: id, Epoch: u.Epoch}, account.Invitation)
}

// InviteByMail is Invite, but the link goes to the address in the person's record,
// and nobody else sees it. It returns that address. A change of the address kills the
// link. Errors: ErrNoMail, ErrNoAddress, and those of Invite.
func (d *Doors) InviteByMail(tx store.Tx, actor account.Actor, id principal.ID) (sentTo string, err error) {
	if err := d.links(); err != nil {
		return "", err
	}
	u, err := d.inviting(tx, actor, id)
	if err != nil {
		return "", err
	}
	if !reachable(u) {
		return "", ErrNoAddress
	}
	l := &link{Principal: id, Epoch: u.Epoch, Address: u.Email}
	token, err := saveMailed(tx, invitationKey(id), invitationIndex, l, account.Invitation)
	if err != nil {
		return "", err
	}
	return u.Email, d.mail.Invitation(tx, u, token, account.Invitation)
}

// inviting checks the actor's right and kills the older link.
func (d *Doors) inviting(tx store.Tx, actor account.Actor, id principal.ID) (*account.User, error) {
	u, err := d.dir.SetInvited(tx, actor, id)
	if err != nil {
		return nil, err
	}
	if u.Disabled {
		return nil, fmt.Errorf("%w: the account is disabled, enable it first", account.ErrInvalid)
	}
	return u, dropInvitation(tx, id)
}

// dropInvitation makes the person's link worthless.
func dropInvitation(tx store.Tx, id principal.ID) error {
	return dropMailed(tx, invitationKey(id), invitationIndex)
}

// TradeInvite trades the token of an invitation for an ephemeral token of the
// portal in state Invited, good for LinkCookieLife. The link is not burned.
// Errors: ErrDenied.
func (d *Doors) TradeInvite(ctx context.Context, token string) (cookie secret.Token, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		l, err := lead(tx, token, invitationIndex)
		if err != nil {
			return nil, err
		}
		if l, err = newest(tx, invitationKey(l.Principal), l.Hash); err != nil {
			return nil, err
		}
		rec := &ephemeral{State: Invited, Door: Portal, Principal: l.Principal, Epoch: l.Epoch, Link: l.Hash}
		t := ticket{ephemeral: rec}
		if err := d.invitationOpen(tx, t); err != nil {
			return nil, err
		}
		if _, err := d.owner(tx, t); err != nil {
			return nil, err
		}
		cookie, err = issue(tx, rec, LinkCookieLife)
		return nil, err
	})
	if err != nil {
		return secret.Token{}, err
	}
	return cookie, nil
}

// invitationOpen answers ErrDenied unless the cookie's link is the newest one, and the
// mailbox that it was sent to still the person's.
func (d *Doors) invitationOpen(tx store.Tx, t ticket) error {
	l, err := newest(tx, invitationKey(t.Principal), t.Link)
	if err != nil || l.Address == "" {
		return err
	}
	_, err = d.addressee(tx, l)
	return err
}

// addressee is the person whom a mailed link belongs to. ErrDenied where the person is
// gone or disabled, is at another epoch, or has another address.
func (d *Doors) addressee(tx store.Tx, l *link) (*account.User, error) {
	u, err := d.dir.ByID(tx, l.Principal)
	if errors.Is(err, account.ErrUnknownUser) {
		return nil, ErrDenied
	}
	if err != nil {
		return nil, err
	}
	if u.Disabled || u.Epoch != l.Epoch || u.Email != l.Address || !reachable(u) {
		return nil, ErrDenied
	}
	return u, nil
}

// InviteFinish sets the password, burns link and cookie, and goes on as the
// first door does: a factor is asked for where there is one, one is enrolled
// where two are demanded. All sessions of the person end. The door is the
// portal. Errors: ErrDenied, ErrEnrollmentClosed (the password is set and the
// link is spent), *secret.WeakPassword, *secret.Busy.
func (d *Doors) InviteFinish(ctx context.Context, cookie, password string, c Client, door Door) (*Next, error) {
	err := d.store.View(ctx, func(tx store.Tx) error {
		_, u, err := d.invited(tx, cookie, door)
		if err != nil {
			return err
		}
		return d.strong(u, password)
	})
	if err != nil {
		return nil, err
	}
	digest, err := d.hasher.Hash(ctx, password)
	if err != nil {
		return nil, err
	}
	return d.decide(ctx, func(tx store.Tx) (*Next, error) {
		t, u, err := d.invited(tx, cookie, door)
		if err != nil {
			return nil, err
		}
		if err := d.setPassword(tx, u, digest, c, ""); err != nil {
			return nil, err
		}
		if err := dropInvitation(tx, u.ID); err != nil {
			return nil, err
		}
		if err := d.recordInvite(tx, u, c); err != nil {
			return nil, err
		}
		if u, err = d.dir.ByID(tx, u.ID); err != nil {
			return nil, err
		}
		return d.pastFirst(tx, u, passage{door: door, client: c, target: t.Target, provedAt: tx.Now()})
	})
}

func (d *Doors) invited(tx store.Tx, cookie string, door Door) (ticket, *account.User, error) {
	t, err := ticketOf(tx, cookie, door, Invited)
	if err != nil {
		return ticket{}, nil, err
	}
	if err := d.invitationOpen(tx, t); err != nil {
		return ticket{}, nil, err
	}
	u, err := d.owner(tx, t)
	return t, u, err
}

func (d *Doors) recordInvite(tx store.Tx, u *account.User, c Client) error {
	return d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindInvite, Outcome: audit.OK, Cause: "accepted", Principal: u.ID,
		Name: u.Ref().String(), Client: c.Addr,
	})
}
