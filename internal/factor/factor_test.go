package factor_test

import (
	"bytes"
	"errors"
	"image/png"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

type house struct {
	*testing.T
	clock   *storetest.Clock
	store   *store.SealedStore
	dir     *account.Directory
	factors *factor.Factors
	mu      sync.Mutex
	events  []audit.Event
}

func newHouse(t *testing.T, realms map[string]account.Settings) *house {
	t.Helper()
	h := &house{T: t, clock: storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 5, 0, time.UTC))}
	h.store = storetest.Open(t, h.clock.Now)
	log := audit.New(audit.Options{Clock: h.clock.Now})
	log.Subscribe(func(e audit.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	})
	h.dir = account.New(account.Options{Audit: log, Realms: realms})
	must(t, h.dir.EnsureReserved(t.Context(), h.store))
	h.factors = factor.New(factor.Options{Directory: h.dir, Audit: log, Derive: h.store.Derive})
	h.dir.OnDelete(func(tx store.Tx, u *account.User) error { return h.factors.Forget(tx, u.ID) })
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) update(fn func(store.Tx) error) {
	h.Helper()
	must(h, h.store.Update(h.Context(), fn))
}

func (h *house) user(ref string) (id principal.ID) {
	h.Helper()
	parsed, err := principal.ParseRef(ref, "users")
	must(h, err)
	h.update(func(tx store.Tx) error {
		u, err := h.dir.Create(tx, account.Local(), account.NewUser{Ref: parsed, MakeRealm: true})
		if err == nil {
			id = u.ID
		}
		return err
	})
	return id
}

func (h *house) enroll(actor account.Actor, id principal.ID, o factor.EnrollOptions) (e *factor.Enrollment) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		e, err = h.factors.Enroll(tx, actor, id, o)
		return err
	})
	return e
}

func (h *house) confirm(id principal.ID, code string) (codes []string, err error) {
	err = h.store.Update(h.Context(), func(tx store.Tx) (err error) {
		codes, err = h.factors.Confirm(tx, account.Self(id), id, factor.TOTP, factor.Proof{Code: code})
		return err
	})
	return codes, err
}

func (h *house) verify(id principal.ID, method factor.Name, code string) (r factor.Result) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		r, err = h.factors.Verify(tx, id, method, code)
		return err
	})
	return r
}

func (h *house) methods(id principal.ID) (m []factor.Method) {
	h.Helper()
	h.update(func(tx store.Tx) (err error) {
		m, err = h.factors.Methods(tx, id)
		return err
	})
	return m
}

func (h *house) epoch(id principal.ID) (epoch uint64) {
	h.Helper()
	h.update(func(tx store.Tx) error {
		u, err := h.dir.ByID(tx, id)
		if err == nil {
			epoch = u.Epoch
		}
		return err
	})
	return epoch
}

func (h *house) pending(id principal.ID) (e *factor.Enrollment, err error) {
	err = h.store.View(h.Context(), func(tx store.Tx) (err error) {
		e, err = h.factors.Pending(tx, id)
		return err
	})
	return e, err
}

func (h *house) code(e *factor.Enrollment) string {
	h.Helper()
	code, err := e.Params.Code(e.Seed.Reveal(), e.Params.Step(h.clock.Now()))
	must(h, err)
	return code
}

func (h *house) next() { h.clock.Advance(30 * time.Second) }

