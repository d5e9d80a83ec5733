package api_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

var newcomer = map[string]any{"realm": "users", "name": "alice", "password": goodWords, "email": "alice@example.com"}

// same fails unless the answer is the first one again.
func (a *answer) same(first *answer) {
	a.t.Helper()
	if a.status != first.status || a.body != first.body || a.header.Get("ETag") != first.header.Get("ETag") || a.header.Get("Idempotency-Replayed") != "true" {
		a.t.Fatalf("not the answer again: %v %v, first %v", a, a.header, first)
	}
}

// A program whose connection broke asks again: whatever was made is made once,
// and what is shown once arrives.
func TestAskingAgainMakesNothingTwice(t *testing.T) {
	w := newWorld(t, worldOptions{})
	root := w.member("root@admin").visit()
	for i, call := range []struct {
		path string
		body any
	}{
		{"/users", newcomer},
		{"/users/users/alice/totp", map[string]any{"digits": 8}},
		{"/users/users/alice/recovery-codes", nil},
		{"/users/users/alice/invite", nil},
	} {
		v := root.saying("Idempotency-Key", fmt.Sprintf("job 17, step %d", i))
		first := v.send("POST", call.path, call.body)
		if first.status/100 != 2 || first.header.Get("Idempotency-Replayed") != "" {
			t.Fatalf("%s: %v", call.path, first)
		}
		before := w.dump()
		v.send("POST", call.path, call.body).same(first)
		v.saying("Idempotency-Key", fmt.Sprintf(`"job 17, step %d"`, i)).send("POST", call.path, call.body).same(first)
		if after := w.dump(); len(after) != len(before) {
			t.Errorf("%s: %d records, then %d", call.path, len(before), len(after))
		}
	}
	// Without a key, or with another one, it is another request.
	root.send("POST", "/users", newcomer).want(409, "exists")
	root.saying("Idempotency-Key", "another").send("POST", "/users", newcomer).want(409, "exists")
	w.admin().saying("Idempotency-Key", "k").send("POST", "/users/users/alice/invite", nil).want(200)
	w.clock.Advance(time.Hour)
	if a := w.admin().saying("Idempotency-Key", "k").send("POST", "/users/users/alice/invite", nil).want(200); a.header.Get("Idempotency-Replayed") != "" {
		t.Error("an answer was given again after its hour")
	}
}

// A key is for one request of one caller.
func TestKeyIsBoundToRequestAndCaller(t *testing.T) {
	w := newWorld(t, worldOptions{})
	in := w.member("ann@admin").signIn()
	ann, ben := w.stranger().bearing(in.text("access_token")), w.member("ben@admin").visit()
	const key = "CaNaRy-7391"
	ann = ann.saying("Idempotency-Key", key)
	first := ann.send("POST", "/users", newcomer).want(201)
	other := map[string]any{"realm": "users", "name": "bert"}
	ann.send("POST", "/users", other).want(422, "idempotency_mismatch")
	ann.send("POST", "/users/users/alice/totp", map[string]any{}).want(422, "idempotency_mismatch")
	ann.send("POST", "/users", newcomer).same(first)
	// Somebody else with the same key has said nothing yet.
	ben.saying("Idempotency-Key", key).send("POST", "/users", newcomer).want(409, "exists")
	ben.saying("Idempotency-Key", key).send("POST", "/users", other).want(201)
	for k, v := range w.dump() {
		if strings.Contains(k+v, key) {
			t.Errorf("a key rests in clear: %q", k)
		}
	}
	// Attack: whoever may no longer do it asks for the answer, and for its secret.
	secret := ann.saying("Idempotency-Key", "seed").send("POST", "/users/users/alice/totp", map[string]any{}).want(201)
	w.clock.Advance(16 * time.Minute)
	ann = ann.bearing(w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": in.text("refresh_token")}).want(200).text("access_token"))
	ann.saying("Idempotency-Key", "seed").send("POST", "/users/users/alice/totp", map[string]any{}).want(403, "not_fresh")
	w.admin().send("PATCH", "/users/admin/ann", map[string]any{"disabled": true}).want(200)
	if a := ann.saying("Idempotency-Key", "seed").send("POST", "/users/users/alice/totp", map[string]any{}).want(401); strings.Contains(a.body, secret.text("secret")) {
		t.Error("a disabled administrator got a seed")
	}
	// A proof is never given again: the key means nothing there.
	p := w.member("carl@users")
	code := map[string]any{"code": p.code()}
	w.admin().saying("Idempotency-Key", "v").send("POST", "/users/users/carl/verify", code).want(200)
	if a := w.admin().saying("Idempotency-Key", "v").send("POST", "/users/users/carl/verify", code); a.text("status") != "FAIL" {
		t.Errorf("a burned code is good again: %v", a)
	}
}

// A refusal is not remembered: what was wrong may be right a moment later.
func TestRefusalsAreNotRemembered(t *testing.T) {
	w := newWorld(t, worldOptions{})
	v := w.member("root@admin").visit().saying("Idempotency-Key", "one")
	body := map[string]any{"realm": "staff", "name": "alice"}
	v.send("POST", "/users", body).want(404, "unknown_realm")
	w.admin().send("PUT", "/realms/staff", map[string]any{}).want(200)
	first := v.send("POST", "/users", body).want(201)
	v.send("POST", "/users", body).same(first)
}

// Attack: the same request many times at one moment. One makes it, all others
// get its answer.
func TestParallelRequestsMakeOne(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("alice@users")
	v := w.admin().saying("Idempotency-Key", "parallel")
	answers := make([]*answer, 24)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = v.send("POST", "/users/users/alice/totp", map[string]any{}) })
	}
	all.Wait()
	made := 0
	for _, a := range answers {
		if a.status != 201 || a.body != answers[0].body {
			t.Errorf("answer %v, another %v", a, answers[0])
		}
		if a.header.Get("Idempotency-Replayed") == "" {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d made it", made)
	}
	// One that arrives while the first one's password is hashed finds no answer,
	// and the transaction decides.
	u := w.admin().saying("Idempotency-Key", "during")
	var inner *answer
	w.before = []func(){func() {
		inner = u.send("POST", "/users", map[string]any{"realm": "users", "name": "bert", "password": goodWords}).want(201)
	}}
	u.send("POST", "/users", map[string]any{"realm": "users", "name": "bert", "password": goodWords}).same(inner)
}

