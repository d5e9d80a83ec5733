package trench_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

func (h *house) update(do func(tx store.Tx) error) error { return h.Store.Update(h.Context(), do) }

func (h *house) id(name string) (id principal.ID) {
	h.Helper()
	h.Must(h.update(func(tx store.Tx) error {
		u, err := h.Directory.ByRef(tx, principal.Ref{Name: name, Realm: "trench"})
		if err == nil {
			id = u.ID
		}
		return err
	}))
	return id
}

func (h *house) disable(name string) error {
	id := h.id(name)
	return h.update(func(tx store.Tx) error {
		_, err := h.Directory.SetDisabled(tx, account.Local(), id, true)
		return err
	})
}

// say is one row: what a call answers in either dialect. A status 0 stands for 400.
type say struct {
	status int
	body   string
}

func (h *house) row(what, path, body, auth string, old, new say) {
	h.Helper()
	s := new
	if h.old() {
		s = old
	}
	if s.status == 0 {
		s.status = 400
	}
	h.want(what, h.post(path, body, auth), s.status, s.body)
}

const (
	missingCode = `{"code":["This field is required."]}`
	blankCode   = `{"code":["This field may not be blank."]}`
	badCode     = `{"non_field_errors":["Code invalid or expired."]}`
	badCode3    = `{"code":["Code invalid or expired."]}`
	noOTP       = `{"non_field_errors":["OTP code not provided."]}`
	noMethod    = `{"error":"Requested MFA method does not exist."}`
	noMethod3   = `{"code":["Requested MFA method does not exist."]}`
	notThere    = `{"detail":"Not found."}`
)

func TestActivation(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		const confirm = "/auth/app/activate/confirm/"
		h.row("unknown method", "/auth/sms/activate/", "", auth, say{404, notFoundPage}, say{0, noMethod})
		h.row("confirm of it", "/auth/sms/activate/confirm/", "code=1", auth, say{404, notFoundPage}, say{0, noMethod3})
		h.row("a method that is not configured", "/auth/email/activate/", "method=email", auth, say{404, notFoundPage}, say{0, noMethod})
		h.row("confirm before", confirm, "code=123456", auth, say{404, notThere}, say{0, noMethod3})
		h.row("confirm nothing before", confirm, "", auth, say{404, notThere}, say{0, missingCode})
		if got := h.post("/auth/app/activate/", `{"`, auth); h.old() {
			h.want("a bad body", got, 400, `{"detail":"JSON parse error - Unterminated string starting at: line 1 column 2 (char 1)"}`)
		} else {
			h.object("0.3 does not read it", got, "details")
		}
		h.activate(auth)
		seed := h.activate(auth) // the newest counts
		h.row("nothing", confirm, "", auth, say{0, noOTP}, say{0, missingCode})
		h.row("blank form", confirm, "code=", auth, say{0, noOTP}, say{0, blankCode})
		h.row("blank", confirm, `{"code":""}`, auth, say{0, blankCode}, say{0, blankCode})
		h.row("null", confirm, `{"code":null}`, auth, say{0, `{"code":["This field may not be null."]}`}, say{0, `{"code":["This field may not be null."]}`})
		h.row("no text", confirm, `{"code":[]}`, auth, say{0, `{"code":["Not a valid string."]}`}, say{0, `{"code":["Not a valid string."]}`})
		h.row("wrong", confirm, `{"code":"abc"}`, auth, say{0, badCode}, say{0, badCode3})
		h.confirm(auth, h.code(seed))
		h.row("active", "/auth/app/activate/", "", auth, say{0, `{"error":"MFA method already active."}`}, say{0, `{"error":"MFA method already active."}`})
		h.row("confirm again, the same code", confirm, "code="+h.code(seed), auth, say{0, badCode}, say{0, `{"code":["MFA method already active."]}`})
		h.next()
		if h.old() { // 200 again, and the method stays the primary one
			h.confirm(auth, h.code(seed))
		}
		h.want("still primary", h.get("/auth/mfa/user-active-methods/", auth), 200, `[{"name":"app","is_primary":true}]`)
		h.half("admin")
	})
}

