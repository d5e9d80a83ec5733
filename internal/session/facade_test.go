package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// A facade's session is found by its facade alone, and has nothing that opens
// another door.
func TestFacadeSessionsOpenTheirFacadeAlone(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	trench := func(o *session.Opening) { o.Kind = session.Trench }
	opened := w.open(u, trench)
	if !opened.Cookie.IsZero() || opened.Live.Portal {
		t.Error("it has a cookie")
	}
	live, err := w.FacadeSession(t.Context(), opened.ID, session.Trench)
	if err != nil || live.Identity.ID != u.ID || live.Portal {
		t.Fatalf("its own facade: %+v, %v", live, err)
	}
	if _, _, err := w.Access(t.Context(), live); !errors.Is(err, session.ErrNone) {
		t.Errorf("an access token for it: %v", err)
	}
	for what, find := range map[string]func() (session.Live, error){
		"another facade":         func() (session.Live, error) { return w.FacadeSession(t.Context(), opened.ID, session.FastAPI2FA) },
		"no facade at all":       func() (session.Live, error) { return w.FacadeSession(t.Context(), opened.ID, session.Browser) },
		"an id that is none":     func() (session.Live, error) { return w.FacadeSession(t.Context(), "x", session.Trench) },
		"another session's kind": func() (session.Live, error) { return w.FacadeSession(t.Context(), w.open(u).ID, session.Trench) },
	} {
		if _, err := find(); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, bad := range []func(*session.Opening){domain, func(o *session.Opening) { o.Refresh = true }, func(o *session.Opening) { o.Kind = 9 }} {
		err := w.store.Update(t.Context(), func(tx store.Tx) error {
			o := session.Opening{User: u, Proof: w.twoDoors(), Kind: session.Trench}
			bad(&o)
			_, err := w.Open(tx, o)
			return err
		})
		if err == nil {
			t.Error("a facade's session was opened with tokens of ours, or through no door")
		}
	}
	w.clock.Advance(365 * 24 * time.Hour)
	if _, err := w.FacadeSession(t.Context(), opened.ID, session.Trench); !errors.Is(err, session.ErrNone) {
		t.Errorf("after its end: %v", err)
	}
}
