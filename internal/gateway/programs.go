package gateway

import (
	"context"
	"errors"
	"net/netip"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

// programs is login.Programs in the guard's words: the two rooms do not know each
// other.
type programs struct{ *login.Programs }

func (p programs) Program(ctx context.Context, ref principal.Ref, token string, client netip.Addr) (*account.Identity, error) {
	who, err := p.Programs.Program(ctx, ref, token, client)
	return who, inGuardsWords(err)
}

func inGuardsWords(err error) error {
	if errors.Is(err, login.ErrDenied) {
		return guard.ErrDenied
	}
	return err
}

// refusedProof notes a service's good proof that let nobody in.
func (g *Gateway) refusedProof(who *account.Identity, client netip.Addr, cause string) {
	g.audit.Note(audit.Event{Kind: audit.KindToken, Outcome: audit.Denied, Cause: cause, Principal: who.ID,
		Name: who.Name + "@" + who.Realm, Client: client, Method: "guard"})
}
