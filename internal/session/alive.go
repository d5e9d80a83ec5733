package session

import "github.com/sallyport-auth/sallyport/internal/store"

// Alive answers ErrNone unless the session lives in the caller's transaction:
// what is decided there by somebody who came with it is not made after its end.
func (r *Registry) Alive(tx store.Tx, id string) error {
	_, err := r.Get(tx, id)
	return err
}
