// Package principal owns the names of those who can prove something: the ids
// that never change, the canonical form of names, realms, groups and
// addresses, and the written form name@realm.
//
// Two spellings that a person takes for the same name must be one name at
// every door, so nothing outside this package compares names that it has not
// made canonical here. The package is pure: no clock, no store, no logger.
package principal

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// ID is the immutable identity of a principal, a random UUID (RFC 9562
// version 4). It is given once and never used again, so whatever hangs on it
// (sessions, tokens, burned steps) dies with its owner. The zero ID is nobody.
type ID [16]byte

// NewID returns a random ID.
func NewID() ID { return ID(uuid.New()) }

// ParseID reads the 36-character form with hyphens, in either case. The zero
// ID is refused: nobody is not somebody. Errors: ErrName.
func ParseID(s string) (ID, error) {
	var id ID
	if err := id.UnmarshalText([]byte(s)); err != nil {
		return ID{}, err
	}
	if id.IsZero() {
		return ID{}, refuse("an id of zeros names nobody")
	}
	return id, nil
}

// String returns the 36-character lower-case form.
func (id ID) String() string { return uuid.UUID(id).String() }

// IsZero reports whether id names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText returns the same text as String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote, the zero ID too.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 36 { // uuid.Parse would take braces and urn:uuid: as well
		return refuse("an id is a UUID of 36 characters, this text has %d", len(text))
	}
	parsed, err := uuid.ParseBytes(text)
	if err != nil {
		return refuse("%s is not a UUID: 8-4-4-4-12 hexadecimal digits are expected", quote(string(text)))
	}
	*id = ID(parsed)
	return nil
}

// Kind says what a principal is. The zero Kind is neither and admits nothing.
type Kind uint8

const (
	// User is a person: a password and factors.
	User Kind = iota + 1
	// Service is a program: a long-term seed.
	Service
)

// String returns "user", "service" or "invalid".
func (k Kind) String() string {
	switch k {
	case User:
		return "user"
	case Service:
		return "service"
	}
	return "invalid"
}

// MarshalText returns "user" or "service"; any other Kind is an error.
func (k Kind) MarshalText() ([]byte, error) {
	if k != User && k != Service {
		return nil, fmt.Errorf("a principal is a user or a service, not kind %d", uint8(k))
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (k *Kind) UnmarshalText(text []byte) error {
	switch string(text) {
	case "user":
		*k = User
	case "service":
		*k = Service
	default:
		return refuse("%s is not a kind of principal: user or service is expected", quote(string(text)))
	}
	return nil
}

// Ref names a principal: both parts are canonical. The zero Ref is nobody.
type Ref struct {
	Name  string `json:"name"`
	Realm string `json:"realm"`
}

// String returns name@realm.
func (r Ref) String() string { return r.Name + "@" + r.Realm }

// IsZero reports whether r names nobody.
func (r Ref) IsZero() bool { return r == Ref{} }

// ParseRef reads name@realm, split at the last @, or a bare name of
// defaultRealm. Both parts come back canonical. Errors: ErrName.
func ParseRef(s, defaultRealm string) (Ref, error) {
	name, realm := s, defaultRealm
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		name, realm = s[:at], s[at+1:]
	}
	cname, err := CanonicalName(name)
	if err != nil {
		return Ref{}, err
	}
	crealm, err := CanonicalRealm(realm)
	if err != nil {
		return Ref{}, err
	}
	return Ref{Name: cname, Realm: crealm}, nil
}
