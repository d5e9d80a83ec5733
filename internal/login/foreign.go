package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// foreignCode is a recovery code that came from an older system as the digest of a
// password. It takes the three steps of a password: an Update counts the try, the
// hashes are computed outside, and the Update that decides consumes the digest.
type foreignCode struct {
	try    *throttle.Try // counted already; nil: not yet
	digest string        // that the code belongs to; "": to none
}

// foreign compares a code with the digests of whoever find names, if there are any.
// Errors: those of find, *throttle.Throttled, *secret.Busy.
func (d *Doors) foreign(ctx context.Context, method factor.Name, code string, c Client, find func(store.Tx) (*account.User, error)) (f foreignCode, err error) {
	if method != factor.RecoveryCode && method != factor.Any || code == "" || len(code) > maxForeign {
		return f, nil
	}
	var who *account.User
	var digests []string
	err = d.store.View(ctx, func(tx store.Tx) error {
		var err error
		if who, err = find(tx); err != nil {
			return err
		}
		if method == factor.Any { // of the authenticator: no hash is needed to see that
			if known, err := d.factors.Knows(tx, who.ID, code); err != nil || known {
				return err
			}
		}
		digests, err = d.factors.ForeignRecovery(tx, who.ID)
		return err
	})
	if isAnswer(err) || errors.Is(err, account.ErrUnknownUser) || errors.Is(err, account.ErrForbidden) || err == nil && len(digests) == 0 {
		return f, nil // who decides says so
	}
	if err != nil {
		return f, err
	}
	err = d.store.Update(ctx, func(tx store.Tx) error {
		try, err := d.throttle.Count(tx, throttle.Of(who.ID), KindOf(method, code), d.originOf(c))
		f.try = &try
		return err
	})
	if err != nil {
		d.noteThrottled(err, who.ID, who.Ref().String(), c, string(method))
		return foreignCode{}, err
	}
	for _, digest := range digests {
		good, _, err := d.hasher.Verify(ctx, code, digest)
		if errors.Is(err, secret.ErrDigest) {
			continue
		}
		if err != nil {
			return foreignCode{}, d.takeBack(ctx, *f.try, err)
		}
		if good {
			f.digest = digest
			break
		}
	}
	return f, nil
}

// maxForeign bounds a code of an older system, in bytes.
const maxForeign = 128
