package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// keys are the names of an answer's fields: what the wire promises.
func keys(a *answer) string { return strings.Join(slices.Sorted(maps.Keys(a.fields)), " ") }

func TestLoginThroughBothDoors(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	a := p.halfway()
	if keys(a) != "ephemeral_token expires_in method other_methods status" || a.text("status") != "second_factor" ||
		a.text("method") != "totp" || !slices.Contains(a.texts("other_methods"), "recovery_code") || a.fields["expires_in"] != 300.0 {
		t.Fatalf("first door: %v", a)
	}
	if len(a.cookies()) != 0 {
		t.Errorf("the first door set cookies: %v", a.cookies())
	}
	b := w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": a.text("ephemeral_token"), "code": p.code()}).want(200)
	if keys(b) != "access_token expires_in refresh_token status token_type" || b.text("status") != "ok" || b.text("token_type") != "Bearer" || b.fields["expires_in"] != 900.0 {
		t.Fatalf("second door: %v", b)
	}
	me := w.stranger().bearing(b.text("access_token")).send("GET", "/me", nil).want(200)
	if me.text("name") != "alice" || me.text("realm") != "users" || !slices.Equal(me.texts("amr"), []string{"pwd", "otp"}) {
		t.Errorf("me: %v", me)
	}
	// By address, and with the realm in the name, it is the same person.
	for _, body := range []map[string]any{
		{"email": "ALICE@example.com", "password": goodWords},
		{"name": "Alice@Users", "password": goodWords},
	} {
		w.stranger().send("POST", "/login", body).want(200)
	}
	// A recovery code works once, and says how many are left.
	for _, want := range []int{200, 401} {
		a := p.halfway()
		c := w.stranger().send("POST", "/login/recovery-code", map[string]any{"ephemeral_token": a.text("ephemeral_token"), "recovery_code": p.codes[0]}).want(want)
		if want == 200 && c.fields["recovery_codes_left"] != 9.0 {
			t.Errorf("recovery: %v", c)
		}
	}
	// Where one factor is enough the first door is the last.
	one := w.someone("olga@single").halfway()
	if one.text("status") != "ok" {
		t.Errorf("one factor: %v", one)
	}
	ephemeral := p.halfway().text("ephemeral_token")
	w.stranger().send("POST", "/login/challenge", map[string]any{"ephemeral_token": ephemeral, "method": "totp"}).want(409, "no_sending_method")
	w.stranger().send("POST", "/login/challenge", map[string]any{"ephemeral_token": "spe_x", "method": "totp"}).want(401, "denied")
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": ephemeral, "code": p.codes[1], "method": "recovery_code"}).want(422, "invalid")
}

// Attack (CVE-2026-49443, CVE-2025-3910): the second step is posted empty, with
// a list for a code, out of order, or with a token of another kind, and the
// flow goes on anyway.
func TestM5NoStepIsSkipped(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	token := p.halfway().text("ephemeral_token")
	session := p.signIn()
	for name, body := range map[string]any{
		"no body":            nil,
		"empty":              map[string]any{},
		"no code":            map[string]any{"ephemeral_token": token},
		"empty code":         map[string]any{"ephemeral_token": token, "code": ""},
		"null code":          map[string]any{"ephemeral_token": token, "code": nil},
		"list":               map[string]any{"ephemeral_token": token, "code": []string{}},
		"list of a code":     map[string]any{"ephemeral_token": token, "code": []string{p.wrong()}},
		"true":               map[string]any{"ephemeral_token": token, "code": true},
		"unknown method":     map[string]any{"ephemeral_token": token, "code": p.wrong(), "method": "none"},
		"recovery as code":   map[string]any{"ephemeral_token": token, "code": p.codes[0]},
		"access as token":    map[string]any{"ephemeral_token": session.text("access_token"), "code": "123456"},
		"refresh as token":   map[string]any{"ephemeral_token": session.text("refresh_token"), "code": "123456"},
		"no token":           map[string]any{"code": "123456"},
		"full-width numbers": map[string]any{"ephemeral_token": token, "code": "１２３４５６"},
	} {
		a := w.stranger().send("POST", "/login/code", body)
		if a.status < 400 || a.status >= 500 || len(a.cookies()) > 0 || a.fields["access_token"] != nil {
			t.Errorf("%s: %v", name, a)
		}
	}
	// The token of a login that has a factor enrols nothing.
	w.stranger().send("POST", "/me/methods/totp/activate", map[string]any{"ephemeral_token": token}).want(401, "denied")
	w.stranger().send("POST", "/me/methods/totp/confirm", map[string]any{"ephemeral_token": token, "code": p.code()}).want(401, "denied")
	// A code that opened the door opens it no second time, in no spelling (O1).
	fresh := p.halfway().text("ephemeral_token")
	code := p.code()
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": fresh, "code": code}).want(200)
	for _, again := range []string{code, " " + code, code + " ", code[:3] + " " + code[3:], code[:3] + "-" + code[3:]} {
		token := p.halfway().text("ephemeral_token")
		w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": token, "code": again}).want(401, "denied")
	}
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": fresh, "code": p.code()}).want(401, "denied")
}

