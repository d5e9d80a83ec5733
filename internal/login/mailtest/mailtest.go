// Package mailtest is the mail of tests: it checks what login.Mail promises to whoever
// sends, and hands back the tokens that would stand in links.
package mailtest

import (
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Kinds of letters that are no notices; a notice's is that of the notice.
const (
	Reset         = "reset"
	Invitation    = "invitation"
	Registration  = "registration"
	AccountExists = "account_exists"
)

// Letter is what was sent.
type Letter struct {
	Kind   string
	To     string
	Realm  string
	Name   string // of the person, as name@realm; "": there is none yet
	Token  string // of the link; "": none
	Notice login.Notice
}

// Mail is a login.Mail. It is safe for concurrent use.
type Mail struct {
	t       testing.TB
	noLinks bool

	mu   sync.Mutex
	sent []Letter
}

// New returns mail with a portal; WithoutLinks one that has none.
func New(t testing.TB) *Mail          { return &Mail{t: t} }
func WithoutLinks(t testing.TB) *Mail { return &Mail{t: t, noLinks: true} }

// message is what stands in the queue, so that a test that counts what a transaction
// writes sees it.
type message struct {
	store.Meta
	Letter string `json:"letter"`
}

// send queues: a letter counts when the transaction committed.
func (m *Mail) send(tx store.Tx, l Letter, token secret.Token) error {
	if !token.IsZero() {
		l.Token = token.Reveal()
	}
	for range login.MailWrites {
		key := store.K(store.PrefixNotify, "test", principal.NewID())
		if err := store.Save(tx, key, &message{Letter: l.Kind}, tx.Now().Add(time.Hour)); err != nil {
			return err
		}
	}
	tx.After(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sent = append(m.sent, l)
	})
	return nil
}

// Sent are all letters so far, oldest first.
func (m *Mail) Sent() []Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Letter(nil), m.sent...)
}

// Count is how many letters of a kind were sent.
func (m *Mail) Count(kind string) (n int) {
	for _, l := range m.Sent() {
		if l.Kind == kind {
			n++
		}
	}
	return n
}

// Last is the newest letter of a kind. It fails the test where there is none.
func (m *Mail) Last(kind string) Letter {
	m.t.Helper()
	all := m.Sent()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == kind {
			return all[i]
		}
	}
	m.t.Fatalf("no letter %s was sent: %d others", kind, len(all))
	return Letter{}
}

func (m *Mail) Links() bool { return !m.noLinks }

func (m *Mail) Reset(tx store.Tx, u *account.User, token secret.Token, life time.Duration) error {
	m.check(u, token, life == login.ResetLife)
	return m.send(tx, letterTo(Reset, u), token)
}

func (m *Mail) Invitation(tx store.Tx, u *account.User, token secret.Token, life time.Duration) error {
	m.check(u, token, life == account.Invitation)
	return m.send(tx, letterTo(Invitation, u), token)
}

func (m *Mail) Registration(tx store.Tx, realm, address string, token secret.Token, life time.Duration) error {
	if canonical, err := principal.CanonicalAddress(address); err != nil || canonical != address || realm == "" {
		m.t.Errorf("a registration for %q in %q: not in their one spelling", address, realm)
	}
	if token.Kind() != secret.Link || life != login.RegisterLife || m.noLinks {
		m.t.Errorf("a registration with a token %q for %s", token.Kind(), life)
	}
	return m.send(tx, Letter{Kind: Registration, To: address, Realm: realm}, token)
}

func (m *Mail) AccountExists(tx store.Tx, u *account.User) error {
	if u == nil || u.Email == "" {
		m.t.Error("an account that exists, and has no address")
	}
	return m.send(tx, letterTo(AccountExists, u), secret.Token{})
}

func (m *Mail) Notice(tx store.Tx, n login.Notice) error {
	if n.User == nil || n.To == "" || n.At.IsZero() || n.Kind == "" {
		m.t.Errorf("a notice without person, address, time or kind: %s", n.Kind)
	}
	if n.To != n.User.FormerEmail && (n.To != n.User.Email || n.User.Unconfirmed) {
		m.t.Errorf("notice %s goes to an address that nobody confirmed", n.Kind)
	}
	if n.NotMe.IsZero() != m.noLinks {
		m.t.Errorf("notice %s, links %v: has a link: %v", n.Kind, !m.noLinks, !n.NotMe.IsZero())
	}
	l := letterTo(string(n.Kind), n.User)
	l.To, l.Notice = n.To, n
	return m.send(tx, l, n.NotMe)
}

func letterTo(kind string, u *account.User) Letter {
	return Letter{Kind: kind, To: u.Email, Realm: u.Realm, Name: u.Ref().String()}
}

// check refuses a link that must not go out.
func (m *Mail) check(u *account.User, token secret.Token, life bool) {
	if u == nil || u.Email == "" || u.Unconfirmed || u.Disabled {
		m.t.Error("a link goes to an address that nobody confirmed, or to who is disabled")
	}
	if token.Kind() != secret.Link || !life || m.noLinks {
		m.t.Errorf("a link with a token %q; its life is as documented: %v", token.Kind(), life)
	}
}
