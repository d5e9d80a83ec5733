package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func login(name string, outcome audit.Outcome) audit.Event {
	return audit.Event{
		Kind: audit.KindLogin, Outcome: outcome, Principal: principal.ID{1}, Name: name,
		Client: netip.MustParseAddr("198.51.100.7"), Session: "s1", Method: "totp",
	}
}

func record(t *testing.T, s store.Store, l *audit.Log, events ...audit.Event) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for _, e := range events {
			if err := l.Record(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, s store.Store, l *audit.Log, before audit.Cursor, limit int, f audit.Filter) (events []audit.Event, next audit.Cursor, err error) {
	t.Helper()
	if viewErr := s.View(t.Context(), func(tx store.Tx) error {
		events, next, err = l.List(tx, before, limit, f)
		return nil
	}); viewErr != nil {
		t.Fatal(viewErr)
	}
	return events, next, err
}

// What happened is listed newest first, also within one transaction, page by page,
// and is gone when the retention ends.
func TestEventsAreListedNewestFirst(t *testing.T) {
	clock := storetest.NewClock(noon)
	s, l := storetest.Open(t, clock.Now), audit.New(audit.Options{Retention: time.Hour})
	for n := range 5 {
		record(t, s, l, login(fmt.Sprintf("a%d@users", n), audit.OK), login(fmt.Sprintf("b%d@users", n), audit.Denied))
		clock.Advance(time.Minute)
	}
	var names []string
	var cursor audit.Cursor
	for page := 0; page == 0 || cursor != ""; page++ {
		events, next, err := list(t, s, l, cursor, 3, audit.Filter{})
		if err != nil || len(events) > 3 || page > 4 {
			t.Fatalf("page %d: %d events, %v", page, len(events), err)
		}
		for _, e := range events {
			names = append(names, strings.TrimSuffix(e.Name, "@users"))
		}
		cursor = next
	}
	if got := strings.Join(names, " "); got != "b4 a4 b3 a3 b2 a2 b1 a1 b0 a0" {
		t.Fatalf("order: %s", got)
	}
	events, _, _ := list(t, s, l, "", 1, audit.Filter{})
	want := login("b4@users", audit.Denied)
	want.Time = noon.Add(4 * time.Minute)
	if got := events[0]; got.Time != want.Time || got.Client != want.Client || got.Principal != want.Principal || got.Outcome != want.Outcome || got.Session != want.Session {
		t.Errorf("got %+v", got)
	}
	clock.Set(noon.Add(time.Hour + 30*time.Second)) // the first minute's events are over
	if events, _, _ := list(t, s, l, "", 100, audit.Filter{}); len(events) != 8 {
		t.Errorf("%d events after the retention of the first two, want 8", len(events))
	}
}

func TestFilters(t *testing.T) {
	s, l := storetest.Open(t, nil), audit.New(audit.Options{})
	code := login("alice@users", audit.Denied)
	code.Kind, code.Session = audit.KindCode, "s2"
	record(t, s, l, login("alice@users", audit.OK), login("bob@staff", audit.OK), code,
		audit.Event{Kind: audit.KindLogout, Outcome: audit.OK, Name: "alice@users"})
	for _, c := range []struct {
		filter audit.Filter
		want   int
	}{
		{audit.Filter{}, 4},
		{audit.Filter{Kind: audit.KindLogin}, 3}, // and what is below it, but not logout
		{audit.Filter{Kind: audit.KindCode}, 1},
		{audit.Filter{Outcome: audit.Denied}, 1},
		{audit.Filter{Name: "alice@users"}, 3},
		{audit.Filter{Realm: "staff"}, 1},
		{audit.Filter{Realm: "taff"}, 0},
		{audit.Filter{Session: "s1"}, 2},
		{audit.Filter{Kind: audit.KindLogin, Realm: "users", Outcome: audit.OK}, 1},
	} {
		events, next, err := list(t, s, l, "", 100, c.filter)
		if err != nil || len(events) != c.want || next != "" {
			t.Errorf("%+v: %d events, next %q, %v; want %d", c.filter, len(events), next, err, c.want)
		}
	}
}

// Cursors come from clients: what List did not make is refused, never a panic.
func TestForeignCursorsAreRefused(t *testing.T) {
	s, l := storetest.Open(t, nil), audit.New(audit.Options{})
	record(t, s, l, login("alice@users", audit.OK))
	for _, c := range []audit.Cursor{"x", "AAAA", "ZS8", audit.Cursor(strings.Repeat("A", 5000)), "%00", "AAE="} {
		if _, _, err := list(t, s, l, c, 1, audit.Filter{}); !errors.Is(err, audit.ErrCursor) {
			t.Errorf("%.20q: %v", c, err)
		}
	}
}

// There is no line and no counter of what did not happen: both come after the
// commit, once.
func TestOnlyCommittedEventsAreTold(t *testing.T) {
	var out bytes.Buffer
	s := storetest.Open(t, nil)
	l := audit.New(audit.Options{Logger: slog.New(slog.NewJSONHandler(&out, nil))})
	var mu sync.Mutex
	told := 0
	stop := l.Subscribe(func(audit.Event) { mu.Lock(); told++; mu.Unlock() })
	rollback := errors.New("roll back")
	err := s.Update(t.Context(), func(tx store.Tx) error {
		if err := l.Record(tx, login("alice@users", audit.OK)); err != nil {
			return err
		}
		if out.Len() > 0 || told > 0 {
			t.Error("told before the commit")
		}
		return rollback
	})
	if !errors.Is(err, rollback) || out.Len() > 0 || told > 0 {
		t.Fatalf("%v; told %d: %s", err, told, out.String())
	}
	denied := login("alice@users", audit.Denied)
	denied.Cause, denied.Actor = "replay", "local"
	record(t, s, l, denied)
	l.Note(login("bob@users", audit.OK))
	l.Note(login("bob@users", ""))
	if told != 3 {
		t.Errorf("told %d, want 3", told)
	}
	stop()
	l.Note(login("bob@users", audit.OK))
	if told != 3 {
		t.Error("told after stop")
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var first map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"level": "WARN", "kind": "login", "outcome": "denied", "cause": "replay", "name": "alice@users",
		"actor": "local", "client": "198.51.100.7", "session": "s1", "method": "totp",
	} {
		if first[name] != want {
			t.Errorf("%s = %v, want %s", name, first[name], want)
		}
	}
	if !strings.Contains(lines[1], `"level":"INFO"`) || !strings.Contains(lines[2], `"outcome":"failed"`) || !strings.Contains(lines[2], `"level":"ERROR"`) {
		t.Errorf("lines: %s", lines[1:])
	}
	if events, _, _ := list(t, s, l, "", 10, audit.Filter{}); len(events) != 1 {
		t.Errorf("%d events are stored, want the recorded one alone", len(events))
	}
}

// Attack: a stranger sends a user agent, a name, a zone of a kilobyte, with line
// breaks and escapes that forge log lines. Nothing of that length or kind is kept.
func TestEventsAreBounded(t *testing.T) {
	s, l := storetest.Open(t, nil), audit.New(audit.Options{})
	long := strings.Repeat("ü\n\x1b[31m\u202e", 1000)
	e := audit.Event{Kind: audit.Kind(long), Outcome: audit.Denied, Cause: long, Name: long, Actor: long, Session: long, Method: long, Detail: map[string]string{}}
	e.Client = netip.MustParseAddr("fe80::1%" + strings.Repeat("z", 1000))
	for n := range 100 {
		e.Detail[fmt.Sprint(n)] = long
	}
	record(t, s, l, e)
	if len(e.Detail) != 100 || len(e.Detail["0"]) != len(long) {
		t.Error("the caller's event was changed")
	}
	events, _, err := list(t, s, l, "", 1, audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(events[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 8<<10 {
		t.Errorf("an event of %d bytes", len(text))
	}
	if len(events[0].Detail) != 16 || len(events[0].Name) > 256 || !strings.HasPrefix(events[0].Name, "ü??[31m?ü") {
		t.Errorf("%d details, name %q", len(events[0].Detail), events[0].Name)
	}
}

// A name that nobody has may be a password typed into the wrong field.
func TestUnknownNamesAreMACs(t *testing.T) {
	if got := audit.Unknown(bytes.Repeat([]byte{0xab}, 32)); got != "unknown abababababababab" {
		t.Errorf("got %q", got)
	}
}
