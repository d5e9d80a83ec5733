package factor

import (
	"crypto/subtle"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Proof is what somebody sends to prove a factor.
type Proof struct {
	Code string
	// Digest is the one that the caller found to match the code, outside of the
	// transaction, among those of ForeignRecovery; "": none. If it still stands in
	// the person's record it is consumed. That it matches is the caller's word.
	Digest string
	// YubiKey is the one-time password that AskYubiKey called good, outside of the
	// transaction; "": none. That it is, is the caller's word.
	YubiKey string
	// Response is the answer of an authenticator to the challenge of a passkey, as the
	// browser writes it in JSON (WebAuthn section 5.1). Challenge is the one it was asked to
	// sign, which the caller kept and drops now; nil: a step was skipped, and nothing is
	// good. A draft has a challenge of its own.
	Response  []byte
	Challenge *Challenge
	// Except are methods that prove nothing here.
	Except []Name
}

// Checked is what a code was. The zero Checked is a refusal.
type Checked struct {
	Result Result
	Method Name  // by which it was judged, never Any; Wrong: what its form says
	Step   int64 // of TOTP: Good, burned now; Replayed, burned before; else -1
	Left   int   // recovery codes still good, where Method is RecoveryCode
	// Sent tells codes that were sent from each other: Good, burned now; Replayed, burned
	// before; else "". It is no secret, and names no code.
	Sent string
	// Of a passkey: Verified, the authenticator verified the person by PIN or body; Synced,
	// its key may be copied to other devices by whoever made it.
	Verified, Synced bool
}

func refused(method Name) Checked { return Checked{Method: method, Step: -1} }

// Try checks a code of one of the person's methods and burns it if it is good.
// method "" stands for whichever of the confirmed methods the code is of;
// RecoveryCode for the recovery codes; Any for the confirmed methods, else a
// recovery code, whatever the text looks like. A replay is no guess, and ends it:
// it is not tried as a recovery code.
//
// Disabled or not is the caller's question, and so is the throttle; a person who
// does not exist is Wrong.
func (f *Factors) Try(tx store.Tx, id principal.ID, method Name, p Proof) (Checked, error) {
	if slices.Contains(p.Except, method) {
		return refused(method), nil
	}
	u, err := f.dir.ByID(tx, id)
	if errors.Is(err, account.ErrUnknownUser) {
		if method == "" || method == Any {
			method = TOTP
		}
		return refused(method), nil
	}
	if err != nil {
		return refused(method), err
	}
	switch method {
	case RecoveryCode:
		return f.tryRecovery(tx, id, p)
	case "":
		return f.tryMethods(tx, u, p)
	case Any:
		return f.tryAny(tx, u, p)
	}
	return f.tryMethod(tx, u, method, p)
}

func (f *Factors) tryMethod(tx store.Tx, u *account.User, method Name, p Proof) (Checked, error) {
	w, err := f.wayOf(method)
	if errors.Is(err, ErrUnknownMethod) || err == nil && !has(u, method) {
		return refused(method), nil
	}
	if err != nil {
		return refused(method), err
	}
	return w.try(tx, u, p)
}

// tryMethods finds the method that a code is of. A wrong one is told as a code of
// the first method that reads its form.
func (f *Factors) tryMethods(tx store.Tx, u *account.User, p Proof) (Checked, error) {
	wrong := TOTP
	if looksLikeYubiKey(p.Code) {
		wrong = YubiKey
	}
	for _, m := range u.Methods {
		name := Name(m.Name)
		if slices.Contains(p.Except, name) || !readsCode(name) || (name == YubiKey) != (wrong == YubiKey) {
			continue
		}
		c, err := f.tryMethod(tx, u, name, p)
		if err != nil || c.Result != Wrong {
			return c, err
		}
	}
	return refused(wrong), nil
}

// readsCode: a passkey signs, and has no code.
func readsCode(name Name) bool { return name != Passkey && name != RecoveryCode }

func (f *Factors) tryAny(tx store.Tx, u *account.User, p Proof) (Checked, error) {
	c, err := f.tryMethods(tx, u, p)
	if err != nil || c.Result != Wrong || c.Method == YubiKey || slices.Contains(p.Except, RecoveryCode) {
		return c, err
	}
	recovery, err := f.tryRecovery(tx, u.ID, p)
	if err == nil && recovery.Result == Wrong && NameOf(p.Code) == TOTP {
		return c, nil
	}
	return recovery, err
}

// Verify is Try for who asks about one method and needs the result alone. Any is
// Wrong here: it would leave open what was proved.
func (f *Factors) Verify(tx store.Tx, id principal.ID, method Name, code string) (Result, error) {
	if method == Any {
		return Wrong, nil
	}
	c, err := f.Try(tx, id, method, Proof{Code: code})
	return c.Result, err
}

// VerifyRecovery is Try for a recovery code; it also returns how many are left.
func (f *Factors) VerifyRecovery(tx store.Tx, id principal.ID, code string) (Result, int, error) {
	c, err := f.Try(tx, id, RecoveryCode, Proof{Code: code})
	return c.Result, c.Left, err
}

// NameOf tells by its form what a text wants to be: what a YubiKey types is its
// one-time password, six or eight digits are a code, everything else a recovery code.
func NameOf(text string) Name {
	if looksLikeYubiKey(text) {
		return YubiKey
	}
	for _, digits := range []int{6, 8} {
		if _, ok := otp.Clean(text, digits); ok {
			return TOTP
		}
	}
	return RecoveryCode
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

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
