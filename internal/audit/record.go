package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// What an event may hold, in bytes. Longer texts are cut: an event is a note, and
// no stranger decides how much is written down.
const (
	maxWord    = 64  // kind, outcome, cause, method, session, a detail's name
	maxText    = 256 // name, actor, a detail's value
	maxDetails = 16
)

// New returns a Log.
func New(o Options) *Log {
	l := &Log{log: o.Logger, retention: o.Retention, clock: o.Clock, subscribers: map[int]func(Event){}}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.retention <= 0 {
		l.retention = DefaultRetention
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	_, _ = rand.Read(l.node[:]) // never fails: the program ends instead
	return l
}

// Record stores an event in the caller's transaction, at tx.Now, until the
// retention ends. After the commit, and only then, come one log line (info for
// OK, warn for Denied, error for Failed) and the subscribers.
//
// The key holds the time and who wrote it in which order, so that no two nodes
// write the same one and no hot record makes logins wait for each other.
func (l *Log) Record(tx store.Tx, e Event) error {
	e = e.bounded()
	e.Time = tx.Now().UTC()
	key := store.K(store.PrefixAudit, descending(e.Time), -l.seq.Add(1), l.node)
	if err := store.Save(tx, key, &e, e.Time.Add(l.retention)); err != nil {
		return err
	}
	tx.After(func() { l.tell(e) })
	if w := l.within.Load(); w != nil {
		return w.fn(tx, e)
	}
	return nil
}

// Within has fn called inside the transaction of each Record from now on, after the
// event was stored: so what must follow an event, such as a message to whom it
// concerns, exists exactly if the event does, and no door can forget it. An error of
// fn undoes the transaction. fn reads and writes through tx alone, may run more than
// once, and must not Record.
//
// There is one such function: the newest counts, so that of two configurations which
// overlap at a reload one alone speaks. stop takes it away if it still counts.
func (l *Log) Within(fn func(tx store.Tx, e Event) error) (stop func()) {
	w := &within{fn: fn}
	l.within.Store(w)
	return func() { l.within.CompareAndSwap(w, nil) }
}

// Note writes the log line and calls the subscribers at once; nothing is stored.
// It is for what strangers can cause without bound.
func (l *Log) Note(e Event) {
	e = e.bounded()
	if e.Time.IsZero() {
		e.Time = l.clock().UTC()
	}
	l.tell(e)
}

// Count calls the subscribers at once: no line, nothing in the store. It is for
// what programs do thousands of times a second and what was good.
func (l *Log) Count(e Event) {
	e = e.bounded()
	if e.Time.IsZero() {
		e.Time = l.clock().UTC()
	}
	l.hear(e)
}

// Subscribe has fn called for each event from now on: after the commit for
// Record, at once for Note and Count; from many goroutines. fn is quick and does not
// change the event's Detail.
func (l *Log) Subscribe(fn func(Event)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.next
	l.next++
	l.subscribers[id] = fn
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subscribers, id)
	}
}

func (l *Log) tell(e Event) {
	l.line(e)
	l.hear(e)
}

func (l *Log) hear(e Event) {
	l.mu.Lock()
	fns := make([]func(Event), 0, len(l.subscribers))
	for _, fn := range l.subscribers {
		fns = append(fns, fn)
	}
	l.mu.Unlock()
	for _, fn := range fns {
		fn(e)
	}
}

func (l *Log) line(e Event) {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind)), slog.String("outcome", string(e.Outcome))}
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	text("cause", e.Cause)
	text("name", e.Name)
	text("actor", e.Actor)
	if e.Client.IsValid() {
		text("client", e.Client.String())
	}
	text("session", e.Session)
	text("method", e.Method)
	l.log.LogAttrs(context.Background(), e.level(), "event", attrs...)
}

func (e Event) level() slog.Level {
	switch e.Outcome {
	case OK:
		return slog.LevelInfo
	case Denied:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Unknown is the name in events about a name that nobody has: a keyed MAC of what
// was typed, because people type passwords into the field for names.
func Unknown(mac []byte) string {
	return "unknown " + hex.EncodeToString(mac[:min(len(mac), 8)])
}

// bounded returns a copy within the limits. The zero Outcome becomes Failed.
func (e Event) bounded() Event {
	e.Kind = Kind(clean(string(e.Kind), maxWord))
	e.Outcome = Outcome(clean(string(e.Outcome), maxWord))
	if e.Outcome == "" {
		e.Outcome = Failed
	}
	e.Cause, e.Method, e.Session = clean(e.Cause, maxWord), clean(e.Method, maxWord), clean(e.Session, maxWord)
	e.Name, e.Actor = clean(e.Name, maxText), clean(e.Actor, maxText)
	e.Client = e.Client.Unmap().WithZone("") // a zone is text of any length
	e.Detail = boundedDetail(e.Detail)
	return e
}

func boundedDetail(detail map[string]string) map[string]string {
	if len(detail) == 0 {
		return nil
	}
	bounded := make(map[string]string, min(len(detail), maxDetails))
	for _, name := range slices.Sorted(maps.Keys(detail))[:min(len(detail), maxDetails)] {
		bounded[clean(name, maxWord)] = clean(detail[name], maxText)
	}
	return bounded
}

// clean cuts s to limit bytes between two characters and replaces what is not
// printable: line breaks, escapes, text direction marks.
func clean(s string, limit int) string {
	for len(s) > limit {
		cut := limit
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// descending makes keys sort newest first: a Scan only walks upwards.
func descending(t time.Time) int64 { return math.MaxInt64 - t.UnixNano() }
