package audit

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// Bounds of one List.
const (
	MaxList = 500    // events in an answer
	maxRead = 10_000 // events looked at, so that a filter which matches nothing ends
)

// ErrCursor refuses a cursor that List did not give.
var ErrCursor = errors.New("not a cursor of the list of events")

// Cursor is a place in the list; the zero Cursor is its newest end. It is opaque
// to clients. One that was tampered with is refused or names another place in the
// same list; it opens nothing that the filter does not.
type Cursor string

// Filter says which events are wanted. Zero fields want all.
type Filter struct {
	Kind    Kind // this kind and those below it: "login" is also "login.code"
	Outcome Outcome
	Name    string // name@realm, canonical
	Realm   string // of the name
	Session string
}

// List returns at most limit events (1 to MaxList; what lies outside is moved
// there), newest first, that are older than before. The Cursor is for the next
// page; an empty one says that there is none. A page may hold fewer events than
// asked for, even none, and still have a next one.
// Errors: ErrCursor.
func (l *Log) List(tx store.Tx, before Cursor, limit int, f Filter) ([]Event, Cursor, error) {
	from, err := before.from()
	if err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), MaxList)
	events, read := []Event{}, 0
	var last []byte
	for item, err := range tx.Scan(store.KPrefix(store.PrefixAudit), from) {
		if err != nil {
			return nil, "", err
		}
		if len(events) == limit || read == maxRead {
			return events, cursorAfter(last), nil
		}
		e, err := store.Decode[Event](item.Value)
		if err != nil {
			return nil, "", err
		}
		if f.wants(e) {
			events = append(events, *e)
		}
		last, read = item.Key, read+1
	}
	return events, "", nil
}

func (f Filter) wants(e *Event) bool {
	switch {
	case f.Kind != "" && e.Kind != f.Kind && !strings.HasPrefix(string(e.Kind), string(f.Kind)+"."):
		return false
	case f.Outcome != "" && e.Outcome != f.Outcome:
		return false
	case f.Name != "" && e.Name != f.Name:
		return false
	case f.Realm != "" && !strings.HasSuffix(e.Name, "@"+f.Realm):
		return false
	case f.Session != "" && e.Session != f.Session:
		return false
	}
	return true
}

func cursorAfter(key []byte) Cursor {
	return Cursor(base64.RawURLEncoding.EncodeToString(key[len(store.PrefixAudit):]))
}

func (c Cursor) from() ([]byte, error) {
	if c == "" {
		return nil, nil
	}
	if len(c) > store.MaxKey {
		return nil, ErrCursor
	}
	rest, err := base64.RawURLEncoding.Strict().DecodeString(string(c))
	if err != nil {
		return nil, ErrCursor
	}
	key := append([]byte(store.PrefixAudit), rest...)
	if parts, ok := store.Parts(store.PrefixAudit, key); !ok || len(parts) != 3 {
		return nil, ErrCursor
	}
	return store.Next(key), nil
}
