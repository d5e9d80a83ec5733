package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Method is a second factor as its owner sees it.
type Method struct {
	Name       string     `json:"name"`
	ID         string     `json:"id,omitempty" doc:"Of the device, where there are several of one method."`
	IsPrimary  bool       `json:"is_primary" doc:"Asked for first."`
	Active     bool       `json:"active" doc:"false: it waits for its first code."`
	Label      string     `json:"label"`
	SentTo     string     `json:"sent_to,omitempty" doc:"Where its codes go, masked."`
	AddedAt    time.Time  `json:"added_at"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"null: never."`
	Cloned     bool       `json:"cloned,omitempty" doc:"true: a passkey that may have been copied, as its counter says. It proves nothing any more: remove it."`
}

// methodsOf shows devices; ids only where the name alone does not tell them apart, and of
// passkeys, which each have a name of their own.
func methodsOf(methods []factor.Method) []Method {
	active := map[factor.Name]int{}
	for _, m := range methods {
		if m.Active {
			active[m.Name]++
		}
	}
	list := make([]Method, 0, len(methods))
	for _, m := range methods {
		shown := Method{Name: string(m.Name), IsPrimary: m.Primary, Active: m.Active, Label: m.Label, SentTo: m.Target,
			AddedAt: m.AddedAt, LastUsedAt: moment(m.LastUsedAt), Cloned: m.Cloned}
		if active[m.Name] > 1 || m.Name == factor.Passkey {
			shown.ID = m.ID
		}
		list = append(list, shown)
	}
	return list
}

type methodsOutput struct {
	Body []Method `nullable:"false"`
}

