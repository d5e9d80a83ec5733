package login

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// A passkey opens the second door in place of a code (PasskeyChallenge, then Code with
// the answer), and both doors at once where the authenticator verified the person
// (BeginPasskeyLogin, FinishPasskeyLogin): possession and a PIN or a finger are two
// factors, and the session says so (amr: hwk or swk, and mfa).
//
// The challenge of the second door stands in the record of the ephemeral token. That of
// a whole login stands nowhere, since strangers ask for it without bound: it carries its
// end and a MAC of ours, and only one that opened a session is remembered, until then.

// PasskeyChallenge makes what a passkey of whoever stands between the doors has to sign:
// options for navigator.credentials.get, in JSON. Each call kills the challenge of the
// one before; so does each answer, good or not.
// Errors: ErrDenied (the token is dead), factor.ErrNoMethod (no passkey of this person
// could sign here).
func (d *Doors) PasskeyChallenge(ctx context.Context, token string, door Door) (options []byte, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		t, err := ticketOf(tx, token, door, SecondFactor)
		if err != nil {
			return nil, err
		}
		u, err := d.owner(tx, t)
		if errors.Is(err, ErrDenied) {
			err = denied(t.burn(tx))
		}
		if err != nil {
			return nil, err
		}
		if options, t.Passkey, err = d.factors.BeginAssertion(tx, u.ID); err != nil {
			return nil, err
		}
		return nil, t.save(tx)
	})
	return options, err
}

// Passkey checks the answer to PasskeyChallenge, in s.Response, as Code checks a code. It
// counts like one when it is wrong; since nobody guesses it, a place that wrong codes
// have closed takes it still. Errors: as Code.
func (d *Doors) Passkey(ctx context.Context, s Second) (*Next, error) {
	s.Method, s.Code = factor.Passkey, ""
	return d.second(ctx, s)
}

// PasskeyAttempt is one try at both doors with a passkey.
type PasskeyAttempt struct {
	Response []byte // the answer to BeginPasskeyLogin, as the browser writes it in JSON
	Realm    string // whose users alone are let in; "": of any realm
	Door     Door   // Portal or API: that of BeginPasskeyLogin
	Client   Client
	Remember bool   // a long session, where the realm offers it
	Target   string // where to go afterwards; the caller has allowed it
	// ReplaceSession is the id of the session that the browser brought: it ends when the
	// new one opens.
	ReplaceSession string
}

// BeginPasskeyLogin makes what a passkey has to sign for a whole login, of whomever it
// names: options for navigator.credentials.get, in JSON, good for life and once. Nothing
// is stored, and nobody's name is asked for. Errors: factor.ErrUnknownMethod where
// passkeys are not offered.
func (d *Doors) BeginPasskeyLogin(door Door) (options []byte, life time.Duration, err error) {
	options, err = d.factors.BeginLogin(d.sealChallenge(door, d.clock().Add(factor.ChallengeLife)))
	return options, factor.ChallengeLife, err
}

// A sealed challenge is 32 random bytes, its end in Unix seconds, and a MAC over both and
// the door.
const (
	sealRandom = 32
	sealEnd    = sealRandom + 8
	sealSize   = sealEnd + sha256.Size
)

func (d *Doors) sealChallenge(door Door, end time.Time) []byte {
	c := make([]byte, sealRandom, sealSize)
	_, _ = rand.Read(c) // never fails: the program ends instead
	c = binary.BigEndian.AppendUint64(c, uint64(end.Unix()))
	sum := secret.MAC(d.challengeKey, c, []byte(door.String()))
	return append(c, sum[:]...)
}

// openChallenge returns the end of a challenge of ours; not ours, or past: false.
func (d *Doors) openChallenge(c []byte, door Door, now time.Time) (end time.Time, ok bool) {
	if len(c) != sealSize || door != Portal && door != API {
		return end, false
	}
	sum := secret.MAC(d.challengeKey, c[:sealEnd], []byte(door.String()))
	if !hmac.Equal(sum[:], c[sealEnd:]) {
		return end, false
	}
	end = time.Unix(int64(binary.BigEndian.Uint64(c[sealRandom:sealEnd])), 0)
	return end, now.Before(end)
}

// usedChallenge remembers a challenge that opened a session.
type usedChallenge struct {
	store.Meta
}

func usedChallengeKey(c []byte) store.Key {
	sum := sha256.Sum256(c)
	return store.K(store.PrefixLogin, "passkey-used", sum[:])
}

