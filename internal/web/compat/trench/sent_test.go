package trench_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// everyMethod is what a project could set up, in our words.
func everyMethod(s *account.Settings) { s.Methods = []string{"totp", "email", "sms", "pager"} }

// mailing is a house that sends by mail, SMS and a pager.
func mailing(t testing.TB, dialect compat.Dialect, change ...func(*account.Settings)) *house {
	t.Helper()
	h := build(t, dialect, append([]func(*account.Settings){everyMethod}, change...)...)
	h.Post.Offer(factor.Email, factor.SMS, compattest.Pager)
	return h
}

// told is how the dialect says where a code is.
func (h *house) told(text string) string {
	return h.pick(`{"message":"`+text+`"}`, `{"details":"`+text+`"}`)
}

const (
	sentMail = "Email message with MFA code has been sent."
	sentSMS  = "SMS message with MFA code has been sent."
	sentOwn  = "Message with MFA code has been sent."
)

// arrived is the code of the newest message, which must be the nth, of this method and
// to there.
func (h *house) arrived(n int, method factor.Name, to string) string {
	h.Helper()
	m := h.Post.Last()
	if len(h.Post.Sent()) != n || m.Method != method || m.To != to {
		h.Fatalf("message %d: by %s to %q, want the %dth, by %s to %q", len(h.Post.Sent()), m.Method, m.To, n, method, to)
	}
	return m.Code
}

// quiet fails if more than n messages were sent.
func (h *house) quiet(what string, n int) {
	h.Helper()
	if got := len(h.Post.Sent()); got != n {
		h.Errorf("%s: %d messages, want %d", what, got, n)
	}
}

// byMail is somebody who has codes by mail alone, and is logged in by one.
func (h *house) byMail(name string) (auth string, backup []string) {
	h.Helper()
	h.User(name, "trench", name+"@example.com", password)
	auth = h.login("/auth/token/", name)
	backup = h.addSent(auth, "email")
	return auth, backup
}

// addSent sets a method up whose codes are sent.
func (h *house) addSent(auth, name string) (backup []string) {
	h.Helper()
	if got := h.post("/auth/"+name+"/activate/", "method="+name, auth); got.Status != 200 {
		h.Fatalf("activate %s: %d %s", name, got.Status, got.Body)
	}
	got := h.post("/auth/"+name+"/activate/confirm/", h.form("code", h.Post.Last().Code), auth)
	for _, code := range h.object("confirm "+name, got, "backup_codes")["backup_codes"].([]any) {
		backup = append(backup, code.(string))
	}
	return backup
}

// between is the first step of somebody whose primary method is this.
func (h *house) between(name, method string) (ephemeral string) {
	h.Helper()
	fields := []string{"ephemeral_token", "method"}
	if h.old() {
		fields = append(fields, "other_methods")
	}
	o := h.object("first step", h.post("/auth/token/login/", h.form("username", name, "password", password), ""), fields...)
	if o["method"] != method {
		h.Fatalf("asked for %v first, want %s", o["method"], method)
	}
	return o["ephemeral_token"].(string)
}

// enter is the second step.
func (h *house) enter(ephemeral, code string) compattest.Answer {
	h.Helper()
	return h.post("/auth/token/login/code/", h.form("ephemeral_token", ephemeral, "code", code), "")
}

// phone gives somebody a number.
func (h *house) phone(name, number string) {
	h.Helper()
	id := h.id(name)
	h.Must(h.update(func(tx store.Tx) error {
		_, err := h.Directory.Update(tx, account.Local(), id, account.Change{Phone: &number})
		return err
	}))
}

func (h *house) record(name string) (u *account.User) {
	h.Helper()
	id := h.id(name)
	h.Must(h.Store.View(h.Context(), func(tx store.Tx) (err error) {
		u, err = h.Directory.ByID(tx, id)
		return err
	}))
	return u
}

func (h *house) methods(what, auth, want string) {
	h.Helper()
	h.want(what, h.get("/auth/mfa/user-active-methods/", auth), 200, want)
}

