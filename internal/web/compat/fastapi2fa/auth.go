package fastapi2fa

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// login is the first door.
func (x *exchange) login() error {
	username, password, err := x.credentials()
	if err != nil {
		return err
	}
	next, err := x.o.Doors.Password(x.r.Context(), login.Attempt{
		Door: login.FastAPI2FA, Realm: x.o.Realm, Login: username, Password: password, Client: x.client,
	})
	switch {
	case errors.Is(err, login.ErrDenied):
		return detail(http.StatusUnauthorized, "Incorrect email or password")
	case errors.Is(err, login.ErrEnrollmentClosed), err == nil && next.Status == login.Enroll:
		return detail(http.StatusForbidden, "A second factor is demanded here, and none is set up: ask your administrator.")
	case err != nil:
		return err
	case next.Status == login.SecondFactor:
		return x.issuePreTFA(next)
	}
	return x.opened(next)
}

// opened answers a finished login.
func (x *exchange) opened(next *login.Next) error {
	return x.issue(next.Opened.ID, &next.User, next.Opened.Expires)
}

// credentials reads the form of OAuth 2.0's password grant. Errors: a reply.
func (x *exchange) credentials() (username, password string, err error) {
	values, files, err := x.form()
	if err != nil {
		return "", "", err
	}
	var found []invalid
	if grant := values["grant_type"]; grant != "" && grant != "password" {
		found = append(found, invalid{
			Loc: []any{"body", "grant_type"}, Msg: `string does not match regex "password"`, Type: "value_error.str.regex",
			Ctx: map[string]string{"pattern": "password"},
		})
	}
	for _, name := range []string{"username", "password"} {
		switch {
		case files[name]:
			found = append(found, notText([]any{"body", name}))
		case values[name] == "":
			found = append(found, missing("body", name))
		}
	}
	if found != nil {
		return "", "", unprocessable(found...)
	}
	return values["username"], values["password"], nil
}

// refreshTokens gives a new pair for a refresh token, which stays good.
func (x *exchange) refreshTokens() error {
	body, err := x.jsonBody()
	if err != nil {
		return err
	}
	all, _ := body.(map[string]any)
	if all["refresh_token"] == nil {
		return unprocessable(missing("body", "refresh_token"))
	}
	token, ok := pyText(all["refresh_token"])
	if !ok {
		return unprocessable(notText([]any{"body", "refresh_token"}))
	}
	parsed, err := x.refresh.Parse(token)
	if errors.Is(err, compat.ErrToken) || errors.Is(err, compat.ErrExpired) {
		return challenged(http.StatusForbidden, textInvalid)
	}
	if err != nil {
		return err
	}
	live, err := x.live(parsed)
	switch {
	case errors.Is(err, account.ErrUnknownUser):
		return detail(http.StatusNotFound, "Invalid token for user")
	case errors.Is(err, session.ErrNone):
		return challenged(http.StatusForbidden, textInvalid)
	case err != nil:
		return err
	}
	return x.issue(live.ID, live.Identity, live.Until)
}

// testToken shows who calls.
func (x *exchange) testToken() error {
	live, err := x.bearer()
	if err != nil {
		return err
	}
	var u *account.User
	err = x.o.Store.View(x.r.Context(), func(tx store.Tx) (err error) {
		u, err = x.o.Directory.ByID(tx, live.Identity.ID)
		return err
	})
	if errors.Is(err, account.ErrUnknownUser) { // deleted meanwhile
		return detail(http.StatusNotFound, "Could not find user")
	}
	if err != nil {
		return err
	}
	x.json(http.StatusOK, shownUser(u))
	return nil
}

// userOut is a person as the original showed them. The original numbered devices; here
// a person has one, with the person's number.
type userOut struct {
	Email      string     `json:"email"`
	TFAEnabled bool       `json:"tfa_enabled"`
	FullName   string     `json:"full_name"`
	ID         uint64     `json:"id"`
	Device     *deviceOut `json:"device"`
}

type deviceOut struct {
	DeviceType string `json:"device_type"`
	ID         uint64 `json:"id"`
}

