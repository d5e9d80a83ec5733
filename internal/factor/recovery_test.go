package factor_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Digests as Django writes them. Which code they are of does not matter here: that
// one matches is the caller's word.
const (
	oldDigest   = "pbkdf2_sha256$260000$saltsaltsalt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	otherDigest = "pbkdf2_sha256$260000$saltsaltsalu$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)

func (h *house) bring(id principal.ID, b factor.Brought) error {
	return h.store.Update(h.Context(), func(tx store.Tx) error { return h.factors.Bring(tx, account.Local(), id, b) })
}

func (h *house) foreign(id principal.ID) (digests []string) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		digests, err = h.factors.ForeignRecovery(tx, id)
		return err
	})
	return digests
}

func (h *house) left(id principal.ID) (n int) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		n, err = h.factors.RecoveryLeft(tx, id)
		return err
	})
	return n
}

func (h *house) fresh(actor account.Actor, id principal.ID) (codes []string, err error) {
	err = h.store.Update(h.Context(), func(tx store.Tx) (err error) {
		codes, err = h.factors.NewRecoveryCodes(tx, actor, id)
		return err
	})
	return codes, err
}

func brought(codes, digests []string) factor.Brought {
	return factor.Brought{Seed: secret.NewBytes([]byte("twenty bytes of seed")), Params: otp.Default(), RecoveryCodes: codes, RecoveryDigests: digests}
}

// Codes that come from an older system are good once each, whatever their form,
// for their owner alone.
func TestBroughtRecoveryCodes(t *testing.T) {
	h := newHouse(t, nil)
	alice, bob := h.user("alice"), h.user("bob")
	b := brought([]string{"AbC-dEf 1", "abcdef1", "123456"}, []string{oldDigest, oldDigest, otherDigest})
	b.Issuer = "Old House"
	must(t, h.bring(alice, b))
	must(t, h.bring(bob, brought([]string{"654321"}, nil)))
	if got := h.foreign(alice); !slices.Equal(got, []string{oldDigest, otherDigest}) || h.left(alice) != 4 {
		t.Errorf("%d digests and %d codes of four that differ", len(got), h.left(alice))
	}
	if e, used, err := reveal(h, alice); err != nil || !used || !strings.Contains(e.URI, "issuer=Old%20House") {
		t.Errorf("the authenticator came as %v, used %v", err, used)
	}
	for _, c := range []struct {
		what, code, foreign string
		of                  principal.ID
		want                factor.Result
		left                int
	}{
		{"Alice's digest for Bob", "whatever", oldDigest, bob, factor.Wrong, 1},
		{"Alice's code for Bob", "123456", "", bob, factor.Wrong, 1},
		{"no digest", "whatever", "", alice, factor.Wrong, 4},
		{"a digest that is not there", "whatever", oldDigest[:len(oldDigest)-2] + "B=", alice, factor.Wrong, 4},
		{"a digest", "what/ever", oldDigest, alice, factor.Good, 3},
		{"it again", "what/ever", oldDigest, alice, factor.Wrong, 3},
		{"a code in another case", "ABCDEF1", "", alice, factor.Good, 2},
		{"it again", "AbCdEf1", "", alice, factor.Wrong, 2},
		{"one code in both forms", "123456", otherDigest, alice, factor.Good, 0},
		{"it again", "123456", otherDigest, alice, factor.Wrong, 0},
	} {
		if got := h.try(c.of, factor.RecoveryCode, c.code, c.foreign); got != (factor.Checked{Result: c.want, Method: factor.RecoveryCode, Step: -1, Left: c.left}) {
			t.Errorf("%s: %+v, want %v, %d left", c.what, got, c.want, c.left)
		}
	}
}

func reveal(h *house, id principal.ID) (e *factor.Enrollment, used bool, err error) {
	err = h.store.View(h.Context(), func(tx store.Tx) (err error) {
		e, used, err = h.factors.Reveal(tx, id)
		return err
	})
	return e, used, err
}

// A digest opens by Any as well, and not as an authenticator's code.
func TestADigestIsARecoveryCodeAlone(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	must(t, h.bring(alice, brought(nil, []string{oldDigest})))
	if c := h.try(alice, factor.TOTP, "what-ever", oldDigest); c.Result != factor.Wrong || h.left(alice) != 1 {
		t.Errorf("as an authenticator's code: %+v", c)
	}
	if c := h.try(alice, factor.Any, "what-ever", oldDigest); c.Result != factor.Good || c.Method != factor.RecoveryCode {
		t.Errorf("as any: %+v", c)
	}
}

// A fresh set kills the codes of the older system too.
func TestAFreshSetDropsForeignCodes(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	must(t, h.bring(alice, brought([]string{"123456"}, []string{oldDigest})))
	_, err := h.fresh(account.Self(alice), alice)
	must(t, err)
	if got := h.foreign(alice); len(got) != 0 || h.left(alice) != 10 {
		t.Errorf("%d digests, %d codes", len(got), h.left(alice))
	}
	if c := h.try(alice, factor.Any, "123456", oldDigest); c.Result != factor.Wrong {
		t.Errorf("an old code: %+v", c)
	}
}

