package ungleich_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/ungleich"
)

// between is the facade's store alone, without that of the rooms: before is called
// after the caller proved itself and before what it wanted is decided.
type between struct {
	store.Store
	before func() error
}

func (b *between) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := b.before(); err != nil {
		return err
	}
	return b.Store.Update(ctx, fn)
}

func (b *between) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := b.before(); err != nil {
		return err
	}
	return b.Store.View(ctx, fn)
}

// requests are one of each kind that goes on after the proof.
func (s *service) requests(sub *service) []string {
	return []string{"POST /ungleichotp/verify/", "GET /ungleichotp/", "POST /ungleichotp/", "GET " + sub.entry(), "PUT " + sub.entry(), "DELETE " + sub.entry(),
		"POST /verify", "GET /app", "GET /app/" + firstApp, "POST /register"}
}

// everything has the fields of all requests.
func (s *service) everything(sub *service, path string) body {
	if strings.HasPrefix(path, "/ungleichotp/") {
		return s.about(sub, sub.token()).and("name", "new")
	}
	return s.early().and("verifyname", sub.name, "verifyrealm", sub.realm, "verifytoken", sub.token(), "username", "nico", "appname", "x")
}

// Attack: a caller proves itself, and is disabled before its request is decided.
func TestACallerThatIsDisabledMeanwhile(t *testing.T) {
	b := &between{before: func() error { return nil }}
	h := newHouse(t, func(o *ungleich.Options) { b.Store, o.Store, o.ShowSeeds = o.Store, b, true })
	sub := h.service("sub", others)
	h.app(firstApp, "nico", false)
	for i, to := range (*service)(nil).requests(sub) {
		root := h.service(fmt.Sprint("root", i), admins)
		method, path, _ := strings.Cut(to, " ")
		b.before = func() error {
			yes := true
			return b.Store.Update(t.Context(), func(tx store.Tx) error {
				_, err := h.Directory.UpdateService(tx, account.Local(), principal.Ref{Name: root.name, Realm: admins}, account.ServiceChange{Disabled: &yes})
				return err
			})
		}
		got := h.send(method, path, root.everything(sub, path))
		if got.Status != 403 && !strings.Contains(got.Body, `"FAIL"`) {
			t.Errorf("%s: %d %s", to, got.Status, got.Body)
		}
	}
}

// A store that fails is no credential and no permission: the answer is an error in the
// form of the age, and the log has the cause.
func TestTheStoreFails(t *testing.T) {
	b := &between{before: func() error { return nil }}
	h := newHouse(t, func(o *ungleich.Options) { b.Store, o.Store = o.Store, b })
	root, sub := h.service("root", admins), h.service("sub", others)
	for _, failure := range []struct {
		err    error
		status int
		text   string
	}{{errors.New("CANARY disk"), 500, "Something failed here. It was noted."}, {store.ErrUnavailable, 503, "The gateway cannot answer at this moment."}} {
		b.before = func() error { return failure.err }
		for _, to := range root.requests(sub) {
			method, path, _ := strings.Cut(to, " ")
			got := h.send(method, path, root.everything(sub, path))
			want := `{"detail":"` + failure.text + `"}`
			if !strings.HasPrefix(path, "/ungleichotp/") {
				want = `{"status":"FAIL","error":"` + failure.text + `"}`
			}
			h.want(to, got, failure.status, want)
			if (got.Header.Get("Retry-After") != "") != (failure.status == 503) {
				t.Errorf("%s: Retry-After %q", to, got.Header.Get("Retry-After"))
			}
		}
	}
	if !strings.Contains(h.Logged(), "CANARY disk") {
		t.Error("the cause is not in the log")
	}
}
