package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var nobodys = map[string]any{"name": "nobody", "realm": "robots", "token": "1"}

// strangers guess at a service until they must wait, each from a network of their own.
func (r *robot) strangers(n int) {
	r.w.Helper()
	for i := range n {
		v := r.with(r.wrong())
		v.from = fmt.Sprintf("203.%d.%d.1:1", i/200, i%200)
		v.send("POST", "/verify", nobodys)
	}
}

// Attack: strangers guess until the service is shut out everywhere else for a day.
// Before, neither a new seed nor enabling it opened its door again.
func TestO11RotationAndEnablingOpenWhatGuessesClosed(t *testing.T) {
	for name, help := range map[string]func(*world, *robot){
		"rotated": func(w *world, r *robot) {
			r.learn(w.admin().send("POST", r.path()+"/rotate", map[string]any{"overlap": 0}).want(200))
		},
		"enabled": func(w *world, r *robot) {
			w.admin().send("PATCH", r.path(), map[string]any{"disabled": true}).want(200)
			w.admin().send("PATCH", r.path(), map[string]any{"disabled": false}).want(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			r := w.robot("checker@auth")
			r.strangers(120)
			r.visit().send("POST", "/verify", nobodys).want(429, "throttled")
			help(w, r)
			r.visit().send("POST", "/verify", nobodys).want(200)
		})
	}
}

// A service that is disabled, or bound to the other side, keeps calling with good
// tokens: that is no guess. Before, it was shut out for hours after it was enabled.
func TestGoodTokensThatAreRefusedAreNoGuesses(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("checker@auth")
	r.ask("nobody@robots", "1")
	w.admin().send("PATCH", r.path(), map[string]any{"use": "subject"}).want(200)
	for range 240 {
		w.clock.Advance(15 * time.Second)
		r.visit().send("POST", "/verify", nobodys).want(401, "denied")
	}
	if n := len(w.causes("service.token")); n < 55 || n > 65 {
		t.Errorf("%d events of an hour: once a minute was expected", n)
	}
	w.admin().send("PATCH", r.path(), map[string]any{"use": "both"}).want(200)
	r.visit().send("POST", "/verify", nobodys).want(200)
}

// Attack: strangers shut out all instances of a service but the one that happened
// to be seen first in a minute; or those on this machine; or they try from where the
// service may not be at all.
func TestO11EveryPlaceOfAServiceIsKnown(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, local := w.robot("checker@auth"), w.robot("cron@auth")
	first, second := "198.51.100.1:1", "198.51.100.2:1"
	for range 10 {
		for _, from := range []string{first, second} {
			v := r.visit()
			v.from = from
			v.send("POST", "/verify", nobodys).want(200)
		}
		v := local.visit()
		v.from = "127.0.0.1:1"
		v.send("POST", "/verify", nobodys).want(200)
		w.clock.Advance(30 * time.Second)
	}
	r.strangers(150)
	local.strangers(150)
	w.clock.Advance(30 * time.Second)
	for _, from := range []string{first, second} {
		v := r.visit()
		v.from = from
		v.send("POST", "/verify", nobodys).want(200)
	}
	v := local.visit()
	v.from = "127.0.0.1:1"
	v.send("POST", "/verify", nobodys).want(200)

	bound := w.robot("bound@auth", "allow_from", []string{"192.0.2.0/24"})
	bound.strangers(300)
	v = bound.visit()
	v.from = "192.0.2.77:1"
	v.send("POST", "/verify", nobodys).want(200)
}

// Attack: a subject repeats one burned token, or a stranger types invented names, at
// a service that asks verify: each was an event in the store.
func TestVerifyDoesNotFillTheStore(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, deploy := w.robot("checker@auth"), w.robot("deploy@robots")
	w.admin().send("POST", "/users", map[string]any{"realm": "users", "name": "x"}).want(201)
	alice := w.member("alice@users")
	token, code := deploy.token(), alice.code()
	ask := func(i int) {
		r.ask("deploy@robots", token)
		r.ask("alice@users", code)
		r.ask(fmt.Sprintf("nobody%d@robots", i), "123456")
	}
	for i := range 1000 {
		ask(i)
	}
	before := len(w.dump())
	for i := range 400 {
		ask(1000 + i)
	}
	if grown := len(w.dump()) - before; grown > 20 {
		t.Errorf("400 rounds of the same made %d records", grown)
	}
}

