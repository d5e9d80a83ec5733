package ungleich_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/ungleich"
)

func deny(o *ungleich.Options) { o.Replay = account.ReplayDeny }

// about is a question of a caller about a subject, in the words of age D.
func (s *service) about(sub *service, token string) body {
	return s.late().and("name", sub.name, "realm", sub.realm, "token", token)
}

// Attack: a token that was verified is sent again, in every spelling, at every door and
// by everybody. With replay: deny its step is burned, and so is what came before it.
func TestO1O2AVerifiedTokenIsBurned(t *testing.T) {
	h := newHouse(t, deny)
	first, second, sub := h.service("first", askers), h.service("second", askers), h.service("sub", appsIn)
	before := sub.token()
	h.Time.Advance(30 * time.Second)
	token := sub.token()
	h.want("once", h.send("POST", "/ungleichotp/verify/", first.about(sub, token)), 200, ok)
	for _, text := range []string{token, " " + token, token + " ", token[:3] + " " + token[3:], token[:3] + "-" + token[3:], "\t" + token, token + "\n",
		"0" + token, "+" + token, wide(token), before} {
		h.want(fmt.Sprintf("%q once more", text), h.send("POST", "/ungleichotp/verify/", first.about(sub, text)), 403, wrong)
		h.want(fmt.Sprintf("%q by another", text), h.send("POST", "/ungleichotp/verify/", second.about(sub, text)), 403, wrong)
		b := first.early().and("verifyname", sub.name, "verifyrealm", sub.realm, "verifytoken", text)
		h.want(fmt.Sprintf("%q in age C", text), h.send("POST", "/ungleichotp/verify/", b), 403, wrong)
		h.want(fmt.Sprintf("%q in age B", text), h.send("POST", "/verify", b), 200, failed)
		h.want(fmt.Sprintf("%q in age A", text), h.send("POST", "/verify", first.early().and("appidtoverify", sub.name, "tokentoverify", text)), 200, failed)
		h.Time.Advance(time.Second / 2)
	}
	// The callers' own tokens are good for their window: services call many times.
	h.want("the caller again", h.send("POST", "/ungleichotp/verify/", first.about(second, second.token())), 200, ok)
}

// wide writes digits as another script's, which the original's comparison folds.
func wide(token string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, token)
}

// Attack: two hundred posts of one token at once.
func TestO3ParallelPostsOfOneToken(t *testing.T) {
	h := newHouse(t, deny)
	asker, sub := h.service("asker", askers), h.service("sub", others)
	text := asker.about(sub, sub.token()).json()
	early := asker.early().and("verifyname", sub.name, "verifyrealm", sub.realm, "verifytoken", sub.token()).json()
	var mu sync.Mutex
	var wait sync.WaitGroup
	good := 0
	for i := range 200 {
		wait.Go(func() {
			var got compattest.Answer
			if i%2 == 0 {
				got = h.Do("POST", "/ungleichotp/verify/", text, jsonIs)
			} else {
				got = h.Do("POST", "/verify", early, jsonIs)
			}
			mu.Lock()
			defer mu.Unlock()
			if got.Body == ok {
				good++
			}
		})
	}
	wait.Wait()
	if good != 1 {
		t.Errorf("%d of 200 were accepted", good)
	}
}

// By default a verified token may be verified again, as the original's clients expect.
func TestReplayIsAllowedByDefault(t *testing.T) {
	h := newHouse(t, nil)
	asker, sub := h.service("asker", askers), h.service("sub", others)
	for range 3 {
		h.want("again", h.send("POST", "/ungleichotp/verify/", asker.about(sub, sub.token())), 200, ok)
	}
}

