package gateway

import (
	"context"
	"errors"
	"net/netip"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

// programs is login.Programs in the guard's words: the two rooms do not know each
// other.
type programs struct{ *login.Programs }

func (p programs) Program(ctx context.Context, ref principal.Ref, token string, client netip.Addr) (*account.Identity, error) {
	who, err := p.Programs.Program(ctx, ref, token, client)
	if errors.Is(err, login.ErrDenied) {
		return nil, guard.ErrDenied
	}
	return who, err
}
