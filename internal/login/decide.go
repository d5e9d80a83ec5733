package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// decide runs fn in one Update. What fn answers, a refusal too, is committed
// with all that fn wrote: a wrong code stays counted. What fn fails with rolls
// everything back.
func (d *Doors) decide(ctx context.Context, fn func(store.Tx) (*Next, error)) (*Next, error) {
	var next *Next
	var answer error
	err := d.store.Update(ctx, func(tx store.Tx) error {
		next, answer = fn(tx)
		if answer != nil {
			next = nil
		}
		if isAnswer(answer) {
			return nil
		}
		return answer
	})
	if err != nil {
		return nil, err
	}
	return next, answer
}

// isAnswer tells a refusal from a failure.
func isAnswer(err error) bool {
	for _, answer := range []error{ErrDenied, ErrEnrollmentClosed, ErrSetupDone, ErrCodeNeeded, ErrNoFactor, factor.ErrDenied, factor.ErrReplay} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return waits(err)
}

// waits tells an answer that says when to come again.
func waits(err error) bool {
	if _, ok := errors.AsType[*throttle.Throttled](err); ok {
		return true
	}
	_, ok := errors.AsType[*secret.Busy](err)
	return ok
}

// originOf is the place that the throttle judges by.
func (d *Doors) originOf(c Client) throttle.Origin {
	o := throttle.Origin{Client: c.Addr, Exempt: c.Exempt}
	if token, err := secret.ParseToken(secret.Browser, c.Browser); err == nil {
		hash := token.Hash()
		o.Browser = hash[:]
	}
	return o
}

// noteThrottled notes that somebody was told to wait; nothing is stored, since
// nothing was counted.
func (d *Doors) noteThrottled(err error, id principal.ID, name string, c Client, method string) {
	if wait, ok := errors.AsType[*throttle.Throttled](err); ok {
		d.audit.Note(audit.Event{
			Time: d.clock(), Kind: audit.KindThrottled, Outcome: audit.Denied, Cause: wait.Cause,
			Principal: id, Name: name, Client: c.Addr, Method: method,
		})
	}
}