// Attack: somebody guesses a caller's token at one door after the other. All count
// together, also what is no token at all, and the right one waits as well.
func TestO6WrongTokensCountAcrossDoors(t *testing.T) {
	h := newHouse(t, nil)
	app := h.app(firstApp, "nico", true)
	asker := h.service("asker", askers)
	guess := func(n int, b body) compattest.Answer {
		switch n % 4 {
		case 0:
			return h.send("GET", "/app", b)
		case 1:
			return h.send("POST", "/app/register", b)
		case 2:
			return h.send("POST", "/verify", b)
		}
		return h.send("GET", "/ungleichotp/", body{"auth_name": app.name, "auth_realm": appsIn, "auth_token": b["token"]})
	}
	if got := guess(0, app.app("appid")); got.Status != 200 { // it is known here from now on
		t.Fatal(got)
	}
	h.Time.Advance(30 * time.Second) // what was good stays so for its window: take the next token
	waits := 0
	for n := range 12 {
		token := any(app.wrongToken())
		if n == 1 {
			token = "" // counted like a wrong one
		}
		got := guess(n, app.app("appid").and("token", token, "username", "nico", "appname", "x"))
		if got.Status == 429 {
			waits++
			if got.Header.Get("Retry-After") == "" {
				t.Errorf("no Retry-After: %v", got.Header)
			}
		}
	}
	if waits == 0 {
		t.Fatal("nobody ever had to wait")
	}
	for n := range 4 {
		got := guess(n, app.app("appid"))
		want := `{"status":"FAIL","error":"Too many wrong tries. Wait before the next one."}`
		if n == 3 {
			want = fmt.Sprintf(`{"detail":"Request was throttled. Expected available in %s second%s."}`, got.Header.Get("Retry-After"),
				map[bool]string{false: "s"}[got.Header.Get("Retry-After") == "1"])
		}
		h.want("the right token", got, 429, want)
	}
	h.want("others go on", h.send("POST", "/ungleichotp/verify/", asker.about(asker, asker.token())), 200, ok)
	h.Time.Advance(time.Hour)
	h.want("later", h.send("GET", "/app", app.app("appid")), 200, fmt.Sprintf(`{"status":"OK","apps":[{"name":"app of nico","appid":%q}]}`, firstApp))
}

// Attack: a caller guesses a subject's token. Soon even the right one is refused, for
// this caller, and nothing tells so; others ask on.
func TestO6GuessesAtASubject(t *testing.T) {
	h := newHouse(t, nil)
	asker, other, sub := h.service("asker", askers), h.service("other", askers), h.service("sub", others)
	for range 10 {
		h.want("a guess", h.send("POST", "/ungleichotp/verify/", asker.about(sub, sub.wrongToken())), 403, wrong)
	}
	h.want("the right one", h.send("POST", "/ungleichotp/verify/", asker.about(sub, sub.token())), 403, wrong)
	h.want("another caller", h.send("POST", "/ungleichotp/verify/", other.about(sub, sub.token())), 200, ok)
}

// Attack: empty bodies, fields that are lists, fields of another age, a step left out:
// nothing goes on without a good token.
func TestM5NothingGoesOnWithoutAToken(t *testing.T) {
	h := newHouse(t, func(o *ungleich.Options) { o.ShowSeeds = true })
	root, sub := h.service("root", admins), h.service("sub", others)
	bare := []body{{}, {"name": "root", "realm": admins}, {"name": "root", "realm": admins, "token": ""}, {"name": "root", "realm": admins, "token": []any{}},
		{"name": "root", "realm": admins, "token": []string{root.token()}}, {"name": "root", "realm": admins, "token": body{}}, {"name": "root", "realm": admins, "token": true},
		{"auth_name": "root", "realm": admins, "token": root.token()}, {"name": "root", "auth_realm": admins, "token": root.token()},
		{"name": []string{"root"}, "realm": admins, "token": root.token()}, {"NAME": "root", "realm": admins, "token": root.token()}}
	for _, b := range bare {
		h.Time.Advance(time.Hour)
		for _, to := range []string{"GET /ungleichotp/", "POST /ungleichotp/", "POST /ungleichotp/verify/", "GET " + sub.entry(), "DELETE " + sub.entry()} {
			method, path, _ := strings.Cut(to, " ")
			if got := h.send(method, path, b); got.Status != 403 && got.Status != 429 || strings.Contains(got.Body, sub.seed) {
				t.Errorf("%s %s: %d %s", to, b.json(), got.Status, got.Body)
			}
		}
		for _, to := range []string{"GET /app", "GET /app/sub", "POST /register", "POST /verify"} {
			method, path, _ := strings.Cut(to, " ")
			if got := h.send(method, path, b); !strings.Contains(got.Body, "FAIL") {
				t.Errorf("%s %s: %d %s", to, b.json(), got.Status, got.Body)
			}
		}
	}
	// What stands elsewhere than in the body proves nothing.
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("root@"+admins+":"+root.token()))
	query := "?name=root&realm=" + admins + "&token=" + root.token()
	h.want("elsewhere", h.Do("GET", "/ungleichotp/"+query, "", basic), 403, wrong)
}

