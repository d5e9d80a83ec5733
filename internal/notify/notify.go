// Package notify owns messages to people: what was queued, what became of it, and
// the texts.
//
// A message is queued in the transaction of what caused it ([Outbox.Queue]), so it
// exists exactly if that was committed, and sending delays nobody. Workers send
// outside of any transaction: claim a message under a lease in one, send, settle in
// a second one. Whoever is killed between the two may have sent: delivery is at
// least once, and each message carries its id so that receivers can drop a second
// copy.
//
// The messages to one recipient form a lane. A lane is claimed as a whole, so no two
// workers send to the same recipient at once, and its messages leave in the order in
// which they were queued.
//
// Records are sealed by the store like all others; codes and links are wiped from
// them once the message has left or can no longer be used. Keys hold neither
// addresses nor what a message replaces, only MACs, because strangers choose
// addresses where registration is open.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Methods that every installation knows. Own methods have names of their own.
const (
	Email = "email"
	SMS   = "sms"
)

// Errors that a caller may test.
var (
	ErrNotConfigured = errors.New("nothing sends messages by this method: configure it, or choose another one")
	ErrUnknown       = errors.New("no such message in the outbox")
	ErrUnusable      = errors.New("this message can no longer be used: cause a new one")
	ErrDone          = errors.New("this message has left, or was replaced by a newer one")
	ErrCursor        = errors.New("not a cursor of the outbox")
)

// Message is what somebody is to read.
type Message struct {
	Kind   Kind
	Method string // Email, SMS, or the name of an own method
	To     string // a canonical address, a number, or what the own method takes

	// Realm and Person say whom it concerns, for administrators. Both may be zero.
	Realm  string
	Person principal.ID

	// Expires is when the message can no longer be used: it is not sent from then
	// on. Zero: a notice, which is worth sending for three days.
	Expires time.Time

	// Replaces names what an older, unsent message with the same words is made
	// worthless by, such as a person and a method. Empty: nothing.
	Replaces string

	// Data are the fields of the text: see Fields.
	Data map[string]string
}

// Letter is a message with its text, as it is given to a Sender.
type Letter struct {
	ID      string // 32 hexadecimal digits, the same at each try
	Kind    Kind
	Method  string
	To      string
	Realm   string
	Person  principal.ID
	Queued  time.Time
	Expires time.Time
	Subject string // one line
	Text    string // mail: the whole text; other methods: the short one
	HTML    string // mail alone
	Data    map[string]string
}

// Sender gives letters to what carries them. It is safe for concurrent use, ends
// with its context, and answers nil only for what the other side took over. Its
// errors hold no secret. A *Refusal says more than other errors: those may pass.
type Sender interface {
	Send(ctx context.Context, l Letter) error
}

// Refusal is an answer of the other side that is not a success.
type Refusal struct {
	Text  string
	Final bool // no later try can succeed
}

func (r *Refusal) Error() string { return r.Text }

// Options of an Outbox. Store, Derive and Clock are required.
type Options struct {
	Store  store.Store
	Derive func(purpose string) []byte // keys of the store
	Clock  func() time.Time            // the store's
	Logger *slog.Logger                // nil: silent

	// Observe is told each outcome. Nil: nobody is.
	Observe func(Kind, Outcome)

	// Poll is the longest real time between two looks for what is due, so that
	// what another process left behind is found. 0: 5 s.
	Poll time.Duration
}

// Outcome is what became of a message, or of one try, for counters.
type Outcome string

// The outcomes.
const (
	OutcomeQueued     Outcome = "queued"
	OutcomeSent       Outcome = "sent"
	OutcomeFailed     Outcome = "failed" // a try; another one follows
	OutcomeDead       Outcome = "dead"
	OutcomeExpired    Outcome = "expired"
	OutcomeSuperseded Outcome = "superseded"
)

// Outcomes lists them all.
func Outcomes() []Outcome {
	return []Outcome{OutcomeQueued, OutcomeSent, OutcomeFailed, OutcomeDead, OutcomeExpired, OutcomeSuperseded}
}

// Settings are what a configuration says about messages. A reload gives new ones.
type Settings struct {
	Site      string            // the name of the installation, in every text
	Senders   map[string]Sender // by method
	Labels    map[string]string // what people call own methods
	Templates *Templates        // nil: the built-in ones
}

// Outbox is the durable queue and its workers. It is safe for concurrent use.
type Outbox struct {
	Options
	mac      []byte
	settings atomic.Pointer[Settings]

	mu      sync.Mutex
	workers map[string]*workers // by method
	ended   []*workers          // of methods that are no longer configured
	started bool
	closed  bool
}

// New returns an Outbox that sends nothing yet.
func New(o Options) *Outbox {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(Kind, Outcome) {}
	}
	if o.Poll <= 0 {
		o.Poll = 5 * time.Second
	}
	out := &Outbox{Options: o, mac: o.Derive("notify keys"), workers: map[string]*workers{}}
	out.settings.Store(&Settings{})
	return out
}

// Use puts settings in force: for what is queued and rendered from now on. Nothing
// is sent before Start; afterwards the workers follow the settings.
func (o *Outbox) Use(s Settings) {
	o.settings.Store(&s)
	o.mu.Lock()
	started := o.started
	o.mu.Unlock()
	if started {
		o.Start()
	}
}

// Sends reports whether messages by a method would be sent.
func (o *Outbox) Sends(method string) bool { return o.settings.Load().Senders[method] != nil }

// Label is what people call an own method; of all others "".
func (o *Outbox) Label(method string) string { return o.settings.Load().Labels[method] }

// Methods are the methods by which messages are sent, in no order.
func (o *Outbox) Methods() []string {
	var names []string
	for name := range o.settings.Load().Senders {
		names = append(names, name)
	}
	return names
}
