package factor_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/factor/passkeytest"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	ourOrigin = "https://auth.example.com"
	ourRPID   = "auth.example.com"
)

// newPasskeyHouse is a house whose pages stand at ourOrigin.
func newPasskeyHouse(t *testing.T) *house {
	h := newHouse(t, nil)
	h.factors = h.rooms(&factor.Passkeys{RPID: ourRPID, Name: "Sallyport", Origins: []string{ourOrigin}})
	return h
}

// rooms is this house's room as another configuration has it.
func (h *house) rooms(p *factor.Passkeys) *factor.Factors {
	return factor.New(factor.Options{Directory: h.dir, Derive: h.store.Derive, Passkeys: p})
}

// begin begins a passkey of somebody, and returns what the browser is asked.
func (h *house) begin(id principal.ID) []byte {
	h.Helper()
	return h.enroll(account.Self(id), id, factor.EnrollOptions{Method: factor.Passkey, Name: "phone"}).Options
}

// finish ends it with an answer.
func (h *house) finish(id principal.ID, response []byte) (codes []string, err error) {
	h.update(func(tx store.Tx) error { // whoever refuses commits, so that the challenge is dead
		codes, err = h.factors.Confirm(tx, account.Self(id), id, factor.Passkey, factor.Proof{Response: response})
		return nil
	})
	return codes, err
}

// passkey sets one up, and returns its recovery codes.
func (h *house) passkey(id principal.ID, a *passkeytest.Authenticator) []string {
	h.Helper()
	codes, err := h.finish(id, a.Create(h, h.begin(id)))
	must(h, err)
	return codes
}

func (h *house) ask(id principal.ID) (options []byte, c *factor.Challenge) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		options, c, err = h.factors.BeginAssertion(tx, id)
		return err
	})
	return options, c
}

func (h *house) answer(id principal.ID, response []byte, c *factor.Challenge) (got factor.Checked) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		got, err = h.factors.Try(tx, id, factor.Passkey, factor.Proof{Response: response, Challenge: c})
		return err
	})
	return got
}

func (h *house) signs(id principal.ID, a *passkeytest.Authenticator) factor.Checked {
	h.Helper()
	options, c := h.ask(id)
	return h.answer(id, a.Get(h, options), c)
}

func (h *house) count(kind audit.Kind) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// A person sets up two passkeys, each with a name, and signs with either.
func TestPasskeysOfAPerson(t *testing.T) {
	h := newPasskeyHouse(t)
	alice := h.user("alice")
	epoch := h.epoch(alice)
	phone, laptop := passkeytest.New(ourOrigin), passkeytest.New(ourOrigin)
	options := h.begin(alice)
	asked := passkeytest.Read(t, options).PublicKey
	handle, _ := base64.RawURLEncoding.DecodeString(asked.User.ID)
	if asked.RP.ID != ourRPID || !bytes.Equal(handle, alice[:]) || asked.User.Name != "alice@users" || asked.Selection.UserVerification != "required" ||
		asked.Selection.ResidentKey != "preferred" || asked.Attestation != "none" || len(asked.Exclude) != 0 {
		t.Errorf("options: %s", options)
	}
	var algs []int
	for _, p := range asked.Params {
		algs = append(algs, p.Alg)
	}
	if !slices.Equal(algs, []int{-7, -8, -257}) {
		t.Errorf("algorithms %v", algs)
	}
	if challenge, err := base64.RawURLEncoding.DecodeString(asked.Challenge); err != nil || len(challenge) < 32 {
		t.Errorf("challenge of %d bytes, %v", len(challenge), err)
	}
	codes, err := h.finish(alice, phone.Create(t, options))
	must(t, err)
	if len(codes) != 10 || h.epoch(alice) <= epoch {
		t.Errorf("%d recovery codes, epoch %d after %d", len(codes), h.epoch(alice), epoch)
	}
	options = h.begin(alice)
	if x := passkeytest.Read(t, options).PublicKey.Exclude; len(x) != 1 || x[0].ID != base64.RawURLEncoding.EncodeToString(phone.Keys()[0].ID) {
		t.Errorf("the phone may make a second one: %v", x)
	}
	if codes, err := h.finish(alice, laptop.Create(t, options)); err != nil || codes != nil {
		t.Errorf("second passkey: %v, %v", codes, err)
	}
	for _, a := range []*passkeytest.Authenticator{phone, laptop} {
		if c := h.signs(alice, a); c.Result != factor.Good || c.Method != factor.Passkey || !c.Verified || c.Synced {
			t.Errorf("signed: %+v", c)
		}
	}
	methods := h.methods(alice)
	if len(methods) != 2 || methods[0].ID == methods[1].ID || methods[0].Label != "phone" || !methods[0].Primary || !methods[0].Active || methods[0].LastUsedAt.IsZero() {
		t.Fatalf("methods %+v", methods)
	}
	h.update(func(tx store.Tx) error {
		return h.factors.Rename(tx, account.Self(alice), alice, factor.Passkey, methods[1].ID, "laptop")
	})
	h.update(func(tx store.Tx) error {
		return h.factors.Remove(tx, account.Self(alice), alice, factor.Passkey, methods[0].ID)
	})
	if m := h.methods(alice); len(m) != 1 || m[0].Label != "laptop" || !m[0].Primary {
		t.Errorf("methods %+v", m)
	}
	options, c := h.ask(alice)
	if got := h.answer(alice, phone.Sign(t, phone.Keys()[0], options), c); got.Result != factor.Wrong {
		t.Errorf("a passkey that was removed: %v", got.Result)
	}
}

