package api_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A service calls many times with one token, by Basic, from two minutes before to
// one after; a token of another realm, of another time, of another seed does not
// open anything, and the answer is the same.
func TestServiceCallsWithItsToken(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, other := w.robot("checker@auth"), w.robot("deploy@robots")
	for range 5 {
		if got := r.ask("nobody@robots", "000000"); got != "FAIL" {
			t.Fatal(got)
		}
	}
	for _, step := range []int64{-1, 1} {
		r.with(r.at(step)).send("POST", "/verify", map[string]any{"name": "a", "realm": "robots", "token": "1"}).want(200)
	}
	body := map[string]any{"name": "a", "realm": "robots", "token": "1"}
	same, n := "", 0
	for name, v := range map[string]*visitor{
		"old":             r.with(r.at(-2)),
		"early":           r.with(r.at(2)),
		"wrong":           r.with(r.wrong()),
		"another seed":    r.with(other.token()),
		"another realm":   w.stranger().saying("Authorization", basic("checker@robots", r.token())),
		"unknown realm":   w.stranger().saying("Authorization", basic("checker@nowhere", r.token())),
		"no realm":        w.stranger().saying("Authorization", basic("checker", r.token())),
		"unknown name":    w.stranger().saying("Authorization", basic("chequer@auth", r.token())),
		"letters":         r.with("abcdef"),
		"empty":           r.with(""),
		"wide digits":     r.with("１２３４５６"),
		"two tokens":      r.with(r.token() + r.at(-1)),
		"no name at all":  w.stranger().saying("Authorization", basic("", r.token())),
		"name with slash": w.stranger().saying("Authorization", basic("a/b@auth", r.token())),
	} {
		n++
		v.from = fmt.Sprintf("203.0.113.%d:1", n) // where nobody has to wait yet
		a := v.send("POST", "/verify", body).want(401, "denied")
		if same == "" {
			same = a.body
		}
		if a.body != same {
			t.Errorf("%s is told apart: %s", name, a.body)
		}
	}
	if spaced := r.token()[:3] + " " + r.token()[3:]; r.with(spaced).send("POST", "/verify", body).want(200) == nil {
		t.Error("a space between digits")
	}
	w.stranger().saying("Authorization", "Basic !!!").send("POST", "/verify", body).want(401, "unauthenticated")
	r.visit().send("GET", "/users", nil).want(403, "forbidden") // auth may ask, and nothing else
	r.visit().send("GET", "/me", nil).want(403, "forbidden")
	other.visit().send("POST", "/verify", body).want(403, "forbidden")
	causes := w.causes("service.token")
	for _, want := range []string{"out_of_window", "wrong", "unknown"} {
		if !slices.Contains(causes, want) {
			t.Errorf("no event says %s: %v", want, causes)
		}
	}
}

// A person who is named in Basic is refused like an unknown name, whatever the
// password or the code: Basic would be a door without a second factor (M2).
func TestM2BasicNamesServicesOnly(t *testing.T) {
	w := newWorld(t, worldOptions{})
	root := w.member("root@admin")
	for _, secret := range []string{root.password, root.code(), root.password + root.code()} {
		w.stranger().saying("Authorization", basic("root@admin", secret)).send("GET", "/users", nil).want(401, "denied")
	}
	if causes := w.causes("service.token"); len(causes) != 3 || causes[0] != "unknown" {
		t.Errorf("causes %v", causes)
	}
}

// Attack: one token, shown to the door two hundred times at once: the step is
// burned in the transaction that accepts it (O2, O3). The burn is verify's alone:
// the service itself goes on with the token.
func TestO3ParallelVerifyAcceptsOnce(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, deploy := w.robot("checker@auth"), w.robot("deploy@robots")
	w.admin().send("PUT", "/realms/robots", map[string]any{"capabilities": []any{}}).want(200)
	token, body := deploy.token(), func(text string) map[string]any {
		return map[string]any{"name": "deploy", "realm": "robots", "token": text}
	}
	var mu sync.Mutex
	good := 0
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if r.visit().send("POST", "/verify", body(token)).text("status") == "OK" {
				mu.Lock()
				defer mu.Unlock()
				good++
			}
		})
	}
	wg.Wait()
	if good != 1 {
		t.Fatalf("%d of 200 posts of one token were accepted", good)
	}
	for _, text := range []string{token, " " + token, token[:3] + " " + token[3:], token[:3] + "-" + token[3:]} { // O1
		if got := r.ask("deploy@robots", text); got != "FAIL" {
			t.Errorf("%q once more: %s", text, got)
		}
	}
	if got := w.robot("second@auth").ask("deploy@robots", token); got != "FAIL" {
		t.Errorf("another caller: %s", got)
	}
	if got := r.ask("deploy@robots", deploy.at(-1)); got != "FAIL" { // older than what was burned
		t.Errorf("the step before: %s", got)
	}
	deploy.with(token).send("POST", "/verify", body("1")).want(403, "forbidden") // proved, and may not ask
	w.clock.Advance(-10 * time.Minute)                                           // O12
	if got := r.ask("deploy@robots", token); got != "FAIL" {
		t.Errorf("with the clock set back: %s", got)
	}
	w.clock.Advance(11 * time.Minute)
	if got := r.ask("deploy@robots", deploy.token()); got != "OK" {
		t.Errorf("a later token: %s", got)
	}
}