// The way of the sample client with codes by mail, at each of the three doors: it logs
// in, activates, confirms, logs out, logs in with a code that was mailed, and with the
// same code makes the method primary, makes new backup codes, and deactivates.
func TestTheSampleClientsWayByMail(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		for _, kind := range kinds {
			h := mailing(t, dialect)
			h.User("admin", "trench", "admin@example.com", password)
			auth := h.login(kind.door, "admin")
			h.want("activate", h.post("/auth/email/activate/", "method=email", auth), 200, h.told(sentMail))
			code := h.arrived(1, factor.Email, "admin@example.com")
			h.methods("not yet", auth, `[]`)
			h.row("wrong", "/auth/email/activate/confirm/", "code=000", auth, say{0, badCode}, say{0, badCode3})
			codes := h.object("confirm", h.post("/auth/email/activate/confirm/", h.form("code", code), auth), "backup_codes")["backup_codes"].([]any)
			if len(codes) != 5 {
				t.Errorf("%d backup codes", len(codes))
			}
			h.methods("active", auth, `[{"name":"email","is_primary":true}]`)
			h.row("again", "/auth/email/activate/", "", auth, say{0, `{"error":"MFA method already active."}`}, say{0, `{"error":"MFA method already active."}`})
			h.want("logout", h.post("/auth/logout/", "", auth), 204, "")

			got := h.post(kind.door+"login/", h.form("username", "admin", "password", password), "")
			code = h.arrived(2, factor.Email, "admin@example.com")
			eph := h.object("first step", got, map[bool][]string{true: {"ephemeral_token", "method", "other_methods"}, false: {"ephemeral_token", "method"}}[h.old()]...)
			if eph["method"] != "email" {
				t.Errorf("the method is %v", eph["method"])
			}
			auth = h.tokens(kind.door, h.post(kind.door+"login/code/", h.form("ephemeral_token", eph["ephemeral_token"].(string), "code", code), ""))
			h.want("primary", h.post("/auth/mfa/change-primary-method/", h.form("method", "email", "code", code), auth),
				map[bool]int{true: 200, false: 204}[h.old()], h.pick(`[{"name":"email","is_primary":true}]`, ""))
			h.object("regenerate", h.post("/auth/email/codes/regenerate/", h.form("code", code), auth), "backup_codes")
			h.want("deactivate", h.post("/auth/email/deactivate/", h.form("code", code), auth), 204, "")
			h.methods("gone", auth, `[]`)
			h.login(kind.door, "admin")
			h.quiet("nothing more was sent", 2)
		}
	})
}