// Attack: a page of somebody else, a key bound to another host, an answer of the other
// ceremony, of another challenge, without a touch, unverified, of another key, in a
// foreign frame. Gained before: whoever lures a person to his page has the factor.
func TestForeignAnswersAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*passkeytest.Authenticator){
		"another origin":          func(a *passkeytest.Authenticator) { a.Origin = "https://auth.example.com.evil.example" },
		"another scheme":          func(a *passkeytest.Authenticator) { a.Origin = "http://auth.example.com" },
		"another port":            func(a *passkeytest.Authenticator) { a.Origin = "https://auth.example.com:8443" },
		"a host below":            func(a *passkeytest.Authenticator) { a.Origin = "https://app.auth.example.com" },
		"an opaque origin":        func(a *passkeytest.Authenticator) { a.Origin = "null" },
		"another RP ID":           func(a *passkeytest.Authenticator) { a.RPID = "example.com" },
		"another ceremony":        func(a *passkeytest.Authenticator) { a.Type = "webauthn.other" },
		"another challenge":       func(a *passkeytest.Authenticator) { a.Challenge = strings.Repeat("A", 43) },
		"nobody touched it":       func(a *passkeytest.Authenticator) { a.Absent = true },
		"a frame of another page": func(a *passkeytest.Authenticator) { a.CrossOrigin = true },
	} {
		t.Run(name, func(t *testing.T) {
			h := newPasskeyHouse(t)
			alice, bob := h.user("alice"), h.user("bob")
			evil := passkeytest.New(ourOrigin)
			spoil(evil)
			if _, err := h.finish(bob, evil.Create(t, h.begin(bob))); !errors.Is(err, factor.ErrDenied) {
				t.Errorf("set up: %v", err)
			}
			good := passkeytest.New(ourOrigin)
			h.passkey(alice, good)
			evil = good.Copy()
			spoil(evil)
			if c := h.signs(alice, evil); c.Result != factor.Wrong {
				t.Errorf("signed: %+v", c)
			}
			if c := h.signs(alice, good); c.Result != factor.Good {
				t.Errorf("the honest one afterwards: %+v", c)
			}
		})
	}
}

// Attack: a second factor is set up by whoever found the phone unlocked. The
// authenticator must have verified the person when the passkey is made.
func TestAPasskeyIsMadeVerified(t *testing.T) {
	h := newPasskeyHouse(t)
	alice := h.user("alice")
	a := passkeytest.New(ourOrigin)
	a.Unverified = true
	if _, err := h.finish(alice, a.Create(t, h.begin(alice))); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("made without user verification: %v", err)
	}
	b := passkeytest.New(ourOrigin)
	h.passkey(alice, b)
	b.Unverified = true
	if c := h.signs(alice, b); c.Result != factor.Good || c.Verified {
		t.Errorf("as a second factor presence is enough, and is told: %+v", c)
	}
	options, challenge := h.ask(alice)
	challenge.Verified = true
	if c := h.answer(alice, b.Get(t, options), challenge); c.Result != factor.Wrong {
		t.Errorf("where verification is demanded: %+v", c)
	}
}

