package trench_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// The way of the sample client, at each of the three doors: it logs in, activates,
// confirms, logs out, logs in with a code, and with the same code deactivates.
func TestTheSampleClientsWay(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		for _, kind := range kinds {
			t.Run(kind.name, func(t *testing.T) {
				h := build(t, dialect)
				h.User("admin", "trench", "", password)
				auth := h.login(kind.door, "admin")
				h.want("nothing yet", h.get("/auth/mfa/user-active-methods/", auth), 200, `[]`)
				seed := h.activate(auth)
				h.want("not yet", h.get("/auth/mfa/user-active-methods/", auth), 200, `[]`)
				codes := h.confirm(auth, h.code(seed))
				if len(codes) != 5 || len(codes[0]) != 12 {
					t.Fatalf("backup codes: %d of %d characters", len(codes), len(codes[0]))
				}
				h.want("active", h.get("/auth/mfa/user-active-methods/", auth), 200, `[{"name":"app","is_primary":true}]`)
				h.want("logout", h.post("/auth/logout/", "", auth), 204, "")
				if got := h.get("/auth/mfa/user-active-methods/", auth); got.Status != 401 {
					t.Errorf("after logout: %d %s", got.Status, got.Body)
				}
				h.next()
				code := h.code(seed)
				auth = h.second(kind.door, "admin", code)
				h.want("primary", h.post("/auth/mfa/change-primary-method/", h.form("method", "app", "code", code), auth),
					map[bool]int{true: 200, false: 204}[h.old()], h.pick(`[{"name":"app","is_primary":true}]`, ""))
				h.object("regenerate", h.post("/auth/app/codes/regenerate/", h.form("code", code), auth), "backup_codes")
				h.want("deactivate", h.post("/auth/app/deactivate/", h.form("code", code), auth), 204, "")
				h.want("gone", h.get("/auth/mfa/user-active-methods/", auth), 200, `[]`)
				h.login(kind.door, "admin")
				if again := h.activate(auth); again == seed {
					t.Error("the old secret came back")
				}
			})
		}
	})
}
