package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// State is where a message is.
type State string

// The states. Waiting includes what is being sent right now.
const (
	Waiting    State = "waiting"
	Sent       State = "sent"
	Dead       State = "dead"       // given up: refused for good, or tried too often
	Expired    State = "expired"    // could no longer be used before it could be sent
	Superseded State = "superseded" // a newer message made it worthless
)

// States lists them all.
func States() []State { return []State{Waiting, Sent, Dead, Expired, Superseded} }

// How long things are kept and tried.
const (
	noticeLife = 72 * time.Hour      // a notice is worth sending this long
	maxLife    = 30 * 24 * time.Hour // no message can be used longer
	keepDone   = 7 * 24 * time.Hour  // records of what was settled
	keepDead   = 30 * 24 * time.Hour // and of what somebody should look at
	keepLane   = maxLife + time.Hour
)

type id [16]byte

// newID sorts newest first: 8 bytes of time, counted down, and 8 random ones.
func newID(now time.Time) id {
	var n id
	binary.BigEndian.PutUint64(n[:8], math.MaxUint64-uint64(now.UnixNano()))
	_, _ = rand.Read(n[8:]) // never fails: the program ends instead
	return n
}

func (n id) String() string { return hex.EncodeToString(n[:]) }

func parseID(text string) (n id, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(n) || hex.EncodeToString(raw) != text {
		return n, false
	}
	return id(raw), true
}

// record is one message.
type record struct {
	store.Meta
	ID      string            `json:"id"`
	Kind    Kind              `json:"kind"`
	Method  string            `json:"method"`
	To      string            `json:"to"`
	Realm   string            `json:"realm,omitempty"`
	Person  principal.ID      `json:"person"`
	Queued  time.Time         `json:"queued"`
	Expires time.Time         `json:"expires,omitzero"` // as the message said
	Until   time.Time         `json:"until"`            // no try from here on
	Data    map[string]string `json:"data,omitempty"`   // gone once it is of no use
	Lane    []byte            `json:"lane"`
	State   State             `json:"state"`
	Tries   int               `json:"tries,omitempty"`
	Tried   time.Time         `json:"tried,omitzero"`
	Next    time.Time         `json:"next,omitzero"` // after a failure
	Done    time.Time         `json:"done,omitzero"`
	Error   string            `json:"error,omitempty"` // of the last try
}

// lane is the queue of one recipient: when somebody looks at it next, or until when
// somebody holds it.
type lane struct {
	store.Meta
	Method string    `json:"method"`
	Due    time.Time `json:"due"`
	Lease  string    `json:"lease,omitempty"` // of the worker that sends
	Tried  time.Time `json:"tried,omitzero"`
}

// pointer names a message from elsewhere.
type pointer struct {
	store.Meta
	ID string `json:"id"`
}

func messageKey(n id) store.Key { return store.K(store.PrefixNotify, "m", n) }

func messagePrefix() []byte { return store.KPrefix(store.PrefixNotify, "m") }

func laneKey(l []byte) store.Key { return store.K(store.PrefixNotify, "l", l) }

func waitingKey(r *record, n id) store.Key {
	return store.K(store.PrefixNotify, "w", r.Lane, r.Queued, n)
}

func dueKey(method string, at time.Time, l []byte) store.Key {
	return store.K(store.PrefixNotify, "d", method, at, l)
}

func duePrefix(method string) []byte { return store.KPrefix(store.PrefixNotify, "d", method) }

func replacesKey(mac []byte) store.Key { return store.K(store.PrefixNotify, "k", mac) }

func personKey(who principal.ID, n id) store.Key { return store.K(store.PrefixNotify, "p", who, n) }

// remove deletes a message and what points at it.
func remove(tx store.Tx, n id, r *record) error {
	if !r.Person.IsZero() {
		if err := tx.Delete(personKey(r.Person, n)); err != nil {
			return err
		}
	}
	return errors.Join(tx.Delete(waitingKey(r, n)), tx.Delete(messageKey(n)))
}

// keyed is a MAC of texts, for keys.
func (o *Outbox) keyed(parts ...string) []byte {
	h := hmac.New(sha256.New, o.mac)
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)[:16]
}

func load(tx store.Tx, n id) (*record, error) {
	r, err := store.Load[record](tx, messageKey(n))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknown
	}
	return r, err
}

// save writes a record for as long as it is kept.
func save(tx store.Tx, n id, r *record) error {
	keep := r.Done.Add(keepDone)
	switch r.State {
	case Waiting:
		keep = r.Until.Add(keepDone)
	case Dead:
		keep = r.Done.Add(keepDead)
	}
	if !r.Person.IsZero() {
		if err := store.Save(tx, personKey(r.Person, n), &pointer{ID: r.ID}, keep); err != nil {
			return err
		}
	}
	return store.Save(tx, messageKey(n), r, keep)
}

// finish settles a message. A dead one keeps its fields, because it may be tried again.
func finish(tx store.Tx, n id, r *record, s State) error {
	r.State, r.Done, r.Next = s, tx.Now().UTC(), time.Time{}
	if s != Dead {
		r.Data = nil
	}
	if err := tx.Delete(waitingKey(r, n)); err != nil {
		return err
	}
	return save(tx, n, r)
}

// setLane moves a lane in the order of what is due.
func setLane(tx store.Tx, key []byte, l *lane, due time.Time) error {
	if !l.Due.IsZero() {
		if err := tx.Delete(dueKey(l.Method, l.Due, key)); err != nil {
			return err
		}
	}
	l.Due = due.UTC()
	keep := tx.Now().Add(keepLane)
	if err := store.Save(tx, laneKey(key), l, keep); err != nil {
		return err
	}
	return store.Save(tx, dueKey(l.Method, l.Due, key), &pointer{}, keep)
}

func dropLane(tx store.Tx, key []byte, l *lane) error {
	return errors.Join(tx.Delete(dueKey(l.Method, l.Due, key)), tx.Delete(laneKey(key)))
}

// loadLane returns nil for one that does not exist.
func loadLane(tx store.Tx, key []byte) (*lane, error) {
	l, err := store.Load[lane](tx, laneKey(key))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return l, err
}