func TestDeactivation(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		const path = "/auth/app/deactivate/"
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		h.row("never active", path, "", auth, say{404, notThere}, say{0, noMethod})
		h.row("never active, with a code", path, "code=1", auth, say{404, notThere}, say{0, noMethod3})
		seed := h.activate(auth)
		h.row("pending", path, "", auth, say{0, `{"error":"Method already disabled."}`}, say{0, `{"error":"2FA is not enabled."}`})
		h.confirm(auth, h.code(seed))
		h.next()
		h.row("a code that is not needed", path, "code="+h.wrong(seed), auth, say{204, ""}, say{0, badCode3})
		if !h.old() {
			h.row("no code", path, "", auth, say{}, say{204, ""})
		}
		h.row("twice", path, "", auth, say{0, `{"error":"Method already disabled."}`}, say{0, `{"error":"2FA is not enabled."}`})
		h.row("twice, with a code", path, "code=123456", auth, say{0, `{"error":"Method already disabled."}`}, say{0, `{"code":["2FA is not enabled."]}`})
		h.row("confirm without asking anew", "/auth/app/activate/confirm/", "code="+h.code(seed), auth, say{0, badCode}, say{0, badCode3})

		h = build(t, dialect, func(s *account.Settings) { yes := true; s.ConfirmDisable = &yes })
		seed, codes := h.person("admin")
		auth = h.second("/auth/", "admin", h.code(seed))
		h.row("no code", path, "", auth, say{0, noOTP}, say{0, missingCode})
		h.row("blank", path, `{"code":" "}`, auth, say{0, blankCode}, say{0, blankCode})
		h.row("wrong", path, `{"code":"`+h.wrong(seed)+`"}`, auth, say{0, badCode}, say{0, badCode3})
		h.row("a backup code", path, `{"code":"`+codes[1]+`"}`, auth, say{204, ""}, say{204, ""})
		h.row("and a new one", "/auth/app/activate/confirm/", "code=1", auth, say{0, badCode}, say{0, badCode3})
	})
}

// Where two are demanded, the last factor goes for nobody's asking, and not without a
// code whatever the settings say.
func TestM9TheLastFactorStays(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect, func(s *account.Settings) { two := 2; s.Factors, s.Enrollment = &two, account.EnrollFirstLogin })
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		seed := h.activate(auth)
		h.confirm(auth, h.code(seed))
		h.next()
		auth = h.second("/auth/", "admin", h.code(seed))
		h.row("no code", "/auth/app/deactivate/", "", auth, say{0, noOTP}, say{0, missingCode})
		stays := `{"error":"The last factor stays, because two are demanded: set up another one first."}`
		h.row("with a code", "/auth/app/deactivate/", "code="+h.code(seed), auth, say{0, stays}, say{0, stays})
		h.half("admin")
	})
}

// Likewise new backup codes, at either path: they are as good as the factor.
func TestBackupCodesNeedACodeWhereTwoFactorsAreDemanded(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect, func(s *account.Settings) {
			two, no := 2, false
			s.Factors, s.Enrollment, s.ConfirmRegenerate = &two, account.EnrollFirstLogin, &no
		})
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		seed := h.activate(auth)
		codes := h.confirm(auth, h.code(seed))
		h.next()
		auth = h.second("/auth/", "admin", h.code(seed))
		h.next()
		h.row("no code", "/auth/app/codes/regenerate/", "", auth, say{0, noOTP}, say{0, missingCode})
		h.row("no code, as the manual has it", "/auth/mfa/codes/regenerate/", "method=app", auth, say{0, noOTP}, say{0, missingCode})
		h.row("wrong", "/auth/app/codes/regenerate/", "code="+h.wrong(seed), auth, say{0, badCode}, say{0, badCode3})
		h.object("a code", h.post("/auth/app/codes/regenerate/", h.form("code", h.code(seed)), auth), "backup_codes")
		h.row("the old ones are dead", "/auth/mfa/codes/regenerate/", h.form("method", "app", "code", codes[0]), auth, say{0, badCode}, say{0, badCode3})
		if got := h.get("/auth/mfa/config/", ""); !strings.Contains(got.Body, `"confirm_regeneration_with_code":true`) {
			t.Errorf("what the configuration says: %s", got.Body)
		}
	})
}

