package session

import (
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// maxPage bounds a page of sessions.
const maxPage = 500

// Get returns a living session. Errors: ErrNone.
func (r *Registry) Get(tx store.Tx, id string) (Session, error) {
	n, ok := parseID(id)
	if !ok {
		return Session{}, ErrNone
	}
	rec, err := loadRecord(tx, n)
	if err != nil {
		return Session{}, err
	}
	if _, err := r.judge(tx, rec, secondOf(tx.Now())); err != nil {
		return Session{}, err
	}
	return rec.session(), nil
}

// List returns the living sessions of a principal, newest first; at most
// MaxPerPrincipal.
func (r *Registry) List(tx store.Tx, who principal.ID) ([]Session, error) {
	all, err := loadRoster(tx, who)
	if err != nil {
		return nil, err
	}
	var list []Session
	for _, m := range slices.Backward(all) {
		s, err := r.Get(tx, m.id.String())
		if errors.Is(err, ErrNone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// Page returns up to limit (1 to 500) living sessions of all principals, in no
// order that means anything, behind cursor ("": from the start). next is where
// the next page begins, "" at the end. A cursor that is none: ErrNone.
func (r *Registry) Page(tx store.Tx, cursor string, limit int) (page []Session, next string, err error) {
	limit = min(max(limit, 1), maxPage)
	var from []byte
	if cursor != "" {
		n, ok := parseID(cursor)
		if !ok {
			return nil, "", ErrNone
		}
		from = store.Next(sessionKey(n))
	}
	now := secondOf(tx.Now())
	for item, err := range tx.Scan(sessionPrefix(), from) {
		if err != nil {
			return nil, "", err
		}
		rec, err := store.Decode[record](item.Value)
		if err != nil {
			return nil, "", err
		}
		if _, err := r.judge(tx, rec, now); errors.Is(err, ErrNone) {
			continue
		} else if err != nil {
			return nil, "", err
		}
		if len(page) == limit {
			return page, page[limit-1].ID, nil
		}
		page = append(page, rec.session())
	}
	return page, "", nil
}

// judge decides whether a session lives and whose it is: neither limit has
// passed, its principal exists, is enabled and has the session's epoch.
// Errors: ErrNone.
func (r *Registry) judge(tx store.Tx, rec *record, now second) (*account.Identity, error) {
	if rec.expired(now) {
		return nil, ErrNone
	}
	u, err := r.directory.ByID(tx, rec.Principal)
	if errors.Is(err, account.ErrUnknownUser) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	who := u.Identity()
	if who.ID != rec.Principal || !who.Enabled || who.Epoch != rec.Epoch {
		return nil, ErrNone
	}
	return &who, nil
}