// Attack: a person of one of the realms, or of the realm admin, calls with a code.
func TestM2PersonsAreNobodyHere(t *testing.T) {
	h := newHouse(t, nil)
	h.User("root", admins, "", "quartz lantern otter velvet")
	h.User("boss", "admin", "", "quartz lantern otter velvet")
	asker := h.service("asker", askers)
	h.want("as caller", h.send("GET", "/ungleichotp/", body{"name": "root", "realm": admins, "token": "123456"}), 403, wrong)
	h.want("as subject", h.send("POST", "/ungleichotp/verify/", asker.early().and("verifyname", "root", "verifyrealm", admins, "verifytoken", "123456")), 403, wrong)
	root := h.service("real", admins)
	if got := h.send("GET", "/ungleichotp/", root.late()); strings.Contains(got.Body, `"boss"`) || strings.Contains(got.Body, `"root"`) {
		t.Errorf("persons are listed: %s", got.Body)
	}
}

// Attack: an administrator of the old system lists, renames, deletes and makes
// principals of the gateway's own realms, or learns whether their tokens are good.
func TestS12NativeRealmsStayOutOfReach(t *testing.T) {
	h := newHouse(t, func(o *ungleich.Options) { o.ShowSeeds = true })
	root := h.service("root", admins)
	for _, realm := range []string{"admin", "auth"} {
		native := h.service("native", realm)
		if got := h.send("GET", "/ungleichotp/", root.late()); strings.Contains(got.Body, "native") {
			t.Errorf("%s is listed: %s", realm, got.Body)
		}
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
			h.want(method+" "+realm, h.send(method, native.entry(), root.late().and("name", "x", "realm", others)), 404, `{"detail":"Not found."}`)
		}
		h.want("make one of "+realm, h.send("POST", "/ungleichotp/", root.late().and("name", "new", "realm", realm)), 403, noRight)
		h.want("ask about one of "+realm, h.send("POST", "/ungleichotp/verify/", root.about(native, native.token())), 403, wrong)
		h.want("move into "+realm, h.send("PATCH", root.entry(), root.late().and("realm", realm)), 403, noRight)
		h.want("call as one of "+realm, h.send("GET", "/ungleichotp/", native.late()), 403, noRight)
	}
	// Where such a realm is one of the three its own administrators make others, and reach
	// what came through the facade; those of another realm do not.
	h = newHouse(t, func(o *ungleich.Options) { o.AuthRealm = "auth" })
	root = h.service("root", admins)
	h.want("make one of auth", h.send("POST", "/ungleichotp/", root.late().and("name", "new", "realm", "auth")), 403, noRight)
	h = newHouse(t, func(o *ungleich.Options) { o.AdminRealm = "admin" })
	boss, native := h.service("boss", "admin"), h.service("native", "admin")
	if got := h.send("POST", "/ungleichotp/", boss.late().and("name", "new", "realm", "admin")); got.Status != 201 {
		t.Fatalf("make one of admin: %d %s", got.Status, got.Body)
	}
	made := &service{h: h, name: "new", realm: "admin", number: native.number + 1}
	h.want("list", h.send("GET", "/ungleichotp/", boss.late()), 200, fmt.Sprintf("[%s]", h.entryJSON(made, "")))
	h.want("delete its own", h.send("DELETE", made.entry(), boss.late()), 204, "")
	h.want("delete another", h.send("DELETE", native.entry(), boss.late()), 404, `{"detail":"Not found."}`)
}

// Attack: an administrator of the old system makes a program that a rule of the gateway
// lets in, deletes the one that was there, and reads its seed.
func TestClosedRealmsStayOutOfReach(t *testing.T) {
	h := newHouse(t, func(o *ungleich.Options) {
		o.ShowSeeds = true
		o.Closed = func(realm string) bool { return realm == "robots" || realm == askers }
	})
	root, deploy := h.service("root", admins), h.service("deploy", "robots")
	h.want("make one", h.send("POST", "/ungleichotp/", root.late().and("name", "evil", "realm", "robots")), 403, noRight)
	h.want("delete one", h.send("DELETE", deploy.entry(), root.late()), 404, `{"detail":"Not found."}`)
	h.want("move into it", h.send("PATCH", root.entry(), root.late().and("realm", "robots")), 403, noRight)
	if got := h.send("GET", "/ungleichotp/", root.late()); strings.Contains(got.Body, "deploy") {
		t.Errorf("it is listed: %s", got.Body)
	}
	if got := h.send("POST", "/ungleichotp/", root.late().and("name", "own", "realm", askers)); got.Status != 201 {
		t.Errorf("its own realm: %d %s", got.Status, got.Body)
	}
}

