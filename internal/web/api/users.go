package api

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// User is a user's record as administrators see it: no hash, no seed.
type User struct {
	ID          string     `json:"id"`
	Number      uint64     `json:"number"`
	Realm       string     `json:"realm"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Unconfirmed bool       `json:"unconfirmed,omitempty" doc:"Nobody but its owner said that the address is theirs: upstreams do not hear of it. Setting the address confirms it."`
	FullName    string     `json:"full_name"`
	Phone       string     `json:"phone"`
	Groups      []string   `json:"groups" nullable:"false"`
	Disabled    bool       `json:"disabled"`
	HasPassword bool       `json:"has_password"`
	Methods     []string   `json:"methods" nullable:"false" doc:"Confirmed second factors."`
	CreatedAt   time.Time  `json:"created_at"`
	InvitedAt   *time.Time `json:"invited_at,omitempty"`
	LastLoginAt *time.Time `json:"last_login_at,omitempty"`
}

func userOf(u *account.User) User {
	methods := make([]string, len(u.Methods))
	for i, m := range u.Methods {
		methods[i] = m.Name
	}
	return User{ID: u.ID.String(), Number: u.Number, Realm: u.Realm, Name: u.Name, Email: u.Email, Unconfirmed: u.Unconfirmed, FullName: u.FullName,
		Phone: u.Phone, Groups: list(u.Groups), Disabled: u.Disabled, HasPassword: u.Password != "", Methods: methods,
		CreatedAt: u.CreatedAt, InvitedAt: moment(u.InvitedAt), LastLoginAt: moment(u.LastLoginAt)}
}

// UserPath names a user in the path, in any spelling.
type UserPath struct {
	Realm string `path:"realm" maxLength:"512" example:"users"`
	Name  string `path:"name" maxLength:"512" example:"alice" doc:"The name, or the user's id where nobody of the realm is called so: where names are exact, some cannot stand in a path, such as the empty one."`
}

// ref is the one spelling. What cannot be a name is nobody's.
func (a *API) ref(ctx context.Context, in *UserPath) (principal.Ref, error) {
	ref, err := a.spelled(ctx, in.Name, in.Realm)
	return ref, orNobody(ref, err)
}

// orNobody turns the refusal of a name into that of somebody who is not there.
func orNobody(ref principal.Ref, err error) error {
	switch {
	case !errors.Is(err, principal.ErrName) && !errors.Is(err, account.ErrInvalid):
		return err
	case ref.Realm == "":
		return account.ErrUnknownRealm
	}
	return account.ErrUnknownUser
}

// spelled is the one spelling of a name in a realm, as its setting names has it. Of
// what can be no name there the realm alone comes back beside the error.
// Errors: principal.ErrName, account.ErrInvalid; others: the store failed.
func (a *API) spelled(ctx context.Context, name, realm string) (ref principal.Ref, err error) {
	if canonical, err := principal.CanonicalRealm(realm); err != nil || account.SpelledAlike(name) {
		return principal.Ref{Name: name, Realm: canonical}, err
	}
	err = a.Store.View(ctx, func(tx store.Tx) error {
		ref, err = a.spelledIn(tx, name, realm)
		return err
	})
	return ref, err
}

// spelledIn is spelled in a transaction.
func (a *API) spelledIn(tx store.Tx, name, realm string) (principal.Ref, error) {
	canonical, err := principal.CanonicalRealm(realm)
	if err != nil {
		return principal.Ref{}, err
	}
	ref, err := a.Directory.Ref(tx, name, canonical)
	if err != nil {
		return principal.Ref{Realm: canonical}, err
	}
	return ref, nil
}

// mayOver checks the caller's capability over a realm ("": over all), before
// anything is said about who exists there.
func (a *API) mayOver(tx store.Tx, c *caller, capability account.Capability, realm string) error {
	if err := a.may(tx, c, capability, realm); err != nil || realm == "" {
		return err
	}
	_, err := a.Directory.Realm(tx, realm)
	return err
}

// may is mayOver for a realm that need not exist.
func (a *API) may(tx store.Tx, c *caller, capability account.Capability, realm string) error {
	if !c.local {
		if err := mayCall(c, Capable); err != nil {
			return err
		}
	}
	return a.Directory.Allowed(tx, c.actor(), capability, realm)
}

// mayCreate is mayOver for a new member of a realm. The local administrator makes
// a missing realm with its first member, in one transaction.
func (a *API) mayCreate(tx store.Tx, c *caller, realm string) error {
	if c.local {
		return a.may(tx, c, account.Create, realm)
	}
	return a.mayOver(tx, c, account.Create, realm)
}

// target finds the user of a path, for a caller who may: see byPath.
func (a *API) target(tx store.Tx, c *caller, capability account.Capability, ref principal.Ref) (*account.User, error) {
	if err := a.mayOver(tx, c, capability, ref.Realm); err != nil {
		return nil, err
	}
	return a.byPath(tx, ref)
}

// byPath finds who has a name, or else the user of that realm who has the text as id:
// a path has no place for some of the names that realms of exact names hold. Ask it
// after the caller's right to the realm. Errors: account.ErrUnknownUser; others: the
// store failed.
func (a *API) byPath(tx store.Tx, ref principal.Ref) (*account.User, error) {
	u, err := a.Directory.ByRef(tx, ref)
	id, none := principal.ParseID(ref.Name)
	if !errors.Is(err, account.ErrUnknownUser) || none != nil {
		return u, err
	}
	// A program that is called so is whom the path names.
	if _, taken := a.Directory.ServiceByRef(tx, ref); !errors.Is(taken, account.ErrUnknownService) {
		return nil, cmp.Or(taken, err)
	}
	u, err = a.Directory.ByID(tx, id)
	if err == nil && u.Realm != ref.Realm {
		return nil, account.ErrUnknownUser
	}
	return u, err
}

type listUsersInput struct {
	Realm  string `query:"realm" maxLength:"512" doc:"Only users of this realm."`
	Q      string `query:"q" maxLength:"512" doc:"Only users whose name or address begins so."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" doc:"Users in an answer; default 50."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"next_cursor of the answer before."`
}

