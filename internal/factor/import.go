package factor

import (
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Brought is an authenticator that a person uses elsewhere already, with the
// recovery codes that they have on paper.
type Brought struct {
	Seed   secret.Bytes
	Params otp.Params
	Issuer string // that the app shows; "": the realm's, else the gateway's
	// RecoveryCodes are in clear: 6 to 64 letters and digits in any case, with
	// spaces and hyphens or without. They are stored as MACs, like our own.
	RecoveryCodes []string
	// RecoveryDigests are password digests of codes, as secret.CheckDigest
	// takes them: see ForeignRecovery.
	RecoveryDigests []string
}

// Validate refuses what cannot be stored, and says which. It needs no store, so
// that an importer asks before. The sentences repeat no secret.
// Errors: account.ErrInvalid.
func (b Brought) Validate() error {
	if err := b.Params.Validate(); err != nil {
		return unfit("%v", err)
	}
	if n := len(b.Seed.Reveal()); n < otp.MinSeed || n > otp.MaxSeed {
		return unfit("the seed has %d bytes: %d to %d are allowed", n, otp.MinSeed, otp.MaxSeed)
	}
	if n := len(b.RecoveryCodes) + len(b.RecoveryDigests); n > maxRecoveryCount {
		return unfit("%d recovery codes are too many: at most %d are allowed", n, maxRecoveryCount)
	}
	for i, code := range b.RecoveryCodes {
		clean, ok := cleanRecovery(code)
		if !ok || len(clean) < minRecoveryLength || len(clean) > maxRecoveryLength {
			return unfit("recovery code %d is none: %d to %d letters and digits are expected", i+1, minRecoveryLength, maxRecoveryLength)
		}
	}
	for i, digest := range b.RecoveryDigests {
		if err := secret.CheckDigest(digest); err != nil {
			return unfit("recovery digest %d: %v", i+1, err)
		}
	}
	return nil
}

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %s", account.ErrInvalid, fmt.Sprintf(format, args...))
}

// Bring gives a person who has no factor the authenticator that they use
// already, active at once, and the recovery codes that they have. The seed is
// shown to nobody here, and no recovery codes are made: nobody would see them.
// The epoch rises; the event is Aside.
// Errors: ErrDenied where there is a factor, those of Brought.Validate,
// ErrUnknownMethod, and those of account.
func (f *Factors) Bring(tx store.Tx, actor account.Actor, id principal.ID, b Brought) error {
	if err := b.Validate(); err != nil {
		return err
	}
	actor = actor.Aside()
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	if u.Factors() > 0 {
		return ErrDenied
	}
	d, err := f.draft(tx, u.Ref(), u, EnrollOptions{Params: &b.Params, Issuer: b.Issuer})
	if err != nil {
		return err
	}
	rec := d.seed(-1, tx.Now())
	rec.Seed, rec.Brought, rec.UsedAt = b.Seed.Reveal(), true, time.Time{}
	if err := (*totpWay)(f).keep(tx, u, rec, false); err != nil {
		return err
	}
	if err := f.bringRecovery(tx, id, b); err != nil {
		return err
	}
	methods := []account.Method{{Name: string(TOTP), Primary: true, AddedAt: tx.Now(), Label: rec.Label}}
	if _, err := f.dir.SetMethods(tx, actor, id, methods, true); err != nil {
		return err
	}
	return f.record(tx, u, actor, audit.KindFactorAdd, TOTP)
}

// bringRecovery stores each code once: of two that are alike the second would
// be good when the first is burned.
func (f *Factors) bringRecovery(tx store.Tx, id principal.ID, b Brought) error {
	rec := &recoveryRecord{MadeAt: tx.Now()}
	for _, code := range b.RecoveryCodes {
		clean, _ := cleanRecovery(code)
		sum := f.recoveryMAC(id, clean)
		rec.take(sum, "")
		rec.Codes = append(rec.Codes, sum)
	}
	for _, digest := range b.RecoveryDigests {
		rec.take(nil, digest)
		rec.Foreign = append(rec.Foreign, digest)
	}
	if rec.Total = rec.left(); rec.Total == 0 {
		return nil
	}
	if err := store.Save(tx, recoveryKey(id), rec, time.Time{}); err != nil {
		return fmt.Errorf("store recovery codes: %w", err)
	}
	return nil
}
