package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

var (
	key      = []byte("a key of tests, thirty-two bytes")
	attacker = throttle.Origin{Client: netip.MustParseAddr("203.0.113.66")}
	home     = throttle.Origin{Client: netip.MustParseAddr("198.51.100.7"), Browser: []byte("the browser at home")}
)

// door is a throttle over a store, as a login uses it.
type door struct {
	*throttle.Throttle
	t     *testing.T
	store store.Store
	clock *storetest.Clock
}

func newDoor(t *testing.T, p throttle.Policy) *door {
	clock := storetest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	return &door{throttle.New(p, key), t, storetest.Open(t, clock.Now), clock}
}

func (d *door) update(fn func(tx store.Tx) error) {
	d.t.Helper()
	if err := d.store.Update(d.t.Context(), fn); err != nil {
		d.t.Fatal(err)
	}
}

// try is one try that is counted, judged and settled at once. A nil answer: judged.
func (d *door) try(s throttle.Subject, k throttle.Kind, o throttle.Origin, good bool) *throttle.Throttled {
	d.t.Helper()
	var refused *throttle.Throttled
	err := d.store.Update(d.t.Context(), func(tx store.Tx) error {
		refused = nil
		try, err := d.Count(tx, s, k, o)
		if errors.As(err, &refused) {
			return nil
		}
		if err != nil {
			return err
		}
		if good {
			return d.Good(tx, try)
		}
		return d.Wrong(tx, try)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return refused
}

func (d *door) wrong(n int, s throttle.Subject, k throttle.Kind, o throttle.Origin) {
	d.t.Helper()
	for i := range n {
		if r := d.try(s, k, o, false); r != nil {
			d.t.Fatalf("wrong try %d of %d: %v", i+1, n, r)
		}
	}
}

// wrongPatiently makes n wrong tries and honours every wait.
func (d *door) wrongPatiently(n int, s throttle.Subject, k throttle.Kind, o throttle.Origin) {
	d.t.Helper()
	for range n {
		if r := d.try(s, k, o, false); r != nil {
			d.clock.Advance(r.RetryAfter)
			d.wrong(1, s, k, o)
		}
	}
}

func (d *door) succeed(s throttle.Subject, o throttle.Origin) {
	d.t.Helper()
	d.update(func(tx store.Tx) error { return d.Succeeded(tx, s, o) })
}

func (d *door) wantWait(want time.Duration, s throttle.Subject, k throttle.Kind, o throttle.Origin) {
	d.t.Helper()
	r := d.try(s, k, o, true)
	if r == nil || r.RetryAfter != want {
		d.t.Fatalf("got %v, want a wait of %v", r, want)
	}
}

func (d *door) wantOpen(s throttle.Subject, k throttle.Kind, o throttle.Origin) {
	d.t.Helper()
	if r := d.try(s, k, o, true); r != nil {
		d.t.Fatalf("refused: %v", r)
	}
}

func alice() throttle.Subject { return throttle.Of(principal.NewID()) }

// Five are free; then 1 s, doubling, to 15 min; and who waits as told gets in.
func TestDelaysDoubleFromOneSecondToFifteenMinutes(t *testing.T) {
	for _, k := range []throttle.Kind{throttle.Password, throttle.Code} {
		d := newDoor(t, throttle.DefaultPolicy())
		d.succeed(throttle.Of(principal.ID{1}), home) // a known place: the network's counter is not in the way
		s := throttle.Of(principal.ID{1})
		d.wrong(5, s, k, home)
		for want := time.Second; want < 15*time.Minute; want *= 2 {
			d.wantWait(want, s, k, home)
			d.clock.Advance(want - time.Nanosecond)
			d.wantWait(time.Nanosecond, s, k, home)
			d.clock.Advance(time.Nanosecond)
			d.wrong(1, s, k, home)
		}
		if k == throttle.Code { // codes are not forgotten meanwhile
			d.wantWait(15*time.Minute, s, k, home)
			d.clock.Advance(15 * time.Minute)
			d.wrong(1, s, k, home)
			d.wantWait(15*time.Minute, s, k, home)
		}
	}
}

// A client that honours Retry-After gets in with right credentials, whatever
// happened before.
func TestRetryAfterIsHonest(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	for n := range 40 {
		if r := d.try(s, throttle.Password, attacker, false); r != nil {
			d.clock.Advance(r.RetryAfter)
			d.wantOpen(s, throttle.Password, attacker) // the owner, patiently
			d.wrong(1, s, throttle.Password, attacker) // and the attacker again
		}
		d.clock.Advance(time.Duration(n%7) * time.Second)
	}
}

// One wrong password is forgotten for each full 15 minutes; a right one forgets none.
func TestWrongPasswordsFallWithTime(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	d.succeed(s, home)
	d.wrong(5, s, throttle.Password, home)
	d.wantWait(time.Second, s, throttle.Password, home)
	d.clock.Advance(time.Second)
	d.wantOpen(s, throttle.Password, home)
	d.wrong(1, s, throttle.Password, home) // the 6th: the right one changed nothing
	d.wantWait(2*time.Second, s, throttle.Password, home)

	d.clock.Advance(15 * time.Minute) // one of six is forgotten
	d.wrong(1, s, throttle.Password, home)
	d.wantWait(2*time.Second, s, throttle.Password, home)
	d.clock.Advance(6 * 15 * time.Minute) // all are
	d.wrong(5, s, throttle.Password, home)
	d.wantWait(time.Second, s, throttle.Password, home)
}

// Attack (O4): 64 wrong passwords in parallel, all counted before the first is
// judged. Before, every one of them was evaluated.
func TestO4ParallelPasswordsDoNotOutrunTheCounter(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	var tries []throttle.Try
	for range 64 {
		d.update(func(tx store.Tx) error {
			try, err := d.Count(tx, s, throttle.Password, attacker)
			var refused *throttle.Throttled
			switch {
			case err == nil:
				tries = append(tries, try)
			case !errors.As(err, &refused):
				return err
			case refused.RetryAfter != time.Second || refused.Cause != throttle.CausePrincipal:
				t.Errorf("only unsettled tries fill the limit: %v", refused)
			}
			return nil
		})
	}
	if len(tries) != 5 {
		t.Fatalf("%d passwords are evaluated, want 5", len(tries))
	}
	// The fifth is the owner's, and it is good.
	d.update(func(tx store.Tx) error {
		for _, try := range tries[:4] {
			if err := d.Wrong(tx, try); err != nil {
				return err
			}
		}
		return d.Good(tx, tries[4])
	})
	d.wrong(1, s, throttle.Password, attacker)
	d.wantWait(time.Second, s, throttle.Password, attacker)
}

// Attack (O4): wrong codes in parallel, for real.
func TestO4ParallelCodes(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	var judged atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			err := d.store.Update(t.Context(), func(tx store.Tx) error {
				if _, err := d.Count(tx, s, throttle.Code, attacker); err != nil {
					return err
				}
				tx.After(func() { judged.Add(1) })
				return nil
			})
			if err != nil && !errors.As(err, new(*throttle.Throttled)) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if judged.Load() != 5 {
		t.Fatalf("%d wrong codes were judged, want 5", judged.Load())
	}
}

// A server that died while hashing leaves tries that nobody settles: they hold
// their place for 30 s and are wrong from then on, and a late answer still counts.
func TestUnsettledTriesBecomeWrong(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	var tries []throttle.Try
	d.update(func(tx store.Tx) error {
		for range 5 {
			try, err := d.Count(tx, s, throttle.Password, attacker)
			if err != nil {
				return err
			}
			tries = append(tries, try)
		}
		return nil
	})
	d.clock.Advance(29 * time.Second)
	d.wantWait(time.Second, s, throttle.Password, attacker)
	d.clock.Advance(time.Second)
	d.wrong(1, s, throttle.Password, attacker) // the 6th: five are wrong by now, and 1 s is over
	d.wantWait(2*time.Second, s, throttle.Password, attacker)
	d.update(func(tx store.Tx) error { return d.Good(tx, tries[0]) }) // a slow hash, good after all
	d.wantWait(time.Second, s, throttle.Password, attacker)
}

// Acceptance: 200 parallel posts of one good code: one is good, the others are
// replays, and the owner is not locked.
func TestO3ReplaysOfAGoodCodeDoNotLockTheOwner(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	burned := store.K(store.PrefixFactor, "step")
	var good, replayed, refused atomic.Int32
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			err := d.store.Update(t.Context(), func(tx store.Tx) error {
				try, err := d.Count(tx, s, throttle.Code, attacker)
				if errors.As(err, new(*throttle.Throttled)) {
					tx.After(func() { refused.Add(1) })
					return nil
				}
				if err != nil {
					return err
				}
				if _, err := tx.Get(burned); err == nil {
					tx.After(func() { replayed.Add(1) })
					return d.Uncount(tx, try)
				}
				tx.After(func() { good.Add(1) })
				if err := d.Good(tx, try); err != nil {
					return err
				}
				return tx.Put(burned, []byte("1"), time.Time{})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if good.Load() != 1 || replayed.Load() != 199 || refused.Load() != 0 {
		t.Fatalf("good %d, replayed %d, refused %d", good.Load(), replayed.Load(), refused.Load())
	}
	d.wrong(5, s, throttle.Code, attacker) // as many free tries as ever
}

// A replay does not push back what a wrong code made wait.
func TestReplayDoesNotProlongAWait(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	d.wrongPatiently(8, s, throttle.Code, attacker)
	d.clock.Advance(8 * time.Second)
	d.update(func(tx store.Tx) error {
		try, err := d.Count(tx, s, throttle.Code, attacker)
		if err != nil {
			return err
		}
		return d.Uncount(tx, try)
	})
	d.wantOpen(s, throttle.Code, attacker)
}

// Acceptance: 1,000 users log in in parallel from one address, each with the right
// password after a hash that takes its time, and honour Retry-After. Over a network
// that counts only 30 may be undecided at once, so the rest waits a second and
// comes again; from an untrusted proxy on loopback nobody waits.
func TestThousandUsersInParallel(t *testing.T) {
	for name, exempt := range map[string]bool{"loopback as an untrusted proxy": true, "one network": false} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, throttle.DefaultPolicy())
			origin := throttle.Origin{Client: netip.MustParseAddr("127.0.0.1"), Exempt: exempt}
			waiting := make([]throttle.Subject, 1000)
			for i := range waiting {
				waiting[i] = alice()
			}
			for round := 0; len(waiting) > 0; round++ {
				if round > 1000 {
					t.Fatalf("%d users never got in", len(waiting))
				}
				var hashing []throttle.Try
				var refused []throttle.Subject
				d.update(func(tx store.Tx) error {
					hashing, refused = nil, nil
					for _, s := range waiting {
						try, err := d.Count(tx, s, throttle.Password, origin)
						var wait *throttle.Throttled
						switch {
						case errors.As(err, &wait) && wait.RetryAfter == time.Second && !exempt:
							refused = append(refused, s)
						case err != nil:
							return fmt.Errorf("round %d: %w", round, err)
						default:
							hashing = append(hashing, try)
						}
					}
					return nil
				})
				d.update(func(tx store.Tx) error {
					for _, try := range hashing {
						if err := d.Good(tx, try); err != nil {
							return err
						}
					}
					return nil
				})
				waiting = refused
				d.clock.Advance(time.Second)
			}
		})
	}
}

