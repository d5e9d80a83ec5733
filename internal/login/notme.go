package login

import (
	"context"
	"crypto/hmac"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// NotMeLife is how long the link of a notice may be opened: a weekend.
	NotMeLife = 72 * time.Hour
	// NotMeLimit bounds the living links of one person; the oldest goes.
	NotMeLimit = 50
)

func notMeKey(hash []byte) store.Key { return store.K(store.PrefixLogin, "not-me", hash) }

// notMeList lists the living links of a person.
func notMeList(id principal.ID) store.Key { return store.K(store.PrefixLogin, "not-me-of", id) }

// newNotMe makes the link of a notice. Several are good at once, one for each notice,
// and no change of the account kills them: whoever took it over made those.
func newNotMe(tx store.Tx, id principal.ID) (secret.Token, error) {
	list, err := loadList(tx, notMeList(id))
	if err != nil {
		return secret.Token{}, err
	}
	for len(list.Tokens) >= NotMeLimit {
		if err := tx.Delete(notMeKey(list.Tokens[0].Hash)); err != nil {
			return secret.Token{}, err
		}
		list.Tokens = list.Tokens[1:]
	}
	l := &link{Principal: id, Expires: tx.Now().Add(NotMeLife)}
	token := secret.NewToken(secret.Link)
	hash := token.Hash()
	l.Hash = hash[:]
	list.Tokens = append(list.Tokens, heldToken{Hash: l.Hash, Expires: l.Expires.Add(grace)})
	return token, errors.Join(store.Save(tx, notMeKey(l.Hash), l, l.Expires.Add(grace)), saveList(tx, notMeList(id), list))
}

// dropNotMe makes all of a person's links worthless.
func dropNotMe(tx store.Tx, id principal.ID) error {
	list, err := loadList(tx, notMeList(id))
	if err != nil {
		return err
	}
	for _, t := range list.Tokens {
		if err := tx.Delete(notMeKey(t.Hash)); err != nil {
			return err
		}
	}
	return tx.Delete(notMeList(id))
}

// TradeNotMe trades the token of a notice's link for an ephemeral token of the portal
// in state Objecting, good for LinkCookieLife. The link is not burned, and nothing
// ends: mail scanners open links. Errors: ErrDenied.
func (d *Doors) TradeNotMe(ctx context.Context, token string) (cookie secret.Token, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		l, err := lead(tx, token, notMeKey)
		if err != nil {
			return nil, err
		}
		u, err := d.objector(tx, l)
		if err != nil {
			return nil, err
		}
		cookie, err = issue(tx, &ephemeral{State: Objecting, Door: Portal, Principal: u.ID, Epoch: u.Epoch, Link: l.Hash}, LinkCookieLife)
		return nil, err
	})
	if err != nil {
		return secret.Token{}, err
	}
	return cookie, nil
}

// objector is whose link it is, at whatever epoch. Errors: ErrDenied.
func (d *Doors) objector(tx store.Tx, l *link) (*account.User, error) {
	u, err := d.dir.ByID(tx, l.Principal)
	if errors.Is(err, account.ErrUnknownUser) {
		err = ErrDenied
	}
	return u, err
}

// NotMe is the answer to a notice: "this was not me". All that was opened in the
// person's name ends (EndEverything), and the epoch rises. Password and factors stay:
// the mailbox alone must not take an account away, nor keep its owner out. It needs no
// login. token is, at the portal, what TradeNotMe gave, at the API the link's own; the
// link is burned. Errors: ErrDenied.
func (d *Doors) NotMe(ctx context.Context, token string, door Door, c Client) error {
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		l, err := d.objecting(tx, token, door)
		if err != nil {
			return nil, err
		}
		u, err := d.objector(tx, l)
		if err != nil {
			return nil, err
		}
		if err := burnNotMe(tx, l); err != nil {
			return nil, err
		}
		if u, err = d.dir.RaiseEpoch(tx, u.ID); err != nil {
			return nil, err
		}
		return nil, errors.Join(d.EndEverything(tx, u.ID), d.audit.Record(tx, audit.Event{
			Time: tx.Now(), Kind: audit.KindNotMe, Outcome: audit.OK, Principal: u.ID, Name: u.Ref().String(),
			Client: c.Addr, Method: door.String(),
		}))
	})
	return err
}

func (d *Doors) objecting(tx store.Tx, token string, door Door) (*link, error) {
	switch door {
	case API:
		return lead(tx, token, notMeKey)
	case Portal:
		t, err := ticketOf(tx, token, Portal, Objecting)
		if err != nil {
			return nil, err
		}
		return loadLink(tx, notMeKey(t.Link))
	}
	return nil, ErrDenied
}

func burnNotMe(tx store.Tx, l *link) error {
	list, err := loadList(tx, notMeList(l.Principal))
	if err != nil {
		return err
	}
	list.Tokens = slices.DeleteFunc(list.Tokens, func(h heldToken) bool { return hmac.Equal(h.Hash, l.Hash) })
	return errors.Join(saveList(tx, notMeList(l.Principal), list), tx.Delete(notMeKey(l.Hash)))
}
