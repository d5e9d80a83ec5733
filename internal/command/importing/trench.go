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
	Phone     string         `json:"phone_number"` // of a user model that has one
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

const trenchFields = "id, username, password, email, phone_number, first_name, last_name, is_active, methods [name, secret, is_primary, is_active, backup_codes]"

// trenchApp is the name of the method that is an authenticator.
const trenchApp = "app"

// ours is what a method of trench is called here: the three of SMS are one. Others are a
// project's own, and keep their names.
func ours(name string) string {
	switch name {
	case "sms_twilio", "sms_api", "sms_aws":
		return sms
	case "yubi":
		return yubikey
	}
	return name
}

// trench counts what it leaves out.
type trench struct {
	period int            // of codes, in seconds
	leave  []string       // methods that do not come along
	timed  int            // users who come with such codes
	left   map[string]int // by method
	bare   int            // users who come without any
}

func (r *Reader) trench(yield func(Entry, error) bool) {
	t := trench{period: cmp.Or(r.period, usualPeriod), leave: r.leave, left: map[string]int{}}
	rows(r, trenchFields, t.take)(yield)
	if t.timed > 0 && t.period != usualPeriod {
		r.notes = append(r.notes, counted(t.timed, "has", "have")+" an authenticator whose codes live for "+strconv.Itoa(t.period)+" seconds: --totp-period says otherwise")
	}
	for _, name := range slices.Sorted(maps.Keys(t.left)) {
		r.notes = append(r.notes, counted(t.left[name], "has", "have")+" the method "+name+": it was left out")
	}
	if t.bare > 0 {
		r.notes = append(r.notes, counted(t.bare, "has", "have")+" no other method: who comes so signs in with the password alone until a second factor is set up")
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
	e.Phone = row.Phone
	var left []string
	for i := range row.Methods {
		m := &row.Methods[i]
		if !m.IsActive {
			continue
		}
		if word := t.leaves(m.Name); word != "" {
			left = append(left, word)
			continue
		}
		if refused := t.method(e, m); refused != nil {
			return refused, nil
		}
	}
	slices.Sort(left)
	for _, name := range slices.Compact(left) {
		t.left[name]++
	}
	if len(left) > 0 && e.TOTP == nil && len(e.Methods) == 0 {
		t.bare++
	}
	return nil, nil
}

// leaves is what a note calls a method that does not come along; "": it comes. Of a
// project's own it does not repeat the name, which may be anything.
func (t *trench) leaves(name string) string {
	mine := ours(name)
	switch {
	case mine == trenchApp:
		return ""
	case mine == email || mine == sms || mine == yubikey:
		if slices.Contains(t.leave, mine) {
			return name
		}
	case slices.Contains(t.leave, Own):
		return "of the project's own"
	}
	return ""
}

// method takes one that was in use, with its backup codes.
func (t *trench) method(e *Entry, m *trenchMethod) *Refusal {
	mine := ours(m.Name)
	switch {
	case mine == trenchApp && e.TOTP != nil:
		return refuse("totp", "the method app is active twice: leave one of them")
	case mine == trenchApp:
		e.TOTP = usual(m.Secret)
		e.TOTP.Period = t.period
		t.timed++
		mine = "totp"
	case mine == "" || strings.Trim(mine, "abcdefghijklmnopqrstuvwxyz_") != "":
		return refuse("unknown_method", "a method of the project's own has a name that none can have here, small letters and _ alone: --leave-out %s leaves such methods behind", Own)
	case slices.ContainsFunc(e.Methods, func(o Method) bool { return o.Name == mine }):
		if mine != sms { // two senders of one number are one method
			return refuse("method", "a method is active twice: leave one of them")
		}
	case mine == yubikey:
		e.Methods = append(e.Methods, Method{Name: mine, Key: m.Secret})
	default:
		e.Methods = append(e.Methods, Method{Name: mine})
	}
	if m.IsPrimary {
		e.Primary = mine
	}
	return e.backupCodes(m.BackupCodes)
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
