package trench_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// everywhere are all protected calls.
var everywhere = map[string]string{
	"/auth/logout/": "POST", "/auth/token/logout/": "POST", "/auth/app/activate/": "POST", "/auth/app/activate/confirm/": "POST",
	"/auth/app/deactivate/": "POST", "/auth/app/codes/regenerate/": "POST", "/auth/mfa/codes/regenerate/": "POST",
	"/auth/code/request/": "POST", "/auth/mfa/user-active-methods/": "GET", "/auth/mfa/change-primary-method/": "POST",
}

// Somebody knows a password and no more. The token between the two steps opened other
// endpoints in systems of this kind; here it opens the second step alone.
func TestM1TheHalfLoginOpensNothing(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.person("admin")
		eph := h.half("admin")
		for path, method := range everywhere {
			for _, scheme := range []string{"JWT ", "Bearer ", "Token ", ""} {
				if got := h.Do(method, path, "", "Authorization: "+scheme+eph); got.Status != 401 {
					t.Errorf("%s with %q: %d %s", path, scheme, got.Status, got.Body)
				}
			}
		}
		for _, path := range []string{"/auth/jwt/refresh/", "/auth/jwt/verify/"} {
			if got := h.post(path, h.form("refresh", eph, "token", eph), ""); got.Status != 401 {
				t.Errorf("%s: %d %s", path, got.Status, got.Body)
			}
		}
	})
}

// Where two factors are demanded, the tokens of somebody who has one look like tokens
// and set up the second alone.
func TestM1M2TheTokenForEnrolment(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		for _, kind := range kinds {
			h := build(t, dialect, func(s *account.Settings) { two := 2; s.Factors, s.Enrollment = &two, account.EnrollFirstLogin })
			h.User("admin", "trench", "", password)
			auth := h.login(kind.door, "admin")
			for path, method := range everywhere {
				if !strings.Contains(path, "activate/") || strings.Contains(path, "deactivate") {
					h.want(path, h.Do(method, path, "", "Authorization: "+auth), 403, `{"detail":"Two-factor authentication must be set up first."}`)
				}
			}
			_, token, _ := strings.Cut(auth, " ")
			for _, path := range []string{"/auth/jwt/refresh/", "/auth/jwt/verify/", "/auth/login/code/"} {
				if got := h.post(path, h.form("refresh", token, "token", token, "ephemeral_token", token, "code", "1"), ""); got.Status != 401 && got.Status != 400 {
					t.Errorf("%s: %d %s", path, got.Status, got.Body)
				}
			}
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			h.Must(err)
			var claims struct{ Eph string }
			h.Must(json.Unmarshal(payload, &claims))
			h.row("what it carries is no half login", "/auth/login/code/", h.form("ephemeral_token", claims.Eph, "code", "123456"), "",
				say{0, `{"non_field_errors":["Invalid or expired token."]}`}, say{401, `{"error":"Invalid or expired token."}`})
			h.row("another method", "/auth/sms/activate/", "", auth, say{404, notFoundPage}, say{0, noMethod})
			h.row("too early", "/auth/app/activate/confirm/", "code=123456", auth, say{404, notThere}, say{0, noMethod3})
			seed := h.activate(auth)
			h.row("wrong", "/auth/app/activate/confirm/", "code=x", auth, say{0, badCode}, say{0, badCode3})
			if codes := h.confirm(auth, h.code(seed)); len(codes) != 5 {
				t.Errorf("%d backup codes", len(codes))
			}
			if got := h.post("/auth/app/activate/", "", auth); got.Status != 401 {
				t.Errorf("the token lives on: %d %s", got.Status, got.Body)
			}
			sessions := -1
			h.Must(h.Store.View(h.Context(), func(tx store.Tx) error {
				list, err := h.Sessions.List(tx, h.id("admin"))
				sessions = len(list)
				return err
			}))
			if sessions != 0 {
				t.Errorf("%d sessions are left that nobody holds", sessions)
			}
			h.next()
			h.second(kind.door, "admin", h.code(seed))
		}
		h := build(t, dialect, func(s *account.Settings) { two := 2; s.Factors, s.Enrollment = &two, account.EnrollOff })
		h.User("admin", "trench", "", password)
		closed := "Two-factor authentication must be set up first, and that needs an invitation: ask your administrator."
		h.row("closed", "/auth/login/", h.form("username", "admin", "password", password), "", say{0, `{"non_field_errors":["` + closed + `"]}`}, say{0, `{"error":"` + closed + `"}`})
	})
}

// A backup code of another person is refused, and stays good for its owner.
func TestM3OtherPeoplesBackupCodes(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		seed, _ := h.person("admin")
		_, codes := h.person("bob")
		if got := h.post("/auth/login/code/", h.form("ephemeral_token", h.half("admin"), "code", codes[0]), ""); got.Status/100 != 4 {
			t.Fatalf("somebody else's code: %d", got.Status)
		}
		auth := h.second("/auth/", "admin", h.code(seed))
		h.row("signed in", "/auth/app/codes/regenerate/", h.form("code", codes[0]), auth, say{0, badCode}, say{0, badCode3})
		h.second("/auth/", "bob", codes[0])
	})
}

