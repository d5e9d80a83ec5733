package portal

import (
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

type sessionLine struct {
	ID, Agent, Client, Created, Seen string
	This                             bool
}

type sessionsBody struct {
	Sessions []sessionLine
	Others   bool // there are some besides this one
}

// sessionsPage lists where the person is signed in. Ending a session takes
// something away and gives nothing, so it asks for no code: who has just lost
// a phone must be able to do it.
func sessionsPage(x *exchange) error {
	var all []session.Session
	err := x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		all, err = x.p.sessions.List(tx, x.live.Identity.ID)
		return err
	})
	if err != nil {
		return err
	}
	lines := make([]sessionLine, 0, len(all))
	for _, s := range all {
		line := sessionLine{
			ID: s.ID, Agent: x.p.agent(s.Origin.UserAgent), Client: x.p.say("sessions.nowhere"), This: s.ID == x.live.ID,
			Created: x.p.moment(s.Created), Seen: x.p.moment(s.LastSeen),
		}
		if s.Origin.Client.IsValid() {
			line.Client = s.Origin.Client.String()
		}
		lines = append(lines, line)
	}
	notices := map[string]string{"ended": "sessions.ended", "others": "sessions.all-ended"}
	v := view{Title: x.p.say("sessions.title"), Body: sessionsBody{Sessions: lines, Others: len(lines) > 1}}
	if key, ok := notices[x.query["m"]]; ok {
		v.Notice = x.p.say(key)
	}
	return x.page(http.StatusOK, "sessions", v)
}

// sessionEnd ends one of the person's own sessions. An id of somebody else's
// is answered like one that does not exist.
func sessionEnd(x *exchange) error {
	id := x.form["id"]
	err := x.change(func(tx store.Tx) error {
		s, err := x.p.sessions.Get(tx, id)
		if err != nil {
			return err
		}
		if s.Principal != x.live.Identity.ID {
			return session.ErrNone
		}
		if err := x.p.sessions.Revoke(tx, id); err != nil {
			return err
		}
		return x.recordRevocation(tx, id)
	})
	if errors.Is(err, session.ErrNone) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return x.see("/sallyport/account/sessions?m=ended")
}

// sessionsEndOthers ends all of the person's sessions but this one, and the trust in all
// browsers, this one too: whoever suspects a thief does not say which one is the thief's.
func sessionsEndOthers(x *exchange) error {
	err := x.change(func(tx store.Tx) error {
		if err := x.distrustAll(tx); err != nil {
			return err
		}
		n, err := x.p.sessions.RevokeAll(tx, x.live.Identity.ID, x.live.ID)
		if err != nil || n == 0 {
			return err
		}
		return x.recordRevocation(tx, "")
	})
	if err != nil {
		return err
	}
	x.dropTrust()
	return x.see("/sallyport/account/sessions?m=others")
}

// recordRevocation tells the audit log that a person ended sessions of his own.
func (x *exchange) recordRevocation(tx store.Tx, id string) error {
	detail := map[string]string{"ended": id}
	if id == "" {
		detail = map[string]string{"ended": "all others"}
	}
	return x.p.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindSessionRevoke, Outcome: audit.OK,
		Principal: x.live.Identity.ID, Name: x.name(),
		Client: x.p.client(x.r), Session: x.live.ID, Detail: detail,
	})
}
