package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

type provisionInput struct {
	UserPath
	Body *struct {
		Digits    int    `json:"digits,omitempty" enum:"6,8"`
		Period    int    `json:"period,omitempty" minimum:"15" maximum:"300" doc:"Seconds of a code."`
		Algorithm string `json:"algorithm,omitempty" enum:"SHA1,SHA256,SHA512"`
		Issuer    string `json:"issuer,omitempty" maxLength:"64" doc:"What the app shows."`
	}
}

// Provisioned is a TOTP factor that is active at once. Its secret leaves this
// once; qr_png_url works for an hour.
type Provisioned struct {
	Secret        string   `json:"secret" doc:"Base32."`
	OTPAuthURI    string   `json:"otpauth_uri"`
	QRPNGURL      string   `json:"qr_png_url"`
	RecoveryCodes []string `json:"recovery_codes" nullable:"false" doc:"With the first factor; otherwise empty, and the old ones stay."`
}

type provisionOutput struct {
	Body Provisioned
}

func (a *API) provision(ctx context.Context, c *caller, in *provisionInput) (*provisionOutput, error) {
	return onceOnUser(ctx, a, c, &in.UserPath, func(tx store.Tx, u *account.User) (*provisionOutput, error) {
		options, err := a.enrollOptions(tx, in)
		if err != nil {
			return nil, err
		}
		e, err := a.Factors.Enroll(tx, c.actor(), u.ID, options)
		if err != nil {
			return nil, err
		}
		return &provisionOutput{Body: Provisioned{Secret: otp.FormatSeed(e.Seed.Reveal()), OTPAuthURI: e.URI,
			QRPNGURL: a.qrURL(u.Realm, u.Name), RecoveryCodes: list(e.RecoveryCodes)}}, nil
	})
}

// enrollOptions takes the realm's parameters where the body names none.
func (a *API) enrollOptions(tx store.Tx, in *provisionInput) (factor.EnrollOptions, error) {
	options := factor.EnrollOptions{Confirmed: true}
	if in.Body == nil {
		return options, nil
	}
	var err error
	options.Issuer = in.Body.Issuer
	options.Params, err = a.params(tx, in.Realm, in.Body.Digits, in.Body.Period, in.Body.Algorithm)
	return options, err
}

// withIssuer is the enrolment's URI, under another issuer where one is named.
func withIssuer(e *factor.Enrollment, issuer string) string {
	if issuer == "" {
		return e.URI
	}
	label, seed, params, err := otp.ParseURI(e.URI)
	if err != nil {
		return e.URI
	}
	label.Issuer = issuer
	return otp.URI(label, seed, params)
}

type verifyInput struct {
	UserPath
	Body struct {
		Code         string `json:"code,omitempty" maxLength:"64" doc:"This or recovery_code."`
		RecoveryCode string `json:"recovery_code,omitempty" maxLength:"128" doc:"This or code."`
	}
}

// Verdict says whether a code was good. It is burned if it was.
type Verdict struct {
	Status string `json:"status" enum:"OK,FAIL"`
}

type verdictOutput struct {
	Body Verdict
}

// verify answers FAIL for everything but a good code: for users who do not
// exist or are disabled too, so that it tells nothing about who exists.
func (a *API) verify(ctx context.Context, c *caller, in *verifyInput) (*verdictOutput, error) {
	if (in.Body.Code == "") == (in.Body.RecoveryCode == "") {
		return nil, invalid("body", "code or recovery_code is expected, one of the two")
	}
	ref, err := a.ref(ctx, &in.UserPath)
	if errors.Is(err, account.ErrUnknownRealm) {
		return nil, err
	}
	method, code := factor.TOTP, in.Body.Code
	if in.Body.RecoveryCode != "" {
		method, code = factor.RecoveryCode, in.Body.RecoveryCode
	}
	q := c.asks(ref, code)
	good := false
	err = a.Store.Update(ctx, func(tx store.Tx) error {
		good = false
		if err := a.mayOver(tx, c, account.Authenticate, ref.Realm); err != nil {
			return err
		}
		u, err := a.byPath(tx, ref)
		if errors.Is(err, account.ErrUnknownUser) {
			return a.Programs.Nobody(tx, q, nil, "")
		}
		if err != nil {
			return err
		}
		q := q
		q.Ref = u.Ref() // the path may hold the id
		open, err := a.mayTry(tx, c, u.Realm)
		if err != nil {
			return err
		}
		good, err = a.judgeUser(tx, c, u, q, method, open)
		return err
	})
	if err != nil {
		return nil, err
	}
	return verdict(good), nil
}