func TestCodesByMail(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect, func(s *account.Settings) { yes := true; s.ConfirmDisable = &yes })
		h.User("admin", "trench", "admin@example.com", password)
		auth := h.login("/auth/token/", "admin")
		const confirm = "/auth/email/activate/confirm/"
		h.row("confirm before", confirm, "code=123456", auth, say{404, notThere}, say{0, noMethod3})
		h.row("deactivate before", "/auth/email/deactivate/", "code=1", auth, say{404, notThere}, say{0, noMethod3})
		h.row("regenerate before", "/auth/email/codes/regenerate/", "code=1", auth, say{404, notThere}, say{0, noMethod3})
		h.row("code before", "/auth/code/request/", "method=email", auth, say{404, notThere}, say{0, noMethod})
		h.want("activate", h.post("/auth/email/activate/", `{"method":"email"}`, auth), 200, h.told(sentMail))
		first := h.arrived(1, factor.Email, "admin@example.com")
		h.row("pending: 0.3 sends again", "/auth/code/request/", "method=email", auth, say{404, notThere}, say{200, h.told(sentMail)})
		h.row("nothing", confirm, "", auth, say{0, noOTP}, say{0, missingCode})
		h.row("blank", confirm, `{"code":""}`, auth, say{0, blankCode}, say{0, blankCode})
		h.row("wrong", confirm, `{"code":"none"}`, auth, say{0, badCode}, say{0, badCode3})
		if !h.old() {
			h.row("the first one is dead", confirm, h.form("code", first), auth, say{}, say{0, badCode3})
		}
		h.object("confirm", h.post(confirm, h.form("code", h.Post.Last().Code), auth), "backup_codes")
		n := len(h.Post.Sent())

		h.want("code", h.post("/auth/code/request/", "method=email", auth), 200, h.told(sentMail))
		old := h.arrived(n+1, factor.Email, "admin@example.com")
		if !h.old() {
			h.want("the primary one's", h.post("/auth/code/request/", "", auth), 200, h.told(sentMail))
		} else {
			h.want("code", h.post("/auth/code/request/", "method=email", auth), 200, h.told(sentMail))
		}
		code := h.arrived(n+2, factor.Email, "admin@example.com")
		h.row("an older one", "/auth/email/deactivate/", h.form("code", old), auth, say{0, badCode}, say{0, badCode3})
		h.object("regenerate", h.post("/auth/email/codes/regenerate/", h.form("code", code), auth), "backup_codes")
		h.row("twice", "/auth/email/codes/regenerate/", h.form("code", code), auth, say{0, badCode}, say{0, badCode3})
		h.want("code", h.post("/auth/code/request/", "method=email", auth), 200, h.told(sentMail))
		h.Time.Advance(10 * time.Minute)
		h.row("too late", "/auth/email/deactivate/", h.form("code", h.Post.Last().Code), auth, say{0, badCode}, say{0, badCode3})
		h.Time.Advance(5 * time.Minute) // five in a quarter of an hour
		h.want("code", h.post("/auth/code/request/", "method=email", auth), 200, h.told(sentMail))
		h.row("deactivate", "/auth/email/deactivate/", h.form("code", h.Post.Last().Code), auth, say{204, ""}, say{204, ""})
		h.row("twice", "/auth/email/deactivate/", "code=1", auth, say{0, `{"error":"Method already disabled."}`}, say{0, `{"code":["2FA is not enabled."]}`})
	})
}

// VALIDITY_PERIOD of a method is the realm's code_life.
func TestTheLifeOfCodesIsTheRealms(t *testing.T) {
	h := mailing(t, compat.Dialect03, func(s *account.Settings) { s.CodeLife = map[string]time.Duration{"email": time.Minute} })
	h.byMail("admin")
	eph := h.between("admin", "email")
	h.Time.Advance(time.Minute)
	h.want("too late", h.enter(eph, h.Post.Last().Code), 401, `{"error":"Invalid or expired code."}`)
}

// SMS has several names in the original, one for each sender. All of them are SMS here,
// and lists have the configured one.
func TestTheNamesOfSMS(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		for want, label := range map[string]map[string]string{"sms_twilio": nil, "sms_api": {"sms_api": "Text"}} {
			h := mailing(t, dialect, func(s *account.Settings) { s.MethodLabels = label })
			h.User("admin", "trench", "admin@example.com", password)
			h.phone("admin", "+41791234589")
			auth := h.login("/auth/token/", "admin")
			text := want
			if label != nil {
				text = "Text"
			}
			if got := h.get("/auth/mfa/config/", ""); !strings.Contains(got.Body, h.pick(`["`+want+`","`+text+`"]`, `"app","email","`+want+`","pager"`)) {
				t.Errorf("the configuration says %s", got.Body)
			}
			for i, name := range []string{"sms_twilio", "sms_api", "sms_aws", "sms"} {
				h.want(name, h.post("/auth/"+name+"/activate/", "", auth), 200, h.told(sentSMS))
				h.arrived(i+1, factor.SMS, "+41791234589")
			}
			h.object("confirm", h.post("/auth/"+want+"/activate/confirm/", h.form("code", h.Post.Last().Code), auth), "backup_codes")
			h.methods("active", auth, `[{"name":"`+want+`","is_primary":true}]`)
			h.Time.Advance(time.Hour)
			eph := h.between("admin", want)
			h.tokens("/auth/token/", h.enter(eph, h.arrived(5, factor.SMS, "+41791234589")))
		}
	})
}

