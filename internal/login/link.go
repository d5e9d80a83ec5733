package login

import (
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// link is the record of a link: the only kind of secret that stands in a URL.
// Opening it burns nothing, because mail scanners open links: it is traded for
// an ephemeral token in a cookie, and what that token does burns the link.
type link struct {
	store.Meta
	Hash      []byte       `json:"hash"` // SHA-256 of the token: who holds the record opens nothing
	Principal principal.ID `json:"principal"`
	Epoch     uint64       `json:"epoch"`
	Expires   time.Time    `json:"expires"` // until then it may be traded
}

// The newest link of each kind is the good one, so its record stands under its
// purpose, not under its hash.
func setupKey() store.Key { return store.K(store.PrefixLogin, "setup") }

func invitationKey(id principal.ID) store.Key { return store.K(store.PrefixLogin, "invitation", id) }

// invitationIndex leads from a token to its person.
func invitationIndex(hash []byte) store.Key {
	return store.K(store.PrefixLogin, "invitation-of", hash)
}

// grace is how long the record of a link outlives it: a cookie that was traded
// for it in the last moment is good for its whole life.
const grace = LinkCookieLife

// saveLink stores a new link.
func saveLink(tx store.Tx, key store.Key, l *link, life time.Duration) (secret.Token, error) {
	token := secret.NewToken(secret.Link)
	hash := token.Hash()
	l.Hash, l.Expires = hash[:], tx.Now().Add(life)
	return token, store.Save(tx, key, l, l.Expires.Add(grace))
}

// loadLink answers ErrDenied where there is none.
func loadLink(tx store.Tx, key store.Key) (*link, error) {
	l, err := store.Load[link](tx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrDenied
	}
	return l, err
}
