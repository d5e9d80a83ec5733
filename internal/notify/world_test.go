package notify_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/notify/mail"
	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

const from = "Sallyport <no-reply@example.com>"

// world is an outbox over a store in memory, and the time.
type world struct {
	t     *testing.T
	clock *storetest.Clock
	store *store.SealedStore
	out   *notify.Outbox

	mu       sync.Mutex
	outcomes map[notify.Outcome]int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)), outcomes: map[notify.Outcome]int{}}
	w.store = storetest.Open(t, w.clock.Now)
	w.out = w.outbox(w.store)
	return w
}

// outbox makes one more outbox, as another process would have it.
func (w *world) outbox(st *store.SealedStore) *notify.Outbox {
	out := notify.New(notify.Options{Store: st, Derive: st.Derive, Clock: w.clock.Now, Poll: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Observe: func(_ notify.Kind, o notify.Outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.outcomes[o]++
		}})
	w.t.Cleanup(out.Stop)
	return out
}

func (w *world) count(o notify.Outcome) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outcomes[o]
}

// use has an outbox send with one sender for all methods.
func use(out *notify.Outbox, senders map[string]notify.Sender) {
	out.Use(notify.Settings{Site: "Example", Senders: senders})
	out.Start()
}

func (w *world) update(fn func(tx store.Tx) error) {
	w.t.Helper()
	if err := w.store.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) queue(m notify.Message) {
	w.t.Helper()
	w.update(func(tx store.Tx) error { return w.out.Queue(tx, m) })
}

// code is a login code that can be used for ten minutes.
func (w *world) code(to, code string) notify.Message {
	return notify.Message{Kind: notify.LoginCode, Method: notify.Email, To: to, Expires: w.clock.Now().Add(10 * time.Minute), Data: map[string]string{notify.FieldCode: code}}
}

func (w *world) list(f notify.Filter) []notify.Entry {
	w.t.Helper()
	var page []notify.Entry
	err := w.store.View(w.t.Context(), func(tx store.Tx) (err error) {
		page, _, err = w.out.List(tx, f, "", notify.MaxList)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return page
}

// await waits until something is so.
func (w *world) await(what string, fn func() bool) {
	w.t.Helper()
	await(w.t, what, fn)
}

func await(t *testing.T, what string, fn func() bool) {
	t.Helper()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !fn() {
		select {
		case <-end.C:
			t.Fatalf("waited in vain for: %s", what)
		case <-tick.C:
		}
	}
}

// smtp is a sender for a server of the test.
func smtp(t *testing.T, s *notifytest.Server) notify.Sender {
	t.Helper()
	a, err := mail.Parse(s.URL("", "") + " " + from)
	if err != nil {
		t.Fatal(err)
	}
	return mail.New(a)
}

// carrier is a sender that a test decides for.
type carrier struct {
	mu    sync.Mutex
	sent  []notify.Letter
	tries int
	fail  func(l notify.Letter) error
}

func (c *carrier) Send(_ context.Context, l notify.Letter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries++
	if c.fail != nil {
		if err := c.fail(l); err != nil {
			return err
		}
	}
	c.sent = append(c.sent, l)
	return nil
}

func (c *carrier) set(fail func(l notify.Letter) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

func (c *carrier) tried() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries
}

func (c *carrier) letters() []notify.Letter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]notify.Letter(nil), c.sent...)
}

var errDown = errors.New("connection refused")

func down(notify.Letter) error { return errDown }

func dir(t *testing.T) string { return filepath.Join(t.TempDir(), "state") }
