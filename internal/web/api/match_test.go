package api_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// Two administrators read one record and change it, one after the other: the
// second would undo what the first did without ever having seen it. With the tag
// of what was read, the second is told, and nothing is lost.
func TestTwoAdministratorsLoseNothing(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("alice@users")
	ann, ben := w.member("ann@admin").visit(), w.member("ben@admin").visit()
	seen := ann.send("GET", "/users/users/alice", nil).want(200).header.Get("ETag")
	if other := ben.send("GET", "/users/users/alice", nil).header.Get("ETag"); seen == "" || other != seen {
		t.Fatalf("tags %s and %s", seen, other)
	}
	next := ann.saying("If-Match", seen).send("PATCH", "/users/users/alice", map[string]any{"groups": []string{"ops"}}).want(200).header.Get("ETag")
	if next == seen {
		t.Fatal("the tag stayed the same")
	}
	late := ben.saying("If-Match", seen)
	// All of it or nothing: neither the password nor the lock is taken without the rest.
	late.send("PATCH", "/users/users/alice", map[string]any{"groups": []string{}, "password": badWords, "disabled": true}).want(412, "version")
	late.send("DELETE", "/users/users/alice", nil).want(412, "version")
	a := ben.send("GET", "/users/users/alice", nil).want(200)
	if a.header.Get("ETag") != next || len(a.texts("groups")) != 1 || a.fields["disabled"] != false {
		t.Errorf("something was lost: %v", a)
	}
	alice := &person{w: w, name: "alice", realm: "users", password: goodWords}
	alice.halfway()
	ben.saying("If-Match", next).send("PATCH", "/users/users/alice", map[string]any{"full_name": "Alice", "password": badWords, "disabled": true}).want(200)
	ben.saying("If-Match", next).send("DELETE", "/users/users/alice", nil).want(412, "version")
	ben.saying("If-Match", "*").send("DELETE", "/users/users/alice", nil).want(204)
	ben.saying("If-Match", "*").send("DELETE", "/users/users/alice", nil).want(404, "unknown_user")
}

// Attack: a change that lands between the reading of the record and its change
// here is as old as any.
func TestTheConditionIsDecidedInTheChange(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("alice@users")
	seen := w.admin().send("GET", "/users/users/alice", nil).header.Get("ETag")
	w.before = []func(){func() {
		w.admin().send("PATCH", "/users/users/alice", map[string]any{"full_name": "First"}).want(200)
	}}
	w.admin().saying("If-Match", seen).send("PATCH", "/users/users/alice", map[string]any{"full_name": "Second", "password": badWords}).want(412, "version")
	if a := w.admin().send("GET", "/users/users/alice", nil); a.text("full_name") != "First" {
		t.Errorf("the first change is lost: %v", a)
	}
}

// A login is nobody's change, and somebody of the same name is somebody else.
func TestTagsNameOneRecordInOneVersion(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.member("alice@users")
	tag := func() string { return w.admin().send("GET", w.path(p), nil).want(200).header.Get("ETag") }
	seen := tag()
	p.signIn()
	if tag() != seen {
		t.Error("a login changed the tag")
	}
	w.someone("bert@users")
	first := w.admin().send("GET", "/users/users/bert", nil).header.Get("ETag")
	w.admin().send("DELETE", "/users/users/bert", nil).want(204)
	w.someone("bert@users")
	w.admin().saying("If-Match", first).send("PATCH", "/users/users/bert", map[string]any{"full_name": "Old Bert"}).want(412, "version")

	realm := w.admin().send("PUT", "/realms/staff", map[string]any{}).want(200).header.Get("ETag")
	w.admin().send("DELETE", "/realms/staff", nil).want(204)
	w.clock.Advance(1)
	w.admin().send("PUT", "/realms/staff", map[string]any{}).want(200)
	w.admin().saying("If-Match", realm).send("DELETE", "/realms/staff", nil).want(412, "version")
}

