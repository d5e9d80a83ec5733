package factor

import (
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// newTarget is an address or number that is the person's as soon as the code that was
// sent to it comes back.
type newTarget struct {
	store.Meta
	Sent  *sentCode `json:"sent"`
	Epoch uint64    `json:"epoch"` // of the person, who was asked freshly then
	Until time.Time `json:"until"`
}

func targetKey(id principal.ID, field account.Field) store.Key {
	return store.K(store.PrefixFactor, "target", id, string(field))
}

// methodOf is by what a code reaches an address or number.
func methodOf(field account.Field) Name {
	if field == account.PhoneField {
		return SMS
	}
	return Email
}

// NewTarget sends a code to an address or number that a person wants to have; the
// code before it is dead. The account stays as it is until ConfirmTarget. That the
// person was asked freshly, and how often codes are sent, is the caller's question.
// It returns where the code went, masked.
// Errors: ErrCannotSend, account.ErrInvalid.
func (f *Factors) NewTarget(tx store.Tx, id principal.ID, field account.Field, value string) (to string, err error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return "", err
	}
	if value, err = account.CanonicalTarget(field, value); err != nil {
		return "", err
	}
	w := &sentWay{f, methodOf(field)}
	sent, err := w.send(tx, u, value, ForTarget)
	if err != nil {
		return "", err
	}
	rec := &newTarget{Sent: sent, Epoch: u.Epoch, Until: sent.Expires}
	return Mask(value), store.Save(tx, targetKey(id, field), rec, rec.Until)
}

// ConfirmTarget checks the code that NewTarget sent and, if it is good, gives the
// person the address or number. Where codes of a factor go there the epoch rises, as with
// every change of factors. sentTries wrong ones end it, and so does any change of
// password or factors: the caller commits, whatever the answer.
// Errors: ErrDenied, ErrNoPending, and those of account.SetTarget.
func (f *Factors) ConfirmTarget(tx store.Tx, actor account.Actor, id principal.ID, field account.Field, code string) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	rec, err := store.Load[newTarget](tx, targetKey(id, field))
	if errors.Is(err, store.ErrNotFound) || err == nil && rec.Epoch != u.Epoch {
		return ErrNoPending
	}
	if err != nil {
		return err
	}
	w := &sentWay{f, methodOf(field)}
	if w.match(rec.Sent, id, code, ForTarget, tx.Now()) != Good {
		return answered(ErrDenied, store.Save(tx, targetKey(id, field), rec, rec.Until))
	}
	if err := tx.Delete(targetKey(id, field)); err != nil {
		return err
	}
	if _, err = f.dir.SetTarget(tx, actor, id, field, rec.Sent.To); err != nil || !has(u, methodOf(field)) {
		return err
	}
	_, err = f.dir.RaiseEpoch(tx, id) // the codes of a factor go elsewhere: that is another factor
	return err
}

// DropTarget takes the address or number away. Whoever has no factor left without it,
// where two are demanded, keeps it; the method that sends there goes with it.
// Errors: ErrLastFactor, and those of account.
func (f *Factors) DropTarget(tx store.Tx, actor account.Actor, id principal.ID, field account.Field) error {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return err
	}
	if method := methodOf(field); has(u, method) {
		if err := f.Remove(tx, actor, id, method, ""); err != nil {
			return err
		}
	}
	if err := tx.Delete(targetKey(id, field)); err != nil {
		return err
	}
	_, err = f.dir.SetTarget(tx, actor, id, field, "")
	return err
}
