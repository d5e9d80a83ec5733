package fastapi2fa_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
)

const mismatch = `{"detail":"TOTP token mismatch"}`

// Attack: somebody has a password alone, and tries the token of the first door at
// every other call, and every token where another kind is wanted.
func TestM1M2HalfALoginOpensNothing(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	pre := h.pre(bob)
	full := h.pair(h.tfa(h.pre(bob), h.code(bob)), 200)
	for _, token := range []string{pre, full.Refresh} {
		h.challenged("test-token", h.testToken(token), 403, credentials)
		h.challenged("get_my_qrcode", h.Do("GET", api+"/tfa/get_my_qrcode", "", bearer(token)), 403, credentials)
		h.challenged("enable_tfa", h.enable(token, "code_generator"), 403, credentials)
	}
	for _, token := range []string{pre, full.Access} {
		h.challenged("refresh", h.refresh(token), 403, `{"detail":"Invalid token"}`)
	}
	for _, token := range []string{full.Access, full.Refresh} {
		h.challenged("login_tfa", h.tfa(token, h.code(bob)), 403, credentials)
		h.challenged("recover_tfa", h.recover(token, bob.codes[0]), 403, credentials)
	}
	h.pair(h.recover(pre, bob.codes[0]), 200) // nothing of that used it up
}

// Attack: a token that is signed by a key of ours, or by nobody, and names a session
// that is not its own.
func TestM1ForgedTokens(t *testing.T) {
	h := newHouse(t)
	ann, bob := h.User("ann", realm, "ann@example.com", password), h.User("bob", realm, "bob@example.com", password)
	p := h.pair(h.login(ann.Email, password), 200)
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(p.Access, claims)
	h.Must(err)
	sign := func(key []byte, sub, sid any) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": sub, "sid": sid, "exp": h.Time.Now().Add(time.Minute).Unix()}).SignedString(key)
		h.Must(err)
		return token
	}
	key := h.Derive("compat fastapi2fa access")
	if a := h.testToken(sign(key, num(ann), claims["sid"])); a.Status != 200 {
		t.Fatalf("a token with the right key: %d", a.Status)
	}
	next, err := h.Doors.Password(t.Context(), login.Attempt{Door: login.Trench, Realm: realm, Login: "ann", Password: password})
	h.Must(err)
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	parts := strings.Split(p.Access, ".")
	for what, token := range map[string]string{
		"another's number":         sign(key, num(bob), claims["sid"]),
		"a number that is no text": sign(key, ann.Number, claims["sid"]),
		"another facade's session": sign(key, num(ann), next.Opened.ID),
		"no session":               sign(key, num(ann), ""),
		"a list for a session":     sign(key, num(ann), []any{claims["sid"]}),
		"a published key":          sign([]byte("secret"), num(ann), claims["sid"]),
		"an empty key":             sign([]byte{0}, num(ann), claims["sid"]),
		"another kind's key":       sign(h.Derive("compat fastapi2fa refresh"), num(ann), claims["sid"]),
		"the pre-tfa key":          sign(h.Derive("compat fastapi2fa pre-tfa"), num(ann), claims["sid"]),
		"no algorithm":             none + "." + parts[1] + ".",
		"no algorithm, signed":     none + "." + parts[1] + "." + hmacOf(key, none+"."+parts[1]),
	} {
		h.challenged(what, h.testToken(token), 403, credentials)
	}
	pre := jwt.MapClaims{"sub": "1", "eph": ephemeral(h, h.pre(h.person("eve"))), "exp": h.Time.Now().Add(time.Minute).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, pre).SignedString(key)
	h.Must(err)
	h.challenged("a pre-tfa token by the access key", h.tfa(token, "1"), 403, credentials)
}

