package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Method is a second factor as its owner sees it.
type Method struct {
	Name       string     `json:"name"`
	IsPrimary  bool       `json:"is_primary" doc:"Asked for first."`
	Active     bool       `json:"active" doc:"false: it waits for its first code."`
	Label      string     `json:"label"`
	AddedAt    time.Time  `json:"added_at"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"null: never."`
}

type methodsOutput struct {
	Body []Method `nullable:"false"`
}

func (a *API) methods(ctx context.Context, c *caller, _ *struct{}) (*methodsOutput, error) {
	out := &methodsOutput{Body: []Method{}}
	err := a.Store.View(ctx, func(tx store.Tx) error {
		methods, err := a.Factors.Methods(tx, c.live.Identity.ID)
		for _, m := range methods {
			out.Body = append(out.Body, Method{Name: string(m.Name), IsPrimary: m.Primary, Active: m.Active,
				Label: m.Label, AddedAt: m.AddedAt, LastUsedAt: moment(m.LastUsedAt)})
		}
		return err
	})
	return out, gone(err)
}

type primaryInput struct {
	Body struct {
		Method string `json:"method" maxLength:"32"`
		Code   string `json:"code" maxLength:"64"`
	}
}

func (a *API) setPrimary(ctx context.Context, c *caller, in *primaryInput) (*methodsOutput, error) {
	err := a.Doors.WithFresh(ctx, c.live, in.Body.Code, c.client, func(tx store.Tx, u *account.User) error {
		return a.Factors.SetPrimary(tx, c.self(), u.ID, factor.Name(in.Body.Method))
	})
	if err != nil {
		return nil, gone(err)
	}
	return a.methods(ctx, c, nil)
}

type activateInput struct {
	Method string `path:"method" maxLength:"32"`
	Body   *struct {
		EphemeralToken string `json:"ephemeral_token,omitempty" maxLength:"128" doc:"Of a login with status enroll, in place of a session."`
	}
}

// Activation is what an authenticator app needs: a secret.
type Activation struct {
	OTPAuthURI string `json:"otpauth_uri"`
	QRPNGURL   string `json:"qr_png_url,omitempty" doc:"The same as a picture, for the session's owner."`
}

type activateOutput struct {
	Body Activation
}

// activate begins an enrolment. Whoever has a factor must have proved it
// freshly: otherwise a stolen session makes itself a factor of its own.
func (a *API) activate(ctx context.Context, c *caller, in *activateInput) (*activateOutput, error) {
	if in.Body != nil && in.Body.EphemeralToken != "" {
		e, err := a.Doors.EnrollStart(ctx, in.Body.EphemeralToken, login.API, factor.Name(in.Method))
		if err != nil {
			return nil, err
		}
		return &activateOutput{Body: Activation{OTPAuthURI: e.URI}}, nil
	}
	if err := c.prove(); err != nil {
		return nil, err
	}
	if factor.Name(in.Method) != factor.TOTP {
		return nil, factor.ErrUnknownMethod
	}
	var out *activateOutput
	err := a.Store.Update(ctx, func(tx store.Tx) error {
		u, err := a.freshOwner(tx, c)
		if err != nil {
			return err
		}
		e, err := a.Factors.Enroll(tx, c.self(), u.ID, factor.EnrollOptions{})
		if err != nil {
			return err
		}
		out = &activateOutput{Body: Activation{OTPAuthURI: e.URI, QRPNGURL: a.qrURL(u.Realm, u.Name)}}
		return nil
	})
	a.noteClosed(c, err)
	return out, gone(err)
}

// noteClosed notes that somebody with a password alone tried to set up a first
// factor where the realm does not let them.
func (a *API) noteClosed(c *caller, err error) {
	if !errors.Is(err, factor.ErrEnrollmentClosed) {
		return
	}
	who := c.live.Identity
	a.Audit.Note(told(c, audit.Event{Time: a.Clock(), Kind: audit.KindFactorAdd, Outcome: audit.Denied, Cause: "enrollment_closed",
		Principal: who.ID, Name: who.Name + "@" + who.Realm, Method: string(factor.TOTP)}))
}

