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
	return x.inviteView(http.StatusOK, fault{})
}

func (x *exchange) inviteView(status int, f fault) error {
	return x.page(status, "invite", view{Title: x.p.say("invite.title"), Alert: f.text, Wrong: f.fields, Body: inviteForm{
		ID: x.id, Name: x.state.Name + "@" + x.state.Realm,
	}})
}

// inviteSubmit burns the invitation and goes on as after the first door.
func inviteSubmit(x *exchange) error {
	if f := x.newPassword(); f.text != "" {
		return x.inviteView(http.StatusUnprocessableEntity, f)
	}
	next, err := x.p.doors.InviteFinish(x.context(), x.token, x.form["new_password"], x.caller(), login.Portal)
	if f := x.refusal(err); f.text != "" {
		return x.inviteView(http.StatusUnprocessableEntity, f)
	}
	if err != nil {
		return x.endedLink(err, "invite.expired")
	}
	return x.advance(next)
}
