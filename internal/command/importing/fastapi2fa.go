package importing

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// fastapiRow is a user of fastapi_2fa, with the device if there is one.
type fastapiRow struct {
	ID           *int64   `json:"id"`
	Email        *string  `json:"email"`
	FullName     string   `json:"full_name"`
	Password     string   `json:"hashed_password"`
	Enabled      flag     `json:"tfa_enabled"`
	DeviceType   string   `json:"device_type"`
	Key          string   `json:"key"` // a Fernet token that holds base32
	BackupTokens []string `json:"backup_tokens"`
}

const fastapiFields = "id, email, full_name, hashed_password, tfa_enabled, device_type, key, backup_tokens"

// fastapi reads users whose seeds the reader's key opens. Their rows come first, so
// that a wrong key is known before anything is done.
type fastapi struct {
	key    *Fernet
	opened bool // the key was good for somebody
	leave  bool // codes by mail do not come along
	mailed int  // whose they were
}

// errWrongKey ends an import whose first seed cannot be opened.
var errWrongKey = errors.New("the Fernet key does not open the seed of this user: give the value of FERNET_KEY_TFA_TOKEN with which fastapi_2fa ran")

func (r *Reader) fastapi(yield func(Entry, error) bool) {
	f := fastapi{key: r.key, leave: slices.Contains(r.leave, email)}
	rows(r, fastapiFields, f.take)(yield)
	if f.mailed > 0 {
		r.notes = append(r.notes, counted(f.mailed, "has", "have")+" codes by mail as the second factor, which were left out: who comes so signs in with the password alone until a second factor is set up")
	}
}

func (f *fastapi) take(e *Entry, row *fastapiRow) (*Refusal, error) {
	if row.ID == nil || *row.ID < 0 {
		return missing("id"), nil
	}
	if row.Email == nil {
		return missing("email"), nil
	}
	e.named(*row.Email, *row.ID)
	e.Unconfirmed = true // who signed up there said so himself
	e.Email, e.FullName, e.PasswordHash = *row.Email, row.FullName, secret.NewText(row.Password)
	if refused := hashRefusal(row.Password); refused != nil {
		return refused, nil
	}
	if !row.Enabled {
		return nil, nil
	}
	switch strings.ToLower(row.DeviceType) {
	case "email":
		if f.leave {
			f.mailed++
			return nil, nil
		}
		e.Methods, e.RecoveryCodes, e.Mailed = []Method{{Name: email}}, texts(row.BackupTokens), true
		return nil, nil
	case "code_generator":
		return f.device(e, row)
	}
	return refuse("unknown_method", "the second factor is on, and the device is none of email and code_generator"), nil
}

func (f *fastapi) device(e *Entry, row *fastapiRow) (*Refusal, error) {
	seed, err := f.key.Open(row.Key)
	switch {
	case row.Key == "":
		return refuse("totp", "the device has no key"), nil
	case err != nil && !f.opened:
		return nil, errWrongKey
	case err != nil:
		return refuse("totp", "the Fernet key, which opened seeds before, does not open this one"), nil
	}
	f.opened = true
	e.TOTP, e.RecoveryCodes, e.Mailed = usual(string(seed)), texts(row.BackupTokens), true
	return nil, nil
}

// named derives a name from an address: what stands before the @, where it can be a
// name, and otherwise the number that the user had.
func (e *Entry) named(address string, id int64) {
	number := strconv.FormatInt(id, 10)
	local, _, _ := strings.Cut(address, "@")
	name, err := principal.CanonicalName(local)
	if err != nil || len(name)+1+len(number) > principal.MaxName {
		name = "user"
	}
	e.Name, e.Other = name, name+"-"+number
	if name == "user" {
		e.Name = e.Other
	}
}
