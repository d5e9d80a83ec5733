package factor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Brought is what a person uses elsewhere already: an authenticator, other methods, and
// the recovery codes that they have on paper.
type Brought struct {
	Seed   secret.Bytes // of the authenticator; empty: there is none, but Methods
	Params otp.Params
	Issuer string // that the app shows; "": the realm's, else the gateway's
	// Methods are those without a seed, each once.
	Methods []BroughtMethod
	// Primary is asked for first; "": the authenticator, else the first of Methods.
	Primary Name
	// RecoveryCodes are in clear: 6 to 64 letters and digits in any case, with
	// spaces and hyphens or without. They are stored as MACs, like our own.
	RecoveryCodes []string
	// RecoveryDigests are password digests of codes, as secret.CheckDigest
	// takes them: see ForeignRecovery.
	RecoveryDigests []string
	// Mailed: the codes went out by mail. See Factors.Mailed.
	Mailed bool
}

// BroughtMethod is a method that was in use elsewhere, where its first code was seen, or
// none was asked for. Of a method that sends this says nothing about the address: whether
// that is the person's, the account says.
type BroughtMethod struct {
	Name Name
	Key  string // YubiKey: its public identity, in modhex; else ""
}

const (
	// maxIdentity bounds the public identity of a YubiKey, in characters of modhex: 16
	// bytes. Yubico's have 6.
	maxIdentity = 32
	modhex      = "cbdefghijklnrtuv"
)

// Validate refuses what cannot be stored, and says which. It needs no store, so
// that an importer asks before. The sentences repeat no secret.
// Errors: account.ErrInvalid.
func (b Brought) Validate() error {
	if b.app() {
		if err := b.Params.Validate(); err != nil {
			return unfit("%v", err)
		}
		if n := len(b.Seed.Reveal()); n < otp.MinSeed || n > otp.MaxSeed {
			return unfit("the seed has %d bytes: %d to %d are allowed", n, otp.MinSeed, otp.MaxSeed)
		}
	}
	if err := b.validMethods(); err != nil {
		return err
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

// app reports whether there is an authenticator.
func (b Brought) app() bool { return len(b.Seed.Reveal()) > 0 || len(b.Methods) == 0 }

func (b Brought) validMethods() error {
	primary := b.Primary == "" || b.Primary == TOTP && b.app()
	for i, m := range b.Methods {
		identity := len(m.Key) > 0 && len(m.Key) <= maxIdentity && len(m.Key)%2 == 0 && strings.Trim(m.Key, modhex) == ""
		switch {
		case slices.ContainsFunc(b.Methods[:i], func(o BroughtMethod) bool { return o.Name == m.Name }):
			return unfit("the method %.32q stands there twice", string(m.Name))
		case m.Name == YubiKey && !identity:
			return unfit("a YubiKey needs its public identity: 2 to %d characters of modhex, an even number", maxIdentity)
		case m.Name != YubiKey && m.Key != "":
			return unfit("the method %.32q has no key", string(m.Name))
		case m.Name != YubiKey && !Sendable(m.Name):
			return unfit("the method %.32q cannot be brought along", string(m.Name))
		}
		primary = primary || m.Name == b.Primary
	}
	if !primary {
		return unfit("the primary method %.32q is none of those", string(b.Primary))
	}
	return nil
}

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %s", account.ErrInvalid, fmt.Sprintf(format, args...))
}

// Bring gives a person who has no factor what they use already, active at once. A seed is
// shown to nobody here, nothing is sent, and no recovery codes are made: nobody would see
// them. The epoch rises; the events are Aside: nobody is told of a move.
// Errors: ErrDenied where there is a factor, those of Brought.Validate,
// ErrUnknownMethod, ErrNoTarget where the account says no address or number for a method
// that sends, ErrCannotSend, and those of account.
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
	var methods []account.Method
	add := func(name Name, label string) {
		methods = append(methods, account.Method{Name: string(name), Primary: name == b.Primary, AddedAt: tx.Now(), Label: label})
	}
	if b.app() {
		label, err := f.bringApp(tx, u, b)
		if err != nil {
			return err
		}
		add(TOTP, label)
	}
	for _, m := range b.Methods {
		if err := f.bringMethod(tx, u, m); err != nil {
			return err
		}
		add(m.Name, "")
	}
	if err := f.bringRecovery(tx, id, b); err != nil {
		return err
	}
	if _, err := f.dir.SetMethods(tx, actor, id, promote(methods), true); err != nil {
		return err
	}
	for _, m := range methods {
		if err := f.record(tx, u, actor, audit.KindFactorAdd, Name(m.Name)); err != nil {
			return err
		}
	}
	return nil
}

// bringApp stores the authenticator and returns its label.
func (f *Factors) bringApp(tx store.Tx, u *account.User, b Brought) (label string, err error) {
	d, err := f.draft(tx, u.Ref(), u, EnrollOptions{Params: &b.Params, Issuer: b.Issuer})
	if err != nil {
		return "", err
	}
	rec := d.seed(-1, tx.Now())
	rec.Seed, rec.Brought, rec.UsedAt = b.Seed.Reveal(), true, time.Time{}
	return rec.Label, (*totpWay)(f).keep(tx, u, rec, false)
}

// bringMethod stores a method without a seed.
func (f *Factors) bringMethod(tx store.Tx, u *account.User, m BroughtMethod) error {
	if err := f.Offers(tx, u.Realm, m.Name); err != nil {
		return err
	}
	w, err := f.way(m.Name)
	if err != nil {
		return err
	}
	d := &Draft{Method: m.Name, Key: m.Key, MadeAt: tx.Now()}
	if m.Name != YubiKey {
		if d, err = w.draft(tx, u.Ref(), u, EnrollOptions{Method: m.Name, Confirmed: true}); err != nil {
			return err
		}
	}
	return w.adopt(tx, u, d, -1)
}

// bringRecovery stores each code once: of two that are alike the second would
// be good when the first is burned.
func (f *Factors) bringRecovery(tx store.Tx, id principal.ID, b Brought) error {
	rec := &recoveryRecord{MadeAt: tx.Now(), Mailed: b.Mailed}
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