// replay: allow is for realms whose callers ask twice about one token.
func TestReplayAllowedWhereTheRealmSaysSo(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, deploy := w.robot("checker@auth"), w.robot("deploy@robots")
	w.admin().send("PUT", "/realms/robots", map[string]any{"replay": "allow"}).want(200)
	for range 3 {
		if got := r.ask("deploy@robots", deploy.token()); got != "OK" {
			t.Fatal(got)
		}
	}
}

// Attack: a caller learns who exists, who is disabled and whose clock is off by
// asking (E2). Outside there is one answer; the events tell them apart.
func TestE2VerifyTellsNothingOfItsSubjects(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, deploy, off := w.robot("checker@auth"), w.robot("deploy@robots"), w.robot("off@robots")
	caller, boss := w.robot("caller@robots", "use", "caller"), w.robot("boss@admin")
	w.admin().send("PATCH", off.path(), map[string]any{"disabled": true}).want(200)
	rotated := w.robot("rotated@robots")
	old := rotated.token()
	w.admin().send("POST", rotated.path()+"/rotate", map[string]any{"overlap": 0}).want(200)
	cases := []struct{ subject, token, cause string }{
		{"nobody@robots", "123456", "unknown"}, {"nobody@nowhere", "123456", "unknown"}, {"a/b@robots", "123456", "unknown"},
		{"off@robots", off.token(), "disabled"}, {"caller@robots", caller.token(), "use"}, {"boss@admin", boss.token(), "capable_realm"},
		{"checker@auth", r.token(), "capable_realm"}, {"deploy@robots", deploy.wrong(), "wrong"}, {"deploy@robots", "x", "wrong"},
		{"deploy@robots", deploy.at(-3), "out_of_window"}, {"deploy@robots", deploy.at(3), "out_of_window"}, {"rotated@robots", old, "wrong"},
	}
	var first *answer
	for _, c := range cases {
		name, realm, _ := strings.Cut(c.subject, "@")
		a := r.visit().send("POST", "/verify", map[string]any{"name": name, "realm": realm, "token": c.token}).want(200)
		if first == nil {
			first = a
		}
		if a.text("status") != "FAIL" || a.body != first.body || fmt.Sprint(slices.Sorted(maps.Keys(a.header))) != fmt.Sprint(slices.Sorted(maps.Keys(first.header))) {
			t.Errorf("%s with %s: %v %v", c.subject, c.cause, a.header, a)
		}
	}
	causes := w.causes("service.verify")
	slices.Reverse(causes)
	for i, c := range cases {
		if i >= len(causes) || causes[i] != c.cause {
			t.Fatalf("event %d: %v, want %s", i, causes, c.cause)
		}
	}
	if strings.Contains(w.log.String(), "nobody@robots") {
		t.Error("a name that a stranger typed stands in the log")
	}
}

// What one caller asks wrongly about a subject shuts neither the subject nor other
// callers out, and is answered FAIL, never 429.
func TestVerifyThrottlesThePairAlone(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, second, deploy := w.robot("checker@auth"), w.robot("second@auth"), w.robot("deploy@robots")
	for range 60 {
		if got := r.ask("deploy@robots", deploy.wrong()); got != "FAIL" {
			t.Fatal(got)
		}
	}
	if got := r.ask("deploy@robots", deploy.token()); got != "FAIL" {
		t.Errorf("the caller who guesses: %s", got)
	}
	if got := second.ask("deploy@robots", deploy.token()); got != "OK" {
		t.Errorf("another caller: %s", got)
	}
	deploy.visit().send("GET", "/users", nil).want(403, "forbidden")
	if n := len(w.causes("service.verify")); n != 5 {
		t.Errorf("%d events are stored of 60 tries, 5 were judged", n)
	}
	w.clock.Advance(20 * time.Minute)
	if got := r.ask("deploy@robots", deploy.token()); got != "OK" {
		t.Errorf("twenty minutes later: %s", got)
	}
}

