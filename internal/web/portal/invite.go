package portal

import (
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

type inviteForm struct{ ID, Name string }

// invitePage trades an invitation for a cookie, as setupPage does.
func invitePage(x *exchange) error {
	if token := x.query["token"]; token != "" {
		return x.trade(token, "/sallyport/invite", func() (secret.Token, error) {
			return x.p.doors.TradeInvite(x.context(), token)
		})
	}
	if err := x.admit(invited); err != nil {
		return x.endedLink(err, "invite.expired")
	}
	return x.inviteView(http.StatusOK, "")
}

func (x *exchange) inviteView(status int, alert string) error {
	return x.page(status, "invite", view{Title: x.p.say("invite.title"), Alert: alert, Body: inviteForm{
		ID: x.id, Name: x.state.Name + "@" + x.state.Realm,
	}})
}

// inviteSubmit burns the invitation and goes on as after the first door.
func inviteSubmit(x *exchange) error {
	if alert := x.newPassword(); alert != "" {
		return x.inviteView(http.StatusUnprocessableEntity, alert)
	}
	next, err := x.p.doors.InviteFinish(x.context(), x.token, x.form["new_password"], x.caller(), login.Portal)
	if alert := x.refusal(err); alert != "" {
		return x.inviteView(http.StatusUnprocessableEntity, alert)
	}
	if err != nil {
		return x.endedLink(err, "invite.expired")
	}
	return x.advance(next)
}
