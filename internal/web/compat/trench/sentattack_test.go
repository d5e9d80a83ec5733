package trench_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// Attack: whoever reads somebody's mail, and has a session of theirs, takes the
// authenticator away with a mailed code. A code is of its method, in both directions;
// the login alone takes any.
func TestACodeOfOneMethodIsNoneOfAnother(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect, func(s *account.Settings) { yes := true; s.ConfirmDisable = &yes })
		seed, _ := h.person("admin")
		auth := h.second("/auth/token/", "admin", h.code(seed))
		h.addSent(auth, "email")
		h.next()
		mailed := func() string {
			h.want("code", h.post("/auth/code/request/", "method=email", auth), 200, h.told(sentMail))
			return h.Post.Last().Code
		}
		code := mailed()
		for _, path := range []string{"/auth/app/deactivate/", "/auth/app/codes/regenerate/"} {
			h.row(path+" with a mailed code", path, h.form("code", code), auth, say{0, badCode}, say{0, badCode3})
		}
		for _, path := range []string{"/auth/email/deactivate/", "/auth/email/codes/regenerate/"} {
			h.row(path+" with the app's", path, h.form("code", h.code(seed)), auth, say{0, badCode}, say{0, badCode3})
		}
		h.row("another method becomes the primary one", "/auth/mfa/change-primary-method/", h.form("method", "app", "code", code), auth,
			say{0, `{"non_field_errors":["Invalid or expired code."]}`}, say{0, badCode3})
		h.methods("all is as it was", auth, `[{"name":"app","is_primary":true},{"name":"email","is_primary":false}]`)
		h.Time.Advance(time.Minute)
		h.tokens("/auth/token/", h.enter(h.half("admin"), code)) // the second step takes it: nothing burned it
		h.object("and the app's", h.post("/auth/app/codes/regenerate/", h.form("code", h.code(seed)), auth), "backup_codes")
	})
}

// Attack: a mailed code comes back: at the same door, at another person's, in another
// spelling, and from another session than the one that it opened.
func TestO1O2AMailedCodeIsGoodOnce(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		_, backup := h.byMail("admin")
		h.byMail("bob")
		h.Time.Advance(15 * time.Minute)
		bad := say{0, `{"non_field_errors":["Invalid or expired code."]}`}
		bad3 := say{401, `{"error":"Invalid or expired code."}`}
		bobs := h.between("bob", "email")
		eph := h.between("admin", "email")
		code := h.Post.Last().Code
		h.row("another person's", "/auth/login/code/", h.form("ephemeral_token", bobs, "code", code), "", bad, bad3)
		mine := h.tokens("/auth/token/", h.enter(eph, code))
		other := h.tokens("/auth/token/", h.enter(h.between("admin", "email"), backup[0]))
		sent := h.Post.Last().Code // for the second login, and not used by it
		h.row("the older one, from another session", "/auth/email/codes/regenerate/", h.form("code", code), other, say{0, badCode}, say{0, badCode3})
		h.row("and from its own: a newer one was sent", "/auth/email/codes/regenerate/", h.form("code", code), mine, say{0, badCode}, say{0, badCode3})
		h.object("the newest", h.post("/auth/email/codes/regenerate/", h.form("code", sent), mine), "backup_codes")
		h.row("it opened no session: not twice", "/auth/email/deactivate/", h.form("code", sent), mine, say{204, ""}, say{0, badCode3})
	})
}

// Attack: the session uses the code that opened it more than once for one purpose, or
// somebody else's session uses it at all.
func TestO2AMailedCodeOncePerPurpose(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		_, backup := h.byMail("admin")
		other := h.tokens("/auth/token/", h.enter(h.between("admin", "email"), backup[0]))
		eph := h.between("admin", "email")
		code := h.Post.Last().Code
		mine := h.tokens("/auth/token/", h.enter(eph, code))
		h.row("another session", "/auth/email/codes/regenerate/", h.form("code", code), other, say{0, badCode}, say{0, badCode3})
		if n := h.parallel("/auth/email/codes/regenerate/", h.form("code", code), mine); n != 1 {
			t.Errorf("the code of the login made backup codes %d times", n)
		}
		h.want("another purpose", h.post("/auth/email/deactivate/", h.form("code", code), mine), 204, "")
	})
}

