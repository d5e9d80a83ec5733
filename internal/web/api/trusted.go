package api

import (
	"context"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// TrustedBrowser is a browser that skips the second door.
type TrustedBrowser struct {
	ID         string     `json:"id"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"Missing: never."`
	ExpiresAt  time.Time  `json:"expires_at"`
	Client     string     `json:"client" doc:"Where it was used last."`
	UserAgent  string     `json:"user_agent"`
}

type trustedOutput struct {
	Body []TrustedBrowser `nullable:"false"`
}

func (a *API) ownTrusted(ctx context.Context, c *caller, _ *struct{}) (*trustedOutput, error) {
	out := &trustedOutput{Body: []TrustedBrowser{}}
	err := a.Store.View(ctx, func(tx store.Tx) error {
		u, err := a.Directory.ByID(tx, c.live.Identity.ID)
		if err != nil {
			return err
		}
		browsers, err := a.Doors.TrustedBrowsers(tx, u, "")
		for _, b := range browsers {
			shown := TrustedBrowser{ID: b.ID, CreatedAt: b.Created, LastUsedAt: moment(b.LastUsed), ExpiresAt: b.Expires, UserAgent: b.Origin.UserAgent}
			if b.Origin.Client.IsValid() {
				shown.Client = b.Origin.Client.String()
			}
			out.Body = append(out.Body, shown)
		}
		return err
	})
	return out, gone(err)
}

// endTrusted takes something away and gives nothing, so it asks for no code.
func (a *API) endTrusted(ctx context.Context, c *caller, in *idInput) (*struct{}, error) {
	return nil, a.onOwn(ctx, c, func(tx store.Tx, u *account.User) error {
		return a.Doors.Distrust(tx, c.self(), u, in.ID)
	})
}

func (a *API) endAllTrusted(ctx context.Context, c *caller, _ *struct{}) (*struct{}, error) {
	return nil, a.onOwn(ctx, c, func(tx store.Tx, u *account.User) error {
		_, err := a.Doors.DistrustAll(tx, c.self(), u)
		return err
	})
}

// onOwn makes a change of the own record while the session lives.
func (a *API) onOwn(ctx context.Context, c *caller, change func(tx store.Tx, u *account.User) error) error {
	return gone(a.Store.Update(ctx, func(tx store.Tx) error {
		if err := a.Directory.Alive(tx, c.self()); err != nil {
			return err
		}
		u, err := a.Directory.ByID(tx, c.live.Identity.ID)
		if err != nil {
			return err
		}
		return change(tx, u)
	}))
}