// UserList is one page.
type UserList struct {
	Users      []User `json:"users" nullable:"false"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Missing at the end."`
}

type userListOutput struct {
	Body UserList
}

func limitOr(n int) int {
	if n == 0 {
		return 50
	}
	return n
}

func (a *API) listUsers(ctx context.Context, c *caller, in *listUsersInput) (*userListOutput, error) {
	realm, err := realmFilter(in.Realm)
	if err != nil {
		return nil, err
	}
	out := &userListOutput{Body: UserList{Users: []User{}}}
	err = a.Store.View(ctx, func(tx store.Tx) error {
		if err := a.mayOver(tx, c, account.List, realm); err != nil {
			return err
		}
		users, next, err := a.Directory.List(tx, realm, in.Q, in.Cursor, limitOr(in.Limit))
		for i := range users {
			out.Body.Users = append(out.Body.Users, userOf(&users[i]))
		}
		out.Body.NextCursor = next
		return err
	})
	return out, err
}

// realmFilter is the one spelling of a realm that may be left out.
func realmFilter(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	realm, err := principal.CanonicalRealm(text)
	if err != nil {
		return "", account.ErrUnknownRealm
	}
	return realm, nil
}

type createUserInput struct {
	Body struct {
		Realm    string   `json:"realm" maxLength:"512" example:"users"`
		Name     string   `json:"name" maxLength:"512" example:"alice"`
		Password string   `json:"password,omitempty" maxLength:"1024" doc:"None: no password is good."`
		Email    string   `json:"email,omitempty" maxLength:"320" example:"alice@example.com"`
		FullName string   `json:"full_name,omitempty" maxLength:"512" example:"Alice Liddell"`
		Phone    string   `json:"phone,omitempty" maxLength:"64" example:"+41441234567"`
		Groups   []string `json:"groups,omitempty" maxItems:"256" example:"[\"ops\"]"`
	}
}

type userOutput struct {
	ETag string `header:"ETag"`
	Body User
}

// userAnswer is a record with its tag. What others may not see raises no
// version: a login changes last_login_at, and breaks nobody's condition.
func userAnswer(u *account.User) *userOutput { return &userOutput{ETag: userTag(u), Body: userOf(u)} }

func userTag(u *account.User) string { return tag(u.Version, u.ID.String()) }

func (a *API) createUser(ctx context.Context, c *caller, in *createUserInput) (*userOutput, error) {
	b := in.Body
	ref, err := a.spelled(ctx, b.Name, b.Realm)
	if err != nil {
		return nil, err
	}
	// Whoever may not create learns so before a hash is computed for them.
	may := func(tx store.Tx) error { return a.mayCreate(tx, c, ref.Realm) }
	if out, err := earlier[userOutput](ctx, a, c, may); out != nil || err != nil {
		return out, err
	}
	hash := ""
	if b.Password != "" {
		if hash, err = a.hash(ctx, b.Password, ref.Name, ref.Realm, b.Email, b.FullName); err != nil {
			return nil, err
		}
	}
	return once(ctx, a, c, may, func(tx store.Tx) (*userOutput, error) {
		u, err := a.Directory.Create(tx, c.actor(), account.NewUser{Ref: ref, Email: b.Email, FullName: b.FullName,
			Phone: b.Phone, Groups: b.Groups, PasswordHash: hash, MakeRealm: c.local})
		if err != nil {
			return nil, err
		}
		return userAnswer(u), nil
	})
}