// A person enrols: pending until the first code, then good, with recovery codes,
// a new epoch, and the first code spent.
func TestEnrollAndConfirm(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	e := h.enroll(account.Self(alice), alice, factor.EnrollOptions{})
	label, seed, params, err := otp.ParseURI(e.URI)
	must(t, err)
	if label != (otp.Label{Issuer: "Sallyport", Account: "alice@users"}) || !bytes.Equal(seed, e.Seed.Reveal()) || params != otp.Default() || len(seed) < 20 {
		t.Errorf("the URI says %v, %d bytes, %v", label, len(seed), params)
	}
	if r := h.verify(alice, factor.TOTP, h.code(e)); r != factor.Wrong {
		t.Errorf("a pending method is %v", r)
	}
	if m := h.methods(alice); len(m) != 1 || m[0].Active {
		t.Errorf("methods: %+v", m)
	}
	if _, err := h.confirm(alice, "000000"); !errors.Is(err, factor.ErrDenied) {
		t.Errorf("a wrong first code: %v", err)
	}
	before := h.epoch(alice)
	codes, err := h.confirm(alice, h.code(e))
	must(t, err)
	if len(codes) != 10 || h.epoch(alice) <= before {
		t.Errorf("%d recovery codes, epoch %d after %d", len(codes), h.epoch(alice), before)
	}
	if r := h.verify(alice, factor.TOTP, h.code(e)); r != factor.Replayed {
		t.Errorf("the code that confirmed is %v", r)
	}
	if _, err := h.confirm(alice, h.code(e)); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("confirming twice: %v", err)
	}
	h.next()
	if r := h.verify(alice, "", h.code(e)); r != factor.Good {
		t.Errorf("the next code is %v", r)
	}
	if m := h.methods(alice); len(m) != 1 || !m[0].Active || !m[0].Primary || !m[0].LastUsedAt.Equal(h.clock.Now()) {
		t.Errorf("methods: %+v", m)
	}
}

// M10: enrolment of another app is begun and left: the old one stays good, the
// new seed opens nothing, and is forgotten after its time.
func TestM10AbandonedEnrollmentLeavesTheOldOne(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	old := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	fresh := h.enroll(account.Self(alice), alice, factor.EnrollOptions{})
	if r := h.verify(alice, "", h.code(fresh)); r != factor.Wrong {
		t.Errorf("the pending seed is %v", r)
	}
	if r := h.verify(alice, "", h.code(old)); r != factor.Good {
		t.Errorf("the old seed is %v", r)
	}
	h.clock.Advance(factor.PendingLife)
	if _, err := h.confirm(alice, h.code(fresh)); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("confirming what waited too long: %v", err)
	}
	again := h.enroll(account.Self(alice), alice, factor.EnrollOptions{})
	codes, err := h.confirm(alice, h.code(again))
	must(t, err)
	if codes != nil {
		t.Error("a second app brought new recovery codes: the old paper would be dead without a word")
	}
	h.next()
	if r := h.verify(alice, "", h.code(old)); r != factor.Wrong {
		t.Errorf("the replaced seed is %v", r)
	}
	if r := h.verify(alice, "", h.code(again)); r != factor.Good {
		t.Errorf("the new seed is %v", r)
	}
}

// What an administrator makes is active at once; its seed is shown for an hour.
func TestProvisionedSeedIsShownForAnHour(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	e := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true, Issuer: "Exam:ple", Params: &otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}})
	if !e.Active || len(e.RecoveryCodes) != 10 || !strings.Contains(e.URI, "issuer=Example") {
		t.Errorf("the answer: active %v, %d codes", e.Active, len(e.RecoveryCodes))
	}
	shown, err := h.pending(alice)
	must(t, err)
	if !shown.Active || shown.URI != e.URI {
		t.Error("within the hour it is not the same")
	}
	h.clock.Advance(factor.ShownLife)
	if _, err := h.pending(alice); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("after an hour: %v, want ErrNoPending", err)
	}
	if r := h.verify(alice, "", h.code(e)); r != factor.Good {
		t.Errorf("its code is %v", r)
	}
}

// The seed of a method that its owner confirmed never leaves again.
func TestConfirmedSeedNeverLeaves(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	e := h.enroll(account.Self(alice), alice, factor.EnrollOptions{})
	_, err := h.pending(alice)
	must(t, err)
	_, err = h.confirm(alice, h.code(e))
	must(t, err)
	if _, err := h.pending(alice); !errors.Is(err, factor.ErrNoPending) {
		t.Errorf("after the first code: %v, want ErrNoPending", err)
	}
}

