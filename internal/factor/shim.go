package factor

import (
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const Any Name = "any"

type Checked struct {
	Result Result
	Method Name
	Step   int64
	Left   int
}

func (f *Factors) Try(tx store.Tx, id principal.ID, method Name, code, foreign string) (Checked, error) {
	if method == RecoveryCode {
		r, l, err := f.VerifyRecovery(tx, id, code)
		return Checked{Result: r, Left: l, Method: method}, err
	}
	r, err := f.Verify(tx, id, method, code)
	return Checked{Result: r, Method: method}, err
}
func (f *Factors) ForeignRecovery(tx store.Tx, id principal.ID) ([]string, error)           { return nil, nil }
func (f *Factors) Again(tx store.Tx, id principal.ID, code string, step int64) (bool, error) { return false, nil }
