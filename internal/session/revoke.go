package session

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Revoke ends a session and all its tokens. Nobody passes with them once the
// transaction's Update has returned. Errors: ErrNone when it had ended.
func (r *Registry) Revoke(tx store.Tx, id string) error {
	n, ok := parseID(id)
	if !ok {
		return ErrNone
	}
	return r.end(tx, n)
}

// end removes a session and takes it off its principal's roster. Errors: ErrNone.
func (r *Registry) end(tx store.Tx, id name) error {
	rec, err := loadRecord(tx, id)
	if err != nil {
		return err
	}
	all, err := loadRoster(tx, rec.Principal)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m member) bool { return m.id == id })
	if err := saveRoster(tx, rec.Principal, all); err != nil {
		return err
	}
	return remove(tx, rec)
}

// remove deletes a session and the tokens that lead to it. Refresh tokens that
// were used up long ago are left to their expiry: they lead nowhere.
func remove(tx store.Tx, rec *record) error {
	keys := [][]byte{sessionKey(rec.id())}
	if rec.Domain != nil {
		keys = append(keys, domainKey(rec.Domain))
	}
	if f := rec.Refresh; f != nil {
		keys = append(keys, refreshKey(f.Hash))
		if f.Before != nil {
			keys = append(keys, refreshKey(f.Before))
		}
	}
	for _, key := range keys {
		if err := tx.Delete(key); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
	}
	return nil
}

// RevokeAll ends all sessions of a principal but one ("": none is spared), and
// those that are being opened in other transactions: either they see this one's
// outcome or this one theirs. It belongs into account's deletion hook. n is how
// many had not expired.
func (r *Registry) RevokeAll(tx store.Tx, who principal.ID, except string) (n int, err error) {
	all, err := loadRoster(tx, who)
	if err != nil {
		return 0, err
	}
	spared, _ := parseID(except)
	now := secondOf(tx.Now())
	var stay []member
	for _, m := range all {
		if except != "" && m.id == spared {
			stay = append(stay, m)
			continue
		}
		rec, err := loadRecord(tx, m.id)
		if errors.Is(err, ErrNone) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if !rec.expired(now) {
			n++
		}
		if err := remove(tx, rec); err != nil {
			return 0, err
		}
	}
	// Written even if nothing was found: it is what a session that is being
	// opened at the same time collides with.
	return n, saveRoster(tx, who, stay)
}

// Raise takes a session to a new epoch, in the transaction that raised its
// principal's: the session that made a change goes on, all others end. Access
// tokens that it was given before carry the old epoch and are dead too.
// Errors: ErrNone.
func (r *Registry) Raise(tx store.Tx, id string, epoch uint64) error {
	n, ok := parseID(id)
	if !ok {
		return ErrNone
	}
	rec, err := loadRecord(tx, n)
	if err != nil {
		return err
	}
	if rec.expired(secondOf(tx.Now())) {
		return ErrNone
	}
	rec.Epoch = max(rec.Epoch, epoch)
	return rec.save(tx)
}
