package trench

import (
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// More of the original's words.
const (
	noSuchMethod   = "Requested MFA method does not exists" // of 0.2, as it is written there
	noRegeneration = "Backup codes regeneration is not allowed."
	useApp         = "Generate code using your authenticator app."
)

// about is the form in which 0.3 refuses: under the field where a code was sent.
func (f *Facade) about(code, text string) *answer {
	if code != "" {
		return f.aboutCode(text)
	}
	return failed(text)
}

// unfit refuses in 0.3 what cannot be done with a method that is not active.
func (f *Facade) unfit(v view, code string) *answer {
	switch {
	case f.old || v.has == isActive:
		return nil
	case v.has == absent:
		return f.about(code, noMethod)
	}
	return f.about(code, notEnabled)
}

// codeFor reads the code of a protected call. Where none is needed 0.2 does not look
// at one, and 0.3 judges what was sent. Whether a missing one is needed the change says.
func (f *Facade) codeFor(c *call, needed bool) (string, *answer) {
	code, refused := f.code(c, needed && !f.old)
	if !needed && f.old {
		code = ""
	}
	return code, refused
}

// refusedChange gives an error of a protected change the original's words.
func (f *Facade) refusedChange(code string, err error) (*answer, error) {
	switch {
	case denied(err) && code != "":
		return f.aboutCode(badCode), nil
	case errors.Is(err, login.ErrNoFactor), errors.Is(err, factor.ErrNoMethod):
		return f.about(code, notEnabled), nil
	case errors.Is(err, factor.ErrNoRegeneration):
		return failed(noRegeneration), nil
	case errors.Is(err, factor.ErrLastFactor):
		return failed("The last factor stays, because two are demanded: set up another one first."), nil
	}
	return nil, err
}

// deactivate takes a method away.
func (f *Facade) deactivate(c *call) (*answer, error) {
	v, err := f.look(c, c.method)
	switch {
	case err != nil:
		return nil, err
	case f.old && v.has == absent:
		return notFound(), nil
	case f.old && v.has != isActive:
		return failed("Method already disabled."), nil
	}
	code, refused := f.codeFor(c, confirmDisable(v.realm))
	if refused == nil {
		refused = f.unfit(v, code)
	}
	if refused != nil {
		return refused, nil
	}
	method, _ := factorOf(c.method)
	err = f.with(c, login.Deactivate, code, func(tx store.Tx, u *account.User) error {
		realm, err := f.Directory.Realm(tx, u.Realm)
		switch {
		case err != nil:
			return err
		case code == "" && confirmDisable(realm):
			return f.aboutCode(noCode)
		case !f.old && u.Factors() > 1 && primary(u, method):
			return failed("Deactivation of MFA method that is set as primary is not allowed.")
		}
		if err := f.Factors.Remove(tx, c.self(), u.ID, method, ""); err != nil {
			return err
		}
		return f.goOn(tx, c)
	})
	if err != nil {
		return f.refusedChange(code, err)
	}
	return done(), nil
}

func primary(u *account.User, method factor.Name) bool {
	for _, m := range u.Methods {
		if m.Name == string(method) {
			return m.Primary
		}
	}
	return false
}

// regenerate makes new backup codes.
func (f *Facade) regenerate(c *call) (*answer, error) {
	v, err := f.look(c, c.method)
	switch {
	case err != nil:
		return nil, err
	case f.old && v.has == absent:
		return notFound(), nil
	case f.old && v.has != isActive:
		return failed("Method is disabled."), nil
	case !on(v.realm.AllowRegenerate):
		return failed(noRegeneration), nil
	}
	code, refused := f.codeFor(c, confirmRegenerate(v.realm))
	if refused == nil {
		refused = f.unfit(v, code)
	}
	if refused != nil {
		return refused, nil
	}
	return f.renew(c, code)
}

// renew makes them for a code, or without one where the realm wants none.
func (f *Facade) renew(c *call, code string) (*answer, error) {
	var codes []string
	err := f.with(c, login.Regenerate, code, func(tx store.Tx, u *account.User) error {
		realm, err := f.Directory.Realm(tx, u.Realm)
		if err != nil {
			return err
		}
		if code == "" && confirmRegenerate(realm) {
			return f.aboutCode(noCode)
		}
		codes, err = f.Factors.NewRecoveryCodes(tx, c.self(), u.ID)
		return err
	})
	if err != nil {
		return f.refusedChange(code, err)
	}
	return backup(codes), nil
}

// regenerateNamed is regenerate at the path that the original's manual names, with the
// method in the body. The original itself does not answer there.
func (f *Facade) regenerateNamed(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	name, sent := in.name("method")
	if refused := in.refused(); refused != nil {
		return refused, nil
	}
	if !sent {
		return fieldAnswer("method", drf.Required), nil
	}
	if _, known := factorOf(name); !known {
		return fieldAnswer("method", f.unknownMethod()), nil
	}
	c.method = name
	return f.regenerate(c)
}

func (f *Facade) unknownMethod() string {
	if f.old {
		return noSuchMethod
	}
	return noMethod
}

type messageBody struct {
	Message string `json:"message"`
}

// requestCode sends a code. An authenticator makes its own, and its seed is shown
// until its first good code alone.
func (f *Facade) requestCode(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	name, sent := in.name("method")
	if refused := in.refused(); refused != nil {
		return refused, nil
	}
	if _, known := factorOf(name); sent && !known {
		return fieldAnswer("method", f.unknownMethod()), nil
	}
	if f.old && !sent { // a bug of the original: a set in place of an object
		return &answer{status: http.StatusBadRequest, body: []string{"error", noSuchMethod}}, nil
	}
	v, err := f.look(c, name)
	switch {
	case err != nil:
		return nil, err
	case v.has == isActive && f.old:
		return ok(messageBody{useApp}), nil
	case v.has == isActive:
		return ok(detailsBody{useApp}), nil
	case f.old:
		return notFound(), nil
	case v.has == pending:
		return f.seed(v.seed, c.live.Identity.Name)
	}
	return failed(noMethod), nil
}

type configBody struct {
	Methods           any  `json:"methods"`
	ConfirmDisable    bool `json:"confirm_disable_with_code"`
	ConfirmRegenerate bool `json:"confirm_regeneration_with_code"`
	AllowRegenerate   bool `json:"allow_backup_codes_regeneration"`
}

// config shows what the realm's settings say.
func (f *Facade) config(c *call) (*answer, error) {
	var realm account.Realm
	err := f.Store.View(c.r.Context(), func(tx store.Tx) (err error) {
		realm, err = f.Directory.RealmToBe(tx, f.realm)
		return err
	})
	if err != nil {
		return nil, err
	}
	names := configured(realm)
	body := configBody{Methods: names, ConfirmDisable: confirmDisable(realm),
		ConfirmRegenerate: confirmRegenerate(realm), AllowRegenerate: on(realm.AllowRegenerate)}
	if f.old {
		pairs := [][2]string{}
		for _, name := range names {
			pairs = append(pairs, [2]string{name, label(realm, name)})
		}
		body.Methods = pairs
	}
	return ok(body), nil
}

// label is how the realm calls a method: by the name of the wire or our own.
func label(realm account.Realm, name string) string {
	method, _ := factorOf(name)
	for _, key := range []string{name, string(method)} {
		if text := realm.MethodLabels[key]; text != "" {
			return text
		}
	}
	return name
}

// activeMethods lists what the caller has.
func (f *Facade) activeMethods(c *call) (*answer, error) {
	list := []methodBody{}
	err := f.Store.View(c.r.Context(), func(tx store.Tx) error {
		all, err := f.Factors.Methods(tx, c.live.Identity.ID)
		for _, m := range all {
			if m.Active {
				list = append(list, methodBody{Name: nameOf(m.Name), IsPrimary: m.Primary})
			}
		}
		return err
	})
	return ok(list), err
}

// changePrimary makes another method the one that is asked for first.
func (f *Facade) changePrimary(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	v, err := f.look(c, "")
	if err != nil {
		return nil, err
	}
	name, code, refused := f.choose(in, configured(v.realm))
	if refused != nil {
		return refused, nil
	}
	target, err := f.look(c, name)
	switch {
	case err != nil:
		return nil, err
	case f.old && v.primary == "":
		return f.aboutCode(notEnabled), nil
	case f.old && target.has != isActive:
		return f.aboutCode("Target method does not exist or is not active"), nil
	case target.has == absent:
		return f.aboutCode(noMethod), nil
	case target.has != isActive:
		return failed("MFA Method selected as new primary method is not active"), nil
	}
	method, _ := factorOf(name)
	err = f.Doors.WithCode(c.r.Context(), c.live, login.Primary, code, c.client, func(tx store.Tx, u *account.User) error {
		return f.Factors.SetPrimary(tx, c.self(), u.ID, method)
	})
	switch {
	case denied(err) && f.old:
		return f.aboutCode(badLogin), nil
	case err != nil:
		return f.refusedChange(code, err)
	case f.old:
		return f.activeMethods(c)
	}
	return done(), nil
}

// choose reads what changePrimary needs: 0.2 says at once what is wrong with both
// fields, 0.3 looks at the method first.
func (f *Facade) choose(in *fields, names []string) (name, code string, refused *answer) {
	if f.old {
		code, _ = in.text("code", true)
		name, _ = in.choice("method", names)
		return name, typed(code), in.refused()
	}
	if name, _ = in.choice("method", names); len(in.wrong) == 0 {
		code, _ = in.text("code", true)
	}
	return name, typed(code), in.refused()
}
