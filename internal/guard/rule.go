package guard

import (
	"encoding/json"
	"fmt"
	"time"
)

// Rule is one line of the configuration's rules. The first rule that matches
// host, path, method and network decides; where none does the request is
// denied. A list that is empty does not narrow.
type Rule struct {
	// Name stands in logs and in explain. Optional.
	Name string `json:"name,omitempty"`
	// Hosts: an exact name, "*.example.com" (one label or more below
	// example.com, not example.com itself) or "*". Empty: every host.
	Hosts []string `json:"hosts,omitempty"`
	// Paths: exact ("/status"), a prefix on a segment boundary ("/admin/*" is
	// /admin itself and all below, not /administrator), "/*" for all, or a
	// regular expression that must match the whole path ("regex:/v[0-9]+/.*").
	// The query never takes part. Empty: every path.
	Paths []string `json:"paths,omitempty"`
	// Methods match exactly, in upper case: GET does not include HEAD.
	// Empty: every method.
	Methods []string `json:"methods,omitempty"`
	// Networks are the client's: prefixes (10.0.0.0/8) or addresses.
	// Empty: every client.
	Networks []string `json:"networks,omitempty"`
	// Realms whose users are admitted. The first one's users have a bare name
	// in Remote-User. Services are admitted by Services alone.
	Realms []string `json:"realms,omitempty"`
	// Groups narrow the realms to members of one of them, or users named by
	// Users. Without Realms they mean groups of the default realm.
	Groups []string `json:"groups,omitempty"`
	// Users narrow as Groups do: name@realm, or a name of the first realm.
	Users []string `json:"users,omitempty"`
	// Services that may pass with their token: name@realm, or @realm for all
	// services of a realm.
	Services []string `json:"services,omitempty"`
	// Factors: 0 admits everybody, signed in or not; 1 a password; 2 a second
	// factor too. Default 2.
	Factors *int `json:"factors,omitempty"`
	// Fresh is how old the second factor may be. Default: any age.
	Fresh Duration `json:"fresh,omitempty"`
	// Deny refuses whoever it is.
	Deny bool `json:"deny,omitempty"`
	// Headers is the preset of identity headers: "" or "remote" (Remote-User
	// …), "x-forwarded", "x-auth-request", "authentik".
	Headers string `json:"headers,omitempty"`
	// Assertion adds a signed JWT: on (EdDSA), es256 or off. Default off.
	Assertion Assertion `json:"assertion,omitempty"`
	// Preflight: "pass" admits CORS preflights without identity.
	Preflight string `json:"preflight,omitempty"`
	// UserHeader: "bare" leaves the realm out of Remote-User for all realms.
	UserHeader string `json:"user_header,omitempty"`
}

// The presets of identity headers that Rule.Headers names.
const (
	HeadersRemote       = "remote"
	HeadersForwarded    = "x-forwarded"
	HeadersAuthRequest  = "x-auth-request"
	HeadersAuthentik    = "authentik"
	UserHeaderBare      = "bare"
	UserHeaderQualified = "qualified"
	PreflightPass       = "pass"
	PreflightJudge      = "judge"
)

// Duration is a time.Duration that is written "15m" or "8h", or 0.
type Duration time.Duration

// UnmarshalJSON reads a string for time.ParseDuration, or the number 0.
func (d *Duration) UnmarshalJSON(text []byte) error {
	if string(text) == "0" || string(text) == "null" {
		*d = 0
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("expected a length of time such as 90s, 15m or 8h")
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("expected a length of time such as 90s, 15m or 8h")
	}
	*d = Duration(parsed)
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Assertion says whether the upstream gets a signed assertion, and how it is
// signed. The zero Assertion is none.
type Assertion string

const (
	AssertionNone  Assertion = ""
	AssertionEdDSA Assertion = "EdDSA"
	AssertionES256 Assertion = "ES256"
)

// UnmarshalJSON reads true, false, "on", "off", "eddsa" or "es256".
func (a *Assertion) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case `true`, `"on"`, `"eddsa"`, `"EdDSA"`:
		*a = AssertionEdDSA
	case `"es256"`, `"ES256"`:
		*a = AssertionES256
	case `false`, `"off"`, `""`, `null`:
		*a = AssertionNone
	default:
		return fmt.Errorf("expected on, off or es256")
	}
	return nil
}