func TestRealmsKnowConditions(t *testing.T) {
	w := newWorld(t, worldOptions{})
	create := w.admin().saying("If-None-Match", "*")
	tag := create.send("PUT", "/realms/staff", map[string]any{"factors": 1}).want(200).header.Get("ETag")
	create.send("PUT", "/realms/staff", map[string]any{"factors": 2}).want(412, "exists")
	if a := w.admin().send("GET", "/realms/staff", nil); a.fields["factors"] != 1.0 || a.header.Get("ETag") != tag {
		t.Errorf("realm %v", a)
	}
	next := w.admin().saying("If-Match", tag).send("PUT", "/realms/staff", map[string]any{"factors": 2}).want(200).header.Get("ETag")
	w.admin().saying("If-Match", tag).send("PUT", "/realms/staff", map[string]any{"factors": 1}).want(412, "version")
	w.admin().saying("If-Match", "*").send("PUT", "/realms/none", map[string]any{}).want(412, "version")
	w.admin().saying("If-Match", tag).send("DELETE", "/realms/staff", nil).want(412, "version")
	w.admin().saying("If-Match", next).send("DELETE", "/realms/staff", nil).want(204)
	// Who may not change it does not learn its version.
	w.admin().send("PUT", "/realms/staff", map[string]any{"capabilities": []map[string]any{{"capability": "list"}}}).want(200)
	reader := w.member("rita@staff").visit()
	for _, header := range []string{`"1-00000000"`, "*"} {
		reader.saying("If-Match", header).send("PUT", "/realms/users", map[string]any{}).want(403, "forbidden")
		reader.saying("If-Match", header).send("PATCH", "/users/staff/rita", map[string]any{}).want(403, "forbidden")
		reader.saying("If-Match", header).send("DELETE", "/realms/users", nil).want(403, "forbidden")
	}
}

// If-Match is a list, takes strong tags alone, and is never ignored.
func TestIfMatchIsReadAsWritten(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("alice@users")
	tag := w.admin().send("GET", "/users/users/alice", nil).header.Get("ETag")
	patch := func(header string) *answer {
		return w.admin().saying("If-Match", header).send("PATCH", "/users/users/alice", map[string]any{"full_name": ""})
	}
	for _, good := range []string{tag, " " + tag + " ", `"a", ` + tag, `W/"x",,` + tag + ` , ""`, "*", ` * `} {
		patch(good).want(200)
	}
	for _, stale := range []string{`"0"`, `""`, "W/" + tag, `"` + tag[1:len(tag)-1] + `x"`, `"a,b"`} {
		patch(stale).want(412, "version")
	}
	for _, bad := range []string{" ", ",", "1", `"1`, `1"`, tag + tag, tag + " " + tag, "*, " + tag, tag + ", *", `w/"1"`, "W/", `W/ "1"`, `"a b"`, "\"a\x7f\"", `"a"b`} {
		patch(bad).want(400, "if_match")
	}
	w.admin().saying("If-None-Match", tag).send("PATCH", "/users/users/alice", map[string]any{}).want(412, "exists")
	w.admin().saying("If-None-Match", `"other"`).send("PATCH", "/users/users/alice", map[string]any{}).want(200)
	w.admin().saying("If-None-Match", "W/"+tag).send("DELETE", "/users/users/alice", nil).want(412, "exists")
	w.admin().saying("If-Match", tag).send("DELETE", "/users/users/alice/sessions", nil).want(400, "if_match")
	w.admin().saying("If-Match", tag).send("POST", "/users", map[string]any{"realm": "users", "name": "bert"}).want(400, "if_match")
	w.admin().saying("If-Match", `"old"`).send("GET", "/users/users/alice", nil).want(200)
}

// dump is all records, for tests that nothing was stored.
func (w *world) dump() map[string]string {
	w.Helper()
	all := map[string]string{}
	must(w, w.store.View(w.Context(), func(tx store.Tx) error {
		for item, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			all[string(item.Key)] = string(item.Value)
		}
		return nil
	}))
	return all
}
