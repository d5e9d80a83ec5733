package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// A change that was rolled back must not be spoken of, and what was committed must
// not be forgotten.
func TestMessageExistsExactlyIfItsCauseWasCommitted(t *testing.T) {
	w, c := newWorld(t), &carrier{}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	rolled := errors.New("rolled back")
	err := w.store.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(w.out.Queue(tx, w.code("a@example.com", "111111")), rolled)
	})
	if !errors.Is(err, rolled) {
		t.Fatal(err)
	}
	w.queue(w.code("b@example.com", "222222"))
	w.await("the second message", func() bool { return len(c.letters()) == 1 })
	if l := c.letters()[0]; l.To != "b@example.com" || !strings.Contains(l.Text, "222222") || !strings.Contains(l.HTML, "222222") {
		t.Errorf("sent %+v", l)
	}
	if list := w.list(notify.Filter{}); len(list) != 1 {
		t.Errorf("the outbox holds %d messages, expected 1", len(list))
	}
}

// Somebody reads the store, or an answer of the administration, after a code was
// sent. Gained before: a code that may still work, or a link.
func TestFieldsAreWipedOnceTheyAreOfNoUse(t *testing.T) {
	w, c := newWorld(t), &carrier{}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	w.queue(w.code("a@example.com", "836492"))
	w.await("sent", func() bool { return len(w.list(notify.Filter{State: notify.Sent})) == 1 })
	w.out.Stop()
	found := 0
	w.view(func(tx store.Tx) error {
		for item, err := range tx.Scan(store.KPrefix(store.PrefixNotify), nil) {
			if err != nil {
				return err
			}
			found++
			if strings.Contains(string(item.Value), "836492") || strings.Contains(string(item.Key), "a@example.com") {
				t.Errorf("%q holds the code, or the address stands in its key", item.Key)
			}
		}
		return nil
	})
	if found == 0 {
		t.Error("nothing is left of the message")
	}
}

func TestNewCodeSupersedesTheOlderUnsentOne(t *testing.T) {
	w, c := newWorld(t), &carrier{fail: down}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	for i := range 3 {
		m := w.code("a@example.com", fmt.Sprintf("00000%d", i))
		m.Replaces = "alice login_code email"
		w.queue(m)
	}
	w.await("a try", func() bool { return w.count(notify.OutcomeFailed) > 0 })
	c.set(nil)
	w.clock.Advance(time.Minute)
	w.await("the newest code", func() bool { return len(c.letters()) == 1 })
	if l := c.letters()[0]; !strings.Contains(l.Text, "000002") {
		t.Errorf("an older code was sent: %s", l.Text)
	}
	w.await("nothing waits", func() bool { return len(w.list(notify.Filter{State: notify.Waiting})) == 0 })
	if n := len(w.list(notify.Filter{State: notify.Superseded})); n != 2 {
		t.Errorf("%d superseded, expected 2", n)
	}
}

func TestExpiredCodesAreNeverSent(t *testing.T) {
	w, c := newWorld(t), &carrier{fail: down}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	w.queue(w.code("a@example.com", "111111"))
	w.await("a try", func() bool { return w.count(notify.OutcomeFailed) > 0 })
	w.clock.Advance(10 * time.Minute)
	c.set(nil)
	w.await("expiry", func() bool { return w.count(notify.OutcomeExpired) == 1 })
	if got := c.letters(); len(got) != 0 {
		t.Errorf("sent %d letters that nobody can use", len(got))
	}
	if list := w.list(notify.Filter{State: notify.Expired}); len(list) != 1 || list[0].Error != "connection refused" {
		t.Errorf("the outbox holds %+v", list)
	}
}

// A server that is away for most of a code's life must not cost the code: the tries
// come closer towards its end.
func TestLastTriesComeBeforeACodeExpires(t *testing.T) {
	w, c := newWorld(t), &carrier{fail: down}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	start := w.clock.Now()
	w.queue(w.code("a@example.com", "111111"))
	w.await("a try", func() bool { return w.count(notify.OutcomeFailed) > 0 })
	for w.clock.Now().Sub(start) < 9*time.Minute+30*time.Second {
		w.clock.Advance(10 * time.Second)
		w.await("no try is due", func() bool {
			list := w.list(notify.Filter{State: notify.Waiting})
			return len(list) == 1 && list[0].Next.After(w.clock.Now())
		})
	}
	c.set(nil)
	w.clock.Advance(20 * time.Second)
	w.await("the code", func() bool { return len(c.letters()) == 1 })
	if tries := c.tried(); tries < 6 || tries > 20 {
		t.Errorf("%d tries in ten minutes", tries)
	}
}