// Attack: somebody records an answer and sends it again, or answers a challenge that
// was asked of somebody else, or much later, or none.
func TestChallengesAreOfOnePersonAndOnce(t *testing.T) {
	h := newPasskeyHouse(t)
	alice, bob := h.user("alice"), h.user("bob")
	a, b := passkeytest.New(ourOrigin), passkeytest.New(ourOrigin)
	h.passkey(alice, a)
	h.passkey(bob, b)

	options, c := h.ask(alice)
	response := a.Get(t, options)
	if got := h.answer(alice, response, c); got.Result != factor.Good {
		t.Fatalf("honest: %+v", got)
	}
	_, fresh := h.ask(alice)
	if got := h.answer(alice, response, fresh); got.Result != factor.Wrong {
		t.Errorf("an old answer to a new challenge: %+v", got)
	}
	bobs, of := h.ask(bob)
	if got := h.answer(alice, b.Get(t, bobs), of); got.Result != factor.Wrong {
		t.Errorf("Bob's passkey is Alice's: %+v", got)
	}
	options, c = h.ask(alice)
	a.Handle = bob[:]
	if got := h.answer(alice, a.Get(t, options), c); got.Result != factor.Wrong {
		t.Errorf("an answer that names Bob: %+v", got)
	}
	a.Handle = nil
	options, c = h.ask(alice)
	response = a.Get(t, options)
	if got := h.answer(alice, response, nil); got.Result != factor.Wrong {
		t.Errorf("without a challenge: %+v", got)
	}
	h.clock.Advance(factor.ChallengeLife)
	if got := h.answer(alice, response, c); got.Result != factor.Wrong {
		t.Errorf("too late: %+v", got)
	}

	// Set-up: a refused answer has used the challenge up, and so has time.
	options = h.begin(alice)
	other := passkeytest.New(ourOrigin)
	response = other.Create(t, options)
	if _, err := h.finish(alice, []byte("{}")); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("an empty answer: %v", err)
	}
	if _, err := h.finish(alice, response); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("the second answer to one challenge: %v", err)
	}
	response = other.Create(t, h.begin(alice))
	h.clock.Advance(factor.ChallengeLife)
	if _, err := h.finish(alice, response); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("set up too late: %v", err)
	}
	if _, err := h.finish(bob, response); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("Bob ends what Alice began: %v", err)
	}
}

// Attack: a thief copied the key out of an authenticator and uses the copy. The counter
// of one of the two goes back, and then neither proves anything; the owner is told.
func TestACopiedPasskeyIsDisabled(t *testing.T) {
	h := newPasskeyHouse(t)
	alice := h.user("alice")
	a, spare := passkeytest.New(ourOrigin), passkeytest.New(ourOrigin)
	h.passkey(alice, a)
	stolen := a.Copy()
	if c := h.signs(alice, a); c.Result != factor.Good {
		t.Fatalf("honest: %+v", c)
	}
	if c := h.signs(alice, stolen); c.Result != factor.Wrong { // the same counter again
		t.Errorf("the copy: %+v", c)
	}
	if n := h.count(audit.KindFactorClone); n != 1 {
		t.Errorf("%d events of a copy", n)
	}
	m := h.methods(alice)
	if len(m) != 1 || !m[0].Cloned {
		t.Errorf("methods %+v", m)
	}
	h.update(func(tx store.Tx) error {
		if _, _, err := h.factors.BeginAssertion(tx, alice); !errors.Is(err, factor.ErrNoMethod) {
			t.Errorf("asked for a passkey that proves nothing: %v", err)
		}
		if u, err := h.dir.ByID(tx, alice); err != nil || u.Factors() == 0 {
			t.Errorf("a copied key left a password alone: %v", err)
		}
		return nil
	})
	h.passkey(alice, spare)
	options, c := h.ask(alice)
	a.Keys()[0].Counter += 100
	if got := h.answer(alice, a.Sign(t, a.Keys()[0], options), c); got.Result != factor.Wrong {
		t.Errorf("the disabled one, counting on: %+v", got)
	}
	if got := h.signs(alice, spare); got.Result != factor.Good {
		t.Errorf("the other one: %+v", got)
	}

	// A counter that was never used stays silent; one that falls to 0 does not.
	bob := h.user("bob")
	still := passkeytest.New(ourOrigin)
	still.Uncounted, still.Synced = true, true
	h.passkey(bob, still)
	for range 3 {
		if c := h.signs(bob, still); c.Result != factor.Good || !c.Synced {
			t.Errorf("a synchronised one: %+v", c)
		}
	}
	eve := h.user("eve")
	falls := passkeytest.New(ourOrigin)
	h.passkey(eve, falls)
	if c := h.signs(eve, falls); c.Result != factor.Good {
		t.Errorf("honest: %+v", c)
	}
	falls.Keys()[0].Counter, falls.Uncounted = 0, true
	if c := h.signs(eve, falls); c.Result != factor.Wrong || !h.methods(eve)[0].Cloned {
		t.Errorf("a counter that fell to 0: %+v", c)
	}
}