// mayTry says whether a caller may try codes of a realm's members. Those of a realm
// with capabilities are keys to others: only members of admin may.
func (a *API) mayTry(tx store.Tx, c *caller, realm string) (bool, error) {
	r, err := a.Directory.Realm(tx, realm)
	return len(r.Grants) == 0 || c.local || c.live.Identity.Realm == account.AdminRealm, err
}

// judge counts, compares and burns. What one caller asks about a person is
// counted apart from the person's own doors: nobody is shut out by it. Who asks
// too often hears FAIL like everybody else, and stores nothing new.
func (a *API) judge(tx store.Tx, c *caller, u *account.User, method factor.Name, code string) (factor.Result, error) {
	kind := login.KindOf(method, code)
	subject := a.Throttle.Between(c.asking(), u.ID)
	try, err := a.Throttle.Count(tx, subject, kind, throttle.Origin{})
	if errors.As(err, new(*throttle.Throttled)) {
		a.noteVerdict(tx, c, verdictEvent(u, audit.Denied, "throttled"))
		return factor.Wrong, a.Throttle.Refused(tx, subject, kind, throttle.Origin{})
	}
	if err != nil {
		return factor.Wrong, err
	}
	var result factor.Result
	if method == factor.RecoveryCode {
		result, _, err = a.Factors.VerifyRecovery(tx, u.ID, code)
	} else {
		result, err = a.Factors.Verify(tx, u.ID, "", code)
	}
	if err != nil {
		return factor.Wrong, err
	}
	switch result {
	case factor.Good:
		if err := a.Throttle.Good(tx, try); err != nil {
			return factor.Wrong, err
		}
		return result, a.record(tx, c, verdictEvent(u, audit.OK, ""))
	case factor.Replayed: // not counted: so that repeating it does not fill the store, it is not stored
		a.noteVerdict(tx, c, verdictEvent(u, audit.Denied, result.String()))
		return result, a.Throttle.Uncount(tx, try)
	}
	return result, a.record(tx, c, verdictEvent(u, audit.Denied, result.String()))
}

// noteVerdict writes a line about what a caller can cause without bound.
func (a *API) noteVerdict(tx store.Tx, c *caller, e audit.Event) {
	e = told(c, e)
	e.Time = tx.Now()
	tx.After(func() { a.Audit.Note(e) })
}

func verdictEvent(u *account.User, outcome audit.Outcome, cause string) audit.Event {
	return audit.Event{Kind: audit.KindFactorVerify, Outcome: outcome, Cause: cause, Principal: u.ID, Name: u.Ref().String()}
}

func (a *API) userRecoveryCodes(ctx context.Context, c *caller, in *UserPath) (*recoveryCodesOutput, error) {
	return onceOnUser(ctx, a, c, in, func(tx store.Tx, u *account.User) (*recoveryCodesOutput, error) {
		codes, err := a.Factors.NewRecoveryCodes(tx, c.actor(), u.ID)
		if errors.Is(err, factor.ErrNoMethod) {
			return nil, problem(http.StatusConflict, "no_factor", "The user has no second factor: there is nothing to recover.")
		}
		return &recoveryCodesOutput{Body: RecoveryCodes{RecoveryCodes: codes}}, err
	})
}

// onUser runs one change of one user in a transaction.
func (a *API) onUser(ctx context.Context, c *caller, in *UserPath, capability account.Capability, fn func(store.Tx, *account.User) error) error {
	ref, err := a.ref(ctx, in)
	if err != nil {
		return err
	}
	return a.Store.Update(ctx, func(tx store.Tx) error {
		u, err := a.target(tx, c, capability, ref)
		if err != nil {
			return err
		}
		return fn(tx, u)
	})
}

