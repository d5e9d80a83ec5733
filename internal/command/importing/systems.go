package importing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// Names of the older systems whose databases can be read. Each has a query, printed
// in docs/compat.md, whose rows are JSON objects, one a line.
const (
	Adjure     = "adjure"     // users with TOTP and recovery codes, without passwords
	Ungleich   = "ungleich"   // ungleich-otp: services, or the apps of its first versions
	FastAPI2FA = "fastapi2fa" // fastapi_2fa: users, with seeds that a Fernet key opens
	Trench     = "trench"     // django-trench: Django's users with their methods
)

// Systems lists the names.
func Systems() []string { return []string{Adjure, Ungleich, FastAPI2FA, Trench} }

// RealmOf is the realm of a system's users where nobody names one; empty: the rows do,
// or there is no such system.
func RealmOf(system string) string {
	if system == Ungleich {
		return ""
	}
	if slices.Contains(Systems(), system) {
		return system
	}
	return ""
}

// From looks at the beginning of what a query of an older system printed. key is
// needed for FastAPI2FA alone.
func From(r io.Reader, system string, key *Fernet) (*Reader, error) {
	reader, err := Open(r, system)
	if err == nil {
		reader.key = key
	}
	return reader, err
}

// flag is true or false, as PostgreSQL prints it, or 1 or 0, as SQLite does. null
// is false.
type flag bool

func (f *flag) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "true", "1":
		*f = true
	case "false", "0", "null":
		*f = false
	default:
		return errors.New("true or false is expected")
	}
	return nil
}

// rows reads a row a line and has take fill the entry. A row with other fields than
// the query prints is refused: a mistyped one would be a user without it. An error
// of take ends the file.
func rows[Row any](r *Reader, fields string, take func(*Entry, *Row) (*Refusal, error)) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
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
				if err := row(&e, text, fields, take); err != nil {
					yield(Entry{}, err)
					return
				}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func row[Row any](e *Entry, text []byte, fields string, take func(*Entry, *Row) (*Refusal, error)) error {
	var r Row
	if err := json.Unmarshal(text, &r, json.RejectUnknownMembers(true)); err != nil || text[0] != '{' {
		e.Refused = refuse("malformed", "a row of the query in docs/compat.md is expected, one JSON object a line with the fields %s", fields)
		return nil
	}
	refused, err := take(e, &r)
	if err != nil {
		return fmt.Errorf("%s: %w", e.Place, err)
	}
	e.Refused = refused
	return nil
}

// missing refuses a row in which the query would have printed something.
func missing(field string) *Refusal { return refuse("malformed", "the field %s is missing", field) }

// totpWith are the parameters of an authenticator, which a database may hold as any
// number. What cannot be is refused here: zero would become a default.
func totpWith(digits, period *float64, algorithm string) (*TOTP, *Refusal) {
	if digits == nil || *digits != 6 && *digits != 8 {
		return nil, refuse("totp", "codes have 6 or 8 digits here")
	}
	if period == nil || *period != math.Trunc(*period) || *period < 1 || *period > MaxPeriod {
		return nil, refuse("totp", "the period of a code is 1 to %d whole seconds here", MaxPeriod)
	}
	if !slices.Contains([]string{"SHA1", "SHA256", "SHA512"}, algorithm) {
		return nil, refuse("totp", "the algorithm is SHA1, SHA256 or SHA512")
	}
	return &TOTP{Digits: int(*digits), Period: int(*period), Algorithm: algorithm}, nil
}

const (
	// MaxPeriod bounds the life of a code, in seconds.
	MaxPeriod   = 3600
	usualPeriod = 30
)

// usual are the parameters of systems that have no others.
func usual(seed string) *TOTP {
	return &TOTP{Secret: secret.NewText(seed), Digits: 6, Period: usualPeriod, Algorithm: "SHA1"}
}

func texts(list []string) []secret.Text {
	all := make([]secret.Text, 0, len(list))
	for _, s := range list {
		all = append(all, secret.NewText(s))
	}
	return all
}

// counted is a note about so many users.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 user " + one
	}
	return fmt.Sprintf("%d users %s", n, more)
}
