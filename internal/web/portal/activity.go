package portal

import (
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	activityAge   = 30 * 24 * time.Hour
	activityMost  = 50
	activityReads = 3 // lists asked for: the newest 30,000 events of everybody, and then no more
)

type activityLine struct {
	Text, Time, Client, Agent, By string
}

type activityBody struct {
	Lines []activityLine
	More  bool // there may be older ones that are not shown
}

// activityPage tells a person what happened in the own account: who does not know of it
// learns here that somebody else is in it. Of an event it says the kind, the time and the
// place, and no detail.
func activityPage(x *exchange) error {
	var b activityBody
	var u *account.User
	agents := map[string]string{}
	err := x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		if u, err = x.p.directory.ByID(tx, x.live.Identity.ID); err != nil {
			return err
		}
		var open []session.Session
		if open, err = x.p.sessions.List(tx, u.ID); err != nil {
			return err
		}
		for _, s := range open {
			agents[s.ID] = s.Origin.UserAgent
		}
		b, err = x.activity(tx, u, agents)
		return err
	})
	if err != nil {
		return err
	}
	return x.page(http.StatusOK, "activity", view{Title: x.p.say("activity.title"), Body: b})
}

// activity reads the newest events of a person. A name may have been another person's
// before: the id decides.
func (x *exchange) activity(tx store.Tx, u *account.User, agents map[string]string) (b activityBody, err error) {
	var cursor audit.Cursor
	for range activityReads {
		var events []audit.Event
		events, cursor, err = x.p.audit.List(tx, cursor, audit.MaxList, audit.Filter{Name: u.Ref().String()})
		if err != nil {
			return b, err
		}
		for i := range events {
			e := &events[i]
			if tx.Now().Sub(e.Time) > activityAge {
				return b, nil
			}
			key := activityText(e)
			if e.Principal != u.ID || key == "" {
				continue
			}
			if len(b.Lines) == activityMost {
				b.More = true
				return b, nil
			}
			b.Lines = append(b.Lines, x.activityLine(u, e, key, agents))
		}
		if cursor == "" {
			return b, nil
		}
	}
	b.More = true
	return b, nil
}

func (x *exchange) activityLine(u *account.User, e *audit.Event, key string, agents map[string]string) activityLine {
	line := activityLine{Text: x.p.say(key), Time: x.p.moment(e.Time)}
	switch method := factor.Name(e.Method); e.Kind {
	case audit.KindFactorAdd, audit.KindFactorRemove, audit.KindFactorPrimary, audit.KindCodeSent:
		if method == factor.Passkey || len(typed(method)) > 0 {
			line.Text = x.p.say("activity.with", line.Text, x.methodText(method))
		}
	}
	if e.Client.IsValid() {
		line.Client = x.p.say("sessions.from", e.Client.String())
	}
	if agent, ok := agents[e.Session]; ok && e.Session != "" {
		line.Agent = x.p.agent(agent)
	}
	if e.Actor != "" && e.Actor != u.Ref().String() {
		line.By = x.p.say("activity.by")
	}
	return line
}

// activityText is the key of an event's sentence, "" where a person need not see it:
// steps of something greater, and what concerns others.
func activityText(e *audit.Event) string {
	done, refused := "", ""
	switch e.Kind {
	case audit.KindLogin:
		done, refused = "activity.login", "activity.login-denied"
	case audit.KindPassword:
		refused = "activity.password-denied"
	case audit.KindCode, audit.KindRecovery:
		refused = "activity.code-denied"
	case audit.KindCodeSent:
		done = "activity.code-sent"
	case audit.KindLogout:
		done = "activity.logout"
	case audit.KindSessionRevoke:
		done = "activity.session-end"
	case audit.KindUserUpdate:
		done = "activity.update"
	case audit.KindUserDisable:
		done = "activity.disable"
	case audit.KindUserEnable:
		done = "activity.enable"
	case audit.KindPasswordChange:
		done, refused = "activity.password", "activity.password-kept"
	case audit.KindResetLink:
		done = "activity.reset-link"
	case audit.KindReset:
		done, refused = "activity.reset", "activity.reset-denied"
	case audit.KindNotMe:
		done = "activity.not-me"
	case audit.KindFactorAdd:
		done, refused = "activity.factor-add", "activity.factor-denied"
	case audit.KindFactorRemove:
		done = "activity.factor-remove"
	case audit.KindFactorReset:
		done = "activity.factor-reset"
	case audit.KindFactorPrimary:
		done = "activity.factor-first"
	case audit.KindRecoveryNew:
		done = "activity.recovery-new"
	case audit.KindTrustedAdd:
		done = "activity.trusted-add"
	case audit.KindTrustedRemove:
		done = "activity.trusted-remove"
	case audit.KindSecretShown:
		done = "activity.secret"
	case audit.KindInvite:
		done = "activity.invite"
	}
	if e.Outcome == audit.OK {
		return done
	}
	return refused
}