// Attack (O5): the attacker fails until locked, then waits for the server to be
// restarted. Before, the lock was in memory, or in a transaction that was rolled back.
func TestO5CountersSurviveARestart(t *testing.T) {
	dir, keyring := t.TempDir(), storetest.NewKeyring(t)
	clock := storetest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	open := func() (*door, func()) {
		s := storetest.OpenDir(t, dir, keyring, clock.Now)
		return &door{throttle.New(throttle.DefaultPolicy(), key), t, s, clock}, func() {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := throttle.Of(principal.ID{7})
	d, closeStore := open()
	d.wrong(5, s, throttle.Password, attacker)
	d.wrong(5, s, throttle.Code, attacker)
	closeStore()
	d, closeStore = open()
	defer closeStore()
	d.wantWait(time.Second, s, throttle.Password, attacker)
	d.wantWait(time.Second, s, throttle.Code, attacker)
}

// Attack (O6): the attacker has the password and tries codes. Each time the counter
// fills, they log in with the password again, open a new session, change the
// network. Before, one of these set the counter back.
func TestO6NothingButAGoodCodeSetsTheCodesBack(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	for n := range 5 {
		o := throttle.Origin{Client: netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}), Browser: []byte{byte(n)}}
		d.wantOpen(s, throttle.Password, o)
		d.wrong(1, s, throttle.Code, o)
	}
	fresh := throttle.Origin{Client: netip.MustParseAddr("2001:db8::1"), Browser: []byte("another")}
	d.wantOpen(s, throttle.Password, fresh)
	d.wantWait(time.Second, s, throttle.Code, fresh)
	d.clock.Advance(365 * 24 * time.Hour)
	d.wrong(1, s, throttle.Code, fresh) // time has not set it back either:
	d.wantWait(2*time.Second, s, throttle.Code, fresh)
	d.clock.Advance(2 * time.Second)
	d.wantOpen(s, throttle.Code, fresh)
	d.wrong(5, s, throttle.Code, fresh)
}