// Attack (CVE-2023-39522, CVE-2024-41952): the answer tells who exists. Here it
// is the same to the byte, whoever was named and whatever was wrong.
func TestE1E2TheAnswerTellsNobody(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.member("alice@users")
	w.someone("disabled@users")
	w.admin().send("PATCH", "/users/users/disabled", map[string]any{"disabled": true}).want(200)
	w.admin().send("POST", "/users", map[string]any{"realm": "users", "name": "blank"}).want(201)
	want := ""
	for _, body := range []map[string]any{
		{"name": "nobody", "password": goodWords},
		{"name": "alice", "password": badWords},
		{"email": "alice@example.com", "password": badWords},
		{"email": "nobody@example.com", "password": badWords},
		{"name": "disabled", "password": goodWords},
		{"name": "blank", "password": goodWords},
		{"name": "alice", "realm": "nowhere", "password": goodWords},
		{"name": "not a name", "password": goodWords},
		{"name": strings.Repeat("x", 300), "password": goodWords},
	} {
		a := w.stranger().send("POST", "/login", body)
		got := fmt.Sprint(a.status, a.header, a.body)
		if want == "" {
			want = got
		}
		if got != want || a.code() != "denied" {
			t.Errorf("%v: %s\nwant %s", body, got, want)
		}
	}
}

// Attack (CVE-2026-20779): one code, posted many times at once, opens many
// sessions because it is read, compared and written in three steps.
func TestO3ParallelReplayOpensOneSession(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	tokens := make([]string, 10)
	for i := range tokens {
		tokens[i] = p.halfway().text("ephemeral_token")
	}
	code := p.code()
	statuses := make(chan int, 200)
	var group sync.WaitGroup
	for i := range cap(statuses) {
		group.Go(func() {
			statuses <- w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": tokens[i%len(tokens)], "code": code}).status
		})
	}
	group.Wait()
	close(statuses)
	count := map[int]int{}
	for status := range statuses {
		count[status]++
	}
	if count[200] != 1 || count[200]+count[401]+count[429] != 200 {
		t.Errorf("statuses: %v, want exactly one 200", count)
	}
}