func TestOrderOfOneRecipientIsKept(t *testing.T) {
	w, c := newWorld(t), &carrier{}
	var failures int
	c.set(func(notify.Letter) error { // every other try fails
		if failures++; failures%2 == 1 {
			return errDown
		}
		return nil
	})
	use(w.out, map[string]notify.Sender{notify.Email: c})
	const n = 8
	for i := range n {
		w.queue(w.code("a@example.com", fmt.Sprintf("10000%d", i)))
		w.clock.Advance(time.Millisecond)
	}
	w.await("all of them", func() bool {
		w.clock.Advance(20 * time.Second)
		return len(c.letters()) == n || len(w.list(notify.Filter{State: notify.Waiting})) == 0
	})
	var last time.Time
	for _, l := range c.letters() {
		if l.Queued.Before(last) {
			t.Errorf("%s was sent behind a younger one", l.Text)
		}
		last = l.Queued
	}
}

// One recipient whose server refuses must not hold up all others.
func TestOneBadRecipientHoldsUpNobodyElse(t *testing.T) {
	w, c := newWorld(t), &carrier{}
	c.set(func(l notify.Letter) error {
		if l.To == "bad@example.com" {
			return errDown
		}
		return nil
	})
	use(w.out, map[string]notify.Sender{notify.Email: c})
	for range 5 {
		w.queue(w.code("bad@example.com", "111111"))
	}
	for i := range 20 {
		w.queue(w.code(fmt.Sprintf("good%d@example.com", i), "222222"))
	}
	w.await("the others' messages", func() bool { return len(c.letters()) == 20 })
}

func TestRefusedForGoodIsDeadAtOnceAndCanBeRetried(t *testing.T) {
	w, c := newWorld(t), &carrier{fail: func(l notify.Letter) error {
		return &notify.Refusal{Text: "550 no such user, you wrote: " + l.Data[notify.FieldLink], Final: true}
	}}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	w.queue(notify.Message{Kind: notify.Invitation, Method: notify.Email, To: "a@example.com", Realm: "users", Expires: w.clock.Now().Add(72 * time.Hour),
		Data: map[string]string{notify.FieldLink: "https://auth.example.com/invite?token=spi_secret"}})
	w.await("dead", func() bool { return len(w.list(notify.Filter{State: notify.Dead})) == 1 })
	dead := w.list(notify.Filter{State: notify.Dead, Realm: "users"})[0]
	if strings.Contains(dead.Error, "spi_secret") || !strings.Contains(dead.Error, "550 no such user") {
		t.Errorf("the last error is %q", dead.Error)
	}
	if c.tried() != 1 {
		t.Errorf("%d tries of what was refused for good", c.tried())
	}
	c.set(nil)
	w.update(func(tx store.Tx) error { return w.out.Retry(tx, dead.ID) })
	w.await("sent", func() bool { return len(w.list(notify.Filter{State: notify.Sent})) == 1 })
	if l := c.letters()[0]; !strings.Contains(l.Text, "spi_secret") {
		t.Error("the link was lost on the way")
	}
	err := w.store.Update(t.Context(), func(tx store.Tx) error { return w.out.Retry(tx, dead.ID) })
	if !errors.Is(err, notify.ErrDone) {
		t.Errorf("a second retry: %v", err)
	}
}

