package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// cookieLength is the length of a session token's text, cookieSecret that of what
// stands behind the prefix.
const (
	cookieLength = 58
	cookieSecret = cookieLength - len(secret.Session)
)

// hashOf is the SHA-256 of a session token's text behind the prefix, MAC included:
// a text with one changed bit is another token. That text fits one block of the
// hash; with the prefix, which is always the same, it would take two.
func hashOf(cookie string) [sha256.Size]byte {
	var text [cookieSecret]byte
	copy(text[:], cookie[len(secret.Session):])
	return sha256.Sum256(text[:])
}

// Live finds the session of a cookie, a portal's or a domain's, and slides its
// idle limit. It runs for every request: a session that the index knows costs one
// SHA-256 and no store; a text that we never made is told by its MAC and never
// reaches the store either. Errors: ErrNone; others: the store failed.
func (r *Registry) Live(ctx context.Context, cookie string, now time.Time) (Live, error) {
	if len(cookie) != cookieLength || cookie[:len(secret.Session)] != string(secret.Session) {
		return Live{}, ErrNone
	}
	hash := hashOf(cookie)
	key, at := nameOf(hash[:]), r.instant(now)
	if l, sure := r.known(key, at, true); sure {
		return l, l.refused()
	}
	return r.unknown(ctx, cookie, hash, at)
}

// unknown is Live for what the index does not know. It takes the hash by value:
// the way through the index then needs no heap for it.
func (r *Registry) unknown(ctx context.Context, cookie string, hash [sha256.Size]byte, at second) (Live, error) {
	token, err := secret.ParseSessionToken(cookie)
	if err != nil || !token.CheckMAC(r.cookieKey) {
		return Live{}, ErrNone
	}
	return r.load(ctx, nameOf(hash[:]), hash[:], at, true)
}

// byID finds a living session by its id, which proves nothing by itself: a signed
// token or a Live must have named it.
func (r *Registry) byID(ctx context.Context, id name, at second, slide bool) (Live, error) {
	if l, sure := r.known(id, at, slide); sure {
		return l, l.refused()
	}
	return r.load(ctx, id, nil, at, slide)
}

func (l Live) refused() error {
	if l.Identity == nil {
		return ErrNone
	}
	return nil
}

// known is what the index says: a session, the zero Live for a refusal, or not
// sure, and then the store decides.
func (r *Registry) known(key name, at second, slide bool) (l Live, sure bool) {
	e, who, ok := r.index.get(key)
	switch {
	case !ok || who == nil || uint32(who.Epoch) != e.epoch:
		return Live{}, false
	case at >= e.until || !who.Enabled:
		return Live{}, true
	case at >= e.idleUntil: // another node, or the session's other token, may have slid it
		return Live{}, false
	}
	if slide && at.plus(e.idle) >= e.idleUntil.plus(slideStep(e.idle)) {
		r.slide(&e, at)
	}
	return Live{
		ID:       e.id.String(),
		Proof:    Proof{AMR: e.amr, PasswordAt: e.passwordAt.Time(), FactorAt: e.factorAt.Time()},
		Identity: who,
		Portal:   e.flags&flagPortal != 0,
		Until:    e.until.Time(),
		Epoch:    who.Epoch,
		Kind:     e.kind,
		Remember: e.flags&flagRemember != 0,
	}, true
}

// slideStep is how far, in seconds, an idle limit must move before it is moved:
// a minute to five, a sixtieth of the limit between them, and for limits under
// half an hour a thirtieth. It bounds the writes, and how much too early a
// session may end.
func slideStep(idle uint32) uint32 {
	return max(1, min(max(idle/60, 60), 300, idle/30))
}

func (r *Registry) slide(e *entry, at second) {
	idleUntil := at.plus(e.idle)
	if !r.index.slide(e.key, idleUntil) {
		return // another request was faster, or the session is gone
	}
	if e.key != e.id {
		r.index.slide(e.id, idleUntil)
	}
	r.behind.slide(e.id, idleUntil)
}

// maxLoads bounds how often a load is repeated because commits overtook it.
const maxLoads = 100

// load asks the store and tells the index. A commit between the snapshot and the
// index would be lost on us, and a revoked session back for good; the index
// notices, and the store is asked again.
//
// The index may also be behind: a commit that is in the snapshot is still being
// told around. Then the snapshot is the answer, for this request alone. It is so
// too where commits overtook every attempt: the last snapshot is younger than the
// request, and what is not in the index does not last.
func (r *Registry) load(ctx context.Context, key name, hash []byte, at second, slide bool) (Live, error) {
	var l Live
	for range maxLoads {
		generation, people := r.index.generation(key), r.people.now()
		var rec *record
		var who *account.Identity
		err := r.store.View(ctx, func(tx store.Tx) (err error) {
			if rec, err = lookup(tx, key, hash); err != nil {
				return err
			}
			rec.IdleUntil = max(rec.IdleUntil, r.behind.slid(rec.id()))
			who, err = r.judge(tx, rec, at)
			return err
		})
		if errors.Is(err, ErrNone) {
			r.index.drop(key)
			if rec != nil {
				r.behind.reap(rec.id(), at)
			}
			return Live{}, ErrNone
		}
		if err != nil {
			return Live{}, fmt.Errorf("find session: %w", err)
		}
		if r.index.insert(rec.entry(key), who, generation, &people) {
			if l, sure := r.known(key, at, slide); sure {
				return l, l.refused()
			}
		}
		l = rec.live(who, key == rec.id())
		if r.index.generation(key) == generation && r.people.unchanged(who.ID, &people) {
			break // nothing overtook us: the index has yet to hear of what we have read
		}
	}
	return l, nil
}

// lookup finds the record of a portal token or a domain token by its hash, or
// without one the record of an id. Errors: ErrNone.
func lookup(tx store.Tx, key name, hash []byte) (*record, error) {
	rec, err := loadRecord(tx, key)
	if err == nil && hash != nil && !rec.holds(rec.Portal, hash) {
		return nil, ErrNone
	}
	if hash == nil || !errors.Is(err, ErrNone) {
		return rec, err
	}
	to, err := store.Load[pointer](tx, domainKey(hash))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	rec, err = loadRecord(tx, nameOf(to.Session))
	if err == nil && !rec.holds(rec.Domain, hash) {
		return nil, ErrNone
	}
	return rec, err
}
