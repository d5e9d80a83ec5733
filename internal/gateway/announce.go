package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/sallyport-auth/sallyport/internal/login"
)

// Announce tells the person at the terminal where the gateway is, and, when
// no administrator exists, the link that makes one.
func (g *Gateway) Announce(ctx context.Context, w io.Writer, addr net.Addr) {
	fmt.Fprintf(w, "Sallyport %s listens on %s; state in %s\n%s\n", g.version, addr, g.state.Place, g.door())
	g.AnnounceSetup(ctx, w)
}

// AnnounceSetup prints the setup link when no administrator exists. It is written
// here and nowhere else: it is a secret, and logs are kept.
func (g *Gateway) AnnounceSetup(ctx context.Context, w io.Writer) {
	token, err := g.sites[0].doors.SetupLink(ctx)
	switch {
	case errors.Is(err, login.ErrSetupDone):
		return
	case err != nil:
		fmt.Fprintf(w, "No setup link could be made: %v\n", err)
		return
	}
	how := "Open this link within an hour to create one"
	if g.setupBase() == "" {
		how = "Open this path through your proxy within an hour to create one"
	}
	fmt.Fprintf(w, "\nNo administrator exists yet. %s:\n\n    %s\n\n", how, g.setupURL(token.Reveal()))
}

// door says what to type into a browser.
func (g *Gateway) door() string {
	base, path := g.setupBase(), "/sallyport/"
	if (g.plan.upstream != nil || g.demo) && g.plan.sites[0].portal == "" {
		path = "/"
	}
	if base == "" {
		return "Open it through your proxy, at " + path
	}
	return "Open " + base + path
}

// setupURL is the address of a setup link; a path alone where nothing says
// which host the server has.
func (g *Gateway) setupURL(token string) string {
	return g.setupBase() + "/sallyport/setup?token=" + token
}