// Fifty wrong codes close a place, also with patience; a recovery code still opens
// it, and Reset does.
func TestFiftyWrongCodesCloseAPlace(t *testing.T) {
	id := principal.NewID()
	s := throttle.Of(id)
	closed := func() *door {
		d := newDoor(t, throttle.DefaultPolicy())
		d.wrongPatiently(50, s, throttle.Code, attacker)
		d.clock.Advance(365 * 24 * time.Hour)
		if r := d.try(s, throttle.Code, attacker, true); r == nil || r.Cause != throttle.CauseClosed || r.RetryAfter != 0 {
			t.Fatalf("after 50 wrong codes: %v", r)
		}
		return d
	}
	d := closed()
	d.succeed(s, home) // elsewhere is closed, home is not
	d.wantOpen(s, throttle.Code, home)
	d.wrong(1, s, throttle.Recovery, attacker) // counts, and delays like the others
	d.wantWait(15*time.Minute, s, throttle.Recovery, attacker)
	d.clock.Advance(15 * time.Minute)
	d.wantOpen(s, throttle.Recovery, attacker)
	d.wantOpen(s, throttle.Code, attacker)

	d = closed()
	d.update(func(tx store.Tx) error { return d.Reset(tx, id) })
	d.wrong(5, s, throttle.Code, attacker)
}

