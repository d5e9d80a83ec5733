package trench

import (
	"errors"
	"net/http"
	"slices"

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
	method := c.names.factor(c.method)
	v, err := f.look(c, method)
	switch {
	case err != nil:
		return nil, err
	case f.old && v.has == absent:
		return notFound(), nil
	case f.old && v.has != isActive:
		return failed("Method already disabled."), nil
	}
	next, code, refused, err := f.leaving(c, v, method)
	switch {
	case err != nil:
		return nil, err
	case refused != nil:
		return refused, nil
	}
	err = f.with(c, login.Deactivate, code, func(tx store.Tx, u *account.User) error {
		realm, err := f.Directory.Realm(tx, u.Realm)
		switch {
		case err != nil:
			return err
		case code == "" && confirmDisable(realm):
			return f.aboutCode(noCode)
		case !f.old && u.Factors() > 1 && primaryOf(u) == method:
			return failed("Deactivation of MFA method that is set as primary is not allowed.")
		}
		if next != "" {
			if err := f.Factors.SetPrimary(tx, c.self(), u.ID, next); err != nil {
				return err
			}
		}
		if err := f.Factors.Remove(tx, c.self(), u.ID, method, ""); err != nil {
			return err
		}
		return f.goOn(tx, c)
	}, method)
	if err != nil {
		return f.refusedChange(code, err)
	}
	return done(), nil
}

// leaving reads what deactivate needs: the code, and in 0.2, where the primary method
// goes and more than one is left, the one that takes its place.
func (f *Facade) leaving(c *call, v view, method factor.Name) (next factor.Name, code string, refused *answer, err error) {
	if !f.old || v.primary != method || v.active <= 2 {
		if code, refused = f.codeFor(c, confirmDisable(v.realm)); refused == nil {
			refused = f.unfit(v, code)
		}
		return "", code, refused, nil
	}
	in, refused := c.fields()
	if refused != nil {
		return "", "", refused, nil
	}
	code, _ = in.text("code", false)
	if name, sent := in.must("new_primary_method"); sent {
		if next, err = f.heir(c, in, name, method); err != nil {
			return "", "", nil, err
		}
	}
	if !confirmDisable(v.realm) {
		code = ""
	}
	return next, typed(code), in.refused(), nil
}

// heir is the method that shall be the primary one when another goes. What is wrong
// with it is noted in the fields.
func (f *Facade) heir(c *call, in *fields, name string, leaves factor.Name) (factor.Name, error) {
	const field = "new_primary_method"
	next := c.names.factor(name)
	if next == leaves {
		in.bad(field, "MFA Method to be deactivated cannot be chosen as new primary method.")
		return "", nil
	}
	v, err := f.look(c, next)
	switch {
	case err != nil:
		return "", err
	case next == "" || v.has == absent:
		in.bad(field, "Selected new primary MFA method is not registered for current user.")
	case v.has != isActive:
		in.bad(field, "MFA Method selected as new primary method is not active")
	}
	return next, nil
}

// regenerate makes new backup codes.
func (f *Facade) regenerate(c *call) (*answer, error) {
	method := c.names.factor(c.method)
	v, err := f.look(c, method)
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
	return f.renew(c, method, code)
}