// Attack: a stranger guesses a service's tokens. A hundred a day from elsewhere;
// where the service was seen before, it goes on (O6, O11).
func TestO6GuessingServiceTokensEnds(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("checker@auth")
	r.from = "198.51.100.7:1"
	r.ask("nobody@robots", "1")
	body := map[string]any{"name": "a", "realm": "robots", "token": "1"}
	refused := 0
	for i := range 400 {
		v := r.with(r.wrong())
		v.from = fmt.Sprintf("203.0.%d.%d:1", i/200, i%200+1) // so that no network counts 30
		if v.send("POST", "/verify", body).status == 429 {
			refused++
		}
	}
	if refused != 300 {
		t.Errorf("%d of 400 wrong tokens were refused unseen, want 300", refused)
	}
	v := r.visit()
	v.from = "203.0.113.200:1"
	w.clock.Advance(30 * time.Second)
	if a := r.with(r.token()); a != nil {
		a.from = v.from
		if got := a.send("POST", "/verify", body).want(429, "throttled"); got.header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	if got := r.ask("nobody@robots", "1"); got != "FAIL" {
		t.Error("the service is shut out at its own network")
	}
}

// Both seeds work during an overlap, then the new one alone; access tokens end at
// once.
func TestRotationWithAnOverlap(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("checker@auth")
	before := *r
	access := r.access("checker@auth", r.token()).want(200).text("access_token")
	w.stranger().bearing(access).send("POST", "/verify", map[string]any{"name": "a", "realm": "b", "token": "1"}).want(200)
	a := w.admin().send("POST", r.path()+"/rotate", map[string]any{"overlap": 3600, "seed_bytes": 32}).want(200)
	r.learn(a)
	if len(r.seed) != 32 || a.text("old_seed_until") == "" {
		t.Errorf("rotated: %v", a)
	}
	w.stranger().bearing(access).send("POST", "/verify", map[string]any{"name": "a", "realm": "b", "token": "1"}).want(401, "unauthenticated")
	for range 2 {
		r.ask("nobody@robots", "1")
		before.ask("nobody@robots", "1")
	}
	w.clock.Advance(time.Hour)
	r.ask("nobody@robots", "1")
	before.visit().send("GET", "/users", nil).want(401, "denied")
	if causes := w.causes("service.token"); causes[0] != "rotated" {
		t.Errorf("causes %v", causes)
	}
	// A token that was accepted just before the overlap's end is not good behind it.
	w.admin().send("POST", r.path()+"/rotate", map[string]any{"overlap": 10}).want(200)
	r.ask("nobody@robots", "1")
	w.clock.Advance(10 * time.Second)
	r.visit().send("GET", "/users", nil).want(401, "denied")
}

// Attack: a token that was accepted a moment ago is remembered; disabling,
// deleting, another network or another use must not wait for that memory (S6).
func TestS6DisabledServicesAreRefusedAtOnce(t *testing.T) {
	for name, change := range map[string]func(*world, *robot){
		"disabled": func(w *world, r *robot) {
			w.admin().send("PATCH", r.path(), map[string]any{"disabled": true}).want(200)
		},
		"deleted": func(w *world, r *robot) { w.admin().send("DELETE", r.path(), nil).want(204) },
		"made anew": func(w *world, r *robot) {
			w.admin().send("DELETE", r.path(), nil).want(204)
			w.robot(r.name)
		},
		"rotated": func(w *world, r *robot) {
			w.admin().send("POST", r.path()+"/rotate", map[string]any{"overlap": 0}).want(200)
		},
		"bound": func(w *world, r *robot) {
			w.admin().send("PATCH", r.path(), map[string]any{"allow_from": []string{"10.0.0.0/8"}}).want(200)
		},
		"subject": func(w *world, r *robot) {
			w.admin().send("PATCH", r.path(), map[string]any{"use": "subject"}).want(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			r := w.robot("checker@auth")
			token := r.token()
			access := r.access("checker@auth", token).want(200).text("access_token")
			body := map[string]any{"name": "a", "realm": "robots", "token": "1"}
			r.with(token).send("POST", "/verify", body).want(200)
			w.stranger().bearing(access).send("POST", "/verify", body).want(200)
			change(w, r)
			r.with(token).send("POST", "/verify", body).want(401, "denied")
			r.access("checker@auth", token).want(401)
			w.stranger().bearing(access).send("POST", "/verify", body).want(401, "unauthenticated")
		})
	}
}

// A service that is bound to networks calls from there alone, by token and by
// access token.
func TestAllowFromBindsBothProofs(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("checker@auth", "allow_from", []string{"192.0.2.0/25", "2001:db8::1"})
	body := map[string]any{"name": "a", "realm": "robots", "token": "1"}
	access := r.access("checker@auth", r.token()).want(200).text("access_token")
	for from, status := range map[string]int{"192.0.2.9:1": 200, "[2001:db8::1]:1": 200, "192.0.2.200:1": 401, "[2001:db8::2]:1": 401, "": 401} {
		for name, v := range map[string]*visitor{"token": r.visit(), "access token": w.stranger().bearing(access)} {
			v.from = from
			if a := v.send("POST", "/verify", body); a.status != status {
				t.Errorf("%s from %q: %v", name, from, a)
			}
		}
	}
}

// The token endpoint speaks RFC 6749: what is wrong is said in its words.
func TestTokenEndpointSpeaksOAuth(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("deploy-1@robots")
	form := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	good := form("grant_type", "client_credentials")
	with := []string{"Authorization", basic(url.QueryEscape(r.name), r.token())}
	for _, c := range []struct {
		name, query, body string
		header            []string
		status            int
		code              string
	}{
		{"in the body", "", form("grant_type", "client_credentials", "client_id", r.name, "client_secret", r.token()), nil, 200, ""},
		{"by Basic", "", good, with, 200, ""},
		{"by Basic as curl sends it", "", good, []string{"Authorization", basic(r.name, r.token())}, 200, ""},
		{"both name it", "", form("grant_type", "client_credentials", "client_id", r.name), with, 200, ""},
		{"secret twice", "", form("grant_type", "client_credentials", "client_secret", r.token()), with, 400, "invalid_request"},
		{"two names", "", form("grant_type", "client_credentials", "client_id", "x@robots"), with, 401, "invalid_client"},
		{"wrong", "", form("grant_type", "client_credentials", "client_id", r.name, "client_secret", r.wrong()), nil, 401, "invalid_client"},
		{"unknown", "", form("grant_type", "client_credentials", "client_id", "x@robots", "client_secret", r.token()), nil, 401, "invalid_client"},
		{"no client", "", good, nil, 401, "invalid_client"},
		{"another grant", "", form("grant_type", "password", "username", "a", "password", "b"), nil, 400, "unsupported_grant_type"},
		{"no grant", "", form("client_id", r.name), nil, 400, "invalid_request"},
		{"a scope", "", form("grant_type", "client_credentials", "scope", "admin"), with, 400, "invalid_scope"},
		{"grant twice", "", good + "&" + good, with, 400, "invalid_request"},
		{"in the address", "?client_secret=" + r.token(), good, with, 400, "invalid_request"},
		{"json", "", `{"grant_type":"client_credentials"}`, append([]string{"Content-Type", "application/json"}, with...), 400, "invalid_request"},
		{"no body", "", "", with, 400, "invalid_request"},
		{"bearer", "", good, []string{"Authorization", "Bearer x"}, 401, "invalid_client"},
		{"broken escape", "", "grant_type=%zz", with, 400, "invalid_request"},
		{"too large", "", "a=" + strings.Repeat("x", 70<<10), with, 413, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, c.header...)
			a := w.stranger().saying(header...).send("POST", "/token"+c.query, c.body)
			if code, _ := a.fields["error"].(string); a.status != c.status || code != c.code {
				t.Fatalf("%v, want %d %s", a, c.status, c.code)
			}
			if a.status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("401 without a challenge: %v", a.header)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", a.header)
			}
			if a.status == 200 && (a.text("token_type") != "Bearer" || a.fields["expires_in"].(float64) != 900 || len(a.fields) != 3) {
				t.Errorf("%v", a)
			}
		})
	}
}

// Attack (CVE-2024-47616): an access token of one kind taken at another door, cut,
// or changed.
func TestS5ServiceTokensOpenTheirDoorAlone(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("boss@admin")
	access := r.access(r.name, r.token()).want(200).text("access_token")
	v := w.stranger().bearing(access)
	v.send("GET", "/users", nil).want(200)
	for _, path := range []string{"/me", "/me/sessions", "/me/methods"} {
		v.send("GET", path, nil).want(403, "forbidden")
	}
	v.send("POST", "/logout", nil).want(403, "forbidden")
	v.send("POST", "/token/refresh", map[string]any{"refresh_token": access[:128]}).want(401, "denied")
	w.stranger().saying("Authorization", basic(r.name, access)).send("GET", "/users", nil).want(401, "denied")
	for i := 0; i < len(access); i += 7 {
		b := []byte(access)
		b[i] ^= 1
		w.stranger().bearing(string(b)).send("GET", "/users", nil).want(401, "unauthenticated")
		w.stranger().bearing(access[:i]).send("GET", "/users", nil).want(401, "unauthenticated")
	}
	w.clock.Advance(15*time.Minute + 6*time.Second)
	v.send("GET", "/users", nil).want(401, "unauthenticated")
}
