package account

import "github.com/sallyport-auth/sallyport/internal/store"

// Stored returns a realm as it is stored: without defaults, and without what
// the configuration says. Whoever changes one setting and keeps the others
// starts from it, so that no default is written back as a choice.
// Errors: ErrUnknownRealm.
func (d *Directory) Stored(tx store.Tx, name string) (Realm, error) {
	r, err := loadRealm(tx, name)
	if err != nil {
		return Realm{}, err
	}
	return *r, nil
}