// O9: the accepted step never goes back, whatever the clock does, and codes of
// earlier steps inside the window are replays, not guesses.
func TestO9StepNeverGoesBack(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	e := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	earlier := h.code(e)
	h.next()
	if r := h.verify(alice, "", h.code(e)); r != factor.Good {
		t.Fatal(r)
	}
	if r := h.verify(alice, "", earlier); r != factor.Replayed {
		t.Errorf("the step before the accepted one is %v", r)
	}
	h.clock.Advance(-30 * time.Second)
	if r := h.verify(alice, "", h.code(e)); r != factor.Replayed {
		t.Errorf("after the clock went back: %v", r)
	}
}

// The form of recovery codes: ten, different, grouped, no look-alikes, lower case.
func TestRecoveryCodesForm(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	codes := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true}).RecoveryCodes
	form := regexp.MustCompile(`^[2-9a-hjkmnp-z]{4}(-[2-9a-hjkmnp-z]{4}){3}$`)
	seen := map[string]bool{}
	for _, code := range codes {
		if !form.MatchString(code) || seen[code] {
			t.Errorf("a recovery code %q", code)
		}
		seen[code] = true
	}
}

// Each code is good once, as people type it.
func TestRecoveryCodeIsGoodOnce(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	codes := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true}).RecoveryCodes
	for i, typed := range []string{codes[0], strings.ToUpper(codes[1]), strings.ReplaceAll(codes[2], "-", ""), " " + strings.ReplaceAll(codes[3], "-", " ") + " "} {
		if r := h.verify(alice, factor.RecoveryCode, typed); r != factor.Good {
			t.Errorf("typed as %q: %v", typed, r)
		}
		for _, again := range []string{typed, codes[i], strings.ToUpper(codes[i]), "\t" + codes[i], codes[i] + "\u200b"} {
			if r := h.verify(alice, factor.RecoveryCode, again); r != factor.Wrong {
				t.Errorf("again as %q: %v", again, r)
			}
		}
	}
	for _, junk := range []string{"", "-", " - ", codes[5][:10], codes[5] + codes[6], strings.Repeat("a", 1000), "ａ" + codes[5][1:]} {
		if r := h.verify(alice, factor.RecoveryCode, junk); r != factor.Wrong {
			t.Errorf("junk %q: %v", junk, r)
		}
	}
	h.update(func(tx store.Tx) error {
		left, err := h.factors.RecoveryLeft(tx, alice)
		if left != 6 {
			t.Errorf("%d left, want 6", left)
		}
		return err
	})
}

// M3: a code of somebody else is wrong, and stays good for its owner.
func TestM3RecoveryCodeOfSomebodyElse(t *testing.T) {
	h := newHouse(t, nil)
	alice, bob := h.user("alice"), h.user("bob")
	codes := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true}).RecoveryCodes
	h.enroll(account.Local(), bob, factor.EnrollOptions{Confirmed: true})
	if r := h.verify(bob, factor.RecoveryCode, codes[0]); r != factor.Wrong {
		t.Errorf("Alice's code for Bob: %v", r)
	}
	if r := h.verify(alice, factor.RecoveryCode, codes[0]); r != factor.Good {
		t.Errorf("Alice's code for Alice: %v", r)
	}
}

// A fresh set kills the old one; the settings of the realm shape it.
func TestNewRecoveryCodes(t *testing.T) {
	h := newHouse(t, map[string]account.Settings{"digits": {RecoveryCodes: &account.RecoverySettings{Count: 3, Length: 20, Alphabet: "0123456789"}}})
	alice := h.user("alice@digits")
	err := h.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := h.factors.NewRecoveryCodes(tx, account.Self(alice), alice)
		return err
	})
	if !errors.Is(err, factor.ErrNoMethod) {
		t.Errorf("codes for somebody without a factor: %v", err)
	}
	old := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true}).RecoveryCodes
	if len(old) != 3 || len(strings.ReplaceAll(old[0], "-", "")) != 20 {
		t.Errorf("the realm's shape: %q", old)
	}
	var fresh []string
	h.update(func(tx store.Tx) (err error) {
		fresh, err = h.factors.NewRecoveryCodes(tx, account.Self(alice), alice)
		return err
	})
	if r := h.verify(alice, factor.RecoveryCode, old[0]); r != factor.Wrong {
		t.Errorf("a code of the old set: %v", r)
	}
	if r := h.verify(alice, factor.RecoveryCode, fresh[0]); r != factor.Good {
		t.Errorf("a code of the fresh set: %v", r)
	}
}

