package importing

import (
	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// ungleichRow is an account of ungleich-otp (name, realm, seed, is_active) or an app
// of its first versions (appname, appuuid, username, seed, trusted).
type ungleichRow struct {
	Name     *string `json:"name"`
	Realm    *string `json:"realm"`
	IsActive *flag   `json:"is_active"`

	AppName  *string `json:"appname"`
	AppUUID  *string `json:"appuuid"`
	Username string  `json:"username"`
	Trusted  flag    `json:"trusted"`

	Seed string `json:"seed"`
}

const ungleichFields = "name, realm, seed, is_active, or for apps appname, appuuid, username, seed, trusted"

// appRealm is where apps belong, which had no realms.
const appRealm = "ungleich-apps"

func (e *Entry) ungleich(row *ungleichRow) (*Refusal, error) {
	e.Service = &Service{Seed: secret.NewText(row.Seed)}
	if row.AppUUID != nil {
		return e.app(row), nil
	}
	switch {
	case row.AppName != nil || row.Username != "":
		return missing("appuuid"), nil
	case row.Name == nil:
		return missing("name"), nil
	case row.Realm == nil:
		return missing("realm"), nil
	case row.IsActive == nil:
		return missing("is_active"), nil
	}
	e.Name, e.Realm = *row.Name, *row.Realm
	disabled := !bool(*row.IsActive)
	e.Disabled = &disabled
	return nil, nil
}

func (e *Entry) app(row *ungleichRow) *Refusal {
	if row.Name != nil || row.Realm != nil || row.IsActive != nil {
		return refuse("malformed", "a row is an account or an app, and this one has fields of both")
	}
	id, err := uuid.Parse(*row.AppUUID) // SQLite keeps one without hyphens
	if err != nil {
		return refuse("invalid_name", "the appuuid is no UUID")
	}
	e.Name, e.Realm = id.String(), appRealm
	e.Service.Owner, e.Service.Trusted = row.Username, bool(row.Trusted)
	if row.AppName != nil {
		e.Service.Description = *row.AppName
	}
	return nil
}
