package login

import (
	"context"
	"crypto/hmac"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Purpose is what a code is asked for by somebody who is signed in.
type Purpose string

// Purposes of django-trench's protected calls.
const (
	Deactivate Purpose = "deactivate"
	Regenerate Purpose = "regenerate"
	Primary    Purpose = "primary"
)

// again remembers the code that opened a session, and for which purposes the same
// session has used it once more. Clients of django-trench log in and send the same code
// with the next call (security-model section 6).
type again struct {
	store.Meta
	Step int64     `json:"step"`           // of an authenticator; else -1
	Sent []byte    `json:"sent,omitempty"` // which one was sent
	Used []Purpose `json:"used,omitempty"`
	End  time.Time `json:"end"`
}

// againLife is longer than any window of a code that people use.
const againLife = 15 * time.Minute

func againKey(session string) store.Key { return store.K(store.PrefixLogin, "again", session) }

// openedBy notes which code opened a session of a door that takes it once more.
func openedBy(tx store.Tx, door Door, sessionID string, v verdict) error {
	if door != Trench { // of a recovery code there is neither step nor message: it works once
		return nil
	}
	end := tx.Now().Add(againLife)
	return store.Save(tx, againKey(sessionID), &again{Step: v.step, Sent: []byte(v.sent), End: end}, end)
}

// onceMore reports whether a burned code is the one that opened this session, and
// was not yet used for this purpose. It is now.
func (d *Doors) onceMore(tx store.Tx, u *account.User, sessionID, code string, v verdict, purpose Purpose) (bool, error) {
	rec, err := store.Load[again](tx, againKey(sessionID))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil || slices.Contains(rec.Used, purpose) {
		return false, err
	}
	same := len(rec.Sent) > 0 && hmac.Equal(rec.Sent, []byte(v.sent))
	if v.method == factor.TOTP {
		same, err = d.factors.Again(tx, u.ID, code, rec.Step)
	}
	if err != nil || !same {
		return false, err
	}
	rec.Used = append(rec.Used, purpose)
	return true, store.Save(tx, againKey(sessionID), rec, rec.End)
}

// WithCode is WithFresh for the protected calls of django-trench: it takes a code of
// the methods that of names, or a recovery code, whichever the text is, and once for each
// purpose the code that opened this session, although it is burned. of is asked in the
// transaction of the change; nil: all that the person has.
// Errors: as WithFresh.
func (d *Doors) WithCode(ctx context.Context, live session.Live, purpose Purpose, of func(*account.User) []factor.Name, code string, c Client, change func(tx store.Tx, u *account.User) error) error {
	foreign, err := d.foreign(ctx, factor.Any, code, c, func(tx store.Tx) (*account.User, error) {
		u, err := d.self(tx, live)
		if err == nil && factor.NameOf(code) == factor.YubiKey && slices.Contains(others(u, of), factor.YubiKey) {
			err = ErrDenied // Yubico need not be asked
		}
		return u, err
	})
	if err != nil {
		return err
	}
	return d.withProof(ctx, live, code, foreign, c, func(tx store.Tx, u *account.User) error {
		v, err := d.judge(tx, u, asked{method: factor.Any, code: code, foreign: foreign, except: others(u, of)}, c)
		if err != nil {
			return err
		}
		if v.result == factor.Replayed {
			good, err := d.onceMore(tx, u, live.ID, code, v, purpose)
			if err != nil {
				return err
			}
			if good {
				return nil
			}
		}
		return d.proved(tx, u, v, c, live.ID)
	}, change)
}

// others are the person's methods that of does not name.
func others(u *account.User, of func(*account.User) []factor.Name) (names []factor.Name) {
	if of == nil {
		return nil
	}
	taken := of(u)
	for _, m := range u.Methods {
		if name := factor.Name(m.Name); !slices.Contains(taken, name) {
			names = append(names, name)
		}
	}
	return names
}

// WithSession makes a change of somebody who is signed in without asking for a code:
// for what a realm's settings allow so. That the session lives and the change are
// decided in one Update. Errors: ErrDenied (the session is over), and those of change.
func (d *Doors) WithSession(ctx context.Context, live session.Live, change func(tx store.Tx, u *account.User) error) error {
	return d.store.Update(ctx, func(tx store.Tx) error {
		u, err := d.self(tx, live)
		if err != nil {
			return err
		}
		return change(tx, u)
	})
}
