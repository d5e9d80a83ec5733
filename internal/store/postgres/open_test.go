package postgres

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// Whoever is not let in is told why and what to do, and the log never holds a
// password.
func TestOpenErrors(t *testing.T) {
	const password = "do-not-print-me"
	good := pgtest.URL(t)
	u, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	as := func(user *url.Userinfo, path string) string {
		changed := *u
		if user != nil {
			changed.User = user
		}
		if path != "" {
			changed.Path = path
		}
		return changed.String()
	}
	foreign := pgtest.URL(t)
	pgtest.Run(t, foreign, "create table customers (id integer)")
	newer := pgtest.URL(t)
	node(t, newer)
	pgtest.Run(t, newer, "update sallyport_meta set version = 99")
	broken := pgtest.URL(t)
	pgtest.Run(t, broken, "create table sallyport_meta (x integer)")
	for _, c := range []struct{ name, url, want string }{
		{"no server", "postgres://gate:" + password + "@127.0.0.1:1/x?connect_timeout=1", "127.0.0.1:1/x cannot be reached"},
		{"wrong password", as(url.UserPassword(pgtest.Locked, password), ""), "does not let the user \"locked\" in"},
		{"no database", as(url.UserPassword(pgtest.User, password), "/nothing"), "does not exist: make it with `createdb --owner=gate nothing`"},
		{"no rights", as(url.UserPassword(pgtest.Locked, pgtest.Password), ""), "the user \"locked\" may not do this"},
		{"something else", foreign, "tables of something else"},
		{"newer", newer, "version 99, and this program knows version 1"},
		{"broken", broken, "is not as we made it"},
		{"no schema", good + "&search_path=nowhere", "no schema to make tables in"},
		{"no URL", "mysql://gate:" + password + "@x/y", "expected a URL such as"},
		{"bad escape", "postgres://gate:%zz" + password + "@x/y", "is written as %XX"},
		{"bad parameter", "postgres://gate:" + password + "@x/y?sslmode=perhaps", "expected a URL such as"},
	} {
		s, err := Open(t.Context(), Options{URL: c.url})
		if err == nil {
			t.Errorf("%s: opened", c.name)
			_ = s.Close()
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), pgtest.Password) {
			t.Errorf("%s: %v", c.name, err)
		}
		if foreign := c.name == "something else" || c.name == "broken"; errors.Is(err, store.ErrForeign) != foreign {
			t.Errorf("%s: ErrForeign %v", c.name, !foreign)
		}
	}
}

// Whoever only asks whether there is a store leaves the database as it is: an older
// program's tables stay older.
func TestHoldsChangesNothing(t *testing.T) {
	empty, ours := pgtest.URL(t), pgtest.URL(t)
	node(t, ours)
	released := steps
	t.Cleanup(func() { steps = released })
	steps = append(slices.Clone(released), "create table sallyport_new ()")
	for _, c := range []struct {
		url  string
		want bool
	}{{empty, false}, {ours, true}} {
		if holds, err := Holds(t.Context(), c.url); err != nil || holds != c.want {
			t.Errorf("Holds: %v, %v, want %v", holds, err, c.want)
		}
		var tables int
		conn, err := pgx.Connect(t.Context(), c.url)
		if err != nil {
			t.Fatal(err)
		}
		defer closeConn(conn)
		want := 0
		if c.want {
			want = 4
		}
		if err := conn.QueryRow(t.Context(), "select count(*) from pg_tables where schemaname = current_schema()").Scan(&tables); err != nil || tables != want {
			t.Errorf("%d tables afterwards, want %d (%v)", tables, want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Holds(ctx, ours); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who is gone: %v", err)
	}
}

// The same database has one name, however its URL is written.
func TestPlace(t *testing.T) {
	const want = "db.example.com:5432/gate"
	for _, u := range []string{
		"postgres://a:b@db.example.com/gate", "postgresql://c@DB.example.com:5432/gate?sslmode=disable", "postgres:///gate?host=db.example.com&port=5432",
	} {
		if got, err := Place(u); err != nil || got != want {
			t.Errorf("Place(%q) = %q, %v", u, got, err)
		}
	}
	for _, u := range []string{"postgres://db.example.com/other", "postgres://db.example.com:5433/gate", "postgres://db.example.com/gate?search_path=x"} {
		if got, err := Place(u); err != nil || got == want {
			t.Errorf("Place(%q) = %q, %v", u, got, err)
		}
	}
}

// A password that is not written as it must be moves into the name of the database or
// the server, which messages show.
func TestAnUnescapedPasswordIsNotShown(t *testing.T) {
	for _, u := range []string{
		"postgres://sallyport:84/xYzCANARYtail@127.0.0.1/sallyport", "postgres://sallyport:/CANARY@host/db", "postgres://sallyport@CANARY@host/db", "postgres://u:1/a:CANARY@h",
	} {
		if place, err := Place(u); err == nil || strings.Contains(err.Error()+place, "CANARY") {
			t.Errorf("%q: %q, %v", u, place, err)
		}
		if _, err := Open(t.Context(), Options{URL: u}); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v", u, err)
		}
	}
}

// Attack (as CVE-2018-1058): whoever may create in the schema puts a function of their
// own before one of PostgreSQL's, and it runs with our rights.
func TestNoFunctionOfOthersIsCalled(t *testing.T) {
	at := pgtest.URL(t)
	pgtest.Run(t, at, `create function hashtext(name) returns integer language plpgsql as $$ begin raise exception 'CANARY'; end $$`)
	s := node(t, at)
	if err := put(t, s, record("k"), "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.sweepPage(t.Context()); err != nil {
		t.Error(err)
	}
}

// A database whose commits are not durable by default is made to wait for the disk.
func TestCommitsAreDurable(t *testing.T) {
	at := pgtest.URL(t)
	pgtest.Run(t, at, "alter role "+pgtest.User+" set synchronous_commit = off")
	t.Cleanup(func() { pgtest.Run(t, at, "alter role "+pgtest.User+" reset synchronous_commit") })
	s := node(t, at)
	if err := put(t, s, record("k"), "x"); err != nil {
		t.Fatal(err)
	}
	var mode string
	if err := s.writer.QueryRow(t.Context(), "show synchronous_commit").Scan(&mode); err != nil || mode != "on" {
		t.Errorf("synchronous_commit %q, %v", mode, err)
	}
}

// FuzzURL: whatever stands where a URL was expected, what is said about it holds
// nothing of it.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"postgres://a:b@c/d", "postgresql:///x?host=/run", "postgres://u:p%zz@h/d", "postgres://h:port/d", "postgres://u:p@h/d?sslmode=no", "postgres://[::1/x", "postgres://h/d?host=a,b&port=1", "mysql://u:p@h/d", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const password = "Canary9f8e7d"
		for _, u := range []string{text, strings.Replace(text, "p", password, 1), "postgres://u:" + password + text, "postgres://u:" + password + "@h/d" + text} {
			place, err := Place(u)
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("%q: %v", u, err)
			}
			if parsed, bad := url.Parse(u); bad == nil && err == nil && parsed.User != nil && strings.HasPrefix(u, "postgres") {
				if secret, _ := parsed.User.Password(); secret == password && strings.Contains(place, password) && strings.Count(u, password) == 1 {
					t.Errorf("%q: the place is %q", u, place)
				}
			}
		}
	})
}