func TestGivenUpAfterManyTries(t *testing.T) {
	w, c := newWorld(t), &carrier{fail: down}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	w.queue(notify.Message{Kind: notify.PasswordChanged, Method: notify.Email, To: "a@example.com"})
	w.await("dead", func() bool {
		w.clock.Advance(5 * time.Minute)
		return len(w.list(notify.Filter{State: notify.Dead})) == 1
	})
	if n := w.list(notify.Filter{State: notify.Dead})[0].Tries; n < 100 || n > 110 { // a clock that jumps ends leases too
		t.Errorf("given up after %d tries", n)
	}
	w.clock.Advance(31 * 24 * time.Hour)
	if n := len(w.list(notify.Filter{})); n != 0 {
		t.Errorf("%d messages are kept for ever", n)
	}
}

func TestWithoutConfigurationNoticesAreDroppedAndCodesRefused(t *testing.T) {
	w := newWorld(t)
	w.queue(notify.Message{Kind: notify.SignedIn, Method: notify.Email, To: "a@example.com"})
	if n := len(w.list(notify.Filter{})); n != 0 {
		t.Errorf("%d messages wait for nobody", n)
	}
	err := w.store.Update(t.Context(), func(tx store.Tx) error { return w.out.Queue(tx, w.code("a@example.com", "1")) })
	if !errors.Is(err, notify.ErrNotConfigured) {
		t.Errorf("a code: %v", err)
	}
}

func TestQueueRefusesWhatIsNoMessage(t *testing.T) {
	w := newWorld(t)
	use(w.out, map[string]notify.Sender{notify.Email: &carrier{}})
	for name, change := range map[string]func(*notify.Message){
		"unknown kind":           func(m *notify.Message) { m.Kind = "hello" },
		"no recipient":           func(m *notify.Message) { m.To = "" },
		"a line break":           func(m *notify.Message) { m.To = "a@example.com\r\nBcc: b@example.com" },
		"no end":                 func(m *notify.Message) { m.Expires = time.Time{} },
		"no end in sight":        func(m *notify.Message) { m.Expires = w.clock.Now().Add(365 * 24 * time.Hour) },
		"a field of nobody":      func(m *notify.Message) { m.Data["colour"] = "red" },
		"a field that is ours":   func(m *notify.Message) { m.Data[notify.FieldSite] = "Elsewhere" },
		"a long recipient":       func(m *notify.Message) { m.To = strings.Repeat("a", 400) },
		"a method of nobody":     func(m *notify.Message) { m.Method = "pigeon" },
		"no method":              func(m *notify.Message) { m.Method = "" },
		"what it replaces, long": func(m *notify.Message) { m.Replaces = strings.Repeat("a", 600) },
	} {
		m := w.code("a@example.com", "1")
		change(&m)
		if err := w.store.Update(t.Context(), func(tx store.Tx) error { return w.out.Queue(tx, m) }); err == nil {
			t.Errorf("%s: queued", name)
		}
	}
}

// Two processes serve one store. Gained before: every message twice.
func TestTwoWorkersSendEachMessageOnce(t *testing.T) {
	w, c := newWorld(t), &carrier{}
	other := w.outbox(w.store)
	use(w.out, map[string]notify.Sender{notify.Email: c})
	use(other, map[string]notify.Sender{notify.Email: c})
	const n = 100
	for i := range n {
		w.queue(w.code(fmt.Sprintf("p%d@example.com", i%10), fmt.Sprint(100000+i)))
	}
	w.await("all sent", func() bool { return len(w.list(notify.Filter{State: notify.Sent})) == n })
	seen := map[string]int{}
	for _, l := range c.letters() {
		seen[l.ID]++
	}
	if len(seen) != n || c.tried() != n {
		t.Errorf("%d messages, %d tries, expected %d", len(seen), c.tried(), n)
	}
}

// A worker that is killed after it claimed leaves its lease behind: another one
// goes on when that ends, and not before.
func TestLeaseOfAKilledWorkerEnds(t *testing.T) {
	w := newWorld(t)
	stuck := &blocked{begun: make(chan string, 10), free: make(chan struct{})}
	defer close(stuck.free)
	use(w.out, map[string]notify.Sender{notify.Email: stuck})
	w.queue(w.code("a@example.com", "111111"))
	w.queue(w.code("b@example.com", "222222"))
	if first, second := <-stuck.begun, <-stuck.begun; first == second {
		t.Fatalf("two letters to %s at once", first)
	}
	c := &carrier{}
	other := w.outbox(w.store)
	use(other, map[string]notify.Sender{notify.Email: c})
	w.queue(w.code("c@example.com", "333333"))
	w.await("the free message", func() bool { return len(c.letters()) == 1 })
	if l := c.letters()[0]; l.To != "c@example.com" {
		t.Errorf("a message that another worker holds was sent to %s", l.To)
	}
	w.clock.Advance(4 * time.Minute)
	w.await("the messages that were held", func() bool { return len(c.letters()) == 3 })
}

