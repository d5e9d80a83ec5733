package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// refusing refuses everything for good, and quotes it.
type refusing struct{}

func (refusing) Send(_ context.Context, l notify.Letter) error {
	return &notify.Refusal{Text: "550 refused: " + l.Data[notify.FieldCode], Final: true}
}

// post queues a message to somebody of a realm.
func (w *world) post(realm, code string) {
	must(w, w.store.Update(w.Context(), func(tx store.Tx) error {
		return w.outbox.Queue(tx, notify.Message{Kind: notify.LoginCode, Method: notify.Email, To: realm + "@example.com", Realm: realm,
			Expires: w.clock.Now().Add(10 * time.Minute), Data: map[string]string{notify.FieldCode: code}})
	}))
}

// Somebody reads the outbox in the hope of a code, or of addresses of people who are
// none of their business. Gained before: a login as anybody who signs in by mail.
func TestOutboxIsShownWithoutTextsToWhomItConcerns(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.outbox.Use(notify.Settings{Site: "Example", Senders: map[string]notify.Sender{notify.Email: refusing{}}})
	w.outbox.Start()
	t.Cleanup(w.outbox.Stop)
	w.post("users", "836492")
	w.post("single", "836493")
	admin, root := w.admin(), w.member("root@admin").visit()
	dead := func() []map[string]any {
		return items(admin.send("GET", "/outbox?state=dead", nil).want(200), "messages")
	}
	for end := time.Now().Add(20 * time.Second); len(dead()) < 2; {
		if time.Now().After(end) {
			t.Fatal("the messages were not refused")
		}
	}
	for name, v := range map[string]*visitor{"local": admin, "session": root} {
		a := v.send("GET", "/outbox", nil).want(200)
		if len(items(a, "messages")) != 2 || strings.Contains(a.body, "83649") || !strings.Contains(a.body, "550 refused") {
			t.Errorf("%s: %s", name, a.body)
		}
		if list := items(v.send("GET", "/outbox?realm=users", nil).want(200), "messages"); len(list) != 1 || list[0]["to"] != "users@example.com" || list[0]["kind"] != "login_code" {
			t.Errorf("%s: of users: %v", name, list)
		}
		page := v.send("GET", "/outbox?limit=1", nil).want(200)
		next := v.send("GET", "/outbox?limit=1&cursor="+page.text("next_cursor"), nil).want(200)
		if len(items(next, "messages")) != 1 || items(next, "messages")[0]["id"] == items(page, "messages")[0]["id"] {
			t.Errorf("%s: the second page: %s", name, next.body)
		}
		v.send("GET", "/outbox?cursor=x", nil).want(400, "cursor")
		v.send("GET", "/outbox?state=lost", nil).want(422, "invalid")
	}
	w.member("bert@users").visit().send("GET", "/outbox", nil).want(403, "forbidden")

	// A delegate of one realm sees that one, and does not learn what else there is.
	admin.send("PUT", "/realms/helpdesk", map[string]any{"capabilities": []any{
		map[string]any{"capability": "update", "realms": []string{"single"}}, map[string]any{"capability": "list", "realms": []string{"single"}}}}).want(200)
	dora := w.member("dora@helpdesk").visit()
	dora.send("GET", "/outbox", nil).want(403, "forbidden")
	dora.send("GET", "/outbox?realm=users", nil).want(403, "forbidden")
	own := items(dora.send("GET", "/outbox?realm=single", nil).want(200), "messages")
	foreign := items(root.send("GET", "/outbox?realm=users", nil).want(200), "messages")
	if len(own) != 1 || len(foreign) != 1 {
		t.Fatalf("%v, %v", own, foreign)
	}
	theirs, ours := "/outbox/"+foreign[0]["id"].(string), "/outbox/"+own[0]["id"].(string)
	dora.send("POST", theirs+"/retry", nil).want(403, "forbidden")
	dora.send("DELETE", theirs, nil).want(403, "forbidden")
	dora.send("DELETE", "/outbox/nobody", nil).want(403, "forbidden")
	if a := dora.send("POST", ours+"/retry", nil).want(202); a.text("state") != "waiting" {
		t.Errorf("tried again: %v", a)
	}
	dora.send("DELETE", ours, nil).want(204)

	root.send("DELETE", ours, nil).want(404, "unknown_message")
	w.clock.Advance(11 * time.Minute)
	w.member("rita@admin").visit().send("POST", theirs+"/retry", nil).want(409, "message_expired")
	if events := items(w.admin().send("GET", "/audit?kind=outbox", nil).want(200), "events"); len(events) != 2 {
		t.Errorf("events: %v", events)
	}
}
