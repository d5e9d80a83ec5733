package login

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Code checks a one-time code for an ephemeral token and, if it is good, burns
// both and opens a session, all in one Update. Codes of the steps
// now-Skew..now+Skew are accepted (RFC 6238 section 5.2). A code never works
// twice: not in parallel, not at another door, not after a restart.
//
// A wrong code counts at the person and at the token. A replay of an accepted
// step is refused and not counted. Errors: ErrDenied, *throttle.Throttled (the
// code was not looked at; the token lives on).
func (d *Doors) Code(ctx context.Context, s Second) (*Next, error) { return d.second(ctx, s) }

// Recovery checks a recovery code in place of a one-time code. A good one is
// burned, counts as a second factor, and opens what wrong codes had closed.
// Errors as Code.
func (d *Doors) Recovery(ctx context.Context, s Second) (*Next, error) {
	s.Method = factor.RecoveryCode
	return d.second(ctx, s)
}

func (d *Doors) second(ctx context.Context, s Second) (*Next, error) {
	var err error
	s.foreign, err = d.foreign(ctx, s.Method, s.Code, s.Client, func(tx store.Tx) (*account.User, error) {
		t, err := ticketOf(tx, s.Ephemeral, s.Door, SecondFactor)
		if err != nil {
			return nil, err
		}
		return d.owner(tx, t)
	})
	if err != nil {
		return nil, err
	}
	var id principal.ID
	var name string
	next, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		id, name = principal.ID{}, ""
		t, err := ticketOf(tx, s.Ephemeral, s.Door, SecondFactor)
		if err != nil {
			return nil, err
		}
		u, err := d.owner(tx, t)
		if errors.Is(err, ErrDenied) { // the person changed: the token is dead for good
			return nil, denied(t.burn(tx))
		}
		if err != nil {
			return nil, err
		}
		id, name = u.ID, u.Ref().String()
		return d.passSecond(tx, t, u, s)
	})
	d.noteThrottled(err, id, name, s.Client, string(s.Method))
	if errors.Is(err, ErrDenied) && name == "" {
		d.noteDead(s)
	}
	return next, err
}

// noteDead notes a code for a token that is unknown, expired, burned, or not good
// for this call. Strangers can cause these without bound, so nothing is stored.
func (d *Doors) noteDead(s Second) {
	d.audit.Note(audit.Event{
		Time: d.clock(), Kind: audit.KindCode, Outcome: audit.Denied, Cause: "dead_token",
		Client: s.Client.Addr, Method: s.Door.String(),
	})
}

// passSecond counts, compares and burns.
func (d *Doors) passSecond(tx store.Tx, t ticket, u *account.User, s Second) (*Next, error) {
	a := asked{method: s.Method, code: s.Code, foreign: s.foreign, response: s.Response, challenge: t.Passkey}
	verdict, err := d.judge(tx, u, a, s.Client)
	if err != nil {
		return nil, err
	}
	verdict.door = s.Door
	if s.Method == factor.Passkey {
		t.Passkey = nil // answered, however
	}
	if verdict.result != factor.Good {
		if verdict.result == factor.Wrong {
			if err := t.wrong(tx); err != nil {
				return nil, err
			}
		}
		return nil, denied(d.recordCode(tx, u, verdict, s.Client, ""))
	}
	if err := t.burn(tx); err != nil {
		return nil, err
	}
	p := t.passage(s.Client)
	p.amr, p.factorAt, p.method = verdict.amr(), tx.Now(), verdict.method
	next, err := d.open(tx, u, p)
	if err != nil {
		return nil, err
	}
	next.RecoveryLeft = verdict.left
	if err := openedBy(tx, s.Door, next.Opened.ID, verdict); err != nil {
		return nil, err
	}
	if err := d.trust(tx, u, s, verdict, next); err != nil {
		return nil, err
	}
	return next, d.recordCode(tx, u, verdict, s.Client, next.Opened.ID)
}

