package importing

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// trenchRow is a user of Django with the methods of django-trench.
type trenchRow struct {
	ID        jsontext.Value `json:"id"` // a number or a UUID, passed over
	Username  *string        `json:"username"`
	Password  *string        `json:"password"`
	Email     string         `json:"email"`
	FirstName string         `json:"first_name"`
	LastName  string         `json:"last_name"`
	Active    *flag          `json:"is_active"`
	Methods   []trenchMethod `json:"methods"`
}

type trenchMethod struct {
	Name        string `json:"name"`
	Secret      string `json:"secret"`
	IsPrimary   flag   `json:"is_primary"`
	IsActive    flag   `json:"is_active"`
	BackupCodes string `json:"backup_codes"`
}

const trenchFields = "id, username, password, email, first_name, last_name, is_active, methods [name, secret, is_primary, is_active, backup_codes]"

// trenchApp is the name of the method that is an authenticator.
const trenchApp = "app"

// trenchOthers are the methods that trench brings along and this version has not.
var trenchOthers = []string{"email", "sms_twilio", "sms_api", "sms_aws", "yubi"}

// trench counts what it leaves out.
type trench struct {
	period int            // of codes, in seconds
	timed  int            // users who come with such codes
	left   map[string]int // by method
	bare   int            // users who come without any
}

func (r *Reader) trench(yield func(Entry, error) bool) {
	t := trench{period: cmp.Or(r.period, usualPeriod), left: map[string]int{}}
	rows(r, trenchFields, t.take)(yield)
	if t.timed > 0 && t.period != usualPeriod {
		r.notes = append(r.notes, counted(t.timed, "has", "have")+" an authenticator whose codes live for "+strconv.Itoa(t.period)+" seconds: --totp-period says otherwise")
	}
	for _, name := range slices.Sorted(maps.Keys(t.left)) {
		r.notes = append(r.notes, counted(t.left[name], "has", "have")+" the method "+name+", which this version does not offer: it was left out")
	}
	if t.bare > 0 {
		r.notes = append(r.notes, counted(t.bare, "has", "have")+" no other method: who comes so signs in with the password alone until an authenticator is set up")
	}
}

func (t *trench) take(e *Entry, row *trenchRow) (*Refusal, error) {
	switch {
	case row.Username == nil:
		return missing("username"), nil
	case row.Password == nil:
		return missing("password"), nil
	case row.Active == nil:
		return missing("is_active"), nil
	}
	active := bool(*row.Active)
	e.django(&djangoUser{Username: row.Username, Password: row.Password, FirstName: row.FirstName, LastName: row.LastName, Email: row.Email, IsActive: &active})
	if e.Refused != nil {
		return e.Refused, nil
	}
	var others []string
	for i := range row.Methods {
		m := &row.Methods[i]
		switch {
		case !bool(m.IsActive):
		case m.Name != trenchApp:
			others = append(others, known(m.Name))
		case e.TOTP != nil:
			return refuse("totp", "the method app is active twice: leave one of them"), nil
		default:
			e.TOTP = usual(m.Secret)
			e.TOTP.Period = t.period
			if refused := e.backupCodes(m.BackupCodes); refused != nil {
				return refused, nil
			}
			t.timed++
		}
	}
	slices.Sort(others)
	for _, name := range slices.Compact(others) {
		t.left[name]++
	}
	if len(others) > 0 && e.TOTP == nil {
		t.bare++
	}
	return nil, nil
}

// known is the name of a method in a note: a project may have called its own
// anything.
func known(name string) string {
	if slices.Contains(trenchOthers, name) {
		return name
	}
	return "of the project's own"
}

// backupCodes takes the codes of a method: joined by commas (0.2) or bars (0.3), or
// the print of a Python set, as 0.3.0 stored it by mistake. They are hashed like
// passwords unless the setting was off.
func (e *Entry) backupCodes(text string) *Refusal {
	separator := ","
	if strings.Contains(text, "|") || secret.CheckDigest(text) == nil { // a digest may hold commas
		separator = "|"
	}
	for code := range strings.SplitSeq(text, separator) {
		code = strings.Trim(code, "{}[]'\" ")
		switch {
		case code == "":
		case secret.Kind(code) != "":
			if err := secret.CheckDigest(code); err != nil {
				return refuse("recovery_code", "a backup code is hashed in a way that cannot be verified: %v", err)
			}
			e.RecoveryDigests = append(e.RecoveryDigests, secret.NewText(code))
		case strings.Contains(code, "$"):
			return refuse("recovery_code", "a backup code is hashed in a way that is not known here: pbkdf2_sha256, pbkdf2_sha1, argon2, bcrypt and scrypt are")
		default:
			e.RecoveryCodes = append(e.RecoveryCodes, secret.NewText(code))
		}
	}
	return nil
}