func hmacOf(key []byte, text string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// Attack: somebody knows another person's backup tokens, and tries them as his own.
func TestM3BackupTokensAreTheirOwners(t *testing.T) {
	h := newHouse(t)
	ann, bob := h.person("ann"), h.person("bob")
	h.want("another's", h.recover(h.pre(bob), ann.codes[0]), 403, `{"detail":"TOTP backup token not found"}`)
	h.pair(h.recover(h.pre(ann), ann.codes[0]), 200)
}

// Spaces and hyphens, which the native doors drop, were none of the original's tokens.
func TestO1BackupTokensAreExact(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	code := bob.codes[0]
	pre := h.pre(bob)
	for _, s := range []string{" " + code, code[:3] + " " + code[3:], code[:3] + "-" + code[3:], strings.Map(func(r rune) rune { return r - '0' + '０' }, code)} {
		h.want(fmt.Sprintf("%q", s), h.recover(pre, s), 403, `{"detail":"TOTP backup token not found"}`)
	}
	h.pair(h.recover(pre, code), 200)
}

// No token outlives its session.
func TestTokensEndWithTheirSession(t *testing.T) {
	h := newHouse(t)
	h.User("ann", realm, "ann@example.com", password)
	p := h.pair(h.login("ann@example.com", password), 200)
	end := h.Time.Now().Add(7 * 24 * time.Hour)
	for range 7 {
		h.Time.Advance(23*time.Hour + 55*time.Minute)
		p = h.pair(h.refresh(p.Refresh), 200)
	}
	h.Time.Set(end.Add(-10 * time.Minute))
	p = h.pair(h.refresh(p.Refresh), 200)
	for _, token := range []string{p.Access, p.Refresh} {
		claims := jwt.MapClaims{}
		_, _, err := jwt.NewParser().ParseUnverified(token, claims)
		h.Must(err)
		if exp, err := claims.GetExpirationTime(); err != nil || !exp.Equal(end) {
			t.Errorf("a token ends %v, the session %v", exp, end)
		}
	}
}

// Attack: a token of people who were this facade's before its configuration named
// another realm: the keys are the same.
func TestTokensAreOfTheRealm(t *testing.T) {
	h := newHouse(t)
	p := h.pair(h.login(h.User("ann", realm, "ann@example.com", password).Email, password), 200)
	h.serve(func(o *fastapi2fa.Options) { o.Realm = "users" })
	h.challenged("access", h.testToken(p.Access), 403, credentials)
	h.challenged("refresh", h.refresh(p.Refresh), 403, `{"detail":"Invalid token"}`)
	h.serve()
	h.refresh(h.pair(h.refresh(p.Refresh), 200).Refresh) // they were good
}

// Attack: a code that is missing, empty, of another type or name, or sent elsewhere.
func TestM5NoCodeIsNoCode(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	pre, good := h.pre(bob), h.code(bob)
	twice := `{"loc":["query","tfa_token"],` + missingField
	for _, query := range []string{"", "?", "?tfa_token[]=" + good, "?TFA_TOKEN=" + good, "?tfa_backup_token=" + good, "?x=tfa_token=" + good} {
		h.want(query, h.Do("POST", api+"/tfa/login_tfa"+query, "tfa_token="+good, bearer(pre), formType), 422, found(twice, twice))
	}
	h.want("JSON", h.Do("POST", api+"/tfa/login_tfa", `{"tfa_token":"`+good+`"}`, bearer(pre), jsonType), 422, found(twice, twice))
	for _, query := range []string{"?tfa_token=", "?tfa_token", "?tfa_token=" + good + "&tfa_token=", "?tfa_token=%5B%22" + good + "%22%5D"} {
		h.want(query, h.Do("POST", api+"/tfa/login_tfa"+query, "", bearer(pre)), 403, mismatch)
	}
	h.pair(h.Do("POST", api+"/tfa/login_tfa?tfa_token=&tfa_token="+good, "", bearer(pre)), 200) // the last counts
}

// Attack: sessions that were opened before a factor was set up live on, as they did in
// the original, whose refresh tokens went round the factor for ever.
func TestM7EnablingEndsOlderSessions(t *testing.T) {
	h := newHouse(t)
	h.User("ann", realm, "ann@example.com", password)
	p, q := h.pair(h.login("ann@example.com", password), 200), h.pair(h.login("ann@example.com", password), 200)
	h.want("enable", h.enable(p.Access, "code_generator"), 200, "png")
	for _, old := range []pair{p, q} {
		h.challenged("an old access token", h.testToken(old.Access), 403, credentials)
		h.challenged("an old refresh token", h.refresh(old.Refresh), 403, `{"detail":"Invalid token"}`)
		h.challenged("enabling once more", h.enable(old.Access, "code_generator"), 403, credentials)
	}
	h.pair(h.login("ann@example.com", password), 202)
}

// Attack: an access token that was stolen sets up a second factor, and the account is
// the thief's.
func TestM7EnablingNeedsAFreshPassword(t *testing.T) {
	h := newHouse(t)
	h.User("ann", realm, "ann@example.com", password)
	p := h.pair(h.login("ann@example.com", password), 200)
	h.Time.Advance(15*time.Minute + time.Second)
	h.want("late", h.enable(p.Access, "code_generator"), 403, `{"detail":"Your login is older than 15 minutes: log in again to enable two factor authentication."}`)
	r := h.pair(h.refresh(p.Refresh), 200) // a refresh proves nothing
	if a := h.enable(r.Access, "code_generator"); a.Status != 403 {
		t.Errorf("after a refresh: %d", a.Status)
	}
	p = h.pair(h.login("ann@example.com", password), 200)
	h.Time.Advance(15 * time.Minute)
	h.want("in time", h.enable(p.Access, "code_generator"), 200, "png")
}

// Where the realm lets nobody set up a factor by himself, no facade does either.
func TestM10TheRealmsEnrollmentHolds(t *testing.T) {
	all := settings()
	s := all[realm]
	s.Enrollment = account.EnrollOff
	all[realm] = s
	h := &house{World: compattest.New(t, all)}
	h.serve()
	h.User("ann", realm, "ann@example.com", password)
	p := h.pair(h.login("ann@example.com", password), 200)
	h.want("enable", h.enable(p.Access, "code_generator"), 400, `{"detail":"Two factor authentication cannot be set up here by yourself: ask your administrator."}`)
	if a := h.testToken(p.Access); a.Status != 200 {
		t.Errorf("the session ended: %d", a.Status)
	}
}

// Attack: a code that was used, once more: with another login, in every spelling, and
// at another door.
func TestO1O2AUsedCodeIsUsed(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	code := h.code(bob)
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	spellings := []string{code, " " + code, code + " ", code[:3] + " " + code[3:], code[:3] + "-" + code[3:], wide, "0" + code, code + "\t", code + "\n", code + "\x00", "+" + code}
	fresh := h.pre(bob)
	for _, s := range spellings[1:4] { // a good code, spelled as the original did not take it
		h.want(fmt.Sprintf("%q before", s), h.tfa(fresh, s), 403, mismatch)
	}
	left := h.pre(bob)
	h.pair(h.tfa(fresh, code), 200)
	for _, s := range spellings {
		h.Must(h.Store.Update(t.Context(), func(tx store.Tx) error { return h.Throttle.Reset(tx, bob.ID) })) // so that each is judged
		h.want(fmt.Sprintf("%q after", s), h.tfa(h.pre(bob), s), 403, mismatch)
	}
	h.want("with a token from before", h.tfa(left, code), 403, mismatch)
	next, err := h.Doors.Password(t.Context(), login.Attempt{Door: login.API, Realm: realm, Login: "bob", Password: password})
	h.Must(err)
	if _, err := h.Doors.Code(t.Context(), login.Second{Door: login.API, Ephemeral: next.Ephemeral.Reveal(), Code: code}); err == nil {
		t.Error("the native API took the code once more")
	}
	if _, err := h.Doors.Code(t.Context(), login.Second{Door: login.API, Ephemeral: ephemeral(h, left), Code: code}); err == nil {
		t.Error("the native API took the facade's token")
	}
}

// ephemeral is what a pre-tfa token holds.
func ephemeral(h *house, pre string) string {
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(pre, claims)
	h.Must(err)
	text, _ := claims["eph"].(string)
	if text == "" {
		h.Fatal("the token holds nothing")
	}
	return text
}

// Attack: one code, or one backup token, in two hundred posts at once.
func TestO3ParallelPostsOpenOneSession(t *testing.T) {
	for _, what := range []string{"code", "backup token"} {
		t.Run(what, func(t *testing.T) {
			h := newHouse(t)
			bob := h.person("bob")
			pre := []string{h.pre(bob), h.pre(bob)}
			code := h.code(bob)
			var wait sync.WaitGroup
			var mu sync.Mutex
			statuses := map[int]int{}
			for i := range 200 {
				wait.Go(func() {
					post := h.tfa
					c := code
					if what != "code" {
						post, c = h.recover, bob.codes[0]
					}
					a := post(pre[i%len(pre)], c)
					mu.Lock()
					defer mu.Unlock()
					statuses[a.Status]++
				})
			}
			wait.Wait()
			if statuses[200] != 1 {
				t.Errorf("%v", statuses)
			}
			for status := range statuses {
				if status >= 500 {
					t.Errorf("status %d", status)
				}
			}
		})
	}
}

// Attack: guesses are spread over new logins, other doors and backup tokens.
func TestO4O6WrongCodesCountEverywhere(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	wrong := h.wrong(bob)
	h.want("one", h.tfa(h.pre(bob), wrong), 403, mismatch)
	h.want("two", h.recover(h.pre(bob), "x"), 403, `{"detail":"TOTP backup token not found"}`)
	next, err := h.Doors.Password(t.Context(), login.Attempt{Door: login.API, Realm: realm, Login: "bob", Password: password})
	h.Must(err)
	for range 2 {
		_, err = h.Doors.Code(t.Context(), login.Second{Door: login.API, Ephemeral: next.Ephemeral.Reveal(), Code: wrong})
		if err == nil {
			t.Fatal("a wrong code is good")
		}
	}
	h.want("five, empty", h.tfa(h.pre(bob), ""), 403, mismatch)
	for range 2 {
		a := h.tfa(h.pre(bob), h.code(bob))
		h.want("six", a, 429, `{"detail":"Too many wrong tries. Wait before the next one."}`)
		if a.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
		}
	}
	h.Time.Advance(2 * time.Second)
	h.pair(h.tfa(h.pre(bob), h.code(bob)), 200)
}

