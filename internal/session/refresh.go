package session

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// tolerance is how long the predecessor of a refresh token may be shown again,
// once: a client whose answer was lost on the way, or that asked twice at once.
const tolerance = 10 * time.Second

// refreshState is the living end of a family of refresh tokens: one session, one
// family. The successor of a token is derived from the token itself and a nonce,
// so that the same answer can be given twice although no token is stored.
type refreshState struct {
	Hash     []byte    `json:"hash"`             // of the token that is good
	Before   []byte    `json:"before,omitempty"` // of the one it took the place of
	Nonce    []byte    `json:"nonce,omitempty"`  // with which it was derived from that one
	Rotated  time.Time `json:"rotated,omitzero"`
	Answered bool      `json:"answered,omitempty"` // the predecessor was shown again
}

func (rec *record) startFamily(tx store.Tx, token secret.Token) error {
	hash := token.Hash()
	rec.Refresh = &refreshState{Hash: hash[:]}
	return savePointer(tx, refreshKey(hash[:]), rec)
}

// Refresh trades a refresh token for a new one and slides the session's idle
// limit. The old one is dead. Shown again within 10 seconds, once, and not older
// than the immediate predecessor, it gives the same answer; any other reuse means
// that two parties hold the family: the session ends. A principal that was
// disabled, deleted or raised to a newer epoch is refused and the session ends.
// Opened has no cookies: the browser's stay as they are. Errors: ErrNone; others:
// the store failed and nothing happened.
func (r *Registry) Refresh(ctx context.Context, refresh string, origin Origin) (*Opened, error) {
	token, err := secret.ParseToken(secret.Refresh, refresh)
	if err != nil {
		return nil, ErrNone
	}
	var opened *Opened // nil: refused, and what that changed is committed
	err = r.store.Update(ctx, func(tx store.Tx) (err error) {
		opened, err = r.refresh(tx, token, origin)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("refresh session: %w", err)
	}
	if opened == nil {
		return nil, ErrNone
	}
	return opened, nil
}

func (r *Registry) refresh(tx store.Tx, token secret.Token, origin Origin) (*Opened, error) {
	hash := token.Hash()
	to, err := store.Load[pointer](tx, refreshKey(hash[:]))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rec, err := loadRecord(tx, nameOf(to.Session))
	if errors.Is(err, ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	at := r.instant(tx.Now())
	rec.IdleUntil = max(rec.IdleUntil, r.behind.slid(rec.id()))
	who, err := r.judge(tx, rec, at)
	if errors.Is(err, ErrNone) {
		return nil, r.end(tx, rec.id())
	}
	if err != nil {
		return nil, err
	}
	next, good, err := r.rotate(tx, rec, token, hash[:])
	if err != nil {
		return nil, err
	}
	if !good {
		if err := r.end(tx, rec.id()); err != nil {
			return nil, err
		}
		rec.Client = origin.Client
		return nil, r.recordEnd(tx, rec, audit.Denied, "reuse")
	}
	return r.refreshed(tx, rec, who, next, at, origin)
}

// rotate decides what a token of the family is worth.
func (r *Registry) rotate(tx store.Tx, rec *record, token secret.Token, hash []byte) (next secret.Token, good bool, err error) {
	f := rec.Refresh
	switch {
	case f == nil:
		return next, false, nil
	case hmac.Equal(f.Hash, hash):
		nonce := make([]byte, 16)
		rand.Read(nonce) // never fails
		next = r.successor(token, nonce)
		succ := next.Hash()
		*f = refreshState{Hash: succ[:], Before: hash, Nonce: nonce, Rotated: tx.Now()}
		return next, true, savePointer(tx, refreshKey(succ[:]), rec)
	case hmac.Equal(f.Before, hash) && !f.Answered && tx.Now().Sub(f.Rotated).Abs() <= tolerance:
		f.Answered = true
		return r.successor(token, f.Nonce), true, nil
	}
	return next, false, nil
}

// successor derives the next token of a family. Whoever holds the store and its
// keys, but not the token, cannot.
func (r *Registry) successor(token secret.Token, nonce []byte) secret.Token {
	mac := hmac.New(sha256.New, r.familyKey)
	mac.Write(nonce)
	mac.Write([]byte(token.Reveal()))
	next, err := secret.ParseToken(secret.Refresh, string(secret.Refresh)+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	if err != nil {
		panic("session: a derived refresh token is none") // 32 bytes always are one
	}
	return next
}

func (r *Registry) refreshed(tx store.Tx, rec *record, who *account.Identity, next secret.Token, at second, origin Origin) (*Opened, error) {
	rec.IdleUntil = max(rec.IdleUntil, at.plus(rec.Idle))
	rec.Client, rec.UserAgent = origin.Client, cut(origin.UserAgent)
	if err := rec.save(tx); err != nil {
		return nil, err
	}
	return &Opened{
		ID: rec.id().String(), Refresh: &next, Expires: rec.Until.Time(), Live: rec.live(who, true),
	}, nil
}
