package portal

import "net/http"

type logoutBody struct{ Name string }

func logoutPage(x *exchange) error {
	x.leave()
	v := view{Title: x.p.say("logout.title"), Body: logoutBody{Name: x.name()}}
	if x.live.Identity == nil {
		v.Title = x.p.say("start.nobody")
	}
	return x.page(http.StatusOK, "logout", v)
}

// logoutSubmit ends the session and everything that hangs on it, and goes on
// to the page that the form named, if it is allowed: the login page for
// another account, usually.
func logoutSubmit(x *exchange) error {
	target, given := x.target()
	if x.live.Identity != nil {
		if err := x.p.doors.Logout(x.context(), x.live); err != nil && !denied(err) {
			return err
		}
	}
	x.p.cookies.ClearSession(x.w, x.scheme)
	for id := range x.pendings() {
		x.forget(id)
	}
	if given && target != "" {
		return x.see(target)
	}
	if x.guarded {
		return x.see(x.p.portal + "/sallyport/?m=signedout")
	}
	return x.see("/sallyport/?m=signedout")
}
