package login

import (
	"errors"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// EndEverything ends what a person, or somebody in their name, has opened: sessions
// with their access and refresh tokens, half logins, links. Browsers and networks are
// no longer known places, so the next sign-in from any of them is told. The caller
// raises the epoch in the same transaction: with it go trusted browsers, and whatever
// is being opened at this moment. Password and factors stay.
func (d *Doors) EndEverything(tx store.Tx, id principal.ID) error {
	if _, err := d.sessions.RevokeAll(tx, id, ""); err != nil {
		return err
	}
	return errors.Join(burnAll(tx, id), dropReset(tx, id), dropInvitation(tx, id), tx.Delete(trustedKey(id)), d.throttle.ForgetPlaces(tx, id))
}

// Forget deletes half logins, links and trusted browsers of a person who is being deleted. It is
// wired to account.Directory.OnDelete.
func (d *Doors) Forget(tx store.Tx, id principal.ID) error {
	return errors.Join(burnAll(tx, id), dropInvitation(tx, id), dropReset(tx, id), dropNotMe(tx, id), tx.Delete(trustedKey(id)))
}