// Attack: who exists, who is disabled and who is mighty is told by how much a
// question writes, and so by how long it takes: each question that is judged is one
// commit, and so is each that is not.
func TestE2EveryQuestionCostsACommit(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, deploy, off := w.robot("checker@auth"), w.robot("deploy@robots"), w.robot("off@robots")
	w.admin().send("PATCH", off.path(), map[string]any{"disabled": true}).want(200)
	root, alice, gone := w.member("root@admin"), w.member("alice@users"), w.member("gone@users")
	w.admin().send("PATCH", w.path(gone), map[string]any{"disabled": true}).want(200)
	for _, c := range []struct{ path, subject, token string }{
		{"/verify", "nobody@robots", "123456"}, {"/verify", "nobody@nowhere", "123456"}, {"/verify", "deploy@robots", deploy.wrong()},
		{"/verify", "off@robots", off.token()}, {"/verify", "root@admin", root.wrong()}, {"/verify", "nobody@admin", "123456"},
		{"/verify", "alice@users", alice.wrong()}, {"/verify", "gone@users", gone.wrong()},
		{"", "nobody@users", "123456"}, {"", "alice@users", alice.wrong()}, {"", "gone@users", gone.wrong()}, {"", "root@admin", root.wrong()}, {"", "nobody@admin", "123456"},
	} {
		for round := range 12 { // the later ones are not judged
			before := w.written()
			p := &person{w: w}
			name, realm := split(c.subject)
			p.name, p.realm = name, realm
			path, body := w.path(p)+"/verify", map[string]any{"code": c.token}
			if c.path != "" {
				path, body = c.path, map[string]any{"name": name, "realm": realm, "token": c.token}
			}
			if got := r.visit().send("POST", path, body).want(200).text("status"); got != "FAIL" {
				t.Fatalf("%v: %s", c, got)
			}
			if w.written() == before {
				t.Errorf("%s %s, round %d: nothing was written", c.path, c.subject, round)
			}
		}
	}
}

// Attack: a burned token is good again once its seed comes back, by rotation or in a
// service made anew.
func TestO2BurnedStepsOutliveTheirSeed(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r, deploy := w.robot("checker@auth"), w.robot("deploy@robots")
	token, seed := deploy.token(), deploy.seedText()
	if got := r.ask("deploy@robots", token); got != "OK" {
		t.Fatal(got)
	}
	w.admin().send("POST", deploy.path()+"/rotate", map[string]any{"seed": seed}).want(422, "invalid")
	for _, overlap := range []int{0, 3600} {
		w.admin().send("POST", deploy.path()+"/rotate", map[string]any{"overlap": overlap}).want(200)
		if overlap > 0 {
			w.admin().send("POST", deploy.path()+"/rotate", map[string]any{"overlap": overlap}).want(200)
		}
		w.admin().send("POST", deploy.path()+"/rotate", map[string]any{"overlap": overlap, "seed": seed}).want(200)
		if got := r.ask("deploy@robots", token); got != "FAIL" {
			t.Errorf("rotated away and back, overlap %d: %s", overlap, got)
		}
	}
	// The same with a seed whose overlap ended before the newer one's token was burned.
	second := w.robot("second@robots")
	token2, seed2 := second.token(), second.seedText()
	if got := r.ask("second@robots", token2); got != "OK" {
		t.Fatal(got)
	}
	newer := *second
	newer.learn(w.admin().send("POST", second.path()+"/rotate", map[string]any{"overlap": 1}).want(200))
	w.clock.Advance(2 * time.Second)
	if got := r.ask("second@robots", newer.token()); got != "OK" {
		t.Fatal(got)
	}
	w.admin().send("POST", second.path()+"/rotate", map[string]any{}).want(200)
	w.admin().send("POST", second.path()+"/rotate", map[string]any{"seed": seed2}).want(200)
	if got := r.ask("second@robots", token2); got != "FAIL" {
		t.Errorf("after two rotations and back: %s", got)
	}
	w.admin().send("DELETE", deploy.path(), nil).want(204)
	w.robot("other@robots", "seed", seed)
	if got := r.ask("other@robots", token); got != "FAIL" {
		t.Errorf("made anew: %s", got)
	}
	w.clock.Advance(time.Minute)
	if got := r.ask("other@robots", deploy.token()); got != "OK" {
		t.Errorf("a later token: %s", got)
	}
}

