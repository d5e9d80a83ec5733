package login_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// moved is somebody who came from an older system with a digest of a recovery code.
func (h *house) moved(name string, digests ...string) *person {
	h.Helper()
	p := h.someone(name)
	p.seed = otp.NewSeed(20)
	h.update(func(tx store.Tx) error {
		return h.factors.Bring(tx, account.Local(), p.id, factor.Brought{Seed: secret.NewBytes(p.seed), Params: otp.Default(), RecoveryDigests: digests})
	})
	return p
}

// Attack: of somebody who was imported with digests guesses at the authenticator count
// as recovery codes, and never close the place.
func TestO6DigestsDoNotKeepAPlaceOpen(t *testing.T) {
	h := newHouse(t, setting{})
	for name, p := range map[string]*person{"moved": h.moved("alice", django(t, "aB3dE5gH7jK9")), "ours": h.member("bob")} {
		judged := 0
		var last error
		for range 70 {
			next, err := h.doors.Password(t.Context(), p.at(login.Trench))
			must(t, err)
			s := p.second(next, p.wrongCode())
			s.Door, s.Method = login.Trench, factor.Any
			if _, last = h.doors.Code(t.Context(), s); errors.Is(last, login.ErrDenied) {
				judged++
			}
			h.clock.Advance(16 * time.Minute)
		}
		if wait, ok := errors.AsType[*throttle.Throttled](last); !ok || wait.Cause != throttle.CauseClosed || judged != 50 {
			t.Errorf("%s: %d guesses were judged, then %v", name, judged, last)
		}
		if _, err := p.trench(p.code()); err == nil {
			t.Errorf("%s: a closed place takes a code", name)
		}
	}
	if n := h.count(audit.KindThrottled, audit.Denied, throttle.CauseClosed); n == 0 {
		t.Error("nothing was noted")
	}
	p := h.moved("carol", django(t, "aB3dE5gH7jK9"))
	for range 8 {
		next, err := h.doors.Password(t.Context(), p.at(login.Trench))
		must(t, err)
		s := p.second(next, p.wrongCode())
		s.Door, s.Method = login.Trench, factor.Any
		_, _ = h.doors.Code(t.Context(), s)
	}
	if n := h.count(audit.KindThrottled, audit.Denied, throttle.CausePrincipal); n < 3 {
		t.Errorf("%d notes of somebody imported who has to wait, want 3", n)
	}
}

// Six digits at the recovery door close like six digits at the other one: they can be
// guessed. So do seven, and six among as many hyphens as a field takes.
func TestO6ShortRecoveryCodesClose(t *testing.T) {
	h := newHouse(t, setting{realms: map[string]account.Settings{"users": {RecoveryCodes: &account.RecoverySettings{Count: 5, Length: 6, Alphabet: "0123456789", Plain: true}}}})
	for name, code := range map[string]string{"alice": "000000", "bert": "0000000", "cleo": strings.Repeat("-", 58) + "000000", "dora": " 0 0 0 0 0 0 "} {
		p := h.member(name)
		judged := 0
		for range 70 {
			s := p.second(p.first(), code)
			if _, err := h.doors.Recovery(t.Context(), s); errors.Is(err, login.ErrDenied) {
				judged++
			}
			h.clock.Advance(16 * time.Minute)
		}
		if judged != 50 {
			t.Errorf("%q: %d guesses were judged, want 50", code, judged)
		}
	}
}

// A code of the authenticator costs no hash of a recovery code: otherwise whoever was
// imported signs in slowly, and takes the slots of others.
func TestACodeCostsNoHashes(t *testing.T) {
	h := newHouse(t, setting{hasher: secret.HasherOptions{Slots: 1, Queue: -1}})
	p := h.moved("alice", django(t, "aB3dE5gH7jK9"), django(t, "Zz1Xx2Cc3Vv4"))
	next, err := h.doors.Password(t.Context(), p.at(login.Trench))
	must(t, err)
	free := h.occupy()
	s := p.second(next, p.code())
	s.Door, s.Method = login.Trench, factor.Any
	_, err = h.doors.Code(t.Context(), s)
	free()
	must(t, err)
}

// A right code whose change is not made counts for nothing, hashed recovery codes or
// not.
func TestACodeWhoseChangeFailsIsNotCounted(t *testing.T) {
	h := newHouse(t, setting{})
	p := h.moved("alice", django(t, "aB3dE5gH7jK9"))
	live := p.trenchLive(p.code())
	refused := errors.New("not this time")
	for range 8 {
		err := h.doors.WithCode(t.Context(), live, login.Regenerate, nil, "aB3dE5gH7jK9", p.client, func(store.Tx, *account.User) error { return refused })
		if !errors.Is(err, refused) {
			t.Fatalf("got %v", err)
		}
	}
	must(t, h.doors.WithCode(t.Context(), live, login.Regenerate, nil, "aB3dE5gH7jK9", p.client, func(store.Tx, *account.User) error { return nil }))
}
