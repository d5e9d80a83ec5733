package compat

import (
	"encoding/json"
	"errors"
)

// Word is a text whose default is said by leaving it out. Written and empty it is a
// mistake (a variable that is set to nothing), and no wish for the default.
type Word string

// UnmarshalJSON refuses what is empty.
func (w *Word) UnmarshalJSON(data []byte) error {
	var text *string
	switch err := json.Unmarshal(data, &text); {
	case err != nil:
		return errors.New("expected a text (a number that is meant as one needs quotes)")
	case text == nil || *text == "":
		return errors.New("nothing stands here: leave the word out for its default, or say what it is")
	}
	*w = Word(*text)
	return nil
}

// Config holds the words below compat. A block that is there, an empty one too,
// switches its facade on; nil: off.
type Config struct {
	Adjure     *Adjure     `json:"adjure,omitzero"`
	Ungleich   *Ungleich   `json:"ungleich,omitzero"`
	Fastapi2FA *Fastapi2FA `json:"fastapi2fa,omitzero"`
	Trench     *Trench     `json:"trench,omitzero"`
}

// Access holds the words that all facades have.
type Access struct {
	// AllowFrom are the networks from which it may be called at all. Default: for
	// calls that prove nothing by themselves loopback, for others everywhere.
	AllowFrom []string `json:"allow_from,omitempty"`
	// Require is a service, name@realm, that must prove itself with every call, by
	// Basic. Default: none.
	Require Word `json:"require,omitempty"`
	// Skew is how many steps are accepted on either side of now, 0 to 10, in the
	// realms of the facade. Default: the original's.
	Skew *int `json:"skew,omitempty"`
	// Replay is deny or allow: whether a code may be used twice. Only services may
	// be allowed to, so only ungleich takes allow, and has it as its default.
	Replay Word `json:"replay,omitempty"`
	// CORS are foreign origins whose scripts may call, exact. Default: none.
	CORS []string `json:"cors,omitempty"`
}

// Adjure has /user/* and /healthcheck.
type Adjure struct {
	Realm Word `json:"realm,omitempty"` // default adjure
	Access
	// CodeOracle lets callers read the code of a moment, and a seed again after its
	// first good code. Default false.
	CodeOracle bool `json:"code_oracle,omitempty"`
}

// Ungleich has /verify, /register, /app/* and /ungleichotp/*. It has no realm but
// three, of services.
type Ungleich struct {
	Access
	AdminRealm Word `json:"admin_realm,omitempty"` // may do everything; default ungleich-admin
	AuthRealm  Word `json:"auth_realm,omitempty"`  // may ask about others; default ungleich-auth
	AppRealm   Word `json:"app_realm,omitempty"`   // of registered apps; default ungleich-apps
	// ShowSeeds lets lists and /app/{uuid} show seeds. Default false.
	ShowSeeds bool `json:"show_seeds,omitempty"`
}

// Fastapi2FA has /api/v1/*.
type Fastapi2FA struct {
	Realm Word `json:"realm,omitempty"` // default fastapi2fa
	Access
	// Signup opens signup beyond loopback, and users/* and tasks/* to the service of
	// Require. Default false.
	Signup bool `json:"signup,omitempty"`
}

// Trench has all below its prefix.
type Trench struct {
	Realm Word `json:"realm,omitempty"` // default trench
	Access
	Prefix  Word    `json:"prefix,omitempty"`  // an absolute path; default /auth
	Dialect Dialect `json:"dialect,omitempty"` // default 0.3
}

// Dialect is the age of the clients of trench: 0.2 or 0.3.
type Dialect string

// The two dialects.
const (
	Dialect02 Dialect = "0.2"
	Dialect03 Dialect = "0.3"
)

// UnmarshalJSON reads a text or a number: YAML has no other way to write 0.3 without
// quotes.
func (d *Dialect) UnmarshalJSON(data []byte) error {
	switch text := string(data); text {
	case `0.2`, `"0.2"`, `0.3`, `"0.3"`:
		*d = Dialect(text)
		if text[0] == '"' {
			*d = Dialect(text[1 : len(text)-1])
		}
		return nil
	}
	return errors.New("expected 0.2 or 0.3")
}
