package gateway

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/factor/yubico"
)

// YubiKey says who judges the one-time passwords of YubiKeys whose secrets are not
// registered here.
type YubiKey struct {
	ClientID string   `json:"client_id,omitempty"` // a number, from Yubico
	Key      string   `json:"key,omitempty"`       // the client's API key in base64, usually {file.PATH}
	Servers  []string `json:"servers,omitempty"`   // URLs of validation servers of one cluster; default: Yubico's
	Sync     int      `json:"sync,omitempty"`      // percent of a cluster that must agree; default: the server's own
}

// planYubiKeys understands who judges YubiKeys. Nobody is asked.
func (c *Config) planYubiKeys(p *plan, _ shell) error {
	y := c.YubiKey
	if y == nil {
		return nil
	}
	v, err := yubico.New(yubico.Options{ClientID: y.ClientID, Key: y.Key, Servers: y.Servers, Sync: y.Sync})
	if err != nil {
		return c.At("/yubikey", "yubikey: %v", err)
	}
	p.yubikeys = validator{v}
	return nil
}

// validator speaks yubico in the words of factor.
type validator struct{ *yubico.Validator }

func (v validator) Validate(ctx context.Context, otp string) error {
	err := v.Validator.Validate(ctx, otp)
	if errors.Is(err, yubico.ErrRefused) {
		return factor.ErrDenied
	}
	return err
}