// The store holds neither a recovery code nor, in clear, anything like it: the
// records are read back as their room wrote them.
func TestRecoveryCodesAreNotStored(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	codes := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true}).RecoveryCodes
	must(t, h.store.View(t.Context(), func(tx store.Tx) error {
		for item, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			for _, code := range codes {
				if bytes.Contains(item.Value, []byte(code)) || bytes.Contains(item.Value, []byte(strings.ReplaceAll(code, "-", ""))) {
					t.Errorf("a record %.2s holds a recovery code", item.Key)
				}
			}
		}
		return nil
	}))
}

// M9: the last factor stays where two are demanded; an administrator may reset it,
// but not that of the last administrator.
func TestM9RemovingFactors(t *testing.T) {
	one := 1
	h := newHouse(t, map[string]account.Settings{"loose": {Factors: &one}})
	alice, bob, root := h.user("alice"), h.user("bob@loose"), h.user("root@admin")
	var code string
	for _, id := range []principal.ID{alice, bob, root} {
		code = h.enroll(account.Local(), id, factor.EnrollOptions{Confirmed: true}).RecoveryCodes[0]
	}
	remove := func(actor account.Actor, id principal.ID) error {
		return h.store.Update(t.Context(), func(tx store.Tx) error { return h.factors.Remove(tx, actor, id, factor.TOTP, "") })
	}
	reset := func(actor account.Actor, id principal.ID) error {
		return h.store.Update(t.Context(), func(tx store.Tx) error { return h.factors.Reset(tx, actor, id) })
	}
	admin := account.Person(root, 2, h.clock.Now())
	if err := remove(account.Self(alice), alice); !errors.Is(err, factor.ErrLastFactor) {
		t.Errorf("the own last factor: %v", err)
	}
	if err := remove(account.Person(bob, 2, h.clock.Now()), alice); !errors.Is(err, account.ErrForbidden) {
		t.Errorf("somebody else's: %v", err)
	}
	if err := reset(admin, root); !errors.Is(err, account.ErrLastAdministrator) {
		t.Errorf("the last administrator's: %v", err)
	}
	if r := h.verify(root, factor.RecoveryCode, code); r != factor.Good {
		t.Errorf("a refused reset took the recovery codes: %v", r)
	}
	before := h.epoch(alice)
	must(t, reset(admin, alice))
	if len(h.methods(alice)) != 0 || h.epoch(alice) <= before {
		t.Error("a reset left something, or the epoch")
	}
	must(t, remove(account.Self(bob), bob))
	if len(h.methods(bob)) != 0 {
		t.Error("a factor is still there where one is enough")
	}
	if err := remove(account.Self(bob), bob); !errors.Is(err, factor.ErrNoMethod) {
		t.Errorf("removing nothing: %v", err)
	}
	for _, e := range h.events {
		if e.Kind == audit.KindFactorReset && e.Actor != "root@admin" {
			t.Errorf("the reset was made by %q", e.Actor)
		}
	}
}

// Nobody enrols, draws codes or abandons for somebody else without the right.
func TestOthersFactorsNeedTheRight(t *testing.T) {
	h := newHouse(t, nil)
	alice, mallory := h.user("alice"), h.user("mallory")
	h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	for name, actor := range map[string]account.Actor{"a person": account.Person(mallory, 2, h.clock.Now()), "self of another": account.Self(mallory), "nobody": {}} {
		for call, do := range map[string]func(store.Tx) error{
			"Enroll": func(tx store.Tx) error {
				_, err := h.factors.Enroll(tx, actor, alice, factor.EnrollOptions{})
				return err
			},
			"Enroll confirmed": func(tx store.Tx) error {
				_, err := h.factors.Enroll(tx, actor, alice, factor.EnrollOptions{Confirmed: true})
				return err
			},
			"NewRecoveryCodes": func(tx store.Tx) error {
				_, err := h.factors.NewRecoveryCodes(tx, actor, alice)
				return err
			},
			"Abandon":    func(tx store.Tx) error { return h.factors.Abandon(tx, actor, alice, factor.TOTP) },
			"Reset":      func(tx store.Tx) error { return h.factors.Reset(tx, actor, alice) },
			"Remove":     func(tx store.Tx) error { return h.factors.Remove(tx, actor, alice, factor.TOTP, "") },
			"SetPrimary": func(tx store.Tx) error { return h.factors.SetPrimary(tx, actor, alice, factor.TOTP) },
		} {
			if err := h.store.Update(t.Context(), do); !errors.Is(err, account.ErrForbidden) {
				t.Errorf("%s by %s: %v, want ErrForbidden", call, name, err)
			}
		}
	}
}

