package account

import (
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Is reports whether the actor is this person, acting on the own record.
func (a Actor) Is(id principal.ID) bool { return a.kind == self && a.id == id }

// Record writes the event of a change that another room made to its own records
// of a person, with the actor's name, client and session. That the actor may make
// the change has been checked. Errors: ErrForbidden.
func (d *Directory) Record(tx store.Tx, a Actor, e audit.Event) error {
	r, err := d.rightsOf(tx, a)
	if err != nil {
		return err
	}
	return d.record(tx, r, e)
}
