package factor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// servers are validation servers that call some texts good.
type servers struct {
	good  map[string]bool
	asked int
	down  bool
}

func (s *servers) Validate(_ context.Context, otp string) error {
	s.asked++
	switch {
	case s.down:
		return errors.New("connection refused")
	case s.good[otp]:
		delete(s.good, otp)
		return nil
	}
	return factor.ErrDenied
}

// typing is a house where YubiKeys are offered.
func typing(t *testing.T) (*house, *servers) {
	s := &servers{good: map[string]bool{}}
	h := newHouse(t, map[string]account.Settings{"users": {Methods: []string{"totp", "yubikey"}}})
	h.factors = factor.New(factor.Options{Directory: h.dir, Derive: h.store.Derive, YubiKeys: s})
	return h, s
}

// register stores a key's secret here.
func (h *house) register(k *yubicotest.Key) {
	h.Helper()
	h.update(func(tx store.Tx) error {
		_, err := h.factors.RegisterYubiKey(tx, account.Local(), k.Public, k.Private, k.Secret)
		return err
	})
}

// own sets a key up as somebody's.
func (h *house) own(id principal.ID, proof factor.Proof, beside bool) error {
	h.Helper()
	h.enroll(account.Self(id), id, factor.EnrollOptions{Method: factor.YubiKey, Beside: beside})
	var err error
	h.update(func(tx store.Tx) error {
		_, err = h.factors.Confirm(tx, account.Self(id), id, factor.YubiKey, proof)
		return nil
	})
	return err
}

func (h *house) prove(id principal.ID, method factor.Name, p factor.Proof) (c factor.Checked) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		c, err = h.factors.Try(tx, id, method, p)
		return err
	})
	return c
}

func TestYubiKeyJudgedHere(t *testing.T) {
	h, s := typing(t)
	alice, bob := h.user("alice"), h.user("bob")
	k := yubicotest.NewKey()
	h.register(k)
	overheard := k.Press()
	first := k.Press()
	if err := h.own(alice, factor.Proof{Code: "123456"}, false); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("digits set a YubiKey up: %v", err)
	}
	must(t, h.own(alice, factor.Proof{Code: first}, false))
	for what, text := range map[string]string{"the set-up's": first, "an older one": overheard} {
		if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: text}); c.Result != factor.Replayed {
			t.Errorf("%s: %v", what, c.Result)
		}
	}
	text := k.Press()
	for _, method := range []factor.Name{factor.TOTP, factor.RecoveryCode, factor.Email} {
		if c := h.prove(alice, method, factor.Proof{Code: text}); c.Result != factor.Wrong {
			t.Errorf("as %s: %v", method, c.Result)
		}
	}
	if c := h.prove(bob, factor.YubiKey, factor.Proof{Code: text}); c.Result != factor.Wrong {
		t.Errorf("of somebody who has no key: %v", c.Result)
	}
	if c := h.prove(alice, "", factor.Proof{Code: strings.ToUpper(text)}); c.Result != factor.Good || c.Method != factor.YubiKey {
		t.Errorf("%+v", c)
	}
	if c := h.prove(alice, factor.Any, factor.Proof{Code: text}); c.Result != factor.Replayed {
		t.Errorf("twice, in other letters: %v", c.Result)
	}
	// Whoever sends a text that somebody else has found good, for a key that is judged
	// here, gains nothing.
	if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: text, YubiKey: text}); c.Result != factor.Replayed {
		t.Errorf("called good by others: %v", c.Result)
	}
	if s.asked > 0 {
		t.Errorf("%d questions to servers", s.asked)
	}
	if m := h.methods(alice); len(m) != 1 || m[0].Label != k.Public || m[0].LastUsedAt.IsZero() {
		t.Errorf("%+v", m)
	}
}

// One key in two accounts has one memory: what opened one opens no other.
func TestOneYubiKeyOfTwoPeople(t *testing.T) {
	h, _ := typing(t)
	alice, bob := h.user("alice"), h.user("bob")
	k := yubicotest.NewKey()
	h.register(k)
	must(t, h.own(alice, factor.Proof{Code: k.Press()}, false))
	must(t, h.own(bob, factor.Proof{Code: k.Press()}, false))
	text := k.Press()
	if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: text}); c.Result != factor.Good {
		t.Fatal(c.Result)
	}
	if c := h.prove(bob, factor.YubiKey, factor.Proof{Code: text}); c.Result != factor.Replayed {
		t.Errorf("at another account: %v", c.Result)
	}
}

