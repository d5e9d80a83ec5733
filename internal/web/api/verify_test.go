package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// Attack: somebody types wrong codes for the victim at a service that asks
// verify. Before, fifty of them closed the pair of service and victim for ever:
// no time, no recovery code and no reset by an administrator opened it.
func TestVerifyIsNotClosedForGood(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	v := w.admin()
	verify := func(field, code string) string {
		return v.send("POST", "/users/users/alice/verify", map[string]any{field: code}).want(200).text("status")
	}
	closed := func() {
		for range 50 {
			w.clock.Advance(20 * time.Minute)
			verify("code", p.wrong())
		}
		w.clock.Advance(20 * time.Minute)
		if got := verify("code", p.code()); got != "FAIL" {
			t.Fatalf("fifty wrong codes close nothing: %s", got)
		}
	}
	closed()
	if got := p.signIn().text("status"); got != "ok" {
		t.Errorf("the person's own door: %s", got)
	}
	w.clock.Advance(24 * time.Hour)
	if got := verify("code", p.code()); got != "OK" {
		t.Errorf("a day later: %s", got)
	}
	closed()
	if got := verify("recovery_code", p.codes[0]); got != "OK" {
		t.Errorf("a recovery code: %s", got)
	}
	if got := verify("code", p.code()); got != "OK" {
		t.Errorf("after a recovery code: %s", got)
	}
	closed()
	v.send("DELETE", "/users/users/alice/methods", nil).want(204)
	seed, err := otp.ParseSeed(v.send("POST", "/users/users/alice/totp", map[string]any{}).want(201).text("secret"))
	must(t, err)
	p.seed = seed
	if got := verify("code", p.code()); got != "OK" {
		t.Errorf("after an administrator's reset: %s", got)
	}
}

// Attack: a service is made to ask without end. Before, each refusal was an
// event in the store; now it is a line in the log.
func TestThrottledVerifyFillsNoStore(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	v := w.admin()
	for range 60 {
		if got := v.send("POST", "/users/users/alice/verify", map[string]any{"code": p.wrong()}).want(200).text("status"); got != "FAIL" {
			t.Fatalf("a wrong code: %s", got)
		}
	}
	stored, _ := v.send("GET", "/audit?kind=factor.verify&limit=200", nil).want(200).fields["events"].([]any)
	if len(stored) != 5 {
		t.Errorf("%d stored events of 5 counted tries", len(stored))
	}
	if n := strings.Count(w.log.String(), `"throttled"`); n != 55 {
		t.Errorf("%d lines of 55 refusals", n)
	}
}
