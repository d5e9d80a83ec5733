package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const factorsPath = "/sallyport/account/factors"

type factorLine struct {
	Text, Label, Target, Added, Used string
	Method                           factor.Name
	Primary, Active                  bool
	Confirm, First, Remove           string // addresses; "": not offered
}

type factorsBody struct {
	Factors []factorLine
	Key     string
	Add     bool
	Codes   bool // there are recovery codes to renew
}

// methodText is a method as a heading.
func (x *exchange) methodText(method factor.Name) string {
	if method == factor.Passkey {
		return x.p.say("factors.passkey")
	}
	text, _ := x.choiceText(method)
	return text
}

// factorAt is a page about a method, or a device of it.
func factorAt(page string, method factor.Name, id string) string {
	q := url.Values{"way": {string(method)}}
	if id != "" {
		q.Set("id", id)
	}
	return factorsPath + "/" + page + "?" + q.Encode()
}

// factorsPage lists what the person proves himself with, and what waits for its first
// code.
func factorsPage(x *exchange) error {
	var all []factor.Method
	var offered []factor.Name
	err := x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		if all, err = x.p.factors.Methods(tx, x.live.Identity.ID); err == nil {
			offered, err = x.offered(tx)
		}
		return err
	})
	if err != nil {
		return err
	}
	b := factorsBody{Key: x.pageKey("factors", ""), Add: len(offered) > 0, Codes: x.hasFactor()}
	for _, m := range all {
		line := factorLine{Text: x.methodText(m.Name), Label: m.Label, Target: m.Target, Method: m.Name, Primary: m.Primary, Active: m.Active}
		switch {
		case m.Active:
			line.Added, line.Used = x.since("factors.added", m.AddedAt), x.since("factors.used", m.LastUsedAt)
			line.Remove = factorAt("remove", m.Name, m.ID)
			if !m.Primary {
				line.First = factorAt("primary", m.Name, "")
			}
		case m.Name != factor.Passkey: // a passkey is begun anew
			line.Confirm = factorAt("confirm", m.Name, "")
		}
		b.Factors = append(b.Factors, line)
	}
	notices := map[string]string{"added": "factors.changed", "removed": "factors.removed", "primary": "factors.first", "dropped": "factors.dropped"}
	v := view{Title: x.p.say("factors.title"), Body: b}
	if key, ok := notices[x.query["m"]]; ok {
		v.Notice = x.p.say(key)
	}
	return x.page(http.StatusOK, "factors", v)
}

// since says when something was, "" where it never was.
func (x *exchange) since(key string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return x.p.say(key, x.p.moment(t))
}

// addBody is the page on which a method is begun: a choice, or the fields of the chosen.
type addBody struct {
	Choices               []addChoice
	Method                factor.Name
	About                 string
	Label, Target         string // as typed
	Named, Replaces       bool   // has a name; may take the place of others
	Replace               bool   // asked for
	Kind, TargetLabel     string // of the field for another address or number; "": none
	TargetHint, Autofills string
	Sends                 *proofSends
}

type addChoice struct{ Link, Text, Hint string }

// factorAddPage offers what may be set up. Whoever has no factor yet goes the way of a
// login that demands one.
func factorAddPage(x *exchange) error { return x.factorAddView(http.StatusOK, fault{}) }

func (x *exchange) factorAddView(status int, f fault) error {
	if !x.hasFactor() {
		return x.page(status, "confirm", view{Title: x.p.say("factors.add-title"), Alert: f.text, Body: confirmBody{
			About: x.p.say("factors.add-first"), Action: factorsPath + "/add", Submit: x.p.say("totp.submit")}})
	}
	var offered []factor.Name
	var u *account.User
	err := x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		if offered, err = x.offered(tx); err == nil {
			u, err = x.p.directory.ByID(tx, x.live.Identity.ID)
		}
		return err
	})
	if err != nil {
		return err
	}
	method := factor.Name(x.param("way"))
	if method == "" {
		return x.page(status, "factor-add", view{Title: x.p.say("factors.add-title"), Body: x.addChoices(offered)})
	}
	if method == factor.Passkey || !slices.Contains(offered, method) {
		return errNotFound
	}
	b := addBody{Method: method, Label: x.form["label"], Target: x.form["target"], Replace: x.form["replace"] != "",
		Named: !factor.Sendable(method)}
	_, b.About = x.choiceText(method)
	switch method {
	case factor.TOTP:
		b.Replaces = slices.ContainsFunc(u.Methods, func(m account.Method) bool { return m.Name == string(factor.TOTP) })
	case factor.Email:
		b.Kind, b.Autofills, b.TargetLabel, b.TargetHint = "email", "email", x.p.say("factors.email"), x.targetHint(u.Email)
	case factor.SMS:
		b.Kind, b.Autofills, b.TargetLabel, b.TargetHint = "tel", "tel", x.p.say("factors.phone"), x.targetHint(u.Phone)
	}
	var notice string
	if b.Sends, notice, err = x.sends(factorAt("add", method, "")); err != nil {
		return err
	}
	return x.page(status, "factor-add", view{Title: x.methodText(method), Alert: f.text, Wrong: f.fields, Notice: notice, Body: b})
}

