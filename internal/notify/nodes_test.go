package notify_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// Two servers of one database, each with its own view of it. Gained before: every
// message twice, or one that nobody sends because its server ended.
func TestNodesOfOneDatabaseSendEachMessageOnce(t *testing.T) {
	url, keyring, c := pgtest.URL(t), storetest.NewKeyring(t), &carrier{}
	node := func() (*store.SealedStore, *notify.Outbox) {
		engine, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		st := storetest.Seal(t, engine, keyring, nil)
		out := notify.New(notify.Options{Store: st, Derive: st.Derive, Clock: time.Now, Poll: 50 * time.Millisecond})
		out.Use(notify.Settings{Site: "Example", Senders: map[string]notify.Sender{notify.Email: c}})
		t.Cleanup(func() {
			out.Stop()
			if err := engine.Close(); err != nil {
				t.Error(err)
			}
		})
		return st, out
	}
	st, first := node()
	_, second := node()
	first.Start()
	second.Start()
	const n = 40
	queue := func(st *store.SealedStore, out *notify.Outbox, i int) {
		t.Helper()
		err := st.Update(t.Context(), func(tx store.Tx) error {
			return out.Queue(tx, notify.Message{Kind: notify.LoginCode, Method: notify.Email, To: fmt.Sprintf("p%d@example.com", i%8), Expires: tx.Now().Add(10 * time.Minute),
				Data: map[string]string{notify.FieldCode: "836492"}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		queue(st, first, i)
	}
	await(t, "all of them", func() bool { return len(c.letters()) == n })
	seen := map[string]bool{}
	for _, l := range c.letters() {
		seen[l.ID] = true
	}
	if len(seen) != n || c.tried() != n {
		t.Errorf("%d messages in %d tries, expected %d", len(seen), c.tried(), n)
	}
	// One ends; what it queued is sent by the other.
	first.Stop()
	queue(st, first, 0)
	await(t, "the message of the node that ended", func() bool { return len(c.letters()) == n+1 })
}
