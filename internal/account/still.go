package account

import (
	"errors"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Still returns the record of a service that proved itself before tx began. One that
// was disabled, rotated, deleted or replaced since may do nothing.
// Errors: ErrForbidden; others: the store failed.
func (d *Directory) Still(tx store.Tx, who *Identity) (*Service, error) {
	if who == nil || who.Kind != principal.Service {
		return nil, ErrForbidden
	}
	s, err := d.ServiceByRef(tx, principal.Ref{Name: who.Name, Realm: who.Realm})
	if errors.Is(err, ErrUnknownService) {
		return nil, ErrForbidden
	}
	if err != nil {
		return nil, err
	}
	if now := s.Identity(); now.ID != who.ID || now.Epoch != who.Epoch || !now.Enabled {
		return nil, ErrForbidden
	}
	return s, nil
}
