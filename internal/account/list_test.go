package account_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

func (d *directory) page(realm, q, cursor string, limit int) (users []account.User, next string) {
	d.t.Helper()
	d.must(func(tx store.Tx) (err error) { users, next, err = d.List(tx, realm, q, cursor, limit); return err })
	return users, next
}

// all walks through every page.
func (d *directory) all(realm, q string, limit int) string {
	d.t.Helper()
	var names []string
	cursor := ""
	for pages := 0; ; pages++ {
		users, next := d.page(realm, q, cursor, limit)
		if len(users) > limit || pages > 50 {
			d.t.Fatalf("page %d has %d users", pages, len(users))
		}
		for _, u := range users {
			names = append(names, u.Ref().String())
		}
		if next == "" {
			return strings.Join(names, " ")
		}
		cursor = next
	}
}

// Users come realm by realm; those found by name first, those found only by address
// after them, each once, whatever the page's size.
func TestListPagesInOrder(t *testing.T) {
	d := newDirectory(t, nil)
	for name, email := range map[string]string{
		"alice": "zoe@example.com", "alan": "alan@example.com", "bob": "alf@example.com", "carol": "",
		"alina@staff": "a@example.com", "dave@staff": "ali@example.com",
	} {
		d.create(account.NewUser{Ref: ref(name), Email: email, MakeRealm: true})
	}
	for limit := 1; limit <= 7; limit++ {
		for _, c := range []struct{ realm, q, want string }{
			{"", "", "alina@staff dave@staff alan@users alice@users bob@users carol@users"},
			{"users", "", "alan@users alice@users bob@users carol@users"},
			{"users", "al", "alan@users alice@users bob@users"},
			{"", "ALI", "alina@staff dave@staff alice@users"},
			{"", "zoe@", "alice@users"},
			{"users", "alice", "alice@users"},
			{"users", "x", ""}, {"nowhere", "", ""}, {"a.b", "", ""}, {"", strings.Repeat("x", 1000), ""},
		} {
			if got := d.all(c.realm, c.q, limit); got != c.want {
				t.Errorf("realm %q, q %q, limit %d: %s, want %s", c.realm, c.q, limit, got, c.want)
			}
		}
	}
}

func TestListIsBounded(t *testing.T) {
	d := newDirectory(t, nil)
	d.must(func(tx store.Tx) error {
		for n := range 510 {
			if _, err := d.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: fmt.Sprintf("u%04d", n), Realm: "users"}}); err != nil {
				return err
			}
		}
		return nil
	})
	for limit, want := range map[int]int{-1: 1, 0: 1, 1: 1, 500: 500, 1 << 30: 500} {
		if users, next := d.page("users", "", "", limit); len(users) != want || next == "" {
			t.Errorf("limit %d: %d users", limit, len(users))
		}
	}
	users, next := d.page("users", "", "", 500)
	rest, end := d.page("users", "", next, 500)
	if len(rest) != 10 || end != "" || rest[0].Name != "u0500" || users[499].Name != "u0499" {
		t.Errorf("the second page has %d", len(rest))
	}
	d.must(func(tx store.Tx) error { // deleting the place where a page ended loses nothing
		if err := d.Delete(tx, account.Local(), users[499].ID); err != nil {
			return err
		}
		rest, _, err := d.List(tx, "users", "", next, 500)
		if len(rest) != 10 {
			t.Errorf("after a deletion: %d", len(rest))
		}
		return err
	})
}

// Attack: a delegate who may list one realm alters the cursor to read another, or
// to crash the server.
func TestCursorsOpenNothing(t *testing.T) {
	d := newDirectory(t, nil)
	d.add("alice")
	d.add("root@admin")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, cursor := range []string{
		encode(`{"r":"admin","i":"n"}`), encode(`{"r":"admin","i":"n","a":"\u0000"}`), encode(`{"r":"users","i":"e","a":"x"}`),
		encode(`{"r":"","i":"n"}`), encode(`{"r":"users","i":"n","a":"` + strings.Repeat("z", 3000) + `"}`),
	} {
		users, _ := d.page("users", "", cursor, 10)
		for _, u := range users {
			if u.Realm != "users" {
				t.Errorf("cursor %s shows %s", cursor, u)
			}
		}
	}
	for _, cursor := range []string{"x", "%", encode("{}"), encode("[]"), encode(`{"r":"users","i":"u"}`), encode(`{"r":1,"i":"n"}`), strings.Repeat("A", 5000)} {
		err := d.do(func(tx store.Tx) error { _, _, err := d.List(tx, "users", "", cursor, 10); return err })
		if !errors.Is(err, account.ErrCursor) {
			t.Errorf("%.20q: %v", cursor, err)
		}
	}
}
