package api_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// cut ends all sessions of a person in the moment before the nth transaction of
// the next call, when who is calling was found out already. done says whether
// the call had so many.
func (w *world) cut(p *person, nth int) (done *bool) {
	done = new(bool)
	w.before = slices.Repeat([]func(){func() {}}, nth)
	w.before[nth-1] = func() {
		*done = true
		must(w, w.store.Update(w.Context(), func(tx store.Tx) error {
			u, err := w.dir.Resolve(tx, p.name, p.realm)
			if err != nil {
				return err
			}
			n, err := w.sessions.RevokeAll(tx, u.ID, "")
			if err == nil && n == 0 {
				return errors.Join(session.ErrNone, errors.New("no session to end"))
			}
			return err
		}))
	}
	return done
}

// Attack: somebody at a stolen session sends a change of the own factors, and
// the owner ends all sessions in that moment. Before, the code was judged in one
// transaction and the change made in the next, after the revocation.
func TestNoChangeOfTheOwnRecordOutlivesItsSession(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for i, call := range []struct {
		method, path string
		fields       []string
	}{
		{"POST", "/me/recovery-codes", []string{"code"}},
		{"PUT", "/me/methods/primary", []string{"method", "code"}},
		{"POST", "/me/methods/totp/deactivate", []string{"code"}},
	} {
		for nth := range 3 {
			p := w.member(fmt.Sprintf("olga%d%d@single", i, nth))
			v, code := p.visit(), p.code()
			body := map[string]any{"method": "totp", "code": code}
			for name := range body {
				if !slices.Contains(call.fields, name) {
					delete(body, name)
				}
			}
			ended := w.cut(p, nth+1)
			a := v.send(call.method, call.path, body)
			w.before = nil
			if !*ended {
				if nth == 0 || a.status >= 300 {
					t.Errorf("%s: nothing changed: %v", call.path, a)
				}
				continue
			}
			if a.status != 401 {
				t.Errorf("%s, the session ended before transaction %d: %v", call.path, nth+1, a)
			}
			// Nothing happened, and the code that came with it is not spent.
			again := map[string]any{"ephemeral_token": p.halfway().text("ephemeral_token"), "code": code}
			if a := w.stranger().send("POST", "/login/code", again); a.status != 200 {
				t.Errorf("%s: the code was spent: %v", call.path, a)
			}
			again = map[string]any{"ephemeral_token": p.halfway().text("ephemeral_token"), "recovery_code": p.codes[0]}
			if a := w.stranger().send("POST", "/login/recovery-code", again); a.status != 200 {
				t.Errorf("%s: the recovery codes changed: %v", call.path, a)
			}
		}
	}
}

// Attack: an administrator's session is stolen; in the moment in which it is
// revoked, a change of somebody else is on its way. Before, who is calling was
// found out first, and the change came after the revocation.
func TestNoChangeOfOthersOutlivesTheSessionThatSentIt(t *testing.T) {
	w := newWorld(t, worldOptions{})
	root, victim := w.member("root@admin"), w.member("alice@users")
	for _, call := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/users", map[string]any{"realm": "users", "name": "mallory", "password": goodWords}},
		{"PATCH", w.path(victim), map[string]any{"password": "rustling leaves beneath lanterns"}},
		{"PATCH", w.path(victim), map[string]any{"disabled": true}},
		{"PATCH", w.path(victim), map[string]any{"email": "mallory@example.com"}},
		{"POST", w.path(victim) + "/totp", map[string]any{}},
		{"POST", w.path(victim) + "/recovery-codes", nil},
		{"POST", w.path(victim) + "/invite", nil},
		{"POST", w.path(victim) + "/verify", map[string]any{"recovery_code": victim.codes[0]}},
		{"DELETE", w.path(victim) + "/sessions", nil},
		{"DELETE", w.path(victim) + "/methods", nil},
		{"DELETE", w.path(victim) + "/methods/totp", nil},
		{"DELETE", w.path(victim), nil},
		{"PUT", "/realms/users", map[string]any{"factors": 1}},
		{"DELETE", "/realms/single", nil},
		{"PATCH", "/me", map[string]any{"full_name": "Mallory"}},
		{"POST", "/me/methods/totp/activate", nil},
		{"DELETE", "/me/sessions", nil},
		{"DELETE", "/me/sessions/any", nil},
	} {
		v := root.visit()
		before := w.admin().send("GET", w.path(victim), nil).want(200).body
		ended := w.cut(root, 1)
		a := v.send(call.method, call.path, call.body)
		w.before = nil
		if a.status != 401 || !*ended {
			t.Errorf("%s %s: %v (session ended: %v)", call.method, call.path, a, *ended)
		}
		if after := w.admin().send("GET", w.path(victim), nil); after.body != before {
			t.Errorf("%s %s changed %s into %s", call.method, call.path, before, after.body)
		}
	}
	if got := victim.signIn().text("status"); got != "ok" {
		t.Errorf("the victim's login: %s", got)
	}
}

// An administrator who changes several things of the own record at once ends
// the own session with it, and all of them are done.
func TestAnAdministratorChangesTheOwnRecord(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.member("other@admin")
	root := w.member("root@admin")
	root.visit().send("PATCH", w.path(root), map[string]any{"email": "r@example.com", "full_name": "Root",
		"password": "rustling leaves beneath lanterns", "disabled": false}).want(200)
	root.password = "rustling leaves beneath lanterns"
	root.visit().send("POST", w.path(root)+"/recovery-codes", nil).want(200)
	root.visit().send("DELETE", w.path(root)+"/methods", nil).want(204)
}
