package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
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
	var who principal.ID
	var digests []string
	look := func(tx store.Tx) error {
		u, err := find(tx)
		if err != nil {
			return err
		}
		who = u.ID
		digests, err = d.factors.ForeignRecovery(tx, u.ID)
		return err
	}
	err = d.store.View(ctx, look)
	if isAnswer(err) || errors.Is(err, account.ErrUnknownUser) || err == nil && len(digests) == 0 {
		return f, nil // who decides says so
	}
	if err != nil {
		return f, err
	}
	err = d.store.Update(ctx, func(tx store.Tx) error {
		try, err := d.throttle.Count(tx, throttle.Of(who), throttle.Recovery, d.originOf(c))
		f.try = &try
		return err
	})
	if err != nil {
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
