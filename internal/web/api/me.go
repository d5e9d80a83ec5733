package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Me is the own record.
type Me struct {
	ID          string     `json:"id"`
	Number      uint64     `json:"number"`
	Realm       string     `json:"realm"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	FullName    string     `json:"full_name"`
	Phone       string     `json:"phone"`
	Groups      []string   `json:"groups" nullable:"false"`
	AMR         []string   `json:"amr" nullable:"false" doc:"How this session was proved (RFC 8176)."`
	AuthTime    time.Time  `json:"auth_time" doc:"When the last proof was given."`
	CreatedAt   time.Time  `json:"created_at"`
	LastLoginAt *time.Time `json:"last_login_at,omitempty"`
}

type meOutput struct {
	Body Me
}

func (a *API) me(ctx context.Context, c *caller, _ *struct{}) (*meOutput, error) {
	var out *meOutput
	err := a.Store.View(ctx, func(tx store.Tx) error {
		u, err := a.Directory.ByID(tx, c.live.Identity.ID)
		if err != nil {
			return err
		}
		out = &meOutput{Body: meOf(u, c.live)}
		return nil
	})
	return out, gone(err)
}

func meOf(u *account.User, live session.Live) Me {
	return Me{ID: u.ID.String(), Number: u.Number, Realm: u.Realm, Name: u.Name, Email: u.Email, FullName: u.FullName,
		Phone: u.Phone, Groups: list(u.Groups), AMR: live.Proof.AMR.Strings(), AuthTime: live.Proof.AuthTime(),
		CreatedAt: u.CreatedAt, LastLoginAt: moment(u.LastLoginAt)}
}

// gone answers for a session whose person vanished between two steps.
func gone(err error) error {
	if errors.Is(err, account.ErrUnknownUser) {
		return unauthenticated()
	}
	return err
}

// list never is null on the wire.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// moment leaves out a time that never was.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type changeMeInput struct {
	Body struct {
		FullName *string `json:"full_name,omitempty" maxLength:"256"`
		Email    *string `json:"email,omitempty" maxLength:"320" doc:"A code is sent there; it is yours after POST /me/confirm. Empty: none."`
		Phone    *string `json:"phone,omitempty" maxLength:"64" doc:"With + and country code; as email."`
	}
}

// Changed is the own record, and where codes went that have to be confirmed.
type Changed struct {
	Me
	SentTo []string `json:"sent_to,omitempty" doc:"Where codes went, masked, for POST /me/confirm."`
}

type changedOutput struct {
	Body Changed
}

// changeMe changes the full name at once, an address or number after the code that was
// sent to it came back.
func (a *API) changeMe(ctx context.Context, c *caller, in *changeMeInput) (*changedOutput, error) {
	if in.Body.Email != nil && in.Body.Phone != nil {
		return nil, invalid("body", "email and phone are changed one after the other")
	}
	out := &changedOutput{}
	for field, value := range map[account.Field]*string{account.EmailField: in.Body.Email, account.PhoneField: in.Body.Phone} {
		if value == nil {
			continue
		}
		to, err := a.Doors.ChangeTarget(ctx, c.live, field, *value, c.client)
		if err != nil {
			return nil, gone(err)
		}
		if to != "" {
			out.Body.SentTo = append(out.Body.SentTo, to)
		}
	}
	err := a.Store.Update(ctx, func(tx store.Tx) error {
		u, err := a.Directory.Update(tx, c.self(), c.live.Identity.ID, account.Change{FullName: in.Body.FullName})
		if err != nil {
			return err
		}
		out.Body.Me = meOf(u, c.live)
		return nil
	})
	return out, gone(err)
}

type confirmMeInput struct {
	Body struct {
		Field string `json:"field" enum:"email,phone" doc:"What the code was sent for."`
		Code  string `json:"code" maxLength:"64"`
	}
}

// confirmMe ends the change of an address or number.
func (a *API) confirmMe(ctx context.Context, c *caller, in *confirmMeInput) (*meOutput, error) {
	if err := a.Doors.ConfirmTarget(ctx, c.live, account.Field(in.Body.Field), in.Body.Code, c.client); err != nil {
		return nil, gone(err)
	}
	return a.me(ctx, c, nil)
}

type passwordInput struct {
	Body struct {
		CurrentPassword string `json:"current_password" maxLength:"1024"`
		NewPassword     string `json:"new_password" maxLength:"1024"`
		Code            string `json:"code,omitempty" maxLength:"64" doc:"Needed where a second factor is set up."`
	}
}

func (a *API) changePassword(ctx context.Context, c *caller, in *passwordInput) (*struct{}, error) {
	b := in.Body
	return nil, a.Doors.ChangePassword(ctx, c.live, b.CurrentPassword, b.NewPassword, b.Code, c.client)
}

type sessionsOutput struct {
	Body []Session `nullable:"false"`
}

func (a *API) ownSessions(ctx context.Context, c *caller, _ *struct{}) (*sessionsOutput, error) {
	out := &sessionsOutput{Body: []Session{}}
	err := a.Store.View(ctx, func(tx store.Tx) error {
		sessions, err := a.Sessions.List(tx, c.live.Identity.ID)
		for _, s := range sessions {
			shown := sessionOf(s, c.live.Identity.Name, c.live.Identity.Realm)
			shown.Current = s.ID == c.live.ID
			out.Body = append(out.Body, shown)
		}
		return err
	})
	return out, err
}

// endOtherSessions signs out everywhere else. Trusted browsers end too, also the one
// that asks: whoever suspects a thief does not say which one is the thief's.
func (a *API) endOtherSessions(ctx context.Context, c *caller, _ *struct{}) (*struct{}, error) {
	return nil, a.onOwn(ctx, c, func(tx store.Tx, u *account.User) error {
		if _, err := a.Sessions.RevokeAll(tx, u.ID, c.live.ID); err != nil {
			return err
		}
		if _, err := a.Doors.DistrustAll(tx, c.self(), u); err != nil {
			return err
		}
		return a.record(tx, c, ownEvent(c, "others"))
	})
}

type idInput struct {
	ID string `path:"id" maxLength:"128"`
}

// endOwnSession knows no session but the caller's own.
func (a *API) endOwnSession(ctx context.Context, c *caller, in *idInput) (*struct{}, error) {
	err := a.Store.Update(ctx, func(tx store.Tx) error {
		if err := a.Directory.Alive(tx, c.self()); err != nil {
			return err
		}
		s, err := a.Sessions.Get(tx, in.ID)
		if errors.Is(err, session.ErrNone) || err == nil && s.Principal != c.live.Identity.ID {
			return unknownSession()
		}
		if err != nil {
			return err
		}
		if err := a.Sessions.Revoke(tx, in.ID); err != nil {
			return err
		}
		return a.record(tx, c, ownEvent(c, s.ID))
	})
	if err == nil && in.ID == c.live.ID {
		a.Cookies.ClearSession(c.w, a.Scheme(c.r))
	}
	return nil, err
}

func unknownSession() *Problem {
	return problem(http.StatusNotFound, "unknown_session", "There is no such session.")
}

func ownEvent(c *caller, which string) audit.Event {
	return audit.Event{Kind: audit.KindSessionRevoke, Outcome: audit.OK, Principal: c.live.Identity.ID,
		Name: nameOf(c.live.Identity), Detail: map[string]string{"ended": which}}
}

// record stores an event with who caused it, and from where.
func (a *API) record(tx store.Tx, c *caller, e audit.Event) error {
	return a.Audit.Record(tx, told(c, e))
}

// told fills in who caused an event, and from where.
func told(c *caller, e audit.Event) audit.Event {
	e.Client, e.Session = c.client.Addr, c.live.ID
	if c.local {
		e.Actor = "local"
	} else if c.live.Identity != nil && c.live.Identity.ID != e.Principal {
		e.Actor = nameOf(c.live.Identity)
	}
	return e
}