// Where the account has no number the body says one, as in the original; the account
// has it as soon as the code came back, and not before.
func TestANumberOutOfTheBody(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		const path = "/auth/sms_twilio/activate/"
		noNumber := `{"details":"The account has no address or number to which a code could be sent."}`
		h.row("none", path, "", auth, say{0, `{"phone_number":["This field is required."]}`}, say{422, noNumber})
		h.row("blank", path, `{"phone_number":""}`, auth, say{0, `{"phone_number":["This field may not be blank."]}`}, say{0, `{"phone_number":["This field may not be blank."]}`})
		h.row("null", path, `{"phone_number":null}`, auth, say{0, `{"phone_number":["This field may not be null."]}`}, say{0, `{"phone_number":["This field may not be null."]}`})
		h.row("no text", path, `{"phone_number":[]}`, auth, say{0, `{"phone_number":["Not a valid string."]}`}, say{0, `{"phone_number":["Not a valid string."]}`})
		h.row("no number", path, `{"phone_number":"call me"}`, auth, say{0, `{"phone_number":["Enter a valid phone number."]}`}, say{0, `{"phone_number":["Enter a valid phone number."]}`})
		h.row("no address", "/auth/email/activate/", `{"email":"nobody"}`, auth, say{0, `{"email":["Enter a valid email address."]}`}, say{0, `{"email":["Enter a valid email address."]}`})
		h.row("no body", "/auth/email/activate/", "", auth, say{0, `{"email":["This field is required."]}`}, say{422, noNumber})
		h.quiet("nothing was sent", 0)
		h.want("a number", h.post(path, h.form("phone_number", "+41 79 123 45 89"), auth), 200, h.told(sentSMS))
		code := h.arrived(1, factor.SMS, "+41791234589")
		if h.record("admin").Phone != "" {
			t.Error("the account has the number before its code came back")
		}
		if !h.old() {
			h.want("once more to the same", h.post("/auth/code/request/", "method=sms_twilio", auth), 200, h.told(sentSMS))
			code = h.arrived(2, factor.SMS, "+41791234589")
		}
		h.object("confirm", h.post("/auth/sms_twilio/activate/confirm/", h.form("code", code), auth), "backup_codes")
		if got := h.record("admin").Phone; got != "+41791234589" {
			t.Errorf("the account's number is %q", got)
		}
	})
}

// A method of the installation's own has its own name, and needs no field of the user.
func TestAnOwnMethod(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/token/", "admin")
		h.want("activate", h.post("/auth/pager/activate/", "", auth), 200, h.told(sentOwn))
		h.object("confirm", h.post("/auth/pager/activate/confirm/", h.form("code", h.arrived(1, compattest.Pager, "")), auth), "backup_codes")
		eph := h.between("admin", "pager")
		auth = h.tokens("/auth/token/", h.enter(eph, h.arrived(2, compattest.Pager, "")))
		h.want("code", h.post("/auth/code/request/", "method=pager", auth), 200, h.told(sentOwn))
		h.want("deactivate", h.post("/auth/pager/deactivate/", h.form("code", h.arrived(3, compattest.Pager, "")), auth), 204, "")
	})
}

