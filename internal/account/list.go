package account

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// MaxList is the most users in one answer of List.
const MaxList = 500

const (
	maxQuery  = principal.MaxName // of q, in bytes
	maxCursor = 4 << 10           // bytes
	maxRead   = 4 * MaxList       // index records looked at for one page
)

// place is where a List goes on: after the index record with this last part, in
// this index of this realm.
type place struct {
	Realm string `json:"r"`
	Index string `json:"i"`
	After string `json:"a,omitempty"`
	Begun bool   `json:"b,omitempty"` // After counts: a name may be empty
}

// List pages through the users of a realm (empty: of all realms) whose name or
// address begins with q (empty: all), at most limit of them (1 to MaxList; what
// lies outside is moved there). They come realm by realm: first those whose name
// begins with q, by name, then those of whom only the address does, by address.
// next is the cursor of the following page, empty at the end; the same realm and q
// belong to it. A page may be short and still have a next one. That the caller may
// see the realm, Allowed says.
//
// A cursor says where to go on within the list that realm and q choose and nothing
// else, so one that was tampered with shows nothing more. Errors: ErrCursor.
func (d *Directory) List(tx store.Tx, realm, q, cursor string, limit int) (users []User, next string, err error) {
	p, err := parsePlace(cursor)
	if err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), MaxList)
	realms, err := d.listedRealms(tx, realm)
	if err != nil {
		return nil, "", err
	}
	users = []User{}
	if len(q) > maxQuery {
		return users, "", nil
	}
	q = strings.ToLower(q) // as names and addresses are
	for _, r := range realms {
		for _, index := range []string{keyName, keyAddress} {
			here := place{Realm: r.Name, Index: index}
			if index == keyAddress && q == "" || here.before(p) {
				continue
			}
			if here.same(p) {
				here = p
			}
			last, full, err := d.listIndex(tx, here, q, limit, &users)
			if err != nil {
				return nil, "", err
			}
			if full {
				return users, last.String(), nil
			}
		}
	}
	return users, "", nil
}

// listIndex adds users of one index until there are limit of them; full says that
// the index has more behind last.
func (d *Directory) listIndex(tx store.Tx, p place, q string, limit int, users *[]User) (last place, full bool, err error) {
	prefix := store.KStart(store.PrefixAccount, p.Index, p.Realm, store.OpenString(q))
	var from []byte
	if p.Begun {
		from = store.Next(store.K(store.PrefixAccount, p.Index, p.Realm, p.After))
	}
	last, read := p, 0
	for item, err := range tx.Scan(prefix, from) {
		if err != nil {
			return last, false, err
		}
		if len(*users) == limit || read == maxRead {
			return last, true, nil
		}
		read++
		parts, ok := store.Parts(store.PrefixAccount, item.Key)
		rec, err := store.Decode[indexed](item.Value)
		if err != nil || !ok || len(parts) != 3 {
			return last, false, refuse(store.ErrNotFound, "an index record of users cannot be read")
		}
		last.After, last.Begun = string(parts[2]), true
		if rec.kind() != principal.User {
			continue
		}
		u, err := d.ByID(tx, rec.ID)
		if err != nil {
			return last, false, err
		}
		if p.Index == keyAddress && strings.HasPrefix(u.Name, q) {
			continue // came by name
		}
		*users = append(*users, *u)
	}
	return last, false, nil
}

func (d *Directory) listedRealms(tx store.Tx, realm string) ([]Realm, error) {
	if realm == "" {
		return d.Realms(tx)
	}
	r, err := d.Realm(tx, realm)
	if errors.Is(err, ErrUnknownRealm) {
		return nil, nil
	}
	return []Realm{r}, err
}

// before: the names of a realm come before its addresses.
func (p place) before(other place) bool {
	if p.Realm != other.Realm {
		return p.Realm < other.Realm
	}
	return p.Index == keyName && other.Index == keyAddress
}

func (p place) same(other place) bool { return p.Realm == other.Realm && p.Index == other.Index }

func (p place) String() string {
	text, _ := json.Marshal(p) // strings alone: never fails
	return base64.RawURLEncoding.EncodeToString(text)
}

func parsePlace(cursor string) (place, error) {
	if cursor == "" {
		return place{}, nil
	}
	p, err := decodePlace(cursor)
	if err != nil || p.Index != keyName && p.Index != keyAddress {
		return place{}, ErrCursor
	}
	return p, nil
}

func decodePlace(cursor string) (p place, err error) {
	if len(cursor) > maxCursor {
		return place{}, ErrCursor
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || json.Unmarshal(text, &p) != nil {
		return place{}, ErrCursor
	}
	return p, nil
}
