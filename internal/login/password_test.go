package login_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// While the hash is computed somebody changes the password, disables the person,
// deletes them or gives them a factor. A door that does not look again opens for
// what was true before.
func TestFirstDoorLooksAgain(t *testing.T) {
	changes := map[string]func(h *house, p *person, tx store.Tx) error{
		"a new password": func(h *house, p *person, tx store.Tx) error {
			digest, err := h.hasher.Hash(t.Context(), wrongWords)
			if err == nil {
				_, err = h.dir.SetPassword(tx, account.Local(), p.id, digest)
			}
			return err
		},
		"the same password, set again": func(h *house, p *person, tx store.Tx) error {
			digest, err := h.hasher.Hash(t.Context(), secretWords)
			if err == nil {
				_, err = h.dir.SetPassword(tx, account.Local(), p.id, digest)
			}
			return err
		},
		"disabled": func(h *house, p *person, tx store.Tx) error {
			_, err := h.dir.SetDisabled(tx, account.Local(), p.id, true)
			return err
		},
		"another epoch": func(h *house, p *person, tx store.Tx) error {
			_, err := h.dir.RaiseEpoch(tx, p.id)
			return err
		},
		"deleted": func(h *house, p *person, tx store.Tx) error {
			return h.dir.Delete(tx, account.Local(), p.id)
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, setting{realms: map[string]account.Settings{"users": {Factors: one()}}})
			bob := h.someone("bob")
			h.store.beforeUpdate(2, func() { h.update(func(tx store.Tx) error { return change(h, bob, tx) }) })
			next, err := h.doors.Password(t.Context(), bob.attempt())
			if !errors.Is(err, login.ErrDenied) || next != nil {
				t.Errorf("the password of before: %v, %v", next, err)
			}
			if n := h.count(audit.KindPassword, audit.Denied, "changed"); n != 1 {
				t.Errorf("%d events with cause=changed, want 1", n)
			}
		})
	}
}

// Two logins at once over an outdated hash: one renews it while the other
// compares. That is the same password, so it is compared again, not refused.
func TestRenewedHashIsComparedAgain(t *testing.T) {
	h := newHouse(t, setting{})
	old := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 128, Time: 1, Threads: 1}})
	digest, err := old.Hash(t.Context(), secretWords)
	must(t, err)
	alice := h.withDigest("alice", digest)
	h.store.beforeUpdate(2, func() {
		renewed, err := h.hasher.Hash(t.Context(), secretWords)
		must(t, err)
		h.update(func(tx store.Tx) error { return h.dir.Rehash(tx, alice.id, digest, renewed) })
	})
	if next := alice.first(); next.Status != login.Enroll {
		t.Errorf("after a renewed hash: %+v", next)
	}
}

// The digest is another password's by then: it is compared again, and refused.
func TestReplacedHashIsComparedAgain(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.someone("alice")
	h.store.beforeUpdate(2, func() {
		other, err := h.hasher.Hash(t.Context(), wrongWords)
		must(t, err)
		h.update(func(tx store.Tx) error {
			u, err := h.dir.ByID(tx, alice.id)
			if err != nil {
				return err
			}
			return h.dir.Rehash(tx, alice.id, u.Password, other)
		})
	})
	_, err := h.doors.Password(t.Context(), alice.attempt())
	h.wantDenied(err, "the password of before")
}

// A hash of a foreign format is renewed at the first login with it, and the person
// notices nothing.
func TestForeignHashIsRenewed(t *testing.T) {
	h := newHouse(t, setting{})
	digest, err := bcrypt.GenerateFromPassword([]byte(secretWords), bcrypt.MinCost)
	must(t, err)
	alice := h.withDigest("alice", string(digest))
	alice.provision()
	alice.first()
	h.update(func(tx store.Tx) error {
		u, err := h.dir.ByID(tx, alice.id)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(u.Password, "$argon2id$") {
			t.Errorf("the hash is still %.7s", u.Password)
		}
		return nil
	})
	alice.login()
}

// Hash slots are all taken: nobody is let in, and nobody is locked out either,
// since what was not judged is not counted.
func TestBusyIsNotCounted(t *testing.T) {
	h := newHouse(t, setting{hasher: secret.HasherOptions{Slots: 1, Queue: -1}})
	alice := h.member("alice")
	release := h.occupy()
	for range 4 * throttle.DefaultPolicy().Principal {
		if _, err := h.doors.Password(t.Context(), alice.attempt()); !isBusy(err) {
			t.Fatalf("without a slot: %v", err)
		}
	}
	release()
	alice.login()
}

// The same for a client that goes away while it waits for a slot.
func TestClientThatWentAwayIsNotCounted(t *testing.T) {
	h := newHouse(t, setting{})
	alice := h.member("alice")
	for range 4 * throttle.DefaultPolicy().Principal {
		ctx, end := context.WithCancel(t.Context())
		_, err := h.endingDoors(end).Password(ctx, alice.attempt())
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("a client that went away before the hash: %v", err)
		}
	}
	alice.login()
}

