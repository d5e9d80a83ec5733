package login

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ErrNoWay: the person has second factors, and none that a reset by mail may ask for.
var ErrNoWay = errors.New("a new password needs a second factor that does not arrive by mail, and there is none: ask your administrator")

// byMail is the factor that arrives by the reset's own channel: whoever reads the
// mailbox has both, so it proves nothing here.
const byMail = factor.Email

// ResetAttempt is one try to set a password by a link.
type ResetAttempt struct {
	Door     Door
	Token    string // of the portal: what TradeReset gave; of the API: the link's own
	Password string
	Code     string      // where the person has a factor
	Method   factor.Name // "": the person's first way that is no mail
	Client   Client
}

// ResetFinish sets the password by a link, and burns it. Where the person has a second
// factor it is asked for too: never one that arrives by mail, else a recovery code. All
// that was open in the person's name ends (EndEverything), and places that wrong codes
// had closed open. ResetTries wrong codes burn the link.
//
// It opens no session: at the portal it goes on as the first door does, with the factor
// asked for again; at the API the answer is nil, and the person logs in.
//
// It takes the three steps of a password: an Update looks and counts the try at the
// link, the hash is computed, a second Update looks again, judges the code and decides.
// Errors: ErrDenied, ErrCodeNeeded, ErrNoWay, ErrEnrollmentClosed (the password is set
// and the link is spent), *secret.WeakPassword, *secret.Busy, *throttle.Throttled.
func (d *Doors) ResetFinish(ctx context.Context, r ResetAttempt) (*Next, error) {
	var who *account.User
	var method factor.Name
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		l, u, _, err := d.resetting(tx, r)
		if err != nil {
			return nil, err
		}
		who = u
		method, err = d.countReset(tx, l, u, r)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	r.Method = method
	foreign, err := d.foreign(ctx, r.Method, r.Code, r.Client, func(tx store.Tx) (*account.User, error) {
		_, u, _, err := d.resetting(tx, r)
		return u, err
	})
	if err != nil {
		return nil, err
	}
	digest, err := d.hasher.Hash(ctx, r.Password)
	if err != nil {
		if foreign.try != nil {
			return nil, d.takeBack(ctx, *foreign.try, err)
		}
		return nil, err
	}
	next, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		l, u, t, err := d.resetting(tx, r)
		if err != nil {
			return nil, err
		}
		if err := d.proveReset(tx, l, u, r, foreign); err != nil {
			return nil, err
		}
		return d.reset(tx, u, t, digest, r)
	})
	d.noteThrottled(err, who.ID, who.Ref().String(), r.Client, "password_reset")
	return next, err
}

// resetting reads the link of an attempt and whose it is. t is the portal's cookie; the
// API has none. Errors: ErrDenied.
func (d *Doors) resetting(tx store.Tx, r ResetAttempt) (l *link, u *account.User, t ticket, err error) {
	switch r.Door {
	case API:
		l, u, err = d.resetLink(tx, r.Token)
		return l, u, ticket{}, err
	case Portal:
	default:
		return nil, nil, ticket{}, ErrDenied
	}
	if t, err = ticketOf(tx, r.Token, Portal, Resetting); err != nil {
		return nil, nil, t, err
	}
	if l, err = newest(tx, resetKey(t.Principal), t.Link); err != nil {
		return nil, nil, t, err
	}
	u, err = d.addressee(tx, l)
	return l, u, t, err
}

// countReset refuses what can be refused without a hash, and counts what will cost one.
// It returns the method that the code belongs to.
func (d *Doors) countReset(tx store.Tx, l *link, u *account.User, r ResetAttempt) (factor.Name, error) {
	method, err := d.resetMethod(tx, u, r)
	if err != nil {
		return "", err
	}
	if err := d.strong(u, r.Password); err != nil {
		return "", err
	}
	if l.Posts++; l.Posts > ResetPosts {
		return "", denied(errors.Join(dropReset(tx, u.ID), d.recordReset(tx, u, r, audit.Denied, "too_many")))
	}
	return method, saveUsed(tx, resetKey(u.ID), l)
}