func TestBackupCodes(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		const path = "/auth/app/codes/regenerate/"
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		h.row("never active", path, "code=1", auth, say{404, notThere}, say{0, noMethod3})
		h.activate(auth)
		h.row("pending", path, "code=1", auth, say{0, `{"error":"Method is disabled."}`}, say{0, `{"code":["2FA is not enabled."]}`})
		seed, old := h.person("bob")
		auth = h.second("/auth/", "bob", h.code(seed))
		h.row("no code", path, "", auth, say{0, noOTP}, say{0, missingCode})
		h.row("wrong", path, `{"code":"`+h.wrong(seed)+`"}`, auth, say{0, badCode}, say{0, badCode3})
		new := h.object("regenerate", h.post(path, h.form("code", old[0]), auth), "backup_codes")["backup_codes"].([]any)
		h.row("the old set is dead", path, h.form("code", old[1]), auth, say{0, badCode}, say{0, badCode3})
		h.row("as the manual has it, without the method", "/auth/mfa/codes/regenerate/", "", auth, say{0, `{"method":["This field is required."]}`}, say{0, `{"method":["This field is required."]}`})
		h.row("with a wrong one", "/auth/mfa/codes/regenerate/", "method=x", auth, say{0, `{"method":["Requested MFA method does not exists"]}`}, say{0, `{"method":["Requested MFA method does not exist."]}`})
		h.object("as the manual has it", h.post("/auth/mfa/codes/regenerate/", h.form("method", "app", "code", new[0].(string)), auth), "backup_codes")

		h = build(t, dialect, func(s *account.Settings) { no := false; s.ConfirmRegenerate = &no })
		seed, _ = h.person("admin")
		auth = h.second("/auth/", "admin", h.code(seed))
		h.object("without a code", h.post(path, "", auth), "backup_codes")
		h = build(t, dialect, func(s *account.Settings) { no := false; s.AllowRegenerate = &no })
		seed, _ = h.person("admin")
		auth = h.second("/auth/", "admin", h.code(seed))
		refused := `{"error":"Backup codes regeneration is not allowed."}`
		h.row("not allowed, whatever the code", path, "", auth, say{0, refused}, say{0, refused})
		h.row("not allowed", path, "code="+h.code(seed), auth, say{0, refused}, say{0, refused})
		h.next()
		h.row("nor by confirming again", "/auth/app/activate/confirm/", "code="+h.code(seed), auth, say{0, refused}, say{0, `{"code":["MFA method already active."]}`})
	})
}

func TestCodeRequest(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		const path = "/auth/code/request/"
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		h.row("not configured", path, "method=sms", auth, say{0, `{"method":["Requested MFA method does not exists"]}`}, say{0, `{"method":["Requested MFA method does not exist."]}`})
		h.row("not active", path, "method=app", auth, say{404, notThere}, say{0, noMethod})
		h.row("omitted", path, "", auth, say{0, `["error","Requested MFA method does not exists"]`}, say{0, noMethod})
		h.row("blank", path, `{"method":""}`, auth, say{0, `{"method":["This field may not be blank."]}`}, say{0, `{"method":["This field may not be blank."]}`})
		h.row("too long", path, `{"method":"`+long(256)+`"}`, auth, say{0, `{"method":["Ensure this field has no more than 255 characters."]}`}, say{0, `{"method":["Ensure this field has no more than 255 characters."]}`})
		field := h.pick("qr_link", "details")
		uri := h.object("activate", h.post("/auth/app/activate/", "", auth), field)[field].(string)
		h.row("pending", path, "method=app", auth, say{404, notThere}, say{200, `{"details":"` + uri + `"}`})
		seed, _ := h.person("bob")
		auth = h.second("/auth/", "bob", h.code(seed))
		old, new := `{"message":"Generate code using your authenticator app."}`, `{"details":"Generate code using your authenticator app."}`
		h.row("active: never the secret", path, "method=app", auth, say{200, old}, say{200, new})
		if !h.old() {
			h.row("the primary one", path, "", auth, say{}, say{200, new})
		}
	})
}