// blocked sends nothing until it is told to.
type blocked struct {
	begun chan string
	free  chan struct{}
}

func (b *blocked) Send(ctx context.Context, l notify.Letter) error {
	b.begun <- l.To
	select {
	case <-b.free:
	case <-ctx.Done():
	}
	return errDown
}

func TestListPagesFiltersAndDeletes(t *testing.T) {
	w, c := newWorld(t), &carrier{fail: down}
	use(w.out, map[string]notify.Sender{notify.Email: c, notify.SMS: &carrier{}})
	who := principal.NewID()
	for i := range 25 {
		m := w.code(fmt.Sprintf("p%d@example.com", i), "111111")
		m.Realm = []string{"users", "staff"}[i%2]
		if i == 7 {
			m.Person = who
		}
		w.queue(m)
		w.clock.Advance(time.Millisecond)
	}
	var all []notify.Entry
	cursor := ""
	for {
		var page []notify.Entry
		w.view(func(tx store.Tx) (err error) {
			page, cursor, err = w.out.List(tx, notify.Filter{}, cursor, 10)
			return err
		})
		if all = append(all, page...); cursor == "" {
			break
		}
	}
	if len(all) != 25 || all[0].To != "p24@example.com" || all[24].To != "p0@example.com" {
		t.Fatalf("%d messages, from %s to %s", len(all), all[0].To, all[len(all)-1].To)
	}
	if n := len(w.list(notify.Filter{Realm: "staff"})); n != 12 {
		t.Errorf("%d messages of staff", n)
	}
	if list := w.list(notify.Filter{Person: who}); len(list) != 1 || list[0].To != "p7@example.com" {
		t.Errorf("of one person: %+v", list)
	}
	w.update(func(tx store.Tx) error { return w.out.Delete(tx, all[3].ID) })
	err := w.store.Update(t.Context(), func(tx store.Tx) error { return w.out.Delete(tx, all[3].ID) })
	if !errors.Is(err, notify.ErrUnknown) {
		t.Errorf("deleted twice: %v", err)
	}
	for _, bad := range []string{"x", strings.ToUpper(all[0].ID), all[0].ID + "00"} {
		w.view(func(tx store.Tx) error {
			if _, _, err := w.out.List(tx, notify.Filter{}, bad, 10); !errors.Is(err, notify.ErrCursor) {
				t.Errorf("cursor %q: %v", bad, err)
			}
			if _, err := w.out.Get(tx, bad); !errors.Is(err, notify.ErrUnknown) {
				t.Errorf("id %q: %v", bad, err)
			}
			return nil
		})
	}
}

