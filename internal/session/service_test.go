package session_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

var deploy = principal.Ref{Name: "deploy", Realm: "auth"}

func (w *world) service() (who account.Identity) {
	w.Helper()
	w.update(func(tx store.Tx) error {
		s, err := w.dir.CreateService(tx, account.Local(), account.NewService{Ref: deploy})
		if err == nil {
			who = s.Identity()
		}
		return err
	})
	return who
}

func (w *world) changeService(c account.ServiceChange) {
	w.Helper()
	w.update(func(tx store.Tx) error {
		_, err := w.dir.UpdateService(tx, account.Local(), deploy, c)
		return err
	})
}

func (w *world) accessService(who *account.Identity) string {
	w.Helper()
	text, expires, err := w.AccessService(context.Background(), who)
	w.must(err)
	if got := expires.Sub(w.clock.Now()); got != session.AccessLife {
		w.Errorf("the token is good for %s", got)
	}
	return text
}

// A service's access token says whose it is and opens nothing once the service is
// disabled, rotated, deleted or made anew (S5, S6).
func TestS6ServiceAccessTokensDieWithTheirService(t *testing.T) {
	yes, no := true, false
	for name, end := range map[string]func(*world){
		"disabled": func(w *world) { w.changeService(account.ServiceChange{Disabled: &yes}) },
		"disabled and enabled": func(w *world) {
			w.changeService(account.ServiceChange{Disabled: &yes})
			w.changeService(account.ServiceChange{Disabled: &no})
		},
		"rotated": func(w *world) {
			w.update(func(tx store.Tx) error {
				_, err := w.dir.RotateService(tx, account.Local(), deploy, nil, 0, time.Hour)
				return err
			})
		},
		"deleted": func(w *world) {
			w.update(func(tx store.Tx) error { return w.dir.DeleteService(tx, account.Local(), deploy) })
		},
		"made anew": func(w *world) {
			w.update(func(tx store.Tx) error { return w.dir.DeleteService(tx, account.Local(), deploy) })
			w.service()
		},
		"expired": func(w *world) { w.clock.Advance(session.AccessLife + 6*time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			who := w.service()
			token := w.accessService(&who)
			header, claims := parts(t, token)
			if header["typ"] != "at+jwt" || claims["client_id"] != "deploy@auth" || claims["sub"] != who.ID.String() || claims["sid"] != nil {
				t.Errorf("%v %v", header, claims)
			}
			l, err := w.VerifyAccess(t.Context(), token)
			if err != nil || l.Identity.ID != who.ID || l.ID != "" || l.Portal {
				t.Fatalf("%+v, %v", l, err)
			}
			if again, err := w.Again(t.Context(), l); err != nil || again.Identity != l.Identity {
				t.Errorf("again: %+v, %v", again, err)
			}
			end(w)
			w.tokenRefused(token)
			if _, err := w.Again(t.Context(), l); name != "expired" && !errors.Is(err, session.ErrNone) {
				t.Errorf("a stream goes on: %v", err)
			}
		})
	}
}

// Attack (S5): a token of a person is bent into that of a service of the same
// name, or a service's into that of a session, with the right key.
func TestS5ServiceAndSessionTokensAreNotExchanged(t *testing.T) {
	w := newWorld(t)
	who := w.service()
	o := w.open(w.user("alice"))
	good := w.accessService(&who)
	_, claims := parts(t, good)
	for name, change := range map[string]map[string]any{
		"another client":     {"client_id": "boss@admin"},
		"another name":       {"preferred_username": "boss", "client_id": "boss@auth"},
		"another subject":    {"sub": principal.NewID().String()},
		"no epoch":           {"epoch": nil},
		"an older epoch":     {"epoch": 0},
		"a session's client": {"client_id": "sallyport"},
		"a session":          {"sid": o.ID},
		"a session, client":  {"sid": o.ID, "client_id": "sallyport"},
	} {
		c := jwt.MapClaims{}
		for k, v := range claims {
			c[k] = v
		}
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		if _, err := w.VerifyAccess(t.Context(), w.SignAs("access", map[string]any{"typ": "at+jwt"}, c)); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.VerifyAccess(t.Context(), w.SignAs("access", map[string]any{"typ": "at+jwt"}, claims)); err != nil {
		t.Errorf("signed as it was: %v", err)
	}
	for _, who := range []*account.Identity{nil, {}, {Kind: principal.User, Enabled: true, Name: "alice", Realm: "users"}, {Kind: principal.Service, Name: "deploy", Realm: "auth"}} {
		if text, _, err := w.AccessService(t.Context(), who); !errors.Is(err, session.ErrNone) || text != "" {
			t.Errorf("%v got a token: %v", who, err)
		}
	}
}

// Whoever serves a service a stream hears of each change of its record, and of its
// end; an assertion is made once for a minute.
func TestFollowAService(t *testing.T) {
	w := newWorld(t)
	who := w.service()
	l, err := w.VerifyAccess(t.Context(), w.accessService(&who))
	w.must(err)
	var changes, ends atomic.Int32
	stop := w.Follow(l, func(ended bool) {
		if changes.Add(1); ended {
			ends.Add(1)
		}
	})
	text := "x"
	w.changeService(account.ServiceChange{Description: &text})
	if changes.Load() != 1 || ends.Load() != 0 {
		t.Errorf("after a change: %d, %d", changes.Load(), ends.Load())
	}
	one, err := w.Assertion(l, "https://app.example.com", "")
	w.must(err)
	l2, err := w.Again(t.Context(), l)
	w.must(err)
	l3, err := w.Again(t.Context(), l2)
	w.must(err)
	two, err := w.Assertion(l2, "https://app.example.com", "")
	w.must(err)
	three, err := w.Assertion(l3, "https://app.example.com", "")
	w.must(err)
	if one == two || two != three {
		t.Error("an assertion is made anew for a changed service, and only for one")
	}
	if _, claims := parts(t, three); claims["auth_time"] != float64(w.clock.Now().Unix()) || claims["amr"].([]any)[0] != "otp" {
		t.Errorf("claims %v", claims)
	}
	w.update(func(tx store.Tx) error { return w.dir.DeleteService(tx, account.Local(), deploy) })
	if ends.Load() != 1 {
		t.Error("nobody heard of the end")
	}
	stop()
	other := w.Follow(session.Live{Identity: &who}, func(ended bool) { ends.Add(10) })
	defer other()
	w.must(w.Close())
	if ends.Load() != 11 {
		t.Error("closing ends no stream")
	}
}