// Codes that are none lead nowhere, whatever their type.
func TestM4M5NoCodeIsNoCode(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect, func(s *account.Settings) { yes := true; s.ConfirmDisable = &yes })
		seed, _ := h.person("admin")
		for _, form := range []string{`""`, `" "`, `null`, `[]`, `["%s"]`, `{"code":"%s"}`, `true`, `"%s0"`, `-%s`, `"\u0000%s"`, `"%s%s"`} {
			auth := h.second("/auth/token/", "admin", h.code(seed))
			h.next()
			code := strings.ReplaceAll(form, "%s", h.code(seed))
			eph := h.half("admin")
			for path, body := range map[string]string{
				"/auth/login/code/": `{"ephemeral_token":"` + eph + `","code":` + code + `}`, "/auth/app/deactivate/": `{"code":` + code + `}`,
				"/auth/app/codes/regenerate/": `{"code":` + code + `}`, "/auth/mfa/change-primary-method/": `{"method":"app","code":` + code + `}`,
			} {
				if got := h.post(path, body, auth); got.Status/100 != 4 {
					t.Errorf("%s with %s: %d %s", path, code, got.Status, got.Body)
				}
			}
			h.want("all is as it was", h.get("/auth/mfa/user-active-methods/", auth), 200, `[{"name":"app","is_primary":true}]`)
		}
	})
}

// An enrolment that nobody ends changes nothing.
func TestM10UnfinishedEnrolment(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		seed := h.activate(h.login("/auth/", "admin"))
		h.login("/auth/", "admin") // no second step: it is not active
		h.Time.Advance(time.Hour)
		auth := h.login("/auth/", "admin")
		h.row("too late", "/auth/app/activate/confirm/", h.form("code", h.code(seed)), auth, say{404, notThere}, say{0, noMethod3})
	})
}

// A code is good once, in whatever spelling it comes back and at whatever door.
func TestO1O2ReplayInEverySpelling(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		seed, _ := h.person("admin")
		spellings := []func(code string) string{
			func(c string) string { return c }, func(c string) string { return " " + c }, func(c string) string { return c + "\u00a0" },
			func(c string) string { return c[:3] + " " + c[3:] }, func(c string) string { return c[:3] + "-" + c[3:] },
			func(c string) string { return "\t" + c }, func(c string) string { return "0" + c },
			func(c string) string { return strings.Map(func(r rune) rune { return r - '0' + '０' }, c) },
		}
		var code, first string
		for _, spell := range spellings {
			h.next()
			code = h.code(seed)
			first = h.second("/auth/token/", "admin", code)
			for _, door := range []string{"/auth/", "/auth/jwt/", "/auth/token/"} {
				h.row(door, door+"login/code/", h.form("ephemeral_token", h.half("admin"), "code", spell(code)), "",
					say{0, `{"non_field_errors":["Invalid or expired code."]}`}, say{401, `{"error":"Invalid or expired code."}`})
			}
		}
		h.object("its own session, once", h.post("/auth/app/codes/regenerate/", h.form("code", code), first), "backup_codes")
		if got := h.post("/auth/app/codes/regenerate/", h.form("code", code), first); got.Status != 400 {
			t.Errorf("twice for one purpose: %d %s", got.Status, got.Body)
		}
	})
}

// The code that opened a session is taken once more from that session alone.
func TestO2TheSecondUseIsTheSessionsOwn(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		seed, codes := h.person("admin")
		code := h.code(seed)
		mine := h.second("/auth/token/", "admin", code)
		other := h.second("/auth/token/", "admin", codes[0])
		h.row("another session", "/auth/app/codes/regenerate/", h.form("code", code), other, say{0, badCode}, say{0, badCode3})
		h.object("its own", h.post("/auth/app/codes/regenerate/", h.form("code", code), mine), "backup_codes")
		h.Time.Advance(2 * time.Minute)
		if got := h.post("/auth/mfa/change-primary-method/", h.form("method", "app", "code", code), mine); got.Status != 400 {
			t.Errorf("out of its window: %d %s", got.Status, got.Body)
		}
	})
}

// parallel sends 200 equal posts and counts the good answers.
func (h *house) parallel(path, body, auth string) (good int) {
	h.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 200 {
		wg.Go(func() {
			got := h.post(path, body, auth)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case got.Status/100 == 2:
				good++
			case got.Status >= 500:
				h.Errorf("%s: %d %s", path, got.Status, got.Body)
			}
		})
	}
	wg.Wait()
	return good
}

