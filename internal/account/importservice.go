package account

import (
	"errors"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ViaUngleich is the facade of which services may come (NewService.Via).
const ViaUngleich = "ungleich"

// ImportService makes a service that comes from elsewhere with its seed, and with a
// missing realm. Which one exists already stays as it is, or with update gets the
// description and the state (disabled; nil: nothing is said of it) that the import
// names, never another seed: it may have been rotated here since.
//
// Via counts for a service that it makes, and only where a is Local or System.
//
// As for Import, a refusal comes before anything was written.
// Errors: those of CreateService and of UpdateService.
func (d *Directory) ImportService(tx store.Tx, a Actor, n NewService, disabled *bool, update bool) (*Service, Outcome, error) {
	ref, err := d.planService(tx, a, n)
	if err != nil {
		return nil, 0, err
	}
	old, err := d.ServiceByRef(tx, ref)
	switch {
	case err == nil && update:
		return d.refreshService(tx, a, old, n, disabled)
	case err == nil:
		return old, Existed, nil
	case !errors.Is(err, ErrUnknownService):
		return nil, 0, err
	}
	if _, err := lookup(tx, nameKey(ref)); err == nil {
		return nil, 0, refuse(ErrExists, "%s exists already, and is a user", ref)
	} else if !errors.Is(err, ErrUnknownUser) {
		return nil, 0, err
	}
	n.MakeRealm = true
	s, err := d.createService(tx, a, n)
	if err == nil && disabled != nil && *disabled {
		s, err = d.UpdateService(tx, a, s.Ref(), ServiceChange{Disabled: disabled})
	}
	return s, Created, err
}

// planService finds, without a write, everything for which CreateService would
// refuse the fields, and the one spelling of the name.
func (d *Directory) planService(tx store.Tx, a Actor, n NewService) (principal.Ref, error) {
	realm, err := principal.CanonicalRealm(n.Ref.Realm)
	if err != nil {
		return principal.Ref{}, refuse(ErrInvalid, "%v", err)
	}
	r, err := d.rights(tx, a)
	if err != nil {
		return principal.Ref{}, err
	}
	if err := r.over(tx, Create, realm); err != nil {
		return principal.Ref{}, err
	}
	switch {
	case n.Via != "" && n.Via != ViaUngleich:
		return principal.Ref{}, refuse(ErrInvalid, "via is %s or left out: services come through no other facade", ViaUngleich)
	case n.Via != "" && !r.all: // it hands the service to the facade's administrators
		return principal.Ref{}, refuse(ErrForbidden, "only the command line says through which facade a service came")
	}
	if n.Seed == nil {
		return principal.Ref{}, refuse(ErrInvalid, "a service that is imported brings its seed: a new one would be shown to nobody")
	}
	s, _, err := d.newService(tx, realm, n)
	if err != nil {
		return principal.Ref{}, err
	}
	return s.Ref(), nil
}

func (d *Directory) refreshService(tx store.Tx, a Actor, old *Service, n NewService, disabled *bool) (*Service, Outcome, error) {
	c := ServiceChange{Disabled: disabled}
	if n.Description != "" {
		c.Description = &n.Description
	}
	before := old.Version
	s, err := d.UpdateService(tx, a, old.Ref(), c)
	if err != nil {
		return nil, 0, err
	}
	if s.Version == before {
		return s, Existed, nil
	}
	return s, Updated, nil
}