// Attack (CVE-2026-47203, CVE-2025-24806): every spelling of a name has a
// counter of its own. Here all share one, also with the address, and the right
// password does not skip the wait.
func TestO8EverySpellingSharesOneCounter(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.member("alice@users")
	spellings := []map[string]any{
		{"name": "alice"}, {"name": "ALICE"}, {"name": "alice@users"}, {"email": "Alice@Example.com"}, {"name": "ａｌｉｃｅ"}, {"name": "alice", "realm": "USERS"},
	}
	limited := false
	for i := 0; i < 12 && !limited; i++ {
		body := maps.Clone(spellings[i%len(spellings)])
		body["password"] = badWords
		limited = w.stranger().send("POST", "/login", body).status == 429
	}
	if !limited {
		t.Fatal("twelve wrong passwords in six spellings were all judged")
	}
	for _, spelling := range spellings {
		body := maps.Clone(spelling)
		body["password"] = goodWords
		a := w.stranger().send("POST", "/login", body).want(429, "throttled")
		if a.header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	w.clock.Advance(time.Hour)
	w.stranger().send("POST", "/login", map[string]any{"name": "alice", "password": goodWords}).want(200)
}

// Where two factors are demanded and none exists the login leads to one, and
// to nothing else.
func TestEnrolmentBetweenTheDoors(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.someone("newcomer@users")
	a := p.halfway()
	if keys(a) != "ephemeral_token methods status" || a.text("status") != "enroll" || !slices.Equal(a.texts("methods"), []string{"totp"}) {
		t.Fatalf("first door: %v", a)
	}
	token := a.text("ephemeral_token")
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": token, "code": "123456"}).want(401, "denied")
	w.stranger().send("POST", "/me/methods/sms/activate", map[string]any{"ephemeral_token": token}).want(404, "unknown_method")
	b := w.stranger().send("POST", "/me/methods/totp/activate", map[string]any{"ephemeral_token": token}).want(200)
	_, seed, params, err := otp.ParseURI(b.text("otpauth_uri"))
	must(t, err)
	if params != otp.Default() {
		t.Errorf("parameters %v", params)
	}
	p.seed = seed
	w.stranger().send("POST", "/me/methods/totp/confirm", map[string]any{"ephemeral_token": token, "code": p.wrong()}).want(401, "denied")
	c := w.stranger().send("POST", "/me/methods/totp/confirm", map[string]any{"ephemeral_token": token, "code": p.code()}).want(200)
	if keys(c) != "access_token expires_in recovery_codes refresh_token status token_type" || len(c.texts("recovery_codes")) != 10 {
		t.Fatalf("confirm: %v", c)
	}
	me := w.stranger().bearing(c.text("access_token"))
	me.send("GET", "/me", nil).want(200)
	w.stranger().send("POST", "/me/methods/totp/activate", map[string]any{"ephemeral_token": token}).want(401, "denied")
	if p.halfway().text("status") != "second_factor" {
		t.Error("the factor is not asked for")
	}
}

func TestRefreshAndLogout(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	a := p.signIn()
	b := w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": a.text("refresh_token")}).want(200)
	if keys(b) != "access_token expires_in refresh_token token_type" || b.text("refresh_token") == a.text("refresh_token") {
		t.Fatalf("refresh: %v", b)
	}
	v := w.stranger().bearing(b.text("access_token"))
	v.send("GET", "/me", nil).want(200)
	// Reuse of the old one, later than a lost answer explains, ends the family.
	w.clock.Advance(time.Minute)
	w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": a.text("refresh_token")}).want(401, "denied")
	v.send("GET", "/me", nil).want(401, "unauthenticated")
	w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": b.text("refresh_token")}).want(401, "denied")
	w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": a.text("access_token")}).want(422, "invalid")
	for _, junk := range []string{"", "spr_", "spe_" + strings.Repeat("A", 43)} {
		w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": junk}).want(401, "denied")
	}
	v = p.visit()
	v.send("POST", "/logout", nil).want(204)
	v.send("GET", "/me", nil).want(401, "unauthenticated")
	v.send("POST", "/logout", nil).want(401, "unauthenticated")
	// An access token is good for 15 minutes, and only while the session lives (S1).
	v = p.visit()
	w.clock.Advance(16 * time.Minute)
	v.send("GET", "/me", nil).want(401, "unauthenticated")
}

// Attack (S4, S10): a page of another site posts to the API with the visitor's
// cookie, with the simple content types that need no preflight.
func TestS4ForeignPagesAreRefused(t *testing.T) {
	w := newWorld(t, worldOptions{origins: []string{"https://spa.example.net"}})
	p := w.member("alice@users")
	cookies := p.signIn().cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies of the login: %v", cookies)
	}
	v := w.stranger().carrying(cookies...)
	v.send("GET", "/me", nil).want(200)
	v.saying("Sec-Fetch-Site", "none").send("GET", "/me", nil).want(200)
	change := map[string]any{"full_name": "Alice"}
	v.send("PATCH", "/me", change).want(403, "origin_needed")
	v.saying("Origin", portal).send("PATCH", "/me", change).want(200)
	v.saying("Sec-Fetch-Site", "same-origin").send("PATCH", "/me", change).want(200)
	for _, page := range [][]string{
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "http://auth.example.com"}, {"Origin", portal + ":8443"},
		{"Origin", "https://auth.example.com.evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Origin", portal, "Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"}, {"Origin", ""},
	} {
		v := v.saying(page...)
		if page[1] == "" {
			continue
		}
		for _, call := range []struct {
			method, path string
			body         any
		}{
			{"GET", "/me", nil}, {"PATCH", "/me", change}, {"POST", "/logout", nil},
			{"POST", "/login", map[string]any{"name": "alice", "password": goodWords}},
			{"POST", "/me/methods/totp/confirm", map[string]any{"code": "123456"}},
		} {
			a := v.send(call.method, call.path, call.body).want(403, "foreign_origin")
			if len(a.header.Values("Set-Cookie")) > 0 || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%v: %v", page, a.header)
			}
		}
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json, text/plain", ""} {
		v.saying("Origin", portal, "Content-Type", kind).send("PATCH", "/me", `{"full_name":"Mallory"}`).want(415, "not_json")
	}
	// A listed origin may use a token, and never gets or uses a cookie.
	spa := w.stranger().saying("Origin", "https://spa.example.net", "Sec-Fetch-Site", "cross-site")
	pre := spa.saying("Access-Control-Request-Method", "PATCH").send("OPTIONS", "/me", nil)
	if pre.status != 204 || pre.header.Get("Access-Control-Allow-Origin") != "https://spa.example.net" || pre.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %v %v", pre, pre.header)
	}
	if allowed, exposed := pre.header.Get("Access-Control-Allow-Headers"), pre.header.Get("Access-Control-Expose-Headers"); !strings.Contains(allowed, "If-Match") || !strings.Contains(allowed, "Idempotency-Key") || !strings.Contains(exposed, "ETag") {
		t.Errorf("a listed page cannot use conditions: allowed %s, exposed %s", allowed, exposed)
	}
	half := spa.send("POST", "/login", map[string]any{"name": "alice", "password": goodWords}).want(200)
	full := spa.send("POST", "/login/code", map[string]any{"ephemeral_token": half.text("ephemeral_token"), "code": p.code()}).want(200)
	if len(full.header.Values("Set-Cookie")) > 0 {
		t.Errorf("a foreign page got cookies: %v", full.header)
	}
	spa.bearing(full.text("access_token")).send("GET", "/me", nil).want(200)
	spa.carrying(cookies...).send("GET", "/me", nil).want(401, "unauthenticated")
	// Doubled cookies and headers are nobody's.
	v.carrying(cookies[0], cookies[0]).send("GET", "/me", nil).want(401, "unauthenticated")
}