func (a *API) methods(ctx context.Context, c *caller, _ *struct{}) (*methodsOutput, error) {
	out := &methodsOutput{Body: []Method{}}
	err := a.Store.View(ctx, func(tx store.Tx) error {
		methods, err := a.Factors.Methods(tx, c.live.Identity.ID)
		out.Body = methodsOf(methods)
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
		Label          string `json:"label,omitempty" maxLength:"128" doc:"What you call the device."`
		Add            bool   `json:"add,omitempty" doc:"true: beside the devices of this method that there are; false: in their place. Passkeys always stand beside the others."`
		Email          string `json:"email,omitempty" maxLength:"320" doc:"For email: another address than your record has. Its first code makes it yours. Not with an ephemeral token."`
		Phone          string `json:"phone,omitempty" maxLength:"64" doc:"For sms: another number than your record has, with + and country code. Not with an ephemeral token."`
	}
}

// Activation is what the first code of a method needs: a secret for an authenticator
// app, or where the code went.
type Activation struct {
	OTPAuthURI string `json:"otpauth_uri,omitempty" doc:"For totp: a secret."`
	QRPNGURL   string `json:"qr_png_url,omitempty" doc:"For totp: the same as a picture, for the session's owner."`
	SentTo     string `json:"sent_to,omitempty" doc:"Where a code went, masked."`
	// Of a passkey.
	Options   *WebAuthn `json:"options,omitempty" doc:"For passkey: {publicKey}, for PublicKeyCredential.parseCreationOptionsFromJSON, then navigator.credentials.create."`
	ExpiresIn int       `json:"expires_in,omitempty" doc:"For passkey: seconds that its challenge is good, once."`
}

// activationOf is what an enrolment needs.
func activationOf(e *factor.Enrollment) Activation {
	out := Activation{OTPAuthURI: e.URI, SentTo: e.SentTo, ExpiresIn: expires(e)}
	if e.Options != nil {
		out.Options = &WebAuthn{e.Options}
	}
	return out
}

type activateOutput struct {
	Body Activation
}

// activate begins an enrolment. Whoever has a factor must have proved it
// freshly: otherwise a stolen session makes itself a factor of its own.
func (a *API) activate(ctx context.Context, c *caller, in *activateInput) (*activateOutput, error) {
	method := factor.Name(in.Method)
	o := factor.EnrollOptions{Method: method}
	if b := in.Body; b != nil {
		o.Name, o.Beside, o.Target = b.Label, b.Add, b.Email
		if method == factor.SMS {
			o.Target = b.Phone
		}
		if b.Email != "" && method != factor.Email || b.Phone != "" && method != factor.SMS || b.EphemeralToken != "" && o.Target != "" {
			return nil, problem(http.StatusUnprocessableEntity, "invalid", "email is for the method email, phone for sms, and neither goes with an ephemeral token: there the address of the record counts.")
		}
		if b.EphemeralToken != "" {
			e, err := a.Doors.EnrollStart(ctx, b.EphemeralToken, login.API, method, c.client)
			if err != nil {
				return nil, err
			}
			return &activateOutput{Body: activationOf(e)}, nil
		}
	}
	if err := c.prove(); err != nil {
		return nil, err
	}
	e, err := a.Doors.Activate(ctx, c.live, o, c.client)
	if err != nil {
		return nil, gone(err)
	}
	out := &activateOutput{Body: activationOf(e)}
	if e.URI != "" {
		out.Body.QRPNGURL = a.qrURL(c.live.Identity.Realm, c.live.Identity.Name)
	}
	return out, nil
}

type methodPath struct {
	Method string `path:"method" maxLength:"32"`
}

// Challenge says where a code went.
type Challenge struct {
	SentTo    string `json:"sent_to" doc:"Masked. Empty: to the receiver of an own method."`
	ExpiresIn int    `json:"expires_in,omitempty" doc:"Seconds that the ephemeral token still lives."`
}

type challengeOutput struct {
	Body Challenge
}

// challengeOwn sends a code of an own method, for a call that asks for one.
func (a *API) challengeOwn(ctx context.Context, c *caller, in *methodPath) (*challengeOutput, error) {
	to, err := a.Doors.ChallengeOwn(ctx, c.live, factor.Name(in.Method), c.client)
	if err != nil {
		return nil, gone(err)
	}
	return &challengeOutput{Body: Challenge{SentTo: to}}, nil
}

func (a *API) qrURL(realm, name string) string {
	return a.Portal + Prefix + "/users/" + url.PathEscape(realm) + "/" + url.PathEscape(name) + "/totp/qr.png"
}

type confirmInput struct {
	Method string `path:"method" maxLength:"32"`
	Body   struct {
		Code           string    `json:"code,omitempty" maxLength:"64" doc:"The first code. For passkey: none."`
		Credential     *WebAuthn `json:"credential,omitempty" doc:"For passkey: what toJSON of the PublicKeyCredential writes."`
		EphemeralToken string    `json:"ephemeral_token,omitempty" maxLength:"128" doc:"Of a login with status enroll, in place of a session."`
	}
}

// response is the answer of an authenticator; nil: a code came, or nothing.
func (in *confirmInput) response() []byte {
	if in.Body.Credential == nil {
		return nil
	}
	return in.Body.Credential.RawMessage
}

// missing says what a method's confirmation lacks, or has too much.
func (in *confirmInput) missing() error {
	switch passkey := factor.Name(in.Method) == factor.Passkey; {
	case passkey && in.Body.Credential == nil:
		return invalid("body.credential", "the answer of an authenticator is expected")
	case passkey && in.Body.Code != "", !passkey && in.Body.Credential != nil:
		return invalid("body", "a passkey sends credential and no code, every other method code alone")
	case !passkey && in.Body.Code == "":
		return invalid("body.code", "the first code is expected")
	}
	return nil
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
	if err := in.missing(); err != nil {
		return nil, err
	}
	var codes []string
	var err error
	if response := in.response(); response != nil {
		codes, err = a.Doors.ConfirmPasskey(ctx, c.live, response, c.client)
	} else {
		codes, err = a.Doors.ConfirmMethod(ctx, c.live, factor.Name(in.Method), in.Body.Code, c.client)
	}
	if err != nil {
		return nil, gone(err)
	}
	return &confirmOutput{Body: Confirmation{RecoveryCodes: codes}}, nil
}

func (a *API) confirmLogin(ctx context.Context, c *caller, in *confirmInput) (*confirmOutput, error) {
	if err := in.missing(); err != nil {
		return nil, err
	}
	next, err := a.Doors.EnrollConfirm(ctx, login.Second{Ephemeral: in.Body.EphemeralToken, Code: in.Body.Code, Response: in.response(),
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

type deactivateInput struct {
	Method string `path:"method" maxLength:"32"`
	Body   *struct {
		Code string `json:"code,omitempty" maxLength:"64" doc:"Needed unless the method still waits for its first code."`
		ID   string `json:"id,omitempty" maxLength:"64" doc:"One device of several; without it, all of the method."`
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
		return a.lastFactor(tx, c, in) // before a code is burned for nothing
	})
	switch {
	case err != nil:
		return nil, gone(err)
	case !active && !pending:
		return nil, factor.ErrNoMethod
	case !active:
		return nil, gone(a.Store.Update(ctx, func(tx store.Tx) error {
			return a.Factors.Abandon(tx, c.self(), c.live.Identity.ID, method)
		}))
	case in.Body == nil || in.Body.Code == "":
		return nil, login.ErrCodeNeeded
	}
	return nil, gone(a.Doors.WithFresh(ctx, c.live, in.Body.Code, c.client, func(tx store.Tx, u *account.User) error {
		if err := a.Factors.Remove(tx, c.self(), u.ID, method, in.Body.ID); err != nil {
			return err
		}
		return a.Doors.GoOn(tx, u, c.live)
	}))
}

// lastFactor refuses early what Factors.Remove would refuse.
func (a *API) lastFactor(tx store.Tx, c *caller, in *deactivateInput) error {
	u, err := a.Directory.ByID(tx, c.live.Identity.ID)
	if err != nil {
		return err
	}
	realm, err := a.Directory.Realm(tx, u.Realm)
	if err != nil {
		return err
	}
	if u.Factors() == 1 && realm.Demanded() > 1 && (in.Body == nil || in.Body.ID == "") {
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