// 200 posts of one code at the same time: one opens a session, one makes backup codes.
func TestO3ParallelCodes(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		seed, _ := h.person("admin")
		if n := h.parallel("/auth/login/code/", h.form("ephemeral_token", h.half("admin"), "code", h.code(seed)), ""); n != 1 {
			t.Errorf("one code opened %d sessions", n)
		}
		h.next()
		auth := h.second("/auth/token/", "admin", h.code(seed))
		if n := h.parallel("/auth/app/codes/regenerate/", h.form("code", h.code(seed)), auth); n != 1 {
			t.Errorf("the code of the login made backup codes %d times", n)
		}
		h.next()
		if n := h.parallel("/auth/app/codes/regenerate/", h.form("code", h.code(seed)), auth); n != 1 {
			t.Errorf("a code made backup codes %d times", n)
		}
	})
}

// Wrong codes count at the person, at whichever door and call they come; the password
// forgives none of them.
func TestO4O6WrongCodesCountAtEveryDoor(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect, func(s *account.Settings) { yes := true; s.ConfirmDisable = &yes })
		seed, _ := h.person("admin")
		auth := h.second("/auth/token/", "admin", h.code(seed))
		h.next()
		wrong := h.wrong(seed)
		tries := []func() compattest.Answer{
			func() compattest.Answer {
				return h.post("/auth/login/code/", h.form("ephemeral_token", h.half("admin"), "code", wrong), "")
			},
			func() compattest.Answer {
				return h.post("/auth/token/login/code/", h.form("ephemeral_token", h.half("admin"), "code", "12 34 56"), "")
			},
			func() compattest.Answer { return h.post("/auth/app/deactivate/", h.form("code", wrong), auth) },
			func() compattest.Answer {
				return h.post("/auth/app/codes/regenerate/", h.form("code", "１２３４５６"), auth)
			},
			func() compattest.Answer {
				return h.post("/auth/mfa/change-primary-method/", h.form("method", "app", "code", wrong), auth)
			},
		}
		for i, try := range tries {
			if got := try(); got.Status != 400 && got.Status != 401 {
				t.Fatalf("try %d: %d %s", i, got.Status, got.Body)
			}
		}
		for i, try := range tries {
			got := try()
			if got.Status != 429 || got.Header.Get("Retry-After") == "" || got.Body != `{"detail":"Request was throttled. Expected available in `+got.Header.Get("Retry-After")+` second`+map[bool]string{true: ".", false: "s."}[got.Header.Get("Retry-After") == "1"]+`"}` {
				t.Errorf("try %d after five wrong ones: %d %q %s", i, got.Status, got.Header.Get("Retry-After"), got.Body)
			}
		}
		if n := h.parallel("/auth/login/code/", h.form("ephemeral_token", h.half("admin"), "code", wrong), ""); n != 0 {
			t.Error("in by force")
		}
	})
}

// Wrong passwords are throttled, also of names that nobody has.
// Where so many codes were wrong that none is judged any more, waiting does not help,
// and the answer says what does.
func TestO6AClosedPlace(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		seed, codes := h.person("admin")
		wrong := h.wrong(seed)
		last := compattest.Answer{}
		for range 300 {
			last = h.post("/auth/login/code/", h.form("ephemeral_token", h.half("admin"), "code", wrong), "")
			if last.Status != 429 {
				continue
			}
			seconds, err := strconv.Atoi(last.Header.Get("Retry-After"))
			if err != nil {
				break
			}
			h.Time.Advance(time.Duration(seconds) * time.Second)
		}
		h.want("closed", last, 429, `{"detail":"Too many wrong codes: use a backup code, or ask your administrator."}`)
		h.Time.Advance(15 * time.Minute)
		h.second("/auth/", "admin", codes[0]) // as it says
		h.next()
		h.second("/auth/", "admin", h.code(seed))
	})
}

func TestO6WrongPasswords(t *testing.T) {
	h := build(t, compat.Dialect03)
	h.User("admin", "trench", "", password)
	for _, name := range []string{"admin", "nobody"} {
		last := 0
		for range 7 {
			last = h.post("/auth/login/", h.form("username", name, "password", "wrong"), "").Status
		}
		if last != 429 {
			t.Errorf("%s: the seventh wrong password is answered with %d", name, last)
		}
	}
}

// Who is unknown, disabled or has no password gets the same answer as whoever typed
// the wrong one: status, headers and body.
func TestE1E2NobodyIsTold(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.person("admin")
		h.User("off", "trench", "", password)
		h.User("bare", "trench", "", "")
		h.Must(h.disable("off"))
		var first compattest.Answer
		for i, name := range []string{"admin", "off", "bare", "nobody", "admin@trench", "a/b:c", strings.Repeat("x", 400)} {
			got := h.post("/auth/login/", h.form("username", name, "password", "wrong"), "")
			got.Header.Del("Date")
			if i == 0 {
				first = got
				continue
			}
			if got.Status != first.Status || got.Body != first.Body || !maps.EqualFunc(got.Header, first.Header, func(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Errorf("%.20q is told from admin: %v", name, got)
			}
		}
	})
}