// FinishPasskeyLogin checks the answer to BeginPasskeyLogin and opens a session of the
// person whom it names. That the challenge is ours and was not used, that the passkey is
// this person's and signed, and that they may log in, is decided in one Update.
//
// A wrong answer by a passkey that somebody has counts at that person, like a wrong code;
// one by a passkey that nobody has stores nothing, so that strangers fill nothing.
// Errors: ErrDenied (whatever was wrong), *throttle.Throttled.
func (d *Doors) FinishPasskeyLogin(ctx context.Context, a PasskeyAttempt) (*Next, error) {
	var id principal.ID
	var name string
	next, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		id, name = principal.ID{}, ""
		u, challenge, end, err := d.namedByPasskey(tx, a)
		if err != nil {
			return nil, err
		}
		id, name = u.ID, u.Ref().String()
		return d.passBoth(tx, u, a, challenge, end)
	})
	d.noteThrottled(err, id, name, a.Client, string(factor.Passkey))
	if errors.Is(err, ErrDenied) && name == "" {
		d.noteDead(Second{Door: a.Door, Client: a.Client})
	}
	return next, err
}

// namedByPasskey is whom an answer names, and the challenge that it signed: one of ours
// that lives and opened nothing yet.
func (d *Doors) namedByPasskey(tx store.Tx, a PasskeyAttempt) (u *account.User, challenge []byte, end time.Time, err error) {
	id, challenge, err := d.factors.WhoLogsIn(tx, a.Response)
	if errors.Is(err, factor.ErrDenied) {
		err = ErrDenied
	}
	if err != nil {
		return nil, nil, end, err
	}
	end, ok := d.openChallenge(challenge, a.Door, tx.Now())
	if !ok {
		return nil, nil, end, ErrDenied
	}
	_, err = store.Load[usedChallenge](tx, usedChallengeKey(challenge))
	if err == nil {
		return nil, nil, end, ErrDenied
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, nil, end, err
	}
	u, err = d.dir.ByID(tx, id)
	if errors.Is(err, account.ErrUnknownUser) {
		err = ErrDenied
	}
	return u, challenge, end, err
}

// passBoth counts, checks and opens.
func (d *Doors) passBoth(tx store.Tx, u *account.User, a PasskeyAttempt, challenge []byte, end time.Time) (*Next, error) {
	v, err := d.judge(tx, u, asked{
		method: factor.Passkey, response: a.Response, challenge: factor.LoginChallenge(challenge, end),
	}, a.Client)
	if err != nil {
		return nil, err
	}
	v.door = a.Door
	if v.result != factor.Good {
		return nil, denied(d.recordCode(tx, u, v, a.Client, ""))
	}
	if err := store.Save(tx, usedChallengeKey(challenge), &usedChallenge{}, end); err != nil {
		return nil, err
	}
	if cause := notLetIn(u, a); cause != "" {
		return nil, denied(d.audit.Record(tx, audit.Event{
			Time: tx.Now(), Kind: audit.KindLogin, Outcome: audit.Denied, Cause: cause, Principal: u.ID,
			Name: u.Ref().String(), Client: a.Client.Addr, Method: a.Door.String(),
		}))
	}
	return d.open(tx, u, passage{
		door: a.Door, client: a.Client, target: a.Target, remember: a.Remember, replaces: a.ReplaceSession,
		amr: v.amr(), alone: session.MFA, factorAt: tx.Now(), kind: audit.KindLogin, method: factor.Passkey,
	})
}

// notLetIn is why somebody who proved who they are does not come in, in one word; "": they do.
func notLetIn(u *account.User, a PasskeyAttempt) string {
	switch {
	case u.Disabled:
		return "disabled"
	case a.Realm != "" && a.Realm != u.Realm:
		return "realm"
	}
	return ""
}

// ConfirmPasskey is ConfirmMethod for the answer of an authenticator to what Activate
// began. A wrong one ends the enrolment's challenge: begin again. Errors: as ConfirmMethod.
func (d *Doors) ConfirmPasskey(ctx context.Context, live session.Live, response []byte, c Client) (codes []string, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		u, err := d.self(tx, live)
		if err != nil {
			return nil, err
		}
		if err := d.recently(tx, u, live, false); err != nil {
			return nil, err
		}
		codes, err = d.Confirm(tx, u, live, factor.Passkey, factor.Proof{Response: response}, c)
		return nil, err
	})
	d.noteClosed(err, live, c, factor.Passkey)
	return codes, err
}
