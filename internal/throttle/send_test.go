package throttle_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// send is one message; a nil answer: it may go.
func (d *door) send(s throttle.Subject, o throttle.Origin) *throttle.Throttled {
	d.t.Helper()
	var refused *throttle.Throttled
	d.update(func(tx store.Tx) error {
		refused = nil
		err := d.Send(tx, s, o)
		if errors.As(err, &refused) {
			return nil
		}
		return err
	})
	return refused
}

func from(n int) throttle.Origin {
	return throttle.Origin{Client: netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})}
}

// Attack: somebody has codes sent to a person all night, from ever new networks, or
// after having been the person at this browser once.
func TestFiveMessagesPerPerson(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	who := alice()
	d.succeed(who, home)
	for n := range 5 {
		if r := d.send(who, from(n)); r != nil {
			t.Fatalf("message %d: %v", n+1, r)
		}
		d.clock.Advance(time.Minute)
	}
	for _, o := range []throttle.Origin{from(9), home, {}} {
		if r := d.send(who, o); r == nil || r.Cause != throttle.CausePrincipal || r.RetryAfter != 10*time.Minute {
			t.Fatalf("the sixth message: %+v", r)
		}
	}
	if r := d.send(alice(), from(9)); r != nil {
		t.Fatalf("another person waits: %v", r)
	}
	d.clock.Advance(10 * time.Minute)
	if r := d.send(who, from(9)); r != nil {
		t.Fatalf("after the window of the first: %v", r)
	}
	if r := d.send(who, from(9)); r == nil || r.RetryAfter != time.Minute {
		t.Fatalf("one message left the window, two were sent: %+v", r)
	}
}

// Attack (O11): a stranger asks for a new password in somebody's name, again and
// again, so that they get no codes to log in with.
func TestMessagesOfStrangersDoNotUseUpThoseOfThePerson(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	who := alice()
	for n := range 6 {
		if r := d.send(who.NamedByStranger(), from(n)); (r != nil) != (n == 5) {
			t.Fatalf("link %d: %+v", n+1, r)
		}
	}
	if r := d.send(who, home); r != nil {
		t.Fatalf("the person's own code: %v", r)
	}
}

// Attack: somebody has one message sent to each of many people. Twenty go.
func TestTwentyMessagesPerNetwork(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	for n := range 20 {
		if r := d.send(alice(), attacker); r != nil {
			t.Fatalf("message %d: %v", n+1, r)
		}
	}
	if r := d.send(alice(), attacker); r == nil || r.Cause != throttle.CauseNetwork || r.RetryAfter != 15*time.Minute {
		t.Fatalf("the twenty-first message: %+v", r)
	}
	if r := d.send(alice(), from(1)); r != nil {
		t.Fatalf("another network waits: %v", r)
	}
	proxy := throttle.Origin{Client: netip.MustParseAddr("127.0.0.1"), Exempt: true}
	for range 30 {
		if r := d.send(alice(), proxy); r != nil {
			t.Fatalf("an exempt origin waits: %v", r)
		}
	}
	d.clock.Advance(15 * time.Minute)
	if r := d.send(alice(), attacker); r != nil {
		t.Fatalf("after the window: %v", r)
	}
}

// Attack: a stranger asks for links to a name and to an address until the network is
// full, and counts: if what a person no longer gets did not count, two names of one
// person would last longer than two of two.
func TestRefusedMessagesCountAtTheNetwork(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	who := alice()
	for n := range 20 {
		if r := d.send(who, attacker); (r != nil) != (n >= 5) || r != nil && r.Cause != throttle.CausePrincipal {
			t.Fatalf("message %d: %+v", n+1, r)
		}
	}
	if r := d.send(who, attacker); r == nil || r.Cause != throttle.CauseNetwork {
		t.Fatalf("the twenty-first message: %+v", r)
	}
}

// Attack: a stranger names a million people who do not exist. They share buckets,
// under the rules that people have.
func TestMessagesToNobody(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	for n := range 6 {
		if r := d.send(d.Unknown("users", "nobody"), from(n)); (r != nil) != (n == 5) {
			t.Fatalf("message %d: %+v", n+1, r)
		}
	}
	for n := range 2000 {
		d.send(d.Unknown("users", fmt.Sprint("n", n)), throttle.Origin{Exempt: true})
	}
	d.update(func(tx store.Tx) error {
		for item, err := range tx.Scan(store.KPrefix(store.PrefixThrottle), nil) {
			if err != nil {
				return err
			}
			if len(item.Key) > 24 {
				t.Errorf("a key of %d bytes: %q", len(item.Key), item.Key)
			}
		}
		return nil
	})
}

// A limit of 0 is none, and a clock that was set back opens nothing and closes no
// longer than the window.
func TestMessagesWithoutLimitsAndWithOddClocks(t *testing.T) {
	p := throttle.DefaultPolicy()
	p.Sends = 0
	d := newDoor(t, p)
	who := alice()
	for n := range 21 {
		if r := d.send(who, attacker); (r != nil) != (n == 20) {
			t.Fatalf("message %d: %+v", n+1, r)
		}
	}
	d.clock.Advance(-time.Hour)
	if r := d.send(who, attacker); r == nil || r.RetryAfter > 15*time.Minute {
		t.Fatalf("an hour back: %+v", r)
	}
	p.SendWindow = 0
	d = newDoor(t, p)
	for range 40 {
		if r := d.send(who, attacker); r != nil {
			t.Fatal(r)
		}
	}
}

// Whoever is deleted leaves no count behind.
func TestForgetForgetsMessages(t *testing.T) {
	d := newDoor(t, throttle.DefaultPolicy())
	id := principal.NewID()
	for n := range 5 {
		d.send(throttle.Of(id), from(n))
		d.send(throttle.Of(id).NamedByStranger(), from(n))
	}
	d.update(func(tx store.Tx) error { return d.Forget(tx, id) })
	for _, s := range []throttle.Subject{throttle.Of(id), throttle.Of(id).NamedByStranger()} {
		if r := d.send(s, from(9)); r != nil {
			t.Fatalf("after Forget: %v", r)
		}
	}
}
