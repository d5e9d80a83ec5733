package audit_test

import (
	"errors"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// What follows an event is in its transaction: there exactly if the event is. Of two
// configurations that overlap at a reload the newest alone speaks, and the older one
// does not take its word away.
func TestWithin(t *testing.T) {
	s, l := storetest.Open(t, nil), audit.New(audit.Options{})
	key := store.K(store.PrefixNotify, "test")
	write := func(text string) func(store.Tx, audit.Event) error {
		return func(tx store.Tx, e audit.Event) error {
			if e.Time != tx.Now().UTC() {
				t.Errorf("the event's time is %v in a transaction of %v", e.Time, tx.Now())
			}
			if e.Aside {
				text = "aside"
			}
			return tx.Put(key, []byte(text), e.Time.AddDate(1, 0, 0))
		}
	}
	read := func() (text string) {
		t.Helper()
		err := s.View(t.Context(), func(tx store.Tx) error {
			value, err := tx.Get(key)
			text = string(value)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := l.Within(write("first"))
	undone := errors.New("undone")
	err := s.Update(t.Context(), func(tx store.Tx) error {
		if err := l.Record(tx, login("alice@users", audit.OK)); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) || read() != "" {
		t.Errorf("%v; of an event that is not there: %q", err, read())
	}
	record(t, s, l, login("alice@users", audit.OK))
	if read() != "first" {
		t.Errorf("got %q", read())
	}
	second := l.Within(write("second"))
	first()
	record(t, s, l, login("alice@users", audit.OK))
	if read() != "second" {
		t.Errorf("the newest: %q", read())
	}
	aside := login("alice@users", audit.OK)
	aside.Aside = true
	record(t, s, l, aside)
	if events, _, err := list(t, s, l, "", 1, audit.Filter{}); err != nil || read() != "aside" || events[0].Aside {
		t.Errorf("an event aside: %q, stored %+v, %v", read(), events, err)
	}
	second()
	if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(key) }); err != nil {
		t.Fatal(err)
	}
	record(t, s, l, login("alice@users", audit.OK))
	l.Note(login("alice@users", audit.OK))
	if read() != "" {
		t.Errorf("after stop: %q", read())
	}
	l.Within(func(store.Tx, audit.Event) error { return undone })
	err = s.Update(t.Context(), func(tx store.Tx) error { return l.Record(tx, login("bob@users", audit.OK)) })
	if events, _, _ := list(t, s, l, "", 10, audit.Filter{Name: "bob@users"}); !errors.Is(err, undone) || len(events) != 0 {
		t.Errorf("an event whose consequence failed: %v, %d stored", err, len(events))
	}
}