// freshOwner demands a factor of at most account.Fresh from whoever has one.
func (a *API) freshOwner(tx store.Tx, c *caller) (*account.User, error) {
	u, err := a.Directory.ByID(tx, c.live.Identity.ID)
	if err != nil {
		return nil, err
	}
	if len(u.Methods) > 0 && !c.live.Proof.Fresh(tx.Now(), account.Fresh) {
		return nil, account.ErrNotFresh
	}
	return u, nil
}

func (a *API) qrURL(realm, name string) string {
	return a.Portal + Prefix + "/users/" + url.PathEscape(realm) + "/" + url.PathEscape(name) + "/totp/qr.png"
}

type confirmInput struct {
	Method string `path:"method" maxLength:"32"`
	Body   struct {
		Code           string `json:"code" maxLength:"64"`
		EphemeralToken string `json:"ephemeral_token,omitempty" maxLength:"128" doc:"Of a login with status enroll, in place of a session."`
	}
}

// Confirmation ends an enrolment. With an ephemeral token it holds what a
// login answers too.
type Confirmation struct {
	RecoveryCodes []string `json:"recovery_codes,omitempty" doc:"With the first factor: shown once."`
	Status        string   `json:"status,omitempty" doc:"With an ephemeral token: ok."`
	AccessToken   string   `json:"access_token,omitempty"`
	RefreshToken  string   `json:"refresh_token,omitempty"`
	TokenType     string   `json:"token_type,omitempty"`
	ExpiresIn     int      `json:"expires_in,omitempty"`
}

type confirmOutput struct {
	Body Confirmation
}

func (a *API) confirm(ctx context.Context, c *caller, in *confirmInput) (*confirmOutput, error) {
	if in.Body.EphemeralToken != "" {
		return a.confirmLogin(ctx, c, in)
	}
	if err := c.prove(); err != nil {
		return nil, err
	}
	if factor.Name(in.Method) != factor.TOTP {
		return nil, factor.ErrUnknownMethod
	}
	var codes []string
	err := a.Store.Update(ctx, func(tx store.Tx) error {
		u, err := a.freshOwner(tx, c)
		if err != nil {
			return err
		}
		if codes, err = a.Factors.Confirm(tx, c.self(), u.ID, in.Body.Code); err != nil {
			return err
		}
		return a.goOn(tx, c)
	})
	a.noteClosed(c, err)
	if err != nil {
		return nil, gone(err)
	}
	return &confirmOutput{Body: Confirmation{RecoveryCodes: codes}}, nil
}

func (a *API) confirmLogin(ctx context.Context, c *caller, in *confirmInput) (*confirmOutput, error) {
	next, err := a.Doors.EnrollConfirm(ctx, login.Second{Ephemeral: in.Body.EphemeralToken, Code: in.Body.Code,
		Method: factor.Name(in.Method), Door: login.API, Client: c.client})
	if err != nil {
		return nil, err
	}
	out, err := a.passed(ctx, c, next)
	if err != nil {
		return nil, err
	}
	b := out.Body
	return &confirmOutput{Body: Confirmation{RecoveryCodes: b.RecoveryCodes, Status: b.Status, AccessToken: b.AccessToken,
		RefreshToken: b.RefreshToken, TokenType: b.TokenType, ExpiresIn: b.ExpiresIn}}, nil
}

// goOn follows a change of the own factors, which raised the epoch: all other
// sessions end with it, the one that made it goes on.
func (a *API) goOn(tx store.Tx, c *caller) error {
	u, err := a.Directory.ByID(tx, c.live.Identity.ID)
	if err != nil {
		return err
	}
	return a.Sessions.Raise(tx, c.live.ID, u.Epoch)
}

type deactivateInput struct {
	Method string `path:"method" maxLength:"32"`
	Body   *struct {
		Code string `json:"code,omitempty" maxLength:"64" doc:"Needed unless the method still waits for its first code."`
	}
}

