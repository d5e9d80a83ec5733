package trench_test

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/trench"
)

// facadeFor is a facade of the same house for another realm, with the same keys.
func (h *house) facadeFor(realm string) *trench.Facade {
	h.Helper()
	f, err := trench.New(trench.Options{Rooms: h.Rooms, Common: compat.Common{Facade: "trench", Realm: realm}, Dialect: h.dialect})
	h.Must(err)
	return f
}

// A token for enrolment is one of the facade's own realm, and of somebody who has to
// enrol: not of somebody in the middle of a login.
func TestTheTokenForEnrolmentIsOfTheRealmAndForEnrolment(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		two := func(s *account.Settings) { n := 2; s.Factors, s.Enrollment = &n, account.EnrollFirstLogin }
		h := &house{compattest.New(t, map[string]account.Settings{"trench": settings(two), "other": settings(two)}), dialect}
		h.Serve(h.facadeFor("trench"))
		h.User("admin", "trench", "", password)
		h.User("admin", "other", "", password)
		auth := h.login("/auth/token/", "admin")
		mine := h.URL
		h.Serve(h.facadeFor("other"))
		for path, method := range everywhere {
			if got := h.Do(method, path, "", "Authorization: "+auth); got.Status != 401 {
				t.Errorf("%s of another realm: %d %s", path, got.Status, got.Body)
			}
		}
		h.URL = mine
		seed := h.activate(auth) // it was good
		h.confirm(auth, h.code(seed))
		h.next()
		next, err := h.Doors.Password(t.Context(), login.Attempt{Door: login.Trench, Realm: "trench", Login: "admin", Password: password})
		h.Must(err)
		half, err := h.facadeFor("trench").EnrolTokenForTest(next.Ephemeral)
		h.Must(err)
		for path, method := range everywhere {
			if got := h.Do(method, path, "", "Authorization: "+half); got.Status != 401 {
				t.Errorf("%s in the middle of a login: %d %s", path, got.Status, got.Body)
			}
		}
	})
}

// Attack: an authenticator that was begun before there was a second factor is confirmed
// by somebody who never proved that one.
func TestM7ConfirmingNeedsAFreshFactorToo(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/token/", "admin")
		seed := h.activate(auth)
		id := h.id("admin")
		h.Must(h.update(func(tx store.Tx) error {
			_, err := h.Directory.SetMethods(tx, account.Local(), id, []account.Method{{Name: "email", AddedAt: tx.Now()}}, false)
			return err
		}))
		got := h.post("/auth/app/activate/confirm/", h.form("code", h.code(seed)), auth)
		if got.Status != 403 || !strings.Contains(got.Body, "Prove your second factor again first.") {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}
