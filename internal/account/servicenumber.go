package account

import (
	"errors"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// numbered leads from a service's number to its name.
type numbered struct {
	store.Meta
	Ref principal.Ref `json:"ref"`
}

func numberKey(n uint64) store.Key { return store.K(store.PrefixAccount, keyNumber, n) }

func saveNumber(tx store.Tx, s *Service) error {
	return store.Save(tx, numberKey(s.Number), &numbered{Ref: s.Ref()}, noExpiry)
}

// ServiceByNumber finds a service by the number that facades show.
// Errors: ErrUnknownService.
func (d *Directory) ServiceByNumber(tx store.Tx, n uint64) (*Service, error) {
	rec, err := store.Load[numbered](tx, numberKey(n))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknownService
	}
	if err != nil {
		return nil, err
	}
	return d.ServiceByRef(tx, rec.Ref)
}

// RenameService moves a service to another name, or realm. The id, the number, the
// seeds and what was burned of them stay; access tokens end, because they carry the
// name.
// Errors: ErrUnknownService, ErrUnknownRealm, ErrExists, ErrInvalid, ErrForbidden, ErrNotFresh.
func (d *Directory) RenameService(tx store.Tx, a Actor, ref, to principal.Ref) (*Service, error) {
	s, rights, err := d.serviceTarget(tx, a, ref, Update)
	if err != nil {
		return nil, err
	}
	if to.Realm, err = principal.CanonicalRealm(to.Realm); err != nil {
		return nil, refuse(ErrInvalid, "%v", err)
	}
	if to.Name, err = d.serviceName(tx, to.Name, to.Realm); err != nil {
		return nil, err
	}
	if to == s.Ref() {
		return s, nil
	}
	// Under the new name it is somebody that was not there, and the old one is gone.
	if err := errors.Join(rights.over(tx, Delete, s.Realm), rights.over(tx, Create, to.Realm)); err != nil {
		return nil, err
	}
	if err := d.realmOfNew(tx, rights, to.Realm, false); err != nil {
		return nil, err
	}
	if err := d.letGo(tx, s, s.Seeds); err != nil { // burned for whoever brings the seed back under the old name
		return nil, err
	}
	if err := claimName(tx, to, s.ID, principal.Service); err != nil {
		return nil, err
	}
	for _, key := range []store.Key{serviceKey(s.Ref()), nameKey(s.Ref())} {
		if err := tx.Delete(key); err != nil {
			return nil, err
		}
	}
	if err := addMember(tx, s.Realm, -1); err != nil {
		return nil, err
	}
	old := s.Ref()
	s.Name, s.Realm = to.Name, to.Realm
	s.Epoch++
	if err := saveService(tx, s); err != nil {
		return nil, err
	}
	e := aboutService(s, audit.KindServiceUpdate)
	e.Detail = map[string]string{"fields": "name", "was": old.String()}
	return s, d.record(tx, rights, e)
}

// Reaches refuses a facade a service of a realm with capabilities, or of a closed one,
// that was not created through it. Everybody else it lets pass: their rights say more.
// Errors: ErrForbidden; others: the store failed.
func (d *Directory) Reaches(tx store.Tx, a Actor, s *Service) error {
	if a.kind != facade || s.Via == a.name {
		return nil
	}
	r, err := loadRealm(tx, s.Realm)
	if err != nil {
		return err
	}
	if len(r.Grants) > 0 || a.shut(s.Realm) {
		return refuse(ErrForbidden, "a facade does not touch principals of %s that were not created through it", s.Realm)
	}
	return nil
}
