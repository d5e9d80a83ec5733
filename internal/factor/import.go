package factor

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Brought is an authenticator that a person uses elsewhere already, with the
// recovery codes that they have.
type Brought struct {
	Seed            secret.Bytes
	Params          otp.Params
	Issuer          string   // what the app shows; empty: ours
	RecoveryCodes   []string // in clear, in any case, with or without spaces and hyphens
	RecoveryDigests []string // hashed like passwords, of formats that secret.CheckDigest takes
}

// Offers reports, by ErrUnknownMethod, that a realm does not offer a method. A
// realm that is still to be made offers all.
func (f *Factors) Offers(tx store.Tx, realm string, method Name) error {
	r, err := f.dir.Realm(tx, realm)
	if errors.Is(err, account.ErrUnknownRealm) {
		return nil
	}
	if err == nil && len(r.Methods) > 0 && !slices.Contains(r.Methods, string(method)) {
		err = ErrUnknownMethod
	}
	return err
}

// Bring gives a person who has no factor the authenticator that they use
// already, active at once, and the recovery codes that they have. The seed is shown
// to nobody here, and no recovery codes are made: nobody would see them. The epoch
// rises.
// Errors: ErrDenied where there is a factor, invalid Params, ErrUnknownMethod,
// and those of account.
func (f *Factors) Bring(tx store.Tx, actor account.Actor, id principal.ID, b Brought) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	if u.Factors() > 0 {
		return ErrDenied
	}
	rec, err := f.draft(tx, u.Ref(), EnrollOptions{Params: &b.Params, Issuer: b.Issuer})
	if err != nil {
		return err
	}
	rec.Seed = b.Seed.Reveal()
	if err := store.Save(tx, totpKey(id), &totpRecord{Confirmed: rec}, time.Time{}); err != nil {
		return err
	}
	if err := f.bringCodes(tx, id, b.RecoveryCodes); err != nil {
		return err
	}
	methods := []account.Method{{Name: string(TOTP), Primary: true, AddedAt: tx.Now(), Label: rec.Label}}
	if _, err := f.dir.SetMethods(tx, actor, id, methods, true); err != nil {
		return err
	}
	return f.record(tx, u, actor, audit.KindFactorAdd, TOTP)
}

func (f *Factors) bringCodes(tx store.Tx, id principal.ID, codes []string) error {
	if len(codes) == 0 {
		return nil
	}
	rec := &recoveryRecord{Total: len(codes), MadeAt: tx.Now()}
	for _, code := range codes {
		clean, ok := cleanRecovery(code)
		if !ok {
			return ErrDenied
		}
		rec.Codes = append(rec.Codes, f.recoveryMAC(id, clean))
	}
	return store.Save(tx, recoveryKey(id), rec, time.Time{})
}
