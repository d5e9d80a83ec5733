package api

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/login"
)

type registerInput struct {
	Body struct {
		Realm string `json:"realm,omitempty" maxLength:"128" doc:"The realm; default: the server's."`
		Email string `json:"email" maxLength:"320" example:"alice@example.com" doc:"Where the link goes."`
	}
}

// registerAddress answers the same whether there is an account, after the same time.
func (a *API) registerAddress(ctx context.Context, c *caller, in *registerInput) (*struct{}, error) {
	return nil, a.Doors.Register(ctx, in.Body.Realm, in.Body.Email, c.client)
}

type registrationInput struct {
	Body struct {
		Token    string `json:"token" maxLength:"128" doc:"What stands behind token= in the link."`
		Name     string `json:"name" maxLength:"512" example:"alice"`
		FullName string `json:"full_name,omitempty" maxLength:"512" example:"Alice Liddell"`
		Password string `json:"password" maxLength:"1024"`
	}
}

// Registered is the account that somebody made for himself.
type Registered struct {
	Realm string `json:"realm"`
	Name  string `json:"name"`
	Email string `json:"email" doc:"The address that the link came to: confirmed."`
}

type registeredOutput struct {
	Body Registered
}

// finishRegistration opens nothing: the person logs in, and sets up a factor where the
// realm demands one.
func (a *API) finishRegistration(ctx context.Context, c *caller, in *registrationInput) (*registeredOutput, error) {
	b := in.Body
	who, _, err := a.Doors.RegisterFinish(ctx, login.RegisterAttempt{
		Door: login.API, Token: b.Token, Name: b.Name, FullName: b.FullName, Password: b.Password, Client: c.client,
	})
	if err != nil {
		return nil, err
	}
	return &registeredOutput{Body: Registered{Realm: who.Realm, Name: who.Name, Email: who.Email}}, nil
}
