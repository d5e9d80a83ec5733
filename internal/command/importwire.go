package command

import (
	"encoding/json"

	"github.com/sallyport-auth/sallyport/internal/command/importing"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// importUser is one user on the wire.
type importUser struct {
	Realm        string         `json:"realm"`
	Name         string         `json:"name"`
	Email        string         `json:"email,omitempty"`
	Unconfirmed  bool           `json:"unconfirmed,omitempty"`
	FullName     string         `json:"full_name,omitempty"`
	Phone        string         `json:"phone,omitempty"`
	Groups       *[]string      `json:"groups,omitempty"`
	Disabled     *bool          `json:"disabled,omitempty"`
	PasswordHash string         `json:"password_hash,omitempty"`
	Password     string         `json:"password,omitempty"`
	TOTP         *importTOTP    `json:"totp,omitempty"`
	Methods      []importMethod `json:"methods,omitempty"`
	Primary      string         `json:"primary,omitempty"`
	Codes        []string       `json:"recovery_codes,omitempty"`
	Digests      []string       `json:"recovery_digests,omitempty"`
	Mailed       bool           `json:"recovery_mailed,omitempty"`
}

type importTOTP struct {
	Secret    string `json:"secret"`
	Digits    int    `json:"digits,omitempty"`
	Period    int    `json:"period,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
}

type importMethod struct {
	Method string `json:"method"`
	Key    string `json:"key,omitempty"`
}

// importService is one service on the wire.
type importService struct {
	Realm       string `json:"realm"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Owner       string `json:"owner,omitempty"`
	Trusted     bool   `json:"trusted,omitempty"`
	Disabled    *bool  `json:"disabled,omitempty"`
	Seed        string `json:"seed"`
	Via         string `json:"via,omitempty"`
}

func wireOf(e *importing.Entry) (json.RawMessage, error) {
	if s := e.Service; s != nil {
		return json.Marshal(importService{Realm: e.Realm, Name: e.Name, Description: s.Description, Owner: s.Owner, Trusted: s.Trusted,
			Disabled: e.Disabled, Seed: s.Seed.Reveal(), Via: importing.Ungleich}) // no other system had programs
	}
	u := importUser{Realm: e.Realm, Name: e.Name, Email: e.Email, Unconfirmed: e.Unconfirmed, FullName: e.FullName, Phone: e.Phone, Groups: e.Groups,
		Disabled: e.Disabled, PasswordHash: e.PasswordHash.Reveal(), Password: e.Password.Reveal(),
		Codes: revealed(e.RecoveryCodes), Digests: revealed(e.RecoveryDigests)}
	if t := e.TOTP; t != nil {
		u.TOTP = &importTOTP{Secret: t.Secret.Reveal(), Digits: t.Digits, Period: t.Period, Algorithm: t.Algorithm}
	}
	u.Primary, u.Mailed = e.Primary, e.Mailed
	for _, m := range e.Methods {
		u.Methods = append(u.Methods, importMethod{Method: m.Name, Key: m.Key})
	}
	return json.Marshal(u)
}

func revealed(texts []secret.Text) (list []string) {
	for _, t := range texts {
		list = append(list, t.Reveal())
	}
	return list
}