// endingDoors are doors whose store ends a context once the try is counted: the
// hash then finds it ended.
func (h *house) endingDoors(end func()) *login.Doors {
	counted := &endingStore{Store: h.sealed, end: end}
	return login.New(login.Options{
		Store: counted, Directory: h.dir, Factors: h.factors, Sessions: h.sessions, Throttle: h.throttle, Hasher: h.hasher,
		Audit: h.audit, Derive: h.sealed.Derive, Clock: h.clock.Now, Floor: func() time.Duration { return 0 },
	})
}

type endingStore struct {
	store.Store
	end func()
}

func (s *endingStore) Update(ctx context.Context, fn func(store.Tx) error) error {
	err := s.Store.Update(ctx, fn)
	s.end()
	return err
}

// The four kinds of name that cannot log in, and one that could.
func (h *house) names() map[string]login.Attempt {
	h.Helper()
	known := h.member("known")
	disabled := h.member("disabled")
	h.update(func(tx store.Tx) error {
		_, err := h.dir.SetDisabled(tx, account.Local(), disabled.id, true)
		return err
	})
	h.withDigest("hollow", "")
	attempts := map[string]login.Attempt{"known": known.attempt(), "disabled": disabled.attempt()}
	for _, name := range []string{"unknown", "hollow"} {
		attempts[name] = login.Attempt{Login: name, Door: login.Portal}
	}
	for _, login := range []string{"not a name", "unknown@nowhere", "unknown@example.com", "", strings.Repeat("x", 5000), "a@b@c", "\xff"} {
		attempts["odd "+login] = known.attempt()
		a := attempts["odd "+login]
		a.Login = login
		attempts["odd "+login] = a
	}
	for name, a := range attempts {
		a.Password = wrongWords
		attempts[name] = a
	}
	return attempts
}

// E2: wrong password, no such name, disabled, no password: the same error, the
// same number of transactions, and a hash each. Whatever differs tells who exists.
func TestE2AllNamesLookTheSame(t *testing.T) {
	off := throttle.Policy{}
	h := newHouse(t, setting{policy: &off, hasher: secret.HasherOptions{Slots: 1, Queue: -1}})
	attempts := h.names()
	for name, a := range attempts {
		for _, password := range []string{wrongWords, secretWords, "", strings.Repeat("p", 5000), "\xff"} {
			if name == "known" && password == secretWords {
				continue
			}
			a.Password = password
			before := h.store.updates.Load()
			next, err := h.doors.Password(t.Context(), a)
			if err != login.ErrDenied || next != nil {
				t.Errorf("%.20s: %v, %v", name, next, err)
			}
			if n := h.store.updates.Load() - before; n != 2 {
				t.Errorf("%.20s: %d Updates, want 2", name, n)
			}
		}
	}
	// With the one slot taken and no queue, whoever asks for a hash hears Busy.
	release := h.occupy()
	defer release()
	for name, a := range attempts {
		if _, err := h.doors.Password(t.Context(), a); !isBusy(err) {
			t.Errorf("%.20s: %v, want *secret.Busy: it costs no hash", name, err)
		}
	}
}

func isBusy(err error) bool {
	_, ok := errors.AsType[*secret.Busy](err)
	return ok
}

// occupy keeps the hasher's one slot taken with a dear digest. release waits until
// the slot is free.
func (h *house) occupy() (release func()) {
	h.Helper()
	cheap, err := bcrypt.GenerateFromPassword([]byte("somebody"), bcrypt.MinCost)
	must(h, err)
	dear := strings.Replace(string(cheap), "$04$", "$12$", 1)
	done := make(chan error, 1)
	go func() {
		for {
			_, _, err := h.hasher.Verify(context.Background(), wrongWords, dear)
			if !isBusy(err) { // the question below had the slot
				done <- err
				return
			}
		}
	}()
	for !isBusy(h.hasher.Unknown(h.Context(), wrongWords)) {
		select {
		case err := <-done:
			h.Fatalf("the slot was not taken long enough: %v", err)
		default:
		}
	}
	return func() { must(h, <-done) }
}

// The throttle tells those who exist from those who do not as little: the same
// number of guesses, then the same wait.
func TestThrottleTreatsUnknownNamesAlike(t *testing.T) {
	h := newHouse(t, setting{})
	waits := map[string]time.Duration{}
	guesses := map[string]int{}
	for name, a := range h.names() {
		if strings.HasPrefix(name, "odd") {
			continue
		}
		a.Client = login.Client{Exempt: true}
		for {
			_, err := h.doors.Password(t.Context(), a)
			if wait, ok := errors.AsType[*throttle.Throttled](err); ok {
				waits[name] = wait.RetryAfter
				break
			}
			h.wantDenied(err, name)
			guesses[name]++
		}
	}
	for name := range waits {
		if waits[name] != waits["known"] || guesses[name] != guesses["known"] {
			t.Errorf("%s: %d guesses, then %v; known: %d, %v", name, guesses[name], waits[name], guesses["known"], waits["known"])
		}
	}
}

