package notify_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// The mail server is away for ten minutes, and the gateway is killed in between with
// messages on their way. Gained before, by nobody: lost codes, notices twice, and
// logins that waited for a server that does not answer.
func TestOutageAndKillLoseNothingAndSendNothingTwice(t *testing.T) {
	server := notifytest.SMTP(t)
	clock := storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC))
	w := &world{t: t, clock: clock, outcomes: map[notify.Outcome]int{}}
	path, keyring := dir(t), storetest.NewKeyring(t)
	open := func() (*store.SealedStore, *notify.Outbox) {
		st := storetest.OpenDir(t, path, keyring, clock.Now)
		out := notify.New(notify.Options{Store: st, Derive: st.Derive, Clock: clock.Now, Poll: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		use(out, map[string]notify.Sender{notify.Email: smtp(t, server)})
		return st, out
	}
	st, out := open()
	w.store, w.out = st, out
	server.Down()

	codes, notices, dead := map[string]bool{}, map[string]bool{}, map[string]bool{}
	minute := func(m int) {
		for i := range 3 {
			to := fmt.Sprintf("code%d-%d@example.com", m, i)
			w.quickly(func() { w.queue(w.code(to, fmt.Sprint(100000+m*10+i))) })
			if m == 0 {
				dead[to] = true // ten minutes later it is of no use
			} else {
				codes[to] = true
			}
		}
		to := fmt.Sprintf("notice%d@example.com", m)
		w.quickly(func() {
			w.queue(notify.Message{Kind: notify.PasswordChanged, Method: notify.Email, To: to})
		})
		notices[to] = true
	}
	advance := func(d time.Duration) {
		for range int(d / (10 * time.Second)) {
			clock.Advance(10 * time.Second)
			out.Wake()
		}
		w.await("a quiet moment", func() bool {
			for _, e := range w.list(notify.Filter{State: notify.Waiting}) {
				if e.Tries == 0 || !e.Next.IsZero() && !e.Next.After(clock.Now()) {
					return false
				}
			}
			return true
		})
	}
	for m := range 5 {
		minute(m)
		advance(time.Minute)
	}
	// Killed: the store is closed under the workers, and nobody settles anything.
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	out.Stop()
	w.store, w.out = open()
	out = w.out
	clock.Advance(4 * time.Minute) // what the dead process held is free again
	for m := 5; m < 6; m++ {
		minute(m)
		advance(time.Minute)
	}
	server.Up()
	if took := clock.Now().Sub(time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)); took != 10*time.Minute {
		t.Fatalf("the server was away for %v", took)
	}
	for range 3 {
		advance(time.Minute)
	}
	w.await("the notices", func() bool {
		clock.Advance(time.Minute)
		return len(w.list(notify.Filter{State: notify.Waiting})) == 0
	})
	came := map[string]int{}
	for range server.Accepted() {
		came[server.Next(t).To]++
	}
	for to, n := range came {
		if n != 1 {
			t.Errorf("%s got %d mails", to, n)
		}
		if dead[to] {
			t.Errorf("%s got a code that could no longer be used", to)
		}
	}
	for to := range notices {
		if came[to] == 0 {
			t.Errorf("the notice to %s was lost", to)
		}
	}
	for m := 2; m < 6; m++ { // those of minute 1 ended a minute after the server was back
		for i := range 3 {
			if to := fmt.Sprintf("code%d-%d@example.com", m, i); came[to] == 0 {
				t.Errorf("the code to %s was lost", to)
			}
		}
	}
	w.out.Stop()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
}

// quickly fails where a caller waited for a mail server: a connection that is
// refused or hangs takes far longer than a commit.
func (w *world) quickly(fn func()) {
	w.t.Helper()
	begun := time.Now()
	fn()
	if took := time.Since(begun); took > 5*time.Second {
		w.t.Errorf("queueing took %v", took)
	}
}

// The server takes a mail over and is gone before it can say so. The message is sent
// again, with the same id, by which a reader's server can tell.
func TestUncertainDeliveryIsRepeatedUnderTheSameID(t *testing.T) {
	w, server := newWorld(t), notifytest.SMTP(t)
	server.Swallow(true)
	use(w.out, map[string]notify.Sender{notify.Email: smtp(t, server)})
	w.queue(w.code("a@example.com", "111111"))
	first := server.Next(t)
	server.Swallow(false)
	w.await("the failure", func() bool { return w.count(notify.OutcomeFailed) == 1 })
	w.clock.Advance(time.Minute)
	second := server.Next(t)
	if id := first.Header.Get("Message-Id"); id == "" || id != second.Header.Get("Message-Id") {
		t.Errorf("ids %q and %q", id, second.Header.Get("Message-Id"))
	}
}

// A mail server that takes connections and says nothing holds up nobody but itself.
func TestOtherMethodsGoOnWhileOneHangs(t *testing.T) {
	w := newWorld(t)
	stuck := &blocked{begun: make(chan string, 10), free: make(chan struct{})}
	defer close(stuck.free)
	c := &carrier{}
	use(w.out, map[string]notify.Sender{notify.Email: stuck, notify.SMS: c})
	for i := range 4 {
		w.queue(w.code(fmt.Sprintf("p%d@example.com", i), "111111"))
	}
	<-stuck.begun
	<-stuck.begun
	m := w.code("+41791234567", "222222")
	m.Method = notify.SMS
	w.quickly(func() { w.queue(m) })
	w.await("the short message", func() bool { return len(c.letters()) == 1 })
}