// With a cookie domain the domain's cookie, which every host below it can read,
// opens nothing here.
func TestTheDomainsCookieOpensNoAPI(t *testing.T) {
	w := newWorld(t, worldOptions{domain: "example.com"})
	p := w.member("alice@users")
	var domain, own *http.Cookie
	for _, c := range p.signIn().cookies() {
		switch c.Name {
		case "__Secure-sallyport_session":
			domain = c
		case "__Host-sallyport_portal":
			own = c
		}
	}
	if own == nil {
		t.Fatal("no cookie of the portal")
	}
	w.stranger().carrying(own).send("GET", "/me", nil).want(200)
	if domain == nil {
		t.Fatal("no cookie of the domain")
	}
	w.stranger().carrying(domain).send("GET", "/me", nil).want(401, "unauthenticated")
	w.stranger().carrying(&http.Cookie{Name: own.Name, Value: domain.Value}).send("GET", "/me", nil).want(401, "unauthenticated")
}

// Attack: without a portal the upstream's scripts have our origin, and the
// browser adds the visitor's cookie to whatever they send.
func TestOnASharedOriginTheCookieOpensLittle(t *testing.T) {
	w := newWorld(t, worldOptions{noPortal: true})
	p := w.member("root@admin")
	a := p.signIn()
	v := w.stranger().carrying(a.cookies()...).saying("Origin", "https://auth.example.com", "Sec-Fetch-Site", "same-origin")
	v.send("GET", "/me", nil).want(200)
	for _, route := range w.api.Routes() {
		if route.Who == 1 || route.SharedCookie { // anyone
			continue
		}
		var body any
		if route.Method != "GET" && route.Method != "DELETE" {
			body = map[string]any{}
		}
		if strings.HasSuffix(route.Path, "/confirm") {
			body = map[string]any{"code": p.code()}
		}
		v.send(route.Method, fill(route.Path), body).want(403, "token_needed")
	}
	v.bearing(a.text("access_token")).send("GET", "/users", nil).want(200)
	v.send("POST", "/logout", nil).want(204)
	v.send("GET", "/me", nil).want(401, "unauthenticated")
}