func (w *world) view(fn func(tx store.Tx) error) {
	w.t.Helper()
	if err := w.store.View(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// A method that no configuration names any more leaves its messages waiting, and
// sends them when it is back; who looks sees what has expired.
func TestReloadTakesMethodsAwayAndBringsThemBack(t *testing.T) {
	w, c := newWorld(t), &carrier{}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	w.out.Use(notify.Settings{Site: "Example", Senders: map[string]notify.Sender{notify.Email: &carrier{fail: down}}})
	w.queue(w.code("a@example.com", "111111"))
	w.await("a try", func() bool { return w.count(notify.OutcomeFailed) > 0 })
	w.out.Use(notify.Settings{})
	w.clock.Advance(time.Minute)
	w.out.Use(notify.Settings{Site: "Example", Senders: map[string]notify.Sender{notify.Email: c}})
	w.await("the message", func() bool { return len(c.letters()) == 1 })
	w.queue(w.code("b@example.com", "222222"))
	w.await("the next", func() bool { return len(c.letters()) == 2 })
}

// The store is away while a letter is on its way. Gained before: the worker ends, or
// sends the letter again and again.
func TestWorkerOutlivesAStoreThatIsAway(t *testing.T) {
	w := newWorld(t)
	flaky := &flaky{Store: w.store}
	c := &carrier{}
	out := notify.New(notify.Options{Store: flaky, Derive: w.store.Derive, Clock: w.clock.Now, Poll: 20 * time.Millisecond})
	t.Cleanup(out.Stop)
	c.set(func(notify.Letter) error { flaky.fail(true); return nil })
	use(out, map[string]notify.Sender{notify.Email: c})
	w.update(func(tx store.Tx) error { return out.Queue(tx, w.code("a@example.com", "111111")) })
	w.await("the message", func() bool { return len(c.letters()) == 1 })
	w.await("the store was asked", func() bool { return flaky.failed() >= 2 })
	c.set(nil)
	flaky.fail(false)
	w.await("settled", func() bool { return len(w.list(notify.Filter{State: notify.Sent})) == 1 })
	w.update(func(tx store.Tx) error { return out.Queue(tx, w.code("b@example.com", "222222")) })
	w.await("the next message", func() bool { return len(c.letters()) == 2 })
	if c.tried() != 2 {
		t.Errorf("%d tries for two messages", c.tried())
	}
}

func TestStoppedOutboxGivesBackWhatItHeld(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC))
	w := &world{t: t, clock: clock, store: storetest.Open(t, clock.Now), outcomes: map[notify.Outcome]int{}}
	w.out = w.outbox(w.store)
	c := &carrier{fail: down}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	w.queue(w.code("a@example.com", "111111"))
	w.await("a try", func() bool { return w.count(notify.OutcomeFailed) > 0 })
	w.out.Stop()
	w.out.Start()
	tries := c.tried()
	clock.Advance(5 * time.Minute)
	next := w.outbox(w.store)
	good := &carrier{}
	use(next, map[string]notify.Sender{notify.Email: good})
	w.await("the message", func() bool { return len(good.letters()) == 1 })
	if c.tried() != tries {
		t.Error("a stopped outbox went on sending")
	}
}

// Somebody is deleted while a code to them waits. Gained before: their address for a
// month, and a mail to somebody who is nobody's business any more.
func TestForgottenPeopleGetNoMoreMessages(t *testing.T) {
	w, c := newWorld(t), &carrier{fail: down}
	use(w.out, map[string]notify.Sender{notify.Email: c})
	who, other := principal.NewID(), principal.NewID()
	for _, person := range []principal.ID{who, other, who} {
		m := w.code(person.String()+"@example.com", "111111")
		m.Person = person
		w.queue(m)
	}
	w.await("tries", func() bool { return w.count(notify.OutcomeFailed) >= 2 })
	w.update(func(tx store.Tx) error { return w.out.Forget(tx, who) })
	c.set(nil)
	w.await("the other's message", func() bool {
		w.clock.Advance(time.Minute)
		return len(w.list(notify.Filter{State: notify.Waiting})) == 0
	})
	if list := w.list(notify.Filter{}); len(list) != 1 || list[0].Person != other {
		t.Errorf("the outbox holds %+v", list)
	}
	if got := c.letters(); len(got) != 1 || got[0].Person != other {
		t.Errorf("sent %+v", got)
	}
	w.view(func(tx store.Tx) error {
		for item, err := range tx.Scan(store.KPrefix(store.PrefixNotify, "p", who), nil) {
			t.Errorf("%q is left, %v", item.Key, err)
		}
		return nil
	})
	if id, err := w.post(notify.Message{Kind: notify.Test, Method: notify.Email, To: "a@example.com"}); err != nil || id == "" {
		t.Errorf("posted %q, %v", id, err)
	} else {
		w.await("what became of it", func() bool {
			list := w.list(notify.Filter{State: notify.Sent})
			return len(list) == 2 && list[0].ID == id
		})
	}
}

func (w *world) post(m notify.Message) (id string, err error) {
	err = w.store.Update(w.t.Context(), func(tx store.Tx) (err error) {
		id, err = w.out.Post(tx, m)
		return err
	})
	return id, err
}