func (x *exchange) targetHint(own string) string {
	if own == "" {
		return x.p.say("factors.target-none")
	}
	return x.p.say("factors.target", own)
}

func (x *exchange) addChoices(offered []factor.Name) (b addBody) {
	for _, method := range offered {
		if method == factor.Passkey {
			b.Choices = append(b.Choices, addChoice{"/sallyport/account/passkey", x.methodText(method), x.p.say("factors.passkey-hint")})
			continue
		}
		text, hint := x.choiceText(method)
		b.Choices = append(b.Choices, addChoice{factorAt("add", method, ""), text, hint})
	}
	return b
}

// factorBegin begins a method, for a fresh code of one that the person has.
func factorBegin(x *exchange) error {
	if !x.hasFactor() {
		next, err := x.p.doors.StepUp(x.context(), x.live, x.caller(), factorsPath+"?m=added")
		if err != nil {
			return err
		}
		return x.advance(next)
	}
	method := factor.Name(x.form["way"])
	if method == "" || method == factor.Passkey {
		return errMalformed
	}
	o := factor.EnrollOptions{Method: method, Name: x.form["label"], Beside: x.form["replace"] == ""}
	if method == factor.Email || method == factor.SMS {
		o.Target = x.form["target"]
	}
	if factor.Sendable(method) {
		o.Name, o.Beside = "", false // there is one address, or number
	}
	if account.ValidLabel(o.Name) != nil {
		return x.factorAddView(http.StatusUnprocessableEntity, fault{x.p.say("passkey.label-bad"), []string{"label"}})
	}
	alert, err := x.proved(func(tx store.Tx, u *account.User) error {
		_, err := x.p.doors.Begin(tx, u, x.live, o, x.caller())
		return err
	})
	if errors.Is(err, factor.ErrUnknownMethod) {
		return errNotFound
	}
	if alert, status := x.unmade(err); alert != "" {
		return x.factorAddView(status, fault{alert, []string{"target"}})
	}
	if err != nil {
		return err
	}
	if alert != "" {
		return x.factorAddView(http.StatusUnauthorized, fault{alert, []string{"code"}})
	}
	return x.see(factorAt("confirm", method, ""))
}

// firstBody is the page that takes the first code of a method without a picture.
type firstBody struct {
	About, Label, Hint, Key string
	Action, AgainAt         string
	Method                  factor.Name
	Digits                  bool
}

// draft is what waits for its first code, of a method without a picture.
// Errors: errNothingPending.
func (x *exchange) draft(method factor.Name) (d *factor.Draft, err error) {
	if len(typed(method)) == 0 {
		return nil, errNothingPending
	}
	err = x.p.store.View(x.context(), func(tx store.Tx) error {
		d, err = x.p.factors.Waiting(tx, x.live.Identity.ID, method)
		return err
	})
	if err == nil && d == nil {
		err = errNothingPending
	}
	return d, err
}

// draftKey is of the page that asks for the first code of a draft.
func draftKey(method factor.Name, d *factor.Draft) string {
	return string(method) + "\x00" + d.MadeAt.UTC().Format(time.RFC3339Nano)
}

func factorConfirmPage(x *exchange) error { return x.factorConfirmView(http.StatusOK, "", "") }

func (x *exchange) factorConfirmView(status int, alert, notice string) error {
	method := factor.Name(x.param("way"))
	if method == factor.TOTP {
		return x.see("/sallyport/account/totp/confirm")
	}
	d, err := x.draft(method)
	if err != nil {
		return err
	}
	b := firstBody{Method: method, Key: x.pageKey("confirm", draftKey(method, d)), Digits: method != factor.YubiKey, Action: factorsPath + "/confirm"}
	b.Label, b.Hint = x.fieldOf(method)
	title := x.p.say("enroll.title-sent")
	switch to := d.Enrollment().SentTo; {
	case method == factor.YubiKey:
		title, b.About = x.p.say("enroll.title-yubikey"), x.p.say("enroll.yubikey")
	case to != "":
		b.AgainAt, b.About = factorsPath+"/again", x.p.say("enroll.sent", to)
	default:
		b.AgainAt, b.About = factorsPath+"/again", x.p.say("enroll.sent-own", method)
	}
	if x.query["m"] == "again" {
		notice = x.p.say("factors.again")
	}
	return x.page(status, "account-code", view{Title: title, Alert: alert, Notice: notice, Body: b})
}

