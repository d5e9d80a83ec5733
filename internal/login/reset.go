package login

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

const (
	// ResetLife is how long a link for a new password may be opened.
	ResetLife = 30 * time.Minute
	// ResetTries is how many wrong codes burn such a link, whatever cookies or
	// calls they came with.
	ResetTries = 5
	// ResetPosts is how many passwords are hashed for one link before it is dead:
	// more than people mistype, less than keeps a processor busy.
	ResetPosts = 20
)

func resetKey(id principal.ID) store.Key { return store.K(store.PrefixLogin, "reset", id) }

// resetIndex leads from a token to its person.
func resetIndex(hash []byte) store.Key { return store.K(store.PrefixLogin, "reset-of", hash) }

func dropReset(tx store.Tx, id principal.ID) error { return dropMailed(tx, resetKey(id), resetIndex) }

// RequestReset sends a link for a new password to the person whom a login names (name,
// name@realm or address, as at the first door), if that person is enabled and has an
// address that is confirmed or was set by an administrator. The link goes to that
// address, is good for ResetLife, and kills an older one.
//
// Whoever was named, the answer is nil, at the floor of the first door, after one
// Update that writes as much: for somebody, for nobody, for who is disabled or has no
// such address, and for who was sent enough lately. Errors: ErrNoMail and
// *throttle.Throttled of the network, which depend on nothing but the configuration and
// the caller, and leave at once.
func (d *Doors) RequestReset(ctx context.Context, login, realm string, c Client) error {
	begin := time.Now()
	if err := d.links(); err != nil {
		return err
	}
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		return nil, d.requestReset(tx, Attempt{Login: login, Realm: realm, Door: Portal, Client: c})
	})
	if err != nil {
		d.noteThrottled(err, principal.ID{}, "", c, "password_reset")
		return err
	}
	return d.leaveAtFloor(ctx, begin)
}

func (d *Doors) requestReset(tx store.Tx, a Attempt) error {
	u, ref, err := d.whom(tx, a)
	if err != nil && !nobody(err) {
		return err
	}
	event := audit.Event{Time: tx.Now(), Kind: audit.KindResetLink, Outcome: audit.OK, Client: a.Client.Addr}
	var subject throttle.Subject
	if u != nil && err == nil {
		subject = throttle.Of(u.ID)
		event.Principal, event.Name = u.ID, u.Ref().String()
	} else {
		u = nil
		subject = d.throttle.Unknown(ref.Realm, ref.Name)
		mac := secret.MAC(d.unknownKey, []byte(ref.Realm), []byte(ref.Name))
		event.Name = audit.Unknown(mac[:])
	}
	enough, err := d.strangersMail(tx, subject, a.Client)
	if err != nil {
		return err
	}
	if cause := noReset(u, enough); cause != "" {
		event.Outcome, event.Cause = audit.Denied, cause
		tx.After(func() { d.audit.Note(event) }) // strangers can cause these without bound
		return writeDecoys(tx, resetWrites)
	}
	if err := dropReset(tx, u.ID); err != nil {
		return err
	}
	l := &link{Principal: u.ID, Epoch: u.Epoch, Address: u.Email}
	token, err := saveMailed(tx, resetKey(u.ID), resetIndex, l, ResetLife)
	if err != nil {
		return err
	}
	if err := d.mail.Reset(tx, u, token, ResetLife); err != nil {
		return err
	}
	return d.audit.Record(tx, event)
}

// noReset is why a link is not sent, in one word; "": it is. u nil is nobody.
func noReset(u *account.User, enough bool) string {
	switch {
	case u == nil:
		return "unknown"
	case enough:
		return "throttled"
	case u.Disabled:
		return "disabled"
	case u.Email == "":
		return "no_address"
	case u.Unconfirmed:
		return "unconfirmed"
	}
	return ""
}

// strangersMail counts a message that whoever knows a name may cause. That the person,
// or who would be one, was sent enough is no answer: strangers would learn which names
// are one person's. Errors: *throttle.Throttled, of the network.
func (d *Doors) strangersMail(tx store.Tx, s throttle.Subject, c Client) (enough bool, err error) {
	err = d.throttle.Send(tx, s.NamedByStranger(), d.originOf(c))
	if wait, ok := errors.AsType[*throttle.Throttled](err); ok && wait.Cause != throttle.CauseNetwork {
		return true, nil
	}
	return false, err
}

// What a link with its index, a message in the queue and an event write: as many
// decoys stand where nothing is sent.
const (
	linkWrites  = 2
	resetWrites = linkWrites + MailWrites + 1
)

// writeDecoys writes as many records as somebody's request would.
func writeDecoys(tx store.Tx, n int) error {
	for range n {
		random := secret.NewToken(secret.Browser).Hash()
		text := hex.EncodeToString(random[:]) + hex.EncodeToString(random[:])
		if err := store.Save(tx, store.K(store.PrefixLogin, "decoy", random[:1]), &decoy{Text: text}, tx.Now().Add(decoyLife)); err != nil {
			return err
		}
	}
	return nil
}

// TradeReset trades the token of a reset link for an ephemeral token of the portal in
// state Resetting, good for LinkCookieLife. The link is not burned. Peek says what
// ResetFinish will ask for. Errors: ErrDenied.
func (d *Doors) TradeReset(ctx context.Context, token string) (cookie secret.Token, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		l, _, err := d.resetLink(tx, token)
		if err != nil {
			return nil, err
		}
		cookie, err = issue(tx, &ephemeral{State: Resetting, Door: Portal, Principal: l.Principal, Epoch: l.Epoch, Link: l.Hash}, LinkCookieLife)
		return nil, err
	})
	if err != nil {
		return secret.Token{}, err
	}
	return cookie, nil
}

// resetLink reads the link of a token that may still be opened.
func (d *Doors) resetLink(tx store.Tx, token string) (*link, *account.User, error) {
	l, err := lead(tx, token, resetIndex)
	if err != nil {
		return nil, nil, err
	}
	if l, err = newest(tx, resetKey(l.Principal), l.Hash); err != nil {
		return nil, nil, err
	}
	u, err := d.addressee(tx, l)
	return l, u, err
}
