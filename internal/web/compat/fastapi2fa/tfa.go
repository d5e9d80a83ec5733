package fastapi2fa

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// qrFresh is how old a second factor may be for its seed to be shown again.
	qrFresh = 5 * time.Minute
	// qrModule is the side of a module of a picture, in pixels.
	qrModule = 10
)

// asciiOnly is a code as the door may see it: nothing that the original would not
// have taken, and no digits of other scripts, which it took. The rest is the empty
// text, which the door counts as a wrong code.
func asciiOnly(code string, good func(byte) bool) string {
	for i := range len(code) {
		if !good(code[i]) {
			return ""
		}
	}
	return code
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// loginTFA is the second door with a code, of whichever device the person has.
func (x *exchange) loginTFA() error {
	ephemeral, err := x.preBearer()
	if err != nil {
		return err
	}
	if _, _, err := x.between(ephemeral); err != nil {
		return err
	}
	code, sent := formValues(x.r.URL.RawQuery)["tfa_token"]
	if !sent { // the original read it twice
		return unprocessable(missing("query", "tfa_token"), missing("query", "tfa_token"))
	}
	next, err := x.o.Doors.Code(x.r.Context(), login.Second{
		Ephemeral: ephemeral, Code: asciiOnly(code, digit), Door: login.FastAPI2FA, Client: x.client,
	})
	if errors.Is(err, login.ErrDenied) {
		return detail(http.StatusForbidden, "TOTP token mismatch")
	}
	if err != nil {
		return err
	}
	return x.opened(next)
}

// recoverTFA is the second door with a backup token.
func (x *exchange) recoverTFA() error {
	ephemeral, err := x.preBearer()
	if err != nil {
		return err
	}
	u, state, err := x.between(ephemeral)
	if err != nil {
		return err
	}
	code, sent := formValues(x.r.URL.RawQuery)["tfa_backup_token"]
	if !sent {
		return unprocessable(missing("query", "tfa_backup_token"))
	}
	shape, err := x.backupShape()
	if err != nil {
		return err
	}
	next, err := x.o.Doors.Recovery(x.r.Context(), login.Second{
		Ephemeral: ephemeral, Code: asciiOnly(code, shape), Door: login.FastAPI2FA, Client: x.client,
	})
	switch {
	case errors.Is(err, login.ErrDenied) && !slices.Contains(state.Others, factor.RecoveryCode):
		return detail(http.StatusNotFound, "User "+u.Email+" has elapsed his backup tokens, please contact the system administrator")
	case errors.Is(err, login.ErrDenied):
		return detail(http.StatusForbidden, "TOTP backup token not found")
	case err != nil:
		return err
	}
	return x.opened(next)
}

// backupShape tells of what characters the realm's backup tokens are: the door would
// drop spaces and hyphens, and the original did not.
func (x *exchange) backupShape() (func(byte) bool, error) {
	plain := false
	err := x.o.Store.View(x.r.Context(), func(tx store.Tx) error {
		realm, err := x.o.Directory.Realm(tx, x.o.Realm)
		plain = err == nil && realm.RecoveryCodes != nil && realm.RecoveryCodes.Plain
		return err
	})
	return func(c byte) bool {
		return digit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' && !plain
	}, err
}

// myQRCode shows the caller's authenticator again, right after it was used.
func (x *exchange) myQRCode() error {
	live, err := x.bearer()
	if err != nil {
		return err
	}
	var e *factor.Enrollment
	err = x.o.Doors.WithSession(x.r.Context(), live, func(tx store.Tx, u *account.User) (err error) {
		if e, _, err = x.o.Factors.Reveal(tx, u.ID); err != nil {
			return err
		}
		if !live.Proof.Fresh(tx.Now(), qrFresh) {
			return account.ErrNotFresh
		}
		return nil
	})
	switch {
	case errors.Is(err, factor.ErrNoMethod):
		return detail(http.StatusBadRequest, "User "+live.Identity.Address+" has not tfa enabled or has not a 'code_generator' device")
	case errors.Is(err, account.ErrNotFresh):
		return detail(http.StatusForbidden, "The QR code is shown within 5 minutes after a TFA token: log in again and confirm your TFA token.")
	case over(err):
		return challenged(http.StatusForbidden, textCredentials)
	case err != nil:
		return err
	}
	who := live.Identity
	x.o.Shown("fastapi2fa", "seed", who.ID, principal.Ref{Name: who.Name, Realm: who.Realm}, x.client.Addr, "")
	return x.picture(e)
}

// over reports whether a session ended while a call was on its way.
func over(err error) bool { return errors.Is(err, login.ErrDenied) || errors.Is(err, session.ErrNone) }

// enableTFA gives the caller a device that is active at once. All sessions end: they
// were opened without it.
func (x *exchange) enableTFA() error {
	body, err := x.jsonBody() // FastAPI reads it before it asks who calls
	if err != nil {
		return err
	}
	live, err := x.bearer()
	if err != nil {
		return err
	}
	if body == nil {
		return unprocessable(missing("body"))
	}
	kind, found := device(body, "body")
	if found != nil {
		return unprocessable(found...)
	}
	var e *factor.Enrollment
	err = x.o.Doors.WithSession(x.r.Context(), live, func(tx store.Tx, u *account.User) (err error) {
		e, err = x.enroll(tx, u, live, kind)
		return err
	})
	switch {
	case errors.Is(err, factor.ErrEnrollmentClosed):
		return detail(http.StatusBadRequest, "Two factor authentication cannot be set up here by yourself: ask your administrator.")
	case over(err):
		return challenged(http.StatusForbidden, textCredentials)
	case err != nil:
		return noDevice(err, kind)
	}
	return x.madeDevice(e)
}

// enroll is enableTFA inside its Update. The person acts, not the facade: so the
// realm's setting enrollment holds.
func (x *exchange) enroll(tx store.Tx, u *account.User, live session.Live, kind string) (*factor.Enrollment, error) {
	if u.Factors() > 0 {
		return nil, detail(http.StatusBadRequest, "Two factor authentication already active for user "+u.Email)
	}
	// A clock that was set back must not keep a password fresh.
	age := tx.Now().Sub(live.Proof.PasswordAt)
	if live.Proof.PasswordAt.IsZero() || age > account.Fresh || -age > account.Fresh {
		return nil, detail(http.StatusForbidden, "Your login is older than 15 minutes: log in again to enable two factor authentication.")
	}
	actor := account.Self(u.ID).From(x.client.Addr, live.ID)
	e, err := x.o.Factors.Enroll(tx, actor, u.ID, deviceOptions(u, kind))
	if err != nil {
		return nil, err
	}
	return e, x.handOver(tx, u, e.RecoveryCodes)
}

// picture answers with the QR code of an authenticator.
func (x *exchange) picture(e *factor.Enrollment) error {
	// The original names what is not usual alone, and the period always.
	uri := strings.Replace(e.URI, "&algorithm=SHA1&", "&", 1)
	uri = strings.Replace(uri, "&digits=6&", "&", 1)
	picture, err := factor.QRModules(uri, factor.QRMedium, qrModule)
	if err != nil {
		return err
	}
	x.png(picture)
	return nil
}
