package session_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/session"
)

// Whatever a stranger sends as a credential is refused, and nothing panics.
func FuzzCredentials(f *testing.F) {
	w := newWorld(f)
	o := w.open(w.user("alice"), domain, refresh)
	jwt := w.access(o.Live)
	good := map[string]bool{o.Cookie.Reveal(): true, o.DomainCookie.Reveal(): true, o.Refresh.Reveal(): true, jwt: true}
	for text := range good {
		for _, seed := range []string{text, text[1:], text[:len(text)-1], text + "A", strings.ToLower(text), "\x00" + text} {
			f.Add(seed)
		}
	}
	for _, seed := range []string{"", ".", "..", "...", "e30.e30.", "bnVsbA.bnVsbA.bnVsbA", "sps_", strings.Repeat("A", 58), "spr_" + strings.Repeat("_", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if good[text] {
			return
		}
		if _, err := w.live(text); !errors.Is(err, session.ErrNone) {
			t.Errorf("cookie: %v", err)
		}
		if _, err := w.VerifyAccess(t.Context(), text); !errors.Is(err, session.ErrNone) {
			t.Errorf("access token: %v", err)
		}
		if _, err := w.Refresh(t.Context(), text, session.Origin{}); !errors.Is(err, session.ErrNone) {
			t.Errorf("refresh token: %v", err)
		}
		w.IsOurs(text)
	})
}