func TestChangePrimary(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		const path = "/auth/mfa/change-primary-method/"
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		h.row("nothing", path, "", auth, say{0, `{"code":["This field is required."],"method":["This field is required."]}`}, say{0, `{"method":["This field is required."]}`})
		h.row("no choice", path, "method=zz&code=1", auth, say{0, `{"method":["\"zz\" is not a valid choice."]}`}, say{0, `{"method":["\"zz\" is not a valid choice."]}`})
		h.row("no code", path, `{"method":"app"}`, auth, say{0, missingCode}, say{0, missingCode})
		h.row("not enabled", path, "method=app&code=1", auth, say{0, `{"non_field_errors":["2FA is not enabled."]}`}, say{0, noMethod3})
		h.activate(auth)
		h.row("pending", path, "method=app&code=1", auth, say{0, `{"non_field_errors":["2FA is not enabled."]}`}, say{0, `{"error":"MFA Method selected as new primary method is not active"}`})
		seed, _ := h.person("bob")
		auth = h.second("/auth/", "bob", h.code(seed))
		h.row("wrong", path, "method=app&code="+h.wrong(seed), auth, say{0, `{"non_field_errors":["Invalid or expired code."]}`}, say{0, badCode3})
		h.row("good", path, "method=app&code="+h.code(seed), auth, say{200, `[{"name":"app","is_primary":true}]`}, say{204, ""})
		h.half("bob") // and it still asks: the original forgot the primary here
	})
}

// A method of our own that the original does not know is listed, and the primary one
// stays while there are others (0.3).
func TestFurtherMethods(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		seed, _ := h.person("bob")
		id := h.id("bob")
		h.Must(h.update(func(tx store.Tx) error {
			u, err := h.Directory.ByID(tx, id)
			if err != nil {
				return err
			}
			_, err = h.Directory.SetMethods(tx, account.Local(), id, append(u.Methods, account.Method{Name: "email", AddedAt: tx.Now()}), false)
			return err
		}))
		auth := h.second("/auth/", "bob", h.code(seed))
		h.want("both", h.get("/auth/mfa/user-active-methods/", auth), 200, `[{"name":"app","is_primary":true},{"name":"email","is_primary":false}]`)
		if h.old() {
			h.object("first step", h.post("/auth/login/", h.form("username", "bob", "password", password), ""), "ephemeral_token", "method", "other_methods")
		}
		h.row("not one of the wire's", "/auth/mfa/change-primary-method/", "method=email&code="+h.code(seed), auth,
			say{0, `{"method":["\"email\" is not a valid choice."]}`}, say{0, `{"method":["\"email\" is not a valid choice."]}`})
		h.row("primary", "/auth/app/deactivate/", "", auth, say{204, ""}, say{0, `{"error":"Deactivation of MFA method that is set as primary is not allowed."}`})
		if h.old() {
			h.want("the other took its place", h.get("/auth/mfa/user-active-methods/", auth), 200, `[{"name":"email","is_primary":true}]`)
		}
	})
}

// A first method where the realm's setting lets nobody set up one: refused, and noted.
func TestEnrollmentIsTheRealmsSetting(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		closed := say{0, `{"error":"Setting up a second factor needs an invitation: ask your administrator."}`}
		h := build(t, dialect, func(s *account.Settings) { s.Enrollment = account.EnrollOff })
		h.User("admin", "trench", "", password)
		h.row("off", "/auth/app/activate/", "", h.login("/auth/", "admin"), closed, closed)
		if !strings.Contains(h.Logged(), "enrollment_closed") {
			t.Error("nobody noted it")
		}
		h = build(t, dialect, func(s *account.Settings) { s.Enrollment = account.EnrollFirstLogin })
		h.User("admin", "trench", "", password)
		h.Time.Advance(account.FirstLogin - time.Minute)
		auth := h.login("/auth/token/", "admin")
		seed := h.activate(auth)
		h.Time.Advance(2 * time.Minute)
		h.row("too late", "/auth/app/activate/confirm/", h.form("code", h.code(seed)), auth, closed, closed)
		if !strings.Contains(h.Logged(), "enrollment_closed") {
			t.Error("nobody noted that it was too late")
		}
	})
}

// The seed that an administrator made is active, and is not for its owner to see: even
// where the summary in the account's record says otherwise.
func TestAnAdministratorsSeedIsNotShown(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		id := h.id("admin")
		h.Must(h.update(func(tx store.Tx) error {
			_, err := h.Factors.Enroll(tx, account.Local(), id, factor.EnrollOptions{Confirmed: true})
			if err == nil {
				_, err = h.Directory.SetMethods(tx, account.Local(), id, nil, false)
			}
			return err
		}))
		h.row("no secret", "/auth/code/request/", "method=app", h.login("/auth/", "admin"), say{404, notThere}, say{0, noMethod})
	})
}

func long(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a'
	}
	return string(b)
}
