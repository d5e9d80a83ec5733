package api

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Session is a living session. Its id is public: it opens nothing.
type Session struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Realm      string    `json:"realm"`
	Kind       string    `json:"kind" enum:"browser,api"`
	AMR        []string  `json:"amr" nullable:"false" doc:"How it was proved (RFC 8176)."`
	Client     string    `json:"client" doc:"Address of the login."`
	UserAgent  string    `json:"user_agent"`
	Current    bool      `json:"current" doc:"The session that asks."`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	ExpiresAt  time.Time `json:"expires_at" doc:"The latest end."`
}

func sessionOf(s session.Session, name, realm string) Session {
	return Session{ID: s.ID, Name: name, Realm: realm, Kind: s.Kind.String(), AMR: s.Proof.AMR.Strings(), Client: address(s.Origin.Client),
		UserAgent: s.Origin.UserAgent, CreatedAt: s.Created, LastSeenAt: s.LastSeen, ExpiresAt: s.Until}
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

type listSessionsInput struct {
	Realm  string `query:"realm" maxLength:"512" doc:"With name: only this user's."`
	Name   string `query:"name" maxLength:"512" doc:"With realm: only this user's. A name, or an id as in the path of a user."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" doc:"Sessions in an answer; default 50."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"next_cursor of the answer before."`
}

// SessionList is one page.
type SessionList struct {
	Sessions   []Session `json:"sessions" nullable:"false"`
	NextCursor string    `json:"next_cursor,omitempty" doc:"Missing at the end."`
}

type sessionListOutput struct {
	Body SessionList
}

func (a *API) listSessions(ctx context.Context, c *caller, in *listSessionsInput) (*sessionListOutput, error) {
	if (in.Realm == "") != (in.Name == "") {
		return nil, invalid("query", "realm and name are expected together, or neither")
	}
	out := &sessionListOutput{Body: SessionList{Sessions: []Session{}}}
	err := a.Store.View(ctx, func(tx store.Tx) error {
		if in.Name != "" {
			return a.sessionsOf(tx, c, in, out)
		}
		if err := a.mayOver(tx, c, account.List, ""); err != nil {
			return err
		}
		page, next, err := a.Sessions.Page(tx, in.Cursor, limitOr(in.Limit))
		if err != nil {
			return err
		}
		out.Body.NextCursor = next
		for _, s := range page {
			u, err := a.Directory.ByID(tx, s.Principal)
			if errors.Is(err, account.ErrUnknownUser) {
				continue // deleted since
			}
			if err != nil {
				return err
			}
			shown := sessionOf(s, u.Name, u.Realm)
			shown.Current = s.ID == c.live.ID
			out.Body.Sessions = append(out.Body.Sessions, shown)
		}
		return nil
	})
	return out, err
}

func (a *API) sessionsOf(tx store.Tx, c *caller, in *listSessionsInput, out *sessionListOutput) error {
	ref, err := a.spelledIn(tx, in.Name, in.Realm)
	if err = orNobody(ref, err); err != nil {
		return err
	}
	u, err := a.target(tx, c, account.List, ref)
	if err != nil {
		return err
	}
	sessions, err := a.Sessions.List(tx, u.ID)
	for _, s := range sessions {
		shown := sessionOf(s, u.Name, u.Realm)
		shown.Current = s.ID == c.live.ID
		out.Body.Sessions = append(out.Body.Sessions, shown)
	}
	return err
}

// endSession says that a session is unknown to whoever may not end it, too.
func (a *API) endSession(ctx context.Context, c *caller, in *idInput) (*struct{}, error) {
	return nil, a.Store.Update(ctx, func(tx store.Tx) error {
		s, err := a.Sessions.Get(tx, in.ID)
		if errors.Is(err, session.ErrNone) {
			if err := a.mayOver(tx, c, account.Update, ""); err != nil {
				return err
			}
			return unknownSession()
		}
		if err != nil {
			return err
		}
		u, err := a.Directory.ByID(tx, s.Principal)
		if err != nil {
			return err
		}
		if err := a.mayOver(tx, c, account.Update, u.Realm); err != nil {
			return err
		}
		if err := a.Sessions.Revoke(tx, in.ID); err != nil {
			return err
		}
		return a.record(tx, c, audit.Event{Kind: audit.KindSessionRevoke, Outcome: audit.OK, Principal: u.ID,
			Name: u.Ref().String(), Detail: map[string]string{"ended": s.ID}})
	})
}

func (a *API) endUserSessions(ctx context.Context, c *caller, in *UserPath) (*struct{}, error) {
	return nil, a.onUser(ctx, c, in, account.Update, func(tx store.Tx, u *account.User) error {
		if _, err := a.Sessions.RevokeAll(tx, u.ID, ""); err != nil {
			return err
		}
		if _, err := a.Doors.DistrustAll(tx, c.actor(), u); err != nil {
			return err
		}
		return a.record(tx, c, audit.Event{Kind: audit.KindSessionRevoke, Outcome: audit.OK, Principal: u.ID,
			Name: u.Ref().String(), Detail: map[string]string{"ended": "all"}})
	})
}

type eventsInput struct {
	Kind    string `query:"kind" maxLength:"64" doc:"This kind and those below it: login is also login.code."`
	Outcome string `query:"outcome" enum:"ok,denied,failed"`
	User    string `query:"user" maxLength:"512" doc:"name@realm."`
	Realm   string `query:"realm" maxLength:"512"`
	Session string `query:"session" maxLength:"128"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" doc:"Events in an answer; default 50."`
	Cursor  string `query:"cursor" maxLength:"2048" doc:"next_cursor of the answer before."`
}

// Event is one thing that happened.
type Event struct {
	Time      time.Time         `json:"time"`
	Kind      string            `json:"kind"`
	Outcome   string            `json:"outcome"`
	Cause     string            `json:"cause,omitempty"`
	Principal string            `json:"principal,omitempty" doc:"Id of whom it concerns."`
	Name      string            `json:"name,omitempty" doc:"name@realm of whom it concerns."`
	Actor     string            `json:"actor,omitempty" doc:"Who did it; missing: the principal itself."`
	Client    string            `json:"client,omitempty"`
	Session   string            `json:"session,omitempty"`
	Method    string            `json:"method,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
}

// EventList is one page, newest first.
type EventList struct {
	Events     []Event `json:"events" nullable:"false"`
	NextCursor string  `json:"next_cursor,omitempty" doc:"Missing at the end. A page may be short and still have a next one."`
}

type eventListOutput struct {
	Body EventList
}

func (a *API) events(ctx context.Context, c *caller, in *eventsInput) (*eventListOutput, error) {
	realm, err := realmFilter(in.Realm)
	if err != nil {
		return nil, err
	}
	out := &eventListOutput{Body: EventList{Events: []Event{}}}
	err = a.Store.View(ctx, func(tx store.Tx) error {
		if err := a.mayOver(tx, c, account.List, realm); err != nil {
			return err
		}
		events, next, err := a.Audit.List(tx, audit.Cursor(in.Cursor), limitOr(in.Limit), audit.Filter{
			Kind: audit.Kind(in.Kind), Outcome: audit.Outcome(in.Outcome), Name: in.User, Realm: realm, Session: in.Session})
		for i := range events {
			out.Body.Events = append(out.Body.Events, eventOf(&events[i]))
		}
		out.Body.NextCursor = string(next)
		return err
	})
	return out, err
}

func eventOf(e *audit.Event) Event {
	shown := Event{Time: e.Time, Kind: string(e.Kind), Outcome: string(e.Outcome), Cause: e.Cause, Name: e.Name,
		Actor: e.Actor, Client: address(e.Client), Session: e.Session, Method: e.Method, Detail: e.Detail}
	if !e.Principal.IsZero() {
		shown.Principal = e.Principal.String()
	}
	return shown
}