// What nothing sends is no method: not in the configuration, and answered like one that
// there is not.
func TestWhatNothingSendsIsNoMethod(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.Post.Offer(factor.Email)
		h.User("admin", "trench", "admin@example.com", password)
		auth := h.login("/auth/", "admin")
		if got := h.get("/auth/mfa/config/", ""); !strings.HasPrefix(got.Body, h.pick(`{"methods":[["app","app"],["email","email"]],`, `{"methods":["app","email"],`)) {
			t.Errorf("the configuration says %s", got.Body)
		}
		for _, name := range []string{"sms_twilio", "sms_api", "pager", "yubi", "zz"} {
			h.row(name, "/auth/"+name+"/activate/", "phone_number=%2B41791234589", auth, say{404, notFoundPage}, say{0, noMethod})
			h.row(name, "/auth/"+name+"/activate/confirm/", "code=1", auth, say{404, notFoundPage}, say{0, noMethod3})
			h.row(name, "/auth/"+name+"/deactivate/", "", auth, say{404, notFoundPage}, say{0, noMethod})
			h.row(name, "/auth/"+name+"/codes/regenerate/", "code=1", auth, say{404, notFoundPage}, say{0, noMethod3})
			h.row(name, "/auth/mfa/codes/regenerate/", "method="+name, auth, say{0, `{"method":["Requested MFA method does not exists"]}`}, say{0, `{"method":["Requested MFA method does not exist."]}`})
			h.row(name, "/auth/code/request/", "method="+name, auth, say{0, `{"method":["Requested MFA method does not exists"]}`}, say{0, `{"method":["Requested MFA method does not exist."]}`})
			h.row(name, "/auth/mfa/change-primary-method/", "code=1&method="+name, auth, say{0, `{"method":["\"` + name + `\" is not a valid choice."]}`}, say{0, `{"method":["\"` + name + `\" is not a valid choice."]}`})
		}
		h.quiet("nothing was sent", 0)
	})
}

// The mail server goes, and so do the settings: who has codes by mail still comes to the
// second step, where a backup code helps, and can take the method away (0.3).
func TestWhoseMethodIsNotSentAnyMore(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		_, backup := h.byMail("admin")
		h.Post.Offer()
		n := len(h.Post.Sent())
		auth := h.tokens("/auth/token/", h.enter(h.between("admin", "email"), backup[0]))
		h.methods("it is still there", auth, `[{"name":"email","is_primary":true}]`)
		h.row("a code", "/auth/code/request/", "method=email", auth, say{0, `{"method":["Requested MFA method does not exists"]}`}, say{0, `{"method":["Requested MFA method does not exist."]}`})
		if !h.old() {
			h.want("a code of the primary one", h.post("/auth/code/request/", "", auth), 400, noMethod)
		}
		h.row("deactivate", "/auth/email/deactivate/", h.form("code", backup[1]), auth, say{404, notFoundPage}, say{204, ""})
		h.quiet("nothing was sent", n)
	})
}

// Two methods: other_methods, a code of the primary one or of the new one for the
// change, and who takes the place of the one that goes.
func TestTwoMethods(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		const path = "/auth/mfa/change-primary-method/"
		h := mailing(t, dialect)
		seed, _ := h.person("admin")
		auth := h.second("/auth/", "admin", h.code(seed))
		h.next()
		if codes := h.addSent(auth, "email"); len(codes) != 0 {
			t.Errorf("a further method brought %d backup codes", len(codes))
		}
		h.methods("two", auth, `[{"name":"app","is_primary":true},{"name":"email","is_primary":false}]`)
		n := len(h.Post.Sent())
		if got := h.post("/auth/login/", h.form("username", "admin", "password", password), ""); h.old() && !strings.Contains(got.Body, `"method":"app","other_methods":[{"name":"email","is_primary":false}]`) {
			t.Errorf("first step: %s", got.Body)
		}
		h.quiet("an app's login sends nothing", n)
		h.row("never set up", path, "method=pager&code=1", auth, say{0, `{"non_field_errors":["Target method does not exist or is not active"]}`}, say{0, noMethod3})
		if h.old() {
			h.want("the primary one's code", h.post(path, h.form("method", "email", "code", h.code(seed)), auth), 200, `[{"name":"email","is_primary":true},{"name":"app","is_primary":false}]`)
		} else {
			h.want("code", h.post("/auth/code/request/", "method=email", auth), 200, h.told(sentMail))
			h.want("the new one's code", h.post(path, h.form("method", "email", "code", h.Post.Last().Code), auth), 204, "")
		}
		h.next()
		h.Time.Advance(15 * time.Minute)
		eph := h.between("admin", "email")
		auth = h.tokens("/auth/token/", h.enter(eph, h.Post.Last().Code))
		if h.old() {
			h.want("back", h.post(path, h.form("method", "app", "code", h.Post.Last().Code), auth), 200, `[{"name":"app","is_primary":true},{"name":"email","is_primary":false}]`)
		} else {
			h.want("as 0.3.1 had it: the old one's code", h.post(path, h.form("method", "app", "code", h.Post.Last().Code), auth), 204, "")
		}
		h.half("admin")
		h.row("the primary one", "/auth/app/deactivate/", "", auth, say{204, ""}, say{0, `{"error":"Deactivation of MFA method that is set as primary is not allowed."}`})
		if h.old() {
			h.methods("the other one takes its place", auth, `[{"name":"email","is_primary":true}]`)
		} else {
			h.want("the other one", h.post("/auth/email/deactivate/", "", auth), 204, "")
			h.methods("one is left", auth, `[{"name":"app","is_primary":true}]`)
		}
	})
}

