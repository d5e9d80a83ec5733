package api

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// WebAuthn is JSON between the browser and the room of factors: options that parse… of
// PublicKeyCredential reads, or what its toJSON writes (WebAuthn Level 3, section 5.1). It
// is carried unread; that it is an object, and has one reading, was checked.
type WebAuthn struct{ json.RawMessage }

// Schema implements huma.SchemaProvider.
func (WebAuthn) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// isOpaque reports whether a field holds what is carried unread.
func isOpaque(t reflect.Type) bool { return plain(t) == reflect.TypeFor[WebAuthn]() }

// PasskeyOptions are what a page hands to navigator.credentials.
type PasskeyOptions struct {
	Options   WebAuthn `json:"options" doc:"{publicKey}: for PublicKeyCredential.parseRequestOptionsFromJSON, then navigator.credentials.get."`
	ExpiresIn int      `json:"expires_in" doc:"Seconds that the challenge is good, once."`
}

type passkeyOptionsOutput struct {
	Body PasskeyOptions
}

func passkeyOptions(options []byte) *passkeyOptionsOutput {
	return &passkeyOptionsOutput{Body: PasskeyOptions{Options: WebAuthn{options}, ExpiresIn: seconds(factor.ChallengeLife)}}
}

type beginPasskeyInput struct {
	Body *struct {
		EphemeralToken string `json:"ephemeral_token,omitempty" maxLength:"128" doc:"Of a login with status second_factor. Without it: a login by passkey alone, of whoever it names."`
	}
}

// beginPasskey makes a challenge: for the second door, or for both.
func (a *API) beginPasskey(ctx context.Context, _ *caller, in *beginPasskeyInput) (*passkeyOptionsOutput, error) {
	if in.Body != nil && in.Body.EphemeralToken != "" {
		options, err := a.Doors.PasskeyChallenge(ctx, in.Body.EphemeralToken, login.API)
		if err != nil {
			return nil, err
		}
		return passkeyOptions(options), nil
	}
	options, _, err := a.Doors.BeginPasskeyLogin(login.API)
	if err != nil {
		return nil, err
	}
	return passkeyOptions(options), nil
}

type passkeyInput struct {
	Body struct {
		Credential     WebAuthn `json:"credential" doc:"What toJSON of the PublicKeyCredential writes."`
		EphemeralToken string   `json:"ephemeral_token,omitempty" maxLength:"128" doc:"That of the challenge; none for a login by passkey alone."`
		Realm          string   `json:"realm,omitempty" maxLength:"128" doc:"Without an ephemeral token: let users of this realm in alone."`
		TrustDevice    bool     `json:"trust_device,omitempty" doc:"With an ephemeral token: trust this browser, where the realm allows it."`
	}
}

func (a *API) passkey(ctx context.Context, c *caller, in *passkeyInput) (*loginOutput, error) {
	b := in.Body
	switch {
	case b.EphemeralToken == "" && b.TrustDevice:
		return nil, invalid("body.trust_device", "goes with an ephemeral token: a passkey alone is faster than a trusted browser")
	case b.EphemeralToken != "" && b.Realm != "":
		return nil, invalid("body.realm", "goes without an ephemeral token: there the person is known")
	}
	var next *login.Next
	var err error
	if b.EphemeralToken != "" {
		next, err = a.Doors.Passkey(ctx, login.Second{Ephemeral: b.EphemeralToken, Response: b.Credential.RawMessage,
			Door: login.API, Client: c.client, Trust: b.TrustDevice})
	} else {
		next, err = a.Doors.FinishPasskeyLogin(ctx, login.PasskeyAttempt{Response: b.Credential.RawMessage, Realm: b.Realm,
			Door: login.API, Client: c.client})
	}
	if err != nil {
		return nil, err
	}
	return a.passed(ctx, c, next)
}

// askPasskey makes a challenge for a pass.
func (a *API) askPasskey(ctx context.Context, c *caller, _ *struct{}) (*passkeyOptionsOutput, error) {
	options, err := a.Doors.AskPasskey(ctx, c.live)
	if err != nil {
		return nil, gone(err)
	}
	return passkeyOptions(options), nil
}

type proveInput struct {
	Body struct {
		Credential WebAuthn `json:"credential" doc:"What toJSON of the PublicKeyCredential writes."`
	}
}

// Pass is a proof by passkey, for a call that asks for a code.
type Pass struct {
	Code      string `json:"code" doc:"Send it where a call asks for a code: once, in this session."`
	ExpiresIn int    `json:"expires_in" doc:"Seconds that it is good."`
}

type passOutput struct {
	Body Pass
}

func (a *API) provePasskey(ctx context.Context, c *caller, in *proveInput) (*passOutput, error) {
	text, err := a.Doors.ProvePasskey(ctx, c.live, in.Body.Credential.RawMessage, c.client)
	if err != nil {
		return nil, gone(err)
	}
	return &passOutput{Body: Pass{Code: text, ExpiresIn: seconds(login.PassLife)}}, nil
}

type renameInput struct {
	Method string `path:"method" maxLength:"32"`
	ID     string `path:"id" maxLength:"64"`
	Body   struct {
		Label string `json:"label" maxLength:"128" doc:"What you call the device; empty: what it is called by itself."`
	}
}

// rename names a device, and asks for no code: a name opens nothing.
func (a *API) rename(ctx context.Context, c *caller, in *renameInput) (*methodsOutput, error) {
	err := a.Store.Update(ctx, func(tx store.Tx) error {
		return a.Factors.Rename(tx, c.self(), c.live.Identity.ID, factor.Name(in.Method), in.ID, in.Body.Label)
	})
	if err != nil {
		return nil, gone(err)
	}
	return a.methods(ctx, c, nil)
}

// expires is how long the options of an activation are good; 0: they are none.
func expires(e *factor.Enrollment) int {
	if e.Options == nil {
		return 0
	}
	return seconds(factor.ChallengeLife)
}
