package factor_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

func (h *house) try(id principal.ID, method factor.Name, code, foreign string) (c factor.Checked) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		c, err = h.factors.Try(tx, id, method, factor.Proof{Code: code, Digest: foreign})
		return err
	})
	return c
}

func (h *house) again(id principal.ID, code string, step int64) (ok bool) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		ok, err = h.factors.Again(tx, id, code, step)
		return err
	})
	return ok
}

// oathtool is a judge that shares no code with us.
func (h *house) oathtool(seed []byte, p otp.Params, at time.Time) string {
	h.Helper()
	out, err := exec.Command("oathtool", "--totp="+string(p.Algorithm), "--digits", fmt.Sprint(p.Digits),
		"--time-step-size", fmt.Sprintf("%ds", p.Period), "--now", at.UTC().Format("2006-01-02 15:04:05 UTC"), hex.EncodeToString(seed)).Output()
	if err != nil {
		h.Fatalf("oathtool (make test installs it): %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Try says what a code was, by which method, and at which step it was burned: now
// or before.
func TestTrySaysWhatACodeWas(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	e := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	good := h.oathtool(e.Seed.Reveal(), e.Params, h.clock.Now())
	step := e.Params.Step(h.clock.Now())
	wrong := "000000"
	if good == wrong {
		wrong = "111111"
	}
	for _, c := range []struct {
		what   string
		method factor.Name
		code   string
		want   factor.Checked
	}{
		{"wrong", "", wrong, factor.Checked{Method: factor.TOTP, Step: -1}},
		{"wrong digits, any", factor.Any, wrong, factor.Checked{Method: factor.TOTP, Step: -1}},
		{"wrong letters, any", factor.Any, "abcd-efgh", factor.Checked{Method: factor.RecoveryCode, Step: -1, Left: 10}},
		{"the code as a recovery code", factor.RecoveryCode, good, factor.Checked{Method: factor.RecoveryCode, Step: -1, Left: 10}},
		{"no method", "sms", good, factor.Checked{Method: "sms", Step: -1}},
		{"good", factor.Any, good, factor.Checked{Result: factor.Good, Method: factor.TOTP, Step: step}},
		{"replayed", "", good, factor.Checked{Result: factor.Replayed, Method: factor.TOTP, Step: step}},
		{"replayed, any", factor.Any, good, factor.Checked{Result: factor.Replayed, Method: factor.TOTP, Step: step}},
		{"a recovery code as a code", factor.TOTP, e.RecoveryCodes[0], factor.Checked{Method: factor.TOTP, Step: -1}},
		{"a recovery code", factor.Any, e.RecoveryCodes[0], factor.Checked{Result: factor.Good, Method: factor.RecoveryCode, Step: -1, Left: 9}},
		{"it again", factor.Any, e.RecoveryCodes[0], factor.Checked{Method: factor.RecoveryCode, Step: -1, Left: 9}},
	} {
		if got := h.try(alice, c.method, c.code, ""); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
	if got := h.try(principal.NewID(), factor.Any, good, ""); got.Result != factor.Wrong {
		t.Errorf("nobody's: %+v", got)
	}
	if r := h.verify(alice, factor.Any, e.RecoveryCodes[1]); r != factor.Wrong {
		t.Errorf("Verify does not say what was proved, and takes either: %v", r)
	}
}

// Somebody sends method any with a burned code, over and over, uncounted, and
// hopes that the digits are those of a recovery code: a replay is an end.
func TestAReplayIsNotTriedAsARecoveryCode(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	seed := []byte("twenty bytes of seed")
	code := h.oathtool(seed, otp.Default(), h.clock.Now())
	h.update(func(tx store.Tx) error {
		return h.factors.Bring(tx, account.Local(), alice, factor.Brought{Seed: secret.NewBytes(seed), Params: otp.Default(), RecoveryCodes: []string{code}})
	})
	if c := h.try(alice, factor.Any, code, ""); c.Result != factor.Good || c.Method != factor.TOTP {
		t.Errorf("first it is the authenticator's: %+v", c)
	}
	if c := h.try(alice, factor.Any, code, ""); c.Result != factor.Replayed {
		t.Errorf("the replay: %+v", c)
	}
	h.clock.Advance(time.Hour)
	if c := h.try(alice, factor.Any, code, ""); c.Result != factor.Good || c.Method != factor.RecoveryCode || c.Left != 0 {
		t.Errorf("six digits from the paper: %+v", c)
	}
}

// The second purpose of a code: exactly the step that opened the session, burned,
// inside the window, of this authenticator. Nothing is burned by asking.
func TestAgain(t *testing.T) {
	h := newHouse(t, nil)
	alice, bob := h.user("alice"), h.user("bob")
	e := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	h.enroll(account.Local(), bob, factor.EnrollOptions{Confirmed: true})
	start := h.clock.Now()
	code := h.oathtool(e.Seed.Reveal(), e.Params, start)
	later := h.oathtool(e.Seed.Reveal(), e.Params, start.Add(30*time.Second))
	step := e.Params.Step(start)
	if h.again(alice, code, step) {
		t.Error("a step that nobody burned: the code never opened anything")
	}
	if c := h.try(alice, "", code, ""); c.Result != factor.Good || c.Step != step {
		t.Fatalf("%+v", c)
	}
	for range 2 {
		if !h.again(alice, code, step) || !h.again(alice, code[:3]+" "+code[3:], step) {
			t.Error("the code of the session's step is refused")
		}
	}
	for what, no := range map[string]bool{
		"another step":        h.again(alice, code, step-1),
		"a step to come":      h.again(alice, later, step+1),
		"another step's code": h.again(alice, later, step),
		"no step":             h.again(alice, code, -1),
		"no code":             h.again(alice, "", step),
		"somebody else":       h.again(bob, code, step),
		"nobody":              h.again(principal.NewID(), code, step),
	} {
		if no {
			t.Errorf("%s is accepted", what)
		}
	}
	if c := h.try(alice, "", later, ""); c.Result != factor.Good {
		t.Errorf("asking burned something: %+v", c)
	}
	h.next()
	if !h.again(alice, code, step) {
		t.Error("inside the window, though a later step is burned")
	}
	h.next()
	if h.again(alice, code, step) {
		t.Error("outside of the window")
	}
	fresh := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	if step := e.Params.Step(h.clock.Now()); h.again(alice, h.code(fresh), step) {
		t.Error("another authenticator, which burned nothing yet")
	}
}

// What an older system's facade may be allowed to show: the code of now, and the
// seed with whether it ever proved something.
func TestCurrentAndReveal(t *testing.T) {
	h := newHouse(t, nil)
	alice, bare := h.user("alice"), h.user("bare")
	params := otp.Params{Algorithm: otp.SHA512, Digits: 8, Period: 2}
	e := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true, Params: &params})
	h.enroll(account.Local(), bare, factor.EnrollOptions{}) // pending proves nothing, and is not shown here
	current := func(id principal.ID) (code string, err error) {
		err = h.store.View(t.Context(), func(tx store.Tx) (err error) {
			code, err = h.factors.Current(tx, id)
			return err
		})
		return code, err
	}
	reveal := func(id principal.ID) (e *factor.Enrollment, used bool, err error) {
		err = h.store.View(t.Context(), func(tx store.Tx) (err error) {
			e, used, err = h.factors.Reveal(tx, id)
			return err
		})
		return e, used, err
	}
	for range 2 { // asking burns nothing
		if code, err := current(alice); err != nil || code != h.oathtool(e.Seed.Reveal(), params, h.clock.Now()) {
			t.Errorf("the code of now: %q, %v", code, err)
		}
	}
	if shown, used, err := reveal(alice); err != nil || used || !shown.Active || shown.URI != e.URI {
		t.Errorf("before the first code: used %v, %v", used, err)
	}
	code, err := current(alice)
	must(t, err)
	if c := h.try(alice, "", code, ""); c.Result != factor.Good {
		t.Errorf("the code of now is %+v", c)
	}
	if _, used, err := reveal(alice); err != nil || !used {
		t.Errorf("after the first code: used %v, %v", used, err)
	}
	for _, id := range []principal.ID{bare, principal.NewID()} {
		if code, err := current(id); code != "" || !errors.Is(err, factor.ErrNoMethod) {
			t.Errorf("the code of somebody without: %q, %v", code, err)
		}
		if e, _, err := reveal(id); e != nil || !errors.Is(err, factor.ErrNoMethod) {
			t.Errorf("the seed of somebody without: %v", err)
		}
	}
}

// A realm says how long new seeds are and what apps show.
func TestTheRealmShapesNewSeeds(t *testing.T) {
	long, odd := 128, 52
	h := newHouse(t, map[string]account.Settings{"long": {SecretLength: &long, Issuer: "Old House"}, "odd": {SecretLength: &odd}})
	for name, want := range map[string]struct {
		chars  int
		issuer string
	}{"a@long": {128, "Old House"}, "a@odd": {52, "Sallyport"}, "a@users": {32, "Sallyport"}} {
		id := h.user(name)
		e := h.enroll(account.Self(id), id, factor.EnrollOptions{})
		label, seed, _, err := otp.ParseURI(e.URI)
		must(t, err)
		if got := otp.FormatSeed(seed); len(got) != want.chars || label.Issuer != want.issuer {
			t.Errorf("%s: %d characters, issuer %q; want %+v", name, len(got), label.Issuer, want)
		}
		e = h.enroll(account.Self(id), id, factor.EnrollOptions{Issuer: "Mine"})
		if label, _, _, err := otp.ParseURI(e.URI); err != nil || label.Issuer != "Mine" {
			t.Errorf("%s: the caller's issuer became %q, %v", name, label.Issuer, err)
		}
	}
}
