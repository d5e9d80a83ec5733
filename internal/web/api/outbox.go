package api

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/store"
)

type outboxInput struct {
	State  string `query:"state" enum:"waiting,sent,dead,expired,superseded" doc:"Only messages in this state."`
	Realm  string `query:"realm" maxLength:"512" doc:"Only messages to people of this realm."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" doc:"Messages in an answer; default 50."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"next_cursor of the answer before."`
}

// Message is a message to somebody, without its text: codes and links are shown to
// their reader alone.
type Message struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind" doc:"Which text: login_code, reset, password_changed, …"`
	Method   string     `json:"method" doc:"email, sms, or the name of an own method."`
	To       string     `json:"to"`
	Realm    string     `json:"realm,omitempty"`
	User     string     `json:"user,omitempty" doc:"Id of the person whom it concerns."`
	State    string     `json:"state" enum:"waiting,sent,dead,expired,superseded"`
	Tries    int        `json:"tries"`
	QueuedAt time.Time  `json:"queued_at"`
	Expires  *time.Time `json:"expires_at,omitempty" doc:"When it can no longer be used; it is not sent from then on. Missing: a notice."`
	TriedAt  *time.Time `json:"tried_at,omitempty"`
	NextAt   *time.Time `json:"next_at,omitempty" doc:"The next try, after one that failed."`
	DoneAt   *time.Time `json:"done_at,omitempty"`
	Error    string     `json:"error,omitempty" doc:"Of the last try that failed."`
}

// MessageList is one page, newest first.
type MessageList struct {
	Messages   []Message `json:"messages" nullable:"false"`
	NextCursor string    `json:"next_cursor,omitempty" doc:"Missing at the end. A page may be short and still have a next one."`
}

type messageListOutput struct {
	Body MessageList
}

func (a *API) listOutbox(ctx context.Context, c *caller, in *outboxInput) (*messageListOutput, error) {
	realm, err := realmFilter(in.Realm)
	if err != nil {
		return nil, err
	}
	out := &messageListOutput{Body: MessageList{Messages: []Message{}}}
	err = a.Store.View(ctx, func(tx store.Tx) error {
		if err := a.mayOver(tx, c, account.List, realm); err != nil {
			return err
		}
		page, next, err := a.Outbox.List(tx, notify.Filter{State: notify.State(in.State), Realm: realm}, in.Cursor, limitOr(in.Limit))
		out.Body = MessageList{Messages: []Message{}, NextCursor: next}
		for i := range page {
			out.Body.Messages = append(out.Body.Messages, messageOf(&page[i]))
		}
		return err
	})
	return out, err
}

func messageOf(e *notify.Entry) Message {
	m := Message{ID: e.ID, Kind: string(e.Kind), Method: e.Method, To: e.To, Realm: e.Realm, State: string(e.State), Tries: e.Tries,
		QueuedAt: e.Queued, Expires: instant(e.Expires), TriedAt: instant(e.Tried), NextAt: instant(e.Next), DoneAt: instant(e.Done), Error: e.Error}
	if !e.Person.IsZero() {
		m.User = e.Person.String()
	}
	return m
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type messageOutput struct {
	Body Message
}

func (a *API) retryMessage(ctx context.Context, c *caller, in *idInput) (out *messageOutput, err error) {
	err = a.onMessage(ctx, c, in.ID, "retry", func(tx store.Tx) error {
		if err := a.Outbox.Retry(tx, in.ID); err != nil {
			return err
		}
		e, err := a.Outbox.Get(tx, in.ID)
		out = &messageOutput{Body: messageOf(&e)}
		return err
	})
	return out, err
}

func (a *API) deleteMessage(ctx context.Context, c *caller, in *idInput) (*struct{}, error) {
	return nil, a.onMessage(ctx, c, in.ID, "delete", func(tx store.Tx) error { return a.Outbox.Delete(tx, in.ID) })
}

// onMessage changes a message in the transaction that looks whether the caller may,
// and records that. Whoever may not does not learn whether there is one.
func (a *API) onMessage(ctx context.Context, c *caller, id, what string, change func(store.Tx) error) error {
	return a.Store.Update(ctx, func(tx store.Tx) error {
		e, err := a.Outbox.Get(tx, id)
		if err != nil && !errors.Is(err, notify.ErrUnknown) {
			return err
		}
		if may := a.may(tx, c, account.Update, e.Realm); may != nil {
			return may
		}
		if err != nil {
			return err
		}
		if err := change(tx); err != nil {
			return err
		}
		return a.record(tx, c, audit.Event{Kind: audit.KindOutbox, Outcome: audit.OK, Principal: e.Person, Method: what,
			Detail: map[string]string{"message": e.ID, "text": string(e.Kind)}})
	})
}