// What cannot be stored is refused before anything is, and not repeated.
func TestBringRefuses(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	for what, b := range map[string]factor.Brought{
		"an odd character": brought([]string{"123456", "abc_def"}, nil),
		"other digits":     brought([]string{"１２３４５６"}, nil),
		"a short code":     brought([]string{"12-34 5"}, nil),
		"an empty code":    brought([]string{""}, nil),
		"a long code":      brought([]string{strings.Repeat("a", 65)}, nil),
		"no digest":        brought(nil, []string{"abc_def"}),
		"a dear digest":    brought(nil, []string{strings.Replace(oldDigest, "260000", "4000000000", 1)}),
		"too many":         brought(slices.Repeat([]string{"123456"}, 60), slices.Repeat([]string{oldDigest}, 41)),
		"a short seed":     {Seed: secret.NewBytes([]byte("short")), Params: otp.Default()},
		"no params":        {Seed: secret.NewBytes([]byte("twenty bytes of seed"))},
	} {
		err := h.bring(alice, b)
		if !errors.Is(err, account.ErrInvalid) || strings.Contains(err.Error(), "abc_def") || strings.Contains(err.Error(), "12-34") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if h.left(alice) != 0 || len(h.methods(alice)) != 0 {
		t.Error("something was stored")
	}
	must(t, h.bring(alice, factor.Brought{Seed: secret.NewBytes([]byte("ten bytes!")), Params: otp.Params{Algorithm: otp.SHA1, Digits: 6, Period: 3600},
		RecoveryCodes: slices.Repeat([]string{"123456"}, 100)}))
}

// Codes look as the realm's older system printed them, and are compared without
// case; of six digits and a hundred codes no two are alike.
func TestRecoveryCodesOfARealmsShape(t *testing.T) {
	h := newHouse(t, map[string]account.Settings{
		"digits": {RecoveryCodes: &account.RecoverySettings{Count: 100, Length: 6, Alphabet: "0123456789", Plain: true}},
		"upper":  {RecoveryCodes: &account.RecoverySettings{Count: 3, Length: 12, Alphabet: "ABCDEFGHJKLMNPQRSTUVWXYZ"}},
	})
	for realm, form := range map[string]string{"digits": `^[0-9]{6}$`, "upper": `^[A-Z]{4}-[A-Z]{4}-[A-Z]{4}$`} {
		id := h.user("alice@" + realm)
		codes := h.enroll(account.Local(), id, factor.EnrollOptions{Confirmed: true}).RecoveryCodes
		for i, code := range codes {
			if !regexp.MustCompile(form).MatchString(code) || slices.Contains(codes[:i], code) {
				t.Errorf("%s: a code %q", realm, code)
			}
		}
		if c := h.try(id, factor.RecoveryCode, strings.ToLower(codes[0]), ""); c.Result != factor.Good || c.Left != len(codes)-1 {
			t.Errorf("%s: %q in lower case: %+v", realm, codes[0], c)
		}
	}
}

// Where a realm leaves new codes to administrators, people draw none for
// themselves, and keep those that they have.
func TestNoRegeneration(t *testing.T) {
	no := false
	h := newHouse(t, map[string]account.Settings{"strict": {AllowRegenerate: &no}})
	alice := h.user("alice@strict")
	old := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true}).RecoveryCodes
	if _, err := h.fresh(account.Self(alice), alice); !errors.Is(err, factor.ErrNoRegeneration) {
		t.Errorf("by herself: %v", err)
	}
	if c := h.try(alice, factor.RecoveryCode, old[0], ""); c.Result != factor.Good {
		t.Errorf("the old codes: %+v", c)
	}
	if codes, err := h.fresh(account.Local(), alice); err != nil || len(codes) != 10 {
		t.Errorf("by an administrator: %d, %v", len(codes), err)
	}
}

// Codes that were mailed are noted, the next set is another one, and where there are none
// nothing is noted.
func TestMailedRecoveryCodes(t *testing.T) {
	h := newHouse(t, nil)
	mailed := func(id principal.ID) (yes bool) {
		h.update(func(tx store.Tx) (err error) {
			yes, err = h.factors.RecoveryMailed(tx, id)
			return err
		})
		return yes
	}
	note := func(id principal.ID) { h.update(func(tx store.Tx) error { return h.factors.Mailed(tx, id) }) }
	bare, id := h.user("bare"), h.user("alice")
	note(bare)
	h.enroll(account.Local(), id, factor.EnrollOptions{Confirmed: true})
	if mailed(bare) || mailed(id) {
		t.Error("codes are mailed that were not")
	}
	note(id)
	if !mailed(id) {
		t.Error("it is not noted")
	}
	h.update(func(tx store.Tx) error { _, err := h.factors.NewRecoveryCodes(tx, account.Local(), id); return err })
	if mailed(id) {
		t.Error("the next set counts as mailed")
	}
}
