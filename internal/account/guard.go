package account

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// administrators is the one record of who administers. Every change reads it by
// Get, so of two that would together remove the last administrator one fails.
type administrators struct {
	store.Meta
	IDs []principal.ID `json:"ids"`
}

// isAdministrator: an enabled person of admin with a confirmed factor.
func isAdministrator(u *User) bool {
	return u.Realm == AdminRealm && !u.Disabled && u.Factors() > 0
}

func loadAdministrators(tx store.Tx) (*administrators, error) {
	g, err := store.Load[administrators](tx, store.K(store.PrefixAccount, keyGuard))
	if errors.Is(err, store.ErrNotFound) {
		return &administrators{}, nil
	}
	return g, err
}

// Administrators counts the enabled persons of admin with a confirmed factor. It
// reads one record by Get: what a transaction decides on it holds at the commit.
func (d *Directory) Administrators(tx store.Tx) (int, error) {
	g, err := loadAdministrators(tx)
	if err != nil {
		return 0, err
	}
	return len(g.IDs), nil
}

// keepGuard brings the record to what u is about to be. The last administrator
// cannot vanish, except by the command line on the server's machine: whoever
// stands there can make another one with a setup link.
func keepGuard(tx store.Tx, r rights, u *User, administers bool) error {
	if u.Realm != AdminRealm {
		return nil
	}
	g, err := loadAdministrators(tx)
	if err != nil {
		return err
	}
	i := slices.Index(g.IDs, u.ID)
	switch {
	case administers == (i >= 0):
		return nil
	case administers:
		g.IDs = append(g.IDs, u.ID)
	case len(g.IDs) == 1 && r.actor.kind != local:
		return refuse(ErrLastAdministrator, "%s is the last administrator who can log in; make another one first", u.Ref())
	default:
		g.IDs = slices.Delete(g.IDs, i, i+1)
	}
	return store.Save(tx, store.K(store.PrefixAccount, keyGuard), g, noExpiry)
}

// Reasons of MayEnroll, for the event.
const (
	reasonHasFactor = "has_factor"
	reasonOff       = "enrollment_off"
	reasonInvite    = "needs_invitation"
	reasonTooLate   = "too_late"
)

// MayEnroll says whether a person who proved only a password may enrol a first
// factor now, by the realm's setting enrollment: "first-login" within FirstLogin
// of creation or of the latest invitation, "invitation" (always for admin) within
// Invitation of an invitation, "off" never. Whoever has a factor uses it. reason is
// one word for the event, empty if the answer is yes.
func (d *Directory) MayEnroll(tx store.Tx, u *User) (ok bool, reason string, err error) {
	if u.Factors() > 0 {
		return false, reasonHasFactor, nil
	}
	r, err := d.Realm(tx, u.Realm)
	if err != nil {
		return false, "", err
	}
	within := func(since time.Time, span time.Duration) bool {
		return !since.IsZero() && tx.Now().Sub(since) < span
	}
	switch r.Enrollment {
	case EnrollOpen:
		if r.Demanded() < 2 {
			return true, "", nil
		}
	case EnrollFirstLogin:
		if within(u.CreatedAt, FirstLogin) || within(u.InvitedAt, FirstLogin) {
			return true, "", nil
		}
		return false, reasonTooLate, nil
	case EnrollInvitation:
		if within(u.InvitedAt, Invitation) {
			return true, "", nil
		}
		return false, reasonInvite, nil
	}
	return false, reasonOff, nil
}