// In 0.2 the primary one of three goes with a word about who takes its place.
func TestNewPrimaryMethod(t *testing.T) {
	h := mailing(t, compat.Dialect02)
	seed, _ := h.person("admin")
	auth := h.second("/auth/", "admin", h.code(seed))
	h.addSent(auth, "email")
	h.addSent(auth, "pager")
	const path = "/auth/app/deactivate/"
	bad := func(what, name, text string) {
		t.Helper()
		h.want(what, h.post(path, h.form("new_primary_method", name), auth), 400, `{"new_primary_method":["`+text+`"]}`)
	}
	h.want("none", h.post(path, "", auth), 400, `{"new_primary_method":["This field is required."]}`)
	h.want("null", h.post(path, `{"new_primary_method":null}`, auth), 400, `{"new_primary_method":["This field may not be null."]}`)
	bad("blank", "", "This field may not be blank.")
	bad("too long", long(256), "Ensure this field has no more than 255 characters.")
	bad("the one that goes", "app", "MFA Method to be deactivated cannot be chosen as new primary method.")
	bad("not set up", "sms_twilio", "Selected new primary MFA method is not registered for current user.")
	bad("none of ours", "zz", "Selected new primary MFA method is not registered for current user.")
	h.phone("admin", "+41791234589")
	h.Time.Advance(15 * time.Minute)
	auth = h.second("/auth/", "admin", h.code(seed))
	h.want("activate", h.post("/auth/sms_twilio/activate/", "", auth), 200, h.told(sentSMS))
	bad("pending", "sms_twilio", "MFA Method selected as new primary method is not active")
	h.want("good", h.post(path, h.form("new_primary_method", "pager"), auth), 204, "")
	h.methods("its heir", auth, `[{"name":"pager","is_primary":true},{"name":"email","is_primary":false}]`)
}

// Where two factors are demanded and there is none, the first may be one that sends.
func TestTheFirstFactorMaySend(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect, func(s *account.Settings) { two := 2; s.Factors, s.Enrollment = &two, account.EnrollFirstLogin })
		h.User("admin", "trench", "admin@example.com", password)
		auth := h.login("/auth/token/", "admin")
		h.row("confirm before", "/auth/email/activate/confirm/", "code=1", auth, say{404, notThere}, say{0, noMethod3})
		h.want("activate", h.post("/auth/email/activate/", "", auth), 200, h.told(sentMail))
		h.row("another method's door", "/auth/app/activate/confirm/", h.form("code", h.Post.Last().Code), auth, say{404, notThere}, say{0, noMethod3})
		h.row("wrong", "/auth/email/activate/confirm/", "code=none", auth, say{0, badCode}, say{0, badCode3})
		h.object("confirm", h.post("/auth/email/activate/confirm/", h.form("code", h.arrived(1, factor.Email, "admin@example.com")), auth), "backup_codes")
		eph := h.between("admin", "email")
		h.tokens("/auth/token/", h.enter(eph, h.arrived(2, factor.Email, "admin@example.com")))
	})
}
