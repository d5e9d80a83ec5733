package session

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Records below "s/": "i" id → session, "d" hash → session of a domain token,
// "p" principal → its sessions, "r" hash → session of a refresh token.

// record is a session in the store.
type record struct {
	store.Meta
	Principal  principal.ID  `json:"principal"`
	Epoch      uint64        `json:"epoch"`
	AMR        AMR           `json:"amr"`
	PasswordAt second        `json:"password_at,omitempty"`
	FactorAt   second        `json:"factor_at,omitempty"`
	Created    second        `json:"created"`
	IdleUntil  second        `json:"idle_until"`
	Until      second        `json:"until"`
	Idle       uint32        `json:"idle"` // seconds
	Remember   bool          `json:"remember,omitempty"`
	Kind       Kind          `json:"kind"`
	Client     netip.Addr    `json:"client,omitzero"`
	UserAgent  string        `json:"user_agent,omitempty"`
	Portal     []byte        `json:"portal"` // hash of the portal token; its first half is the id
	Domain     []byte        `json:"domain,omitempty"`
	Refresh    *refreshState `json:"refresh,omitempty"`
}

// pointer is the record of a token that leads to a session.
type pointer struct {
	store.Meta
	Session []byte `json:"session"`
}

func sessionKey(id name) []byte         { return store.K(store.PrefixSession, "i", id[:]) }
func domainKey(hash []byte) []byte      { return store.K(store.PrefixSession, "d", hash) }
func refreshKey(hash []byte) []byte     { return store.K(store.PrefixSession, "r", hash) }
func rosterKey(who principal.ID) []byte { return store.K(store.PrefixSession, "p", who[:]) }
func sessionPrefix() []byte             { return store.KPrefix(store.PrefixSession, "i") }
func domainPrefix() []byte              { return store.KPrefix(store.PrefixSession, "d") }

// keyName is the name in the key of a session or a domain token.
func keyName(key []byte) (n name, ok bool) {
	parts, ok := store.Parts(store.PrefixSession, key)
	if !ok || len(parts) != 2 || len(parts[1]) < len(n) {
		return name{}, false
	}
	return nameOf(parts[1]), true
}

// nameOf is the name of a token's hash, or of an id.
func nameOf(hash []byte) (n name) {
	copy(n[:], hash)
	return n
}

// String is the public id. It is made for every request: one allocation.
func (n name) String() string {
	var text [2 * len(n)]byte
	hex.Encode(text[:], n[:])
	return string(text[:])
}

// parseID reads a public id: 32 lower-case hexadecimal digits.
func parseID(id string) (n name, ok bool) {
	if len(id) != 2*len(n) {
		return name{}, false
	}
	if _, err := hex.Decode(n[:], []byte(id)); err != nil || n.String() != id {
		return name{}, false
	}
	return n, true
}

func (r *record) id() name                { return nameOf(r.Portal) }
func (r *record) expired(now second) bool { return now >= r.IdleUntil || now >= r.Until }

// holds compares a hash that the record holds with the hash of what came.
func (r *record) holds(mine, hash []byte) bool { return subtle.ConstantTimeCompare(mine, hash) == 1 }

func (r *record) proof() Proof {
	return Proof{AMR: r.AMR, PasswordAt: r.PasswordAt.Time(), FactorAt: r.FactorAt.Time()}
}

func (r *record) session() Session {
	return Session{
		ID: r.id().String(), Principal: r.Principal, Proof: r.proof(),
		Created: r.Created.Time(), LastSeen: (r.IdleUntil - second(r.Idle)).Time(),
		IdleUntil: min(r.IdleUntil, r.Until).Time(), Until: r.Until.Time(),
		Remember: r.Remember, Kind: r.Kind, Epoch: r.Epoch,
		Origin: Origin{Client: r.Client, UserAgent: r.UserAgent},
	}
}

func (r *record) live(who *account.Identity, portal bool) Live {
	return Live{
		ID: r.id().String(), Proof: r.proof(), Identity: who, Portal: portal, Until: r.Until.Time(),
		Epoch: r.Epoch, Kind: r.Kind, Remember: r.Remember,
	}
}

// entry is the record as the index holds it for one of its tokens.
func (r *record) entry(key name) entry {
	e := entry{key: key}
	r.fill(&e)
	return e
}

// fill sets what may change. An idle limit never goes back: the index may be
// ahead of the record by a slide that is not yet written.
func (r *record) fill(e *entry) {
	e.id = r.id()
	e.epoch = uint32(r.Epoch)
	e.passwordAt, e.factorAt = r.PasswordAt, r.FactorAt
	e.idleUntil, e.until, e.idle = max(e.idleUntil, r.IdleUntil), r.Until, r.Idle
	e.amr, e.kind, e.flags = r.AMR, r.Kind, flagUsed
	if e.key == e.id {
		e.flags |= flagPortal
	}
	if r.Remember {
		e.flags |= flagRemember
	}
}

// save keeps the record until the absolute limit. The idle limit is ours to check:
// if the store let go at that, a slide that waits to be written would come too
// late, and Revoke would not find a session that the index still knows.
func (r *record) save(tx store.Tx) error {
	if err := store.Save(tx, sessionKey(r.id()), r, r.Until.Time()); err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	return nil
}

// loadRecord reads a session, whether or not it may still be used. Errors: ErrNone.
func loadRecord(tx store.Tx, id name) (*record, error) {
	rec, err := store.Load[record](tx, sessionKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("load session: %w", err)
	}
	if rec.id() != id {
		return nil, fmt.Errorf("load session: the record is of another session")
	}
	return rec, nil
}

// roster is which sessions a principal has. It is one record, read by Get, so
// that RevokeAll misses no session that is being opened at the same time.
type roster struct {
	store.Meta
	Members []byte `json:"members"` // oldest first
}

type member struct {
	id    name
	until second
}

const memberSize = 16 + 4

func (r *roster) list() []member {
	var all []member
	for m := range slices.Chunk(r.Members, memberSize) {
		if len(m) == memberSize {
			all = append(all, member{nameOf(m[:16]), second(binary.BigEndian.Uint32(m[16:]))})
		}
	}
	return all
}

func loadRoster(tx store.Tx, who principal.ID) ([]member, error) {
	r, err := store.Load[roster](tx, rosterKey(who))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load sessions of a principal: %w", err)
	}
	return r.list(), nil
}

func saveRoster(tx store.Tx, who principal.ID, all []member) error {
	if len(all) == 0 {
		return tx.Delete(rosterKey(who))
	}
	r, last := roster{Members: make([]byte, 0, len(all)*memberSize)}, second(0)
	for _, m := range all {
		r.Members = append(r.Members, m.id[:]...)
		r.Members = binary.BigEndian.AppendUint32(r.Members, uint32(m.until))
		last = max(last, m.until)
	}
	if err := store.Save(tx, rosterKey(who), &r, last.Time()); err != nil {
		return fmt.Errorf("save sessions of a principal: %w", err)
	}
	return nil
}
