package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// Bounds of a message, in bytes.
const (
	maxTo       = 320
	maxReplaces = 512
	maxWords    = 256  // a field that people wrote or browsers sent
	maxSecret   = 4096 // a link, or codes one a line
)

// hurry is how long after a failed try a new message to the same recipient may
// cause another one.
const hurry = 30 * time.Second

// Queue puts a message into the caller's transaction: it is sent exactly if that is
// committed, soon after and by somebody else. Notices are dropped where nothing
// sends by their method.
// Errors: ErrNotConfigured, and for a message that is none a sentence.
func (o *Outbox) Queue(tx store.Tx, m Message) error {
	_, err := o.Post(tx, m)
	return err
}

// Post is Queue for who wants to ask later what became of the message: its id is for
// Get. A notice that was dropped has none.
func (o *Outbox) Post(tx store.Tx, m Message) (messageID string, err error) {
	if err := m.check(tx.Now()); err != nil {
		return "", err
	}
	if !o.Sends(m.Method) {
		if m.Kind.Notice() {
			return "", nil
		}
		return "", ErrNotConfigured
	}
	now := tx.Now().UTC()
	n := newID(now)
	if m.Replaces != "" {
		if err := o.Supersede(tx, m.Replaces); err != nil {
			return "", err
		}
	}
	r := &record{ID: n.String(), Kind: m.Kind, Method: m.Method, To: m.To, Realm: m.Realm, Person: m.Person, Queued: now,
		Expires: m.Expires.UTC(), Until: m.Expires.UTC(), Data: map[string]string{}, Lane: o.keyed("lane", m.Method, m.To), State: Waiting}
	if m.Expires.IsZero() {
		r.Expires, r.Until = time.Time{}, now.Add(noticeLife)
	}
	for name, value := range m.Data {
		r.Data[name] = harmless(name, value)
	}
	if m.Replaces != "" {
		if err := store.Save(tx, replacesKey(o.keyed("replaces", m.Replaces)), &pointer{ID: r.ID}, r.Until); err != nil {
			return "", err
		}
	}
	if err := o.enqueue(tx, n, r, false); err != nil {
		return "", err
	}
	tx.After(func() { o.Observe(r.Kind, OutcomeQueued) })
	return r.ID, nil
}

// enqueue writes a waiting message and sees to it that its lane is looked at: at
// once where nothing failed lately, or where somebody says so.
func (o *Outbox) enqueue(tx store.Tx, n id, r *record, now bool) error {
	if err := save(tx, n, r); err != nil {
		return err
	}
	if err := store.Save(tx, waitingKey(r, n), &pointer{ID: r.ID}, r.Until.Add(time.Hour)); err != nil {
		return err
	}
	tx.After(func() { o.wake(r.Method) })
	l, err := loadLane(tx, r.Lane)
	if err != nil {
		return err
	}
	at := tx.Now()
	switch {
	case l == nil:
		l = &lane{Method: r.Method}
	case l.Lease != "" && l.Due.After(at): // who holds it goes on with this one
		return nil
	case !now && l.Tried.Add(hurry).After(at):
		at = l.Tried.Add(hurry)
	}
	if !l.Due.IsZero() && !at.Before(l.Due) {
		return nil
	}
	return setLane(tx, r.Lane, l, at)
}

// Supersede makes an unsent message worthless that was queued with these words in
// Replaces: it is not sent, unless it is being sent at this moment.
func (o *Outbox) Supersede(tx store.Tx, replaces string) error {
	key := replacesKey(o.keyed("replaces", replaces))
	p, err := store.Load[pointer](tx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := tx.Delete(key); err != nil {
		return err
	}
	n, _ := parseID(p.ID)
	r, err := load(tx, n)
	if errors.Is(err, ErrUnknown) || err == nil && r.State != Waiting {
		return nil
	}
	if err != nil {
		return err
	}
	tx.After(func() { o.Observe(r.Kind, OutcomeSuperseded) })
	return finish(tx, n, r, Superseded)
}

func (m *Message) check(now time.Time) error {
	switch {
	case !m.Kind.Known():
		return fmt.Errorf("queue a message: there is no text of kind %.40q", m.Kind)
	case m.Method == "":
		return errors.New("queue a message: say by which method")
	case m.To == "" || len(m.To) > maxTo || strings.ContainsFunc(m.To, unprintable) || !utf8.ValidString(m.To):
		return errors.New("queue a message: the recipient is not one line of printable text")
	case len(m.Replaces) > maxReplaces:
		return errors.New("queue a message: what it replaces is too long a text")
	case m.Expires.IsZero() && !m.Kind.Notice() && m.Kind != Test && m.Kind != AccountExists:
		return errors.New("queue a message: say until when its code or link can be used")
	case m.Expires.Sub(now) > maxLife:
		return fmt.Errorf("queue a message: nothing can be used for longer than %d days", maxLife/(24*time.Hour))
	}
	for name := range m.Data {
		if !slices.Contains(Fields(), name) || name == FieldSite || name == FieldSubject {
			return fmt.Errorf("queue a message: texts have no field %.40q to set", name)
		}
	}
	return nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// harmless makes a field one line of bounded length. A name or a browser comes from
// people who may want somebody else to follow a link in a message of ours: what
// begins like one is taken apart.
func harmless(name, value string) string {
	secret := slices.Contains(secretFields(), name)
	most := maxWords
	if secret {
		most = maxSecret
	}
	value = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && name == FieldCodes:
			return r
		case unprintable(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value, " "))
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "")
	}
	if !secret {
		value = strings.ReplaceAll(value, "://", ": / / ")
	}
	return value
}
