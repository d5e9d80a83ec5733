package ungleich

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// version is the one that both documents name.
const version = "1"

// maxAppName bounds the name of an application, in bytes.
const maxAppName = 256

// The answers. Applications stand in them under the key by which the caller named
// itself.
type (
	registered struct {
		Status  string `json:"status"`
		AppID   string `json:"appid,omitempty"`
		AppUUID string `json:"appuuid,omitempty"`
		Seed    string `json:"seed,omitempty"`
	}
	listed struct {
		Name    string `json:"name"`
		AppID   string `json:"appid,omitempty"`
		AppUUID string `json:"appuuid,omitempty"`
	}
	appList struct {
		Status string   `json:"status"`
		Apps   []listed `json:"apps"`
	}
	appSeed struct {
		Status string `json:"status"`
		Seed   string `json:"seed"`
	}
)

// texts reads fields of the ages A and B. Errors: a FAIL with the reason.
func (f fields) texts(names ...string) (texts []string, err error) {
	for _, name := range names {
		text, wrong := f.char(name)
		if len(wrong) > 0 {
			return nil, fail(name + ": " + wrong[0])
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// naming chooses between ways to name somebody: exactly one is expected.
func (f fields) naming(ways ...[]string) ([]string, error) {
	var found []string
	for _, way := range ways {
		if f.has(way[0]) {
			if found != nil {
				return nil, fail("Either " + found[0] + " or " + way[0] + " is expected, not both.")
			}
			found = way
		}
	}
	if found == nil {
		return nil, fail(ways[0][0] + ": This field is required.")
	}
	return found, nil
}

// application is a caller of the ages A and B.
type application struct {
	who *account.Identity
	key string // appid or appuuid: how it calls applications
}

// application says who makes such a call. Errors: a FAIL; those of prove.
func (f *Facade) application(c *call) (*application, error) {
	if c.fields.has("version") {
		if v, err := c.fields.texts("version"); err != nil || v[0] != version {
			return nil, fail("This version is not spoken here: version " + version + " is.")
		}
	}
	way, err := c.fields.naming([]string{"appid"}, []string{"appuuid"}, []string{"name", "realm"})
	if err != nil {
		return nil, err
	}
	named, err := c.fields.texts(way...)
	if err != nil {
		return nil, err
	}
	a := &application{key: "appuuid"}
	if way[0] == "appid" {
		a.key = "appid"
	}
	if len(named) == 1 {
		named = append(named, f.apps)
	}
	token, wrong := c.fields.char("token")
	if len(wrong) > 0 {
		token = "" // wrong, and counted
	}
	a.who, err = f.prove(c, named[0], named[1], token)
	return a, err
}

// verifyApp is POST /verify. Whatever is refused says FAIL and nothing else.
func (f *Facade) verifyApp(c *call) (int, any, error) {
	good, err := f.verifiedApp(c)
	if err != nil {
		if refused := f.refusalOf(c.Request, plain, err); refused.status != http.StatusOK {
			return 0, nil, refused
		}
	}
	if err != nil || !good {
		return 0, nil, fail("")
	}
	return http.StatusOK, verdict{Status: "OK"}, nil
}

func (f *Facade) verifiedApp(c *call) (bool, error) {
	a, err := f.application(c)
	if err != nil {
		return false, err
	}
	way, err := c.fields.naming([]string{"appidtoverify", "tokentoverify"}, []string{"appuuidtoverify", "tokentoverify"},
		[]string{"verifyname", "verifyrealm", "verifytoken"})
	if err != nil {
		return false, err
	}
	about, err := c.fields.texts(way...)
	if err != nil {
		return false, err
	}
	if len(about) == 2 {
		about = []string{about[0], f.apps, about[1]}
	}
	good, err := f.ask(c, a.who, subject{about[0], about[1], about[2]}, func(s *account.Service) error {
		if f.may(a.who, account.Authenticate) || s.Realm == f.apps && s.Trusted {
			return nil
		}
		return account.ErrForbidden
	})
	if errors.Is(err, account.ErrForbidden) {
		f.noteForbidden(c, a.who)
	}
	return good, err
}

// reach says whose applications a caller may see and make: everybody's, or those of
// one owner. "" and not all: nobody's.
type reach struct {
	all   bool
	owner string
}

// reachOf is the reach of a caller, by its record of the moment. Errors:
// account.ErrForbidden.
func (f *Facade) reachOf(s *account.Service) (r reach, err error) {
	switch s.Realm {
	case f.admin:
		return reach{all: true}, nil
	case f.apps:
		return reach{owner: s.Owner}, nil
	}
	return r, account.ErrForbidden
}

// registerApp is POST /register and POST /app/register.
func (f *Facade) registerApp(c *call) (int, any, error) {
	a, err := f.application(c)
	if err != nil {
		return 0, nil, err
	}
	said, err := c.fields.texts("username")
	if err != nil {
		return 0, nil, err
	}
	app := account.NewService{Owner: said[0]}
	if app.Description, err = c.fields.appName(); err != nil {
		return 0, nil, err
	}
	actor := f.actor(c, a.who, []account.Grant{{Capability: account.Create, Realms: []string{f.apps}}})
	made := registered{}
	err = f.rooms.Store.Update(c.Context(), func(tx store.Tx) error {
		s, err := f.still(tx, a.who)
		if err != nil {
			return err
		}
		reach, err := f.reachOf(s)
		if err != nil {
			return err
		}
		if !reach.all && !s.Trusted && reach.owner != app.Owner {
			return fail("This application may register applications of its own user alone.")
		}
		app.Ref = principal.Ref{Name: principal.NewID().String(), Realm: f.apps}
		created, err := f.rooms.Directory.CreateService(tx, actor, app)
		if err != nil {
			return err
		}
		made = f.registered(a, created)
		return nil
	})
	return http.StatusOK, made, err
}

// registered shows a new application. Its seed is in the answer where nothing else
// would ever show it.
func (f *Facade) registered(a *application, s *account.Service) registered {
	made := registered{Status: "OK"}
	*a.id(&made.AppID, &made.AppUUID) = s.Name
	if !f.showSeeds {
		made.Seed = otp.FormatSeed(s.Newest().Secret)
	}
	return made
}

// id chooses between the two keys.
func (a *application) id(appid, appuuid *string) *string {
	if a.key == "appid" {
		return appid
	}
	return appuuid
}

// appName reads the name of an application. Errors: a FAIL with the reason.
func (f fields) appName() (string, error) {
	name, wrong := f.text("appname")
	switch {
	case wrong != "":
		return "", fail("appname: " + wrong)
	case len(name) > maxAppName:
		return "", fail(fmt.Sprintf("appname: Ensure this field has no more than %d bytes.", maxAppName))
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", fail("appname: Control characters are not allowed.")
	}
	return name, nil
}

// listApps is GET /app: the applications of the caller's owner, the caller alone
// where it belongs to nobody, and all for the administrators' realm.
func (f *Facade) listApps(c *call) (int, any, error) {
	a, err := f.application(c)
	if err != nil {
		return 0, nil, err
	}
	actor := f.actor(c, a.who, nil)
	list := appList{Status: "OK"}
	var mine []*account.Service
	err = f.rooms.Store.View(c.Context(), func(tx store.Tx) error {
		mine = nil
		s, err := f.still(tx, a.who)
		if err != nil {
			return err
		}
		reach, err := f.reachOf(s)
		if err != nil {
			return err
		}
		realm, err := f.rooms.Directory.Realm(tx, f.apps)
		if err != nil {
			return err
		}
		return f.each(tx, actor, realm, func(app *account.Service) bool {
			if reach.sees(s, app) {
				mine = append(mine, app)
			}
			return len(mine) < maxEntries
		})
	})
	list.Apps = make([]listed, len(mine))
	for i, app := range f.inOrder(mine) {
		list.Apps[i].Name = app.Description
		*a.id(&list.Apps[i].AppID, &list.Apps[i].AppUUID) = app.Name
	}
	return http.StatusOK, list, err
}

// sees reports whether a caller sees an application at all.
func (r reach) sees(caller, app *account.Service) bool {
	return r.all || app.ID == caller.ID || r.owner != "" && app.Owner == r.owner
}

// showApp is GET /app/{uuid}: a seed, where seeds are shown at all. One of a trusted
// application is shown to trusted ones alone: whoever has it may do what that may.
func (f *Facade) showApp(c *call) (int, any, error) {
	a, err := f.application(c)
	if err != nil {
		return 0, nil, err
	}
	actor := f.actor(c, a.who, nil)
	shown := appSeed{Status: "OK"}
	var app *account.Service
	err = f.rooms.Store.View(c.Context(), func(tx store.Tx) error {
		s, err := f.still(tx, a.who)
		if err != nil {
			return err
		}
		reach, err := f.reachOf(s)
		if err != nil {
			return err
		}
		if !f.showSeeds {
			return fail("Seeds are shown once, when an application is registered.")
		}
		if app, err = f.app(tx, actor, c.param); err != nil {
			return err
		}
		if !reach.sees(s, app) || app.Trusted && !reach.all && !s.Trusted {
			return errNoApp()
		}
		shown.Seed = otp.FormatSeed(app.Newest().Secret)
		return nil
	})
	if err == nil {
		f.rooms.Shown(facadeName, "seed", app.ID, app.Ref(), c.client.Addr, nameOf(a.who))
	}
	return http.StatusOK, shown, err
}

// errNoApp is the same for what is not there and for what is somebody else's.
func errNoApp() error { return fail("There is no such application.") }

// app finds an application by its UUID.
func (f *Facade) app(tx store.Tx, actor account.Actor, id string) (*account.Service, error) {
	ref, somebody, err := f.spelled(tx, id, f.apps)
	if err != nil {
		return nil, err
	}
	if !somebody {
		return nil, errNoApp()
	}
	app, err := f.rooms.Directory.ServiceByRef(tx, ref)
	if err == nil {
		err = f.rooms.Directory.Reaches(tx, actor, app)
	}
	if errors.Is(err, account.ErrUnknownService) || errors.Is(err, account.ErrForbidden) {
		return nil, errNoApp()
	}
	return app, err
}