func shownUser(u *account.User) userOut {
	out := userOut{Email: u.Email, TFAEnabled: u.Factors() > 0, FullName: u.FullName, ID: u.Number}
	if out.TFAEnabled {
		out.Device = &deviceOut{DeviceType: deviceOf(u), ID: u.Number}
	}
	return out
}

// deviceOf is what the original would call the person's primary method: one whose codes
// are sent, or one that makes them.
func deviceOf(u *account.User) string {
	for _, m := range u.Methods {
		if m.Primary && factor.Sendable(factor.Name(m.Name)) {
			return byEmail
		}
	}
	return codeGenerator
}

// signup makes a user, and where asked for a device that is active at once.
func (x *exchange) signup() error {
	body, err := x.jsonBody()
	if err != nil {
		return err
	}
	n, err := readNewUser(body)
	if err != nil {
		return err
	}
	local, _, _ := strings.Cut(n.email, "@")
	err = secret.CheckPassword(x.o.Directory.Passwords(), n.password, local, n.email, n.fullName, x.o.Name)
	if weak, ok := errors.AsType[*secret.WeakPassword](err); ok {
		return unprocessable(invalid{Loc: []any{"body", "password"}, Msg: weak.Reason, Type: "value_error"})
	}
	if err != nil {
		return err
	}
	hash, err := x.o.Hasher.Hash(x.r.Context(), n.password)
	if err != nil {
		return err
	}
	enrolled, err := x.create(n, local, hash)
	switch {
	case errors.Is(err, account.ErrAddressTaken):
		return detail(http.StatusBadRequest, fmt.Sprintf("User with email `%s` already exists", n.email))
	case errors.Is(err, account.ErrInvalid): // all but the full name was judged before
		return unprocessable(invalid{Loc: []any{"body", "full_name"}, Msg: "at most 256 printable bytes are allowed", Type: "value_error"})
	case err != nil:
		return noDevice(err, n.device)
	}
	return x.madeDevice(enrolled)
}

// madeDevice answers with the QR code of an authenticator; of any other device, or none,
// with nothing.
func (x *exchange) madeDevice(e *factor.Enrollment) error {
	if e == nil || e.Method != factor.TOTP {
		x.w.WriteHeader(http.StatusOK)
		return nil
	}
	return x.picture(e)
}

// create makes the user, the device if there is to be one, and the mail with its backup
// tokens, in one Update.
func (x *exchange) create(n *newUser, local, hash string) (enrolled *factor.Enrollment, err error) {
	actor := x.actor.From(x.client.Addr, "")
	err = x.o.Store.Update(x.r.Context(), func(tx store.Tx) error {
		enrolled = nil
		u, err := x.named(tx, actor, n, local, hash)
		if err != nil || !n.tfa {
			return err
		}
		if enrolled, err = x.o.Factors.Enroll(tx, actor, u.ID, deviceOptions(u, n.device)); err != nil {
			return err
		}
		return x.handOver(tx, u, enrolled.RecoveryCodes)
	})
	return enrolled, err
}

// maxNames bounds how often another name is tried.
const maxNames = 8

// named makes the user under a free name: what stands before the @, which can be a
// name in any realm, with random digits behind it where somebody has it.
func (x *exchange) named(tx store.Tx, actor account.Actor, n *newUser, local, hash string) (*account.User, error) {
	ref, err := x.o.Directory.Ref(tx, local, x.o.Realm)
	if err != nil {
		return nil, err
	}
	name := ref.Name
	for try := 1; ; try++ {
		u, err := x.o.Directory.Create(tx, actor, account.NewUser{Ref: ref, Email: n.email, Unconfirmed: true, FullName: n.fullName, PasswordHash: hash})
		if !errors.Is(err, account.ErrExists) || try == maxNames {
			return u, err
		}
		random := make([]byte, 2)
		if try > maxNames/2 { // a very common name
			random = make([]byte, 8)
		}
		_, _ = rand.Read(random) // never fails: the program ends instead
		ref.Name = name + "-" + hex.EncodeToString(random)
	}
}
