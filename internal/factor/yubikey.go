package factor

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// YubiKeys asks Yubico's servers.
type YubiKeys interface {
	// Validate answers nil where a one-time password is good and was not used before.
	Validate(ctx context.Context, otp string) error
}

type yubiWay Factors

func looksLikeYubiKey(string) bool { return false }

func (w *yubiWay) draft(store.Tx, principal.Ref, *account.User, EnrollOptions) (*Draft, error) {
	return nil, ErrUnknownMethod
}
func (w *yubiWay) check(store.Tx, principal.ID, *Draft, Proof) (Checked, error) {
	return refused(YubiKey), nil
}
func (w *yubiWay) adopt(store.Tx, *account.User, *Draft, int64) error          { return ErrUnknownMethod }
func (w *yubiWay) devices(store.Tx, *account.User) ([]Method, error)           { return nil, nil }
func (w *yubiWay) try(store.Tx, *account.User, Proof) (Checked, error)         { return refused(YubiKey), nil }
func (w *yubiWay) remove(store.Tx, principal.ID, string) (left int, err error) { return 0, ErrNoMethod }

// AsksYubico reports whether a text is of a YubiKey of the person that Yubico's servers
// judge.
func (f *Factors) AsksYubico(tx store.Tx, id principal.ID, text string) (bool, error) {
	return false, nil
}

// KnowsYubiKey reports whether the secret of the YubiKey that typed a text stands in the store.
func (f *Factors) KnowsYubiKey(tx store.Tx, text string) (bool, error) { return false, nil }

// AskYubico asks Yubico's servers.
func (f *Factors) AskYubico(ctx context.Context, text string) (bool, error) {
	return false, ErrUnchecked
}