// renew makes them for a code of a method, or without one where the realm wants none.
func (f *Facade) renew(c *call, method factor.Name, code string) (*answer, error) {
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
	}, method)
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
	if !c.names.offers(name) {
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

// requestCode sends a code of a method that sends. Others make their own, and what makes
// them is shown until the first good code alone.
func (f *Facade) requestCode(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	name, sent := in.name("method")
	if refused := in.refused(); refused != nil {
		return refused, nil
	}
	if sent && !c.names.offers(name) {
		return fieldAnswer("method", f.unknownMethod()), nil
	}
	if f.old && !sent { // a bug of the original: a set in place of an object
		return &answer{status: http.StatusBadRequest, body: []string{"error", noSuchMethod}}, nil
	}
	method := c.names.factor(name)
	v, err := f.look(c, method)
	switch {
	case err != nil:
		return nil, err
	case v.has == isActive:
		if method == "" {
			method = v.primary
		}
		return f.codeOf(c, method)
	case f.old:
		return notFound(), nil
	case v.has == pending && method == factor.TOTP:
		return f.seed(v.seed, c.live.Identity.Name)
	case v.has == pending:
		return f.begin(c, method, v.wanted)
	}
	return failed(noMethod), nil
}

// codeOf sends a code of a method that is active, or says where it is to be found.
func (f *Facade) codeOf(c *call, method factor.Name) (*answer, error) {
	if !factor.Sendable(method) {
		return f.whereIs(method), nil
	}
	if _, err := f.Doors.ChallengeOwn(c.r.Context(), c.live, method, c.client); err != nil {
		return f.undelivered(err)
	}
	return f.whereIs(method), nil
}

type configBody struct {
	Methods           any  `json:"methods"`
	ConfirmDisable    bool `json:"confirm_disable_with_code"`
	ConfirmRegenerate bool `json:"confirm_regeneration_with_code"`
	AllowRegenerate   bool `json:"allow_backup_codes_regeneration"`
}

// config shows what the realm's settings say.
func (f *Facade) config(c *call) (*answer, error) {
	realm := c.names.realm
	all := c.names.all()
	body := configBody{Methods: all, ConfirmDisable: confirmDisable(realm),
		ConfirmRegenerate: confirmRegenerate(realm), AllowRegenerate: on(realm.AllowRegenerate)}
	if f.old {
		pairs := [][2]string{}
		for _, name := range all {
			pairs = append(pairs, [2]string{name, c.names.label(name)})
		}
		body.Methods = pairs
	}
	return ok(body), nil
}

// activeMethods lists what the caller has, the primary method first.
func (f *Facade) activeMethods(c *call) (*answer, error) {
	var list []methodBody
	err := f.Store.View(c.r.Context(), func(tx store.Tx) error {
		list = []methodBody{}
		u, err := f.Directory.ByID(tx, c.live.Identity.ID)
		if err != nil {
			return err
		}
		for _, m := range u.Methods {
			one := methodBody{Name: c.names.of(factor.Name(m.Name)), IsPrimary: m.Primary}
			if m.Primary {
				list = slices.Insert(list, 0, one)
				continue
			}
			list = append(list, one)
		}
		return nil
	})
	return ok(list), err
}

// changePrimary makes another method the one that is asked for first.
func (f *Facade) changePrimary(c *call) (*answer, error) {
	in, refused := c.fields()
	if refused != nil {
		return refused, nil
	}
	name, code, refused := f.choose(in, c.names)
	if refused != nil {
		return refused, nil
	}
	method := c.names.factor(name)
	target, err := f.look(c, method)
	switch {
	case err != nil:
		return nil, err
	case f.old && target.primary == "":
		return f.aboutCode(notEnabled), nil
	case f.old && target.has != isActive:
		return f.aboutCode("Target method does not exist or is not active"), nil
	case target.has == absent:
		return f.aboutCode(noMethod), nil
	case target.has != isActive:
		return failed("MFA Method selected as new primary method is not active"), nil
	}
	of := func(u *account.User) []factor.Name {
		if f.old {
			return []factor.Name{primaryOf(u)}
		}
		return []factor.Name{method, primaryOf(u)} // the new one's, or as 0.3.1 had it the old one's
	}
	err = f.Doors.WithCode(c.r.Context(), c.live, login.Primary, of, code, c.client, func(tx store.Tx, u *account.User) error {
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
func (f *Facade) choose(in *fields, n names) (name, code string, refused *answer) {
	if f.old {
		code, _ = in.text("code", true)
		name, _ = in.choice("method", n.offers)
		return name, typed(code), in.refused()
	}
	if name, _ = in.choice("method", n.offers); len(in.wrong) == 0 {
		code, _ = in.text("code", true)
	}
	return name, typed(code), in.refused()
}