// deactivate takes a factor away for a code of it; one that still waits for
// its first code goes without.
func (a *API) deactivate(ctx context.Context, c *caller, in *deactivateInput) (*struct{}, error) {
	method := factor.Name(in.Method)
	var active, pending bool
	err := a.Store.View(ctx, func(tx store.Tx) error {
		methods, err := a.Factors.Methods(tx, c.live.Identity.ID)
		for _, m := range methods {
			active = active || m.Name == method && m.Active
			pending = pending || m.Name == method && !m.Active
		}
		if err != nil || !active {
			return err
		}
		return a.lastFactor(tx, c) // before a code is burned for nothing
	})
	switch {
	case err != nil:
		return nil, gone(err)
	case !active && !pending:
		return nil, factor.ErrNoMethod
	case !active:
		return nil, gone(a.Store.Update(ctx, func(tx store.Tx) error {
			return a.Factors.Abandon(tx, c.self(), c.live.Identity.ID)
		}))
	case in.Body == nil || in.Body.Code == "":
		return nil, login.ErrCodeNeeded
	}
	return nil, gone(a.Doors.WithFresh(ctx, c.live, in.Body.Code, c.client, func(tx store.Tx, u *account.User) error {
		if err := a.Factors.Remove(tx, c.self(), u.ID, method); err != nil {
			return err
		}
		return a.goOn(tx, c)
	}))
}

// lastFactor refuses early what Factors.Remove would refuse.
func (a *API) lastFactor(tx store.Tx, c *caller) error {
	u, err := a.Directory.ByID(tx, c.live.Identity.ID)
	if err != nil {
		return err
	}
	realm, err := a.Directory.Realm(tx, u.Realm)
	if err != nil {
		return err
	}
	if u.Factors() == 1 && realm.Demanded() > 1 {
		return factor.ErrLastFactor
	}
	return nil
}

// RecoveryCodes is a fresh set; the old one is dead.
type RecoveryCodes struct {
	RecoveryCodes []string `json:"recovery_codes" nullable:"false" doc:"Shown once."`
}

type recoveryCodesOutput struct {
	Body RecoveryCodes
}

type codeBody struct {
	Body struct {
		Code string `json:"code" maxLength:"64"`
	}
}

func (a *API) ownRecoveryCodes(ctx context.Context, c *caller, in *codeBody) (*recoveryCodesOutput, error) {
	out := &recoveryCodesOutput{}
	err := a.Doors.WithFresh(ctx, c.live, in.Body.Code, c.client, func(tx store.Tx, u *account.User) error {
		var err error
		out.Body.RecoveryCodes, err = a.Factors.NewRecoveryCodes(tx, c.self(), u.ID)
		return err
	})
	return out, gone(err)
}

// qrInput asks for a picture of a secret.
type qrInput struct {
	UserPath
	Issuer string `query:"issuer" maxLength:"64" doc:"What the app shows; default: the server's name."`
	Size   int    `query:"size" minimum:"128" maximum:"1024" doc:"Pixels of a side; default 256."`
}

type imageOutput struct {
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	Body         []byte
}

// qr shows the secret while it may be shown: to its owner until the first good
// code, to administrators for the first hour after they made it.
func (a *API) qr(ctx context.Context, c *caller, in *qrInput) (*imageOutput, error) {
	ref, err := a.ref(ctx, &in.UserPath)
	if err != nil {
		return nil, err
	}
	var e *factor.Enrollment
	err = a.Store.View(ctx, func(tx store.Tx) error {
		u, err := a.byPath(tx, ref)
		owner := err == nil && !c.local && c.live.Identity.ID == u.ID
		if !owner { // who may not learns nothing of who exists
			if err := a.mayOver(tx, c, account.Update, ref.Realm); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		e, err = a.Factors.Pending(tx, u.ID)
		if err == nil && owner && e.Active {
			return factor.ErrNoPending // an hour is for those who hand it over
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	png, err := factor.QR(withIssuer(e, in.Issuer), in.size())
	if err != nil {
		return nil, err
	}
	return &imageOutput{ContentType: "image/png", CacheControl: "no-store", Body: png}, nil
}

func (in *qrInput) size() int {
	if in.Size == 0 {
		return 256
	}
	return in.Size
}