// Attack: who is named learns from the answer whether somebody exists, is disabled,
// or has another token.
func TestE2AnswersAreEqual(t *testing.T) {
	h := newHouse(t, nil)
	asker, sub, off, offAsker := h.service("asker", askers), h.service("sub", others), h.service("off", others), h.service("off", askers)
	yes := true
	for _, s := range []*service{off, offAsker} {
		h.Must(h.Store.Update(t.Context(), func(tx store.Tx) error {
			_, err := h.Directory.UpdateService(tx, account.Local(), principal.Ref{Name: s.name, Realm: s.realm}, account.ServiceChange{Disabled: &yes})
			return err
		}))
	}
	same := func(what, method, path string, bodies ...body) {
		t.Helper()
		var first compattest.Answer
		for i, b := range bodies {
			h.Time.Advance(time.Hour)
			got := h.send(method, path, b)
			got.Header.Del("Date")
			if i == 0 {
				first = got
			}
			if got.Status != first.Status || got.Body != first.Body || fmt.Sprint(got.Header) != fmt.Sprint(first.Header) {
				t.Errorf("%s: %s is told apart: %v, not %v", what, b.json(), got, first)
			}
		}
	}
	later := func(s *service) string { // its token an hour after the last request
		h.Time.Advance(time.Hour)
		defer h.Time.Advance(-time.Hour)
		return s.token()
	}
	caller := func(name, realm, token string) body { return body{"name": name, "realm": realm, "token": token} }
	for _, to := range []string{"GET /ungleichotp/", "DELETE /ungleichotp/1/", "POST /ungleichotp/verify/", "POST /verify", "GET /app", "POST /register"} {
		method, path, _ := strings.Cut(to, " ")
		same("callers at "+to, method, path, caller("asker", askers, asker.wrongToken()), caller("nobody", askers, "123456"), caller("asker", "nowhere", "123456"),
			caller("a b", "x.y", "123456"))
		same("a disabled caller at "+to, method, path, caller("off", askers, later(offAsker)))
	}
	h.Time.Advance(time.Hour)
	var answers []string
	for _, s := range []struct {
		s     *service
		token string
	}{{sub, sub.wrongToken()}, {off, off.token()}, {&service{name: "nobody", realm: others}, "123456"}, {&service{name: "sub", realm: "nowhere"}, "123456"}} {
		got := h.send("POST", "/ungleichotp/verify/", asker.about(s.s, s.token))
		got.Header.Del("Date")
		answers = append(answers, fmt.Sprint(got))
	}
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("a subject is told apart: %s, not %s", a, answers[0])
		}
	}
	h.want("a disabled caller", h.send("GET", "/ungleichotp/", offAsker.early()), 403, wrong)
}

// Secrets, tokens and names of strangers never stand in the log.
func TestS8NothingSecretIsLogged(t *testing.T) {
	h := newHouse(t, nil)
	root, asker, app := h.service("root", admins), h.service("asker", askers), h.app(firstApp, "nico", true)
	got := h.send("POST", "/ungleichotp/", root.late().and("name", "new", "realm", others))
	made := h.registered(app.app("appid").and("username", "nico", "appname", "x"), "/register")
	h.send("POST", "/ungleichotp/verify/", asker.early().and("verifyname", "CANARY1", "verifyrealm", "CANARY2", "verifytoken", "CANARY3"))
	h.send("POST", "/verify", body{"appid": "CANARY4", "token": "CANARY5"})
	h.Do("POST", "/ungleichotp/verify/", "{CANARY6", jsonIs)
	log := h.Logged()
	_, seed, _ := strings.Cut(got.Body, `"seed":"`)
	for _, secret := range []string{"CANARY", root.token(), asker.token(), app.token(), root.seed, strings.TrimRight(seed, `"}`), made["seed"]} {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("%q stands in the log", secret)
		}
	}
	if !strings.Contains(log, "service.create") {
		t.Error("nothing was logged at all")
	}
}

