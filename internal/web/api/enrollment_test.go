package api_test

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
)

// enrol sets up an authenticator with the session that v brings. It returns the
// first refusal.
func (p *person) enrol(v *visitor) *answer {
	p.w.Helper()
	a := v.send("POST", "/me/methods/totp/activate", map[string]any{})
	if a.status != 200 {
		return a
	}
	_, seed, _, err := otp.ParseURI(a.text("otpauth_uri"))
	must(p.w, err)
	p.seed = seed
	return v.send("POST", "/me/methods/totp/confirm", map[string]any{"code": p.code()})
}

// Attack: where one factor is enough and `enrollment` says that nobody may set
// up a first factor with a password alone, whoever has a leaked password signs
// in and enrols an authenticator of his own, and the account is his. Before, the
// API asked `enrollment` between the doors only.
func TestASessionEnrolsNoFirstFactorWhereEnrollmentIsClosed(t *testing.T) {
	one := 1
	w := newWorld(t, worldOptions{realms: map[string]account.Settings{
		"shut":  {Factors: &one, Enrollment: account.EnrollOff},
		"asked": {Factors: &one, Enrollment: account.EnrollInvitation},
		"early": {Factors: &one, Enrollment: account.EnrollFirstLogin},
	}})
	dormant := w.someone("dormant@early")
	w.clock.Advance(account.FirstLogin)
	for _, p := range []*person{w.someone("a@shut"), w.someone("b@asked"), dormant} {
		p.enrol(p.visit()).want(403, "enrollment_closed")
		if got := p.halfway().text("status"); got != "ok" {
			t.Errorf("%s: a factor was set up: %s", p.realm, got)
		}
	}
	// Within its time, and after an invitation, it is open.
	for _, p := range []*person{w.someone("c@early"), w.someone("d@asked")} {
		w.admin().send("POST", w.path(p)+"/invite", nil).want(200)
		p.enrol(p.visit()).want(200)
		if got := p.halfway().text("status"); got != "second_factor" {
			t.Errorf("%s: no factor was set up: %s", p.realm, got)
		}
	}
	// Whoever has a factor is past this: it is replaced by proving it.
	p := w.member("e@shut")
	p.enrol(p.visit()).want(200)
}

// Attack: the authenticator was put to wait while it was allowed, and its first
// code comes when it no longer is.
func TestAnEnrolmentThatWaitsIsNotConfirmedWhenItsTimeIsOver(t *testing.T) {
	one := 1
	w := newWorld(t, worldOptions{realms: map[string]account.Settings{"early": {Factors: &one}}})
	p := w.someone("alice@early")
	w.clock.Advance(account.FirstLogin - 10*time.Minute)
	v := p.visit()
	_, seed, _, err := otp.ParseURI(v.send("POST", "/me/methods/totp/activate", nil).want(200).text("otpauth_uri"))
	must(t, err)
	p.seed = seed
	w.clock.Advance(10 * time.Minute)
	v.send("POST", "/me/methods/totp/confirm", map[string]any{"code": p.code()}).want(403, "enrollment_closed")
	if got := p.halfway().text("status"); got != "ok" {
		t.Errorf("a factor was set up: %s", got)
	}
}