func TestYubiKeyJudgedByServers(t *testing.T) {
	h, s := typing(t)
	alice := h.user("alice")
	k, other := yubicotest.NewKey(), yubicotest.NewKey()
	ask := func(text string) factor.Proof {
		t.Helper()
		s.good[text] = true
		good, err := h.factors.AskYubico(t.Context(), text)
		must(t, err)
		if !good {
			t.Fatal("the servers refuse")
		}
		return factor.Proof{Code: text, YubiKey: text}
	}
	must(t, h.own(alice, ask(k.Press()), false))
	if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: k.Press()}); c.Result != factor.Wrong {
		t.Errorf("unasked: %v", c.Result)
	}
	if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: k.Press(), YubiKey: k.Press()}); c.Result != factor.Wrong {
		t.Errorf("another text was called good: %v", c.Result)
	}
	if c := h.prove(alice, factor.YubiKey, ask(other.Press())); c.Result != factor.Wrong {
		t.Errorf("a good one of another key: %v", c.Result)
	}
	if c := h.prove(alice, factor.YubiKey, ask(k.Press())); c.Result != factor.Good {
		t.Errorf("%v", c.Result)
	}
	asks := func(id principal.ID, text string) (yes bool) {
		h.update(func(tx store.Tx) (err error) {
			yes, err = h.factors.AsksYubico(tx, id, text)
			return err
		})
		return yes
	}
	if !asks(alice, k.Press()) || asks(alice, other.Press()) || asks(alice, "123456") {
		t.Error("the servers are asked about the person's own keys alone")
	}
	if good, err := h.factors.AskYubico(t.Context(), k.Press()); good || err != nil {
		t.Errorf("refused: %v, %v", good, err)
	}
	s.down = true
	if good, err := h.factors.AskYubico(t.Context(), k.Press()); good || !errors.Is(err, factor.ErrUnchecked) {
		t.Errorf("down: %v, %v", good, err)
	}
	// Registered here from now on: no server is asked any more.
	h.register(k)
	if asks(alice, k.Press()) {
		t.Error("a key whose secret is here is asked about elsewhere")
	}
	if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: k.Press()}); c.Result != factor.Good {
		t.Errorf("%v", c.Result)
	}
	// And forgotten: nobody passes unasked.
	h.update(func(tx store.Tx) error { return h.factors.ForgetYubiKey(tx, account.Local(), k.Public) })
	if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: k.Press()}); c.Result != factor.Wrong {
		t.Errorf("after the secret was forgotten: %v", c.Result)
	}
}

func TestSeveralYubiKeys(t *testing.T) {
	h, _ := typing(t)
	alice := h.user("alice")
	a, b, c := yubicotest.NewKey(), yubicotest.NewKey(), yubicotest.NewKey()
	for _, k := range []*yubicotest.Key{a, b, c} {
		h.register(k)
	}
	must(t, h.own(alice, factor.Proof{Code: a.Press()}, false))
	must(t, h.own(alice, factor.Proof{Code: b.Press()}, true))
	must(t, h.own(alice, factor.Proof{Code: b.Press()}, true)) // again: it stands once
	m := h.methods(alice)
	if len(m) != 2 {
		t.Fatalf("%+v", m)
	}
	h.update(func(tx store.Tx) error {
		return h.factors.Remove(tx, account.Local(), alice, factor.YubiKey, m[0].ID)
	})
	if r := h.prove(alice, factor.YubiKey, factor.Proof{Code: a.Press()}); r.Result != factor.Wrong {
		t.Errorf("the one that was removed: %v", r.Result)
	}
	must(t, h.own(alice, factor.Proof{Code: c.Press()}, false))
	if r := h.prove(alice, factor.YubiKey, factor.Proof{Code: b.Press()}); r.Result != factor.Wrong {
		t.Errorf("the one that was replaced: %v", r.Result)
	}
	if r := h.prove(alice, factor.YubiKey, factor.Proof{Code: c.Press()}); r.Result != factor.Good {
		t.Errorf("the new one: %v", r.Result)
	}
}

func TestRegisteredYubiKeys(t *testing.T) {
	h, _ := typing(t)
	k := yubicotest.NewKey()
	register := func(actor account.Actor, public string, private, key []byte) error {
		return h.store.Update(t.Context(), func(tx store.Tx) error {
			_, err := h.factors.RegisterYubiKey(tx, actor, public, private, key)
			return err
		})
	}
	must(t, register(account.Local(), strings.ToUpper(k.Public), k.Private, k.Secret))
	alice := h.user("alice")
	for what, err := range map[string]error{
		"no identity":         register(account.Local(), "", k.Private, k.Secret),
		"not modhex":          register(account.Local(), "aa", k.Private, k.Secret),
		"half a byte":         register(account.Local(), "ccc", k.Private, k.Secret),
		"a short private one": register(account.Local(), k.Public, k.Private[1:], k.Secret),
		"AES-256":             register(account.Local(), k.Public, k.Private, append(k.Secret, k.Secret...)),
	} {
		if !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := register(account.Self(alice), k.Public, k.Private, k.Secret); !errors.Is(err, account.ErrForbidden) {
		t.Errorf("somebody registers a secret that he knows: %v", err)
	}
	h.update(func(tx store.Tx) error {
		list, err := h.factors.YubiKeySecrets(tx, account.Local())
		if err == nil && (len(list) != 1 || list[0].Public != k.Public) {
			t.Errorf("%+v", list)
		}
		return err
	})
	if err := h.store.Update(t.Context(), func(tx store.Tx) error {
		return h.factors.ForgetYubiKey(tx, account.Local(), "cccc")
	}); !errors.Is(err, factor.ErrNoMethod) {
		t.Errorf("one that is not there: %v", err)
	}
}

// Somebody noted a one-time password that was used, and an administrator registers the key
// once more, as a script does that runs every night: it must not be good again. Another
// AES key is another key, whose counter begins at the start.
func TestAKeyThatIsRegisteredAgainForgetsNothing(t *testing.T) {
	h, _ := typing(t)
	alice := h.user("alice")
	k := yubicotest.NewKey()
	k.Plug()
	h.register(k)
	must(t, h.own(alice, factor.Proof{Code: k.Press()}, false))
	used := k.Press()
	if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: used}); c.Result != factor.Good {
		t.Fatal(c.Result)
	}
	h.register(k)
	if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: used}); c.Result != factor.Replayed {
		t.Errorf("after the key was registered again: %v", c.Result)
	}
	programmed := yubicotest.NewKey()
	programmed.Public = k.Public
	h.register(programmed)
	for text, want := range map[string]factor.Result{programmed.Press(): factor.Good, k.Press(): factor.Wrong} {
		if c := h.prove(alice, factor.YubiKey, factor.Proof{Code: text}); c.Result != want {
			t.Errorf("programmed anew: %v, want %v", c.Result, want)
		}
	}
}
