package trench_test

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

const useYubiKey = "Generate code using YubiKey"

// keyed is a house whose people may have YubiKeys, which others judge.
func keyed(t testing.TB, dialect compat.Dialect) *house {
	t.Helper()
	return build(t, dialect, func(s *account.Settings) {
		yes := true
		s.Methods, s.ConfirmDisable = []string{"totp", "yubikey"}, &yes
	})
}

// withKey is somebody who has a YubiKey alone, and is logged in by one.
func (h *house) withKey(name string) (k *yubicotest.Key, auth string) {
	h.Helper()
	k = yubicotest.NewKey()
	h.User(name, "trench", "", password)
	auth = h.login("/auth/token/", name)
	h.want("activate", h.post("/auth/yubi/activate/", "", auth), 200, h.told(useYubiKey))
	h.object("confirm", h.post("/auth/yubi/activate/confirm/", h.form("code", h.Keys.Accept(k.Press())), auth), "backup_codes")
	return k, auth
}

func TestYubi(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := keyed(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/token/", "admin")
		const confirm = "/auth/yubi/activate/confirm/"
		h.row("confirm before", confirm, h.form("code", yubicotest.NewKey().Press()), auth, say{404, notThere}, say{0, noMethod3})
		h.want("activate", h.post("/auth/yubi/activate/", "method=yubi", auth), 200, h.told(useYubiKey))
		h.row("pending", "/auth/code/request/", "method=yubi", auth, say{404, notThere}, say{200, h.told(useYubiKey)})
		k := yubicotest.NewKey()
		h.row("one that Yubico does not know", confirm, h.form("code", k.Press()), auth, say{0, badCode}, say{0, badCode3})
		h.row("digits", confirm, "code=123456", auth, say{0, badCode}, say{0, badCode3})
		first := h.Keys.Accept(k.Press())
		h.object("confirm", h.post(confirm, h.form("code", first), auth), "backup_codes")
		h.methods("active", auth, `[{"name":"yubi","is_primary":true}]`)
		h.want("code", h.post("/auth/code/request/", "method=yubi", auth), 200, h.told(useYubiKey))
		h.quiet("nothing is sent", 0)

		bad, bad3 := say{0, `{"non_field_errors":["Invalid or expired code."]}`}, say{401, `{"error":"Invalid or expired code."}`}
		eph := h.between("admin", "yubi")
		h.row("the first one again", "/auth/token/login/code/", h.form("ephemeral_token", eph, "code", first), "", bad, bad3)
		code := h.Keys.Accept(k.Press())
		auth = h.tokens("/auth/token/", h.enter(eph, code))
		h.row("what opened the session, once more: Yubico took it", "/auth/yubi/codes/regenerate/", h.form("code", code), auth, say{0, badCode}, say{0, badCode3})
		h.object("regenerate", h.post("/auth/yubi/codes/regenerate/", h.form("code", h.Keys.Accept(k.Press())), auth), "backup_codes")
		h.row("deactivate without", "/auth/yubi/deactivate/", "", auth, say{0, noOTP}, say{0, missingCode})
		h.want("deactivate", h.post("/auth/yubi/deactivate/", h.form("code", h.Keys.Accept(k.Press())), auth), 204, "")
		h.login("/auth/token/", "admin")
	})
}

// Attack: another person's key, good at Yubico, at the second step and for a change; and
// an app's method taken away by a key's code. Neither is even asked about: it would be
// burned.
func TestAnothersKeyIsNotAskedAbout(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := keyed(t, dialect)
		k, _ := h.withKey("admin")
		other, _ := h.withKey("bob")
		asked := h.Keys.Asked()
		code := h.Keys.Accept(other.Press())
		h.row("bob's", "/auth/login/code/", h.form("ephemeral_token", h.between("admin", "yubi"), "code", code), "",
			say{0, `{"non_field_errors":["Invalid or expired code."]}`}, say{401, `{"error":"Invalid or expired code."}`})
		auth := h.tokens("/auth/token/", h.enter(h.between("admin", "yubi"), h.Keys.Accept(k.Press())))
		seed := h.activate(auth)
		h.object("confirm", h.post("/auth/app/activate/confirm/", h.form("code", h.code(seed)), auth), "backup_codes")
		mine := h.Keys.Accept(k.Press())
		h.row("a key's code for the app", "/auth/app/deactivate/", h.form("code", mine), auth, say{0, badCode}, say{0, badCode3})
		if n := h.Keys.Asked(); n != asked+1 {
			t.Errorf("Yubico was asked %d times more", n-asked)
		}
		h.object("both are good still", h.post("/auth/yubi/codes/regenerate/", h.form("code", mine), auth), "backup_codes")
		h.tokens("/auth/token/", h.enter(h.between("bob", "yubi"), code))
	})
}

// While nobody answers, a code is neither good nor wrong: nothing is counted, and the
// token lives.
func TestYubicoDoesNotAnswer(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := keyed(t, dialect)
		k, _ := h.withKey("admin")
		h.Keys.Down(true)
		eph := h.between("admin", "yubi")
		for range 7 {
			if got := h.enter(eph, k.Press()); got.Status != 503 {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
		}
		h.Keys.Down(false)
		h.Time.Advance(time.Second)
		h.tokens("/auth/token/", h.enter(eph, h.Keys.Accept(k.Press())))
	})
}