// hash judges a new password and hashes it, outside of any transaction. words
// are what others know about the owner.
func (a *API) hash(ctx context.Context, password string, words ...string) (string, error) {
	if err := secret.CheckPassword(a.Directory.Passwords(), password, words...); err != nil {
		return "", err
	}
	return a.Hasher.Hash(ctx, password)
}

func (a *API) showUser(ctx context.Context, c *caller, in *UserPath) (*userOutput, error) {
	ref, err := a.ref(ctx, in)
	if err != nil {
		return nil, err
	}
	var out *userOutput
	err = a.Store.View(ctx, func(tx store.Tx) error {
		u, err := a.target(tx, c, account.List, ref)
		if err != nil {
			return err
		}
		out = userAnswer(u)
		return nil
	})
	return out, err
}

type changeUserInput struct {
	UserPath
	Body struct {
		Email    *string   `json:"email,omitempty" maxLength:"320" doc:"Empty: none."`
		FullName *string   `json:"full_name,omitempty" maxLength:"512"`
		Phone    *string   `json:"phone,omitempty" maxLength:"64"`
		Groups   *[]string `json:"groups,omitempty" maxItems:"256"`
		Password *string   `json:"password,omitempty" maxLength:"1024" minLength:"1" doc:"Ends all sessions."`
		Disabled *bool     `json:"disabled,omitempty" doc:"true ends all sessions."`
	}
}

// changeUser changes what is named, all of it or nothing.
func (a *API) changeUser(ctx context.Context, c *caller, in *changeUserInput) (*userOutput, error) {
	ref, err := a.ref(ctx, &in.UserPath)
	if err != nil {
		return nil, err
	}
	b := in.Body
	var before *account.User
	err = a.Store.View(ctx, func(tx store.Tx) error {
		before, err = a.target(tx, c, account.Update, ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	hash := ""
	if b.Password != nil {
		if hash, err = a.hash(ctx, *b.Password, before.Name, before.Realm, before.Email, before.FullName); err != nil {
			return nil, err
		}
	}
	var out *userOutput
	err = a.Store.Update(ctx, func(tx store.Tx) error {
		u, err := a.target(tx, c, account.Update, ref)
		if err != nil {
			return err
		}
		if err := c.holds(userTag(u)); err != nil {
			return err
		}
		if u.ID != before.ID { // deleted and made again meanwhile: somebody else
			return account.ErrVersion
		}
		// What raises the epoch comes last: an administrator's change of the own
		// record ends the session that it came with.
		if b.Disabled != nil && !*b.Disabled {
			if u, err = a.Directory.SetDisabled(tx, c.actor(), u.ID, false); err != nil {
				return err
			}
		}
		if b.Email != nil || b.FullName != nil || b.Phone != nil || b.Groups != nil {
			change := account.Change{Email: b.Email, FullName: b.FullName, Phone: b.Phone, Groups: b.Groups}
			if u, err = a.Directory.Update(tx, c.actor(), u.ID, change); err != nil {
				return err
			}
		}
		if hash != "" {
			if u, err = a.resetPassword(tx, c, u.ID, hash); err != nil {
				return err
			}
		}
		if b.Disabled != nil && *b.Disabled {
			if u, err = a.Directory.SetDisabled(tx, c.actor(), u.ID, true); err != nil {
				return err
			}
		}
		out = userAnswer(u)
		return nil
	})
	return out, err
}

// resetPassword sets a password for somebody else. Places that were closed by
// wrong tries open: the old password is no longer what is being guessed.
func (a *API) resetPassword(tx store.Tx, c *caller, id principal.ID, hash string) (*account.User, error) {
	u, err := a.Directory.SetPassword(tx, c.actor(), id, hash)
	if err != nil {
		return nil, err
	}
	return u, a.Throttle.Reset(tx, id)
}

func (a *API) deleteUser(ctx context.Context, c *caller, in *UserPath) (*struct{}, error) {
	ref, err := a.ref(ctx, in)
	if err != nil {
		return nil, err
	}
	return nil, a.Store.Update(ctx, func(tx store.Tx) error {
		u, err := a.target(tx, c, account.Delete, ref)
		if err != nil {
			return err
		}
		if err := c.holds(userTag(u)); err != nil {
			return err
		}
		return a.Directory.Delete(tx, c.actor(), u.ID)
	})
}
