package store

import (
	"context"
	"errors"
	"time"
)

// run is View or Update of the engine over sealed transactions, observed if
// somebody wants to know.
func (s *SealedStore) run(ctx context.Context, op Op, engine func(context.Context, func(Tx) error) error, fn func(Tx) error) error {
	if s.observe == nil {
		return engine(ctx, func(tx Tx) error { return fn(s.wrap(tx)) })
	}
	var last *sealedTx // of the run that counts, when fn runs more than once
	var own error
	begin := time.Now()
	err := engine(ctx, func(tx Tx) error {
		last = s.wrap(tx)
		own = fn(last)
		return own
	})
	s.observe(op, time.Since(begin), failure(last, own, err))
	return err
}

// failure is what the store failed at, nil if it did not. What fn answers by
// itself is its own affair (a wrong password is no failure of a store), unless
// the store made it so: an error of a method of Tx counts even where fn hid it.
// ErrNotFound, ErrTooLarge and ErrReadOnly are answers, and a context that ended
// is its caller's.
func failure(tx *sealedTx, own, err error) error {
	if tx != nil && tx.failed != nil {
		return tx.failed
	}
	if err == nil || own != nil && errors.Is(own, err) || answer(err) {
		return nil
	}
	return err
}

// answer tells what a store says when it works.
func answer(err error) bool {
	for _, e := range [...]error{ErrNotFound, ErrTooLarge, ErrReadOnly, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// note keeps an error of the engine, or of unsealing, for failure.
func (t *sealedTx) note(err error) error {
	if err != nil && t.store.observe != nil && !answer(err) {
		t.failed = err
	}
	return err
}
