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

// foreignCode is a code that is compared outside of a transaction: a recovery code that
// came from an older system as the digest of a password, or what a YubiKey typed, of
// which Yubico's servers know whether it is good. It takes the three steps of a
// password: an Update counts the try, the comparing is done outside, and the Update
// that decides consumes the result.
type foreignCode struct {
	try     *throttle.Try // counted already; nil: not yet
	digest  string        // that the code belongs to; "": to none
	yubikey string        // the code, where Yubico calls it good
}

// foreign compares a code outside, if whoever find names has something to compare it
// with. Errors: those of find, *throttle.Throttled, *secret.Busy, factor.ErrUnchecked.
func (d *Doors) foreign(ctx context.Context, method factor.Name, code string, c Client, find func(store.Tx) (*account.User, error)) (f foreignCode, err error) {
	if isPass(code) {
		return f, nil
	}
	if factor.NameOf(code) == factor.YubiKey {
		return d.askYubico(ctx, method, code, c, find)
	}
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
	if f.try, err = d.countForeign(ctx, who, method, code, c); err != nil {
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

// countForeign is the first of the three steps.
func (d *Doors) countForeign(ctx context.Context, who *account.User, method factor.Name, code string, c Client) (*throttle.Try, error) {
	var try throttle.Try
	err := d.store.Update(ctx, func(tx store.Tx) (err error) {
		try, err = d.throttle.Count(tx, throttle.Of(who.ID), KindOf(method, code), d.originOf(c))
		return err
	})
	if err != nil {
		d.noteThrottled(err, who.ID, who.Ref().String(), c, string(method))
		return nil, err
	}
	return &try, nil
}

// askYubico has Yubico's servers judge what a YubiKey typed, where it is one of the
// person's whose secret is not in the store. The servers take each one once.
func (d *Doors) askYubico(ctx context.Context, method factor.Name, code string, c Client, find func(store.Tx) (*account.User, error)) (f foreignCode, err error) {
	if method != "" && method != factor.Any && method != factor.YubiKey {
		return f, nil
	}
	var who *account.User
	var ask bool
	err = d.store.View(ctx, func(tx store.Tx) (err error) {
		if who, err = find(tx); err == nil {
			ask, err = d.factors.AsksYubico(tx, who.ID, code)
		}
		return err
	})
	if isAnswer(err) || errors.Is(err, account.ErrUnknownUser) || errors.Is(err, account.ErrForbidden) || err == nil && !ask {
		return f, nil // who decides says so
	}
	if err != nil {
		return f, err
	}
	if f.try, err = d.countForeign(ctx, who, method, code, c); err != nil {
		return foreignCode{}, err
	}
	good, err := d.factors.AskYubico(ctx, code)
	if err != nil {
		return foreignCode{}, d.takeBack(ctx, *f.try, err)
	}
	if good {
		f.yubikey = code
	}
	return f, nil
}

// maxForeign bounds a code of an older system, in bytes.
const maxForeign = 128
