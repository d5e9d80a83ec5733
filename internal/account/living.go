package account

import (
	"errors"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// Living knows which sessions live. Alive answers an error unless this one does,
// as the transaction sees it.
type Living interface {
	Alive(tx store.Tx, sessionID string) error
}

// SetLiving has every change ask whether the session lives that the actor came
// with (see Actor.From), in the transaction of the change: who is calling was
// found out earlier, and the session may have been revoked since. It is called
// before the first use; without it no change that comes from a session is made.
func (d *Directory) SetLiving(l Living) { d.living = l }

// Alive answers what Living says of the session that an actor came with; nil
// where it came with none. Rooms that change their own records of a person ask
// it where no right has to be checked. Errors: those of Living.
func (d *Directory) Alive(tx store.Tx, a Actor) error {
	if a.session == "" {
		return nil
	}
	if d.living == nil { // closed, not forgotten
		return errors.New("ask whether a session lives: nobody was set to answer (SetLiving)")
	}
	return d.living.Alive(tx, a.session)
}