// Attack: two hundred posts of one mailed code, and of one first code.
func TestO3ParallelMailedCodes(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.User("admin", "trench", "admin@example.com", password)
		auth := h.login("/auth/token/", "admin")
		h.want("activate", h.post("/auth/email/activate/", "", auth), 200, h.told(sentMail))
		code := h.Post.Last().Code
		var wg sync.WaitGroup
		var mu sync.Mutex
		sets := 0
		for range 100 {
			wg.Go(func() {
				got := h.post("/auth/email/activate/confirm/", h.form("code", code), auth)
				mu.Lock()
				defer mu.Unlock()
				if got.Status == 200 {
					sets++
				}
			})
		}
		wg.Wait()
		if sets != 1 {
			t.Errorf("one first code made %d sets of backup codes", sets)
		}
		h.Time.Advance(time.Hour) // in 0.2 the others were codes for new backup codes, and wrong
		eph := h.between("admin", "email")
		if n := h.parallel("/auth/login/code/", h.form("ephemeral_token", eph, "code", h.Post.Last().Code), ""); n != 1 {
			t.Errorf("one code opened %d sessions", n)
		}
	})
}

// Attack: the token of one person's half login, of another facade, or one that was made
// up, with a code that was mailed to somebody else.
func TestM1AForeignEphemeralToken(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.byMail("admin")
		h.between("admin", "email")
		code := h.Post.Last().Code
		for what, eph := range map[string]string{"made up": "spe_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "empty": "x", "a number": "1-abcdef-0123456789abcdef0123456789abcdef01234567"} {
			h.row(what, "/auth/login/code/", h.form("ephemeral_token", eph, "code", code), "",
				say{0, `{"non_field_errors":["Invalid or expired token."]}`}, say{401, `{"error":"Invalid or expired token."}`})
		}
	})
}

// Attack: whoever is between the two steps, or has no session, has codes sent where
// they like, or at all.
func TestM6TheTargetComesFromTheAccount(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.byMail("admin")
		eph := h.between("admin", "email")
		n := len(h.Post.Sent())
		for _, auth := range []string{"", "Token " + eph, "JWT " + eph, "Bearer " + eph} {
			for _, path := range []string{"/auth/code/request/", "/auth/email/activate/", "/auth/sms_twilio/activate/"} {
				if got := h.post(path, h.form("method", "email", "email", "eve@example.net", "phone_number", "+41790000000"), auth); got.Status != 401 {
					t.Errorf("%s with %q: %d %s", path, auth, got.Status, got.Body)
				}
			}
		}
		h.quiet("nobody had anything sent", n)
		h.post("/auth/token/login/", h.form("username", "admin", "password", password, "email", "eve@example.net", "to", "eve@example.net"), "")
		h.arrived(n+1, factor.Email, "admin@example.com")

		h.User("bob", "trench", "bob@example.com", password)
		h.phone("bob", "+41791234589")
		auth := h.login("/auth/token/", "bob")
		h.want("an address in the body", h.post("/auth/email/activate/", h.form("email", "eve@example.net"), auth), 200, h.told(sentMail))
		h.arrived(n+2, factor.Email, "bob@example.com")
		h.want("a number in the body", h.post("/auth/sms_twilio/activate/", h.form("phone_number", "+41790000000"), auth), 200, h.told(sentSMS))
		h.arrived(n+3, factor.SMS, "+41791234589")

		h = mailing(t, dialect, func(s *account.Settings) { two := 2; s.Factors, s.Enrollment = &two, account.EnrollFirstLogin })
		h.User("admin", "trench", "", password)
		auth = h.login("/auth/token/", "admin")
		const none = "The account has no address or number to which a code could be sent."
		h.row("who must set up a factor first", "/auth/sms_twilio/activate/", h.form("phone_number", "+41790000000"), auth, say{0, `{"error":"` + none + `"}`}, say{422, `{"details":"` + none + `"}`})
		h.quiet("nothing was sent", 0)
	})
}

// Attack: a token that was stolen from somebody without a second factor, a day old,
// gives the account a number of the thief's.
func TestM7ANumberNeedsAFreshPassword(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/token/", "admin")
		h.Time.Advance(15*time.Minute + time.Second)
		h.want("late", h.post("/auth/sms_twilio/activate/", h.form("phone_number", "+41790000000"), auth), 403,
			`{"detail":"Sign in again first: a first factor needs a password that is at most 15 minutes old."}`)
		h.quiet("nothing was sent", 0)
	})
}

// A further method needs a factor that was proved at most 15 minutes ago, and the code
// that ends it too.
func TestM7AFurtherMethodNeedsAFreshFactor(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		seed, _ := h.person("admin")
		auth := h.second("/auth/token/", "admin", h.code(seed))
		h.Time.Advance(14 * time.Minute)
		h.want("in time", h.post("/auth/email/activate/", "", auth), 200, h.told(sentMail))
		h.Time.Advance(2 * time.Minute)
		stale := `{"detail":"Prove your second factor again first."}`
		h.want("late", h.post("/auth/email/activate/", "", auth), 403, stale)
		h.want("the code, late", h.post("/auth/email/activate/confirm/", h.form("code", h.Post.Last().Code), auth), 403, stale)
		h.quiet("one was sent", 1)
	})
}

