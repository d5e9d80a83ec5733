package login

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Changes of somebody who is signed in ask for a code in the same request. A passkey has
// no code: it proves itself apart, and gets a one-time pass for it, which the change
// takes where it takes a code. A pass is good once, for PassLife, for the session that
// asked and at the epoch it was made at.

// PassLife is how long a pass waits for its change.
const PassLife = 5 * time.Minute

// passPrefix tells a pass from every code: none of those holds a full stop.
const passPrefix = "PK."

// isPass reports whether a text wants to be a pass.
func isPass(text string) bool { return strings.HasPrefix(text, passPrefix) }

// asking is what a passkey of a session has to sign.
type asking struct {
	store.Meta
	Principal principal.ID      `json:"principal"`
	Challenge *factor.Challenge `json:"challenge"`
}

// pass is what stands of one: who holds the record opens nothing.
type pass struct {
	store.Meta
	Principal principal.ID `json:"principal"`
	Epoch     uint64       `json:"epoch"`
	Hash      []byte       `json:"hash"`
	Expires   time.Time    `json:"expires"`
}

func askingKey(session string) store.Key { return store.K(store.PrefixLogin, "passkey-asked", session) }
func passKey(session string) store.Key   { return store.K(store.PrefixLogin, "passkey-pass", session) }

// AskPasskey makes what a passkey of somebody who is signed in has to sign for a pass:
// options for navigator.credentials.get, in JSON. Each call kills the challenge of the one
// before. Errors: ErrDenied (the session is over), factor.ErrNoMethod.
func (d *Doors) AskPasskey(ctx context.Context, live session.Live) (options []byte, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		ask := &asking{Principal: u.ID}
		if options, ask.Challenge, err = d.factors.BeginAssertion(tx, u.ID); err != nil {
			return nil, err
		}
		return nil, store.Save(tx, askingKey(live.ID), ask, ask.Challenge.Expires)
	})
	return options, err
}

// ProvePasskey checks the answer to AskPasskey and makes a pass: a text to send where a
// change asks for a code. An older pass of the session is dead. The challenge is dead,
// whatever the answer; a wrong one counts as at the second door.
// Errors: ErrDenied, *throttle.Throttled.
func (d *Doors) ProvePasskey(ctx context.Context, live session.Live, response []byte, c Client) (text string, err error) {
	var who *account.User
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		who = u
		ask, err := store.Load[asking](tx, askingKey(live.ID))
		if errors.Is(err, store.ErrNotFound) || err == nil && ask.Principal != u.ID {
			return nil, ErrDenied
		}
		if err != nil {
			return nil, err
		}
		v, err := d.judge(tx, u, asked{method: factor.Passkey, response: response, challenge: ask.Challenge}, c)
		if err != nil {
			return nil, err
		}
		if err := tx.Delete(askingKey(live.ID)); err != nil {
			return nil, err
		}
		if err := d.proved(tx, u, v, c, live.ID); err != nil {
			return nil, err
		}
		text, err = newPass(tx, u, live.ID)
		return nil, err
	})
	if who != nil {
		d.noteThrottled(err, who.ID, who.Ref().String(), c, string(factor.Passkey))
	}
	if err != nil {
		return "", err
	}
	return text, nil
}

func newPass(tx store.Tx, u *account.User, sessionID string) (string, error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: the program ends instead
	text := passPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	sum := sha256.Sum256([]byte(text))
	p := &pass{Principal: u.ID, Epoch: u.Epoch, Hash: sum[:], Expires: tx.Now().Add(PassLife)}
	return text, store.Save(tx, passKey(sessionID), p, p.Expires)
}

// spendPass takes a pass in the transaction of the change that it is for. A wrong one is
// refused and written down; it counts nowhere, for nobody guesses it.
func (d *Doors) spendPass(tx store.Tx, u *account.User, text string, c Client, sessionID string) error {
	p, err := store.Load[pass](tx, passKey(sessionID))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	if err != nil || !hmac.Equal(p.Hash, sum[:]) || p.Principal != u.ID || p.Epoch != u.Epoch || !tx.Now().Before(p.Expires) {
		return d.proved(tx, u, verdict{method: factor.Passkey}, c, sessionID)
	}
	return tx.Delete(passKey(sessionID))
}
