package notify

import (
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Bounds of one List.
const (
	MaxList = 500    // messages in an answer
	maxRead = 10_000 // messages looked at, so that a filter which matches nothing ends
)

// Entry is a message as administrators see it: without its text and its fields.
type Entry struct {
	ID      string
	Kind    Kind
	Method  string
	To      string
	Realm   string
	Person  principal.ID
	State   State
	Tries   int
	Queued  time.Time
	Expires time.Time // zero: a notice
	Tried   time.Time // zero: not yet
	Next    time.Time // zero: none planned
	Done    time.Time // zero: not yet
	Error   string    // of the last try that failed
}

// Filter says which messages are wanted. Zero fields want all.
type Filter struct {
	State  State
	Realm  string
	Person principal.ID
}

// List returns at most limit messages (1 to MaxList), newest first, behind cursor
// ("": from the start). next is where the next page begins, "" at the end; a page may
// be short, even empty, and still have one. Errors: ErrCursor.
func (o *Outbox) List(tx store.Tx, f Filter, cursor string, limit int) (page []Entry, next string, err error) {
	var from []byte
	if cursor != "" {
		n, ok := parseID(cursor)
		if !ok {
			return nil, "", ErrCursor
		}
		from = store.Next(messageKey(n))
	}
	limit = min(max(limit, 1), MaxList)
	read, last := 0, ""
	for item, err := range tx.Scan(messagePrefix(), from) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == limit || read == maxRead {
			return page, last, nil
		}
		r, err := store.Decode[record](item.Value)
		if err != nil {
			return nil, "", err
		}
		if e := r.entry(tx.Now()); f.wants(&e) {
			page = append(page, e)
		}
		read, last = read+1, r.ID
	}
	return page, "", nil
}

func (f *Filter) wants(e *Entry) bool {
	return (f.State == "" || f.State == e.State) && (f.Realm == "" || f.Realm == e.Realm) && (f.Person.IsZero() || f.Person == e.Person)
}

// entry says of what nobody settled, because nothing sends by its method any more,
// that it expired, when it did.
func (r *record) entry(now time.Time) Entry {
	e := Entry{ID: r.ID, Kind: r.Kind, Method: r.Method, To: r.To, Realm: r.Realm, Person: r.Person, State: r.State, Tries: r.Tries,
		Queued: r.Queued, Expires: r.Expires, Tried: r.Tried, Next: r.Next, Done: r.Done, Error: r.Error}
	if r.State == Waiting && !r.Until.After(now) {
		e.State, e.Next, e.Done = Expired, time.Time{}, r.Until
	}
	return e
}

// Get returns one message. Errors: ErrUnknown.
func (o *Outbox) Get(tx store.Tx, messageID string) (Entry, error) {
	n, ok := parseID(messageID)
	if !ok {
		return Entry{}, ErrUnknown
	}
	r, err := load(tx, n)
	if err != nil {
		return Entry{}, err
	}
	return r.entry(tx.Now()), nil
}

// Retry tries a dead message again, as often as a new one, and a waiting one at once.
// Errors: ErrUnknown, ErrDone, ErrUnusable (its code or link has expired).
func (o *Outbox) Retry(tx store.Tx, messageID string) error {
	n, ok := parseID(messageID)
	if !ok {
		return ErrUnknown
	}
	r, err := load(tx, n)
	if err != nil {
		return err
	}
	now := tx.Now()
	switch {
	case r.State == Sent || r.State == Superseded:
		return ErrDone
	case !r.Expires.IsZero() && !r.Expires.After(now), r.State == Expired:
		return ErrUnusable
	}
	if r.Expires.IsZero() {
		r.Until = now.Add(noticeLife).UTC()
	}
	if r.State == Dead {
		r.State, r.Tries, r.Done = Waiting, 0, time.Time{}
	}
	r.Next = time.Time{}
	return o.enqueue(tx, n, r, true)
}

// Delete removes a message. One that is on its way at this moment may still arrive.
// Errors: ErrUnknown.
func (o *Outbox) Delete(tx store.Tx, messageID string) error {
	n, ok := parseID(messageID)
	if !ok {
		return ErrUnknown
	}
	r, err := load(tx, n)
	if err != nil {
		return err
	}
	return remove(tx, n, r)
}

// Forget deletes all messages to a person: for the transaction that deletes them.
func (o *Outbox) Forget(tx store.Tx, who principal.ID) error {
	var all []id
	var stale [][]byte
	for item, err := range tx.Scan(store.KPrefix(store.PrefixNotify, "p", who), nil) {
		if err != nil {
			return err
		}
		p, err := store.Decode[pointer](item.Value)
		if err != nil {
			return err
		}
		n, _ := parseID(p.ID)
		all, stale = append(all, n), append(stale, item.Key)
	}
	for i, n := range all {
		r, err := load(tx, n)
		if err == nil {
			err = remove(tx, n, r)
		} else if errors.Is(err, ErrUnknown) {
			err = tx.Delete(stale[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
