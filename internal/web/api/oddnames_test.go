package api_test

import (
	"net/url"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// unsent are names of which no path holds one: the way there cleans it.
var unsent = []string{"", ".", "..", "/", "a//b", "/a", "a/", "x/../y", "../x"}

// exactRealm makes a realm in which names are letter for letter.
func (w *world) exactRealm(name string) {
	w.Helper()
	w.admin().send("PUT", "/realms/"+name, fields{"names": "exact"}).want(200)
}

// made makes a user as a facade does, past the API.
func (w *world) made(name, realm string) *account.User {
	w.Helper()
	var u *account.User
	must(w, w.store.Update(w.Context(), func(tx store.Tx) (err error) {
		u, err = w.dir.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: name, Realm: realm}})
		return err
	}))
	return u
}

// Attack: whoever signs up through a facade takes a name that no path can hold, and
// nobody can disable or delete them. Every call about a user takes the id.
func TestUsersWhoseNameIsNoPath(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.exactRealm("adjure")
	for _, name := range unsent {
		u := w.made(name, "adjure")
		if got := w.admin().send("GET", "/users/adjure/"+url.PathEscape(name), nil); got.status == 200 {
			t.Errorf("%q can stand in a path after all", name)
		}
		path := "/users/adjure/" + u.ID.String()
		w.admin().send("GET", "/users/users/"+u.ID.String(), nil).want(404, "unknown_user") // of another realm
		if a := w.admin().send("GET", path, nil).want(200); a.text("name") != name || a.text("id") != u.ID.String() {
			t.Errorf("%q: %v", name, a)
		}
		for _, c := range []struct {
			method, path string
			body         any
			status       int
		}{
			{"POST", "/totp", fields{}, 201}, {"GET", "/totp/qr.png", nil, 200}, {"POST", "/recovery-codes", nil, 200}, {"POST", "/verify", fields{"code": "000000"}, 200},
			{"POST", "/invite", nil, 200}, {"DELETE", "/methods/totp", nil, 204}, {"DELETE", "/methods", nil, 204}, {"DELETE", "/sessions", nil, 204},
			{"PATCH", "", fields{"disabled": true}, 200}, {"DELETE", "", nil, 204}, {"GET", "", nil, 404},
		} {
			if a := w.admin().send(c.method, path+c.path, c.body); a.status != c.status {
				t.Errorf("%q: %s %s: %v, want %d", name, c.method, c.path, a, c.status)
			}
		}
	}
}

// Attack: somebody takes the id of another as a name. Whoever is called so is meant,
// a program too.
func TestANameGoesBeforeAnID(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.exactRealm("adjure")
	victim, other := w.made("victim", "adjure"), w.made("other", "adjure")
	thief := w.made(victim.ID.String(), "adjure")
	w.admin().send("POST", "/services", fields{"realm": "adjure", "name": other.ID.String()}).want(201)
	if a := w.admin().send("GET", "/users/adjure/"+victim.ID.String(), nil).want(200); a.text("id") != thief.ID.String() {
		t.Errorf("the name leads to %v", a)
	}
	w.admin().send("DELETE", "/users/adjure/"+other.ID.String(), nil).want(404, "unknown_user")
	w.admin().send("GET", "/services/adjure/"+other.ID.String(), nil).want(200)
}

// Who may not ask about a realm hears the same of an id there and of none; the owner of
// one asks for the own picture by it.
func TestAnIDTellsNothing(t *testing.T) {
	w := newWorld(t, worldOptions{})
	alice, bob := w.member("alice@users"), w.made("bob", "users")
	me := alice.visit()
	for _, id := range []string{bob.ID.String(), principal.NewID().String()} {
		for _, path := range []string{"", "/totp/qr.png"} {
			me.send("GET", "/users/users/"+id+path, nil).want(403, "forbidden")
		}
	}
	own := w.admin().send("GET", "/users/users/alice", nil).text("id")
	me.send("GET", "/users/users/"+own+"/totp/qr.png", nil).want(409, "nothing_pending")
	if a := w.admin().send("GET", "/sessions?realm=users&name="+own, nil).want(200); len(a.fields["sessions"].([]any)) != 1 {
		t.Errorf("the sessions of an id: %v", a)
	}
}

// A service has no id in a path: one of such a name is not made, by no way.
func TestServicesWhoseNameIsNoPath(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.exactRealm("robots")
	for _, name := range unsent {
		w.admin().send("POST", "/services", fields{"realm": "robots", "name": name}).want(422, "invalid")
		a := w.admin().send("POST", "/services/import", fields{"services": []fields{{"realm": "robots", "name": name, "seed": shortSeed}}}).want(200)
		if got := a.statuses(); len(got) != 1 || got[0] != "invalid" {
			t.Errorf("the import of %q: %v", name, a)
		}
	}
	for _, name := range []string{"a/b", "two words", "Bob", "a..b", "..."} {
		w.admin().send("POST", "/services", fields{"realm": "robots", "name": name}).want(201)
		w.admin().send("DELETE", "/services/robots/"+url.PathEscape(name), nil).want(204)
	}
}

// Services of ungleich-otp count as made through its facade; no other facade can be
// named, and no update hands it what was here before.
func TestImportedServicesCameViaTheirFacade(t *testing.T) {
	w := newWorld(t, worldOptions{})
	via := func(name string) string {
		t.Helper()
		var s *account.Service
		must(t, w.store.View(t.Context(), func(tx store.Tx) (err error) {
			s, err = w.dir.ServiceByRef(tx, principal.Ref{Name: name, Realm: "robots"})
			return err
		}))
		return s.Via
	}
	send := func(want string, service fields) {
		t.Helper()
		service["realm"], service["seed"] = "robots", shortSeed
		a := w.admin().send("POST", "/services/import", fields{"update": true, "services": []fields{service}}).want(200)
		if got := a.statuses(); len(got) != 1 || got[0] != want {
			t.Errorf("%v: %v, want %s", service, a, want)
		}
	}
	send("created", fields{"name": "old", "via": "ungleich"})
	send("created", fields{"name": "own"})
	send("updated", fields{"name": "own", "via": "ungleich", "description": "x"})
	send("invalid", fields{"name": "other", "via": "adjure"})
	if via("old") != "ungleich" || via("own") != "" {
		t.Errorf("via %q and %q", via("old"), via("own"))
	}
}