// Attack (O11, lockout): strangers fail for the victim from a thousand addresses.
// The victim, at the known browser or in the known network, gets in.
func TestO11StrangersDoNotLockTheOwnerOut(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	d.succeed(s, home)
	for n := range 1000 {
		o := throttle.Origin{Client: netip.AddrFrom4([4]byte{203, 0, byte(n >> 8), byte(n)}), Browser: []byte("a browser of theirs")}
		d.try(s, throttle.Password, o, false)
		d.try(s, throttle.Code, o, false)
	}
	if r := d.try(s, throttle.Password, attacker, true); r == nil {
		t.Fatal("elsewhere is not throttled: the test attacks nothing")
	}
	onlyBrowser := throttle.Origin{Client: netip.MustParseAddr("192.0.2.1"), Browser: home.Browser}
	onlyNetwork := throttle.Origin{Client: home.Client}
	for _, o := range []throttle.Origin{home, onlyBrowser, onlyNetwork} {
		d.wantOpen(s, throttle.Password, o)
		d.wantOpen(s, throttle.Code, o)
	}
	if r := d.try(alice(), throttle.Password, onlyBrowser, true); r != nil {
		t.Fatalf("a browser is known for its principal alone, but others are free too: %v", r)
	}
}

// A place is known for 30 days after the last full login, to its principal alone.
func TestPlacesAreKnownForThirtyDays(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	known := func(s throttle.Subject, o throttle.Origin) (k bool) {
		d.update(func(tx store.Tx) (err error) { k, err = d.Known(tx, s, o); return err })
		return k
	}
	d.succeed(s, home)
	d.clock.Advance(30*24*time.Hour - time.Second)
	if !known(s, home) || known(alice(), home) || known(s, attacker) {
		t.Fatal("home is to be known, to its owner alone")
	}
	d.clock.Advance(time.Second)
	if known(s, home) {
		t.Fatal("still known after 30 days")
	}
	six := func(addr string) throttle.Origin { return throttle.Origin{Client: netip.MustParseAddr(addr)} }
	d.succeed(s, six("2001:db8:1:2::a"))
	d.succeed(s, six("192.0.2.1"))
	for addr, want := range map[string]bool{
		"2001:db8:1:2:ffff::b": true, "2001:db8:1:3::a": false,
		"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.2.2": false,
	} {
		if known(s, six(addr)) != want {
			t.Errorf("%s known: want %v", addr, want)
		}
	}
	// Behind an untrusted proxy on loopback all have its address: remembering it
	// would make every attacker known.
	exempt := throttle.Origin{Client: netip.MustParseAddr("127.0.0.1"), Exempt: true}
	d.succeed(s, exempt)
	if known(s, exempt) {
		t.Error("the address of an untrusted proxy is a known place")
	}
	bucket := d.Unknown("users", "nobody")
	d.succeed(bucket, home)
	if known(bucket, home) {
		t.Error("a name that nobody has is known somewhere")
	}
}