// passage takes up what the first door wrote down.
func (t ticket) passage(c Client) passage {
	p := passage{
		door: t.Door, client: c, target: t.Target, remember: t.Remember, replaces: t.Replaces,
		provedAt: t.ProvedAt, until: t.Until, kind: audit.KindLogin,
	}
	if t.StepUp {
		p.kind = audit.KindStepUp
		if t.AMR&session.PWD == 0 {
			p.alone = t.AMR
		}
	}
	return p
}

// verdict is what a code was, and by which method.
type verdict struct {
	result factor.Result
	method factor.Name
	step   int64  // of the authenticator, if it was its code
	sent   string // which of the codes that were sent, if it was one
	left   int    // recovery codes
	synced bool   // a passkey that may be copied
	door   Door   // zero: no login, somebody who is signed in proves it anew
}

func (v verdict) amr() session.AMR { return amrOf(v.method, v.synced) }

// amrOf is how a method stands in sessions and tokens (RFC 8176 where it has a word). An
// installation's own methods are one-time codes. A passkey that its maker copies between
// devices is no hardware key, though a passkey is often more than an OTP.
func amrOf(method factor.Name, synced bool) session.AMR {
	switch method {
	case factor.RecoveryCode:
		return session.Recovery
	case factor.Email:
		return session.Email
	case factor.SMS:
		return session.SMS
	case factor.YubiKey, factor.Passkey:
		if synced {
			return session.SWK
		}
		return session.HWK
	}
	return session.OTP
}

// asked is a code that has to be judged.
type asked struct {
	method  factor.Name // "": whichever of the confirmed methods it is of
	code    string
	foreign foreignCode
	except  []factor.Name // methods that prove nothing here

	response  []byte // of a passkey, to challenge
	challenge *factor.Challenge
}

// judge counts a try at the person, compares, burns what is good, and settles
// the count. The caller commits, whatever the verdict.
func (d *Doors) judge(tx store.Tx, u *account.User, a asked, c Client) (verdict, error) {
	v := verdict{method: a.method} // Try says by which it was judged
	try, err := d.counted(tx, u, a, c)
	if err != nil {
		return v, err
	}
	checked, err := d.factors.Try(tx, u.ID, a.method, factor.Proof{
		Code: a.code, Digest: a.foreign.digest, YubiKey: a.foreign.yubikey, Except: a.except,
		Response: a.response, Challenge: a.challenge,
	})
	if err != nil {
		return v, err
	}
	v.result, v.step, v.left, v.sent = checked.Result, checked.Step, checked.Left, checked.Sent
	v.synced = checked.Synced
	if checked.Method != "" {
		v.method = checked.Method
	}
	switch v.result {
	case factor.Replayed:
		return v, d.throttle.Uncount(tx, try)
	case factor.Good:
		if err := d.throttle.Good(tx, try); err != nil {
			return v, err
		}
		if v.method == factor.RecoveryCode {
			return v, d.throttle.Reset(tx, u.ID)
		}
	}
	return v, nil
}

// counted is the try that judge settles.
func (d *Doors) counted(tx store.Tx, u *account.User, a asked, c Client) (throttle.Try, error) {
	if a.foreign.try != nil {
		return *a.foreign.try, nil
	}
	return d.throttle.Count(tx, throttle.Of(u.ID), KindOf(a.method, a.code), d.originOf(c))
}

// KindOf is how a code counts. A place that wrong codes have closed takes recovery codes
// alone, and only such as are too long to guess: all others count as codes of an
// authenticator, whatever they are meant to be. Nobody guesses what a passkey signs.
func KindOf(method factor.Name, code string) throttle.Kind {
	if method == factor.Passkey {
		return throttle.Recovery
	}
	if (method == factor.RecoveryCode || method == factor.Any) && !factor.Short(code) {
		return throttle.Recovery
	}
	return throttle.Code
}