// Attack: an access token from before comes to life again when a service that was
// the other side alone may call once more; a token that was good under a wide skew
// goes on being good.
func TestWhatEndedStaysEnded(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("checker@auth")
	access := r.access("checker@auth", r.token()).want(200).text("access_token")
	w.admin().send("PATCH", r.path(), map[string]any{"use": "subject"}).want(200)
	w.admin().send("PATCH", r.path(), map[string]any{"use": "both"}).want(200)
	w.stranger().bearing(access).send("POST", "/verify", nobodys).want(401, "unauthenticated")

	w.admin().send("PUT", "/realms/auth", map[string]any{"skew": 10}).want(200)
	old := r.at(-8)
	r.with(old).send("POST", "/verify", nobodys).want(200)
	w.admin().send("PUT", "/realms/auth", map[string]any{"skew": 1}).want(200)
	r.with(old).send("POST", "/verify", nobodys).want(401, "denied")
}

// Attack: a browser that was told a service's credential sends it by itself, for a
// page of another site or of an application that shares the host.
func TestS4BasicIsNotTakenFromBrowsers(t *testing.T) {
	for _, o := range []worldOptions{{origins: []string{"https://tools.example.org"}}, {noPortal: true}} {
		w := newWorld(t, o)
		r := w.robot("boss@admin")
		for _, header := range [][]string{
			{"Origin", "https://tools.example.org"}, {"Origin", portal}, {"Origin", "null"}, {"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Mode", "no-cors"},
		} {
			a := w.stranger().saying(append(header, "Authorization", basic(r.name, r.token()))...).send("POST", r.path()+"/rotate", nil)
			if a.status != 401 && a.status != 403 {
				t.Errorf("%v: %v", header, a)
			}
		}
		r.visit().send("POST", r.path()+"/rotate", nil).want(200)
	}
}

// A name that Basic or OAuth would read in two ways belongs to no service.
func TestServiceNamesHaveOneReading(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for _, name := range []string{"a:b", "a%62", "a+b", "*"} {
		w.admin().send("POST", "/services", map[string]any{"realm": "users", "name": name}).want(422, "invalid")
	}
}

// A grant over a realm that is gone does not wait for another one of its name.
func TestS12GrantsEndWithTheirRealm(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.admin().send("PUT", "/realms/lab", map[string]any{}).want(200)
	w.admin().send("PUT", "/realms/desk", map[string]any{"capabilities": []any{map[string]any{"capability": "create", "realms": []string{"lab"}},
		map[string]any{"capability": "update", "realms": []string{"lab", "users"}}}}).want(200)
	desk := w.robot("desk@desk")
	desk.visit().send("PUT", "/realms/users", map[string]any{"skew": 10}).want(403, "forbidden")
	w.admin().send("DELETE", "/realms/lab", nil).want(204)
	w.admin().send("PUT", "/realms/lab", map[string]any{}).want(200)
	w.someone("anna@lab")
	desk.visit().send("POST", "/users", map[string]any{"realm": "lab", "name": "x"}).want(403, "forbidden")
	desk.visit().send("POST", "/users", map[string]any{"realm": "users", "name": "x"}).want(403, "forbidden")
	desk.visit().send("PATCH", "/users/lab/anna", map[string]any{"full_name": "x"}).want(403, "forbidden")
	w.someone("bert@users")
	desk.visit().send("PATCH", "/users/users/bert", map[string]any{"full_name": "x"}).want(200)
}

// An access token that is used where its service is not was probably stolen: the log
// says so.
func TestStolenAccessTokensAreSeen(t *testing.T) {
	w := newWorld(t, worldOptions{})
	r := w.robot("checker@auth", "allow_from", []string{"192.0.2.0/24"})
	access := r.access("checker@auth", r.token()).want(200).text("access_token")
	v := w.stranger().bearing(access)
	v.from = "203.0.113.9:1"
	before := w.log.Len()
	v.send("POST", "/verify", nobodys).want(401, "unauthenticated")
	said := w.log.String()[before:]
	for _, want := range []string{`"cause":"network"`, `"checker@auth"`, `"203.0.113.9"`} {
		if !strings.Contains(said, want) {
			t.Errorf("%s is not in the log: %q", want, said)
		}
	}
}