// Attack on the key: it says that it is of another algorithm than the one that was asked
// for, or the signature is of another key.
func TestAlgorithmsAreThoseThatWereAskedFor(t *testing.T) {
	h := newPasskeyHouse(t)
	alice := h.user("alice")
	for _, alg := range []int{-8, -257, -35, -47, -65535, -1} { // EdDSA and RS256 on an EC2 key; ES384, ES256K, RS1, nothing
		a := passkeytest.New(ourOrigin)
		a.Algorithm = alg
		codes, err := h.finish(alice, a.Create(t, h.begin(alice)))
		if err == nil { // if it was taken, it must not be usable as ES256
			t.Errorf("algorithm %d was taken, with %d codes", alg, len(codes))
		}
	}
	for is, says := range map[int]int{passkeytest.EdDSA: passkeytest.ES256, passkeytest.RS256: passkeytest.ES256, passkeytest.ES256: passkeytest.RS256} {
		a := passkeytest.New(ourOrigin)
		a.Key, a.Algorithm = is, says
		if _, err := h.finish(alice, a.Create(t, h.begin(alice))); !errors.Is(err, factor.ErrDenied) {
			t.Errorf("a key of %d that says %d: %v", is, says, err)
		}
	}
	small := passkeytest.New(ourOrigin)
	small.Key, small.Bits = passkeytest.RS256, 1024
	if _, err := h.finish(alice, small.Create(t, h.begin(alice))); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("an RSA key of 1024 bits: %v", err)
	}
	for _, alg := range []int{passkeytest.ES256, passkeytest.EdDSA, passkeytest.RS256} {
		a := passkeytest.New(ourOrigin)
		a.Key = alg
		h.passkey(alice, a)
		if c := h.signs(alice, a); c.Result != factor.Good {
			t.Errorf("an honest key of %d: %+v", alg, c)
		}
		a.Broken = true
		if c := h.signs(alice, a); c.Result != factor.Wrong {
			t.Errorf("a signature of another key of %d: %+v", alg, c)
		}
	}
}

// Attack: somebody claims another person's credential as the own one, and waits for
// answers that name it.
func TestACredentialIsOfOnePerson(t *testing.T) {
	h := newPasskeyHouse(t)
	alice, mallory := h.user("alice"), h.user("mallory")
	a := passkeytest.New(ourOrigin)
	h.passkey(alice, a)
	evil := passkeytest.New(ourOrigin)
	response := evil.Create(t, h.begin(mallory))
	own, theirs := []byte(base64.RawURLEncoding.EncodeToString(evil.Keys()[0].ID)), []byte(base64.RawURLEncoding.EncodeToString(a.Keys()[0].ID))
	var parts map[string]any
	must(t, json.Unmarshal(bytes.ReplaceAll(response, own, theirs), &parts))
	object, _ := base64.RawURLEncoding.DecodeString(parts["response"].(map[string]any)["attestationObject"].(string))
	object = bytes.Replace(object, evil.Keys()[0].ID, a.Keys()[0].ID, 1)
	parts["response"].(map[string]any)["attestationObject"] = base64.RawURLEncoding.EncodeToString(object)
	response, _ = json.Marshal(parts)
	if _, err := h.finish(mallory, response); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("Alice's credential became Mallory's: %v", err)
	}
	if c := h.signs(alice, a); c.Result != factor.Good {
		t.Errorf("Alice: %+v", c)
	}
}

