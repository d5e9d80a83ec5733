package login

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

var errUnbuilt = errors.New("login: being written")

func (d *Doors) Password(ctx context.Context, a Attempt) (*Next, error) { return nil, errUnbuilt }
func (d *Doors) Code(ctx context.Context, s Second) (*Next, error)      { return nil, errUnbuilt }
func (d *Doors) Recovery(ctx context.Context, s Second) (*Next, error)  { return nil, errUnbuilt }
func (d *Doors) Peek(ctx context.Context, ephemeral string, door Door) (*State, error) {
	return nil, errUnbuilt
}

// StepUp: the ephemeral token is one of the portal. demand: factors that the target's rule demands.
func (d *Doors) StepUp(ctx context.Context, live session.Live, c Client, target string) (*Next, error) {
	return nil, errUnbuilt
}
func (d *Doors) EnrollStart(ctx context.Context, ephemeral string, door Door, method factor.Name) (*factor.Enrollment, error) {
	return nil, errUnbuilt
}
func (d *Doors) EnrollConfirm(ctx context.Context, s Second) (*Next, error) { return nil, errUnbuilt }
func (d *Doors) Logout(ctx context.Context, live session.Live) error        { return errUnbuilt }
func (d *Doors) SetupLink(ctx context.Context) (secret.Token, error) {
	return secret.Token{}, errUnbuilt
}

// TradeSetup: cookie is an ephemeral token in state Setup; Peek shows it (Door Portal).
func (d *Doors) TradeSetup(ctx context.Context, token string) (cookie secret.Token, err error) {
	return secret.Token{}, errUnbuilt
}
func (d *Doors) SetupBegin(ctx context.Context, cookie, name, password string, c Client) (*factor.Enrollment, error) {
	return nil, errUnbuilt
}
func (d *Doors) SetupFinish(ctx context.Context, cookie, code string, c Client) (*Next, error) {
	return nil, errUnbuilt
}

// Invite makes a link in the caller's transaction.
func (d *Doors) Invite(tx store.Tx, actor account.Actor, id principal.ID) (secret.Token, error) {
	return secret.Token{}, errUnbuilt
}
func (d *Doors) TradeInvite(ctx context.Context, token string, door Door) (cookie secret.Token, err error) {
	return secret.Token{}, errUnbuilt
}
func (d *Doors) InviteFinish(ctx context.Context, cookie, password string, c Client, door Door) (*Next, error) {
	return nil, errUnbuilt
}
func (d *Doors) ChangePassword(ctx context.Context, live session.Live, current, next, code string, c Client) error {
	return errUnbuilt
}
func (d *Doors) Fresh(ctx context.Context, live session.Live, code string, c Client) error {
	return errUnbuilt
}

// Forget deletes half logins and links of a person who is being deleted: wired to Directory.OnDelete.
func (d *Doors) Forget(tx store.Tx, id principal.ID) error { return errUnbuilt }