// An enrolment that nobody ended proves nothing at the second step, and its code opens
// nothing.
func TestM10AFirstCodeOpensNothing(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		seed, _ := h.person("admin")
		auth := h.second("/auth/token/", "admin", h.code(seed))
		h.next()
		h.want("activate", h.post("/auth/email/activate/", "", auth), 200, h.told(sentMail))
		code := h.Post.Last().Code
		h.row("at the second step", "/auth/login/code/", h.form("ephemeral_token", h.half("admin"), "code", code), "",
			say{0, `{"non_field_errors":["Invalid or expired code."]}`}, say{401, `{"error":"Invalid or expired code."}`})
		h.row("for a change", "/auth/app/codes/regenerate/", h.form("code", code), auth, say{0, badCode}, say{0, badCode3})
		for range 4 {
			h.row("wrong", "/auth/email/activate/confirm/", "code=1", auth, say{0, badCode}, say{0, badCode3})
		}
		h.row("the fifth ends it", "/auth/email/activate/confirm/", "code=1", auth, say{0, badCode}, say{0, badCode3})
		h.row("and its code", "/auth/email/activate/confirm/", h.form("code", code), auth, say{404, notThere}, say{0, noMethod3})
	})
}

// Attack: somebody has a person's mailbox filled, by logins, requests and enrolments.
// Five messages go in a quarter of an hour; the login goes on without.
func TestSendingIsThrottled(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		_, backup := h.byMail("admin")
		auth := h.tokens("/auth/token/", h.enter(h.between("admin", "email"), h.Post.Last().Code)) // two were sent
		for range 3 {
			h.want("code", h.post("/auth/code/request/", "method=email", auth), 200, h.told(sentMail))
		}
		last := h.Post.Last().Code
		wait := `{"detail":"Request was throttled. Expected available in 900 seconds."}`
		for path, body := range map[string]string{"/auth/code/request/": "method=email", "/auth/pager/activate/": ""} {
			got := h.post(path, body, auth)
			h.want(path, got, 429, wait)
			if got.Header.Get("Retry-After") != "900" {
				t.Errorf("%s: Retry-After is %q", path, got.Header.Get("Retry-After"))
			}
		}
		h.quiet("five", 5)
		h.tokens("/auth/token/", h.enter(h.between("admin", "email"), last)) // the last one is still good
		h.tokens("/auth/token/", h.enter(h.between("admin", "email"), backup[0]))
		h.quiet("five", 5)
		h.Time.Advance(15 * time.Minute)
		h.want("later", h.post("/auth/code/request/", "method=email", auth), 200, h.told(sentMail))
	})
}

// Attack: a stranger learns by a login who has codes by mail, or has them sent.
func TestE2AWrongPasswordSendsNothing(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.byMail("admin")
		n := len(h.Post.Sent())
		var first compattest.Answer
		for i, name := range []string{"admin", "nobody", "admin@example.com"} {
			got := h.post("/auth/login/", h.form("username", name, "password", "wrong"), "")
			if i == 0 {
				first = got
			}
			if got.Status != first.Status || got.Body != first.Body {
				t.Errorf("%s: %d %s", name, got.Status, got.Body)
			}
		}
		h.quiet("nothing was sent", n)
	})
}

// Attack: an address that is somebody else's. Its code must come back first, and even
// then one address is one person's.
func TestSomebodyElsesAddress(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := mailing(t, dialect)
		h.User("bob", "trench", "bob@example.com", password)
		h.User("eve", "trench", "", password)
		auth := h.login("/auth/token/", "eve")
		known := h.post("/auth/email/activate/", h.form("email", "bob@example.com"), auth)
		h.arrived(1, factor.Email, "bob@example.com")
		code := h.Post.Last().Code
		unknown := h.post("/auth/email/activate/", h.form("email", "nobody@example.com"), auth)
		if known.Status != 200 || known.Body != unknown.Body {
			t.Errorf("known %d %s, unknown %d %s", known.Status, known.Body, unknown.Status, unknown.Body)
		}
		h.row("the code of the older one", "/auth/email/activate/confirm/", h.form("code", code), auth, say{0, badCode}, say{0, badCode3})
		h.post("/auth/email/activate/", h.form("email", "bob@example.com"), auth)
		h.want("whoever reads bob's mail", h.post("/auth/email/activate/confirm/", h.form("code", h.Post.Last().Code), auth), 400, `{"email":["This field must be unique."]}`)
		if got := h.record("eve").Email; got != "" {
			t.Errorf("eve has the address %q", got)
		}
		h.methods("nothing is set up", auth, `[]`)
	})
}