// onceOnUser is onUser for calls that make something for a user: see once.
func onceOnUser[Out any](ctx context.Context, a *API, c *caller, in *UserPath, do func(store.Tx, *account.User) (*Out, error)) (*Out, error) {
	ref, err := a.ref(ctx, in)
	if err != nil {
		return nil, err
	}
	may := func(tx store.Tx) error {
		u, err := a.target(tx, c, account.Update, ref)
		if err == nil {
			c.about(u.ID)
		}
		return err
	}
	return once(ctx, a, c, may, func(tx store.Tx) (*Out, error) {
		u, err := a.byPath(tx, ref)
		if err != nil {
			return nil, err
		}
		return do(tx, u)
	})
}

type inviteInput struct {
	UserPath
	Body *struct {
		Send bool `json:"send,omitempty" doc:"Mail the link to the user's address, and show it to nobody."`
	}
}

// Invitation is a link with which a user chooses a password.
type Invitation struct {
	InviteURL string `json:"invite_url,omitempty" doc:"For the user alone. It works once. Not with send."`
	SentTo    string `json:"sent_to,omitempty" doc:"With send: the address that the link went to."`
	ExpiresIn int    `json:"expires_in" doc:"Seconds."`
}

type invitationOutput struct {
	Body Invitation
}

func (a *API) invite(ctx context.Context, c *caller, in *inviteInput) (*invitationOutput, error) {
	seconds := int(account.Invitation / time.Second)
	if in.Body != nil && in.Body.Send {
		return onceOnUser(ctx, a, c, &in.UserPath, func(tx store.Tx, u *account.User) (*invitationOutput, error) {
			to, err := a.Doors.InviteByMail(tx, c.actor(), u.ID)
			if err != nil {
				return nil, err
			}
			return &invitationOutput{Body: Invitation{SentTo: to, ExpiresIn: seconds}}, nil
		})
	}
	if a.Portal == "" {
		return nil, problem(http.StatusConflict, "no_portal", "An invitation is a link, and links need an address: set `portal` in the configuration.")
	}
	return onceOnUser(ctx, a, c, &in.UserPath, func(tx store.Tx, u *account.User) (*invitationOutput, error) {
		link, err := a.Doors.Invite(tx, c.actor(), u.ID)
		if err != nil {
			return nil, err
		}
		return &invitationOutput{Body: Invitation{InviteURL: a.Portal + login.InvitePath + "?token=" + link.Reveal(), ExpiresIn: seconds}}, nil
	})
}

// resetMethods takes all factors away, and opens the places that wrong codes
// had closed.
func (a *API) resetMethods(ctx context.Context, c *caller, in *UserPath) (*struct{}, error) {
	return nil, a.onUser(ctx, c, in, account.Update, func(tx store.Tx, u *account.User) error {
		if err := a.Factors.Reset(tx, c.actor(), u.ID); err != nil {
			return err
		}
		return a.Throttle.Reset(tx, u.ID)
	})
}

type userMethodInput struct {
	UserPath
	Method string `path:"method" maxLength:"32"`
	ID     string `query:"id" maxLength:"64" doc:"One device of several; without it, all of the method."`
}

func (a *API) removeMethod(ctx context.Context, c *caller, in *userMethodInput) (*struct{}, error) {
	return nil, a.onUser(ctx, c, &in.UserPath, account.Update, func(tx store.Tx, u *account.User) error {
		return a.Factors.Remove(tx, c.actor(), u.ID, factor.Name(in.Method), in.ID)
	})
}

// SetupLink is a link to create the first administrator.
type SetupLink struct {
	URL       string `json:"url"`
	ExpiresIn int    `json:"expires_in" doc:"Seconds."`
}

type setupLinkOutput struct {
	Body SetupLink
}

func (a *API) setupLink(ctx context.Context, _ *caller, _ *struct{}) (*setupLinkOutput, error) {
	link, err := a.Doors.SetupLink(ctx)
	if err != nil {
		return nil, err
	}
	return &setupLinkOutput{Body: SetupLink{URL: a.setupBase() + "/sallyport/setup?token=" + link.Reveal(),
		ExpiresIn: int(login.SetupLife / time.Second)}}, nil
}

func (a *API) setupBase() string {
	if a.SetupBase != nil {
		if base := a.SetupBase(); base != "" {
			return base
		}
	}
	return a.Portal
}