// Thirty wrong tries of a network in any 15 minutes, over all principals: an exact
// sliding window. Known places do not count and do not wait.
func TestThirtyWrongTriesPerNetwork(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	for n := range 30 {
		k := []throttle.Kind{throttle.Password, throttle.Code, throttle.Recovery}[n%3]
		d.wrong(1, alice(), k, attacker)
		d.clock.Advance(time.Second)
	}
	r := d.try(alice(), throttle.Password, attacker, true)
	if r == nil || r.Cause != throttle.CauseNetwork || r.RetryAfter != 15*time.Minute-30*time.Second {
		t.Fatalf("after 30 wrong tries in 30 s: %v", r)
	}
	owner := alice()
	d.succeed(owner, attacker) // a colleague in the same network
	d.wrong(1, owner, throttle.Password, attacker)
	d.wantOpen(owner, throttle.Password, attacker)

	d.clock.Advance(r.RetryAfter)
	d.wantOpen(alice(), throttle.Password, attacker)
	d.wrong(1, alice(), throttle.Password, attacker) // one fell out, one came in
	d.wantWait(time.Second, alice(), throttle.Password, attacker)
	d.clock.Advance(15 * time.Minute)
	for range 30 {
		d.wrong(1, alice(), throttle.Password, attacker)
	}
	d.wantWait(15*time.Minute, alice(), throttle.Password, attacker)
	other := throttle.Origin{Client: netip.MustParseAddr("203.0.113.67")}
	d.wantOpen(alice(), throttle.Password, other)
	exempt := throttle.Origin{Client: attacker.Client, Exempt: true}
	d.wrong(40, throttle.Of(principal.ID{1}), throttle.Token, exempt)
}

// Right credentials leave no trace in the network's window.
func TestGoodTriesDoNotFillTheNetwork(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	for range 100 {
		d.wantOpen(alice(), throttle.Password, attacker)
		d.wantOpen(alice(), throttle.Code, attacker)
		d.wantOpen(alice(), throttle.Token, attacker)
	}
}

// A service has 100 wrong tokens a day from elsewhere, without delays; where it is
// known, it counts like a password.
func TestTokensOfServices(t *testing.T) {
	p := throttle.DefaultPolicy()
	p.Network = 0
	d := newDoor(t, p)
	s := alice()
	for range 100 {
		d.wrong(1, s, throttle.Token, attacker)
		d.clock.Advance(time.Minute)
	}
	d.wantWait(24*time.Hour-100*time.Minute, s, throttle.Token, attacker)
	d.succeed(s, home)
	d.wrong(5, s, throttle.Token, home)
	d.wantWait(time.Second, s, throttle.Token, home)
	d.clock.Advance(24*time.Hour - 100*time.Minute)
	d.wrong(100, s, throttle.Token, attacker)
}

// Attack (O11, memory): a million random names from a million networks. Before,
// each left a record. Here names share 65,536 buckets and networks 1,048,576.
func TestO11RandomNamesShareBuckets(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	buckets := map[throttle.Subject]struct{}{}
	for n := range 1_000_000 {
		buckets[d.Unknown("users", fmt.Sprintf("name-%d", n))] = struct{}{}
	}
	if len(buckets) > 1<<16 || len(buckets) < 60_000 {
		t.Fatalf("%d buckets", len(buckets))
	}
	other := throttle.New(throttle.DefaultPolicy(), []byte("another key of thirty-two bytes!"))
	same := 0
	for n := range 1000 {
		name := fmt.Sprintf("name-%d", n)
		if d.Unknown("users", name) == other.Unknown("users", name) {
			same++
		}
	}
	if same > 10 {
		t.Fatalf("buckets do not depend on the key: %d of 1000 are the same", same)
	}
	if d.Unknown("a", "bc") == d.Unknown("ab", "c") {
		t.Error("the border between realm and name moves")
	}
}

// Unknown names obey the same rules, so that answers do not differ (E2), and what
// strangers typed or where they came from does not reach the store.
func TestUnknownNamesObeyTheSameRules(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := d.Unknown("users", "mallory")
	d.wrong(5, s, throttle.Password, attacker)
	d.wantWait(time.Second, s, throttle.Password, throttle.Origin{Client: netip.MustParseAddr("192.0.2.9")})
	records := 0
	d.update(func(tx store.Tx) error {
		records = 0
		for item, err := range tx.Scan(store.KPrefix(store.PrefixThrottle), nil) {
			if err != nil {
				return err
			}
			records++
			for _, secret := range []string{"mallory", "203.0.113", string(attacker.Client.AsSlice())} {
				if contains(item.Key, secret) || contains(item.Value, secret) {
					t.Errorf("%q stands in the store", secret)
				}
			}
		}
		return nil
	})
	if records != 2 { // one counter, one network
		t.Errorf("%d records", records)
	}
	d.clock.Advance(24 * time.Hour)
	d.update(func(tx store.Tx) error {
		for _, err := range tx.Scan(store.KPrefix(store.PrefixThrottle), nil) {
			if err != nil {
				return err
			}
			t.Error("a record of strangers outlives what it is good for")
		}
		return nil
	})
}

