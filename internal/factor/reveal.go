package factor

import (
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Current returns the code of this moment of the confirmed authenticator and
// burns nothing: the code oracle of an older system. Whoever reads it needs no
// authenticator any more, so who may ask is the caller's question, and only a
// facade whose configuration allows it may put it. Errors: ErrNoMethod.
func (f *Factors) Current(tx store.Tx, id principal.ID) (string, error) {
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return "", err
	}
	if rec.Confirmed == nil {
		return "", ErrNoMethod
	}
	s := rec.Confirmed
	return s.Params.Code(s.Seed, s.Params.Step(tx.Now()))
}

// Reveal returns the confirmed authenticator with its seed, and whether it ever
// proved something, here or where it was brought from.
//
// Everywhere else the seed of a confirmed method never leaves again: who has it
// has the factor, for ever. Only facades of older systems may call this, and
// only where their configuration allows it. Errors: ErrNoMethod.
func (f *Factors) Reveal(tx store.Tx, id principal.ID) (e *Enrollment, used bool, err error) {
	rec, err := loadTOTP(tx, id)
	if err != nil {
		return nil, false, err
	}
	if rec.Confirmed == nil {
		return nil, false, ErrNoMethod
	}
	e = rec.Confirmed.enrollment()
	e.Active = true
	return e, rec.Confirmed.Brought || !rec.Confirmed.UsedAt.IsZero(), nil
}