// Where so many codes were wrong that none is judged any more, waiting does not help,
// and the answer says what does.
func TestO6AClosedPlace(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	wrong := h.wrong(bob)
	var last compattest.Answer
	for range 300 {
		if last = h.tfa(h.pre(bob), wrong); last.Status != 429 {
			continue
		}
		seconds, err := strconv.Atoi(last.Header.Get("Retry-After"))
		if err != nil {
			break
		}
		h.Time.Advance(time.Duration(seconds) * time.Second)
	}
	const closed = `{"detail":"Too many wrong codes: ask your administrator."}`
	h.want("closed", last, 429, closed)
	h.Time.Advance(15 * time.Minute)
	h.want("a backup token, which is as short", h.recover(h.pre(bob), bob.codes[0]), 429, closed)
}

// Five wrong codes burn a pre-tfa token.
func TestO6FiveWrongCodesBurnTheToken(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	pre, wrong := h.pre(bob), h.wrong(bob)
	for range 5 {
		h.want("wrong", h.tfa(pre, wrong), 403, mismatch)
	}
	h.Time.Advance(time.Minute)
	h.challenged("the right one", h.tfa(pre, h.code(bob)), 401, preExpired)
	h.challenged("a backup token", h.recover(pre, bob.codes[0]), 401, preExpired)
}

// Attack: passwords are guessed, in every spelling of the address.
func TestO7O8WrongPasswordsAreOneCounter(t *testing.T) {
	h := newHouse(t)
	h.User("ann", realm, "ann@example.com", password)
	for _, email := range []string{"ann@example.com", "ANN@example.com", "ann@EXAMPLE.com", "Ann@example.com", "ａnn@example.com"} {
		h.want(email, h.login(email, "wrong"), 401, `{"detail":"Incorrect email or password"}`)
	}
	a := h.login("ann@example.com", password)
	h.want("the right one", a, 429, `{"detail":"Too many wrong tries. Wait before the next one."}`)
}