// The floor holds for good answers and for bad ones; a client that goes away waits
// no longer, and hears nothing.
func TestAnswersLeaveAtTheFloor(t *testing.T) {
	const floor = 60 * time.Millisecond
	h := newHouse(t, setting{floor: func() time.Duration { return floor }})
	alice := h.member("alice")
	wrong, unknown := alice.attempt(), alice.attempt()
	wrong.Password, unknown.Login = wrongWords, "nobody"
	for name, a := range map[string]login.Attempt{"good": alice.attempt(), "wrong": wrong, "unknown": unknown} {
		begin := time.Now()
		_, err := h.doors.Password(t.Context(), a)
		if took := time.Since(begin); took < floor {
			t.Errorf("%s (%v): left after %v, before the floor of %v", name, err, took, floor)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), floor/3)
	defer cancel()
	next, err := h.doors.Password(ctx, alice.attempt())
	if !errors.Is(err, context.DeadlineExceeded) || next != nil {
		t.Errorf("a client that went away hears %v, %v", next, err)
	}
}

// E1: more than two thousand wrong passwords, for a known name, an unknown, a disabled
// and a hollow one, and the first two at a facade's door. Welch's t-test finds no difference of the means at the floor, and
// would find a small one. A busy machine may fake a difference, so one that counts
// is found three times running.
func TestE1TimeTellsNothing(t *testing.T) {
	const (
		tries = 400 // of each of the six
		runs  = 3
		limit = 4.5 // of |t|: by chance once in 100,000 comparisons
	)
	off := throttle.Policy{}
	var floor time.Duration
	h := newHouse(t, setting{policy: &off, floor: func() time.Duration { return floor }})
	attempts := h.names()
	names := []string{"known", "unknown", "disabled", "hollow", "known at a facade", "unknown at a facade"}
	for _, name := range names[:2] {
		a := attempts[name]
		a.Login, _, _ = strings.Cut(a.Login, "@")
		a.Realm, a.Door = "users", login.Trench
		attempts[name+" at a facade"] = a
	}
	sample := func(name string) float64 {
		begin := time.Now()
		_, err := h.doors.Password(t.Context(), attempts[name])
		took := time.Since(begin)
		h.wantDenied(err, name)
		return float64(took)
	}
	var bare []float64
	for range 50 {
		for _, name := range names {
			bare = append(bare, sample(name))
		}
	}
	slices.Sort(bare)
	floor = max(time.Duration(3*bare[len(bare)*95/100]), 3*time.Millisecond) // as at start: from measured costs
	var found string
	for range runs {
		times := map[string][]float64{}
		for round := range tries {
			for i := range names { // in turns that change, so that the machine's mood is shared
				name := names[(i+round+round/len(names))%len(names)]
				times[name] = append(times[name], sample(name))
			}
		}
		found = ""
		known := trimmed(times["known"])
		for _, name := range names[1:] {
			other := trimmed(times[name])
			// The floor is three times the work, so work that shows is a third of
			// it or more. A tenth, of either sign, is the scheduler and the
			// collector of a busy machine, whose moods the samples share.
			if score := welch(known, other); math.Abs(score) > limit && math.Abs(mean(known)-mean(other)) > float64(floor)/10 {
				found = fmt.Sprintf("known against %s: t = %.1f, floor %v", name, score, floor)
				t.Log(found)
			}
		}
		shifted := slices.Clone(known)
		for i := range shifted {
			shifted[i] += float64(floor) / 5
		}
		if score := welch(known, shifted); math.Abs(score) < limit {
			t.Logf("a fifth of the floor more is only t = %.1f: the machine is too noisy to tell", score)
			continue
		}
		if found == "" {
			return
		}
	}
	t.Errorf("times differ, or could not be told apart from noise: %s", found)
}

// trimmed drops the slower half: on a busy machine the work itself takes longer
// than the floor now and then, for all alike. What leaks shows in the faster half
// too, where nothing but the floor decides.
func trimmed(times []float64) []float64 {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[:len(sorted)/2]
}

func mean(x []float64) (m float64) {
	for _, t := range x {
		m += t
	}
	return m / float64(len(x))
}

// welch is the t statistic of two samples with unequal variances.
func welch(a, b []float64) float64 {
	moments := func(x []float64) (m, v float64) {
		m = mean(x)
		for _, t := range x {
			v += (t - m) * (t - m)
		}
		return m, v / float64(len(x)-1)
	}
	ma, va := moments(a)
	mb, vb := moments(b)
	return (ma - mb) / math.Sqrt(va/float64(len(a))+vb/float64(len(b)))
}
