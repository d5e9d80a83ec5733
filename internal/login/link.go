package login

import (
	"crypto/hmac"
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

	// What was sent by mail is bound to the address: in another mailbox it is dead.
	Address string `json:"address,omitempty"`
	Realm   string `json:"realm,omitempty"` // registration: where the account is to be
	Wrong   int    `json:"wrong,omitempty"` // codes, whatever cookie they came with
	Posts   int    `json:"posts,omitempty"` // passwords that were hashed
}

// saveMailed stores a new link, and under index what leads from its token to it.
func saveMailed(tx store.Tx, key store.Key, index func(hash []byte) store.Key, l *link, life time.Duration) (secret.Token, error) {
	token, err := saveLink(tx, key, l, life)
	if err != nil {
		return secret.Token{}, err
	}
	lead := &link{Hash: l.Hash, Principal: l.Principal, Expires: l.Expires, Address: l.Address, Realm: l.Realm}
	return token, store.Save(tx, index(l.Hash), lead, l.Expires.Add(grace))
}

// dropMailed makes the link under key worthless, if there is one.
func dropMailed(tx store.Tx, key store.Key, index func(hash []byte) store.Key) error {
	l, err := loadLink(tx, key)
	if errors.Is(err, ErrDenied) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(tx.Delete(index(l.Hash)), tx.Delete(key))
}

// lead reads where a link's token leads, while it may be opened.
// Errors: ErrDenied.
func lead(tx store.Tx, token string, index func(hash []byte) store.Key) (*link, error) {
	hash, err := linkHash(token)
	if err != nil {
		return nil, err
	}
	l, err := loadLink(tx, index(hash))
	if err != nil {
		return nil, err
	}
	if !tx.Now().Before(l.Expires) {
		return nil, ErrDenied
	}
	return l, nil
}

// newest reads the link under key if it is the one with this hash. Errors: ErrDenied.
func newest(tx store.Tx, key store.Key, hash []byte) (*link, error) {
	l, err := loadLink(tx, key)
	if err == nil && !hmac.Equal(l.Hash, hash) {
		err = ErrDenied
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// saveUsed writes a link back that was used without being spent; its life stays.
func saveUsed(tx store.Tx, key store.Key, l *link) error {
	return store.Save(tx, key, l, l.Expires.Add(grace))
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
