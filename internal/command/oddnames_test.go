package command_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// made makes a user as a facade does.
func (v *mover) made(name, realm string) (u *account.User) {
	v.Helper()
	err := v.m.store.Update(v.Context(), func(tx store.Tx) (err error) {
		u, err = v.m.rooms.Directory.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: name, Realm: realm}})
		return err
	})
	if err != nil {
		v.Fatal(err)
	}
	return u
}

// succeeds runs a command, and returns what it said.
func (v *mover) succeeds(args ...string) (stdout, stderr string) {
	v.Helper()
	stdout, stderr, code := v.run(args...)
	if code != 0 {
		v.Errorf("%v: exit code %d, %s", args, code, stderr)
	}
	return stdout, stderr
}

// Attack: somebody has a name that no path can hold. The administrator sees them, and
// is told how to name them; every command takes the id.
func TestUsersWhoseNameIsNoPath(t *testing.T) {
	v := newMover(t)
	v.realm("adjure", "--names", "exact")
	for _, name := range []string{"", "../x"} {
		id := v.made(name, "adjure").ID.String() + "@adjure"
		for _, args := range [][]string{{"user", "delete"}, {"user", "set", "--full-name", "X"}, {"session", "revoke", "--user"}} {
			if _, stderr, code := v.run(append(args, name+"@adjure")...); code == 0 || !strings.Contains(stderr, "give ID@adjure, with the id that `user list --realm adjure --json` shows") {
				t.Errorf("%v %q: %d %s", args, name, code, stderr)
			}
		}
		if listed, _ := v.succeeds("user", "list", "--realm", "adjure", "--json"); !strings.Contains(listed, strings.TrimSuffix(id, "@adjure")) {
			t.Errorf("no id in %s", listed)
		}
		for _, args := range [][]string{{"user", "show"}, {"user", "set", "--full-name", "Alice"}, {"user", "disable"}, {"user", "enable"},
			{"user", "invite"}, {"user", "reset-factors"}, {"session", "list"}, {"session", "revoke", "--user"}} {
			v.succeeds(append(args, id)...)
		}
		if _, stderr := v.succeeds("user", "delete", id); stderr != "Deleted "+id+".\n" {
			t.Errorf("delete: %s", stderr)
		}
		if _, _, code := v.run("user", "show", id); code == 0 {
			t.Errorf("%q is still there", name)
		}
		// Who is made here is equipped by the id, too: nobody stays behind half made.
		if out, _ := v.succeeds("user", "add", "--totp", name+"@adjure"); !strings.Contains(out, "Added "+map[string]string{"": `""`, "../x": "../x"}[name]+"@adjure.") {
			t.Errorf("add: %s", out)
		}
	}
}

// Attack: a name that reads like the columns of another user's row, or like nobody.
func TestNamesInTablesAreNames(t *testing.T) {
	v := newMover(t)
	v.realm("adjure", "--names", "exact")
	const liar = "alice@staff  Alice Admin  -  ops"
	for _, name := range []string{liar, "", "Bob", "o'hara", "evil\u202ename", `say"hi"`, "two\u00a0words"} {
		v.made(name, "adjure")
	}
	out, _ := v.succeeds("user", "list", "--realm", "adjure")
	rows := strings.Split(strings.TrimSpace(out), "\n")[1:]
	var got []string
	for _, row := range rows {
		got = append(got, regexp.MustCompile(`^(".*"@adjure|\S+)`).FindString(row))
	}
	slices.Sort(got)
	want := []string{`""@adjure`, `"` + liar + `"@adjure`, `"evil\u202ename"@adjure`, `"say\"hi\""@adjure`, `"two\u00a0words"@adjure`, "Bob@adjure", "o'hara@adjure"}
	if !slices.Equal(got, want) {
		t.Errorf("rows\n%q\nwant\n%q", got, want)
	}
	if shown, _ := v.succeeds("user", "show", liar+"@adjure"); !strings.Contains(shown, `"`+liar+`"@adjure`) {
		t.Errorf("show: %s", shown)
	}
	if listed, _ := v.succeeds("user", "list", "--realm", "adjure", "--json"); !strings.Contains(listed, `"name": "`+liar+`"`) {
		t.Errorf("JSON: %s", listed)
	}
	// A full name is one cell, however many spaces it has.
	if row, _ := v.succeeds("user", "set", "--full-name", "A  a@example.com  ops", "Bob@adjure"); !strings.Contains(row, `"A  a@example.com  ops"`) {
		t.Errorf("set: %s", row)
	}
	if _, stderr := v.succeeds("user", "disable", liar+"@adjure"); stderr != `"`+liar+`"@adjure is disabled.`+"\n" {
		t.Errorf("disable: %s", stderr)
	}
}

// Attack: a row of an older database names a realm that has rights here. Only who says
// so with --realm brings it there.
func TestMovingGivesNoRights(t *testing.T) {
	v := newMover(t)
	for _, realm := range []string{"helpdesk", "adjure"} {
		v.realm(realm, "--capabilities", "list,create,delete")
	}
	for file, text := range map[string]string{
		"ungleich.jsonl": `{"name":"deploy","realm":"HelpDesk","seed":"` + shortSeed + `","is_active":true}` + "\n" +
			`{"name":"deploy","realm":"robots","seed":"` + shortSeed + `","is_active":true}` + "\n" +
			`{"name":"deploy","realm":"auth","seed":"` + shortSeed + `","is_active":true}` + "\n",
		"adjure.jsonl": `{"user_id":"alice","secret":"` + seedHex + `","key_length":6,"key_valid_duration":30,"hash_algorithm":"SHA256","recovery_codes":[]}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(v.dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v.want(v.move("ungleich", "ungleich.jsonl"), 1, 0, "line 1 reserved", "line 3 reserved")
	v.want(v.move("adjure", "adjure.jsonl"), 0, 0, "line 1 reserved")
	v.want(v.move("ungleich", "ungleich.jsonl", "--realm", "helpdesk"), 1, 0, "line 2 duplicate", "line 3 duplicate")
	v.want(v.move("adjure", "adjure.jsonl", "--realm", "adjure"), 1, 0)
	for _, realm := range []string{"robots", "helpdesk"} {
		err := v.m.store.View(t.Context(), func(tx store.Tx) error {
			s, err := v.m.rooms.Directory.ServiceByRef(tx, principal.Ref{Name: "deploy", Realm: realm})
			if err == nil && s.Via != "ungleich" { // its facade reaches it in closed realms
				t.Errorf("deploy@%s came via %q", realm, s.Via)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
