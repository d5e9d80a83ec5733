package api

import (
	"context"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ExportUser is what leaves of a user, in the words that an import reads. Seeds
// and recovery codes have no field here.
type ExportUser struct {
	Realm        string    `json:"realm"`
	Name         string    `json:"name"`
	Email        string    `json:"email,omitempty"`
	Unconfirmed  bool      `json:"unconfirmed,omitempty" doc:"Nobody but its owner said that the address is theirs."`
	FullName     string    `json:"full_name,omitempty"`
	Phone        string    `json:"phone,omitempty"`
	Groups       []string  `json:"groups" nullable:"false"`
	Disabled     bool      `json:"disabled"`
	PasswordHash string    `json:"password_hash,omitempty" doc:"With hashes=true alone."`
	CreatedAt    time.Time `json:"created_at"`
}

type exportInput struct {
	Realm  string `query:"realm" maxLength:"512" doc:"Only users of this realm."`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" doc:"Users in an answer; default 50."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"next_cursor of the answer before."`
	Hashes bool   `query:"hashes" doc:"With the hashes of passwords."`
}

type exportOutput struct {
	Body struct {
		Users      []ExportUser `json:"users" nullable:"false"`
		NextCursor string       `json:"next_cursor,omitempty" doc:"Missing at the end."`
	}
}

// exportUsers shows users with their hashes. It exists on the admin socket
// alone: whoever has hashes guesses without being counted.
func (a *API) exportUsers(ctx context.Context, c *caller, in *exportInput) (*exportOutput, error) {
	realm, err := realmFilter(in.Realm)
	if err != nil {
		return nil, err
	}
	out := &exportOutput{}
	err = a.Store.View(ctx, func(tx store.Tx) error {
		if err := a.mayOver(tx, c, account.List, realm); err != nil {
			return err
		}
		users, next, err := a.Directory.List(tx, realm, "", in.Cursor, limitOr(in.Limit))
		out.Body.Users = make([]ExportUser, len(users))
		for i := range users {
			u := &users[i]
			out.Body.Users[i] = ExportUser{Realm: u.Realm, Name: u.Name, Email: u.Email, Unconfirmed: u.Unconfirmed, FullName: u.FullName, Phone: u.Phone,
				Groups: list(u.Groups), Disabled: u.Disabled, CreatedAt: u.CreatedAt}
			if in.Hashes {
				out.Body.Users[i].PasswordHash = u.Password
			}
		}
		out.Body.NextCursor = next
		return err
	})
	return out, err
}