// WhoLogsIn finds the person whom an answer names, and only where the passkey is theirs.
func TestWhoLogsIn(t *testing.T) {
	h := newPasskeyHouse(t)
	alice, bob := h.user("alice"), h.user("bob")
	a := passkeytest.New(ourOrigin)
	h.passkey(alice, a)
	challenge := bytes.Repeat([]byte{7}, 48)
	options, err := h.factors.BeginLogin(challenge)
	must(t, err)
	if o := passkeytest.Read(t, options).PublicKey; o.UserVerification != "required" || len(o.Allow) != 0 || o.RPID != ourRPID {
		t.Errorf("options %s", options)
	}
	who := func(response []byte) (id principal.ID, got []byte, err error) {
		h.update(func(tx store.Tx) error {
			id, got, err = h.factors.WhoLogsIn(tx, response)
			return nil
		})
		return id, got, err
	}
	response := a.Get(t, options)
	if id, got, err := who(response); err != nil || id != alice || !bytes.Equal(got, challenge) {
		t.Errorf("%v, %x, %v", id, got, err)
	}
	if c := h.answer(alice, response, factor.LoginChallenge(challenge, h.clock.Now().Add(time.Minute))); c.Result != factor.Good || !c.Verified {
		t.Errorf("%+v", c)
	}
	for name, spoil := range map[string]func(*passkeytest.Authenticator){
		"of somebody else": func(a *passkeytest.Authenticator) { a.Handle = bob[:] },
		"of nobody":        func(a *passkeytest.Authenticator) { a.Handle = []byte("short") },
		"unnamed":          func(a *passkeytest.Authenticator) { a.NotDiscoverable = true },
	} {
		b := a.Copy()
		spoil(b)
		if id, _, err := who(b.Get(t, options)); !errors.Is(err, factor.ErrDenied) || !id.IsZero() {
			t.Errorf("%s: %v, %v", name, id, err)
		}
	}
	// Whoever has no passkey any more is nobody here.
	h.update(func(tx store.Tx) error { return h.factors.Reset(tx, account.Local(), alice) })
	if _, _, err := who(a.Get(t, options)); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("after a reset: %v", err)
	}
	h.update(func(tx store.Tx) error {
		for _, prefix := range []string{"passkeys", "passkey-of", "pending"} {
			for item, err := range tx.Scan(store.KPrefix(store.PrefixFactor, prefix), nil) {
				t.Errorf("left behind: %q, %v", item.Key, err)
			}
		}
		return nil
	})
}

// Attack: bodies that are no answer of a browser, huge or nested, at both ceremonies.
func TestOddPasskeyAnswers(t *testing.T) {
	h := newPasskeyHouse(t)
	alice := h.user("alice")
	a := passkeytest.New(ourOrigin)
	h.passkey(alice, a)
	options, c := h.ask(alice)
	good := a.Get(t, options)
	for name, body := range map[string][]byte{
		"nothing": nil, "no JSON": []byte("passkey"), "null": []byte("null"), "a list": []byte("[]"), "empty": []byte("{}"),
		"huge":   bytes.Replace(good, []byte("{"), []byte(`{"x":"`+strings.Repeat("y", 64<<10)+`",`), 1),
		"twice":  append(slices.Clone(good), good...),
		"cut":    good[:len(good)/2],
		"deep":   []byte(strings.Repeat(`{"response":`, 5000) + "{}" + strings.Repeat("}", 5000)),
		"a type": bytes.Replace(good, []byte("public-key"), []byte("password"), 1),
	} {
		if got := h.answer(alice, body, c); got.Result != factor.Wrong {
			t.Errorf("%s: %+v", name, got)
		}
		h.begin(alice)
		if _, err := h.finish(alice, body); !errors.Is(err, factor.ErrDenied) {
			t.Errorf("%s, set up: %v", name, err)
		}
		h.update(func(tx store.Tx) error {
			if _, _, err := h.factors.WhoLogsIn(tx, body); !errors.Is(err, factor.ErrDenied) && name != "twice" {
				t.Errorf("%s, login: %v", name, err)
			}
			return nil
		})
	}
	if got := h.answer(alice, good, c); got.Result != factor.Good {
		t.Errorf("the good one: %+v", got)
	}
}

// A passkey is nobody's code: neither a text nor the empty answer passes for one, at any
// call that takes whichever method there is.
func TestAPasskeyIsNoCode(t *testing.T) {
	h := newPasskeyHouse(t)
	alice := h.user("alice")
	h.passkey(alice, passkeytest.New(ourOrigin))
	for _, method := range []factor.Name{"", factor.Any, factor.Passkey, factor.TOTP} {
		for _, code := range []string{"", "000000", "{}", "passkey"} {
			if r := h.verify(alice, method, code); r != factor.Wrong {
				t.Errorf("%q as %q: %v", code, method, r)
			}
		}
	}
}

