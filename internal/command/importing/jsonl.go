package importing

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// jsonUser is one of our own lines. Names of fields are strict: a mistyped one
// would be a user without it.
type jsonUser struct {
	Realm        string         `json:"realm"`
	Name         string         `json:"name"`
	Email        string         `json:"email"`
	Unconfirmed  bool           `json:"unconfirmed"`
	FullName     string         `json:"full_name"`
	Phone        string         `json:"phone"`
	Groups       *[]string      `json:"groups"`
	Disabled     *bool          `json:"disabled"`
	PasswordHash string         `json:"password_hash"`
	Password     string         `json:"password"`
	TOTP         *jsonTOTP      `json:"totp"`
	Methods      []jsonMethod   `json:"methods"`
	Primary      string         `json:"primary"`
	Codes        []string       `json:"recovery_codes"`
	Digests      []string       `json:"recovery_digests"`
	Mailed       bool           `json:"recovery_mailed"`
	CreatedAt    jsontext.Value `json:"created_at"` // export writes it; a user is created when they come here
}

type jsonTOTP struct {
	Secret    string `json:"secret"`
	Digits    int    `json:"digits"`
	Period    int    `json:"period"`
	Algorithm string `json:"algorithm"`
}

type jsonMethod struct {
	Method string `json:"method"`
	Key    string `json:"key"`
}

const jsonFields = "realm, name, email, full_name, phone, groups, disabled, password_hash, password, totp {secret, digits, period, algorithm}, methods [method, key], primary, recovery_codes, recovery_digests, recovery_mailed, created_at"

// jsonl reads an object a line. Empty lines say nothing.
func (r *Reader) jsonl(yield func(Entry, error) bool) {
	for l, err := range lines(r.in) {
		if err != nil {
			yield(Entry{}, err)
			return
		}
		text := bytes.TrimSpace(l.text)
		if len(text) == 0 {
			continue
		}
		e := Entry{Place: l.place()}
		if e.Refused = readable(l); e.Refused == nil {
			e.jsonl(text)
		}
		if !yield(e, nil) {
			return
		}
	}
}

func (e *Entry) jsonl(text []byte) {
	var u jsonUser
	if err := json.Unmarshal(text, &u, json.RejectUnknownMembers(true)); err != nil || text[0] != '{' {
		e.Refused = refuse("malformed", "%s", jsonReason(err))
		return
	}
	e.Realm, e.Name, e.Email, e.Unconfirmed, e.FullName, e.Phone = u.Realm, u.Name, u.Email, u.Unconfirmed, u.FullName, u.Phone
	e.Groups, e.Disabled = u.Groups, u.Disabled
	e.PasswordHash, e.Password = secret.NewText(u.PasswordHash), secret.NewText(u.Password)
	if u.TOTP != nil {
		e.TOTP = &TOTP{Secret: secret.NewText(u.TOTP.Secret), Digits: u.TOTP.Digits, Period: u.TOTP.Period, Algorithm: u.TOTP.Algorithm}
	}
	for _, m := range u.Methods {
		e.Methods = append(e.Methods, Method{Name: m.Method, Key: m.Key})
	}
	e.Primary, e.Mailed = u.Primary, u.Mailed
	e.RecoveryCodes, e.RecoveryDigests = texts(u.Codes), texts(u.Digests)
	if u.PasswordHash != "" && u.Password != "" {
		e.Refused = refuse("malformed", "password and password_hash exclude each other")
	}
}

// jsonReason names a field of ours that holds something else, and repeats
// nothing that stands in the file.
func jsonReason(err error) string {
	var bad *json.SemanticError
	switch {
	case errors.As(err, &bad) && errors.Is(err, json.ErrUnknownName):
		return "a field is unknown: the fields are " + jsonFields
	case bad != nil:
		field := strings.TrimPrefix(string(bad.JSONPointer), "/")
		for _, known := range []string{"realm", "name", "email", "full_name", "phone", "groups", "disabled", "password_hash", "password", "totp", "totp/secret", "totp/digits", "totp/period", "totp/algorithm", "methods", "primary", "recovery_codes", "recovery_digests", "recovery_mailed"} {
			if field == known {
				return "the field " + field + " holds another kind of value than expected"
			}
		}
	}
	return "one JSON object a line is expected, each field once, in UTF-8: " + jsonFields
}
