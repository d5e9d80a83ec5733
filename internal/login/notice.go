package login

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// NoticeKind is what a notice is about. Each has a text of its own.
type NoticeKind string

const (
	SignedIn          NoticeKind = "signed_in" // from a browser and network that are not known
	PasswordChanged   NoticeKind = "password_changed"
	ResetUsed         NoticeKind = "reset_used" // a link for a new password
	FactorAdded       NoticeKind = "factor_added"
	EnrolledByAdmin   NoticeKind = "enrolled_by_admin" // a factor, by somebody else
	FactorRemoved     NoticeKind = "factor_removed"    // one, or with no Method all
	FactorPrimary     NoticeKind = "factor_primary"    // another one is asked for first
	RecoveryCodesMade NoticeKind = "recovery_codes_made"
	RecoveryCodeUsed  NoticeKind = "recovery_code_used"
	BrowserTrusted    NoticeKind = "browser_trusted"
	AddressChanged    NoticeKind = "address_changed" // address or number: Method says which
	PasskeyCloned     NoticeKind = "passkey_cloned"  // it may have been copied, and was disabled
)

// Notice tells a person what happened to the account, with a way to say that it was
// somebody else.
type Notice struct {
	Kind    NoticeKind
	User    *account.User
	To      string // the address: confirmed, or set by an administrator; after a change of address the one before
	At      time.Time
	Client  netip.Addr // where from; invalid: nobody knows
	Browser string     // as it calls itself; "": nobody knows
	Method  string     // the factor, the door, or the field
	By      string     // who did it; "": the person, as far as we know
	// NotMe is the token of the link that says so (NotMePath), good for NotMeLife.
	// Zero where no link can be sent: then the text names the administrator.
	NotMe secret.Token
}

// Notify sends the notice that belongs to an event, if one does, in the event's own
// transaction. It is given to audit.Log.Within, so that no door can forget it: every
// change of password, factors, recovery codes and addresses, and a sign-in from a place
// that is not known, whoever made it and by whichever door. Events that are Aside, and
// persons without a confirmed address, get none.
func (d *Doors) Notify(tx store.Tx, e audit.Event) error {
	kind := noticeOf(e)
	if kind == "" || d.mail == nil || e.Aside || e.Outcome != audit.OK || e.Principal.IsZero() {
		return nil
	}
	u, err := d.dir.ByID(tx, e.Principal)
	if errors.Is(err, account.ErrUnknownUser) {
		return nil // a service, or somebody who is being deleted
	}
	if err != nil {
		return err
	}
	n := Notice{Kind: kind, User: u, At: tx.Now(), Client: e.Client, Method: e.Method, By: e.Actor}
	if n.Browser, err = d.browserOf(tx, e.Session); err != nil {
		return err
	}
	if kind == AddressChanged {
		n.Method = e.Detail["fields"]
	}
	for _, n.To = range recipients(u, e, tx.Now()) {
		if d.mail.Links() {
			if n.NotMe, err = newNotMe(tx, u.ID); err != nil {
				return err
			}
		}
		if err := d.mail.Notice(tx, n); err != nil {
			return err
		}
	}
	return nil
}

// noticeOf is the kind of notice that an event asks for; "": none.
func noticeOf(e audit.Event) NoticeKind {
	switch e.Kind {
	case audit.KindLogin:
		if e.Detail[placeDetail] == newPlace {
			return SignedIn
		}
	case audit.KindPasswordChange:
		return PasswordChanged
	case audit.KindReset:
		return ResetUsed
	case audit.KindFactorAdd:
		if e.Actor != "" {
			return EnrolledByAdmin
		}
		return FactorAdded
	case audit.KindFactorRemove, audit.KindFactorReset:
		return FactorRemoved
	case audit.KindFactorClone:
		return PasskeyCloned
	case audit.KindFactorPrimary:
		return FactorPrimary
	case audit.KindRecoveryNew:
		return RecoveryCodesMade
	case audit.KindRecovery:
		return RecoveryCodeUsed
	case audit.KindTrustedAdd:
		return BrowserTrusted
	case audit.KindUserUpdate:
		if changes(e, "email") || changes(e, "phone") {
			return AddressChanged
		}
	}
	return ""
}

// What the event of a login says of where it came from.
const (
	placeDetail = "place"
	newPlace    = "new"
)

func changes(e audit.Event, field string) bool {
	for f := range strings.SplitSeq(e.Detail["fields"], ",") {
		if f == field {
			return true
		}
	}
	return false
}

// recipients are the addresses that a notice goes to. Of a change of the address both
// mailboxes hear: whoever took an account over has the new one.
func recipients(u *account.User, e audit.Event, now time.Time) (to []string) {
	if e.Kind == audit.KindUserUpdate && u.FormerEmail != "" && u.FormerAt.Equal(now) {
		to = append(to, u.FormerEmail)
	}
	if reachable(u) {
		to = append(to, u.Email)
	}
	return to
}

// browserOf is what the browser of a session calls itself.
func (d *Doors) browserOf(tx store.Tx, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	s, err := d.sessions.Get(tx, id)
	if errors.Is(err, session.ErrNone) {
		return "", nil
	}
	return s.Origin.UserAgent, err
}