// resetMethod is the method that an attempt's code belongs to; "": none is asked for.
// Errors: ErrNoWay, ErrCodeNeeded.
func (d *Doors) resetMethod(tx store.Tx, u *account.User, r ResetAttempt) (factor.Name, error) {
	if u.Factors() == 0 {
		return "", nil
	}
	first, _, err := d.resetWays(tx, u)
	switch {
	case err != nil:
		return "", err
	case first == "":
		return "", ErrNoWay
	case r.Code == "":
		return "", ErrCodeNeeded
	}
	return cmp.Or(r.Method, first), nil
}

// resetWays are the person's ways through a reset, the first one first; none: "". A
// passkey has no code: whoever has nothing else uses a recovery code, unless those were
// mailed too.
func (d *Doors) resetWays(tx store.Tx, u *account.User) (first factor.Name, others []factor.Name, err error) {
	first, others, err = d.ways(tx, u)
	if err != nil {
		return "", nil, err
	}
	mailed, err := d.factors.RecoveryMailed(tx, u.ID)
	if err != nil {
		return "", nil, err
	}
	all := slices.DeleteFunc(append([]factor.Name{first}, others...), func(m factor.Name) bool {
		return m == "" || m == byMail || m == factor.Passkey || m == factor.RecoveryCode && mailed
	})
	if len(all) == 0 {
		return "", nil, nil
	}
	return all[0], all[1:], nil
}

// proveReset judges the code of an attempt where one is asked for.
func (d *Doors) proveReset(tx store.Tx, l *link, u *account.User, r ResetAttempt, foreign foreignCode) error {
	method, err := d.resetMethod(tx, u, r)
	if err != nil || method == "" {
		return err
	}
	first, others, err := d.resetWays(tx, u)
	if err != nil {
		return err
	}
	v := verdict{method: method, door: r.Door}
	if slices.Contains(append(others, first), method) { // factor.Any is none: it would take a code that came by mail
		if v, err = d.judge(tx, u, asked{method: method, code: r.Code, foreign: foreign}, r.Client); err != nil {
			return err
		}
		v.door = r.Door
	}
	if err := d.recordCode(tx, u, v, r.Client, ""); err != nil {
		return err
	}
	if v.result == factor.Good {
		return nil
	}
	if v.result == factor.Wrong {
		if l.Wrong++; l.Wrong >= ResetTries {
			return denied(errors.Join(dropReset(tx, u.ID), d.recordReset(tx, u, r, audit.Denied, "wrong_codes")))
		}
		return denied(saveUsed(tx, resetKey(u.ID), l))
	}
	return ErrDenied
}

// reset makes the change that an attempt proved its right to.
func (d *Doors) reset(tx store.Tx, u *account.User, t ticket, digest string, r ResetAttempt) (*Next, error) {
	self := account.Self(u.ID).From(r.Client.Addr, "").Aside() // recordReset tells the person
	if _, err := d.dir.SetPassword(tx, self, u.ID, digest); err != nil {
		return nil, err
	}
	if err := errors.Join(d.EndEverything(tx, u.ID), d.throttle.Reset(tx, u.ID), d.recordReset(tx, u, r, audit.OK, "")); err != nil {
		return nil, err
	}
	if r.Door == API {
		return nil, nil
	}
	u, err := d.dir.ByID(tx, u.ID)
	if err != nil {
		return nil, err
	}
	return d.pastFirst(tx, u, passage{door: r.Door, client: r.Client, target: t.Target, provedAt: tx.Now()})
}

func (d *Doors) recordReset(tx store.Tx, u *account.User, r ResetAttempt, outcome audit.Outcome, cause string) error {
	return d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindReset, Outcome: outcome, Cause: cause, Principal: u.ID,
		Name: u.Ref().String(), Client: r.Client.Addr, Method: r.Door.String(),
	})
}