// factorConfirm takes the first code. All other sessions end, and this one goes on.
func factorConfirm(x *exchange) error {
	method := factor.Name(x.form["way"])
	d, err := x.draft(method)
	if err != nil {
		return err
	}
	if method == factor.TOTP || !x.fromPage("confirm", draftKey(method, d)) {
		return errNothingPending
	}
	if x.form["code"] == "" {
		return x.factorConfirmView(http.StatusUnauthorized, x.refusedCode(method), "")
	}
	codes, err := x.p.doors.FinishMethod(x.context(), x.live, method, x.form["code"], x.caller())
	if errors.Is(err, factor.ErrDenied) || errors.Is(err, factor.ErrReplay) {
		return x.factorConfirmView(http.StatusUnauthorized, x.refusedCode(method), "")
	}
	if alert, status := x.unmade(err); alert != "" {
		return x.factorConfirmView(status, alert, "")
	}
	switch {
	case denied(err):
		return errSignIn
	case err != nil:
		return err
	case len(codes) > 0:
		return x.showCodes(x.name(), codes, factorsPath+"?m=added")
	}
	return x.see(factorsPath + "?m=added")
}

// factorAgain sends another first code.
func factorAgain(x *exchange) error {
	method := factor.Name(x.form["way"])
	d, err := x.draft(method)
	if err != nil {
		return err
	}
	if !x.fromPage("confirm", draftKey(method, d)) {
		return errNothingPending
	}
	err = x.p.doors.Resend(x.context(), x.live, method, x.caller())
	if notice, status := x.notSent(err); notice != "" {
		return x.factorConfirmView(status, "", notice)
	}
	if denied(err) {
		return errSignIn
	}
	if err != nil {
		return err
	}
	return x.see(factorAt("confirm", method, "") + "&m=again")
}

// factorDrop forgets what waits for its first code.
func factorDrop(x *exchange) error {
	if !x.fromPage("factors", "") {
		return errForeign
	}
	err := x.change(func(tx store.Tx) error {
		return x.p.factors.Abandon(tx, x.self(), x.live.Identity.ID, factor.Name(x.form["way"]))
	})
	if err != nil {
		return err
	}
	return x.see(factorsPath + "?m=dropped")
}

// owned is the person's device that the request names. Errors: errNotFound.
func (x *exchange) owned() (factor.Method, error) {
	var all []factor.Method
	err := x.p.store.View(x.context(), func(tx store.Tx) (err error) {
		all, err = x.p.factors.Methods(tx, x.live.Identity.ID)
		return err
	})
	for _, m := range all {
		if m.Active && string(m.Name) == x.param("way") && (x.param("id") == "" || x.param("id") == m.ID) {
			return m, nil
		}
	}
	if err == nil {
		err = errNotFound
	}
	return factor.Method{}, err
}

func factorFirstPage(x *exchange) error { return x.factorFirstView(http.StatusOK, "") }

func (x *exchange) factorFirstView(status int, alert string) error {
	m, err := x.owned()
	if err != nil {
		return err
	}
	return x.asking(status, x.p.say("factors.first-title"), alert, factorAt("primary", m.Name, ""), confirmBody{
		About: x.p.say("factors.first-about", x.methodText(m.Name)), Action: factorsPath + "/primary", Submit: x.p.say("factors.make-first"),
		Code: true, Hidden: map[string]string{"way": string(m.Name)}})
}

// factorFirst makes a method the one that is asked for first.
func factorFirst(x *exchange) error {
	m, err := x.owned()
	if err != nil {
		return err
	}
	alert, err := x.proved(func(tx store.Tx, u *account.User) error {
		return x.p.factors.SetPrimary(tx, x.self(), u.ID, m.Name)
	})
	if err != nil {
		return err
	}
	if alert != "" {
		return x.factorFirstView(http.StatusUnauthorized, alert)
	}
	return x.see(factorsPath + "?m=primary")
}

func factorRemovePage(x *exchange) error { return x.factorRemoveView(http.StatusOK, "") }

func (x *exchange) factorRemoveView(status int, alert string) error {
	m, err := x.owned()
	if err != nil {
		return err
	}
	name := x.methodText(m.Name)
	switch {
	case m.Label != "":
		name = x.p.say("factors.named", name, m.Label)
	case m.Target != "":
		name = x.p.say("factors.named", name, m.Target)
	}
	hidden := map[string]string{"way": string(m.Name)}
	if x.param("id") != "" {
		hidden["id"] = m.ID
	}
	return x.asking(status, x.p.say("factors.remove-title"), alert, factorAt("remove", m.Name, hidden["id"]), confirmBody{
		About: x.p.say("factors.remove-about", name), Action: factorsPath + "/remove", Submit: x.p.say("factors.remove"),
		Code: true, Hidden: hidden})
}

// factorRemove takes a device away. The last one stays where two factors are demanded:
// that is decided with the removal, and the code stays good.
func factorRemove(x *exchange) error {
	m, err := x.owned()
	if err != nil {
		return err
	}
	alert, err := x.proved(func(tx store.Tx, u *account.User) error {
		if err := x.p.factors.Remove(tx, x.self(), u.ID, m.Name, x.form["id"]); err != nil {
			return err
		}
		return x.p.doors.GoOn(tx, u, x.live)
	})
	if alert, status := x.unmade(err); alert != "" {
		return x.factorRemoveView(status, alert)
	}
	if errors.Is(err, factor.ErrNoMethod) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	if alert != "" {
		return x.factorRemoveView(http.StatusUnauthorized, alert)
	}
	return x.see(factorsPath + "?m=removed")
}