func contains(b []byte, s string) bool {
	for i := range len(b) - len(s) + 1 {
		if string(b[i:i+len(s)]) == s {
			return true
		}
	}
	return false
}

// Deletion leaves nothing of a principal.
func TestForgetLeavesNothing(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	id := principal.NewID()
	d.succeed(throttle.Of(id), home)
	d.wrong(3, throttle.Of(id), throttle.Code, home)
	d.wrong(3, throttle.Of(id), throttle.Password, home)
	d.update(func(tx store.Tx) error { return d.Forget(tx, id) })
	d.update(func(tx store.Tx) error {
		for _, err := range tx.Scan(store.KPrefix(store.PrefixThrottle), nil) {
			if err != nil {
				return err
			}
			t.Error("a record is left")
		}
		return nil
	})
}

// Zero switches each limit off, and only it.
func TestZeroSwitchesALimitOff(t *testing.T) {
	only := func(change func(*throttle.Policy)) *door {
		p := throttle.DefaultPolicy()
		change(&p)
		return newDoor(t, p)
	}
	many := func(d *door) throttle.Origin { return throttle.Origin{Client: attacker.Client} }

	d := only(func(p *throttle.Policy) { p.Network = 0 })
	for range 100 {
		d.wrong(1, alice(), throttle.Password, many(d))
	}
	for _, off := range []func(*throttle.Policy){
		func(p *throttle.Policy) { p.Principal = 0; p.Network = 0 },
		func(p *throttle.Policy) { p.Delay = 0; p.Network = 0 },
	} {
		d = only(off)
		s := alice()
		d.wrong(50, s, throttle.Password, attacker)
		d.wrong(50, s, throttle.Code, attacker)
		if r := d.try(s, throttle.Code, attacker, true); r == nil || r.Cause != throttle.CauseClosed {
			t.Errorf("closing is another limit: %v", r)
		}
	}
	d = only(func(p *throttle.Policy) { p.Closed = 0 })
	s := alice()
	d.wrongPatiently(60, s, throttle.Code, attacker)
	d.wantWait(15*time.Minute, s, throttle.Code, attacker)

	d = only(func(p *throttle.Policy) { p.Tokens = 0; p.Network = 0 })
	d.wrong(200, s, throttle.Token, attacker)

	d = only(func(p *throttle.Policy) { p.Window = 0 })
	d.wrongPatiently(35, s, throttle.Password, attacker) // no network, nothing forgotten
	d.clock.Advance(1000 * time.Hour)
	d.wrong(1, s, throttle.Password, attacker)
	d.wantWait(15*time.Minute, s, throttle.Password, attacker)

	d = only(func(p *throttle.Policy) { p.DelayMax = 0; p.Closed = 0 })
	d.wrongPatiently(40, s, throttle.Code, attacker)
	d.wantWait(24*time.Hour, s, throttle.Code, attacker)
}

// O12: a clock that is set back makes nobody wait longer than the delay itself.
func TestO12ClockSetBack(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	d.wrong(5, s, throttle.Password, attacker)
	d.clock.Advance(-10 * time.Minute)
	d.wantWait(time.Second, s, throttle.Password, attacker)
	for range 25 {
		d.wrong(1, alice(), throttle.Password, attacker)
	}
	r := d.try(alice(), throttle.Password, attacker, true)
	if r == nil || r.RetryAfter > 15*time.Minute {
		t.Fatalf("%v", r)
	}
}

// A transaction that is rolled back has counted nothing: Count is only a promise
// of the commit.
func TestCountBelongsToItsTransaction(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	rollback := errors.New("roll back")
	for range 20 {
		err := d.store.Update(context.WithoutCancel(t.Context()), func(tx store.Tx) error {
			if _, err := d.Count(tx, s, throttle.Code, attacker); err != nil {
				return err
			}
			return rollback
		})
		if !errors.Is(err, rollback) {
			t.Fatal(err)
		}
	}
	d.wrong(5, s, throttle.Code, attacker)
}
