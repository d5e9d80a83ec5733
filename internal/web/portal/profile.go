package portal

import (
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const profilePath = "/sallyport/account/profile"

type profileBody struct {
	FullName, Email, Phone string
	Unconfirmed            bool // nobody but the person says that Email is theirs
	Key                    string
}

// profilePage shows what the person may change of the own record.
func profilePage(x *exchange) error { return x.profileView(http.StatusOK, "") }

func (x *exchange) profileView(status int, alert string) error {
	var u *account.User
	err := x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		u, err = x.p.directory.ByID(tx, x.live.Identity.ID)
		return err
	})
	if err != nil {
		return err
	}
	b := profileBody{FullName: u.FullName, Email: u.Email, Phone: u.Phone, Unconfirmed: u.Email != "" && u.Unconfirmed, Key: x.pageKey("profile", "")}
	if alert != "" {
		b.FullName = x.form["full_name"]
	}
	notices := map[string]string{"name": "profile.named", "email": "profile.email-changed", "phone": "profile.phone-changed", "gone": "profile.gone"}
	v := view{Title: x.p.say("profile.title"), Alert: alert, Wrong: []string{"full_name"}, Body: b}
	if key, ok := notices[x.query["m"]]; ok {
		v.Notice = x.p.say(key)
	}
	return x.page(status, "profile", v)
}

// profileName changes the full name. It opens nothing, and asks for no code.
func profileName(x *exchange) error {
	if !x.fromPage("profile", "") {
		return errForeign
	}
	name, ok := x.form["full_name"]
	if !ok {
		return errMalformed
	}
	err := x.change(func(tx store.Tx) error {
		_, err := x.p.directory.Update(tx, x.self(), x.live.Identity.ID, account.Change{FullName: &name})
		return err
	})
	if errors.Is(err, account.ErrInvalid) {
		return x.profileView(http.StatusUnprocessableEntity, x.p.say("profile.name-bad"))
	}
	if err != nil {
		return err
	}
	return x.see(profilePath + "?m=name")
}

// target is one of the two fields where messages reach a person, and its pages.
type target struct {
	field                    account.Field
	path, title, label, kind string
	changed                  string // the word for the notice
}

func emailTarget() target {
	return target{account.EmailField, "/sallyport/account/email", "target.email", "target.email-label", "email", "email"}
}

func phoneTarget() target {
	return target{account.PhoneField, "/sallyport/account/phone", "target.phone", "target.phone-label", "tel", "phone"}
}

type targetBody struct {
	Action, Now, Label, Value, Kind, Key string
	Code                                 bool
	Sends                                *proofSends
}

// page asks for another address or number, and for a fresh code: codes, and links for a
// new password, go there.
func (t target) page(x *exchange) error { return t.view(x, http.StatusOK, fault{}) }

func (t target) view(x *exchange, status int, f fault) error {
	var u *account.User
	err := x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		u, err = x.p.directory.ByID(tx, x.live.Identity.ID)
		return err
	})
	if err != nil {
		return err
	}
	b := targetBody{Action: t.path, Now: u.Email, Label: x.p.say(t.label), Value: x.form["target"], Kind: t.kind, Key: x.pageKey("target", string(t.field)), Code: x.hasFactor()}
	if t.field == account.PhoneField {
		b.Now = u.Phone
	}
	var notice string
	if b.Sends, notice, err = x.sends(t.path); err != nil {
		return err
	}
	return x.page(status, "target", view{Title: x.p.say(t.title), Alert: f.text, Wrong: f.fields, Notice: notice, Body: b})
}

// submit sends a code to the new address or number; with "remove" it takes the old one
// away. Whoever has a factor proves it in this very request; whoever has none gave the
// password a moment ago.
func (t target) submit(x *exchange) error {
	if !x.fromPage("target", string(t.field)) {
		return errForeign
	}
	value := x.form["target"]
	remove := x.form["remove"] != ""
	if remove {
		value = ""
	} else if value == "" {
		return t.view(x, http.StatusUnprocessableEntity, fault{x.p.say("profile.invalid"), []string{"target"}})
	}
	var alert string
	var err error
	if x.hasFactor() {
		alert, err = x.proved(func(tx store.Tx, u *account.User) error {
			_, err := x.p.doors.BeginTarget(tx, u, x.live, t.field, value, x.caller())
			return err
		})
	} else {
		_, err = x.p.doors.ChangeTarget(x.context(), x.live, t.field, value, x.caller())
	}
	if alert, status := x.unmade(err); alert != "" {
		return t.view(x, status, fault{alert, []string{"target"}})
	}
	switch {
	case denied(err):
		return errSignIn
	case err != nil:
		return err
	case alert != "":
		return t.view(x, http.StatusUnauthorized, fault{alert, []string{"code"}})
	case remove:
		return x.see(profilePath + "?m=gone")
	}
	return x.see(t.path + "/confirm")
}

// confirmPage takes the code that was sent to the new address or number.
func (t target) confirmPage(x *exchange) error { return t.confirmView(x, http.StatusOK, "") }

func (t target) confirmView(x *exchange, status int, alert string) error {
	b := firstBody{About: x.p.say("target.sent"), Action: t.path + "/confirm", Key: x.pageKey("target-code", string(t.field)), Digits: true}
	b.Label, b.Hint = x.fieldOf(factor.Email)
	return x.page(status, "account-code", view{Title: x.p.say("target.confirm"), Alert: alert, Body: b})
}

func (t target) confirm(x *exchange) error {
	if !x.fromPage("target-code", string(t.field)) {
		return errForeign
	}
	refused := func() error { return t.confirmView(x, http.StatusUnauthorized, x.refusedCode(factor.Email)) }
	if x.form["code"] == "" {
		return refused()
	}
	err := x.p.doors.FinishTarget(x.context(), x.live, t.field, x.form["code"], x.caller())
	if errors.Is(err, factor.ErrDenied) {
		return refused()
	}
	if alert, status := x.unmade(err); alert != "" {
		return t.confirmView(x, status, alert)
	}
	switch {
	case errors.Is(err, factor.ErrNoPending):
		return x.message(http.StatusConflict, message{Title: x.p.say("enroll.nothing"), Text: x.p.say("target.nothing"),
			Link: t.path, LinkText: x.p.say("proof.back")})
	case denied(err):
		return errSignIn
	case err != nil:
		return err
	}
	return x.see(profilePath + "?m=" + t.changed)
}