// What a realm does not offer is not enrolled, and parameters are checked.
func TestEnrollRefuses(t *testing.T) {
	h := newHouse(t, map[string]account.Settings{"keys": {Methods: []string{"passkey"}}})
	alice, bob := h.user("alice@keys"), h.user("bob")
	for name, want := range map[string]struct {
		id  principal.ID
		o   factor.EnrollOptions
		err error
	}{
		"a method that the realm lacks": {alice, factor.EnrollOptions{}, factor.ErrUnknownMethod},
		"nobody":                        {principal.NewID(), factor.EnrollOptions{}, account.ErrUnknownUser},
		"seven digits":                  {bob, factor.EnrollOptions{Params: &otp.Params{Algorithm: otp.SHA1, Digits: 7, Period: 30}}, nil},
	} {
		err := h.store.Update(t.Context(), func(tx store.Tx) error {
			_, err := h.factors.Enroll(tx, account.Local(), want.id, want.o)
			return err
		})
		if err == nil || want.err != nil && !errors.Is(err, want.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Deleting a person deletes their seeds; the next one of that name starts bare.
func TestDeletedPersonLeavesNoFactors(t *testing.T) {
	h := newHouse(t, nil)
	alice := h.user("alice")
	e := h.enroll(account.Local(), alice, factor.EnrollOptions{Confirmed: true})
	h.update(func(tx store.Tx) error { return h.dir.Delete(tx, account.Local(), alice) })
	if r := h.verify(alice, "", h.code(e)); r != factor.Wrong {
		t.Errorf("a code of somebody who is gone: %v", r)
	}
	must(t, h.store.View(t.Context(), func(tx store.Tx) error {
		for item, err := range tx.Scan(store.KPrefix(store.PrefixFactor), nil) {
			if err != nil {
				return err
			}
			t.Errorf("a record of %d bytes is left", len(item.Value))
		}
		return nil
	}))
}

// What a text wants to be.
func TestNameOf(t *testing.T) {
	for text, want := range map[string]factor.Name{
		"123456": factor.TOTP, "123 456": factor.TOTP, "1234-5678": factor.TOTP,
		"": factor.RecoveryCode, "abcd-efgh-jkmn-pqrs": factor.RecoveryCode, "1234567": factor.RecoveryCode, "１２３４５６": factor.RecoveryCode,
	} {
		if got := factor.NameOf(text); got != want {
			t.Errorf("%q is taken for %s, want %s", text, got, want)
		}
	}
}

// A QR code is a PNG within bounds, and of otpauth URIs alone.
func TestQR(t *testing.T) {
	uri := otp.URI(otp.Label{Issuer: "Sallyport", Account: "alice@users"}, otp.NewSeed(20), otp.Default())
	for asked, want := range map[int]int{0: factor.DefaultQR, 1: factor.MinQR, -5: factor.MinQR, 300: 300, 1 << 30: factor.MaxQR} {
		picture, err := factor.QR(uri, asked)
		must(t, err)
		config, err := png.DecodeConfig(bytes.NewReader(picture))
		must(t, err)
		if config.Width != want || config.Height != want {
			t.Errorf("size %d: %d×%d pixels, want %d", asked, config.Width, config.Height, want)
		}
	}
	for _, bad := range []string{"", "https://example.com", "otpauth://" + strings.Repeat("x", 5000)} {
		if _, err := factor.QR(bad, 256); err == nil {
			t.Errorf("a QR code of %.20q", bad)
		}
	}
}