// recordCode writes down what a code was. A good one that opened a session is
// told by the login's event; a recovery code is always told.
func (d *Doors) recordCode(tx store.Tx, u *account.User, v verdict, c Client, sessionID string) error {
	if v.result == factor.Good && v.method != factor.RecoveryCode {
		return nil
	}
	e := audit.Event{
		Time: tx.Now(), Kind: audit.KindCode, Outcome: audit.Denied, Cause: v.result.String(), Principal: u.ID,
		Name: u.Ref().String(), Client: c.Addr, Session: sessionID, Method: string(v.method),
	}
	if v.method == factor.RecoveryCode {
		e.Kind = audit.KindRecovery
	}
	if v.door != 0 {
		e.Detail = map[string]string{"door": v.door.String()}
	}
	if v.result == factor.Good {
		e.Outcome, e.Cause = audit.OK, ""
	}
	return d.audit.Record(tx, e)
}

// open ends a login: the session, the known browser, the event.
func (d *Doors) open(tx store.Tx, u *account.User, p passage) (*Next, error) {
	realm, err := d.dir.Realm(tx, u.Realm)
	if err != nil {
		return nil, err
	}
	known, err := d.throttle.Known(tx, throttle.Of(u.ID), d.originOf(p.client))
	if err != nil {
		return nil, err
	}
	browser, err := d.knownBrowser(tx, u.ID, p)
	if err != nil {
		return nil, err
	}
	first := session.PWD
	if p.alone != 0 {
		first = p.alone
	}
	opening := session.Opening{
		User: u, Proof: session.Proof{AMR: first | p.amr, PasswordAt: p.provedAt, FactorAt: p.factorAt},
		Kind: p.door.kind(), Lifetimes: lifetimes(realm, p, tx.Now()),
		Origin:   session.Origin{Client: p.client.Addr, UserAgent: p.client.UserAgent},
		Domain:   d.cookieDomain && !p.door.facade(),
		Replaces: p.replaces,
	}
	opening.Remember = p.remember && opening.Lifetimes.Remember > 0
	opening.Refresh = p.door == API
	opened, err := d.sessions.Open(tx, opening)
	if err != nil {
		return nil, err
	}
	if err := d.dir.Touch(tx, u.ID, tx.Now()); err != nil {
		return nil, err
	}
	event := audit.Event{
		Time: tx.Now(), Kind: p.kind, Outcome: audit.OK, Principal: u.ID, Name: u.Ref().String(),
		Client: p.client.Addr, Session: opened.ID, Method: string(p.method), Detail: map[string]string{"door": p.door.String()},
	}
	if !known {
		event.Detail[placeDetail] = newPlace
	}
	err = d.audit.Record(tx, event)
	if err != nil {
		return nil, err
	}
	return &Next{Status: Done, Opened: opened, User: u.Identity(), Target: p.target, Browser: browser, Remember: opening.Remember}, nil
}

// lifetimes are the realm's; a step-up does not outlive the session that it
// replaces.
func lifetimes(realm account.Realm, p passage, now time.Time) account.Lifetimes {
	l := account.Lifetimes{Remember: session.DefaultRemember}
	if realm.Session != nil {
		l = *realm.Session
	}
	if p.until.IsZero() {
		return l
	}
	left := max(p.until.Sub(now), time.Second)
	l.Absolute, l.Remember = left, left
	return l
}

// knownBrowser makes the client's browser and network places where this person
// is known, and returns the cookie to set. A cookie that was not known for this
// person is replaced: who planted it does not share the place. Programs, which
// bring none, get none.
func (d *Doors) knownBrowser(tx store.Tx, id principal.ID, p passage) (secret.Token, error) {
	subject, origin := throttle.Of(id), d.originOf(p.client)
	var token secret.Token
	if origin.Browser != nil {
		known, err := d.throttle.Known(tx, subject, throttle.Origin{Browser: origin.Browser})
		if err != nil {
			return secret.Token{}, err
		}
		if known {
			token, _ = secret.ParseToken(secret.Browser, p.client.Browser)
		}
	}
	if token.IsZero() && (p.door == Portal || origin.Browser != nil) {
		token = secret.NewToken(secret.Browser)
	}
	origin.Browser = nil
	if !token.IsZero() {
		hash := token.Hash()
		origin.Browser = hash[:]
	}
	return token, d.throttle.Succeeded(tx, subject, origin)
}