// A crash before the commit leaves neither the user nor an answer.
func TestCreationAndAnswerAreOneCommit(t *testing.T) {
	w := newWorld(t, worldOptions{})
	before := w.dump()
	w.fail = errors.New("the disk is gone")
	v := w.admin().saying("Idempotency-Key", "crash")
	v.send("POST", "/users", newcomer).want(500, "failed")
	if after := w.dump(); len(after) != len(before) {
		t.Errorf("%d records, then %d", len(before), len(after))
	}
	w.fail = nil
	first := v.send("POST", "/users", newcomer).want(201)
	v.send("POST", "/users", newcomer).same(first)
}

func TestKeySyntax(t *testing.T) {
	w := newWorld(t, worldOptions{})
	n := 0
	send := func(key string) *answer {
		n++
		return w.admin().saying("Idempotency-Key", key).send("POST", "/users", map[string]any{"realm": "users", "name": fmt.Sprintf("u%d", n)})
	}
	for _, good := range []string{"a", strings.Repeat("a", 255), "550e8400-e29b-41d4-a716-446655440000", `"q"`, `"with \" and \\"`, "a b", `b"c`} {
		send(good).want(201)
	}
	for _, bad := range []string{" ", `""`, `"a`, `"a"b`, `"\a"`, `"\`, strings.Repeat("a", 256), "caf\u00e9", "a\tb", "a\x7f"} {
		send(bad).want(400, "idempotency_key")
	}
}

// Attack: one caller fills the store with keys.
func TestKeptAnswersAreBounded(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("alice@users")
	for i := range 1010 {
		w.admin().saying("Idempotency-Key", fmt.Sprint(i)).send("POST", "/users/users/alice/invite", nil).want(200)
	}
	answers := 0
	for key := range w.dump() {
		if strings.HasPrefix(key, string(store.PrefixOnce)) {
			answers++
		}
	}
	if answers != 2*1000+1 {
		t.Errorf("%d records of answers", answers)
	}
	if a := w.admin().saying("Idempotency-Key", "9").send("POST", "/users/users/alice/invite", nil).want(200); a.header.Get("Idempotency-Replayed") != "" {
		t.Error("the oldest is still there")
	}
	if a := w.admin().saying("Idempotency-Key", "1009").send("POST", "/users/users/alice/invite", nil).want(200); a.header.Get("Idempotency-Replayed") == "" {
		t.Error("the newest is gone")
	}
}

// Attack: the secret of somebody who was deleted, or of whom had the name before, is
// fetched once more with the key of the call that made it.
func TestAnswersEndWithWhomTheyAreAbout(t *testing.T) {
	w := newWorld(t, worldOptions{})
	again := w.admin().saying("Idempotency-Key", "one")
	w.someone("gone@users")
	r := w.robot("gone@robots")
	totp := func() *answer { return again.send("POST", "/users/users/gone/totp", map[string]any{}) }
	rotate := func() *answer {
		return w.admin().saying("Idempotency-Key", "two").send("POST", r.path()+"/rotate", nil)
	}
	first, seed := totp().want(201).text("secret"), rotate().want(200).text("seed")
	if totp().want(201).text("secret") != first || rotate().want(200).text("seed") != seed {
		t.Fatal("it was made twice")
	}
	w.admin().send("DELETE", "/users/users/gone", nil).want(204)
	w.admin().send("DELETE", r.path(), nil).want(204)
	totp().want(404, "unknown_user")
	rotate().want(404, "unknown_service")
	w.someone("gone@users")
	w.robot("gone@robots")
	if totp().want(201).text("secret") == first || rotate().want(200).text("seed") == seed {
		t.Error("the seed of somebody else")
	}
}

// Null is no way to leave a field out, and no method that nobody can have is
// demanded.
func TestNullAndUnknownMethodsAreRefused(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("alice@users")
	for _, c := range [][3]string{
		{"PATCH", "/users/users/alice", `{"full_name":null}`}, {"POST", "/users", `{"realm":"users","name":"bert","email":null}`}, {"POST", "/users", `{"realm":"users","name":"bert","groups":[null]}`},
		{"PUT", "/realms/staff", `{"methods":["zz"]}`}, {"PUT", "/realms/staff", `{"methods":["passkey"]}`}, {"PUT", "/realms/staff", `{"otp":null}`},
	} {
		w.admin().send(c[0], c[1], c[2]).want(422, "invalid")
	}
	w.admin().send("PUT", "/realms/staff", `{"methods":["totp","passkey","email"]}`).want(200)
}
