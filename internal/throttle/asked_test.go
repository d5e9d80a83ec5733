package throttle_test

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Attack: a customer of a service types wrong codes for the victim, fifty in
// all. Before, what this service asked about the victim was closed for ever, and
// neither a recovery code nor an administrator opened it.
func TestWhatACallerAskedIsForgottenAfterADay(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	id := principal.NewID()
	s := d.Between("vpn@robots", id)
	d.wrong(5, s, throttle.Code, attacker)
	d.wantWait(time.Second, s, throttle.Code, attacker)
	d.wrongPatiently(45, s, throttle.Code, attacker)
	if r := d.try(s, throttle.Code, attacker, true); r == nil || r.Cause != throttle.CauseClosed || r.RetryAfter != 24*time.Hour {
		t.Fatalf("after 50 wrong codes: %v", r)
	}
	// A recovery code is beyond guessing, so it is still taken, and opens.
	d.wantWait(15*time.Minute, s, throttle.Recovery, attacker)
	d.clock.Advance(24*time.Hour - time.Second)
	if r := d.try(s, throttle.Code, attacker, true); r == nil || r.RetryAfter != time.Second {
		t.Fatalf("a second before the day is over: %v", r)
	}
	d.wantOpen(s, throttle.Recovery, attacker)
	d.wantOpen(s, throttle.Code, attacker)

	d.wrongPatiently(50, s, throttle.Code, attacker)
	d.clock.Advance(24 * time.Hour)
	d.wantOpen(s, throttle.Code, attacker)
	d.wrong(5, s, throttle.Code, attacker)
}

// What one caller asks about a person counts for nobody else: not at the
// person's own doors, not for other callers, not at their network.
func TestWhatACallerAskedCountsForNobodyElse(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	id := principal.NewID()
	s := d.Between("vpn@robots", id)
	d.wrongPatiently(50, s, throttle.Code, attacker)
	d.wrong(5, throttle.Of(id), throttle.Code, attacker)
	d.wrong(5, d.Between("mail@robots", id), throttle.Code, attacker)
	d.wrong(5, d.Between("vpn@robots", principal.NewID()), throttle.Code, attacker)
	d.update(func(tx store.Tx) error {
		if err := d.Succeeded(tx, s, home); err != nil {
			return err
		}
		known, err := d.Known(tx, s, home)
		if known {
			t.Error("a caller has places")
		}
		return err
	})
}

// Recovery and an administrator open what callers closed, and a deletion leaves
// none of it.
func TestResetReachesWhatCallersAsked(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	id, other := principal.NewID(), principal.NewID()
	s := d.Between("vpn@robots", id)
	d.wrongPatiently(50, s, throttle.Code, attacker)
	d.wrongPatiently(50, d.Between("vpn@robots", other), throttle.Code, attacker)
	d.update(func(tx store.Tx) error { return d.Reset(tx, id) })
	d.wrong(5, s, throttle.Code, attacker)
	if r := d.try(d.Between("vpn@robots", other), throttle.Code, attacker, true); r == nil {
		t.Error("another person's was opened too")
	}
	d.update(func(tx store.Tx) error { return d.Forget(tx, id) })
	d.update(func(tx store.Tx) error { return d.Forget(tx, other) })
	d.wantRecords(0)
}

func (d *door) wantRecords(want int) {
	d.t.Helper()
	d.update(func(tx store.Tx) error {
		n := 0
		for _, err := range tx.Scan(store.KPrefix(store.PrefixThrottle), nil) {
			if err != nil {
				return err
			}
			n++
		}
		if n != want {
			d.t.Errorf("%d records, want %d", n, want)
		}
		return nil
	})
}

// Attack: somebody in the victim's own network closes it by fifty wrong codes,
// and waits until the counter is forgotten to guess again, while the victim's
// logins keep the network known. A closed place stays closed as long as it is
// known.
func TestAClosedPlaceStaysClosedWhileItIsKnown(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	neighbour := throttle.Origin{Client: home.Client}
	d.succeed(s, home)
	d.wrongPatiently(50, s, throttle.Code, neighbour)
	d.succeed(s, home)
	for range 4 {
		d.clock.Advance(throttle.KnownFor - time.Second)
		if r := d.try(s, throttle.Code, neighbour, true); r == nil || r.Cause != throttle.CauseClosed {
			t.Fatalf("a closed network that is still known: %v", r)
		}
		d.wantOpen(s, throttle.Code, home) // the browser is a place of its own
		d.succeed(s, home)
	}
}

// The counter of a place goes with the place: nothing is left to be kept for
// ever. Elsewhere has no end, and forgets nothing.
func TestTheCodesOfForgottenPlacesGo(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	s := alice()
	d.succeed(s, home)
	d.wrongPatiently(50, s, throttle.Code, home)
	d.wrong(3, s, throttle.Code, attacker)
	d.clock.Advance(throttle.KnownFor)
	d.wantRecords(1)
	d.wrong(2, s, throttle.Code, home) // elsewhere now: two more are free
	d.wantWait(time.Second, s, throttle.Code, home)
}
