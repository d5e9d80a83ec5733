package api

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
)

type resetRequestInput struct {
	Body struct {
		Email string `json:"email,omitempty" maxLength:"320" example:"alice@example.com" doc:"The address. This or name."`
		Name  string `json:"name,omitempty" maxLength:"320" doc:"The name, also as name@realm. This or email."`
		Realm string `json:"realm,omitempty" maxLength:"128" doc:"The realm; default: the server's."`
	}
}

// requestReset answers the same for everybody, after the same time.
func (a *API) requestReset(ctx context.Context, c *caller, in *resetRequestInput) (*struct{}, error) {
	b := in.Body
	if (b.Name == "") == (b.Email == "") {
		return nil, invalid("body", "name or email is expected, one of the two")
	}
	return nil, a.Doors.RequestReset(ctx, b.Name+b.Email, b.Realm, c.client)
}

type resetInput struct {
	Body struct {
		Token        string `json:"token" maxLength:"128" doc:"What stands behind token= in the link."`
		NewPassword  string `json:"new_password" maxLength:"1024"`
		Code         string `json:"code,omitempty" maxLength:"64" doc:"Where a second factor is set up: this or recovery_code. A code that comes by mail is not taken."`
		Method       string `json:"method,omitempty" maxLength:"32" doc:"Which factor the code belongs to; default: the first that is no mail."`
		RecoveryCode string `json:"recovery_code,omitempty" maxLength:"128" doc:"This or code."`
	}
}

// finishReset opens nothing: the caller logs in with the new password.
func (a *API) finishReset(ctx context.Context, c *caller, in *resetInput) (*struct{}, error) {
	b := in.Body
	r := login.ResetAttempt{Door: login.API, Token: b.Token, Password: b.NewPassword, Code: b.Code, Method: factor.Name(b.Method), Client: c.client}
	if b.RecoveryCode != "" {
		if b.Code != "" || b.Method != "" {
			return nil, invalid("body", "code, perhaps with its method, or recovery_code is expected")
		}
		r.Code, r.Method = b.RecoveryCode, factor.RecoveryCode
	}
	_, err := a.Doors.ResetFinish(ctx, r)
	return nil, err
}

type notMeInput struct {
	Body struct {
		Token string `json:"token" maxLength:"128" doc:"What stands behind token= in the link of a notice."`
	}
}

func (a *API) notMe(ctx context.Context, c *caller, in *notMeInput) (*struct{}, error) {
	return nil, a.Doors.NotMe(ctx, in.Body.Token, login.API, c.client)
}
