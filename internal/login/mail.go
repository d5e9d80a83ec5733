package login

import (
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

var (
	// ErrNoMail: nobody sends mail here, or there is no portal that a link could
	// lead to.
	ErrNoMail = errors.New("mail is not configured: set `mail` and `portal` in the configuration")
	// ErrNoAddress: the record has no address, or one that nobody confirmed.
	ErrNoAddress = errors.New("there is no confirmed address to send to: set the user's address first")
)

// Mail sends to people's mailboxes. Each call puts one message into the caller's
// transaction: it is on its way exactly if that commits, and nobody waits for its
// delivery. It writes as much whoever it goes to: MailWrites records.
//
// Links are built from the configured portal alone, never from what a request says
// about its host (security-model section 4). Addresses and numbers are those of the
// account's record; the one exception is Registration, whose address has no record.
//
// An error means that the store failed. What cannot be sent at all is no error: it is
// for the queue to say so, to administrators.
type Mail interface {
	// Links reports whether mail and a portal are configured, so that links can be
	// sent. It does not change while the process runs.
	Links() bool
	// Reset sends a link for a new password (ResetPath). It is good for life.
	Reset(tx store.Tx, u *account.User, token secret.Token, life time.Duration) error
	// Invitation sends a link for the first password (InvitePath).
	Invitation(tx store.Tx, u *account.User, token secret.Token, life time.Duration) error
	// Registration sends a link for an account that does not exist yet (RegisterPath).
	Registration(tx store.Tx, realm, address string, token secret.Token, life time.Duration) error
	// AccountExists says to whom an account belongs that somebody wanted to register
	// with its address: who forgot that may ask for a new password.
	AccountExists(tx store.Tx, u *account.User) error
	// Notice tells a person what happened to the account.
	Notice(tx store.Tx, n Notice) error
}

// MailWrites is how many records a message of Mail writes into an empty queue: its own,
// two that find it, and two that say when its receiver is looked at. Where nothing is
// sent, and nobody may know, so many others are written.
const MailWrites = 5

// Where links lead below the portal, with ?token= behind: pages that trade the token
// for a cookie at once.
const (
	ResetPath    = "/sallyport/reset/confirm"
	InvitePath   = "/sallyport/invite"
	RegisterPath = "/sallyport/register/confirm"
	NotMePath    = "/sallyport/not-me"
)

// links answers ErrNoMail where no link can be sent. It depends on the configuration
// alone, so everybody may hear it.
func (d *Doors) links() error {
	if d.mail == nil || !d.mail.Links() {
		return ErrNoMail
	}
	return nil
}

// MailsLinks reports whether links can be sent, for pages that offer what needs them.
func (d *Doors) MailsLinks() bool { return d.links() == nil }

// reachable reports whether mail may go to a person: to an address that a code
// confirmed, or that an administrator set.
func reachable(u *account.User) bool { return u.Email != "" && !u.Unconfirmed }

// peekMailed completes what a page may know of the cookie of a mailed link. It answers
// ErrDenied where the link itself is dead.
func (d *Doors) peekMailed(tx store.Tx, token string, t ticket, state *State) error {
	if t.State == Registering {
		l, _, err := d.registeringBy(tx, RegisterAttempt{Door: Portal, Token: token})
		if err != nil {
			return err
		}
		state.Realm, state.Address, state.TriesLeft = l.Realm, l.Address, RegisterPosts-l.Posts
		return nil
	}
	if t.State == Objecting {
		l, err := d.objecting(tx, token, Portal)
		if err != nil {
			return err
		}
		u, err := d.objector(tx, l)
		if err != nil {
			return err
		}
		state.Name, state.Realm = u.Name, u.Realm
		return nil
	}
	l, u, _, err := d.resetting(tx, ResetAttempt{Door: Portal, Token: token})
	if err != nil {
		return err
	}
	state.Name, state.Realm, state.TriesLeft = u.Name, u.Realm, ResetTries-l.Wrong
	if u.Factors() == 0 {
		return nil
	}
	state.Method, state.Others, err = d.resetWays(tx, u)
	state.NoWay = state.Method == ""
	return err
}
