package compattest

import (
	"context"
	"errors"
	"sync"

	"github.com/sallyport-auth/sallyport/internal/factor"
)

// YubiKeys judges one-time passwords in place of Yubico's servers: those that it was told
// are good, once each.
type YubiKeys struct {
	mu    sync.Mutex
	good  map[string]bool
	down  bool
	asked int
}

// Accept has a one-time password be good, and returns it.
func (y *YubiKeys) Accept(otp string) string {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.good == nil {
		y.good = map[string]bool{}
	}
	y.good[otp] = true
	return otp
}

// Down has nobody answer, or somebody again.
func (y *YubiKeys) Down(down bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.down = down
}

// Asked is how often somebody asked.
func (y *YubiKeys) Asked() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.asked
}

// Validate implements factor.YubiKeys.
func (y *YubiKeys) Validate(_ context.Context, otp string) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asked++
	switch {
	case y.down:
		return errors.New("nobody answers")
	case !y.good[otp]:
		return factor.ErrDenied
	}
	delete(y.good, otp)
	return nil
}
