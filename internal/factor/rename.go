package factor

import (
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// named is a way whose devices have names of their owner's.
type named interface {
	// rename gives a device a name; "": what the method says by itself. No such device:
	// ErrNoMethod.
	rename(tx store.Tx, id principal.ID, device, label string) error
}

// Rename gives a device a name, which opens nothing: no session ends, and no code is
// asked for. Errors: ErrNoMethod (also where the method's devices have no names of their
// own), account.ErrInvalid, and those of account.
func (f *Factors) Rename(tx store.Tx, actor account.Actor, id principal.ID, method Name, device, label string) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	if err := f.authorize(tx, actor, u); err != nil {
		return err
	}
	if err := account.ValidLabel(label); err != nil {
		return err
	}
	w, err := f.wayOf(method)
	n, ok := w.(named)
	if err != nil || !ok || !has(u, method) {
		return ErrNoMethod
	}
	if err := n.rename(tx, id, device, label); err != nil {
		return err
	}
	devices, err := w.devices(tx, u)
	if err != nil || len(devices) != 1 {
		return err
	}
	methods := slices.Clone(u.Methods) // of the only one the summary tells the name too
	for i := range methods {
		if methods[i].Name == string(method) {
			methods[i].Label = devices[0].Label
		}
	}
	_, err = f.dir.SetMethods(tx, actor, id, methods, false)
	return err
}

func (w *totpWay) rename(tx store.Tx, id principal.ID, device, label string) error {
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return err
	}
	for _, s := range rec.all() {
		if s.device() == device {
			s.Name = label
			return saveTOTP(tx, id, rec)
		}
	}
	return ErrNoMethod
}

func (w *yubiWay) rename(tx store.Tx, id principal.ID, device, label string) error {
	rec, err := loadYubi(tx, id)
	if err != nil {
		return err
	}
	for i := range rec.Keys {
		if rec.Keys[i].ID == device {
			rec.Keys[i].Name = label
			return saveYubi(tx, id, rec)
		}
	}
	return ErrNoMethod
}