// The gate: networks, forwarding headers, origins and the service of `require`.
func TestTheGate(t *testing.T) {
	ask := func(h *house, headers ...string) compattest.Answer {
		asker := h.service("asker", askers)
		return h.Do("POST", "/ungleichotp/verify/", asker.about(asker, asker.token()).json(), append(headers, jsonIs)...)
	}
	refused := `{"detail":"This may not be called from there: allow_from says from where."}`
	h := newHouse(t, from("203.0.113.7"))
	h.want("a foreign network", ask(h), 403, refused)
	h.want("a foreign network, older ages", h.send("POST", "/verify", body{}), 403, `{"status":"FAIL","error":"This may not be called from there: allow_from says from where."}`)
	for _, header := range []string{"X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-Ip: 127.0.0.1"} {
		h = newHouse(t, nil)
		h.want(header, ask(h, header), 403, refused)
	}
	h = newHouse(t, func(o *ungleich.Options) {
		from("203.0.113.7")(o)
		o.AllowFrom = prefixes("203.0.113.0/24")
	})
	h.want("a network that may", ask(h), 200, ok)
	h = newHouse(t, nil)
	// A page cannot know the tokens, but it can lock their owners out with wrong ones.
	h.want("a page", ask(h, "Origin: https://evil.example"), 403, `{"detail":"This may not be called by a web page."}`)
	h = newHouse(t, nil)
	h.want("a name that somebody made point here", ask(h, "Host: evil.example"), 403, `{"detail":"This is not answered under that host name."}`)

	h = newHouse(t, func(o *ungleich.Options) { o.Require = principal.Ref{Name: "gate", Realm: others} })
	gate := h.service("gate", others)
	got := ask(h)
	h.want("without the service", got, 401, `{"detail":"A service must prove itself with this call."}`)
	if got.Header.Get("WWW-Authenticate") == "" {
		t.Error("no challenge")
	}
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("gate@"+others+":"+gate.token()))
	asker := h.service("other", askers)
	h.want("with the service", h.Do("POST", "/ungleichotp/verify/", asker.about(asker, asker.token()).json(), jsonIs, basic), 200, ok)

	h = newHouse(t, func(o *ungleich.Options) { o.CORS = []string{"https://app.example"} })
	if got := h.Do("OPTIONS", "/ungleichotp/", "", "Origin: https://app.example", "Access-Control-Request-Method: POST"); got.Status != 204 {
		t.Errorf("a preflight: %d", got.Status)
	}
	if got := ask(h, "Origin: https://app.example"); got.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || got.Status != 200 {
		t.Errorf("an origin that may read: %d %v", got.Status, got.Header)
	}
}

// Options that cannot be are refused.
func TestNew(t *testing.T) {
	w := newHouse(t, nil)
	eleven, below, zero := otp.MaxSkew+1, -1, 0
	for what, change := range map[string]func(*ungleich.Options){
		"no store":       func(o *ungleich.Options) { o.Store = nil },
		"no programs":    func(o *ungleich.Options) { o.Programs = nil },
		"no client":      func(o *ungleich.Options) { o.Client = nil },
		"one realm":      func(o *ungleich.Options) { o.AuthRealm = "ungleich-admin" },
		"two of three":   func(o *ungleich.Options) { o.AppRealm = "ungleich-auth" },
		"no realm":       func(o *ungleich.Options) { o.AppRealm = "a.b" },
		"other letters":  func(o *ungleich.Options) { o.AdminRealm = "Admins" },
		"replay":         func(o *ungleich.Options) { o.Replay = "twice" },
		"a wide window":  func(o *ungleich.Options) { o.Skew = &eleven },
		"no such window": func(o *ungleich.Options) { o.Skew = &below },
	} {
		o := ungleich.Options{Rooms: w.Rooms}
		change(&o)
		if f, err := ungleich.New(o); err == nil || f != nil {
			t.Errorf("%s is taken", what)
		}
	}
	h := newHouse(t, func(o *ungleich.Options) { o.Skew = &zero })
	asker, sub := h.service("asker", askers), h.service("sub", others)
	old := sub.token()
	h.Time.Advance(60 * time.Second)
	h.want("a window of none", h.send("POST", "/ungleichotp/verify/", asker.about(sub, old)), 403, wrong)
}
