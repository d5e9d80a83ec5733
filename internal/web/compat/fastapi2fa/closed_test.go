package fastapi2fa_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// Attack: a list of addresses, to see who has an account.
func TestE2LoginTellsNobodyWhoExists(t *testing.T) {
	h := newHouse(t)
	h.User("ann", realm, "ann@example.com", password)
	h.User("nopass", realm, "nopass@example.com", "")
	h.disable(h.User("gone", realm, "gone@example.com", password))
	h.person("bob")
	var first compattest.Answer
	for i, email := range []string{"ann@example.com", "nobody@example.com", "nopass@example.com", "gone@example.com", "bob@example.com", "no address", strings.Repeat("x", 2000)} {
		a := h.login(email, "not the password")
		if email == "gone@example.com" {
			a = h.login(email, password)
		}
		a.Header.Del("Date")
		if i == 0 {
			first = a
			continue
		}
		if a.Status != first.Status || a.Body != first.Body || fmt.Sprint(a.Header) != fmt.Sprint(first.Header) {
			t.Errorf("%.20s: %d %v %s", email, a.Status, a.Header, a.Body)
		}
	}
}

// A person who is disabled is nobody, whatever tokens they hold.
func TestDisabledTokensAreDead(t *testing.T) {
	h := newHouse(t)
	ann, bob := h.User("ann", realm, "ann@example.com", password), h.person("bob")
	p, pre := h.pair(h.login(ann.Email, password), 200), h.pre(bob)
	h.disable(ann)
	h.disable(bob.User)
	h.challenged("access", h.testToken(p.Access), 403, credentials)
	h.challenged("refresh", h.refresh(p.Refresh), 403, `{"detail":"Invalid token"}`)
	h.challenged("pre-tfa", h.tfa(pre, h.code(bob)), 401, preExpired)
}

// A factor that was reset ends what stands between the doors. The original crashed.
func TestResetBetweenTheDoors(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	pre := h.pre(bob)
	h.Must(h.Store.Update(t.Context(), func(tx store.Tx) error { return h.Factors.Reset(tx, account.Local(), bob.ID) }))
	h.challenged("a code", h.tfa(pre, h.code(bob)), 401, preExpired)
	h.pair(h.login(bob.Email, password), 200)
}

// A realm that demands two factors has nothing for these clients but a sentence.
func TestTwoFactorsDemanded(t *testing.T) {
	for _, enrollment := range []string{account.EnrollOff, account.EnrollFirstLogin} {
		all := settings()
		s, two := all[realm], 2
		s.Factors, s.Enrollment = &two, enrollment
		all[realm] = s
		h := &house{World: compattest.New(t, all)}
		h.serve()
		h.User("ann", realm, "ann@example.com", password)
		h.want(enrollment, h.login("ann@example.com", password), 403, `{"detail":"A second factor is demanded here, and none is set up: ask your administrator."}`)
	}
}

// Nothing of what people send or hold stands in the log.
func TestTheLogHoldsNoSecrets(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	h.login("stranger@elsewhere.example", "hunter2 and more")
	pre := h.pre(bob)
	h.recover(pre, "927461")
	p := h.pair(h.tfa(pre, h.code(bob)), 200)
	h.refresh(p.Refresh)
	h.testToken(p.Access + "x")
	h.signup(`{"email":"other@elsewhere.example","full_name":"O","password":"` + password + `","tfa_enabled":true,"device":{"device_type":"code_generator"}}`)
	h.signup(`{"email":"other@elsewhere.example","password":"` + password)
	log := h.Logged()
	for _, secret := range []string{"stranger", "hunter2", "927461", pre, p.Access, p.Refresh, ephemeral(h, pre), bob.seed, h.code(bob), bob.codes[0], password, "elsewhere"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if !strings.Contains(log, "fastapi2fa") {
		t.Error("the log says nothing of the facade")
	}
}

// A store that fails opens nothing, and says nothing but that.
func TestFailuresAreClosed(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	pre, code := h.pre(bob), h.code(bob)
	p := h.pair(h.login(h.User("ann", realm, "ann@example.com", password).Email, password), 200)
	h.Must(h.Store.Close())
	for what, a := range map[string]compattest.Answer{"login": h.login(bob.Email, password), "login_tfa": h.tfa(pre, code), "users": h.Do("GET", api+"/users/users", ""), "enable": h.enable(p.Access, "code_generator")} {
		h.want(what, a, http.StatusServiceUnavailable, `{"detail":"The gateway cannot answer at this moment."}`)
		if a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", what)
		}
	}
}