// Where no host is known that passkeys could be bound to, none are offered, those that
// people have prove nothing, and they can be removed. After a move to another host
// those of the old one are not asked for.
func TestPasskeysAreBoundToAHost(t *testing.T) {
	h := newPasskeyHouse(t)
	alice := h.user("alice")
	a := passkeytest.New(ourOrigin)
	h.passkey(alice, a)
	options, c := h.ask(alice)
	response := a.Get(t, options)
	offered := func(f *factor.Factors) (names []factor.Name) {
		h.update(func(tx store.Tx) (err error) { names, err = f.Offered(tx, "users"); return err })
		return names
	}
	if names := offered(h.factors); !slices.Equal(names, []factor.Name{factor.TOTP, factor.Passkey}) {
		t.Errorf("offered: %v", names)
	}
	for name, p := range map[string]*factor.Passkeys{
		"none": nil, "an address": {RPID: "192.0.2.7", Name: "x", Origins: []string{"https://192.0.2.7"}},
		"no origin": {RPID: ourRPID, Name: "x"}, "no name": {RPID: ourRPID, Origins: []string{ourOrigin}}, "no host": {Name: "x", Origins: []string{ourOrigin}},
	} {
		h.factors = h.rooms(p)
		if p != nil && p.Check() == nil {
			t.Errorf("%s passes Check", name)
		}
		if h.factors.Available(factor.Passkey) || !slices.Equal(offered(h.factors), []factor.Name{factor.TOTP}) {
			t.Errorf("%s: passkeys are offered", name)
		}
		if got := h.answer(alice, response, c); got.Result != factor.Wrong {
			t.Errorf("%s: %+v", name, got)
		}
	}
	h.factors = h.rooms(&factor.Passkeys{RPID: "new.example.com", Name: "x", Origins: []string{"https://new.example.com"}})
	h.update(func(tx store.Tx) error {
		if _, _, err := h.factors.BeginAssertion(tx, alice); !errors.Is(err, factor.ErrNoMethod) {
			t.Errorf("after a move: %v", err)
		}
		return nil
	})
	h.factors = h.rooms(nil)
	if m := h.methods(alice); len(m) != 1 {
		t.Errorf("methods %+v", m)
	}
	h.update(func(tx store.Tx) error {
		return h.factors.Remove(tx, account.Local(), alice, factor.Passkey, "")
	})
	if m := h.methods(alice); len(m) != 0 {
		t.Errorf("methods %+v", m)
	}
}

// How an authenticator is reached is kept for the browser, which asks for it sooner then;
// what is no such word does not fill the record.
func TestTransportsAreKeptAndBounded(t *testing.T) {
	h := newPasskeyHouse(t)
	for name, c := range map[string]struct{ says, kept []string }{
		"bob":   {[]string{"usb", "nfc"}, []string{"usb", "nfc"}},
		"eve":   {[]string{strings.Repeat("x", 100), "hybrid"}, []string{"hybrid"}},
		"trent": {slices.Repeat([]string{"usb"}, 100), slices.Repeat([]string{"usb"}, 8)},
	} {
		id, a := h.user(name), passkeytest.New(ourOrigin)
		a.Transports = c.says
		h.passkey(id, a)
		options, _ := h.ask(id)
		if got := passkeytest.Read(t, options).PublicKey.Allow; len(got) != 1 || !slices.Equal(got[0].Transports, c.kept) {
			t.Errorf("%s: %v, want %v", name, got, c.kept)
		}
	}
}

// A person has ten passkeys at most, and hears it before an authenticator makes one.
func TestTooManyPasskeys(t *testing.T) {
	h := newPasskeyHouse(t)
	alice := h.user("alice")
	for range 10 {
		h.passkey(alice, passkeytest.New(ourOrigin))
	}
	err := h.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.factors.Enroll(tx, account.Self(alice), alice, factor.EnrollOptions{Method: factor.Passkey})
		return err
	})
	if !errors.Is(err, factor.ErrTooMany) {
		t.Errorf("the eleventh: %v", err)
	}
}
