package factor

import (
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Checked is what a code was. The zero Checked is a refusal.
type Checked struct {
	Result Result
	Method Name  // by which it was judged, never Any; Wrong: what its form says
	Step   int64 // of TOTP: Good, burned now; Replayed, burned before; else -1
	Left   int   // recovery codes still good, where Method is RecoveryCode
}

func refused(method Name) Checked { return Checked{Method: method, Step: -1} }

// Try checks a code of one of the person's methods and burns it if it is good.
// method "" stands for TOTP; RecoveryCode for the recovery codes; Any for the
// authenticator's code, else a recovery code, whatever the text looks like. A
// replay is no guess, and ends it: it is not tried as a recovery code.
//
// foreign is the digest that the caller found to match the typed code, outside
// of the transaction, among those of ForeignRecovery; "": none. If it still
// stands in the person's record it is consumed. That it matches is the caller's
// word. Disabled or not is the caller's question, and so is the throttle; a
// person who does not exist is Wrong.
func (f *Factors) Try(tx store.Tx, id principal.ID, method Name, code, foreign string) (Checked, error) {
	switch method {
	case "", TOTP:
		return f.tryTOTP(tx, id, code)
	case RecoveryCode:
		return f.tryRecovery(tx, id, code, foreign)
	case Any:
		c, err := f.tryTOTP(tx, id, code)
		if err != nil || c.Result != Wrong {
			return c, err
		}
		c, err = f.tryRecovery(tx, id, code, foreign)
		if err == nil && c.Result == Wrong && NameOf(code) == TOTP {
			return refused(TOTP), nil
		}
		return c, err
	}
	return refused(method), nil
}

// Verify is Try for who asks about one method and needs the result alone. Any is
// Wrong here: it would leave open what was proved.
func (f *Factors) Verify(tx store.Tx, id principal.ID, method Name, code string) (Result, error) {
	if method == Any {
		return Wrong, nil
	}
	c, err := f.Try(tx, id, method, code, "")
	return c.Result, err
}

// VerifyRecovery is Try for a recovery code; it also returns how many are left.
func (f *Factors) VerifyRecovery(tx store.Tx, id principal.ID, code string) (Result, int, error) {
	c, err := f.Try(tx, id, RecoveryCode, code, "")
	return c.Result, c.Left, err
}

// NameOf tells by its form what a text wants to be: six or eight digits are a
// code, everything else a recovery code.
func NameOf(text string) Name {
	for _, digits := range []int{6, 8} {
		if _, ok := otp.Clean(text, digits); ok {
			return TOTP
		}
	}
	return RecoveryCode
}

// Again reports whether a code is that of exactly this step of the confirmed
// authenticator, the step is burned, and it is still inside the realm's window.
// It burns nothing and opens nothing.
//
// Clients of an older system use one code for the login and then for the next
// protected action. That second purpose belongs to the session that the code
// opened, once: whether this is that session and its step, and whether it asked
// already, is decided by login, in the same transaction.
func (f *Factors) Again(tx store.Tx, id principal.ID, code string, step int64) (bool, error) {
	rec, skew, err := f.confirmed(tx, id)
	if err != nil || rec.Confirmed == nil {
		return false, err
	}
	s := rec.Confirmed
	clean, ok := otp.Clean(code, s.Params.Digits)
	if !ok || step < 0 || step > s.After {
		return false, nil
	}
	if away := s.Params.Step(tx.Now()) - step; away < -int64(skew) || away > int64(skew) {
		return false, nil
	}
	want, err := s.Params.Code(s.Seed, step)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare([]byte(want), []byte(clean)) == 1, nil
}

// confirmed loads a person's authenticators and the window of their realm.
// Nobody there: an empty record.
func (f *Factors) confirmed(tx store.Tx, id principal.ID) (*totpRecord, int, error) {
	u, err := f.dir.ByID(tx, id)
	if errors.Is(err, account.ErrUnknownUser) {
		return &totpRecord{}, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	rec, err := loadTOTP(tx, id)
	if err != nil || rec.Confirmed == nil {
		return rec, 0, err
	}
	skew, err := f.skew(tx, u.Realm)
	return rec, min(max(skew, 0), otp.MaxSkew), err
}

func (f *Factors) tryTOTP(tx store.Tx, id principal.ID, code string) (Checked, error) {
	rec, skew, err := f.confirmed(tx, id)
	if err != nil || rec.Confirmed == nil {
		return refused(TOTP), err
	}
	step, result := rec.Confirmed.burn(code, tx.Now(), skew)
	if result == Good {
		if err := store.Save(tx, totpKey(id), rec, time.Time{}); err != nil {
			return refused(TOTP), err
		}
	}
	return Checked{Result: result, Method: TOTP, Step: step}, nil
}

// Knows reports whether a text is a code of the person's authenticator now, burned or
// not. It burns nothing and decides nothing: it spares the hashes of recovery codes
// that the text cannot be.
func (f *Factors) Knows(tx store.Tx, id principal.ID, code string) (bool, error) {
	rec, skew, err := f.confirmed(tx, id)
	if err != nil || rec.Confirmed == nil {
		return false, err
	}
	_, result := rec.Confirmed.burn(code, tx.Now(), skew) // into a record that nobody saves
	return result != Wrong, nil
}

// Short reports whether a text is a recovery code that guesses could find, at the pace
// at which a closed place still takes recovery codes: one of some 40 bits or less, or
// none at all.
func Short(text string) bool {
	clean, ok := cleanRecovery(text)
	if !ok {
		return true
	}
	if strings.Trim(clean, "0123456789") == "" {
		return len(clean) < 13
	}
	return len(clean) < 9
}
