package api

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// YubiKey is a key whose secret is registered here.
type YubiKey struct {
	PublicID string    `json:"public_id" doc:"In modhex: what the key types without the last 32 characters."`
	AddedAt  time.Time `json:"added_at"`
}

// YubiKeyList is all of them.
type YubiKeyList struct {
	YubiKeys []YubiKey `json:"yubikeys" nullable:"false"`
}

type yubiKeyListOutput struct {
	Body YubiKeyList
}

func (a *API) listYubiKeys(ctx context.Context, c *caller, _ *struct{}) (*yubiKeyListOutput, error) {
	out := &yubiKeyListOutput{Body: YubiKeyList{YubiKeys: []YubiKey{}}}
	err := a.Store.View(ctx, func(tx store.Tx) error {
		list, err := a.Factors.YubiKeySecrets(tx, c.actor())
		for _, k := range list {
			out.Body.YubiKeys = append(out.Body.YubiKeys, YubiKey{PublicID: k.Public, AddedAt: k.AddedAt})
		}
		return err
	})
	return out, err
}

type yubiKeyInput struct {
	Body struct {
		PublicID  string `json:"public_id" maxLength:"32" doc:"In modhex: what the key types without the last 32 characters."`
		PrivateID string `json:"private_id" maxLength:"12" doc:"Six bytes in hexadecimal digits."`
		Key       string `json:"key" maxLength:"32" doc:"The AES-128 key, 16 bytes in hexadecimal digits."`
	}
}

type yubiKeyOutput struct {
	Body YubiKey
}

// registerYubiKey stores the secret of a YubiKey. It is never shown again.
func (a *API) registerYubiKey(ctx context.Context, c *caller, in *yubiKeyInput) (*yubiKeyOutput, error) {
	out := &yubiKeyOutput{}
	return out, a.Store.Update(ctx, func(tx store.Tx) error {
		if err := a.Directory.Allowed(tx, c.actor(), account.Update, account.AdminRealm); err != nil {
			return err // who may not learns nothing of what is expected
		}
		private, err := hex.DecodeString(in.Body.PrivateID)
		if err != nil || len(private) != otp.YubiKeyPrivate {
			return invalid("body.private_id", "twelve hexadecimal digits are expected")
		}
		key, err := hex.DecodeString(in.Body.Key)
		if err != nil || len(key) != otp.YubiKeySecret {
			return invalid("body.key", "32 hexadecimal digits are expected")
		}
		public, err := a.Factors.RegisterYubiKey(tx, c.actor(), in.Body.PublicID, private, key)
		out.Body = YubiKey{PublicID: public, AddedAt: tx.Now()}
		return err
	})
}

type yubiKeyPath struct {
	PublicID string `path:"public_id" maxLength:"32"`
}

func (a *API) forgetYubiKey(ctx context.Context, c *caller, in *yubiKeyPath) (*struct{}, error) {
	return nil, a.Store.Update(ctx, func(tx store.Tx) error { return a.Factors.ForgetYubiKey(tx, c.actor(), in.PublicID) })
}
